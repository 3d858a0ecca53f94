// Force, its derivative, staples and loop sums of the plaquette + rectangle gauge action.
//
// S = -(beta/3) sum [c0 Re tr P + c1 Re tr R], F_mu = (beta/6) TA(U_mu S_mu^dagger) with S_mu the
// weighted sum of the paths from x to x + mu; every function works on one chain and one block range.
#pragma once
#include "walk.hpp"

namespace {

struct Coupling {
    real beta, c0, c1;
    Coupling(double beta, double c1) : beta(beta), c0(1 - 8 * c1), c1(c1) {}
};

// The scalar of direction mu at a position, [blocks][4].
INLINE vec weight(const vec* weights, int32_t at, int mu) {
    return swap_lanes(weights[(at >> LANE_BITS) * 4 + mu], at & (LANES - 1));
}

// c0 (plaquette paths) + c1 (rectangle paths) of one link, from the plaquette paths in `sum`.
template <bool DUAL>
void add_rectangles(const Fields& fields, const Coupling& coupling, long block, int mu,
                    Sum<DUAL>& sum) {
    if (coupling.c1 == 0) return;
    Sum<DUAL> rectangles;
    rectangle_paths<DUAL>(fields, block, mu, rectangles);
    for (int i = 0; i < LINK; i++) {
        sum.value.v[i] = coupling.c0 * sum.value.v[i] + coupling.c1 * rectangles.value.v[i];
        if (DUAL)
            sum.change[0].v[i] =
                coupling.c0 * sum.change[0].v[i] + coupling.c1 * rectangles.change[0].v[i];
    }
}

// F of one link and, where they are not null, its invariants Re tr(U_mu A_mu) of the plaquette staples
// and <F, F>, TA((U_mu A_mu)^2) / 36 and tr A_mu A_mu^dagger.
__attribute__((noinline)) void force_link(const Fields& fields, const Coupling& coupling,
                                          long block, int mu, vec* f, vec* invariants,
                                          vec* square, vec* staple_square) {
    const vec* u = fields.links + (block * 4 + mu) * LINK;
    Sum<false> sum;
    Matrix loop, twice;
    plaquette_paths<false>(fields, block, mu, sum);
    if (staple_square) *staple_square = real_trace_ad(sum.value.v, sum.value.v);
    if (square || coupling.c1 == 0) mul_ad(loop.v, u, sum.value.v);
    if (square) {
        mul(twice.v, loop.v, loop.v);
        project(square, twice.v);
        for (int a = 0; a < ALGEBRA; a++) square[a] *= (real)(1.0 / 36);
    }
    if (invariants) invariants[0] = real_trace_ad(u, sum.value.v);
    if (coupling.c1 != 0) {
        add_rectangles<false>(fields, coupling, block, mu, sum);
        mul_ad(loop.v, u, sum.value.v);
    }
    project(f, loop.v);
    for (int a = 0; a < ALGEBRA; a++) f[a] *= coupling.beta / 6;
    if (!invariants) return;
    invariants[1] = vec{};
    for (int a = 0; a < ALGEBRA; a++) invariants[1] += f[a] * f[a];
}

// out = keep * in + push * F, [blocks][4][8]; `in` may be null (then keep is not used). Where they are
// not null, `invariants` becomes [blocks][4][2] and `square` [blocks][4][8]. F and they are 0 where the
// neighbours are not here.
inline void force_blocks(const Fields& fields, const Coupling& coupling, long first, long end,
                         real keep, const vec* in, real push, vec* out, vec* invariants,
                         vec* square) {
    for (long block = first; block < end; block++)
        for (int mu = 0; mu < 4; mu++) {
            const long at = block * 4 + mu;
            vec f[ALGEBRA] = {};
            vec* seen = invariants ? invariants + 2 * at : nullptr;
            vec* squared = square ? square + at * ALGEBRA : nullptr;
            if (fields.lattice.outermost[block]) {
                if (seen) seen[0] = seen[1] = vec{};
                for (int a = 0; squared && a < ALGEBRA; a++) squared[a] = vec{};
            } else force_link(fields, coupling, block, mu, f, seen, squared, nullptr);
            for (int a = 0; a < ALGEBRA; a++)
                out[at * ALGEBRA + a] =
                    in ? keep * in[at * ALGEBRA + a] + push * f[a] : push * f[a];
        }
}

// The first half of the gradient along the group of sum <G, TA(M^2) / 36>, M = U A with plaquette
// staples: with K = (M G + G M) / 36 it is TA(M K) here, in `out`, and that of sum 2 Re tr(W^dagger S)
// with W = -K U held fixed, in `fixed`, for path_pullback_blocks.
inline void square_pullback_blocks(const Fields& fields, const vec* gradient, long first, long end,
                                   vec* fixed, vec* out) {
    for (long block = first; block < end; block++)
        for (int mu = 0; mu < 4; mu++) {
            const long at = block * 4 + mu;
            const vec* u = fields.links + at * LINK;
            Sum<false> sum;
            Matrix loop, g, k, spare;
            vec scaled[ALGEBRA];
            plaquette_paths<false>(fields, block, mu, sum);
            mul_ad(loop.v, u, sum.value.v);
            for (int a = 0; a < ALGEBRA; a++) scaled[a] = gradient[at * ALGEBRA + a] * (real)(1.0 / 36);
            assemble(g.v, scaled);
            mul(k.v, loop.v, g.v);
            add_mul(k.v, g.v, loop.v);
            mul(spare.v, loop.v, k.v);
            project(out + at * ALGEBRA, spare.v);
            mul(spare.v, k.v, u);
            for (int i = 0; i < LINK; i++) fixed[at * LINK + i] = -spare.v[i];
        }
}

// out_b = d/ds F_b(exp(s V) U) + [F, V]_b, which is sum_a v_a (left derivative b of F_a): the
// gradient along the group of sum_a v_a F_a. fields.tangent = V U.
inline void pullback_blocks(const Fields& fields, const Coupling& coupling, long first, long end,
                            const vec* direction, vec* out) {
    const real scale = coupling.beta / 6;
    for (long block = first; block < end; block++)
        for (int mu = 0; mu < 4; mu++) {
            const long at = block * 4 + mu;
            Sum<true> sum;
            Matrix loop, change, v, f;
            plaquette_paths<true>(fields, block, mu, sum);
            add_rectangles<true>(fields, coupling, block, mu, sum);
            mul_ad(loop.v, fields.links + at * LINK, sum.value.v);
            mul_ad(change.v, fields.tangent + at * LINK, sum.value.v);
            add_mul_ad(change.v, fields.links + at * LINK, sum.change[0].v);
            vec components[ALGEBRA], bracket[ALGEBRA];
            project(components, loop.v);
            assemble(f.v, components);
            assemble(v.v, direction + at * ALGEBRA);
            mul(loop.v, f.v, v.v);  // TA([F, V]) = 2 TA(F V)
            project(bracket, loop.v);
            project(components, change.v);
            for (int a = 0; a < ALGEBRA; a++)
                out[at * ALGEBRA + a] = scale * (components[a] + 2.0 * bracket[a]);
        }
}

// The gradient along the group of sum w_mu(x) Re tr(U_mu A_mu): every plaquette counts with the sum of
// the weights of its four links. weights [blocks][4], out [blocks][4][8].
inline void trace_pullback_blocks(const Fields& fields, const vec* weights, long first, long end,
                                  vec* out) {
    for (long block = first; block < end; block++)
        for (int mu = 0; mu < 4; mu++) {
            const int32_t here = (int32_t)(block * LANES);
            Matrix sum, loop;
            clear(sum);
            for (int nu = 0; nu < 8; nu++) {
                if ((nu & 3) == mu) continue;
                Walk<false> walk(fields, here);
                vec total = weight(weights, here, mu);
                for (const int direction : {nu, mu, opposite(nu)}) {
                    const bool back = direction & BACK;
                    if (back) total += weight(weights, step(fields.lattice, walk.at, direction),
                                              direction & 3);
                    else total += weight(weights, walk.at, direction);
                    walk.go(direction);
                }
                for (int i = 0; i < LINK; i++) sum.v[i] += total * walk.value[i];
            }
            mul_ad(loop.v, fields.links + (block * 4 + mu) * LINK, sum.v);
            vec* f = out + (block * 4 + mu) * ALGEBRA;
            project(f, loop.v);
            for (int a = 0; a < ALGEBRA; a++) f[a] *= -0.5;
        }
}

// f = -TA(loop) in components, or f - TA(loop).
template <bool ADD>
INLINE void take_away(vec* f, const Matrix& loop) {
    vec own[ALGEBRA];
    project(own, loop.v);
    for (int a = 0; a < ALGEBRA; a++) f[a] = ADD ? f[a] - own[a] : -own[a];
}

// The gradient along the group of sum 2 Re tr(W_l^dagger S_l) over links l, S_l the plaquette paths
// beside U_l and W = fields.tangent held fixed: every link through the paths it is part of. ADD: what
// `out` held stays in it.
template <bool ADD>
void path_pullback_blocks(const Fields& fields, long first, long end, vec* out) {
    for (long block = first; block < end; block++)
        for (int mu = 0; mu < 4; mu++) {
            const long at = block * 4 + mu;
            Sum<true> sum;
            Matrix loop;
            plaquette_paths<true>(fields, block, mu, sum);
            mul_ad(loop.v, fields.links + at * LINK, sum.change[0].v);
            take_away<ADD>(out + at * ALGEBRA, loop);
        }
}

// The same where W is zero but for direction `active`, the only one that is read.
template <bool ADD>
void active_pullback_blocks(const Fields& fields, int active, long first, long end, vec* out) {
    const vec* w = fields.tangent;
    for (long block = first; block < end; block++)
        for (int mu = 0; mu < 4; mu++) {
            const long at = block * 4 + mu;
            const int32_t here = (int32_t)(block * LANES);
            Sum<false> sum;
            Matrix loop;
            for (int nu = 0; nu < 8; nu++) {
                if ((nu & 3) == mu) continue;
                if (mu == active) {
                    Walk<false>(fields, here).go(nu).go(mu, w).add_to(sum, opposite(nu));
                } else if ((nu & 3) == active) {
                    Walk<false>(fields, here).go(nu, w).go(mu).add_to(sum, opposite(nu));
                    Walk<false>(fields, here).go(nu).go(mu).add_to(sum, opposite(nu), w);
                }
            }
            mul_ad(loop.v, fields.links + at * LINK, sum.value.v);
            take_away<ADD>(out + at * ALGEBRA, loop);
        }
}

// out = A_mu, the closing staples (dagger of the paths): plaquette or rectangle ones; of direction
// `only` where that is not negative.
inline void staple_blocks(const Fields& fields, bool rectangle, int only, long first, long end,
                          vec* out) {
    for (long block = first; block < end; block++)
        for (int mu = 0; mu < 4; mu++) {
            if (only >= 0 && mu != only) continue;
            Sum<false> sum;
            if (rectangle) rectangle_paths<false>(fields, block, mu, sum);
            else plaquette_paths<false>(fields, block, mu, sum);
            Walk<false>::copy(out + (block * 4 + mu) * LINK, sum.value.v, true);
        }
}

// out = scale w A_mu^dagger of one direction with weights [blocks], in links whose others stay.
inline void weighted_path_blocks(const Fields& fields, int mu, real scale, const vec* weights,
                                 long first, long end, vec* out) {
    for (long block = first; block < end; block++) {
        Sum<false> sum;
        plaquette_paths<false>(fields, block, mu, sum);
        const vec weight = scale * weights[block];
        vec* to = out + (block * 4 + mu) * LINK;
        for (int i = 0; i < LINK; i++) to[i] = weight * sum.value.v[i];
    }
}

// out = Re tr(U_mu A_mu) of the plaquette staples, [blocks][4]; 0 where the neighbours are not here.
inline void staple_trace_blocks(const Fields& fields, long first, long end, vec* out) {
    for (long block = first; block < end; block++)
        for (int mu = 0; mu < 4; mu++) {
            const long at = block * 4 + mu;
            out[at] = vec{};
            if (fields.lattice.outermost[block]) continue;
            Sum<false> sum;
            plaquette_paths<false>(fields, block, mu, sum);
            out[at] = real_trace_ad(fields.links + at * LINK, sum.value.v);
        }
}

// out = tr A_mu A_mu^dagger of the plaquette staples of one direction, [blocks].
inline void staple_square_blocks(const Fields& fields, int mu, long first, long end, vec* out) {
    for (long block = first; block < end; block++) {
        Sum<false> sum;
        plaquette_paths<false>(fields, block, mu, sum);
        out[block] = real_trace_ad(sum.value.v, sum.value.v);
    }
}

// total[6] += Re tr P of the planes tx ty tz xy xz yz.
inline void plaquette_blocks(const Fields& fields, long first, long end, wide* total) {
    for (long block = first; block < end; block++) {
        int plane = 0;
        for (int mu = 0; mu < 4; mu++)
            call_up_ahead(fields.lattice, fields.links, LINK, block, mu);
        for (int mu = 0; mu < 3; mu++)
            for (int nu = mu + 1; nu < 4; nu++) {
                Walk<false> one(fields, (int32_t)(block * LANES)), two(fields, (int32_t)(block * LANES));
                one.go(mu).go(nu);
                two.go(nu).go(mu);
                add_to(fields.lattice, total + plane, total + 6 + plane, block,
                       widen(real_trace_ad(one.value, two.value)));
                plane++;
            }
    }
}

// total += Re tr R of all rectangles, both long sides.
inline void rectangle_blocks(const Fields& fields, long first, long end, wide* total) {
    for (long block = first; block < end; block++)
        for (int mu = 0; mu < 4; mu++)
            for (int nu = 0; nu < 4; nu++) {
                if (nu == mu) continue;
                Walk<false> one(fields, (int32_t)(block * LANES)), two(fields, (int32_t)(block * LANES));
                one.go(mu).go(mu).go(nu);
                two.go(nu).go(mu).go(mu);
                add_to(fields.lattice, total, total + 1, block,
                       widen(real_trace_ad(one.value, two.value)));
            }
}

}  // namespace
