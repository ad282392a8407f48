/*
 * test_kernels_search.c: the search kernels of every instruction set that this
 * CPU has give the bits of the generic ones; those agree with their
 * definitions in float64.
 */
#include "kernels/half.h"
#include "test/unit/search_data.h"

#define MAX_P	FR_SEARCH_KERNEL_MAX_P
#define VECTORS FR_SCAN_VECTORS

static const size_t sizes[] = {256, 320, 512, 576, 1856, 4096};
static const FrSearchKernels *const generic = &fr_search_kernels_generic;

/* Memory of exact size at an address that is aligned for a float only. */
static void *
copy_skewed(const void *source, size_t bytes, void **memory)
{
	*memory = malloc(bytes + 4);
	memcpy((char *) *memory + 4, source, bytes);
	return (char *) *memory + 4;
}

static void
random_floats(float *x, size_t count)
{
	for (size_t i = 0; i < count; i++)
		x[i] = random_normal() * 0.04f;
}

static void
random_bytes(void *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		((uint8_t *) bytes)[i] = (uint8_t) fr_random(&data_seed);
}

/* ---- the generic kernels against their definitions ---------------------- */

/* Entry of the Walsh-Hadamard matrix. */
static double
hadamard_entry(size_t i, size_t j)
{
	return __builtin_parityll(i & j) ? -1 : 1;
}

static void
test_rotate_is_its_definition(void)
{
	enum
	{
		POWER = 64,
		ODD = 5,
		P = POWER * ODD
	};
	float x[P], signs[P], matrix[ODD * ODD], out[P];
	double worst = 0;

	random_floats(x, P);
	random_floats(signs, P);
	random_floats(matrix, ODD * ODD);
	memcpy(out, x, sizeof x);
	generic->rotate(out, signs, matrix, 1, POWER, ODD);
	for (size_t row = 0; row < ODD; row++)
		for (size_t i = 0; i < POWER; i++)
		{
			double sum = 0;

			for (size_t k = 0; k < ODD; k++)
				for (size_t j = 0; j < POWER; j++)
					sum += (double) matrix[row * ODD + k] *
						   hadamard_entry(i, j) * (double) x[k * POWER + j] *
						   (double) signs[k * POWER + j];
			worst = fmax(worst, fabs(sum - (double) out[row * POWER + i]));
		}
	ok(worst < 1e-8, "rotation is signs, Hadamard, matrix (%.1e)", worst);
}

static void
test_signs_are_their_definition(void)
{
	enum
	{
		P = 320
	};
	float x[P];
	int8_t centroid[P];
	uint8_t bits[P / 8];
	FrSignSums sums;
	double absolute = 0, squared = 0;
	bool is_right = true;

	random_floats(x, P);
	random_bytes(centroid, P);
	x[7] = 0.0f;
	centroid[7] = 0;
	generic->encode_signs(x, centroid, 0.0005f, P, bits, &sums);
	for (size_t i = 0; i < P; i++)
	{
		const double c = (double) 0.0005f * centroid[i];
		const double r = (double) x[i] - c;

		is_right &= (bits[i / 8] >> i % 8 & 1) == (r >= 0);
		absolute += fabs(r);
		squared += r * r;
	}
	ok(is_right, "bits are the signs, 0 counts as positive");
	ok_near(sums.r_absolute, absolute, 1e-5, "sum of |r|");
	ok_near(sums.r_squared, squared, 1e-6, "sum of r^2");
}

static void
test_levels_are_nearest(void)
{
	static const int levels[8] = FR_LEVELS;
	enum
	{
		P = 256
	};
	float x[P];
	uint8_t nibbles[P / 2];
	FrLevelSums sums;
	double product = 0, squared = 0;
	int64_t level_squared = 0;
	bool is_right = true;

	for (size_t i = 0; i < P; i++)
		x[i] = ((float) i - 127.7f) * 0.6f;
	generic->encode_levels(x, 1.0f, P, nibbles, &sums);
	for (size_t i = 0; i < P; i++)
	{
		const unsigned byte = nibbles[i / 64 * 32 + i % 32];
		const unsigned nibble = i % 64 < 32 ? byte & 15 : byte >> 4;
		const int level = nibble < 8 ? -levels[7 - nibble] : levels[nibble - 8];

		for (int l = 0; l < 8; l++)
			is_right &=
				fabsf(x[i] - (float) level) <=
					fabsf(x[i] - (float) levels[l]) &&
				fabsf(x[i] - (float) level) <= fabsf(x[i] + (float) levels[l]);
		product += (double) x[i] * level;
		squared += (double) x[i] * (double) x[i];
		level_squared += level * level;
	}
	ok(is_right, "levels are the nearest ones");
	ok_near(sums.x_level, product, 1e-6 * fabs(product), "sum of x * v");
	ok_near(sums.x_squared, squared, 1e-6 * squared, "sum of x^2");
	is_int(sums.level_squared, level_squared, "sum of v^2");
}

