// 8 x 8 matrices on su(3): what a link's smearing does to a change of the link, and its determinant.
//
// With x = components of TA(M), M = U A, y = -rho x and Z = ad Y the Jacobian of U -> exp(Y) U is, up to
// a factor of determinant 1, T = cosh(Z/2) - rho (sinh(Z/2) / (Z/2)) P with the symmetric
// P_ab = Re tr M delta_ab / 3 + d_abc u_c / 2, u_c = Re tr(lambda_c M). Both series are polynomials of third
// degree in W = (Z/2)^2: its eigenvalues, 0 and three pairs, are roots of W^4 = e1 W^3 - e2 W^2 + e3 W with
// e1 = -3/8 |y|^2, e2 = e1^2 / 4, e3 = -(|y|^6 / 16 - 27 c^2) / 64, c = Im det Y = -d_abc y_a y_b y_c / 12.
#pragma once
#include "elementary.hpp"

namespace {

constexpr int MOST_SQUARES = 12;  // powers of (Z/2)^2; |Z| < 1.5 needs 9
constexpr double HALF_ROOT3 = ROOT3 / 2;

struct Eight {
    vec m[ALGEBRA][ALGEBRA];
};

// 1 / n!
struct Factorials {
    real inverse[2 * MOST_SQUARES + 2];
    constexpr Factorials() : inverse() {
        double factorial = 1;
        for (int n = 0; n < 2 * MOST_SQUARES + 2; n++) {
            if (n > 1) factorial *= n;
            inverse[n] = 1 / factorial;
        }
    }
};
constexpr Factorials FACTORIALS;

constexpr int ROWS_AT_ONCE = WIDTH == 64 ? 2 : 1;  // as many sums as registers hold

// c = a b; c must not overlap a or b.
__attribute__((noinline)) void times(Eight& c, const Eight& a, const Eight& b) {
    for (int i = 0; i < ALGEBRA; i += ROWS_AT_ONCE) {
        vec sum[ROWS_AT_ONCE][ALGEBRA] = {};
#pragma GCC unroll 8
        for (int k = 0; k < ALGEBRA; k++)
#pragma GCC unroll 8
            for (int j = 0; j < ALGEBRA; j++)
#pragma GCC unroll 2
                for (int r = 0; r < ROWS_AT_ONCE; r++) sum[r][j] += a.m[i + r][k] * b.m[k][j];
#pragma GCC unroll 2
        for (int r = 0; r < ROWS_AT_ONCE; r++)
#pragma GCC unroll 8
            for (int j = 0; j < ALGEBRA; j++) c.m[i + r][j] = sum[r][j];
    }
}

INLINE vec inner(const Eight& a, const Eight& b) {
    vec sum[4] = {};
    for (int i = 0; i < ALGEBRA; i++)
        for (int j = 0; j < ALGEBRA; j++) sum[j % 4] += a.m[i][j] * b.m[i][j];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// u_c = Re tr(lambda_c m).
INLINE void hermitian(vec* u, const vec* m) {
    u[0] = m[2] + m[6];
    u[1] = m[7] - m[3];
    u[2] = m[0] - m[8];
    u[3] = m[4] + m[12];
    u[4] = m[13] - m[5];
    u[5] = m[10] + m[14];
    u[6] = m[15] - m[11];
    u[7] = (m[0] + m[8] - 2.0 * m[16]) * (real)(1.0 / ROOT3);
}

INLINE void set_pair(Eight& e, int a, int b, vec value) { e.m[a][b] = e.m[b][a] = value; }
INLINE void set_turn(Eight& e, int a, int b, vec value) {
    e.m[a][b] = value;
    e.m[b][a] = -value;
}

// P of M.
INLINE void symmetric_part(Eight& p, const vec* m) {
    constexpr real R = 1.0 / ROOT3;
    vec u[ALGEBRA], q[ALGEBRA];
    hermitian(u, m);
    const vec mean = (m[0] + m[8] + m[16]) * (real)(1.0 / 3);
    for (int a = 0; a < ALGEBRA; a++) q[a] = 0.25 * u[a];
    for (int a = 0; a < ALGEBRA; a++)
        for (int b = 0; b < ALGEBRA; b++) p.m[a][b] = vec{};
    const vec eighth = q[7] * R;
    for (int a = 0; a < 3; a++) {
        p.m[a][a] = mean + 2.0 * eighth;
        set_pair(p, a, 7, 2.0 * R * q[a]);
    }
    for (int a = 3; a < 7; a++) {
        p.m[a][a] = a < 5 ? mean - eighth + q[2] : mean - eighth - q[2];
        set_pair(p, a, 7, -R * q[a]);
    }
    p.m[7][7] = mean - 2.0 * eighth;
    set_pair(p, 0, 3, q[5]), set_pair(p, 0, 5, q[3]), set_pair(p, 3, 5, q[0]);
    set_pair(p, 0, 4, q[6]), set_pair(p, 0, 6, q[4]), set_pair(p, 4, 6, q[0]);
    set_pair(p, 1, 4, q[5]), set_pair(p, 1, 5, q[4]), set_pair(p, 4, 5, q[1]);
    set_pair(p, 1, 3, -q[6]), set_pair(p, 1, 6, -q[3]), set_pair(p, 3, 6, -q[1]);
    set_pair(p, 2, 3, q[3]), set_pair(p, 2, 4, q[4]);
    set_pair(p, 2, 5, -q[5]), set_pair(p, 2, 6, -q[6]);
}

// The gradient of `mean` and u from that of P.
INLINE void symmetric_pullback(const Eight& p, vec* to_u, vec& to_trace) {
    constexpr real R = 1.0 / ROOT3;
    const auto s = [&](int a, int b) { return p.m[a][b] + p.m[b][a]; };
    const vec first = p.m[0][0] + p.m[1][1] + p.m[2][2], lower = p.m[3][3] + p.m[4][4],
              last = p.m[5][5] + p.m[6][6];
    to_u[0] = 2.0 * R * s(0, 7) + s(3, 5) + s(4, 6);
    to_u[1] = 2.0 * R * s(1, 7) + s(4, 5) - s(3, 6);
    to_u[2] = 2.0 * R * s(2, 7) + lower - last;
    to_u[3] = -R * s(3, 7) + s(0, 5) - s(1, 6) + s(2, 3);
    to_u[4] = -R * s(4, 7) + s(0, 6) + s(1, 5) + s(2, 4);
    to_u[5] = -R * s(5, 7) + s(0, 3) + s(1, 4) - s(2, 5);
    to_u[6] = -R * s(6, 7) + s(0, 4) - s(1, 3) - s(2, 6);
    to_u[7] = R * (2.0 * (first - p.m[7][7]) - lower - last);
    for (int a = 0; a < ALGEBRA; a++) to_u[a] *= 0.25;
    to_trace = (first + lower + last + p.m[7][7]) * (real)(1.0 / 3);
}

// Z_ab = f_abc y_c, so that Z p are the components of [Y, p].
INLINE void adjoint(Eight& z, const vec* y) {
    constexpr real H = HALF_ROOT3;
    vec h[ALGEBRA];
    for (int a = 0; a < ALGEBRA; a++) h[a] = 0.5 * y[a];
    for (int a = 0; a < ALGEBRA; a++)
        for (int b = 0; b < ALGEBRA; b++) z.m[a][b] = vec{};
    set_turn(z, 0, 1, y[2]), set_turn(z, 0, 2, -y[1]), set_turn(z, 1, 2, y[0]);
    set_turn(z, 0, 3, h[6]), set_turn(z, 0, 6, -h[3]), set_turn(z, 3, 6, h[0]);
    set_turn(z, 1, 3, h[5]), set_turn(z, 1, 5, -h[3]), set_turn(z, 3, 5, h[1]);
    set_turn(z, 1, 4, h[6]), set_turn(z, 1, 6, -h[4]), set_turn(z, 4, 6, h[1]);
    set_turn(z, 2, 3, h[4]), set_turn(z, 2, 4, -h[3]), set_turn(z, 3, 4, h[2] + H * y[7]);
    set_turn(z, 0, 4, -h[5]), set_turn(z, 0, 5, h[4]), set_turn(z, 4, 5, -h[0]);
    set_turn(z, 2, 5, -h[6]), set_turn(z, 2, 6, h[5]), set_turn(z, 5, 6, H * y[7] - h[2]);
    set_turn(z, 3, 7, -H * y[4]), set_turn(z, 4, 7, H * y[3]);
    set_turn(z, 5, 7, -H * y[6]), set_turn(z, 6, 7, H * y[5]);
}

// The gradient of y from that of Z, whose antisymmetric part is (r - r^T) / 2 times `scale`.
INLINE void add_adjoint_pullback(vec* to_y, const Eight& r, real scale) {
    constexpr real H = HALF_ROOT3;
    const auto a = [&](int i, int j) { return scale * (r.m[i][j] - r.m[j][i]); };
    to_y[0] += a(1, 2) + 0.5 * (a(3, 6) - a(4, 5));
    to_y[1] += 0.5 * (a(3, 5) + a(4, 6)) - a(0, 2);
    to_y[2] += a(0, 1) + 0.5 * (a(3, 4) - a(5, 6));
    to_y[3] += H * a(4, 7) - 0.5 * (a(0, 6) + a(1, 5) + a(2, 4));
    to_y[4] += 0.5 * (a(2, 3) + a(0, 5) - a(1, 6)) - H * a(3, 7);
    to_y[5] += 0.5 * (a(1, 3) - a(0, 4) + a(2, 6)) + H * a(6, 7);
    to_y[6] += 0.5 * (a(0, 3) + a(1, 4) - a(2, 5)) - H * a(5, 7);
    to_y[7] += H * (a(3, 4) + a(5, 6));
}

// q_a = d_abc y_b y_c.
INLINE void symmetric_square(vec* q, const vec* y) {
    constexpr real R = 1.0 / ROOT3;
    const vec first = y[0] * y[0] + y[1] * y[1] + y[2] * y[2], upper = y[3] * y[3] + y[4] * y[4],
              lower = y[5] * y[5] + y[6] * y[6], eighth = R * y[7];
    q[0] = 2.0 * eighth * y[0] + y[3] * y[5] + y[4] * y[6];
    q[1] = 2.0 * eighth * y[1] + y[4] * y[5] - y[3] * y[6];
    q[2] = 2.0 * eighth * y[2] + 0.5 * (upper - lower);
    q[3] = y[0] * y[5] - y[1] * y[6] + y[2] * y[3] - eighth * y[3];
    q[4] = y[0] * y[6] + y[1] * y[5] + y[2] * y[4] - eighth * y[4];
    q[5] = y[0] * y[3] + y[1] * y[4] - y[2] * y[5] - eighth * y[5];
    q[6] = y[0] * y[4] - y[1] * y[3] - y[2] * y[6] - eighth * y[6];
    q[7] = R * (first - 0.5 * (upper + lower) - y[7] * y[7]);
}

// Powers of (Z/2)^2, whose eigenvalues are below |y|^2 / 4, that leave a rest below rounding.
INLINE int squares_needed(const vec* y) {
    vec sum = {};
    for (int a = 0; a < ALGEBRA; a++) sum += y[a] * y[a];
    double largest = 0, term = sizeof(real) == 8 ? 1e17 : 1e8;
    for (int lane = 0; lane < LANES; lane++)
        if (sum[lane] > largest) largest = sum[lane];
    int n = 0;
    for (term *= largest / 8; term > 1 && n + 1 < MOST_SQUARES; n++)
        term *= largest / 4 / ((2 * n + 3) * (2 * n + 4));
    return n;
}

// a becomes its inverse, without a change of rows; returns its determinant.
__attribute__((noinline)) vec invert(Eight& a) {
    vec determinant = splat(1);
    for (int k = 0; k < ALGEBRA; k++) {
        determinant *= a.m[k][k];
        const vec pivot = 1.0 / a.m[k][k];
        a.m[k][k] = splat(1);
        for (int j = 0; j < ALGEBRA; j++) a.m[k][j] *= pivot;
        for (int i = 0; i < ALGEBRA; i++) {
            if (i == k) continue;
            const vec factor = a.m[i][k];
            a.m[i][k] = vec{};
#pragma GCC unroll 8
            for (int j = 0; j < ALGEBRA; j++) a.m[i][j] -= factor * a.m[k][j];
        }
    }
    return determinant;
}

// The determinant alone; a is lost.
__attribute__((noinline)) vec determinant(Eight& a) {
    vec product = a.m[0][0];
    for (int k = 0; k + 1 < ALGEBRA; k++) {
        const vec pivot = 1.0 / a.m[k][k];
        for (int i = k + 1; i < ALGEBRA; i++) {
            const vec factor = a.m[i][k] * pivot;
            for (int j = k + 1; j < ALGEBRA; j++) a.m[i][j] -= factor * a.m[k][j];
        }
        product *= a.m[k + 1][k + 1];
    }
    return product;
}

// e1, e2, e3 of one link, and what they come from.
struct Roots {
    vec e[3], size, cubic, square[ALGEBRA];  // size = |y|^2, square_a = d_abc y_b y_c

    explicit Roots(const vec* y) {
        symmetric_square(square, y);
        size = cubic = vec{};
        for (int a = 0; a < ALGEBRA; a++) {
            size += y[a] * y[a];
            cubic += y[a] * square[a];
        }
        cubic *= (real)(-1.0 / 12);
        e[0] = (real)(-3.0 / 8) * size;
        e[1] = 0.25 * e[0] * e[0];
        e[2] = (real)(-1.0 / 64) * ((real)(1.0 / 16) * size * size * size - 27.0 * cubic * cubic);
    }

    // Adds to the gradient of y that of e.
    void pullback(const vec* to_e, const vec* y, vec* to_y) const {
        const vec to_size = (real)(-3.0 / 8) * to_e[0] + (real)(9.0 / 128) * size * to_e[1] -
                            (real)(3.0 / 1024) * size * size * to_e[2],
                  to_cubic = (real)(54.0 / 64) * cubic * to_e[2];
        for (int a = 0; a < ALGEBRA; a++)
            to_y[a] += 2.0 * to_size * y[a] - 0.25 * to_cubic * square[a];
    }
};

// sum over n <= top of W^n / (2 n + FIRST)! as c0 + c1 W + c2 W^2 + c3 W^3.
template <int FIRST>
struct Polynomial {
    vec c[4] = {}, last[MOST_SQUARES];  // c3 before each multiplication by W

    void compute(const Roots& roots, int top) {
        c[0] = splat(FACTORIALS.inverse[2 * top + FIRST]);
        for (int n = top - 1; n >= 0; n--) {
            const vec c3 = last[n] = c[3];
            c[3] = c[2] + roots.e[0] * c3;
            c[2] = c[1] - roots.e[1] * c3;
            c[1] = c[0] + roots.e[2] * c3;
            c[0] = splat(FACTORIALS.inverse[2 * n + FIRST]);
        }
    }

    // Adds to the gradient of e that of c1, c2, c3 (lost); c0 is a number.
    void pullback(const Roots& roots, int top, vec* g, vec* to_e) const {
        for (int n = 0; n < top; n++) {
            to_e[0] += g[3] * last[n];
            to_e[1] -= g[2] * last[n];
            to_e[2] += g[1] * last[n];
            const vec g3 = roots.e[2] * g[1] - roots.e[1] * g[2] + roots.e[0] * g[3];
            g[1] = g[2];
            g[2] = g[3];
            g[3] = g3;
        }
    }
};

// T of one link, and what the way back needs.
struct Bracket {
    Eight z, w[3], p, factor, pushed, t;  // W, W^2, W^3; S and S P with S = sinh(Z/2) / (Z/2)
    Roots roots;
    Polynomial<0> even;
    Polynomial<1> odd;
    int top;

    // From M, y = -rho x and rho.
    Bracket(const vec* m, const vec* y, vec rho) : roots(y), top(squares_needed(y)) {
        symmetric_part(p, m);
        adjoint(z, y);
        times(w[0], z, z);
        for (int a = 0; a < ALGEBRA; a++)
            for (int b = 0; b < ALGEBRA; b++) w[0].m[a][b] *= 0.25;
        times(w[1], w[0], w[0]);
        times(w[2], w[1], w[0]);
        even.compute(roots, top);
        odd.compute(roots, top);
        for (int a = 0; a < ALGEBRA; a++) {
            for (int b = 0; b < ALGEBRA; b++) {
                const vec one = w[0].m[a][b], two = w[1].m[a][b], three = w[2].m[a][b];
                factor.m[a][b] = odd.c[1] * one + odd.c[2] * two + odd.c[3] * three;
                t.m[a][b] = even.c[1] * one + even.c[2] * two + even.c[3] * three;
            }
            factor.m[a][a] += odd.c[0];
            t.m[a][a] += even.c[0];
        }
        times(pushed, factor, p);
        for (int a = 0; a < ALGEBRA; a++)
            for (int b = 0; b < ALGEBRA; b++) t.m[a][b] -= rho * pushed.m[a][b];
    }

    // f = S g.
    void factor_times(vec* f, const vec* g) const {
        for (int a = 0; a < ALGEBRA; a++) {
            f[a] = factor.m[a][0] * g[0];
            for (int b = 1; b < ALGEBRA; b++) f[a] += factor.m[a][b] * g[b];
        }
    }

    // From the gradient of T: those of u, Re tr M, added to that of y, and of rho with y fixed.
    void pullback(const Eight& gradient, vec rho, const vec* y, vec* to_u, vec& to_trace,
                  vec* to_y, vec& to_rho) const {
        Eight of_factor, of_p, g[3], one, two;
        times(of_factor, gradient, p);
        times(of_p, factor, gradient);
        to_rho = -inner(gradient, pushed);
        for (int a = 0; a < ALGEBRA; a++)
            for (int b = 0; b < ALGEBRA; b++) {
                of_factor.m[a][b] *= -rho;
                of_p.m[a][b] *= -rho;
            }
        symmetric_pullback(of_p, to_u, to_trace);

        vec of_even[4] = {}, of_odd[4] = {}, to_e[3] = {};
        for (int k = 0; k < 3; k++) {
            of_even[k + 1] = inner(gradient, w[k]);
            of_odd[k + 1] = inner(of_factor, w[k]);
        }
        even.pullback(roots, top, of_even, to_e);
        odd.pullback(roots, top, of_odd, to_e);
        roots.pullback(to_e, y, to_y);

        // Of W: G1 + {W, G2} + W^2 G3 + W G3 W + G3 W^2 with the symmetric parts G of c_k T + s_k S.
        for (int a = 0; a < ALGEBRA; a++)
            for (int b = 0; b <= a; b++) {
                const vec t = 0.5 * (gradient.m[a][b] + gradient.m[b][a]),
                          s = 0.5 * (of_factor.m[a][b] + of_factor.m[b][a]);
                for (int k = 0; k < 3; k++)
                    g[k].m[a][b] = g[k].m[b][a] = even.c[k + 1] * t + odd.c[k + 1] * s;
            }
        times(one, w[0], g[2]);
        for (int a = 0; a < ALGEBRA; a++)
            for (int b = 0; b < ALGEBRA; b++) g[1].m[a][b] += one.m[a][b];
        times(two, one, w[0]);
        times(one, w[0], g[1]);
        for (int a = 0; a < ALGEBRA; a++)
            for (int b = 0; b < ALGEBRA; b++)
                two.m[a][b] += g[0].m[a][b] + one.m[a][b] + one.m[b][a];
        times(one, two, z);
        add_adjoint_pullback(to_y, one, -0.5);
    }
};

}  // namespace
