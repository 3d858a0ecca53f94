// The C interface, one function per kernel: fields are of type real, sums and weights double, shapes
// as in the headers. Here: layouts, and loops of blocked links.
#include "exports_algebra.hpp"
#include "exports_heatbath.hpp"
#include "exports_smearing.hpp"
#include "exports_torch.hpp"
#ifndef SINGLE
#include "exports_placed.hpp"
#endif

// Changes whenever an argument list does; library.py refuses any other number.
EXPORT int interface_version() { return 19; }

// From now on parallel() uses this team.
EXPORT void use_team(decltype(Team::parallel) parallel, decltype(Team::number) number) {
    team = {parallel, number, {}, {}, {}};
}

EXPORT void* lattice_create(const int* extent) { return new Lattice(extent); }
EXPORT void* lattice_create_part(const int* extent, const int* low, const int* high) {
    return new Lattice(extent, low, high);
}
EXPORT long lattice_blocks(const Lattice* lattice) { return lattice->blocks; }
EXPORT int lattice_lanes(const Lattice*) { return LANES; }

// [chains][4][site][width] -> [chains][blocks][4][width][LANES]
EXPORT void to_blocks(Call* call, int width, const real* in, real* out) {
    const bool stream = beyond_caches(*call->lattice, call->chains);
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   if (width == LINK)
                       return links_to_blocks(*call->lattice, stream, chain, first, end, in,
                                              (vec*)out);
                   visit_links(*call->lattice, chain, first, end, LANES,
                               [&](long torch, long blocked, int lane) {
                                   const real* from = in + torch * width;
                                   real* to = out + blocked * width * LANES + lane;
                                   for (int i = 0; i < width; i++) to[LANES * i] = from[i];
                               });
               });
}

EXPORT void from_blocks(Call* call, int width, const real* in, real* out) {
    const bool stream = beyond_caches(*call->lattice, call->chains);
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   if (width == LINK)
                       return links_from_blocks(*call->lattice, stream, chain, first, end,
                                                (const vec*)in, out);
                   visit_links(*call->lattice, chain, first, end, call->lattice->active,
                               [&](long torch, long blocked, int lane) {
                                   real* to = out + torch * width;
                                   const real* from = in + blocked * width * LANES + lane;
                                   for (int i = 0; i < width; i++) to[i] = from[LANES * i];
                               });
               });
}

// [chains][site] -> [chains][blocks][LANES], and back.
EXPORT void sites_to_blocks(Call* call, const real* in, real* out) {
    const Lattice& lattice = *call->lattice;
    for_chunks(lattice, call->chains, call->threads, [&](long chain, long first, long end, long) {
        const real* from = in + chain * sites(lattice);
        real* to = out + chain * lattice.blocks * LANES;
        for (long block = first; block < end; block++)
            for (int lane = 0; lane < LANES; lane++)
                to[block * LANES + lane] = from[lattice.site(block, lane & (lattice.active - 1))];
    });
}

EXPORT void sites_from_blocks(Call* call, const real* in, real* out) {
    const Lattice& lattice = *call->lattice;
    for_chunks(lattice, call->chains, call->threads, [&](long chain, long first, long end, long) {
        const real* from = in + chain * lattice.blocks * LANES;
        real* to = out + chain * sites(lattice);
        for (long block = first; block < end; block++)
            for (int lane = 0; lane < lattice.active; lane++)
                to[lattice.site(block, lane)] = from[block * LANES + lane];
    });
}

EXPORT void algebra_to_blocks(Call* call, int only, const real* in, vec* out) {
    const bool stream = beyond_caches(*call->lattice, call->chains, only);
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   (stream ? algebra_to_blocks<true> : algebra_to_blocks<false>)(
                       *call->lattice, only, chain, first, end, in, out);
               });
}

EXPORT void algebra_from_blocks(Call* call, int only, const vec* in, real* out) {
    const bool stream = beyond_caches(*call->lattice, call->chains, only);
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   algebra_from_blocks(*call->lattice, only, stream, chain, first, end, in, out);
               });
}

// out = keep * in + push * F(links), invariants and square as in the header; these and in may be null.
EXPORT void force(Call* call, double beta, double c1, const vec* links, double keep, const vec* in,
                  double push, vec* out, vec* invariants, vec* square) {
    const Coupling coupling(beta, c1);
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const Fields fields = {*call->lattice, links + call->links(chain), nullptr};
                   const long shift = call->algebra(chain);
                   force_blocks(fields, coupling, first, end, keep, in ? in + shift : nullptr,
                                push, out + shift,
                                invariants ? invariants + shift / 4 : nullptr,
                                square ? square + shift : nullptr);
               });
}

