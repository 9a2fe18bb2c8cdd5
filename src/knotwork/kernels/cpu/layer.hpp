// Forward and backward of a spline layer.
//
//     y[n, j] = bias[j] + sum_i ( weight[i, j] b(x[n, i]) + sum_a B_a(x[n, i]) c[i, s + a, j] )
//
// where s = s(n, i) is the first basis that does not vanish.  Per edge and row these are k + 1
// products for the spline and one for the residual, whatever the grid.  Bases are computed once
// for each row and input.  Outputs go in strips of two vectors; the coefficients of a few inputs
// and strips are copied together, so that they stay in the first-level cache while all rows of a
// block pass by.  y and its gradient are kept strip by strip while they are worked on.
#pragma once

#include "basis.hpp"
#include "library.hpp"

namespace knotwork::KNOTWORK_SET {

// Inputs whose columns are taken out of x together: about a cache line of them.
constexpr int COLUMNS = 16;
// Bytes of coefficients that should stay in the first-level cache.
constexpr int64_t CACHE = 20 * 1024;
constexpr int64_t LEAST_ROWS = 256, MOST_ROWS = 2048;
// Rows for each interval below which sorting them costs more than it gains.
constexpr int64_t SORTED_ROWS = 6;

// Takes aligned pieces off a stretch of memory.  With no memory it only counts.
struct Carver {
    char* at;
    int64_t used = 0;
    template <class T> INLINE T* take_from(Carver& self, int64_t count) {
        T* piece = reinterpret_cast<T*>(self.at + self.used);
        self.used += (count * int64_t(sizeof(T)) + 63) / 64 * 64;
        return piece;
    }
    template <class T> T* take(int64_t count) { return take_from<T>(*this, count); }
};

// A block of rows at work: what is known of a group of inputs at every row.
template <class T, int K> struct Block {
    static constexpr int L = GROUP<K>;
    int64_t most_rows, strips, rows = 0;
    T* columns;     // (COLUMNS, rows): inputs of x, transposed
    T* grads;       // (COLUMNS, rows): their gradient
    T* basis;       // (COLUMNS, rows, L)
    T* slopes;      // (COLUMNS, rows, L)
    T* residual;    // (COLUMNS, rows)
    T* residual_slope;
    int32_t* first;  // (COLUMNS, rows)
    T* position;     // (rows)
    int32_t* kind;   // (rows)
    int32_t* order;  // (rows): row numbers, sorted by interval
    int32_t* begin;  // (grid + 1): where each interval's rows begin
    T* pieces;
    T* packed;      // coefficients of a few inputs and strips
    T* gradient;    // (grid + k, strip): gradient of one input's coefficients
    T* y;           // (strips, rows, strip): outputs or their gradient

    static Block carve(const Call& call, int64_t rows, char* memory, int64_t* bytes) {
        Carver carver{memory};
        Block b{};
        b.most_rows = rows;
        b.strips = (call.outputs + STRIP<T> - 1) / STRIP<T>;
        const bool back = call.backward;
        b.columns = carver.take<T>(COLUMNS * rows);
        b.grads = carver.take<T>(back ? COLUMNS * rows : 0);
        b.basis = carver.take<T>(COLUMNS * rows * L);
        b.slopes = carver.take<T>(back ? COLUMNS * rows * L : 0);
        b.residual = carver.take<T>(COLUMNS * rows);
        b.residual_slope = carver.take<T>(back ? COLUMNS * rows : 0);
        b.first = carver.take<int32_t>(COLUMNS * rows);
        b.position = carver.take<T>(rows);
        b.kind = carver.take<int32_t>(rows);
        b.order = carver.take<int32_t>(back ? rows : 0);
        b.begin = carver.take<int32_t>(back ? call.grid + 2 : 0);
        b.pieces = carver.take<T>(Pieces<T, K>::size(call.grid, call.uniform));
        b.packed = carver.take<T>(most(CACHE / int64_t(sizeof(T)), 0L) +
                                  (call.grid + K + 1) * STRIP<T>);
        b.gradient = carver.take<T>(back ? (call.grid + K + 1) * STRIP<T> : 0);
        b.y = carver.take<T>(b.strips * rows * STRIP<T>);
        *bytes = carver.used;
        return b;
    }
};

template <int64_t A> struct Power;

// Copies (rows, outputs) into strips, the last one filled up with zeros.
template <class T, int K>
INLINE void pack_rows(Block<T, K>& b, const T* from, int64_t outputs) {
    for (int64_t strip = 0; strip < b.strips; strip++) {
        const int64_t start = strip * STRIP<T>, count = least<int64_t>(STRIP<T>, outputs - start);
        T* to = b.y + strip * b.rows * STRIP<T>;
        for (int64_t n = 0; n < b.rows; n++) {
            const T* row = from + n * outputs + start;
            if (count == STRIP<T>)
                for (int j = 0; j < STRIP<T>; j++) to[n * STRIP<T> + j] = row[j];
            else
                for (int j = 0; j < STRIP<T>; j++) to[n * STRIP<T> + j] = j < count ? row[j] : T(0);
        }
    }
}

template <class T, int K>
INLINE void unpack_rows(const Block<T, K>& b, T* to, int64_t outputs) {
    for (int64_t strip = 0; strip < b.strips; strip++) {
        const int64_t start = strip * STRIP<T>, count = least<int64_t>(STRIP<T>, outputs - start);
        const T* from = b.y + strip * b.rows * STRIP<T>;
        for (int64_t n = 0; n < b.rows; n++) {
            T* row = to + n * outputs + start;
            if (count == STRIP<T>)
                for (int j = 0; j < STRIP<T>; j++) row[j] = from[n * STRIP<T> + j];
            else
                for (int64_t j = 0; j < count; j++) row[j] = from[n * STRIP<T> + j];
        }
    }
}

// Copies the coefficients of one input's outputs in `width` columns, and the residual's weights in
// a last row.  Edges that are not splines, and columns beyond the last, become zero.
template <class T, int K>
INLINE void pack_weights(const Call& call, int64_t i, int64_t start, int64_t width, T* to) {
    const int64_t outputs = call.outputs, count = least(width, outputs - start);
    const uint8_t* kind = call.kind + i * outputs + start;
    bool whole = count == width;
    for (int64_t j = 0; j < count; j++) whole = whole && kind[j] == 1;
    const T* from = static_cast<const T*>(call.coefficients) + i * (call.grid + K) * outputs;
    const T* weight = static_cast<const T*>(call.weight);
    for (int64_t r = 0; r <= call.grid + K; r++, to += width) {
        const bool last = r == call.grid + K;
        if (last && !weight) return;
        const T* row = (last ? weight + i * outputs : from + r * outputs) + start;
        if (whole)
            for (int64_t j = 0; j < width; j++) to[j] = row[j];
        else
            for (int64_t j = 0; j < width; j++)
                to[j] = j < count ? row[j] * T(kind[j] == 1) : T(0);
    }
}

// y += the inputs' edges, for NS strips.
template <class T, int K, int NS, bool RES>
static void forward_rows(const Block<T, K>& b, int from, int inputs, int64_t stride, T* y) {
    constexpr int L = GROUP<K>, W = NS * STRIP<T>, V = NS * STRIP_VECTORS;
    const int64_t rows = b.rows, strip = rows * STRIP<T>;
    for (int64_t n = 0; n < rows; n++) {
        Vector<T> sums[V];
        T* row = y + n * STRIP<T>;
        for (int v = 0; v < V; v++)
            sums[v] = load(row + v / STRIP_VECTORS * strip + v % STRIP_VECTORS * LANES<T>);
        for (int i = 0; i < inputs; i++) {
            const int64_t at = (from + i) * b.most_rows + n;
            const T* basis = b.basis + at * L;
            const T* weights = b.packed + i * stride;
            const T* c = weights + int64_t(b.first[at]) * W;
            for (int a = 0; a <= K; a++)
                for (int v = 0; v < V; v++) sums[v] += basis[a] * load(c + a * W + v * LANES<T>);
            if (RES) {
                const T* w = weights + stride - W;
                for (int v = 0; v < V; v++) sums[v] += b.residual[at] * load(w + v * LANES<T>);
            }
        }
        for (int v = 0; v < V; v++)
            store(row + v / STRIP_VECTORS * strip + v % STRIP_VECTORS * LANES<T>, sums[v]);
    }
}

// The inputs' gradient += what comes from NS strips: slopes times the weights' dot products with
// the outputs' gradient.
template <class T, int K, int NS, bool RES>
static void input_gradient_rows(const Block<T, K>& b, int from, int inputs, int64_t stride,
                                const T* g) {
    constexpr int L = GROUP<K>, W = NS * STRIP<T>, V = NS * STRIP_VECTORS;
    const int64_t rows = b.rows, strip = rows * STRIP<T>;
    for (int64_t n = 0; n < rows; n++) {
        Vector<T> grad[V];
        const T* row = g + n * STRIP<T>;
        for (int v = 0; v < V; v++)
            grad[v] = load(row + v / STRIP_VECTORS * strip + v % STRIP_VECTORS * LANES<T>);
        for (int i = 0; i < inputs; i++) {
            const int64_t at = (from + i) * b.most_rows + n;
            const T* slopes = b.slopes + at * L;
            const T* weights = b.packed + i * stride;
            const T* c = weights + int64_t(b.first[at]) * W;
            Vector<T> total = {};
            for (int a = 0; a <= K; a++) {
                Vector<T> dot = grad[0] * load(c + a * W);
                for (int v = 1; v < V; v++) dot += grad[v] * load(c + a * W + v * LANES<T>);
                total += slopes[a] * dot;
            }
            if (RES) {
                const T* w = weights + stride - W;
                Vector<T> dot = grad[0] * load(w);
                for (int v = 1; v < V; v++) dot += grad[v] * load(w + v * LANES<T>);
                total += b.residual_slope[at] * dot;
            }
            b.grads[at] += sum<T>(total);
        }
    }
}

// Row numbers of one input, sorted by interval.
template <class T, int K>
INLINE void sort_rows(const Block<T, K>& b, int input, int64_t grid) {
    const int32_t* first = b.first + input * b.most_rows;
    int32_t* begin = b.begin + 1;
    for (int64_t s = -1; s <= grid; s++) begin[s] = 0;
    for (int64_t n = 0; n < b.rows; n++) begin[first[n]]++;
    int32_t total = 0;
    for (int64_t s = 0; s < grid; s++) {
        const int32_t count = begin[s];
        begin[s] = total;
        total += count;
    }
    // Afterwards begin[s] is where interval s ends, which is where s + 1 begins.
    for (int64_t n = 0; n < b.rows; n++) b.order[begin[first[n]]++] = int32_t(n);
}

// Gradient of one input's coefficients in one strip, rows sorted by interval: the sums stay in
// registers and move on with the interval.
template <class T, int K, bool RES>
static void weight_gradient_sorted(const Block<T, K>& b, int input, int64_t grid, const T* g) {
    constexpr int L = GROUP<K>, V = STRIP_VECTORS, N = LANES<T>;
    const T* basis = b.basis + input * b.most_rows * L;
    const T* residual = b.residual + input * b.most_rows;
    T* to = b.gradient;
    Vector<T> sums[K + 1][V] = {}, residual_sums[V] = {};
    for (int64_t s = 0; s < grid; s++, to += V * N) {
        for (int32_t p = b.begin[s]; p < b.begin[s + 1]; p++) {
            const int64_t n = b.order[p];
            Vector<T> grad[V];
            for (int v = 0; v < V; v++) grad[v] = load(g + n * V * N + v * N);
            for (int a = 0; a <= K; a++)
                for (int v = 0; v < V; v++) sums[a][v] += basis[n * L + a] * grad[v];
            if (RES)
                for (int v = 0; v < V; v++) residual_sums[v] += residual[n] * grad[v];
        }
        for (int v = 0; v < V; v++) {
            store(to + v * N, sums[0][v]);
            for (int a = 0; a < K; a++) sums[a][v] = sums[a + 1][v];
            sums[K][v] = Vector<T>{};
        }
    }
    for (int a = 0; a < K; a++, to += V * N)
        for (int v = 0; v < V; v++) store(to + v * N, sums[a][v]);
    for (int v = 0; v < V; v++) store(to + v * N, residual_sums[v]);
}

// The same in the rows' own order, for intervals with few rows.
template <class T, int K, bool RES>
static void weight_gradient_scattered(const Block<T, K>& b, int input, int64_t grid, const T* g) {
    constexpr int L = GROUP<K>, V = STRIP_VECTORS, N = LANES<T>;
    const T* basis = b.basis + input * b.most_rows * L;
    const T* residual = b.residual + input * b.most_rows;
    const int32_t* first = b.first + input * b.most_rows;
    std::memset(b.gradient, 0, (grid + K) * V * N * sizeof(T));
    Vector<T> residual_sums[V] = {};
    for (int64_t n = 0; n < b.rows; n++) {
        T* to = b.gradient + int64_t(first[n]) * (V * N);
        for (int v = 0; v < V; v++) {
            const Vector<T> grad = load(g + n * V * N + v * N);
            for (int a = 0; a <= K; a++) {
                T* place = to + a * V * N + v * N;
                store(place, load(place) + basis[n * L + a] * grad);
            }
            if (RES) residual_sums[v] += residual[n] * grad;
        }
    }
    for (int v = 0; v < V; v++) store(b.gradient + (grid + K) * V * N + v * N, residual_sums[v]);
}

// Writes, or adds to, one input's gradients in one strip.
template <class T, int K>
INLINE void unpack_gradient(const Call& call, const Block<T, K>& b, int64_t i, int64_t start,
                            bool add) {
    const int64_t outputs = call.outputs, count = least<int64_t>(STRIP<T>, outputs - start);
    const uint8_t* kind = call.kind + i * outputs + start;
    bool whole = count == STRIP<T>;
    for (int64_t j = 0; j < count; j++) whole = whole && kind[j] == 1;
    T* coefficients = static_cast<T*>(call.grad_coefficients) + i * (call.grid + K) * outputs;
    T* weight = static_cast<T*>(call.grad_weight);
    const T* from = b.gradient;
    for (int64_t r = 0; r <= call.grid + K; r++, from += STRIP<T>) {
        const bool last = r == call.grid + K;
        if (last && !weight) return;
        T* row = (last ? weight + i * outputs : coefficients + r * outputs) + start;
        if (whole && !add)
            for (int j = 0; j < STRIP<T>; j++) row[j] = from[j];
        else if (whole)
            for (int j = 0; j < STRIP<T>; j++) row[j] += from[j];
        else
            for (int64_t j = 0; j < count; j++)
                row[j] = (add ? row[j] : T(0)) + from[j] * T(kind[j] == 1);
    }
}

// Takes inputs `from` to `to` out of the rows and computes their bases.
template <class T, int K>
static void prepare(const Call& call, const Block<T, K>& b, const T* x, int64_t from, int64_t to) {
    constexpr int L = GROUP<K>;
    const int64_t rows = b.rows, knots = call.grid + 2 * K + 1;
    for (int64_t n = 0; n < rows; n++)
        for (int64_t i = from; i < to; i++)
            b.columns[(i - from) * b.most_rows + n] = x[n * call.inputs + i];
    for (int64_t i = from; i < to; i++) {
        const int64_t at = (i - from) * b.most_rows;
        const T* column = b.columns + at;
        const T* t = static_cast<const T*>(call.knots) + i * knots;
        const auto pieces = Pieces<T, K>::make(t, call.grid, call.uniform, call.extrapolation,
                                               b.pieces);
        Pieces<T, K>::place(pieces, column, rows, b.first + at, b.kind, b.position);
        evaluate<T, L, K + 1>(pieces.values, b.kind, b.position, rows, b.basis + at * L);
        residual_values(call.residual, column, rows, b.residual + at);
        if (!call.backward) continue;
        evaluate<T, L, K>(pieces.slopes, b.kind, b.position, rows, b.slopes + at * L);
        residual_slopes(call.residual, column, rows, b.residual_slope + at);
        std::memset(b.grads + at, 0, rows * sizeof(T));
    }
}

// Applies the coefficients of inputs `from` to `to`, taken together as far as they fit the cache.
template <class T, int K, int NS, bool RES>
static void apply(const Call& call, const Block<T, K>& b, int64_t from, int64_t to, int64_t strip) {
    constexpr int64_t W = NS * STRIP<T>;
    const int64_t stride = (call.grid + K + RES) * W;
    const int64_t together = most<int64_t>(1, least<int64_t>(8, CACHE / (stride * sizeof(T))));
    T* y = b.y + strip * b.rows * STRIP<T>;
    for (int64_t i = from; i < to; i += together) {
        const int64_t count = least(together, to - i);
        for (int64_t j = 0; j < count; j++)
            pack_weights<T, K>(call, i + j, strip * STRIP<T>, W, b.packed + j * stride);
        if (call.backward)
            input_gradient_rows<T, K, NS, RES>(b, i - from, count, stride, y);
        else
            forward_rows<T, K, NS, RES>(b, i - from, count, stride, y);
    }
}

template <class T, int K, bool RES>
static void apply_all(const Call& call, const Block<T, K>& b, int64_t from, int64_t to) {
    // As many strips at a time as leave the coefficients of an input in the cache.
    const int64_t fit = CACHE / ((call.grid + K + RES) * STRIP<T> * int64_t(sizeof(T)));
    for (int64_t strip = 0; strip < b.strips;) {
        const int64_t left = b.strips - strip;
        if (left >= 4 && fit >= 4) {
            apply<T, K, 4, RES>(call, b, from, to, strip);
            strip += 4;
        } else if (left >= 2 && fit >= 2) {
            apply<T, K, 2, RES>(call, b, from, to, strip);
            strip += 2;
        } else {
            apply<T, K, 1, RES>(call, b, from, to, strip);
            strip += 1;
        }
    }
}

INLINE int64_t rows_together(const Call& call, int64_t rows) {
    // Copying coefficients must not weigh more than using them.
    const int64_t most_rows = least(MOST_ROWS, most(LEAST_ROWS, 16 * (call.grid + 4)));
    const int64_t blocks = (rows + most_rows - 1) / most_rows;
    return blocks ? (rows + blocks - 1) / blocks : 1;
}

// Outputs of rows `start` to `end`.
template <class T, int K> static void forward(const Call& call, int64_t start, int64_t end) {
    const int64_t together = rows_together(call, end - start);
    int64_t bytes;
    Block<T, K>::carve(call, together, nullptr, &bytes);
    auto b = Block<T, K>::carve(call, together, workspace(bytes), &bytes);
    const T* bias = static_cast<const T*>(call.bias);
    for (int64_t at = start; at < end; at += together) {
        b.rows = least(together, end - at);
        for (int64_t strip = 0; strip < b.strips; strip++)
            for (int64_t n = 0; n < b.rows; n++)
                for (int64_t j = 0; j < STRIP<T>; j++) {
                    const int64_t output = strip * STRIP<T> + j;
                    b.y[(strip * b.rows + n) * STRIP<T> + j] =
                        output < call.outputs ? bias[output] : T(0);
                }
        const T* x = static_cast<const T*>(call.x) + at * call.inputs;
        for (int64_t i = 0; i < call.inputs; i += COLUMNS) {
            const int64_t to = least<int64_t>(call.inputs, i + COLUMNS);
            prepare(call, b, x, i, to);
            if (call.weight)
                apply_all<T, K, true>(call, b, i, to);
            else
                apply_all<T, K, false>(call, b, i, to);
        }
        unpack_rows(b, static_cast<T*>(call.y) + at * call.outputs, call.outputs);
    }
}

template <class T, int K>
static void weight_gradients(const Call& call, const Block<T, K>& b, int64_t from, int64_t to,
                             bool add) {
    const bool sorted = b.rows >= SORTED_ROWS * call.grid;
    for (int64_t i = from; i < to; i++) {
        if (sorted) sort_rows(b, i - from, call.grid);
        for (int64_t strip = 0; strip < b.strips; strip++) {
            const T* g = b.y + strip * b.rows * STRIP<T>;
            if (sorted && call.weight)
                weight_gradient_sorted<T, K, true>(b, i - from, call.grid, g);
            else if (sorted)
                weight_gradient_sorted<T, K, false>(b, i - from, call.grid, g);
            else if (call.weight)
                weight_gradient_scattered<T, K, true>(b, i - from, call.grid, g);
            else
                weight_gradient_scattered<T, K, false>(b, i - from, call.grid, g);
            unpack_gradient(call, b, i, strip * STRIP<T>, add);
        }
    }
}

// Gradients of inputs `start` to `end` and of their weights.
template <class T, int K> static void backward(const Call& call, int64_t start, int64_t end) {
    const int64_t together = rows_together(call, call.rows);
    int64_t bytes;
    Block<T, K>::carve(call, together, nullptr, &bytes);
    auto b = Block<T, K>::carve(call, together, workspace(bytes), &bytes);
    T* grad_bias = start == 0 ? static_cast<T*>(call.grad_bias) : nullptr;
    for (int64_t at = 0; at < call.rows; at += together) {
        b.rows = least(together, call.rows - at);
        pack_rows(b, static_cast<const T*>(call.y) + at * call.outputs, call.outputs);
        if (grad_bias)
            for (int64_t j = 0; j < call.outputs; j++) {
                const T* column = b.y + j / STRIP<T> * b.rows * STRIP<T> + j % STRIP<T>;
                T total = 0;
                for (int64_t n = 0; n < b.rows; n++) total += column[n * STRIP<T>];
                grad_bias[j] = (at ? grad_bias[j] : T(0)) + total;
            }
        const T* x = static_cast<const T*>(call.x) + at * call.inputs;
        for (int64_t i = start; i < end; i += COLUMNS) {
            const int64_t to = least(end, i + COLUMNS);
            prepare(call, b, x, i, to);
            if (call.grad_x) {
                if (call.weight)
                    apply_all<T, K, true>(call, b, i, to);
                else
                    apply_all<T, K, false>(call, b, i, to);
                T* grads = static_cast<T*>(call.grad_x) + at * call.inputs;
                for (int64_t n = 0; n < b.rows; n++)
                    for (int64_t j = i; j < to; j++)
                        grads[n * call.inputs + j] = b.grads[(j - i) * b.most_rows + n];
            }
            if (call.grad_coefficients) weight_gradients(call, b, i, to, at > 0);
        }
    }
}

}  // namespace knotwork::KNOTWORK_SET
