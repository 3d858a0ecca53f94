// The C interface, one function per kernel; pointers are to double, shapes as in the headers.
#include "clover.hpp"
#include "exponential.hpp"
#include "gauge.hpp"
#include "layout.hpp"
#include "learned.hpp"
#include "peak.hpp"
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

constexpr long GROUPS = 64;  // groups of eight matrices per task in the torch layout

// body(first, count) for every group of up to eight of `matrices` matrices.
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

// Eight matrices from `first`, the last one repeated beyond `count`.
void load(vec* out, const double* in, long first, int count) {
    const double* source[LANES];
    for (int lane = 0; lane < LANES; lane++)
        source[lane] = in + (first + (lane < count ? lane : count - 1)) * LINK;
    gather(out, source);
}

void save(double* out, const vec* in, long first, int count) {
    double* target[LANES];
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

// Changes whenever an argument list does; native.py refuses any other number.
EXPORT int interface_version() { return 4; }

EXPORT void* lattice_create(const int* extent) { return new Lattice(extent); }
EXPORT long lattice_blocks(const Lattice* lattice) { return lattice->blocks; }
EXPORT int lattice_active(const Lattice* lattice) { return lattice->active; }

// [chains][4][site][width] -> [chains][blocks][4][width][8]
EXPORT void to_blocks(Call* call, int width, const double* in, double* out) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   visit_links(*call->lattice, chain, first, end, LANES,
                               [&](long torch, long blocked, int lane) {
                                   const double* from = in + torch * width;
                                   double* to = out + blocked * width * LANES + lane;
                                   for (int i = 0; i < width; i++) to[LANES * i] = from[i];
                               });
               });
}

EXPORT void from_blocks(Call* call, int width, const double* in, double* out) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   visit_links(*call->lattice, chain, first, end, call->lattice->active,
                               [&](long torch, long blocked, int lane) {
                                   double* to = out + torch * width;
                                   const double* from = in + blocked * width * LANES + lane;
                                   for (int i = 0; i < width; i++) to[i] = from[LANES * i];
                               });
               });
}

EXPORT void algebra_to_blocks(Call* call, int only, const double* in, vec* out) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   algebra_to_blocks(*call->lattice, only, chain, first, end, in, out);
               });
}

EXPORT void algebra_from_blocks(Call* call, int only, const vec* in, double* out) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   algebra_from_blocks(*call->lattice, only, chain, first, end, in, out);
               });
}

// out = keep * in + push * F(links), invariants as in the header; in and invariants may be null.
EXPORT void force(Call* call, double beta, double c1, const vec* links, double keep, const vec* in,
                  double push, vec* out, vec* invariants) {
    const Coupling coupling = {beta, 1 - 8 * c1, c1};
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const Fields fields = {*call->lattice, links + call->links(chain), nullptr};
                   const long shift = call->algebra(chain);
                   force_blocks(fields, coupling, first, end, keep, in ? in + shift : nullptr,
                                push, out + shift,
                                invariants ? invariants + shift / 4 : nullptr);
               });
}

// The gradient along the group of sum_a v_a F_a; tangent = V U.
EXPORT void force_pullback(Call* call, double beta, double c1, const vec* links,
                           const vec* direction, const vec* tangent, vec* out) {
    const Coupling coupling = {beta, 1 - 8 * c1, c1};
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const Fields fields = {*call->lattice, links + call->links(chain),
                                          tangent + call->links(chain)};
                   const long shift = call->algebra(chain);
                   pullback_blocks(fields, coupling, first, end, direction + shift, out + shift);
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

// The gradient along the group of sum 2 Re tr(W^dagger S), W held fixed.
EXPORT void path_pullback(Call* call, const vec* links, const vec* fixed, vec* out) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const Fields fields = {*call->lattice, links + call->links(chain),
                                          fixed + call->links(chain)};
                   path_pullback_blocks(fields, first, end, out + call->algebra(chain));
               });
}

