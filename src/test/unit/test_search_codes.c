/*
 * test_search_codes.c: shapes fit their pages; codes are those that numpy
 * computes; blocks give back what was put, and erasing leaves no trace.
 */
#include "core/search/codes.h"
#include "kernels/half.h"
#include "test/golden/search_codes.h"
#include "test/unit/search_data.h"

static const FrKernels *kernels;

/* ---- shapes ------------------------------------------------------------- */

static void
test_shape_512(void)
{
	const FrSearchShape shape = shape_of(512);

	is_int(shape.padded, 512, "512 dimensions need no padding");
	is_int(shape.blocks_per_page, 3, "blocks of a page");
	is_int(shape.rerank_per_page, 31, "re-rank codes of a page");
	is_int(shape.rerank_pages, 3, "re-rank pages of a code page");
	is_int(shape.slots_per_page, 93, "vectors of a code page");
	is_int(shape.block_bytes, 2048 + 3 * 64 + 192 + 4, "bytes of a block");
	is_int(shape.encoded_bytes, 64 + 6 + 260, "bytes of an encoding");
}

/* Everything lies where the header says, and fits. */
static bool
is_consistent(const FrSearchShape *shape, uint32_t room)
{
	uint32_t end = shape->live_offset + 4;

	if (shape->padded < shape->dims || shape->padded % 64 != 0 ||
		shape->r_offset != 4 * shape->padded ||
		shape->b_offset != shape->r_offset + 64 ||
		shape->e_offset != shape->b_offset + 64 ||
		shape->rows_offset != shape->e_offset + 64 ||
		shape->live_offset != shape->rows_offset + 192)
		return false;
	for (uint32_t f = 0; f < shape->filter_count; f++)
	{
		if (shape->nulls_offset[f] != end || shape->filter_offset[f] != end + 4)
			return false;
		end += 4 + 32 * shape->filter_width[f];
	}
	return end == shape->block_bytes && shape->rerank_pages > 0 &&
		   shape->slots_per_page > 0 &&
		   shape->slots_per_page <= 32 * shape->blocks_per_page &&
		   shape->slots_per_page > 32 * (shape->blocks_per_page - 1) &&
		   shape->slots_per_page <=
			   shape->rerank_pages * shape->rerank_per_page &&
		   shape->blocks_per_page * shape->block_bytes +
				   4 * shape->rerank_pages <=
			   room &&
		   shape->rerank_per_page * shape->rerank_bytes <= room;
}

static void
test_all_shapes(void)
{
	static const uint32_t widths[] = {8, 4, 2, 1};
	uint32_t largest = 0;
	bool is_right = true;
	FrError error = {0};
	FrSearchShape shape;

	for (uint32_t dims = 1; dims <= 4096; dims++)
		for (uint32_t filters = 0; filters <= 4; filters += 2)
		{
			if (fr_search_shape_init(&shape, dims, widths, filters, PAGE_ROOM,
									 PAGE_ROOM, &error) == FR_OK)
			{
				is_right &= is_consistent(&shape, PAGE_ROOM);
				largest = dims > largest ? dims : largest;
			}
			else
				is_right &= error.status == FR_ERR_LIMIT && dims > 1600;
		}
	ok(is_right, "all shapes are consistent");
	is_int(largest, 1920, "the longest vectors that fit 8 kB");
	is_status(fr_search_shape_init(&shape, 2048, NULL, 0, PAGE_ROOM, PAGE_ROOM,
								   &error),
			  FR_ERR_LIMIT, &error, "2,048 dimensions");
	ok(strstr(error.message, "1920") != NULL, "%s", error.message);
	is_status(fr_search_shape_init(&shape, 4096, NULL, 0, 32600, 32600, &error),
			  FR_OK, &error, "4,096 dimensions on pages of 32 kB");
	is_status(
		fr_search_shape_init(&shape, 0, NULL, 0, PAGE_ROOM, PAGE_ROOM, &error),
		FR_ERR_ARGUMENT, &error, "no dimension");
	is_status(fr_search_shape_init(&shape, 4097, NULL, 0, 32600, 32600, &error),
			  FR_ERR_LIMIT, &error, "too many dimensions");
	is_status(fr_search_shape_init(&shape, 64, &(uint32_t){3}, 1, PAGE_ROOM,
								   PAGE_ROOM, &error),
			  FR_ERR_ARGUMENT, &error, "a filter column of 3 bytes");
	is_status(
		fr_search_shape_init(&shape, 64, NULL, 9, PAGE_ROOM, PAGE_ROOM, &error),
		FR_ERR_LIMIT, &error, "nine filter columns");
	is_status(fr_search_shape_init(&shape, 64, NULL, 0, 100, 100, &error),
			  FR_ERR_LIMIT, &error, "a page that is too small");
	is_int(fr_search_list_count(0), 1, "lists of an empty table");
	is_int(fr_search_list_count(999), 1, "lists of a small table");
	is_int(fr_search_list_count(100000), 316, "lists of 100,000 rows");
	is_int(fr_search_list_count(1e12), 4096, "no more than 4,096 lists");
}

