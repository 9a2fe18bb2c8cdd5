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

// Memory of this thread, kept for the next call; aligned to 64 bytes.
char* workspace(int64_t bytes);

// Runs task(data, 0) to task(data, count - 1) in up to so many threads of torch's own pool.
void parallel(int threads, int count, void (*task)(void*, int), void* data);

}  // namespace knotwork
