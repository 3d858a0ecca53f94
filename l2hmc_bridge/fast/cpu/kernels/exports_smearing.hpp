// The field transformation, subset after subset.
#pragma once
#include "calls.hpp"
#include "smearing.hpp"

// U' = exp(-rho TA(U A)) U of direction mu and one parity, in place; sign -1: the inverse. log|J| of the map
// per chain into `out`, unless it is null; links whose inverse is not found are counted in `lost`.
EXPORT void smear_subset(Call* call, int mu, int odd, int sign, double bound, double bias,
                         int hidden, int activation, const double* slope, const double* offset,
                         const double* weight, vec* links, long long* lost, double* out) {
    const Subset subset = {*call->lattice, mu, odd,
                           {bound, bias, hidden, activation, slope, offset, weight}};
    std::atomic<long> missed{0};
    const auto blocks = [&](long chain, long first, long end, wide* total) {
        vec* own = links + call->links(chain);
        if (sign > 0) smear_blocks(subset, own, first, end, total);
        else missed += unsmear_blocks(subset, own, first, end, total);
    };
    if (out) sums<1>(*call, out, blocks);
    else
        for_chunks(*call->lattice, call->chains, call->threads,
                   [&](long chain, long first, long end, long) {
                       blocks(chain, first, end, nullptr);
                   });
    *lost += missed;
}

// The gradient of f(U') - log|J| along the group at U from that of f at U', in place, for the links that
// move; `links` go back from U' to U, of which `start` has those. What acts on their staples goes to
// weights [chains][blocks][4][18], from which `smear_spread` goes on.
EXPORT void smear_pull(Call* call, int mu, int odd, double bound, double bias, int hidden,
                           int activation, const double* slope, const double* offset,
                           const double* weight, const vec* start, vec* links, vec* weights,
                           vec* gradient) {
    const Subset subset = {*call->lattice, mu, odd,
                           {bound, bias, hidden, activation, slope, offset, weight}};
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const long shift = call->links(chain);
                   pull_blocks(subset, start + shift, links + shift, weights + shift,
                               gradient + call->algebra(chain), first, end);
               });
}

// Adds to the gradient what the links that are frozen get through `weights` of `smear_pull`.
EXPORT void smear_spread(Call* call, int mu, int odd, const vec* links, const vec* weights,
                         vec* gradient) {
    const Subset subset = {*call->lattice, mu, odd, {}};
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const long shift = call->links(chain);
                   spread_blocks(subset, links + shift, weights + shift,
                                 gradient + call->algebra(chain), first, end);
               });
}
