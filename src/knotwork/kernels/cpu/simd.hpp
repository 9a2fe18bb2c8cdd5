// Vectors of one width, chosen when the file is compiled, and what is done with them.
//
// Everything here is compiled once for each instruction set.  Nothing may be a template of the
// standard library: the linker would keep one copy, and might keep the one that the machine at
// hand cannot execute.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__SSE__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
// For innermost loops: among others' variables they would run out of registers.
#define NOINLINE static __attribute__((noinline))

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
    typedef int32_t Integers __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
    static constexpr int MANTISSA = 23, BIAS = 127, TERMS = 8;
    static constexpr float ROUND = 12582912.0f;  // 1.5 * 2^23
    static constexpr float LEAST = -87.0f, MOST = 88.0f;
    static constexpr float LOG2_HIGH = 0.693359375f, LOG2_LOW = -2.12194440e-4f;
};

template <> struct Simd<double> {
    typedef double Vector __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
    typedef double Lanes4 __attribute__((vector_size(32), aligned(8), may_alias));
    typedef double Lanes8 __attribute__((vector_size(64), aligned(8), may_alias));
    typedef int64_t Integers __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
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

// Writes without reading the line first, for what will not be needed soon; `to` is aligned to whole
// vectors.
template <class T> INLINE void store_past_cache(T* to, Vector<T> value) {
#if defined(__AVX512F__)
    _mm512_stream_ps(reinterpret_cast<float*>(to), reinterpret_cast<const __m512&>(value));
#elif defined(__AVX__)
    _mm256_stream_ps(reinterpret_cast<float*>(to), reinterpret_cast<const __m256&>(value));
#elif defined(__SSE__)
    _mm_stream_ps(reinterpret_cast<float*>(to), reinterpret_cast<const __m128&>(value));
#else
    store(to, value);
#endif
}

// Makes what was written past the caches visible to other threads.
INLINE void finish_stores() {
#if defined(__SSE__)
    _mm_sfence();
#endif
}

// The sum of N lanes, by halves.
template <int N, class V> INLINE auto sum(V v) {
    if constexpr (N == 16)
        return sum<8>(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                      __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15));
    else if constexpr (N == 8)
        return sum<4>(__builtin_shufflevector(v, v, 0, 1, 2, 3) +
                      __builtin_shufflevector(v, v, 4, 5, 6, 7));
    else if constexpr (N == 4)
        return sum<2>(__builtin_shufflevector(v, v, 0, 1) + __builtin_shufflevector(v, v, 2, 3));
    else
        return v[0] + v[1];
}

template <class T> INLINE T least(T a, T b) { return a < b ? a : b; }
template <class T> INLINE T most(T a, T b) { return a > b ? a : b; }

// 1 / n!
constexpr double INVERSE_FACTORIALS[] = {
    1.0,       1.0,        1.0 / 2,       1.0 / 6,        1.0 / 24,        1.0 / 120,        1.0 / 720,
    1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600,
    1.0 / 6227020800};

// exp(x), to rounding; infinite where it would overflow.  exp(nan) is nan.
//
// x = n log 2 + r with |r| <= log(2) / 2, then the Taylor series of exp(r) times 2^n.
template <class T> INLINE Vector<T> exponential(Vector<T> x) {
    typedef Simd<T> S;
    const Vector<T> lowest = Vector<T>{} + S::LEAST, highest = Vector<T>{} + S::MOST;
    const auto overflows = x > highest;
    x = x < lowest ? lowest : x;
    x = overflows ? highest : x;
    // Adding a large number rounds to an integer and leaves it in the lowest bits.
    const Vector<T> shifted = x * T(1.4426950408889634) + S::ROUND;
    const Vector<T> whole = shifted - S::ROUND;
    const Vector<T> rest = (x - whole * S::LOG2_HIGH) - whole * S::LOG2_LOW;
    // Even and odd powers apart: half as many steps that wait for one another.
    const Vector<T> square = rest * rest;
    Vector<T> even = {}, odd = {};
    for (int power = S::TERMS - 2; power >= 0; power -= 2) {
        even = even * square + T(INVERSE_FACTORIALS[power]);
        odd = odd * square + T(INVERSE_FACTORIALS[power + 1]);
    }
    const Vector<T> series = even + rest * odd;
    const auto bits = reinterpret_cast<const typename S::Integers&>(shifted);
    const auto scale = (bits + S::BIAS) << S::MANTISSA;
    const Vector<T> infinite = Vector<T>{} + T(__builtin_inf());
    return overflows ? infinite : series * reinterpret_cast<const Vector<T>&>(scale);
}

// Swaps rows and columns: to[c * to_pitch + r] = from[r * from_pitch + c].
template <class T>
INLINE void transpose(const T* from, int64_t from_pitch, int64_t rows, int64_t columns, T* to,
                      int64_t to_pitch) {
    typedef typename Simd<T>::Lanes4 Four;
    const auto four = [](const T* at) { return *reinterpret_cast<const Four*>(at); };
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        int64_t c = 0;
        for (; c + 4 <= columns; c += 4) {
            const T* at = from + r * from_pitch + c;
            const Four a = four(at), b = four(at + from_pitch);
            const Four d = four(at + 2 * from_pitch), e = four(at + 3 * from_pitch);
            const Four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
            const Four ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
            const Four de_low = __builtin_shufflevector(d, e, 0, 4, 1, 5);
            const Four de_high = __builtin_shufflevector(d, e, 2, 6, 3, 7);
            T* out = to + c * to_pitch + r;
            const auto put = [&](int row, Four value) {
                *reinterpret_cast<Four*>(out + row * to_pitch) = value;
            };
            put(0, __builtin_shufflevector(ab_low, de_low, 0, 1, 4, 5));
            put(1, __builtin_shufflevector(ab_low, de_low, 2, 3, 6, 7));
            put(2, __builtin_shufflevector(ab_high, de_high, 0, 1, 4, 5));
            put(3, __builtin_shufflevector(ab_high, de_high, 2, 3, 6, 7));
        }
        for (; c < columns; c++)
            for (int64_t row = r; row < r + 4; row++)
                to[c * to_pitch + row] = from[row * from_pitch + c];
    }
    for (; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) to[c * to_pitch + r] = from[r * from_pitch + c];
}

}  // namespace knotwork::KNOTWORK_SET
