/*
 * nn_maps.h: element-wise work, means, enlargement and the way into and out
 * of the blocked layout (template).
 *
 * These kernels are bound by memory: they read and write whole rows and keep
 * no more state than a few vectors.
 */
#ifndef FR_KERNELS_NN_MAPS_H
#define FR_KERNELS_NN_MAPS_H

#include <string.h>

#include "kernels/nn_epilogue.h"

/* ---- element-wise ------------------------------------------------------- */

ALWAYS_INLINE Vec
vec_binary(FrBinary binary, Vec a, Vec b)
{
	switch (binary)
	{
		case FR_BINARY_ADD:
			return a + b;
		case FR_BINARY_SUB:
			return a - b;
		case FR_BINARY_MUL:
			return a * b;
		case FR_BINARY_DIV:
			return a / b;
		case FR_BINARY_MAX:
			return vec_max(a, b);
		case FR_BINARY_MIN:
			return vec_min(a, b);
		case FR_BINARY_NONE:
			break;
	}
	return a;
}

/* pixels (a constant) outputs of one vector of channels. */
ALWAYS_INLINE void
eltwise_run(const FrEltwiseTask *task, const float *a, const float *b,
			float *output, ptrdiff_t channel, int pixels)
{
	const FrEpilogue *epilogue = &task->epilogue;
	const Vec scale =
		task->scale ? vec_load(task->scale + channel) : vec_set(1.0f);
	const Vec bias =
		epilogue->bias ? vec_load(epilogue->bias + channel) : (Vec){0};
	Vec values[4];

#pragma GCC unroll 4
	for (int p = 0; p < pixels; ++p)
	{
		values[p] = vec_load(a + p * FR_BLOCK);
		if (task->scale)
			values[p] *= scale;
	}
	if (task->binary != FR_BINARY_NONE)
	{
#pragma GCC unroll 4
		for (int p = 0; p < pixels; ++p)
			values[p] = vec_binary(task->binary, values[p],
								   vec_load(b + p * task->b_pixel));
	}
	if (epilogue->bias)
	{
#pragma GCC unroll 4
		for (int p = 0; p < pixels; ++p)
			values[p] += bias;
	}
	run_end(values, pixels, epilogue, channel, NULL, (Places){0}, output,
			(Places){FR_BLOCK, NULL});
}

static void
eltwise_row(const FrEltwiseTask *task, const float *a, const float *b,
			float *output, ptrdiff_t channel)
{
	int x = 0;

	for (; x + 4 <= task->width; x += 4)
	{
		eltwise_run(task, a + x * FR_BLOCK, b ? b + x * task->b_pixel : NULL,
					output + x * FR_BLOCK, channel, 4);
	}
	for (; x < task->width; ++x)
	{
		eltwise_run(task, a + x * FR_BLOCK, b ? b + x * task->b_pixel : NULL,
					output + x * FR_BLOCK, channel, 1);
	}
}

static void
eltwise(const FrEltwiseTask *task)
{
	for (int block = 0; block < task->blocks; ++block)
	{
		for (int y = 0; y < task->height; ++y)
		{
			const float *a = task->a + block * task->a_block + y * task->a_row;
			const float *b =
				task->b ? task->b + block * task->b_block + y * task->b_row
						: NULL;
			float *output =
				task->output + block * task->out_block + y * task->out_row;

			for (int v = 0; v < FR_BLOCK; v += VL)
				eltwise_row(task, a + v, b ? b + v : NULL, output + v,
							(ptrdiff_t) block * FR_BLOCK + v);
		}
	}
}

static void
activate(const float *input, float *output, size_t count,
		 FrActivation activation, float low, float high)
{
	size_t i = 0;

	for (; i + VL <= count; i += VL)
		vec_store(output + i,
				  vec_activate(vec_load(input + i), activation, low, high));
	if (i < count)
	{
		/* Through a vector of their own, so that the last floats get the
		 * same bits as the others. */
		Vec value = {0};

		memcpy(&value, input + i, (count - i) * sizeof(float));
		value = vec_activate(value, activation, low, high);
		memcpy(output + i, &value, (count - i) * sizeof(float));
	}
}

/* VL lines side by side, or the first count of them: the last ones go through
 * vectors of their own, so that they get the same bits as the others. */
