/*
 * test_kernels_maps.c: element-wise kernels, activations, means, enlargement
 * and the ways into and out of the blocked layout equal their plain twins;
 * the choice of a table.
 */
#include "test/unit/kernel_check.h"

/* ---- element-wise ------------------------------------------------------- */

static Verdict
check_eltwise(FrBinary binary, int is_per_channel, int activation)
{
	const int blocks = random_int(1, 3), height = random_int(1, 4);
	const int width = random_int(1, 11), channels = blocks * FR_BLOCK;
	const ptrdiff_t row = width * FR_BLOCK, map = row * height;
	Floats a = floats_random((size_t) (blocks * map));
	Floats b =
		floats_random((size_t) (is_per_channel ? channels : blocks * map));
	Floats scale = floats_random((size_t) channels);
	Floats output = floats_new((size_t) (blocks * map), 1);
	Floats bias, slope;
	FrEltwiseTask t = {
		.a = a.at,
		.a_block = map,
		.a_row = row,
		.b = binary == FR_BINARY_NONE ? NULL : b.at,
		.b_block = is_per_channel ? FR_BLOCK : map,
		.b_row = is_per_channel ? 0 : row,
		.b_pixel = is_per_channel ? 0 : FR_BLOCK,
		.scale = random_int(0, 1) ? scale.at : NULL,
		.binary = binary,
		.output = output.at,
		.out_block = map,
		.out_row = row,
		.blocks = blocks,
		.height = height,
		.width = width,
	};
	Verdict verdict = {0};

	t.epilogue = random_epilogue(&bias, &slope, channels, activation);
	for (size_t i = 0; i < b.count; ++i)
		b.at[i] += b.at[i] < 0 ? -0.5f : 0.5f; /* a divisor */
	kernels->nn->eltwise(&t);
	for (int c = 0; c < channels; ++c)
	{
		for (int y = 0; y < height; ++y)
		{
			for (int x = 0; x < width; ++x)
				compare(&verdict,
						t.output[c / FR_BLOCK * map + y * row + x * FR_BLOCK +
								 c % FR_BLOCK],
						reference_eltwise(&t, c, y, x), 2e-6, c, y, x);
		}
	}
	floats_free(&a);
	floats_free(&b);
	floats_free(&scale);
	floats_free(&output);
	floats_free(&bias);
	floats_free(&slope);
	return verdict;
}

static void
test_eltwise(void)
{
	static const FrEltwiseTask empty;
	Verdict verdict = {0};

	for (int binary = 0; binary <= FR_BINARY_MIN; ++binary)
	{
		for (int i = 0; i < 2 * FR_ACT_COUNT && !verdict.is_wrong; ++i)
			verdict = check_eltwise((FrBinary) binary, i % 2, i / 2);
	}
	report(&verdict, "every element-wise operation with every activation");
	kernels->nn->eltwise(&empty);
	ok(true, "%s: empty element-wise operation", kernels->isa);
}

/* Relative error of one activation over a wide range of arguments. */
static void
test_activation(FrActivation activation, const char *name, double tolerance)
{
	enum
	{
		COUNT = 20011
	};
	Floats input = floats_new(COUNT, 1);
	Floats output = floats_new(COUNT, 1);
	double worst = 0, worst_at = 0;

	for (int i = 0; i < COUNT; ++i)
	{
		const double t = (double) (i - COUNT / 2) / (COUNT / 2);

		input.at[i] = (float) (t * t * t * 87);
	}
	kernels->nn->activate(input.at, output.at, COUNT, activation, 0.2f, 0.5f);
	for (int i = 0; i < COUNT; ++i)
	{
		const double want = reference_activate((double) input.at[i], activation,
											   (double) 0.2f, (double) 0.5f, 0);
		const double error =
			fabs((double) output.at[i] - want) / (fabs(want) + 1e-37);

		if (!(error <= worst))
		{
			worst = error;
			worst_at = (double) input.at[i];
		}
	}
	if (!ok(worst <= tolerance, "%s: %s within %g", kernels->isa, name,
			tolerance))
		diag("relative error %.3g at %.9g", worst, worst_at);
	floats_free(&input);
	floats_free(&output);
}

static float
activate_one(FrActivation activation, float value)
{
	float result = 0;

	kernels->nn->activate(&value, &result, 1, activation, -1.0f, 1.0f);
	return result;
}

