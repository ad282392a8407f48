/*
 * test_kernels_winograd.c: Winograd convolution of every instruction set that
 * this CPU runs equals the plain convolution in float64 (nn_reference.h) over
 * odd shapes, batches, edges, residuals and activations, and gives the same
 * bits however its tiles are passed.
 *
 * The weights' transform is computed here from the definition: row i of G is
 * (1, p, p^2) / product of (p - q) over the other finite points q. Tiles of 3
 * outputs use one point less than those of 4.
 */
#include "test/unit/kernel_check.h"

typedef struct WinogradCase
{
	int images, out_channels, in_channels, out_h, out_w;
	int residual; /* 0: none, 1: own memory, 2: the output itself */
	int activation;
	FrWeightFormat format;
	int tile;
} WinogradCase;

typedef struct WinogradData
{
	FrWinogradTask task;
	Floats input, output, residual, weights, bias, slope;
	char *packed;
	int tiles;
} WinogradData;

static const double points[5] = {0, 0.75, -0.75, 1.5, -1.5};

static double
filter_factor(int tile, int position, int tap)
{
	double factor = 1;

	if (position == tile + 1)
		return tap == 2;
	for (int q = 0; q < tile + 1; ++q)
		if (q != position)
			factor /= points[position] - points[q];
	return factor * pow(points[position], tap);
}

/* Weights [count, in, 3, 3] at one position, as [count, in]. */
static void
transform_weights(const float *weights, int filters, int tile, int position,
				  double scale, float *out)
{
	const int window = FR_WINOGRAD_WINDOW(tile);

	for (int i = 0; i < filters; ++i)
	{
		double sum = 0;

		for (int tap = 0; tap < 9; ++tap)
			sum += (double) weights[9 * i + tap] *
				   filter_factor(tile, position / window, tap / 3) *
				   filter_factor(tile, position % window, tap % 3);
		out[i] = (float) (sum / scale);
	}
}

static void
pack_weights(WinogradData *data, const WinogradCase *c)
{
	const int count = FR_WINOGRAD_CHUNK * FR_BLOCK * c->in_channels;
	Floats part = floats_new((size_t) count, 0);
	FrConvFilter filter = {.out_channels = c->out_channels,
						   .in_channels = c->in_channels,
						   .kernel_h = 1,
						   .kernel_w = 1,
						   .in_lanes = FR_BLOCK,
						   .format = c->format};
	char *target = data->packed =
		aligned_alloc(64, (kernels->unpaired->conv_packed_bytes(&filter) *
							   FR_WINOGRAD_POSITIONS((size_t) c->tile) +
						   63) /
							  64 * 64);

	for (int oc = 0; oc < c->out_channels; oc += FR_WINOGRAD_CHUNK * FR_BLOCK)
	{
		const int rest = c->out_channels - oc;

		filter.out_channels = rest < FR_WINOGRAD_CHUNK * FR_BLOCK
								  ? rest
								  : FR_WINOGRAD_CHUNK * FR_BLOCK;
		for (int position = 0; position < FR_WINOGRAD_POSITIONS(c->tile);
			 ++position)
		{
			transform_weights(data->weights.at + 9 * oc * c->in_channels,
							  filter.out_channels * c->in_channels, c->tile,
							  position, (double) data->task.value_scale,
							  part.at);
			kernels->unpaired->conv_pack(&filter, part.at, NULL, target);
			target += kernels->unpaired->conv_packed_bytes(&filter);
		}
	}
	floats_free(&part);
}

