// Geometry of the blocked layout, and the thread pool.
//
// Up to three (SINGLE: four) even directions are cut in half, the same for every instruction set. As
// many of the sub-lattices as a register has lanes lie side by side, one site of each in a block;
// if there are more, the blocks of the next lanes follow as a part of their own. A lattice with fewer
// even extents keeps copies of its sites in the lanes left over, so every extent works; sums run
// over the first `active` lanes only.
#pragma once
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "matrix.hpp"

namespace {

constexpr int CHUNK = 16;  // blocks per task: fixed, so sums do not depend on the threads
constexpr long CACHED = 4 << 20;  // bytes of links that stay near from one pass to the next
constexpr int MOST_BITS = sizeof(real) == 8 ? 3 : 4;  // directions that are cut

struct Lattice {
    int extent[4];        // t, x, y, z
    int sub[4];           // extents of a sub-lattice
    int bit[4];           // bit of a halved direction in the number of a sub-lattice, else -1
    int active;           // lanes that hold different sites
    int parts;            // sub-lattices / active
    long volume;          // sites of a sub-lattice
    long blocks;          // parts * volume
    std::vector<int32_t> next;  // [blocks][8]: positions, see step(); +t +x +y +z -t -x -y -z
    std::vector<long> place;    // [blocks][LANES], see site()
    bool near;                  // what a loop over blocks reads stays in the second-level cache
    bool far;                   // links leave the caches between two passes over them
    bool even = true;           // every block has sites of one parity only
    std::vector<uint16_t> odd;  // [blocks], bit `lane` is (t + x + y + z) mod 2 of the site there
    // Of a part of a lattice, whose results are those of the whole bit for bit: no choice of a series
    // falls for more than one site, sums are exact, and run over the sites with a bit in `own`.
    bool alone;
    int low[4], high[4];         // coordinates of these sites
    std::vector<uint16_t> own;  // [blocks]
    std::vector<bool> outermost;  // [blocks], no site of it has all its neighbours here: see locate()

    explicit Lattice(const int* n, const int* low = nullptr, const int* high = nullptr)
        : alone(low != nullptr) {
        for (int mu = 0; mu < 4; mu++) {
            this->low[mu] = low ? low[mu] : 0;
            this->high[mu] = low ? high[mu] : n[mu];
        }
        int bits = 0;
        volume = 1;
        for (int mu = 0; mu < 4; mu++) extent[mu] = n[mu], bit[mu] = -1;
        while (bits < MOST_BITS) {
            const int best = next_halved();
            if (best < 0) break;
            bit[best] = bits++;
        }
        active = bits < LANE_BITS ? 1 << bits : LANES;
        parts = (1 << bits) / active;
        for (int mu = 0; mu < 4; mu++) {
            sub[mu] = bit[mu] < 0 ? n[mu] : n[mu] / 2;
            volume *= sub[mu];
        }
        blocks = parts * volume;
        near = cached();
        far = blocks * 4 * (long)sizeof(Matrix) > CACHED;
        next.resize(blocks * 8);
        place.resize(blocks * LANES);
        odd.resize(blocks);
        own.resize(blocks);
        outermost.resize(blocks, true);
        for (long b = 0; b < blocks; b++) {
            connect(b);
            for (int lane = 0; lane < LANES; lane++) locate(b, lane);
            even = even && (uniform(b, 0) || uniform(b, 1));
        }
    }

    // Whether there are copies of other processes' sites on both sides of a direction.
    bool cut(int mu) const { return low[mu] > 0; }

    // The longest even direction that is not halved yet, of equal ones the last: then slices of the
    // slowest direction are thin, and neighbours near. Those with copies come last: if they stay whole,
    // copies have blocks of their own. -1: none is left.
    int next_halved() const {
        int best = -1;
        for (int mu = 3; mu >= 0; mu--) {
            if (bit[mu] >= 0 || extent[mu] % 2 != 0) continue;
            if (best < 0 || cut(mu) < cut(best) ||
                (cut(mu) == cut(best) && extent[mu] > extent[best])) best = mu;
        }
        return best;
    }

    // Whether the rows along y and z that staples reach, seven, and as much again fit into it.
    bool cached() const {
#ifdef _SC_LEVEL2_CACHE_SIZE
        const long known = sysconf(_SC_LEVEL2_CACHE_SIZE), size = known > 0 ? known : 1 << 20;
#else
        const long size = 1 << 20;
#endif
        return 10 * (long)(sizeof(vec) * 4 * LINK) * sub[2] * sub[3] < size;
    }

