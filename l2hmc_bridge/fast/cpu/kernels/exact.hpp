// Sums that no order of the terms changes: each term is cut into whole multiples of 2^-30 and of 2^-62.
#pragma once
#include "lattice.hpp"

namespace {

constexpr double COARSE = 0x1.8p22, FINE = 0x1.8p-10;  // the last digits of which are 2^-30 and 2^-62
constexpr double LARGEST_TERM = 0x1p16;  // a chunk of these stays below 2^53 coarse digits

// coarse + fine += value in the lanes that count in this block; what is no number or too large becomes NaN.
INLINE void add_exactly(const Lattice& lattice, wide* coarse, wide* fine, long block, wide value) {
    typedef long long mask __attribute__((vector_size(8 * LANES)));
    const int own = lattice.own[block];
    if (own == 0) return;
    const wide limit = wide{} + LARGEST_TERM, lost = wide{} + __builtin_nan("");
    value = (value < limit) & (value > -limit) ? value : lost;
    if (own != (1 << LANES) - 1) {
        mask lanes;
        for (int lane = 0; lane < LANES; lane++) lanes[lane] = -(long long)(own >> lane & 1);
        value = lanes ? value : wide{};
    }
    const wide high = (value + COARSE) - COARSE, rest = value - high;
    *coarse += high;
    *fine += (rest + FINE) - FINE;
}

// total += value; of a part of a lattice exactly, into `total` and `fine`.
INLINE void add_to(const Lattice& lattice, wide* total, wide* fine, long block, wide value) {
    if (lattice.alone) add_exactly(lattice, total, fine, block, value);
    else *total += value;
}

// total += number; whether the sum is too large for a whole number.
INLINE bool too_large(long long* total, long long number) {
    return __builtin_add_overflow(*total, number, total);
}

}  // namespace
