// What the parts of the library share: one layer's call, memory to work in, threads.
#pragma once

#include <cstdint>

namespace knotwork {

// One call.  Arrays are contiguous, rows first; pointers that are not needed are null.
struct Call {
    int64_t rows, inputs, outputs, grid;
    int32_t order, uniform, extrapolation, residual, threads, backward;
    const void* x;             // (rows, inputs)
    const void* knots;         // (inputs, grid + 2 order + 1)
    const void* coefficients;  // (inputs, grid + order, outputs)
    const void* weight;        // (inputs, outputs), of the residual
    const void* bias;          // (outputs)
    const uint8_t* kind;       // (inputs, outputs): 1 where the edge is a spline
    void* y;                   // (rows, outputs); its gradient in the backward pass
    void* grad_x;              // as x
    void* grad_coefficients;   // as coefficients
    void* grad_weight;         // as weight
    void* grad_bias;           // as bias
};

// A part of a call's work, which no other part writes to: some rows and outputs of the forward pass,
// or some inputs of the backward pass.
struct Share {
    int64_t start, end;  // rows, or inputs
    int64_t from, to;    // outputs; all of them in the backward pass
};

// A layer's part in the normal equations; all in float64.
struct NormalLayer {
    int64_t inputs, outputs, grid;
    int32_t uniform, extrapolation, residual, weighted;  // weighted: residuals have weights
    const double* x;      // (rows, inputs)
    const double* knots;  // (inputs, grid + 2 order + 1)
    const uint8_t* kind;  // (inputs, outputs): 1 where the edge is a spline
    const double* slopes; // (rows, outputs): derivative of the network's output by the layer's sums
};

// The normal equations of one output of a network.
struct Normal {
    int64_t rows, layers, others;
    int64_t locals;  // coefficients of all spline edges
    int64_t size;    // of the matrix: coefficients, weights of residuals, others
    int32_t order, threads;
    const NormalLayer* layer;
    const double* other;  // (rows, others): columns that are given
    double* matrix;       // (size, size): its upper triangle is added to
};

// A chain of layers, each feeding the next, and a table to judge it by; all in float64.
struct Chain {
    int64_t rows, layers;
    int64_t locals, size;   // of the normal equations; see Normal
    const Call* layer;      // (layers): forward calls without rows, x and y
    const double* x;        // (rows, inputs)
    const double* targets;  // (rows, outputs)
    const double* roots;    // (rows): of the rows' weights; null if all are 1
    double* matrix;         // as in Normal, the residual the last column; null if not wanted
    double squares;         // the sum of squared residuals comes here
};

// How the features of every input vary over the rows; all in float64.
struct Moments {
    int64_t rows, inputs, grid;
    int32_t order, uniform, extrapolation, residual, threads;
    const double* x;      // (inputs, rows)
    const double* knots;  // (inputs, grid + 2 order + 1)
    double* count;        // (inputs, grid): rows in every interval
    double* mean;         // (inputs, grid, features): of the features there, else left alone
    double* scatter;      // (inputs, features, features): sums within all intervals are added
};

// Memory of this thread, kept for the next call; aligned to 64 bytes.
char* workspace(int64_t bytes);

// Other memory, aligned to 64 bytes; null if there is none.
char* allocate(int64_t bytes);
void release(char* memory);

// Runs task(data, 0) to task(data, count - 1) in up to so many threads of torch's own pool.
void parallel(int threads, int count, void (*task)(void*, int), void* data);

}  // namespace knotwork