static void
test_activations(void)
{
	static const FrActivation all[] = {
		FR_ACT_NONE,  FR_ACT_CLIP,		   FR_ACT_SIGMOID,	 FR_ACT_TANH,
		FR_ACT_SWISH, FR_ACT_HARD_SIGMOID, FR_ACT_HARD_SWISH};
	bool is_nan_kept = true;

	test_activation(FR_ACT_SIGMOID, "sigmoid", 1e-6);
	test_activation(FR_ACT_TANH, "tanh", 1e-6);
	test_activation(FR_ACT_SWISH, "swish", 1e-6);
	for (size_t i = 0; i < sizeof all / sizeof *all; ++i)
		is_nan_kept &= isnan(activate_one(all[i], NAN)) != 0;
	ok(is_nan_kept, "%s: NaN stays NaN", kernels->isa);
	ok(activate_one(FR_ACT_SIGMOID, INFINITY) == 1.0f &&
		   activate_one(FR_ACT_SIGMOID, -INFINITY) == 0.0f &&
		   activate_one(FR_ACT_SIGMOID, 1e30f) == 1.0f &&
		   activate_one(FR_ACT_SIGMOID, -1e30f) == 0.0f,
	   "%s: sigmoid saturates", kernels->isa);
	ok(activate_one(FR_ACT_TANH, INFINITY) == 1.0f &&
		   activate_one(FR_ACT_TANH, -1e30f) == -1.0f &&
		   activate_one(FR_ACT_TANH, 0.0f) == 0.0f,
	   "%s: tanh saturates", kernels->isa);
	ok(activate_one(FR_ACT_SWISH, -INFINITY) == 0.0f &&
		   activate_one(FR_ACT_SWISH, INFINITY) == INFINITY,
	   "%s: swish at infinity", kernels->isa);
	ok(activate_one(FR_ACT_CLIP, INFINITY) == 1.0f &&
		   activate_one(FR_ACT_CLIP, -2.0f) == -1.0f,
	   "%s: clip", kernels->isa);
}

/* Lengths around the vector widths; the bits of an element do not depend on
 * where it lies. */
static void
test_activate_tails(void)
{
	bool is_same = true;

	for (size_t count = 0; count < 40; ++count)
	{
		Floats input = floats_random(count);
		Floats output = floats_new(count, 2);

		kernels->nn->activate(input.at, output.at, count, FR_ACT_TANH, 0, 0);
		for (size_t i = 0; i < count; ++i)
			is_same &= output.at[i] == activate_one(FR_ACT_TANH, input.at[i]);
		kernels->nn->activate(input.at, input.at, count, FR_ACT_TANH, 0, 0);
		is_same &=
			!memcmp(input.at, output.at, count * sizeof(float)) || !count;
		floats_free(&input);
		floats_free(&output);
	}
	ok(is_same, "%s: activation of 0 to 39 floats", kernels->isa);
}

/* ---- maps --------------------------------------------------------------- */

static void
test_global_average(int height, int width)
{
	const ptrdiff_t row = (width + 1) * FR_BLOCK, map = row * (height + 1);
	Floats input = floats_random((size_t) (2 * map));
	Floats output = floats_filled(3 * FR_BLOCK, SENTINEL);
	Verdict verdict = {0};

	kernels->nn->global_average(input.at, map, row, 2, height, width, output.at,
								2 * FR_BLOCK);
	for (int c = 0; c < 2 * FR_BLOCK; ++c)
	{
		double sum = 0;

		for (int i = 0; i < height * width; ++i)
			sum += (double) input.at[c / FR_BLOCK * map + i / width * row +
									 i % width * FR_BLOCK + c % FR_BLOCK];
		compare(&verdict, output.at[c / FR_BLOCK * 32 + c % FR_BLOCK],
				height > 0 ? (float) (sum / (height * width)) : 0, 1e-6, c, 0,
				0);
	}
	compare(&verdict, output.at[FR_BLOCK], SENTINEL, 0, FR_BLOCK, 0, 0);
	report(&verdict, "mean of a map");
	floats_free(&input);
	floats_free(&output);
}

