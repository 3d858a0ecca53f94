// Heat bath and overrelaxation, and the random numbers alone.
#pragma once
#include "calls.hpp"
#include "heatbath.hpp"

// Index in the torch layout of the site in each lane, [blocks][LANES]; copies repeat theirs.
EXPORT void lattice_sites(Call* call, long long* out) {
    const Lattice& lattice = *call->lattice;
    for (long i = 0; i < lattice.blocks * LANES; i++)
        out[i] = lattice.site(i / LANES, i % LANES & (lattice.active - 1));
}

// One sweep over all links in place, direction after direction, colour after colour: `lanes`
// [colours][blocks] says who moves. `words` [chains][4]: key and upper counter words; null: reflections.
// Links of different planes across a direction do not meet: a thread takes planes, or where these are few
// rows of one colour.
EXPORT void heat_bath_sweep(Call* call, double beta, int sweep, int colours, const uint16_t* lanes,
                            const long long* sites, const long long* words, vec* links) {
    const Lattice& lattice = *call->lattice;
    const auto visit = [&](int mu, long task, const auto& update) {
        const long chain = task / lattice.span(mu), plane = task % lattice.span(mu);
        Draws draws = {(real)(beta / 3), {}, {}, sites, (uint32_t)(4 * sweep + mu)};
        if (words) {
            const long long* w = words + 4 * chain;
            draws.key = {(uint32_t)w[0], (uint32_t)w[1]};
            draws.upper[0] = (uint32_t)w[2], draws.upper[1] = (uint32_t)w[3];
        }
        update(Hyperplane(lattice, mu, plane, lanes, words ? &draws : nullptr,
                     links + call->links(chain)));
    };
    for (int mu = 0; mu < 4; mu++) {
        const long planes = call->chains * lattice.span(mu), rows = lattice.span(mu == 0);
        if (planes % call->threads == 0 || planes >= 4 * call->threads) {
            parallel(planes, call->threads, [&](long task) {
                visit(mu, task, [&](const Hyperplane& plane) { plane.update(colours); });
            });
            continue;
        }
        for (int colour = 0; colour < colours; colour++)
            parallel(planes * rows, call->threads, [&](long task) {
                visit(mu, task / rows, [&](const Hyperplane& plane) {
                    plane.update_row(colour, task % rows);
                });
            });
    }
}

// Random words of `count` counters [count][4] under one key, out [count][4].
EXPORT void philox_words(long count, const long long* counters, const long long* key,
                         long long* out) {
    for (long first = 0; first < count; first += COUNTERS) {
        Words w;
        for (int lane = 0; lane < COUNTERS; lane++)
            for (int k = 0; k < 4; k++)
                w.word[k][lane] = first + lane < count ? counters[4 * (first + lane) + k] : 0;
        philox<1>(&w, {(uint32_t)key[0], (uint32_t)key[1]});
        for (int lane = 0; lane < COUNTERS && first + lane < count; lane++)
            for (int k = 0; k < 4; k++)
                out[4 * (first + lane) + k] = w.word[k][lane] & 0xffffffffull;
    }
}
