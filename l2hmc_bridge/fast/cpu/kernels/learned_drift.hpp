// Drifts with scalar networks. Formulas in l2hmc/kernel.py and networks/covariant.py.
#pragma once
#include <algorithm>

#include "exponential.hpp"
#include "gauge.hpp"
#include "network.hpp"
#include "transport.hpp"

namespace {

// Which links move: the subset alone, or the others too, by exp(sign e P), after or before it.
enum Order { ALONE, FIRST, LAST };

// A drift of the links of direction mu and of one parity, unless odd < 0, in place. mu < 0: the subset
// is empty.
struct Drift {
    Network net;       // outputs q or (q, c); hidden 0: none
    int mu, odd, order;
    double e, sign;    // U' = exp(sign e [P e^{e^2 q} + (e^2 c + mixing) Lap_mu P]) U
    double mixing;     // coefficient of the covariant Laplacian in M = 1 + mixing Lap
    Squares known;     // of the staples of the subset, or none
    const vec* momenta;
    vec* links;

    void move_to(long links_shift, long shift) {
        known.move_to(links_shift);
        momenta += shift;
        links += links_shift;
    }

    // Whether the subset can move without a look at other links.
    bool local(const Lattice& lattice) const {
        return known.of_blocks && net.outputs < 2 && mixing == 0 && lattice.even;
    }
};

constexpr int ALL = (1 << LANES) - 1;

// 1 in the lanes of a block that move, 0 elsewhere; false where none does.
INLINE bool moving(const Lattice& lattice, const Drift& drift, long block, lanes_index& mask) {
    const int odd = lattice.odd[block];
    const int on = drift.odd < 0 ? ALL : drift.odd ? odd : ALL & ~odd;
    for (int lane = 0; lane < LANES; lane++) mask[lane] = -(whole)(on >> lane & 1);
    return on != 0;
}

// Whether any lane moves in any part.
INLINE bool any_moving(const Lattice& lattice, const Drift& drift, long site) {
    lanes_index mask = {};
    for (int k = 0; k < lattice.parts; k++)
        if (moving(lattice, drift, k * lattice.volume + site, mask)) return true;
    return false;
}

// q, c and Lap_mu P of the link of the subset in one block, for its velocity.
INLINE void look(const Fields& fields, const Drift& drift, long block, vec* scalars, vec* smooth) {
    const vec* p = drift.momenta + (block * 4 + drift.mu) * ALGEBRA;
    vec in[INPUTS] = {};
    if (drift.net.hidden > 0) {
        const vec* known = drift.known.of(fields.lattice, block, drift.mu);
        if (known) in[0] = *known;
        else {
            Sum<false> sum;
            plaquette_paths<false>(fields, block, drift.mu, sum);
            in[0] = real_trace_ad(sum.value.v, sum.value.v);
        }
        for (int a = 0; a < ALGEBRA; a++) in[1] += p[a] * p[a];
    }
    if (drift.net.outputs > 1 || drift.mixing != 0)
        laplacian(fields.lattice, drift.links, drift.momenta, true, block, drift.mu, smooth);
    if (drift.net.hidden > 0) drift.net.apply(in, scalars);
}

// Velocities of the links of the subset at one site of every part:
// sign e [P e^{e^2 q} + (e^2 c + mixing) Lap_mu P].
INLINE void velocity(const Fields& fields, const Drift& drift, long site, vec (*out)[ALGEBRA]) {
    const Lattice& lattice = fields.lattice;
    const real weight = drift.e * drift.e, step = drift.sign * drift.e, mixing = drift.mixing;
    vec scalars[TEAM][2] = {}, grow[TEAM] = {}, smooth[TEAM][ALGEBRA] = {};
    for (int k = 0; k < lattice.parts; k++) {
        look(fields, drift, k * lattice.volume + site, scalars[k], smooth[k]);
        grow[k] = weight * scalars[k][0];
    }
    if (lattice.alone) exp_alone<TEAM>(grow);
    else exp_group<TEAM>(grow);
    for (int k = 0; k < lattice.parts; k++) {
        const vec* p = drift.momenta + ((k * lattice.volume + site) * 4 + drift.mu) * ALGEBRA;
        const vec share = weight * scalars[k][1] + mixing;
        for (int a = 0; a < ALGEBRA; a++)
            out[k][a] = step * (p[a] * grow[k] + share * smooth[k][a]);
    }
}

// u = moved in the lanes of `mask`.
INLINE void move_lanes(vec* u, const Matrix& moved, lanes_index mask) {
    for (int i = 0; i < LINK; i++) u[i] = mask ? moved.v[i] : u[i];
}

// The subset, at up to CHUNK sites. First all velocities: their chains of dependent steps overlap.
inline void drift_sites(const Lattice& lattice, const Drift& drift, long first, long end) {
    const Fields fields = {lattice, drift.links, nullptr};
    vec velocities[CHUNK][TEAM][ALGEBRA];
    for (long site = first; site < end; site++) {
        if (!any_moving(lattice, drift, site)) continue;
        for (int k = 0; k < lattice.parts; k++)
            call_up<true, 2>(
                drift.links + ((k * lattice.volume + site) * 4 + drift.mu) * LINK, LINK);
        velocity(fields, drift, site, velocities[site - first]);
    }
    for (long site = first; site < end; site++) {
        if (!any_moving(lattice, drift, site)) continue;
        const vec(*own)[ALGEBRA] = velocities[site - first];
        const int count = lattice.alone ? 0 : halvings(own[0], lattice.parts);
        for (int k = 0; k < lattice.parts; k++) {
            const long block = k * lattice.volume + site;
            lanes_index mask = {};
            if (!moving(lattice, drift, block, mask)) continue;
            vec* u = drift.links + (block * 4 + drift.mu) * LINK;
            Matrix moved;
            if (lattice.alone) rotate_alone(moved, own[k], u);
            else rotate(moved, own[k], count, u);
            move_lanes(u, moved, mask);
        }
    }
}

// All links outside the subset.
inline void drift_rest_sites(const Lattice& lattice, const Drift& drift, long first, long end) {
    const real step = drift.sign * drift.e;
    for (long site = first; site < end; site++)
        for (int mu = 0; mu < 4; mu++) {
            lanes_index masks[TEAM];
            bool rest = false;
            for (int k = 0; k < lattice.parts; k++) {
                masks[k] = lanes_index{};
                if (mu == drift.mu) moving(lattice, drift, k * lattice.volume + site, masks[k]);
                rest = rest || any(~masks[k]);
            }
            if (!rest) continue;
            Matrix moved[TEAM];
            rotate_parts(moved, lattice, step, drift.momenta, drift.links, drift.links,
                         site * 4 + mu);
            for (int k = 0; k < lattice.parts; k++)
                move_lanes(drift.links + ((k * lattice.volume + site) * 4 + mu) * LINK, moved[k],
                           ~masks[k]);
        }
}

// The subset and the others in their order, the second of them one time slice behind the first.
inline void drift_by_slices(const Lattice& lattice, const Drift& drift) {
    const long slices = lattice.sub[0], size = lattice.volume / slices;
    const auto move = [&](bool leading, long slice) {
        for (long first = slice * size; first < (slice + 1) * size; first += CHUNK) {
            const long end = std::min(first + CHUNK, (slice + 1) * size);
            if (leading == (drift.order == FIRST)) drift_sites(lattice, drift, first, end);
            else drift_rest_sites(lattice, drift, first, end);
        }
    };
    move(true, 0);
    if (slices > 1) move(true, slices - 1);
    for (long slice = 0; slice < slices; slice++) {
        if (slice + 2 < slices) move(true, slice + 1);
        move(false, slice);
    }
}

}  // namespace
