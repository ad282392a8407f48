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
 * channels, kernel row, kernel column, lane]; so the bits depend neither on
 * the map's width nor on the batch.
 *
 * Packed weights: [group][input block][kernel_h][kernel_w][lane in use]
 * [GROUP_BLOCKS * 16]; the last group may have fewer blocks.
 */
#ifndef FR_KERNELS_NN_CONV_H
#define FR_KERNELS_NN_CONV_H

#include "kernels/nn_epilogue.h"

/* Packed weights up to this size stay in the L2 cache while rows pass. */
#define CACHED_WEIGHT_FLOATS (512 * 1024 / 4)

/* Input of the tiles that pass between two changes of the group. */
#define CHUNK_INPUT_FLOATS (96 * 1024 / 4)

#define GROUP_CHANNELS (GROUP_BLOCKS * FR_BLOCK)

typedef struct Tile
{
	const FrConvTask *task;
	const float *input;		/* window of the first pixel */
	const float *weights;	/* of the first group */
	ptrdiff_t group_floats; /* from group to group */
	int block;				/* first output block */
	float *output;			/* of the first pixel and block */
	const float *residual;	/* likewise, or NULL */
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
	PLACEMENT_COUNT
};

ALWAYS_INLINE ptrdiff_t
input_offset(const Tile *tile, int placement, int pixel)
{
	if (placement == IRREGULAR)
		return tile->input_offsets[pixel];
	return pixel * (placement == STRIDE_16	 ? 16
					: placement == STRIDE_32 ? 32
											 : 8);
}

/* Add one input channel of one kernel tap to the sums
 * [group][block * NV + vector][pixel]. */
ALWAYS_INLINE void
tile_add_lane(Vec sums[][GROUP_BLOCKS * NV][TILE_PIXELS], const Tile *tile,
			  const float *source, const float *weights, int pixels, int groups,
			  int blocks, int placement)
{
	Vec w[4][GROUP_BLOCKS * NV];

#pragma GCC unroll 4
	for (int g = 0; g < groups; ++g)
	{
#pragma GCC unroll 4
		for (int v = 0; v < blocks * NV; ++v)
			w[g][v] = vec_load(weights + g * tile->group_floats + v * VL);
	}
#pragma GCC unroll 16
	for (int p = 0; p < pixels; ++p)
	{
		const Vec x = vec_set(source[input_offset(tile, placement, p)]);

#pragma GCC unroll 4
		for (int g = 0; g < groups; ++g)
		{
#pragma GCC unroll 4
			for (int v = 0; v < blocks * NV; ++v)
				sums[g][v][p] += x * w[g][v];
		}
	}
}

/* Add lanes channels of one kernel tap; returns the weights that follow. */
ALWAYS_INLINE const float *
tile_add_tap(Vec sums[][GROUP_BLOCKS * NV][TILE_PIXELS], const Tile *tile,
			 const float *source, const float *weights, int lanes, int pixels,
			 int groups, int blocks, int placement)
{
	const int width = blocks * FR_BLOCK;

	if (placement == STRIDE_8 && lanes == 3)
	{
#pragma GCC unroll 3
		for (int lane = 0; lane < 3; ++lane)
			tile_add_lane(sums, tile, source + lane, weights + lane * width,
						  pixels, groups, blocks, placement);
		return weights + 3 * width;
	}
#pragma GCC unroll 2
	for (int lane = 0; lane < lanes; ++lane)
	{
		tile_add_lane(sums, tile, source + lane, weights, pixels, groups,
					  blocks, placement);
		weights += width;
	}
	return weights;
}

