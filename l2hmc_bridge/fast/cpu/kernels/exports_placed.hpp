// Matrices of a host's field at any place, to and from the torch layout, and how far from SU(3).
#pragma once
#include <type_traits>

#include "calls.hpp"

namespace {

// Where the first of nine complex numbers of each matrix stands, and the step to the next, both in
// complex numbers; without a list they follow one another.
struct Places {
    const long* first;
    long stride;
};

// max |(U U^dagger - 1)_ij|^2, max |det U - 1|^2, and NaN for what is not finite, else 0.
struct Defects {
    vec unitarity, determinant, spoiled;

    INLINE vec larger(vec a, vec b) { return b > a ? b : a; }

    void add(const vec* m) {
        for (int i = 0; i < LINK; i++) spoiled += 0.0 * m[i];
#pragma GCC unroll 3
        for (int i = 0; i < 3; i++)
#pragma GCC unroll 3
            for (int j = i; j < 3; j++) {
                vec re = splat(i == j ? -1.0 : 0.0), im = {};
#pragma GCC unroll 3
                for (int k = 0; k < 3; k++) {
                    const vec *a = m + 6 * i + 2 * k, *b = m + 6 * j + 2 * k;
                    re += a[0] * b[0] + a[1] * b[1];
                    im += a[1] * b[0] - a[0] * b[1];
                }
                unitarity = larger(unitarity, re * re + im * im);
            }
        vec re = splat(-1.0), im = {};
#pragma GCC unroll 3
        for (int k = 0; k < 3; k++) {
            const int one = 2 * ((k + 1) % 3), two = 2 * ((k + 2) % 3);
            const vec *a = m + 6 + one, *b = m + 12 + two, *c = m + 6 + two, *d = m + 12 + one;
            const vec minor_re = a[0] * b[0] - a[1] * b[1] - c[0] * d[0] + c[1] * d[1];
            const vec minor_im = a[0] * b[1] + a[1] * b[0] - c[0] * d[1] - c[1] * d[0];
            re += m[2 * k] * minor_re - m[2 * k + 1] * minor_im;
            im += m[2 * k] * minor_im + m[2 * k + 1] * minor_re;
        }
        determinant = larger(determinant, re * re + im * im);
    }

    // The largest of the lanes, into found [3].
    void into(double* found) const {
        for (int lane = 0; lane < LANES; lane++) {
            if (unitarity[lane] > found[0]) found[0] = unitarity[lane];
            if (determinant[lane] > found[1]) found[1] = determinant[lane];
            found[2] += spoiled[lane];
        }
    }
};

constexpr long TASK = 1024;  // matrices of a task, whole vectors of them

// body(part, first, end) over pieces of `parts` fields of `matrices` each, numbered task by task.
template <class Body>
void for_pieces(int parts, long matrices, int threads, const Body& body) {
    const long pieces = (matrices + TASK - 1) / TASK;
    parallel(parts * pieces, threads, [&](long task) {
        const long first = task % pieces * TASK;
        body((int)(task / pieces), first, matrices < first + TASK ? matrices : first + TASK,
             task);
    });
}

constexpr long AHEAD = 12;  // matrices ahead of its turn that memory is asked for

// The nine numbers of matrices at their places; STRIDE 0 is any.
template <class Real, int STRIDE>
struct Field {
    Real* numbers;
    const Places& places;

    Real* at(long matrix) const {
        return numbers + 2 * (places.first ? places.first[matrix] : 9 * matrix);
    }
    long step() const { return 2 * (STRIDE ? STRIDE : places.stride); }

