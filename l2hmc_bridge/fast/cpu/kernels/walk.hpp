// Products of links along paths, alone or together with their derivative along a tangent field.
#pragma once
#include <utility>

#include "lattice.hpp"

namespace {

// Directions of a step: 0..3 forwards along t, x, y, z; 4..7 backwards.
constexpr int BACK = 4;
INLINE int opposite(int direction) { return direction ^ BACK; }

// Pointer to the matrix of direction mu at a position; `room` holds a copy with exchanged lanes.
INLINE const vec* link(const vec* links, int32_t at, int mu, Matrix& room) {
    const vec* source = links + ((long)(at >> LANE_BITS) * 4 + mu) * LINK;
    const int mask = at & (LANES - 1);
    if (mask == 0) return source;
    exchange_lanes<LINK>(room.v, source, mask);
    return room.v;
}

// Links of one chain, [blocks][4][18] vectors, and a tangent field dU of the same shape (or null).
struct Fields {
    const Lattice& lattice;
    const vec* links;
    const vec* tangent;
};

// A sum of paths, and its derivative.
template <bool DUAL>
struct Sum {
    Matrix value, change[DUAL ? 1 : 0];

    Sum() {
        clear(value);
        if (DUAL) clear(change[0]);
    }
};

// The product of the links from a starting point to `at`.
template <bool DUAL>
struct Walk {
    const Fields& fields;
    int32_t at;
    Matrix store[DUAL ? 4 : 2], rooms[DUAL ? 4 : 2];
    const vec *value = nullptr, *change = nullptr;  // so far; of a single link still the link itself,
    bool dagger = false;                            // or that of which it is the dagger
    int turn = 0;

    Walk(const Fields& fields, int32_t start) : fields(fields), at(start) {}

    Walk(const Walk&) = delete;  // it points into itself

    // Go on from a product that is there already.
    Walk& resume(const Matrix& product) {
        value = product.v;
        return *this;
    }

    // Move by one link without collecting it.
    void move(int direction) { at = step(fields.lattice, at, direction); }

    // Multiply by the link in `direction` and move along it.
    Walk& go(int direction) { return go(direction, fields.links); }

    // The same with the link of another field.
    Walk& go(int direction, const vec* links) {
        const bool back = direction & BACK;
        const int mu = direction & 3;
        turn ^= 1;
        if (back) move(direction);
        const vec* u = link(links, at, mu, rooms[turn]);
        const vec* w = DUAL ? link(fields.tangent, at, mu, rooms[DUAL ? 2 + turn : 0]) : nullptr;
        if (!back) move(direction);
        if (!value) {
            value = u;
            change = w;
            dagger = back;
            return *this;
        }
        vec* next = store[turn].v;
        multiply(next, value, u, dagger, back);
        if (DUAL) {
            vec* next_change = store[DUAL ? 2 + turn : 0].v;
            multiply(next_change, change, u, dagger, back);
            add_product(next_change, value, w, dagger, back);
            change = next_change;
        }
        value = next;
        dagger = false;
        return *this;
    }

    // sum += product so far, of two links at least, times the link in `direction`.
    void add_to(Sum<DUAL>& sum, int direction) { add_to(sum, direction, fields.links); }

    void add_to(Sum<DUAL>& sum, int direction, const vec* links) {
        const bool back = direction & BACK;
        const int mu = direction & 3;
        const int32_t place = back ? step(fields.lattice, at, direction) : at;
        const vec* u = link(links, place, mu, rooms[0]);
        (back ? add_mul_ad : add_mul)(sum.value.v, value, u);
        if (DUAL) {
            const vec* w = link(fields.tangent, place, mu, rooms[DUAL ? 2 : 0]);
            (back ? add_mul_ad : add_mul)(sum.change[0].v, change, u);
            (back ? add_mul_ad : add_mul)(sum.change[0].v, value, w);
        }
    }

    // The product so far, of a single link as well.
    const vec* product() {
        if (dagger) {
            copy(store[turn].v, value, true);
            value = store[turn].v;
            dagger = false;
        }
        return value;
    }

    static void copy(vec* out, const vec* in, bool dagger) {
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++) {
                const int to = 2 * (3 * i + j), from = 2 * (dagger ? 3 * j + i : 3 * i + j);
                out[to] = in[from];
                out[to + 1] = dagger ? -in[from + 1] : in[from + 1];
            }
    }
};

// The block, or the last one if that is beyond the end.
INLINE long soon(const Lattice& lattice, long block) {
    return block < lattice.blocks ? block : lattice.blocks - 1;
}

