/*
 * nn_kernels.h: network kernels on blocked tensors.
 *
 * Layout "NCHW16c": channels in blocks of 16, each pixel of a block holds its
 * 16 channels side by side: [n, c / 16, h, w, 16], float32.  Channels beyond
 * the true count are zero.  A tensor whose consumer pads owns a physical
 * border around each block's map, so kernels have no edge branches: input
 * pointers below point at the first pixel of the first window, border
 * included.  All strides are in floats.  The layout is the same for every
 * instruction set; only the packing of the weights differs.
 *
 * Padding channels hold finite values that nobody may rely on: weights and
 * biases of padding channels are packed as zeros, slopes likewise, so sums are
 * zero but for rounding (products in pairs cancel to about 1e-6 of the inputs'
 * size), and some activations map zero elsewhere.  Weights for padding input
 * channels are not packed, so convolutions never read them.
 */
#ifndef FR_KERNELS_NN_KERNELS_H
#define FR_KERNELS_NN_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define FR_BLOCK	   16 /* channels per block: one AVX-512 register */
#define FR_BYTE_BLOCK  64 /* channels per block of a u8 tensor */
#define FR_BYTE_BLOCKS (FR_BYTE_BLOCK / FR_BLOCK) /* float blocks in it */

typedef enum FrActivation
{
	FR_ACT_NONE = 0,
	FR_ACT_CLIP,	/* min(max(v, low), high): Relu, Relu6, Clip */
	FR_ACT_PRELU,	/* v > 0 ? v : slope[c] * v: PRelu, LeakyRelu */
	FR_ACT_SIGMOID, /* 1 / (1 + exp(-v)), relative error < 1e-6 */
	FR_ACT_TANH,
	FR_ACT_HARD_SIGMOID, /* clip(low * v + high, 0, 1): low = alpha, high =
						  * beta */
	FR_ACT_HARD_SWISH,	 /* v * clip(v / 6 + 0.5, 0, 1) */
	FR_ACT_SWISH,		 /* v * sigmoid(v) */
	FR_ACT_COUNT
} FrActivation;

/* What happens to a sum before it is stored, in this order: + bias,
 * + residual (if residual_first), activation, + residual (if not). */
typedef struct FrEpilogue
{
	const float *bias;	/* [out_blocks * 16], or NULL */
	const float *slope; /* [out_blocks * 16], FR_ACT_PRELU only */
	FrActivation activation;
	float low, high;
	int is_residual_after; /* residual is added after the activation */
} FrEpilogue;

/* How packed convolution weights are stored; sums are float32 in any case. */
typedef enum FrWeightFormat
{
	FR_WEIGHTS_F32 = 0,
	FR_WEIGHTS_F16, /* binary16, rounded to nearest even: half the memory */
	FR_WEIGHTS_COUNT
} FrWeightFormat;

/* Weights per output from which on a table that multiplies in pairs does so,
 * for whole blocks of input channels (nn_pairs.h). */
#define FR_MIN_PAIRED_DEPTH 32

/* What determines the size and order of packed convolution weights. */
typedef struct FrConvFilter
{
	int out_channels, in_channels;
	int kernel_h, kernel_w;
	int in_lanes; /* as in FrConvTask */
	FrWeightFormat format;
} FrConvFilter;

/*
 * Convolution (cross-correlation, as ONNX Conv) of one image or some, group 1.
 *
 * out[ob, y, x, :] = epilogue(sum over ib, ky, kx, lane of
 *     in[ib, y * stride + ky * dilation, x * stride + kx * dilation, lane] *
 *     w[ob, ib, ky, kx, lane, :])
 *
 * The same kernel serves 1x1, k x k, fully connected (1 x 1 output, kernel =
 * the whole map) and batches of vectors (out_w = batch, in_pixel = the
 * stride between images).  Each output is summed in one fixed order, so its
 * bits depend neither on the map's size nor on the batch around it.  A caller
 * that wants row strips passes a part of the rows as a task of its own.
 */
typedef struct FrConvTask
{
	const float *input;
	ptrdiff_t in_block; /* from channel block to channel block */
	ptrdiff_t in_row;	/* from one OUTPUT row's window to the next */
	ptrdiff_t in_pixel; /* from one OUTPUT pixel's window to the next */
	ptrdiff_t tap_row;	/* from kernel row to kernel row */
	ptrdiff_t tap_col;	/* from kernel column to kernel column */
	int in_channels;	/* the true count, as given to conv_pack: channels that
					  * only pad the last block cost nothing */
	int in_lanes;		/* channels per input pixel: 16, or 4 for a packed
					  * picture (3 channels and a zero) */
	int kernel_h, kernel_w;

	float *output;
	ptrdiff_t out_block, out_row, out_pixel; /* out_pixel is 16 unless the
											  * outputs are vectors of
											  * different images */
	int out_blocks, out_h, out_w;

	const float *residual; /* same strides as below, or NULL */
	ptrdiff_t res_block, res_row, res_pixel;

	/* Images with small maps, whose pixels share tiles and weights; 0 is 1. */
	int images;
	ptrdiff_t in_image, out_image, res_image;

	const void *weights; /* by conv_pack of the same table, 64-byte aligned */
	FrWeightFormat weight_format; /* as given to conv_pack */
	FrEpilogue epilogue;
} FrConvTask;

