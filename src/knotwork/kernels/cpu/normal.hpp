// Normal equations of a network of spline layers: the upper triangle of J'J, row block by row block.
//
// A column of J is a basis function, or a residual, times the derivative of the output by the sum
// that its edge feeds.  On a row only k + 1 columns of a spline differ from zero, so that a pair of
// edges costs (k + 1)^2 products whatever the grid.  Columns come in this order: the coefficients
// of every edge, the residuals' weights, and other columns that are given.
//
// All edges of an input share its intervals: they are one group.  Columns without local support are
// the last one, of as many to an edge as a basis function has neighbours.  Two groups are
// multiplied at a time, the rows in the order of both their intervals, so that what the rows of a
// cell give together stays in registers and is written once.
#pragma once

#include "cells.hpp"

namespace knotwork::KNOTWORK_SET {

// Bytes of two groups' columns that should stay in the second-level cache.
constexpr int64_t L2_COLUMNS = 448 * 1024;
// Bytes of all columns of a block of rows.
constexpr int64_t MOST_COLUMNS = 16 * 1024 * 1024;
// Bytes of sums that are gone through in the order of the rows.
constexpr int64_t CACHED_SUMS = 256 * 1024;

// What all threads share while one block of rows is at work.
template <int K> struct Rows {
    static constexpr int L = GROUP<K>;
    typedef typename LanesOf<double, L>::type Lanes;
    const Normal& call;
    int64_t rows;       // in this block
    int64_t inputs;     // of all layers
    int64_t edges;      // spline edges of all layers
    int64_t most_edges; // of one group
    int64_t plain;      // columns without local support
    int64_t groups;
    Group* group;       // (inputs + 1), those without edges left out
    double* x;          // (rows): one input
    double* position;   // (rows)
    double* basis;      // (rows, L)
    double* residual;   // (rows)
    int32_t* kind;      // (rows)
    double* pieces;
    int64_t* output;        // (most_edges): of every edge of one input
    int64_t* weight_place;  // (most_edges): see `plain_place`

    explicit Rows(const Normal& of) : call(of), rows(0), inputs(0), edges(0), plain(of.others) {
        most_edges = 1;
        for (int64_t l = 0; l < of.layers; l++) {
            const NormalLayer& layer = of.layer[l];
            for (int64_t i = 0; i < layer.inputs; i++) {
                const int64_t splines = splines_of(layer, i);
                most_edges = most(most_edges, splines);
                edges += splines;
                plain += layer.weighted ? splines : 0;
            }
            inputs += layer.inputs;
        }
        most_edges = most(most_edges, plain_edges());
    }

    static int64_t splines_of(const NormalLayer& layer, int64_t input) {
        int64_t count = 0;
        for (int64_t j = 0; j < layer.outputs; j++)
            count += layer.kind[input * layer.outputs + j] == 1;
        return count;
    }

    int64_t plain_edges() const { return (plain + K) / (K + 1); }

    // How many rows to take together.
    int64_t block() const {
        constexpr int64_t EDGE = L * int64_t(sizeof(double));
        // The matrix is gone through once for every block: there must be enough rows in it.
        const int64_t enough = most(L2_COLUMNS / (2 * most_edges * EDGE), call.size);
        const int64_t room = MOST_COLUMNS / ((edges + plain_edges()) * EDGE + 1);
        const int64_t rows_together = most<int64_t>(64, least(enough, room));
        const int64_t blocks = (call.rows + rows_together - 1) / rows_together;
        return (call.rows + blocks - 1) / blocks;
    }

    // Lays the arrays out in memory; returns the bytes they take.  Without memory it only counts.
    int64_t carve(int64_t most_rows, char* memory) {
        int64_t used = 0, grid = 1, column = 0;
        bool uniform = false;
        const auto take = [&](auto** pointer, int64_t numbers) {
            if (memory) *pointer = reinterpret_cast<decltype(*pointer + 0)>(memory + used);
            used += (numbers * int64_t(sizeof(**pointer)) + 63) / 64 * 64;
        };
        take(&group, inputs + 1);
        groups = 0;
        const auto add = [&](int64_t splines, int64_t width, int64_t count, int64_t intervals) {
            Group made{splines, width, column, count, intervals, {}, {}, {}, {}};
            take(&made.values, most_rows * splines * L);
            take(&made.start, most_rows + 16);
            take(&made.order, most_rows);
            take(&made.before, intervals + 1);
            if (memory) group[groups] = made;
            groups++;
            column += count;
        };
        for (int64_t l = 0; l < call.layers; l++) {
            const NormalLayer& layer = call.layer[l];
            grid = most(grid, layer.grid);
            uniform |= layer.uniform != 0;
            const int64_t width = layer.grid + K;
            for (int64_t i = 0; i < layer.inputs; i++)
                if (const int64_t splines = splines_of(layer, i))
                    add(splines, width, splines * width, layer.grid);
        }
        add(plain_edges(), K + 1, plain, 1);
        const int64_t padded = most_rows + 16;
        take(&x, padded);
        take(&position, padded);
        take(&basis, padded * L);
        take(&residual, padded);
        take(&kind, padded);
        take(&output, most_edges);
        take(&weight_place, most_edges);
        const int64_t even = uniform ? Pieces<double, K>::size(1, true) : 0;
        take(&pieces, most(Pieces<double, K>::size(grid, false), even));
        return used;
    }

    // Where column `number` of those without local support stands on a row of their group.
    static int64_t plain_place(int64_t number) { return number / (K + 1) * L + number % (K + 1); }

    // Fills the columns for rows `at` and following.
    void fill(int64_t at) {
        Group& others = group[groups - 1];
        const int64_t pitch = others.edges * L;
        std::memset(others.values, 0, size_t(rows * pitch) * sizeof(double));
        std::memset(others.start, 0, size_t(rows) * sizeof(int32_t));
        others.sort(rows);
        int64_t weight = 0, number = 0;
        for (int64_t l = 0; l < call.layers; l++) {
            const NormalLayer& layer = call.layer[l];
            Call rule{};
            rule.grid = layer.grid;
            rule.uniform = layer.uniform;
            rule.extrapolation = layer.extrapolation;
            Pieces<double, K> pieces_of(rule, pieces);
            const int64_t knots = layer.grid + 2 * K + 1;
            for (int64_t i = 0; i < layer.inputs; i++) {
                if (!splines_of(layer, i)) continue;
                Group& own = group[number++];
                for (int64_t n = 0; n < rows; n++) x[n] = layer.x[(at + n) * layer.inputs + i];
                pieces_of.move(layer.knots + i * knots);
                pieces_of.place(x, rows, own.start, kind, position);
                evaluate<double, L, K + 1>(pieces_of.values, kind, position, rows, basis);
                if (layer.weighted)
                    residual_at<double>(layer.residual, x, rows, residual, nullptr);
                own.sort(rows);
                int64_t edge = 0;
                for (int64_t j = 0; j < layer.outputs; j++) {
                    if (layer.kind[i * layer.outputs + j] != 1) continue;
                    output[edge] = j;
                    weight_place[edge++] = layer.weighted ? plain_place(weight++) : 0;
                }
                for (int64_t n = 0; n < rows; n++) {
                    const double* slope = layer.slopes + (at + n) * layer.outputs;
                    const Lanes values = *reinterpret_cast<const Lanes*>(basis + n * L);
                    double* to = own.values + n * own.edges * L;
                    for (edge = 0; edge < own.edges; edge++)
                        *reinterpret_cast<Lanes*>(to + edge * L) = slope[output[edge]] * values;
                    if (!layer.weighted) continue;
                    to = others.values + n * pitch;
                    for (edge = 0; edge < own.edges; edge++)
                        to[weight_place[edge]] = slope[output[edge]] * residual[n];
                }
            }
        }
        for (int64_t c = 0; c < call.others; c++) {
            double* to = others.values + plain_place(weight + c);
            for (int64_t n = 0; n < rows; n++)
                to[n * pitch] = call.other[(at + n) * call.others + c];
        }
    }

    int64_t tasks() const { return groups * (groups + 1) / 2; }

    // Adds the products of two groups' columns, or of one's with themselves; returns whether there
    // was memory.
    bool multiply(const Group& first, const Group& second) const {
        const bool sparse = cells_outnumber_rows(first, second);
        const bool plain_too = second.begin == call.locals;
        // Vectors that end where a spline's columns do can be added to the matrix itself; but rows
        // that share no cell would fetch each its own places from far away.
        if (L == K + 1 && !plain_too && !sparse && first.edges <= second.edges) {
            char* memory = workspace(cell_bytes(first, second));
            if (!memory) return false;
            add_cells(first, second, cells(first, second, memory), 0, first.edges,
                      call.matrix + first.begin * call.size + second.begin, call.size);
            return true;
        }
        // Of the group with more edges several are loaded together, if cells hold several rows.
        const bool swapped = !sparse && second.edges < first.edges;
        return swapped ? add_sums(second, first, true) : add_sums(first, second, false);
    }

    // Adds products of edges `begin` to `end` of one group with those of another, cell by cell.
    void add_cells(const Group& one, const Group& two, Cells cells, int64_t begin, int64_t end,
                   double* to, int64_t pitch) const {
        const bool same = &one == &two;
        const auto add = [&](int64_t row, int64_t column, const int32_t* order, int64_t count) {
            for (int64_t edge = begin; edge < end; edge++)
                add_tiles<K, TILE_EDGES<K>>(one, two, edge, same ? edge : 0, order, count,
                                            to + ((edge - begin) * one.width + row) * pitch + column,
                                            pitch);
        };
        if (!cells.before) {
            for (const int32_t* at = cells.order; at < cells.order + rows; at++)
                add(one.start[*at], two.start[*at], at, 1);
            return;
        }
        const int32_t* before = cells.before;
        for (int64_t row = 0; row < one.intervals; row++)
            for (int64_t column = 0; column < cells.columns; column++, before++)
                if (before[1] > before[0])
                    add(row, same ? row : column, cells.order + before[0], before[1] - before[0]);
    }

    // Adds the products of two groups by way of sums of their own, transposed if they are swapped.
    bool add_sums(const Group& one, const Group& two, bool swapped) const {
        const int64_t size = call.size, pitch = two.edges * two.width + L;
        const int64_t edge_bytes = one.width * pitch * int64_t(sizeof(double));
        const int64_t together =
            least(one.edges, most<int64_t>(1, CACHED_SUMS / most<int64_t>(1, edge_bytes)));
        char* memory = workspace(together * edge_bytes + cell_bytes(one, two));
        if (!memory) return false;
        double* sums = reinterpret_cast<double*>(memory);
        const Cells sorted = cells(one, two, memory + together * edge_bytes);
        for (int64_t begin = 0; begin < one.edges; begin += together) {
            const int64_t end = least(begin + together, one.edges), offset = begin * one.width;
            std::memset(sums, 0, size_t((end - begin) * edge_bytes));
            add_cells(one, two, sorted, begin, end, sums, pitch);
            const int64_t count = least((end - begin) * one.width, one.count - offset);
            double* to = call.matrix + two.begin * size + one.begin + offset;
            for (int64_t c = 0; swapped && c < two.count; c++)
                for (int64_t a = 0; a < count; a++) to[c * size + a] += sums[a * pitch + c];
            to = call.matrix + (one.begin + offset) * size + two.begin;
            for (int64_t a = 0; !swapped && a < count; a++)
                for (int64_t c = &one == &two ? offset + a : 0; c < two.count; c++)
                    to[a * size + c] += sums[a * pitch + c];
        }
        return true;
    }

    // Whether sorting the rows into cells does not pay.
    bool cells_outnumber_rows(const Group& one, const Group& two) const {
        return &one != &two && one.intervals * two.intervals > rows;
    }

    int64_t cell_bytes(const Group& one, const Group& two) const {
        // Something, as no memory at all would mean that there is none.
        if (&one == &two || cells_outnumber_rows(one, two)) return 64;
        return (rows + one.intervals * two.intervals + 1) * int64_t(sizeof(int32_t));
    }

    // Sorts the rows by the intervals of both groups.
    Cells cells(const Group& one, const Group& two, char* memory) const {
        if (&one == &two || two.intervals == 1) return {one.order, one.before, 1};
        if (one.intervals == 1) return {two.order, two.before, two.intervals};
        if (cells_outnumber_rows(one, two)) return {one.order, nullptr, 0};
        const int64_t columns = two.intervals, count = one.intervals * columns;
        int32_t* order = reinterpret_cast<int32_t*>(memory);
        int32_t* before = order + rows;
        const auto cell = [&](int64_t n) { return one.start[n] * columns + two.start[n]; };
        sort_rows(rows, count, cell, order, before);
        return {order, before, columns};
    }
};

template <int K> struct NormalTasks {
    const Rows<K>& rows;
    bool failed;
};

template <int K> static void normal_task(void* data, int index) {
    NormalTasks<K>& tasks = *static_cast<NormalTasks<K>*>(data);
    const Rows<K>& rows = tasks.rows;
    int64_t first = 0, second = index;
    for (; second >= rows.groups - first; first++) second -= rows.groups - first;
    if (!rows.multiply(rows.group[first], rows.group[first + second]))
        __atomic_store_n(&tasks.failed, true, __ATOMIC_RELAXED);
}

template <int K> static bool normal(const Normal& call) {
    Rows<K> rows(call);
    const int64_t together = rows.block();
    char* memory = allocate(rows.carve(together, nullptr));
    if (!memory) return false;
    rows.carve(together, memory);
    NormalTasks<K> tasks{rows, false};
    for (int64_t at = 0; at < call.rows && !tasks.failed; at += together) {
        rows.rows = least(together, call.rows - at);
        rows.fill(at);
        parallel(call.threads, int(rows.tasks()), normal_task<K>, &tasks);
    }
    release(memory);
    return !tasks.failed;
}

}  // namespace knotwork::KNOTWORK_SET