// The gradient along the group of sum_a v_a F_a; tangent = V U.
EXPORT void force_pullback(Call* call, double beta, double c1, const vec* links,
                           const vec* direction, const vec* tangent, vec* out) {
    const Coupling coupling(beta, c1);
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const Fields fields = {*call->lattice, links + call->links(chain),
                                          tangent + call->links(chain)};
                   const long shift = call->algebra(chain);
                   pullback_blocks(fields, coupling, first, end, direction + shift, out + shift);
               });
}

// Half of the gradient along the group of sum <G, TA((U A)^2) / 36>; path_pullback of fixed is the rest.
EXPORT void square_pullback(Call* call, const vec* links, const vec* gradient, vec* fixed,
                            vec* out) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const Fields fields = {*call->lattice, links + call->links(chain), nullptr};
                   const long shift = call->algebra(chain);
                   square_pullback_blocks(fields, gradient + shift, first, end,
                                          fixed + call->links(chain), out + shift);
               });
}

// The gradient along the group of sum w Re tr(U A) with weights [chains][blocks][4].
EXPORT void trace_pullback(Call* call, const vec* links, const vec* weights, vec* out) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const Fields fields = {*call->lattice, links + call->links(chain), nullptr};
                   const long shift = call->algebra(chain);
                   trace_pullback_blocks(fields, weights + shift / ALGEBRA, first, end,
                                         out + shift);
               });
}

EXPORT void staples(Call* call, int rectangle, int only, const vec* links, vec* out) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const Fields fields = {*call->lattice, links + call->links(chain), nullptr};
                   staple_blocks(fields, rectangle != 0, only, first, end, out + call->links(chain));
               });
}

// scale w A_mu^dagger of the plaquette staples of direction mu, weights [chains][blocks].
EXPORT void weighted_paths(Call* call, int mu, double scale, const vec* links, const vec* weights,
                           vec* out) {
    const long blocks = call->lattice->blocks;
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const Fields fields = {*call->lattice, links + call->links(chain), nullptr};
                   weighted_path_blocks(fields, mu, scale, weights + chain * blocks, first, end,
                                        out + call->links(chain));
               });
}

// Re tr(U A) of the plaquette staples, [chains][blocks][4].
EXPORT void staple_trace(Call* call, const vec* links, vec* out) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const Fields fields = {*call->lattice, links + call->links(chain), nullptr};
                   staple_trace_blocks(fields, first, end,
                                       out + call->algebra(chain) / ALGEBRA);
               });
}

// tr A_mu A_mu^dagger of the plaquette staples of direction mu, [chains][blocks].
EXPORT void staple_square(Call* call, int mu, const vec* links, vec* out) {
    const long blocks = call->lattice->blocks;
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const Fields fields = {*call->lattice, links + call->links(chain), nullptr};
                   staple_square_blocks(fields, mu, first, end, out + chain * blocks);
               });
}

// The gradient along the group of sum 2 Re tr(W^dagger S), W held fixed, over all links or those of
// direction `only`; added to `out` if asked.
EXPORT void path_pullback(Call* call, int only, int add, const vec* links, const vec* fixed,
                          vec* out) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const Fields fields = {*call->lattice, links + call->links(chain),
                                          fixed + call->links(chain)};
                   vec* target = out + call->algebra(chain);
                   if (only < 0)
                       (add ? path_pullback_blocks<true> : path_pullback_blocks<false>)(
                           fields, first, end, target);
                   else
                       (add ? active_pullback_blocks<true> : active_pullback_blocks<false>)(
                           fields, only, first, end, target);
               });
}

// Sums of Re tr P of the six planes, [chains][6].
EXPORT void plaquettes(Call* call, const vec* links, double* out) {
    sums<6>(*call, out, [&](long chain, long first, long end, wide* total) {
        const Fields fields = {*call->lattice, links + call->links(chain), nullptr};
        plaquette_blocks(fields, first, end, total);
    });
}