// Sums of Re tr P of the six planes, [chains][6].
EXPORT void plaquettes(Call* call, const vec* links, double* out) {
    sums(*call, 6, out, [&](long chain, long first, long end, double* partial) {
        const Fields fields = {*call->lattice, links + call->links(chain), nullptr};
        plaquette_blocks(fields, first, end, partial);
    });
}

// Sum of Re tr R of all rectangles, [chains].
EXPORT void rectangles(Call* call, const vec* links, double* out) {
    sums(*call, 1, out, [&](long chain, long first, long end, double* partial) {
        const Fields fields = {*call->lattice, links + call->links(chain), nullptr};
        partial[0] += rectangle_blocks(fields, first, end);
    });
}

// Temporal energy, spatial energy and charge, each summed over sites, [chains][3].
EXPORT void clover(Call* call, int traceless, const vec* links, double* out) {
    sums(*call, 3, out, [&](long chain, long first, long end, double* partial) {
        const Fields fields = {*call->lattice, links + call->links(chain), nullptr};
        clover_blocks(fields, traceless != 0, first, end, partial);
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
    sums(*call, 1, out, [&](long chain, long first, long end, double* partial) {
        vec total = {};
        const long shift = chain * call->lattice->blocks * 4 * width;
        for (long i = first * 4 * width; i < end * 4 * width; i++)
            total += a[shift + i] * b[shift + i];
        partial[0] += call->lattice->lane_sum(total);
    });
}

// out = exp(step X) U with blocked components and links.
EXPORT void exp_multiply_blocks(Call* call, double step, const vec* x, const vec* u, vec* out) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const long base = chain * call->lattice->blocks;
                   for (long i = (base + first) * 4; i < (base + end) * 4; i++) {
                       Matrix e, result;
                       vec scaled[ALGEBRA];
                       for (int a = 0; a < ALGEBRA; a++) scaled[a] = step * x[i * ALGEBRA + a];
                       exponential(e.v, scaled);
                       mul(result.v, e.v, u + i * LINK);
                       for (int k = 0; k < LINK; k++) out[i * LINK + k] = result.v[k];
                   }
               });
}

EXPORT void exp_multiply_pullback_blocks(Call* call, const vec* x, const vec* u, const vec* gradient,
                                         vec* to_x, vec* to_u) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const long base = chain * call->lattice->blocks;
                   for (long i = (base + first) * 4; i < (base + end) * 4; i++)
                       exponential_pullback(x + i * ALGEBRA, u + i * LINK, gradient + i * LINK,
                                            to_x + i * ALGEBRA, to_u + i * LINK);
               });
}

// Covariant Laplacian of an algebra field; only < 0: all directions.
EXPORT void laplacian(Call* call, int transverse, int only, const vec* links, const vec* field,
                      vec* out) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const long shift = call->algebra(chain);
                   laplacian_blocks(*call->lattice, links + call->links(chain), field + shift,
                                    transverse != 0, only, first, end, out + shift);
               });
}

// The gradient along the group of sum <gradient, laplacian(field)>.
EXPORT void laplacian_pullback(Call* call, int transverse, int only, const vec* links,
                               const vec* field, const vec* gradient, vec* out) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const long shift = call->algebra(chain);
                   laplacian_pullback_blocks(*call->lattice, links + call->links(chain),
                                             field + shift, gradient + shift, transverse != 0,
                                             only, first, end, out + shift);
               });
}

// Gamma+ or Gamma-; out [chains] is the sum of the scalar s over links.
EXPORT void learned_kick(Call* call, const Kick* kick, double* out) {
    sums(*call, 1, out, [&](long chain, long first, long end, double* partial) {
        Kick one = *kick;
        one.move_to(call->links(chain), call->algebra(chain));
        partial[0] += kick_blocks(*call->lattice, one, first, end);
    });
}