ALWAYS_INLINE Vec
softmax_load(const float *input, size_t count)
{
	Vec value = {0};

	if (count >= VL)
		return vec_load(input);
	memcpy(&value, input, count * sizeof(float));
	return value;
}

ALWAYS_INLINE void
softmax_store(float *output, Vec value, size_t count)
{
	if (count >= VL)
		vec_store(output, value);
	else
		memcpy(output, &value, count * sizeof(float));
}

static void
softmax(const float *input, float *output, int length, ptrdiff_t stride,
		size_t count)
{
	for (size_t i = 0; i < count; i += VL)
	{
		const size_t left = count - i;
		Vec largest = vec_set(-INFINITY), sum = {0};

		for (int k = 0; k < length; ++k)
			largest =
				vec_max(softmax_load(input + k * stride + i, left), largest);
		for (int k = 0; k < length; ++k)
		{
			const Vec value =
				vec_exp(softmax_load(input + k * stride + i, left) - largest);

			softmax_store(output + k * stride + i, value, left);
			sum += value;
		}
		for (int k = 0; k < length; ++k)
			softmax_store(output + k * stride + i,
						  softmax_load(output + k * stride + i, left) / sum,
						  left);
	}
}

/* ---- means and enlargement ---------------------------------------------- */

/* Sum of one vector of channels over a map, in four interleaved chains. */
static Vec
map_sum(const float *input, ptrdiff_t in_row, int height, int width)
{
	Vec sums[4] = {{0}};

	for (int y = 0; y < height; ++y)
	{
		const float *row = input + y * in_row;
		int x = 0;

		for (; x + 4 <= width; x += 4)
		{
			for (int i = 0; i < 4; ++i)
				sums[i] += vec_load(row + (x + i) * FR_BLOCK);
		}
		for (; x < width; ++x)
			sums[0] += vec_load(row + x * FR_BLOCK);
	}
	return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

static void
global_average(const float *input, ptrdiff_t in_block, ptrdiff_t in_row,
			   int blocks, int height, int width, float *output,
			   ptrdiff_t out_block)
{
	const float count = (float) height * (float) width;

	for (int block = 0; block < blocks; ++block)
	{
		for (int v = 0; v < FR_BLOCK; v += VL)
		{
			const Vec sum =
				map_sum(input + block * in_block + v, in_row, height, width);

			vec_store(output + block * out_block + v,
					  count > 0 ? sum / count : sum);
		}
	}
}

static void
copy_block(const float *source, float *target)
{
	for (int v = 0; v < FR_BLOCK; v += VL)
		vec_store(target + v, vec_load(source + v));
}

/* One input row, each pixel factor times. */
static void
upsample_row(const float *input, int width, int factor, float *output)
{
	for (int x = 0; x < width; ++x)
	{
		for (int i = 0; i < factor; ++i)
		{
			copy_block(input + x * FR_BLOCK, output);
			output += FR_BLOCK;
		}
	}
}

static void
upsample(const float *input, ptrdiff_t in_block, ptrdiff_t in_row, int blocks,
		 int height, int width, int factor_h, int factor_w, float *output,
		 ptrdiff_t out_block, ptrdiff_t out_row)
{
	for (int block = 0; block < blocks; ++block)
	{
		for (int y = 0; y < height * factor_h; ++y)
			upsample_row(input + block * in_block + y / factor_h * in_row,
						 width, factor_w,
						 output + block * out_block + y * out_row);
	}
}

/* ---- plain and blocked -------------------------------------------------- */

/* One row of up to FR_BLOCK planes; lanes values per pixel. */
static void
block_row(const float *input, ptrdiff_t in_plane, int channels, int width,
		  int lanes, float *output)
{
	for (int x = 0; x < width; ++x)
	{
		for (int c = 0; c < channels; ++c)
			output[c] = input[c * in_plane + x];
		for (int c = channels; c < lanes; ++c)
			output[c] = 0.0f;
		output += lanes;
	}
}

/* One row of three planes to four lanes: the network's picture. */
static void
block_row_rgb0(const float *restrict input, ptrdiff_t in_plane, int width,
			   float *restrict output)
{
	const float *r = input, *g = input + in_plane, *b = g + in_plane;
	int x = 0;

#if defined(__SSE2__)
	/* Four pixels are a matrix to transpose. */
	for (; x + 4 <= width; x += 4)
	{
		__m128 v0 = _mm_loadu_ps(r + x), v1 = _mm_loadu_ps(g + x);
		__m128 v2 = _mm_loadu_ps(b + x), v3 = _mm_setzero_ps();

		_MM_TRANSPOSE4_PS(v0, v1, v2, v3);
		_mm_storeu_ps(output + x * 4, v0);
		_mm_storeu_ps(output + x * 4 + 4, v1);
		_mm_storeu_ps(output + x * 4 + 8, v2);
		_mm_storeu_ps(output + x * 4 + 12, v3);
	}
#endif
	for (; x < width; ++x)
	{
		output[x * 4] = r[x];
		output[x * 4 + 1] = g[x];
		output[x * 4 + 2] = b[x];
		output[x * 4 + 3] = 0.0f;
	}
}

static void
block(const float *input, ptrdiff_t in_plane, ptrdiff_t in_row, int channels,
	  int height, int width, int lanes, float *output, ptrdiff_t out_block,
	  ptrdiff_t out_row)
{
	for (int c = 0; c < channels; c += lanes)
	{
		const int count = channels - c < lanes ? channels - c : lanes;

		for (int y = 0; y < height; ++y)
		{
			const float *source = input + c * in_plane + y * in_row;
			float *target = output + c / lanes * out_block + y * out_row;

			if (lanes == 4 && count == 3)
				block_row_rgb0(source, in_plane, width, target);
			else
				block_row(source, in_plane, count, width, lanes, target);
		}
	}
}

static void
unblock(const float *input, ptrdiff_t in_block, ptrdiff_t in_row,
		int first_lane, int channels, int height, int width, float *output,
		ptrdiff_t out_plane, ptrdiff_t out_row)
{
	for (int c = 0; c < channels; ++c)
	{
		const int lane = first_lane + c;
		const float *plane =
			input + lane / FR_BLOCK * in_block + lane % FR_BLOCK;

		for (int y = 0; y < height; ++y)
		{
			const float *source = plane + y * in_row;
			float *target = output + c * out_plane + y * out_row;

			for (int x = 0; x < width; ++x)
				target[x] = source[x * FR_BLOCK];
		}
	}
}

/* count neighbouring lanes of every pixel of a row, to every channels'th
 * place of the output; count is a constant where it is small. */
ALWAYS_INLINE void
unblock_lanes(const float *restrict input, int count, int channels, int width,
			  float *restrict output)
{
	for (int x = 0; x < width; ++x)
	{
		const float *pixel = input + (ptrdiff_t) x * FR_BLOCK;
		float *target = output + (ptrdiff_t) x * channels;
		int c = 0;

		for (; c + 4 <= count; c += 4)
			memcpy(target + c, pixel + c, 4 * sizeof(float));
		for (; c < count; ++c)
			target[c] = pixel[c];
	}
}

static void
unblock_row(const float *input, int count, int channels, int width,
			float *output)
{
	switch (count)
	{
		case 1:
			unblock_lanes(input, 1, channels, width, output);
			return;
		case 2:
			unblock_lanes(input, 2, channels, width, output);
			return;
		case 4:
			unblock_lanes(input, 4, channels, width, output);
			return;
		case 10:
			unblock_lanes(input, 10, channels, width, output);
			return;
		case 16:
			unblock_lanes(input, 16, channels, width, output);
			return;
		default:
			unblock_lanes(input, count, channels, width, output);
			return;
	}
}

static void
unblock_nhwc(const float *input, ptrdiff_t in_block, ptrdiff_t in_row,
			 int first_lane, int channels, int height, int width, float *output)
{
	for (int y = 0; y < height; ++y)
	{
		const float *row = input + y * in_row;
		int lane = first_lane, count;

		for (int c = 0; c < channels; c += count)
		{
			count =
				channels - c < FR_BLOCK - lane ? channels - c : FR_BLOCK - lane;
			unblock_row(row + lane, count, channels, width, output + c);
			row += in_block;
			lane = 0;
		}
		output += (ptrdiff_t) width * channels;
	}
}

#endif
