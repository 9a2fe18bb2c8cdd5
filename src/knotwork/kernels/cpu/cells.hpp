// Products of columns of J that differ from zero on the same rows, cell by cell: the rows of a cell lie
// in one interval of either of two inputs, so that all they give goes to the same few places.
#pragma once

#include "basis.hpp"
#include "library.hpp"
#include "sorting.hpp"

namespace knotwork::KNOTWORK_SET {

// Registers that sums are kept in.
constexpr int SUM_REGISTERS = 12;

// Edges whose columns are multiplied together: as many as there are registers for.
template <int K> constexpr int EDGE_REGISTERS = (GROUP<K> * 8 + VECTOR_BYTES - 1) / VECTOR_BYTES;
template <int K>
constexpr int TILE_EDGES = SUM_REGISTERS < 2 * (K + 1) * EDGE_REGISTERS<K>
                               ? 1
                               : SUM_REGISTERS / ((K + 1) * EDGE_REGISTERS<K>);

// Columns of J that differ from zero on the same rows, and where.
struct Group {
    int64_t edges;      // each with `width` columns
    int64_t width;
    int64_t begin;      // number of the first column
    int64_t count;      // how many columns of the matrix these are
    int64_t intervals;
    double* values;     // (rows, edges, L): columns that differ from zero, k + 1 an edge
    int32_t* start;     // (rows): which column of an edge is the first of them, its interval
    int32_t* order;     // (rows): rows by their interval
    int32_t* before;    // (intervals + 1): how many rows lie in intervals before

    void sort(int64_t rows) {
        sort_rows(rows, intervals, [&](int64_t n) { return start[n]; }, order, before);
    }
};

// Rows by the intervals of two groups.
struct Cells {
    const int32_t* order;   // (rows)
    const int32_t* before;  // how many rows lie in cells before; null if every row is one by itself
    int64_t columns;        // cells for each interval of the first group
};

// Adds what rows of one cell give for one edge of a group and V edges of another.
template <int K, int V>
INLINE void add_tile(const double* own, int64_t own_pitch, const double* other, int64_t other_pitch,
                     const int32_t* rows, int64_t count, double* to, int64_t pitch, int64_t width) {
    constexpr int L = GROUP<K>;
    typedef typename LanesOf<double, L>::type Lanes;
    if (count == 1) {
        own += rows[0] * own_pitch;
        other += rows[0] * other_pitch;
        for (int v = 0; v < V; v++) {
            const Lanes values = *reinterpret_cast<const Lanes*>(other + v * L);
            for (int a = 0; a <= K; a++)
                *reinterpret_cast<Lanes*>(to + a * pitch + v * width) += own[a] * values;
        }
        return;
    }
    Lanes sums[K + 1][V] = {};
    for (int64_t r = 0; r < count; r++) {
        const double* one = own + rows[r] * own_pitch;
        const double* two = other + rows[r] * other_pitch;
        Lanes values[V];
        for (int v = 0; v < V; v++) values[v] = *reinterpret_cast<const Lanes*>(two + v * L);
        for (int a = 0; a <= K; a++)
            for (int v = 0; v < V; v++) sums[a][v] += one[a] * values[v];
    }
    for (int a = 0; a <= K; a++)
        for (int v = 0; v < V; v++)
            *reinterpret_cast<Lanes*>(to + a * pitch + v * width) += sums[a][v];
}

// The same for edges `f` and following.
template <int K, int V>
INLINE void add_tiles(const Group& one, const Group& two, int64_t edge, int64_t f,
                      const int32_t* rows, int64_t count, double* to, int64_t pitch) {
    constexpr int L = GROUP<K>;
    for (; f + V <= two.edges; f += V)
        add_tile<K, V>(one.values + edge * L, one.edges * L, two.values + f * L, two.edges * L, rows,
                       count, to + f * two.width, pitch, two.width);
    if constexpr (V > 1) add_tiles<K, V - 1>(one, two, edge, f, rows, count, to, pitch);
}

}  // namespace knotwork::KNOTWORK_SET
