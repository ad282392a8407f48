/*
 * bench_nn.c: speed of the network kernels on the layers of the networks
 * that matter, one line per layer and instruction set.
 *
 * usage: bench_nn [isa [part of a layer's name]]; isa "all" is the default.
 * Each figure is the best of several repetitions by the CPU time of the
 * thread, inputs hot as they are between the layers of a network.  The peak
 * is measured first (peak.h).
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "peak.h"

typedef enum LayerKind
{
	CONV,
	DEPTHWISE
} LayerKind;

typedef struct Layer
{
	const char *network, *name;
	LayerKind kind;
	int out_channels, in_channels, lanes, kernel, stride, out_h, out_w;
	bool has_residual;
} Layer;

static const Layer layers[] = {
	{"mobilefacenet", "stem 3x3 s2", CONV, 64, 3, 4, 3, 2, 56, 56, false},
	{"mobilefacenet", "dw 3x3", DEPTHWISE, 64, 64, 16, 3, 1, 56, 56, false},
	{"mobilefacenet", "1x1", CONV, 128, 64, 16, 1, 1, 56, 56, false},
	{"mobilefacenet", "dw 3x3 s2", DEPTHWISE, 128, 128, 16, 3, 2, 28, 28,
	 false},
	{"mobilefacenet", "1x1", CONV, 64, 128, 16, 1, 1, 28, 28, true},
	{"mobilefacenet", "1x1", CONV, 128, 64, 16, 1, 1, 28, 28, false},
	{"mobilefacenet", "dw 3x3", DEPTHWISE, 128, 128, 16, 3, 1, 28, 28, false},
	{"mobilefacenet", "1x1", CONV, 256, 64, 16, 1, 1, 28, 28, false},
	{"mobilefacenet", "dw 3x3 s2", DEPTHWISE, 256, 256, 16, 3, 2, 14, 14,
	 false},
	{"mobilefacenet", "1x1", CONV, 128, 256, 16, 1, 1, 14, 14, true},
	{"mobilefacenet", "1x1", CONV, 256, 128, 16, 1, 1, 14, 14, false},
	{"mobilefacenet", "dw 3x3", DEPTHWISE, 256, 256, 16, 3, 1, 14, 14, false},
	{"mobilefacenet", "1x1", CONV, 512, 128, 16, 1, 1, 14, 14, false},
	{"mobilefacenet", "dw 3x3 s2", DEPTHWISE, 512, 512, 16, 3, 2, 7, 7, false},
	{"mobilefacenet", "1x1", CONV, 128, 512, 16, 1, 1, 7, 7, true},
	{"mobilefacenet", "dw 3x3", DEPTHWISE, 256, 256, 16, 3, 1, 7, 7, false},
	{"mobilefacenet", "1x1", CONV, 512, 128, 16, 1, 1, 7, 7, false},
	{"mobilefacenet", "dw 7x7", DEPTHWISE, 512, 512, 16, 7, 1, 1, 1, false},
	{"mobilefacenet", "fc", CONV, 128, 512, 16, 1, 1, 1, 1, false},
	{"retail-0095", "stem 3x3 s2", CONV, 64, 3, 4, 3, 2, 64, 64, false},
	{"retail-0095", "1x1", CONV, 128, 64, 16, 1, 1, 32, 32, false},
	{"retail-0095", "dw 3x3", DEPTHWISE, 128, 128, 16, 3, 1, 32, 32, false},
	{"retail-0095", "1x1", CONV, 256, 128, 16, 1, 1, 16, 16, false},
	{"retail-0095", "se fc", CONV, 16, 256, 16, 1, 1, 1, 1, false},
	{"yunet 640", "stem 3x3 s2", CONV, 16, 3, 4, 3, 2, 320, 320, false},
	{"yunet 640", "1x1", CONV, 16, 16, 16, 1, 1, 320, 320, false},
	{"yunet 640", "dw 3x3", DEPTHWISE, 16, 16, 16, 3, 1, 320, 320, false},
	{"yunet 640", "stem strip", CONV, 16, 3, 4, 3, 2, 4, 320, false},
	{"yunet 640", "1x1 strip", CONV, 16, 16, 16, 1, 1, 4, 320, false},
	{"yunet 640", "dw strip", DEPTHWISE, 16, 16, 16, 3, 1, 4, 320, false},
	{"yunet 640", "1x1", CONV, 64, 16, 16, 1, 1, 160, 160, false},
	{"yunet 640", "1x1", CONV, 64, 64, 16, 1, 1, 80, 80, false},
	{"yunet 640", "dw 3x3", DEPTHWISE, 64, 64, 16, 3, 1, 80, 80, false},
	{"mtcnn", "stem 3x3 P", CONV, 10, 3, 4, 3, 1, 8, 638, false},
	{"mtcnn", "stem 3x3 R", CONV, 28, 3, 4, 3, 1, 22, 22, false},
	{"mtcnn", "stem 3x3 O", CONV, 32, 3, 4, 3, 1, 46, 46, false},
	{"ir-50", "3x3", CONV, 64, 64, 16, 3, 1, 56, 56, true},
	{"ir-50", "3x3 s2", CONV, 128, 128, 16, 3, 2, 28, 28, false},
	{"ir-50", "3x3", CONV, 128, 128, 16, 3, 1, 28, 28, true},
	{"ir-50", "3x3", CONV, 256, 256, 16, 3, 1, 14, 14, true},
	{"ir-50", "3x3", CONV, 512, 512, 16, 3, 1, 7, 7, true},
	{"ir-50", "fc 25088", CONV, 512, 512, 16, 7, 1, 1, 1, false},
};

/* Zeroed memory, aligned for the packed weights. */
static float *
zeroed_floats(size_t count)
{
	const size_t bytes = (count * sizeof(float) + 63) / 64 * 64;
	float *result = aligned_alloc(64, bytes ? bytes : 64);

	if (!result)
	{
		perror("aligned_alloc");
		exit(1);
	}
	memset(result, 0, bytes);
	return result;
}

