// Clover field strength, energy and charge.
#pragma once
#include "walk.hpp"

namespace {

// G = (C - C^dagger) / 8 of one plane, C the four plaquettes at x turning from mu to nu: three
// imaginary diagonal entries, then re, im of the entries 01, 02, 12.
constexpr int ANTIHERMITIAN = 9;

inline void field_strength(const Fields& fields, long block, int mu, int nu, bool traceless,
                           vec* g) {
    const int32_t here = (int32_t)(block * 8);
    const int m = mu, n = nu, p = opposite(mu), q = opposite(nu);
    Sum<false> sum;
    Walk<false>(fields, here).go(m).go(n).go(p).add_to(sum, q);
    Walk<false>(fields, here).go(n).go(p).go(q).add_to(sum, m);
    Walk<false>(fields, here).go(p).go(q).go(m).add_to(sum, n);
    Walk<false>(fields, here).go(q).go(m).go(n).add_to(sum, p);
    const vec* c = sum.value.v;
    for (int i = 0; i < 3; i++) g[i] = c[8 * i + 1] * 0.25;
    if (traceless) {
        const vec mean = (g[0] + g[1] + g[2]) * (1.0 / 3);
        for (int i = 0; i < 3; i++) g[i] -= mean;
    }
    const int upper[3] = {2, 4, 10}, lower[3] = {6, 12, 14};
    for (int k = 0; k < 3; k++) {
        g[3 + 2 * k] = (c[upper[k]] - c[lower[k]]) * 0.125;
        g[4 + 2 * k] = (c[upper[k] + 1] + c[lower[k] + 1]) * 0.125;
    }
}

// tr(A B) of two anti-Hermitian matrices.
INLINE vec trace_product(const vec* a, const vec* b) {
    vec diagonal = {}, rest = {};
    for (int i = 0; i < 3; i++) diagonal += a[i] * b[i];
    for (int i = 3; i < ANTIHERMITIAN; i++) rest += a[i] * b[i];
    return -diagonal - 2.0 * rest;
}

// sums = (temporal energy, spatial energy, charge) += -sum tr G G over three planes each, and
// (1/4 pi^2) tr(G_xy G_tz - G_xz G_ty + G_yz G_tx).
inline void clover_blocks(const Fields& fields, bool traceless, long first, long end,
                          double* sums) {
    constexpr double FOUR_PI_SQUARED = 39.478417604357434475;
    vec total[3] = {};
    for (long block = first; block < end; block++) {
        vec g[6][ANTIHERMITIAN];
        int plane = 0;
        for (int mu = 0; mu < 3; mu++)
            for (int nu = mu + 1; nu < 4; nu++)
                field_strength(fields, block, mu, nu, traceless, g[plane++]);
        for (plane = 0; plane < 6; plane++)
            total[plane / 3] -= trace_product(g[plane], g[plane]);
        total[2] += (trace_product(g[3], g[2]) - trace_product(g[4], g[1]) +
                     trace_product(g[5], g[0])) * (1 / FOUR_PI_SQUARED);
    }
    for (int k = 0; k < 3; k++) sums[k] += fields.lattice.lane_sum(total[k]);
}

}  // namespace