/* Sums of tables are sums over the vector's own nibbles. */
static void
test_sums_are_their_definition(void)
{
	enum
	{
		GROUPS = 10
	};
	uint8_t codes[GROUPS * FR_SCAN_GROUP_BYTES];
	uint8_t table[GROUPS * FR_SCAN_TABLE_BYTES];
	uint16_t sums[VECTORS];
	bool is_right = true;

	random_bytes(codes, sizeof codes);
	random_bytes(table, sizeof table);
	for (size_t i = 0; i < sizeof table; i++)
		table[i] &= FR_SCAN_TABLE_MAX;
	generic->scan_sums(codes, table, GROUPS, sums);
	for (size_t v = 0; v < VECTORS; v++)
	{
		unsigned sum = 0;

		for (size_t g = 0; g < GROUPS; g++)
			for (size_t byte = 0; byte < 4; byte++)
			{
				const unsigned code = codes[(g * VECTORS + v) * 4 + byte];

				sum += table[((g * 2 + 0) * 4 + byte) * 16 + code % 16];
				sum += table[((g * 2 + 1) * 4 + byte) * 16 + code / 16];
			}
		is_right &= sums[v] == sum;
	}
	ok(is_right, "sums of table entries");
}

/* ---- every table against the generic one -------------------------------- */

static void
compare_rotate(const char *isa, const FrSearchKernels *kernels, size_t p)
{
	const size_t power = p & (~p + 1), odd = p / power;
	float *x = floats_of(p), *signs = floats_of(3 * p);
	float *matrix = floats_of(odd * odd), *want = floats_of(p), *got;
	void *memory, *sign_memory;

	random_floats(x, p);
	random_floats(signs, 3 * p);
	random_floats(matrix, odd * odd);
	memcpy(want, x, p * sizeof *x);
	got = copy_skewed(x, p * sizeof *x, &memory);
	generic->rotate(want, signs, matrix, 3, power, odd);
	kernels->rotate(got, copy_skewed(signs, 3 * p * sizeof *x, &sign_memory),
					matrix, 3, power, odd);
	ok(memcmp(got, want, p * sizeof *x) == 0, "%s: rotate %zu", isa, p);
	free(memory);
	free(sign_memory);
	free(x);
	free(signs);
	free(matrix);
	free(want);
}

static void
compare_encode(const char *isa, const FrSearchKernels *kernels, size_t p)
{
	float *x = floats_of(p), *skewed;
	int8_t *centroid = malloc(p);
	uint8_t *want = malloc(p / 2), *got = malloc(p / 2);
	FrSignSums want_signs, got_signs;
	FrLevelSums want_levels, got_levels;
	void *memory;

	random_floats(x, p);
	random_bytes(centroid, p);
	for (size_t i = 0; i < p; i += 11)
		x[i] = (float) centroid[i] * 0.0004f; /* r = 0 */
	skewed = copy_skewed(x, p * sizeof *x, &memory);
	generic->encode_signs(x, centroid, 0.0004f, p, want, &want_signs);
	kernels->encode_signs(skewed, centroid, 0.0004f, p, got, &got_signs);
	ok(memcmp(got, want, p / 8) == 0 &&
		   memcmp(&got_signs, &want_signs, sizeof got_signs) == 0,
	   "%s: encode_signs %zu", isa, p);
	x[5] = skewed[5] = 6.0f / (25 * 32); /* between two levels */
	x[6] = skewed[6] = -0.0f;
	generic->encode_levels(x, 25 * 32, p, want, &want_levels);
	kernels->encode_levels(skewed, 25 * 32, p, got, &got_levels);
	ok(memcmp(got, want, p / 2) == 0 &&
		   memcmp(&got_levels, &want_levels, sizeof got_levels) == 0,
	   "%s: encode_levels %zu", isa, p);
	ok(kernels->dot_i8(centroid, skewed, p) == generic->dot_i8(centroid, x, p),
	   "%s: dot_i8 %zu", isa, p);
	ok_near(generic->dot_i8(centroid, x, p), ({
				double sum = 0;
				for (size_t i = 0; i < p; i++)
					sum += centroid[i] * (double) x[i];
				sum;
			}),
			1e-3, "dot_i8 %zu in float64", p);
	free(memory);
	free(x);
	free(centroid);
	free(want);
	free(got);
}

