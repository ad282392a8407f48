/*
 * nn_conv.h: convolution by register tiles (template).
 *
 * A tile is P pixels x G groups of GROUP_BLOCKS output blocks; all its sums
 * stay in registers.  The inner step takes one input channel of one kernel
 * tap: it loads that channel's weights for the group (packed in exactly this
 * order, so each group is one stream), broadcasts the channel of each of the
 * P pixels and multiplies.  Short tiles take several groups (streams of
 * weights) at once, so that there are always enough independent sums.
 * Each output is summed in the same order whatever the tile: [block of input
 * channels, kernel row, kernel column, row of the packed weights]; so the
 * bits depend neither on the map's width nor on the batch.
 */
#ifndef FR_KERNELS_NN_CONV_H
#define FR_KERNELS_NN_CONV_H

#include "kernels/nn_epilogue.h"
#include "kernels/nn_pairs.h"

/* Packed weights up to this size stay in the L2 cache while rows pass. */
#define CACHED_WEIGHT_BYTES (512 * 1024)

/* Input of the tiles that pass between two changes of the group. */
#define CHUNK_INPUT_FLOATS (96 * 1024 / 4)

typedef struct Tile
{
	const FrConvTask *task;
	const float *input;		  /* window of the first pixel */
	const float *corrections; /* of its pixels, when in pairs */
	bool is_paired;
	const char *weights;   /* the stream of the first group */
	ptrdiff_t group_bytes; /* from group to group */
	int block;			   /* first output block */
	float *output;		   /* of the first pixel and block */
	const float *residual; /* likewise, or NULL */
	/* Used by irregular tiles: per pixel, relative to the pointers above. */
	const ptrdiff_t *input_offsets, *output_offsets, *residual_offsets;
} Tile;

/* How the pixels of a tile lie in the input. The usual strides are
 * compile-time constants: one base register serves all pixels. */
enum
{
	STRIDE_16, /* every pixel of a block */
	IRREGULAR, /* anything, by a table of offsets */
	STRIDE_32, /* every other pixel of a block */
	STRIDE_8,  /* every other pixel of a picture of 4 lanes */
	STRIDE_4,  /* every pixel of such a picture */
	PLACEMENT_COUNT
};

ALWAYS_INLINE ptrdiff_t
input_offset(const Tile *tile, int placement, int pixel)
{
	if (placement == IRREGULAR)
		return tile->input_offsets[pixel];
	return pixel * (placement == STRIDE_16	 ? 16
					: placement == STRIDE_32 ? 32
					: placement == STRIDE_4	 ? 4
											 : 8);
}

/* The loops around the taps need more values than there are general
 * registers.  GCC would keep strides and counts in vector registers, and an
 * address that comes from there waits behind all the multiplications before
 * it: a third of the speed.  Read again from the task, they wait for nothing.
 */
#define FORGET_MEMORY(a, b) __asm__ volatile("" : "+r"(a), "+r"(b) : : "memory")

/* What a tile's code is made for; constants. */
typedef struct TileShape
{
	int pixels, groups;
	int blocks; /* of a group */
	int placement;
	FrWeightFormat format;
	bool is_plain; /* products one by one, of weights packed for pairs */
} TileShape;

/* Sums: [group][block * NV + vector][pixel]. */
typedef Vec TileSums[4][GROUP_BLOCKS * NV][TILE_PIXELS];

/* Add one input channel of one kernel tap; is_negative: of weights that are
 * packed with the other sign. */
