// Parallel transport of algebra fields, the covariant Laplacian, and what its gradient needs.
#pragma once
#include "walk.hpp"

namespace {

// Pointer to the components of direction mu at a position; `room` holds exchanged lanes.
INLINE const vec* element(const vec* field, int32_t at, int mu, vec* room) {
    const vec* source = field + ((long)(at >> LANE_BITS) * 4 + mu) * ALGEBRA;
    const int mask = at & (LANES - 1);
    if (mask == 0) return source;
    exchange_lanes<ALGEBRA>(room, source, mask);
    return room;
}

// Twice the entries of an algebra element: X_jj = i d_j / 2, X_jk = (a + i b) / 2 for j < k.
struct Doubled {
    vec d[3], a01, b01, a02, b02, a12, b12;
    explicit Doubled(const vec* x)
        : a01(x[1]), b01(x[0]), a02(x[4]), b02(x[3]), a12(x[6]), b12(x[5]) {
        const vec eighth = x[7] * (real)(1.0 / ROOT3);
        d[0] = eighth + x[2];
        d[1] = eighth - x[2];
        d[2] = -2.0 * eighth;
    }
};

// Row `i` of 2 U X, or of 2 U^dagger X where DAGGER: [3][re, im].
template <bool DAGGER>
INLINE void row_times_algebra(vec* to, const vec* u, const Doubled& x, int i) {
    vec re[3], im[3];
#pragma GCC unroll 3
    for (int k = 0; k < 3; k++) {
        const int p = 2 * (DAGGER ? 3 * k + i : 3 * i + k);
        re[k] = u[p];
        im[k] = DAGGER ? -u[p + 1] : u[p + 1];
    }
    to[0] = -im[0] * x.d[0] - re[1] * x.a01 - im[1] * x.b01 - re[2] * x.a02 - im[2] * x.b02;
    to[1] = re[0] * x.d[0] + re[1] * x.b01 - im[1] * x.a01 + re[2] * x.b02 - im[2] * x.a02;
    to[2] = -im[1] * x.d[1] + re[0] * x.a01 - im[0] * x.b01 - re[2] * x.a12 - im[2] * x.b12;
    to[3] = re[1] * x.d[1] + re[0] * x.b01 + im[0] * x.a01 + re[2] * x.b12 - im[2] * x.a12;
    to[4] = -im[2] * x.d[2] + re[0] * x.a02 - im[0] * x.b02 + re[1] * x.a12 - im[1] * x.b12;
    to[5] = re[2] * x.d[2] + re[0] * x.b02 + im[0] * x.a02 + re[1] * x.b12 + im[1] * x.a12;
}

// re, im += entry j of row t times U^dagger, or times U where DAGGER.
template <bool DAGGER>
INLINE void add_entry(vec& re, vec& im, const vec* t, const vec* u, int j) {
#pragma GCC unroll 3
    for (int k = 0; k < 3; k++) {
        const int q = 2 * (DAGGER ? 3 * k + j : 3 * j + k);
        const vec ur = u[q], ui = u[q + 1];
        re += t[2 * k] * ur;  // one term each: multiply-adds
        im += t[2 * k + 1] * ur;
        if (DAGGER) re -= t[2 * k + 1] * ui; else re += t[2 * k + 1] * ui;
        if (DAGGER) im += t[2 * k] * ui; else im -= t[2 * k] * ui;
    }
}

// f += components of U X U^dagger, or of U^dagger X U where DAGGER, for unitary U: the result is
// anti-Hermitian and traceless, so the upper two rows hold all of it.
template <bool DAGGER>
__attribute__((noinline)) void add_conjugate(vec* f, const vec* u, const vec* elements) {
    const Doubled x(elements);
    vec t[6], unused = {}, first = {}, second = {};
    row_times_algebra<DAGGER>(t, u, x, 0);
    add_entry<DAGGER>(unused, first, t, u, 0);
    add_entry<DAGGER>(f[1], f[0], t, u, 1);
    add_entry<DAGGER>(f[4], f[3], t, u, 2);
    row_times_algebra<DAGGER>(t, u, x, 1);
    add_entry<DAGGER>(unused, second, t, u, 1);
    add_entry<DAGGER>(f[6], f[5], t, u, 2);
    f[2] += 0.5 * (first - second);
    f[7] += (real)(0.5 * ROOT3) * (first + second);
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
__attribute__((noinline)) void laplacian(const Lattice& lattice, const vec* links,
                                         const vec* field, bool transverse, long block, int mu,
                                         vec* out) {
    const int32_t here = (int32_t)(block * LANES);
    const vec* own = field + (block * 4 + mu) * ALGEBRA;
    const real count = transverse ? -6 : -8;
    Matrix room;
    vec other[ALGEBRA];
    call_up_ahead(lattice, field, ALGEBRA, block, mu);
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
            const int32_t ahead = step(lattice, (int32_t)(block * LANES), nu);
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
