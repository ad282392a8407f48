/*
 * int8_epilogue.h: from integer sums to floats and bytes (template).
 *
 * Scale, bias, residual, activation, and then the value is stored as a float,
 * as a byte, or both.  These files are compiled without fused multiply-add, so
 * that all instruction sets give the same bits.
 */
#ifndef FR_KERNELS_INT8_EPILOGUE_H
#define FR_KERNELS_INT8_EPILOGUE_H

#include <stdbool.h>
#include <string.h>

#include "kernels/int8_kernels.h"
#include "kernels/nn_quantize.h"

ALWAYS_INLINE Vec
floats_of_ints(VecInt value)
{
	return __builtin_convertvector(value, Vec);
}

/* Where a tile begins, and where its pixels lie from there. */
typedef struct OutputPlace
{
	ptrdiff_t output, bytes, residual;
} OutputPlace;

typedef struct OutputOffsets
{
	ptrdiff_t output[TILE_PIXELS];
	ptrdiff_t bytes[TILE_PIXELS];
	ptrdiff_t residual[TILE_PIXELS];
} OutputOffsets;

/* The outputs of one vector of channels; pointers are NULL where there is
 * nothing to read or write. */
typedef struct OutputRun
{
	const int32_t *sums; /* 16 from pixel to pixel */
	int pixels;
	ptrdiff_t channel;
	float *output;
	uint8_t *bytes;
	const float *residual;
	const OutputOffsets *offsets;
} OutputRun;

/* activation is a compile-time constant, FR_ACT_COUNT for any. */
ALWAYS_INLINE void
store_run(const FrInt8ConvTask *task, const OutputRun *run, int activation)
{
	const FrEpilogue *epilogue = &task->epilogue;
	const bool is_late = epilogue->is_residual_after;
	const Vec scale = vec_load(task->scale + run->channel);
	const Vec bias = vec_load(epilogue->bias + run->channel);
	const bool is_prelu = epilogue->activation == FR_ACT_PRELU;
	const Vec slope =
		is_prelu ? vec_load(epilogue->slope + run->channel) : (Vec){0};
	Quantizer quantizer = {0};

	if (run->bytes)
		quantizer = quantizer_at(&task->quantize, run->channel);
	for (int p = 0; p < run->pixels; ++p)
	{
		VecInt sum;

		memcpy(&sum, run->sums + p * FR_BLOCK, sizeof sum);

		Vec value = floats_of_ints(sum) * scale + bias;

		if (run->residual && !is_late)
			value += vec_load(run->residual + run->offsets->residual[p]);
		if (activation == FR_ACT_PRELU)
			value = vec_prelu(value, slope);
		else if (activation == FR_ACT_CLIP)
			value = vec_clip(value, vec_set(epilogue->low),
							 vec_set(epilogue->high));
		else if (activation != FR_ACT_NONE)
			value = vec_activate(value, epilogue->activation, epilogue->low,
								 epilogue->high);
		if (run->residual && is_late)
			value += vec_load(run->residual + run->offsets->residual[p]);
		if (run->output)
			vec_store(run->output + run->offsets->output[p], value);
		if (run->bytes)
			store_bytes(run->bytes + run->offsets->bytes[p], value, &quantizer);
	}
}

/* Store a tile's sums, [blocks][sums_pixels][16], of which the first pixels
 * of each block count; block is the first output block. */
static void
store_outputs(const FrInt8ConvTask *task, const int32_t *sums, int sums_pixels,
			  int block, int blocks, int pixels, const OutputPlace *place,
			  const OutputOffsets *offsets)
{
	OutputRun run = {.pixels = pixels, .offsets = offsets};

	for (int i = 0; i < blocks * NV; ++i)
	{
		const int b = block + i / NV;
		const ptrdiff_t lane = i % NV * VL;

		run.sums = sums + (ptrdiff_t) (i / NV) * sums_pixels * FR_BLOCK + lane;
		run.channel = (ptrdiff_t) b * FR_BLOCK + lane;
		if (task->output)
			run.output =
				task->output + place->output + b * task->out_block + lane;
		if (task->bytes)
			run.bytes = task->bytes + place->bytes +
						b / FR_BYTE_BLOCKS * task->byte_block +
						b % FR_BYTE_BLOCKS * FR_BLOCK + lane;
		if (task->residual)
			run.residual =
				task->residual + place->residual + b * task->res_block + lane;
		switch ((int) task->epilogue.activation)
		{
			case FR_ACT_NONE:
				store_run(task, &run, FR_ACT_NONE);
				break;
			case FR_ACT_PRELU:
				store_run(task, &run, FR_ACT_PRELU);
				break;
			case FR_ACT_CLIP:
				store_run(task, &run, FR_ACT_CLIP);
				break;
			default:
				store_run(task, &run, FR_ACT_COUNT);
				break;
		}
	}
}

#endif