/* One tile; every parameter but the first is a compile-time constant. */
ALWAYS_INLINE void
tile_run(const Tile *tile, int pixels, int groups, int blocks, int placement)
{
	const FrConvTask *task = tile->task;
	const bool irregular = placement == IRREGULAR;
	const Places output_places = {task->out_pixel,
								  irregular ? tile->output_offsets : NULL};
	const Places residual_places = {task->res_pixel,
									irregular ? tile->residual_offsets : NULL};
	const float *weights = tile->weights;
	const float *source_block = tile->input;
	Vec sums[4][GROUP_BLOCKS * NV][TILE_PIXELS];

#pragma GCC unroll 16
	for (int i = 0; i < groups * blocks * NV; ++i)
	{
		const int b = i / NV;
		const ptrdiff_t offset = (i % NV) * VL;

		run_begin(sums[b / blocks][i % (blocks * NV)], pixels, &task->epilogue,
				  (ptrdiff_t) (tile->block + b) * FR_BLOCK + offset,
				  tile->residual ? tile->residual + b * task->res_block + offset
								 : NULL,
				  residual_places);
	}

	for (int channel = 0; channel < task->in_channels;
		 channel += task->in_lanes)
	{
		const int left = task->in_channels - channel;
		const int lanes = left < task->in_lanes ? left : task->in_lanes;

		for (int ky = 0; ky < task->kernel_h; ++ky)
		{
			const float *source = source_block + ky * task->tap_row;

			for (int kx = 0; kx < task->kernel_w; ++kx)
			{
				weights = tile_add_tap(sums, tile, source, weights, lanes,
									   pixels, groups, blocks, placement);
				source += task->tap_col;
			}
		}
		source_block += task->in_block;
	}

#pragma GCC unroll 16
	for (int i = 0; i < groups * blocks * NV; ++i)
	{
		const int b = i / NV;
		const ptrdiff_t offset = (i % NV) * VL;

		run_end(sums[b / blocks][i % (blocks * NV)], pixels, &task->epilogue,
				(ptrdiff_t) (tile->block + b) * FR_BLOCK + offset,
				tile->residual ? tile->residual + b * task->res_block + offset
							   : NULL,
				residual_places, tile->output + b * task->out_block + offset,
				output_places);
	}
}

/* ---- the tile functions, one per shape ---------------------------------- */

typedef void (*TileFunction)(const Tile *tile);

#define DEFINE_TILE(P, G, B)                                 \
	static void tile_##P##x##G##x##B##_16(const Tile *tile)  \
	{                                                        \
		tile_run(tile, P, G, B, STRIDE_16);                  \
	}                                                        \
	static void tile_##P##x##G##x##B##_any(const Tile *tile) \
	{                                                        \
		tile_run(tile, P, G, B, IRREGULAR);                  \
	}

#define DEFINE_WIDE_TILE(P, B)                        \
	static void tile_##P##x##B##_32(const Tile *tile) \
	{                                                 \
		tile_run(tile, P, 1, B, STRIDE_32);           \
	}                                                 \
	static void tile_##P##x##B##_8(const Tile *tile)  \
	{                                                 \
		tile_run(tile, P, 1, B, STRIDE_8);            \
	}

#define TILE_ENTRY(P, G, B)                                       \
	[STRIDE_16][P][(G) / 2][(B) -1] = tile_##P##x##G##x##B##_16,  \
								[IRREGULAR][P][(G) / 2][(B) -1] = \
									tile_##P##x##G##x##B##_any,

#define WIDE_TILE_ENTRY(P, B)                        \
	[STRIDE_32][P][0][(B) -1] = tile_##P##x##B##_32, \
						  [STRIDE_8][P][0][(B) -1] = tile_##P##x##B##_8,

/* nn_<isa>.c lists the shapes that fit its registers: TILES(X) calls
 * X(pixels, groups, blocks of a group), with one group for every width up to
 * TILE_PIXELS; WIDE_TILES(X) calls X(pixels, blocks) for at least half of
 * TILE_PIXELS: what an even cut of a longer row gives. */
TILES(DEFINE_TILE)
WIDE_TILES(DEFINE_WIDE_TILE)

