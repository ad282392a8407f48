/*
 * codes.c: encoding of vectors, and their place in blocks.
 *
 * The 1-bit code is that of RaBitQ (Gao, Long, "RaBitQ: Quantizing
 * High-Dimensional Vectors with a Theoretical Error Bound for Approximate
 * Nearest Neighbor Search", SIGMOD 2024, section 3).  Numbers are rounded to
 * halves such that bounds stay bounds: A and E upwards, and what the rounding
 * of B and f changes is part of E and sigma.
 */
#include "core/search/codes.h"

#include <math.h>
#include <string.h>

#include "kernels/half.h"

/* E is at least B times this over sqrt(P - 1): the query's own rounding is
 * taken into account by a factor of E (search_query.c). */
#define MIN_ERROR_RATIO 0.5

/* Up to so many values are compared one by one with all slots of a block. */
#define FEW_VALUES 16

/* ---- encoding ----------------------------------------------------------- */

static uint16_t
half_nearest(double value)
{
	return fr_half_from_float((float) value);
}

/* The least half that is not below value (|value| < 65504). */
static uint16_t
half_upwards(double value)
{
	uint16_t half = fr_half_from_float((float) value);

	if ((double) fr_half_to_float(half) >= value)
		return half;
	if (half == FR_HALF_SIGN)
		return 1; /* above -0 */
	return (uint16_t) (half & FR_HALF_SIGN ? half - 1 : half + 1);
}

static void
put_half(uint8_t *target, uint16_t half)
{
	memcpy(target, &half, sizeof half);
}

static uint16_t
get_half(const uint8_t *source)
{
	uint16_t half;

	memcpy(&half, source, sizeof half);
	return half;
}

/*
 * The factor of epsilon for an estimate <g u, q> of <y, q>, where yu = <y, u>,
 * yy = |y|^2, uu = |u|^2 and the error vector g u - y is parallel to y but for
 * a part whose direction is random in P - 1 dimensions.  With |a y' + b w'| = 1
 * the query, error = parallel * a + epsilon * across * b / sqrt(P - 1), which
 * by Cauchy-Schwarz (epsilon >= 1) is at most epsilon times this.
 */
static double
error_factor(double g, double yu, double yy, double uu, uint32_t padded)
{
	const double norm = sqrt(yy);
	const double parallel = norm > 0 ? g * yu / norm - norm : 0;
	const double whole = g * g * uu - 2 * g * yu + yy;
	const double across = fmax(whole - parallel * parallel, 0);

	return sqrt(across / (padded - 1) + parallel * parallel);
}

static void
encode_signs(const FrSearchShape *shape, const FrKernels *kernels,
			 const float *x, const FrCentroid *centroid, uint8_t *encoded)
{
	const double root = sqrt((double) shape->padded);
	uint8_t *numbers = encoded + shape->padded / 8;
	FrSignSums sums;
	double rs, b, e;
	uint16_t b_half;

	kernels->search->encode_signs(x, centroid->values, centroid->scale,
								  shape->padded, encoded, &sums);
	rs = sums.r_absolute / root;
	b_half = half_nearest(rs > 0 ? sums.r_squared / rs : 0);
	b = (double) fr_half_to_float(b_half);
	e = error_factor(b, rs, sums.r_squared, 1.0, shape->padded);
	e = fmax(e, b * MIN_ERROR_RATIO / sqrt((double) shape->padded - 1));
	put_half(numbers, half_upwards(sqrt(sums.r_squared)));
	put_half(numbers + 2, b_half);
	put_half(numbers + 4, half_upwards(e));
}

static void
encode_rerank(const FrSearchShape *shape, const FrKernels *kernels,
			  const float *x, uint8_t *rerank)
{
	const float scale = FR_LEVEL_UNIT * sqrtf((float) shape->padded);
	uint8_t *numbers = rerank + shape->padded / 2;
	FrLevelSums sums;
	uint16_t f_half;
	double f, sigma;

	kernels->search->encode_levels(x, scale, shape->padded, rerank, &sums);
	/* Times the scale, so that f is about 1 and keeps its digits. */
	f_half = half_nearest(
		sums.x_level > 0 ? sums.x_squared / sums.x_level * (double) scale : 0);
	f = (double) fr_half_to_float(f_half) / (double) scale;
	sigma = error_factor(f, sums.x_level, sums.x_squared,
						 (double) sums.level_squared, shape->padded);
	put_half(numbers, f_half);
	put_half(numbers + 2, half_upwards(sigma));
}