ALWAYS_INLINE void
tile_add_lane(TileSums sums, const Tile *tile, TileShape shape,
			  const float *source, const char *weights, bool is_negative)
{
	Vec w[4][GROUP_BLOCKS * NV];

#pragma GCC unroll 4
	for (int g = 0; g < shape.groups; ++g)
	{
#pragma GCC unroll 4
		for (int v = 0; v < shape.blocks * NV; ++v)
			w[g][v] = weight_load(weights + g * tile->group_bytes, v * VL,
								  shape.format);
	}
#pragma GCC unroll 16
	for (int p = 0; p < shape.pixels; ++p)
	{
		const Vec x = vec_set(source[input_offset(tile, shape.placement, p)]);

#pragma GCC unroll 4
		for (int g = 0; g < shape.groups; ++g)
		{
#pragma GCC unroll 4
			for (int v = 0; v < shape.blocks * NV; ++v)
			{
				Vec *sum = &sums[g][v][p];

				*sum = is_negative ? *sum - x * w[g][v] : *sum + x * w[g][v];
			}
		}
	}
}

/* Add a pair of input channels, lane and lane + 8; row_bytes is from one's
 * weights to the other's. */
ALWAYS_INLINE void
tile_add_pair(TileSums sums, const Tile *tile, TileShape shape,
			  const float *source, const char *weights, ptrdiff_t row_bytes,
			  bool is_negative)
{
	const int vectors = shape.blocks * NV;
	Vec y0[4 * GROUP_BLOCKS * NV], y1[4 * GROUP_BLOCKS * NV];

#pragma GCC unroll 16
	for (int i = 0; i < shape.groups * vectors; ++i)
	{
		const char *w = weights + i / vectors * tile->group_bytes;

		y0[i] = weight_load(w, i % vectors * VL, shape.format);
		y1[i] = weight_load(w + row_bytes, i % vectors * VL, shape.format);
	}
#pragma GCC unroll 16
	for (int p = 0; p < shape.pixels; ++p)
	{
		const float *x = source + input_offset(tile, shape.placement, p);

#pragma GCC unroll 16
		for (int i = 0; i < shape.groups * vectors; ++i)
		{
			const Vec left = vec_set(x[0]) + y1[i];
			const Vec right = vec_set(x[FR_BLOCK / 2]) + y0[i];
			Vec *sum = &sums[i / vectors][i % vectors][p];

			*sum = is_negative ? *sum - left * right : *sum + left * right;
		}
	}
}

/* Add lanes channels of one kernel tap; returns the weights that follow. */
ALWAYS_INLINE const char *
tile_add_tap(TileSums sums, const Tile *tile, TileShape shape,
			 const float *source, const char *weights, int lanes)
{
	const ptrdiff_t row_bytes =
		shape.blocks * FR_BLOCK * weight_bytes(shape.format);

	if ((shape.placement == STRIDE_8 || shape.placement == STRIDE_4) &&
		lanes == 3)
	{
#pragma GCC unroll 3
		for (int lane = 0; lane < 3; ++lane)
			tile_add_lane(sums, tile, shape, source + lane,
						  weights + lane * row_bytes, false);
		return weights + 3 * row_bytes;
	}
#pragma GCC unroll 2
	for (int lane = 0; lane < lanes; ++lane)
	{
		tile_add_lane(sums, tile, shape, source + lane, weights, false);
		weights += row_bytes;
	}
	return weights;
}

/* The same for a whole block in pairs; parity is that of the block. */
ALWAYS_INLINE const char *
tile_add_paired_tap(TileSums sums, const Tile *tile, TileShape shape,
					const float *source, const char *weights, int parity)
{
	const ptrdiff_t row_bytes =
		shape.blocks * FR_BLOCK * weight_bytes(shape.format);

#pragma GCC unroll 8
	for (int pair = 0; pair < PAIRS; ++pair)
	{
		const char *rows = weights + 2 * pair * row_bytes;

		const bool is_negative = is_subtracted(pair, parity);

		if (!shape.is_plain)
		{
			tile_add_pair(sums, tile, shape, source + pair, rows, row_bytes,
						  is_negative);
			continue;
		}
		tile_add_lane(sums, tile, shape, source + pair, rows, is_negative);
		tile_add_lane(sums, tile, shape, source + pair + FR_BLOCK / 2,
					  rows + row_bytes, is_negative);
	}
#pragma GCC unroll 16
	for (int row = 2 * PAIRS; row < FR_BLOCK; ++row)
		tile_add_lane(sums, tile, shape, source + paired_row_lane(row),
					  weights + row * row_bytes, false);
	return weights + FR_BLOCK * row_bytes;
}

