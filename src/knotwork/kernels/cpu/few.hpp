// Layers of one or two outputs, as scientists' networks end in: their vectors lie along the bases
// of a row instead of along outputs, of which most would be empty.
#pragma once

#include "block.hpp"

namespace knotwork::KNOTWORK_SET {

// Copies the weights of one edge: the residual's, then the coefficients.
template <class T, int K>
INLINE void pack_edge(const Call& call, int64_t i, int64_t j, T* to) {
    const int64_t outputs = call.outputs, count = call.grid + K;
    const bool spline = call.kind[i * outputs + j] == 1;
    const T* weight = static_cast<const T*>(call.weight);
    const T* from = static_cast<const T*>(call.coefficients) + i * count * outputs + j;
    to[0] = spline && weight ? weight[i * outputs + j] : T(0);
    for (int64_t r = 0; r < count; r++) to[1 + r] = spline ? from[r * outputs] : T(0);
}

// Outputs from inputs `from` to `to`, or gradients of these inputs.
template <class T, int K>
static void apply_few(const Call& call, const Block<T, K>& b, int64_t from, int64_t to) {
    constexpr int L = GROUP<K>;
    typedef typename LanesOf<T, L>::type Lanes;
    const auto lanes = [](const T* at) { return *reinterpret_cast<const Lanes*>(at); };
    const int64_t pitch = b.pitch, rows = b.rows;
    for (int64_t j = 0; j < call.outputs; j++) {
        for (int64_t i = from; i < to; i++) {
            pack_edge<T, K>(call, i, j, b.packed);
            const T weight = b.packed[0];
            const T* coefficients = b.packed + 1;
            const int64_t at = (i - from) * pitch;
            const int32_t* first = b.first + at;
            T* y = b.y + j;
            if (call.backward) {
                const T* slopes = b.slopes + at * L;
                const T* residual = b.residual_slope + at;
                T* grads = b.grads + at;
                for (int64_t n = 0; n < rows; n++) {
                    T slope = sum<L>(lanes(slopes + n * L) * lanes(coefficients + first[n]));
                    if (call.weight) slope += weight * residual[n];
                    grads[n] += slope * y[n * STRIP<T>];
                }
            } else {
                const T* basis = b.basis + at * L;
                const T* residual = b.residual + at;
                for (int64_t n = 0; n < rows; n++) {
                    T value = sum<L>(lanes(basis + n * L) * lanes(coefficients + first[n]));
                    if (call.weight) value += weight * residual[n];
                    y[n * STRIP<T>] += value;
                }
            }
        }
    }
}

// Gradients of one input's weights, as weight_gradient_rows leaves them.
template <class T, int K>
static void weight_gradient_few(const Call& call, const Block<T, K>& b, int64_t input) {
    constexpr int L = GROUP<K>;
    typedef typename LanesOf<T, L>::type Lanes;
    const int64_t count = call.grid + K, at = input * b.pitch;
    const T* basis = b.basis + at * L;
    const T* residual = b.residual + at;
    const int32_t* first = b.first + at;
    // Sums of an interval lie apart from its neighbours': where what is read was written in parts,
    // reading waits.  For the same reason every other row has sums of its own.
    const int64_t grid = call.grid, pitch = grid * L;
    T* sums = b.packed;
    for (int64_t j = 0; j < call.outputs; j++) {
        std::memset(sums, 0, size_t(2 * pitch) * sizeof(T));
        T weights[2] = {};
        const T* y = b.y + j;
        const auto add = [&](int64_t n, int64_t half) {
            const T grad = y[n * STRIP<T>];
            *reinterpret_cast<Lanes*>(sums + half * pitch + first[n] * L) +=
                grad * *reinterpret_cast<const Lanes*>(basis + n * L);
            if (call.weight) weights[half] += grad * residual[n];
        };
        int64_t n = 0;
        for (; n + 1 < b.rows; n += 2) {
            add(n, 0);
            add(n + 1, 1);
        }
        if (n < b.rows) add(n, 0);
        for (int64_t r = 0; r < count; r++) {
            T sum = 0;
            for (int64_t s = most<int64_t>(0, r - K); s <= least(r, grid - 1); s++)
                sum += sums[s * L + r - s] + sums[pitch + s * L + r - s];
            b.gradient[r * STRIP<T> + j] = sum;
        }
        b.gradient[count * STRIP<T> + j] = weights[0] + weights[1];
    }
}

}  // namespace knotwork::KNOTWORK_SET
