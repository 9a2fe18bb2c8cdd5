// The innermost loops: rows of a block against the packed weights of a few inputs.
#pragma once

#include "block.hpp"

namespace knotwork::KNOTWORK_SET {

// Packed weights of some inputs in one group of strips.
template <class T> struct Part {
    const T* weights;  // of an input: a row for the residual, then one for each coefficient
    int64_t pitch;     // from one input's weights to the next
    int64_t column;    // number of the first input in the block
    int64_t inputs;
};

// y += the inputs' edges, for NS strips, in rows `from` to `to`.
//
// Pointers are copied out of the block first: the compiler cannot know that writing to y leaves
// them alone, and would read them again for every row.
template <class T, int K, int NS, bool RES>
NOINLINE void forward_rows(const Block<T, K>& b, const Part<T>& part, T* y, int64_t from,
                           int64_t to) {
    constexpr int L = GROUP<K>, W = NS * STRIP<T>, V = NS * STRIP_VECTORS, N = LANES<T>;
    const int64_t pitch = b.pitch, inputs = part.inputs;
    const T* const first_basis = b.basis + part.column * pitch * L;
    const T* const first_residual = b.residual + part.column * pitch;
    const int32_t* const first_start = b.first + part.column * pitch;
    const T* const weights = part.weights;
    const int64_t weights_pitch = part.pitch;
    for (int64_t n = from; n < to; n++) {
        Vector<T> sums[V];
        T* const row = y + n * W;
        for (int v = 0; v < V; v++) sums[v] = load(row + v * N);
        const T* c = weights;
        const T* basis = first_basis + n * L;
        const T* residual = first_residual + n;
        const int32_t* start = first_start + n;
        for (int64_t i = 0; i < inputs; i++) {
            const T* local = c + W + int64_t(*start) * W;
            for (int a = 0; a <= K; a++)
                for (int v = 0; v < V; v++) sums[v] += basis[a] * load(local + a * W + v * N);
            if (RES)
                for (int v = 0; v < V; v++) sums[v] += *residual * load(c + v * N);
            c += weights_pitch;
            basis += pitch * L;
            residual += pitch;
            start += pitch;
        }
        for (int v = 0; v < V; v++) store(row + v * N, sums[v]);
    }
}

// The inputs' gradient += what comes from NS strips: slopes times the weights' dot products with
// the outputs' gradient.
template <class T, int K, int NS, bool RES>
NOINLINE void input_gradient_rows(const Block<T, K>& b, const Part<T>& part, const T* g,
                                  int64_t from, int64_t to) {
    constexpr int L = GROUP<K>, W = NS * STRIP<T>, V = NS * STRIP_VECTORS, N = LANES<T>;
    const int64_t pitch = b.pitch, inputs = part.inputs;
    const T* const first_slopes = b.slopes + part.column * pitch * L;
    const T* const first_residual = b.residual_slope + part.column * pitch;
    const int32_t* const first_start = b.first + part.column * pitch;
    T* const first_grads = b.grads + part.column * pitch;
    const T* const weights = part.weights;
    const int64_t weights_pitch = part.pitch;
    for (int64_t n = from; n < to; n++) {
        Vector<T> grad[V];
        const T* const row = g + n * W;
        for (int v = 0; v < V; v++) grad[v] = load(row + v * N);
        const T* c = weights;
        const T* slopes = first_slopes + n * L;
        const T* residual = first_residual + n;
        const int32_t* start = first_start + n;
        T* grads = first_grads + n;
        for (int64_t i = 0; i < inputs; i++) {
            const T* local = c + W + int64_t(*start) * W;
            Vector<T> total = {};
            for (int a = 0; a <= K; a++) {
                Vector<T> dot = grad[0] * load(local + a * W);
                for (int v = 1; v < V; v++) dot += grad[v] * load(local + a * W + v * N);
                total += slopes[a] * dot;
            }
            if (RES) {
                Vector<T> dot = grad[0] * load(c);
                for (int v = 1; v < V; v++) dot += grad[v] * load(c + v * N);
                total += *residual * dot;
            }
            *grads += sum<N>(total);
            c += weights_pitch;
            slopes += pitch * L;
            residual += pitch;
            start += pitch;
            grads += pitch;
        }
    }
}

// Where gradients of one input's weights go in one strip.
template <class T> struct Target {
    T* coefficients;
    T* weight;      // null if residuals have none
    int64_t pitch;  // from one coefficient to the next
    bool add;       // to what is there
    bool stream;    // past the caches

    void put(T* to, Vector<T> value) const {
        if (stream)
            store_past_cache(to, value);
        else
            store(to, add ? load(to) + value : value);
    }
};

// Gradient of one input's weights in one strip, its rows sorted by interval: the sums stay in
// registers and move on with the interval.  Without residuals their sums mean nothing, and are not
// written.
template <class T, int K>
static void weight_gradient_rows(const Block<T, K>& b, int64_t input, int64_t grid, const T* g,
                                 int64_t width, const Target<T>& target) {
    constexpr int L = GROUP<K>, V = STRIP_VECTORS, N = LANES<T>;
    const T* basis = b.basis + input * b.pitch * L;
    const T* residual = b.residual + input * b.pitch;
    const int32_t* order = b.order + input * b.pitch;
    const int32_t* before = b.before + input * (grid + 1);
    T* to = target.coefficients;
    Vector<T> sums[K + 1][V] = {}, residual_sums[V] = {};
    for (int64_t s = 0; s < grid; s++, to += target.pitch) {
        const int32_t end = before[s + 1];
        for (int32_t p = before[s]; p < end; p++) {
            Vector<T> grad[V];
            for (int v = 0; v < V; v++) grad[v] = load(g + order[p] * width + v * N);
            for (int a = 0; a <= K; a++)
                for (int v = 0; v < V; v++) sums[a][v] += basis[p * L + a] * grad[v];
            for (int v = 0; v < V; v++) residual_sums[v] += residual[p] * grad[v];
        }
        for (int v = 0; v < V; v++) {
            target.put(to + v * N, sums[0][v]);
            for (int a = 0; a < K; a++) sums[a][v] = sums[a + 1][v];
            sums[K][v] = Vector<T>{};
        }
    }
    for (int a = 0; a < K; a++, to += target.pitch)
        for (int v = 0; v < V; v++) target.put(to + v * N, sums[a][v]);
    if (!target.weight) return;
    for (int v = 0; v < V; v++) target.put(target.weight + v * N, residual_sums[v]);
}

}  // namespace knotwork::KNOTWORK_SET
