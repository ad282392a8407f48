/*
 * int8_conv.h: convolution of 8-bit integers by register tiles (template).
 *
 * The loops are those of nn_conv.h with quads of channels in place of
 * channels: the inner step loads the weights of one quad of input channels
 * for 16 outputs (64 bytes), broadcasts the quad of each pixel and adds four
 * products per output.  With VNNI that is one instruction; elsewhere bytes
 * are widened to 16 bits and multiplied in pairs, which is exact, unlike the
 * saturating multiplication of bytes.  A tile leaves its integer sums in a
 * small buffer; one epilogue turns them into floats and bytes.
 *
 * Packed weights: [group][input block][kernel_h][kernel_w][quad in use]
 * [GROUP_BLOCKS * 16][4]; the last group is filled up with zeros.
 */
#ifndef FR_KERNELS_INT8_CONV_H
#define FR_KERNELS_INT8_CONV_H

#include <string.h>

#include "kernels/int8_epilogue.h"

/* Packed weights up to this size stay in the L2 cache while rows pass. */
#define CACHED_WEIGHT_BYTES (512 * 1024)

/* Input of the tiles that pass between two changes of the group. */
#define CHUNK_INPUT_BYTES (64 * 1024)

#define GROUP_CHANNELS (GROUP_BLOCKS * FR_BLOCK)

typedef struct Tile
{
	const FrInt8ConvTask *task;
	const uint8_t *input;			/* window of the first pixel */
	const int8_t *weights;			/* of the first group */
	ptrdiff_t group_bytes;			/* from group to group */
	const int32_t *start;			/* of the first output block */
	const ptrdiff_t *input_offsets; /* per pixel, irregular tiles */
	int32_t *sums; /* [groups * GROUP_BLOCKS][TILE_PIXELS][16] */
} Tile;

/* How the pixels of a tile lie in the input. */
enum
{
	STRIDE_64,	/* every pixel of a block */
	STRIDE_128, /* every other pixel */
	IRREGULAR,	/* anything, by a table of offsets */
	PLACEMENT_COUNT
};

ALWAYS_INLINE ptrdiff_t
input_offset(const Tile *tile, int placement, int pixel)
{
	if (placement == IRREGULAR)
		return tile->input_offsets[pixel];
	return pixel * (placement == STRIDE_64 ? 64 : 128);
}

/* ---- four products ------------------------------------------------------- */

ALWAYS_INLINE VecInt
load_ints(const void *source)
{
	VecInt value;

	memcpy(&value, source, sizeof value);
	return value;
}

#if defined(__AVX512VNNI__)

typedef VecInt Quads; /* VL quads of bytes */

ALWAYS_INLINE Quads
quads_of_pixel(const uint8_t *source)
{
	int32_t quad;

	memcpy(&quad, source, sizeof quad);
	return (Quads) _mm512_set1_epi32(quad);
}

ALWAYS_INLINE Quads
quads_of_weights(const int8_t *source)
{
	return load_ints(source);
}

ALWAYS_INLINE VecInt
add_products(VecInt sums, Quads pixel, Quads weights)
{
	return (VecInt) _mm512_dpbusd_epi32((__m512i) sums, (__m512i) pixel,
										(__m512i) weights);
}

#else

/* Bytes 0 and 2, 1 and 3 of VL quads as 16-bit integers. */
typedef struct Quads
{
	VecInt even, odd;
} Quads;

typedef int16_t VecShort __attribute__((vector_size(VL * 4)));
typedef uint16_t VecUnsigned __attribute__((vector_size(VL * 4)));

/* One broadcast from memory, split in registers. */
ALWAYS_INLINE Quads
quads_of_pixel(const uint8_t *source)
{
	int32_t quad;

	memcpy(&quad, source, sizeof quad);

	VecInt all = quad - (VecInt){0};

#if defined(__x86_64__)
	/* Or the compiler splits the quad first, and moves two halves from
	 * general registers instead of one from memory. */
	__asm__("" : "+v"(all));
#endif
	return (Quads){all & 0x00ff00ff, (VecInt) ((VecUnsigned) all >> 8)};
}

ALWAYS_INLINE Quads
quads_of_weights(const int8_t *source)
{
	const VecShort pairs = (VecShort) load_ints(source);

	/* Through unsigned: a left shift of a negative number is undefined. */
	return (Quads){(VecInt) ((VecShort) ((VecUnsigned) pairs << 8) >> 8),
				   (VecInt) (pairs >> 8)};
}

