// A block of rows at work: the bases of a group of inputs at every row, the outputs in strips.
#pragma once

#include "basis.hpp"
#include "library.hpp"

namespace knotwork::KNOTWORK_SET {

// Inputs whose columns are taken out of x together: about a cache line of them.
constexpr int COLUMNS = 16;
// Bytes of weights that should stay in the first-level cache, and in the second.
constexpr int64_t L1_WEIGHTS = 28 * 1024, L2_WEIGHTS = 256 * 1024;
// Rows in a block: enough that copying the weights pays, few enough for the second-level cache.
constexpr int64_t LEAST_ROWS = 256, MOST_ROWS = 2048;
// Bytes of gradients from which on they are written past the caches.
constexpr int64_t CACHED_GRADIENT = 8 << 20;

// Strips of outputs that are handled together; other orders than cubic are rare, and save
// compiling.
template <int K> constexpr int MOST_STRIPS = K == 3 ? 4 : 1;

// How many of the strips from number `strip` on go together: as many as leave the weights of an
// input in the first-level cache.
template <class T, int K>
INLINE int strips_together(const Call& call, int64_t strips, int64_t strip) {
    const int64_t bytes = (call.grid + K + 1) * STRIP<T> * int64_t(sizeof(T));
    int together = MOST_STRIPS<K>;
    while (together > 1 && (together > strips - strip || together * bytes > L1_WEIGHTS / 2))
        together /= 2;
    return together;
}

template <class T, int K> struct Block {
    static constexpr int L = GROUP<K>;
    int64_t rows;
    int64_t pitch;   // from one column or strip to the next, in rows
    int64_t strips;
    int64_t packed_inputs, packed_size;  // whose weights are copied together, and numbers in each
    T* columns;      // (COLUMNS, pitch): inputs of x, transposed
    T* grads;        // (COLUMNS, pitch): their gradient
    T* basis;        // (COLUMNS, pitch, L)
    T* slopes;       // (COLUMNS, pitch, L)
    T* residual;     // (COLUMNS, pitch)
    T* residual_slope;
    int32_t* first;  // (COLUMNS, pitch)
    T* position;     // (pitch)
    int32_t* kind;   // (pitch)
    int32_t* order;  // (pitch): row numbers, sorted by interval
    int32_t* begin;  // (grid + 2): where each interval's rows begin
    T* pieces;
    T* packed;       // (packed_inputs, packed_size): weights
    T* gradient;     // (strips, grid + k + 1, strip): gradient of one input's weights
    T* y;            // (strips, pitch, strip): outputs or their gradient

    // Lays the block out in memory; returns the bytes it takes.  Without memory it only counts.
    static int64_t carve(const Call& call, int64_t rows, char* memory, Block* block) {
        int64_t used = 0;
        const auto take = [&](auto** pointer, int64_t count) {
            if (memory) *pointer = reinterpret_cast<decltype(*pointer + 0)>(memory + used);
            used += (count * int64_t(sizeof(**pointer)) + 63) / 64 * 64;
        };
        Block unused;
        Block& b = block ? *block : unused;
        const bool back = call.backward;
        b.rows = 0;
        // Lengths that are no power of two keep columns from falling on the same lines of the cache.
        b.pitch = (rows + 15) / 16 * 16 + 24;
        b.strips = (call.outputs + STRIP<T> - 1) / STRIP<T>;
        b.packed_size = (call.grid + K + 1) * b.strips * STRIP<T>;
        b.packed_inputs = most<int64_t>(
            1, least<int64_t>(COLUMNS, L2_WEIGHTS / (b.packed_size * int64_t(sizeof(T)))));
        const int64_t all = COLUMNS * b.pitch;
        take(&b.columns, all);
        take(&b.grads, back ? all : 0);
        take(&b.basis, all * L);
        take(&b.slopes, back ? all * L : 0);
        take(&b.residual, all);
        take(&b.residual_slope, back ? all : 0);
        take(&b.first, all);
        take(&b.position, b.pitch);
        take(&b.kind, b.pitch);
        take(&b.order, back ? b.pitch : 0);
        take(&b.begin, back ? call.grid + 2 : 0);
        take(&b.pieces, Pieces<T, K>::size(call.grid, call.uniform));
        take(&b.packed, b.packed_inputs * b.packed_size);
        take(&b.gradient, back ? b.packed_size : 0);
        take(&b.y, b.strips * b.pitch * STRIP<T>);
        return used;
    }
};

INLINE bool all_splines(const uint8_t* kind, int64_t count) {
    bool all = true;
    for (int64_t j = 0; j < count; j++) all &= kind[j] == 1;
    return all;
}

// Puts the bias into every row of y.
template <class T, int K> INLINE void fill_rows(Block<T, K>& b, const T* bias, int64_t outputs) {
    for (int64_t strip = 0; strip < b.strips; strip++) {
        T row[STRIP<T>];
        for (int64_t j = 0; j < STRIP<T>; j++)
            row[j] = strip * STRIP<T> + j < outputs ? bias[strip * STRIP<T> + j] : T(0);
        T* to = b.y + strip * b.pitch * STRIP<T>;
        for (int64_t n = 0; n < b.rows; n++)
            for (int j = 0; j < STRIP<T>; j += LANES<T>) store(to + n * STRIP<T> + j, load(row + j));
    }
}

// Copies (rows, outputs) into strips, the last one filled up with zeros.
template <class T, int K>
INLINE void pack_rows(Block<T, K>& b, const T* from, int64_t outputs) {
    for (int64_t n = 0; n < b.rows; n++)
        for (int64_t strip = 0; strip < b.strips; strip++) {
            const T* row = from + n * outputs + strip * STRIP<T>;
            T* to = b.y + (strip * b.pitch + n) * STRIP<T>;
            const int64_t count = least<int64_t>(STRIP<T>, outputs - strip * STRIP<T>);
            if (count == STRIP<T>)
                for (int j = 0; j < STRIP<T>; j += LANES<T>) store(to + j, load(row + j));
            else
                for (int j = 0; j < STRIP<T>; j++) to[j] = j < count ? row[j] : T(0);
        }
}

template <class T, int K>
INLINE void unpack_rows(const Block<T, K>& b, T* to, int64_t outputs) {
    for (int64_t n = 0; n < b.rows; n++)
        for (int64_t strip = 0; strip < b.strips; strip++) {
            T* row = to + n * outputs + strip * STRIP<T>;
            const T* from = b.y + (strip * b.pitch + n) * STRIP<T>;
            const int64_t count = least<int64_t>(STRIP<T>, outputs - strip * STRIP<T>);
            if (count == STRIP<T>)
                for (int j = 0; j < STRIP<T>; j += LANES<T>) store(row + j, load(from + j));
            else
                for (int64_t j = 0; j < count; j++) row[j] = from[j];
        }
}

template <class T, int K>
INLINE void bias_gradient(const Block<T, K>& b, T* grad, int64_t outputs, bool add) {
    for (int64_t strip = 0; strip < b.strips; strip++) {
        T sums[STRIP<T>] = {};
        const T* rows = b.y + strip * b.pitch * STRIP<T>;
        for (int64_t n = 0; n < b.rows; n++)
            for (int j = 0; j < STRIP<T>; j++) sums[j] += rows[n * STRIP<T> + j];
        for (int64_t j = 0; j < STRIP<T> && strip * STRIP<T> + j < outputs; j++) {
            T* to = grad + strip * STRIP<T> + j;
            *to = (add ? *to : T(0)) + sums[j];
        }
    }
}

// Takes inputs `from` to `to` out of the rows and computes their bases.
template <class T, int K>
static void prepare(const Call& call, const Block<T, K>& b, Pieces<T, K>& pieces, const T* x,
                    int64_t from, int64_t to) {
    constexpr int L = GROUP<K>;
    const int64_t rows = b.rows, knots = call.grid + 2 * K + 1;
    const bool values = !call.backward || call.grad_coefficients, slopes = call.grad_x;
    transpose(x + from, call.inputs, rows, to - from, b.columns, b.pitch);
    for (int64_t i = from; i < to; i++) {
        const int64_t at = (i - from) * b.pitch;
        pieces.move(static_cast<const T*>(call.knots) + i * knots);
        pieces.place(b.columns + at, rows, b.first + at, b.kind, b.position);
        if (values)
            evaluate<T, L, K + 1>(pieces.values, b.kind, b.position, rows, b.basis + at * L);
        if (slopes) {
            evaluate<T, L, K>(pieces.slopes, b.kind, b.position, rows, b.slopes + at * L);
            std::memset(b.grads + at, 0, rows * sizeof(T));
        }
        residual_at(call.residual, b.columns + at, rows, values ? b.residual + at : nullptr,
                    slopes ? b.residual_slope + at : nullptr);
    }
}

}  // namespace knotwork::KNOTWORK_SET
