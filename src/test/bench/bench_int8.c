/*
 * bench_int8.c: 8-bit kernels, one line per shape and instruction set.
 *
 * usage: bench_int8 [isa [part of a layer's name]]
 * Thread CPU time, best of many runs; per cent of the highest rate that the
 * multiply instruction itself reaches (peak_rate).
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/kernels.h"

typedef struct Layer
{
	const char *name;
	int in, out, kernel, stride, size; /* size of the output map */
	bool is_float, is_bytes;
} Layer;

static const Layer layers[] = {
	{"stem 3x3 3 -> 64 at 112", 3, 64, 3, 1, 112, false, true},
	{"3x3 64 -> 64 at 112", 64, 64, 3, 1, 112, false, true},
	{"3x3 s2 64 -> 64 at 56", 64, 64, 3, 2, 56, true, false},
	{"3x3 64 -> 64 at 56", 64, 64, 3, 1, 56, false, true},
	{"3x3 128 -> 128 at 28", 128, 128, 3, 1, 28, false, true},
	{"3x3 256 -> 256 at 14", 256, 256, 3, 1, 14, false, true},
	{"3x3 256 -> 256 at 14 both", 256, 256, 3, 1, 14, true, true},
	{"3x3 s2 256 -> 256 at 14", 256, 256, 3, 2, 14, true, false},
	{"3x3 512 -> 512 at 7", 512, 512, 3, 1, 7, false, true},
	{"1x1 128 -> 256 at 14", 128, 256, 1, 1, 14, true, false},
	{"1x1 64 -> 128 at 56", 64, 128, 1, 1, 56, true, false},
	{"1x1 s2 64 -> 128 at 28", 64, 128, 1, 2, 28, true, false},
	{"3x3 64 -> 64 at 17", 64, 64, 3, 1, 17, true, false},
	{"fc 25088 -> 512", 512, 512, 7, 1, 1, true, false},
};

static double
thread_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double) now.tv_sec + 1e-9 * (double) now.tv_nsec;
}

static void *
memory(size_t bytes)
{
	unsigned char *block = aligned_alloc(64, (bytes + 127) / 64 * 64);

	if (!block)
		abort();
	for (size_t i = 0; i < bytes; ++i)
		block[i] = (unsigned char) (i * 2654435761u >> 13 & 0x3f);
	return block;
}

static float *
floats(size_t count, float value)
{
	float *block = memory(count * sizeof *block);

	for (size_t i = 0; i < count; ++i)
		block[i] = value;
	return block;
}

static double
best_seconds(const FrInt8Kernels *kernels, const FrInt8ConvTask *task)
{
	double best = 1e9, total = 0.0;

	for (int run = 0; run < 500 && (run < 4 || total < 0.3); ++run)
	{
		double begin = thread_seconds();

		kernels->conv(task);

		double seconds = thread_seconds() - begin;

		total += seconds;
		best = seconds < best ? seconds : best;
	}
	return best;
}

