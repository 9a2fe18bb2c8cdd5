// How a call's work is cut into shares for several threads.
#pragma once

#include "library.hpp"

#include <algorithm>

namespace knotwork {

// Parts of the rows and of the outputs in the forward pass, of the inputs in the backward pass.
struct Cuts {
    int64_t length, parts;     // rows or inputs, and parts of them
    int64_t outputs, columns;  // outputs, and parts of them

    // Outputs are cut at multiples of this, so that all instruction sets' groups of strips stay
    // whole.
    static constexpr int64_t UNIT = 128;

    int64_t count() const { return parts * columns; }

    Share share(int64_t index) const {
        const int64_t part = index / columns, column = index % columns;
        return {length * part / parts, length * (part + 1) / parts, output(column),
                output(column + 1)};
    }

    int64_t output(int64_t column) const {
        return column == columns ? outputs : outputs / UNIT * column / columns * UNIT;
    }
};

// Cuts for so many threads.  Where more shares than threads cost next to nothing there are more:
// one core is often slower than another.
inline Cuts cut(const Call& call, int64_t threads) {
    // Shares of every thread at most, and inputs in one at least.
    constexpr int64_t MOST_SHARES = 8, LEAST_INPUTS = 16;
    // What finding the bases of a row and input costs, in weights read; rows that pay for reading
    // one of an edge's weights.
    constexpr int64_t BASES_COST = 20, ROWS_A_WEIGHT = 16;
    Cuts cuts{call.backward ? call.inputs : call.rows, 1, call.outputs, 1};
    if (threads < 2) return cuts;
    int64_t most = MOST_SHARES * threads;
    if (call.backward) {
        cuts.parts = threads;
        most = std::min(most, call.inputs / LEAST_INPUTS);
    } else {
        // Every part of the rows reads all weights; every part of the outputs finds all bases.
        const int64_t weights = call.grid + call.order + 1;
        const int64_t units = std::max<int64_t>(1, call.outputs / Cuts::UNIT);
        const int64_t most_columns = std::min(threads, units);
        int64_t least = INT64_MAX;
        for (int64_t columns = 1; columns <= most_columns; columns++) {
            const int64_t parts = (threads + columns - 1) / columns;
            const int64_t cost = parts * weights * call.outputs + columns * call.rows * BASES_COST;
            if (cost >= least) continue;
            least = cost;
            cuts.parts = parts;
            cuts.columns = columns;
        }
        most = std::min(most / cuts.columns, call.rows / (ROWS_A_WEIGHT * weights));
    }
    // The same number for every thread.
    cuts.parts = std::min(cuts.length, cuts.parts * std::max<int64_t>(1, most / cuts.parts));
    return cuts;
}

}  // namespace knotwork
