// Sums over the rows of a table for a chain of spline layers, each feeding the next: the squares of
// its errors and, if asked for, the normal equations.  A small network's step of
// Levenberg-Marquardt would otherwise spend most of its time between calls.
#include "library.hpp"

#include <cstring>

extern "C" {
int knotwork_run(const knotwork::Call* call, int set, int wide);
int knotwork_normal(const knotwork::Normal* call, int set);
}

namespace knotwork {
namespace {

// Rows gone through together: enough to be fast, few enough for the cache.
constexpr int64_t BLOCK_ROWS = 2048;

// One block of rows, and what is worked out for them.
struct Block {
    const Chain& chain;
    const int64_t layers, outputs;
    int64_t sums = 0;      // of all layers
    int64_t at, rows;      // the first row, and how many
    Call* forward;         // (layers): y is the layer's sums
    Call* backward;        // (layers): y is the derivative of one output by them
    NormalLayer* normal;   // (layers)
    double* residual;      // (rows, outputs)
    double* other;         // (rows, sums + 1): derivatives by biases, and the residual

    explicit Block(const Chain& of)
        : chain(of), layers(of.layers), outputs(of.layer[of.layers - 1].outputs) {
        for (int64_t l = 0; l < layers; l++) sums += of.layer[l].outputs;
    }

    // Lays the arrays out; returns the bytes they take.  Without memory it only counts.
    int64_t carve(int64_t most_rows, char* memory) {
        int64_t used = 0;
        const auto take = [&](auto** array, int64_t count) {
            *array = reinterpret_cast<decltype(*array + 0)>(memory ? memory + used : nullptr);
            used += (count * int64_t(sizeof(**array)) + 63) / 64 * 64;
        };
        take(&forward, layers);
        take(&backward, layers);
        take(&normal, layers);
        take(&residual, most_rows * outputs);
        take(&other, most_rows * (sums + 1));
        double *before = nullptr, *slopes_before = nullptr;
        for (int64_t l = 0; l < layers; l++) {
            const Call& call = chain.layer[l];
            double *y, *slopes;
            take(&y, most_rows * call.outputs);
            take(&slopes, most_rows * call.outputs);
            if (memory) {
                forward[l] = backward[l] = call;
                forward[l].x = backward[l].x = before;
                forward[l].y = y;
                backward[l].y = slopes;
                backward[l].grad_x = slopes_before;
                backward[l].backward = 1;
                normal[l] = {call.inputs,
                             call.outputs,
                             call.grid,
                             call.uniform,
                             call.extrapolation,
                             call.residual,
                             call.weight != nullptr,
                             before,
                             static_cast<const double*>(call.knots),
                             call.kind,
                             slopes};
            }
            before = y;
            slopes_before = slopes;
        }
        return used;
    }

    // Evaluates the chain for these rows; returns whether there was memory.
    bool evaluate(int set) {
        const double* x = chain.x + at * forward[0].inputs;
        forward[0].x = normal[0].x = x;
        for (int64_t l = 0; l < layers; l++) {
            forward[l].rows = backward[l].rows = rows;
            if (knotwork_run(&forward[l], set, 1)) return false;
        }
        return true;
    }

    // Finds the residuals; returns their squares' sum.
    double compare() {
        const double* y = static_cast<const double*>(forward[layers - 1].y);
        const double* target = chain.targets + at * outputs;
        double squares = 0;
        for (int64_t n = 0; n < rows; n++)
            for (int64_t j = n * outputs; j < (n + 1) * outputs; j++) {
                residual[j] = (y[j] - target[j]) * (chain.roots ? chain.roots[at + n] : 1);
                squares += residual[j] * residual[j];
            }
        return squares;
    }

    // Adds one output's part of the normal equations; returns whether there was memory.
    bool add(int64_t output, int set) {
        double* slopes = static_cast<double*>(backward[layers - 1].y);
        std::memset(slopes, 0, size_t(rows * outputs) * sizeof(double));
        for (int64_t n = 0; n < rows; n++)
            slopes[n * outputs + output] = chain.roots ? chain.roots[at + n] : 1;
        for (int64_t l = layers - 1; l > 0; l--)
            if (knotwork_run(&backward[l], set, 1)) return false;
        int64_t column = 0;
        for (int64_t l = 0; l < layers; l++) {
            const int64_t count = forward[l].outputs;
            const double* from = static_cast<const double*>(backward[l].y);
            for (int64_t n = 0; n < rows; n++)
                for (int64_t j = 0; j < count; j++)
                    other[n * (sums + 1) + column + j] = from[n * count + j];
            column += count;
        }
        for (int64_t n = 0; n < rows; n++)
            other[n * (sums + 1) + sums] = residual[n * outputs + output];
        const Normal call{rows,       layers,           sums + 1,
                          chain.locals, chain.size,     forward[0].order,
                          forward[0].threads, normal,   other,
                          chain.matrix};
        return !knotwork_normal(&call, set);
    }
};

}  // namespace
}  // namespace knotwork

// Goes through all rows.  Returns 0, or 1 if memory ran out.
extern "C" int knotwork_chain(knotwork::Chain* chain, int set) {
    using namespace knotwork;
    Block block(*chain);
    const int64_t most_rows = chain->rows < BLOCK_ROWS ? chain->rows : BLOCK_ROWS;
    char* memory = allocate(block.carve(most_rows, nullptr));
    if (!memory) return 1;
    block.carve(most_rows, memory);
    chain->squares = 0;
    bool done = true;
    for (block.at = 0; block.at < chain->rows && done; block.at += block.rows) {
        block.rows = chain->rows - block.at < most_rows ? chain->rows - block.at : most_rows;
        done = block.evaluate(set);
        if (done) chain->squares += block.compare();
        for (int64_t output = 0; chain->matrix && done && output < block.outputs; output++)
            done = block.add(output, set);
    }
    release(memory);
    return !done;
}
