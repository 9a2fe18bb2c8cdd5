// The k + 1 basis functions that do not vanish at a point, and the residual, with derivatives.
//
// On every interval the bases are polynomials of the position u in it, 0 to 1.  Outside the knots
// they are polynomials too, whatever the rule of extrapolation, so a point has a *class*: below,
// one of the intervals, above.  A table holds the polynomials of every class; evenly spaced knots
// need one for all intervals.
#pragma once

#include <cmath>

#include "simd.hpp"

namespace knotwork::KNOTWORK_SET {

enum Extrapolation { LINEAR, CONSTANT, CONTINUE, ZERO };
enum Residual { NONE, SILU, IDENTITY, TANH, SIN };

// Basis values are stored in groups of this size.
template <int K> constexpr int GROUP = K < 4 ? 4 : 8;

// Polynomials in u of the bases on the interval (knots[k - 1], knots[k]), by the Cox-de Boor
// recurrence: pieces[a][p] is the coefficient of u^p in the a-th.
template <class T, int K> INLINE void interval_pieces(const T* knots, double pieces[K + 1][K + 1]) {
    const double left = knots[K - 1], width = double(knots[K]) - left;
    double lower[K + 1][K + 1] = {{1}};
    for (int order = 1; order <= K; order++) {
        double higher[K + 1][K + 1] = {};
        for (int r = 0; r < order; r++) {
            const double start = knots[K - order + r], end = knots[K + r];
            const double share = 1 / (end - start);
            for (int p = 0; p < order; p++) {
                const double value = lower[r][p] * share;
                higher[r + 1][p] += value * (left - start);
                higher[r + 1][p + 1] += value * width;
                higher[r][p] += value * (end - left);
                higher[r][p + 1] -= value * width;
            }
        }
        std::memcpy(lower, higher, sizeof lower);
    }
    std::memcpy(pieces, lower, sizeof lower);
}

// What the bases become beyond the end of an interval, at u = 0 (below) or u = 1 (above).
template <int K> INLINE void extrapolate(double pieces[K + 1][K + 1], int end, int rule) {
    if (rule == CONTINUE) return;
    for (int a = 0; a <= K; a++) {
        double value = pieces[a][0], slope = pieces[a][1];
        for (int p = 1; end && p <= K; p++) value += pieces[a][p];
        for (int p = 2; end && p <= K; p++) slope += p * pieces[a][p];
        for (int p = 0; p <= K; p++) pieces[a][p] = 0;
        if (rule == LINEAR) {
            pieces[a][0] = end ? value - slope : value;
            pieces[a][1] = slope;
        } else if (rule == CONSTANT) {
            pieces[a][0] = value;
        }
    }
}

// The polynomials of one input's bases for every class of points.
template <class T, int K> struct Pieces {
    static constexpr int L = GROUP<K>;
    const T* breaks;
    int64_t grid;
    bool uniform;
    int rule;
    T width;
    T* values;  // (class, K + 1 powers, L bases)
    T* slopes;  // (class, K powers, L bases)

    static int64_t size(int64_t grid, bool uniform) {
        return (uniform ? 3 : grid + 2) * (2 * K + 1) * L;
    }

    INLINE Pieces make(const T* knots, int64_t grid, bool uniform, int rule, T* memory) {
        const int64_t classes = uniform ? 3 : grid + 2;
        Pieces self{knots + K, grid, uniform, rule, 0, memory, memory + classes * (K + 1) * L};
        self.width = (knots[K + grid] - knots[K]) / T(grid);
        for (int64_t kind = 0; kind < classes; kind++) {
            const bool below = kind == 0, above = kind == classes - 1;
            const int64_t interval = below ? 0 : above ? grid - 1 : kind - 1;
            double pieces[K + 1][K + 1];
            double width = self.width;
            if (uniform) {
                T even[2 * K];
                for (int t = 0; t < 2 * K; t++) even[t] = T(t);
                interval_pieces<T, K>(even, pieces);
            } else {
                interval_pieces<T, K>(knots + interval + 1, pieces);
                width = double(self.breaks[interval + 1]) - double(self.breaks[interval]);
            }
            if (below || above) extrapolate<K>(pieces, above, rule);
            for (int p = 0; p <= K; p++)
                for (int a = 0; a < L; a++) {
                    const double piece = a <= K ? pieces[a][p] : 0;
                    self.values[(kind * (K + 1) + p) * L + a] = T(piece);
                    if (p) self.slopes[(kind * K + p - 1) * L + a] = T(p * piece / width);
                }
        }
        return self;
    }

    // First basis, class and position of every point.  nan stays in the position.
    INLINE void place(const Pieces& self, const T* x, int64_t rows, int32_t* first, int32_t* kind,
                      T* position) {
        const T low = self.breaks[0], high = self.breaks[self.grid], width = self.width;
        const int32_t last = int32_t(self.grid - 1);
        const bool clamps = self.rule == CONSTANT || self.rule == ZERO;
        if (self.uniform) {
            for (int64_t n = 0; n < rows; n++) {
                T inside = x[n] < low ? low : x[n];
                inside = inside > high ? high : inside;
                const T where = (inside - low) / width;
                int32_t start = int32_t(inside >= low ? where : T(0));
                start = start > last ? last : start;
                const T point = clamps ? inside : x[n];
                first[n] = start;
                kind[n] = x[n] < low ? 0 : x[n] > high ? 2 : 1;
                position[n] = (point - low) / width - T(start);
            }
            return;
        }
        for (int64_t n = 0; n < rows; n++) {
            T inside = x[n] < low ? low : x[n];
            inside = inside > high ? high : inside;
            // The last break that is not above the point; nan goes to the last interval.
            int32_t start = 0;
            for (int32_t length = last + 1; length > 1;) {
                const int32_t half = length / 2;
                start = inside < self.breaks[start + half] ? start : start + half;
                length -= half;
            }
            const T left = self.breaks[start];
            const T point = clamps ? inside : x[n];
            first[n] = start;
            kind[n] = x[n] < low ? 0 : x[n] > high ? last + 2 : start + 1;
            position[n] = (point - left) / (self.breaks[start + 1] - left);
        }
    }
};

template <class T, int L> struct LanesOf;
template <class T> struct LanesOf<T, 4> { typedef typename Simd<T>::Lanes4 type; };
template <class T> struct LanesOf<T, 8> { typedef typename Simd<T>::Lanes8 type; };

// Polynomials with POWERS coefficients, one table entry a class, at every position (Horner).
template <class T, int L, int POWERS>
INLINE void evaluate(const T* table, const int32_t* kind, const T* position, int64_t rows, T* out) {
    typedef typename LanesOf<T, L>::type Lanes;
    for (int64_t n = 0; n < rows; n++) {
        const T* entry = table + kind[n] * (POWERS * L);
        Lanes value = *reinterpret_cast<const Lanes*>(entry + (POWERS - 1) * L);
        for (int p = POWERS - 2; p >= 0; p--)
            value = value * position[n] + *reinterpret_cast<const Lanes*>(entry + p * L);
        // A constant polynomial has forgotten the point: nan must stay nan.
        if (POWERS == 1) value += position[n] * 0;
        *reinterpret_cast<Lanes*>(out + n * L) = value;
    }
}

template <class T> INLINE void residual_values(int residual, const T* x, int64_t rows, T* out) {
    if (residual == SILU)
        for (int64_t n = 0; n < rows; n++) out[n] = x[n] / (1 + exponential(-x[n]));
    else if (residual == IDENTITY)
        for (int64_t n = 0; n < rows; n++) out[n] = x[n];
    else if (residual == TANH)
        for (int64_t n = 0; n < rows; n++) out[n] = std::tanh(x[n]);
    else if (residual == SIN)
        for (int64_t n = 0; n < rows; n++) out[n] = std::sin(x[n]);
}

template <class T> INLINE void residual_slopes(int residual, const T* x, int64_t rows, T* out) {
    if (residual == SILU)
        for (int64_t n = 0; n < rows; n++) {
            const T gate = 1 / (1 + exponential(-x[n]));
            out[n] = gate * (1 + x[n] * (1 - gate));
        }
    else if (residual == IDENTITY)
        for (int64_t n = 0; n < rows; n++) out[n] = 1;
    else if (residual == TANH)
        for (int64_t n = 0; n < rows; n++) out[n] = 1 - std::tanh(x[n]) * std::tanh(x[n]);
    else if (residual == SIN)
        for (int64_t n = 0; n < rows; n++) out[n] = std::cos(x[n]);
}

}  // namespace knotwork::KNOTWORK_SET
