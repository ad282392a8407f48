/*
 * search_generic.c: the kernels of the face index in plain C; the
 * specification.
 *
 * The vector versions do the same operations in the same order, so every
 * instruction set gives the same bits.
 */
/* Ahead of the includes: functions with other options are not inlined. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#include <math.h>
#include <string.h>

#include "kernels/half.h"
#include "kernels/lane_sum.h"
#include "kernels/search_kernels.h"

#define LANES	  32
#define MAX_ODD	  (FR_SEARCH_KERNEL_MAX_P / 64)
#define TILE	  16 /* columns of the odd transform at a time */
#define MAX_LEVEL 8

static const float level_bounds[MAX_LEVEL - 1] = FR_LEVEL_BOUNDS;

/* ---- rotation ----------------------------------------------------------- */

static void
hadamard(float *values, size_t count)
{
	for (size_t stride = 1; stride < count; stride *= 2)
		for (size_t start = 0; start < count; start += 2 * stride)
			for (size_t i = start; i < start + stride; i++)
			{
				float a = values[i], b = values[i + stride];

				values[i] = a + b;
				values[i + stride] = a - b;
			}
}

/* Replace rows [odd, power] by matrix times rows, some columns at a time. */
static void
mix_rows(float *values, const float *matrix, size_t power, size_t odd)
{
	float column[MAX_ODD][TILE], sum[TILE];

	for (size_t start = 0; start < power; start += TILE)
	{
		for (size_t row = 0; row < odd; row++)
			memcpy(column[row], values + row * power + start, sizeof *column);
		for (size_t row = 0; row < odd; row++)
		{
			memset(sum, 0, sizeof sum);
			for (size_t k = 0; k < odd; k++)
				for (size_t i = 0; i < TILE; i++)
					sum[i] += matrix[row * odd + k] * column[k][i];
			memcpy(values + row * power + start, sum, sizeof sum);
		}
	}
}

static void
rotate_generic(float *values, const float *signs, const float *matrix,
			   int rounds, size_t power, size_t odd)
{
	size_t count = power * odd;

	for (int round = 0; round < rounds; round++)
	{
		for (size_t i = 0; i < count; i++)
			values[i] *= signs[(size_t) round * count + i];
		for (size_t row = 0; row < odd; row++)
			hadamard(values + row * power, power);
		if (odd > 1)
			mix_rows(values, matrix, power, odd);
	}
}

/* ---- encoding ----------------------------------------------------------- */

static double
dot_i8_generic(const int8_t *a, const float *b, size_t count)
{
	float lanes[LANES] = {0};

	for (size_t start = 0; start < count; start += LANES)
		for (size_t i = 0; i < LANES; i++)
			lanes[i] += (float) a[start + i] * b[start + i];
	return reduce_lanes(lanes);
}

static void
encode_signs_generic(const float *x, const int8_t *centroid, float scale,
					 size_t count, uint8_t *bits, FrSignSums *sums)
{
	float absolute[LANES] = {0}, squared[LANES] = {0};

	memset(bits, 0, count / 8);
	for (size_t i = 0; i < count; i++)
	{
		float c = scale * (float) centroid[i], r = x[i] - c;
		int is_positive = r >= 0.0f;

		bits[i / 8] = (uint8_t) (bits[i / 8] | is_positive << i % 8);
		absolute[i % LANES] += fabsf(r);
		squared[i % LANES] += r * r;
	}
	sums->r_absolute = reduce_lanes(absolute);
	sums->r_squared = reduce_lanes(squared);
}

/* The nibble of the level next to x; at a bound, the one nearer to 0. */
static unsigned
nearest_level(float x)
{
	unsigned level = 0;

	for (int i = 0; i < MAX_LEVEL - 1; i++)
		level += fabsf(x) > level_bounds[i];
	return x >= 0.0f ? 8 + level : 7 - level;
}

static void
encode_levels_generic(const float *x, float scale, size_t count,
					  uint8_t *nibbles, FrLevelSums *sums)
{
	float squared[LANES] = {0}, product[LANES] = {0};

	sums->level_squared = 0;
	for (size_t i = 0; i < count; i++)
	{
		unsigned nibble = nearest_level(x[i] * scale);
		int level = fr_level_of_nibble(nibble);
		uint8_t *byte = nibbles + i / 64 * 32 + i % 32;

		*byte = (uint8_t) (i % 64 < 32 ? nibble : *byte | nibble << 4);
		squared[i % LANES] += x[i] * x[i];
		product[i % LANES] += x[i] * (float) level;
		sums->level_squared += level * level;
	}
	sums->x_squared = reduce_lanes(squared);
	sums->x_level = reduce_lanes(product);
}

/* ---- scanning ----------------------------------------------------------- */

