/*
 * search_avx2.c: the kernels of the face index for AVX2 and F16C.
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

#define VL			   8
#define SEARCH_KERNELS fr_search_kernels_avx2
#define ALWAYS_INLINE  static inline __attribute__((always_inline))

typedef float Vec __attribute__((vector_size(VL * 4)));
typedef int32_t VecInt __attribute__((vector_size(VL * 4)));

ALWAYS_INLINE Vec
vec_load_i8(const int8_t *source)
{
	return (Vec) _mm256_cvtepi32_ps(
		_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *) source)));
}

ALWAYS_INLINE Vec
vec_from_u16(__m128i words)
{
	return (Vec) _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(words));
}

ALWAYS_INLINE Vec
vec_load_half(const uint16_t *source)
{
	return (Vec) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) source));
}

ALWAYS_INLINE Vec
vec_sqrt(Vec v)
{
	return (Vec) _mm256_sqrt_ps((__m256) v);
}

ALWAYS_INLINE uint32_t
vec_signs(Vec v)
{
	return (uint32_t) _mm256_movemask_ps(
		_mm256_cmp_ps((__m256) v, _mm256_setzero_ps(), _CMP_GE_OQ));
}

/* Bit i: low <= v[i] <= high */
ALWAYS_INLINE uint32_t
vec_between(float low, Vec v, float high)
{
	return (uint32_t) _mm256_movemask_ps(_mm256_and_ps(
		_mm256_cmp_ps((__m256) v, _mm256_set1_ps(low), _CMP_GE_OQ),
		_mm256_cmp_ps((__m256) v, _mm256_set1_ps(high), _CMP_LE_OQ)));
}

ALWAYS_INLINE void
vec_store_bytes(uint8_t *target, VecInt v)
{
	const __m128i words =
		_mm_packs_epi32(_mm256_castsi256_si128((__m256i) v),
						_mm256_extracti128_si256((__m256i) v, 1));

	_mm_storel_epi64((__m128i *) target, _mm_packus_epi16(words, words));
}

ALWAYS_INLINE Vec
vec_swap_1(Vec v)
{
	return (Vec) _mm256_permute_ps((__m256) v, 0xb1);
}

ALWAYS_INLINE Vec
vec_swap_2(Vec v)
{
	return (Vec) _mm256_permute_ps((__m256) v, 0x4e);
}

ALWAYS_INLINE Vec
vec_swap_4(Vec v)
{
	return (Vec) _mm256_permute2f128_ps((__m256) v, (__m256) v, 0x01);
}

ALWAYS_INLINE __m256d
widen_low(Vec v)
{
	return _mm256_cvtps_pd(_mm256_castps256_ps128((__m256) v));
}

ALWAYS_INLINE __m256d
widen_high(Vec v)
{
	return _mm256_cvtps_pd(_mm256_extractf128_ps((__m256) v, 1));
}

/* Add 32 lanes. */
ALWAYS_INLINE double
reduce_lanes(const Vec *sum)
{
	const __m256d low =
		_mm256_add_pd(_mm256_add_pd(widen_low(sum[0]), widen_low(sum[1])),
					  _mm256_add_pd(widen_low(sum[2]), widen_low(sum[3])));
	const __m256d high =
		_mm256_add_pd(_mm256_add_pd(widen_high(sum[0]), widen_high(sum[1])),
					  _mm256_add_pd(widen_high(sum[2]), widen_high(sum[3])));
	const __m256d four = _mm256_add_pd(low, high);
	const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four),
								   _mm256_extractf128_pd(four, 1));

	return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

/* Four bytes each of 16 vectors, ordered by vector, become four parts of one
 * byte of all vectors, 0-3, 8-11, 4-7, 12-15: the first two parts go to *first,
 * the others to *last. */
ALWAYS_INLINE void
transpose_codes(const uint8_t *codes, __m256i *first, __m256i *last)
{
	const __m256i by_place = _mm256_broadcastsi128_si256(
		_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
	const __m256i a = _mm256_shuffle_epi8(
		_mm256_loadu_si256((const __m256i *) codes), by_place);
	const __m256i b = _mm256_shuffle_epi8(
		_mm256_loadu_si256((const __m256i *) (codes + 32)), by_place);

	*first = _mm256_permute4x64_epi64(_mm256_unpacklo_epi32(a, b), 0xd8);
	*last = _mm256_permute4x64_epi64(_mm256_unpackhi_epi32(a, b), 0xd8);
}

/* Table entries of both nibbles of two bytes, in 8 bits. */
ALWAYS_INLINE __m256i
look_up(__m256i bytes, const uint8_t *table)
{
	const __m256i nibble = _mm256_set1_epi8(15);
	const __m256i low = _mm256_and_si256(bytes, nibble);
	const __m256i high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble);

	return _mm256_add_epi8(
		_mm256_shuffle_epi8(_mm256_load_si256((const __m256i *) table), low),
		_mm256_shuffle_epi8(
			_mm256_load_si256(
				(const __m256i *) (table + FR_SCAN_TABLE_BYTES / 2)),
			high));
}

