// 8 x 8 matrices on su(3): what a link's smearing does to a change of the link, and its determinant.
//
// With x = components of TA(M), M = U A, y = -rho x and Z = ad Y the Jacobian of U -> exp(Y) U is, up to
// a factor of determinant 1, S (C - rho P) with W = (Z/2)^2, S = sinh(Z/2) / (Z/2), C = (Z/2) coth(Z/2) and
// P_ab = Re tr M delta_ab / 3 + d_abc u_c / 2, u_c = Re tr(lambda_c M): C, P and so their bracket are
// symmetric. W has the eigenvalue 0 and three pairs, the roots of w^3 = e1 w^2 - e2 w + e3 with
// e1 = -3/8 |y|^2, e2 = e1^2 / 4, e3 = -(|y|^6 / 16 - 27 c^2) / 64, c = Im det Y = -d_abc y_a y_b y_c / 12.
// With g(w) = log(sinh(sqrt w) / sqrt w): C = 1 + 2 W g'(W), log det S = 2 (g(w1) + g(w2) + g(w3)).
#pragma once
#include "elementary.hpp"

namespace {

constexpr int MOST_POWERS = 40;  // of W
constexpr int ENOUGH_POWERS = 13;  // |Z| < 1.5, all that links of the group and |rho| < 1/8 come to
constexpr double HALF_ROOT3 = ROOT3 / 2;

struct Eight {
    vec m[ALGEBRA][ALGEBRA];
};

// Of w^n in g(w) / w, in g'(w), and in sinh(sqrt w) / sqrt w: (-1)^n zeta(2n + 2) / pi^(2n + 2), over n + 1
// in the first, and 1 / (2n + 1)!
struct Powers {
    real value[MOST_POWERS + 1], slope[MOST_POWERS + 1], sinh[MOST_POWERS + 1];
    constexpr Powers() : value(), slope(), sinh() {
        constexpr double FIRST[] = {1.0 / 6, -1.0 / 90, 1.0 / 945, -1.0 / 9450};
        constexpr double PI_SQUARED = 9.869604401089358618834491;
        double power = -1, factorial = 1;
        for (int n = 0; n <= MOST_POWERS; n++) {
            power /= -PI_SQUARED;
            if (n) factorial *= 2.0 * n * (2 * n + 1);
            double zeta = 0;
            for (int k = 60; k > 0; k--) {
                double term = 1;
                for (int i = 0; i < 2 * n + 2; i++) term /= k;
                zeta += term;
            }
            const double found = n < 4 ? FIRST[n] : power * zeta;
            value[n] = found / (n + 1), slope[n] = found, sinh[n] = 1 / factorial;
        }
    }
};
constexpr Powers POWERS;

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

// c = a b where that is symmetric; c must not overlap a or b.
__attribute__((noinline)) void times_symmetric(Eight& c, const Eight& a, const Eight& b) {
#pragma GCC unroll 4
    for (int i = 0; i < ALGEBRA; i += 2) {
        vec sum[2][ALGEBRA] = {};
#pragma GCC unroll 8
        for (int k = 0; k < ALGEBRA; k++)
#pragma GCC unroll 8
            for (int j = 0; j < i + 2; j++)
                for (int r = 0; r < 2; r++) sum[r][j] += a.m[i + r][k] * b.m[k][j];
#pragma GCC unroll 8
        for (int j = 0; j < i + 2; j++)
            for (int r = 0; r < 2; r++) c.m[i + r][j] = c.m[j][i + r] = sum[r][j];
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

// P of u and Re tr M.
INLINE void symmetric_part(Eight& p, const vec* u, vec trace) {
    constexpr real R = 1.0 / ROOT3;
    vec q[ALGEBRA];
    const vec mean = trace * (real)(1.0 / 3);
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

// q_a = d_abc x_b y_c.
INLINE void symmetric_product(vec* q, const vec* x, const vec* y) {
    constexpr real R = 1.0 / ROOT3;
    const auto pair = [&](int a, int b) { return 0.5 * (x[a] * y[b] + x[b] * y[a]); };
    const vec first = x[0] * y[0] + x[1] * y[1] + x[2] * y[2], upper = x[3] * y[3] + x[4] * y[4],
              lower = x[5] * y[5] + x[6] * y[6];
    q[0] = 2.0 * R * pair(0, 7) + pair(3, 5) + pair(4, 6);
    q[1] = 2.0 * R * pair(1, 7) + pair(4, 5) - pair(3, 6);
    q[2] = 2.0 * R * pair(2, 7) + 0.5 * (upper - lower);
    q[3] = pair(0, 5) - pair(1, 6) + pair(2, 3) - R * pair(3, 7);
    q[4] = pair(0, 6) + pair(1, 5) + pair(2, 4) - R * pair(4, 7);
    q[5] = pair(0, 3) + pair(1, 4) - pair(2, 5) - R * pair(5, 7);
    q[6] = pair(0, 4) - pair(1, 3) - pair(2, 6) - R * pair(6, 7);
    q[7] = R * (first - 0.5 * (upper + lower) - x[7] * y[7]);
}

// Powers of W, whose eigenvalues are below |y|^2 / 4, that leave a rest below rounding.
INLINE int powers_needed(vec size) {
    double largest = 0;
    for (int lane = 0; lane < LANES; lane++)
        if (size[lane] > largest) largest = size[lane];
    const double ratio = largest / 4 / 9.8;
    double rest = sizeof(real) == 8 ? 1e16 : 1e8;
    int n = 1;
    for (rest *= ratio; rest > 1 && n < MOST_POWERS; n++) rest *= ratio;
    return n;
}

// The symmetric a becomes -1 / a, without a change of rows: one sweep after the other.
__attribute__((noinline)) void negative_inverse(Eight& a) {
#pragma GCC unroll 8
    for (int k = 0; k < ALGEBRA; k++) {
        const vec pivot = 1.0 / a.m[k][k];
        vec row[ALGEBRA];
#pragma GCC unroll 8
        for (int i = 0; i < ALGEBRA; i++) row[i] = i < k ? a.m[k][i] : a.m[i][k];
#pragma GCC unroll 8
        for (int i = 0; i < ALGEBRA; i++) {
            if (i == k) continue;
            const vec factor = row[i] * pivot;
#pragma GCC unroll 8
            for (int j = 0; j <= i; j++)
                if (j != k) a.m[i][j] -= factor * row[j];
            (i < k ? a.m[k][i] : a.m[i][k]) = factor;
        }
        a.m[k][k] = -pivot;
    }
    for (int i = 0; i < ALGEBRA; i++)
        for (int j = 0; j < i; j++) a.m[j][i] = a.m[i][j];
}

// The determinant of the symmetric a, which is lost.
__attribute__((noinline)) vec determinant(Eight& a) {
    vec product = a.m[0][0];
#pragma GCC unroll 8
    for (int k = 0; k + 1 < ALGEBRA; k++) {
        const vec pivot = 1.0 / a.m[k][k];
#pragma GCC unroll 8
        for (int i = k + 1; i < ALGEBRA; i++) {
            const vec factor = a.m[i][k] * pivot;
#pragma GCC unroll 8
            for (int j = k + 1; j <= i; j++) a.m[i][j] -= factor * a.m[j][k];
        }
        product *= a.m[k + 1][k + 1];
    }
    return product;
}

// e1, e2, e3 of one link, and what they come from.
struct Roots {
    vec e[3], size, cubic, square[ALGEBRA];  // size = |y|^2, square_a = d_abc y_b y_c

    explicit Roots(const vec* y) {
        symmetric_product(square, y, y);
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
        add((real)(-3.0 / 8) * to_e[0] + (real)(9.0 / 128) * size * to_e[1] -
                (real)(3.0 / 1024) * size * size * to_e[2],
            (real)(54.0 / 64) * cubic * to_e[2], y, to_y);
    }

    // Adds to the gradient of y that of -2 (g(w1) + g(w2) + g(w3)), from the coefficients of g'.
    void log_pullback(const vec* c, const vec* y, vec* to_y) const {
        add((real)(3.0 / 4) * c[0] - (real)(9.0 / 64) * size * c[1] +
                (real)(33.0 / 1024) * size * size * c[2],
            (real)(-27.0 / 16) * cubic * c[2], y, to_y);
    }

    void add(vec to_size, vec to_cubic, const vec* y, vec* to_y) const {
        for (int a = 0; a < ALGEBRA; a++)
            to_y[a] += 2.0 * to_size * y[a] - 0.25 * to_cubic * square[a];
    }
};

// A power series as c0 + c1 w + c2 w^2 at the three roots w.
struct Polynomial {
    vec c[3] = {}, last[MOST_POWERS];  // c2 before each multiplication by w

    void compute(const Roots& roots, const real* series, int count) {
        for (int n = count - 1; n >= 0; n--) {
            const vec c2 = last[n] = c[2];
            c[2] = c[1] + roots.e[0] * c2;
            c[1] = c[0] - roots.e[1] * c2;
            c[0] = series[n] + roots.e[2] * c2;
        }
    }

    // Adds to the gradient of e that of c (lost).
    void pullback(const Roots& roots, int count, vec* g, vec* to_e) const {
        for (int n = 0; n < count; n++) {
            to_e[0] += g[2] * last[n];
            to_e[1] -= g[1] * last[n];
            to_e[2] += g[0] * last[n];
            const vec g2 = roots.e[2] * g[0] - roots.e[1] * g[1] + roots.e[0] * g[2];
            g[0] = g[1];
            g[1] = g[2];
            g[2] = g2;
        }
    }
};

// Adds to the gradient of y that of tr(H W), H symmetric. Of the three irreducible parts of H in 8 x 8,
// W = (ad Y)^2 / 4 sees each with a factor of its own (from their Casimirs):
// 4 tr(H W) = y H y - 3/2 h . q - tr(H) |y|^2 / 2, h_c = d_abc H_ab, q_c = d_abc y_a y_b.
INLINE void square_pullback(const Eight& h, const vec* y, vec* to_y) {
    vec half[ALGEBRA], third, turned[ALGEBRA];
    symmetric_pullback(h, half, third);
    symmetric_product(turned, half, y);
    const vec along = -0.75 * third;
    for (int a = 0; a < ALGEBRA; a++) {
        vec sum = h.m[a][0] * y[0];
        for (int b = 1; b < ALGEBRA; b++) sum += h.m[a][b] * y[b];
        to_y[a] += 0.5 * sum - 1.5 * turned[a] + along * y[a];
    }
}

// C - rho P of one link, and what the way back needs: few matrices, all of them near.
struct Bracket {
    Eight w, t;
    vec u[ALGEBRA], trace;  // of M
    Roots roots;
    Polynomial slope;  // g'
    int count;

    // From M, y = -rho x and rho; alone: no lane's count depends on the lanes beside it.
    Bracket(const vec* m, const vec* y, vec rho, bool alone)
        : roots(y), count(powers_needed(roots.size)) {
        if (alone && count < ENOUGH_POWERS) count = ENOUGH_POWERS;
        Eight one, two;
        adjoint(one, y);
        times_symmetric(w, one, one);
        for (int a = 0; a < ALGEBRA; a++)
            for (int b = 0; b < ALGEBRA; b++) w.m[a][b] *= 0.25;
        times_symmetric(two, w, w);
        slope.compute(roots, POWERS.slope, count);
        const vec c0 = 2.0 * slope.c[0], c1 = 2.0 * slope.c[1], c2 = 2.0 * slope.c[2];
        for (int a = 0; a < ALGEBRA; a++)
            for (int b = 0; b < ALGEBRA; b++)
                two.m[a][b] = c1 * w.m[a][b] + c2 * two.m[a][b];
        times_symmetric(t, w, two);
        hermitian(u, m);
        trace = m[0] + m[8] + m[16];
        symmetric_part(one, u, trace);
        for (int a = 0; a < ALGEBRA; a++) {
            for (int b = 0; b < ALGEBRA; b++) t.m[a][b] += c0 * w.m[a][b] - rho * one.m[a][b];
            t.m[a][a] += 1.0;
        }
    }

    // log det S: p_n = w1^n + w2^n + w3^n are polynomials of |y|^2 and c.
    vec log_factor() const {
        Polynomial value;
        value.compute(roots, POWERS.value, count);
        const vec size = roots.size, p1 = roots.e[0], p2 = (real)(9.0 / 128) * size * size,
                  p3 = 0.25 * p1 * p1 * p1 + 3.0 * roots.e[2];
        return 2.0 * (value.c[0] * p1 + value.c[1] * p2 + value.c[2] * p3);
    }

    // f = S g, S = 1 + W (s0 + s1 W + s2 W^2).
    void factor_times(vec* f, const vec* g) const {
        Polynomial sinh;
        sinh.compute(roots, POWERS.sinh + 1, count);
        vec next[ALGEBRA];
        for (int a = 0; a < ALGEBRA; a++) f[a] = sinh.c[2] * g[a];
        for (int k = 1; k >= -1; k--) {
            for (int a = 0; a < ALGEBRA; a++) {
                next[a] = w.m[a][0] * f[0];
                for (int b = 1; b < ALGEBRA; b++) next[a] += w.m[a][b] * f[b];
            }
            for (int a = 0; a < ALGEBRA; a++) f[a] = next[a] + (k < 0 ? g[a] : sinh.c[k] * g[a]);
        }
    }

    // The gradient of -log det J: that of u, of Re tr M, added to that of y, and of rho with y fixed.
    void pullback(vec rho, const vec* y, vec* to_u, vec& to_trace, vec* to_y, vec& to_rho) {
        Eight &g = t, one, two, last;
        negative_inverse(g);
        symmetric_pullback(g, to_u, to_trace);
        to_rho = -to_trace * trace;
        to_trace *= -rho;
        for (int a = 0; a < ALGEBRA; a++) {
            to_rho -= to_u[a] * u[a];
            to_u[a] *= -rho;
        }

        // Of W: c0 G + c1 {W, G} + c2 (W^2 G + W G W + G W^2).
        times(one, w, g);
        times_symmetric(last, one, w);
        vec of_slope[3] = {2.0 * inner(g, w), 2.0 * inner(one, w), 2.0 * inner(last, w)},
            to_e[3] = {}, c[3];
        for (int k = 0; k < 3; k++) c[k] = 2.0 * slope.c[k];
        slope.pullback(roots, count, of_slope, to_e);
        roots.pullback(to_e, y, to_y);
        roots.log_pullback(slope.c, y, to_y);
        for (int a = 0; a < ALGEBRA; a++)
            for (int b = 0; b < ALGEBRA; b++) {
                last.m[a][b] = c[0] * g.m[a][b] + c[2] * last.m[a][b];
                one.m[a][b] = c[1] * g.m[a][b] + c[2] * one.m[a][b];
            }
        times(two, w, one);
        for (int a = 0; a < ALGEBRA; a++)
            for (int b = 0; b < ALGEBRA; b++) last.m[a][b] += two.m[a][b] + two.m[b][a];
        square_pullback(last, y, to_y);
    }
};

}  // namespace
