// exp, expm1 and tanh of one vector of numbers at a time, to about one unit in the last place.
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

// exp_lanes of COUNT vectors: their chains of dependent steps overlap.
template <int COUNT>
INLINE void exp_group(vec* x) {
#pragma GCC unroll 8
    for (int i = 0; i < COUNT; i++) x[i] = exp_lanes(x[i]);
}

// For |x| <= LIMIT.
INLINE vec expm1_lanes(vec x) {
    const Split e = split_exponent(x);
    return e.scale * e.rest + (e.scale - 1.0);
}

constexpr int TANH_GROUP = 4;

// x -> tanh x = e / (e + 2) with e = expm1(2 |x|), signed, for four vectors: one division serves all.
INLINE void tanh_group(vec* x) {
    vec e[TANH_GROUP], d[TANH_GROUP];
#pragma GCC unroll 4
    for (int i = 0; i < TANH_GROUP; i++) {
        vec size = x[i] < 0.0 ? -x[i] : x[i];
        size = size > TANH_ONE ? splat(TANH_ONE) : size;
        e[i] = expm1_lanes(2.0 * size);
        d[i] = e[i] + 2.0;
    }
    const vec first = d[0] * d[1], second = d[2] * d[3], inverse = 1.0 / (first * second);
    const vec left = inverse * second, right = inverse * first;
    const vec quotient[TANH_GROUP] = {e[0] * (left * d[1]), e[1] * (left * d[0]),
                                      e[2] * (right * d[3]), e[3] * (right * d[2])};
#pragma GCC unroll 4
    for (int i = 0; i < TANH_GROUP; i++) x[i] = x[i] < 0.0 ? -quotient[i] : quotient[i];
}

}  // namespace
