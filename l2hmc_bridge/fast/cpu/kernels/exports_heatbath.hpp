// Heat bath and overrelaxation, momenta, and the random numbers alone.
#pragma once
#include "calls.hpp"
#include "heatbath_wave.hpp"
#include "numbers.hpp"

// Index in the torch layout of the site in each lane, [blocks][LANES]; copies repeat theirs.
EXPORT void lattice_sites(Call* call, long long* out) {
    const Lattice& lattice = *call->lattice;
    for (long i = 0; i < lattice.blocks * LANES; i++)
        out[i] = lattice.site(i / LANES, i % LANES & (lattice.active - 1));
}

// One sweep over the links of directions first <= mu < end in place, colour after colour: `lanes`
// [colours][blocks] says who moves. `words` [chains][4]: key and upper counter words; null: reflections.
// A thread takes a chain, all directions in one passage through memory; or if there are too few for that,
// direction after direction: links of different planes across a direction do not meet, so a thread takes
// planes, or where these are few rows of one colour.
EXPORT void heat_bath_sweep(Call* call, double beta, int sweep, int first, int end, int colours,
                            const uint16_t* lanes, const long long* sites, const long long* words,
                            vec* links) {
    const Lattice& lattice = *call->lattice;
    const auto draws_of = [&](long chain, int mu) {
        Draws draws = {(real)(beta / 3), {}, {}, sites, (uint32_t)(4 * sweep + mu)};
        if (words) {
            const long long* w = words + 4 * chain;
            draws.key = {(uint32_t)w[0], (uint32_t)w[1]};
            draws.upper[0] = (uint32_t)w[2], draws.upper[1] = (uint32_t)w[3];
        }
        return draws;
    };
    const auto occupy_all = [&](long tasks) {
        return tasks % call->threads == 0 || tasks >= 4 * call->threads;
    };
    if (first == 0 && end == 4 && occupy_all(call->chains))
        return parallel(call->chains, call->threads, [&](long chain) {
            const Draws draws[4] = {draws_of(chain, 0), draws_of(chain, 1), draws_of(chain, 2),
                                    draws_of(chain, 3)};
            Wave(lattice, colours, lanes, words ? draws : nullptr, links + call->links(chain))
                .sweep();
        });
    const auto visit = [&](int mu, long task, const auto& update) {
        const long chain = task / lattice.span(mu), plane = task % lattice.span(mu);
        const Draws draws = draws_of(chain, mu);
        update(Hyperplane(lattice, mu, plane, lanes, words ? &draws : nullptr,
                     links + call->links(chain)));
    };
    for (int mu = first; mu < end; mu++) {
        const long planes = call->chains * lattice.span(mu), rows = lattice.span(mu == 0);
        if (occupy_all(planes)) {
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
        Words w{};
        for (int lane = 0; lane < COUNTERS; lane++)
            for (int k = 0; k < 4; k++)
                w.word[k][lane] = first + lane < count ? counters[4 * (first + lane) + k] : 0;
        philox<1>(&w, {(uint32_t)key[0], (uint32_t)key[1]});
        for (int lane = 0; lane < COUNTERS && first + lane < count; lane++)
            for (int k = 0; k < 4; k++)
                out[4 * (first + lane) + k] = w.word[k][lane] & 0xffffffffull;
    }
}

// Momenta sum_a p_a T_a with p_a ~ N(0, 1) in double precision, [chains][4][site][18], of `sites` with
// these numbers. `words` [chains][5]: key and upper counter words, and the number of the first draw.
EXPORT void normal_momenta(long chains, long sites, int threads, const long long* numbers,
                           const long long* words, double* out) {
    constexpr long EACH = 64 * COUNTERS;
    const long tasks = (sites + EACH - 1) / EACH;
    parallel(chains * tasks, threads, [&](long task) {
        const long chain = task / tasks, start = task % tasks * EACH;
        const long long* w = words + 5 * chain;
        const Key key = {(uint32_t)w[0], (uint32_t)w[1]};
        for (long first = start; first < start + EACH && first < sites; first += COUNTERS) {
            const int count = (int)(sites - first < COUNTERS ? sites - first : COUNTERS);
            counter_lanes site;
            for (int lane = 0; lane < COUNTERS; lane++)
                site[lane] = numbers[first + (lane < count ? lane : 0)];
            for (int mu = 0; mu < 4; mu++) {
                Words block[4];
                for (int k = 0; k < 4; k++)
                    block[k] = {{site, counter_lanes{} + (uint32_t)(w[4] + 4 * mu + k),
                                 counter_lanes{} + (uint32_t)w[2],
                                 counter_lanes{} + (uint32_t)w[3]}};
                philox<4>(block, key);
                uniform_lanes p[8], m[18];
                for (int k = 0; k < 4; k++) normal_pair(block[k].word, p[2 * k], p[2 * k + 1]);
                algebra_element(m, p);
                double* to = out + ((chain * 4 + mu) * sites + first) * 18;
                for (int lane = 0; lane < count; lane++)
                    for (int i = 0; i < 18; i++) to[18 * lane + i] = m[i][lane];
            }
        }
    });
}
