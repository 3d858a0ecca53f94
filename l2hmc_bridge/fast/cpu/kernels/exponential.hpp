// exp of su(3) elements by Cayley-Hamilton, and the derivative's adjoint.
//
// X^3 = t X + d with t = tr(X^2)/2 and d = det X = i c. Horner's rule on the exponential series in
// the basis 1, X, X^2 is complete to the last bit for |X|_F <= 1; larger X are halved k times and the
// result is squared k times, so the error stays at the conditioning of the problem.
#pragma once
#include <cmath>

#include "exact.hpp"

namespace {

constexpr int TERMS = sizeof(real) == 8 ? 18 : 11;
constexpr int MOST_HALVINGS = 64;

struct Series {
    real inverse_factorial[TERMS + 1];
    constexpr Series() : inverse_factorial() {
        double factorial = 1;
        for (int n = 0; n <= TERMS; n++) {
            if (n > 1) factorial *= n;
            inverse_factorial[n] = 1 / factorial;
        }
    }
};
constexpr Series SERIES;

// q0 + q1 X + q2 X^2, complex coefficients [re, im].
struct Coefficients {
    vec q[3][2];
};

struct Invariants {
    vec t, c;  // tr(X^2)/2 and Im det X
};

// Times X: q -> (d q2, q0 + t q2, q1).
INLINE void times_x(Coefficients& f, const Invariants& x) {
    const vec re = f.q[2][0], im = f.q[2][1];
    for (int part = 0; part < 2; part++) {
        f.q[2][part] = f.q[1][part];
        f.q[1][part] = f.q[0][part] + x.t * (part ? im : re);
    }
    f.q[0][0] = -x.c * im;
    f.q[0][1] = x.c * re;
}

// out = q0 + q1 X + q2 X^2.
INLINE void combine(vec* out, const Coefficients& f, const vec* x, const vec* square) {
    for (int i = 0; i < LINK; i += 2) {
        vec re = f.q[1][0] * x[i] - f.q[1][1] * x[i + 1];
        vec im = f.q[1][0] * x[i + 1] + f.q[1][1] * x[i];
        re += f.q[2][0] * square[i] - f.q[2][1] * square[i + 1];
        im += f.q[2][0] * square[i + 1] + f.q[2][1] * square[i];
        if (i % 8 == 0) {
            re += f.q[0][0];
            im += f.q[0][1];
        }
        out[i] = re;
        out[i + 1] = im;
    }
}

// Halvings that bring |X|_F of every lane of `team` elements [team][8] below 1; lanes that are not a
// number do not count.
INLINE int halvings(const vec* components, int team = 1) {
    vec most = {};
    for (int k = 0; k < team; k++) {
        vec sum = {};
        for (int a = 0; a < ALGEBRA; a++) {
            const vec one = components[k * ALGEBRA + a];
            sum += one * one;
        }
        most = sum > most ? sum : most;
    }
    if (!any(most > 2)) return 0;
    double largest = 0;
    for (int lane = 0; lane < LANES; lane++)
        if (most[lane] > largest) largest = most[lane];
    int count = 0;
    for (double bound = 2; largest > bound && count < MOST_HALVINGS; bound *= 4) count++;
    return count;  // |X|_F^2 = sum / 2
}

// The X halved `count` times, its square and invariants.
INLINE void prepare(const vec* components, int count, Matrix& x, Matrix& square,
                    Invariants& invariants) {
    if (count == 0) assemble(x.v, components);
    else {
        const real scale = std::ldexp(1.0, -count);
        vec scaled[ALGEBRA];
        for (int a = 0; a < ALGEBRA; a++) scaled[a] = components[a] * scale;
        assemble(x.v, scaled);
    }
    mul(square.v, x.v, x.v);
    invariants.t = 0.5 * (square.v[0] + square.v[8] + square.v[16]);
    vec c = {};  // tr X^3 = 3 i c
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            const int p = 2 * (3 * i + j), q = 2 * (3 * j + i);
            c += square.v[p] * x.v[q + 1] + square.v[p + 1] * x.v[q];
        }
    invariants.c = c * (real)(1.0 / 3);
}

