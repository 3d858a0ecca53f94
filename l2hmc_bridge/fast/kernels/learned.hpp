// Kicks and drifts with scalar networks: one hidden layer of tanh per link, on invariants of the
// link, whose outputs scale algebra elements. Formulas in l2hmc.py and networks.py.
#pragma once
#include "elementary.hpp"
#include "exponential.hpp"
#include "transport.hpp"

namespace {

constexpr int MOST_OUTPUTS = 8;

// out = weight tanh(first in + offset) + bias; first [hidden][inputs], weight [outputs][hidden].
struct Network {
    int inputs, hidden, outputs;
    const double *first, *offset, *weight, *bias;

    static inline void apply(const Network& net, const vec* in, vec* out) {
        for (int j = 0; j < net.outputs; j++) out[j] = splat(net.bias[j]);
        for (int h = 0; h < net.hidden; h++) {
            vec x = splat(net.offset[h]);
            for (int i = 0; i < net.inputs; i++) x += net.first[h * net.inputs + i] * in[i];
            const vec y = tanh_lanes(x);
            for (int j = 0; j < net.outputs; j++) out[j] += net.weight[j * net.hidden + h] * y;
        }
    }
};

// push = F e^{2 h^2 q} + h^2 sum_l c_l V_l from scalars (s, q, c_0, c_1, ...) of one link.
INLINE void push_link(const Network& net, double h, const vec* scalars, const vec* force,
                      const vec* const* loops, vec* push) {
    const vec grow = exp_lanes(2 * h * h * scalars[1]);
    for (int a = 0; a < ALGEBRA; a++) {
        push[a] = force[a] * grow;
        for (int l = 0; l + 2 < net.outputs; l++) push[a] += h * h * scalars[2 + l] * loops[l][a];
    }
}

// One kick of a whole chain.
struct Kick {
    Network net;
    double h;                // step; the inverse is the same with `inverse` set
    int inverse;
    const vec *invariants;   // [blocks][4][inputs]
    const vec *force;        // [blocks][4][8]
    const vec *loops[MOST_OUTPUTS];
    const vec *momenta;      // null: out is the push alone
    vec *out;
};

// out = P e^{h^2 s} - h push, or its inverse e^{-h^2 s} (P + h push); returns the sum of s.
inline double kick_blocks(const Lattice& lattice, const Kick& kick, long shift, long first,
                          long end) {
    vec total = {};
    const double h = kick.h;
    for (long i = shift + first * 4; i < shift + end * 4; i++) {
        vec scalars[MOST_OUTPUTS], push[ALGEBRA];
        const vec* loops[MOST_OUTPUTS];
        for (int l = 0; l + 2 < kick.net.outputs; l++) loops[l] = kick.loops[l] + i * ALGEBRA;
        Network::apply(kick.net, kick.invariants + i * kick.net.inputs, scalars);
        push_link(kick.net, h, scalars, kick.force + i * ALGEBRA, loops, push);
        total += scalars[0];
        vec* out = kick.out + i * ALGEBRA;
        if (!kick.momenta) {
            for (int a = 0; a < ALGEBRA; a++) out[a] = push[a];
            continue;
        }
        const vec* p = kick.momenta + i * ALGEBRA;
        const vec grow = exp_lanes((kick.inverse ? -h * h : h * h) * scalars[0]);
        for (int a = 0; a < ALGEBRA; a++)
            out[a] = kick.inverse ? grow * (p[a] + h * push[a]) : p[a] * grow - h * push[a];
    }
    return lattice.lane_sum(total);
}

// One drift of the links of direction mu (and of one parity, unless odd < 0), in place.
struct Drift {
    Network net;       // outputs (q, c); hidden 0: none
    int mu, odd;
    double e, sign;    // U' = exp(sign e [P e^{e^2 q} + (e^2 c + mixing) Lap_mu P]) U
    double mixing;     // coefficient of the covariant Laplacian in M = 1 + mixing Lap
    const vec* momenta;
    vec* links;
};

// 1 in the lanes of a block that move, 0 elsewhere; false where none does.
INLINE bool moving(const Lattice& lattice, const Drift& drift, long block, lanes_index& mask) {
    bool any = false;
    for (int lane = 0; lane < LANES; lane++) {
        const bool on = drift.odd < 0 || lattice.parity(block, lane) == drift.odd;
        mask[lane] = on ? -1 : 0;
        any |= on;
    }
    return any;
}

inline void drift_blocks(const Lattice& lattice, const Drift& drift, long first, long end) {
    const Fields fields = {lattice, drift.links, nullptr};
    const int mu = drift.mu;
    const double e = drift.e;
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
            Network::apply(drift.net, in, scalars);
        }
        if (drift.net.hidden > 0 || drift.mixing != 0)
            laplacian(lattice, drift.links, drift.momenta, true, block, mu, smooth);
        const vec grow = exp_lanes(e * e * scalars[0]);
        const vec share = e * e * scalars[1] + drift.mixing;
        for (int a = 0; a < ALGEBRA; a++)
            velocity[a] = drift.sign * e * (p[a] * grow + share * smooth[a]);
        Matrix rotation, moved;
        vec* u = drift.links + (block * 4 + mu) * LINK;
        exponential(rotation.v, velocity);
        mul(moved.v, rotation.v, u);
        for (int i = 0; i < LINK; i++) u[i] = mask ? moved.v[i] : u[i];
    }
}

}  // namespace
