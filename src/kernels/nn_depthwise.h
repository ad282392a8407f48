/*
 * nn_depthwise.h: depthwise convolution and pooling (template).
 *
 * Both slide a small window over one channel block and keep the sums of up
 * to DEPTHWISE_PIXELS neighbouring outputs in registers.  The 3 x 3 filter
 * with stride 1 or 2 also keeps its nine weights and reads each input pixel
 * of a row once for all outputs that it reaches.  Every sum runs over kernel
 * rows, then columns, whatever the tile.
 */
#ifndef FR_KERNELS_NN_DEPTHWISE_H
#define FR_KERNELS_NN_DEPTHWISE_H

#include "kernels/nn_epilogue.h"
#include "kernels/nn_quantize.h"

#define DEPTHWISE_PIXELS 8

/* Where a run of outputs stands, at the first channel of its block. */
typedef struct Window
{
	const float *input;
	const float *weights;
	const float *residual; /* or NULL */
	float *output;
	uint8_t *bytes; /* instead of output, or NULL */
	ptrdiff_t channel;
} Window;

/* The weights of a 3 x 3 filter. They stay in registers when there are
 * enough; otherwise (more than one vector per block) each kernel row loads
 * its own. */
ALWAYS_INLINE Vec
filter_weight(const Vec *held, const float *weights, int tap)
{
	return NV == 1 ? held[tap] : vec_load(weights + tap * FR_BLOCK);
}

/* 3 x 3 with a pixel stride of step blocks; columns are adjacent blocks. */
ALWAYS_INLINE void
window_add_3x3(Vec *sums, int pixels, int step, const FrDepthwiseTask *task,
			   const float *input, const float *weights, const Vec *held)
{
#pragma GCC unroll 3
	for (int ky = 0; ky < 3; ++ky)
	{
		const float *row = input + ky * task->tap_row;
		Vec w[3];

#pragma GCC unroll 3
		for (int kx = 0; kx < 3; ++kx)
			w[kx] = filter_weight(held, weights, ky * 3 + kx);
#pragma GCC unroll 32
		for (int column = 0; column < (pixels - 1) * step + 3; ++column)
		{
			const Vec x = vec_load(row + column * FR_BLOCK);

#pragma GCC unroll 16
			for (int p = 0; p < pixels; ++p)
			{
				const int kx = column - p * step;

				if (kx >= 0 && kx < 3)
					sums[p] += x * w[kx];
			}
		}
	}
}

ALWAYS_INLINE void
window_add_any(Vec *sums, int pixels, const FrDepthwiseTask *task,
			   const float *input, const float *weights)
{
	for (int ky = 0; ky < task->kernel_h; ++ky)
	{
		for (int kx = 0; kx < task->kernel_w; ++kx)
		{
			const float *source =
				input + ky * task->tap_row + kx * task->tap_col;
			const Vec w = vec_load(weights);

#pragma GCC unroll 16
			for (int p = 0; p < pixels; ++p)
				sums[p] += vec_load(source + p * task->in_pixel) * w;
			weights += FR_BLOCK;
		}
	}
}

/* End a run whose outputs become bytes. */
ALWAYS_INLINE void
run_end_bytes(Vec *sums, int count, const FrDepthwiseTask *task,
			  ptrdiff_t channel, const float *residual, uint8_t *bytes)
{
	const Places places = {FR_BLOCK, NULL}, packed = {VL, NULL};
	const Quantizer quantizer = quantizer_at(&task->quantize, channel);
	float values[DEPTHWISE_PIXELS * VL];

	run_end(sums, count, &task->epilogue, channel, residual, places, values,
			packed);
#pragma GCC unroll 16
	for (int i = 0; i < count; ++i)
		store_bytes(bytes + i * FR_BYTE_BLOCK, vec_load(values + i * VL),
					&quantizer);
}

