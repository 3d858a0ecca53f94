// The covariant field transformation of one link subset, its inverse, log|J|, and the way back of a
// gradient: U' = exp(-rho TA(U A)) U for the links of one direction and one parity.
//
// Formulas in fast/smearing.py. Links of a block that do not move are computed with and left out.
#pragma once
#include <cmath>

#include "adjoint.hpp"
#include "heatbath.hpp"
#include "transport.hpp"

namespace {

constexpr int MOST_ITERATIONS = 400;
constexpr real UNIT = sizeof(real) == 8 ? 2.2e-16 : 1.2e-7, ROUNDING = 2 * UNIT, NEARLY = 500 * UNIT;

// rho = bound tanh(weight . f(slope q + offset) + bias), q = tr(A A^dagger) / 36.
struct Rule {
    double bound, bias;
    int hidden, activation;
    const double *slope, *offset, *weight;

    // rho, and its derivative by q.
    void apply(vec q, vec& rho, vec& change) const {
        if (hidden == 0) {
            rho = splat(bound * std::tanh(bias));
            change = vec{};
            return;
        }
        vec sum[GROUP] = {splat(bias)}, rate = {};
        for (int start = 0; start < hidden; start += GROUP) {
            const int count = hidden - start < GROUP ? hidden - start : GROUP;
            vec y[GROUP] = {}, slopes[GROUP];
            for (int h = 0; h < count; h++)
                y[h] = (real)slope[start + h] * q + (real)offset[start + h];
            if (activation == TANH) {
                tanh_group(y);
                for (int h = 0; h < count; h++) slopes[h] = 1.0 - y[h] * y[h];
            } else {
                for (int h = 0; h < count; h++) {
                    const vec r = inverse_root(1.0 + y[h] * y[h]);
                    slopes[h] = r * r * r;
                    y[h] *= r;
                }
            }
            for (int h = 0; h < count; h++) {
                const real w = weight[start + h];
                sum[0] += w * y[h];
                rate += w * (real)slope[start + h] * slopes[h];
            }
        }
        tanh_group(sum);
        rho = (real)bound * sum[0];
        change = (real)bound * (1.0 - sum[0] * sum[0]) * rate;
    }
};

// Which links move, and by what rule.
struct Subset {
    const Lattice& lattice;
    int mu, odd;
    Rule rule;

    // out = exp(Y) u; on a part of a lattice each lane by itself.
    void turned(Matrix& out, const vec* y, const vec* u) const {
        if (lattice.alone) rotate_alone(out, y, u);
        else rotate(out, y, halvings(y), u);
    }

    // The lanes of a block that move.
    lanes_index moving(long block) const {
        const int bits = lattice.odd[block], all = (1 << LANES) - 1;
        return lanes_of(odd ? bits : ~bits & all);
    }
};

// What a link moves by: paths = A^dagger, M = U A, x of TA(M), rho.
struct Pull {
    const Lattice& lattice;
    Sum<false> paths;
    Matrix loop;
    vec x[ALGEBRA], rho, change;

    Pull(const Subset& subset, const vec* links, long block) : lattice(subset.lattice) {
        call_up_edge(lattice, links, soon(lattice, block + 2), subset.mu,
                     slow_across(subset.mu));
        const Fields fields = {subset.lattice, links, nullptr};
        plaquette_paths<false, true>(fields, block, subset.mu, paths);
        const vec square = real_trace_ad(paths.value.v, paths.value.v) * (real)(1.0 / 36);
        subset.rule.apply(square, rho, change);
    }

    // M and x at U, and y = -rho x; 0 where nothing moves, since all lanes share the lengths of series.
    void at(const vec* u, lanes_index moving, vec* y) {
        mul_ad(loop.v, u, paths.value.v);
        project(x, loop.v);
        for (int a = 0; a < ALGEBRA; a++) y[a] = moving ? -rho * x[a] : vec{};
    }