/* The sum of two products of 16-bit integers per element. */
ALWAYS_INLINE VecInt
multiply_pairs(VecInt a, VecInt b)
{
#if VL == 16
	return (VecInt) _mm512_madd_epi16((__m512i) a, (__m512i) b);
#elif VL == 8
	return (VecInt) _mm256_madd_epi16((__m256i) a, (__m256i) b);
#elif defined(__SSE2__)
	return (VecInt) _mm_madd_epi16((__m128i) a, (__m128i) b);
#else
	return (VecInt) ((VecBits) a << 16) / 65536 *
			   ((VecInt) ((VecBits) b << 16) / 65536) +
		   (a >> 16) * (b >> 16);
#endif
}

ALWAYS_INLINE VecInt
add_products(VecInt sums, Quads pixel, Quads weights)
{
	return sums + multiply_pairs(pixel.even, weights.even) +
		   multiply_pairs(pixel.odd, weights.odd);
}

#endif

/* ---- tiles --------------------------------------------------------------- */

/* Add one quad of input channels of one kernel tap. */
ALWAYS_INLINE void
tile_add_quad(VecInt sums[][GROUP_BLOCKS * NV][TILE_PIXELS], const Tile *tile,
			  const uint8_t *source, const int8_t *weights, int pixels,
			  int groups, int placement)
{
	Quads w[4][GROUP_BLOCKS * NV];

#pragma GCC unroll 4
	for (int g = 0; g < groups; ++g)
	{
#pragma GCC unroll 4
		for (int v = 0; v < GROUP_BLOCKS * NV; ++v)
			w[g][v] = quads_of_weights(weights + g * tile->group_bytes +
									   v * VL * FR_QUAD);
	}
#pragma GCC unroll 16
	for (int p = 0; p < pixels; ++p)
	{
		const Quads x =
			quads_of_pixel(source + input_offset(tile, placement, p));

#pragma GCC unroll 4
		for (int g = 0; g < groups; ++g)
		{
#pragma GCC unroll 4
			for (int v = 0; v < GROUP_BLOCKS * NV; ++v)
				sums[g][v][p] = add_products(sums[g][v][p], x, w[g][v]);
		}
	}
}

/* One tile; every parameter but the first is a compile-time constant. */
ALWAYS_INLINE void
tile_run(const Tile *tile, int pixels, int groups, int placement)
{
	const FrInt8ConvTask *task = tile->task;
	const uint8_t *source_block = tile->input;
	const int8_t *weights = tile->weights;
	VecInt sums[4][GROUP_BLOCKS * NV][TILE_PIXELS];

#pragma GCC unroll 16
	for (int v = 0; v < groups * GROUP_BLOCKS * NV; ++v)
	{
		const VecInt start = load_ints(tile->start + v * VL);

#pragma GCC unroll 16
		for (int p = 0; p < pixels; ++p)
			sums[v / (GROUP_BLOCKS * NV)][v % (GROUP_BLOCKS * NV)][p] = start;
	}
	for (int quad = 0; quad < task->in_quads; quad += task->pixel_quads)
	{
		const int left = task->in_quads - quad;
		const int quads = left < task->pixel_quads ? left : task->pixel_quads;

		for (int ky = 0; ky < task->kernel_h; ++ky)
		{
			const uint8_t *source = source_block + ky * task->tap_row;

			for (int kx = 0; kx < task->kernel_w; ++kx)
			{
#pragma GCC unroll 2
				for (int i = 0; i < quads; ++i)
				{
					tile_add_quad(sums, tile, source + i * FR_QUAD, weights,
								  pixels, groups, placement);
					weights += GROUP_CHANNELS * FR_QUAD;
				}
				source += task->tap_col;
			}
		}
		source_block += task->in_block;
	}
#pragma GCC unroll 16
	for (int v = 0; v < groups * GROUP_BLOCKS * NV; ++v)
	{
		int32_t *target =
			tile->sums + (v / NV) * TILE_PIXELS * FR_BLOCK + v % NV * VL;

#pragma GCC unroll 16
		for (int p = 0; p < pixels; ++p)
			memcpy(target + p * FR_BLOCK,
				   &sums[v / (GROUP_BLOCKS * NV)][v % (GROUP_BLOCKS * NV)][p],
				   sizeof(VecInt));
	}
}

typedef void (*TileFunction)(const Tile *tile);

