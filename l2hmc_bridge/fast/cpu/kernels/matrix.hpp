// 3x3 complex matrices with as many sub-lattices side by side as a vector register has lanes.
//
// Every source is built in double precision and, with SINGLE defined, in single precision, for each
// instruction set with the vectors that its registers hold: wider ones would live in memory.
// Numbers that are summed up over a lattice are of type `wide`.
// A matrix is 18 vectors in the order [row][column][re, im]; an su(3) element is 8 vectors, the
// components x_a of sum_a x_a T_a with T_a = i lambda_a / 2 and tr T_a T_b = -1/2 delta_ab.
#pragma once
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include <utility>

#define INLINE static inline __attribute__((always_inline))

namespace {

#ifdef SINGLE
typedef float real;
typedef int whole;
#else
typedef double real;
typedef long long whole;
#endif
#if defined(__AVX512F__)
constexpr int WIDTH = 64;  // bytes of a register
#elif defined(__AVX2__)
constexpr int WIDTH = 32;
#else
constexpr int WIDTH = 16;
#endif
constexpr int LANES = WIDTH / sizeof(real);
constexpr int LANE_BITS = __builtin_ctz(LANES);
constexpr int TEAM = 64 / WIDTH;  // vectors in which a choice of a series falls for all alike
constexpr int LINK = 18;
constexpr int ALGEBRA = 8;
typedef real vec __attribute__((vector_size(WIDTH), may_alias));
typedef whole lanes_index __attribute__((vector_size(WIDTH)));
typedef double wide __attribute__((vector_size(8 * LANES), may_alias));

struct Matrix {
    vec v[LINK];
};

INLINE vec splat(real x) { return vec{} + x; }

INLINE wide widen(vec v) { return __builtin_convertvector(v, wide); }

// Whether any lane is true.
INLINE bool any(lanes_index lanes) {
#ifdef __AVX512F__
    return (sizeof(real) == 8 ? _mm512_movepi64_mask((__m512i)lanes)
                              : _mm512_movepi32_mask((__m512i)lanes)) != 0;
#elif defined(__AVX2__)
    return _mm256_movemask_epi8((__m256i)lanes) != 0;
#else
    typedef long long pair __attribute__((vector_size(16)));
    const pair both = (pair)lanes;
    return (both[0] | both[1]) != 0;
#endif
}

// What becomes of c: op(a) op(b), c + op(a) op(b), op(a) op(b) - c.
enum Result { SET, ADD, LESS };

// re, im [3] += row i of op(a) op(b), op the dagger where asked.
template <bool DAGGER_A, bool DAGGER_B>
INLINE void add_row(vec* re, vec* im, const vec* a, const vec* b, int i) {
#pragma GCC unroll 3
    for (int k = 0; k < 3; k++) {
        const int ia = 2 * (DAGGER_A ? 3 * k + i : 3 * i + k);
        const vec ar = a[ia], ai = a[ia + 1];
#pragma GCC unroll 3
        for (int j = 0; j < 3; j++) {
            const int ib = 2 * (DAGGER_B ? 3 * j + k : 3 * k + j);
            const vec br = b[ib], bi = b[ib + 1];
            re[j] += ar * br;
            if (DAGGER_B) im[j] -= ar * bi; else im[j] += ar * bi;
            if (DAGGER_A == DAGGER_B) re[j] -= ai * bi; else re[j] += ai * bi;
            if (DAGGER_A) im[j] -= ai * br; else im[j] += ai * br;
        }
    }
}

// c must not overlap a or b.
template <bool DAGGER_A, bool DAGGER_B, Result RESULT>
INLINE void product(vec* __restrict c, const vec* a, const vec* b) {
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) {
        vec re[3], im[3];
#pragma GCC unroll 3
        for (int j = 0; j < 3; j++) {
            const int at = 2 * (3 * i + j);
            re[j] = RESULT == SET ? vec{} : RESULT == ADD ? c[at] : -c[at];
            im[j] = RESULT == SET ? vec{} : RESULT == ADD ? c[at + 1] : -c[at + 1];
        }
        add_row<DAGGER_A, DAGGER_B>(re, im, a, b, i);
#pragma GCC unroll 3
        for (int j = 0; j < 3; j++) {
            c[2 * (3 * i + j)] = re[j];
            c[2 * (3 * i + j) + 1] = im[j];
        }
    }
}

