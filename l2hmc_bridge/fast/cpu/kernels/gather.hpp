// As many torch matrices as a register has lanes, put side by side, and back.
#pragma once
#ifdef __x86_64__
#include <emmintrin.h>
#endif

#include "matrix.hpp"

namespace {

// Complex numbers come and go whole: those of lanes 0, 1 | 4, 5 | ... (double precision: 0 | 2 | ...) in
// one register and of the lanes between them in a second; a shuffle parts real from imaginary.
template <int PART, int... L>
INLINE vec part_of(vec first, vec second, std::integer_sequence<int, L...>) {
    constexpr int EACH = 16 / sizeof(real), OF_FIRST = EACH / 2;  // numbers of 128 bits
    return __builtin_shuffle(
        first, second,
        lanes_index{(L % EACH < OF_FIRST ? L / EACH * EACH + 2 * (L % OF_FIRST) + PART
                                         : LANES + L / EACH * EACH + 2 * (L % OF_FIRST) + PART)...});
}

template <int SECOND, int... L>
INLINE vec pairs_of(vec re, vec im, std::integer_sequence<int, L...>) {
    constexpr int EACH = 16 / sizeof(real), OF_FIRST = EACH / 2;
    return __builtin_shuffle(
        re, im,
        lanes_index{(L / EACH * EACH + SECOND * OF_FIRST + L % EACH / 2 + L % 2 * LANES)...});
}

typedef std::make_integer_sequence<int, LANES> Lanes;

#if defined(__x86_64__) && !defined(SINGLE)
constexpr bool STREAMS = true;  // there are stores that leave the caches alone
#else
constexpr bool STREAMS = false;
#endif

// *to = v; STREAM: into memory past the caches, which need not fetch what is there before.
template <bool STREAM>
INLINE void write(vec* to, vec v) {
    if constexpr (!STREAM || !STREAMS) *to = v;
#if defined(SINGLE) || !defined(__x86_64__)
#elif defined(__AVX512F__)
    else _mm512_stream_pd((double*)to, (__m512d)v);
#elif defined(__AVX2__)
    else _mm256_stream_pd((double*)to, (__m256d)v);
#else
    else _mm_stream_pd((double*)to, (__m128d)v);
#endif
}

// What was streamed is there for other threads.
INLINE void streamed() {
#ifdef __x86_64__
    _mm_sfence();
#endif
}

#ifndef SINGLE
typedef double pair __attribute__((vector_size(16), may_alias, aligned(8)));

INLINE pair one(const real* const* from, int lane, int i) { return *(const pair*)(from[lane] + i); }

// The complex numbers at from[lane] + i of every other lane.
INLINE vec fetch(const real* const* from, int lane, int i) {
#if defined(__AVX512F__)
    __m512d out = _mm512_castpd128_pd512((__m128d)one(from, lane, i));
    out = _mm512_mask_broadcast_f64x2(out, 0x0c, (__m128d)one(from, lane + 2, i));
    out = _mm512_mask_broadcast_f64x2(out, 0x30, (__m128d)one(from, lane + 4, i));
    return (vec)_mm512_mask_broadcast_f64x2(out, 0xc0, (__m128d)one(from, lane + 6, i));
#elif defined(__AVX2__)
    const __m256d out = _mm256_castpd128_pd256((__m128d)one(from, lane, i));
    return (vec)_mm256_insertf128_pd(out, (__m128d)one(from, lane + 2, i), 1);
#else
    return (vec)one(from, lane, i);
#endif
}
#else
typedef double pair __attribute__((may_alias, aligned(4)));  // the 64 bits of a complex number
typedef double pairs __attribute__((vector_size(WIDTH), may_alias));

INLINE pair one(const real* const* from, int lane, int i) { return *(const pair*)(from[lane] + i); }

// The complex numbers at from[lane] + i of two lanes of every four.
INLINE vec fetch(const real* const* from, int lane, int i) {
    pairs out;
    for (int k = 0; k < LANES / 2; k++) out[k] = one(from, lane + k / 2 * 4 + k % 2, i);
    return (vec)out;
}
#endif

constexpr int BETWEEN = sizeof(real) == 8 ? 1 : 2;  // first lane of the second register

// The complex number of one lane, out of the register that `fetch` makes of it.
template <int LANE>
INLINE pair complex_of(vec whole) {
#ifdef SINGLE
    return ((pairs)whole)[LANE / 4 * 2 + LANE % 2];
#elif defined(__AVX512F__)
    return (pair)_mm512_extractf64x2_pd((__m512d)whole, LANE / 2);
#elif defined(__AVX2__)
    return (pair)_mm256_extractf128_pd((__m256d)whole, LANE / 2);
#else
    return (pair)whole;
#endif
}

template <int LANE, bool STREAM>
INLINE void put(real* const* to, int i, vec whole) {
    if constexpr (!STREAM || !STREAMS) *(pair*)(to[LANE] + i) = complex_of<LANE>(whole);
#if defined(__x86_64__) && !defined(SINGLE)
    else _mm_stream_pd(to[LANE] + i, (__m128d)complex_of<LANE>(whole));
#endif
}

// LANES matrices of 18 numbers at source[lane], side by side.
template <bool STREAM = false>
INLINE void gather(vec* out, const real* const* source) {
#pragma GCC unroll 9
    for (int i = 0; i < LINK; i += 2) {
        const vec a = fetch(source, 0, i), b = fetch(source, BETWEEN, i);
        write<STREAM>(out + i, part_of<0>(a, b, Lanes()));
        write<STREAM>(out + i + 1, part_of<1>(a, b, Lanes()));
    }
}

template <bool STREAM, int... L>
INLINE void scatter_all(real* const* target, const vec* in, std::integer_sequence<int, L...> lanes) {
#pragma GCC unroll 9
    for (int i = 0; i < LINK; i += 2) {
        const vec a = pairs_of<0>(in[i], in[i + 1], lanes), b = pairs_of<1>(in[i], in[i + 1], lanes);
        (put<L, STREAM>(target, i, L & BETWEEN ? b : a), ...);
    }
}

// The way back, to the first `count` lanes.
template <bool STREAM = false>
INLINE void scatter(real* const* target, const vec* in, int count) {
    if (count == LANES) return scatter_all<STREAM>(target, in, Lanes());
    for (int lane = 0; lane < count; lane++)
        for (int i = 0; i < LINK; i++) target[lane][i] = ((const real*)in)[LANES * i + lane];
}

}  // namespace
