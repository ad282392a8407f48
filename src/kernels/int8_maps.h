/*
 * int8_maps.h: whole maps between floats and bytes (template).
 */
#ifndef FR_KERNELS_INT8_MAPS_H
#define FR_KERNELS_INT8_MAPS_H

#include "kernels/int8_epilogue.h"

/* A picture of 4 lanes: a pixel is one quad. */
static void
quantize_picture(const FrQuantizeTask *task)
{
	const FrQuantize *q = &task->quantize;
	const float low = (float) -q->zero_point;
	const float high = (float) (255 - q->zero_point);

	for (int y = 0; y < task->height; ++y)
	{
		const float *source = task->input + y * task->in_row;
		uint8_t *target = task->bytes + y * task->byte_row;

		for (int i = 0; i < task->width * FR_QUAD; ++i)
		{
			float value =
				source[i] * q->scale[i % FR_QUAD] + q->shift[i % FR_QUAD];

			value = value > low ? value : low;
			value = (value < high ? value : high) + ROUND_MAGIC;
			target[i] = (uint8_t) ((int) (value - ROUND_MAGIC) + q->zero_point);
		}
	}
}

static void
quantize(const FrQuantizeTask *task)
{
	if (task->lanes == FR_QUAD)
	{
		quantize_picture(task);
		return;
	}
	for (int i = 0; i < task->blocks * NV; ++i)
	{
		const int b = i / NV;
		const ptrdiff_t lane = i % NV * VL;
		const Quantizer quantizer =
			quantizer_at(&task->quantize, (ptrdiff_t) b * FR_BLOCK + lane);

		for (int y = 0; y < task->height; ++y)
		{
			const float *source =
				task->input + b * task->in_block + y * task->in_row + lane;
			uint8_t *target =
				task->bytes + b / FR_BYTE_BLOCKS * task->byte_block +
				y * task->byte_row + b % FR_BYTE_BLOCKS * FR_BLOCK + lane;

			for (ptrdiff_t x = 0; x < task->width; ++x)
				store_bytes(target + x * FR_BYTE_BLOCK,
							vec_load(source + x * FR_BLOCK), &quantizer);
		}
	}
}

/* A picture becomes a block of 16 lanes, of which 12 are zero. */
static void
dequantize_picture(const FrDequantizeTask *task)
{
	for (int y = 0; y < task->height; ++y)
		for (int x = 0; x < task->width; ++x)
		{
			const uint8_t *source =
				task->bytes + y * task->byte_row + (ptrdiff_t) x * FR_QUAD;
			float *target =
				task->output + y * task->out_row + (ptrdiff_t) x * FR_BLOCK;

			for (int i = 0; i < FR_BLOCK; ++i)
				target[i] =
					i < FR_QUAD
						? (float) (source[i] - task->zero_point) * task->scale
						: 0.0f;
		}
}

static void
dequantize(const FrDequantizeTask *task)
{
	if (task->byte_pixel == FR_QUAD)
	{
		dequantize_picture(task);
		return;
	}
	for (int i = 0; i < task->blocks * NV; ++i)
	{
		const int b = i / NV;
		const ptrdiff_t lane = i % NV * VL;

		for (int y = 0; y < task->height; ++y)
		{
			const uint8_t *source =
				task->bytes + b / FR_BYTE_BLOCKS * task->byte_block +
				y * task->byte_row + b % FR_BYTE_BLOCKS * FR_BLOCK + lane;
			float *target =
				task->output + b * task->out_block + y * task->out_row + lane;

			for (ptrdiff_t x = 0; x < task->width; ++x)
			{
				VecBytes bytes;

				memcpy(&bytes, source + x * FR_BYTE_BLOCK, sizeof bytes);

				const VecInt value =
					__builtin_convertvector(bytes, VecInt) - task->zero_point;

				vec_store(target + x * FR_BLOCK,
						  floats_of_ints(value) * task->scale);
			}
		}
	}
}

#endif
