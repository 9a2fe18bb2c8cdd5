// A block of rows at work: the bases of a panel of inputs at every row, the outputs in strips.
#pragma once

#include "basis.hpp"
#include "library.hpp"
#include "sorting.hpp"

namespace knotwork::KNOTWORK_SET {

// Inputs whose columns are taken out of x together: about a cache line of them.
constexpr int COLUMNS = 16;
// Bytes of weights that should stay in the first-level cache.
constexpr int64_t L1_WEIGHTS = 28 * 1024;
// Bytes of a panel's bases, which pass by once for every group of strips.
constexpr int64_t PANEL = 6 << 20;
// Rows from which on reading the weights counts for less than reading and writing the outputs.
constexpr int64_t MANY_ROWS = 512;
// Rows in a block: enough that copying the weights pays, few enough that what is used of the
// outputs stays in the second-level cache.
constexpr int64_t LEAST_ROWS = 256, GROUP_ROWS = 1024, MOST_ROWS = 2048;
// Bytes of gradients from which on they are written past the caches.
constexpr int64_t CACHED_GRADIENT = 8 << 20;

// Strips of outputs that are handled together; other orders than cubic are rare, and save
// compiling.
template <int K> constexpr int MOST_STRIPS = K == 3 ? 4 : 1;

// How many of `strips` go together: as many as leave the weights of an input in the first-level
// cache.  Where that is one input only, outputs of many rows are faster in half the strips with two
// inputs, as they are then read and written half as often.
template <class T, int K>
INLINE int strips_together(const Call& call, int64_t strips) {
    const int64_t bytes = (call.grid + K + 1) * STRIP<T> * int64_t(sizeof(T));
    int together = MOST_STRIPS<K>;
    while (together > 1 && (together > strips || together * bytes > L1_WEIGHTS))
        together /= 2;
    const bool alone = 2 * together * bytes > L1_WEIGHTS;
    if (!call.backward && call.rows >= MANY_ROWS && together == 4 && alone) together = 2;
    return together;
}

// Up to so many outputs, and where the bases of a row fill a group, layers are handled by few.hpp.
constexpr int64_t FEW_OUTPUTS = 2;
template <int K> constexpr bool FILLS_GROUP = GROUP<K> == K + 1;
template <int K> INLINE bool few_outputs(const Call& call) {
    return FILLS_GROUP<K> && call.outputs <= FEW_OUTPUTS;
}

template <class T, int K> struct Block {
    static constexpr int L = GROUP<K>;
    int64_t rows;
    int64_t pitch;   // from one column or strip to the next, in rows
    int64_t first_strip, end_strip;
    int64_t panel;   // inputs whose bases are there
    bool sorts;      // whether bases and residuals stand in the order of the rows' intervals
    T* columns;      // (COLUMNS, pitch): inputs of x, transposed
    T* grads;        // (panel, pitch): their gradient
    T* basis;        // (panel, pitch, L)
    T* slopes;       // (panel, pitch, L)
    T* residual;     // (panel, pitch)
    T* residual_slope;
    int32_t* first;  // (panel, pitch)
    T* position;     // (pitch)
    int32_t* kind;   // (pitch)
    int32_t* order;  // (panel, pitch): row numbers, sorted by interval
    int32_t* before; // (panel, grid + 1): how many rows lie in intervals before
    T* values;       // (pitch, L + 1): bases and residuals in the order of the rows
    T* pieces;
    T* packed;       // weights of a few inputs in some strips
    T* gradient;     // (grid + k + 1, strip): gradient of one input's weights in one strip
    T* y;            // outputs or their gradient: for every group of strips (pitch, strips, strip)

    // Lays the block out in memory; returns the bytes it takes.  Without memory it only counts.
    static int64_t carve(const Call& call, const Share& share, int64_t rows, char* memory,
                         Block* block) {
        int64_t used = 0;
        const auto take = [&](auto** pointer, int64_t count) {
            if (memory) *pointer = reinterpret_cast<decltype(*pointer + 0)>(memory + used);
            used += (count * int64_t(sizeof(**pointer)) + 63) / 64 * 64;
        };
        Block unused;
        Block& b = block ? *block : unused;
        const bool back = call.backward, slopes = call.grad_x;
        b.rows = 0;
        // Lengths that are no power of two keep columns from falling on the same lines of the cache.
        b.pitch = (rows + 15) / 16 * 16 + 24;
        b.first_strip = share.from / STRIP<T>;
        b.end_strip = (share.to + STRIP<T> - 1) / STRIP<T>;
        const int64_t strips = b.end_strip - b.first_strip;
        b.sorts = call.grad_coefficients && !few_outputs<K>(call);
        const int64_t weights = (call.grid + K + 1) * STRIP<T>;
        const int64_t numbers = b.pitch * ((L + 1) * (slopes ? 2 : 1) + (slopes ? 1 : 0));
        const int64_t integers = b.pitch * (b.sorts ? 2 : 1) + (b.sorts ? call.grid + 1 : 0);
        const int64_t bytes = numbers * int64_t(sizeof(T)) + integers * int64_t(sizeof(int32_t));
        b.panel = COLUMNS;
        // With one group of strips the bases are used once only, and best while they are at hand.
        if (strips > MOST_STRIPS<K>)
            while (b.panel < call.inputs && (b.panel + COLUMNS) * bytes <= PANEL)
                b.panel += COLUMNS;
        const int64_t all = b.panel * b.pitch;
        take(&b.columns, COLUMNS * b.pitch);
        take(&b.grads, slopes ? all : 0);
        take(&b.basis, all * L);
        take(&b.slopes, slopes ? all * L : 0);
        take(&b.residual, all);
        take(&b.residual_slope, slopes ? all : 0);
        take(&b.first, all);
        take(&b.position, b.pitch);
        take(&b.kind, b.pitch);
        take(&b.order, b.sorts ? all : 0);
        take(&b.before, b.sorts ? b.panel * (call.grid + 1) : 0);
        take(&b.values, b.sorts ? b.pitch * (L + 1) : 0);
        take(&b.pieces, Pieces<T, K>::size(call.grid, call.uniform));
        take(&b.packed, most<int64_t>(L1_WEIGHTS / sizeof(T), most(weights, 2 * call.grid * L)));
        take(&b.gradient, back ? weights : 0);
        take(&b.y, strips * b.pitch * STRIP<T>);
        return used;
    }
};

// Whether all outputs from `start` on are there, and edges from input `i` to them splines.
INLINE bool all_splines(const Call& call, int64_t i, int64_t start, int64_t count) {
    if (start + count > call.outputs) return false;
    const uint8_t* kind = call.kind + i * call.outputs + start;
    bool all = true;
    for (int64_t j = 0; j < count; j++) all &= kind[j] == 1;
    return all;
}

// Strips that are handled together.
template <class T> struct Strips {
    int together;
    int64_t start;  // number of the first output
    int64_t count;  // outputs that are there
    int64_t width;  // and with those that fill up the last strip
    T* y;           // (pitch, width): outputs or their gradient
};

// Calls use(strips) for every group of them.
template <class T, int K, class Use>
INLINE void each_group(const Call& call, const Block<T, K>& b, Use use) {
    for (int64_t strip = b.first_strip; strip < b.end_strip;) {
        const int together = strips_together<T, K>(call, b.end_strip - strip);
        const int64_t start = strip * STRIP<T>, width = together * STRIP<T>;
        const int64_t count = least(width, call.outputs - start);
        T* y = b.y + (strip - b.first_strip) * STRIP<T> * b.pitch;
        use(Strips<T>{together, start, count, width, y});
        strip += together;
    }
}

// Puts the bias into every row of y.
template <class T, int K> INLINE void fill_rows(const Call& call, const Block<T, K>& b) {
    const T* bias = static_cast<const T*>(call.bias);
    each_group(call, b, [&](const Strips<T>& strips) {
        T row[MOST_STRIPS<K> * STRIP<T>];
        for (int64_t j = 0; j < strips.width; j++)
            row[j] = j < strips.count ? bias[strips.start + j] : T(0);
        T* to = strips.y;
        for (int64_t n = 0; n < b.rows; n++, to += strips.width)
            for (int64_t j = 0; j < strips.width; j += LANES<T>) store(to + j, load(row + j));
    });
}

// Copies (rows, outputs) into groups of strips, the last one filled up with zeros.
template <class T, int K>
INLINE void pack_rows(const Call& call, const Block<T, K>& b, const T* from) {
    each_group(call, b, [&](const Strips<T>& strips) {
        const T* row = from + strips.start;
        T* to = strips.y;
        for (int64_t n = 0; n < b.rows; n++, row += call.outputs, to += strips.width)
            if (strips.count == strips.width)
                for (int64_t j = 0; j < strips.width; j += LANES<T>) store(to + j, load(row + j));
            else
                for (int64_t j = 0; j < strips.width; j++) to[j] = j < strips.count ? row[j] : T(0);
    });
}

template <class T, int K>
INLINE void unpack_rows(const Call& call, const Block<T, K>& b, T* to) {
    each_group(call, b, [&](const Strips<T>& strips) {
        const T* from = strips.y;
        T* row = to + strips.start;
        for (int64_t n = 0; n < b.rows; n++, row += call.outputs, from += strips.width)
            if (strips.count == strips.width)
                for (int64_t j = 0; j < strips.width; j += LANES<T>) store(row + j, load(from + j));
            else
                for (int64_t j = 0; j < strips.count; j++) row[j] = from[j];
    });
}

template <class T, int K>
INLINE void bias_gradient(const Call& call, const Block<T, K>& b, bool add) {
    T* grad = static_cast<T*>(call.grad_bias);
    each_group(call, b, [&](const Strips<T>& strips) {
        T sums[MOST_STRIPS<K> * STRIP<T>] = {};
        const T* row = strips.y;
        for (int64_t n = 0; n < b.rows; n++, row += strips.width)
            for (int64_t j = 0; j < strips.width; j++) sums[j] += row[j];
        T* to = grad + strips.start;
        for (int64_t j = 0; j < strips.count; j++) to[j] = (add ? to[j] : T(0)) + sums[j];
    });
}

// Brings the bases and residuals of one input into the order of its intervals.
template <class T, int K>
INLINE void sort_bases(const Block<T, K>& b, int64_t input, int64_t grid) {
    constexpr int L = GROUP<K>;
    typedef typename LanesOf<T, L>::type Lanes;
    const int64_t at = input * b.pitch, rows = b.rows;
    const int32_t* first = b.first + at;
    int32_t* order = b.order + at;
    int32_t* before = b.before + input * (grid + 1);
    sort_rows(rows, grid, [&](int64_t n) { return first[n]; }, order, before);
    const T* basis = b.values;
    const T* residual = b.values + b.pitch * L;
    T* sorted_basis = b.basis + at * L;
    T* sorted_residual = b.residual + at;
    for (int64_t p = 0; p < rows; p++) {
        const int64_t n = order[p];
        *reinterpret_cast<Lanes*>(sorted_basis + p * L) =
            *reinterpret_cast<const Lanes*>(basis + n * L);
        sorted_residual[p] = residual[n];
    }
}

// Takes inputs `from` to `to` out of the rows and computes their bases.
template <class T, int K>
static void prepare(const Call& call, const Block<T, K>& b, Pieces<T, K>& pieces, const T* x,
                    int64_t from, int64_t to) {
    constexpr int L = GROUP<K>;
    const int64_t rows = b.rows, knots = call.grid + 2 * K + 1;
    const bool values = !call.backward || call.grad_coefficients, slopes = call.grad_x;
    for (int64_t i = from; i < to; i++) {
        const int64_t column = (i - from) % COLUMNS * b.pitch, at = (i - from) * b.pitch;
        const int64_t columns = least<int64_t>(COLUMNS, to - i);
        if (column == 0) transpose(x + i, call.inputs, rows, columns, b.columns, b.pitch);
        pieces.move(static_cast<const T*>(call.knots) + i * knots);
        pieces.place(b.columns + column, rows, b.first + at, b.kind, b.position);
        T* basis = b.sorts ? b.values : b.basis + at * L;
        T* residual = b.sorts ? b.values + b.pitch * L : b.residual + at;
        if (values) evaluate<T, L, K + 1>(pieces.values, b.kind, b.position, rows, basis);
        if (slopes) {
            evaluate<T, L, K>(pieces.slopes, b.kind, b.position, rows, b.slopes + at * L);
            std::memset(b.grads + at, 0, rows * sizeof(T));
        }
        residual_at(call.residual, b.columns + column, rows, values ? residual : nullptr,
                    slopes ? b.residual_slope + at : nullptr);
        if (b.sorts) sort_bases(b, i - from, call.grid);
    }
}

}  // namespace knotwork::KNOTWORK_SET