static float *
some_floats(size_t count)
{
	float *result = zeroed_floats(count);

	for (size_t i = 0; i < count; ++i)
		result[i] = (float) (i * 2654435761u % 1000) * 0.001f - 0.5f;
	return result;
}

/* ---- kernels bound by memory: bytes are those read and written ---------- */

typedef struct MapJob
{
	const FrNnKernels *nn;
	float *a, *b, *output;
	int size; /* height and width of the output */
} MapJob;

static void
run_max_pool(const MapJob *job)
{
	const ptrdiff_t row = 2 * job->size * FR_BLOCK;

	job->nn->pool(&(FrPoolTask){.input = job->a,
								.in_row = 2 * row,
								.in_pixel = 2 * FR_BLOCK,
								.tap_row = row,
								.tap_col = FR_BLOCK,
								.kernel_h = 2,
								.kernel_w = 2,
								.output = job->output,
								.out_row = row / 2,
								.blocks = 1,
								.out_h = job->size,
								.out_w = job->size,
								.is_max = 1});
}

static void
run_add(const MapJob *job)
{
	const ptrdiff_t row = (ptrdiff_t) job->size * FR_BLOCK;

	job->nn->eltwise(&(FrEltwiseTask){.a = job->a,
									  .a_row = row,
									  .b = job->b,
									  .b_row = row,
									  .b_pixel = FR_BLOCK,
									  .binary = FR_BINARY_ADD,
									  .output = job->output,
									  .out_row = row,
									  .blocks = 1,
									  .height = job->size,
									  .width = job->size});
}

static void
run_sigmoid(const MapJob *job)
{
	job->nn->activate(job->a, job->output,
					  (size_t) job->size * (size_t) job->size * FR_BLOCK,
					  FR_ACT_SIGMOID, 0, 0);
}

static void
run_upsample(const MapJob *job)
{
	const ptrdiff_t row = (ptrdiff_t) job->size * FR_BLOCK;

	job->nn->upsample(job->a, 0, row / 2, 1, job->size / 2, job->size / 2, 2, 2,
					  job->output, 0, row);
}

static void
run_block_picture(const MapJob *job)
{
	job->nn->block(job->a, (ptrdiff_t) job->size * job->size, job->size, 3,
				   job->size, job->size, 4, job->output, 0,
				   (ptrdiff_t) job->size * 4);
}

/* What the bytes are does not matter to the time. */
static void
run_block_u8(const MapJob *job)
{
	job->nn->block_u8(&(FrPictureTask){.pixels = (const uint8_t *) job->a,
									   .row_bytes = (ptrdiff_t) job->size * 3,
									   .rows = job->size,
									   .width = job->size,
									   .scale = {1, 1, 1},
									   .output = job->output,
									   .out_row = (ptrdiff_t) job->size * 4,
									   .out_h = job->size,
									   .out_w = job->size});
}

