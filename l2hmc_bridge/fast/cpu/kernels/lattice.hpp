// Geometry of the blocked layout, and the thread pool.
//
// Up to three (SINGLE: four) even directions are cut in half; the sub-lattices are the lanes of one
// block. A lattice with fewer even extents keeps copies of its sites in the lanes left over, so every
// extent works; sums run over the first `active` lanes only.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "matrix.hpp"

namespace {

constexpr int CHUNK = 16;  // blocks per task: fixed, so sums do not depend on the threads

struct Lattice {
    int extent[4];        // t, x, y, z
    int sub[4];           // extents of a sub-lattice
    int bit[4];           // lane bit of a halved direction, else -1
    int active;           // lanes that hold different sites
    long blocks;          // sites of a sub-lattice
    std::vector<int32_t> next;  // [blocks][8]: positions, see step(); +t +x +y +z -t -x -y -z
    std::vector<long> place;    // [blocks][LANES], see site()
    bool even = true;           // every block has sites of one parity only
    std::vector<uint16_t> odd;  // [blocks], bit `lane` is (t + x + y + z) mod 2 of the site there

    explicit Lattice(const int* n) {
        int bits = 0;
        blocks = 1;
        for (int mu = 0; mu < 4; mu++) extent[mu] = n[mu], bit[mu] = -1;
        while (bits < LANE_BITS) {  // the longest even direction first, of equal ones the last: then
            int best = -1;          // slices of the slowest direction are thin, and neighbours near
            for (int mu = 3; mu >= 0; mu--)
                if (bit[mu] < 0 && n[mu] % 2 == 0 && (best < 0 || n[mu] > n[best])) best = mu;
            if (best < 0) break;
            bit[best] = bits++;
        }
        active = 1 << bits;
        for (int mu = 0; mu < 4; mu++) {
            sub[mu] = bit[mu] < 0 ? n[mu] : n[mu] / 2;
            blocks *= sub[mu];
        }
        connect();
        place.resize(blocks * LANES);
        odd.resize(blocks);
        for (long b = 0; b < blocks; b++)
            for (int lane = 0; lane < LANES; lane++) {
                place[b * LANES + lane] = locate(b, lane);
                odd[b] |= parity(b, lane) << lane;
            }
        for (long b = 0; b < blocks; b++) even = even && (uniform(b, 0) || uniform(b, 1));
    }

    void connect() {
        next.resize(blocks * 8);
        const long stride[4] = {(long)sub[1] * sub[2] * sub[3], (long)sub[2] * sub[3], sub[3], 1};
        for (long b = 0; b < blocks; b++)
            for (int mu = 0; mu < 4; mu++) {
                const long c = b / stride[mu] % sub[mu];
                const int mask = bit[mu] < 0 ? 0 : 1 << bit[mu];
                const bool last = c == sub[mu] - 1, first = c == 0;
                const long up = b + (last ? 1 - sub[mu] : 1) * stride[mu];
                const long down = b + (first ? sub[mu] - 1 : -1) * stride[mu];
                next[b * 8 + mu] = up * LANES + (last ? mask : 0);
                next[b * 8 + 4 + mu] = down * LANES + (first ? mask : 0);
            }
    }

    // Index of the site in (block, lane) within [Nt, Nx, Ny, Nz].
    long site(long b, int lane) const { return place[b * LANES + lane]; }

    long locate(long b, int lane) const {
        int c[4];
        for (int mu = 3; mu >= 0; mu--) {
            c[mu] = b % sub[mu];
            b /= sub[mu];
            if (bit[mu] >= 0 && (lane >> bit[mu] & 1)) c[mu] += sub[mu];
        }
        return ((long)(c[0] * extent[1] + c[1]) * extent[2] + c[2]) * extent[3] + c[3];
    }

    // (t + x + y + z) mod 2 of the site in (block, lane).
    int parity(long b, int lane) const {
        int sum = 0;
        for (int mu = 3; mu >= 0; mu--) {
            sum += b % sub[mu];
            b /= sub[mu];
            if (bit[mu] >= 0 && (lane >> bit[mu] & 1)) sum += sub[mu];
        }
        return sum & 1;
    }

    // Whether every site of a block has this parity, 1 for odd.
    bool uniform(long b, int parity) const { return odd[b] == (parity ? (1 << LANES) - 1 : 0); }

    long chunks() const { return (blocks + CHUNK - 1) / CHUNK; }

    double lane_sum(const wide& v) const {
        double sum = 0;
        for (int lane = 0; lane < active; lane++) sum += v[lane];
        return sum;
    }
};

// A position seen from a block: block * LANES + lane mask. `step` moves it by one site.
INLINE int32_t step(const Lattice& lattice, int32_t at, int direction) {
    return lattice.next[(at >> LANE_BITS) * 8 + direction] ^ (at & (LANES - 1));
}

void parallel(long tasks, int threads, const std::function<void(long)>& task);

// task(chain, first block, end block, chunk) over all chains; the cuts are the same for any number
// of threads.
template <class Task>
void for_chunks(const Lattice& lattice, long chains, int threads, const Task& task) {
    const long chunks = lattice.chunks();
    parallel(chains * chunks, threads, [&](long index) {
        const long chain = index / chunks, chunk = index % chunks, first = chunk * CHUNK;
        const long end = first + CHUNK < lattice.blocks ? first + CHUNK : lattice.blocks;
        task(chain, first, end, chunk);
    });
}

// Sum over chunks in one fixed order: partial [chains][chunks][width] -> out [chains][width].
inline void reduce(long chunks, long chains, int width, const std::vector<double>& partial,
                   double* out) {
    for (long chain = 0; chain < chains; chain++)
        for (int k = 0; k < width; k++) {
            double sum = 0, lost = 0;  // compensated: the order of 10^4 terms leaves no trace
            for (long c = 0; c < chunks; c++) {
                const double term = partial[(chain * chunks + c) * width + k] - lost;
                const double next = sum + term;
                lost = (next - sum) - term;
                sum = next;
            }
            out[chain * width + k] = sum;
        }
}

}  // namespace