static void
compare_dot_levels(const char *isa, const FrSearchKernels *kernels, size_t p)
{
	uint8_t *nibbles = malloc(p / 2);
	int16_t *query = malloc(p * sizeof *query);

	random_bytes(nibbles, p / 2);
	for (size_t i = 0; i < p; i++)
		query[i] = (int16_t) ((int) fr_random_below(&data_seed, 16383) - 8191);
	is_int(kernels->dot_levels(nibbles, query, p),
		   generic->dot_levels(nibbles, query, p), "%s: dot_levels %zu", isa,
		   p);
	/* The greatest possible sum. */
	memset(nibbles, 0xff, p / 2);
	for (size_t i = 0; i < p; i++)
		query[i] = 8191;
	is_int(kernels->dot_levels(nibbles, query, p), 63LL * 8191 * (long long) p,
		   "%s: dot_levels %zu does not overflow", isa, p);
	free(nibbles);
	free(query);
}

static void
compare_scan(const char *isa, const FrSearchKernels *kernels, size_t p)
{
	const size_t groups = p / FR_SCAN_GROUP;
	const size_t table_bytes = groups * FR_SCAN_TABLE_BYTES;
	uint8_t *codes = malloc(groups * FR_SCAN_GROUP_BYTES), *skewed;
	uint8_t *table = aligned_alloc(64, table_bytes);
	uint16_t want_sums[VECTORS], got_sums[VECTORS], columns[3][VECTORS];
	float want[VECTORS], got[VECTORS];
	uint8_t want_slots[VECTORS], got_slots[VECTORS];
	bool is_same = true;
	uint32_t reported = 0;
	void *memory;

	random_bytes(codes, groups * FR_SCAN_GROUP_BYTES);
	random_bytes(table, table_bytes);
	for (size_t i = 0; i < table_bytes; i++)
		table[i] &= FR_SCAN_TABLE_MAX;
	skewed = copy_skewed(codes, groups * FR_SCAN_GROUP_BYTES, &memory);
	generic->scan_sums(codes, table, groups, want_sums);
	kernels->scan_sums(skewed, table, groups, got_sums);
	ok(memcmp(got_sums, want_sums, sizeof got_sums) == 0, "%s: scan_sums %zu",
	   isa, p);
	for (int round = 0; round < 50; round++)
	{
		FrScanTask task = {.codes = codes,
						   .table = table,
						   .groups = groups,
						   .r = columns[0],
						   .b = columns[1],
						   .e = columns[2],
						   .mask = (uint32_t) fr_random(&data_seed),
						   .sum_scale = 0.0003f,
						   .sum_offset = -0.0003f * 7.9f * (float) p,
						   .base = 0.1f,
						   .epsilon = 4.5f,
						   .norm = 1.01f,
						   .lowest = -0.2f,
						   .highest = 1.1f};
		uint32_t count;

		for (int i = 0; i < VECTORS; i++)
		{
			columns[0][i] = fr_half_from_float(fabsf(random_normal()));
			columns[1][i] = fr_half_from_float(fabsf(random_normal()));
			columns[2][i] = fr_half_from_float(fabsf(random_normal()) * 0.1f);
		}
		columns[0][round % VECTORS] = FR_HALF_QUIET_NAN;
		count = generic->scan(&task, want, want_slots);
		task.codes = skewed;
		is_same &= kernels->scan(&task, got, got_slots) == count &&
				   memcmp(got, want, count * sizeof *got) == 0 &&
				   memcmp(got_slots, want_slots, count) == 0;
		reported += count;
	}
	ok(is_same && reported > 100, "%s: scan %zu (%u bounds)", isa, p, reported);
	/* The greatest possible sum. */
	memset(table, FR_SCAN_TABLE_MAX, table_bytes);
	kernels->scan_sums(skewed, table, groups, got_sums);
	is_int(got_sums[31], (long long) p / 4 * FR_SCAN_TABLE_MAX,
		   "%s: scan_sums %zu does not overflow", isa, p);
	free(memory);
	free(codes);
	free(table);
}

