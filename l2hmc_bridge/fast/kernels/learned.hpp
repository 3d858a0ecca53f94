// Kicks and drifts with scalar networks: one hidden layer of tanh per link, on invariants of the
// link, whose outputs scale algebra elements. Formulas in l2hmc.py and networks.py.
#pragma once
#include "elementary.hpp"
#include "exponential.hpp"
#include "gauge.hpp"
#include "transport.hpp"

namespace {

constexpr int MOST_OUTPUTS = 8, INPUTS = 2;

// out = weight tanh(first in + offset) + bias; first [hidden][INPUTS], weight [outputs][hidden].
struct Network {
    int hidden, outputs;
    const double *first, *offset, *weight, *bias;

    // out += weight tanh(first in + offset) of hidden units from `start`, at most `count` of them.
    template <bool WHOLE>
    inline __attribute__((always_inline)) void add_group(const vec* in, vec* out, int start, int count) const {
        vec y[TANH_GROUP] = {};
#pragma GCC unroll 4
        for (int h = 0; h < TANH_GROUP; h++)
            if (WHOLE || h < count) {
                const double* row = this->first + (start + h) * INPUTS;
                y[h] = splat(offset[start + h]) + (real)row[0] * in[0];
                for (int i = 1; i < INPUTS; i++) y[h] += (real)row[i] * in[i];
            }
        tanh_group(y);
        for (int j = 0; j < outputs; j++) {
            const double* row = weight + j * hidden + start;
#pragma GCC unroll 4
            for (int h = 0; h < TANH_GROUP; h++)
                if (WHOLE || h < count) out[j] += (real)row[h] * y[h];
        }
    }

    void apply(const vec* in, vec* out) const {
        for (int j = 0; j < outputs; j++) out[j] = splat(bias[j]);
        int start = 0;
        for (; start + TANH_GROUP <= hidden; start += TANH_GROUP)
            add_group<true>(in, out, start, TANH_GROUP);
        if (start < hidden) add_group<false>(in, out, start, hidden - start);
    }
};

// P e^{h^2 s} - h push, its inverse e^{-h^2 s} (P + h push), and the first, a flip and the second in
// one: 2 h e^{-h^2 s} push - P.
enum Mode { FORWARD, INVERSE, TURN };

// One kick. Pointers are to the first block of a chain.
struct Kick {
    Network net;            // outputs s, q, c_0, c_1, ...; outputs 0: none, q = 0
    double h;               // step
    int mode;
    int square;             // the l whose V_l is TA((U A)^2) / 36, made on the way; -1: none
    double beta, c1;        // of the action, used where `force` is null
    double mixing;          // coefficient of the transverse Laplacian of `force` in the push
    const vec *links;       // [blocks][4][18]
    const vec *force;       // [blocks][4][8]; null: computed here, with the invariants
    const vec *invariants;  // [blocks][4][2]
    const vec *base;        // the force whose Laplacian is V_l where loops[l] is null
    const vec *loops[MOST_OUTPUTS];  // V_l, [blocks][4][8]
    const vec *scale;       // s where there is no network, [blocks][4]; null: 0
    const vec *momenta;     // null: out is the push alone
    vec *keep_scale;        // s goes here as well unless null, [blocks][4]
    vec *keep_force;        // and F as the action has it, where `force` is null, [blocks][4][8]
    vec *out;

