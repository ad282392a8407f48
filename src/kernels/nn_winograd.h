/*
 * nn_winograd.h: convolution by Winograd's minimal filtering F(4x4, 3x3) and
 * F(3x3, 3x3) (template).
 *
 * A tile of 4 x 4 outputs needs 6 x 6 inputs.  Both are seen as polynomials:
 * evaluated at the points 0, 3/4, -3/4, 3/2, -3/2 and infinity, in rows and in
 * columns, they need 36 products per pair of channels instead of 144:
 *
 *     output = A' [sum over channels of (G filter G') * (B' input B)] A
 *
 * (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR
 * 2016, section 4).  A tile of 3 x 3 outputs needs 5 x 5 inputs and 25 products
 * instead of 81, at the same points but -3/2.  At each of these positions the
 * sum over channels is a 1x1 convolution over the tiles: nn_conv.h does it.
 * The points halve the rounding error of the usual 0, 1, -1, 2, -2 (numpy,
 * 256 channels: 1.35e-6 against 2.85e-6 of the output's deviation), and with
 * them values and weights are of like size at all positions.  In functions
 * below tile is a constant.
 */
#ifndef FR_KERNELS_NN_WINOGRAD_H
#define FR_KERNELS_NN_WINOGRAD_H

#include "kernels/nn_conv.h"

_Static_assert(FR_WINOGRAD_CHUNK % GROUP_BLOCKS == 0,
			   "chunks of packed weights begin with a group");

/* The points, their powers, and the coefficients of the input transform:
 * WG_AABB and WG_SUM of x (x^2 - a^2) (x^2 - b^2). */
#define WG_A	0.75f
#define WG_B	1.5f
#define WG_AA	0.5625f	  /* a^2 */
#define WG_BB	2.25f	  /* b^2 */
#define WG_AAA	0.421875f /* a^3 */
#define WG_BBB	3.375f	  /* b^3 */
#define WG_AABB 1.265625f /* a^2 b^2 */
#define WG_SUM	2.8125f	  /* a^2 + b^2 */

/* The most inputs of a tile in each direction. */
#define WG_WINDOW FR_WINOGRAD_WINDOW(FR_WINOGRAD_MAX_TILE)

/* One dimension of the input transform, for tiles of 3 outputs. */
ALWAYS_INLINE void
winograd_evaluate_3(const Vec *in, Vec *out)
{
	const Vec even = in[3] - WG_B * in[2];
	const Vec odd = WG_A * (in[2] - WG_B * in[1]);

	out[3] = in[3] - WG_AA * in[1];
	out[0] = out[3] - WG_B * (in[2] - WG_AA * in[0]);
	out[1] = even + odd;
	out[2] = even - odd;
	out[4] = (in[4] - WG_AA * in[2]) - WG_B * out[3];
}

/* ... of 4. */
ALWAYS_INLINE void
winograd_evaluate_4(const Vec *in, Vec *out)
{
	const Vec even_a = in[4] - WG_BB * in[2];
	const Vec odd_a = WG_A * (in[3] - WG_BB * in[1]);
	const Vec even_b = in[4] - WG_AA * in[2];
	const Vec odd_b = WG_B * (in[3] - WG_AA * in[1]);

	out[0] = in[4] + (WG_AABB * in[0] - WG_SUM * in[2]);
	out[1] = even_a + odd_a;
	out[2] = even_a - odd_a;
	out[3] = even_b + odd_b;
	out[4] = even_b - odd_b;
	out[5] = in[5] + (WG_AABB * in[1] - WG_SUM * in[3]);
}

ALWAYS_INLINE void
winograd_evaluate(const Vec *in, Vec *out, int tile)
{
	if (tile == 3)
		winograd_evaluate_3(in, out);
	else
		winograd_evaluate_4(in, out);
}

/* One dimension of the output transform. */
ALWAYS_INLINE void
winograd_interpolate_3(const Vec *in, Vec *out)
{
	const Vec even = in[1] + in[2], odd = in[1] - in[2];

	out[0] = in[0] + even + in[3];
	out[1] = WG_A * odd + WG_B * in[3];
	out[2] = in[4] + (WG_AA * even + WG_BB * in[3]);
}

ALWAYS_INLINE void
winograd_interpolate_4(const Vec *in, Vec *out)
{
	const Vec even_a = in[1] + in[2], odd_a = in[1] - in[2];
	const Vec even_b = in[3] + in[4], odd_b = in[3] - in[4];

	out[0] = in[0] + even_a + even_b;
	out[1] = WG_A * odd_a + WG_B * odd_b;
	out[2] = WG_AA * even_a + WG_BB * even_b;
	out[3] = in[5] + (WG_AAA * odd_a + WG_BBB * odd_b);
}

