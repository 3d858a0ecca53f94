// Exponential, tangent, Laplacian, learned kicks and drifts of blocked fields.
#pragma once
#include "calls.hpp"

// out = exp(step X) U with blocked components and links.
EXPORT void exp_multiply_blocks(Call* call, double step, const vec* x, const vec* u, vec* out) {
    const Lattice& lattice = *call->lattice;
    for_sites(lattice, call->chains, call->threads, [&](long chain, long first, long end, long) {
        const long base = chain * lattice.blocks * 4;
        for (long i = first * 4; i < end * 4; i++) {
            Matrix result[TEAM];
            rotate_parts(result, lattice, step, x, u, out, base + i);
            for (int k = 0; k < lattice.parts; k++)
                copy_link(out + (base + lattice.volume * 4 * k + i) * LINK, result[k].v);
        }
    });
}

// Covariant Laplacian of an algebra field; only < 0: all directions.
EXPORT void laplacian(Call* call, int transverse, int only, const vec* links, const vec* field,
                      vec* out) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const long shift = call->algebra(chain);
                   laplacian_blocks(*call->lattice, links + call->links(chain), field + shift,
                                    transverse != 0, only, first, end, out + shift);
               });
}

// The gradient along the group of sum <gradient, laplacian(field)>.
EXPORT void laplacian_pullback(Call* call, int transverse, int only, const vec* links,
                               const vec* field, const vec* gradient, vec* out) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const long shift = call->algebra(chain);
                   laplacian_pullback_blocks(*call->lattice, links + call->links(chain),
                                             field + shift, gradient + shift, transverse != 0,
                                             only, first, end, out + shift);
               });
}

namespace {

// P after a kick, and log|J| per chain.
inline void run_kick(const Call& call, const Kick& kick, double* out) {
    const Lattice& lattice = *call.lattice;
    const double sign = kick.mode == TURN ? 0 : kick.mode == INVERSE ? -1 : 1;
    const int parts = kick.together() ? lattice.parts : 1;
    Sums<1> sums(call);
    const long turns = lattice.parts / parts, chunks = lattice.chunks();
    parallel(call.chains * turns * chunks, call.threads, [&](long task) {
        const long chain = task / (turns * chunks), chunk = task % chunks;
        const int part = (int)(task / chunks % turns);
        Kick one = kick;
        one.move_to(call.links(chain), call.algebra(chain));
        wide total[2 * TEAM] = {};
        kick_blocks(lattice, one, part, parts, chunk * CHUNK,
                    std::min((chunk + 1) * CHUNK, lattice.volume), total);
        const int each = lattice.alone ? 2 : 1;
        for (int k = part; k < part + parts; k++)
            sums.keep(chain, k * chunks + chunk, total + each * k);
    });
    sums.finish(out, sign * ALGEBRA * kick.h * kick.h);
}

// A drift of one subset of links, alone or with all other links, or of all alike; in place.
inline void run_drift(const Call& call, const Drift& drift) {
    const Lattice& lattice = *call.lattice;
    const auto pass = [&](bool subset, bool rest) {
        for_sites(lattice, call.chains, call.threads, [&](long chain, long first, long end, long) {
            Drift one = drift;
            one.move_to(call.links(chain), call.algebra(chain));
            if (subset) drift_sites(lattice, one, first, end);
            if (rest) drift_rest_sites(lattice, one, first, end);
        });
    };
    if (drift.order == ALONE) return pass(true, false);
    if (drift.mu < 0) return pass(false, true);
    if (drift.order == FIRST && drift.local(lattice)) return pass(true, true);
    if (call.chains % call.threads == 0)  // a chain to each thread: what it reads again is near
        return parallel(call.chains, call.threads, [&](long chain) {
            Drift one = drift;
            one.move_to(call.links(chain), call.algebra(chain));
            drift_by_slices(lattice, one);
        });
    pass(drift.order == FIRST, drift.order == LAST);
    pass(drift.order == LAST, drift.order == FIRST);
}

// A kick or a drift, one of them null; `out` is log|J| of a kick.
struct Task {
    const Kick* kick;
    const Drift* drift;
    double* out;
};

}  // namespace

// Task after task.
EXPORT void learned_run(Call* call, int count, const Task* tasks) {
    for (const Task* task = tasks; task < tasks + count; task++)
        if (task->kick) run_kick(*call, *task->kick, task->out);
        else run_drift(*call, *task->drift);
}

// out = scale X U, the tangent field of an algebra field.
EXPORT void algebra_multiply_blocks(Call* call, double scale, const vec* x, const vec* u,
                                    vec* out) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const long base = chain * call->lattice->blocks;
                   const real size = scale;
                   for (long i = (base + first) * 4; i < (base + end) * 4; i++) {
                       Matrix m;
                       vec scaled[ALGEBRA];
                       for (int a = 0; a < ALGEBRA; a++) scaled[a] = size * x[i * ALGEBRA + a];
                       assemble(m.v, scaled);
                       mul(out + i * LINK, m.v, u + i * LINK);
                   }
               });
}

// The same in the torch layout, with a weight per chain or none (null).
EXPORT void algebra_multiply_out(Call* call, double scale, const double* weights, const vec* x,
                                 const vec* u, real* out) {
    const Lattice& lattice = *call->lattice;
    const bool stream = beyond_caches(lattice, call->chains);
    for_chunks(lattice, call->chains, call->threads, [&](long chain, long first, long end, long) {
        const real size = weights ? scale * weights[chain] : scale;
        const long all = 4 * lattice.blocks * (chain + 1);
        Matrix m, moved;
        matrices_from_blocks(lattice, -1, stream, chain, first, end, out, [&](long at) {
            vec scaled[ALGEBRA];
            call_up_block(u, at, all);
            call_up_block<ALGEBRA>(x, at, all);
            for (int a = 0; a < ALGEBRA; a++) scaled[a] = size * x[at * ALGEBRA + a];
            assemble(m.v, scaled);
            mul(moved.v, m.v, u + at * LINK);
            return (const vec*)moved.v;
        });
    });
}
