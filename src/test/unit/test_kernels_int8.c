/*
 * test_kernels_int8.c: 8-bit kernels against integer loops.
 *
 * Sums are exact, and what follows them is rounded alike everywhere, so floats
 * and bytes must equal the reference bit by bit for every table that this CPU
 * can run, AVX-512 with and without VNNI among them.
 */
#include "test/unit/kernel_check.h"

typedef struct Shape
{
	int in, out, kernel_h, kernel_w, stride, height, width;
} Shape;

static const FrInt8Kernels *table;
static const char *table_name;

static void *
bytes_new(size_t count)
{
	uint8_t *bytes = aligned_alloc(64, (count + 64) / 64 * 64);

	for (size_t i = 0; i < count; ++i)
		bytes[i] = (uint8_t) random_bits();
	return bytes;
}

/* Scalars, in the kernels' order of operations, without contraction. */
static uint8_t
byte_of(float value, float scale, float shift, int zero)
{
	volatile float product = value * scale;
	float limited = product + shift;

	limited = limited > (float) -zero ? limited : (float) -zero;
	limited = limited < (float) (255 - zero) ? limited : (float) (255 - zero);
	return (uint8_t) ((int) nearbyintf(limited) + zero);
}

/* Convolve and compare one shape; what it stores is chosen at random. */
static void
check_conv(const Shape *s, int activation)
{
	const int pixel = s->in > 4 ? 64 : 4;
	const int in_h = (s->height - 1) * s->stride + s->kernel_h;
	const int in_w = (s->width - 1) * s->stride + s->kernel_w;
	const int in_blocks = (s->in + 63) / 64, blocks = (s->out + 15) / 16;
	const int pixels = s->height * s->width, taps = s->kernel_h * s->kernel_w;
	const int depth = s->in * taps, zero = random_int(0, 255);
	uint8_t *input = bytes_new((size_t) in_blocks * in_h * in_w * pixel);
	int8_t *weights = bytes_new((size_t) s->out * depth);
	int8_t *packed =
		bytes_new(table->packed_bytes(s->out, s->in, s->kernel_h, s->kernel_w));
	int32_t *start = bytes_new((size_t) blocks * 64);
	Floats scale = floats_random((size_t) blocks * 16);
	Floats bias = floats_random((size_t) blocks * 16);
	Floats slope = floats_random((size_t) blocks * 16);
	/* Pixels from row to row, of outputs, bytes and residual. */
	const int out_row = s->width + random_int(0, 2);
	const int byte_row = s->width + random_int(0, 2);
	const int res_row = s->width + random_int(0, 2);
	Floats residual =
		floats_random((size_t) (blocks * 16 * s->height * res_row));
	Floats output =
		floats_filled((size_t) (blocks * 16 * s->height * out_row), SENTINEL);
	Floats shift = floats_random((size_t) blocks * 16);
	const int byte_blocks = (blocks + 3) / 4, mode = random_int(0, 2);
	const size_t byte_count =
		(size_t) (byte_blocks * 64 * s->height * byte_row);
	uint8_t *bytes = bytes_new(byte_count), *before = bytes_new(byte_count);
	FrInt8ConvTask task = {
		.input = input,
		.in_block = (ptrdiff_t) in_h * in_w * pixel,
		.in_row = (ptrdiff_t) in_w * pixel * s->stride,
		.in_pixel = pixel * s->stride,
		.tap_row = (ptrdiff_t) in_w * pixel,
		.tap_col = pixel,
		.in_quads = (s->in + 3) / 4,
		.pixel_quads = pixel / 4,
		.kernel_h = s->kernel_h,
		.kernel_w = s->kernel_w,
		.out_blocks = blocks,
		.out_h = s->height,
		.out_w = s->width,
		.output = mode != 1 ? output.at : NULL,
		.out_block = (ptrdiff_t) s->height * out_row * 16,
		.out_row = (ptrdiff_t) out_row * 16,
		.out_pixel = 16,
		.bytes = mode != 0 ? bytes : NULL,
		.byte_block = (ptrdiff_t) s->height * byte_row * 64,
		.byte_row = (ptrdiff_t) byte_row * 64,
		.byte_pixel = 64,
		.quantize = {scale.at, shift.at, zero},
		.residual = random_int(0, 1) ? residual.at : NULL,
		.res_block = (ptrdiff_t) s->height * res_row * 16,
		.res_row = (ptrdiff_t) res_row * 16,
		.res_pixel = 16,
		.weights = packed,
		.start = start,
		.scale = scale.at,
		.epilogue = {.bias = bias.at,
					 .slope = slope.at,
					 .activation = (FrActivation) activation,
					 .low = -0.5f,
					 .high = 300.0f,
					 .is_residual_after = random_int(0, 1)},
	};
	int wrong = 0;

	for (int c = 0; c < blocks * 16; ++c)
		start[c] = random_int(-100000, 100000);
	memcpy(before, bytes, byte_count);
	table->pack(weights, s->out, s->in, s->kernel_h, s->kernel_w, packed);
	table->conv(&task);
	for (int i = 0; i < s->out * pixels; ++i)
	{
		const int c = i / pixels, p = i % pixels;
		const int y = p / s->width * s->stride, x = p % s->width * s->stride;
		const int row = c / 16 * s->height + p / s->width;
		const int byte_line = c / 64 * s->height + p / s->width;
		const int out_at = (row * out_row + p % s->width) * 16 + c % 16;
		const int res_at = (row * res_row + p % s->width) * 16 + c % 16;
		const int byte_at = (byte_line * byte_row + p % s->width) * 64 + c % 64;
		int32_t sum = start[c];

		for (int k = 0; k < depth; ++k)
		{
			const int ic = k / taps, ky = k % taps / s->kernel_w;
			const int kx = k % s->kernel_w;

			sum +=
				weights[c * depth + k] *
				input[(ptrdiff_t) (ic / pixel) * task.in_block +
					  (y + ky) * task.tap_row + (x + kx) * pixel + ic % pixel];
		}

		volatile float value = (float) sum * scale.at[c];

		value = value + bias.at[c];
		if (task.residual && !task.epilogue.is_residual_after)
			value = value + residual.at[res_at];
		if (activation == FR_ACT_PRELU && value < 0)
			value = value * slope.at[c];
		if (activation == FR_ACT_CLIP)
			value = value < -0.5f ? -0.5f : value > 300.0f ? 300.0f : value;
		if (task.residual && task.epilogue.is_residual_after)
			value = value + residual.at[res_at];
		wrong += task.output && output.at[out_at] != value;
		wrong += task.bytes && bytes[byte_at] != byte_of(value, scale.at[c],
														 shift.at[c], zero);
	}
	for (size_t i = 0; i < output.count; ++i)
		wrong +=
			(int) (i / 16) % out_row >= s->width && output.at[i] != SENTINEL;
	for (size_t i = 0; i < byte_count; ++i)
		wrong += (int) (i / 64) % byte_row >= s->width && bytes[i] != before[i];
	ok(wrong == 0, "%s: %dx%d s%d %d -> %d at %dx%d, mode %d: %d wrong",
	   table_name, s->kernel_h, s->kernel_w, s->stride, s->in, s->out,
	   s->height, s->width, mode, wrong);
	free(input);
	free(weights);
	free(packed);
	free(start);
	free(bytes);
	free(before);
	floats_free(&scale);
	floats_free(&bias);
	floats_free(&slope);
	floats_free(&residual);
	floats_free(&output);
	floats_free(&shift);
}