static void
run_block(const MapJob *job)
{
	job->nn->block(job->a, (ptrdiff_t) job->size * job->size, job->size, 16,
				   job->size, job->size, 16, job->output, 0,
				   (ptrdiff_t) job->size * FR_BLOCK);
}

static void
run_unblock(const MapJob *job)
{
	job->nn->unblock(job->a, 0, (ptrdiff_t) job->size * FR_BLOCK, 0, 16,
					 job->size, job->size, job->output,
					 (ptrdiff_t) job->size * job->size, job->size);
}

static const struct
{
	const char *name;
	void (*run)(const MapJob *job);
	int size;
	int floats; /* read and written per output pixel */
} map_kernels[] = {
	{"max pool 2x2", run_max_pool, 80, 5 * FR_BLOCK},
	{"add", run_add, 80, 3 * FR_BLOCK},
	{"sigmoid", run_sigmoid, 80, 2 * FR_BLOCK},
	{"upsample 2x", run_upsample, 80, FR_BLOCK + FR_BLOCK / 4},
	{"plain RGB to blocked", run_block_picture, 640, 7},
	{"8-bit RGB to blocked", run_block_u8, 640, 5},
	{"plain to blocked", run_block, 80, 2 * FR_BLOCK},
	{"blocked to plain", run_unblock, 80, 2 * FR_BLOCK},
};

/* ---- one layer ---------------------------------------------------------- */

typedef struct Job
{
	LayerKind kind;
	FrConvTask conv;
	FrDepthwiseTask depthwise;
	float *input, *output, *weights, *packed, *slope, *residual;
} Job;

static void
job_new(const Layer *layer, const FrNnKernels *nn, Job *job)
{
	const int out = layer->out_w, out_h = layer->out_h;
	const int kernel = layer->kernel;
	const int in = (out - 1) * layer->stride + kernel;
	const int in_h = (out_h - 1) * layer->stride + kernel;
	const int in_blocks =
		(layer->in_channels + layer->lanes - 1) / layer->lanes;
	const int out_blocks = (layer->out_channels + FR_BLOCK - 1) / FR_BLOCK;
	const ptrdiff_t in_row = (ptrdiff_t) in * layer->lanes;
	const ptrdiff_t out_row = (ptrdiff_t) out * FR_BLOCK;
	const size_t taps = (size_t) (layer->in_channels * kernel * kernel);
	const FrConvFilter filter = {
		.out_channels = layer->out_channels,
		.in_channels = layer->in_channels,
		.kernel_h = kernel,
		.kernel_w = kernel,
		.in_lanes = layer->lanes,
	};

	*job = (Job){.kind = layer->kind};
	job->input = some_floats((size_t) (in_blocks * in_h * in_row));
	job->output = zeroed_floats((size_t) (out_blocks * out_h * out_row));
	job->residual = some_floats((size_t) (out_blocks * out_h * out_row));
	job->slope = some_floats((size_t) (out_blocks * FR_BLOCK));
	job->weights = some_floats(taps * (size_t) layer->out_channels);
	job->packed = zeroed_floats(nn->conv_packed_bytes(&filter) / sizeof(float));
	nn->conv_pack(&filter, job->weights, NULL, job->packed);
	job->conv = (FrConvTask){
		.input = job->input,
		.in_block = in_h * in_row,
		.in_row = in_row * layer->stride,
		.in_pixel = layer->lanes * layer->stride,
		.tap_row = in_row,
		.tap_col = layer->lanes,
		.in_channels = layer->in_channels,
		.in_lanes = layer->lanes,
		.kernel_h = kernel,
		.kernel_w = kernel,
		.output = job->output,
		.out_block = out_h * out_row,
		.out_row = out_row,
		.out_pixel = FR_BLOCK,
		.out_blocks = out_blocks,
		.out_h = out_h,
		.out_w = out,
		.residual = layer->has_residual ? job->residual : NULL,
		.res_block = out_h * out_row,
		.res_row = out_row,
		.res_pixel = FR_BLOCK,
		.weights = job->packed,
		.epilogue = {.bias = job->slope,
					 .slope = job->slope,
					 .activation =
						 layer->has_residual ? FR_ACT_NONE : FR_ACT_PRELU},
	};
	job->depthwise = (FrDepthwiseTask){
		.input = job->input,
		.in_block = job->conv.in_block,
		.in_row = job->conv.in_row,
		.in_pixel = job->conv.in_pixel,
		.tap_row = job->conv.tap_row,
		.tap_col = job->conv.tap_col,
		.kernel_h = kernel,
		.kernel_w = kernel,
		.output = job->output,
		.out_block = job->conv.out_block,
		.out_row = job->conv.out_row,
		.blocks = out_blocks,
		.out_h = out_h,
		.out_w = out,
		.weights = job->weights,
		.epilogue = job->conv.epilogue,
	};
}