// out = the sum of X^n / n! from n = FIRST, 0 or 1, of the halved X.
template <int FIRST>
INLINE void series(vec* out, const vec* components, int count) {
    Matrix x, square;
    Invariants invariants;
    prepare(components, count, x, square, invariants);
    Coefficients f = {};
    f.q[0][0] = splat(SERIES.inverse_factorial[TERMS]);
    for (int n = TERMS - 1; n >= FIRST; n--) {
        times_x(f, invariants);
        f.q[0][0] += SERIES.inverse_factorial[n];
    }
    if (FIRST == 1) times_x(f, invariants);
    combine(out, f, x.v, square.v);
}

// out = exp(sum_a x_a T_a) with `count` halvings.
inline void exponential(vec* out, const vec* components, int count) {
    Matrix spare;
    series<0>(out, components, count);
    for (int k = 0; k < count; k++) {
        copy_link(spare.v, out);
        mul(out, spare.v, spare.v);
    }
}

// out = exp(sum_a x_a T_a) - 1 with `count` halvings.
inline void exponential_less_one(vec* out, const vec* components, int count) {
    Matrix spare;
    series<1>(out, components, count);
    for (int k = 0; k < count; k++) {  // e^2x - 1 = 2 (e^x - 1) + (e^x - 1)^2
        mul(spare.v, out, out);
        for (int i = 0; i < LINK; i++) out[i] = 2.0 * out[i] + spare.v[i];
    }
}

// out = exp(sum_a x_a T_a) u with `count` halvings. In single precision it is u + (exp - 1) u: a number
// just below 1 is rounded upwards more often than not, which the action of a whole lattice would see.
INLINE void rotate(Matrix& out, const vec* components, int count, const vec* u) {
    Matrix e;
    if (sizeof(real) == 8) {
        exponential(e.v, components, count);
        mul(out.v, e.v, u);
    } else {
        exponential_less_one(e.v, components, count);
        copy_link(out.v, u);
        add_mul(out.v, e.v, u);
    }
}

// exp(sum_a x_a T_a) with as many halvings in each lane as its own element needs.
inline void exponential_alone(Matrix& e, const vec* components) {
    vec sum = {}, scale = splat(1), scaled[ALGEBRA];
    for (int a = 0; a < ALGEBRA; a++) sum += components[a] * components[a];
    int most = 0, counts[LANES] = {};
    if (any(sum > 2))
        for (int lane = 0; lane < LANES; lane++) {
            int& count = counts[lane];
            for (double bound = 2; sum[lane] > bound && count < MOST_HALVINGS; bound *= 4) count++;
            scale[lane] = std::ldexp(1.0, -count);
            most = count > most ? count : most;
        }
    for (int a = 0; a < ALGEBRA; a++) scaled[a] = components[a] * scale;
    Matrix spare;
    series<0>(e.v, scaled, 0);
    for (int k = 0; k < most; k++) {
        lanes_index more;
        for (int lane = 0; lane < LANES; lane++) more[lane] = counts[lane] > k ? -1 : 0;
        mul(spare.v, e.v, e.v);
        for (int i = 0; i < LINK; i++) e.v[i] = more ? spare.v[i] : e.v[i];
    }
}

// exp(sum_a x_a T_a) u, each lane by itself.
inline void rotate_alone(Matrix& out, const vec* components, const vec* u) {
    Matrix e;
    exponential_alone(e, components);
    mul(out.v, e.v, u);
}