ALWAYS_INLINE void
winograd_interpolate(const Vec *in, Vec *out, int tile)
{
	if (tile == 3)
		winograd_interpolate_3(in, out);
	else
		winograd_interpolate_4(in, out);
}

/* One tile, one vector of channels: input points at its first value, output
 * at the value's place at the first position. */
ALWAYS_INLINE void
winograd_input_any(const float *input, ptrdiff_t in_row, float *output,
				   ptrdiff_t position_floats, float scale, int tile)
{
	const int window = FR_WINOGRAD_WINDOW(tile);
	Vec columns[WG_WINDOW][WG_WINDOW]; /* [column][position of the row] */

#pragma GCC unroll 6
	for (int x = 0; x < window; ++x)
	{
		Vec values[WG_WINDOW];

#pragma GCC unroll 6
		for (int y = 0; y < window; ++y)
			values[y] = vec_load(input + y * in_row + x * FR_BLOCK) * scale;
		winograd_evaluate(values, columns[x], tile);
	}
#pragma GCC unroll 6
	for (int y = 0; y < window; ++y)
	{
		Vec values[WG_WINDOW], row[WG_WINDOW];

#pragma GCC unroll 6
		for (int x = 0; x < window; ++x)
			values[x] = columns[x][y];
		winograd_evaluate(values, row, tile);
#pragma GCC unroll 6
		for (int x = 0; x < window; ++x)
			vec_store(output + (window * y + x) * position_floats, row[x]);
	}
}

static void
winograd_input_3(const float *input, ptrdiff_t in_row, float *output,
				 ptrdiff_t position_floats, float scale)
{
	winograd_input_any(input, in_row, output, position_floats, scale, 3);
}

static void
winograd_input_4(const float *input, ptrdiff_t in_row, float *output,
				 ptrdiff_t position_floats, float scale)
{
	winograd_input_any(input, in_row, output, position_floats, scale, 4);
}

/* Where a tile stands. */
typedef struct WinogradPlace
{
	int image, y, x; /* of its first output */
} WinogradPlace;

ALWAYS_INLINE WinogradPlace
winograd_place(const FrWinogradTask *task, int64_t tile)
{
	const int64_t tiles = (int64_t) task->tiles_h * task->tiles_w;
	const int rest = (int) (tile % tiles);

	return (WinogradPlace){(int) (tile / tiles),
						   rest / task->tiles_w * task->tile,
						   rest % task->tiles_w * task->tile};
}

static void
winograd_input(const FrWinogradTask *task, int64_t first_tile, int tiles)
{
	const int blocks = (task->in_channels + FR_BLOCK - 1) / FR_BLOCK;
	const ptrdiff_t position_floats =
		fr_winograd_position_floats(blocks, tiles);

	for (int tile = 0; tile < tiles; ++tile)
	{
		const WinogradPlace place = winograd_place(task, first_tile + tile);
		const float *input = task->input + place.image * task->in_image +
							 place.y * task->in_row +
							 (ptrdiff_t) place.x * FR_BLOCK;
		float *output = task->values + (ptrdiff_t) tile * FR_BLOCK;

		for (int block = 0; block < blocks; ++block)
		{
			for (int v = 0; v < FR_BLOCK; v += VL)
				(task->tile == 3 ? winograd_input_3 : winograd_input_4)(
					input + v, task->in_row, output + v, position_floats,
					task->value_scale);
			input += task->in_block;
			output += (ptrdiff_t) tiles * FR_BLOCK;
		}
	}
}

/* One tile, one vector of channels: from the sums of its positions to
 * height x width <= tile x tile outputs. */
ALWAYS_INLINE void
winograd_output_tile(const float *sums, ptrdiff_t position_floats,
					 const FrWinogradTask *task, ptrdiff_t channel,
					 const float *residual, float *output, int height,
					 int width, int tile)
{
	const Places output_places = {FR_BLOCK, NULL};
	const int window = FR_WINOGRAD_WINDOW(tile);
	/* [output row][position of the column] */
	Vec rows[FR_WINOGRAD_MAX_TILE][WG_WINDOW];

#pragma GCC unroll 6
	for (int x = 0; x < window; ++x)
	{
		Vec values[WG_WINDOW], column[FR_WINOGRAD_MAX_TILE];

#pragma GCC unroll 6
		for (int y = 0; y < window; ++y)
			values[y] = vec_load(sums + (window * y + x) * position_floats);
		winograd_interpolate(values, column, tile);
#pragma GCC unroll 4
		for (int y = 0; y < tile; ++y)
			rows[y][x] = column[y];
	}
#pragma GCC unroll 4
	for (int y = 0; y < height; ++y)
	{
		const float *row_residual =
			residual ? residual + y * task->res_row : NULL;
		Vec results[FR_WINOGRAD_MAX_TILE] = {0};
		Vec values[FR_WINOGRAD_MAX_TILE];

		winograd_interpolate(rows[y], values, tile);
		run_begin(results, width, &task->epilogue, channel, row_residual,
				  output_places);
#pragma GCC unroll 4
		for (int x = 0; x < width; ++x)
			results[x] += values[x];
		run_end(results, width, &task->epilogue, channel, row_residual,
				output_places, output + y * task->out_row, output_places);
	}
}

