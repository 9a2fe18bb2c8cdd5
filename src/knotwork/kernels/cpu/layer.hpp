// Forward and backward of a spline layer.
//
//     y[n, j] = bias[j] + sum_i ( weight[i, j] b(x[n, i]) + sum_a B_a(x[n, i]) c[i, s + a, j] )
//
// where s = s(n, i) is the first basis that does not vanish.  Per edge and row these are k + 1
// products for the spline and one for the residual, whatever the grid.  Bases are computed once
// for each row and input (block.hpp); the rest is written for vectors of outputs (rows.hpp).
// Outputs are taken in groups of strips, whose rows stay in the second-level cache; the weights of
// a few inputs in a group are copied into the first, and all rows of the block pass by.
#pragma once

#include "few.hpp"
#include "rows.hpp"

namespace knotwork::KNOTWORK_SET {

// Rows of weights that are fetched together, and rows of the block that pass by in between at least.
constexpr int64_t FETCHED_TOGETHER = 3, ROWS_A_FETCH = 8;

// Copies the weights of one input from output `start` on, NS strips of them: a row for the
// residual, then one for each coefficient.  Edges that are not splines, and outputs beyond the last,
// become zero.
template <class T, int K, int NS>
INLINE void pack_weights(const Call& call, int64_t i, int64_t start, T* to) {
    constexpr int64_t W = NS * STRIP<T>;
    const int64_t outputs = call.outputs, rows = call.grid + K + 1;
    const uint8_t* kind = call.kind + i * outputs + start;
    const T* row = static_cast<const T*>(call.coefficients) + i * (rows - 1) * outputs + start;
    const T* weight = static_cast<const T*>(call.weight);
    const bool whole = all_splines(call, i, start, W);
    const auto copy = [&](const T* from, T* to) {
        if (whole)
            for (int64_t j = 0; j < W; j += LANES<T>) store(to + j, load(from + j));
        else
            for (int64_t j = 0; j < W; j++)
                to[j] = start + j < outputs && kind[j] == 1 ? from[j] : T(0);
    };
    if (weight) copy(weight + i * outputs + start, to);
    for (int64_t r = 1; r < rows; r++, row += outputs) copy(row, to + r * W);
}

// Uses the weights of inputs `from` and following in NS strips, the first ones of the panel.
template <class T, int K, int NS>
static void use_weights(const Call& call, const Block<T, K>& b, int64_t from, int64_t count,
                        const Strips<T>& strips) {
    constexpr int64_t W = NS * STRIP<T>, LINE = 64 / int64_t(sizeof(T));
    const int64_t rows = call.grid + K + 1, size = rows * W;
    // Inputs whose weights fit into the cache together share the reading and writing of y.
    const int64_t together =
        least<int64_t>(8, most<int64_t>(1, L1_WEIGHTS / (size * int64_t(sizeof(T)))));
    for (int64_t i = 0; i < count; i += together) {
        const int64_t inputs = least(together, count - i);
        for (int64_t j = 0; j < inputs; j++)
            pack_weights<T, K, NS>(call, from + i + j, strips.start, b.packed + j * size);
        const Part<T> part{b.packed, size, i, inputs};
        // Meanwhile the next inputs' weights are fetched, a few at a time: many at once would keep
        // others waiting.
        const int64_t next = least(together, count - i - inputs) * (rows - 1);
        const T* line = static_cast<const T*>(call.coefficients) +
                        (from + i + inputs) * (rows - 1) * call.outputs + strips.start;
        const int64_t step =
            next ? most(ROWS_A_FETCH, FETCHED_TOGETHER * b.rows / next) : b.rows;
        int64_t fetched = 0;
        for (int64_t n = 0; n < b.rows; n += step) {
            const int64_t to = least(b.rows, n + step);
            for (; fetched * b.rows < next * to; fetched++, line += call.outputs)
                for (int64_t j = 0; j < W; j += LINE) __builtin_prefetch(line + j, 0, 2);
            if (call.backward && call.weight)
                input_gradient_rows<T, K, NS, true>(b, part, strips.y, n, to);
            else if (call.backward)
                input_gradient_rows<T, K, NS, false>(b, part, strips.y, n, to);
            else if (call.weight)
                forward_rows<T, K, NS, true>(b, part, strips.y, n, to);
            else
                forward_rows<T, K, NS, false>(b, part, strips.y, n, to);
        }
    }
}

// Outputs from inputs `from` to `to`, or gradients of these inputs.
template <class T, int K>
static void apply(const Call& call, const Block<T, K>& b, int64_t from, int64_t to) {
    if constexpr (FILLS_GROUP<K>)
        if (few_outputs<K>(call)) return apply_few(call, b, from, to);
    each_group(call, b, [&](const Strips<T>& strips) {
        if constexpr (MOST_STRIPS<K> == 4) {
            if (strips.together == 4) use_weights<T, K, 4>(call, b, from, to - from, strips);
            if (strips.together == 2) use_weights<T, K, 2>(call, b, from, to - from, strips);
        }
        if (strips.together == 1) use_weights<T, K, 1>(call, b, from, to - from, strips);
    });
}

// Writes one input's gradients in one strip from output `start` on, or adds to them.
template <class T, int K>
INLINE void unpack_gradient(const Call& call, const Block<T, K>& b, int64_t i, int64_t start,
                            bool add) {
    const int64_t outputs = call.outputs, rows = call.grid + K + 1;
    const uint8_t* kind = call.kind + i * outputs + start;
    T* row = static_cast<T*>(call.grad_coefficients) + i * (rows - 1) * outputs + start;
    const auto copy = [&](const T* from, T* to) {
        for (int64_t j = 0; j < STRIP<T> && start + j < outputs; j++)
            to[j] = (add ? to[j] : T(0)) + (kind[j] == 1 ? from[j] : T(0));
    };
    for (int64_t r = 0; r < rows - 1; r++, row += outputs) copy(b.gradient + r * STRIP<T>, row);
    if (call.grad_weight)
        copy(b.gradient + (rows - 1) * STRIP<T>,
             static_cast<T*>(call.grad_weight) + i * outputs + start);
}

// Gradients of the weights of inputs `from` to `to`, written or added.
template <class T, int K>
static void weight_gradients(const Call& call, const Block<T, K>& b, int64_t from, int64_t to,
                             bool add) {
    if constexpr (FILLS_GROUP<K>)
        if (few_outputs<K>(call)) {
            for (int64_t i = from; i < to; i++) {
                weight_gradient_few(call, b, i - from);
                unpack_gradient(call, b, i, 0, add);
            }
            return;
        }
    const int64_t outputs = call.outputs, count = call.grid + K;
    T* coefficients = static_cast<T*>(call.grad_coefficients);
    T* weight = static_cast<T*>(call.grad_weight);
    const int64_t bytes = call.inputs * count * outputs * int64_t(sizeof(T));
    const bool stream = !add && bytes > CACHED_GRADIENT && outputs % LANES<T> == 0 &&
                        reinterpret_cast<uintptr_t>(coefficients) % VECTOR_BYTES == 0 &&
                        reinterpret_cast<uintptr_t>(weight) % VECTOR_BYTES == 0;
    each_group(call, b, [&](const Strips<T>& strips) {
        for (int64_t i = from; i < to; i++)
            for (int64_t s = 0; s < strips.width; s += STRIP<T>) {
                const int64_t start = strips.start + s, at = i * outputs + start;
                const bool whole = all_splines(call, i, start, STRIP<T>);
                T* last = b.gradient + count * STRIP<T>;
                Target<T> target{b.gradient, weight ? last : nullptr, STRIP<T>, false, false};
                if (whole)
                    target = {coefficients + i * count * outputs + start,
                              weight ? weight + at : nullptr, outputs, add, stream};
                weight_gradient_rows<T, K>(b, i - from, call.grid, strips.y + s, strips.width,
                                           target);
                if (!whole) unpack_gradient(call, b, i, start, add);
            }
    });
}

template <class T, int K> INLINE int64_t rows_together(const Call& call, int64_t rows) {
    // Copying weights must not weigh more than using them.
    const int64_t most_rows =
        least(call.outputs > MOST_STRIPS<K> * STRIP<T> ? GROUP_ROWS : MOST_ROWS,
              most(LEAST_ROWS, 16 * (call.grid + 4)));
    const int64_t blocks = (rows + most_rows - 1) / most_rows;
    return blocks ? (rows + blocks - 1) / blocks : 1;
}

// Some outputs of some rows.
template <class T, int K> static bool forward(const Call& call, const Share& share) {
    const int64_t together = rows_together<T, K>(call, share.end - share.start);
    char* memory = workspace(Block<T, K>::carve(call, share, together, nullptr, nullptr));
    if (!memory) return false;
    Block<T, K> b;
    Block<T, K>::carve(call, share, together, memory, &b);
    Pieces<T, K> pieces(call, b.pieces);
    for (int64_t at = share.start; at < share.end; at += together) {
        b.rows = least(together, share.end - at);
        fill_rows(call, b);
        const T* x = static_cast<const T*>(call.x) + at * call.inputs;
        for (int64_t i = 0; i < call.inputs; i += b.panel) {
            const int64_t to = least(call.inputs, i + b.panel);
            prepare(call, b, pieces, x, i, to);
            apply(call, b, i, to);
        }
        unpack_rows(call, b, static_cast<T*>(call.y) + at * call.outputs);
    }
    return true;
}

// Gradients of some inputs and of their weights.
template <class T, int K> static bool backward(const Call& call, const Share& share) {
    const int64_t together = rows_together<T, K>(call, call.rows);
    char* memory = workspace(Block<T, K>::carve(call, share, together, nullptr, nullptr));
    if (!memory) return false;
    Block<T, K> b;
    Block<T, K>::carve(call, share, together, memory, &b);
    Pieces<T, K> pieces(call, b.pieces);
    for (int64_t at = 0; at < call.rows; at += together) {
        b.rows = least(together, call.rows - at);
        pack_rows(call, b, static_cast<const T*>(call.y) + at * call.outputs);
        if (share.start == 0 && call.grad_bias) bias_gradient(call, b, at > 0);
        const T* x = static_cast<const T*>(call.x) + at * call.inputs;
        for (int64_t i = share.start; i < share.end; i += b.panel) {
            const int64_t to = least(share.end, i + b.panel);
            prepare(call, b, pieces, x, i, to);
            if (call.grad_x) {
                apply(call, b, i, to);
                T* grads = static_cast<T*>(call.grad_x) + at * call.inputs + i;
                transpose(b.grads, b.pitch, to - i, b.rows, grads, call.inputs);
            }
            if (call.grad_coefficients) weight_gradients(call, b, i, to, at > 0);
        }
    }
    finish_stores();
    return true;
}

}  // namespace knotwork::KNOTWORK_SET
