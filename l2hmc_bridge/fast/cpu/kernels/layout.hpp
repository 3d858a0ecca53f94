// Between the torch layout [chains][4][site][...] and blocks: as many torch matrices at a time as
// there are lanes.
#pragma once
#include <type_traits>

#include "gather.hpp"
#include "lattice.hpp"

namespace {

INLINE long sites(const Lattice& lattice) {
    return (long)lattice.extent[0] * lattice.extent[1] * lattice.extent[2] * lattice.extent[3];
}

// Calls visit(torch, blocked, lane) with offsets in units of matrices, for blocks [first, end).
template <class Visit>
INLINE void visit_links(const Lattice& lattice, long chain, long first, long end, int lanes,
                        const Visit& visit) {
    const long volume = sites(lattice);
    for (long block = first; block < end; block++)
        for (int lane = 0; lane < lanes; lane++) {
            const long site = lattice.site(block, lane & (lattice.active - 1));
            for (int mu = 0; mu < 4; mu++)
                visit((chain * 4 + mu) * volume + site,
                      (chain * lattice.blocks + block) * 4 + mu, lane);
        }
}

// Calls up the matrices that these lanes of a block will be read from, or written to.
template <class Real>
INLINE void call_up_lanes(const Lattice& lattice, long block, Real* torch) {
    for (int lane = 0; lane < lattice.active; lane++)
        for (int i = 0; i < LINK; i += 64 / (int)sizeof(real))
            __builtin_prefetch(torch + lattice.site(block, lane) * LINK + i,
                               !std::is_const<Real>::value);
}

// Calls visit(block, direction of the block, torch numbers of each lane) where a torch field is
// [chains][4][site][18]; with only >= 0 it is [chains][1][site][18] and belongs to that direction.
// CALL_UP: the torch numbers of blocks to come are called up.
template <bool CALL_UP = true, class Real, class Visit>
INLINE void visit_matrices(const Lattice& lattice, int only, long chain, long first, long end,
                           Real* torch, const Visit& visit) {
    constexpr int SOON = 4 * TEAM;
    const long volume = sites(lattice);
    for (int mu = 0; mu < 4; mu++) {
        if (only >= 0 && mu != only) continue;
        const long row = only < 0 ? chain * 4 + mu : chain;
        for (long block = first; block < end; block++) {
            Real* place[LANES];
            for (int lane = 0; lane < LANES; lane++)
                place[lane] = torch + (row * volume +
                    lattice.site(block, lane & (lattice.active - 1))) * LINK;
            if (CALL_UP && block + SOON < lattice.blocks)
                call_up_lanes(lattice, block + SOON, torch + row * volume * LINK);
            visit((chain * lattice.blocks + block) * 4 + mu, place);
        }
    }
}

// Whether matrices of so many chains (of one direction where `only` is not negative) are larger than what
// a core has of the last cache: writing them then had better leave the caches alone. (What systems say
// of its size may be that of many cores.)
inline bool beyond_caches(const Lattice& lattice, long chains, int only = -1) {
    constexpr long SIZE = 24 << 20;
    return chains * lattice.blocks * (only < 0 ? 4 : 1) * (long)sizeof(Matrix) > SIZE;
}

// Calls up the blocked matrix, or element, that the loop will come to a few blocks after number `at`: it
// steps over those of other directions, a pattern that the hardware does not see.
template <int COUNT = LINK>
INLINE void call_up_block(const vec* field, long at, long end) {
    constexpr long LATER = 4 * 2 * TEAM;
    if (at + LATER < end)
        call_up<false, 1>(field + (at + LATER) * COUNT, COUNT);
}

// Torch links -> blocked links, and back; past the caches if `stream`.
inline void links_to_blocks(const Lattice& lattice, bool stream, long chain, long first, long end,
                            const real* in, vec* out) {
    if (!stream)
        return visit_matrices(lattice, -1, chain, first, end, in, [&](long at, const real** source) {
            gather(out + at * LINK, source);
        });
    visit_matrices(lattice, -1, chain, first, end, in, [&](long at, const real** source) {
        gather<true>(out + at * LINK, source);
    });
    streamed();
}

// source(number of the blocked matrix) is where each matrix is.
template <class Source>
inline void matrices_from_blocks(const Lattice& lattice, int only, bool stream, long chain,
                                 long first, long end, real* out, const Source& source) {
    if (!stream || lattice.active < LANES)
        return visit_matrices(lattice, only, chain, first, end, out, [&](long at, real** target) {
            scatter(target, source(at), lattice.active);
        });
    visit_matrices<!STREAMS>(lattice, only, chain, first, end, out, [&](long at, real** target) {
        scatter<true>(target, source(at), LANES);
    });
    streamed();
}

inline void links_from_blocks(const Lattice& lattice, bool stream, long chain, long first, long end,
                              const vec* in, real* out) {
    const long all = 4 * lattice.blocks * (chain + 1);
    matrices_from_blocks(lattice, -1, stream, chain, first, end, out, [&](long at) {
        call_up_block(in, at, all);
        return in + at * LINK;
    });
}

// Torch matrices -> blocked components [chains][blocks][4][8]; directions besides `only` stay.
template <bool STREAM>
void algebra_to_blocks(const Lattice& lattice, int only, long chain, long first, long end,
                       const real* in, vec* out) {
    visit_matrices(lattice, only, chain, first, end, in, [&](long at, const real** source) {
        Matrix m;
        vec components[ALGEBRA];
        gather(m.v, source);
        project(components, m.v);
        for (int a = 0; a < ALGEBRA; a++) write<STREAM>(out + at * ALGEBRA + a, components[a]);
    });
    if (STREAM) streamed();
}

// The way back.
inline void algebra_from_blocks(const Lattice& lattice, int only, bool stream, long chain,
                                long first, long end, const vec* in, real* out) {
    const long all = 4 * lattice.blocks * (chain + 1);
    Matrix m;
    matrices_from_blocks(lattice, only, stream, chain, first, end, out, [&](long at) {
        call_up_block<ALGEBRA>(in, at, all);
        assemble(m.v, in + at * ALGEBRA);
        return (const vec*)m.v;
    });
}

}  // namespace
