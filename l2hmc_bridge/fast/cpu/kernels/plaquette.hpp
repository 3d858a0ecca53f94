// Plaquettes of a field in the torch layout, [4][site][18] for each chain, in one pass.
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

constexpr long HELD = 8 << 20;  // bytes

// A torch field that goes by in slices of constant t: the one at hand and the one after it, as blocks.
// Of large slices only the rows (all y and z) at some x are held at a time.
struct Passing {
    const Lattice& lattice;
    const real* links;  // of one chain
    int span[4], left = 0, right = 0;
    long row;
    std::vector<long> blocks;  // of one row
    std::vector<Matrix>* room;  // for three slices

    Passing(const Lattice& lattice, const real* links, std::vector<Matrix>* room)
        : lattice(lattice), links(links), room(room) {
        for (int mu = 0; mu < 4; mu++) span[mu] = lattice.span(mu);
        row = (long)span[2] * span[3];
        blocks.resize(row);
    }

    // Which blocks a row consists of.
    void find_row(int t, int x) {
        const int c[4] = {t, x, 0, 0};
        long block = lattice.block(c), i = 0;
        for (int y = 0; y < span[2]; y++, block = lattice.next[block * 8 + 2] >> LANE_BITS)
            for (int z = 0; z < span[3]; z++, block = lattice.next[block * 8 + 3] >> LANE_BITS)
                blocks[i++] = block;
    }

    bool whole() const { return right - left == span[1]; }

    // Where the links of block i of row x are, of left to right, the row after the last: in whole slices the
    // first one again.
    long index(int x, long i) const { return 4 * ((whole() && x == right ? 0 : x - left) * row + i); }

    // Directions from `lowest` on: the slice after the last one lends no links along t.
    void gather_row(Matrix* to, int t, int x, int lowest) {
        constexpr int SOON = 2;
        find_row(t % span[0], x % span[1]);
        for (long i = 0; i < row; i++)
            for (int mu = lowest; mu < 4; mu++) {
                const real *source[LANES], *from = links + mu * sites(lattice) * LINK;
                call_up_lanes(lattice, blocks[i + SOON < row ? i + SOON : i], from);
                for (int lane = 0; lane < LANES; lane++)
                    source[lane] = from + lattice.site(blocks[i], lane) * LINK;
                gather(to[index(x, i) + mu].v, source);
            }
    }

    // Re tr P of the planes tx ty tz xy xz yz of block i of row (t, x), out [6].
    void traces(const Matrix* now, const Matrix* ahead, int t, int x, long i, vec* out) const {
        const int y = (int)(i / span[3]), z = (int)(i % span[3]);
        const bool last[4] = {t == span[0] - 1, x == span[1] - 1, y == span[2] - 1,
                              z == span[3] - 1};
        const long beside[4] = {index(x, i), index(x + 1, i),
                                index(x, i + (last[2] ? span[3] - row : span[3])),
                                index(x, i + (last[3] ? 1 - span[3] : 1))};
        const auto link = [&](int direction, int mu, Matrix& room) -> const vec* {
            const vec* found = (direction == 0 ? ahead : now)[beside[direction] + mu].v;
            const int mask = last[direction] ? lattice.edge(direction) : 0;
            if (mask == 0) return found;
            exchange_lanes<LINK>(room.v, found, mask);
            return room.v;
        };
        const Matrix* own = &now[index(x, i)];
        Matrix room, two;
        int plane = 0;
        for (int mu = 0; mu < 3; mu++)
            for (int nu = mu + 1; nu < 4; nu++) {
                mul(two.v, own[nu].v, link(nu, mu, room));
                out[plane++] = real_trace_of_product(own[mu].v, link(mu, nu, room), two.v);
            }
    }

    // take(block, traces) for slices [first, end), row after row in each.
    template <class Take>
    void rows(int first, int end, const Take& take) {
        const int last = whole() ? right : right + 1;
        const bool around = whole() && end - first == span[0];  // the first slice is needed again
        for (int k = 0; k < 2 + around; k++) room[k].resize(4 * (last - left) * row);
        Matrix *start = room[0].data(), *now = start, *ahead = room[1].data();
        for (int x = left; x < last; x++) gather_row(start, first, x, 0);
        for (int t = first; t < end; t++) {
            const bool known = around && t + 1 == end;
            if (known) ahead = start;
            for (int x = left; x < right; x++) {
                if (!known) gather_row(ahead, t + 1, x, t + 1 == end);
                find_row(t, x);
                for (long i = 0; i < row; i++) {
                    vec out[6];
                    traces(now, ahead, t, x, i, out);
                    take(blocks[i], out);
                }
            }
            if (!known && last > right) gather_row(ahead, t + 1, right, t + 1 == end);
            std::swap(now, ahead);
            if (around && ahead == start) ahead = room[2].data();
        }
    }

    // The same for all rows of these slices; the blocks of a chunk come in their order.
    template <class Take>
    void slices(int first, int end, const Take& take) {
        if (first == end) return;
        const long most = HELD / (long)(2 * 4 * row * sizeof(Matrix)) - 1;
        const int width = row % CHUNK != 0 || most >= span[1] ? span[1] : most < 1 ? 1 : (int)most;
        for (left = 0; left < span[1]; left = right) {
            right = left + width < span[1] ? left + width : span[1];
            rows(first, end, take);
        }
    }
};

// Number `piece` of `pieces` ranges of t that no chunk lies in two of: where it begins.
inline int first_slice(const Lattice& lattice, long piece, long pieces) {
    const long slice = lattice.volume / lattice.sub[0];
    int t = (int)(lattice.span(0) * piece / pieces);
    while (t % lattice.sub[0] * slice % CHUNK != 0) t--;
    return t;
}

}  // namespace