static void
bench(const FrKernels *kernels, const Layer *layer, double peak)
{
	const FrInt8Kernels *int8 = kernels->int8;
	const int lanes = layer->in > 4 ? 64 : 4;
	const int in_size = (layer->size - 1) * layer->stride + layer->kernel;
	const int in_blocks = (layer->in + 63) / 64, blocks = layer->out / 16;
	const ptrdiff_t pixels = (ptrdiff_t) layer->size * layer->size;
	const size_t in_bytes = (size_t) in_size * (size_t) in_size *
							(size_t) lanes * (size_t) in_blocks;
	const size_t weights = (size_t) layer->in * (size_t) layer->out *
						   (size_t) layer->kernel * (size_t) layer->kernel;
	int8_t *raw = memory(weights);
	int8_t *packed = memory(int8->packed_bytes(layer->out, layer->in,
											   layer->kernel, layer->kernel));
	FrInt8ConvTask task = {
		.input = memory(in_bytes),
		.in_block = (ptrdiff_t) in_size * in_size * lanes,
		.in_row = (ptrdiff_t) in_size * lanes * layer->stride,
		.in_pixel = lanes * layer->stride,
		.tap_row = (ptrdiff_t) in_size * lanes,
		.tap_col = lanes,
		.in_quads = (layer->in + 3) / 4,
		.pixel_quads = lanes / 4,
		.kernel_h = layer->kernel,
		.kernel_w = layer->kernel,
		.out_blocks = blocks,
		.out_h = layer->size,
		.out_w = layer->size,
		.weights = packed,
		.start = memory((size_t) layer->out * 4),
		.scale = floats((size_t) layer->out, 1e-4f),
		.epilogue = {.bias = floats((size_t) layer->out, 0.1f),
					 .slope = floats((size_t) layer->out, 0.2f),
					 .activation = FR_ACT_PRELU},
		.quantize = {.scale = floats((size_t) layer->out, 10.0f),
					 .shift = floats((size_t) layer->out, 0.0f),
					 .zero_point = 128},
	};

	if (layer->is_float)
	{
		task.output = floats((size_t) (pixels * layer->out), 0.0f);
		task.out_block = pixels * 16;
		task.out_row = (ptrdiff_t) layer->size * 16;
		task.out_pixel = 16;
	}
	if (layer->is_bytes)
	{
		task.bytes = memory((size_t) (pixels * ((layer->out + 63) / 64) * 64));
		task.byte_block = pixels * 64;
		task.byte_row = (ptrdiff_t) layer->size * 64;
		task.byte_pixel = 64;
	}
	int8->pack(raw, layer->out, layer->in, layer->kernel, layer->kernel,
			   packed);

	double seconds = best_seconds(int8, &task);
	double rate = 2e-9 * (double) weights * (double) pixels / seconds;

	printf("%-28s %-8s %9.1f us %7.1f GOP/s", layer->name, kernels->isa,
		   1e6 * seconds, rate);
	printf(peak > 0 ? " %3.0f %%\n" : "\n", 100.0 * rate / peak);
	free(raw);
	free(packed);
	free((void *) (uintptr_t) task.input);
	free((void *) (uintptr_t) task.start);
	free((void *) (uintptr_t) task.scale);
	free((void *) (uintptr_t) task.epilogue.bias);
	free((void *) (uintptr_t) task.epilogue.slope);
	free((void *) (uintptr_t) task.quantize.scale);
	free((void *) (uintptr_t) task.quantize.shift);
	free(task.output);
	free(task.bytes);
}

/* The rate of multiplications from registers, where it is known how to ask. */
#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f,avx512vnni"))) static double
peak_rate(void)
{
	__m512i sums[16];
	const __m512i a = _mm512_set1_epi32(0x01020304);
	double best = 1e9;
	long total = 0;

	for (int run = 0; run < 20; ++run)
	{
		double begin = thread_seconds();

		for (int k = 0; k < 16; ++k)
			sums[k] = _mm512_set1_epi32(k);
		for (int i = 0; i < 200000; ++i)
		{
#pragma GCC unroll 16
			for (int k = 0; k < 16; ++k)
				sums[k] = _mm512_dpbusd_epi32(sums[k], a, a);
		}
		for (int k = 0; k < 16; ++k)
			total += _mm512_reduce_add_epi32(sums[k]);

		double seconds = thread_seconds() - begin;

		best = seconds < best ? seconds : best;
	}
	return total == 1 ? 0.0 : 200000.0 * 16 * 128e-9 / best;
}
#endif

int
main(int argc, char **argv)
{
	static const char *const isas[] = {"generic", "avx2", "avx512"};
	double peak = 0.0;

#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512vnni"))
		peak = peak_rate();
	printf("peak with VNNI: %.0f GOP/s\n", peak);
#endif
	for (size_t k = 0; k < sizeof isas / sizeof *isas; ++k)
	{
		const FrKernels *kernels = fr_kernels_by_name(isas[k]);

		for (size_t i = 0; kernels && i < sizeof layers / sizeof *layers; ++i)
			if ((argc < 2 || strcmp(argv[1], isas[k]) == 0) &&
				(argc < 3 || strstr(layers[i].name, argv[2])))
				bench(kernels, &layers[i], peak);
	}
	return 0;
}
