/*
 * nn_picture.h: 8-bit pictures into the blocked layout (template).
 *
 * A picture has three bytes per pixel, its map four floats: one shuffle
 * spreads the bytes of VL / 4 pixels over the lanes, in the network's order
 * of channels and from right to left if asked to.
 */
#ifndef FR_KERNELS_NN_PICTURE_H
#define FR_KERNELS_NN_PICTURE_H

#include <string.h>

#include "kernels/nn_vector.h"

#define VECTOR_PIXELS (VL / 4)

typedef uint8_t PictureBytes __attribute__((vector_size(16)));
typedef uint64_t PictureWords __attribute__((vector_size(16)));

/* How the bytes of a vector's pixels become lanes. */
typedef struct PictureOrder
{
	PictureBytes lanes; /* from which byte each lane comes */
	int red, blue;		/* byte of a pixel for lanes 0 and 2 */
	Vec mean, scale;
} PictureOrder;

static PictureOrder
picture_order(const FrPictureTask *task)
{
	PictureOrder order = {.red = task->is_swapped ? 2 : 0,
						  .blue = task->is_swapped ? 0 : 2};

	for (int i = 0; i < VL; ++i)
	{
		const int pixel = task->is_mirrored ? VECTOR_PIXELS - 1 - i / 4 : i / 4;
		const int channel = i % 4 == 0	 ? order.red
							: i % 4 == 2 ? order.blue
										 : 1;

		order.lanes[i] = (uint8_t) (pixel * 3 + channel);
		order.mean[i] = task->mean[i % 4];
		order.scale[i] = task->scale[i % 4];
	}
	return order;
}

/* The lanes of VECTOR_PIXELS pixels; reads exactly their bytes. */
ALWAYS_INLINE Vec
picture_vector(const uint8_t *pixels, const PictureOrder *order)
{
#if VL == 16
	uint64_t low;
	uint32_t high;

	memcpy(&low, pixels, sizeof low);
	memcpy(&high, pixels + sizeof low, sizeof high);

	const __m128i bytes = _mm_shuffle_epi8((__m128i) (PictureWords){low, high},
										   (__m128i) order->lanes);

	return (Vec) _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
#elif VL == 8
	uint32_t low;
	uint16_t high;

	memcpy(&low, pixels, sizeof low);
	memcpy(&high, pixels + sizeof low, sizeof high);

	const __m128i bytes = _mm_shuffle_epi8(
		(__m128i) (PictureWords){low | (uint64_t) high << 32, 0},
		(__m128i) order->lanes);

	return (Vec) _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
#else
	const VecInt lanes = {pixels[order->red], pixels[1], pixels[order->blue]};

	return __builtin_convertvector(lanes, Vec);
#endif
}

/* Pixel number x of a row of width, alone. */
static void
picture_pixel(const FrPictureTask *task, const PictureOrder *order,
			  const uint8_t *row, int x, float *output)
{
	const uint8_t *pixel =
		row + 3 * (ptrdiff_t) (task->is_mirrored ? task->width - 1 - x : x);
	const float lanes[4] = {pixel[order->red], pixel[1], pixel[order->blue], 0};

	for (int i = 0; i < 4; ++i)
		output[i] = (lanes[i] - task->mean[i]) * task->scale[i];
}

static void
picture_row(const FrPictureTask *task, const PictureOrder *order,
			const uint8_t *row, int width, float *output)
{
	int x = 0;

	for (; x + VECTOR_PIXELS <= width; x += VECTOR_PIXELS)
	{
		const int first = task->is_mirrored ? width - x - VECTOR_PIXELS : x;
		const Vec values = picture_vector(row + 3 * (ptrdiff_t) first, order);

		vec_store(output + x * 4, (values - order->mean) * order->scale);
	}
	for (; x < width; ++x)
		picture_pixel(task, order, row, x, output + x * 4);
	for (; x < task->out_w; ++x)
	{
		for (int i = 0; i < 4; ++i)
			output[x * 4 + i] = (0.0f - task->mean[i]) * task->scale[i];
	}
}

static void
block_u8(const FrPictureTask *task)
{
	const PictureOrder order = picture_order(task);

	for (int y = 0; y < task->out_h; ++y)
	{
		const bool is_inside = y < task->rows;

		picture_row(
			task, &order, is_inside ? task->pixels + y * task->row_bytes : NULL,
			is_inside ? task->width : 0, task->output + y * task->out_row);
	}
}

#endif
