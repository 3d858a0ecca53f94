// Philox-4x32-10: four random words of 32 bits for every counter of four words under a key of two.
//
// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). A function
// without a state: what is drawn depends on the counter alone, not on threads or lanes. Formulas in
// fast/philox.py. Words lie in the low halves of numbers of 64 bits; what is above means nothing.
#pragma once
#include <cstdint>

#include "matrix.hpp"

namespace {

typedef unsigned long long counter_lanes __attribute__((vector_size(WIDTH), may_alias));
typedef double uniform_lanes __attribute__((vector_size(WIDTH), may_alias));
constexpr int COUNTERS = WIDTH / 8;      // side by side
constexpr int PARTS = LANES / COUNTERS;  // of a vector of numbers

struct Words {
    counter_lanes word[4];
};

struct Key {
    uint32_t low, high;
};

// The product of the low halves, 64 bits.
INLINE counter_lanes half_product(counter_lanes a, uint32_t b) {
    const counter_lanes factor = counter_lanes{} + b;
#if defined(__AVX512F__)
    return (counter_lanes)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)factor);
#elif defined(__AVX2__)
    return (counter_lanes)_mm256_mul_epu32((__m256i)a, (__m256i)factor);
#else
    return (a & 0xffffffffull) * factor;
#endif
}

// COUNT blocks at a time: their chains of dependent steps overlap.
template <int COUNT>
INLINE void philox(Words* block, Key key) {
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
#pragma GCC unroll 8
        for (int n = 0; n < COUNT; n++) {
            counter_lanes* w = block[n].word;
            const counter_lanes first = half_product(w[0], 0xD2511F53u);
            const counter_lanes second = half_product(w[2], 0xCD9E8D57u);
            w[0] = (second >> 32) ^ w[1] ^ key.low;
            w[1] = second;
            w[2] = (first >> 32) ^ w[3] ^ key.high;
            w[3] = first;
        }
        key.low += 0x9E3779B9u;
        key.high += 0xBB67AE85u;
    }
}

// (w + 1/2) / 2^32: the word becomes the upper part of a number in [1, 2).
INLINE uniform_lanes uniform(counter_lanes word) {
    const counter_lanes bits = ((word << 32) >> 12) | 0x3ff0000000000000ull;
    return (uniform_lanes)bits - (1.0 - 0x1p-33);
}

// (m + 1/2) / 2^52 with m the upper 52 of 64 bits.
INLINE uniform_lanes fine_uniform(counter_lanes high, counter_lanes low) {
    const counter_lanes bits = ((high << 32) >> 12) | ((low & 0xffffffffull) >> 12);
    return (uniform_lanes)(bits | 0x3ff0000000000000ull) - (1.0 - 0x1p-53);
}

}  // namespace