// Calls up the matrix or element of direction mu, of `width` numbers, that a loop over blocks will be the
// first to read soon: one time slice ahead of it.
INLINE void call_up_ahead(const Lattice& lattice, const vec* field, int width, long block, int mu) {
    constexpr int SOON = 2;
    const long there = lattice.next[soon(lattice, block + SOON) * 8] >> LANE_BITS;
    call_up<false, 2>(field + (there * 4 + mu) * width, width);
}

// The same for links; if they do not stay near from one slice to the next, also those along the other
// edges of what the loop has read.
INLINE void call_up_links(const Lattice& lattice, const vec* links, long block, int mu) {
    call_up_ahead(lattice, links, LINK, block, mu);
    if (lattice.near) return;
    const int32_t *next = &lattice.next[soon(lattice, block + 1) * 8], ahead = next[0], behind = next[BACK];
    for (const int32_t at : {next[1], behind, step(lattice, ahead, 1 + BACK), step(lattice, behind, 1)})
        call_up<false, 2>(links + ((long)(at >> LANE_BITS) * 4 + mu) * LINK, LINK);
}

// Across mu, the direction of the rows that loops over the blocks of a time slice take one after the other.
INLINE int slow_across(int mu) { return mu == 1 ? 2 : 1; }

// Calls up what the staples of direction mu in a block will be the first to read in its row, which follows
// that one step back along `slow`; beyond it what lies across t. Nothing if links stay near.
INLINE void call_up_edge(const Lattice& lattice, const vec* links, long block, int mu, int slow) {
    if (!lattice.far) return;
    const auto want = [&](int32_t at, int nu) {
        call_up<false, 2>(links + ((long)(at >> LANE_BITS) * 4 + nu) * LINK, LINK);
    };
    const int32_t here = (int32_t)(block * LANES), ahead = step(lattice, here, mu);
    for (int nu = 0; nu < 4; nu++)
        if (nu != mu) want(here, nu), want(ahead, nu);
    want(step(lattice, here, slow), mu);
    if (mu == 0 || slow == 0) return;
    const int32_t behind = step(lattice, here, 0 | BACK);
    want(step(lattice, here, 0), mu), want(behind, mu);
    want(behind, 0), want(step(lattice, behind, mu), 0);
}

// paths += the six three-link paths from x to x + mu beside U_mu(x); GROUP: of links known to be in SU(3).
template <bool DUAL, bool GROUP = false>
void plaquette_paths(const Fields& fields, long block, int mu, Sum<DUAL>& paths) {
    const int32_t here = (int32_t)(block * LANES);
    call_up_links(fields.lattice, fields.links, block, mu);
    for (int nu = 0; nu < 8; nu++) {
        if ((nu & 3) == mu) continue;
        if (DUAL) {
            Walk<DUAL> walk(fields, here);
            walk.go(nu).go(mu).add_to(paths, opposite(nu));
            continue;
        }
        Matrix rooms[3];
        const bool back = nu & BACK;
        const int32_t beside = step(fields.lattice, here, nu), start = back ? beside : here;
        const int32_t end = step(fields.lattice, back ? beside : here, mu);
        const auto add = GROUP ? (back ? add_group_da : add_group_ad)
                               : (back ? add_mul_da_mul : add_mul_mul_ad);
        add(paths.value.v, link(fields.links, start, nu & 3, rooms[0]),
            link(fields.links, beside, mu, rooms[1]), link(fields.links, end, nu & 3, rooms[2]));
    }
}

// tr A A^dagger of the plaquette staples of the links of direction mu and one parity, [blocks]; blocks
// that have sites of the other parity as well are left out.
struct Squares {
    int mu, odd;
    vec* of_blocks;  // null: there are none

    // Where that of a link is, or null.
    vec* of(const Lattice& lattice, long block, int direction) const {
        const bool held = of_blocks && direction == mu && lattice.uniform(block, odd);
        return held ? of_blocks + block : nullptr;
    }

    void move_to(long links_shift) {
        if (of_blocks) of_blocks += links_shift / (4 * LINK);
    }
};

// paths += the eighteen five-link paths from x to x + mu that close to a 2 x 1 rectangle.
template <bool DUAL>
void rectangle_paths(const Fields& fields, long block, int mu, Sum<DUAL>& paths) {
    const int32_t here = (int32_t)(block * LANES);
    for (int nu = 0; nu < 8; nu++) {
        if ((nu & 3) == mu) continue;
        const int back = opposite(nu);
        Walk<DUAL>(fields, here).go(nu).go(nu).go(mu).go(back).add_to(paths, back);
        Walk<DUAL>(fields, here).go(nu).go(mu).go(mu).go(back).add_to(paths, opposite(mu));
        Walk<DUAL>(fields, here).go(opposite(mu)).go(nu).go(mu).go(mu).add_to(paths, back);
    }
}

}  // namespace