static void
winograd_data_new(WinogradData *data, const WinogradCase *c)
{
	FrWinogradTask *t = &data->task;
	const int gap = random_int(0, 2) * FR_BLOCK;
	const int in_blocks = (c->in_channels + FR_BLOCK - 1) / FR_BLOCK;

	*t = (FrWinogradTask){
		.in_channels = c->in_channels,
		.tile = c->tile,
		.tiles_h = (c->out_h + c->tile - 1) / c->tile,
		.tiles_w = (c->out_w + c->tile - 1) / c->tile,
		.value_scale = 0.25f,
		.out_blocks = (c->out_channels + FR_BLOCK - 1) / FR_BLOCK,
		.out_h = c->out_h,
		.out_w = c->out_w,
		.weight_format = c->format,
	};
	t->in_row = (c->tile * t->tiles_w + 2) * FR_BLOCK + gap;
	t->in_block = t->in_row * (c->tile * t->tiles_h + 2);
	t->in_image = t->in_block * in_blocks;
	t->out_row = c->out_w * FR_BLOCK + gap;
	t->out_block = t->out_row * c->out_h + gap;
	t->out_image = t->out_block * t->out_blocks;
	data->tiles = c->images * t->tiles_h * t->tiles_w;
	data->input = floats_random((size_t) (t->in_image * c->images));
	data->output = floats_filled((size_t) (t->out_image * c->images), SENTINEL);
	data->residual = floats_random(data->output.count);
	data->weights =
		floats_random((size_t) (9 * c->out_channels * c->in_channels));
	t->epilogue = random_epilogue(&data->bias, &data->slope,
								  t->out_blocks * FR_BLOCK, c->activation);
	t->input = data->input.at;
	t->output = data->output.at;
	if (c->residual)
	{
		t->residual = data->residual.at;
		t->res_image = t->out_image;
		t->res_block = t->out_block;
		t->res_row = t->out_row;
	}
	pack_weights(data, c);
	t->weights = data->packed;
}

static void
winograd_data_free(WinogradData *data)
{
	floats_free(&data->input);
	floats_free(&data->output);
	floats_free(&data->residual);
	floats_free(&data->weights);
	floats_free(&data->bias);
	floats_free(&data->slope);
	free(data->packed);
}

/* All tiles, some at a time, with scratch of exact size. */
static void
run_tiles(const FrWinogradTask *task, int total, int most)
{
	const int in_blocks = (task->in_channels + FR_BLOCK - 1) / FR_BLOCK;
	const int positions = FR_WINOGRAD_POSITIONS(task->tile);

	for (int first = 0; first < total; first += most)
	{
		const int tiles = total - first < most ? total - first : most;
		Floats values =
			floats_filled((size_t) (positions * fr_winograd_position_floats(
													in_blocks, tiles)),
						  NAN);
		Floats sums =
			floats_filled((size_t) (positions * fr_winograd_position_floats(
													FR_WINOGRAD_CHUNK, tiles)),
						  NAN);
		FrWinogradTask piece = *task;

		piece.values = values.at;
		piece.sums = sums.at;
		kernels->unpaired->winograd_input(&piece, first, tiles);
		for (int block = 0; block < task->out_blocks;
			 block += FR_WINOGRAD_CHUNK)
		{
			const int rest = task->out_blocks - block;

			kernels->unpaired->winograd_output(
				&piece, first, tiles, block,
				rest < FR_WINOGRAD_CHUNK ? rest : FR_WINOGRAD_CHUNK);
		}
		floats_free(&values);
		floats_free(&sums);
	}
}

/* Every output of the plain convolution; what lies between keeps its value. */
static void
check_outputs(const WinogradData *data, const WinogradCase *c, Verdict *verdict)
{
	const FrWinogradTask *t = &data->task;
	Floats want = floats_filled(data->output.count, SENTINEL);
	Floats tolerance = floats_filled(data->output.count, 0);

	if (c->residual == 2)
		memcpy(want.at, data->residual.at, want.count * sizeof(float));
	for (int n = 0; n < c->images; ++n)
	{
		const FrConvTask plain = {
			.input = t->input + n * t->in_image,
			.in_block = t->in_block,
			.in_row = t->in_row,
			.in_pixel = FR_BLOCK,
			.tap_row = t->in_row,
			.tap_col = FR_BLOCK,
			.in_channels = t->in_channels,
			.in_lanes = FR_BLOCK,
			.kernel_h = 3,
			.kernel_w = 3,
			.residual =
				t->residual ? data->residual.at + n * t->out_image : NULL,
			.res_block = t->out_block,
			.res_row = t->out_row,
			.res_pixel = FR_BLOCK,
			.epilogue = t->epilogue,
		};

		for (int oc = 0; oc < t->out_blocks * FR_BLOCK; ++oc)
			for (int i = 0; i < c->out_h * c->out_w; ++i)
			{
				const int y = i / c->out_w, x = i % c->out_w;
				const ptrdiff_t at =
					n * t->out_image + oc / FR_BLOCK * t->out_block +
					y * t->out_row + x * FR_BLOCK + oc % FR_BLOCK;
				double magnitude;

				want.at[at] =
					reference_conv(&plain, data->weights.at, NULL,
								   c->out_channels, oc, y, x, &magnitude);
				tolerance.at[at] =
					(float) (sum_tolerance(magnitude) *
							 (c->format == FR_WEIGHTS_F16 ? 1000 : 1));
			}
	}
	for (size_t i = 0; i < want.count; ++i)
		compare(verdict, data->output.at[i], want.at[i],
				(double) tolerance.at[i], (int) i, 0, 0);
	floats_free(&want);
	floats_free(&tolerance);
}

