// The k + 1 basis functions that do not vanish at a point, and the residual, with derivatives.
//
// On every interval the bases are polynomials of the position u in it, 0 to 1.  Outside the knots
// they are polynomials too, whatever the rule of extrapolation, so a point has a *class*: below,
// one of the intervals, above.  A table holds the polynomials of every class; evenly spaced knots
// need one for all intervals.
#pragma once

#include <cmath>

#include "library.hpp"
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
    int64_t grid;
    bool uniform;
    int rule;
    const T* breaks;
    T width;
    T* values;  // (class, K + 1 powers, L bases)
    T* slopes;  // (class, K powers, L bases)
    T* unit;    // slopes on intervals of length 1, if evenly spaced

    static int64_t size(int64_t grid, bool uniform) {
        return uniform ? 3 * (3 * K + 1) * L : (grid + 2) * (2 * K + 1) * L;
    }

    int64_t classes() const { return uniform ? 3 : grid + 2; }

    Pieces(const Call& call, T* memory) {
        grid = call.grid;
        uniform = call.uniform;
        rule = call.extrapolation;
        values = memory;
        slopes = values + classes() * (K + 1) * L;
        unit = slopes + classes() * K * L;
        if (!uniform) return;
        T even[2 * K];
        for (int t = 0; t < 2 * K; t++) even[t] = T(t);
        for (int kind = 0; kind < 3; kind++) set(kind, even, 1, unit);
    }

    // Sets the polynomials of one class, on an interval with these knots around it.
    void set(int64_t kind, const T* around, double length, T* derivatives) {
        double pieces[K + 1][K + 1];
        interval_pieces<T, K>(around, pieces);
        const bool above = kind == classes() - 1;
        if (kind == 0 || above) extrapolate<K>(pieces, above, rule);
        for (int p = 0; p <= K; p++)
            for (int a = 0; a < L; a++) {
                const double piece = a <= K ? pieces[a][p] : 0;
                values[(kind * (K + 1) + p) * L + a] = T(piece);
                if (p) derivatives[(kind * K + p - 1) * L + a] = T(p * piece / length);
            }
    }

    // Moves on to an input with these knots.
    void move(const T* knots) {
        breaks = knots + K;
        width = (breaks[grid] - breaks[0]) / T(grid);
        for (int64_t at = 0; uniform && at < 3 * K * L; at++) slopes[at] = unit[at] / width;
        for (int64_t kind = 0; !uniform && kind < classes(); kind++) {
            const int64_t interval = least(most<int64_t>(kind - 1, 0), grid - 1);
            const double length = double(breaks[interval + 1]) - double(breaks[interval]);
            set(kind, knots + interval + 1, length, slopes);
        }
    }

    // First basis, class and position of every point.  nan stays in the position.
    void place(const T* __restrict x, int64_t rows, int32_t* __restrict first,
               int32_t* __restrict kind, T* __restrict position) const {
        const T low = breaks[0], high = breaks[grid];
        const int32_t last = int32_t(grid - 1);
        const bool clamps = rule == CONSTANT || rule == ZERO;
        if (uniform) {
            const T width = this->width;
            const T end = (high - low) / width;
            for (int64_t n = 0; n < rows; n++) {
                T where = (x[n] - low) / width;
                // Knots that all lie on one point, or are nan, have no interval: any will do.
                T inside = where > 0 ? where : T(0);
                inside = inside < T(last) ? inside : T(last);
                first[n] = int32_t(inside);
                where = clamps && x[n] < low ? T(0) : where;
                where = clamps && x[n] > high ? end : where;
                position[n] = where - T(int32_t(inside));
            }
            for (int64_t n = 0; n < rows; n++) kind[n] = 1 + (x[n] > high) - (x[n] < low);
            return;
        }
        for (int64_t n = 0; n < rows; n++) {
            const T inside = x[n] < low ? low : x[n];
            position[n] = inside > high ? high : inside;
            first[n] = 0;
        }
        // The last break that is not above the point, by bisection; every step takes all rows, so
        // that it is vector code.  nan goes to the last interval.
        for (int32_t length = last + 1; length > 1;) {
            const int32_t half = length / 2;
            for (int64_t n = 0; n < rows; n++)
                first[n] += position[n] < breaks[first[n] + half] ? 0 : half;
            length -= half;
        }
        for (int64_t n = 0; n < rows; n++) {
            const T left = breaks[first[n]], right = breaks[first[n] + 1];
            kind[n] = x[n] < low ? 0 : x[n] > high ? last + 2 : first[n] + 1;
            position[n] = ((clamps ? position[n] : x[n]) - left) / (right - left);
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

// The residual (if `values`) and its derivative (if `slopes`) at every point.  Arrays may be
// written, and x read, up to the next whole vector.
template <class T>
static void residual_at(int residual, const T* x, int64_t rows, T* values, T* slopes) {
    for (int64_t n = 0; n < rows && residual == SILU; n += LANES<T>) {
        const Vector<T> at = load(x + n);
        const Vector<T> gate = T(1) / (T(1) + exponential<T>(-at));
        if (values) store(values + n, at * gate);
        if (slopes) store(slopes + n, gate * (T(1) + at * (T(1) - gate)));
    }
    for (int64_t n = 0; n < rows && residual > SILU; n++) {
        const T at = x[n];
        const T value = residual == IDENTITY ? at : residual == TANH ? std::tanh(at) : std::sin(at);
        if (values) values[n] = value;
        if (slopes)
            slopes[n] = residual == IDENTITY ? T(1)
                        : residual == TANH   ? 1 - value * value
                                             : std::cos(at);
    }
}

}  // namespace knotwork::KNOTWORK_SET
