/*
 * test_kernels_nn.c: convolution, depthwise convolution and pooling of every
 * instruction set that this CPU runs equal their plain twins
 * (nn_reference.h) over odd shapes, strides, borders and alignments.
 *
 * Outputs lie in larger arrays whose gaps must keep their old contents.
 */
#include "kernels/half.h"
#include "test/unit/kernel_check.h"

/* True when every float of a gap between outputs is as it was: rows of
 * row_floats in use at out_row from each other, rows per block at out_block
 * from each other, blocks in all. */
static bool
gaps_intact(const Floats *output, int blocks, ptrdiff_t out_block, int rows,
			ptrdiff_t out_row, ptrdiff_t row_floats)
{
	for (ptrdiff_t i = 0; i < (ptrdiff_t) output->count; ++i)
	{
		const ptrdiff_t in_block = i % out_block;

		if (i / out_block < blocks && in_block / out_row < rows &&
			in_block % out_row < row_floats)
			continue;
		if (output->at[i] != SENTINEL)
			return false;
	}
	return true;
}

/* ---- convolution -------------------------------------------------------- */

static FrWeightFormat weight_format; /* under test */

typedef struct ConvCase
{
	int out_channels, in_channels, lanes;
	int kernel_h, kernel_w, stride, dilation;
	int out_h, out_w;
	int residual;	 /* 0: none, 1: own memory, 2: the output itself */
	int activation;	 /* -1: any */
	int has_vectors; /* outputs are not adjacent, as for a batch */
} ConvCase;

typedef struct ConvData
{
	FrConvTask task;
	int out_channels;
	Floats input, output, residual, weights, scale, packed, bias, slope;
} ConvData;

static void
conv_data_geometry(ConvData *data, const ConvCase *c)
{
	const int in_h =
		(c->out_h - 1) * c->stride + (c->kernel_h - 1) * c->dilation + 1;
	const int in_w =
		(c->out_w - 1) * c->stride + (c->kernel_w - 1) * c->dilation + 1;
	const int in_blocks = (c->in_channels + c->lanes - 1) / c->lanes;
	const int out_blocks = (c->out_channels + FR_BLOCK - 1) / FR_BLOCK;
	const int gap = random_int(0, 2) ? random_int(0, 3) * FR_BLOCK : 0;
	FrConvTask *t = &data->task;

	*t = (FrConvTask){
		.in_block = (ptrdiff_t) in_h * in_w * c->lanes,
		.in_row = (ptrdiff_t) in_w * c->lanes * c->stride,
		.in_pixel = c->stride * c->lanes,
		.tap_row = (ptrdiff_t) in_w * c->lanes * c->dilation,
		.tap_col = c->lanes * c->dilation,
		.in_channels = c->in_channels,
		.in_lanes = c->lanes,
		.kernel_h = c->kernel_h,
		.kernel_w = c->kernel_w,
		.out_blocks = out_blocks,
		.out_h = c->out_h,
		.out_w = c->out_w,
		.out_pixel = FR_BLOCK,
		.out_row = c->out_w * FR_BLOCK + gap,
		.weight_format = weight_format,
	};
	t->out_block = t->out_row * c->out_h + gap;
	if (c->has_vectors)
	{
		t->out_block = FR_BLOCK;
		t->out_pixel = out_blocks * FR_BLOCK;
		t->out_row = t->out_pixel * c->out_w;
	}
	data->input = floats_random((size_t) (in_blocks * t->in_block));
}

/* What is multiplied is then exact in any format: 9 bits, and powers of
 * two. */
static void
shorten_weights(ConvData *data)
{
	for (size_t i = 0; i < data->weights.count; ++i)
		data->weights.at[i] = rintf(data->weights.at[i] * 256.0f) / 256.0f;
	for (size_t i = 0; i < data->scale.count; ++i)
		data->scale.at[i] =
			ldexpf(data->scale.at[i] < 0 ? -1.0f : 1.0f, random_int(-3, 3));
}