// The same of links in the torch layout, [chains][4][site][18].
EXPORT void torch_plaquettes(Call* call, const real* links, double* out) {
    typedef double loose __attribute__((vector_size(8 * LANES), may_alias, aligned(8)));
    const Lattice& lattice = *call->lattice;
    const long size = 4 * sites(lattice) * LINK;
    const long pieces = (call->threads + call->chains - 1) / std::max(call->chains, 1L);
    Sums<6> sums(*call);
    parallel(call->chains * pieces, call->threads, [&](long task) {
        thread_local std::vector<Matrix> room[3];
        const long chain = task / pieces, piece = task % pieces;
        Passing(lattice, links + chain * size, room)
            .slices(first_slice(lattice, piece, pieces), first_slice(lattice, piece + 1, pieces),
                    [&](long block, const vec* traces) {
                        double* total = sums.of_block(chain, block);
                        for (int k = 0; k < 6; k++) {
                            loose& sum = *(loose*)(total + k * LANES);
                            if (!lattice.alone) {
                                sum += widen(traces[k]);
                                continue;
                            }
                            loose& low = *(loose*)(total + (6 + k) * LANES);
                            wide both[2] = {sum, low};
                            add_exactly(lattice, both, both + 1, block, widen(traces[k]));
                            sum = both[0], low = both[1];
                        }
                    });
    });
    sums.finish(out, 1);
}

// Sum of Re tr R of all rectangles, [chains].
EXPORT void rectangles(Call* call, const vec* links, double* out) {
    sums<1>(*call, out, [&](long chain, long first, long end, wide* total) {
        const Fields fields = {*call->lattice, links + call->links(chain), nullptr};
        rectangle_blocks(fields, first, end, total);
    });
}

// Temporal energy, spatial energy and charge, each summed over sites, [chains][3].
EXPORT void clover(Call* call, int traceless, const vec* links, double* out) {
    sums<3>(*call, out, [&](long chain, long first, long end, wide* total) {
        const Fields fields = {*call->lattice, links + call->links(chain), nullptr};
        clover_blocks(fields, traceless != 0, first, end, total);
    });
}

// Adds the charge density of `count` shapes, `sides` [count][2] of at most three links and `weights`
// [count], to density [chains][blocks]; `strengths` [chains][blocks][count][9] is room for G.
EXPORT void add_charge(Call* call, int traceless, int count, const int* sides,
                       const double* weights, const vec* links, vec* strengths, vec* density) {
    const Lattice& lattice = *call->lattice;
    int longest = 1;
    for (int k = 0; k < 2 * count; k++) longest = sides[k] > longest ? sides[k] : longest;
    const Shapes shapes = {count, longest, sides, weights};
    for (const int plane : {0, 5, 1, 4, 2, 3}) {
        const bool second = plane >= 3;
        const long slices =
            lattice.blocks / (lattice.span(PLANE[plane][0]) * lattice.span(PLANE[plane][1]));
        parallel(call->chains * slices, call->threads, [&](long task) {
            const long chain = task / slices, shift = chain * lattice.blocks;
            charge_slice(lattice, links + call->links(chain), shapes, traceless != 0, plane, second,
                         task % slices, strengths + shift * count * ANTIHERMITIAN,
                         density + shift);
        });
    }
}

// Sum over sites of one number per site, [chains][blocks] -> [chains].
EXPORT void site_sum(Call* call, const vec* field, double* out) {
    sums<1>(*call, out, [&](long chain, long first, long end, wide* total) {
        const vec* own = field + chain * call->lattice->blocks;
        for (long i = first; i < end; i++)
            if (call->lattice->alone)
                add_exactly(*call->lattice, total, total + 1, i, widen(own[i]));
            else *total += widen(own[i]);
    });
}

// The gradient along the group of sum_k weights[chain][k] clover[chain][k]; `strengths`
// [chains][blocks][6][9] is room for G.
EXPORT void clover_pullback(Call* call, int traceless, const vec* links, const double* weights,
                            vec* strengths, vec* out) {
    const long room = call->lattice->blocks * 6 * ANTIHERMITIAN;
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const Fields fields = {*call->lattice, links + call->links(chain), nullptr};
                   strength_blocks(fields, traceless != 0, first, end, strengths + chain * room);
               });
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const Fields fields = {*call->lattice, links + call->links(chain), nullptr};
                   clover_pullback_blocks(fields, strengths + chain * room, weights + 3 * chain,
                                          first, end, out + call->algebra(chain));
               });
}

// Sum of a b over [blocks][4][width] of each chain, [chains].
EXPORT void inner(Call* call, int width, const vec* a, const vec* b, double* out) {
    sums<1>(*call, out, [&](long chain, long first, long end, wide* total) {
        const long shift = chain * call->lattice->blocks * 4 * width;
        if (call->lattice->alone) {
            for (long link = first * 4; link < end * 4; link++) {
                wide product = {};
                for (int i = 0; i < width; i++)
                    product += widen(a[shift + link * width + i]) *
                               widen(b[shift + link * width + i]);
                add_exactly(*call->lattice, total, total + 1, link / 4, product);
            }
            return;
        }
        for (long i = first * 4 * width; i < end * 4 * width; i++)
            *total += widen(a[shift + i]) * widen(b[shift + i]);
    });
}