static void
job_free(Job *job)
{
	free(job->input);
	free(job->output);
	free(job->residual);
	free(job->slope);
	free(job->weights);
	free(job->packed);
}

static void
job_run(const Job *job, const FrNnKernels *nn)
{
	if (job->kind == CONV)
		nn->conv(&job->conv);
	else
		nn->depthwise(&job->depthwise);
}

/* Seconds per run: the best of eight samples of at least 2 ms each. */
static double
job_seconds(const Job *job, const FrNnKernels *nn)
{
	double best = 1e9, start = cpu_seconds();
	int runs;

	job_run(job, nn);
	runs = (int) (2e-3 / (cpu_seconds() - start + 1e-7)) + 1;
	for (int sample = 0; sample < 8; ++sample)
	{
		start = cpu_seconds();
		for (int i = 0; i < runs; ++i)
			job_run(job, nn);

		const double seconds = (cpu_seconds() - start) / runs;

		if (seconds < best)
			best = seconds;
	}
	return best;
}

static void
bench_layer(const Layer *layer, const FrKernels *kernels, double peak)
{
	const double taps = (layer->kind == CONV ? layer->in_channels : 1.0) *
						layer->kernel * layer->kernel;
	const double operations =
		2 * taps * layer->out_channels * layer->out_h * layer->out_w;
	double seconds, gflops;
	Job job;

	job_new(layer, kernels->nn, &job);
	seconds = job_seconds(&job, kernels->nn);
	job_free(&job);
	gflops = operations / seconds * 1e-9;
	printf(
		"%-13s %-11s %4d -> %4d @%-3d %-12s %10.0f ns %6.1f GFLOP/s %3.0f%%\n",
		layer->network, layer->name, layer->in_channels, layer->out_channels,
		layer->out_w, kernels->name, seconds * 1e9, gflops,
		100 * gflops / peak);
}

/* The best of 20 samples of about 1 ms. */
static void
bench_map(size_t index, const FrKernels *kernels)
{
	const int size = map_kernels[index].size;
	const size_t floats = (size_t) size * (size_t) size * FR_BLOCK * 4;
	const double bytes = 4.0 * size * size * map_kernels[index].floats;
	MapJob job = {kernels->nn, some_floats(floats), some_floats(floats),
				  zeroed_floats(floats), size};
	double best = 1e9;

	for (int sample = 0; sample < 20; ++sample)
	{
		const double start = cpu_seconds();
		double seconds;

		for (int i = 0; i < 8; ++i)
			map_kernels[index].run(&job);
		seconds = (cpu_seconds() - start) / 8;
		if (seconds < best)
			best = seconds;
	}
	free(job.a);
	free(job.b);
	free(job.output);
	printf("%-13s %-22s @%-3d %-12s %10.0f ns %6.1f GB/s\n", "maps",
		   map_kernels[index].name, size, kernels->name, best * 1e9,
		   bytes / best * 1e-9);
}

int
main(int argc, char **argv)
{
	static const char *const isas[] = {"avx512-pairs", "avx512-fma", "avx2",
									   "generic"};
	const char *isa = argc > 1 ? argv[1] : "all";
	const char *part = argc > 2 ? argv[2] : "";

	for (size_t i = 0; i < sizeof isas / sizeof *isas; ++i)
	{
		const FrKernels *kernels = fr_kernels_by_name(isas[i]);

		if (!kernels || (strcmp(isa, "all") != 0 && !strstr(isas[i], isa)))
			continue;

		const double peak = peak_gflops(isas[i]);

		printf("peak %s: %.1f GFLOP/s\n", isas[i], peak);
		for (size_t j = 0; j < sizeof layers / sizeof *layers; ++j)
		{
			char name[64];

			snprintf(name, sizeof name, "%s %s", layers[j].network,
					 layers[j].name);
			if (strstr(name, part))
				bench_layer(&layers[j], kernels, peak);
		}
		for (size_t j = 0; j < sizeof map_kernels / sizeof *map_kernels; ++j)
		{
			if (strstr("maps", part) || strstr(map_kernels[j].name, part))
				bench_map(j, kernels);
		}
	}
	return 0;
}
