// Between the torch layout [chains][4][site][...] and blocks: as many torch matrices at a time as
// there are lanes.
#pragma once
#include <utility>

#include "lattice.hpp"

namespace {

INLINE long sites(const Lattice& lattice) {
    return (long)lattice.extent[0] * lattice.extent[1] * lattice.extent[2] * lattice.extent[3];
}

#ifdef __AVX512F__
// One step of a transposition: number l of a with BIT set changes places with l ^ BIT of b.
template <int BIT, int... L>
INLINE void exchange(vec& a, vec& b, std::integer_sequence<int, L...>) {
    const vec low = __builtin_shuffle(a, b, lanes_index{(L & BIT ? LANES + (L ^ BIT) : L)...});
    b = __builtin_shuffle(a, b, lanes_index{(L & BIT ? LANES + L : L ^ BIT)...});
    a = low;
}

template <int BIT>
INLINE void transpose(vec* rows) {
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
        if (!(i & BIT))
            exchange<BIT>(rows[i], rows[i | BIT], std::make_integer_sequence<int, LANES>());
    if constexpr (BIT > 1) transpose<BIT / 2>(rows);
}

constexpr int WHOLE = LINK / LANES * LANES;  // numbers of a matrix that fill vectors
#else
constexpr int WHOLE = 0;
#endif

typedef real loose __attribute__((vector_size(64), may_alias, aligned(sizeof(real))));

// LANES matrices of 18 numbers at source[lane], side by side.
INLINE void gather(vec* out, const real* const* source) {
#ifdef __AVX512F__
    for (int start = 0; start < WHOLE; start += LANES) {
        vec rows[LANES];
        for (int lane = 0; lane < LANES; lane++) rows[lane] = *(const loose*)(source[lane] + start);
        transpose<LANES / 2>(rows);
        for (int i = 0; i < LANES; i++) out[start + i] = rows[i];
    }
#endif
    for (int lane = 0; lane < LANES; lane++)
        for (int i = WHOLE; i < LINK; i++) ((real*)out)[LANES * i + lane] = source[lane][i];
}

INLINE void scatter(real* const* target, const vec* in, int count) {
#ifdef __AVX512F__
    for (int start = 0; start < WHOLE; start += LANES) {
        vec rows[LANES];
        for (int i = 0; i < LANES; i++) rows[i] = in[start + i];
        transpose<LANES / 2>(rows);
        for (int lane = 0; lane < count; lane++) *(loose*)(target[lane] + start) = rows[lane];
    }
#endif
    for (int lane = 0; lane < count; lane++)
        for (int i = WHOLE; i < LINK; i++) target[lane][i] = ((const real*)in)[LANES * i + lane];
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

// Calls up the matrices that these lanes of a block will be written to.
INLINE void call_up_lanes(const Lattice& lattice, long block, real* torch) {
    for (int lane = 0; lane < lattice.active; lane++)
        for (int i = 0; i < LINK; i += 64 / (int)sizeof(real))
            __builtin_prefetch(torch + lattice.site(block, lane) * LINK + i, 1);
}

INLINE void call_up_lanes(const Lattice&, long, const real*) {}  // reading is as quick without

// Calls visit(block, direction of the block, torch numbers of each lane) where a torch field is
// [chains][4][site][18]; with only >= 0 it is [chains][1][site][18] and belongs to that direction.
template <class Real, class Visit>
INLINE void visit_matrices(const Lattice& lattice, int only, long chain, long first, long end,
                           Real* torch, const Visit& visit) {
    constexpr int SOON = 2;
    const long volume = sites(lattice);
    for (long block = first; block < end; block++)
        for (int mu = 0; mu < 4; mu++) {
            if (only >= 0 && mu != only) continue;
            const long row = only < 0 ? chain * 4 + mu : chain;
            Real* place[LANES];
            for (int lane = 0; lane < LANES; lane++)
                place[lane] = torch + (row * volume +
                    lattice.site(block, lane & (lattice.active - 1))) * LINK;
            if (block + SOON < lattice.blocks)
                call_up_lanes(lattice, block + SOON, torch + row * volume * LINK);
            visit((chain * lattice.blocks + block) * 4 + mu, place);
        }
}

// Torch matrices -> blocked components [chains][blocks][4][8]; directions besides `only` stay.
inline void algebra_to_blocks(const Lattice& lattice, int only, long chain, long first, long end,
                              const real* in, vec* out) {
    visit_matrices(lattice, only, chain, first, end, in, [&](long at, const real** source) {
        Matrix m;
        gather(m.v, source);
        project(out + at * ALGEBRA, m.v);
    });
}

// The way back.
inline void algebra_from_blocks(const Lattice& lattice, int only, long chain, long first, long end,
                                const vec* in, real* out) {
    visit_matrices(lattice, only, chain, first, end, out, [&](long at, real** target) {
        Matrix m;
        assemble(m.v, in + at * ALGEBRA);
        scatter(target, m.v, lattice.active);
    });
}

}  // namespace