#define DEFINE_TILE(P, G)                              \
	static void tile_##P##x##G##_64(const Tile *tile)  \
	{                                                  \
		tile_run(tile, P, G, STRIDE_64);               \
	}                                                  \
	static void tile_##P##x##G##_128(const Tile *tile) \
	{                                                  \
		tile_run(tile, P, G, STRIDE_128);              \
	}                                                  \
	static void tile_##P##x##G##_any(const Tile *tile) \
	{                                                  \
		tile_run(tile, P, G, IRREGULAR);               \
	}

#define TILE_ENTRY(P, G)                                                  \
	[STRIDE_64][P][(G) / 2] = tile_##P##x##G##_64,                        \
						 [STRIDE_128][P][(G) / 2] = tile_##P##x##G##_128, \
						 [IRREGULAR][P][(G) / 2] = tile_##P##x##G##_any,

/* int8_<isa>.c lists the shapes that fit its registers: TILES(X) calls
 * X(pixels, groups), with one group for every width up to TILE_PIXELS. */
TILES(DEFINE_TILE)

static const TileFunction tile_functions[PLACEMENT_COUNT][TILE_PIXELS + 1][3] =
	{TILES(TILE_ENTRY)};

/* ---- the loops around the tiles ------------------------------------------ */

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

/* Choose between tiles within rows and irregular ones that run on from row
 * to row. */
static TileCut
conv_cut(const FrInt8ConvTask *task)
{
	const int width = task->out_w;
	const bool is_flat =
		task->in_row == width * task->in_pixel &&
		(!task->output || task->out_row == width * task->out_pixel) &&
		(!task->bytes || task->byte_row == width * task->byte_pixel) &&
		(!task->residual || task->res_row == width * task->res_pixel);
	const int pixels = task->out_h * width;
	const int placement = task->in_pixel == 64	  ? STRIDE_64
						  : task->in_pixel == 128 ? STRIDE_128
												  : IRREGULAR;

	if (placement == IRREGULAR || is_flat || task->out_h == 1)
		return cut_rows(placement, 1, pixels);

	const TileCut by_row = cut_rows(placement, task->out_h, width);
	const TileCut across = cut_rows(IRREGULAR, 1, pixels);

	/* Reading the offsets costs an irregular tile about a tenth. */
	return across.row_tiles * 5 < by_row.row_tiles * by_row.rows * 4 ? across
																	 : by_row;
}

/* Offsets of the pixels of a tile, which begins at pixel x of row y; pixel
 * numbers run on from row to row. */
static void
fill_offsets(const FrInt8ConvTask *task, int y, int x, int count,
			 ptrdiff_t *input, OutputOffsets *offsets)
{
	for (int p = 0; p < count; ++p)
	{
		input[p] = y * task->in_row + x * task->in_pixel;
		offsets->output[p] = y * task->out_row + x * task->out_pixel;
		offsets->bytes[p] = y * task->byte_row + x * task->byte_pixel;
		offsets->residual[p] = y * task->res_row + x * task->res_pixel;
		if (++x == task->out_w)
		{
			x = 0;
			++y;
		}
	}
}

/* Tiles first..last - 1 of a cut, for groups groups. */
static void
run_tiles(const FrInt8ConvTask *task, const TileCut *cut, int first, int last,
		  ptrdiff_t group_bytes, int group, int groups)
{
	const int block = group * GROUP_BLOCKS;
	const int left = task->out_blocks - block;
	const int blocks =
		left < groups * GROUP_BLOCKS ? left : groups * GROUP_BLOCKS;
	const bool is_regular = cut->placement != IRREGULAR;
	int32_t sums[4 * GROUP_BLOCKS * TILE_PIXELS * FR_BLOCK]
		__attribute__((aligned(64)));
	int32_t start[4 * GROUP_CHANNELS] = {0};
	ptrdiff_t input_offsets[TILE_PIXELS];
	OutputOffsets offsets;
	Tile tile = {.task = task,
				 .weights = task->weights + group * group_bytes,
				 .group_bytes = group_bytes,
				 .start = start,
				 .input_offsets = input_offsets,
				 .sums = sums};

	memcpy(start, task->start + block * FR_BLOCK,
		   (size_t) blocks * FR_BLOCK * sizeof *start);
	if (is_regular)
		fill_offsets(task, 0, 0, cut->widest, input_offsets, &offsets);
	for (int i = first; i < last; ++i)
	{
		const int y = i / cut->row_tiles;
		const int part = i % cut->row_tiles;
		const int x = (int) ((int64_t) cut->row_pixels * part / cut->row_tiles);
		const int end =
			(int) ((int64_t) cut->row_pixels * (part + 1) / cut->row_tiles);
		OutputPlace place = {0};

		tile.input = task->input;
		if (is_regular)
		{
			tile.input += y * task->in_row + x * task->in_pixel;
			place.output = y * task->out_row + x * task->out_pixel;
			place.bytes = y * task->byte_row + x * task->byte_pixel;
			place.residual = y * task->res_row + x * task->res_pixel;
		}
		else
			fill_offsets(task, x / task->out_w, x % task->out_w, end - x,
						 input_offsets, &offsets);
		tile_functions[cut->placement][end - x][groups / 2](&tile);
		store_outputs(task, sums, TILE_PIXELS, block, blocks, end - x, &place,
					  &offsets);
	}
}

