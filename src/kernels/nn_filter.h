/*
 * nn_filter.h: packed convolution weights (template).
 *
 * One stream per group of output blocks, in the order in which tiles read it:
 * [input block][kernel_h][kernel_w][row][GROUP_BLOCKS * 16], a row being the
 * weights of one input channel; the last group may have fewer blocks.  Rows
 * of channels that only pad the last input block are left out.
 *
 * Where channels are multiplied in pairs (nn_pairs.h), or weights are half
 * precision, a head of three rows of float32 comes first: a power of two per
 * output channel, its inverse, and what the sums start with.  Weights are
 * multiplied by that power, which brings their root mean square near 1/3:
 * products of pairs are exact enough only when weights are of the inputs'
 * magnitude, and half precision has a narrow range.
 */
#ifndef FR_KERNELS_NN_FILTER_H
#define FR_KERNELS_NN_FILTER_H

#include <stdbool.h>

#include "kernels/nn_vector.h"

#define GROUP_CHANNELS (GROUP_BLOCKS * FR_BLOCK)

/* Exponents of the powers of two: wide enough for any weights that matter,
 * far enough from float's range for sums. */
#define MAX_SCALE_EXPONENT 60

/* The rows of a stream's head. */
enum
{
	HEAD_SCALE,
	HEAD_INVERSE,
	HEAD_START,
	HEAD_ROWS
};

/* Weights that one output channel takes. */
static ptrdiff_t
taps(int in_channels, int kernel_h, int kernel_w)
{
	return (ptrdiff_t) in_channels * kernel_h * kernel_w;
}

/* True when a filter multiplies whole blocks in pairs: where the sums are
 * long enough to pay for what pairs need before and after them. */
static bool
is_paired(int in_lanes, ptrdiff_t depth)
{
	return PAIRS > 0 && in_lanes == FR_BLOCK && depth >= FR_MIN_PAIRED_DEPTH;
}

/* Pair i is channels i and i + 8 of a block. Every other pair is subtracted,
 * in neighbouring blocks the others. */
ALWAYS_INLINE bool
is_subtracted(int pair, int block)
{
	return (pair + block) & 1;
}

/* The channel whose weights a row of a paired block holds: first both of
 * each pair, then the rest. */
ALWAYS_INLINE int
paired_row_lane(int row)
{
	const int half = FR_BLOCK / 2;
	const int rest = row - 2 * PAIRS;

	if (rest < 0)
		return row / 2 + row % 2 * half;
	return rest < half - PAIRS ? PAIRS + rest : 2 * PAIRS + rest;
}

ALWAYS_INLINE ptrdiff_t
weight_bytes(FrWeightFormat format)
{
	return format == FR_WEIGHTS_F16 ? 2 : 4;
}

ALWAYS_INLINE bool
has_head(FrWeightFormat format, bool is_in_pairs)
{
	return is_in_pairs || format == FR_WEIGHTS_F16;
}

ALWAYS_INLINE ptrdiff_t
head_bytes(int width, FrWeightFormat format, bool is_in_pairs)
{
	return has_head(format, is_in_pairs) ? HEAD_ROWS * width * 4 : 0;
}

/* Bytes of the stream of width output channels of depth weights each. */
static ptrdiff_t
stream_bytes(int width, ptrdiff_t depth, int in_lanes, FrWeightFormat format)
{
	return head_bytes(width, format, is_paired(in_lanes, depth)) +
		   depth * width * weight_bytes(format);
}

ALWAYS_INLINE Vec
weight_load(const char *weights, int index, FrWeightFormat format)
{
	return format == FR_WEIGHTS_F16
			   ? vec_load_half((const uint16_t *) weights + index)
			   : vec_load((const float *) weights + index);
}

static size_t
conv_packed_bytes(const FrConvFilter *filter)
{
	const int channels =
		(filter->out_channels + FR_BLOCK - 1) / FR_BLOCK * FR_BLOCK;

	if (filter->out_channels <= 0 || filter->in_channels < 0)
		return 0;

	const ptrdiff_t depth =
		taps(filter->in_channels, filter->kernel_h, filter->kernel_w);
	const size_t full = (size_t) stream_bytes(GROUP_CHANNELS, depth,
											  filter->in_lanes, filter->format);
	const int rest = channels % GROUP_CHANNELS;

	return (size_t) (channels / GROUP_CHANNELS) * full +
		   (rest ? (size_t) stream_bytes(rest, depth, filter->in_lanes,
										 filter->format)
				 : 0);
}

/* ---- packing ------------------------------------------------------------ */

/* One output channel while its group is packed. */
typedef struct Column
{
	const float *weights; /* [in, kernel_h, kernel_w], NULL: padding */
	float factor;		  /* given by the caller */
	float scale;		  /* the power of two */
	double pairs;		  /* signed sum of the products of paired weights */
} Column;

typedef struct Packer
{
	Column columns[GROUP_CHANNELS];
	int width;
	FrWeightFormat format;
	bool is_paired;
	char *target; /* of the next row */
} Packer;

/* The power of two that brings a channel's root mean square into
 * [0.25, 0.5): below what normalised networks have as inputs, because sums
 * suffer more from small inputs than from large ones. */
