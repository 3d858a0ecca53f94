// exp, expm1, tanh and x / sqrt(1 + x^2) of vectors of numbers, to about one unit in the last place.
#pragma once
#include "matrix.hpp"

namespace {

// The format of a number, and log 2 in two parts of which k HIGH is exact.
#ifdef SINGLE
constexpr real ROUNDER = 0x1.8p23f, BIAS = 127, LIMIT = 87, TANH_ONE = 10;
constexpr real LOG2E = 1.4426950408889634074f, HIGH = 0x1.62ep-1f, LOW = 0x1.0bfbe8p-15f;
constexpr int MANTISSA = 23, EXPONENT_TERMS = 7;  // 1 / 8! (0.35)^7 is below 2e-8 of the sum
#else
constexpr real ROUNDER = 0x1.8p52, BIAS = 1023, LIMIT = 700, TANH_ONE = 22;
constexpr real LOG2E = 1.4426950408889634074, HIGH = 0x1.62e42fee00000p-1,
               LOW = 0x1.a39ef35793c76p-33;
constexpr int MANTISSA = 52, EXPONENT_TERMS = 13;  // 1 / 14! (0.35)^13 is below 2e-17 of the sum
#endif

// 2^k for whole numbers |k| <= BIAS - 1.
INLINE vec power_of_two(vec k) {
    const vec shifted = k + (ROUNDER + BIAS);  // the whole number sits in the low bits
    return (vec)((lanes_index)shifted << MANTISSA);
}

// x = k log 2 + r with |r| <= 0.35 for |x| <= LIMIT: 2^k and e^r - 1.
struct Split {
    vec scale, rest;
};

INLINE Split split_exponent(vec x) {
    const vec k = (x * LOG2E + ROUNDER) - ROUNDER;
    const vec r = (x - k * HIGH) - k * LOW;
    constexpr double inverse[14] = {0.0,
                                    0.0,
                                    0.5,
                                    1.0 / 6.0,
                                    1.0 / 24.0,
                                    1.0 / 120.0,
                                    1.0 / 720.0,
                                    1.0 / 5040.0,
                                    1.0 / 40320.0,
                                    1.0 / 362880.0,
                                    1.0 / 3628800.0,
                                    1.0 / 39916800.0,
                                    1.0 / 479001600.0,
                                    1.0 / 6227020800.0};
    vec sum = splat((real)inverse[EXPONENT_TERMS]);
#pragma GCC unroll 11
    for (int n = EXPONENT_TERMS - 1; n >= 2; n--) sum = sum * r + (real)inverse[n];
    return {power_of_two(k), r + r * r * sum};
}

// x cut at +-LIMIT (NaN stays NaN).
INLINE vec exp_lanes(vec x) {
    x = x > LIMIT ? splat(LIMIT) : x;
    x = x < -LIMIT ? splat(-LIMIT) : x;
    const Split e = split_exponent(x);
    return e.scale * e.rest + e.scale;
}

constexpr real NEAR = 0.0625;

// Whether |x| <= NEAR in every lane of COUNT vectors.
template <int COUNT>
INLINE bool all_near(const vec* x) {
    lanes_index far = {};
    for (int i = 0; i < COUNT; i++) far |= ~((x[i] <= NEAR) & (x[i] >= -NEAR));
    return !any(far);
}

// e^x for |x| <= NEAR, x^10 / 10! (SINGLE: x^6 / 6!) left out: a short chain of dependent steps.
INLINE vec exp_near(vec x) {
    const vec square = x * x;
    const vec low = (1.0 + x) + square * (real)(1.0 / 2);
    const vec middle = (real)(1.0 / 6) + x * (real)(1.0 / 24) + square * (real)(1.0 / 120);
    if (sizeof(real) == 4) return low + x * square * middle;
    const vec fourth = square * square;
    const vec high = ((real)(1.0 / 720) + x * (real)(1.0 / 5040)) +
                     square * ((real)(1.0 / 40320) + x * (real)(1.0 / 362880));
    return low + x * square * middle + fourth * square * high;
}

// exp_lanes of COUNT vectors: their chains of dependent steps overlap.
template <int COUNT>
INLINE void exp_group(vec* x) {
    if (all_near<COUNT>(x))
        for (int i = 0; i < COUNT; i++) x[i] = exp_near(x[i]);
    else
        for (int i = 0; i < COUNT; i++) x[i] = exp_lanes(x[i]);
}

// exp_lanes of COUNT vectors; what a lane comes to does not depend on the lanes beside it.
template <int COUNT>
INLINE void exp_alone(vec* x) {
    for (int i = 0; i < COUNT; i++) {
        const lanes_index near = (x[i] <= NEAR) & (x[i] >= -NEAR);
        const vec close = exp_near(x[i]);
        x[i] = any(~near) ? (near ? close : exp_lanes(x[i])) : close;
    }
}

// For |x| <= LIMIT.
INLINE vec expm1_lanes(vec x) {
    const Split e = split_exponent(x);
    return e.scale * e.rest + (e.scale - 1.0);
}

constexpr int GROUP = 4;  // vectors

// x -> tanh x = e / (e + 2) with e = expm1(2 |x|), signed, for four vectors: one division serves all.
INLINE void tanh_group(vec* x) {
    vec e[GROUP], d[GROUP];
#pragma GCC unroll 4
    for (int i = 0; i < GROUP; i++) {
        vec size = x[i] < 0.0 ? -x[i] : x[i];
        size = size > TANH_ONE ? splat(TANH_ONE) : size;
        e[i] = expm1_lanes(2.0 * size);
        d[i] = e[i] + 2.0;
    }
    const vec first = d[0] * d[1], second = d[2] * d[3], inverse = 1.0 / (first * second);
    const vec left = inverse * second, right = inverse * first;
    const vec quotient[GROUP] = {e[0] * (left * d[1]), e[1] * (left * d[0]),
                                 e[2] * (right * d[3]), e[3] * (right * d[2])};
#pragma GCC unroll 4
    for (int i = 0; i < GROUP; i++) x[i] = x[i] < 0.0 ? -quotient[i] : quotient[i];
}

// 1 / sqrt(x) for positive normal x, from a start that is good to 14 bits with AVX-512, else to 4: the
// series of (1 - e)^{-1/2} in the error e = 1 - x y^2 to e^3 makes them 54 and 17, or 2 x 24.
INLINE vec inverse_root(vec x) {
#ifdef __AVX512F__
    constexpr int ROUNDS = 1;
    vec y;
    if (sizeof(real) == 8) y = (vec)_mm512_mask_rsqrt14_pd((__m512d)x, 0xff, (__m512d)x);
    else y = (vec)_mm512_mask_rsqrt14_ps((__m512)x, 0xffff, (__m512)x);
#else
    constexpr int ROUNDS = 2;
    constexpr whole MAGIC = sizeof(real) == 8 ? 0x5fe6eb50c7b537a9 : 0x5f3759df;
    vec y = (vec)(MAGIC - ((lanes_index)x >> 1));
#endif
    for (int round = 0; round < ROUNDS; round++) {
        const vec e = 1.0 - (x * y) * y;
        y += y * e * (((real)(5.0 / 16) * e + (real)(3.0 / 8)) * e + (real)0.5);
    }
    return y;
}

// x -> x / sqrt(1 + x^2) of four vectors.
INLINE void isru_group(vec* x) {
#pragma GCC unroll 4
    for (int i = 0; i < GROUP; i++) x[i] *= inverse_root(1.0 + x[i] * x[i]);
}

}  // namespace