static int32_t
dot_levels_generic(const uint8_t *nibbles, const int16_t *query, size_t count)
{
	int32_t sum = 0;

	for (size_t i = 0; i < count; i += 64)
		for (size_t j = 0; j < 32; j++)
		{
			unsigned byte = nibbles[i / 2 + j];

			sum += fr_level_of_nibble(byte & 15) * query[i + j];
			sum += fr_level_of_nibble(byte >> 4) * query[i + 32 + j];
		}
	return sum;
}

/* The table of a query's coordinates that 4 bits of byte number `byte` of a
 * group stand for. */
static uint8_t *
table_at(uint8_t *table, size_t group, size_t byte, size_t is_high)
{
	return table + ((group * 2 + is_high) * 4 + byte) * 16;
}

static void
fill_table_generic(const float *query, float factor, size_t groups,
				   uint8_t *table, double *error, double *squared_error)
{
	float errors[16] = {0}, squares[16] = {0};

	for (size_t segment = 0; segment < groups * 8; segment++, query += 4)
	{
		uint8_t *entries =
			table_at(table, segment / 8, segment % 8 / 2, segment % 2);
		float offset = (fabsf(query[0]) + fabsf(query[1])) +
					   (fabsf(query[2]) + fabsf(query[3]));

		for (int n = 0; n < 16; n++)
		{
			float sum = offset, rounded, difference;

			for (int i = 0; i < 4; i++)
				sum += n >> i & 1 ? query[i] : -query[i];
			sum *= factor;
			/* Adding 1.5 * 2^23 rounds to an integer. */
			rounded = (sum + 12582912.0f) - 12582912.0f;
			entries[n] = (uint8_t) rounded;
			difference = rounded - sum;
			errors[n] += difference;
			squares[n] += difference * difference;
		}
	}
	*error = *squared_error = 0;
	for (int n = 0; n < 16; n++)
	{
		*error += (double) errors[n];
		*squared_error += (double) squares[n];
	}
}

static void
scan_sums_generic(const uint8_t *codes, const uint8_t *table, size_t groups,
				  uint16_t *sums)
{
	for (size_t v = 0; v < FR_SCAN_VECTORS; v++)
		sums[v] = 0;
	for (size_t g = 0; g < groups; g++, table += FR_SCAN_TABLE_BYTES)
		for (size_t v = 0; v < FR_SCAN_VECTORS; v++)
			for (size_t k = 0; k < 4; k++)
			{
				unsigned byte = *codes++;

				sums[v] = (uint16_t) (sums[v] + table[k * 16 + (byte & 15)] +
									  table[FR_SCAN_TABLE_BYTES / 2 + k * 16 +
											(byte >> 4)]);
			}
}

/* The greater root of (y - u)^2 = s^2 (norm^2 - y^2 / r^2), or linear if that
 * is less. */
static float
tighten(float linear, float u, float s, float r, float norm)
{
	float r2 = r * r;
	float sum = r2 + s * s;
	float divisor = sum > FR_SCAN_TINY ? sum : FR_SCAN_TINY;
	float square = r2 * ((norm * norm) * divisor - u * u);
	float y = (u * r2 + s * sqrtf(square > 0 ? square : 0)) / divisor;

	return y < linear ? y : linear;
}

static uint32_t
scan_generic(const FrScanTask *task, float *bounds, uint8_t *vectors)
{
	uint16_t sums[FR_SCAN_VECTORS];
	uint32_t count = 0;

	scan_sums_generic(task->codes, task->table, task->groups, sums);
	for (uint32_t v = 0; v < FR_SCAN_VECTORS; v++)
	{
		float r = fr_half_to_float(task->r[v]);
		float u = fr_half_to_float(task->b[v]) *
				  ((float) sums[v] * task->sum_scale + task->sum_offset);
		float s = task->epsilon * fr_half_to_float(task->e[v]);
		float linear = u + s * task->norm;
		float bound = (task->base + tighten(linear, u, s, r, task->norm)) +
					  r * FR_SCAN_MARGIN;

		if (!(task->mask >> v & 1) || !(bound >= task->lowest) ||
			!(bound <= task->highest))
			continue;
		bounds[count] = bound;
		vectors[count++] = (uint8_t) v;
	}
	return count;
}

static void
best_score_generic(const float *scores, size_t blocks, size_t n,
				   uint32_t first_index, float *best, uint32_t *index)
{
	for (size_t b = 0; b < blocks; b++)
		for (size_t i = 0; i < n; i++)
			for (size_t lane = 0; lane < 16; lane++)
			{
				float score = scores[(b * n + i) * 16 + lane];

				if (score > best[i])
				{
					best[i] = score;
					index[i] = first_index + (uint32_t) (b * 16 + lane);
				}
			}
}

const FrSearchKernels fr_search_kernels_generic = {
	.rotate = rotate_generic,
	.dot_i8 = dot_i8_generic,
	.encode_signs = encode_signs_generic,
	.encode_levels = encode_levels_generic,
	.dot_levels = dot_levels_generic,
	.fill_table = fill_table_generic,
	.scan_sums = scan_sums_generic,
	.scan = scan_generic,
	.best_score = best_score_generic,
};
