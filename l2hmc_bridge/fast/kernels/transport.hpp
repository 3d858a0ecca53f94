// Parallel transport of algebra fields, the covariant Laplacian, and what its gradient needs.
#pragma once
#include "walk.hpp"

namespace {

// Pointer to the components of direction mu at a position; `room` holds exchanged lanes.
INLINE const vec* element(const vec* field, int32_t at, int mu, vec* room) {
    const vec* source = field + ((long)(at >> 3) * 4 + mu) * ALGEBRA;
    const int mask = at & 7;
    if (mask == 0) return source;
    for (int a = 0; a < ALGEBRA; a++) room[a] = swap_lanes(source[a], mask);
    return room;
}

// t = U X, or U^dagger X where DAGGER, of an algebra element: its diagonal has no real part.
template <bool DAGGER>
INLINE void multiply_algebra(vec* t, const vec* u, const vec* x) {
    const vec eighth = x[7] * (0.5 / ROOT3), third = x[2] * 0.5;
    const vec d[3] = {eighth + third, eighth - third, -2.0 * eighth};
    const vec a01 = x[1] * 0.5, b01 = x[0] * 0.5, a02 = x[4] * 0.5, b02 = x[3] * 0.5,
              a12 = x[6] * 0.5, b12 = x[5] * 0.5;  // X_01 = a + i b, X_10 = -a + i b
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) {
        vec re[3], im[3];
        for (int k = 0; k < 3; k++) {
            const int p = 2 * (DAGGER ? 3 * k + i : 3 * i + k);
            re[k] = u[p];
            im[k] = DAGGER ? -u[p + 1] : u[p + 1];
        }
        vec* to = t + 6 * i;
        to[0] = -im[0] * d[0] - re[1] * a01 - im[1] * b01 - re[2] * a02 - im[2] * b02;
        to[1] = re[0] * d[0] + re[1] * b01 - im[1] * a01 + re[2] * b02 - im[2] * a02;
        to[2] = -im[1] * d[1] + re[0] * a01 - im[0] * b01 - re[2] * a12 - im[2] * b12;
        to[3] = re[1] * d[1] + re[0] * b01 + im[0] * a01 + re[2] * b12 - im[2] * a12;
        to[4] = -im[2] * d[2] + re[0] * a02 - im[0] * b02 + re[1] * a12 - im[1] * b12;
        to[5] = re[2] * d[2] + re[0] * b02 + im[0] * a02 + re[1] * b12 + im[1] * a12;
    }
}

// f += components of U X U^dagger, or of U^dagger X U where DAGGER: anti-Hermitian, so only the
// upper triangle of the last product is needed.
template <bool DAGGER>
__attribute__((noinline)) void add_conjugate(vec* f, const vec* u, const vec* x) {
    Matrix t;
    multiply_algebra<DAGGER>(t.v, u, x);
    vec diagonal[3];
    const int at[3] = {0, 3, 5};
    int pair = 0;
    for (int i = 0; i < 3; i++)
        for (int j = i; j < 3; j++) {
            vec re = {}, im = {};
            for (int k = 0; k < 3; k++) {
                const int p = 2 * (3 * i + k), q = 2 * (DAGGER ? 3 * k + j : 3 * j + k);
                if (DAGGER) {
                    re += t.v[p] * u[q] - t.v[p + 1] * u[q + 1];
                    im += t.v[p] * u[q + 1] + t.v[p + 1] * u[q];
                } else {
                    re += t.v[p] * u[q] + t.v[p + 1] * u[q + 1];
                    im += t.v[p + 1] * u[q] - t.v[p] * u[q + 1];
                }
            }
            if (i == j) {
                diagonal[i] = im;
            } else {
                f[at[pair]] += 2.0 * im;
                f[at[pair++] + 1] += 2.0 * re;
            }
        }
    f[2] += diagonal[0] - diagonal[1];
    f[7] += (diagonal[0] + diagonal[1] - 2.0 * diagonal[2]) * (1.0 / ROOT3);
}

// f += TA([A, B]) of two algebra elements.
INLINE void add_commutator(vec* f, const vec* a, const vec* b) {
    Matrix left, right, both;
    vec part[ALGEBRA];
    assemble(left.v, a);
    assemble(right.v, b);
    mul(both.v, left.v, right.v);
    project(part, both.v);
    for (int i = 0; i < ALGEBRA; i++) f[i] += 2.0 * part[i];
}

// Y = sum over nu of U_nu X(x+nu) U_nu^dagger + U_nu(x-nu)^dagger X(x-nu) U_nu(x-nu) - 2 X for one
// link; nu runs over all directions, or with `transverse` over those other than mu.
__attribute__((noinline)) void laplacian(const Lattice& lattice, const vec* links, const vec* field, bool transverse,
                      long block, int mu, vec* out) {
    const int32_t here = (int32_t)(block * 8);
    const vec* own = field + (block * 4 + mu) * ALGEBRA;
    const double count = transverse ? -6 : -8;
    Matrix room;
    vec other[ALGEBRA];
    for (int a = 0; a < ALGEBRA; a++) out[a] = count * own[a];
    for (int nu = 0; nu < 4; nu++) {
        if (transverse && nu == mu) continue;
        const int32_t ahead = step(lattice, here, nu), behind = step(lattice, here, nu + BACK);
        add_conjugate<false>(out, link(links, here, nu, room), element(field, ahead, mu, other));
        add_conjugate<true>(out, link(links, behind, nu, room), element(field, behind, mu, other));
    }
}

// Y of all directions, or of direction `only` where that is not negative.
inline void laplacian_blocks(const Lattice& lattice, const vec* links, const vec* field,
                             bool transverse, int only, long first, long end, vec* out) {
    for (long block = first; block < end; block++)
        for (int mu = 0; mu < 4; mu++)
            if (only < 0 || mu == only)
                laplacian(lattice, links, field, transverse, block, mu,
                          out + (block * 4 + mu) * ALGEBRA);
}

// The gradient along the group of sum <W, Y>: at U_nu(x), summed over the mu that it transports,
// [Z, W_mu(x)] + [Z', X_mu(x)] with Z = U X_mu(x+nu) U^dagger, Z' = U W_mu(x+nu) U^dagger.
inline void laplacian_pullback_blocks(const Lattice& lattice, const vec* links, const vec* field,
                                      const vec* gradient, bool transverse, int only, long first,
                                      long end, vec* out) {
    for (long block = first; block < end; block++)
        for (int nu = 0; nu < 4; nu++) {
            vec* f = out + (block * 4 + nu) * ALGEBRA;
            const int32_t ahead = step(lattice, (int32_t)(block * 8), nu);
            const vec* u = links + (block * 4 + nu) * LINK;
            for (int a = 0; a < ALGEBRA; a++) f[a] = vec{};
            for (int mu = 0; mu < 4; mu++) {
                if ((transverse && nu == mu) || (only >= 0 && mu != only)) continue;
                const vec *x = field + (block * 4 + mu) * ALGEBRA,
                          *w = gradient + (block * 4 + mu) * ALGEBRA;
                vec room[ALGEBRA], moved[ALGEBRA] = {}, back[ALGEBRA] = {};
                add_conjugate<false>(moved, u, element(field, ahead, mu, room));
                add_commutator(f, moved, w);
                add_conjugate<false>(back, u, element(gradient, ahead, mu, room));
                add_commutator(f, back, x);
            }
        }
}

}  // namespace
