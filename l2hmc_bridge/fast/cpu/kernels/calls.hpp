// What every exported function needs: the call, sums over chunks, groups of torch matrices.
#pragma once
#include <cstring>

#include "clover.hpp"
#include "exponential.hpp"
#include "gauge.hpp"
#include "plaquette.hpp"
#include "learned.hpp"
#include "learned_drift.hpp"
#include "threads.hpp"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// A call: which lattice, how many chains, how many threads.
struct Call {
    const Lattice* lattice;
    long chains;
    int threads;

    long links(long chain) const { return chain * lattice->blocks * 4 * LINK; }
    long algebra(long chain) const { return chain * lattice->blocks * 4 * ALGEBRA; }
};

// COUNT sums over the lattice of each chain. The lanes of all parts of a chunk are added first, in one
// order for every instruction set and any number of threads.
template <int COUNT>
struct Sums {
    const Call& call;
    long chunks, each;
    int count;                  // COUNT; alone: twice as many, coarse ones and fine ones
    std::vector<double> lanes;  // [chains][parts][chunks][count][LANES]

    explicit Sums(const Call& call)
        : call(call), chunks(call.lattice->chunks()), each(call.lattice->parts * chunks),
          count(call.lattice->alone ? 2 * COUNT : COUNT),
          lanes(call.chains * each * count * LANES) {}

    // The lanes of the first sum of the chunk that a block belongs to.
    double* of_block(long chain, long block) {
        const long volume = call.lattice->volume;
        const long number = block / volume * chunks + block % volume / CHUNK;
        return &lanes[(chain * each + number) * count * LANES];
    }

    // What chunk `number`, part * chunks + chunk, comes to.
    void keep(long chain, long number, const wide* total) {
        std::memcpy(&lanes[(chain * each + number) * count * LANES], total, count * sizeof(wide));
    }

    // out [chains][COUNT] = weight times the sums. Alone: without the weight, whole numbers
    // [chains][COUNT][3] of 2^-30, of 2^-62, and of places that are no number or too large, or
    // of sums that are.
    void finish(double* out, double weight) const {
        if (call.lattice->alone) {
            for (long i = 0; i < call.chains * COUNT; i++)
                whole_sum(i / COUNT, (int)(i % COUNT), (long long*)out + 3 * i);
            return;
        }
        for (long chain = 0; chain < call.chains; chain++) {
            Compensated sum[COUNT];
            for (long chunk = 0; chunk < chunks; chunk++)  // COUNT chains of dependent steps overlap
                for (int k = 0; k < COUNT; k++) sum[k].add(weight * of(chain, chunk, k));
            for (int k = 0; k < COUNT; k++) out[chain * COUNT + k] = sum[k].sum;
        }
    }

    void whole_sum(long chain, int k, long long* out) const {
        out[0] = out[1] = out[2] = 0;
        for (long number = 0; number < each; number++) {
            const double* coarse = &lanes[((chain * each + number) * count + k) * LANES];
            const double* fine = coarse + COUNT * LANES;
            for (int lane = 0; lane < LANES; lane++)
                if (coarse[lane] != coarse[lane]) out[2]++;
                else out[2] += too_large(out, (long long)(coarse[lane] * 0x1p30)) +
                               too_large(out + 1, (long long)(fine[lane] * 0x1p62));
        }
    }

    double of(long chain, long chunk, int k) const {
        double sum = 0;
        for (long part = 0; part < call.lattice->parts; part++)
            for (int lane = 0; lane < call.lattice->active; lane++)
                sum += lanes[((chain * each + part * chunks + chunk) * COUNT + k) * LANES + lane];
        return sum;
    }
};

// body(chain, first, end, wide sums[COUNT]) of every chunk -> out [chains][COUNT].
template <int COUNT, class Body>
void sums(const Call& call, double* out, const Body& body) {
    Sums<COUNT> sums(call);
    for_chunks(*call.lattice, call.chains, call.threads,
               [&](long chain, long first, long end, long number) {
                   wide total[2 * COUNT] = {};
                   body(chain, first, end, total);
                   sums.keep(chain, number, total);
               });
    sums.finish(out, 1);
}

constexpr long GROUPS = 64;  // groups per task in the torch layout
constexpr int TOGETHER = TEAM * LANES;  // matrices of a group

// body(first, count) for every group of `matrices` matrices.
template <class Body>
void for_groups(long matrices, int threads, const Body& body) {
    const long groups = (matrices + TOGETHER - 1) / TOGETHER;
    parallel((groups + GROUPS - 1) / GROUPS, threads, [&](long task) {
        for (long g = task * GROUPS; g < groups && g < (task + 1) * GROUPS; g++) {
            const long first = g * TOGETHER;
            body(first, (int)(matrices - first < TOGETHER ? matrices - first : TOGETHER));
        }
    });
}

// LANES matrices from `first`, the last one repeated beyond `count` >= 1; calls up some of the next.
void load(vec* out, const real* in, long first, int count) {
    constexpr long SOON = 16;
    const real* source[LANES];
    for (int i = 0; i < LANES * LINK; i += 64 / (int)sizeof(real))
        __builtin_prefetch(in + (first + SOON) * LINK + i);
    for (int lane = 0; lane < LANES; lane++)
        source[lane] = in + (first + (lane < count ? lane : count - 1)) * LINK;
    gather(out, source);
}

void save(real* out, const vec* in, long first, int count) {
    real* target[LANES];
    if (count > LANES) count = LANES;
    for (int lane = 0; lane < count; lane++) target[lane] = out + (first + lane) * LINK;
    scatter(target, in, count);
}

// dL/dX components and dL/dU from dL/dU' for U' = exp(X) U.
void exponential_pullback(const vec* x, const vec* u, const vec* gradient, vec* to_x, vec* to_u) {
    Matrix n, value, change;
    mul_ad(n.v, u, gradient);
    exponential_derivative(x, n, value, change);
    project(to_x, change.v);
    for (int a = 0; a < ALGEBRA; a++) to_x[a] *= -0.5;
    mul_da(to_u, value.v, gradient);
}

}  // namespace