    void move_to(long links_shift, long shift) {
        const vec** fields[] = {&force, &base, &momenta};
        for (const vec** field : fields)
            if (*field) *field += shift;
        for (int l = 0; l + 2 < net.outputs; l++)
            if (loops[l]) loops[l] += shift;
        if (invariants) invariants += shift / 4;
        if (scale) scale += shift / ALGEBRA;
        if (keep_scale) keep_scale += shift / ALGEBRA;
        if (keep_force) keep_force += shift;
        links += links_shift;
        out += shift;
    }
};

// push = F e^{2 h^2 q} + h^2 sum_l c_l V_l + mixing Lap F of one link; scalars are the network's.
INLINE void push_link(const Lattice& lattice, const Kick& kick, long block, int mu,
                      const vec* force, const vec* square, const vec* scalars, vec grow,
                      vec* push) {
    const real weight = kick.h * kick.h, mixing = kick.mixing;
    const long at = (block * 4 + mu) * ALGEBRA;
    for (int a = 0; a < ALGEBRA; a++) push[a] = force[a] * grow;
    for (int l = 0; l + 2 < kick.net.outputs; l++) {
        vec smooth[ALGEBRA];
        const vec* loop = kick.loops[l] ? kick.loops[l] + at : l == kick.square ? square : smooth;
        if (loop == smooth)
            laplacian(lattice, kick.links, kick.base, false, block, mu, smooth);
        for (int a = 0; a < ALGEBRA; a++) push[a] += weight * scalars[2 + l] * loop[a];
    }
    if (kick.mixing != 0) {
        vec smooth[ALGEBRA];
        laplacian(lattice, kick.links, kick.force, true, block, mu, smooth);
        for (int a = 0; a < ALGEBRA; a++) push[a] += mixing * smooth[a];
    }
}

// What a kick needs of one link: the force, what the network sees, and V of the squared loop.
struct Local {
    vec force[ALGEBRA], seen[INPUTS], square[ALGEBRA];
};

// What the network says of the four links of a block: (s, q, c_0, ...), e^{2 h^2 q}, and e^{h^2 s} or
// its inverse. Link by link the long chains of dependent steps of a network would not overlap.
struct Factors {
    vec scalars[4][MOST_OUTPUTS], push[4], keep[4];
};

INLINE void factors(const Kick& kick, long block, const Local* fresh, Factors& out) {
    const real weight = kick.h * kick.h, exponent = kick.mode == FORWARD ? weight : -weight;
    vec grow[8];
    for (int mu = 0; mu < 4; mu++) {
        const long at = block * 4 + mu;
        vec* scalars = out.scalars[mu];
        out.push[mu] = out.keep[mu] = splat(1);
        if (kick.net.outputs > 0)
            kick.net.apply(kick.force ? kick.invariants + at * INPUTS : fresh[mu].seen, scalars);
        else scalars[0] = kick.scale ? kick.scale[at] : vec{};
        if (kick.keep_scale) kick.keep_scale[at] = scalars[0];
        grow[mu] = exponent * scalars[0];
        grow[4 + mu] = 2 * weight * scalars[1];
    }
    if (kick.net.outputs > 0) {
        exp_group<8>(grow);
        for (int mu = 0; mu < 4; mu++) out.keep[mu] = grow[mu], out.push[mu] = grow[4 + mu];
    } else if (kick.scale) {
        exp_group<4>(grow);
        for (int mu = 0; mu < 4; mu++) out.keep[mu] = grow[mu];
    }
}

// The kick of one link; adds s to total.
INLINE void kick_link(const Lattice& lattice, const Kick& kick, long block, int mu,
                      const Local& fresh, const Factors& all, wide& total) {
    const long at = block * 4 + mu;
    const real h = kick.h;
    const vec *scalars = all.scalars[mu], grow = all.keep[mu];
    vec push[ALGEBRA];
    total += widen(scalars[0]);
    if (kick.keep_force)
        for (int a = 0; a < ALGEBRA; a++) kick.keep_force[at * ALGEBRA + a] = fresh.force[a];
    push_link(lattice, kick, block, mu, kick.force ? kick.force + at * ALGEBRA : fresh.force,
              fresh.square, scalars, all.push[mu], push);
    vec* out = kick.out + at * ALGEBRA;
    if (!kick.momenta) {
        for (int a = 0; a < ALGEBRA; a++) out[a] = push[a];
        return;
    }
    const vec* p = kick.momenta + at * ALGEBRA;
    for (int a = 0; a < ALGEBRA; a++)
        out[a] = kick.mode == FORWARD   ? p[a] * grow - h * push[a]
                 : kick.mode == INVERSE ? grow * (p[a] + h * push[a])
                                        : 2 * h * grow * push[a] - p[a];
}

// out = the kick of P; returns the sum of s.
inline double kick_blocks(const Lattice& lattice, const Kick& kick, long first, long end) {
    const Fields fields = {lattice, kick.links, nullptr};
    const Coupling coupling(kick.beta, kick.c1);
    wide total = {};
    for (long block = first; block < end; block++) {
        Local fresh[4];
        for (int mu = 0; mu < 4 && !kick.force; mu++)
            force_link(fields, coupling, block, mu, fresh[mu].force, fresh[mu].seen,
                       kick.square >= 0 ? fresh[mu].square : nullptr);
        Factors all;
        factors(kick, block, fresh, all);
        for (int mu = 0; mu < 4; mu++) kick_link(lattice, kick, block, mu, fresh[mu], all, total);
    }
    return lattice.lane_sum(total);
}

// One drift of the links of direction mu (and of one parity, unless odd < 0), in place.
struct Drift {
    Network net;       // outputs q or (q, c); hidden 0: none
    int mu, odd;
    int rest;          // move every link outside the subset instead, by exp(sign e P)
    double e, sign;    // U' = exp(sign e [P e^{e^2 q} + (e^2 c + mixing) Lap_mu P]) U
    double mixing;     // coefficient of the covariant Laplacian in M = 1 + mixing Lap
    const vec* momenta;
    vec* links;
};

constexpr int ALL = (1 << LANES) - 1;

// 1 in the lanes of a block that move, 0 elsewhere; false where none does.
INLINE bool moving(const Lattice& lattice, const Drift& drift, long block, lanes_index& mask) {
    const int odd = lattice.odd[block];
    const int on = drift.odd < 0 ? ALL : drift.odd ? odd : ALL & ~odd;
    for (int lane = 0; lane < LANES; lane++) mask[lane] = -(whole)(on >> lane & 1);
    return on != 0;
}

inline void drift_blocks(const Lattice& lattice, const Drift& drift, long first, long end) {
    const Fields fields = {lattice, drift.links, nullptr};
    const int mu = drift.mu;
    const real e = drift.e, step = drift.sign * drift.e, mixing = drift.mixing;
    for (long block = first; block < end; block++) {
        lanes_index mask;
        if (!moving(lattice, drift, block, mask)) continue;
        const vec* p = drift.momenta + (block * 4 + mu) * ALGEBRA;
        vec scalars[2] = {}, velocity[ALGEBRA], smooth[ALGEBRA] = {};
        if (drift.net.hidden > 0) {
            Sum<false> sum;
            vec in[2] = {};
            plaquette_paths<false>(fields, block, mu, sum);
            for (int i = 0; i < LINK; i++) in[0] += sum.value.v[i] * sum.value.v[i];
            for (int a = 0; a < ALGEBRA; a++) in[1] += p[a] * p[a];
            drift.net.apply(in, scalars);
        }
        if (drift.net.outputs > 1 || drift.mixing != 0)
            laplacian(lattice, drift.links, drift.momenta, true, block, mu, smooth);
        const vec grow = exp_lanes(e * e * scalars[0]);
        const vec share = e * e * scalars[1] + mixing;
        for (int a = 0; a < ALGEBRA; a++)
            velocity[a] = step * (p[a] * grow + share * smooth[a]);
        Matrix moved;
        vec* u = drift.links + (block * 4 + mu) * LINK;
        rotate(moved, velocity, u);
        for (int i = 0; i < LINK; i++) u[i] = mask ? moved.v[i] : u[i];
    }
}

inline void drift_rest_blocks(const Lattice& lattice, const Drift& drift, long first, long end) {
    const real step = drift.sign * drift.e;
    for (long block = first; block < end; block++) {
        lanes_index mask;
        const bool some = moving(lattice, drift, block, mask);
        const bool all = some && (drift.odd < 0 || lattice.odd[block] == (drift.odd ? ALL : 0));
        for (int mu = 0; mu < 4; mu++) {
            if (all && mu == drift.mu) continue;
            const vec* p = drift.momenta + (block * 4 + mu) * ALGEBRA;
            vec* u = drift.links + (block * 4 + mu) * LINK;
            vec velocity[ALGEBRA];
            Matrix moved;
            for (int a = 0; a < ALGEBRA; a++) velocity[a] = step * p[a];
            rotate(moved, velocity, u);
            for (int i = 0; i < LINK; i++)
                u[i] = mu == drift.mu ? (mask ? u[i] : moved.v[i]) : moved.v[i];
        }
    }
}

}  // namespace
