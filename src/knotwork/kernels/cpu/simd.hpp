// Vectors of one width, chosen when the file is compiled, and the exponential on plain loops.
//
// Everything here is compiled once for each instruction set.  Nothing may be a template of the
// standard library: the linker would keep one copy, and might keep the one that the machine at
// hand cannot execute.
#pragma once

#include <cstdint>
#include <cstring>

#define INLINE static inline __attribute__((always_inline))

namespace knotwork::KNOTWORK_SET {

constexpr int VECTOR_BYTES = KNOTWORK_VECTOR_BYTES;
// Outputs are handled in strips of so many vectors: the coefficients of a cubic, its residual and
// its sums then fit into sixteen registers.
constexpr int STRIP_VECTORS = 2;

template <class T> struct Simd;

template <> struct Simd<float> {
    typedef float Vector __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
    typedef float Lanes4 __attribute__((vector_size(16), aligned(4), may_alias));
    typedef float Lanes8 __attribute__((vector_size(32), aligned(4), may_alias));
    typedef int32_t Integer;
    static constexpr int MANTISSA = 23, BIAS = 127, TERMS = 8;
    static constexpr float ROUND = 12582912.0f;  // 1.5 * 2^23
    static constexpr float LEAST = -87.0f, MOST = 88.0f;
    static constexpr float LOG2_HIGH = 0.693359375f, LOG2_LOW = -2.12194440e-4f;
};

template <> struct Simd<double> {
    typedef double Vector __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
    typedef double Lanes4 __attribute__((vector_size(32), aligned(8), may_alias));
    typedef double Lanes8 __attribute__((vector_size(64), aligned(8), may_alias));
    typedef int64_t Integer;
    static constexpr int MANTISSA = 52, BIAS = 1023, TERMS = 14;
    static constexpr double ROUND = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr double LEAST = -708.0, MOST = 709.0;
    static constexpr double LOG2_HIGH = 6.93145751953125e-1, LOG2_LOW = 1.42860682030941723212e-6;
};

template <class T> constexpr int LANES = VECTOR_BYTES / int(sizeof(T));
template <class T> constexpr int STRIP = STRIP_VECTORS * LANES<T>;

template <class T> using Vector = typename Simd<T>::Vector;

template <class T> INLINE Vector<T> load(const T* from) {
    return *reinterpret_cast<const Vector<T>*>(from);
}

template <class T> INLINE void store(T* to, Vector<T> value) {
    *reinterpret_cast<Vector<T>*>(to) = value;
}

// The sum of a vector's lanes, by halves.
template <class T> INLINE T sum(Vector<T> value) {
    T lanes[LANES<T>];
    store(lanes, value);
    for (int width = LANES<T> / 2; width > 0; width /= 2)
        for (int lane = 0; lane < width; lane++) lanes[lane] += lanes[lane + width];
    return lanes[0];
}

template <class T> INLINE T least(T a, T b) { return a < b ? a : b; }
template <class T> INLINE T most(T a, T b) { return a > b ? a : b; }

// exp(x), to rounding; written so that a loop over it becomes vector code.  exp(nan) is nan.
//
// x = n log 2 + r with |r| <= log(2) / 2, then the Taylor series of exp(r) times 2^n.
template <class T> INLINE T exponential(T x) {
    typedef Simd<T> S;
    typedef typename S::Integer Integer;
    x = x < S::LEAST ? S::LEAST : x;
    x = x > S::MOST ? S::MOST : x;
    // Adding a large number rounds to an integer and leaves it in the lowest bits.
    const T shifted = x * T(1.4426950408889634) + S::ROUND;
    const T whole = shifted - S::ROUND;
    const T rest = (x - whole * S::LOG2_HIGH) - whole * S::LOG2_LOW;
    T series = 1;
    for (int term = S::TERMS - 1; term > 0; term--) 
        series = series * (rest * (T(1) / T(term))) + T(1);
    Integer bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = Integer(typename S::Integer(bits + S::BIAS) << S::MANTISSA);
    T scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return series * scale;
}

}  // namespace knotwork::KNOTWORK_SET