enum
{
	PARITY_EVEN,
	PARITY_ODD,
	UNPAIRED
};

/* Add all taps of lanes channels of one block; pairing is a constant. */
ALWAYS_INLINE const char *
tile_add_block(TileSums sums, const Tile *tile, TileShape shape,
			   const float *source_block, const char *weights, int lanes,
			   int pairing)
{
	const FrConvTask *task = tile->task;

	for (int ky = 0; ky < task->kernel_h; ++ky)
	{
		const float *source = source_block + ky * task->tap_row;

		for (int kx = 0; kx < task->kernel_w; ++kx)
		{
			weights =
				pairing == UNPAIRED
					? tile_add_tap(sums, tile, shape, source, weights, lanes)
					: tile_add_paired_tap(sums, tile, shape, source, weights,
										  pairing);
			source += task->tap_col;
			FORGET_MEMORY(source, weights);
		}
	}
	return weights;
}

/* The head of the stream of vector i of a tile, at that vector. */
ALWAYS_INLINE const float *
tile_head(const Tile *tile, TileShape shape, int i)
{
	const int vectors = shape.blocks * NV;
	const char *stream = tile->weights + i / vectors * tile->group_bytes;

	return (const float *) (const void *) stream + i % vectors * VL;
}

/* Turn sums of run_begin into those of scaled weights; head is that of the
 * vector's stream, corrections are NULL when products are added one by one. */
ALWAYS_INLINE void
run_scale(Vec *sums, int pixels, const float *head, int width,
		  const float *corrections)
{
	const Vec scale = vec_load(head + HEAD_SCALE * width);
	const Vec start = vec_load(head + HEAD_START * width);

	if (!corrections)
	{
#pragma GCC unroll 16
		for (int p = 0; p < pixels; ++p)
			sums[p] *= scale;
		return;
	}
#pragma GCC unroll 16
	for (int p = 0; p < pixels; ++p)
		sums[p] = sums[p] * scale + (start - vec_set(corrections[p]));
}

/* ... and back. */
ALWAYS_INLINE void
run_unscale(Vec *sums, int pixels, const float *head, int width)
{
	const Vec inverse = vec_load(head + HEAD_INVERSE * width);

#pragma GCC unroll 16
	for (int p = 0; p < pixels; ++p)
		sums[p] *= inverse;
}

