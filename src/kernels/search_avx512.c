/*
 * search_avx512.c: the kernels of the face index for AVX-512 F, BW, DQ and
 * VL.
 */
#if defined(__x86_64__)

/* Ahead of the includes: a fused multiply-add would change bits; see
 * search_generic.c. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/search_kernels.h"

#define VL			   16
#define SEARCH_KERNELS fr_search_kernels_avx512
#define ALWAYS_INLINE  static inline __attribute__((always_inline))

typedef float Vec __attribute__((vector_size(VL * 4)));
typedef int32_t VecInt __attribute__((vector_size(VL * 4)));

ALWAYS_INLINE Vec
vec_load_i8(const int8_t *source)
{
	return (Vec) _mm512_cvtepi32_ps(
		_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *) source)));
}

ALWAYS_INLINE Vec
vec_from_u16(__m256i words)
{
	return (Vec) _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(words));
}

ALWAYS_INLINE Vec
vec_load_half(const uint16_t *source)
{
	return (Vec) _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) source));
}

ALWAYS_INLINE Vec
vec_sqrt(Vec v)
{
	return (Vec) _mm512_sqrt_ps((__m512) v);
}

ALWAYS_INLINE uint32_t
vec_signs(Vec v)
{
	return _mm512_cmp_ps_mask((__m512) v, _mm512_setzero_ps(), _CMP_GE_OQ);
}

/* Bit i: low <= v[i] <= high */
ALWAYS_INLINE uint32_t
vec_between(float low, Vec v, float high)
{
	return _mm512_mask_cmp_ps_mask(
		_mm512_cmp_ps_mask((__m512) v, _mm512_set1_ps(low), _CMP_GE_OQ),
		(__m512) v, _mm512_set1_ps(high), _CMP_LE_OQ);
}

ALWAYS_INLINE void
vec_store_bytes(uint8_t *target, VecInt v)
{
	_mm_storeu_si128((__m128i *) target, _mm512_cvtepi32_epi8((__m512i) v));
}

ALWAYS_INLINE Vec
vec_swap_1(Vec v)
{
	return (Vec) _mm512_permute_ps((__m512) v, 0xb1);
}

ALWAYS_INLINE Vec
vec_swap_2(Vec v)
{
	return (Vec) _mm512_permute_ps((__m512) v, 0x4e);
}

ALWAYS_INLINE Vec
vec_swap_4(Vec v)
{
	return (Vec) _mm512_shuffle_f32x4((__m512) v, (__m512) v, 0xb1);
}

ALWAYS_INLINE Vec
vec_swap_8(Vec v)
{
	return (Vec) _mm512_shuffle_f32x4((__m512) v, (__m512) v, 0x4e);
}

ALWAYS_INLINE __m512d
widen_sum(Vec v)
{
	return _mm512_add_pd(
		_mm512_cvtps_pd(_mm512_castps512_ps256((__m512) v)),
		_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512) v, 1)));
}

/* Add 32 lanes. */
ALWAYS_INLINE double
reduce_lanes(const Vec *sum)
{
	const __m512d eight = _mm512_add_pd(widen_sum(sum[0]), widen_sum(sum[1]));
	const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight),
									   _mm512_extractf64x4_pd(eight, 1));
	const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four),
								   _mm256_extractf128_pd(four, 1));

	return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

/* The sums of the four 128-bit parts of 16-bit integers. */
ALWAYS_INLINE __m128i
add_parts(__m512i v)
{
	const __m256i half = _mm256_add_epi16(_mm512_castsi512_si256(v),
										  _mm512_extracti64x4_epi64(v, 1));

	return _mm_add_epi16(_mm256_castsi256_si128(half),
						 _mm256_extracti128_si256(half, 1));
}

/*
 * Four bytes each of 16 vectors, ordered by vector, become four parts of one
 * byte of all vectors: within each part bytes are grouped by their place, then
 * the groups go to the parts.
 */
ALWAYS_INLINE __m512i
transpose_codes(__m512i codes)
{
	const __m512i by_place = _mm512_broadcast_i32x4(
		_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
	const __m512i to_part =
		_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);

	return _mm512_permutexvar_epi32(to_part,
									_mm512_shuffle_epi8(codes, by_place));
}

