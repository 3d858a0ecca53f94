// Kennedy-Pendleton heat bath and overrelaxation of the Wilson action on the SU(2) subgroups.
//
// Formulas and the numbering of random numbers in fast/heatbath.py. Links of one direction and one
// colour share no plaquette; those of a block that do not move are computed with and left out.
#pragma once
#include "elementary.hpp"
#include "gauge.hpp"
#include "philox.hpp"

namespace {

typedef real narrow __attribute__((vector_size(COUNTERS * sizeof(real)), may_alias));
constexpr int SUBGROUPS = 3, ROWS[SUBGROUPS][2] = {{0, 1}, {0, 2}, {1, 2}};
constexpr int ATTEMPTS = 1024;
constexpr int AT_ONCE = 2;  // blocks
constexpr real WEAK = 0.5, PI = 3.14159265358979324;
constexpr real LEAST_SIZE = sizeof(real) == 8 ? 2e-12 : 2e-6, SMALLEST = LEAST_SIZE * LEAST_SIZE;

struct Quaternion {
    vec q[4];  // the matrix q0 + i (q1, q2, q3).sigma
};

// Who draws in one step of a sweep; `number` is 4 sweep + direction.
struct Draws {
    real half_scale;         // beta / 3
    Key key;
    uint32_t upper[2];       // words of every counter of this chain
    const long long* sites;  // [blocks][LANES], global
    uint32_t number;
};

// What one attempt draws: the energy alpha delta, R1 and R4^2 for its test, a direction in space.
struct Trial {
    vec energy, uniform, accept, direction[3];
};

INLINE narrow narrowed(uniform_lanes numbers) { return __builtin_convertvector(numbers, narrow); }

// All bits set in the lanes that have a bit in `bits`.
INLINE lanes_index lanes_of(int bits) {
#ifdef __AVX512F__
    return sizeof(real) == 8 ? (lanes_index)_mm512_movm_epi64(bits)
                             : (lanes_index)_mm512_movm_epi32(bits);
#else
    lanes_index one;
    for (int lane = 0; lane < LANES; lane++) one[lane] = (whole)1 << lane;
    return ((lanes_index{} + bits) & one) == one;
#endif
}

// log x for 0 < x <= 1, x = 2^k m with m near 1 and s = (m - 1) / (m + 1): 2 (s + s^3/3 + ...).
INLINE vec log_lanes(vec x) {
    constexpr real ROOT_HALF = 0.70710678118654752;
    const lanes_index start = (lanes_index)splat(ROOT_HALF);
    const lanes_index k = ((lanes_index)x - start) >> MANTISSA;
    const vec power = (vec)((lanes_index)splat(ROUNDER) + k) - ROUNDER;
    const vec f = (vec)((lanes_index)x - (k << MANTISSA)) - 1.0;
    const vec s = f / (2.0 + f), z = s * s;
    vec sum = splat((real)(2.0 / 23));
#pragma GCC unroll 10
    for (int n = sizeof(real) == 8 ? 21 : 9; n >= 3; n -= 2) sum = sum * z + (real)(2.0 / n);
    const vec half = 0.5 * f * f;  // 2 s = f - s f, and f is exact
    return power * HIGH - ((half - (s * (half + z * sum) + power * LOW)) - f);
}

// 1 / (2 n + FIRST)! with alternating signs, n = 0, 1, ...
template <int FIRST>
struct Alternating {
    real of[13];
    constexpr Alternating() : of() {
        double factorial = 1;
        for (int n = 0; n < 13; n++) {
            of[n] = (n % 2 ? -1 : 1) / factorial;
            factorial *= (2 * n + FIRST + 1) * (2 * n + FIRST + 2);
        }
    }
};
constexpr Alternating<1> SINE;
constexpr Alternating<0> COSINE;

// sin and cos of x in [-pi/2, pi/2], to the last bits of 1.
INLINE void sine_cosine(vec x, vec& sine, vec& cosine) {
    constexpr int LAST = sizeof(real) == 8 ? 11 : 7;
    const vec z = x * x;
    vec s = splat(SINE.of[LAST]), c = splat(COSINE.of[LAST]);
#pragma GCC unroll 11
    for (int n = LAST - 1; n >= 0; n--) {
        s = s * z + SINE.of[n];
        c = c * z + COSINE.of[n];
    }
    sine = x * s;
    cosine = c;
}

// sqrt x for x >= 0.
INLINE vec root(vec x) {
    constexpr real LEAST = sizeof(real) == 8 ? 1e-300 : 1e-36;
    return x * inverse_root(x > LEAST ? x : splat(LEAST));
}

// The uniform numbers of COUNT subgroups from `subgroup` on in one attempt, six each.
template <int COUNT>
INLINE void draw_numbers(const Draws& draws, long block, int subgroup, int attempt,
                         vec (*out)[6]) {
    for (int part = 0; part < PARTS; part++) {
        const counter_lanes site =
            *(const counter_lanes*)(draws.sites + block * LANES + part * COUNTERS);
        Words w[2 * COUNT];
        for (int n = 0; n < 2 * COUNT; n++) {
            const uint32_t count =
                ((4 * draws.number + subgroup + n / 2) * ATTEMPTS + attempt) * 2 + n % 2;
            w[n] = {{site, counter_lanes{} + count, counter_lanes{} + draws.upper[0],
                     counter_lanes{} + draws.upper[1]}};
        }
        philox<2 * COUNT>(w, draws.key);
        for (int n = 0; n < COUNT; n++) {
            const counter_lanes *a = w[2 * n].word, *b = w[2 * n + 1].word;
            const uniform_lanes numbers[6] = {fine_uniform(a[0], a[1]), fine_uniform(a[2], a[3]),
                                              uniform(b[0]), uniform(b[1]), uniform(b[2]),
                                              uniform(b[3])};
            for (int k = 0; k < 6; k++) ((narrow*)&out[n][k])[part] = narrowed(numbers[k]);
        }
    }
}

template <int COUNT>
INLINE void draw(const Draws& draws, long block, int subgroup, int attempt, Trial* out) {
    vec numbers[COUNT][6];
    draw_numbers<COUNT>(draws, block, subgroup, attempt, numbers);
#pragma GCC unroll 3
    for (int n = 0; n < COUNT; n++) {
        const vec *r = numbers[n], height = r[4];
        vec sine, cosine;
        sine_cosine(PI * (r[2] - 0.5), sine, cosine);
        out[n].energy = -(log_lanes(r[0]) + (0.5 - 0.5 * sine) * log_lanes(r[1]));
        out[n].uniform = r[0];
        out[n].accept = r[3] * r[3];
        sine_cosine(PI * (r[5] - 0.5), sine, cosine);
        const vec across = 2.0 * root(height * (1.0 - height));
        out[n].direction[0] = across * (1.0 - 2.0 * sine * sine);
        out[n].direction[1] = across * (2.0 * sine * cosine);
        out[n].direction[2] = 2.0 * height - 1.0;
    }
}

// Where delta = 1 - b0 is taken for sure: (1 - y) e^y >= 1 - y^2 with y = delta / 2.
INLINE lanes_index surely(vec alpha, vec delta, const Trial& trial) {
    return (trial.accept <= 1.0 - 0.25 * delta * delta) & (alpha >= WEAK);
}

// Delta of one attempt, and where it is taken.
INLINE vec candidate(vec alpha, const Trial& trial, lanes_index& taken) {
    const vec delta = trial.energy / (alpha + 0.25), even = 2.0 * trial.uniform;
    const lanes_index weak = alpha < WEAK;
    const vec usual = (1.0 - 0.5 * delta) * exp_lanes(0.5 * delta);
    const vec limit = even * (2.0 - even) * exp_lanes(-2.0 * alpha * even);
    taken = surely(alpha, delta, trial) | (trial.accept <= (weak ? limit : usual));
    return weak ? even : delta;
}

// Twice r of the part of w = U S^dagger in rows and columns i, j.
INLINE Quaternion quaternion(const vec* w, int i, int j) {
    const vec *ii = w + 2 * (3 * i + i), *ij = w + 2 * (3 * i + j), *ji = w + 2 * (3 * j + i),
              *jj = w + 2 * (3 * j + j);
    return {{ii[0] + jj[0], ij[1] + ji[1], ij[0] - ji[0], ii[1] - jj[1]}};
}

// |r|^2; an r that vanishes within rounding becomes a small positive number: any direction will do.
INLINE vec square(Quaternion& r) {
    const vec size = (r.q[0] * r.q[0] + r.q[1] * r.q[1]) + (r.q[2] * r.q[2] + r.q[3] * r.q[3]);
    const lanes_index lost = size < SMALLEST;
    if (!any(lost)) return size;
    r.q[0] = lost ? splat(LEAST_SIZE) : r.q[0];
    for (int k = 1; k < 4; k++) r.q[k] = lost ? vec{} : r.q[k];
    return lost ? splat(LEAST_SIZE * LEAST_SIZE) : size;
}

// (p, q) = a (p, q), complex numbers.
template <bool UPPER, bool LOWER>
INLINE void rotate_pair(const Quaternion& a, vec* p, vec* q) {
    const vec pr = p[0], pi = p[1], qr = q[0], qi = q[1];
    if (UPPER) p[0] = (a.q[0] * pr - a.q[3] * pi) + (a.q[2] * qr - a.q[1] * qi);
    if (UPPER) p[1] = (a.q[0] * pi + a.q[3] * pr) + (a.q[2] * qi + a.q[1] * qr);
    if (LOWER) q[0] = (a.q[0] * qr + a.q[3] * qi) - (a.q[2] * pr + a.q[1] * pi);
    if (LOWER) q[1] = (a.q[0] * qi - a.q[3] * qr) - (a.q[2] * pi - a.q[1] * pr);
}

// u = a u in rows i, j, of which the last of the matrix may wait for what makes rows orthonormal.
INLINE void rotate_rows(const Quaternion& a, vec* u, int i, int j, bool lower) {
#pragma GCC unroll 3
    for (int k = 0; k < 3; k++) {
        vec *first = u + 6 * i + 2 * k, *second = u + 6 * j + 2 * k;
        if (lower) rotate_pair<true, true>(a, first, second);
        else rotate_pair<true, false>(a, first, second);
    }
}

// The same for w, of which the subgroups after number n want these entries.
INLINE void rotate_loop(const Quaternion& a, vec* w, int n) {
    if (n == 0) {
        rotate_pair<true, false>(a, w, w + 6);
        rotate_pair<true, true>(a, w + 2, w + 8);
        rotate_pair<true, true>(a, w + 4, w + 10);
    } else if (n == 1) {
        rotate_pair<false, true>(a, w + 2, w + 14);
        rotate_pair<false, true>(a, w + 4, w + 16);
    }
}

// a = v^-2.
INLINE Quaternion reflection(Quaternion r) {
    const vec twice = -2.0 * r.q[0] / square(r);
    return {{-1.0 - twice * r.q[0], twice * r.q[1], twice * r.q[2], twice * r.q[3]}};
}

// Delta, and in `trial` the direction that goes with it, by as many attempts as it takes.
__attribute__((noinline)) vec insist(const Draws& draws, long block, int subgroup,
                                     lanes_index moving, vec alpha, Trial& trial) {
    lanes_index taken, now;
    moving &= alpha == alpha;  // what is not a number stays so
    vec delta = candidate(alpha, trial, taken);
    for (int attempt = 1; attempt < ATTEMPTS && any(moving & ~taken); attempt++) {
        Trial other;
        draw<1>(draws, block, subgroup, attempt, &other);
        const vec next = candidate(alpha, other, now);
        delta = taken ? delta : next;
        for (int k = 0; k < 3; k++)
            trial.direction[k] = taken ? trial.direction[k] : other.direction[k];
        taken |= now;
    }
    return delta;
}

// a = b v^-1 with b from the heat bath.
INLINE Quaternion heat(const Draws& draws, long block, int subgroup, lanes_index moving,
                       Quaternion r, Trial& trial) {
    const vec size = square(r), inverse = inverse_root(size);
    const vec alpha = (size * inverse) * draws.half_scale;
    vec delta = trial.energy / (alpha + 0.25);
    if (any(moving & ~surely(alpha, delta, trial)))
        delta = insist(draws, block, subgroup, moving, alpha, trial);
    const vec length = root(delta * (2.0 - delta)), b0 = 1.0 - delta,
              b1 = length * trial.direction[0], b2 = length * trial.direction[1],
              b3 = length * trial.direction[2];
    const vec v0 = r.q[0] * inverse, v1 = r.q[1] * inverse, v2 = r.q[2] * inverse,
              v3 = r.q[3] * inverse;
    return {{b0 * v0 + b1 * v1 + b2 * v2 + b3 * v3, b1 * v0 - v1 * b0 + b2 * v3 - b3 * v2,
             b2 * v0 - v2 * b0 + b3 * v1 - b1 * v3, b3 * v0 - v3 * b0 + b1 * v2 - b2 * v1}};
}

// Rows made orthonormal from the first, up to the square of what they miss; the third that of
// determinant 1.
INLINE void orthonormalise(vec* u) {
    const auto normalise = [](vec* row) {
        vec sum[2] = {};
        for (int k = 0; k < 6; k++) sum[k % 2] += row[k] * row[k];
        const vec factor = 1.5 - 0.5 * (sum[0] + sum[1]);
        for (int k = 0; k < 6; k++) row[k] *= factor;
    };
    vec re = {}, im = {};
    normalise(u);
    for (int k = 0; k < 6; k += 2) {
        re += u[k] * u[6 + k], re += u[k + 1] * u[7 + k];
        im += u[k] * u[7 + k], im -= u[k + 1] * u[6 + k];
    }
    for (int k = 0; k < 6; k += 2) {
        u[6 + k] -= re * u[k], u[6 + k] += im * u[k + 1];
        u[7 + k] -= re * u[k + 1], u[7 + k] -= im * u[k];
    }
    normalise(u + 6);
    for (int k = 0; k < 3; k++) {
        const vec *a = u + 2 * ((k + 1) % 3), *b = u + 2 * ((k + 2) % 3);
        u[12 + 2 * k] = (a[0] * b[6] - a[1] * b[7]) - (b[0] * a[6] - b[1] * a[7]);
        u[13 + 2 * k] = (b[0] * a[7] + b[1] * a[6]) - (a[0] * b[7] + a[1] * b[6]);
    }
}

// New links of direction mu in COUNT blocks none of whose links meet, where `lanes` has bits: by heat where
// `draws` is not null, else reflected; in place. Side by side, for each is one long chain of steps.
template <int COUNT>
INLINE void update_blocks(const Fields& fields, int mu, const int* lanes, const Draws* draws, vec* links,
                          const long* blocks) {
    Trial trials[COUNT][SUBGROUPS];
    Matrix moved[COUNT], loop[COUNT];
    for (int b = 0; b < COUNT; b++) {
        const vec* u = links + (blocks[b] * 4 + mu) * LINK;
        Sum<false> paths;
        plaquette_paths<false, true>(fields, blocks[b], mu, paths);
        mul_ad(loop[b].v, u, paths.value.v);
        for (int i = 0; i < LINK; i++) moved[b].v[i] = u[i];
        if (draws) draw<SUBGROUPS>(*draws, blocks[b], 0, 0, trials[b]);
    }
#pragma GCC unroll 3
    for (int n = 0; n < SUBGROUPS; n++) {
        const int i = ROWS[n][0], j = ROWS[n][1];
        for (int b = 0; b < COUNT; b++) {
            const Quaternion r = quaternion(loop[b].v, i, j);
            const Quaternion a = draws ? heat(*draws, blocks[b], n, lanes_of(lanes[b]), r, trials[b][n])
                                       : reflection(r);
            rotate_loop(a, loop[b].v, n);
            rotate_rows(a, moved[b].v, i, j, !draws || n + 1 < SUBGROUPS);
        }
    }
    for (int b = 0; b < COUNT; b++) {
        const lanes_index moving = lanes_of(lanes[b]);
        vec* u = links + (blocks[b] * 4 + mu) * LINK;
        if (draws) orthonormalise(moved[b].v);
        for (int i = 0; i < LINK; i++) u[i] = moving ? moved[b].v[i] : u[i];
    }
}

// The links of direction mu in one line of blocks along `along`, from one of them on, that have bits in `own`.
inline void update_line(const Lattice& lattice, const uint16_t* own, int mu, int along, int slow,
                        const Draws* draws, vec* links, long block) {
    const Fields fields = {lattice, links, nullptr};
    int bits[AT_ONCE], waiting = 0;
    long blocks[AT_ONCE];
    for (int k = 0; k < lattice.span(along); k++) {
        const long next = lattice.next[block * 8 + along] >> LANE_BITS;
        call_up_edge(lattice, links, next, mu, slow);
        if (own[block]) bits[waiting] = own[block], blocks[waiting++] = block;
        if (waiting == AT_ONCE) {
            update_blocks<AT_ONCE>(fields, mu, bits, draws, links, blocks);
            waiting = 0;
        }
        block = next;
    }
    for (int n = 0; n < waiting; n++)
        update_blocks<1>(fields, mu, bits + n, draws, links, blocks + n);
}

// The links of direction mu in one plane across it: rows of lines of blocks.
struct Hyperplane {
    const Lattice& lattice;
    int mu, across[3];
    long plane, rows, lines;
    const uint16_t* lanes;  // [colours][blocks], a bit for each lane
    const Draws* draws;     // null: reflections
    vec* links;

