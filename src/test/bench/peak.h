/*
 * peak.h: the highest rate of multiply-adds that an instruction set reaches
 * here: independent ones in registers, with the widest vectors it has.
 *
 * Layers can pass it: a convolution by Winograd's method multiplies a quarter
 * as often as it counts, products in pairs two thirds as often.
 */
#ifndef FR_TEST_PEAK_H
#define FR_TEST_PEAK_H

#include <string.h>
#include <time.h>

static double
cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

#define PEAK_ROUNDS 1000000
#define PEAK_CHAINS 12

/* Twelve independent chains of multiply-adds hide the latency of any FMA
 * unit; returns something that depends on all of them. */
#define DEFINE_PEAK(NAME, LANES, TARGET)                                   \
	TARGET static float peak_##NAME(void)                                  \
	{                                                                      \
		typedef float V __attribute__((vector_size(LANES * 4)));           \
		V sums[PEAK_CHAINS], total = {0};                                  \
		V factor = (V){0} + 0.999f, term = (V){0} + 0.1f;                  \
                                                                           \
		_Pragma("GCC unroll 12") for (int i = 0; i < PEAK_CHAINS; ++i)     \
			sums[i] = (V){0} + (float) i;                                  \
		for (int round = 0; round < PEAK_ROUNDS; ++round)                  \
		{                                                                  \
			_Pragma("GCC unroll 12") for (int i = 0; i < PEAK_CHAINS; ++i) \
				sums[i] = sums[i] * factor + term;                         \
		}                                                                  \
		_Pragma("GCC unroll 12") for (int i = 0; i < PEAK_CHAINS; ++i)     \
			total += sums[i];                                              \
		return total[0];                                                   \
	}

DEFINE_PEAK(generic, 4, )
#if defined(__x86_64__)
DEFINE_PEAK(avx2, 8, __attribute__((target("avx2,fma"))))
DEFINE_PEAK(avx512, 16, __attribute__((target("avx512f,fma"))))
#endif

static volatile float peak_sink;

/* Multiply-adds count as two operations. */
static double
peak_gflops(const char *isa)
{
	float (*function)(void) = peak_generic;
	double lanes = 4, best = 1e9;

#if defined(__x86_64__)
	if (strcmp(isa, "avx2") == 0)
	{
		function = peak_avx2;
		lanes = 8;
	}
	else if (strncmp(isa, "avx512", 6) == 0)
	{
		function = peak_avx512;
		lanes = 16;
	}
#endif
	for (int i = 0; i < 5; ++i)
	{
		const double start = cpu_seconds();
		double seconds;

		peak_sink = function();
		seconds = cpu_seconds() - start;
		if (seconds < best)
			best = seconds;
	}
	return 2 * lanes * PEAK_CHAINS * PEAK_ROUNDS / best * 1e-9;
}

#endif