/* ---- encodings ---------------------------------------------------------- */

static uint16_t
half_at(const uint8_t *bytes)
{
	uint16_t half;

	memcpy(&half, bytes, sizeof half);
	return half;
}

/* The values that make_search.py uses. */
static void
golden_vectors(float *x, FrCentroid *centroid, const FrSearchShape *shape)
{
	int64_t squared = 0;

	centroid->scale = 0.0003f;
	for (int i = 0; i < 576; i++)
	{
		x[i] = (float) (sin(0.37 * i * i + 1) / sqrt(288));
		centroid->values[i] = (int8_t) (i * 37 % 255 - 127);
		squared += centroid->values[i] * centroid->values[i];
	}
	centroid->half_norm2 =
		(float) (0.5 * (double) squared * (double) centroid->scale *
				 (double) centroid->scale);
	(void) shape;
}

static void
test_golden(const char *isa)
{
	const FrSearchShape shape = shape_of(576);
	FrCentroid *centroid = malloc(shape.centroid_bytes);
	uint8_t *encoded = malloc(shape.encoded_bytes);
	const uint8_t *numbers = encoded + 72;
	const uint8_t *rerank = fr_encoded_rerank(&shape, encoded);
	float x[576];

	golden_vectors(x, centroid, &shape);
	fr_code_encode(&shape, kernels, x, centroid, encoded);
	ok(memcmp(encoded, golden_bits, sizeof golden_bits) == 0,
	   "%s: the 1-bit code is numpy's", isa);
	ok(memcmp(rerank, golden_rerank, sizeof golden_rerank) == 0,
	   "%s: the re-rank code is numpy's", isa);
	is_int(half_at(numbers), golden_r, "|r|");
	is_int(half_at(numbers + 2), golden_b, "B");
	/* Rounded up, so that the last place may differ. */
	ok(abs(half_at(numbers + 4) - golden_e) <= 1, "E");
	is_int(half_at(rerank + 288), golden_f, "f");
	ok(abs(half_at(rerank + 290) - golden_sigma) <= 1, "sigma");

	/* the same of what the re-rank code tells */
	uint8_t *again = malloc(shape.encoded_bytes);

	fr_rerank_decode(&shape, rerank, x);
	ok_near(x[9], golden_decoded_9, 1e-8, "%s: decoded as numpy does", isa);
	fr_code_encode_decoded(&shape, kernels, x, rerank, centroid, again);
	ok(memcmp(again, golden_decoded_bits, sizeof golden_decoded_bits) == 0,
	   "%s: 1-bit code of a decoded vector", isa);
	ok(memcmp(fr_encoded_rerank(&shape, again), rerank, shape.rerank_bytes) ==
		   0,
	   "and the re-rank code that it had");
	numbers = again + 72;
	ok(abs(half_at(numbers) - golden_decoded_r) <= 1, "its |r|");
	is_int(half_at(numbers + 2), golden_decoded_b, "its B");
	ok(abs(half_at(numbers + 4) - golden_decoded_e) <= 1, "its E");
	free(again);
	free(centroid);
	free(encoded);
}

/* Whatever x and c are, all numbers are finite. */
static void
test_degenerate(void)
{
	const FrSearchShape shape = shape_of(512);
	FrCentroid *centroid = malloc(shape.centroid_bytes);
	uint8_t *encoded = malloc(shape.encoded_bytes);
	uint8_t *block = calloc(1, shape.block_bytes);
	float *x = floats_of(512), *c = floats_of(512);
	static const char *const what[] = {
		"x is the centroid", "x is nearly the centroid", "an axis",
		"a flat vector",	 "the zero vector",			 "the zero centroid"};
	FrError error = {0};

	for (int kind = 0; kind < 6; kind++)
	{
		random_unit(c, 512);
		random_unit(x, 512);
		if (kind == 5)
			memset(c, 0, 512 * sizeof *c);
		fr_centroid_quantise(&shape, c, centroid);
		for (int i = 0; i < 512; i++)
		{
			const float dequantised =
				centroid->scale * (float) centroid->values[i];

			x[i] = kind == 0   ? dequantised
				   : kind == 1 ? dequantised + (i == 9 ? 1e-7f : 0)
				   : kind == 2 ? (float) (i == 100)
				   : kind == 3 ? 0.04419f
				   : kind == 4 ? 0.0f
							   : x[i];
		}
		fr_code_encode(&shape, kernels, x, centroid, encoded);
		fr_block_put(&shape, block, 5, encoded, (FrRowId){{1}}, NULL, NULL);
		is_status(fr_block_check(&shape, block, 5, &error), FR_OK, &error,
				  "%s: 1-bit code", what[kind]);
		is_status(
			fr_rerank_check(&shape, fr_encoded_rerank(&shape, encoded), &error),
			FR_OK, &error, "%s: re-rank code", what[kind]);
		if (kind < 2)
			ok((double) fr_half_to_float(half_at(encoded + 64 + 4)) < 1e-6,
			   "%s: no error", what[kind]);
	}
	memcpy(block + shape.b_offset + 10, &(uint16_t){FR_HALF_QUIET_NAN}, 2);
	is_status(fr_block_check(&shape, block, 5, &error), FR_ERR_CORRUPT, &error,
			  "B that is no number");
	memcpy(encoded + shape.encoded_bytes - 2, &(uint16_t){0x8001}, 2);
	is_status(
		fr_rerank_check(&shape, fr_encoded_rerank(&shape, encoded), &error),
		FR_ERR_CORRUPT, &error, "a negative sigma");
	free(centroid);
	free(encoded);
	free(block);
	free(x);
	free(c);
}

