// Clovers of m x n loops in one plane.
#pragma once
#include <vector>

#include "walk.hpp"

namespace {

// An anti-Hermitian matrix: three imaginary diagonal entries, then re, im of the entries 01, 02, 12.
constexpr int ANTIHERMITIAN = 9;
constexpr int LONGEST = 3;  // links in a straight line

// Where clovers of single plaquettes come from: the links of a field in the plane (mu, nu).
struct Plane {
    const Lattice& lattice;
    const vec* links;
    int mu, nu;

    // `count` steps along mu (axis 0) or nu (axis 1), backwards where asked.
    int32_t move(int32_t at, int axis, bool back, int) const {
        return step(lattice, at, (axis ? nu : mu) + (back ? BACK : 0));
    }
    const vec* line(int32_t at, int axis, int, Matrix& room) const {
        return link(links, at, axis ? nu : mu, room);
    }
};

// The sites of one plane (mu, nu) at fixed other coordinates, with the lines of one, two and three
// links along both axes: small enough for the caches, and all that clovers of this plane need.
struct Slice {
    int size[2];               // blocks along mu and nu
    int mask[2];               // lanes that change at the edge
    std::vector<long> block;   // of each place a * size[1] + b
    std::vector<Matrix> lines; // [LONGEST][2][places]

    long places() const { return (long)size[0] * size[1]; }
    Matrix* of(int length, int axis) { return &lines[((length - 1) * 2 + axis) * places()]; }

    int32_t move(int32_t at, int axis, bool back, int count) const {
        int c[2] = {(at >> LANE_BITS) / size[1], (at >> LANE_BITS) % size[1]}, lanes = at & (LANES - 1);
        for (int k = 0; k < count; k++) {
            if (c[axis] == (back ? 0 : size[axis] - 1)) lanes ^= mask[axis];
            c[axis] += back ? (c[axis] == 0 ? size[axis] - 1 : -1)
                            : (c[axis] == size[axis] - 1 ? 1 - size[axis] : 1);
        }
        return (c[0] * size[1] + c[1]) * LANES + lanes;
    }

    const vec* line(int32_t at, int axis, int length, Matrix& room) const {
        const vec* source = lines[((length - 1) * 2 + axis) * places() + (at >> LANE_BITS)].v;
        if ((at & (LANES - 1)) == 0) return source;
        exchange_lanes<LINK>(room.v, source, at & (LANES - 1));
        return room.v;
    }

    // Number `index` of the slices of the plane (mu, nu) of `links`.
    void fill(const Lattice& lattice, const vec* links, int mu, int nu, long index, int longest) {
        const int axes[2] = {mu, nu};
        for (int k = 0; k < 2; k++) {
            size[k] = lattice.span(axes[k]);
            mask[k] = lattice.edge(axes[k]);
        }
        int c[4];
        for (int k = 3; k >= 0; k--)
            if (k != mu && k != nu) {
                c[k] = index % lattice.span(k);
                index /= lattice.span(k);
            }
        block.resize(places());
        lines.resize(2 * LONGEST * places());
        for (int place = 0; place < places(); place++) {
            c[mu] = place / size[1];
            c[nu] = place % size[1];
            block[place] = lattice.block(c);
            for (int axis = 0; axis < 2; axis++)
                copy_link(of(1, axis)[place].v, links + (block[place] * 4 + axes[axis]) * LINK);
        }
        Matrix room;
        for (int length = 2; length <= longest; length++)
            for (int axis = 0; axis < 2; axis++)
                for (int place = 0; place < places(); place++)
                    mul(of(length, axis)[place].v, of(1, axis)[place].v,
                        line(move(place * LANES, axis, false, 1), axis, length - 1, room));
    }
};

// g += scale (C - C^dagger) / 2 of C = op(a) b, op the dagger where asked.
template <bool DAGGER>
INLINE void add_antihermitian(vec* g, real scale, const vec* a, const vec* b) {
    Matrix c;
    product<DAGGER, false, SET>(c.v, a, b);
    const int upper[3] = {2, 4, 10}, lower[3] = {6, 12, 14};
    for (int i = 0; i < 3; i++) {
        g[i] += scale * c.v[8 * i + 1];
        g[3 + 2 * i] += (scale / 2) * (c.v[upper[i]] - c.v[lower[i]]);
        g[4 + 2 * i] += (scale / 2) * (c.v[upper[i] + 1] + c.v[lower[i] + 1]);
    }
}

INLINE void remove_trace(vec* g) {
    const vec mean = (g[0] + g[1] + g[2]) * (real)(1.0 / 3);
    for (int i = 0; i < 3; i++) g[i] -= mean;
}

// g += scale (C - C^dagger) / 2, C the four loops at a site of m steps along axis 0 and n along 1, all
// turning from 0 to 1. With A, B the lines along 0 that start and end there and C, D those along 1
// the leaves are A K1 C^dagger, C K2 B, B^dagger K3 D and D^dagger K4 A^dagger; a leaf and minus its
// dagger have the same anti-Hermitian part, so two products serve two leaves at a time.
template <class Source>
__attribute__((noinline)) void add_clover(const Source& source, int32_t here, int m, int n,
                                          real scale, vec* g) {
    const int32_t right = source.move(here, 0, false, m), up = source.move(here, 1, false, n),
                  left = source.move(here, 0, true, m), down = source.move(here, 1, true, n);
    const int32_t lower_left = source.move(left, 1, true, n),
                  lower_right = source.move(down, 0, false, m),
                  upper_left = source.move(up, 0, true, m);
    Matrix middle, sum, one, two, from_here, to_here;
    const vec *c = source.line(here, 1, n, from_here), *d = source.line(down, 1, n, to_here);

    mul(middle.v, source.line(down, 0, m, one), source.line(lower_right, 1, n, two));  // K4
    mul_da(sum.v, middle.v, d);
    mul_ad(middle.v, source.line(right, 1, n, one), source.line(up, 0, m, two));  // K1
    mul_ad_less(sum.v, middle.v, c);
    add_antihermitian<false>(g, scale, source.line(here, 0, m, one), sum.v);

    mul(middle.v, source.line(left, 1, n, one), source.line(upper_left, 0, m, two));  // K2^dagger
    mul_ad(sum.v, middle.v, c);
    mul_da(middle.v, source.line(lower_left, 1, n, one), source.line(lower_left, 0, m, two));  // K3
    mul_less(sum.v, middle.v, d);
    add_antihermitian<true>(g, scale, source.line(left, 0, m, one), sum.v);
}

}  // namespace
