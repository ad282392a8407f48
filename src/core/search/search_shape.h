/*
 * search_shape.h: sizes and places of everything that the index stores of a
 * vector, as functions of its dimensions and of the page's size.
 *
 * Vectors are stored in blocks of 32: one page holds whole blocks of 1-bit
 * codes ("code page"), other pages the 4-bit codes of the same vectors, in the
 * same order ("re-rank pages").  A block is
 *
 *   offset             bytes            content
 *   0                  32 * P / 8       1-bit codes, groups of 32 bits: group
 *                                       g of vector v at (g * 32 + v) * 4
 *   r_offset           32 * 2           |r|, binary16
 *   b_offset           32 * 2           B, binary16
 *   e_offset           32 * 2           E, binary16
 *   rows_offset        32 * 6           row ids (opaque, 6 bytes)
 *   live_offset        4                bit v: slot v holds a row
 *   nulls_offset[f]    4                bit v: filter column f of v is NULL
 *   filter_offset[f]   32 * width[f]    values of filter column f
 *
 * with P the padded dimensions.  All numbers are in the machine's byte order,
 * as everything on PostgreSQL's pages.  Offsets of numbers are multiples of 4
 * from the start of the block (8-byte values, too).
 */
#ifndef FR_CORE_SEARCH_SEARCH_SHAPE_H
#define FR_CORE_SEARCH_SEARCH_SHAPE_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

#define FR_SEARCH_BLOCK			   32 /* vectors */
#define FR_SEARCH_MIN_PADDED	   512
#define FR_SEARCH_MAX_PADDED	   4096
#define FR_SEARCH_PADDING		   64
#define FR_SEARCH_MAX_FILTERS	   8
#define FR_SEARCH_MAX_RERANK_PAGES 64

/* Identifies the row of a vector; the search only carries it. */
typedef struct FrRowId
{
	uint8_t bytes[6];
} FrRowId;

typedef struct FrSearchShape
{
	uint32_t dims;
	uint32_t padded; /* P: a multiple of 64, at least 512 */

	/* A block of 32 vectors; see above. */
	uint32_t block_bytes;
	uint32_t codes_bytes; /* of 32 vectors: 4 * P */
	uint32_t r_offset, b_offset, e_offset, rows_offset, live_offset;
	uint32_t filter_count;
	uint32_t filter_width[FR_SEARCH_MAX_FILTERS]; /* 1, 2, 4 or 8 bytes */
	uint32_t filter_offset[FR_SEARCH_MAX_FILTERS];
	uint32_t nulls_offset[FR_SEARCH_MAX_FILTERS];

	/* One vector's encoding as a flat record (codes.h): 1-bit code, |r|, B, E,
	 * then the re-rank code. */
	uint32_t encoded_bytes;
	uint32_t encoded_rerank_offset;
	uint32_t rerank_bytes; /* P / 2 + 4 */

	uint32_t centroid_bytes; /* P + 8 (centroids.h) */

	/* Pages. Slot n (0 .. slots_per_page - 1) of a code page is vector n % 32
	 * of block n / 32; its re-rank code is number n % rerank_per_page on the
	 * code page's re-rank page n / rerank_per_page. */
	uint32_t blocks_per_page;
	uint32_t rerank_per_page;
	uint32_t rerank_pages;	 /* per code page */
	uint32_t slots_per_page; /* at most 32 * blocks_per_page */
} FrSearchShape;

/*
 * Fill a shape for vectors of dims dimensions and filter_count filter columns
 * of filter_widths [filter_count] bytes each.  code_page_bytes is the room of
 * a code page for its blocks and for the numbers of its re-rank pages, 4 bytes
 * each; rerank_page_bytes that of a re-rank page for re-rank codes.  The
 * number of re-rank pages is the one that needs the fewest pages per vector.
 *
 * ARGUMENT for no dimension or an impossible width, LIMIT when one block or
 * one re-rank code does not fit its page; the message names the largest
 * number of dimensions that does.
 */
FrStatus fr_search_shape_init(FrSearchShape *shape, uint32_t dims,
							  const uint32_t *filter_widths,
							  uint32_t filter_count, uint32_t code_page_bytes,
							  uint32_t rerank_page_bytes, FrError *error);

/* How many lists suit that many vectors: about sqrt(rows), at least 1, at most
 * 4,096; 1 below 1,000 rows. */
uint32_t fr_search_list_count(double rows);

/* How many sampled vectors k-means wants for that many lists. */
uint32_t fr_search_sample_rows(uint32_t lists);

#endif