/* One tile; shape is a constant. */
ALWAYS_INLINE void
tile_run(const Tile *tile, TileShape shape)
{
	const FrConvTask *task = tile->task;
	const bool irregular = shape.placement == IRREGULAR;
	const Places output_places = {task->out_pixel,
								  irregular ? tile->output_offsets : NULL};
	const Places residual_places = {task->res_pixel,
									irregular ? tile->residual_offsets : NULL};
	const int pixels = shape.pixels;
	const int vectors = shape.blocks * NV;
	const int width = shape.blocks * FR_BLOCK;
	const bool is_in_pairs = PAIRS > 0 && tile->is_paired;
	const char *weights =
		tile->weights + head_bytes(width, shape.format, is_in_pairs);
	const float *source = tile->input;
	TileSums sums;

#pragma GCC unroll 16
	for (int i = 0; i < shape.groups * vectors; ++i)
	{
		const int b = i / NV;
		const ptrdiff_t offset = (i % NV) * VL;
		Vec *run = sums[b / shape.blocks][i % vectors];

		run_begin(run, pixels, &task->epilogue,
				  (ptrdiff_t) (tile->block + b) * FR_BLOCK + offset,
				  tile->residual ? tile->residual + b * task->res_block + offset
								 : NULL,
				  residual_places);
		if (has_head(shape.format, is_in_pairs))
			run_scale(run, pixels, tile_head(tile, shape, i), width,
					  is_in_pairs && !shape.is_plain ? tile->corrections
													 : NULL);
	}

	for (int channel = 0; channel < task->in_channels;
		 channel += task->in_lanes)
	{
		const int left = task->in_channels - channel;
		const int lanes = left < task->in_lanes ? left : task->in_lanes;

		if (!is_in_pairs || lanes != FR_BLOCK)
			weights = tile_add_block(sums, tile, shape, source, weights, lanes,
									 UNPAIRED);
		else if (channel & FR_BLOCK)
			weights = tile_add_block(sums, tile, shape, source, weights, lanes,
									 PARITY_ODD);
		else
			weights = tile_add_block(sums, tile, shape, source, weights, lanes,
									 PARITY_EVEN);
		source += task->in_block;
	}

#pragma GCC unroll 16
	for (int i = 0; i < shape.groups * vectors; ++i)
	{
		const int b = i / NV;
		const ptrdiff_t offset = (i % NV) * VL;
		Vec *run = sums[b / shape.blocks][i % vectors];

		if (has_head(shape.format, is_in_pairs))
			run_unscale(run, pixels, tile_head(tile, shape, i), width);
		run_end(run, pixels, &task->epilogue,
				(ptrdiff_t) (tile->block + b) * FR_BLOCK + offset,
				tile->residual ? tile->residual + b * task->res_block + offset
							   : NULL,
				residual_places, tile->output + b * task->out_block + offset,
				output_places);
	}
}

/* ---- the tile functions, one per shape ---------------------------------- */

typedef void (*TileFunction)(const Tile *tile);

#define DEFINE_TILE(P, G, B)                                              \
	static void tile_##P##x##G##x##B##_16(const Tile *tile)               \
	{                                                                     \
		tile_run(tile,                                                    \
				 (TileShape){P, G, B, STRIDE_16, FR_WEIGHTS_F32, false}); \
	}                                                                     \
	static void tile_##P##x##G##x##B##_any(const Tile *tile)              \
	{                                                                     \
		tile_run(tile,                                                    \
				 (TileShape){P, G, B, IRREGULAR, FR_WEIGHTS_F32, false}); \
	}                                                                     \
	static void tile_##P##x##G##x##B##_16_half(const Tile *tile)          \
	{                                                                     \
		tile_run(tile,                                                    \
				 (TileShape){P, G, B, STRIDE_16, FR_WEIGHTS_F16, false}); \
	}                                                                     \
	static void tile_##P##x##G##x##B##_any_half(const Tile *tile)         \
	{                                                                     \
		tile_run(tile,                                                    \
				 (TileShape){P, G, B, IRREGULAR, FR_WEIGHTS_F16, false}); \
	}

#define DEFINE_WIDE_TILE(P, B)                                                 \
	static void tile_##P##x##B##_32(const Tile *tile)                          \
	{                                                                          \
		tile_run(tile,                                                         \
				 (TileShape){P, 1, B, STRIDE_32, FR_WEIGHTS_F32, false});      \
	}                                                                          \
	static void tile_##P##x##B##_8(const Tile *tile)                           \
	{                                                                          \
		tile_run(tile, (TileShape){P, 1, B, STRIDE_8, FR_WEIGHTS_F32, false}); \
	}                                                                          \
	static void tile_##P##x##B##_4(const Tile *tile)                           \
	{                                                                          \
		tile_run(tile, (TileShape){P, 1, B, STRIDE_4, FR_WEIGHTS_F32, false}); \
	}