/* The output transform of some blocks, from the sums of count blocks. */
ALWAYS_INLINE void
winograd_finish(const FrWinogradTask *task, int64_t first_tile, int tiles,
				int first_block, int count, int size)
{
	const ptrdiff_t position_floats = fr_winograd_position_floats(count, tiles);

	for (int tile = 0; tile < tiles; ++tile)
	{
		const WinogradPlace place = winograd_place(task, first_tile + tile);
		const int height = task->out_h - place.y;
		const int width = task->out_w - place.x;
		const ptrdiff_t x = (ptrdiff_t) place.x * FR_BLOCK;

		for (int i = 0; i < count * NV; ++i)
		{
			const int block = first_block + i / NV;
			const ptrdiff_t v = (i % NV) * VL;
			const ptrdiff_t channel = (ptrdiff_t) block * FR_BLOCK + v;
			const float *sums =
				task->sums + ((ptrdiff_t) (i / NV) * tiles + tile) * FR_BLOCK +
				v;
			float *output = task->output + place.image * task->out_image +
							block * task->out_block + place.y * task->out_row +
							x + v;
			const float *residual = task->residual
										? task->residual +
											  place.image * task->res_image +
											  block * task->res_block +
											  place.y * task->res_row + x + v
										: NULL;

			if (height >= size && width >= size)
				winograd_output_tile(sums, position_floats, task, channel,
									 residual, output, size, size, size);
			else
				winograd_output_tile(sums, position_floats, task, channel,
									 residual, output,
									 height < size ? height : size,
									 width < size ? width : size, size);
		}
	}
}

static void
winograd_finish_3(const FrWinogradTask *task, int64_t first_tile, int tiles,
				  int first_block, int count)
{
	winograd_finish(task, first_tile, tiles, first_block, count, 3);
}

static void
winograd_finish_4(const FrWinogradTask *task, int64_t first_tile, int tiles,
				  int first_block, int count)
{
	winograd_finish(task, first_tile, tiles, first_block, count, 4);
}

static void
winograd_output(const FrWinogradTask *task, int64_t first_tile, int tiles,
				int first_block, int count)
{
	const int blocks = (task->in_channels + FR_BLOCK - 1) / FR_BLOCK;
	const ptrdiff_t value_floats = fr_winograd_position_floats(blocks, tiles);
	const ptrdiff_t sum_floats = fr_winograd_position_floats(count, tiles);
	FrConvFilter filter = {.out_channels = count * FR_BLOCK,
						   .in_channels = task->in_channels,
						   .kernel_h = 1,
						   .kernel_w = 1,
						   .in_lanes = FR_BLOCK,
						   .format = task->weight_format};
	const size_t weight_bytes = conv_packed_bytes(&filter);
	const int positions = FR_WINOGRAD_POSITIONS(task->tile);
	const char *weights = task->weights;

	filter.out_channels = first_block * FR_BLOCK;
	weights += (size_t) positions * conv_packed_bytes(&filter);
	for (int position = 0; position < positions; ++position)
	{
		const FrConvTask product = {
			.input = task->values + position * value_floats,
			.in_block = (ptrdiff_t) tiles * FR_BLOCK,
			.in_row = (ptrdiff_t) tiles * FR_BLOCK,
			.in_pixel = FR_BLOCK,
			.in_channels = task->in_channels,
			.in_lanes = FR_BLOCK,
			.kernel_h = 1,
			.kernel_w = 1,
			.output = task->sums + position * sum_floats,
			.out_block = (ptrdiff_t) tiles * FR_BLOCK,
			.out_row = (ptrdiff_t) tiles * FR_BLOCK,
			.out_pixel = FR_BLOCK,
			.out_blocks = count,
			.out_h = 1,
			.out_w = tiles,
			.weights = weights + (size_t) position * weight_bytes,
			.weight_format = task->weight_format,
		};

		conv(&product);
	}
	if (task->tile == 3)
		winograd_finish_3(task, first_tile, tiles, first_block, count);
	else
		winograd_finish_4(task, first_tile, tiles, first_block, count);
}

#endif
