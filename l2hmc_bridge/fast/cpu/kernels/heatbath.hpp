// Kennedy-Pendleton heat bath and overrelaxation of the Wilson action on the SU(2) subgroups.
//
// Formulas and the numbering of random numbers in fast/heatbath.py. Links of one direction and one
// colour share no plaquette; those of a block that do not move are computed with and left out.
#pragma once
#include "elementary.hpp"
#include "gauge.hpp"
#include "philox.hpp"

namespace {

constexpr int SUBGROUPS = 3, ROWS[SUBGROUPS][2] = {{0, 1}, {0, 2}, {1, 2}};
constexpr int ATTEMPTS = 1024;
constexpr real WEAK = 0.75, SMALLEST = sizeof(real) == 8 ? 1e-24 : 1e-12, PI = 3.14159265358979324;

struct Quaternion {
    vec q[4];  // the matrix q0 + i (q1, q2, q3).sigma
};

// Where links of one direction move: `lanes` [blocks] has a bit for each lane.
struct Subset {
    int mu;
    const uint16_t* lanes;
};

// Who draws in one step of a sweep; `number` is 4 sweep + direction.
struct Draws {
    real scale;              // 2 beta / 3
    Key key;
    uint32_t upper[2];       // words of every counter of this chain
    const long long* sites;  // [blocks][LANES], global
    uint32_t number;
};

// Six uniform numbers in (0, 1) of one attempt.
struct Numbers {
    vec first, second, angle, accept, height, turn;
};

INLINE lanes_index lanes_of(int bits) {
    lanes_index mask;
    for (int lane = 0; lane < LANES; lane++) mask[lane] = -(whole)(bits >> lane & 1);
    return mask;
}

INLINE bool any(lanes_index mask) {
#ifdef __AVX512F__
    return sizeof(real) == 8 ? _mm512_movepi64_mask((__m512i)mask) != 0
                             : _mm512_movepi32_mask((__m512i)mask) != 0;
#else
    for (int distance = 1; distance < LANES; distance *= 2)
        mask |= (lanes_index)swap_lanes((vec)mask, distance);
    return mask[0] != 0;
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

// sin and cos of x in [-pi/2, pi/2], to the last bits of 1.
INLINE void sine_cosine(vec x, vec& sine, vec& cosine) {
    constexpr int TERMS = sizeof(real) == 8 ? 11 : 7;
    const vec z = x * x;
    vec s = splat(1), c = splat(1);
#pragma GCC unroll 11
    for (int n = TERMS; n >= 1; n--) {
        s = 1.0 - z * s * (real)(1.0 / (2 * n * (2 * n + 1)));
        c = 1.0 - z * c * (real)(1.0 / (2 * n * (2 * n - 1)));
    }
    sine = x * s;
    cosine = c;
}

// sqrt x for x >= 0.
INLINE vec root(vec x) {
    constexpr real LEAST = sizeof(real) == 8 ? 1e-300 : 1e-36;
    return x * inverse_root(x > LEAST ? x : splat(LEAST));
}

// The numbers of COUNT subgroups from `subgroup` on in one attempt.
template <int COUNT>
INLINE void draw(const Draws& draws, long block, int subgroup, int attempt, Numbers* out) {
    for (int part = 0; part < PARTS; part++) {
        counter_lanes site;
        const long long* from = draws.sites + block * LANES + part * COUNTERS;
        for (int lane = 0; lane < COUNTERS; lane++) site[lane] = from[lane];
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
            for (int k = 0; k < 6; k++)
                for (int lane = 0; lane < COUNTERS; lane++)
                    (&out[n].first)[k][part * COUNTERS + lane] = numbers[k][lane];
        }
    }
}

// delta = 1 - b0 and where it is taken.
INLINE vec candidate(vec alpha, const Numbers& numbers, lanes_index& taken) {
    vec sine, unused;
    sine_cosine(PI * (numbers.angle - 0.5), sine, unused);
    const vec energy = -(log_lanes(numbers.first) + (0.5 - 0.5 * sine) * log_lanes(numbers.second));
    vec delta = energy / alpha, limit = 1.0 - 0.5 * delta;
    const lanes_index weak = alpha < WEAK;
    if (any(weak)) {
        const vec uniform = 2.0 * numbers.first;
        delta = weak ? uniform : delta;
        limit = weak ? uniform * (2.0 - uniform) * exp_lanes(-2.0 * alpha * uniform) : limit;
    }
    taken = numbers.accept * numbers.accept <= limit;
    return delta;
}

// Twice r of the 2 x 2 part of U S^dagger in rows i, j.
INLINE Quaternion quaternion(const vec* u, const vec* s, int i, int j) {
    Quaternion r = {};
#pragma GCC unroll 3
    for (int k = 0; k < 3; k++) {
        const vec *ui = u + 6 * i + 2 * k, *uj = u + 6 * j + 2 * k;
        const vec *si = s + 6 * i + 2 * k, *sj = s + 6 * j + 2 * k;
        r.q[0] += ui[0] * si[0], r.q[0] += ui[1] * si[1];
        r.q[0] += uj[0] * sj[0], r.q[0] += uj[1] * sj[1];
        r.q[1] += ui[1] * sj[0], r.q[1] -= ui[0] * sj[1];
        r.q[1] += uj[1] * si[0], r.q[1] -= uj[0] * si[1];
        r.q[2] += ui[0] * sj[0], r.q[2] += ui[1] * sj[1];
        r.q[2] -= uj[0] * si[0], r.q[2] -= uj[1] * si[1];
        r.q[3] += ui[1] * si[0], r.q[3] -= ui[0] * si[1];
        r.q[3] -= uj[1] * sj[0], r.q[3] += uj[0] * sj[1];
    }
    return r;
}

INLINE vec square(const Quaternion& r) {
    return (r.q[0] * r.q[0] + r.q[1] * r.q[1]) + (r.q[2] * r.q[2] + r.q[3] * r.q[3]);
}

// u = a u in rows i, j.
INLINE void rotate_rows(vec* u, const Quaternion& a, int i, int j) {
#pragma GCC unroll 3
    for (int k = 0; k < 3; k++) {
        vec *p = u + 6 * i + 2 * k, *q = u + 6 * j + 2 * k;
        const vec pr = p[0], pi = p[1], qr = q[0], qi = q[1];
        p[0] = a.q[0] * pr - a.q[3] * pi + a.q[2] * qr - a.q[1] * qi;
        p[1] = a.q[0] * pi + a.q[3] * pr + a.q[2] * qi + a.q[1] * qr;
        q[0] = a.q[0] * qr + a.q[3] * qi - a.q[2] * pr - a.q[1] * pi;
        q[1] = a.q[0] * qi - a.q[3] * qr - a.q[2] * pi + a.q[1] * pr;
    }
}

// a = v^-2.
INLINE Quaternion reflection(const Quaternion& r) {
    const vec size = square(r);
    const lanes_index known = size > 4 * SMALLEST;
    const vec twice = known ? -2.0 * r.q[0] / size : vec{};
    Quaternion a;
    a.q[0] = known ? -1.0 - twice * r.q[0] : splat(1);
    for (int k = 1; k < 4; k++) a.q[k] = twice * r.q[k];
    return a;
}

// a = b v^-1 with b from the heat bath; 1 in lanes where nothing was taken.
INLINE Quaternion heat(const Draws& draws, long block, int subgroup, lanes_index moving,
                       const Quaternion& r, Numbers numbers) {
    const vec size = square(r);
    const lanes_index known = size > 4 * SMALLEST;
    const vec inverse = inverse_root(known ? size : splat(1));
    const vec alpha = known ? (size * inverse) * (draws.scale / 2) : vec{};
    lanes_index taken;
    vec delta = candidate(alpha, numbers, taken), height = numbers.height, turn = numbers.turn;
    for (int attempt = 1; attempt < ATTEMPTS && any(moving & ~taken); attempt++) {
        lanes_index now;
        draw<1>(draws, block, subgroup, attempt, &numbers);
        const vec next = candidate(alpha, numbers, now);
        delta = taken ? delta : next;
        height = taken ? height : numbers.height;
        turn = taken ? turn : numbers.turn;
        taken |= now;
    }
    vec sine, cosine;
    sine_cosine(PI * (turn - 0.5), sine, cosine);
    const vec length = root(delta * (2.0 - delta));
    const vec across = 2.0 * length * root(height * (1.0 - height));
    const vec b0 = 1.0 - delta, b1 = across * (1.0 - 2.0 * sine * sine),
              b2 = across * (2.0 * sine * cosine), b3 = length * (2.0 * height - 1.0);
    const vec v0 = known ? r.q[0] * inverse : splat(1), v1 = known ? r.q[1] * inverse : vec{},
              v2 = known ? r.q[2] * inverse : vec{}, v3 = known ? r.q[3] * inverse : vec{};
    Quaternion a;
    a.q[0] = taken ? b0 * v0 + b1 * v1 + b2 * v2 + b3 * v3 : splat(1);
    a.q[1] = taken ? b1 * v0 - v1 * b0 + b2 * v3 - b3 * v2 : vec{};
    a.q[2] = taken ? b2 * v0 - v2 * b0 + b3 * v1 - b1 * v3 : vec{};
    a.q[3] = taken ? b3 * v0 - v3 * b0 + b1 * v2 - b2 * v1 : vec{};
    return a;
}

// Rows made orthonormal from the first, the third that of determinant 1.
INLINE void orthonormalise(vec* u) {
    const auto normalise = [](vec* row) {
        vec sum = {};
        for (int k = 0; k < 6; k++) sum += row[k] * row[k];
        const vec inverse = inverse_root(sum);
        for (int k = 0; k < 6; k++) row[k] *= inverse;
    };
    normalise(u);
    vec re = {}, im = {};
    for (int k = 0; k < 6; k += 2) {
        re += u[k] * u[6 + k] + u[k + 1] * u[7 + k];
        im += u[k] * u[7 + k] - u[k + 1] * u[6 + k];
    }
    for (int k = 0; k < 6; k += 2) {
        u[6 + k] -= re * u[k] - im * u[k + 1];
        u[7 + k] -= re * u[k + 1] + im * u[k];
    }
    normalise(u + 6);
    for (int k = 0; k < 3; k++) {
        const vec *a = u + 2 * ((k + 1) % 3), *b = u + 2 * ((k + 2) % 3);
        u[12 + 2 * k] = (a[0] * b[6] - a[1] * b[7]) - (b[0] * a[6] - b[1] * a[7]);
        u[13 + 2 * k] = (b[0] * a[7] + b[1] * a[6]) - (a[0] * b[7] + a[1] * b[6]);
    }
}

// New links of a subset in blocks [first, end) of one chain, in place: by heat where `draws` is not null,
// else reflected.
inline void update_blocks(const Lattice& lattice, const Subset& subset, const Draws* draws,
                          vec* links, long first, long end) {
    const Fields fields = {lattice, links, nullptr};
    for (long block = first; block < end; block++) {
        if (!subset.lanes[block]) continue;
        const lanes_index moving = lanes_of(subset.lanes[block]);
        vec* u = links + (block * 4 + subset.mu) * LINK;
        Numbers numbers[SUBGROUPS];
        Sum<false> paths;
        Matrix moved;
        if (draws) draw<SUBGROUPS>(*draws, block, 0, 0, numbers);
        plaquette_paths<false>(fields, block, subset.mu, paths);
        for (int i = 0; i < LINK; i++) moved.v[i] = u[i];
#pragma GCC unroll 3
        for (int n = 0; n < SUBGROUPS; n++) {
            const int i = ROWS[n][0], j = ROWS[n][1];
            const Quaternion r = quaternion(moved.v, paths.value.v, i, j);
            rotate_rows(moved.v, draws ? heat(*draws, block, n, moving, r, numbers[n])
                                       : reflection(r), i, j);
        }
        if (draws) orthonormalise(moved.v);
        for (int i = 0; i < LINK; i++) u[i] = moving ? moved.v[i] : u[i];
    }
}

}  // namespace
