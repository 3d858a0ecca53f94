// Plaquettes of a field in the torch layout, [4][site][18] for each chain: one pass, nothing stored.
#pragma once
#include "layout.hpp"

namespace {

// Re tr(a b c^dagger), [lanes]; the product a b stays in registers, row by row.
INLINE vec real_trace_of_product(const vec* a, const vec* b, const vec* c) {
    vec sum = {};
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) {
        vec re[3] = {}, im[3] = {};
        add_row<false, false>(re, im, a, b, i);
#pragma GCC unroll 3
        for (int j = 0; j < 3; j++) {
            sum += re[j] * c[2 * (3 * i + j)];
            sum += im[j] * c[2 * (3 * i + j) + 1];
        }
    }
    return sum;
}

__attribute__((noinline)) void gather_link(vec* out, const Lattice& lattice, const real* links,
                                           int32_t at) {
    const real* source[LANES];
    const long* place = &lattice.place[at & ~(LANES - 1)];
    for (int lane = 0; lane < LANES; lane++)
        source[lane] = links + place[lane ^ (at & (LANES - 1))] * LINK;
    gather(out, source);
}

#ifndef PSOON
#define PSOON 1
#endif
#ifndef OWN
#define OWN 1
#endif
#ifndef LEVEL
#define LEVEL 2
#endif
INLINE void call_up_links(const Lattice& lattice, const real* links, int32_t at) {
    const long* place = &lattice.place[at & ~(LANES - 1)];
    for (int lane = 0; lane < LANES; lane++)
        for (int i = 0; i < LINK; i += 64 / (int)sizeof(real))
            __builtin_prefetch(links + place[lane] * LINK + i, 0, 4-LEVEL);
}

// total[6] += Re tr P of the planes tx ty tz xy xz yz at blocks [first, end).
inline void plaquette_torch(const Lattice& lattice, const real* links, long first, long end,
                            wide* total) {
    const long direction = sites(lattice) * LINK;
    for (long block = first; block < end; block++) {
        const int32_t here = (int32_t)(block * LANES);
        Matrix own[4], ahead[4][4];  // U_nu(x), U_nu(x + mu)
#if PSOON
        if (block + PSOON < lattice.blocks)
            for (int mu = 0; mu < 4; mu++) {
                if (OWN) call_up_links(lattice, links + mu * direction, (block + PSOON) * LANES);
                if (mu > 0) call_up_links(lattice, links + mu * direction, lattice.next[(block + PSOON) * 8]);
            }
#endif
        for (int mu = 0; mu < 4; mu++) {
            gather_link(own[mu].v, lattice, links + mu * direction, here);
            for (int nu = 0; nu < 4; nu++)
                if (nu != mu)
                    gather_link(ahead[mu][nu].v, lattice, links + nu * direction,
                                step(lattice, here, mu));
        }
        int plane = 0;
        for (int mu = 0; mu < 3; mu++)
            for (int nu = mu + 1; nu < 4; nu++) {
                Matrix two;
                mul(two.v, own[nu].v, ahead[nu][mu].v);
                total[plane++] += widen(real_trace_of_product(own[mu].v, ahead[mu][nu].v, two.v));
            }
    }
}

}  // namespace
