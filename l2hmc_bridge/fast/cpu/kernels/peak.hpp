// What the machine can do at best, for the benchmark: arithmetic without memory.
#pragma once
#include <algorithm>

#include "matrix.hpp"

namespace {

// Independent chains of multiply-adds, `count` operations of LANES numbers in all: enough of them to
// hide the latency, few enough for 16 registers.
inline double multiply_add_loop(long count) {
    constexpr int CHAINS = 12;
    vec x[CHAINS], a = splat(0.999999), b = splat(1e-6);
    for (int i = 0; i < CHAINS; i++) x[i] = splat(1.0 + i);
    for (long n = 0; n < count / CHAINS; n++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) x[i] = x[i] * a + b;
    }
    double sum = 0;
    for (int i = 0; i < CHAINS; i++) sum += x[i][0];
    return sum;
}

}  // namespace
