// Kicks and drifts with scalar networks: one hidden layer of tanh per link, on invariants of the
// link, whose outputs scale algebra elements. Formulas in l2hmc.py and networks.py.
#pragma once
#include "elementary.hpp"
#include "exponential.hpp"
#include "gauge.hpp"
#include "transport.hpp"

namespace {

constexpr int MOST_OUTPUTS = 8;

// out = weight tanh(first in + offset) + bias; first [hidden][inputs], weight [outputs][hidden].
struct Network {
    int inputs, hidden, outputs;
    const double *first, *offset, *weight, *bias;

    static inline void apply(const Network& net, const vec* in, vec* out) {
        for (int j = 0; j < net.outputs; j++) out[j] = splat(net.bias[j]);
        for (int start = 0; start < net.hidden; start += TANH_GROUP) {
            const int count = net.hidden - start < TANH_GROUP ? net.hidden - start : TANH_GROUP;
            vec y[TANH_GROUP] = {};
            for (int h = 0; h < count; h++) {
                y[h] = splat(net.offset[start + h]);
                for (int i = 0; i < net.inputs; i++)
                    y[h] += net.first[(start + h) * net.inputs + i] * in[i];
            }
            tanh_group(y);
            for (int j = 0; j < net.outputs; j++)
                for (int h = 0; h < count; h++)
                    out[j] += net.weight[j * net.hidden + start + h] * y[h];
        }
    }
};

// One kick. Pointers are to the first block of a chain.
struct Kick {
    Network net;            // outputs s, q, c_0, c_1, ...; outputs 0: none, s = q = 0
    double h;               // step; the inverse map is the same with `inverse` set
    int inverse;
    double beta, c1;        // of the action, used where `force` is null
    double mixing;          // coefficient of the transverse Laplacian of `force` in the push
    const vec *links;       // [blocks][4][18]
    const vec *force;       // [blocks][4][8]; null: computed here, with the invariants
    const vec *invariants;  // [blocks][4][2]
    const vec *base;        // the force whose Laplacian is V_l where loops[l] is null
    const vec *loops[MOST_OUTPUTS];  // V_l, [blocks][4][8]
    const vec *momenta;     // null: out is the push alone
    vec *out;

    void move_to(long links_shift, long shift) {
        const vec** fields[] = {&force, &base, &momenta};
        for (const vec** field : fields)
            if (*field) *field += shift;
        for (int l = 0; l + 2 < net.outputs; l++)
            if (loops[l]) loops[l] += shift;
        if (invariants) invariants += shift / 4;
        links += links_shift;
        out += shift;
    }
};

// push = F e^{2 h^2 q} + h^2 sum_l c_l V_l + mixing Lap F of one link; scalars are the network's.
INLINE void push_link(const Lattice& lattice, const Kick& kick, long block, int mu,
                      const vec* force, const vec* scalars, vec* push) {
    const double square = kick.h * kick.h;
    const long at = (block * 4 + mu) * ALGEBRA;
    const vec grow = kick.net.outputs > 0 ? exp_lanes(2 * square * scalars[1]) : splat(1);
    for (int a = 0; a < ALGEBRA; a++) push[a] = force[a] * grow;
    for (int l = 0; l + 2 < kick.net.outputs; l++) {
        vec smooth[ALGEBRA];
        const vec* loop = kick.loops[l] ? kick.loops[l] + at : smooth;
        if (!kick.loops[l]) laplacian(lattice, kick.links, kick.base, false, block, mu, smooth);
        for (int a = 0; a < ALGEBRA; a++) push[a] += square * scalars[2 + l] * loop[a];
    }
    if (kick.mixing != 0) {
        vec smooth[ALGEBRA];
        laplacian(lattice, kick.links, kick.force, true, block, mu, smooth);
        for (int a = 0; a < ALGEBRA; a++) push[a] += kick.mixing * smooth[a];
    }
}

// out = P e^{h^2 s} - h push, or its inverse e^{-h^2 s} (P + h push); returns the sum of s.
inline double kick_blocks(const Lattice& lattice, const Kick& kick, long first, long end) {
    const Fields fields = {lattice, kick.links, nullptr};
    const Coupling coupling = {kick.beta, 1 - 8 * kick.c1, kick.c1};
    vec total = {};
    const double h = kick.h;
    for (long block = first; block < end; block++)
        for (int mu = 0; mu < 4; mu++) {
            const long at = block * 4 + mu;
            vec scalars[MOST_OUTPUTS] = {}, push[ALGEBRA], fresh[ALGEBRA], seen[2];
            if (!kick.force) force_link(fields, coupling, block, mu, fresh, seen);
            if (kick.net.outputs > 0) {
                Network::apply(kick.net, kick.force ? kick.invariants + at * 2 : seen, scalars);
                total += scalars[0];
            }
            push_link(lattice, kick, block, mu, kick.force ? kick.force + at * ALGEBRA : fresh,
                      scalars, push);
            vec* out = kick.out + at * ALGEBRA;
            if (!kick.momenta) {
                for (int a = 0; a < ALGEBRA; a++) out[a] = push[a];
                continue;
            }
            const vec* p = kick.momenta + at * ALGEBRA;
            const vec grow = kick.net.outputs > 0
                                 ? exp_lanes((kick.inverse ? -h * h : h * h) * scalars[0])
                                 : splat(1);
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