static float
column_scale(const Column *column, ptrdiff_t depth)
{
	double sum = 0;
	int exponent;

	for (ptrdiff_t i = 0; i < depth; ++i)
		sum += (double) column->weights[i] * (double) column->weights[i];
	sum = sqrt(sum / (double) depth) * fabs((double) column->factor);
	if (!(sum > 0) || !isfinite(sum))
		return 1.0f;
	frexp(2 * sum, &exponent);
	if (exponent > MAX_SCALE_EXPONENT)
		exponent = MAX_SCALE_EXPONENT;
	if (exponent < -MAX_SCALE_EXPONENT)
		exponent = -MAX_SCALE_EXPONENT;
	return (float) ldexp(1.0, -exponent);
}

/* A weight as float32, rounded to the format. */
static float
packed_value(const Column *column, ptrdiff_t offset, FrWeightFormat format)
{
	const float value = column->weights ? column->weights[offset] *
											  column->factor * column->scale
										: 0.0f;

	return format == FR_WEIGHTS_F16
			   ? fr_half_to_float(fr_half_from_float(value))
			   : value;
}

/* The next row: the weights at offset of each channel. */
static void
pack_row(Packer *packer, ptrdiff_t offset, bool is_negated)
{
	for (int i = 0; i < packer->width; ++i)
	{
		float value = packed_value(&packer->columns[i], offset, packer->format);

		if (is_negated)
			value = -value;
		if (packer->format == FR_WEIGHTS_F16)
			((uint16_t *) (void *) packer->target)[i] =
				fr_half_from_float(value);
		else
			((float *) (void *) packer->target)[i] = value;
	}
	packer->target += packer->width * weight_bytes(packer->format);
}

/* One tap of one input block: offset is that of its first channel, step the
 * distance between channels. */
static void
pack_tap(Packer *packer, int block, int lanes, ptrdiff_t offset, ptrdiff_t step)
{
	if (!packer->is_paired || lanes != FR_BLOCK)
	{
		for (int lane = 0; lane < lanes; ++lane)
			pack_row(packer, offset + lane * step, false);
		return;
	}
	for (int row = 0; row < lanes; ++row)
		pack_row(packer, offset + paired_row_lane(row) * step,
				 row < 2 * PAIRS && is_subtracted(row / 2, block));
	for (int pair = 0; pair < PAIRS; ++pair)
	{
		for (int i = 0; i < packer->width; ++i)
		{
			Column *column = &packer->columns[i];
			const double product =
				(double) packed_value(column, offset + pair * step,
									  packer->format) *
				(double) packed_value(column,
									  offset + (pair + FR_BLOCK / 2) * step,
									  packer->format);

			column->pairs += is_subtracted(pair, block) ? -product : product;
		}
	}
}

static void
pack_head(const Packer *packer, float *head)
{
	const int width = packer->width;

	for (int i = 0; i < width; ++i)
	{
		head[HEAD_SCALE * width + i] = packer->columns[i].scale;
		head[HEAD_INVERSE * width + i] = 1.0f / packer->columns[i].scale;
		head[HEAD_START * width + i] = (float) -packer->columns[i].pairs;
	}
}

/* The stream of the output channels that packer->columns describe. */
static void
pack_stream(Packer *packer, const FrConvFilter *filter)
{
	const ptrdiff_t positions = (ptrdiff_t) filter->kernel_h * filter->kernel_w;
	float *head = (float *) (void *) packer->target;
	int block = 0;

	packer->target +=
		head_bytes(packer->width, packer->format, packer->is_paired);
	for (int in = 0; in < filter->in_channels; in += filter->in_lanes)
	{
		const int left = filter->in_channels - in;
		const int lanes = left < filter->in_lanes ? left : filter->in_lanes;

		for (ptrdiff_t position = 0; position < positions; ++position)
			pack_tap(packer, block, lanes, in * positions + position,
					 positions);
		++block;
	}
	if (has_head(packer->format, packer->is_paired))
		pack_head(packer, head);
}

static void
conv_pack(const FrConvFilter *filter, const float *weights, const float *scale,
		  void *packed)
{
	const ptrdiff_t depth =
		taps(filter->in_channels, filter->kernel_h, filter->kernel_w);
	const int channels =
		(filter->out_channels + FR_BLOCK - 1) / FR_BLOCK * FR_BLOCK;
	Packer packer = {.format = filter->format,
					 .is_paired = is_paired(filter->in_lanes, depth),
					 .target = packed};

	for (int out = 0; out < channels; out += GROUP_CHANNELS)
	{
		const int left = channels - out;

		packer.width = left < GROUP_CHANNELS ? left : GROUP_CHANNELS;
		for (int i = 0; i < packer.width; ++i)
		{
			Column *column = &packer.columns[i];

			*column = (Column){.factor = 1.0f, .scale = 1.0f};
			if (out + i >= filter->out_channels)
				continue;
			column->weights = weights + (out + i) * depth;
			if (scale)
				column->factor = scale[out + i];
			if (has_head(packer.format, packer.is_paired))
				column->scale = column_scale(column, depth);
		}
		pack_stream(&packer, filter);
	}
}

#endif