static void
check_maps(void)
{
	Floats input = floats_random(2 * 16 * 15), back = floats_new(480, 1);
	Floats scale = floats_filled(32, 90.0f), shift = floats_filled(32, 0.5f);
	uint8_t bytes[15 * 64] = {0};
	FrQuantizeTask to = {.input = input.at,
						 .in_block = 240,
						 .in_row = 80,
						 .lanes = 16,
						 .bytes = bytes,
						 .byte_block = 960,
						 .byte_row = 320,
						 .blocks = 2,
						 .height = 3,
						 .width = 5,
						 .quantize = {scale.at, shift.at, 99}};
	FrDequantizeTask from = {.bytes = bytes,
							 .byte_block = 960,
							 .byte_row = 320,
							 .byte_pixel = 64,
							 .output = back.at,
							 .out_block = 240,
							 .out_row = 80,
							 .blocks = 2,
							 .height = 3,
							 .width = 5,
							 .zero_point = 99,
							 .scale = 0.3f};
	int wrong = 0;

	input.at[7] = NAN;
	input.at[9] = INFINITY;
	input.at[12] = 0.0f; /* a tie */
	table->quantize(&to);
	table->dequantize(&from);
	for (int i = 0; i < 480; ++i)
	{
		const int b = i / 240, p = i % 240 / 16, lane = i % 16;
		const uint8_t got = bytes[p * 64 + b * 16 + lane];

		wrong += got != byte_of(input.at[i], 90.0f, 0.5f, 99);
		wrong += back.at[i] != (float) (got - 99) * 0.3f;
	}
	ok(wrong == 0, "%s: quantise and back: %d wrong", table_name, wrong);
	floats_free(&input);
	floats_free(&back);
	floats_free(&scale);
	floats_free(&shift);
}