/* The next pixels outputs; pixels and step (1, 2: 3 x 3 filters; 0: any) are
 * constants. */
ALWAYS_INLINE void
window_run(const FrDepthwiseTask *task, Window *window, const Vec *held,
		   int pixels, int step)
{
	const Places places = {FR_BLOCK, NULL};

	for (int v = 0; v < FR_BLOCK; v += VL)
	{
		const float *residual = window->residual ? window->residual + v : NULL;
		Vec sums[DEPTHWISE_PIXELS];

		run_begin(sums, pixels, &task->epilogue, window->channel + v, residual,
				  places);
		if (step == 0)
			window_add_any(sums, pixels, task, window->input + v,
						   window->weights + v);
		else
			window_add_3x3(sums, pixels, step, task, window->input + v,
						   window->weights + v, held);
		if (window->bytes)
			run_end_bytes(sums, pixels, task, window->channel + v, residual,
						  window->bytes + v);
		else
			run_end(sums, pixels, &task->epilogue, window->channel + v,
					residual, places, window->output + v, places);
	}
	window->input += pixels * task->in_pixel;
	if (window->bytes)
		window->bytes += pixels * FR_BYTE_BLOCK;
	else
		window->output += pixels * FR_BLOCK;
	if (window->residual)
		window->residual += pixels * FR_BLOCK;
}

/* One block, its rows in runs of width outputs and a rest; width and step are
 * constants. */
ALWAYS_INLINE void
window_rows(const FrDepthwiseTask *task, const Window *first, int width,
			int step)
{
	Vec held[9];

#pragma GCC unroll 9
	for (int tap = 0; tap < 9 && step != 0 && NV == 1; ++tap)
		held[tap] = vec_load(first->weights + tap * FR_BLOCK);
	for (int y = 0; y < task->out_h; ++y)
	{
		Window window = *first;
		int left = task->out_w;

		window.input += y * task->in_row;
		if (window.bytes)
			window.bytes += y * task->byte_row;
		else
			window.output += y * task->out_row;
		if (window.residual)
			window.residual += y * task->res_row;
		for (; left >= width; left -= width)
			window_run(task, &window, held, width, step);
		if (left >= 4)
			window_run(task, &window, held, 4, step);
		if (left & 2)
			window_run(task, &window, held, 2, step);
		if (left & 1)
			window_run(task, &window, held, 1, step);
	}
}

typedef void (*WindowFunction)(const FrDepthwiseTask *task,
							   const Window *first);

#define DEFINE_WINDOW_ROWS(WIDTH, STEP)                                   \
	static void window_rows_##WIDTH##_##STEP(const FrDepthwiseTask *task, \
											 const Window *first)         \
	{                                                                     \
		window_rows(task, first, WIDTH, STEP);                            \
	}

DEFINE_WINDOW_ROWS(7, 0)
DEFINE_WINDOW_ROWS(8, 0)
DEFINE_WINDOW_ROWS(7, 1)
DEFINE_WINDOW_ROWS(8, 1)
DEFINE_WINDOW_ROWS(7, 2)
DEFINE_WINDOW_ROWS(8, 2)

static const WindowFunction window_functions[3][2] = {
	{window_rows_8_0, window_rows_7_0},
	{window_rows_8_1, window_rows_7_1},
	{window_rows_8_2, window_rows_7_2},
};