static void
conv_data_new(ConvData *data, const ConvCase *c)
{
	FrConvTask *t = &data->task;
	const int activation =
		c->activation >= 0 ? c->activation : random_int(0, FR_ACT_COUNT - 1);
	const size_t weight_count =
		(size_t) (c->out_channels * c->in_channels * c->kernel_h * c->kernel_w);
	const FrConvFilter filter = {
		.out_channels = c->out_channels,
		.in_channels = c->in_channels,
		.kernel_h = c->kernel_h,
		.kernel_w = c->kernel_w,
		.in_lanes = c->lanes,
		.format = weight_format,
	};

	conv_data_geometry(data, c);
	data->out_channels = c->out_channels;
	data->weights = floats_random(weight_count);
	data->scale = floats_random((size_t) c->out_channels);
	if (weight_format != FR_WEIGHTS_F32)
		shorten_weights(data);
	data->packed.count =
		kernels->nn->conv_packed_bytes(&filter) / sizeof(float);
	data->packed.memory =
		aligned_alloc(64, (data->packed.count + 31) / 16 * 64);
	data->packed.at = data->packed.memory + 16;
	kernels->nn->conv_pack(&filter, data->weights.at, data->scale.at,
						   data->packed.at);
	t->epilogue = random_epilogue(&data->bias, &data->slope,
								  t->out_blocks * FR_BLOCK, activation);
	data->output =
		floats_filled((size_t) (c->has_vectors ? t->out_row * c->out_h
											   : t->out_block * t->out_blocks),
					  SENTINEL);
	data->residual = floats_random(data->output.count);
	t->input = data->input.at;
	t->weights = data->packed.at;
	t->output = data->output.at;
	if (c->residual)
	{
		t->residual = data->residual.at;
		t->res_block = t->out_block;
		t->res_row = t->out_row;
		t->res_pixel = t->out_pixel;
	}
}

static void
conv_data_free(ConvData *data)
{
	floats_free(&data->input);
	floats_free(&data->output);
	floats_free(&data->residual);
	floats_free(&data->weights);
	floats_free(&data->scale);
	floats_free(&data->packed);
	floats_free(&data->bias);
	floats_free(&data->slope);
}

static float *
conv_output(const FrConvTask *t, int oc, int y, int x)
{
	return t->output + oc / FR_BLOCK * t->out_block + y * t->out_row +
		   x * t->out_pixel + oc % FR_BLOCK;
}

/* Run with the residual in the output's place: the same as apart from it. */
static void
run_in_place(const ConvData *data)
{
	FrConvTask in_place = data->task;

	for (int oc = 0; oc < in_place.out_blocks * FR_BLOCK; ++oc)
	{
		for (int y = 0; y < in_place.out_h; ++y)
		{
			for (int x = 0; x < in_place.out_w; ++x)
				*conv_output(&in_place, oc, y, x) =
					data->residual
						.at[conv_output(&in_place, oc, y, x) - in_place.output];
		}
	}
	in_place.residual = in_place.output;
	kernels->nn->conv(&in_place);
}

static Verdict
check_conv(const ConvCase *c)
{
	ConvData data;
	Verdict verdict = {0};

	conv_data_new(&data, c);
	if (c->residual == 2)
		run_in_place(&data);
	else
		kernels->nn->conv(&data.task);
	for (int oc = 0; oc < data.task.out_blocks * FR_BLOCK; ++oc)
	{
		for (int y = 0; y < c->out_h; ++y)
		{
			for (int x = 0; x < c->out_w; ++x)
			{
				double magnitude;
				const float want =
					reference_conv(&data.task, data.weights.at, data.scale.at,
								   c->out_channels, oc, y, x, &magnitude);

				compare(&verdict, *conv_output(&data.task, oc, y, x), want,
						sum_tolerance(magnitude), oc, y, x);
			}
		}
	}
	if (!c->has_vectors &&
		!gaps_intact(&data.output, data.task.out_blocks, data.task.out_block,
					 c->out_h, data.task.out_row, c->out_w * FR_BLOCK))
		compare(&verdict, 1, 0, 0, -1, -1, -1);
	conv_data_free(&data);
	return verdict;
}

