// 8 x 8 matrices on su(3): what a link's smearing does to a change of the link, and its determinant.
//
// With x = components of TA(M), M = U A, y = -rho x and Z = ad Y the Jacobian of U -> exp(Y) U is, up to
// a factor of determinant 1, S (C - rho P) with W = (Z/2)^2, S = sinh(Z/2) / (Z/2), C = (Z/2) coth(Z/2) and
// P = Re tr M / 3 + D_u / 2, u_c = Re tr(lambda_c M): C, P and so their bracket are symmetric.
// (D_v)_ab = d_abc v_c, q = D_y y, s = |y|^2, k = y.q. W has the eigenvalue 0 and three pairs, the roots of
// w^3 = e1 w^2 - e2 w + e3 with e1 = -3/8 s, e2 = e1^2 / 4, e3 = (3 k^2 - s^3) / 1024. What is even in Z and
// vanishes with it is c0 W + c1 W^2 + c2 W^3, and by the identities of d and f (found once by a fit)
//     W   = -s/8 - 3/8 D_q + 1/4 yy
//     W^2 = 3/128 s^2 - 3/64 k D_y + 15/128 s D_q - s/16 yy + 3/64 qq
//     W^3 = -11/2048 s^3 + 3/1024 k^2 + 9/512 s k D_y - 63/2048 s^2 D_q + s^2/64 yy
//           - 3/1024 k (yq + qy) - 15/1024 s qq.
// With g(w) = log(sinh(sqrt w) / sqrt w): C = 1 + 2 W g'(W), log det S = 2 (g(w1) + g(w2) + g(w3)).
#pragma once
#include "elementary.hpp"