static void
test_upsample(int height, int width, int factor_h, int factor_w)
{
	const ptrdiff_t in_row = width * FR_BLOCK, in_map = in_row * height;
	const ptrdiff_t out_row = in_row * factor_w;
	const ptrdiff_t out_map = out_row * height * factor_h;
	Floats input = floats_random((size_t) (2 * in_map));
	Floats output = floats_new((size_t) (2 * out_map), 1);
	Verdict verdict = {0};

	kernels->nn->upsample(input.at, in_map, in_row, 2, height, width, factor_h,
						  factor_w, output.at, out_map, out_row);
	for (ptrdiff_t i = 0; i < 2 * out_map; ++i)
	{
		const int y = (int) (i % out_map / out_row);
		const int x = (int) (i % out_row / FR_BLOCK);

		compare(&verdict, output.at[i],
				input.at[i / out_map * in_map + y / factor_h * in_row +
						 x / factor_w * FR_BLOCK + i % FR_BLOCK],
				0, (int) (i / out_map), y, x);
	}
	report(&verdict, "enlargement");
	floats_free(&input);
	floats_free(&output);
}

/* Plain to blocked and both ways back. */
static void
test_block(int channels, int height, int width, int lanes)
{
	const int blocks = (channels + lanes - 1) / lanes;
	const ptrdiff_t plain_row = width + 2, plane = plain_row * height;
	const ptrdiff_t row = (ptrdiff_t) width * lanes, map = row * height;
	/* The last row needs no padding. */
	Floats plain = floats_random((size_t) (plane * channels - 2));
	Floats blocked = floats_new((size_t) (map * blocks), 1);
	Floats back = floats_new((size_t) (channels * height * width), 1);
	Verdict verdict = {0};

	kernels->nn->block(plain.at, plane, plain_row, channels, height, width,
					   lanes, blocked.at, map, row);
	for (ptrdiff_t i = 0; i < map * blocks; ++i)
	{
		const int c = (int) (i / map * lanes + i % lanes);
		const int y = (int) (i % map / row), x = (int) (i % row / lanes);

		compare(&verdict, blocked.at[i],
				c < channels ? plain.at[c * plane + y * plain_row + x] : 0, 0,
				c, y, x);
	}
	if (lanes == FR_BLOCK)
	{
		kernels->nn->unblock(blocked.at, map, row, 0, channels, height, width,
							 back.at, (ptrdiff_t) height * width, width);
		for (int i = 0; i < channels * height * width; ++i)
		{
			const int c = i / (height * width), y = i / width % height;

			compare(&verdict, back.at[i],
					plain.at[c * plane + y * plain_row + i % width], 0, c, y,
					i % width);
		}
		kernels->nn->unblock_nhwc(blocked.at, map, row, 0, channels, height,
								  width, back.at);
		for (int i = 0; i < channels * height * width; ++i)
		{
			const int pixel = i / channels, c = i % channels;

			compare(
				&verdict, back.at[i],
				plain.at[c * plane + pixel / width * plain_row + pixel % width],
				0, c, pixel / width, pixel % width);
		}
	}
	for (int first = 1; first < channels && lanes == FR_BLOCK; first += 4)
	{
		const int count = channels - first;
		const ptrdiff_t block = first / FR_BLOCK * map;

		kernels->nn->unblock(blocked.at + block, map, row, first % FR_BLOCK,
							 count, height, width, back.at,
							 (ptrdiff_t) height * width, width);
		for (int i = 0; i < count * height * width; ++i)
		{
			const int c = i / (height * width), y = i / width % height;

			compare(&verdict, back.at[i],
					plain.at[(first + c) * plane + y * plain_row + i % width],
					0, c, y, i % width);
		}
		kernels->nn->unblock_nhwc(blocked.at + block, map, row,
								  first % FR_BLOCK, count, height, width,
								  back.at);
		for (int i = 0; i < count * height * width; ++i)
		{
			const int pixel = i / count, c = first + i % count;

			compare(
				&verdict, back.at[i],
				plain.at[c * plane + pixel / width * plain_row + pixel % width],
				0, c, pixel / width, pixel % width);
		}
	}
	report(&verdict, "plain to blocked and back");
	floats_free(&plain);
	floats_free(&blocked);
	floats_free(&back);
}