static void
test_conv_cases(void)
{
	static const struct
	{
		const char *name;
		ConvCase c;
	} cases[] = {
		{"1x1", {64, 32, 16, 1, 1, 1, 1, 7, 9, 0, 0, 0}},
		{"1x1 with few channels", {3, 5, 16, 1, 1, 1, 1, 5, 5, 0, -1, 0}},
		{"1x1 stride 2", {40, 48, 16, 1, 1, 2, 1, 6, 11, 1, 2, 0}},
		{"1x1 stride 3", {16, 16, 16, 1, 1, 3, 1, 4, 5, 0, 1, 0}},
		{"3x3 of a picture", {24, 3, 4, 3, 3, 2, 1, 9, 17, 0, 2, 0}},
		{"3x3 of a picture, stride 1", {24, 3, 4, 3, 3, 1, 1, 9, 31, 0, 2, 0}},
		{"3x3 of a gray picture", {24, 1, 4, 3, 3, 1, 1, 9, 17, 0, 2, 0}},
		{"3x3 at 7 pixels", {96, 40, 16, 3, 3, 1, 1, 7, 7, 2, 2, 0}},
		{"3x3 dilated", {32, 16, 16, 3, 3, 1, 2, 5, 15, 0, 1, 0}},
		{"5x3 stride 2", {17, 33, 16, 5, 3, 2, 1, 3, 29, 1, 3, 0}},
		{"wide row", {80, 16, 16, 1, 1, 1, 1, 2, 113, 0, 0, 0}},
		{"fully connected", {100, 144, 16, 1, 1, 1, 1, 1, 1, 0, 0, 0}},
		{"7x7 to one pixel", {72, 20, 16, 7, 7, 1, 1, 1, 1, 1, 2, 0}},
		{"batch of vectors", {72, 64, 16, 1, 1, 1, 1, 1, 5, 2, 2, 1}},
		{"no input channels", {16, 0, 16, 1, 1, 1, 1, 2, 2, 1, 1, 0}},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i)
	{
		const Verdict verdict = check_conv(&cases[i].c);

		report(&verdict, cases[i].name);
	}
}

static void
test_conv_random(void)
{
	Verdict verdict = {0};

	for (int i = 0; i < 150 && !verdict.is_wrong; ++i)
	{
		ConvCase c = {
			.out_channels = random_int(1, 90),
			.in_channels = random_int(1, 40),
			.lanes = 16,
			.kernel_h = random_int(1, 3),
			.kernel_w = random_int(1, 3),
			.stride = random_int(1, 3),
			.dilation = random_int(1, 2),
			.out_h = random_int(1, 4),
			.out_w = random_int(1, 20),
			.residual = random_int(0, 2),
			.activation = -1,
			.has_vectors = !random_int(0, 4),
		};

		if (i % 5 == 0)
		{
			c.lanes = 4;
			c.in_channels = random_int(1, 4);
		}
		verdict = check_conv(&c);
		if (verdict.is_wrong)
			diag("oc %d ic %d lanes %d kernel %dx%d stride %d dilation %d "
				 "out %dx%d residual %d vectors %d",
				 c.out_channels, c.in_channels, c.lanes, c.kernel_h, c.kernel_w,
				 c.stride, c.dilation, c.out_h, c.out_w, c.residual,
				 c.has_vectors);
	}
	report(&verdict, "150 random convolutions");
}

/* Every width of a tile, with every placement of its pixels, for one to seven
 * groups of blocks and a rest. */