static void
compare_tables(const char *isa, const FrSearchKernels *kernels, size_t p)
{
	const size_t bytes = p / FR_SCAN_GROUP * FR_SCAN_TABLE_BYTES;
	float *q = floats_of(p), largest = 0, factor, *skewed;
	uint8_t *want = malloc(bytes), *got = malloc(bytes);
	double want_errors[2], got_errors[2], worst = 0;
	void *memory;

	random_floats(q, p);
	for (size_t i = 0; i < p; i += 4)
		largest = fmaxf(largest, fabsf(q[i]) + fabsf(q[i + 1]) +
									 fabsf(q[i + 2]) + fabsf(q[i + 3]));
	factor = FR_SCAN_TABLE_MAX / (2 * largest);
	skewed = copy_skewed(q, p * sizeof *q, &memory);
	generic->fill_table(q, factor, p / FR_SCAN_GROUP, want, &want_errors[0],
						&want_errors[1]);
	kernels->fill_table(skewed, factor, p / FR_SCAN_GROUP, got, &got_errors[0],
						&got_errors[1]);
	ok(memcmp(got, want, bytes) == 0 &&
		   memcmp(got_errors, want_errors, sizeof got_errors) == 0,
	   "%s: fill_table %zu", isa, p);
	/* Coordinates 4 to 7 are the high nibbles of byte 0. */
	for (int n = 0; n < 16; n++)
	{
		double sum = 0;

		for (int i = 0; i < 4; i++)
			sum += fabs((double) q[4 + i]) +
				   (n >> i & 1 ? 1 : -1) * (double) q[4 + i];
		worst = fmax(worst, fabs(want[64 + n] - sum * (double) factor));
	}
	ok(worst < 0.501, "entries are rounded sums (%.4f)", worst);
	free(memory);
	free(q);
	free(want);
	free(got);
}

static void
compare_best(const char *isa, const FrSearchKernels *kernels)
{
	enum
	{
		BLOCKS = 5,
		N = 37
	};
	float scores[BLOCKS * N * 16], want[N], got[N];
	uint32_t want_index[N], got_index[N];
	bool is_same = true;

	for (int round = 0; round < 20; round++)
	{
		/* Few different values: ties between blocks and lanes. */
		for (size_t i = 0; i < BLOCKS * N * 16; i++)
			scores[i] =
				(float) fr_random_below(&data_seed, 6u + (unsigned) round);
		for (int i = 0; i < N; i++)
		{
			want[i] = got[i] = (float) (i % 8);
			want_index[i] = got_index[i] = 7;
		}
		generic->best_score(scores, BLOCKS, N, 160, want, want_index);
		kernels->best_score(scores, BLOCKS, N, 160, got, got_index);
		is_same &= memcmp(got, want, sizeof got) == 0 &&
				   memcmp(got_index, want_index, sizeof got_index) == 0;
	}
	ok(is_same, "%s: best_score", isa);
}

int
main(void)
{
	static const char *const names[] = {"generic", "avx2", "avx512"};

	test_rotate_is_its_definition();
	test_signs_are_their_definition();
	test_levels_are_nearest();
	test_sums_are_their_definition();
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
	{
		const FrKernels *kernels = fr_kernels_by_name(names[i]);

		if (!kernels)
		{
			skip(names[i], "this CPU cannot run it");
			continue;
		}
		for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
		{
			compare_rotate(names[i], kernels->search, sizes[k]);
			compare_encode(names[i], kernels->search, sizes[k]);
			compare_dot_levels(names[i], kernels->search, sizes[k]);
			compare_scan(names[i], kernels->search, sizes[k]);
			compare_tables(names[i], kernels->search, sizes[k]);
		}
		compare_best(names[i], kernels->search);
	}
	return tap_done();
}