/* Lines of softmax against libm, in place. */
static void
test_softmax(int length, int count, ptrdiff_t stride)
{
	Floats input = floats_random((size_t) ((length - 1) * stride + count));
	Floats output = floats_new((size_t) ((length - 1) * stride + count), 1);
	Verdict verdict = {0};

	for (int i = 0; i < count; i += 3)
		input.at[i] *= 60.0f;
	memcpy(output.at, input.at,
		   (size_t) ((length - 1) * stride + count) * sizeof(float));
	kernels->nn->softmax(output.at, output.at, length, stride, (size_t) count);
	for (int i = 0; i < count; ++i)
	{
		double largest = -HUGE_VAL, sum = 0;

		for (int k = 0; k < length; ++k)
			largest = fmax(largest, (double) input.at[k * stride + i]);
		for (int k = 0; k < length; ++k)
			sum += exp((double) input.at[k * stride + i] - largest);
		for (int k = 0; k < length; ++k)
			compare(&verdict, output.at[k * stride + i],
					(float) (exp((double) input.at[k * stride + i] - largest) /
							 sum),
					2e-6, k, 0, i);
	}
	report(&verdict, "softmax");
	floats_free(&input);
	floats_free(&output);
}

/* A picture of 8-bit pixels into four lanes. */
static void
test_picture(int rows, int width, int out_h, int out_w, int flags)
{
	const ptrdiff_t row_bytes = width * 3 + 7, out_row = out_w * 4 + 3;
	const size_t bytes = rows > 0 ? (size_t) (row_bytes * rows - 7) : 0;
	uint8_t *pixels = malloc(bytes ? bytes : 1);
	Floats output = floats_new((size_t) (out_row * out_h - 3), 1);
	Verdict verdict = {0};
	FrPictureTask task = {.pixels = pixels,
						  .row_bytes = row_bytes,
						  .rows = rows,
						  .width = width,
						  .is_swapped = flags & 1,
						  .is_mirrored = flags >> 1,
						  .mean = {127.5f, 104.007f, 3.25f},
						  .scale = {0.0078125f, 1.7f, -0.01f},
						  .output = output.at,
						  .out_row = out_row,
						  .out_h = out_h,
						  .out_w = out_w};

	for (size_t i = 0; i < bytes; ++i)
		pixels[i] = (uint8_t) (i * 2654435761u >> 11);
	kernels->nn->block_u8(&task);
	for (int i = 0; i < out_h * out_w * 4; ++i)
	{
		const int y = i / 4 / out_w, x = i / 4 % out_w, c = i % 4;
		const int from = task.is_mirrored ? width - 1 - x : x;
		float value = 0.0f;

		if (y < rows && x < width && c < 3)
			value = pixels[y * row_bytes + from * 3 +
						   (task.is_swapped ? 2 - c : c)];
		compare(&verdict, output.at[y * out_row + x * 4 + c],
				(value - task.mean[c]) * task.scale[c], 0, c, y, x);
	}
	report(&verdict, "picture to blocked");
	floats_free(&output);
	free(pixels);
}

static void
test_maps(void)
{
	test_softmax(2, 1, 1);
	test_softmax(2, 37, 40);
	test_softmax(5, 16, 16);
	test_softmax(10, 8, 9);
	test_softmax(1, 5, 5);
	for (int flags = 0; flags < 4; ++flags)
	{
		test_picture(3, 1, 3, 1, flags);
		test_picture(2, 4, 2, 4, flags);
		test_picture(2, 7, 4, 9, flags);
		test_picture(1, 37, 1, 37, flags);
		test_picture(0, 0, 2, 5, flags);
	}
	test_global_average(7, 7);
	test_global_average(1, 3);
	test_global_average(0, 5);
	test_upsample(3, 5, 2, 2);
	test_upsample(2, 1, 1, 3);
	test_block(3, 5, 7, 4);
	test_block(1, 2, 9, 4);
	test_block(3, 1, 16, 4);
	test_block(16, 3, 5, 16);
	test_block(37, 4, 6, 16);
	test_block(33, 2, 19, 16);
}

static void
test_select(void)
{
	char text[256], cut[8];

	ok(fr_kernels_by_name("auto") == fr_kernels_best(), "auto is the best");
	ok(fr_kernels_by_name("generic") == &fr_kernels_generic, "generic runs");
	ok(fr_kernels_by_name("sse9") == NULL, "an unknown name");
	ok(fr_kernels_by_name(fr_kernels_best()->isa) == fr_kernels_best(),
	   "the best by its name");
	ok(strlen(fr_kernels_cpu_text(text, sizeof text)) > 0, "CPU: %s", text);
	ok(strlen(fr_kernels_cpu_text(cut, sizeof cut)) < sizeof cut,
	   "a short buffer");
}

static void
test_table(void)
{
	test_eltwise();
	test_activations();
	test_activate_tails();
	test_maps();
}

int
main(void)
{
	test_select();
	for_each_table(test_table);
	return tap_done();
}
