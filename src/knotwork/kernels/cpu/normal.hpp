// Normal equations of a network of spline layers: the upper triangle of J'J, row block by row block.
//
// A column of J is a basis function, or a residual, times the derivative of the output by the sum
// that its edge feeds.  On a row only k + 1 columns of a spline differ from zero, so that a pair of
// edges costs (k + 1)^2 products whatever the grid.  Columns come in this order: the coefficients
// of every edge, the residuals' weights, and other columns that are given.
#pragma once

#include "basis.hpp"
#include "library.hpp"

namespace knotwork::KNOTWORK_SET {

// Bytes of columns that should stay in the second-level cache while all pairs pass by.
constexpr int64_t L2_COLUMNS = 192 * 1024;
// Rows of the matrix that are made together where columns have no local support.
constexpr int PLAIN_ROWS = 4;

// What all threads share while one block of rows is at work.
template <int K> struct Rows {
    static constexpr int L = GROUP<K>;
    const Normal& call;
    int64_t rows;         // in this block
    int64_t edges;        // spline edges of all layers
    int64_t inputs;       // of all layers
    int64_t plain;        // columns without local support, rounded up to whole vectors
    int64_t plain_count;  // how many of them there are
    int64_t pitch;        // numbers in a row of a thread's part of the matrix
    double* local;        // (rows, edges, L): values of the columns that differ from zero
    int32_t* place;       // (rows, edges): number of the first of them
    double* columns;      // (rows, plain)
    int64_t* begin;       // (edges): number of the edge's first column
    int64_t* count;       // (edges): how many it has
    int64_t* input_end;   // (edges): the first edge after it that has another input
    int64_t* input;       // (edges): number of its input among those of all layers
    int32_t* order;       // (inputs, rows): rows by the interval that the input lies in
    double* x;            // (rows): one input
    double* position;     // (rows)
    double* basis;        // (rows, L)
    double* residual;     // (rows)
    int32_t* first;       // (rows)
    int32_t* kind;        // (rows)
    int32_t* sorted;      // (grid + 1): how many rows lie in intervals before
    double* pieces;

    explicit Rows(const Normal& of) : call(of), rows(0), edges(0), inputs(0), plain_count(of.others) {
        for (int64_t l = 0; l < of.layers; l++) {
            const NormalLayer& layer = of.layer[l];
            int64_t splines = 0;
            for (int64_t e = 0; e < layer.inputs * layer.outputs; e++)
                splines += layer.kind[e] == 1;
            edges += splines;
            inputs += layer.inputs;
            plain_count += layer.weighted ? splines : 0;
        }
        constexpr int N = LANES<double>;
        plain = (plain_count + N - 1) / N * N;
        // The last group of an edge may reach beyond its columns, with zeros.
        pitch = of.locals + L + plain;
    }

    // Lays the arrays out in memory; returns the bytes they take.  Without memory it only counts.
    int64_t carve(int64_t most_rows, char* memory) {
        int64_t used = 0, grid = 1;
        bool uniform = false;
        for (int64_t l = 0; l < call.layers; l++) {
            grid = most(grid, call.layer[l].grid);
            uniform |= call.layer[l].uniform != 0;
        }
        const auto take = [&](auto** pointer, int64_t numbers) {
            if (memory) *pointer = reinterpret_cast<decltype(*pointer + 0)>(memory + used);
            used += (numbers * int64_t(sizeof(**pointer)) + 63) / 64 * 64;
        };
        const int64_t padded = most_rows + 16;
        take(&local, most_rows * edges * L);
        take(&place, most_rows * edges);
        take(&columns, most_rows * plain);
        take(&begin, edges);
        take(&count, edges);
        take(&input_end, edges);
        take(&input, edges);
        take(&order, inputs * most_rows);
        take(&sorted, grid + 1);
        take(&x, padded);
        take(&position, padded);
        take(&basis, padded * L);
        take(&residual, padded);
        take(&first, padded);
        take(&kind, padded);
        const int64_t even = uniform ? Pieces<double, K>::size(1, true) : 0;
        take(&pieces, most(Pieces<double, K>::size(grid, false), even));
        return used;
    }

    // Fills the columns for rows `at` and following.
    void fill(int64_t at) {
        std::memset(columns, 0, size_t(rows * plain) * sizeof(double));
        int64_t edge = 0, column = 0, weight = 0, number = 0;
        for (int64_t l = 0; l < call.layers; l++) {
            const NormalLayer& layer = call.layer[l];
            Call rule{};
            rule.grid = layer.grid;
            rule.uniform = layer.uniform;
            rule.extrapolation = layer.extrapolation;
            Pieces<double, K> pieces_of(rule, pieces);
            const int64_t width = layer.grid + K, knots = layer.grid + 2 * K + 1;
            for (int64_t i = 0; i < layer.inputs; i++) {
                for (int64_t n = 0; n < rows; n++) x[n] = layer.x[(at + n) * layer.inputs + i];
                pieces_of.move(layer.knots + i * knots);
                pieces_of.place(x, rows, first, kind, position);
                evaluate<double, L, K + 1>(pieces_of.values, kind, position, rows, basis);
                if (layer.weighted)
                    residual_at<double>(layer.residual, x, rows, residual, nullptr);
                sort(layer.grid, order + number * rows);
                const int64_t first_edge = edge;
                for (int64_t j = 0; j < layer.outputs; j++) {
                    if (layer.kind[i * layer.outputs + j] != 1) continue;
                    begin[edge] = column;
                    input[edge] = number;
                    count[edge] = width;
                    const double* slope = layer.slopes + at * layer.outputs + j;
                    for (int64_t n = 0; n < rows; n++) {
                        const double s = slope[n * layer.outputs];
                        double* to = local + (n * edges + edge) * L;
                        for (int a = 0; a < L; a++) to[a] = s * basis[n * L + a];
                        place[n * edges + edge] = int32_t(column + first[n]);
                        if (layer.weighted) columns[n * plain + weight] = s * residual[n];
                    }
                    column += width;
                    weight += layer.weighted;
                    edge++;
                }
                for (int64_t e = first_edge; e < edge; e++) input_end[e] = edge;
                number++;
            }
        }
        for (int64_t n = 0; n < rows; n++)
            for (int64_t c = 0; c < call.others; c++)
                columns[n * plain + weight + c] = call.other[(at + n) * call.others + c];
    }

    // Puts the rows in order of their intervals; those of one interval stay in theirs.
    void sort(int64_t grid, int32_t* to) {
        std::memset(sorted, 0, size_t(grid + 1) * sizeof(int32_t));
        for (int64_t n = 0; n < rows; n++) sorted[first[n] + 1]++;
        for (int64_t s = 0; s < grid; s++) sorted[s + 1] += sorted[s];
        for (int64_t n = 0; n < rows; n++) to[sorted[first[n]]++] = int32_t(n);
    }

    int64_t tasks() const { return edges + (plain_count + PLAIN_ROWS - 1) / PLAIN_ROWS; }
};

// Adds one row's products of an edge's columns, `own`, with those of edges from `f` on.
template <int K>
INLINE void add_others(const Rows<K>& r, const double* own, const double* local,
                       const int32_t* place, int64_t f, double* to, int64_t pitch) {
    typedef typename LanesOf<double, GROUP<K>>::type Lanes;
    for (const int64_t edges = r.edges; f < edges; f++) {
        const Lanes values = *reinterpret_cast<const Lanes*>(local + f * GROUP<K>);
        double* at = to + place[f];
        for (int a = 0; a <= K; a++, at += pitch)
            *reinterpret_cast<Lanes*>(at) += own[a] * values;
    }
}

// Adds one edge's rows of the matrix: its columns times those of all edges from it on, and times
// those without local support.
template <int K> static bool edge_rows(const Rows<K>& r, int64_t edge) {
    typedef typename LanesOf<double, GROUP<K>>::type Lanes;
    constexpr int L = GROUP<K>, N = LANES<double>;
    const int64_t begin = r.begin[edge], count = r.count[edge];
    const int64_t pitch = r.pitch - begin, locals = r.call.locals - begin;
    double* sums = reinterpret_cast<double*>(workspace(count * pitch * int64_t(sizeof(double))));
    if (!sums) return false;
    std::memset(sums, 0, size_t(count * pitch) * sizeof(double));
    const int64_t edges = r.edges, plain = r.plain;
    const int64_t last = r.input_end[edge];
    const int32_t* order = r.order + r.input[edge] * r.rows;
    for (int64_t p = 0; p < r.rows;) {
        // Two rows of one interval add to the same places, but for columns of other inputs: what
        // they give together is read and written once.
        const int64_t n = order[p], next = p + 1 < r.rows ? order[p + 1] : n;
        const bool pair = next != n && r.place[next * edges + edge] == r.place[n * edges + edge];
        const int64_t m = pair ? next : n;
        const double* one = r.local + n * edges * L;
        const double* two = r.local + m * edges * L;
        const int32_t* place = r.place + n * edges;
        double* row = sums + (place[edge] - begin) * pitch;
        // Copied, as the compiler cannot know that writing to the sums leaves them alone.
        double own[K + 1], own_two[K + 1];
        for (int a = 0; a <= K; a++) {
            own[a] = one[edge * L + a];
            own_two[a] = pair ? two[edge * L + a] : 0;
        }
        for (int64_t f = edge; f < last; f++) {
            const Lanes values = *reinterpret_cast<const Lanes*>(one + f * L);
            const Lanes values_two = *reinterpret_cast<const Lanes*>(two + f * L);
            double* to = row + (place[f] - begin);
            for (int a = 0; a <= K; a++, to += pitch)
                *reinterpret_cast<Lanes*>(to) += own[a] * values + own_two[a] * values_two;
        }
        add_others<K>(r, own, one, place, last, row - begin, pitch);
        if (pair) add_others<K>(r, own_two, two, r.place + m * edges, last, row - begin, pitch);
        const double* columns = r.columns + n * plain;
        const double* columns_two = r.columns + m * plain;
        double* to = row + locals + L;
        for (int64_t c = 0; c < plain; c += N) {
            const Vector<double> values = load(columns + c), values_two = load(columns_two + c);
            for (int a = 0; a <= K; a++)
                store(to + a * pitch + c,
                      load(to + a * pitch + c) + own[a] * values + own_two[a] * values_two);
        }
        p += pair ? 2 : 1;
    }
    const int64_t size = r.call.size;
    for (int64_t a = 0; a < count; a++) {
        double* to = r.call.matrix + (begin + a) * size + begin;
        const double* from = sums + a * pitch;
        for (int64_t c = a; c < locals; c++) to[c] += from[c];
        for (int64_t c = 0; c < r.plain_count; c++) to[locals + c] += from[locals + L + c];
    }
    return true;
}

// Adds a few rows of the matrix, of columns without local support times such columns.
template <int K> static bool plain_rows(const Rows<K>& r, int64_t start) {
    constexpr int N = LANES<double>;
    const int64_t plain = r.plain, from = start / N * N, width = plain - from;
    const int64_t count = least<int64_t>(PLAIN_ROWS, r.plain_count - start);
    const int64_t bytes = PLAIN_ROWS * width * int64_t(sizeof(double));
    double* sums = reinterpret_cast<double*>(workspace(bytes));
    if (!sums) return false;
    std::memset(sums, 0, size_t(bytes));
    for (int64_t n = 0; n < r.rows; n++) {
        const double* columns = r.columns + n * plain;
        double own[PLAIN_ROWS] = {};
        for (int64_t a = 0; a < count; a++) own[a] = columns[start + a];
        for (int64_t c = 0; c < width; c += N) {
            const Vector<double> values = load(columns + from + c);
            for (int a = 0; a < PLAIN_ROWS; a++)
                store(sums + a * width + c, load(sums + a * width + c) + own[a] * values);
        }
    }
    const int64_t size = r.call.size, first = r.call.locals;
    for (int64_t a = 0; a < count; a++) {
        double* to = r.call.matrix + (first + start + a) * size + first;
        for (int64_t c = start + a; c < r.plain_count; c++) to[c] += sums[a * width + c - from];
    }
    return true;
}

template <int K> struct NormalTasks {
    const Rows<K>& rows;
    bool failed;
};

template <int K> static void normal_task(void* data, int index) {
    NormalTasks<K>& tasks = *static_cast<NormalTasks<K>*>(data);
    const int64_t edges = tasks.rows.edges;
    const bool done = index < edges ? edge_rows(tasks.rows, index)
                                    : plain_rows(tasks.rows, (index - edges) * PLAIN_ROWS);
    if (!done) __atomic_store_n(&tasks.failed, true, __ATOMIC_RELAXED);
}

template <int K> static bool normal(const Normal& call) {
    Rows<K> rows(call);
    // The matrix is gone through once for every block: there must be enough rows in it.
    const int64_t bytes = (rows.edges * GROUP<K> + rows.plain) * int64_t(sizeof(double));
    const int64_t together =
        least(call.rows, most(most<int64_t>(64, L2_COLUMNS / most<int64_t>(1, bytes)), call.size));
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