/* A picture: pixels of 4 bytes, and floats of 4 lanes or of a block. */
static void
check_picture(void)
{
	enum
	{
		HEIGHT = 3,
		WIDTH = 5,
		ROW = WIDTH + 2
	};
	Floats input = floats_random(HEIGHT * ROW * 4);
	Floats back = floats_filled(HEIGHT * ROW * 16, SENTINEL);
	float scale[4] = {90.0f, 10.0f, 3.0f, 1.0f}, shift[4] = {0.5f, 0, -1, 2};
	uint8_t bytes[HEIGHT * ROW * 4];
	FrQuantizeTask to = {.input = input.at,
						 .in_row = ROW * 4,
						 .lanes = 4,
						 .bytes = bytes,
						 .byte_row = ROW * 4,
						 .blocks = 1,
						 .height = HEIGHT,
						 .width = WIDTH,
						 .quantize = {scale, shift, 99}};
	FrDequantizeTask from = {.bytes = bytes,
							 .byte_row = ROW * 4,
							 .byte_pixel = 4,
							 .output = back.at,
							 .out_row = ROW * 16,
							 .blocks = 1,
							 .height = HEIGHT,
							 .width = WIDTH,
							 .zero_point = 99,
							 .scale = 0.3f};
	int wrong = 0;

	memset(bytes, 7, sizeof bytes);
	table->quantize(&to);
	table->dequantize(&from);
	for (int i = 0; i < HEIGHT * ROW * 4; ++i)
	{
		const bool is_gap = i / 4 % ROW >= WIDTH;
		const uint8_t want =
			is_gap ? 7 : byte_of(input.at[i], scale[i % 4], shift[i % 4], 99);

		wrong += bytes[i] != want;
		wrong += back.at[i / 4 * 16 + i % 4] !=
				 (is_gap ? SENTINEL : (float) (want - 99) * 0.3f);
		wrong += back.at[i / 4 * 16 + 4 + i % 4 * 3] != (is_gap ? SENTINEL : 0);
	}
	ok(wrong == 0, "%s: a picture to bytes and back: %d wrong", table_name,
	   wrong);
	floats_free(&input);
	floats_free(&back);
}

/* The deepest sum there may be, of the largest products, from the start that
 * takes the zero point away. */
static void
check_deepest(void)
{
	enum
	{
		SIDE = 16,
		CHANNELS = FR_INT8_MAX_DEPTH / (SIDE * SIDE)
	};
	uint8_t *input = bytes_new(FR_INT8_MAX_DEPTH);
	int8_t *weights = bytes_new(FR_INT8_MAX_DEPTH);
	int8_t *packed = bytes_new(table->packed_bytes(1, CHANNELS, SIDE, SIDE));
	int32_t start[16] = {255 * 128 * FR_INT8_MAX_DEPTH};
	float output[16], scale[16], bias[16] = {0};
	FrInt8ConvTask task = {
		.input = input,
		.in_block = SIDE * SIDE * 64,
		.in_row = SIDE * 64,
		.in_pixel = 64,
		.tap_row = SIDE * 64,
		.tap_col = 64,
		.in_quads = CHANNELS / 4,
		.pixel_quads = 16,
		.kernel_h = SIDE,
		.kernel_w = SIDE,
		.out_blocks = 1,
		.out_h = 1,
		.out_w = 1,
		.output = output,
		.out_pixel = 16,
		.weights = packed,
		.start = start,
		.scale = scale,
		.epilogue = {.bias = bias},
	};

	_Static_assert(CHANNELS % 64 == 0, "whole blocks of bytes");
	for (int i = 0; i < 16; ++i)
		scale[i] = 1.0f;
	memset(input, 255, FR_INT8_MAX_DEPTH);
	memset(weights, -128, FR_INT8_MAX_DEPTH);
	weights[FR_INT8_MAX_DEPTH - 1] = -127;
	table->pack(weights, 1, CHANNELS, SIDE, SIDE, packed);
	table->conv(&task);
	ok(output[0] == 255.0f, "%s: the deepest sum is %g", table_name,
	   (double) output[0]);
	free(input);
	free(weights);
	free(packed);
}

static void
test_table(const FrInt8Kernels *tested, const char *name)
{
	static const Shape shapes[] = {
		{64, 64, 3, 3, 1, 7, 7},   {64, 32, 3, 3, 1, 3, 14},
		{3, 16, 3, 3, 1, 5, 9},	   {4, 64, 3, 3, 2, 4, 17},
		{1, 5, 1, 1, 1, 1, 1},	   {130, 48, 1, 1, 1, 4, 5},
		{67, 70, 3, 2, 1, 3, 29},  {128, 96, 1, 1, 2, 5, 15},
		{16, 16, 5, 5, 1, 2, 3},   {96, 130, 7, 7, 1, 1, 1},
		{33, 64, 3, 3, 2, 14, 28},
	};
	static const int activations[] = {FR_ACT_NONE, FR_ACT_PRELU, FR_ACT_CLIP};

	table = tested;
	table_name = name;
	seed = 5;
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; ++i)
		for (int a = 0; a < 3; ++a)
			check_conv(&shapes[i], activations[a]);
	check_maps();
	check_picture();
	check_deepest();
}

int
main(void)
{
	test_table(&fr_int8_kernels_generic, "generic");
#if defined(__x86_64__)
	if (fr_kernels_by_name("avx2"))
		test_table(&fr_int8_kernels_avx2, "avx2");
	if (fr_kernels_by_name("avx512-fma"))
		test_table(&fr_int8_kernels_avx512, "avx512 without VNNI");
	if (fr_kernels_by_name("avx512-vnni"))
		test_table(&fr_int8_kernels_avx512vnni, "avx512 with VNNI");
#endif
	return tap_done();
}
