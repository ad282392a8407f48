/*
 * nn_winograd.h: convolution by Winograd's minimal filtering F(4x4, 3x3)
 * (template).
 *
 * A tile of 4 x 4 outputs needs 6 x 6 inputs.  Both are seen as polynomials:
 * evaluated at the points 0, 3/4, -3/4, 3/2, -3/2 and infinity, in rows and in
 * columns, they need 36 products per pair of channels instead of 144:
 *
 *     output = A' [sum over channels of (G filter G') * (B' input B)] A
 *
 * (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR
 * 2016, section 4).  At each of the 36 positions the sum over channels is a
 * 1x1 convolution over the tiles: nn_conv.h does it.  The points halve the
 * rounding error of the usual 0, 1, -1, 2, -2 (numpy, 256 channels: 1.35e-6
 * against 2.85e-6 of the output's deviation), and with them values and
 * weights are of like size at all positions.
 */
#ifndef FR_KERNELS_NN_WINOGRAD_H
#define FR_KERNELS_NN_WINOGRAD_H

#include "kernels/nn_conv.h"

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

/* One dimension of the input transform: values step apart. */
ALWAYS_INLINE void
winograd_evaluate(const Vec in[6], Vec out[6])
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

/* One dimension of the output transform. */
ALWAYS_INLINE void
winograd_interpolate(const Vec in[6], Vec out[4])
{
	const Vec even_a = in[1] + in[2], odd_a = in[1] - in[2];
	const Vec even_b = in[3] + in[4], odd_b = in[3] - in[4];

	out[0] = in[0] + even_a + even_b;
	out[1] = WG_A * odd_a + WG_B * odd_b;
	out[2] = WG_AA * even_a + WG_BB * even_b;
	out[3] = in[5] + (WG_AAA * odd_a + WG_BBB * odd_b);
}

/* One tile, one vector of channels: input points at its first value, output
 * at the value's place at the first position. */
static void
winograd_input_tile(const float *input, ptrdiff_t in_row, float *output,
					ptrdiff_t position_floats, float scale)
{
	Vec columns[6][6]; /* [column][position of the row] */

#pragma GCC unroll 6
	for (int x = 0; x < 6; ++x)
	{
		Vec values[6];

#pragma GCC unroll 6
		for (int y = 0; y < 6; ++y)
			values[y] = vec_load(input + y * in_row + x * FR_BLOCK) * scale;
		winograd_evaluate(values, columns[x]);
	}
#pragma GCC unroll 6
	for (int y = 0; y < 6; ++y)
	{
		Vec values[6], row[6];

#pragma GCC unroll 6
		for (int x = 0; x < 6; ++x)
			values[x] = columns[x][y];
		winograd_evaluate(values, row);
#pragma GCC unroll 6
		for (int x = 0; x < 6; ++x)
			vec_store(output + (6 * y + x) * position_floats, row[x]);
	}
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

	return (WinogradPlace){(int) (tile / tiles), rest / task->tiles_w * 4,
						   rest % task->tiles_w * 4};
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
				winograd_input_tile(input + v, task->in_row, output + v,
									position_floats, task->value_scale);
			input += task->in_block;
			output += (ptrdiff_t) tiles * FR_BLOCK;
		}
	}
}

/* One tile, one vector of channels: from the sums of its 36 positions to
 * height x width <= 4 x 4 outputs. */
ALWAYS_INLINE void
winograd_output_tile(const float *sums, ptrdiff_t position_floats,
					 const FrWinogradTask *task, ptrdiff_t channel,
					 const float *residual, float *output, int height,
					 int width)
{
	const Places output_places = {FR_BLOCK, NULL};
	Vec rows[4][6]; /* [output row][position of the column] */

#pragma GCC unroll 6
	for (int x = 0; x < 6; ++x)
	{
		Vec values[6], column[4];

#pragma GCC unroll 6
		for (int y = 0; y < 6; ++y)
			values[y] = vec_load(sums + (6 * y + x) * position_floats);
		winograd_interpolate(values, column);
#pragma GCC unroll 4
		for (int y = 0; y < 4; ++y)
			rows[y][x] = column[y];
	}
#pragma GCC unroll 4
	for (int y = 0; y < height; ++y)
	{
		const float *row_residual =
			residual ? residual + y * task->res_row : NULL;
		Vec results[4] = {0}, values[4];

		winograd_interpolate(rows[y], values);
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
static void
winograd_finish(const FrWinogradTask *task, int64_t first_tile, int tiles,
				int first_block, int count)
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

			if (height >= 4 && width >= 4)
				winograd_output_tile(sums, position_floats, task, channel,
									 residual, output, 4, 4);
			else
				winograd_output_tile(sums, position_floats, task, channel,
									 residual, output, height < 4 ? height : 4,
									 width < 4 ? width : 4);
		}
	}
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
	const char *weights = task->weights;

	filter.out_channels = first_block * FR_BLOCK;
	weights += FR_WINOGRAD_POSITIONS * conv_packed_bytes(&filter);
	for (int position = 0; position < FR_WINOGRAD_POSITIONS; ++position)
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
	winograd_finish(task, first_tile, tiles, first_block, count);
}

#endif
