/*
 * codes.h: what the index keeps of a vector, and where in a block.
 *
 * x is the rotated unit vector, c the centroid of its list, r = x - c and
 * s = sign(r) / sqrt(P).
 *
 * 1-bit code: sign(r), with |r|, B, E such that for a unit query q
 *     <x, q> = <c, q> + y,  y = B <s, q> + error,
 *     |error| <= epsilon * E * sqrt(1 - y^2 / |r|^2) but for a probability
 *     that falls like exp(-epsilon^2 / 2) (README).
 * Re-rank code: v, 4 bits per coordinate of x itself, not of r, so that it may
 * move between lists unchanged; with f and sigma such that
 *     <x, q> = f <v, q> + error,  |error| <= epsilon * sigma likewise.
 *
 * All numbers are finite whatever x is: r = 0 gives B = E = 0.
 */
#ifndef FR_CORE_SEARCH_CODES_H
#define FR_CORE_SEARCH_CODES_H

#include <stdbool.h>

#include "core/search/centroids.h"
#include "core/search/search_shape.h"
#include "kernels/kernels.h"

/*
 * Encode x [padded], a rotated unit vector, against the centroid of its list
 * into encoded [shape->encoded_bytes], a flat record without pointers.
 */
void
fr_code_encode(const FrSearchShape *shape, const FrKernels *kernels,
			   const float *x, const FrCentroid *centroid, uint8_t *encoded);

/* The vector f v that a re-rank code stands for: x but for an error across it,
 * of length sigma sqrt(P - 1).  The code must have passed fr_rerank_check. */
void
fr_rerank_decode(const FrSearchShape *shape, const uint8_t *rerank, float *x);

/*
 * Encode a vector of which only the re-rank code is left against another
 * centroid, as fr_code_encode does; x is what fr_rerank_decode made of it.  The
 * numbers of the 1-bit code allow for what the re-rank code does not tell.
 */
void
fr_code_encode_decoded(const FrSearchShape *shape, const FrKernels *kernels,
					   const float *x, const uint8_t *rerank,
					   const FrCentroid *centroid, uint8_t *encoded);

/* ---- blocks of code pages ------------------------------------------------
 * A block is shape->block_bytes at an address that is a multiple of 4.  A
 * block of zeros is an empty block.  slot is 0..31. */

uint32_t fr_block_live(const FrSearchShape *shape, const uint8_t *block);

/*
 * Put a vector into a slot: code, columns, row id, filter values, live bit.
 * filter_values [filter_count] hold each value in the low bytes (as in a
 * Datum), is_null [filter_count] says which are NULL; both may be NULL when
 * the shape has no filter columns.
 */
void fr_block_put(const FrSearchShape *shape, uint8_t *block, uint32_t slot,
				  const uint8_t *encoded, FrRowId row,
				  const uint64_t *filter_values, const bool *is_null);

/* Overwrite everything of a slot by zeros and clear its live bit. */
void fr_block_erase(const FrSearchShape *shape, uint8_t *block, uint32_t slot);

/* True when the slot holds no trace of a vector. */
bool fr_block_is_erased(const FrSearchShape *shape, const uint8_t *block,
						uint32_t slot);

FrRowId
fr_block_row(const FrSearchShape *shape, const uint8_t *block, uint32_t slot);

/* Copy the 1-bit code, |r|, B and E of a slot to the head of encoded
 * [shape->encoded_rerank_offset bytes]: what fr_code_encode wrote. */
void fr_block_get(const FrSearchShape *shape, const uint8_t *block,
				  uint32_t slot, uint8_t *encoded);

/* Check a slot that is live: finite numbers, B and E not negative.  CORRUPT
 * otherwise. */
FrStatus fr_block_check(const FrSearchShape *shape, const uint8_t *block,
						uint32_t slot, FrError *error);

/* The value of a filter column of a slot, and whether it is NULL. */
uint64_t fr_block_filter_value(const FrSearchShape *shape, const uint8_t *block,
							   uint32_t slot, uint32_t filter, bool *is_null);

/* Bit v: the live slot v has this value, byte by byte, in the filter column,
 * and is not NULL. */
uint32_t fr_block_filter_mask(const FrSearchShape *shape, const uint8_t *block,
							  uint32_t filter, uint64_t value);

/* The same for one of values [count], which rise; bytes beyond the column's width
 * are 0. */
uint32_t fr_block_filter_any_mask(const FrSearchShape *shape,
								  const uint8_t *block, uint32_t filter,
								  const uint64_t *values, uint32_t count);

/* The same for a value from low to high; is_signed says how the column's bytes
 * are an integer (of 8 bytes they are signed). */
uint32_t fr_block_filter_range_mask(const FrSearchShape *shape,
									const uint8_t *block, uint32_t filter,
									bool is_signed, int64_t low, int64_t high);

/* Bit v: the live slot v is NULL in the filter column. */
uint32_t fr_block_null_mask(const FrSearchShape *shape, const uint8_t *block,
							uint32_t filter);

/* ---- re-rank codes ---------------------------------------------------------
 * area is the part of a re-rank page that holds codes: shape->rerank_per_page *
 * shape->rerank_bytes at an address that is a multiple of 2; position is 0 ..
 * rerank_per_page - 1. */

static inline uint8_t *
fr_rerank_at(const FrSearchShape *shape, uint8_t *area, uint32_t position)
{
	return area + (size_t) position * shape->rerank_bytes;
}

/* The re-rank code inside an encoded record. */
static inline const uint8_t *
fr_encoded_rerank(const FrSearchShape *shape, const uint8_t *encoded)
{
	return encoded + shape->encoded_rerank_offset;
}

void fr_rerank_put(const FrSearchShape *shape, uint8_t *area, uint32_t position,
				   const uint8_t *encoded);
void
fr_rerank_erase(const FrSearchShape *shape, uint8_t *area, uint32_t position);
bool fr_rerank_is_erased(const FrSearchShape *shape, const uint8_t *area,
						 uint32_t position);

/* Check a re-rank code of a live row: f and sigma finite, not negative. */
FrStatus fr_rerank_check(const FrSearchShape *shape, const uint8_t *rerank,
						 FrError *error);

#endif
