// Clover field strength, energy and charge.
#pragma once
#include "exact.hpp"
#include "leaves.hpp"

namespace {

constexpr double FOUR_PI_SQUARED = 39.478417604357434475;
constexpr int PLANE[6][2] = {{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}};

// G = (C - C^dagger) / 8 of one plane, C the four plaquettes at x turning from mu to nu.
inline void field_strength(const Fields& fields, long block, int mu, int nu, bool traceless,
                           vec* g) {
    for (int i = 0; i < ANTIHERMITIAN; i++) g[i] = vec{};
    add_clover(Plane{fields.lattice, fields.links, mu, nu}, (int32_t)(block * LANES), 1, 1, 0.25, g);
    if (traceless) remove_trace(g);
}

// tr(A B) of two anti-Hermitian matrices.
INLINE vec trace_product(const vec* a, const vec* b) {
    vec diagonal = {}, rest = {};
    for (int i = 0; i < 3; i++) diagonal += a[i] * b[i];
    for (int i = 3; i < ANTIHERMITIAN; i++) rest += a[i] * b[i];
    return -diagonal - 2.0 * rest;
}

// total = (temporal energy, spatial energy, charge) += -sum tr G G over three planes each, and
// (1/4 pi^2) tr(G_xy G_tz - G_xz G_ty + G_yz G_tx).
inline void clover_blocks(const Fields& fields, bool traceless, long first, long end,
                          wide* total) {
    for (long block = first; block < end; block++) {
        for (int mu = 0; mu < 4; mu++) call_up_links(fields.lattice, fields.links, block, mu);
        vec g[6][ANTIHERMITIAN];
        int plane = 0;
        for (int mu = 0; mu < 3; mu++)
            for (int nu = mu + 1; nu < 4; nu++)
                field_strength(fields, block, mu, nu, traceless, g[plane++]);
        if (fields.lattice.alone) {
            const Lattice& lattice = fields.lattice;
            for (plane = 0; plane < 6; plane++)
                add_exactly(lattice, total + plane / 3, total + 3 + plane / 3, block,
                            -widen(trace_product(g[plane], g[plane])));
            const vec product = trace_product(g[3], g[2]) - trace_product(g[4], g[1]) +
                                trace_product(g[5], g[0]);
            add_exactly(lattice, total + 2, total + 5, block,
                        widen(product) * (1 / FOUR_PI_SQUARED));
            continue;
        }
        for (plane = 0; plane < 6; plane++)
            total[plane / 3] -= widen(trace_product(g[plane], g[plane]));
        total[2] += widen(trace_product(g[3], g[2]) - trace_product(g[4], g[1]) +
                          trace_product(g[5], g[0])) * (1 / FOUR_PI_SQUARED);
    }
}

// G of the six planes, [blocks][6][9].
inline void strength_blocks(const Fields& fields, bool traceless, long first, long end, vec* out) {
    for (long block = first; block < end; block++)
        for (int plane = 0; plane < 6; plane++)
            field_strength(fields, block, PLANE[plane][0], PLANE[plane][1], traceless,
                           out + (block * 6 + plane) * ANTIHERMITIAN);
}

// Clovers of m x n loops, m != n standing for the mean of both orientations, each with a weight.
struct Shapes {
    int count, longest;
    const int* sides;      // [count][2]
    const double* weight;  // [count]
};

// G of one shape at one place of a slice.
INLINE void wide_strength(const Slice& slice, int place, int m, int n, bool traceless, vec* g) {
    for (int i = 0; i < ANTIHERMITIAN; i++) g[i] = vec{};
    add_clover(slice, place * LANES, m, n, m == n ? 0.25 : 0.125, g);
    if (m != n) add_clover(slice, place * LANES, n, m, 0.125, g);
    if (traceless) remove_trace(g);
}

// Two sweeps for a pair of dual planes: the first leaves G of every shape in `strengths`
// [blocks][count][9], the second adds weight tr(G G') / 4 pi^2 with the sign of the pair to density.
inline void charge_slice(const Lattice& lattice, const vec* links, const Shapes& shapes,
                         bool traceless, int plane, bool second, long index, vec* strengths,
                         vec* density) {
    thread_local Slice slice;
    const double sign = (plane == 1 || plane == 4 ? -1 : 1) / FOUR_PI_SQUARED;
    slice.fill(lattice, links, PLANE[plane][0], PLANE[plane][1], index, shapes.longest);
    for (int s = 0; s < shapes.count; s++)
        for (int place = 0; place < slice.places(); place++) {
            const long block = slice.block[place];
            vec g[ANTIHERMITIAN];
            vec* stored = strengths + (block * shapes.count + s) * ANTIHERMITIAN;
            wide_strength(slice, place, shapes.sides[2 * s], shapes.sides[2 * s + 1], traceless,
                          second ? g : stored);
            if (second) density[block] += (real)(sign * shapes.weight[s]) * trace_product(g, stored);
        }
}

// H_plane = dL/dG_plane at a position, dL = sum tr(H dG), for L = energies and charge weighted with
// `weights` (of the site sums of clover_blocks): -2 w G of the same plane and w/4 pi^2 of its dual.
INLINE void slope(const vec* strengths, const double* weights, int32_t at, int plane, double sign,
                  Matrix& h) {
    const double dual = (plane == 1 || plane == 4 ? -1 : 1) / FOUR_PI_SQUARED;
    const vec* own = strengths + ((long)(at >> LANE_BITS) * 6 + plane) * ANTIHERMITIAN;
    const vec* other = strengths + ((long)(at >> LANE_BITS) * 6 + 5 - plane) * ANTIHERMITIAN;
    const real first = sign * dual * weights[2], second = 2 * sign * weights[plane / 3];
    vec g[ANTIHERMITIAN];
    for (int i = 0; i < ANTIHERMITIAN; i++)
        g[i] = first * other[i] - second * own[i];
    if (at & (LANES - 1)) exchange_lanes<ANTIHERMITIAN>(g, g, at & (LANES - 1));
    const int upper[3] = {2, 4, 10}, lower[3] = {6, 12, 14};
    for (int i = 0; i < 3; i++) h.v[8 * i] = vec{}, h.v[8 * i + 1] = g[i];
    for (int k = 0; k < 3; k++) {
        h.v[upper[k]] = g[3 + 2 * k];
        h.v[upper[k] + 1] = h.v[lower[k] + 1] = g[4 + 2 * k];
        h.v[lower[k]] = -g[3 + 2 * k];
    }
}

// The gradient along the group of L, from G in `strengths`: in every plaquette through U_mu(x),
// H is inserted at each of the four corners; dL = 1/4 sum Re tr(H dC).
inline void clover_pullback_blocks(const Fields& fields, const vec* strengths,
                                   const double* weights, long first, long end, vec* out) {
    for (long block = first; block < end; block++)
        for (int mu = 0; mu < 4; mu++) {
            Matrix sum, h, spare;
            clear(sum);
            for (int nu = 0; nu < 8; nu++) {
                const int low = mu < (nu & 3) ? mu : nu & 3, high = mu < (nu & 3) ? nu & 3 : mu;
                if (low == high) continue;
                int plane = 0;
                while (PLANE[plane][0] != low || PLANE[plane][1] != high) plane++;
                const double sign = (mu == low ? 1 : -1) * (nu & BACK ? -1 : 1);
                Walk<false> walk(fields, (int32_t)(block * LANES));
                Matrix inserted;
                clear(inserted);
                for (const int direction : {mu, nu, opposite(mu), opposite(nu)}) {
                    Walk<false> carry(fields, walk.at);
                    carry.resume(inserted).go(direction);
                    walk.go(direction);
                    copy_link(inserted.v, carry.value);
                    slope(strengths, weights, walk.at, plane, sign, h);
                    mul(spare.v, walk.product(), h.v);
                    for (int i = 0; i < LINK; i++) inserted.v[i] += spare.v[i];
                }
                for (int i = 0; i < LINK; i++) sum.v[i] += inserted.v[i];
            }
            vec* f = out + (block * 4 + mu) * ALGEBRA;
            project(f, sum.v);
            for (int a = 0; a < ALGEBRA; a++) f[a] *= -0.125;
        }
}

}  // namespace