namespace {

constexpr int MOST_POWERS = 40;  // of W
constexpr int ENOUGH_POWERS = 13;  // |Z| < 1.5, all that links of the group and |rho| < 1/8 come to

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

// Rows up to the diagonal of one + D_v.
INLINE void symmetric_part(Eight& p, vec one, const vec* v) {
    constexpr real R = 1.0 / ROOT3;
    vec h[ALGEBRA];
    for (int a = 0; a < ALGEBRA; a++) h[a] = 0.5 * v[a];
    for (int a = 0; a < ALGEBRA; a++)
        for (int b = 0; b <= a; b++) p.m[a][b] = vec{};
    const vec eighth = h[7] * R;
    for (int a = 0; a < 3; a++) {
        p.m[a][a] = one + 2.0 * eighth;
        p.m[7][a] = 2.0 * R * h[a];
    }
    for (int a = 3; a < 7; a++) {
        p.m[a][a] = a < 5 ? one - eighth + h[2] : one - eighth - h[2];
        p.m[7][a] = -R * h[a];
    }
    p.m[7][7] = one - 2.0 * eighth;
    p.m[3][0] = h[5], p.m[5][0] = h[3], p.m[5][3] = h[0];
    p.m[4][0] = h[6], p.m[6][0] = h[4], p.m[6][4] = h[0];
    p.m[4][1] = h[5], p.m[5][1] = h[4], p.m[5][4] = h[1];
    p.m[3][1] = -h[6], p.m[6][1] = -h[3], p.m[6][3] = -h[1];
    p.m[3][2] = h[3], p.m[4][2] = h[4], p.m[5][2] = -h[5], p.m[6][2] = -h[6];
}

// h_c = d_abc p_ab and the trace of p.
INLINE void symmetric_pullback(const Eight& p, vec* h, vec& trace) {
    constexpr real R = 1.0 / ROOT3;
    const auto s = [&](int a, int b) { return p.m[a][b] + p.m[b][a]; };
    const vec first = p.m[0][0] + p.m[1][1] + p.m[2][2], lower = p.m[3][3] + p.m[4][4],
              last = p.m[5][5] + p.m[6][6];
    h[0] = 2.0 * R * s(0, 7) + s(3, 5) + s(4, 6);
    h[1] = 2.0 * R * s(1, 7) + s(4, 5) - s(3, 6);
    h[2] = 2.0 * R * s(2, 7) + lower - last;
    h[3] = -R * s(3, 7) + s(0, 5) - s(1, 6) + s(2, 3);
    h[4] = -R * s(4, 7) + s(0, 6) + s(1, 5) + s(2, 4);
    h[5] = -R * s(5, 7) + s(0, 3) + s(1, 4) - s(2, 5);
    h[6] = -R * s(6, 7) + s(0, 4) - s(1, 3) - s(2, 6);
    h[7] = R * (2.0 * (first - p.m[7][7]) - lower - last);
    for (int a = 0; a < ALGEBRA; a++) h[a] *= 0.5;
    trace = (first + lower) + (last + p.m[7][7]);
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

// s, q and k of one link, and e1, e2, e3.
struct Roots {
    vec e[3], size, cubic, square[ALGEBRA];

    explicit Roots(const vec* y) {
        symmetric_product(square, y, y);
        size = cubic = vec{};
        for (int a = 0; a < ALGEBRA; a++) {
            size += y[a] * y[a];
            cubic += y[a] * square[a];
        }
        e[0] = (real)(-3.0 / 8) * size;
        e[1] = 0.25 * e[0] * e[0];
        e[2] = (real)(1.0 / 1024) * (3.0 * cubic * cubic - size * size * size);
    }

    // Adds to the gradient of s and k that of e, and of -2 (g(w1) + g(w2) + g(w3)) with c those of g'.
    void pullback(const vec* to_e, const vec* c, vec& to_size, vec& to_cubic) const {
        const vec squared = size * size;
        to_size += (real)(-3.0 / 8) * to_e[0] + (real)(9.0 / 128) * size * to_e[1] -
                   (real)(3.0 / 1024) * squared * to_e[2] + (real)(3.0 / 4) * c[0] -
                   (real)(9.0 / 64) * size * c[1] + (real)(33.0 / 1024) * squared * c[2];
        to_cubic += (real)(6.0 / 1024) * cubic * (to_e[2] - 2.0 * c[2]);
    }
};

// The symmetric matrix one + D_(y y + q q) + yy yy + yq (yq + qy) + qq qq; or the gradient of its numbers.
struct Even {
    vec one, y, q, yy, yq, qq;

    // c0 W + c1 W^2 + c2 W^3.
    static Even of(const Roots& at, const vec* c) {
        const vec s = at.size, k = at.cubic;
        const vec c1 = c[1] * (real)(1.0 / 128), c2 = c[2] * (real)(1.0 / 2048);
        return {s * (s * (3.0 * c1 - 11.0 * s * c2) - (real)(1.0 / 8) * c[0]) + 6.0 * k * k * c2,
                k * (36.0 * s * c2 - 6.0 * c1),
                s * (15.0 * c1 - 63.0 * s * c2) - (real)(3.0 / 8) * c[0],
                (real)(1.0 / 4) * c[0] - s * (8.0 * c1 - 32.0 * s * c2),
                -6.0 * k * c2,
                6.0 * c1 - 30.0 * s * c2};
    }

    // From the gradient of its numbers that of c, added to that of s and k.
    static void pullback(const Roots& at, const vec* c, const Even& g, vec* to_c, vec& to_size,
                         vec& to_cubic) {
        const vec s = at.size, k = at.cubic, square = s * s;
        const vec c1 = c[1] * (real)(1.0 / 128), c2 = c[2] * (real)(1.0 / 2048);
        to_c[0] = (real)(1.0 / 4) * g.yy - (real)(3.0 / 8) * g.q - (real)(1.0 / 8) * s * g.one;
        to_c[1] = (real)(1.0 / 128) * (3.0 * square * g.one - 6.0 * k * g.y + 15.0 * s * g.q -
                                       8.0 * s * g.yy + 6.0 * g.qq);
        to_c[2] = (real)(1.0 / 2048) * ((6.0 * k * k - 11.0 * s * square) * g.one +
                                        36.0 * s * k * g.y - 63.0 * square * g.q +
                                        32.0 * square * g.yy - 6.0 * k * g.yq - 30.0 * s * g.qq);
        to_size += (6.0 * s * c1 - 33.0 * square * c2 - (real)(1.0 / 8) * c[0]) * g.one +
                   36.0 * k * c2 * g.y + (15.0 * c1 - 126.0 * s * c2) * g.q +
                   (64.0 * s * c2 - 8.0 * c1) * g.yy - 30.0 * c2 * g.qq;
        to_cubic += 12.0 * k * c2 * g.one + (36.0 * s * c2 - 6.0 * c1) * g.y - 6.0 * c2 * g.yq;
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

// C - rho P of one link, and what the way back needs.
struct Bracket {
    Eight t;  // rows up to the diagonal
    vec u[ALGEBRA], trace;  // of M
    Roots roots;
    Polynomial slope;  // g'
    vec c[3];
    Even even;  // C - 1
    int count;

    // From M, y = -rho x and rho; alone: no lane's count depends on the lanes beside it.
    Bracket(const vec* m, const vec* y, vec rho, bool alone)
        : roots(y), count(powers_needed(roots.size)) {
        if (alone && count < ENOUGH_POWERS) count = ENOUGH_POWERS;
        slope.compute(roots, POWERS.slope, count);
        for (int k = 0; k < 3; k++) c[k] = 2.0 * slope.c[k];
        even = Even::of(roots, c);
        hermitian(u, m);
        trace = m[0] + m[8] + m[16];
        const vec *q = roots.square, half = 0.5 * rho;
        vec v[ALGEBRA];
        for (int a = 0; a < ALGEBRA; a++) v[a] = even.y * y[a] + even.q * q[a] - half * u[a];
        symmetric_part(t, 1.0 + even.one - rho * trace * (real)(1.0 / 3), v);
        for (int a = 0; a < ALGEBRA; a++) {
            const vec by_y = even.yy * y[a] + even.yq * q[a],
                      by_q = even.yq * y[a] + even.qq * q[a];
            for (int b = 0; b <= a; b++) t.m[a][b] += by_y * y[b] + by_q * q[b];
        }
    }

    // log det S: p_n = w1^n + w2^n + w3^n are polynomials of s and k.
    vec log_factor() const {
        Polynomial value;
        value.compute(roots, POWERS.value, count);
        const vec size = roots.size, p1 = roots.e[0], p2 = (real)(9.0 / 128) * size * size,
                  p3 = 0.25 * p1 * p1 * p1 + 3.0 * roots.e[2];
        return 2.0 * (value.c[0] * p1 + value.c[1] * p2 + value.c[2] * p3);
    }

    // f = S g.
    void factor_times(vec* f, const vec* g, const vec* y) const {
        Polynomial sinh;
        sinh.compute(roots, POWERS.sinh + 1, count);
        const Even by = Even::of(roots, sinh.c);
        const vec* q = roots.square;
        vec v[ALGEBRA], along_y = {}, along_q = {};
        for (int a = 0; a < ALGEBRA; a++) {
            v[a] = by.y * y[a] + by.q * q[a];
            along_y += y[a] * g[a];
            along_q += q[a] * g[a];
        }
        symmetric_product(f, v, g);
        const vec by_y = by.yy * along_y + by.yq * along_q,
                  by_q = by.yq * along_y + by.qq * along_q;
        for (int a = 0; a < ALGEBRA; a++)
            f[a] += g[a] + by.one * g[a] + by_y * y[a] + by_q * q[a];
    }

    // The gradient of -log det J: that of u, of Re tr M, added to that of y, and of rho with y fixed.
    void pullback(vec rho, const vec* y, vec* to_u, vec& to_trace, vec* to_y, vec& to_rho) {
        Eight& g = t;
        const vec* q = roots.square;
        negative_inverse(g);
        vec h[ALGEBRA], of_y[ALGEBRA], of_q[ALGEBRA], to_q[ALGEBRA], turned[ALGEBRA];
        vec to_c[3], to_e[3] = {}, to_size = {}, to_cubic = {};
        Even to = {};
        symmetric_pullback(g, h, to.one);
        to_rho = (real)(-1.0 / 3) * to.one * trace;
        to_trace = (real)(-1.0 / 3) * to.one * rho;
        for (int a = 0; a < ALGEBRA; a++) {
            const vec half = 0.5 * h[a];
            to_rho -= half * u[a];
            to_u[a] = -rho * half;
            of_y[a] = of_q[a] = vec{};
            for (int b = 0; b < ALGEBRA; b++) {
                of_y[a] += g.m[a][b] * y[b];
                of_q[a] += g.m[a][b] * q[b];
            }
            to.y += h[a] * y[a];
            to.q += h[a] * q[a];
            to.yy += y[a] * of_y[a];
            to.yq += 2.0 * y[a] * of_q[a];
            to.qq += q[a] * of_q[a];
        }
        Even::pullback(roots, c, to, to_c, to_size, to_cubic);
        for (int k = 0; k < 3; k++) to_c[k] *= 2.0;
        slope.pullback(roots, count, to_c, to_e);
        roots.pullback(to_e, slope.c, to_size, to_cubic);
        for (int a = 0; a < ALGEBRA; a++) {
            to_q[a] = even.q * h[a] + 2.0 * (even.yq * of_y[a] + even.qq * of_q[a]);
            to_y[a] += even.y * h[a] + 2.0 * (even.yy * of_y[a] + even.yq * of_q[a]);
        }
        symmetric_product(turned, to_q, y);
        for (int a = 0; a < ALGEBRA; a++)
            to_y[a] += 2.0 * (to_size * y[a] + turned[a]) + 3.0 * to_cubic * q[a];
    }
};

}  // namespace