static void
test_conv_widths(void)
{
	static const struct
	{
		int lanes, stride;
	} inputs[] = {{16, 1}, {16, 2}, {16, 3}, {4, 2}, {4, 1}};
	Verdict verdict = {0};

	for (int width = 1; width < 30 && !verdict.is_wrong; ++width)
	{
		for (size_t i = 0; i < sizeof inputs / sizeof *inputs; ++i)
		{
			const ConvCase c = {
				.out_channels = random_int(1, 15) * FR_BLOCK,
				.in_channels = 3,
				.lanes = inputs[i].lanes,
				.kernel_h = 1,
				.kernel_w = 1 + (width & 1),
				.stride = inputs[i].stride,
				.dilation = 1,
				.out_h = 1,
				.out_w = width,
				.activation = FR_ACT_PRELU,
			};

			verdict = check_conv(&c);
			if (verdict.is_wrong)
			{
				diag("width %d lanes %d stride %d", width, c.lanes, c.stride);
				break;
			}
		}
	}
	report(&verdict, "every width of a tile");
}

/* Large enough that the weights exceed what the loops keep cached, and that
 * several parts of the input pass. */
static void
test_conv_large(void)
{
	static const ConvCase many_weights = {144, 128, 16, 3, 3, 1,
										  1,   3,	3,	1, 2, 0};
	static const ConvCase many_pixels = {40, 64, 16, 1, 1, 1,
										 1,	 40, 41, 0, 1, 0};
	Verdict verdict = check_conv(&many_weights);

	report(&verdict, "weights beyond the cache");
	verdict = check_conv(&many_pixels);
	report(&verdict, "input in several parts");
}

/* Neither alignment nor the width of the map changes a bit of the result. */
static void
test_conv_same_bits(void)
{
	static const ConvCase c = {48, 37, 16, 3, 3, 1, 1, 3, 23, 0, 2, 0};
	ConvData data;
	bool is_same_moved = true, is_same_alone = true;

	conv_data_new(&data, &c);
	kernels->nn->conv(&data.task);
	for (size_t skew = 0; skew < 16; skew += 5)
	{
		Floats input = floats_moved(&data.input, skew);
		Floats output = floats_moved(&data.output, skew);
		FrConvTask moved = data.task;

		moved.input = input.at;
		moved.output = output.at;
		kernels->nn->conv(&moved);
		is_same_moved &= memcmp(output.at, data.output.at,
								output.count * sizeof(float)) == 0;
		floats_free(&input);
		floats_free(&output);
	}
	for (int x = 0; x < c.out_w; ++x)
	{
		Floats output = floats_filled(data.output.count, SENTINEL);
		FrConvTask alone = data.task;

		alone.input += x * alone.in_pixel;
		alone.output = output.at;
		alone.out_h = alone.out_w = 1;
		kernels->nn->conv(&alone);
		for (int b = 0; b < alone.out_blocks; ++b)
			is_same_alone &= memcmp(output.at + b * alone.out_block,
									data.output.at + b * alone.out_block +
										x * alone.out_pixel,
									FR_BLOCK * sizeof(float)) == 0;
		floats_free(&output);
	}
	ok(is_same_moved, "%s: same bits at any alignment", kernels->name);
	ok(is_same_alone, "%s: same bits for a pixel alone", kernels->name);
	conv_data_free(&data);
}

/* Rows of one image, taken for images of some rows each. */
static void
test_conv_images(void)
{
	static const ConvCase c = {40, 37, 16, 2, 2, 1, 1, 6, 5, 1, 2, 0};
	ConvData data;
	bool is_same = true;

	conv_data_new(&data, &c);
	kernels->nn->conv(&data.task);
	for (int rows = 1; rows <= 3; ++rows)
	{
		Floats output = floats_filled(data.output.count, SENTINEL);
		FrConvTask joined = data.task;

		joined.output = output.at;
		joined.out_h = rows;
		joined.images = c.out_h / rows;
		joined.in_image = rows * joined.in_row;
		joined.out_image = rows * joined.out_row;
		joined.res_image = rows * joined.res_row;
		kernels->nn->conv(&joined);
		is_same &= memcmp(output.at, data.output.at,
						  output.count * sizeof(float)) == 0;
		floats_free(&output);
	}
	ok(is_same, "%s: same bits for images in one task", kernels->name);
	conv_data_free(&data);
}

