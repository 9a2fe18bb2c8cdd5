// The layer for one instruction set, KNOTWORK_SET; compiled once for each.
#include "layer.hpp"
#include "moments.hpp"
#include "normal.hpp"

namespace knotwork::KNOTWORK_SET {

template <class T, int K> static bool run(const Call& call, const Share& share) {
    if (call.backward) return backward<T, K>(call, share);
    return forward<T, K>(call, share);
}

template <class T> static bool run_order(const Call& call, const Share& share) {
    switch (call.order) {
        case 1: return run<T, 1>(call, share);
        case 2: return run<T, 2>(call, share);
        case 3: return run<T, 3>(call, share);
        case 4: return run<T, 4>(call, share);
        case 5: return run<T, 5>(call, share);
    }
    return false;
}

bool run_normal(const Normal& call) {
    switch (call.order) {
        case 1: return normal<1>(call);
        case 2: return normal<2>(call);
        case 3: return normal<3>(call);
        case 4: return normal<4>(call);
        case 5: return normal<5>(call);
    }
    return false;
}

bool run_moments(const Moments& call, int threads) {
    switch (call.order) {
        case 1: return moments<1>(call, threads);
        case 2: return moments<2>(call, threads);
        case 3: return moments<3>(call, threads);
        case 4: return moments<4>(call, threads);
        case 5: return moments<5>(call, threads);
    }
    return false;
}

bool run_float(const Call& call, const Share& share) {
    return run_order<float>(call, share);
}

bool run_double(const Call& call, const Share& share) {
    return run_order<double>(call, share);
}

}  // namespace knotwork::KNOTWORK_SET