    vec log_det(const vec* y) const {
        Bracket bracket(loop.v, y, rho, lattice.alone);
        const vec found = determinant(bracket.t);
        return found > 0.0 ? log_lanes(found) + bracket.log_factor() : splat(NAN);
    }
};

INLINE void put_lanes(vec* to, const vec* from, int count, lanes_index moving) {
    for (int i = 0; i < count; i++) to[i] = moving ? from[i] : to[i];
}

// The links of blocks [first, end) in place; total += log|J| unless it is null.
inline void smear_blocks(const Subset& subset, vec* links, long first, long end, wide* total) {
    for (long block = first; block < end; block++) {
        const lanes_index moving = subset.moving(block);
        if (!any(moving)) continue;
        vec* u = links + (block * 4 + subset.mu) * LINK;
        Pull pull(subset, links, block);
        vec y[ALGEBRA];
        pull.at(u, moving, y);
        Matrix moved;
        subset.turned(moved, y, u);
        if (total) {
            const vec change = pull.log_det(y);
            add_to(subset.lattice, total, total + 1, block, widen(moving ? change : vec{}));
        }
        put_lanes(u, moved.v, LINK, moving);
    }
}

// The inverse in place by U = exp(rho X(U)) U', log|J| of the map at what it finds; returns how many links
// still move after as many iterations as are allowed.
inline long unsmear_blocks(const Subset& subset, vec* links, long first, long end, wide* total) {
    long lost = 0;
    for (long block = first; block < end; block++) {
        const lanes_index moving = subset.moving(block);
        if (!any(moving)) continue;
        vec* u = links + (block * 4 + subset.mu) * LINK;
        Pull pull(subset, links, block);
        Matrix now, next;
        vec y[ALGEBRA];
        copy_link(now.v, u);
        lanes_index still = moving;
        vec last = splat(1e30);
        for (int n = 0; n < MOST_ITERATIONS && any(still); n++) {
            pull.at(now.v, moving, y);
            for (int a = 0; a < ALGEBRA; a++) y[a] = -y[a];
            subset.turned(next, y, u);
            vec change = {};
            for (int i = 0; i < LINK; i++) {
                const vec difference = next.v[i] - now.v[i],
                          size = difference < 0.0 ? -difference : difference;
                change = size > change ? size : change;
            }
            put_lanes(now.v, next.v, LINK, still);
            still &= (change > ROUNDING) & ((change < last) | (change > NEARLY));
            last = change;
        }
        for (int lane = 0; lane < LANES; lane++)
            lost += still[lane] != 0 && (subset.lattice.own[block] >> lane & 1);
        if (total) {
            pull.at(now.v, moving, y);
            const vec change = pull.log_det(y);
            add_to(subset.lattice, total, total + 1, block, widen(moving ? change : vec{}));
        }
        put_lanes(u, now.v, LINK, moving);
    }
    return lost;
}

// The way back of the gradient of a function of U' minus log|J|: the links that move get theirs, and what
// acts on their staples goes to `weights`, half of N in Re tr(N A). `links` are those after the step and
// become those before it, of which `start` has the ones that move.
inline void pull_blocks(const Subset& subset, const vec* start, vec* links, vec* weights,
                        vec* gradient, long first, long end) {
    for (long block = first; block < end; block++) {
        const long at = block * 4 + subset.mu;
        const lanes_index moving = subset.moving(block);
        vec* w = weights + at * LINK;
        const long later = soon(subset.lattice, block + 2) * 4 + subset.mu;
        if (subset.lattice.far) {
            call_up<true, 2>(weights + later * LINK, LINK);
            if (any(moving)) {
                call_up<false, 2>(start + later * LINK, LINK);
                call_up<true, 2>(gradient + later * ALGEBRA, ALGEBRA);
            }
        }
        if (!any(moving)) {
            for (int i = 0; i < LINK; i++) w[i] = vec{};
            continue;
        }
        vec *u = links + at * LINK, *g = gradient + at * ALGEBRA;
        put_lanes(u, start + at * LINK, LINK, moving);
        Pull pull(subset, links, block);
        vec y[ALGEBRA], to_y[ALGEBRA], to_u[ALGEBRA], to_trace, to_rho, turned[ALGEBRA] = {};
        pull.at(u, moving, y);
        Bracket bracket(pull.loop.v, y, pull.rho, subset.lattice.alone);
        // The adjoint of dexp is phi(-Z) = e^{-Z/2} S, and e^{-Z/2} is Ad exp(-Y/2).
        Matrix half, e, k, imaginary, both;
        vec part[ALGEBRA];
        for (int a = 0; a < ALGEBRA; a++) part[a] = 0.5 * y[a], to_y[a] = vec{};
        if (subset.lattice.alone) exponential_alone(half, part);
        else exponential(half.v, part, halvings(part));
        mul(e.v, half.v, half.v);
        bracket.factor_times(part, g, y);
        add_conjugate<true>(to_y, half.v, part);
        bracket.pullback(pull.rho, y, to_u, to_trace, to_y, to_rho);
        for (int a = 0; a < ALGEBRA; a++) to_rho -= pull.x[a] * to_y[a];

        // Re tr(K dM), K = sum (to_u - i to_x) lambda_c + to_trace, to_x = -rho to_y.
        for (int a = 0; a < ALGEBRA; a++) part[a] = 2.0 * to_u[a];
        assemble(imaginary.v, part);  // lambda_c = -2 i T_c
        for (int a = 0; a < ALGEBRA; a++) part[a] = 2.0 * pull.rho * to_y[a];
        assemble(k.v, part);
        for (int i = 0; i < LINK; i += 2) {
            k.v[i] += imaginary.v[i + 1];
            k.v[i + 1] -= imaginary.v[i];
        }
        for (int i = 0; i < 3; i++) k.v[8 * i] += to_trace;
        mul(both.v, pull.loop.v, k.v);
        project(part, both.v);
        add_conjugate<true>(turned, e.v, g);
        for (int a = 0; a < ALGEBRA; a++) turned[a] -= 0.5 * part[a];
        put_lanes(g, turned, ALGEBRA, moving);

        const vec along = to_rho * pull.change * (real)(2.0 / 36);
        mul(both.v, k.v, u);
        for (int i = 0; i < LINK; i++) {
            const vec n = 0.5 * (both.v[i] + along * pull.paths.value.v[i]);
            w[i] = moving ? n : vec{};
        }
    }
}

// sum += the path from x along nu, mu and back, its three links those of three fields.
INLINE void add_path(const Fields& fields, long block, int mu, int nu, const vec* first,
                     const vec* second, const vec* third, Sum<false>& sum) {
    Matrix rooms[3];
    const bool back = nu & BACK;
    const int32_t here = (int32_t)(block * LANES), beside = step(fields.lattice, here, nu),
                  start = back ? beside : here, end = step(fields.lattice, start, mu);
    (back ? add_mul_da_mul : add_mul_mul_ad)(sum.value.v, link(first, start, nu & 3, rooms[0]),
                                             link(second, beside, mu, rooms[1]),
                                             link(third, end, nu & 3, rooms[2]));
}

// Adds to the gradient of the frozen links what acts on the staples that they are part of.
inline void spread_blocks(const Subset& subset, const vec* links, const vec* weights,
                          vec* gradient, long first, long end) {
    const Lattice& lattice = subset.lattice;
    const Fields fields = {lattice, links, nullptr};
    for (long block = first; block < end; block++) {
        const long later = soon(lattice, block + 1);
        call_up_edge(lattice, links, later, subset.mu,
                     slow_across(subset.mu));
        if (lattice.far) {
            for (const int nu : {0, slow_across(subset.mu)}) {
                const long there = lattice.next[later * 8 + nu] >> LANE_BITS;
                call_up<false, 2>(weights + (there * 4 + subset.mu) * LINK, LINK);
            }
            call_up<true, 2>(gradient + later * 4 * ALGEBRA, 4 * ALGEBRA);
        }
        // Where blocks have one parity, only one of two neighbours moves.
        const bool here = !lattice.uniform(block, !subset.odd),
                   beside = !lattice.uniform(block, subset.odd);
        for (int mu = 0; mu < 4; mu++) {
            if (mu == subset.mu && !beside) continue;
            const long at = block * 4 + mu;
            Sum<false> sum;
            Matrix loop;
            vec part[ALGEBRA];
            for (int nu = 0; nu < 8; nu++) {
                if ((nu & 3) == mu || (mu != subset.mu && (nu & 3) != subset.mu)) continue;
                if (mu == subset.mu) {
                    add_path(fields, block, mu, nu, links, weights, links, sum);
                    continue;
                }
                if (nu & BACK ? beside : here)
                    add_path(fields, block, mu, nu, weights, links, links, sum);
                if (nu & BACK ? here : beside)
                    add_path(fields, block, mu, nu, links, links, weights, sum);
            }
            mul_ad(loop.v, links + at * LINK, sum.value.v);
            project(part, loop.v);
            for (int a = 0; a < ALGEBRA; a++) gradient[at * ALGEBRA + a] -= part[a];
        }
    }
}

}  // namespace