/* ---- Winograd convolutions F(4x4, 3x3) and F(3x3, 3x3) ------------------ */

/* A tile has 4 or 3 outputs in each direction, and this many inputs. */
#define FR_WINOGRAD_MAX_TILE	 4
#define FR_WINOGRAD_WINDOW(tile) ((tile) + 2)

/* Where the transform of a tile is evaluated. */
#define FR_WINOGRAD_POSITIONS(tile) \
	(FR_WINOGRAD_WINDOW(tile) * FR_WINOGRAD_WINDOW(tile))

/* Output blocks whose sums are computed before they are transformed: a multiple
 * of every instruction set's conv_group_blocks. */
#define FR_WINOGRAD_CHUNK 4

/* Floats from one position to the next in the scratch of count tiles; a cache
 * line more than the data, so that the positions of one tile do not all fall
 * into the same cache set. */
static inline ptrdiff_t
fr_winograd_position_floats(int blocks, int tiles)
{
	return ((ptrdiff_t) blocks * tiles + 1) * FR_BLOCK;
}

/*
 * A 3x3 convolution with stride and dilation 1, group 1, by 36 products per
 * tile of 4 x 4 outputs or 25 per tile of 3 x 3; the same result as
 * FrConvTask's but for rounding.
 * Tiles are numbered through rows and images.  Tiles at the right and bottom
 * edge read their whole window, so the input's border must
 * reach that far; what it holds there must be finite and does not matter
 * otherwise.  An output depends on its tile's window only: its bits depend
 * neither on the batch nor on how many tiles are passed at a time.
 */
typedef struct FrWinogradTask
{
	const float *input; /* the window of the first tile */
	ptrdiff_t in_image, in_block, in_row;
	int in_channels;
	int tile;			  /* outputs of a tile in each direction: 4 or 3 */
	int tiles_h, tiles_w; /* of one image */
	float value_scale;	  /* a power of two that multiplies the input, and
						   * whose inverse is in the weights */
	float *output;
	ptrdiff_t out_image, out_block, out_row;
	int out_blocks, out_h, out_w;
	const float *residual; /* same strides as below, or NULL */
	ptrdiff_t res_image, res_block, res_row;
	/* Per chunk of output blocks, per position: conv_pack's order of a 1x1
	 * convolution. */
	const void *weights;
	FrWeightFormat weight_format;
	FrEpilogue epilogue;
	float *values; /* [positions][input blocks][tiles][16]: transformed input */
	float *sums;   /* [positions][output blocks at a time][tiles][16] */
} FrWinogradTask;

/* From float to u8: byte = clamp(round(value * scale[c] + shift[c]), 0 -
 * zero_point, 255 - zero_point) + zero_point; ties go to even, NaN to 0. */
typedef struct FrQuantize
{
	const float *scale, *shift; /* [blocks * 16] */
	int zero_point;				/* 0..255 */
} FrQuantize;

/* Depthwise convolution of one image: one filter per channel. */
typedef struct FrDepthwiseTask
{
	const float *input;
	ptrdiff_t in_block, in_row, in_pixel, tap_row, tap_col;
	int kernel_h, kernel_w;
	float *output;
	ptrdiff_t out_block, out_row;
	/* Or NULL: outputs are stored as bytes instead, in the layout of
	 * int8_kernels.h; strides in bytes. */
	uint8_t *bytes;
	ptrdiff_t byte_block, byte_row;
	FrQuantize quantize;
	int blocks, out_h, out_w;
	const float *residual;
	ptrdiff_t res_block, res_row;
	const float *weights; /* [blocks, kernel_h, kernel_w, 16] */
	FrEpilogue epilogue;
} FrDepthwiseTask;

/* Max or average pooling of one image over a bordered input.  For max the
 * border holds -infinity (or the planner passes clipped windows through
 * several tasks); for average each sum is multiplied by scale. */
typedef struct FrPoolTask
{
	const float *input;
	ptrdiff_t in_block, in_row, in_pixel, tap_row, tap_col;
	int kernel_h, kernel_w;
	float *output;
	ptrdiff_t out_block, out_row;
	int blocks, out_h, out_w;
	int is_max;
	float scale; /* average: 1 / window size */
} FrPoolTask;

/* Element-wise work over one image of blocked maps:
 * out = epilogue((a [*] per-channel scale) [op] b).  */
typedef enum FrBinary
{
	FR_BINARY_NONE = 0, /* out = epilogue(a * scale) */
	FR_BINARY_ADD,
	FR_BINARY_SUB,
	FR_BINARY_MUL,
	FR_BINARY_DIV,
	FR_BINARY_MAX,
	FR_BINARY_MIN
} FrBinary;