#define TILE_ENTRY(P, G, B)                                                \
	[FR_WEIGHTS_F32][STRIDE_16][P][(G) / 2]                                \
					[(B) -1] = tile_##P##x##G##x##B##_16,                  \
						 [FR_WEIGHTS_F32][IRREGULAR][P][(G) / 2][(B) -1] = \
							 tile_##P##x##G##x##B##_any,                   \
						 [FR_WEIGHTS_F16][STRIDE_16][P][(G) / 2][(B) -1] = \
							 tile_##P##x##G##x##B##_16_half,               \
						 [FR_WEIGHTS_F16][IRREGULAR][P][(G) / 2][(B) -1] = \
							 tile_##P##x##G##x##B##_any_half,

#define WIDE_TILE_ENTRY(P, B)                                             \
	[FR_WEIGHTS_F32][STRIDE_32][P][0][(                                   \
		B) -1] = tile_##P##x##B##_32,                                     \
		   [FR_WEIGHTS_F32][STRIDE_8][P][0][(B) -1] = tile_##P##x##B##_8, \
		   [FR_WEIGHTS_F32][STRIDE_4][P][0][(B) -1] = tile_##P##x##B##_4,

/* nn_<isa>.c lists the shapes that fit its registers: TILES(X) calls
 * X(pixels, groups, blocks of a group), with one group for every width up to
 * TILE_PIXELS; WIDE_TILES(X) calls X(pixels, blocks) for at least half of
 * TILE_PIXELS: what an even cut of a longer row gives. */
TILES(DEFINE_TILE)
WIDE_TILES(DEFINE_WIDE_TILE)

static const TileFunction tile_functions[FR_WEIGHTS_COUNT][PLACEMENT_COUNT]
										[TILE_PIXELS + 1][3][GROUP_BLOCKS] = {
											TILES(TILE_ENTRY)
												WIDE_TILES(WIDE_TILE_ENTRY)};

#if PAIRS > 0

#define DEFINE_PLAIN_TILE(P, G, B)                                             \
	static void tile_##P##_plain(const Tile *tile)                             \
	{                                                                          \
		tile_run(tile, (TileShape){P, G, B, IRREGULAR, FR_WEIGHTS_F32, true}); \
	}                                                                          \
	static void tile_##P##_plain_half(const Tile *tile)                        \
	{                                                                          \
		tile_run(tile, (TileShape){P, G, B, IRREGULAR, FR_WEIGHTS_F16, true}); \
	}

#define PLAIN_TILE_ENTRY(P, G, B)           \
	[FR_WEIGHTS_F32][P] = tile_##P##_plain, \
	[FR_WEIGHTS_F16][P] = tile_##P##_plain_half,

ROW_TILES(DEFINE_PLAIN_TILE)

_Static_assert(TILE_PIXELS <= 8, "a bit of a byte for each pixel");

static const TileFunction plain_tile_functions[FR_WEIGHTS_COUNT]
											  [TILE_PIXELS + 1] = {
												  ROW_TILES(PLAIN_TILE_ENTRY)};

#endif

/* ---- the loops around the tiles ----------------------------------------- */

/* How a task is cut: rows of row_pixels, each in row_tiles tiles of nearly
 * equal width. */
typedef struct TileCut
{
	int placement;
	int rows;
	int row_pixels;
	int row_tiles;
	int widest; /* pixels of the widest tile */
} TileCut;

static TileCut
cut_rows(int placement, int rows, int row_pixels)
{
	const int tiles = (row_pixels - 1) / TILE_PIXELS + 1;

	return (TileCut){placement, rows, row_pixels, tiles,
					 (row_pixels - 1) / tiles + 1};
}

/* The placement of tiles within rows of row_pixels. */
static int
regular_placement(const FrConvTask *task, int row_pixels)
{
	if (task->in_pixel == 16)
		return STRIDE_16;
	if (row_pixels <= TILE_PIXELS / 2 || task->weight_format != FR_WEIGHTS_F32)
		return IRREGULAR;
	if (task->in_pixel == 32)
		return STRIDE_32;
	if (task->in_lanes != 4)
		return IRREGULAR;
	return task->in_pixel == 8	 ? STRIDE_8
		   : task->in_pixel == 4 ? STRIDE_4
								 : IRREGULAR;
}

