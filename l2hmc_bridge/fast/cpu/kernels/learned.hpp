// Kicks with scalar networks, whose outputs scale algebra elements. Formulas in l2hmc/kernel.py and
// networks/covariant.py.
#pragma once
#include "exponential.hpp"
#include "gauge.hpp"
#include "network.hpp"
#include "transport.hpp"

namespace {

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
    Squares wanted;         // of the staples of a subset, filled where `force` is null
    const vec *links;       // [blocks][4][18]
    const vec *force;       // [blocks][4][8]; null: computed here, with the invariants
    const vec *invariants;  // [blocks][4][2]
    const vec *base;        // the force whose Laplacian is V_l where loops[l] is null
    const vec *loops[MOST_OUTPUTS];  // V_l, [blocks][4][8]
    const vec *scale;       // s where there is no network, [blocks][4]; null: 0
    const vec *momenta;     // null: out is the push alone
    vec *keep_scale;        // s goes here as well unless null, [blocks][4]
    vec *keep_force;        // and F as the action has it, where `force` is null, [blocks][4][8]
    vec *keep_invariants;   // with it what the network sees, [blocks][4][2]
    vec *keep_square;       // and TA((U A)^2) / 36 where `square` makes it, [blocks][4][8]
    vec *out;

    // Whether exponentials are taken, whose series is chosen for all parts alike.
    bool together() const { return net.outputs > 0 || scale; }

    // Whether this is P - h F with nothing to keep.
    bool plain() const {
        return !force && net.outputs == 0 && !wanted.of_blocks && momenta && !keep_force;
    }

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
        if (keep_invariants) keep_invariants += shift / 4;
        if (keep_square) keep_square += shift;
        wanted.move_to(links_shift);
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

// Of the links of one place in `parts` parts from `part`: which they are, what the force kernel found
// there, and what the network says of them: (s, q, c_0, ...), and e^{h^2 s} or its inverse and
// e^{2 h^2 q}.
struct Links {
    int parts;
    long block[TEAM];
    int mu;
    Local fresh[TEAM];
    vec scalars[TEAM][MOST_OUTPUTS], keep_push[TEAM][2];
};

INLINE void factors(const Lattice& lattice, const Kick& kick, Links& links) {
    const real weight = kick.h * kick.h, exponent = kick.mode == FORWARD ? weight : -weight;
    for (int k = 0; k < TEAM; k++) links.keep_push[k][0] = links.keep_push[k][1] = vec{};
    for (int k = 0; k < links.parts; k++) {
        const long at = links.block[k] * 4 + links.mu;
        vec* scalars = links.scalars[k];
        scalars[0] = kick.scale ? kick.scale[at] : vec{};
        if (kick.net.outputs > 0) {
            kick.net.apply(kick.force ? kick.invariants + at * INPUTS : links.fresh[k].seen, scalars);
            links.keep_push[k][1] = 2 * weight * scalars[1];
        }
        links.keep_push[k][0] = exponent * scalars[0];
        if (kick.keep_scale) kick.keep_scale[at] = scalars[0];
    }
    if (lattice.alone) exp_alone<2 * TEAM>(links.keep_push[0]);
    else exp_group<2 * TEAM>(links.keep_push[0]);
}

// The kick of link number k of `links`.
INLINE void kick_link(const Lattice& lattice, const Kick& kick, const Links& links, int k) {
    const long at = links.block[k] * 4 + links.mu;
    const real h = kick.h;
    const Local& fresh = links.fresh[k];
    vec push[ALGEBRA];
    if (kick.keep_force)
        for (int a = 0; a < ALGEBRA; a++) kick.keep_force[at * ALGEBRA + a] = fresh.force[a];
    if (kick.keep_invariants)
        for (int i = 0; i < INPUTS; i++) kick.keep_invariants[at * INPUTS + i] = fresh.seen[i];
    if (kick.keep_square)
        for (int a = 0; a < ALGEBRA; a++) kick.keep_square[at * ALGEBRA + a] = fresh.square[a];
    push_link(lattice, kick, links.block[k], links.mu,
              kick.force ? kick.force + at * ALGEBRA : fresh.force, fresh.square, links.scalars[k],
              links.keep_push[k][1], push);
    vec* out = kick.out + at * ALGEBRA;
    if (!kick.momenta) {
        for (int a = 0; a < ALGEBRA; a++) out[a] = push[a];
        return;
    }
    const vec *p = kick.momenta + at * ALGEBRA, grow = links.keep_push[k][0];
    for (int a = 0; a < ALGEBRA; a++)
        out[a] = kick.mode == FORWARD   ? p[a] * grow - h * push[a]
                 : kick.mode == INVERSE ? grow * (p[a] + h * push[a])
                                        : 2 * h * grow * push[a] - p[a];
}

// out = the kick of P at sites [first, end) of `parts` parts from `part`; total[part] += s (alone: in two
// numbers). One link from end to end: its neighbours stay in the first cache.
inline void kick_blocks(const Lattice& lattice, const Kick& kick, int part, int parts, long first,
                        long end, wide* total) {
    const Fields fields = {lattice, kick.links, nullptr};
    const Coupling coupling(kick.beta, kick.c1);
    if (kick.plain()) {
        const real step = kick.mode == FORWARD ? -kick.h : kick.mode == INVERSE ? kick.h : 2 * kick.h;
        for (int k = part; k < part + parts; k++)
            force_blocks(fields, coupling, k * lattice.volume + first, k * lattice.volume + end,
                         kick.mode == TURN ? -1 : 1, kick.momenta, step, kick.out, nullptr, nullptr);
        return;
    }
    Links links;
    links.parts = parts;
    for (long site = first; site < end; site++)
        for (links.mu = 0; links.mu < 4; links.mu++) {
            for (int k = 0; k < parts; k++) {
                const long block = links.block[k] = (part + k) * lattice.volume + site;
                Local& fresh = links.fresh[k];
                if (!kick.force)
                    force_link(fields, coupling, block, links.mu, fresh.force, fresh.seen,
                               kick.square >= 0 ? fresh.square : nullptr,
                               kick.wanted.of(lattice, block, links.mu));
                else if (kick.mixing != 0)
                    call_up_ahead(lattice, kick.links, LINK, block, links.mu);
            }
            factors(lattice, kick, links);
            for (int k = 0; k < parts; k++) {
                kick_link(lattice, kick, links, k);
                if (lattice.alone)
                    add_exactly(lattice, total + 2 * (part + k), total + 2 * (part + k) + 1,
                                links.block[k], widen(links.scalars[k][0]));
                else total[part + k] += widen(links.scalars[k][0]);
            }
        }
}

}  // namespace