static Verdict
check_winograd(const WinogradCase *c)
{
	WinogradData data;
	Verdict verdict = {0};

	winograd_data_new(&data, c);
	if (c->residual == 2)
	{
		memcpy(data.output.at, data.residual.at,
			   data.output.count * sizeof(float));
		data.task.residual = data.output.at;
	}
	run_tiles(&data.task, data.tiles, random_int(1, data.tiles));
	check_outputs(&data, c, &verdict);

	/* Cut otherwise, at another alignment. */
	Floats moved = floats_moved(&data.input, 3), again;
	FrWinogradTask task = data.task;

	again = c->residual == 2 ? floats_moved(&data.residual, 2)
							 : floats_filled(data.output.count, SENTINEL);
	task.input = moved.at;
	task.output = again.at;
	if (c->residual == 2)
		task.residual = again.at;
	run_tiles(&task, data.tiles, random_int(1, data.tiles));
	if (memcmp(again.at, data.output.at, again.count * sizeof(float)) != 0)
		compare(&verdict, 1, 0, 0, -1, -1, -1);
	floats_free(&moved);
	floats_free(&again);
	winograd_data_free(&data);
	return verdict;
}

static void
test_edges(int tile)
{
	Verdict verdict = {0};

	for (int size = 1; size <= 9 && !verdict.is_wrong; ++size)
	{
		const WinogradCase c = {
			1,		   20,		 16,		   size,
			10 - size, size % 3, FR_ACT_PRELU, FR_WEIGHTS_F32,
			tile};

		verdict = check_winograd(&c);
		if (verdict.is_wrong)
			diag("%d x %d outputs", c.out_h, c.out_w);
	}
	report(&verdict, tile == 3 ? "tiles of 3 at the right and bottom edge"
							   : "tiles of 4 at the right and bottom edge");
}

static void
test_random(FrWeightFormat format, const char *what)
{
	Verdict verdict = {0};

	for (int i = 0; i < 16 && !verdict.is_wrong; ++i)
	{
		const WinogradCase c = {
			.images = random_int(1, 3),
			.out_channels = random_int(1, 90),
			.in_channels = random_int(1, 40),
			.out_h = random_int(1, 10),
			.out_w = random_int(1, 12),
			.residual = i % 3,
			.activation = i % FR_ACT_COUNT,
			.format = format,
			.tile = random_int(3, 4),
		};

		verdict = check_winograd(&c);
		if (verdict.is_wrong)
			diag("images %d oc %d ic %d out %dx%d residual %d activation %d "
				 "tile %d",
				 c.images, c.out_channels, c.in_channels, c.out_h, c.out_w,
				 c.residual, c.activation, c.tile);
	}
	report(&verdict, what);
}

/* As deep as layers of face networks are. */
static void
test_deep(void)
{
	const WinogradCase c = {1, 16, 512, 4, 8, 0, FR_ACT_NONE, FR_WEIGHTS_F32,
							4};
	Verdict verdict = check_winograd(&c);

	report(&verdict, "512 input channels");
}

static void
run_tests(void)
{
	if (kernels->unpaired != kernels->nn)
		return; /* tested as the table that it is */
	test_edges(3);
	test_edges(4);
	test_random(FR_WEIGHTS_F32, "16 random Winograd convolutions");
	test_random(FR_WEIGHTS_F16, "16 with binary16 weights");
	test_deep();
}

int
main(void)
{
	for_each_table(run_tests);
	return tap_done();
}