/* Choose between tiles within rows and irregular ones that run on from row
 * to row. */
static TileCut
conv_cut(const FrConvTask *task)
{
	const bool is_flat =
		task->in_row == task->out_w * task->in_pixel &&
		task->out_row == task->out_w * task->out_pixel &&
		(!task->residual || task->res_row == task->out_w * task->res_pixel);
	const int row_pixels = is_flat ? task->out_h * task->out_w : task->out_w;
	const int placement = regular_placement(task, row_pixels);
	const int pixels = task->out_h * task->out_w;

	if (task->images > 1)
		return cut_rows(IRREGULAR, 1, pixels * task->images);
	if (placement == IRREGULAR)
		return cut_rows(IRREGULAR, 1, pixels);
	if (is_flat || task->out_h == 1)
		return cut_rows(placement, 1, pixels);

	const TileCut by_row = cut_rows(placement, task->out_h, task->out_w);
	const TileCut across = cut_rows(IRREGULAR, 1, pixels);

	/* Reading the offsets costs an irregular tile about a tenth, and a third
	 * where the three channels of a picture are unrolled otherwise. */
	const int percent = task->in_lanes == FR_BLOCK ? 80 : 65;

	return across.row_tiles * 100 < by_row.row_tiles * by_row.rows * percent
			   ? across
			   : by_row;
}

/* Offsets of the pixels of an irregular tile; pixel numbers run on from row
 * to row and from image to image. */
typedef struct TileOffsets
{
	ptrdiff_t input[TILE_PIXELS];
	ptrdiff_t output[TILE_PIXELS];
	ptrdiff_t residual[TILE_PIXELS];
} TileOffsets;

static void
fill_offsets(const FrConvTask *task, int first, int count, TileOffsets *offsets)
{
	int image = first / task->out_w / task->out_h;
	int y = first / task->out_w % task->out_h;
	int x = first % task->out_w;

	for (int p = 0; p < count; ++p)
	{
		offsets->input[p] =
			image * task->in_image + y * task->in_row + x * task->in_pixel;
		offsets->output[p] =
			image * task->out_image + y * task->out_row + x * task->out_pixel;
		offsets->residual[p] =
			image * task->res_image + y * task->res_row + x * task->res_pixel;
		if (++x == task->out_w)
		{
			x = 0;
			if (++y == task->out_h)
			{
				y = 0;
				++image;
			}
		}
	}
}

/* The pixels of tile i of a cut: count of them from x of row y on. */
typedef struct Span
{
	int y, x, count;
} Span;

static Span
tile_span(const TileCut *cut, int i)
{
	const int part = i % cut->row_tiles;
	const int x = (int) ((int64_t) cut->row_pixels * part / cut->row_tiles);
	const int end =
		(int) ((int64_t) cut->row_pixels * (part + 1) / cut->row_tiles);

	return (Span){i / cut->row_tiles, x, end - x};
}

/* A part of a convolution: tiles first..last - 1 of a cut. */
typedef struct Part
{
	const FrConvTask *task;
	const TileCut *cut;
	int first, last;
	bool is_paired;
	const float *corrections; /* when paired: cut->widest for each tile */
	const uint8_t *unsafe;	  /* and a bit for each pixel of each tile */
	ptrdiff_t group_bytes;	  /* from one group's weights to the next's */
} Part;

#if PAIRS > 0