/* Half precision is what conv_pack rounds to, to nearest even: each pixel
 * picks one input channel, so outputs are the weights themselves. */
static void
test_conv_half_rounding(void)
{
	static const ConvCase c = {16, 48, 16, 1, 1, 1, 1, 1, 48, 0, 0, 0};
	ConvData data;
	Verdict verdict = {0};

	weight_format = FR_WEIGHTS_F16;
	conv_data_new(&data, &c);
	data.task.epilogue.bias = NULL;
	memset(data.input.at, 0, data.input.count * sizeof(float));
	for (int i = 0; i < 48; ++i)
		data.input.at[i / 16 * data.task.in_block + i * 16 + i % 16] = 1;
	for (size_t i = 0; i < data.weights.count; ++i)
		data.weights.at[i] = 0.6f + 0.3f * random_float();
	kernels->nn->conv_pack(&(FrConvFilter){16, 48, 1, 1, 16, FR_WEIGHTS_F16},
						   data.weights.at, NULL, data.packed.at);
	kernels->nn->conv(&data.task);
	for (int oc = 0; oc < 16; ++oc)
	{
		for (int x = 0; x < 48; ++x)
			compare(&verdict, *conv_output(&data.task, oc, 0, x),
					fr_half_to_float(
						fr_half_from_float(data.weights.at[oc * 48 + x])),
					2e-6, oc, 0, x);
	}
	report(&verdict, "weights round to half precision");
	conv_data_free(&data);
	weight_format = FR_WEIGHTS_F32;
}

/* Inputs that are never negative and weights, for a test of precision. */
typedef struct Scales
{
	float magnitude; /* of the inputs */
	/* Largest input channel over smallest, and the other way round for the
	 * weights that they meet. */
	float spread;
	float outlier; /* what input channel 0 is; 0: like the others */
} Scales;

static void
scale_data(ConvData *data, const Scales *scales)
{
	const FrConvTask *t = &data->task;
	const ptrdiff_t taps = (ptrdiff_t) t->kernel_h * t->kernel_w;
	const FrConvFilter filter = {data->out_channels, t->in_channels,
								 t->kernel_h,		 t->kernel_w,
								 t->in_lanes,		 t->weight_format};

	for (int c = 0; c < t->in_channels; ++c)
	{
		const float factor = powf(scales->spread, random_float() / 2);
		float *map = data->input.at + c / FR_BLOCK * t->in_block + c % FR_BLOCK;

		for (ptrdiff_t i = 0; i < t->in_block / FR_BLOCK; ++i)
			map[i * FR_BLOCK] =
				c == 0 && scales->outlier > 0
					? scales->outlier
					: fmaxf(0, map[i * FR_BLOCK]) * scales->magnitude * factor;
		for (int oc = 0; oc < data->out_channels; ++oc)
			for (ptrdiff_t i = 0; i < taps; ++i)
				data->weights.at[(oc * t->in_channels + c) * taps + i] /=
					factor;
	}
	kernels->nn->conv_pack(&filter, data->weights.at, data->scale.at,
						   data->packed.at);
}

/* The root mean square error of a convolution relative to its outputs', in
 * float32's roundings. */