/* ---- blocks ------------------------------------------------------------- */

typedef struct Put
{
	uint8_t encoded[2048];
	FrRowId row;
	uint64_t values[3];
	bool is_null[3];
} Put;

static void
random_put(const FrSearchShape *shape, Put *put)
{
	for (uint32_t i = 0; i < shape->encoded_bytes; i++)
		put->encoded[i] = (uint8_t) (fr_random(&data_seed) | 1);
	for (size_t i = 0; i < sizeof put->row.bytes; i++)
		put->row.bytes[i] = (uint8_t) (fr_random(&data_seed) | 1);
	for (uint32_t f = 0; f < shape->filter_count; f++)
	{
		put->is_null[f] = fr_random_below(&data_seed, 4) == 0;
		put->values[f] = fr_random(&data_seed) | 1;
	}
}

static bool
holds(const FrSearchShape *shape, const uint8_t *block, uint32_t slot,
	  const Put *put)
{
	uint8_t head[1024];
	const FrRowId row = fr_block_row(shape, block, slot);
	bool is_same;

	fr_block_get(shape, block, slot, head);
	is_same = memcmp(head, put->encoded, shape->encoded_rerank_offset) == 0 &&
			  memcmp(&row, &put->row, sizeof row) == 0 &&
			  (fr_block_live(shape, block) >> slot & 1);
	for (uint32_t f = 0; f < shape->filter_count; f++)
	{
		const uint32_t bits = 8 * shape->filter_width[f];
		const uint64_t mask = bits < 64 ? ((uint64_t) 1 << bits) - 1 : ~0ull;
		bool is_null;
		const uint64_t value =
			fr_block_filter_value(shape, block, slot, f, &is_null);

		is_same &= is_null == put->is_null[f] &&
				   value == (is_null ? 0 : put->values[f] & mask);
	}
	return is_same;
}

static void
test_blocks(uint32_t dims)
{
	static const uint32_t widths[] = {8, 1, 4};
	static Put puts[32];
	FrSearchShape shape;
	FrError error = {0};
	bool is_held = true, is_erased = true;

	is_status(fr_search_shape_init(&shape, dims, widths, 3, PAGE_ROOM,
								   PAGE_ROOM, &error),
			  FR_OK, &error, "%u dimensions, three filter columns", dims);

	uint8_t *block = calloc(1, shape.block_bytes);
	uint8_t *empty = calloc(1, shape.block_bytes);

	for (uint32_t slot = 0; slot < 32; slot++)
	{
		random_put(&shape, &puts[slot]);
		fr_block_put(&shape, block, slot, puts[slot].encoded, puts[slot].row,
					 puts[slot].values, puts[slot].is_null);
		for (uint32_t before = 0; before <= slot; before++)
			is_held &= holds(&shape, block, before, &puts[before]);
	}
	ok(is_held, "every slot gives back what was put");
	is_int(fr_block_live(&shape, block), 0xffffffffu, "all slots are live");
	for (uint32_t slot = 0; slot < 32; slot++)
	{
		is_erased &= !fr_block_is_erased(&shape, block, slot);
		fr_block_erase(&shape, block, slot);
		is_erased &= fr_block_is_erased(&shape, block, slot);
		for (uint32_t after = slot + 1; after < 32; after++)
			is_erased &= holds(&shape, block, after, &puts[after]);
	}
	ok(is_erased, "erasing a slot leaves the others");
	ok(memcmp(block, empty, shape.block_bytes) == 0,
	   "nothing is left of 32 erased vectors");
	free(block);
	free(empty);
}