// Lambda+ or Lambda- of one subset of links, in place.
EXPORT void learned_drift(Call* call, const Drift* drift) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   Drift one = *drift;
                   one.momenta += call->algebra(chain);
                   one.links += call->links(chain);
                   drift_blocks(*call->lattice, one, first, end);
               });
}

// out = scale X U, the tangent field of an algebra field.
EXPORT void algebra_multiply_blocks(Call* call, double scale, const vec* x, const vec* u,
                                    vec* out) {
    for_chunks(*call->lattice, call->chains, call->threads,
               [&](long chain, long first, long end, long) {
                   const long base = chain * call->lattice->blocks;
                   for (long i = (base + first) * 4; i < (base + end) * 4; i++) {
                       Matrix m;
                       vec scaled[ALGEBRA];
                       for (int a = 0; a < ALGEBRA; a++) scaled[a] = scale * x[i * ALGEBRA + a];
                       assemble(m.v, scaled);
                       mul(out + i * LINK, m.v, u + i * LINK);
                   }
               });
}

// out = exp(step X) U for `count` matrices of 18 doubles each, X traceless anti-Hermitian.
EXPORT void exp_multiply(long matrices, int threads, double step, const double* x, const double* u,
                         double* out) {
    for_groups(matrices, threads, [&](long first, int count) {
        Matrix a, b, c;
        vec components[ALGEBRA];
        load(a.v, x, first, count);
        load(b.v, u, first, count);
        project(components, a.v);
        for (int k = 0; k < ALGEBRA; k++) components[k] *= step;
        exponential(a.v, components);
        mul(c.v, a.v, b.v);
        save(out, c.v, first, count);
    });
}

// The gradients of X (in the algebra) and U from that of exp(X) U.
EXPORT void exp_multiply_pullback(long matrices, int threads, const double* x, const double* u,
                                  const double* gradient, double* to_x, double* to_u) {
    for_groups(matrices, threads, [&](long first, int count) {
        Matrix a, b, g, c;
        vec components[ALGEBRA], slope[ALGEBRA];
        load(a.v, x, first, count);
        load(b.v, u, first, count);
        load(g.v, gradient, first, count);
        project(components, a.v);
        exponential_pullback(components, b.v, g.v, slope, c.v);
        for (int k = 0; k < ALGEBRA; k++) slope[k] *= 2.0;
        assemble(a.v, slope);
        save(to_x, a.v, first, count);
        save(to_u, c.v, first, count);
    });
}

// Multiply-adds on every thread, 768 flop per loop each.
EXPORT void peak_arithmetic(int threads, long loops, double* out) {
    parallel(threads, threads, [&](long task) { out[task] = multiply_add_loop(loops); });
}

// out = in, `length` numbers.
EXPORT void peak_copy(int threads, long length, const double* in, double* out) {
    constexpr long PIECE = 1 << 16;
    parallel((length + PIECE - 1) / PIECE, threads, [&](long task) {
        const long first = task * PIECE;
        std::copy(in + first, in + (length < first + PIECE ? length : first + PIECE), out + first);
    });
}

// Sum of squares of each chain's `length` numbers, [chains].
EXPORT void square_sum(long chains, long length, int threads, const double* in, double* out) {
    constexpr long PIECE = 1 << 14;
    const long pieces = (length + PIECE - 1) / PIECE;
    std::vector<double> partial(chains * pieces);
    parallel(chains * pieces, threads, [&](long task) {
        const long first = task % pieces * PIECE;
        const long count = length - first < PIECE ? length - first : PIECE;
        const double* data = in + task / pieces * length + first;
        double lanes[4 * LANES] = {};
        long i = 0;
        for (; i + 4 * LANES <= count; i += 4 * LANES)
            for (int k = 0; k < 4 * LANES; k++) lanes[k] += data[i + k] * data[i + k];
        for (int k = 0; i < count; i++, k++) lanes[k] += data[i] * data[i];
        for (int k = 0; k < 4 * LANES; k++) partial[task] += lanes[k];
    });
    reduce(pieces, chains, 1, partial, out);
}
