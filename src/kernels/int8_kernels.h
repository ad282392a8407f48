/*
 * int8_kernels.h: network kernels on 8-bit integers.
 *
 * Layout of a u8 tensor: channels in blocks of 64, each pixel of a block holds
 * its 64 channels side by side: [n, c / 64, h, w, 64]; a picture of up to 4
 * channels has pixels of 4 bytes.  Seen as 4-byte words ("quads" of channels)
 * this is the float kernels' layout with 16 (or 1) lanes, so the planner's
 * slots and borders serve both.  A byte stands for (byte - zero point) * scale;
 * borders hold the zero point.  Bytes of channels that only pad the last quad
 * are arbitrary: weights are zero there.
 *
 * Sums of products are exact 32-bit integers, and what follows them uses no
 * fused multiply-add: every instruction set gives the same bits.
 * Strides of u8 tensors are in bytes, those of float tensors in floats.
 */
#ifndef FR_KERNELS_INT8_KERNELS_H
#define FR_KERNELS_INT8_KERNELS_H

#include "kernels/nn_kernels.h"

#define FR_QUAD 4 /* channels whose products are summed at once */

/* Products of a sum: with more, partial sums could overflow 32 bits. */
#define FR_INT8_MAX_DEPTH 32768

/*
 * Convolution of one image, group 1:
 *
 * sum[o, y, x] = start[o] + sum over ky, kx, c of
 *     in[c, y * stride + ky * dilation, x * stride + kx * dilation] * w[...]
 * value = epilogue(sum * scale[o]), stored as float, as bytes, or both.
 *
 * start is -(zero point of the input) * (sum of the channel's weights).
 */
typedef struct FrInt8ConvTask
{
	const uint8_t *input;
	ptrdiff_t in_block, in_row, in_pixel; /* in_row, in_pixel: from one
										   * OUTPUT's window to the next */
	ptrdiff_t tap_row, tap_col;
	int in_quads;	 /* quads of the true channels */
	int pixel_quads; /* quads per input pixel: 16, or 1 for a picture */
	int kernel_h, kernel_w;
	int out_blocks, out_h, out_w; /* blocks of 16 channels */

	float *output; /* or NULL */
	ptrdiff_t out_block, out_row, out_pixel;

	uint8_t *bytes; /* or NULL */
	ptrdiff_t byte_block, byte_row, byte_pixel;
	FrQuantize quantize;

	const float *residual; /* or NULL */
	ptrdiff_t res_block, res_row, res_pixel;

	const int8_t *weights; /* by pack of the same table, 64-byte aligned */
	const int32_t *start;  /* [out_blocks * 16] */
	const float *scale;	   /* [out_blocks * 16] */
	FrEpilogue epilogue;   /* bias is not NULL */
} FrInt8ConvTask;

/* One image of floats to bytes. */
typedef struct FrQuantizeTask
{
	const float *input;
	ptrdiff_t in_block, in_row;
	int lanes; /* floats per pixel: 16, or 4: a picture; then bytes has 4 per
				* pixel */
	uint8_t *bytes;
	ptrdiff_t byte_block, byte_row;
	int blocks, height, width; /* blocks of 16 channels, or 1 */
	FrQuantize quantize;
} FrQuantizeTask;

/* One image of bytes to floats: (byte - zero_point) * scale. */
typedef struct FrDequantizeTask
{
	const uint8_t *bytes;
	ptrdiff_t byte_block, byte_row, byte_pixel; /* byte_pixel: 64, or 4: a
												 * picture, one block */
	float *output;
	ptrdiff_t out_block, out_row;
	int blocks, height, width; /* blocks of 16 channels */
	int zero_point;
	float scale;
} FrDequantizeTask;

typedef struct FrInt8Kernels
{
	/* Output blocks that one packed group of weights spans. */
	int group_blocks;

	/* Bytes that pack writes. */
	size_t (*packed_bytes)(int out_channels, int in_channels, int kernel_h,
						   int kernel_w);

	/* Pack weights [oc, ic, kh, kw] (row-major); padding channels become 0. */
	void (*pack)(const int8_t *weights, int out_channels, int in_channels,
				 int kernel_h, int kernel_w, int8_t *packed);

	/* Outputs must not overlap inputs (residual may be output). */
	void (*conv)(const FrInt8ConvTask *task);
	void (*quantize)(const FrQuantizeTask *task);
	void (*dequantize)(const FrDequantizeTask *task);
} FrInt8Kernels;

extern const FrInt8Kernels fr_int8_kernels_generic;
#if defined(__x86_64__)
extern const FrInt8Kernels fr_int8_kernels_avx2;
extern const FrInt8Kernels fr_int8_kernels_avx512;	   /* without VNNI */
extern const FrInt8Kernels fr_int8_kernels_avx512vnni; /* same packing */
#endif

#endif