static double
conv_roundings(int in_channels, int kernel, const Scales *scales)
{
	const ConvCase c = {16, in_channels, 16, kernel, kernel, 1,
						1,	1,			 16, 0,		 0,		 0};
	ConvData data;
	double error = 0, power = 0;

	conv_data_new(&data, &c);
	data.task.epilogue.bias = NULL;
	scale_data(&data, scales);
	kernels->nn->conv(&data.task);
	for (int oc = 0; oc < 16; ++oc)
	{
		for (int x = 0; x < 16; ++x)
		{
			double size;
			const double want = reference_conv_sum(
				&data.task, data.weights.at, data.scale.at, oc, 0, x, &size);
			const double got = (double) *conv_output(&data.task, oc, 0, x);
			const double scale = 1 / (double) data.scale.at[oc];

			error += (got - want) * (got - want) * scale * scale;
			power += want * want * scale * scale;
		}
	}
	conv_data_free(&data);
	return sqrt(error / power) / 6e-8;
}

/* Precision depends little on the depth of a sum. In pairs, inputs far from 1
 * and channels of different magnitude cost digits (nn_pairs.h). */
static void
test_conv_precision(void)
{
	static const struct
	{
		int in_channels, kernel;
	} filters[] = {{32, 1}, {64, 1}, {512, 1}, {64, 3}, {512, 3}};
	static const struct
	{
		Scales scales;
		double limit; /* in pairs */
	} cases[] = {
		{{0.01f, 1, 0}, 1200}, {{0.1f, 1, 0}, 80}, {{1, 1, 0}, 30},
		{{3, 1, 0}, 70},	   {{10, 1, 0}, 60},   {{100, 1, 0}, 30},
		{{1, 4, 0}, 50},	   {{1, 10, 0}, 60},   {{1, 1, 50}, 30},
		{{1, 1, 300}, 30},	   {{1, 1, 8000}, 30},
	};
	const bool is_in_pairs = strstr(kernels->name, "pairs") != NULL;

	seed = 1; /* the same numbers whatever ran before */
	for (size_t m = 0; m < sizeof cases / sizeof *cases; ++m)
	{
		const Scales *scales = &cases[m].scales;
		const double limit = is_in_pairs ? cases[m].limit : 30;
		double worst = 0;

		for (size_t i = 0; i < sizeof filters / sizeof *filters; ++i)
			worst = fmax(worst, conv_roundings(filters[i].in_channels,
											   filters[i].kernel, scales));
		ok(worst <= limit,
		   "%s: inputs of %g, spread %g, outlier %g: error of %.1f roundings",
		   kernels->name, (double) scales->magnitude, (double) scales->spread,
		   (double) scales->outlier, worst);
	}
}

static void
test_conv_empty(void)
{
	FrConvTask task = {.in_lanes = 16};

	kernels->nn->conv(&task);
	task.out_blocks = task.out_h = 1;
	kernels->nn->conv(&task);
	is_int((long) kernels->nn->conv_packed_bytes(
			   &(FrConvFilter){0, 5, 1, 1, 16, FR_WEIGHTS_F32}),
		   0, "%s: nothing to pack", kernels->name);
	ok(true, "%s: empty convolutions", kernels->name);
}

/* ---- depthwise and pooling ---------------------------------------------- */

/* The same outputs as bytes; by powers of two, so that they are what the
 * floats give. */
