// Between the torch layout [chains][4][site][...] and blocks, and as many torch matrices at a time as there are lanes.
#pragma once
#include "lattice.hpp"

namespace {

INLINE long sites(const Lattice& lattice) {
    return (long)lattice.extent[0] * lattice.extent[1] * lattice.extent[2] * lattice.extent[3];
}

// LANES matrices of 18 numbers at source[lane], side by side.
INLINE void gather(vec* out, const real* const* source) {
    for (int lane = 0; lane < LANES; lane++)
        for (int i = 0; i < LINK; i++) ((real*)out)[LANES * i + lane] = source[lane][i];
}

INLINE void scatter(real* const* target, const vec* in, int count) {
    for (int lane = 0; lane < count; lane++)
        for (int i = 0; i < LINK; i++) target[lane][i] = ((const real*)in)[LANES * i + lane];
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

// Torch matrices [chains][4][site][18] -> blocked components [chains][blocks][4][8]; with only >= 0
// the torch field is [chains][1][site][18] and belongs to that direction, the others stay untouched.
inline void algebra_to_blocks(const Lattice& lattice, int only, long chain, long first, long end,
                              const real* in, vec* out) {
    const long volume = sites(lattice);
    for (long block = first; block < end; block++) {
        long site[LANES];
        for (int lane = 0; lane < LANES; lane++)
            site[lane] = lattice.site(block, lane & (lattice.active - 1));
        for (int mu = 0; mu < 4; mu++) {
            if (only >= 0 && mu != only) continue;
            const long row = only < 0 ? chain * 4 + mu : chain;
            const real* source[LANES];
            for (int lane = 0; lane < LANES; lane++)
                source[lane] = in + (row * volume + site[lane]) * LINK;
            Matrix m;
            gather(m.v, source);
            project(out + ((chain * lattice.blocks + block) * 4 + mu) * ALGEBRA, m.v);
        }
    }
}

// The way back, times `scale`.
inline void algebra_from_blocks(const Lattice& lattice, int only, long chain, long first, long end,
                                const vec* in, real* out) {
    const long volume = sites(lattice);
    for (long block = first; block < end; block++) {
        long site[LANES];
        for (int lane = 0; lane < LANES; lane++)
            site[lane] = lattice.site(block, lane & (lattice.active - 1));
        for (int mu = 0; mu < 4; mu++) {
            if (only >= 0 && mu != only) continue;
            const long row = only < 0 ? chain * 4 + mu : chain;
            real* target[LANES];
            for (int lane = 0; lane < LANES; lane++)
                target[lane] = out + (row * volume + site[lane]) * LINK;
            Matrix m;
            assemble(m.v, in + ((chain * lattice.blocks + block) * 4 + mu) * ALGEBRA);
            scatter(target, m.v, lattice.active);
        }
    }
}

}  // namespace
