// What the machine can do at best, for the benchmark: arithmetic without memory.
#pragma once
#include <algorithm>

#include "matrix.hpp"

namespace {

// Independent chains of fused multiply-adds, as many as the registers hold; 48 of LANES numbers per
// loop.
inline double multiply_add_loop(long loops) {
#ifdef __AVX512F__
    constexpr int CHAINS = 16;
#else
    constexpr int CHAINS = 6;
#endif
    vec x[CHAINS], a = splat(0.999999), b = splat(1e-6);
    for (int i = 0; i < CHAINS; i++) x[i] = splat(1.0 + i);
    for (long n = 0; n < loops * 48 / CHAINS; n++) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++) x[i] = x[i] * a + b;
    }
    double sum = 0;
    for (int i = 0; i < CHAINS; i++) sum += x[i][0];
    return sum;
}

}  // namespace
