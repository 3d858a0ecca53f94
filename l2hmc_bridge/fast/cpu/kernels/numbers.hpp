// Normal numbers from Philox, the same bits on every device and for any order of sites.
//
// Formulas in fast/normal.py. Only products, sums and quotients, each rounded by itself as IEEE 754 says: `rounded` keeps the compiler from making one operation of two.
#pragma once
#include "philox.hpp"

namespace {

typedef long long whole_lanes __attribute__((vector_size(WIDTH), may_alias));

INLINE uniform_lanes rounded(uniform_lanes x) {
#if defined(__AVX512F__)
    asm("" : "+v"(x));
#elif defined(__x86_64__)
    asm("" : "+x"(x));
#elif defined(__aarch64__)
    asm("" : "+w"(x));
#else
    asm("" : "+m"(x));
#endif
    return x;
}

INLINE uniform_lanes times(uniform_lanes a, uniform_lanes b) { return rounded(a * b); }
INLINE uniform_lanes times(double a, uniform_lanes b) { return rounded(a * b); }

// sqrt x of a positive number by Newton's rule: libraries round theirs as they please.
INLINE uniform_lanes square_root(uniform_lanes x) {
    uniform_lanes y = (uniform_lanes)(((whole_lanes)x >> 1) + 0x1ff7a3bea91d9b1bll);
    for (int round = 0; round < 4; round++) y = times(0.5, y + x / y);
    return y;
}

// -ln u for 0 < u < 1: u = 2^k m with m in [1/sqrt 2, sqrt 2) and s = (m - 1) / (m + 1).
INLINE uniform_lanes minus_log(uniform_lanes u) {
    constexpr double ROOT_HALF = 0.70710678118654752, ROUND = 0x1.8p52;
    constexpr double TOP = 0x1.62e42fee00000p-1, REST = 0x1.a39ef35793c76p-33;
    const whole_lanes k = ((whole_lanes)u - (whole_lanes)(uniform_lanes{} + ROOT_HALF)) >> 52;
    const uniform_lanes power = (uniform_lanes)((whole_lanes)(uniform_lanes{} + ROUND) + k) - ROUND;
    const uniform_lanes f = (uniform_lanes)((whole_lanes)u - (k << 52)) - 1.0;
    const uniform_lanes s = f / (2.0 + f), z = times(s, s);
    uniform_lanes sum = uniform_lanes{} + 2.0 / 23;
#pragma GCC unroll 10
    for (int n = 21; n >= 3; n -= 2) sum = times(sum, z) + 2.0 / n;
    const uniform_lanes half = times(times(0.5, f), f);
    const uniform_lanes low = times(s, half + times(z, sum)) + times(REST, power);
    return ((half - low) - f) - times(TOP, power);
}

// sin and cos of a quarter turn times f in [-1/2, 1/2).
INLINE void eighth_turns(uniform_lanes f, uniform_lanes& sine, uniform_lanes& cosine) {
    const uniform_lanes x = times(1.5707963267948966, f), z = times(x, x);
    uniform_lanes s = uniform_lanes{} - 1.0 / 1307674368000.0;  // 1 / 15!
    uniform_lanes c = uniform_lanes{} + 1.0 / 20922789888000.0;  // 1 / 16!
    constexpr double SINES[7] = {1.0 / 6227020800.0, -1.0 / 39916800.0, 1.0 / 362880.0,
                                 -1.0 / 5040.0, 1.0 / 120.0, -1.0 / 6.0, 1.0};
    constexpr double COSINES[8] = {-1.0 / 87178291200.0, 1.0 / 479001600.0, -1.0 / 3628800.0,
                                   1.0 / 40320.0, -1.0 / 720.0, 1.0 / 24.0, -0.5, 1.0};
#pragma GCC unroll 7
    for (int n = 0; n < 7; n++) s = times(s, z) + SINES[n];
#pragma GCC unroll 8
    for (int n = 0; n < 8; n++) c = times(c, z) + COSINES[n];
    sine = times(x, s);
    cosine = c;
}

// Two independent normal numbers of four words.
INLINE void normal_pair(const counter_lanes* w, uniform_lanes& first, uniform_lanes& second) {
    const uniform_lanes size = square_root(minus_log(fine_uniform(w[0], w[1])));
    const counter_lanes low = w[3] & 0xffffffffull, turn = (w[2] >> 30) & 3;
    const uniform_lanes f = fine_uniform((w[2] << 2) | (low >> 30), low << 2) - 0.5;
    uniform_lanes sine, cosine;
    eighth_turns(f, sine, cosine);
    const uniform_lanes less = times(size, cosine - sine), more = times(size, cosine + sine);
    const whole_lanes swap = -(whole_lanes)(turn & 1), back = -(whole_lanes)(turn >> 1);
    const whole_lanes sign = whole_lanes{} + (1ll << 63);
    // less, more / -more, less / -less, -more / more, -less
    const whole_lanes a = (swap & (whole_lanes)more) | (~swap & (whole_lanes)less);
    const whole_lanes b = (swap & (whole_lanes)less) | (~swap & (whole_lanes)more);
    first = (uniform_lanes)(a ^ (sign & (swap ^ back)));
    second = (uniform_lanes)(b ^ (sign & back));
}

// m [row][column][re, im] = sum_a p_a T_a.
INLINE void algebra_element(uniform_lanes* m, const uniform_lanes* p) {
    const uniform_lanes eighth = times(0.28867513459481287, p[7]), third = times(0.5, p[2]);
    for (int i = 0; i < 3; i++) m[8 * i] = uniform_lanes{};
    m[1] = eighth + third;
    m[9] = eighth - third;
    m[17] = times(-2.0, eighth);
    const int upper[3] = {2, 4, 10}, lower[3] = {6, 12, 14}, first[3] = {0, 3, 5};
    for (int k = 0; k < 3; k++) {
        const uniform_lanes re = times(0.5, p[first[k] + 1]), im = times(0.5, p[first[k]]);
        m[upper[k]] = re;
        m[upper[k] + 1] = im;
        m[lower[k]] = -re;
        m[lower[k] + 1] = im;
    }
}

}  // namespace