    // Into the cache, for reading (0) or writing (1).
    template <int WRITE>
    void ask(long matrix) const {
        const char* from = (const char*)at(matrix);
        const long bytes = (8 * step() + 2) * sizeof(Real);
        for (long byte = 0; byte < bytes; byte += 64) __builtin_prefetch(from + byte, WRITE);
    }
};

// One piece of a field to out, if that is wanted, and what SU(3) asks of it to found [3].
template <class Real, int STRIDE>
void fetch_piece(const Places& places, const Real* numbers, long first, long end, double* out,
                 double* found) {
    const Field<const Real, STRIDE> field = {numbers, places};
    Defects defects = {};
    double whole[LANES][LINK];
    for (long group = first; group < end; group += LANES) {
        const int count = (int)(end - group < LANES ? end - group : LANES);
        const double* source[LANES];
        for (int lane = 0; lane < LANES; lane++) {
            const long matrix = group + (lane < count ? lane : count - 1);
            const Real* from = field.at(matrix);
            double* to = out && lane < count ? out + matrix * LINK : whole[lane];
            if (group + lane + AHEAD < end) field.template ask<0>(group + lane + AHEAD);
            for (int i = 0; i < 9; i++, from += field.step()) {
                to[2 * i] = from[0];
                to[2 * i + 1] = from[1];
            }
            source[lane] = to;
        }
        Matrix m;
        gather(m.v, source);
        defects.add(m.v);
    }
    defects.into(found);
}

template <class Real, int STRIDE>
void store_piece(const Places& places, const double* in, long first, long end, Real* numbers) {
    const Field<Real, STRIDE> field = {numbers, places};
    for (long matrix = first; matrix < end; matrix++) {
        Real* to = field.at(matrix);
        const double* from = in + matrix * LINK;
        if (matrix + AHEAD < end) field.template ask<1>(matrix + AHEAD);
        for (int i = 0; i < 9; i++, to += field.step()) {
            to[0] = (Real)from[2 * i];
            to[1] = (Real)from[2 * i + 1];
        }
    }
}

// body(a number of this kind, the stride as a constant if it is one of the usual ones, else 0).
template <class Body>
void with_kind(int single, long stride, const Body& body) {
    const auto with_stride = [&](auto kind) {
        if (stride == 1) body(kind, std::integral_constant<int, 1>());
        else if (stride == 2) body(kind, std::integral_constant<int, 2>());
        else if (stride == 4) body(kind, std::integral_constant<int, 4>());
        else body(kind, std::integral_constant<int, 0>());
    };
    if (single) with_stride(float());
    else with_stride(double());
}

}  // namespace

// Fields of `matrices` each (float where `single`, else double) -> out [parts][matrices][18], which
// may be null; found [3]: max |(U U^dagger - 1)_ij|^2, max |det U - 1|^2, NaN if any is not finite.
EXPORT void fetch_links(int parts, long matrices, int threads, int single, const long* first,
                        long stride, const void* const* fields, double* out, double* found) {
    const Places places = {first, stride};
    std::vector<double> partial(3 * parts * ((matrices + TASK - 1) / TASK));
    with_kind(single, stride, [&](auto kind, auto step) {
        using Real = decltype(kind);
        for_pieces(parts, matrices, threads, [&](int part, long begin, long end, long task) {
            fetch_piece<Real, step.value>(places, (const Real*)fields[part], begin, end,
                                          out ? out + part * matrices * LINK : nullptr,
                                          &partial[3 * task]);
        });
    });
    found[0] = found[1] = found[2] = 0.0;
    for (size_t i = 0; i < partial.size(); i += 3) {
        if (partial[i] > found[0]) found[0] = partial[i];
        if (partial[i + 1] > found[1]) found[1] = partial[i + 1];
        found[2] += partial[i + 2];
    }
}

// The way back: in [parts][matrices][18] to the places, rounded where `single`.
EXPORT void store_links(int parts, long matrices, int threads, int single, const long* first,
                        long stride, const double* in, void* const* fields) {
    const Places places = {first, stride};
    with_kind(single, stride, [&](auto kind, auto step) {
        using Real = decltype(kind);
        for_pieces(parts, matrices, threads, [&](int part, long begin, long end, long) {
            store_piece<Real, step.value>(places, in + part * matrices * LINK, begin, end,
                                          (Real*)fields[part]);
        });
    });
}
