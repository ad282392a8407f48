/*
 * kernel_check.h: what the tests of the network kernels share: random floats
 * in memory of exact size, and a record of the first wrong output.
 *
 * Inputs end exactly at the end of their allocation and begin at an address
 * that is aligned for a float only, so that the address sanitizer sees any
 * access beyond what a kernel's contract allows.
 */
#ifndef FR_TEST_KERNEL_CHECK_H
#define FR_TEST_KERNEL_CHECK_H

#include "kernels/kernels.h"
#include "test/unit/nn_reference.h"
#include "test/unit/tap.h"

#define SENTINEL 12345.0f

static const FrKernels *kernels; /* under test */
static uint32_t seed = 1;

static inline uint32_t
random_bits(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}

static inline int
random_int(int low, int high)
{
	return low + (int) (random_bits() % (uint32_t) (high - low + 1));
}

static inline float
random_float(void)
{
	return (float) random_bits() / 8388608.0f - 1.0f;
}

/* Memory for count floats that ends exactly at its allocation's end and
 * starts skew floats after its start. */
typedef struct Floats
{
	float *memory;
	float *at;
	size_t count;
} Floats;

static inline Floats
floats_new(size_t count, size_t skew)
{
	Floats floats = {malloc((count + skew) * sizeof(float) + !count), NULL,
					 count};

	floats.at = floats.memory + skew;
	return floats;
}

static inline Floats
floats_filled(size_t count, float value)
{
	Floats floats = floats_new(count, 1);

	for (size_t i = 0; i < count; ++i)
		floats.at[i] = value;
	return floats;
}

static inline Floats
floats_random(size_t count)
{
	Floats floats = floats_new(count, 1);

	for (size_t i = 0; i < count; ++i)
		floats.at[i] = random_float();
	return floats;
}

/* The same values at another alignment. */
static inline Floats
floats_moved(const Floats *source, size_t skew)
{
	Floats floats = floats_new(source->count, skew);

	memcpy(floats.at, source->at, source->count * sizeof(float));
	return floats;
}

static inline void
floats_free(Floats *floats)
{
	free(floats->memory);
}

/* The first wrong output of a kernel, if any. */
typedef struct Verdict
{
	bool is_wrong;
	double got, want, tolerance;
	int c, y, x;
} Verdict;

static inline void
compare(Verdict *verdict, float got, float want, double tolerance, int c, int y,
		int x)
{
	if (!verdict->is_wrong &&
		!(fabs((double) got - (double) want) <= tolerance))
		*verdict =
			(Verdict){true, (double) got, (double) want, tolerance, c, y, x};
}

static inline void
report(const Verdict *verdict, const char *what)
{
	if (!ok(!verdict->is_wrong, "%s: %s", kernels->name, what))
		diag("at [%d, %d, %d] got %.9g, want %.9g +- %.2g", verdict->c,
			 verdict->y, verdict->x, verdict->got, verdict->want,
			 verdict->tolerance);
}

/* How far float32 sums may be from float64: the rounding of a sum of terms of
 * this total magnitude, and of the epilogue's few operations.  Products in
 * pairs round at the size of the inputs' own products (nn_pairs.h: up to 1e-5
 * of an output's usual size). */
static inline double
sum_tolerance(double magnitude)
{
	const double own = 1e-6 * (4 + 2 * magnitude);

	return strstr(kernels->name, "pairs") ? own + 1e-5 : own;
}

/* Bias, slopes and activation for channels. */
static inline FrEpilogue
random_epilogue(Floats *bias, Floats *slope, int channels, int activation)
{
	*bias = floats_random((size_t) channels);
	*slope = floats_random((size_t) channels);
	return (FrEpilogue){
		.bias = random_int(0, 3) ? bias->at : NULL,
		.slope = slope->at,
		.activation = (FrActivation) activation,
		.low = activation == FR_ACT_HARD_SIGMOID ? 0.2f : -0.3f,
		.high = 0.5f,
		.is_residual_after = random_int(0, 1),
	};
}

/* Run tests with each table that this CPU can run. */
static inline void
for_each_table(void (*tests)(void))
{
	static const char *const names[] = {"generic", "avx2", "avx512-fma",
										"avx512-pairs"};

	for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
	{
		kernels = fr_kernels_by_name(names[i]);
		if (kernels)
			tests();
		else
			skip(names[i], "this CPU cannot run it");
	}
}

#endif
