/*
 * test_kernels_vector.c: the vector kernels of every instruction set that this
 * CPU has give the bits of the generic ones; those agree with the compiler's
 * own half type and with sums in long double.
 */
#include "kernels/half.h"
#include "kernels/vector_kernels.h"
#include "test/unit/tap.h"

typedef struct Candidate
{
	const char *isa;
	const FrVectorKernels *kernels;
} Candidate;

static Candidate candidates[3];
static int candidate_count;

static void
find_candidates(void)
{
	candidates[candidate_count++] =
		(Candidate){"generic", &fr_vector_kernels_generic};
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
		__builtin_cpu_supports("f16c"))
		candidates[candidate_count++] =
			(Candidate){"avx2", &fr_vector_kernels_avx2};
	if (__builtin_cpu_supports("avx512f") &&
		__builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512dq") &&
		__builtin_cpu_supports("avx512vl"))
		candidates[candidate_count++] =
			(Candidate){"avx512", &fr_vector_kernels_avx512};
#endif
}

static uint64_t seed = 1;

static uint32_t
random_bits(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t) (seed >> 33) ^ (uint32_t) (seed >> 13);
}

/* Uniform in -1..1. */
static float
random_float(void)
{
	return (float) ((double) random_bits() / 2147483648.0 - 1.0);
}

static float
float_of_bits(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof value);
	return value;
}

static uint32_t
bits_of_float(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof bits);
	return bits;
}

static void
test_every_half_to_float(const Candidate *candidate)
{
	uint16_t *halves = malloc(65536 * sizeof *halves);
	float *floats = malloc(65536 * sizeof *floats);
	int differences = 0;

	for (uint32_t i = 0; i < 65536; i++)
		halves[i] = (uint16_t) i;
	candidate->kernels->f16_to_f32(halves, floats, 65536);
	for (uint32_t i = 0; i < 65536; i++)
		differences += bits_of_float(floats[i]) !=
					   bits_of_float(fr_half_to_float((uint16_t) i));
	is_int(differences, 0, "%s: all 65536 halves to float", candidate->isa);
	free(halves);
	free(floats);
}

/* Each upper half of a float with lower halves around the rounding points. */
static void
test_float_to_half(const Candidate *candidate)
{
	static const uint32_t lows[] = {0,		1,		0x0fff, 0x1000, 0x1001,
									0x1fff, 0x2fff, 0x3000, 0x3001, 0x8000,
									0xefff, 0xf000, 0xf001, 0xffff};
	enum
	{
		COUNT = sizeof lows / sizeof *lows
	};
	float floats[COUNT];
	uint16_t halves[COUNT];
	int differences = 0;

	for (uint32_t high = 0; high < 65536; high++)
	{
		for (int i = 0; i < COUNT; i++)
			floats[i] = float_of_bits(high << 16 | lows[i]);
		candidate->kernels->f32_to_f16(floats, halves, COUNT);
		for (int i = 0; i < COUNT; i++)
			differences += halves[i] != fr_half_from_float(floats[i]);
	}
	is_int(differences, 0, "%s: floats to halves, all exponents",
		   candidate->isa);
}

/* The compiler's conversions are an independent implementation. */
static void
test_against_compiler(void)
{
#if defined(__FLT16_MAX__) && !defined(__clang__)
	int wider = 0, narrower = 0;

	for (uint32_t i = 0; i < 65536; i++)
	{
		uint16_t half = (uint16_t) i;
		_Float16 value;

		memcpy(&value, &half, sizeof half);
		if ((half & 0x7fffu) <= FR_HALF_INFINITY)
			wider += bits_of_float(fr_half_to_float(half)) !=
					 bits_of_float((float) value);
	}
	is_int(wider, 0, "every half becomes the compiler's float");
	for (uint32_t i = 0; i < 2000000; i++)
	{
		/* Every sign, exponent and leading digits in turn. */
		float value = float_of_bits(i * 2147u ^ (random_bits() & 0x1fffu));
		_Float16 expected;
		uint16_t bits;

		if (isnan(value))
			continue;
		expected = (_Float16) value;
		memcpy(&bits, &expected, sizeof bits);
		narrower += bits != fr_half_from_float(value);
	}
	is_int(narrower, 0, "floats become the compiler's halves");
#else
	skip("conversions of the compiler", "it has no _Float16");
#endif
	is_int(fr_half_from_float(float_of_bits(0x7f800001)), 0x7e00,
		   "a signalling NaN becomes a quiet NaN");
	is_int(fr_half_from_float(65520.0f), FR_HALF_INFINITY,
		   "65520 overflows to infinity");
	is_int(fr_half_from_float(65519.99f), 0x7bff, "less does not");
}

static const size_t counts[] = {0,	 1,	  7,   8,	9,	  15,  16,	17,
								31,	 32,  33,  63,	64,	  65,  127, 128,
								129, 511, 512, 513, 1000, 4096};