static const TileFunction
	tile_functions[PLACEMENT_COUNT][TILE_PIXELS + 1][3][GROUP_BLOCKS] = {
		TILES(TILE_ENTRY) WIDE_TILES(WIDE_TILE_ENTRY)};

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
	if (row_pixels <= TILE_PIXELS / 2)
		return IRREGULAR;
	if (task->in_pixel == 32)
		return STRIDE_32;
	return task->in_pixel == 8 && task->in_lanes == 4 ? STRIDE_8 : IRREGULAR;
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

	if (placement == IRREGULAR)
		return cut_rows(IRREGULAR, 1, pixels);
	if (is_flat || task->out_h == 1)
		return cut_rows(placement, 1, pixels);

	const TileCut by_row = cut_rows(placement, task->out_h, task->out_w);
	const TileCut across = cut_rows(IRREGULAR, 1, pixels);

	/* Reading the offsets costs an irregular tile about a tenth. */
	return across.row_tiles * 5 < by_row.row_tiles * by_row.rows * 4 ? across
																	 : by_row;
}

/* Offsets of the pixels of an irregular tile; pixel numbers run on from row
 * to row. */
typedef struct TileOffsets
{
	ptrdiff_t input[TILE_PIXELS];
	ptrdiff_t output[TILE_PIXELS];
	ptrdiff_t residual[TILE_PIXELS];
} TileOffsets;

static void
fill_offsets(const FrConvTask *task, int first, int count, TileOffsets *offsets)
{
	int y = first / task->out_w;
	int x = first % task->out_w;

	for (int p = 0; p < count; ++p)
	{
		offsets->input[p] = y * task->in_row + x * task->in_pixel;
		offsets->output[p] = y * task->out_row + x * task->out_pixel;
		offsets->residual[p] = y * task->res_row + x * task->res_pixel;
		if (++x == task->out_w)
		{
			x = 0;
			++y;
		}
	}
}

/* Tiles first..last - 1 of a cut, for groups groups of blocks blocks each. */
static void
run_tiles(const FrConvTask *task, const TileCut *cut, int first, int last,
		  ptrdiff_t group_floats, int group, int groups, int blocks)
{
	const int block = group * GROUP_BLOCKS;
	TileOffsets offsets;
	Tile tile = {.task = task,
				 .weights =
					 (const float *) task->weights + group * group_floats,
				 .group_floats = group_floats,
				 .block = block,
				 .input_offsets = offsets.input,
				 .output_offsets = offsets.output,
				 .residual_offsets = offsets.residual};
	float *output = task->output + block * task->out_block;
	const float *residual =
		task->residual ? task->residual + block * task->res_block : NULL;

	for (int i = first; i < last; ++i)
	{
		const int y = i / cut->row_tiles;
		const int part = i % cut->row_tiles;
		const int x = (int) ((int64_t) cut->row_pixels * part / cut->row_tiles);
		const int end =
			(int) ((int64_t) cut->row_pixels * (part + 1) / cut->row_tiles);

		tile.input = task->input;
		tile.output = output;
		tile.residual = residual;
		if (cut->placement == IRREGULAR)
			fill_offsets(task, x, end - x, &offsets);
		else
		{
			tile.input += y * task->in_row + x * task->in_pixel;
			tile.output += y * task->out_row + x * task->out_pixel;
			if (residual)
				tile.residual += y * task->res_row + x * task->res_pixel;
		}
		tile_functions[cut->placement][end - x][groups / 2][blocks - 1](&tile);
	}
}

/* All groups for tiles first..last - 1. */
static void
run_groups(const FrConvTask *task, const TileCut *cut, int first, int last,
		   ptrdiff_t group_floats)
{
	const int full_groups = task->out_blocks / GROUP_BLOCKS;
	int groups;

	for (int group = 0; group < full_groups; group += groups)
	{
		groups = 4;
		while (groups > full_groups - group ||
			   !tile_functions[cut->placement][cut->widest][groups / 2]
							  [GROUP_BLOCKS - 1])
			groups /= 2;
		run_tiles(task, cut, first, last, group_floats, group, groups,
				  GROUP_BLOCKS);
	}
	if (task->out_blocks % GROUP_BLOCKS)
		run_tiles(task, cut, first, last, group_floats, full_groups, 1,
				  task->out_blocks % GROUP_BLOCKS);
}