void
fr_code_encode(const FrSearchShape *shape, const FrKernels *kernels,
			   const float *x, const FrCentroid *centroid, uint8_t *encoded)
{
	encode_signs(shape, kernels, x, centroid, encoded);
	encode_rerank(shape, kernels, x, encoded + shape->encoded_rerank_offset);
}

void
fr_rerank_decode(const FrSearchShape *shape, const uint8_t *rerank, float *x)
{
	const float scale = FR_LEVEL_UNIT * sqrtf((float) shape->padded);
	const float f =
		fr_half_to_float(get_half(rerank + shape->padded / 2)) / scale;

	for (uint32_t i = 0; i < shape->padded; i++)
	{
		const unsigned byte = rerank[i / 64 * 32 + i % 32];

		x[i] =
			f * (float) fr_level_of_nibble(i % 64 < 32 ? byte & 15 : byte >> 4);
	}
}

void
fr_code_encode_decoded(const FrSearchShape *shape, const FrKernels *kernels,
					   const float *x, const uint8_t *rerank,
					   const FrCentroid *centroid, uint8_t *encoded)
{
	uint8_t *numbers = encoded + shape->padded / 8;
	const double sigma =
		(double) fr_half_to_float(get_half(rerank + shape->padded / 2 + 2));
	double r, e;

	encode_signs(shape, kernels, x, centroid, encoded);
	memcpy(encoded + shape->encoded_rerank_offset, rerank, shape->rerank_bytes);
	/* x is off by sigma sqrt(P - 1) in a direction that is random. */
	r = (double) fr_half_to_float(get_half(numbers)) +
		sigma * sqrt((double) shape->padded - 1);
	e = (double) fr_half_to_float(get_half(numbers + 4));
	put_half(numbers, half_upwards(r));
	put_half(numbers + 4, half_upwards(sqrt(e * e + sigma * sigma)));
}

/* ---- blocks ------------------------------------------------------------- */

static uint32_t
get_u32(const uint8_t *source)
{
	uint32_t value;

	memcpy(&value, source, sizeof value);
	return value;
}

/* Set or clear the bit of a slot in a mask of the block. */
static void
put_bit(uint8_t *block, uint32_t offset, uint32_t slot, bool is_set)
{
	uint32_t mask = get_u32(block + offset);

	mask = is_set ? mask | 1u << slot : mask & ~(1u << slot);
	memcpy(block + offset, &mask, sizeof mask);
}

uint32_t
fr_block_live(const FrSearchShape *shape, const uint8_t *block)
{
	return get_u32(block + shape->live_offset);
}

static uint8_t *
piece_at(uint8_t *block, uint32_t group, uint32_t slot)
{
	return block + ((size_t) group * FR_SEARCH_BLOCK + slot) * 4;
}

static void
put_filters(const FrSearchShape *shape, uint8_t *block, uint32_t slot,
			const uint64_t *values, const bool *is_null)
{
	for (uint32_t f = 0; f < shape->filter_count; f++)
	{
		const uint64_t value = is_null[f] ? 0 : values[f];
		uint8_t *target = block + shape->filter_offset[f] +
						  (size_t) slot * shape->filter_width[f];

		put_bit(block, shape->nulls_offset[f], slot, is_null[f]);
		switch (shape->filter_width[f])
		{
			case 1:
				*target = (uint8_t) value;
				break;
			case 2:
				memcpy(target, &(uint16_t){(uint16_t) value}, 2);
				break;
			case 4:
				memcpy(target, &(uint32_t){(uint32_t) value}, 4);
				break;
			default:
				memcpy(target, &value, 8);
				break;
		}
	}
}

void
fr_block_put(const FrSearchShape *shape, uint8_t *block, uint32_t slot,
			 const uint8_t *encoded, FrRowId row, const uint64_t *filter_values,
			 const bool *is_null)
{
	const uint8_t *numbers = encoded + shape->padded / 8;

	for (uint32_t g = 0; g < shape->padded / 32; g++)
		memcpy(piece_at(block, g, slot), encoded + (size_t) g * 4, 4);
	memcpy(block + shape->r_offset + slot * 2, numbers, 2);
	memcpy(block + shape->b_offset + slot * 2, numbers + 2, 2);
	memcpy(block + shape->e_offset + slot * 2, numbers + 4, 2);
	memcpy(block + shape->rows_offset + slot * sizeof row, &row, sizeof row);
	put_filters(shape, block, slot, filter_values, is_null);
	put_bit(block, shape->live_offset, slot, true);
}