    Hyperplane(const Lattice& lattice, int mu, long plane, const uint16_t* lanes,
               const Draws* draws, vec* links)
        : lattice(lattice), mu(mu), plane(plane), lanes(lanes), draws(draws), links(links) {
        for (int nu = 0, n = 0; nu < 4; nu++)
            if (nu != mu) across[n++] = nu;
        rows = lattice.span(across[0]);
        lines = lattice.span(across[1]);
    }

    void update_line(int colour, long row, long line) const {
        int place[4] = {};
        place[mu] = plane, place[across[0]] = row, place[across[1]] = line;
        ::update_line(lattice, lanes + colour * lattice.blocks, mu, across[2], across[0], draws,
                      links, lattice.block(place));
    }

    void update_row(int colour, long row) const {
        for (long line = 0; line < lines; line++) update_line(colour, row, line);
    }

    // Colour 0 goes line by line, row by row; each further colour follows as soon as all neighbours of a
    // line are done: it begins one row and one line further on, and lags two of both behind.
    void update(int colours) const {
        const long later = 2 * (colours - 1);
        for (long i = 0; i < rows + later; i++)
            for (long j = 0; j < lines + later; j++)
                for (int colour = 0; colour < colours; colour++) {
                    const long row = i - 2 * colour, line = j - 2 * colour;
                    if (row >= 0 && row < rows && line >= 0 && line < lines)
                        update_line(colour, (row + colour) % rows, (line + colour) % lines);
                }
    }
};

}  // namespace