static void
check_depthwise_bytes(const FrDepthwiseTask *in_floats, Verdict *verdict)
{
	FrDepthwiseTask t = *in_floats;
	const int blocks = t.blocks, byte_blocks = (blocks + 3) / 4;
	const int zero = random_int(0, 255);
	Floats scale = floats_new((size_t) blocks * FR_BLOCK, 1);
	Floats shift = floats_filled((size_t) blocks * FR_BLOCK, 0.0f);
	uint8_t *bytes = calloc((size_t) byte_blocks * (size_t) (t.out_h * t.out_w),
							FR_BYTE_BLOCK);

	for (int c = 0; c < blocks * FR_BLOCK; ++c)
		scale.at[c] = ldexpf(1.0f, random_int(3, 6));
	t.bytes = bytes;
	t.output = NULL;
	t.byte_row = (ptrdiff_t) t.out_w * FR_BYTE_BLOCK;
	t.byte_block = t.byte_row * t.out_h;
	t.quantize = (FrQuantize){scale.at, shift.at, zero};
	kernels->nn->depthwise(&t);
	for (int c = 0; c < blocks * FR_BLOCK; ++c)
		for (int i = 0; i < t.out_h * t.out_w; ++i)
		{
			const int y = i / t.out_w, x = i % t.out_w;
			const float value =
				in_floats->output[c / FR_BLOCK * t.out_block + y * t.out_row +
								  x * FR_BLOCK + c % FR_BLOCK] *
				scale.at[c];
			const float want = fminf(fmaxf(nearbyintf(value), (float) -zero),
									 (float) (255 - zero));
			const int got =
				bytes[c / FR_BYTE_BLOCK * t.byte_block +
					  (ptrdiff_t) i * FR_BYTE_BLOCK + c % FR_BYTE_BLOCK];

			compare(verdict, (float) got, want + (float) zero, 0, c, y, x);
		}
	floats_free(&scale);
	floats_free(&shift);
	free(bytes);
}

static Verdict
check_depthwise(int blocks, int kernel, int stride, int out_h, int out_w,
				int residual, int activation)
{
	const int in_h = (out_h - 1) * stride + kernel;
	const int in_w = (out_w - 1) * stride + kernel;
	const ptrdiff_t gap = random_int(0, 2) * FR_BLOCK;
	FrDepthwiseTask t = {
		.in_block = (ptrdiff_t) in_h * in_w * FR_BLOCK,
		.in_row = (ptrdiff_t) in_w * stride * FR_BLOCK,
		.in_pixel = stride * FR_BLOCK,
		.tap_row = (ptrdiff_t) in_w * FR_BLOCK,
		.tap_col = FR_BLOCK,
		.kernel_h = kernel,
		.kernel_w = kernel,
		.out_row = out_w * FR_BLOCK + gap,
		.blocks = blocks,
		.out_h = out_h,
		.out_w = out_w,
	};
	Floats bias, slope;
	Floats input = floats_random((size_t) (blocks * t.in_block));
	Floats weights =
		floats_random((size_t) (blocks * kernel * kernel * FR_BLOCK));
	Verdict verdict = {0};

	t.out_block = t.out_row * out_h + gap;

	Floats output = floats_filled((size_t) (blocks * t.out_block), SENTINEL);
	Floats other = floats_random(output.count);

	t.input = input.at;
	t.weights = weights.at;
	t.output = output.at;
	t.epilogue = random_epilogue(&bias, &slope, blocks * FR_BLOCK, activation);
	if (residual)
	{
		t.residual = other.at;
		t.res_block = t.out_block;
		t.res_row = t.out_row;
	}
	kernels->nn->depthwise(&t);
	for (int c = 0; c < blocks * FR_BLOCK; ++c)
	{
		for (int y = 0; y < out_h; ++y)
		{
			for (int x = 0; x < out_w; ++x)
			{
				double magnitude;
				const float want = reference_depthwise(&t, c, y, x, &magnitude);
				const float got =
					t.output[c / FR_BLOCK * t.out_block + y * t.out_row +
							 x * FR_BLOCK + c % FR_BLOCK];

				compare(&verdict, got, want, sum_tolerance(magnitude), c, y, x);
			}
		}
	}
	if (!gaps_intact(&output, blocks, t.out_block, out_h, t.out_row,
					 out_w * FR_BLOCK))
		compare(&verdict, 1, 0, 0, -1, -1, -1);
	check_depthwise_bytes(&t, &verdict);
	floats_free(&input);
	floats_free(&weights);
	floats_free(&output);
	floats_free(&other);
	floats_free(&bias);
	floats_free(&slope);
	return verdict;
}

