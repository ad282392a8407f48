/*
 * bench_vector.c: nanoseconds per call of the vector kernels, one line per
 * kernel and instruction set.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/metric/embedding_text.h"
#include "kernels/kernels.h"

#define DIMS	512
#define VECTORS 64 /* 64 kB of halves: beyond L1, within L2 */

static uint16_t halves[VECTORS][DIMS];
static float floats[VECTORS][DIMS];
static volatile double sink;

static double
now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double) time.tv_sec * 1e9 + (double) time.tv_nsec;
}

/* One kernel, called on vectors number i and 0. */
typedef void (*Call)(const FrVectorKernels *kernels, int i);

static void
call_dot_f16(const FrVectorKernels *kernels, int i)
{
	sink += kernels->dot_f16(halves[i], halves[0], DIMS);
}

static void
call_squared(const FrVectorKernels *kernels, int i)
{
	sink += kernels->squared_distance_f16(halves[i], 1.0001f, halves[0],
										  0.9999f, DIMS);
}

static void
call_taxicab(const FrVectorKernels *kernels, int i)
{
	sink += kernels->taxicab_f16(halves[i], 1.0001f, halves[0], 0.9999f, DIMS);
}

static void
call_dot_f32(const FrVectorKernels *kernels, int i)
{
	sink += kernels->dot_f32(floats[i], floats[0], DIMS);
}

static void
call_f32_to_f16(const FrVectorKernels *kernels, int i)
{
	kernels->f32_to_f16(floats[i], halves[i], DIMS);
}

static void
call_f16_to_f32(const FrVectorKernels *kernels, int i)
{
	kernels->f16_to_f32(halves[i], floats[i], DIMS);
}

static void
call_parse(const FrVectorKernels *kernels, int i)
{
	static FrEmbeddingText parsed;
	static char text[FR_EMBEDDING_TEXT_BYTES(DIMS)];

	(void) kernels;
	if (!text[0])
		fr_embedding_format(1, halves[0], DIMS, text);
	fr_embedding_parse(text, &parsed, NULL);
	sink += (double) parsed.values[i];
}

static void
call_format(const FrVectorKernels *kernels, int i)
{
	static char text[FR_EMBEDDING_TEXT_BYTES(DIMS)];

	(void) kernels;
	sink += (double) fr_embedding_format(1, halves[i], DIMS, text);
}

/* The best of several rounds, each of about 10 ms. */
static void
measure(const char *name, const char *isa, const FrVectorKernels *kernels,
		Call call)
{
	double best = 1e300;
	int calls = 64;

	for (int round = 0; round < 12; round++)
	{
		double start = now_ns(), elapsed;

		for (int i = 0; i < calls; i++)
			call(kernels, i % VECTORS);
		elapsed = now_ns() - start;
		if (elapsed / calls < best)
			best = elapsed / calls;
		if (elapsed < 5e6)
			calls *= 4;
	}
	printf("%-22s %d-d %-8s %8.1f ns\n", name, DIMS, isa, best);
}

int
main(void)
{
	static const char *const isas[] = {"generic", "avx2", "avx512"};
	static const struct
	{
		const char *name;
		Call call;
	} cases[] = {
		{"dot_f16", call_dot_f16},		 {"squared_distance_f16", call_squared},
		{"taxicab_f16", call_taxicab},	 {"dot_f32", call_dot_f32},
		{"f16_to_f32", call_f16_to_f32}, {"f32_to_f16", call_f32_to_f16},
	};
	uint32_t seed = 1;

	for (int v = 0; v < VECTORS; v++)
	{
		float scale;

		for (int i = 0; i < DIMS; i++)
		{
			seed = seed * 1664525u + 1013904223u;
			floats[v][i] = (float) seed / 4294967296.0f - 0.5f;
		}
		fr_direction_pack(floats[v], DIMS, halves[v], &scale);
	}
	for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
		for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
		{
			const FrKernels *kernels = fr_kernels_by_name(isas[i]);

			if (kernels)
				measure(cases[c].name, isas[i], kernels->vector, cases[c].call);
		}
	measure("embedding_format", "-", NULL, call_format);
	measure("embedding_parse", "-", NULL, call_parse);
	return 0;
}