void
fr_block_erase(const FrSearchShape *shape, uint8_t *block, uint32_t slot)
{
	static const uint8_t nothing[8];

	for (uint32_t g = 0; g < shape->padded / 32; g++)
		memset(piece_at(block, g, slot), 0, 4);
	memset(block + shape->r_offset + slot * 2, 0, 2);
	memset(block + shape->b_offset + slot * 2, 0, 2);
	memset(block + shape->e_offset + slot * 2, 0, 2);
	memset(block + shape->rows_offset + slot * sizeof(FrRowId), 0,
		   sizeof(FrRowId));
	for (uint32_t f = 0; f < shape->filter_count; f++)
	{
		memcpy(block + shape->filter_offset[f] +
				   (size_t) slot * shape->filter_width[f],
			   nothing, shape->filter_width[f]);
		put_bit(block, shape->nulls_offset[f], slot, false);
	}
	put_bit(block, shape->live_offset, slot, false);
}

static bool
is_zero(const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

bool
fr_block_is_erased(const FrSearchShape *shape, const uint8_t *block,
				   uint32_t slot)
{
	for (uint32_t g = 0; g < shape->padded / 32; g++)
		if (!is_zero(block + ((size_t) g * FR_SEARCH_BLOCK + slot) * 4, 4))
			return false;
	for (uint32_t f = 0; f < shape->filter_count; f++)
		if (!is_zero(block + shape->filter_offset[f] +
						 (size_t) slot * shape->filter_width[f],
					 shape->filter_width[f]) ||
			(get_u32(block + shape->nulls_offset[f]) >> slot & 1))
			return false;
	return is_zero(block + shape->r_offset + slot * 2, 2) &&
		   is_zero(block + shape->b_offset + slot * 2, 2) &&
		   is_zero(block + shape->e_offset + slot * 2, 2) &&
		   is_zero(block + shape->rows_offset + slot * sizeof(FrRowId),
				   sizeof(FrRowId)) &&
		   !(fr_block_live(shape, block) >> slot & 1);
}

FrRowId
fr_block_row(const FrSearchShape *shape, const uint8_t *block, uint32_t slot)
{
	FrRowId row;

	memcpy(&row, block + shape->rows_offset + slot * sizeof row, sizeof row);
	return row;
}

void
fr_block_get(const FrSearchShape *shape, const uint8_t *block, uint32_t slot,
			 uint8_t *encoded)
{
	uint8_t *numbers = encoded + shape->padded / 8;

	for (uint32_t g = 0; g < shape->padded / 32; g++)
		memcpy(encoded + (size_t) g * 4,
			   block + ((size_t) g * FR_SEARCH_BLOCK + slot) * 4, 4);
	memcpy(numbers, block + shape->r_offset + slot * 2, 2);
	memcpy(numbers + 2, block + shape->b_offset + slot * 2, 2);
	memcpy(numbers + 4, block + shape->e_offset + slot * 2, 2);
}

/* Finite and not negative. */
static bool
is_magnitude(uint16_t half)
{
	return half < FR_HALF_INFINITY;
}

FrStatus
fr_block_check(const FrSearchShape *shape, const uint8_t *block, uint32_t slot,
			   FrError *error)
{
	const uint16_t r = get_half(block + shape->r_offset + slot * 2);
	const uint16_t b = get_half(block + shape->b_offset + slot * 2);
	const uint16_t e = get_half(block + shape->e_offset + slot * 2);

	if (!is_magnitude(r) || !is_magnitude(b) || !is_magnitude(e))
		return fr_fail(error, FR_ERR_CORRUPT,
					   "The numbers of slot %u are impossible: |r| = %g, B = "
					   "%g, E = %g.",
					   slot, (double) fr_half_to_float(r),
					   (double) fr_half_to_float(b),
					   (double) fr_half_to_float(e));
	return FR_OK;
}

/* ---- filter columns ----------------------------------------------------- */

/* A value of width bytes as it was given to fr_block_put. */
static uint64_t
get_value(const uint8_t *source, uint32_t width)
{
	uint64_t value = 0;
	uint16_t two;

	switch (width)
	{
		case 1:
			return *source;
		case 2:
			memcpy(&two, source, sizeof two);
			return two;
		case 4:
			return get_u32(source);
		default:
			memcpy(&value, source, sizeof value);
			return value;
	}
}

uint64_t
fr_block_filter_value(const FrSearchShape *shape, const uint8_t *block,
					  uint32_t slot, uint32_t filter, bool *is_null)
{
	const uint32_t width = shape->filter_width[filter];

	*is_null = get_u32(block + shape->nulls_offset[filter]) >> slot & 1;
	return get_value(
		block + shape->filter_offset[filter] + (size_t) slot * width, width);
}

uint32_t
fr_block_filter_mask(const FrSearchShape *shape, const uint8_t *block,
					 uint32_t filter, uint64_t value)
{
	const uint32_t width = shape->filter_width[filter];
	const uint8_t *values = block + shape->filter_offset[filter];
	uint32_t mask = 0;

	if (width < 8)
		value &= ((uint64_t) 1 << 8 * width) - 1;
	for (uint32_t slot = 0; slot < FR_SEARCH_BLOCK; slot++)
		mask |= (uint32_t) (get_value(values + (size_t) slot * width, width) ==
							value)
				<< slot;
	return mask & fr_block_live(shape, block) &
		   ~get_u32(block + shape->nulls_offset[filter]);
}

/* Is a value one of values [count], which rise? */
static bool
is_among(uint64_t value, const uint64_t *values, uint32_t count)
{
	uint32_t low = 0;
	uint32_t high = count;

	while (low < high)
	{
		uint32_t middle = low + (high - low) / 2;

		if (values[middle] < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && values[low] == value;
}

uint32_t
fr_block_filter_any_mask(const FrSearchShape *shape, const uint8_t *block,
						 uint32_t filter, const uint64_t *values,
						 uint32_t count)
{
	uint32_t mask = 0;

	if (count <= FEW_VALUES)
	{
		for (uint32_t i = 0; i < count; i++)
			mask |= fr_block_filter_mask(shape, block, filter, values[i]);
		return mask;
	}
	for (uint32_t slot = 0; slot < FR_SEARCH_BLOCK; slot++)
	{
		bool is_null;
		uint64_t value =
			fr_block_filter_value(shape, block, slot, filter, &is_null);

		mask |= (uint32_t) (!is_null && is_among(value, values, count)) << slot;
	}
	return mask & fr_block_live(shape, block);
}

uint32_t
fr_block_filter_range_mask(const FrSearchShape *shape, const uint8_t *block,
						   uint32_t filter, bool is_signed, int64_t low,
						   int64_t high)
{
	const uint32_t width = shape->filter_width[filter];
	const uint32_t unused = 64 - 8 * width;
	const uint8_t *values = block + shape->filter_offset[filter];
	uint32_t mask = 0;

	for (uint32_t slot = 0; slot < FR_SEARCH_BLOCK; slot++)
	{
		uint64_t bytes = get_value(values + (size_t) slot * width, width);
		int64_t value =
			is_signed ? (int64_t) (bytes << unused) >> unused : (int64_t) bytes;

		mask |= (uint32_t) (value >= low && value <= high) << slot;
	}
	return mask & fr_block_live(shape, block) &
		   ~get_u32(block + shape->nulls_offset[filter]);
}

uint32_t
fr_block_null_mask(const FrSearchShape *shape, const uint8_t *block,
				   uint32_t filter)
{
	return get_u32(block + shape->nulls_offset[filter]) &
		   fr_block_live(shape, block);
}

/* ---- re-rank codes ------------------------------------------------------ */

void
fr_rerank_put(const FrSearchShape *shape, uint8_t *area, uint32_t position,
			  const uint8_t *encoded)
{
	memcpy(fr_rerank_at(shape, area, position),
		   fr_encoded_rerank(shape, encoded), shape->rerank_bytes);
}

void
fr_rerank_erase(const FrSearchShape *shape, uint8_t *area, uint32_t position)
{
	memset(fr_rerank_at(shape, area, position), 0, shape->rerank_bytes);
}

bool
fr_rerank_is_erased(const FrSearchShape *shape, const uint8_t *area,
					uint32_t position)
{
	return is_zero(area + (size_t) position * shape->rerank_bytes,
				   shape->rerank_bytes);
}

FrStatus
fr_rerank_check(const FrSearchShape *shape, const uint8_t *rerank,
				FrError *error)
{
	const uint16_t f = get_half(rerank + shape->padded / 2);
	const uint16_t sigma = get_half(rerank + shape->padded / 2 + 2);

	if (!is_magnitude(f) || !is_magnitude(sigma))
		return fr_fail(error, FR_ERR_CORRUPT,
					   "The numbers of a re-rank code are impossible: f = %g, "
					   "sigma = %g.",
					   (double) fr_half_to_float(f),
					   (double) fr_half_to_float(sigma));
	return FR_OK;
}