/* The pixels of an irregular tile that are in the set, by these functions. */
static void
run_subset(const Tile *tile, int count, unsigned set,
		   const TileFunction *functions)
{
	float corrections[TILE_PIXELS];
	TileOffsets offsets;
	Tile part = *tile;
	int taken = 0;

	for (int p = 0; p < count; ++p)
	{
		if (!(set >> p & 1))
			continue;
		offsets.input[taken] = tile->input_offsets[p];
		offsets.output[taken] = tile->output_offsets[p];
		offsets.residual[taken] = tile->residual_offsets[p];
		corrections[taken++] = tile->corrections[p];
	}
	if (!taken)
		return;
	part.corrections = corrections;
	part.input_offsets = offsets.input;
	part.output_offsets = offsets.output;
	part.residual_offsets = offsets.residual;
	functions[taken](&part);
}

/* A tile with unsafe pixels: these by plain products, the others in pairs,
 * group by group. */
static void
run_mixed(const Tile *tile, const TileCut *cut, int count, int groups,
		  unsigned unsafe)
{
	const FrConvTask *task = tile->task;
	TileFunction paired[TILE_PIXELS + 1];
	TileOffsets offsets;
	Tile irregular = *tile;

	if (cut->placement != IRREGULAR)
	{
		for (int p = 0; p < count; ++p)
		{
			offsets.input[p] = p * task->in_pixel;
			offsets.output[p] = p * task->out_pixel;
			offsets.residual[p] = p * task->res_pixel;
		}
		irregular.input_offsets = offsets.input;
		irregular.output_offsets = offsets.output;
		irregular.residual_offsets = offsets.residual;
	}
	for (int p = 1; p <= TILE_PIXELS; ++p)
		paired[p] = tile_functions[task->weight_format][IRREGULAR][p][0][0];
	for (int g = 0; g < groups; ++g)
	{
		run_subset(&irregular, count, unsafe,
				   plain_tile_functions[task->weight_format]);
		run_subset(&irregular, count, ~unsafe, paired);
		irregular.weights += tile->group_bytes;
		irregular.output += task->out_block;
		if (irregular.residual)
			irregular.residual += task->res_block;
		++irregular.block;
	}
}

#else

static inline void
run_mixed(const Tile *tile, const TileCut *cut, int count, int groups,
		  unsigned unsafe)
{
	(void) tile, (void) cut, (void) count, (void) groups, (void) unsafe;
}

#endif

/* A part for groups groups of blocks blocks each, from group on. */
static void
run_tiles(const Part *part, int group, int groups, int blocks)
{
	const FrConvTask *task = part->task;
	const TileCut *cut = part->cut;
	const int block = group * GROUP_BLOCKS;
	TileOffsets offsets;
	Tile tile = {.task = task,
				 .corrections = part->corrections,
				 .is_paired = part->is_paired,
				 .weights =
					 (const char *) task->weights + group * part->group_bytes,
				 .group_bytes = part->group_bytes,
				 .block = block,
				 .input_offsets = offsets.input,
				 .output_offsets = offsets.output,
				 .residual_offsets = offsets.residual};
	float *output = task->output + block * task->out_block;
	const float *residual =
		task->residual ? task->residual + block * task->res_block : NULL;

	for (int i = part->first; i < part->last; ++i)
	{
		const Span span = tile_span(cut, i);

		tile.input = task->input;
		tile.output = output;
		tile.residual = residual;
		if (cut->placement == IRREGULAR)
			fill_offsets(task, span.x, span.count, &offsets);
		else
		{
			tile.input += span.y * task->in_row + span.x * task->in_pixel;
			tile.output += span.y * task->out_row + span.x * task->out_pixel;
			if (residual)
				tile.residual +=
					span.y * task->res_row + span.x * task->res_pixel;
		}
		if (part->is_paired && part->unsafe[i - part->first])
			run_mixed(&tile, cut, span.count, groups,
					  part->unsafe[i - part->first]);
		else
			tile_functions[task->weight_format][cut->placement][span.count]
						  [groups / 2][blocks - 1](&tile);
		tile.corrections += cut->widest;
	}
}