// sum += op(a) b op(c), op the dagger where asked. Row by row the first product stays in registers.
template <bool DAGGER_A, bool DAGGER_C>
INLINE void add_triple(vec* __restrict sum, const vec* a, const vec* b, const vec* c) {
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) {
        vec re[3] = {}, im[3] = {}, row[6];
        add_row<DAGGER_A, false>(re, im, a, b, i);
#pragma GCC unroll 3
        for (int j = 0; j < 3; j++) {
            row[2 * j] = re[j];
            row[2 * j + 1] = im[j];
            re[j] = sum[2 * (3 * i + j)];
            im[j] = sum[2 * (3 * i + j) + 1];
        }
        add_row<false, DAGGER_C>(re, im, row, c, 0);
#pragma GCC unroll 3
        for (int j = 0; j < 3; j++) {
            sum[2 * (3 * i + j)] = re[j];
            sum[2 * (3 * i + j) + 1] = im[j];
        }
    }
}

// The same for matrices of SU(3): the third row of their product is conj(first x second).
template <bool DAGGER_A, bool DAGGER_C>
INLINE void add_triple_of_group(vec* __restrict sum, const vec* a, const vec* b, const vec* c) {
    vec re[2][3] = {}, im[2][3] = {};
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        vec row[6], first[3] = {}, second[3] = {};
        add_row<DAGGER_A, false>(first, second, a, b, i);
#pragma GCC unroll 3
        for (int j = 0; j < 3; j++) {
            row[2 * j] = first[j];
            row[2 * j + 1] = second[j];
        }
        add_row<false, DAGGER_C>(re[i], im[i], row, c, 0);
#pragma GCC unroll 3
        for (int j = 0; j < 3; j++) {
            sum[2 * (3 * i + j)] += re[i][j];
            sum[2 * (3 * i + j) + 1] += im[i][j];
        }
    }
#pragma GCC unroll 3
    for (int j = 0; j < 3; j++) {
        const int k = (j + 1) % 3, l = (j + 2) % 3;
        vec& to_re = sum[12 + 2 * j];
        vec& to_im = sum[13 + 2 * j];
        to_re += re[0][k] * re[1][l] - im[0][k] * im[1][l] - re[0][l] * re[1][k] +
                 im[0][l] * im[1][k];
        to_im -= re[0][k] * im[1][l] + im[0][k] * re[1][l] - re[0][l] * im[1][k] -
                 im[0][l] * re[1][k];
    }
}

// Out of line: the caller's loops stay small enough for the instruction cache.
__attribute__((noinline)) void mul(vec* c, const vec* a, const vec* b) {
    product<false, false, SET>(c, a, b);
}
__attribute__((noinline)) void mul_ad(vec* c, const vec* a, const vec* b) {
    product<false, true, SET>(c, a, b);
}
__attribute__((noinline)) void mul_da(vec* c, const vec* a, const vec* b) {
    product<true, false, SET>(c, a, b);
}
__attribute__((noinline)) void add_mul(vec* c, const vec* a, const vec* b) {
    product<false, false, ADD>(c, a, b);
}
__attribute__((noinline)) void add_mul_ad(vec* c, const vec* a, const vec* b) {
    product<false, true, ADD>(c, a, b);
}
__attribute__((noinline)) void mul_dd(vec* c, const vec* a, const vec* b) {
    product<true, true, SET>(c, a, b);
}
__attribute__((noinline)) void add_mul_da(vec* c, const vec* a, const vec* b) {
    product<true, false, ADD>(c, a, b);
}
__attribute__((noinline)) void add_mul_dd(vec* c, const vec* a, const vec* b) {
    product<true, true, ADD>(c, a, b);
}
__attribute__((noinline)) void mul_less(vec* c, const vec* a, const vec* b) {
    product<false, false, LESS>(c, a, b);
}
__attribute__((noinline)) void mul_ad_less(vec* c, const vec* a, const vec* b) {
    product<false, true, LESS>(c, a, b);
}

__attribute__((noinline)) void add_mul_mul_ad(vec* sum, const vec* a, const vec* b, const vec* c) {
    add_triple<false, true>(sum, a, b, c);
}
__attribute__((noinline)) void add_mul_da_mul(vec* sum, const vec* a, const vec* b, const vec* c) {
    add_triple<true, false>(sum, a, b, c);
}

__attribute__((noinline)) void add_group_ad(vec* sum, const vec* a, const vec* b, const vec* c) {
    add_triple_of_group<false, true>(sum, a, b, c);
}
__attribute__((noinline)) void add_group_da(vec* sum, const vec* a, const vec* b, const vec* c) {
    add_triple_of_group<true, false>(sum, a, b, c);
}