/* Weights that one output channel takes. */
static ptrdiff_t
taps(int in_channels, int kernel_h, int kernel_w)
{
	return (ptrdiff_t) in_channels * kernel_h * kernel_w;
}

static void
conv(const FrConvTask *task)
{
	if (task->out_blocks <= 0 || task->out_h <= 0 || task->out_w <= 0)
		return;

	const TileCut cut = conv_cut(task);
	const int tiles = cut.rows * cut.row_tiles;
	const ptrdiff_t depth =
		taps(task->in_channels, task->kernel_h, task->kernel_w);
	const ptrdiff_t tile_floats =
		(ptrdiff_t) task->in_channels * cut.widest *
		(cut.placement == STRIDE_32 && task->kernel_w > 1 ? 2 : 1);
	int chunk = tiles;

	/* While the weights of all groups stay in the cache, let a part of the
	 * input pass by all of them; otherwise read each group only once. */
	if (depth * task->out_blocks * FR_BLOCK <= CACHED_WEIGHT_FLOATS &&
		tile_floats > 0 && CHUNK_INPUT_FLOATS / tile_floats < tiles)
		chunk = (int) (CHUNK_INPUT_FLOATS / tile_floats) + 1;
	for (int first = 0; first < tiles; first += chunk)
		run_groups(task, &cut, first,
				   tiles - first < chunk ? tiles : first + chunk,
				   depth * GROUP_CHANNELS);
}

/* ---- packing ------------------------------------------------------------ */

/* Channels that only pad the last input block are not packed. */
static size_t
conv_packed_bytes(const FrConvFilter *filter)
{
	const int out_blocks = (filter->out_channels + FR_BLOCK - 1) / FR_BLOCK;

	if (filter->out_channels <= 0 || filter->in_channels <= 0)
		return 0;
	return (size_t) taps(filter->in_channels, filter->kernel_h,
						 filter->kernel_w) *
		   (size_t) out_blocks * FR_BLOCK * sizeof(float);
}

/* The weights of one lane for channels out_channel.. + width - 1. */
static void
pack_lane(const float *weights, const float *scale, int out_channel,
		  int out_channels, int width, ptrdiff_t depth, float *packed)
{
	for (int i = 0; i < width; ++i)
	{
		const int channel = out_channel + i;

		packed[i] = channel < out_channels ? weights[channel * depth] *
												 (scale ? scale[channel] : 1.0f)
										   : 0.0f;
	}
}

static void
conv_pack(const FrConvFilter *filter, const float *weights, const float *scale,
		  void *packed)
{
	const int out_channels = filter->out_channels;
	const int in_channels = filter->in_channels;
	const int in_lanes = filter->in_lanes;
	const ptrdiff_t positions = (ptrdiff_t) filter->kernel_h * filter->kernel_w;
	const ptrdiff_t depth =
		taps(in_channels, filter->kernel_h, filter->kernel_w);
	const int padded = (out_channels + FR_BLOCK - 1) / FR_BLOCK * FR_BLOCK;
	float *target = packed;

	for (int out = 0; out < padded; out += GROUP_CHANNELS)
	{
		const int width =
			padded - out < GROUP_CHANNELS ? padded - out : GROUP_CHANNELS;

		for (int in = 0; in < in_channels; in += in_lanes)
		{
			const int end =
				in_channels - in < in_lanes ? in_channels : in + in_lanes;

			for (ptrdiff_t position = 0; position < positions; ++position)
			{
				for (int c = in; c < end; ++c)
				{
					pack_lane(weights + c * positions + position, scale, out,
							  out_channels, width, depth, target);
					target += width;
				}
			}
		}
	}
}

#endif