static void
test_depthwise(void)
{
	static const FrDepthwiseTask empty;
	Verdict verdict = {0};

	for (int i = 0; i < 120 && !verdict.is_wrong; ++i)
	{
		const int kernel = i % 2 ? 3 : random_int(1, 7);
		const int stride = random_int(1, 3);
		const int out_h = random_int(1, 4), out_w = random_int(1, 34);

		verdict =
			check_depthwise(random_int(1, 3), kernel, stride, out_h, out_w,
							random_int(0, 1), random_int(0, FR_ACT_COUNT - 1));
		if (verdict.is_wrong)
			diag("kernel %d stride %d out %dx%d", kernel, stride, out_h, out_w);
	}
	report(&verdict, "120 random depthwise convolutions");
	kernels->nn->depthwise(&empty);
	ok(true, "%s: empty depthwise convolution", kernels->name);
}

static Verdict
check_pool(int blocks, int kernel, int stride, int out_h, int out_w, int is_max)
{
	const int in_h = (out_h - 1) * stride + kernel;
	const int in_w = (out_w - 1) * stride + kernel;
	const FrPoolTask shape = {
		.in_block = (ptrdiff_t) in_h * in_w * FR_BLOCK,
		.in_row = (ptrdiff_t) in_w * stride * FR_BLOCK,
		.in_pixel = stride * FR_BLOCK,
		.tap_row = (ptrdiff_t) in_w * FR_BLOCK,
		.tap_col = FR_BLOCK,
		.kernel_h = kernel,
		.kernel_w = kernel,
		.out_block = (ptrdiff_t) out_h * out_w * FR_BLOCK,
		.out_row = out_w * FR_BLOCK,
		.blocks = blocks,
		.out_h = out_h,
		.out_w = out_w,
		.is_max = is_max,
		.scale = 1.0f / (float) (kernel * kernel),
	};
	Floats input = floats_random((size_t) (blocks * shape.in_block));
	Floats output = floats_new((size_t) (blocks * shape.out_block), 1);
	FrPoolTask t = shape;
	Verdict verdict = {0};

	t.input = input.at;
	t.output = output.at;
	kernels->nn->pool(&t);
	for (int c = 0; c < blocks * FR_BLOCK; ++c)
	{
		for (int y = 0; y < out_h; ++y)
		{
			for (int x = 0; x < out_w; ++x)
				compare(&verdict,
						t.output[c / FR_BLOCK * t.out_block + y * t.out_row +
								 x * FR_BLOCK + c % FR_BLOCK],
						reference_pool(&t, c, y, x), is_max ? 0 : 2e-6, c, y,
						x);
		}
	}
	floats_free(&input);
	floats_free(&output);
	return verdict;
}

static void
test_pool(void)
{
	static const FrPoolTask empty;
	Verdict verdict = {0};

	for (int i = 0; i < 40 && !verdict.is_wrong; ++i)
		verdict =
			check_pool(random_int(1, 3), random_int(1, 5), random_int(1, 3),
					   random_int(1, 4), random_int(1, 19), i % 2);
	report(&verdict, "40 random poolings");
	for (int i = 0; i < 12 && !verdict.is_wrong; ++i)
		verdict =
			check_pool(random_int(1, 3), 3, 2, random_int(1, 4), i + 1, 1);
	report(&verdict, "maxima of 3x3 with stride 2");
	kernels->nn->pool(&empty);
	ok(true, "%s: empty pooling", kernels->name);
}

static void
test_table(void)
{
	for (int format = 0; format < FR_WEIGHTS_COUNT; ++format)
	{
		weight_format = (FrWeightFormat) format;
		test_conv_cases();
		test_conv_random();
		test_conv_widths();
		test_conv_large();
		test_conv_same_bits();
		test_conv_images();
	}
	weight_format = FR_WEIGHTS_F32;
	test_conv_half_rounding();
	test_conv_precision();
	test_conv_empty();
	test_depthwise();
	test_pool();
}

int
main(void)
{
	for_each_table(test_table);
	return tap_done();
}