/* A part for all groups. */
static void
run_groups(const Part *part)
{
	const FrConvTask *task = part->task;
	const int full_groups = task->out_blocks / GROUP_BLOCKS;
	int groups;

	for (int group = 0; group < full_groups; group += groups)
	{
		groups = 4;
		while (groups > full_groups - group ||
			   !tile_functions[task->weight_format][part->cut->placement]
							  [part->cut->widest][groups / 2][GROUP_BLOCKS - 1])
			groups /= 2;
		run_tiles(part, group, groups, GROUP_BLOCKS);
	}
	if (task->out_blocks % GROUP_BLOCKS)
		run_tiles(part, full_groups, 1, task->out_blocks % GROUP_BLOCKS);
}

/* The corrections of the pixels of a part, and which of them are unsafe. */
static void
correct_part(const Part *part, float *corrections, uint8_t *unsafe)
{
	const FrConvTask *task = part->task;
	const int width = part->cut->widest;
	TileOffsets offsets;

	for (int p = 0; p < width; ++p)
		offsets.input[p] = p * task->in_pixel;
	for (int i = part->first; i < part->last; ++i)
	{
		const Span span = tile_span(part->cut, i);
		const float *input = task->input;

		if (part->cut->placement == IRREGULAR)
			fill_offsets(task, span.x, span.count, &offsets);
		else
			input += span.y * task->in_row + span.x * task->in_pixel;
		*unsafe++ = (uint8_t) correct_pixels(task, input, offsets.input,
											 span.count, corrections);
		corrections += width;
	}
}

/* How many tiles pass by all groups before the next ones do. */
static int
part_tiles(const FrConvTask *task, const TileCut *cut)
{
	const ptrdiff_t depth =
		taps(task->in_channels, task->kernel_h, task->kernel_w);
	const ptrdiff_t tile_floats =
		(ptrdiff_t) task->in_channels * cut->widest *
		(cut->placement == STRIDE_32 && task->kernel_w > 1 ? 2 : 1);
	int count = cut->rows * cut->row_tiles;

	/* While the weights of all groups stay in the cache, let a part of the
	 * input pass by all of them; otherwise read each group only once. */
	if (depth * task->out_blocks * FR_BLOCK *
				weight_bytes(task->weight_format) <=
			CACHED_WEIGHT_BYTES &&
		tile_floats > 0 && CHUNK_INPUT_FLOATS / tile_floats < count)
		count = (int) (CHUNK_INPUT_FLOATS / tile_floats) + 1;
	if (PAIRS > 0 && count > MAX_CORRECTIONS / TILE_PIXELS)
		count = MAX_CORRECTIONS / TILE_PIXELS;
	return count;
}

static void
conv(const FrConvTask *task)
{
	if (task->out_blocks <= 0 || task->out_h <= 0 || task->out_w <= 0)
		return;

	float corrections[PAIRS > 0 ? MAX_CORRECTIONS : 1];
	uint8_t unsafe[PAIRS > 0 ? MAX_CORRECTIONS / TILE_PIXELS : 1];
	const TileCut cut = conv_cut(task);
	const int tiles = cut.rows * cut.row_tiles;
	const int step = part_tiles(task, &cut);
	const ptrdiff_t depth =
		taps(task->in_channels, task->kernel_h, task->kernel_w);
	Part part = {
		.task = task,
		.cut = &cut,
		.corrections = corrections,
		.unsafe = unsafe,
		.is_paired = is_paired(task->in_lanes, depth),
		.group_bytes = stream_bytes(GROUP_CHANNELS, depth, task->in_lanes,
									task->weight_format),
	};

	for (part.first = 0; part.first < tiles; part.first += step)
	{
		part.last = tiles - part.first < step ? tiles : part.first + step;
		if (part.is_paired)
			correct_part(&part, corrections, unsafe);
		run_groups(&part);
	}
}

#endif
