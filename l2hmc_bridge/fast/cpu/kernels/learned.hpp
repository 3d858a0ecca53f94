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
    vec *out;

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

// What the network says of one link: (s, q, c_0, ...), and e^{h^2 s} or its inverse and e^{2 h^2 q}.
struct Factors {
    vec scalars[MOST_OUTPUTS], keep_push[2];
};

INLINE void factors(const Kick& kick, long at, const Local& fresh, Factors& out) {
    const real weight = kick.h * kick.h, exponent = kick.mode == FORWARD ? weight : -weight;
    out.scalars[0] = kick.scale ? kick.scale[at] : vec{};
    out.keep_push[0] = out.keep_push[1] = splat(1);
    if (kick.net.outputs > 0) {
        kick.net.apply(kick.force ? kick.invariants + at * INPUTS : fresh.seen, out.scalars);
        out.keep_push[0] = exponent * out.scalars[0];
        out.keep_push[1] = 2 * weight * out.scalars[1];
        exp_group<2>(out.keep_push);
    } else if (kick.scale) {
        out.keep_push[0] = exponent * out.scalars[0];
        exp_group<1>(out.keep_push);
    }
    if (kick.keep_scale) kick.keep_scale[at] = out.scalars[0];
}

// The kick of one link; adds s to total.
INLINE void kick_link(const Lattice& lattice, const Kick& kick, long block, int mu,
                      const Local& fresh, wide& total) {
    const long at = block * 4 + mu;
    const real h = kick.h;
    Factors all;
    vec push[ALGEBRA];
    factors(kick, at, fresh, all);
    const vec grow = all.keep_push[0];
    total += widen(all.scalars[0]);
    if (kick.keep_force)
        for (int a = 0; a < ALGEBRA; a++) kick.keep_force[at * ALGEBRA + a] = fresh.force[a];
    push_link(lattice, kick, block, mu, kick.force ? kick.force + at * ALGEBRA : fresh.force,
              fresh.square, all.scalars, all.keep_push[1], push);
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

// out = the kick of P; returns the sum of s. One link from end to end: its neighbours stay in the
// first cache.
inline double kick_blocks(const Lattice& lattice, const Kick& kick, long first, long end) {
    const Fields fields = {lattice, kick.links, nullptr};
    const Coupling coupling(kick.beta, kick.c1);
    wide total = {};
    if (kick.plain()) {
        const real step = kick.mode == FORWARD ? -kick.h : kick.mode == INVERSE ? kick.h : 2 * kick.h;
        force_blocks(fields, coupling, first, end, kick.mode == TURN ? -1 : 1, kick.momenta, step,
                     kick.out, nullptr, nullptr);
        return 0;
    }
    for (long block = first; block < end; block++)
        for (int mu = 0; mu < 4; mu++) {
            Local fresh;
            if (!kick.force)
                force_link(fields, coupling, block, mu, fresh.force, fresh.seen,
                           kick.square >= 0 ? fresh.square : nullptr,
                           kick.wanted.of(lattice, block, mu));
            else if (kick.mixing != 0)
                call_up_ahead(lattice, kick.links, LINK, block, mu);
            kick_link(lattice, kick, block, mu, fresh, total);
        }
    return lattice.lane_sum(total);
}

}  // namespace