/* All groups for tiles first..last - 1. */
static void
run_groups(const FrInt8ConvTask *task, const TileCut *cut, int first, int last,
		   ptrdiff_t group_bytes)
{
	const int all = (task->out_blocks + GROUP_BLOCKS - 1) / GROUP_BLOCKS;
	int groups;

	for (int group = 0; group < all; group += groups)
	{
		groups = 4;
		while (groups > all - group ||
			   !tile_functions[cut->placement][cut->widest][groups / 2])
			groups /= 2;
		run_tiles(task, cut, first, last, group_bytes, group, groups);
	}
}

static void
conv(const FrInt8ConvTask *task)
{
	if (task->out_blocks <= 0 || task->out_h <= 0 || task->out_w <= 0)
		return;

	const TileCut cut = conv_cut(task);
	const int tiles = cut.rows * cut.row_tiles;
	const ptrdiff_t depth =
		(ptrdiff_t) task->in_quads * FR_QUAD * task->kernel_h * task->kernel_w;
	const ptrdiff_t tile_bytes =
		(ptrdiff_t) task->in_quads * FR_QUAD * cut.widest *
		(cut.placement == STRIDE_128 && task->kernel_w > 1 ? 2 : 1);
	int chunk = tiles;

	/* While the weights of all groups stay in the cache, let a part of the
	 * input pass by all of them; otherwise read each group only once. */
	if (depth * task->out_blocks * FR_BLOCK <= CACHED_WEIGHT_BYTES &&
		tile_bytes > 0 && CHUNK_INPUT_BYTES / tile_bytes < tiles)
		chunk = (int) (CHUNK_INPUT_BYTES / tile_bytes) + 1;
	for (int first = 0; first < tiles; first += chunk)
		run_groups(task, &cut, first,
				   tiles - first < chunk ? tiles : first + chunk,
				   depth * GROUP_CHANNELS);
}

/* ---- packing ------------------------------------------------------------- */

static size_t
packed_bytes(int out_channels, int in_channels, int kernel_h, int kernel_w)
{
	const int groups = (out_channels + GROUP_CHANNELS - 1) / GROUP_CHANNELS;
	const int quads = (in_channels + FR_QUAD - 1) / FR_QUAD;

	if (out_channels <= 0 || in_channels <= 0)
		return 0;
	return (size_t) groups * GROUP_CHANNELS * FR_QUAD * (size_t) quads *
		   (size_t) kernel_h * (size_t) kernel_w;
}

/* The quad of weights of every output channel of a group for input channels
 * in.. at one tap. */
static void
pack_quad(const int8_t *weights, int out_channels, int in_left,
		  ptrdiff_t positions, ptrdiff_t depth, int8_t *packed)
{
	for (int out = 0; out < GROUP_CHANNELS; ++out)
		for (int i = 0; i < FR_QUAD; ++i)
			packed[out * FR_QUAD + i] =
				out < out_channels && i < in_left
					? weights[out * depth + i * positions]
					: 0;
}

static void
pack(const int8_t *weights, int out_channels, int in_channels, int kernel_h,
	 int kernel_w, int8_t *packed)
{
	const ptrdiff_t positions = (ptrdiff_t) kernel_h * kernel_w;
	const ptrdiff_t depth = in_channels * positions;

	for (int out = 0; out < out_channels; out += GROUP_CHANNELS)
		for (int in = 0; in < in_channels; in += FR_BYTE_BLOCK)
			for (ptrdiff_t tap = 0; tap < positions; ++tap)
				for (int i = in; i < in_channels && i < in + FR_BYTE_BLOCK;
					 i += FR_QUAD)
				{
					pack_quad(weights + out * depth + i * positions + tap,
							  out_channels - out, in_channels - i, positions,
							  depth, packed);
					packed += GROUP_CHANNELS * FR_QUAD;
				}
}

#endif