static void
depthwise(const FrDepthwiseTask *task)
{
	const bool is_3x3 =
		task->kernel_h == 3 && task->kernel_w == 3 &&
		task->tap_col == FR_BLOCK &&
		(task->in_pixel == FR_BLOCK || task->in_pixel == 2 * FR_BLOCK);
	const int step = is_3x3 ? (int) (task->in_pixel / FR_BLOCK) : 0;
	const ptrdiff_t taps = (ptrdiff_t) task->kernel_h * task->kernel_w;
	/* Maps of faces are 112, 56, 28, 14 or 7 wide. */
	const bool is_by_7 = task->out_w % 7 == 0;

	for (int block = 0; block < task->blocks; ++block)
	{
		const Window first = {
			task->input + block * task->in_block,
			task->weights + block * taps * FR_BLOCK,
			task->residual ? task->residual + block * task->res_block : NULL,
			task->bytes ? NULL : task->output + block * task->out_block,
			task->bytes
				? task->bytes + block / FR_BYTE_BLOCKS * task->byte_block +
					  block % FR_BYTE_BLOCKS * FR_BLOCK
				: NULL,
			(ptrdiff_t) block * FR_BLOCK};

		window_functions[step][is_by_7](task, &first);
	}
}

/* ---- pooling ------------------------------------------------------------ */

/* Up to DEPTHWISE_PIXELS outputs of one vector; pixels is a constant. */
ALWAYS_INLINE void
pool_run(const FrPoolTask *task, const float *input, float *output, int pixels)
{
	const Vec start = vec_set(task->is_max ? -INFINITY : 0.0f);
	Vec sums[DEPTHWISE_PIXELS];

#pragma GCC unroll 16
	for (int p = 0; p < pixels; ++p)
		sums[p] = start;
	for (int ky = 0; ky < task->kernel_h; ++ky)
	{
		for (int kx = 0; kx < task->kernel_w; ++kx)
		{
			const float *source =
				input + ky * task->tap_row + kx * task->tap_col;

#pragma GCC unroll 16
			for (int p = 0; p < pixels; ++p)
			{
				const Vec x = vec_load(source + p * task->in_pixel);

				sums[p] = task->is_max ? vec_max(sums[p], x) : sums[p] + x;
			}
		}
	}
#pragma GCC unroll 16
	for (int p = 0; p < pixels; ++p)
		vec_store(output + p * FR_BLOCK,
				  task->is_max ? sums[p] : sums[p] * task->scale);
}

static void
pool_row(const FrPoolTask *task, const float *input, float *output)
{
	int x = 0;

	for (; x + 4 <= task->out_w; x += 4)
		pool_run(task, input + x * task->in_pixel, output + x * FR_BLOCK, 4);
	for (; x < task->out_w; ++x)
		pool_run(task, input + x * task->in_pixel, output + x * FR_BLOCK, 1);
}

/* The largest of a column of three pixels. */
ALWAYS_INLINE Vec
column_max(const FrPoolTask *task, const float *input)
{
	return vec_max(vec_max(vec_load(input), vec_load(input + task->tap_row)),
				   vec_load(input + 2 * task->tap_row));
}

/* Maxima of 3 x 3 with stride 2: neighbours share a column. */
static void
max_pool_row_3x3_2(const FrPoolTask *task, const float *input, float *output)
{
	Vec left = column_max(task, input);

#pragma GCC unroll 2
	for (int x = 0; x < task->out_w; ++x)
	{
		const Vec middle = column_max(task, input + FR_BLOCK);
		const Vec right = column_max(task, input + 2 * FR_BLOCK);

		vec_store(output, vec_max(vec_max(left, middle), right));
		left = right;
		input += 2 * FR_BLOCK;
		output += FR_BLOCK;
	}
}

static void
pool(const FrPoolTask *task)
{
	const bool is_3x3_2 = task->is_max && task->kernel_h == 3 &&
						  task->kernel_w == 3 && task->tap_col == FR_BLOCK &&
						  task->in_pixel == 2 * FR_BLOCK;

	for (int block = 0; block < task->blocks; ++block)
	{
		for (int y = 0; y < task->out_h; ++y)
		{
			for (int v = 0; v < FR_BLOCK; v += VL)
				(is_3x3_2 ? max_pool_row_3x3_2 : pool_row)(
					task,
					task->input + block * task->in_block + y * task->in_row + v,
					task->output + block * task->out_block + y * task->out_row +
						v);
		}
	}
}

#endif