/* The sums of the two 128-bit parts of 16-bit integers. */
ALWAYS_INLINE __m128i
add_parts(__m256i v)
{
	return _mm_add_epi16(_mm256_castsi256_si128(v),
						 _mm256_extracti128_si256(v, 1));
}

/* Sums of 16 vectors in the making: those of the odd ones, and those of the
 * even ones with the odd ones in their high bytes. */
typedef struct HalfSums
{
	__m256i mixed, odd;
} HalfSums;

/* Add the entries of 16 vectors in one group (four entries each in 8 bits). */
ALWAYS_INLINE HalfSums
add_group(HalfSums sums, const uint8_t *codes, const uint8_t *table)
{
	__m256i first, last, entries;

	transpose_codes(codes, &first, &last);
	entries = _mm256_add_epi8(look_up(first, table), look_up(last, table + 32));
	return (HalfSums){
		_mm256_add_epi16(sums.mixed, entries),
		_mm256_add_epi16(sums.odd, _mm256_srli_epi16(entries, 8))};
}

/* The sums of vectors 0-3 and 8-11, and of 4-7 and 12-15. */
ALWAYS_INLINE void
join_sums(HalfSums sums, __m128i *low, __m128i *high)
{
	const __m128i even =
		add_parts(_mm256_sub_epi16(sums.mixed, _mm256_slli_epi16(sums.odd, 8)));
	const __m128i odd = add_parts(sums.odd);

	*low = _mm_unpacklo_epi16(even, odd);
	*high = _mm_unpackhi_epi16(even, odd);
}

typedef struct BlockSums
{
	__m128i part0, part1, part2, part3;
} BlockSums;

ALWAYS_INLINE BlockSums
block_sums(const uint8_t *codes, const uint8_t *table, size_t groups)
{
	HalfSums first = {_mm256_setzero_si256(), _mm256_setzero_si256()};
	HalfSums last = first;
	__m128i first_low, first_high, last_low, last_high;

	for (size_t g = 0; g < groups; g++)
	{
		first = add_group(first, codes, table);
		last = add_group(last, codes + FR_SCAN_GROUP_BYTES / 2, table);
		codes += FR_SCAN_GROUP_BYTES;
		table += FR_SCAN_TABLE_BYTES;
	}
	join_sums(first, &first_low, &first_high);
	join_sums(last, &last_low, &last_high);
	return (BlockSums){_mm_unpacklo_epi64(first_low, first_high),
					   _mm_unpackhi_epi64(first_low, first_high),
					   _mm_unpacklo_epi64(last_low, last_high),
					   _mm_unpackhi_epi64(last_low, last_high)};
}

/* Add the products of 16 levels, given by their nibbles, and the query. */
ALWAYS_INLINE __m256i
add_levels(__m256i sum, __m128i nibbles, const int16_t *query)
{
	const __m128i levels = _mm_setr_epi8(-63, -48, -37, -29, -22, -15, -9, -3,
										 3, 9, 15, 22, 29, 37, 48, 63);
	const __m256i values =
		_mm256_cvtepi8_epi16(_mm_shuffle_epi8(levels, nibbles));

	return _mm256_add_epi32(
		sum,
		_mm256_madd_epi16(values, _mm256_loadu_si256((const __m256i *) query)));
}

static int32_t
dot_levels(const uint8_t *nibbles, const int16_t *query, size_t count)
{
	const __m128i mask = _mm_set1_epi8(15);
	__m256i low_sum = _mm256_setzero_si256(), high_sum = low_sum;
	__m128i sum;

	for (size_t i = 0; i < count; i += 64)
		for (size_t j = 0; j < 32; j += 16)
		{
			const __m128i bytes =
				_mm_loadu_si128((const __m128i *) (nibbles + i / 2 + j));

			low_sum =
				add_levels(low_sum, _mm_and_si128(bytes, mask), query + i + j);
			high_sum = add_levels(high_sum,
								  _mm_and_si128(_mm_srli_epi16(bytes, 4), mask),
								  query + i + 32 + j);
		}
	low_sum = _mm256_add_epi32(low_sum, high_sum);
	sum = _mm_add_epi32(_mm256_castsi256_si128(low_sum),
						_mm256_extracti128_si256(low_sum, 1));
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
	return _mm_cvtsi128_si32(sum);
}

#include "kernels/search_template.h"

#endif