/* Table entries of both nibbles of 16 vectors, in 8 bits: at most twice
 * FR_SCAN_TABLE_MAX. */
ALWAYS_INLINE __m512i
look_up(const uint8_t *codes, __m512i low_table, __m512i high_table)
{
	const __m512i nibble = _mm512_set1_epi8(15);
	const __m512i bytes = transpose_codes(_mm512_loadu_si512(codes));
	const __m512i low = _mm512_and_si512(bytes, nibble);
	const __m512i high = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble);

	return _mm512_add_epi8(_mm512_shuffle_epi8(low_table, low),
						   _mm512_shuffle_epi8(high_table, high));
}

/* Sums of 16 vectors in the making: those of the odd ones, and those of the
 * even ones with the odd ones in their high bytes. */
typedef struct HalfSums
{
	__m512i mixed, odd;
} HalfSums;

/* Add the entries of 16 vectors in two groups (four entries each in 8 bits). */
ALWAYS_INLINE HalfSums
add_groups(HalfSums sums, const uint8_t *codes, const uint8_t *table)
{
	const __m512i entries = _mm512_add_epi8(
		look_up(codes, _mm512_load_si512(table),
				_mm512_load_si512(table + FR_SCAN_TABLE_BYTES / 2)),
		look_up(codes + FR_SCAN_GROUP_BYTES,
				_mm512_load_si512(table + FR_SCAN_TABLE_BYTES),
				_mm512_load_si512(table + FR_SCAN_TABLE_BYTES * 3 / 2)));

	return (HalfSums){
		_mm512_add_epi16(sums.mixed, entries),
		_mm512_add_epi16(sums.odd, _mm512_srli_epi16(entries, 8))};
}

ALWAYS_INLINE __m256i
join_sums(HalfSums sums)
{
	const __m128i even =
		add_parts(_mm512_sub_epi16(sums.mixed, _mm512_slli_epi16(sums.odd, 8)));
	const __m128i odd = add_parts(sums.odd);

	return _mm256_set_m128i(_mm_unpackhi_epi16(even, odd),
							_mm_unpacklo_epi16(even, odd));
}

typedef struct BlockSums
{
	__m256i part0, part1;
} BlockSums;

ALWAYS_INLINE BlockSums
block_sums(const uint8_t *codes, const uint8_t *table, size_t groups)
{
	HalfSums first = {_mm512_setzero_si512(), _mm512_setzero_si512()};
	HalfSums last = first;

	for (size_t g = 0; g < groups; g += 2)
	{
		first = add_groups(first, codes, table);
		last = add_groups(last, codes + FR_SCAN_GROUP_BYTES / 2, table);
		codes += 2 * FR_SCAN_GROUP_BYTES;
		table += 2 * FR_SCAN_TABLE_BYTES;
	}
	return (BlockSums){join_sums(first), join_sums(last)};
}

/* The levels of 32 nibbles as 16-bit integers. */
ALWAYS_INLINE __m512i
levels_of(__m256i nibbles)
{
	const __m256i levels = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		-63, -48, -37, -29, -22, -15, -9, -3, 3, 9, 15, 22, 29, 37, 48, 63));

	return _mm512_cvtepi8_epi16(_mm256_shuffle_epi8(levels, nibbles));
}

static int32_t
dot_levels(const uint8_t *nibbles, const int16_t *query, size_t count)
{
	const __m256i mask = _mm256_set1_epi8(15);
	__m512i low_sum = _mm512_setzero_si512(), high_sum = low_sum;

	for (size_t i = 0; i < count; i += 64)
	{
		const __m256i bytes =
			_mm256_loadu_si256((const __m256i *) (nibbles + i / 2));
		const __m512i low = levels_of(_mm256_and_si256(bytes, mask));
		const __m512i high =
			levels_of(_mm256_and_si256(_mm256_srli_epi16(bytes, 4), mask));

		low_sum = _mm512_add_epi32(
			low_sum, _mm512_madd_epi16(low, _mm512_loadu_si512(query + i)));
		high_sum = _mm512_add_epi32(
			high_sum,
			_mm512_madd_epi16(high, _mm512_loadu_si512(query + i + 32)));
	}
	return _mm512_reduce_add_epi32(_mm512_add_epi32(low_sum, high_sum));
}

#include "kernels/search_template.h"

#endif
