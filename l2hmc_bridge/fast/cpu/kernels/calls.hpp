// What every exported function needs: the call, sums over chunks, groups of torch matrices.
#pragma once
#include "clover.hpp"
#include "exponential.hpp"
#include "gauge.hpp"
#include "layout.hpp"
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

// sums over one chunk: body(chain, first, end, sums) -> out [chains][width].
template <class Body>
void sums(const Call& call, int width, double* out, const Body& body) {
    const long chunks = call.lattice->chunks();
    std::vector<double> partial(call.chains * chunks * width);
    for_chunks(*call.lattice, call.chains, call.threads,
               [&](long chain, long first, long end, long chunk) {
                   body(chain, first, end, &partial[(chain * chunks + chunk) * width]);
               });
    reduce(chunks, call.chains, width, partial, out);
}

constexpr long GROUPS = 64;  // groups of LANES matrices per task in the torch layout

// body(first, count) for every group of up to LANES of `matrices` matrices.
template <class Body>
void for_groups(long matrices, int threads, const Body& body) {
    const long groups = (matrices + LANES - 1) / LANES;
    parallel((groups + GROUPS - 1) / GROUPS, threads, [&](long task) {
        for (long g = task * GROUPS; g < groups && g < (task + 1) * GROUPS; g++) {
            const long first = g * LANES;
            body(first, (int)(matrices - first < LANES ? matrices - first : LANES));
        }
    });
}

// LANES matrices from `first`, the last one repeated beyond `count`.
void load(vec* out, const real* in, long first, int count) {
    const real* source[LANES];
    for (int lane = 0; lane < LANES; lane++)
        source[lane] = in + (first + (lane < count ? lane : count - 1)) * LINK;
    gather(out, source);
}

void save(real* out, const vec* in, long first, int count) {
    real* target[LANES];
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