typedef struct FrEltwiseTask
{
	const float *a;
	ptrdiff_t a_block, a_row;
	const float *b; /* same shape, or with b_row = b_pixel = 0 one value per
					 * channel (squeeze-excite), or NULL */
	ptrdiff_t b_block, b_row, b_pixel;
	const float *scale; /* [blocks * 16] or NULL (= 1); with the epilogue's
						 * bias: an affine map per channel */
	FrBinary binary;
	float *output;
	ptrdiff_t out_block, out_row;
	int blocks, height, width;
	FrEpilogue epilogue; /* residual is not used */
} FrEltwiseTask;

/* An 8-bit picture, [rows, width, 3], to a map of 4 lanes: the channels as
 * (v - mean) * scale, then mean[3] and scale[3] = 0.  What is beyond the
 * picture gets v = 0. */
typedef struct FrPictureTask
{
	const uint8_t *pixels;
	ptrdiff_t row_bytes;
	int rows, width; /* of the picture; rows beyond out_h do not count */
	int is_swapped;	 /* first output channel = last of the picture */
	int is_mirrored; /* the picture's pixels from right to left */
	float mean[4], scale[4];
	float *output;
	ptrdiff_t out_row;
	int out_h, out_w; /* width <= out_w */
} FrPictureTask;

typedef struct FrNnKernels
{
	/* Output blocks that one packed group of weights spans (NB). */
	int conv_group_blocks;

	/* Bytes that conv_pack writes. Output channels may be packed in parts,
	 * one behind the other, of a multiple of conv_group_blocks blocks each;
	 * the result is the same as that of packing them at once. */
	size_t (*conv_packed_bytes)(const FrConvFilter *filter);

	/* Pack ONNX weights [oc, ic, kh, kw] (row-major), multiplied per output
	 * channel by scale (NULL = 1), for conv; padding channels become 0. */
	void (*conv_pack)(const FrConvFilter *filter, const float *weights,
					  const float *scale, void *packed);

	/* Convolve; output must not overlap input (residual may be output). */
	void (*conv)(const FrConvTask *task);

	/* Transform the windows of some tiles to task->values. Both functions
	 * are NULL in a table that multiplies in pairs. */
	void (*winograd_input)(const FrWinogradTask *task, int64_t first_tile,
						   int tiles);

	/* The outputs of these tiles, just transformed, for a chunk of output
	 * blocks as its weights were packed. */
	void (*winograd_output)(const FrWinogradTask *task, int64_t first_tile,
							int tiles, int first_block, int blocks);

	void (*depthwise)(const FrDepthwiseTask *task);
	void (*pool)(const FrPoolTask *task);
	void (*eltwise)(const FrEltwiseTask *task);

	/* Mean over height x width per channel of one image: output [blocks,
	 * 16] with out_block between blocks. */
	void (*global_average)(const float *input, ptrdiff_t in_block,
						   ptrdiff_t in_row, int blocks, int height, int width,
						   float *output, ptrdiff_t out_block);

	/* Nearest-neighbour enlargement by whole factors. */
	void (*upsample)(const float *input, ptrdiff_t in_block, ptrdiff_t in_row,
					 int blocks, int height, int width, int factor_h,
					 int factor_w, float *output, ptrdiff_t out_block,
					 ptrdiff_t out_row);

	/* Plain [channels, height, width] to blocked, one image. in_plane and
	 * in_row are the plain strides. lanes is 16 or 4 (then one block of at
	 * most 4 channels). Padding channels become 0. */
	void (*block)(const float *input, ptrdiff_t in_plane, ptrdiff_t in_row,
				  int channels, int height, int width, int lanes, float *output,
				  ptrdiff_t out_block, ptrdiff_t out_row);

	void (*block_u8)(const FrPictureTask *task);

	/* Blocked to plain [channels, height, width], one image.  The first
	 * channel is lane first_lane (0..15) of the input's first block. */
	void (*unblock)(const float *input, ptrdiff_t in_block, ptrdiff_t in_row,
					int first_lane, int channels, int height, int width,
					float *output, ptrdiff_t out_plane, ptrdiff_t out_row);

	/* Blocked to plain [height, width, channels] (detector heads, where a
	 * Transpose to channels-last follows a convolution); first_lane as
	 * above. */
	void (*unblock_nhwc)(const float *input, ptrdiff_t in_block,
						 ptrdiff_t in_row, int first_lane, int channels,
						 int height, int width, float *output);

	/* Softmax of count neighbouring lines of length values, stride floats
	 * from one to the next; in place or out of place. */
	void (*softmax)(const float *input, float *output, int length,
					ptrdiff_t stride, size_t count);

	/* In place or out of place over count floats, FR_ACT_PRELU excluded. */
	void (*activate)(const float *input, float *output, size_t count,
					 FrActivation activation, float low, float high);
} FrNnKernels;

extern const FrNnKernels fr_nn_kernels_generic;
#if defined(__x86_64__)
extern const FrNnKernels fr_nn_kernels_avx2;
extern const FrNnKernels fr_nn_kernels_avx512;
extern const FrNnKernels fr_nn_kernels_pairs_avx512;
#endif

#endif