// out[k] = exp(step X) u of link `at` of each part of a field; calls up those of a later link, which will
// go to `target`.
INLINE void rotate_parts(Matrix* out, const Lattice& lattice, real step, const vec* x, const vec* u,
                         const vec* target, long at) {
    constexpr int SOON = 2;
    vec scaled[TEAM][ALGEBRA];
    for (int k = 0; k < lattice.parts; k++) {
        const long there = lattice.volume * 4 * k + at;
        call_up<true, 1>(target + (there + SOON) * LINK, LINK);
        if (target != u) call_up<false, 1>(u + (there + SOON) * LINK, LINK);
        call_up<false, 1>(x + (there + SOON) * ALGEBRA, ALGEBRA);
        for (int a = 0; a < ALGEBRA; a++) scaled[k][a] = step * x[there * ALGEBRA + a];
    }
    if (lattice.alone) {
        for (int k = 0; k < lattice.parts; k++)
            rotate_alone(out[k], scaled[k], u + (lattice.volume * 4 * k + at) * LINK);
        return;
    }
    const int count = halvings(scaled[0], lattice.parts);
    for (int k = 0; k < lattice.parts; k++)
        rotate(out[k], scaled[k], count, u + (lattice.volume * 4 * k + at) * LINK);
}

// tr(a b), complex.
INLINE void complex_trace(const vec* a, const vec* b, vec* out) {
    out[0] = out[1] = vec{};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            const int p = 2 * (3 * i + j), q = 2 * (3 * j + i);
            out[0] += a[p] * b[q] - a[p + 1] * b[q + 1];
            out[1] += a[p] * b[q + 1] + a[p + 1] * b[q];
        }
}

// out += z m with a complex number z.
INLINE void add_scaled(vec* out, const vec* z, const vec* m) {
    for (int i = 0; i < LINK; i += 2) {
        out[i] += z[0] * m[i] - z[1] * m[i + 1];
        out[i + 1] += z[0] * m[i + 1] + z[1] * m[i];
    }
}

// exp X in `value`, and in `change` its derivative along a general complex N (destroyed): through
// the coefficients, q_i N-dependent by dt = tr(X N), dd = tr(X^2 N), for the traceless part of N.
inline void exponential_derivative(const vec* components, Matrix& n, Matrix& value,
                                   Matrix& change) {
    Matrix x, square, spare;
    Invariants invariants;
    const int count = halvings(components);
    prepare(components, count, x, square, invariants);
    const real third = 1.0 / 3, scale = std::ldexp(1.0, -count);
    vec mean[2] = {(n.v[0] + n.v[8] + n.v[16]) * third, (n.v[1] + n.v[9] + n.v[17]) * third};
    for (int i = 0; i < 3; i++) n.v[8 * i] -= mean[0], n.v[8 * i + 1] -= mean[1];
    for (int i = 0; i < LINK; i++) n.v[i] *= scale;
    vec dt[2], dd[2];
    complex_trace(x.v, n.v, dt);
    complex_trace(square.v, n.v, dd);

    Coefficients f = {}, g = {};  // g: change of f
    f.q[0][0] = splat(SERIES.inverse_factorial[TERMS]);
    for (int k = TERMS - 1; k >= 0; k--) {
        const vec re = f.q[2][0], im = f.q[2][1];
        times_x(g, invariants);
        times_x(f, invariants);
        g.q[0][0] += dd[0] * re - dd[1] * im;
        g.q[0][1] += dd[0] * im + dd[1] * re;
        g.q[1][0] += dt[0] * re - dt[1] * im;
        g.q[1][1] += dt[0] * im + dt[1] * re;
        f.q[0][0] += SERIES.inverse_factorial[k];
    }
    combine(value.v, f, x.v, square.v);
    combine(change.v, g, x.v, square.v);
    add_scaled(change.v, f.q[1], n.v);
    mul(spare.v, x.v, n.v);
    add_mul(spare.v, n.v, x.v);
    add_scaled(change.v, f.q[2], spare.v);
    for (int k = 0; k < count; k++) {
        mul(spare.v, value.v, change.v);
        add_mul(spare.v, change.v, value.v);
        copy_link(change.v, spare.v);
        mul(spare.v, value.v, value.v);
        copy_link(value.v, spare.v);
    }
    add_scaled(change.v, mean, value.v);
}

}  // namespace
