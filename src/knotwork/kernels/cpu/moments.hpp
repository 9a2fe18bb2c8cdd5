// How every input's features vary over the rows: the basis functions, and the residual if there is
// one.
//
// On all rows of one interval the same k + 1 basis functions differ from zero, so what is added up
// is small whatever the grid: for each interval the number of rows, the features' mean, and their
// scatter around it.  Nothing large cancels, however little an input varies: values are taken
// relative to those of the interval's first row.  How the intervals differ is left to the caller.
#pragma once

#include "basis.hpp"
#include "library.hpp"

namespace knotwork::KNOTWORK_SET {

constexpr int64_t MOMENT_ROWS = 1024;

template <int K> struct MomentBlock {
    static constexpr int L = GROUP<K>;
    static constexpr int W = K + 2 <= 4 ? 4 : 8;  // local features, filled up with zeros
    double* x;         // (rows)
    double* position;  // (rows)
    double* basis;     // (rows, L)
    double* residual;  // (rows)
    int32_t* first;    // (rows)
    int32_t* kind;     // (rows)
    double* pieces;
    double* count;     // (grid)
    double* origin;    // (grid, W): local features of an interval's first row
    double* sums;      // (grid, W): of the differences from it
    double* products;  // (grid, W, W)

    // Lays the block out in memory; returns the bytes it takes.  Without memory it only counts.
    int64_t carve(const Moments& call, char* memory) {
        int64_t used = 0;
        const auto take = [&](auto** pointer, int64_t numbers) {
            if (memory) *pointer = reinterpret_cast<decltype(*pointer + 0)>(memory + used);
            used += (numbers * int64_t(sizeof(**pointer)) + 63) / 64 * 64;
        };
        const int64_t padded = MOMENT_ROWS + 16;
        take(&x, padded);
        take(&position, padded);
        take(&basis, padded * L);
        take(&residual, padded);
        take(&first, padded);
        take(&kind, padded);
        take(&pieces, Pieces<double, K>::size(call.grid, call.uniform));
        take(&count, call.grid);
        take(&origin, call.grid * W);
        take(&sums, call.grid * W);
        take(&products, call.grid * W * W);
        return used;
    }

    // Adds the rows of the block to the sums of their intervals.
    void add(int64_t rows) {
        typedef typename LanesOf<double, W>::type Lanes;
        for (int64_t n = 0; n < rows; n++) {
            const int64_t s = first[n];
            double local[W] = {};
            for (int a = 0; a <= K; a++) local[a] = basis[n * L + a];
            local[K + 1] = residual[n];
            Lanes values;
            std::memcpy(&values, local, sizeof values);
            Lanes& from = reinterpret_cast<Lanes*>(origin)[s];
            if (count[s]++ == 0) from = values;
            values -= from;
            reinterpret_cast<Lanes*>(sums)[s] += values;
            Lanes* to = reinterpret_cast<Lanes*>(products) + s * W;
            for (int a = 0; a < K + 2; a++) to[a] += values[a] * values;
        }
    }

    // Writes one interval's moments to where its features are among all.
    void write(int64_t s, int64_t features, bool weighted, double* mean, double* scatter) const {
        const int local = K + 1 + weighted;
        const auto place = [&](int a) { return a <= K ? s + a : features - 1; };
        const double* total = sums + s * W;
        for (int a = 0; a < local; a++) {
            mean[place(a)] = origin[s * W + a] + total[a] / count[s];
            for (int b = 0; b < local; b++)
                scatter[place(a) * features + place(b)] +=
                    products[(s * W + a) * W + b] - total[a] * total[b] / count[s];
        }
    }
};

// The moments of one input.
template <int K> static bool input_moments(const Moments& call, int64_t i) {
    constexpr int L = GROUP<K>, W = MomentBlock<K>::W;
    MomentBlock<K> b;
    char* memory = workspace(b.carve(call, nullptr));
    if (!memory) return false;
    b.carve(call, memory);
    Call rule{};
    rule.grid = call.grid;
    rule.uniform = call.uniform;
    rule.extrapolation = call.extrapolation;
    Pieces<double, K> pieces(rule, b.pieces);
    pieces.move(call.knots + i * (call.grid + 2 * K + 1));
    const bool weighted = call.residual != NONE;
    std::memset(b.count, 0, size_t(call.grid) * sizeof(double));
    std::memset(b.residual, 0, size_t(MOMENT_ROWS) * sizeof(double));
    std::memset(b.sums, 0, size_t(call.grid * W) * sizeof(double));
    std::memset(b.products, 0, size_t(call.grid * W * W) * sizeof(double));
    for (int64_t at = 0; at < call.rows; at += MOMENT_ROWS) {
        const int64_t rows = least(MOMENT_ROWS, call.rows - at);
        std::memcpy(b.x, call.x + i * call.rows + at, size_t(rows) * sizeof(double));
        pieces.place(b.x, rows, b.first, b.kind, b.position);
        evaluate<double, L, K + 1>(pieces.values, b.kind, b.position, rows, b.basis);
        residual_at<double>(call.residual, b.x, rows, b.residual, nullptr);
        b.add(rows);
    }
    const int64_t features = call.grid + K + weighted;
    for (int64_t s = 0; s < call.grid; s++) {
        call.count[i * call.grid + s] = b.count[s];
        if (b.count[s])
            b.write(s, features, weighted, call.mean + (i * call.grid + s) * features,
                    call.scatter + i * features * features);
    }
    return true;
}

struct MomentTasks {
    const Moments& call;
    bool failed;
};

template <int K> static void moment_task(void* data, int index) {
    MomentTasks& tasks = *static_cast<MomentTasks*>(data);
    if (!input_moments<K>(tasks.call, index))
        __atomic_store_n(&tasks.failed, true, __ATOMIC_RELAXED);
}

template <int K> static bool moments(const Moments& call, int threads) {
    MomentTasks tasks{call, false};
    parallel(threads, int(call.inputs), moment_task<K>, &tasks);
    return !tasks.failed;
}

}  // namespace knotwork::KNOTWORK_SET
