// 8 x 8 matrices on su(3): what a link's smearing does to a change of the link, and its determinant.
//
// With x = components of TA(M), M = U A, y = -rho x and Z = ad Y the Jacobian of U -> exp(Y) U is, up to
// a factor of determinant 1, T = cosh(Z/2) - rho (sinh(Z/2) / (Z/2)) P with the symmetric
// P_ab = Re tr M delta_ab / 3 + d_abc u_c / 2, u_c = Re tr(lambda_c M): both series are in Z^2.
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
    real inverse[2 * MOST_SQUARES + 8];
    constexpr Factorials() : inverse() {
        double factorial = 1;
        for (int n = 0; n < 2 * MOST_SQUARES + 8; n++) {
            if (n > 1) factorial *= n;
            inverse[n] = 1 / factorial;
        }
    }
};
constexpr Factorials FACTORIALS;

constexpr int ROWS_AT_ONCE = WIDTH == 64 ? 2 : 1;  // as many sums as registers hold

// c = a b, or c + a b^T where ADD; c must not overlap a or b.
template <bool ADD>
__attribute__((noinline)) void times(Eight& c, const Eight& a, const Eight& b) {
    for (int i = 0; i < ALGEBRA; i += ROWS_AT_ONCE) {
        vec sum[ROWS_AT_ONCE][ALGEBRA];
#pragma GCC unroll 2
        for (int r = 0; r < ROWS_AT_ONCE; r++)
#pragma GCC unroll 8
            for (int j = 0; j < ALGEBRA; j++) sum[r][j] = ADD ? c.m[i + r][j] : vec{};
#pragma GCC unroll 8
        for (int k = 0; k < ALGEBRA; k++)
#pragma GCC unroll 8
            for (int j = 0; j < ALGEBRA; j++) {
                const vec right = ADD ? b.m[j][k] : b.m[k][j];
#pragma GCC unroll 2
                for (int r = 0; r < ROWS_AT_ONCE; r++) sum[r][j] += a.m[i + r][k] * right;
            }
#pragma GCC unroll 2
        for (int r = 0; r < ROWS_AT_ONCE; r++)
#pragma GCC unroll 8
            for (int j = 0; j < ALGEBRA; j++) c.m[i + r][j] = sum[r][j];
    }
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

// f = sum over n of (-Z)^n g / (n + 1)!, Z = ad Y: the adjoint of dexp.
INLINE void dexp_adjoint(vec* f, const Eight& z, const vec* g, int terms) {
    vec power[ALGEBRA], next[ALGEBRA];
    for (int a = 0; a < ALGEBRA; a++) f[a] = power[a] = g[a];
    for (int n = 1; n <= terms; n++) {
        for (int a = 0; a < ALGEBRA; a++) {
            next[a] = vec{};
            for (int b = 0; b < ALGEBRA; b++) next[a] -= z.m[a][b] * power[b];
        }
        for (int a = 0; a < ALGEBRA; a++) {
            power[a] = next[a];
            f[a] += FACTORIALS.inverse[n + 1] * power[a];
        }
    }
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

// T of one link by Horner's rule; the partial sums stay for the way back.
struct Bracket {
    Eight z, square, p, sums[MOST_SQUARES + 1];
    int top;

    // From M, y = -rho x and rho: T is sums[0].
    void compute(const vec* m, const vec* y, vec rho, int lowest) {
        symmetric_part(p, m);
        adjoint(z, y);
        times<false>(square, z, z);
        for (int a = 0; a < ALGEBRA; a++)
            for (int b = 0; b < ALGEBRA; b++) square.m[a][b] *= 0.25;
        top = squares_needed(y);
        if (top < lowest) top = lowest;
        for (int n = top; n >= 0; n--) {
            if (n < top) times<false>(sums[n], square, sums[n + 1]);
            const vec factor = -rho * FACTORIALS.inverse[2 * n + 1];
            for (int a = 0; a < ALGEBRA; a++) {
                for (int b = 0; b < ALGEBRA; b++)
                    sums[n].m[a][b] =
                        (n < top ? sums[n].m[a][b] : vec{}) + factor * p.m[a][b];
                sums[n].m[a][a] += FACTORIALS.inverse[2 * n];
            }
        }
    }

    // From the gradient of T (lost): those of u, Re tr M, added to that of y, and of rho with y fixed.
    void pullback(Eight& gradient, vec rho, vec* to_u, vec& to_trace, vec* to_y, vec& to_rho) {
        Eight of_square, of_p, next;
        for (int a = 0; a < ALGEBRA; a++)
            for (int b = 0; b < ALGEBRA; b++) {
                of_square.m[a][b] = vec{};
                of_p.m[a][b] = -gradient.m[a][b];
            }
        for (int n = 0; n < top; n++) {
            times<true>(of_square, gradient, sums[n + 1]);
            times<false>(next, square, gradient);
            const real factor = FACTORIALS.inverse[2 * n + 3];
            for (int a = 0; a < ALGEBRA; a++)
                for (int b = 0; b < ALGEBRA; b++) {
                    gradient.m[a][b] = next.m[a][b];
                    of_p.m[a][b] -= factor * next.m[a][b];
                }
        }
        to_rho = vec{};
        for (int a = 0; a < ALGEBRA; a++)
            for (int b = 0; b < ALGEBRA; b++) {
                to_rho += of_p.m[a][b] * p.m[a][b];
                of_p.m[a][b] *= rho;
                if (b < a) {
                    const vec mean = 0.5 * (of_square.m[a][b] + of_square.m[b][a]);
                    of_square.m[a][b] = of_square.m[b][a] = mean;
                }
            }
        symmetric_pullback(of_p, to_u, to_trace);
        times<false>(next, of_square, z);
        add_adjoint_pullback(to_y, next, -0.5);
    }
};

}  // namespace
