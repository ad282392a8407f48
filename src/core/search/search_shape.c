/*
 * search_shape.c: sizes and places of what the index stores of a vector.
 */
#include "core/search/search_shape.h"

#include <math.h>

#define HALF_BYTES 2u

/* Lists and the sample that they are made from. */
#define MAX_LISTS		4096u
#define MIN_ROWS		1000.0 /* below, a single list */
#define SAMPLE_PER_LIST 50u
#define MIN_SAMPLE		10000u

static uint32_t
pad_dims(uint32_t dims)
{
	uint32_t padded =
		(dims + FR_SEARCH_PADDING - 1) / FR_SEARCH_PADDING * FR_SEARCH_PADDING;

	return padded < FR_SEARCH_MIN_PADDED ? FR_SEARCH_MIN_PADDED : padded;
}

/* Bytes of a block apart from the codes. */
static uint32_t
column_bytes(const uint32_t *filter_widths, uint32_t filter_count)
{
	uint32_t bytes =
		FR_SEARCH_BLOCK * (3 * HALF_BYTES + (uint32_t) sizeof(FrRowId)) + 4;

	for (uint32_t f = 0; f < filter_count; f++)
		bytes += FR_SEARCH_BLOCK * filter_widths[f] + 4;
	return bytes;
}

static uint32_t
rerank_bytes(uint32_t padded)
{
	return padded / 2 + 2 * HALF_BYTES;
}

/* Does one block with at least one re-rank page fit? */
static bool
is_fitting(uint32_t padded, uint32_t columns, uint32_t code_page_bytes,
		   uint32_t rerank_page_bytes)
{
	return padded * FR_SEARCH_BLOCK / 8 + columns + 4 <= code_page_bytes &&
		   rerank_bytes(padded) <= rerank_page_bytes;
}

/* Say how many dimensions would fit. */
static FrStatus
fail_too_long(uint32_t dims, uint32_t columns, uint32_t code_page_bytes,
			  uint32_t rerank_page_bytes, FrError *error)
{
	uint32_t padded = FR_SEARCH_MAX_PADDED;

	while (padded > 0 &&
		   !is_fitting(padded, columns, code_page_bytes, rerank_page_bytes))
		padded -= FR_SEARCH_PADDING;
	if (padded < FR_SEARCH_MIN_PADDED)
		return fr_fail(error, FR_ERR_LIMIT,
					   "The filter columns leave no room for vectors on a "
					   "page of the index.");
	return fr_fail(error, FR_ERR_LIMIT,
				   "The vectors have %u dimensions; a page of the index has "
				   "room for at most %u.",
				   dims, padded);
}

static void
place_columns(FrSearchShape *shape)
{
	uint32_t offset = shape->codes_bytes;

	shape->r_offset = offset;
	offset += FR_SEARCH_BLOCK * HALF_BYTES;
	shape->b_offset = offset;
	offset += FR_SEARCH_BLOCK * HALF_BYTES;
	shape->e_offset = offset;
	offset += FR_SEARCH_BLOCK * HALF_BYTES;
	shape->rows_offset = offset;
	offset += FR_SEARCH_BLOCK * (uint32_t) sizeof(FrRowId);
	shape->live_offset = offset;
	offset += 4;
	for (uint32_t f = 0; f < shape->filter_count; f++)
	{
		shape->nulls_offset[f] = offset;
		offset += 4;
		shape->filter_offset[f] = offset;
		offset += FR_SEARCH_BLOCK * shape->filter_width[f];
	}
	shape->block_bytes = offset;
}

/*
 * Choose how many re-rank pages a code page has: a full one of 1 + X pages
 * holds min(32 * blocks, X * rerank_per_page) vectors.  Each link costs 4
 * bytes of the code page.
 */
static void
choose_pages(FrSearchShape *shape, uint32_t code_page_bytes)
{
	double best = INFINITY;

	for (uint32_t pages = 1; pages <= FR_SEARCH_MAX_RERANK_PAGES; pages++)
	{
		if (4 * pages + shape->block_bytes > code_page_bytes)
			break;

		uint32_t blocks = (code_page_bytes - 4 * pages) / shape->block_bytes;
		uint32_t slots = pages * shape->rerank_per_page;

		if (slots > FR_SEARCH_BLOCK * blocks)
			slots = FR_SEARCH_BLOCK * blocks;
		if ((1.0 + pages) / slots >= best)
			continue;
		best = (1.0 + pages) / slots;
		shape->blocks_per_page =
			(slots + FR_SEARCH_BLOCK - 1) / FR_SEARCH_BLOCK;
		shape->rerank_pages = pages;
		shape->slots_per_page = slots;
	}
}

FrStatus
fr_search_shape_init(FrSearchShape *shape, uint32_t dims,
					 const uint32_t *filter_widths, uint32_t filter_count,
					 uint32_t code_page_bytes, uint32_t rerank_page_bytes,
					 FrError *error)
{
	*shape = (FrSearchShape){.dims = dims};
	if (dims == 0)
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "The vectors have no dimension.");
	if (filter_count > FR_SEARCH_MAX_FILTERS)
		return fr_fail(error, FR_ERR_LIMIT,
					   "There are %u filter columns; the index takes at most "
					   "%d.",
					   filter_count, FR_SEARCH_MAX_FILTERS);
	for (uint32_t f = 0; f < filter_count; f++)
	{
		uint32_t width = filter_widths[f];

		if (width != 1 && width != 2 && width != 4 && width != 8)
			return fr_fail(error, FR_ERR_ARGUMENT,
						   "A filter column has values of %u bytes; 1, 2, 4 "
						   "and 8 are possible.",
						   width);
		shape->filter_width[f] = width;
	}
	shape->filter_count = filter_count;

	uint32_t columns = column_bytes(filter_widths, filter_count);

	if (dims > FR_SEARCH_MAX_PADDED ||
		!is_fitting(pad_dims(dims), columns, code_page_bytes,
					rerank_page_bytes))
		return fail_too_long(dims, columns, code_page_bytes, rerank_page_bytes,
							 error);
	shape->padded = pad_dims(dims);
	shape->codes_bytes = shape->padded * FR_SEARCH_BLOCK / 8;
	place_columns(shape);
	shape->encoded_rerank_offset = shape->padded / 8 + 3 * HALF_BYTES;
	shape->rerank_bytes = rerank_bytes(shape->padded);
	shape->encoded_bytes = shape->encoded_rerank_offset + shape->rerank_bytes;
	shape->centroid_bytes = shape->padded + 8;
	shape->rerank_per_page = rerank_page_bytes / shape->rerank_bytes;
	choose_pages(shape, code_page_bytes);
	return FR_OK;
}

uint32_t
fr_search_list_count(double rows)
{
	double lists = sqrt(rows);

	if (!(rows >= MIN_ROWS))
		return 1;
	return lists < MAX_LISTS ? (uint32_t) lists : MAX_LISTS;
}

uint32_t
fr_search_sample_rows(uint32_t lists)
{
	uint32_t rows = lists * SAMPLE_PER_LIST;

	return rows < MIN_SAMPLE ? MIN_SAMPLE : rows;
}
