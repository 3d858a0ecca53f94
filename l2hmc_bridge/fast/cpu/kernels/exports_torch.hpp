// Functions of the torch layout that need no lattice, and the peaks for the benchmark.
#pragma once
#include "calls.hpp"
#include "peak.hpp"

// out = exp(step X) U for `matrices` matrices of 18 numbers each, X traceless anti-Hermitian.
EXPORT void exp_multiply(long matrices, int threads, double step, const real* x, const real* u,
                         real* out) {
    const real size = step;
    for_groups(matrices, threads, [&](long first, int count) {
        Matrix a, b;
        vec components[TEAM][ALGEBRA];
        for (int k = 0; k < count; k += LANES) {
            vec* own = components[k / LANES];
            load(a.v, x, first + k, count - k);
            project(own, a.v);
            for (int i = 0; i < ALGEBRA; i++) own[i] *= size;
        }
        const int halved = halvings(components[0], (count + LANES - 1) / LANES);
        for (int k = 0; k < count; k += LANES) {
            load(b.v, u, first + k, count - k);
            rotate(a, components[k / LANES], halved, b.v);
            save(out, a.v, first + k, count - k);
        }
    });
}

// The gradients of X (in the algebra) and U from that of exp(step X) U.
EXPORT void exp_multiply_pullback(long matrices, int threads, double step, const real* x,
                                  const real* u, const real* gradient, real* to_x, real* to_u) {
    const real size = step;
    for_groups(matrices, threads, [&](long first, int count) {
        Matrix a, b, g, c;
        vec components[ALGEBRA], slope[ALGEBRA];
        for (; count > 0; first += LANES, count -= LANES) {
            load(a.v, x, first, count);
            load(b.v, u, first, count);
            load(g.v, gradient, first, count);
            project(components, a.v);
            for (int k = 0; k < ALGEBRA; k++) components[k] *= size;
            exponential_pullback(components, b.v, g.v, slope, c.v);
            for (int k = 0; k < ALGEBRA; k++) slope[k] *= 2 * size;
            assemble(a.v, slope);
            save(to_x, a.v, first, count);
            save(to_u, c.v, first, count);
        }
    });
}

// Multiply-adds on every thread, 96 flop of eight (SINGLE: sixteen) numbers per loop each.
EXPORT void peak_arithmetic(int threads, long loops, double* out) {
    constexpr int VECTORS = 64 / WIDTH;
    parallel(threads, threads,
             [&](long task) { out[task] = multiply_add_loop(48 * VECTORS * loops); });
}

// out = in, `length` numbers.
EXPORT void peak_copy(int threads, long length, const real* in, real* out) {
    constexpr long PIECE = 1 << 16;
    parallel((length + PIECE - 1) / PIECE, threads, [&](long task) {
        const long first = task * PIECE;
        std::copy(in + first, in + (length < first + PIECE ? length : first + PIECE), out + first);
    });
}

// The exact sum of squares of a field [chains][4][site][18] of a part of a lattice, whole numbers [chains][3],
// as `Sums::finish`.
EXPORT void exact_squares(Call* call, const real* in, long long* out) {
    const Lattice& lattice = *call->lattice;
    const int* n = lattice.extent;
    const long slice = (long)n[1] * n[2] * n[3];
    std::vector<long long> found(call->chains * 4 * n[0] * 3);
    parallel(call->chains * 4 * n[0], call->threads, [&](long task) {
        const int t = (int)(task % n[0]);
        if (t < lattice.low[0] || t >= lattice.high[0]) return;
        long long* sum = &found[3 * task];
        for (int x = lattice.low[1]; x < lattice.high[1]; x++)
            for (int y = lattice.low[2]; y < lattice.high[2]; y++) {
                const long row = ((long)x * n[2] + y) * n[3];
                for (int z = lattice.low[3]; z < lattice.high[3]; z++) {
                    const real* m = in + (task * slice + row + z) * LINK;
                    double part[3] = {};
                    for (int i = 0; i < LINK; i += 3)
                        for (int k = 0; k < 3; k++) part[k] += (double)m[i + k] * m[i + k];
                    const double value = part[0] + part[1] + part[2];
                    if (!(value < LARGEST_TERM)) {
                        sum[2]++;
                        continue;
                    }
                    const double high = (value + COARSE) - COARSE;
                    const double low = (value - high + FINE) - FINE;
                    sum[2] += too_large(sum, (long long)(high * 0x1p30)) +
                              too_large(sum + 1, (long long)(low * 0x1p62));
                }
            }
    });
    std::fill(out, out + 3 * call->chains, 0);
    for (long i = 0; i < call->chains * 4 * n[0]; i++) {
        long long* sum = out + 3 * (i / (4 * n[0]));
        sum[2] += found[3 * i + 2] + too_large(sum, found[3 * i]) + too_large(sum + 1, found[3 * i + 1]);
    }
}

// Sum of squares of each chain's `length` numbers, [chains].
EXPORT void square_sum(long chains, long length, int threads, const real* in, double* out) {
    constexpr long PIECE = 1 << 14;
    const long pieces = (length + PIECE - 1) / PIECE;
    std::vector<double> partial(chains * pieces);
    parallel(chains * pieces, threads, [&](long task) {
        const long first = task % pieces * PIECE;
        const long count = length - first < PIECE ? length - first : PIECE;
        const real* data = in + task / pieces * length + first;
        constexpr int COUNT = 256 / sizeof(real);  // the same for every instruction set
        double lanes[COUNT] = {};
        long i = 0;
        for (; i + COUNT <= count; i += COUNT)
            for (int k = 0; k < COUNT; k++) lanes[k] += (double)data[i + k] * data[i + k];
        for (int k = 0; i < count; i++, k++) lanes[k] += (double)data[i] * data[i];
        for (int k = 0; k < COUNT; k++) partial[task] += lanes[k];
    });
    for (long chain = 0; chain < chains; chain++) {
        Compensated sum;
        for (long piece = 0; piece < pieces; piece++) sum.add(partial[chain * pieces + piece]);
        out[chain] = sum.sum;
    }
}