static void
test_filter_masks(void)
{
	static const uint32_t widths[] = {1, 2, 4, 8};
	FrSearchShape shape;
	FrError error = {0};

	is_status(fr_search_shape_init(&shape, 128, widths, 4, PAGE_ROOM, PAGE_ROOM,
								   &error),
			  FR_OK, &error, "four filter columns");

	uint8_t *block = calloc(1, shape.block_bytes);
	uint8_t *encoded = calloc(1, shape.encoded_bytes);

	for (uint32_t slot = 0; slot < 30; slot++)
	{
		/* -3, 0, 3, ... sign-extended as in a Datum */
		const uint64_t value = (uint64_t) (3 * ((int64_t) slot % 5 - 1));
		const uint64_t values[] = {value, value, value, value};
		const bool is_null[] = {slot == 1, slot == 1, slot == 1, slot == 1};

		fr_block_put(&shape, block, slot, encoded, (FrRowId){{0}}, values,
					 is_null);
	}
	fr_block_erase(&shape, block, 5);
	for (uint32_t f = 0; f < 4; f++)
	{
		is_int(fr_block_filter_mask(&shape, block, f, (uint64_t) -3),
			   0x02108401u, "slots with -3 in %u bytes", widths[f]);
		is_int(fr_block_filter_mask(&shape, block, f, 0), 0x04210840u,
			   "slots with 0");
		is_int(fr_block_filter_mask(&shape, block, f, 7), 0, "slots with 7");
		is_int(fr_block_null_mask(&shape, block, f), 2, "slots with NULL");

		/* -3 as the column has it comes last; in between, nothing. */
		uint64_t values[20] = {0, 3};
		const uint64_t minus_three =
			(uint64_t) -3 & UINT64_MAX >> (64 - 8 * widths[f]);

		is_int(fr_block_filter_any_mask(&shape, block, f, values, 2),
			   0x0c6318c4u, "slots with 0 or 3");
		for (uint32_t i = 2; i < 19; i++)
			values[i] = 20 + i;
		values[19] = minus_three;
		is_int(fr_block_filter_any_mask(&shape, block, f, values, 20),
			   0x0e739cc5u, "slots with one of 20 values");
		is_int(fr_block_filter_any_mask(&shape, block, f, values + 2, 17), 0,
			   "slots with none of 17");
		is_int(fr_block_filter_range_mask(&shape, block, f, true, -3, 0),
			   0x06318c61u & ~0x22u, "slots from -3 to 0");
		is_int(fr_block_filter_range_mask(&shape, block, f, true, 1, INT64_MAX),
			   0x39ce739cu & ~0x22u, "slots above 0");
		is_int(fr_block_filter_range_mask(&shape, block, f, true, 7, 3), 0,
			   "slots in no range");
		if (widths[f] < 8)
			is_int(fr_block_filter_range_mask(&shape, block, f, false, 10,
											  INT64_MAX),
				   0x02108401u, "slots with more than 9 by unsigned bytes");
		is_int(fr_block_filter_any_mask(&shape, block, f, values, 0), 0,
			   "slots with one of no value");
	}
	free(block);
	free(encoded);
}

static void
test_rerank_slots(void)
{
	const FrSearchShape shape = shape_of(512);
	const size_t bytes = (size_t) shape.rerank_per_page * shape.rerank_bytes;
	uint8_t *area = calloc(1, bytes), *empty = calloc(1, bytes);
	static Put put;

	random_put(&shape, &put);
	fr_rerank_put(&shape, area, 0, put.encoded);
	fr_rerank_put(&shape, area, shape.rerank_per_page - 1, put.encoded);
	ok(memcmp(area + bytes - shape.rerank_bytes,
			  fr_encoded_rerank(&shape, put.encoded), shape.rerank_bytes) == 0,
	   "the last position");
	ok(!fr_rerank_is_erased(&shape, area, 0) &&
		   fr_rerank_is_erased(&shape, area, 1),
	   "only what was put is there");
	fr_rerank_erase(&shape, area, 0);
	fr_rerank_erase(&shape, area, shape.rerank_per_page - 1);
	ok(memcmp(area, empty, bytes) == 0, "nothing is left of erased codes");
	free(area);
	free(empty);
}

int
main(void)
{
	static const char *const names[] = {"generic", "avx2", "avx512"};

	test_shape_512();
	test_all_shapes();
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
	{
		kernels = fr_kernels_by_name(names[i]);
		if (kernels)
			test_golden(names[i]);
		else
			skip(names[i], "this CPU cannot run it");
	}
	kernels = fr_kernels_best();
	test_degenerate();
	test_blocks(64);
	test_blocks(512);
	test_blocks(1000);
	test_filter_masks();
	test_rerank_slots();
	return tap_done();
}
