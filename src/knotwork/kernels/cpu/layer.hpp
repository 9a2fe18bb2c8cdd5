// Forward and backward of a spline layer.
//
//     y[n, j] = bias[j] + sum_i ( weight[i, j] b(x[n, i]) + sum_a B_a(x[n, i]) c[i, s + a, j] )
//
// where s = s(n, i) is the first basis that does not vanish.  Per edge and row these are k + 1
// products for the spline and one for the residual, whatever the grid.  Bases are computed once
// for each row and input (block.hpp); the rest is written for vectors of outputs (rows.hpp).
// Weights are copied so that those of a few inputs and strips of outputs lie together: they stay
// in the first-level cache while all rows of a block pass by.
#pragma once

#include "few.hpp"
#include "rows.hpp"

namespace knotwork::KNOTWORK_SET {

// Copies the weights of one input.  Strips that go together lie together: a row for the residual,
// then one for each coefficient.  Edges that are not splines, and outputs beyond the last, become
// zero.  Whole rows are read one after the other, as memory likes it.
template <class T, int K>
INLINE void pack_weights(const Call& call, const Block<T, K>& b, int64_t i, T* to) {
    const int64_t outputs = call.outputs, rows = call.grid + K + 1;
    const uint8_t* kind = call.kind + i * outputs;
    const T* coefficients = static_cast<const T*>(call.coefficients) + i * (rows - 1) * outputs;
    const T* weight = static_cast<const T*>(call.weight);
    const bool splines = all_splines(kind, outputs);
    for (int64_t r = weight ? 0 : 1; r < rows; r++) {
        const T* row = r ? coefficients + (r - 1) * outputs : weight + i * outputs;
        for (int64_t strip = 0; strip < b.strips;) {
            const int together = strips_together<T, K>(call, b.strips, strip);
            const int64_t start = strip * STRIP<T>, width = together * STRIP<T>;
            T* place = to + start * rows + r * width;
            if (splines && start + width <= outputs)
                for (int64_t j = 0; j < width; j += LANES<T>) store(place + j, load(row + start + j));
            else
                for (int64_t j = 0; j < width; j++)
                    place[j] = start + j < outputs && kind[start + j] == 1 ? row[start + j] : T(0);
            strip += together;
        }
    }
}

// Uses the packed weights of inputs for NS strips; the first is number `column` of the block.
template <class T, int K, int NS>
static void use_weights(const Call& call, const Block<T, K>& b, int64_t column, int64_t inputs,
                        int64_t strip) {
    const int64_t rows = call.grid + K + 1;
    const T* weights = b.packed + strip * STRIP<T> * rows;
    T* y = b.y + strip * b.pitch * STRIP<T>;
    // Inputs whose weights fit into the cache together share the reading and writing of y.
    const int64_t bytes = rows * NS * STRIP<T> * int64_t(sizeof(T));
    const int64_t together = least<int64_t>(8, most<int64_t>(1, L1_WEIGHTS / bytes));
    for (int64_t i = 0; i < inputs; i += together) {
        const Part<T> part{weights + i * b.packed_size, b.packed_size, column + i,
                           least(together, inputs - i)};
        if (call.backward && call.weight)
            input_gradient_rows<T, K, NS, true>(b, part, y);
        else if (call.backward)
            input_gradient_rows<T, K, NS, false>(b, part, y);
        else if (call.weight)
            forward_rows<T, K, NS, true>(b, part, y);
        else
            forward_rows<T, K, NS, false>(b, part, y);
    }
}

// Outputs from inputs `from` to `to`, or gradients of these inputs.
template <class T, int K>
static void apply(const Call& call, const Block<T, K>& b, int64_t from, int64_t to) {
    if constexpr (FILLS_GROUP<K>)
        if (call.outputs <= FEW_OUTPUTS) return apply_few(call, b, from, to);
    for (int64_t i = from; i < to; i += b.packed_inputs) {
        const int64_t count = least(b.packed_inputs, to - i);
        for (int64_t j = 0; j < count; j++)
            pack_weights(call, b, i + j, b.packed + j * b.packed_size);
        for (int64_t strip = 0; strip < b.strips;) {
            const int together = strips_together<T, K>(call, b.strips, strip);
            if constexpr (MOST_STRIPS<K> == 4) {
                if (together == 4) use_weights<T, K, 4>(call, b, i - from, count, strip);
                if (together == 2) use_weights<T, K, 2>(call, b, i - from, count, strip);
            }
            if (together == 1) use_weights<T, K, 1>(call, b, i - from, count, strip);
            strip += together;
        }
    }
}

// Writes one input's gradients, or adds to them.
template <class T, int K>
INLINE void unpack_gradient(const Call& call, const Block<T, K>& b, int64_t i, bool add) {
    const int64_t outputs = call.outputs, rows = call.grid + K + 1;
    const uint8_t* kind = call.kind + i * outputs;
    T* coefficients = static_cast<T*>(call.grad_coefficients) + i * (rows - 1) * outputs;
    T* weight = static_cast<T*>(call.grad_weight);
    const bool whole = all_splines(kind, outputs);
    const int64_t bytes = call.inputs * rows * outputs * int64_t(sizeof(T));
    const bool stream = !add && bytes > CACHED_GRADIENT && outputs % LANES<T> == 0 &&
                        reinterpret_cast<uintptr_t>(coefficients) % VECTOR_BYTES == 0 &&
                        reinterpret_cast<uintptr_t>(weight) % VECTOR_BYTES == 0;
    for (int64_t r = 0; r < rows; r++) {
        if (r == rows - 1 && !weight) return;
        T* row = r < rows - 1 ? coefficients + r * outputs : weight + i * outputs;
        for (int64_t strip = 0; strip < b.strips; strip++) {
            const int64_t start = strip * STRIP<T>;
            const T* place = b.gradient + (strip * rows + r) * STRIP<T>;
            if (whole && start + STRIP<T> <= outputs)
                for (int j = 0; j < STRIP<T>; j += LANES<T>) {
                    const Vector<T> value = load(place + j);
                    if (stream)
                        store_past_cache(row + start + j, value);
                    else
                        store(row + start + j, add ? load(row + start + j) + value : value);
                }
            else
                for (int64_t j = 0; j < STRIP<T> && start + j < outputs; j++)
                    row[start + j] = (add ? row[start + j] : T(0)) +
                                     (kind[start + j] == 1 ? place[j] : T(0));
        }
    }
}

template <class T, int K, bool RES>
static void weight_gradients(const Call& call, const Block<T, K>& b, int64_t from, int64_t to,
                             bool add) {
    for (int64_t i = from; i < to; i++) {
        if constexpr (FILLS_GROUP<K>)
            if (call.outputs <= FEW_OUTPUTS) {
                weight_gradient_few(call, b, i - from);
                unpack_gradient(call, b, i, add);
                continue;
            }
        sort_rows(b, i - from, call.grid);
        for (int64_t strip = 0; strip < b.strips; strip++) {
            const T* g = b.y + strip * b.pitch * STRIP<T>;
            T* gradient = b.gradient + strip * (call.grid + K + 1) * STRIP<T>;
            weight_gradient_rows<T, K, RES>(b, i - from, call.grid, g, gradient);
        }
        unpack_gradient(call, b, i, add);
    }
}

INLINE int64_t rows_together(const Call& call, int64_t rows) {
    // Copying weights must not weigh more than using them.
    const int64_t most_rows = least(MOST_ROWS, most(LEAST_ROWS, 16 * (call.grid + 4)));
    const int64_t blocks = (rows + most_rows - 1) / most_rows;
    return blocks ? (rows + blocks - 1) / blocks : 1;
}

// Outputs of rows `start` to `end`.
template <class T, int K> static bool forward(const Call& call, int64_t start, int64_t end) {
    const int64_t together = rows_together(call, end - start);
    char* memory = workspace(Block<T, K>::carve(call, together, nullptr, nullptr));
    if (!memory) return false;
    Block<T, K> b;
    Block<T, K>::carve(call, together, memory, &b);
    Pieces<T, K> pieces(call, b.pieces);
    for (int64_t at = start; at < end; at += together) {
        b.rows = least(together, end - at);
        fill_rows(b, static_cast<const T*>(call.bias), call.outputs);
        const T* x = static_cast<const T*>(call.x) + at * call.inputs;
        for (int64_t i = 0; i < call.inputs; i += COLUMNS) {
            const int64_t to = least<int64_t>(call.inputs, i + COLUMNS);
            prepare(call, b, pieces, x, i, to);
            apply(call, b, i, to);
        }
        unpack_rows(b, static_cast<T*>(call.y) + at * call.outputs, call.outputs);
    }
    return true;
}

// Gradients of inputs `start` to `end` and of their weights.
template <class T, int K> static bool backward(const Call& call, int64_t start, int64_t end) {
    const int64_t together = rows_together(call, call.rows);
    char* memory = workspace(Block<T, K>::carve(call, together, nullptr, nullptr));
    if (!memory) return false;
    Block<T, K> b;
    Block<T, K>::carve(call, together, memory, &b);
    Pieces<T, K> pieces(call, b.pieces);
    for (int64_t at = 0; at < call.rows; at += together) {
        b.rows = least(together, call.rows - at);
        pack_rows(b, static_cast<const T*>(call.y) + at * call.outputs, call.outputs);
        if (start == 0 && call.grad_bias)
            bias_gradient(b, static_cast<T*>(call.grad_bias), call.outputs, at > 0);
        const T* x = static_cast<const T*>(call.x) + at * call.inputs;
        for (int64_t i = start; i < end; i += COLUMNS) {
            const int64_t to = least(end, i + COLUMNS);
            prepare(call, b, pieces, x, i, to);
            if (call.grad_x) {
                apply(call, b, i, to);
                T* grads = static_cast<T*>(call.grad_x) + at * call.inputs + i;
                transpose(b.grads, b.pitch, to - i, b.rows, grads, call.inputs);
            }
            if (!call.grad_coefficients) continue;
            if (call.weight)
                weight_gradients<T, K, true>(call, b, i, to, at > 0);
            else
                weight_gradients<T, K, false>(call, b, i, to, at > 0);
        }
    }
    finish_stores();
    return true;
}

}  // namespace knotwork::KNOTWORK_SET