/* Sums of one pair of vectors, by one table. */
typedef struct Sums
{
	double dot, squared, taxicab, dot_f32;
} Sums;

/* Blocks of exactly count elements, so that a sanitizer sees an overrun. */
static void
make_vectors(size_t count, uint16_t *halves[2], float *floats[2])
{
	for (int v = 0; v < 2; v++)
	{
		halves[v] = malloc(count ? count * sizeof *halves[v] : 1);
		floats[v] = malloc(count ? count * sizeof *floats[v] : 1);
		for (size_t i = 0; i < count; i++)
		{
			floats[v][i] = random_float();
			halves[v][i] = fr_half_from_float(i % 29 == 3 ? floats[v][i] * 1e-6f
														  : floats[v][i]);
		}
	}
}

static Sums
sums_of(const FrVectorKernels *kernels, uint16_t *const halves[2],
		float *const floats[2], size_t count)
{
	return (Sums){
		kernels->dot_f16(halves[0], halves[1], count),
		kernels->squared_distance_f16(halves[0], 1.0003f, halves[1], 0.9998f,
									  count),
		kernels->taxicab_f16(halves[0], 1.0003f, halves[1], 0.9998f, count),
		kernels->dot_f32(floats[0], floats[1], count)};
}

static void
test_sums_are_right(void)
{
	double worst = 0.0;

	for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
	{
		uint16_t *h[2];
		float *f[2];
		long double dot = 0, squared = 0, taxicab = 0, dot_f32 = 0;
		size_t count = counts[c];
		double scale = 1e-30 + (double) count;

		make_vectors(count, h, f);
		for (size_t i = 0; i < count; i++)
		{
			long double x = fr_half_to_float(h[0][i]);
			long double y = fr_half_to_float(h[1][i]);
			long double d = x * 1.0003f - y * 0.9998f;

			dot += x * y;
			squared += d * d;
			taxicab += fabsl(d);
			dot_f32 += (long double) f[0][i] * f[1][i];
		}

		Sums sums = sums_of(&fr_vector_kernels_generic, h, f, count);

		worst = fmax(worst, fabs(sums.dot - (double) dot) / scale);
		worst = fmax(worst, fabs(sums.squared - (double) squared) / scale);
		worst = fmax(worst, fabs(sums.taxicab - (double) taxicab) / scale);
		worst = fmax(worst, fabs(sums.dot_f32 - (double) dot_f32) / scale);
		for (int v = 0; v < 2; v++)
		{
			free(h[v]);
			free(f[v]);
		}
	}
	ok(worst < 3e-7, "generic sums are within 3e-7 of long double");
	diag("largest error per element: %.2g", worst);
}

static void
test_sums_have_equal_bits(const Candidate *candidate)
{
	int differences = 0, asymmetric = 0;

	for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
		for (int round = 0; round < 4; round++)
		{
			uint16_t *h[2];
			float *f[2];
			Sums expected, got;

			make_vectors(counts[c], h, f);
			expected = sums_of(&fr_vector_kernels_generic, h, f, counts[c]);
			got = sums_of(candidate->kernels, h, f, counts[c]);
			differences += memcmp(&expected, &got, sizeof got) != 0;
			asymmetric += candidate->kernels->dot_f16(h[0], h[1], counts[c]) !=
						  candidate->kernels->dot_f16(h[1], h[0], counts[c]);
			for (int v = 0; v < 2; v++)
			{
				free(h[v]);
				free(f[v]);
			}
		}
	is_int(differences, 0, "%s: sums of all lengths have the generic bits",
		   candidate->isa);
	is_int(asymmetric, 0, "%s: dot is symmetric", candidate->isa);
}

/* Conversions of every length, into blocks of exactly that length. */
static void
test_conversion_tails(const Candidate *candidate)
{
	int differences = 0;

	for (size_t count = 0; count <= 67; count++)
	{
		float *floats = malloc(count ? count * sizeof *floats : 1);
		float *back = malloc(count ? count * sizeof *back : 1);
		uint16_t *halves = malloc(count ? count * sizeof *halves : 1);

		for (size_t i = 0; i < count; i++)
			floats[i] = random_float();
		candidate->kernels->f32_to_f16(floats, halves, count);
		candidate->kernels->f16_to_f32(halves, back, count);
		for (size_t i = 0; i < count; i++)
			differences += halves[i] != fr_half_from_float(floats[i]) ||
						   back[i] != fr_half_to_float(halves[i]);
		free(floats);
		free(back);
		free(halves);
	}
	is_int(differences, 0, "%s: conversions of 0 to 67 elements",
		   candidate->isa);
}

int
main(void)
{
	find_candidates();
	test_against_compiler();
	test_sums_are_right();
	for (int i = 0; i < candidate_count; i++)
	{
		test_every_half_to_float(&candidates[i]);
		test_float_to_half(&candidates[i]);
		test_conversion_tails(&candidates[i]);
		test_sums_have_equal_bits(&candidates[i]);
	}
	return tap_done();
}