    // Extent in blocks: that of a sub-lattice, or of two if they are in different parts.
    int span(int mu) const { return bit[mu] < LANE_BITS ? sub[mu] : 2 * sub[mu]; }

    // Lanes exchanged by a step across the edge.
    int edge(int mu) const { return bit[mu] < 0 || bit[mu] >= LANE_BITS ? 0 : 1 << bit[mu]; }

    // The block at coordinates below span(), and back.
    long block(const int* c) const {
        long part = 0, inside = 0;
        for (int mu = 0; mu < 4; mu++) {
            inside = inside * sub[mu] + c[mu] % sub[mu];
            if (c[mu] >= sub[mu]) part |= 1L << (bit[mu] - LANE_BITS);
        }
        return part * volume + inside;
    }

    void coordinates(long b, int* c) const {
        const long part = b / volume;
        for (int mu = 3; mu >= 0; mu--) {
            c[mu] = b % sub[mu];
            b /= sub[mu];
            if (bit[mu] >= LANE_BITS && (part >> (bit[mu] - LANE_BITS) & 1)) c[mu] += sub[mu];
        }
    }

    void connect(long b) {
        int c[4];
        coordinates(b, c);
        for (int mu = 0; mu < 4; mu++)
            for (const int back : {0, 1}) {
                const int here = c[mu], last = span(mu) - 1;
                const bool around = here == (back ? 0 : last);
                c[mu] = around ? last - here : here + (back ? -1 : 1);
                next[b * 8 + 4 * back + mu] = block(c) * LANES + (around ? edge(mu) : 0);
                c[mu] = here;
            }
    }

    // Where a lane of a block lies in [Nt, Nx, Ny, Nz], and its parity.
    void locate(long b, int lane) {
        int c[4], sum = 0;
        bool inside = lane < active, outside = false;
        coordinates(b, c);
        long at = 0;
        for (int mu = 0; mu < 4; mu++) {
            if (lane & edge(mu)) c[mu] += sub[mu];
            at = at * extent[mu] + c[mu];
            sum += c[mu];
            inside = inside && low[mu] <= c[mu] && c[mu] < high[mu];
            outside = outside || (cut(mu) && (c[mu] == 0 || c[mu] == extent[mu] - 1));
        }
        own[b] |= inside << lane;
        outermost[b] = outermost[b] && (outside || lane >= active);
        place[b * LANES + lane] = at;
        odd[b] |= (sum & 1) << lane;
    }

    // Index of the site in (block, lane) within [Nt, Nx, Ny, Nz].
    long site(long b, int lane) const { return place[b * LANES + lane]; }

    // Whether every site of a block has this parity, 1 for odd.
    bool uniform(long b, int parity) const { return odd[b] == (parity ? (1 << LANES) - 1 : 0); }

    long chunks() const { return (volume + CHUNK - 1) / CHUNK; }  // of each part
};

// A position seen from a block: block * LANES + lane mask. `step` moves it by one site.
INLINE int32_t step(const Lattice& lattice, int32_t at, int direction) {
    return lattice.next[(at >> LANE_BITS) * 8 + direction] ^ (at & (LANES - 1));
}

void parallel(long tasks, int threads, const std::function<void(long)>& task);

// task(chain, first block, end block, number) over all chains, part after part; the cuts are the same
// for any number of threads.
template <class Task>
void for_chunks(const Lattice& lattice, long chains, int threads, const Task& task) {
    const long chunks = lattice.chunks(), each = lattice.parts * chunks;
    parallel(chains * each, threads, [&](long index) {
        const long part = index % each / chunks, chunk = index % chunks;
        const long first = chunk * CHUNK, end = first + CHUNK;
        const long start = part * lattice.volume;
        task(index / each, start + first, start + (end < lattice.volume ? end : lattice.volume),
             index % each);
    });
}

// task(chain, first, end, chunk) for sites [first, end) of a sub-lattice: of every part.
template <class Task>
void for_sites(const Lattice& lattice, long chains, int threads, const Task& task) {
    const long chunks = lattice.chunks();
    parallel(chains * chunks, threads, [&](long index) {
        const long first = index % chunks * CHUNK, end = first + CHUNK;
        task(index / chunks, first, end < lattice.volume ? end : lattice.volume, index % chunks);
    });
}

// Adds terms so that the order of 10^4 of them leaves no trace.
struct Compensated {
    double sum = 0, lost = 0;

    void add(double value) {
        const double term = value - lost, next = sum + term;
        lost = (next - sum) - term;
        sum = next;
    }
};

}  // namespace