// c = op(a) op(b), and c += op(a) op(b), op the dagger where asked.
INLINE void multiply(vec* c, const vec* a, const vec* b, bool dagger_a, bool dagger_b) {
    (dagger_a ? dagger_b ? mul_dd : mul_da : dagger_b ? mul_ad : mul)(c, a, b);
}
INLINE void add_product(vec* c, const vec* a, const vec* b, bool dagger_a, bool dagger_b) {
    (dagger_a ? dagger_b ? add_mul_dd : add_mul_da : dagger_b ? add_mul_ad : add_mul)(c, a, b);
}

// Both in registers: a compiler left to itself calls string instructions, which take long to start.
INLINE void copy_link(vec* to, const vec* from) {
#pragma GCC unroll 18
    for (int i = 0; i < LINK; i++) to[i] = from[i];
}
INLINE void clear(Matrix& m) {
#pragma GCC unroll 18
    for (int i = 0; i < LINK; i++) m.v[i] = vec{};
}

// Re tr(a b^dagger), [lanes].
INLINE vec real_trace_ad(const vec* a, const vec* b) {
    vec sum = {};
    for (int i = 0; i < LINK; i++) sum += a[i] * b[i];
    return sum;
}

// Re tr(a b), [lanes].
INLINE vec real_trace(const vec* a, const vec* b) {
    vec sum = {};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            const int p = 2 * (3 * i + j), q = 2 * (3 * j + i);
            sum += a[p] * b[q] - a[p + 1] * b[q + 1];
        }
    return sum;
}

constexpr double ROOT3 = 1.7320508075688772935;

// Components f_a = Im tr(lambda_a m) of the traceless anti-Hermitian part of m.
INLINE void project(vec* f, const vec* m) {
    f[0] = m[3] + m[7];
    f[1] = m[2] - m[6];
    f[2] = m[1] - m[9];
    f[3] = m[5] + m[13];
    f[4] = m[4] - m[12];
    f[5] = m[11] + m[15];
    f[6] = m[10] - m[14];
    f[7] = (m[1] + m[9] - 2.0 * m[17]) * (real)(1.0 / ROOT3);
}

// The matrix sum_a f_a T_a.
INLINE void assemble(vec* m, const vec* f) {
    const vec eighth = f[7] * (real)(0.5 / ROOT3), third = f[2] * 0.5;
    for (int i = 0; i < 3; i++) m[8 * i] = vec{};
    m[1] = eighth + third;
    m[9] = eighth - third;
    m[17] = -2.0 * eighth;
    const int upper[3] = {2, 4, 10}, lower[3] = {6, 12, 14}, first[3] = {0, 3, 5};
    for (int k = 0; k < 3; k++) {
        const vec re = f[first[k] + 1] * 0.5, im = f[first[k]] * 0.5;
        m[upper[k]] = re;
        m[upper[k] + 1] = im;
        m[lower[k]] = -re;
        m[lower[k] + 1] = im;
    }
}

// Calls numbers that will soon be read, and with WRITE written, up into a cache: the hardware sees
// no pattern beyond a page of memory, which is less than the four links of a block.
template <bool WRITE, int CACHE>
INLINE void call_up(const vec* from, int count) {
    for (int i = 0; i < count; i += TEAM) __builtin_prefetch(from + i, WRITE, 4 - CACHE);
}

// out[i] = in[i] with lane l taken from lane l ^ MASK.
template <int MASK, int COUNT, int... L>
INLINE void exchange(vec* out, const vec* in, std::integer_sequence<int, L...>) {
#pragma GCC unroll 18
    for (int i = 0; i < COUNT; i++)
        out[i] = __builtin_shuffle(in[i], lanes_index{(L ^ MASK)...});
}

// The same for a mask from 1 to MASK.
template <int MASK, int COUNT>
INLINE void exchange_up_to(vec* out, const vec* in, int mask) {
    if constexpr (MASK > 0) {
        if (mask == MASK)
            exchange<MASK, COUNT>(out, in, std::make_integer_sequence<int, LANES>());
        else
            exchange_up_to<MASK - 1, COUNT>(out, in, mask);
    }
}

template <int COUNT>
__attribute__((noinline)) void exchange_lanes(vec* out, const vec* in, int mask) {
    exchange_up_to<LANES - 1, COUNT>(out, in, mask);
}

// v with lane l taken from lane l ^ mask.
INLINE vec swap_lanes(vec v, int mask) {
    if (mask) exchange_lanes<1>(&v, &v, mask);
    return v;
}

}  // namespace
