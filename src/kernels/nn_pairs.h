/*
 * nn_pairs.h: two multiply-adds for one (template).
 *
 * Some processors have floating-point adders beside their multiply-add
 * units (AMD since Zen): a convolution leaves them idle.  Winograd's inner
 * product uses them:
 *
 *     x0 * y0 + x1 * y1 = (x0 + y1) * (x1 + y0) - x0 * x1 - y0 * y1
 *
 * (S. Winograd, "A New Algorithm for Inner Product", IEEE Transactions on
 * Computers C-17(7), 1968, equations 1 to 3.)  The sum of y0 * y1 belongs to
 * an output channel and is known when weights are packed; the sum of x0 * x1
 * belongs to an output pixel and is computed here, once for all output
 * channels.  With PAIRS = 5 of the 8 pairs of a block, 16 multiply-adds
 * become 11 and 10 additions: both kinds of unit are busy.
 *
 * Every other pair is subtracted, with the weights' signs changed:
 *
 *     x0 * y0 + x1 * y1 = x0 * x1 + y0 * y1 - (x0 - y1) * (x1 - y0)
 *
 * Inputs behind a Relu are never negative; products x0 * x1 of one sign would
 * pile up in the sums and cost digits.
 *
 * Digits are lost where the sums that cancel, of x0 * x1 and of y0 * y1, are
 * larger than the output.  Packing scales a filter's weights to about 1/3, so
 * y0 * y1 add up to little unless all inputs are far smaller than that.  A
 * pixel whose x0 * x1 add up to more than products_limit in any lane, over the
 * blocks of one sign, is unsafe: its products are added one by one.  Inputs of
 * size r in a filter of n weights have lanes of about r^2 n / 32 and outputs of
 * r sqrt(n) / 3; at the limit of 16 sqrt(n) an output has lost some 20
 * roundings, 1e-6 of its size.  That presumes weights of one magnitude: large
 * inputs that meet small weights cancel as much and leave less.  Such filters
 * are not for pairs; the planner knows weights and leaves them out.
 */
#ifndef FR_KERNELS_NN_PAIRS_H
#define FR_KERNELS_NN_PAIRS_H

#include "kernels/nn_filter.h"

/* Pixels whose corrections are computed before tiles run over them. */
#define MAX_CORRECTIONS 2048

/* What a pixel's products may add up to in a lane, in units of (scaled)
 * weights, see above. */
ALWAYS_INLINE float
products_limit(const FrConvTask *task)
{
	return 16.0f * sqrtf((float) taps(task->in_channels, task->kernel_h,
									  task->kernel_w));
}

#if PAIRS > 0

/* Half a block, and how many pixels are corrected together. */
typedef __m256 Octet;
#define OCTET 8

/* Add the products of one block: first channel of each pair times second. */
ALWAYS_INLINE void
octets_add_block(Octet *sums, const FrConvTask *task, const float *input,
				 const ptrdiff_t *offsets)
{
	for (int ky = 0; ky < task->kernel_h; ++ky)
	{
		const float *source = input + ky * task->tap_row;

		for (int kx = 0; kx < task->kernel_w; ++kx)
		{
#pragma GCC unroll 8
			for (int p = 0; p < OCTET; ++p)
			{
				const float *x = source + offsets[p];
				const Octet first = _mm256_loadu_ps(x);
				const Octet second = _mm256_loadu_ps(x + OCTET);

				sums[p] = _mm256_fmadd_ps(first, second, sums[p]);
			}
			source += task->tap_col;
		}
	}
}

/* The signed sum of the lanes of pairs of eight octets. */
ALWAYS_INLINE Octet
octets_reduce(Octet *sums)
{
	const Octet signs =
		_mm256_setr_ps(0.0f, -0.0f, 0.0f, -0.0f, 0.0f, -0.0f, 0.0f, -0.0f);
	const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
	const Octet used = _mm256_castsi256_ps(
		_mm256_cmpgt_epi32(_mm256_set1_epi32(PAIRS), lanes));
	Octet low, high;

#pragma GCC unroll 8
	for (int p = 0; p < OCTET; ++p)
		sums[p] = _mm256_xor_ps(_mm256_and_ps(sums[p], used), signs);
	low = _mm256_hadd_ps(_mm256_hadd_ps(sums[0], sums[1]),
						 _mm256_hadd_ps(sums[2], sums[3]));
	high = _mm256_hadd_ps(_mm256_hadd_ps(sums[4], sums[5]),
						  _mm256_hadd_ps(sums[6], sums[7]));
	return _mm256_add_ps(_mm256_permute2f128_ps(low, high, 0x20),
						 _mm256_permute2f128_ps(low, high, 0x31));
}

/* Which of eight octets have lanes of pairs beyond the limit (or NaN). */
ALWAYS_INLINE unsigned
octets_unsafe(const Octet *sums, float most)
{
	const Octet limit = _mm256_set1_ps(most);
	const Octet sign = _mm256_set1_ps(-0.0f);
	unsigned unsafe = 0;

#pragma GCC unroll 8
	for (int p = 0; p < OCTET; ++p)
	{
		const Octet is_large =
			_mm256_cmp_ps(_mm256_andnot_ps(sign, sums[p]), limit, _CMP_NLE_UQ);
		const unsigned lanes = (unsigned) _mm256_movemask_ps(is_large);

		unsafe |= (unsigned) ((lanes & ((1u << PAIRS) - 1u)) != 0) << p;
	}
	return unsafe;
}

/* The signed sums of the products of paired inputs in the windows at eight
 * offsets from input; *unsafe gets a bit for each unsafe one. */
static Octet
octet_corrections(const FrConvTask *task, const float *input,
				  const ptrdiff_t *offsets, unsigned *unsafe)
{
	const float limit = products_limit(task);
	Octet even[OCTET] = {{0}}, odd[OCTET] = {{0}};

	for (int block = 0; block < task->in_channels / FR_BLOCK; ++block)
	{
		if (block & 1)
			octets_add_block(odd, task, input, offsets);
		else
			octets_add_block(even, task, input, offsets);
		input += task->in_block;
	}
	*unsafe = octets_unsafe(even, limit) | octets_unsafe(odd, limit);
#pragma GCC unroll 8
	for (int p = 0; p < OCTET; ++p)
		even[p] = _mm256_sub_ps(even[p], odd[p]);
	return octets_reduce(even);
}

/* Corrections of count pixels, whose windows are at offsets from input;
 * returns a bit for each unsafe one. */
static unsigned
correct_pixels(const FrConvTask *task, const float *input,
			   const ptrdiff_t *offsets, int count, float *corrections)
{
	unsigned all_unsafe = 0;

	for (int first = 0; first < count; first += OCTET)
	{
		ptrdiff_t places[OCTET];
		float values[OCTET];
		unsigned unsafe;

		for (int p = 0; p < OCTET; ++p)
			places[p] = offsets[first + p < count ? first + p : count - 1];
		_mm256_storeu_ps(values,
						 octet_corrections(task, input, places, &unsafe));
		for (int p = first; p < count && p < first + OCTET; ++p)
			corrections[p] = values[p - first];
		all_unsafe |= unsafe << first;
	}
	return all_unsafe & ((1u << count) - 1u);
}

#else

static inline unsigned
correct_pixels(const FrConvTask *task, const float *input,
			   const ptrdiff_t *offsets, int count, float *corrections)
{
	(void) task, (void) input, (void) offsets;
	(void) count, (void) corrections;
	return 0;
}

#endif

#endif
