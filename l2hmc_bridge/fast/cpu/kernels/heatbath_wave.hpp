// One heat-bath sweep over all directions in one passage through memory.
//
// Directions and colours are stages, one after the other at every place. Stage k follows the stages before
// it in time through the planes across t, then the rows across x, then the lines across y, as close behind
// as its staples allow: at time n it is at plane n - late, and it begins at plane `start`, for on a
// periodic lattice what is behind the first plane is the last one. What a link becomes is what it is
// when stage after stage takes the whole lattice, bit for bit.
#pragma once
#include <algorithm>
#include <array>
#include <vector>

#include "heatbath.hpp"

namespace {

constexpr long THIRD_LEVEL = 12 << 20;  // bytes of a third-level cache that may be ours
constexpr int SKEWED = 3;  // at most: t, x, y

// The links of one direction and colour, and when they are visited.
struct Stage {
    int mu, colour;
    std::array<long, 4> start, late;
};

// Each stage no earlier than what it reads of the others: links of one direction that meet lie up to one
// site apart across it; of two directions mu < nu, that of nu lies up to one site further along mu and up to
// one back along nu.
inline std::vector<Stage> stages(int colours) {
    std::vector<Stage> found;
    for (int mu = 0; mu < 4; mu++)
        for (int colour = 0; colour < colours; colour++) {
            Stage one = {mu, colour, {}, {}};
            for (const Stage& before : found)
                for (int d = 0; d < 4; d++) {
                    const bool same = before.mu == mu;
                    const int behind = same ? d != mu : d == before.mu,
                              ahead = same ? d != mu : d == mu;
                    one.start[d] = std::max(one.start[d], before.start[d] + behind);
                    one.late[d] = std::max(one.late[d], before.late[d] + ahead);
                }
            found.push_back(one);
        }
    return found;
}

// A sweep through one chain.
struct Wave {
    const Lattice& lattice;
    const uint16_t* lanes;  // [colours][blocks], a bit for each lane
    const Draws* draws;     // of each direction; null: reflections
    vec* links;
    std::vector<Stage> order;
    int skewed;  // directions in which stages follow each other; in the others each takes all

    Wave(const Lattice& lattice, int colours, const uint16_t* lanes, const Draws* draws, vec* links)
        : lattice(lattice), lanes(lanes), draws(draws), links(links), order(stages(colours)) {
        skewed = 1;
        while (skewed < SKEWED && window(skewed) > THIRD_LEVEL) skewed++;
    }

    // Bytes of links between the first stage and the last.
    long window(int directions) const {
        long blocks = 1;
        for (int d = 0; d < 4; d++) {
            const long planes = order.back().late[d] + 3;
            blocks *= d < directions && planes < lattice.span(d) ? planes : lattice.span(d);
        }
        return blocks * 4 * (long)sizeof(Matrix);
    }

    // Where a stage is at some time: all places from `first` to `end`, in direction d.
    struct Places {
        long first, end;
    };
    Places places(const Stage& stage, int d, long time) const {
        if (d >= skewed) return {0, lattice.span(d)};
        const long at = time - stage.late[d], begun = at - stage.start[d];
        return begun < 0 || begun >= lattice.span(d) ? Places{0, 0} : Places{at, at + 1};
    }

    long times(int d) const {
        const Stage& last = order.back();
        return d < skewed ? lattice.span(d) + last.start[d] + last.late[d] : 1;
    }

    void sweep() const {
        long time[SKEWED];
        for (time[0] = 0; time[0] < times(0); time[0]++)
            for (time[1] = 0; time[1] < times(1); time[1]++)
                for (time[2] = 0; time[2] < times(2); time[2]++)
                    for (const Stage& stage : order) visit(stage, time);
    }

    void visit(const Stage& stage, const long* time) const {
        const Places t = places(stage, 0, time[0]), x = places(stage, 1, time[1]),
                     y = places(stage, 2, time[2]);
        for (long at = t.first; at < t.end; at++)
            for (long row = x.first; row < x.end; row++)
                for (long line = y.first; line < y.end; line++) update_line(stage, at, row, line);
    }

    void update_line(const Stage& stage, long t, long x, long y) const {
        const int place[4] = {(int)(t % lattice.span(0)), (int)(x % lattice.span(1)),
                              (int)(y % lattice.span(2)), 0};
        ::update_line(lattice, lanes + stage.colour * lattice.blocks, stage.mu, 3,
                      slow_across(stage.mu), draws ? draws + stage.mu : nullptr, links,
                      lattice.block(place));
    }
};

}  // namespace
