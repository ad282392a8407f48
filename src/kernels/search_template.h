/*
 * search_template.h: the kernels of the face index of one instruction set
 * (template).
 *
 * search_<isa>.c defines, then includes this:
 *   VL              floats per vector
 *   SEARCH_KERNELS  the name of the table
 *   Vec, VecInt     vectors of VL floats and 32-bit integers
 *   vec_load_i8     VL 8-bit integers as floats
 *   vec_load_half   VL halves as floats
 *   vec_signs       bit i: element i is not below 0
 *   vec_store_bytes the low bytes of VL integers
 *   vec_swap_1 ...  exchange of elements i and i ^ 1, 2, 4 (8 if VL is 16)
 *   reduce_lanes    the sum of 32 lanes in float64
 *   BlockSums       the sums of 32 vectors, 16 bits each, in order: part0 ...
 *   block_sums      computes them; vec_from_u16 makes floats of a part
 *   dot_levels      as in search_kernels.h
 * Operations and their order are those of search_generic.c.
 */
#ifndef FR_KERNELS_SEARCH_TEMPLATE_H
#define FR_KERNELS_SEARCH_TEMPLATE_H

#include <string.h>

#include "kernels/search_kernels.h"

#define LANES	  32
#define REGISTERS (LANES / VL)
#define MAX_ODD	  (FR_SEARCH_KERNEL_MAX_P / 64)

/* The same in memory, at any address that is aligned for a float. */
typedef float VecMemory
	__attribute__((vector_size(VL * 4), aligned(4), may_alias));

ALWAYS_INLINE Vec
vec_load(const float *source)
{
	return *(const VecMemory *) source;
}

ALWAYS_INLINE void
vec_store(float *target, Vec value)
{
	*(VecMemory *) target = value;
}

ALWAYS_INLINE Vec
vec_set(float value)
{
	return value - (Vec){0};
}

ALWAYS_INLINE VecInt
vec_set_int(int value)
{
	return value - (VecInt){0};
}

ALWAYS_INLINE Vec
vec_absolute(Vec value)
{
	return (Vec) ((VecInt) value & vec_set_int(0x7fffffff));
}

/* ---- rotation ----------------------------------------------------------- */

/* a + b in the elements without the bit `stride`, a - b in those with it. */
#define IN_VECTOR_STAGE(stride)                                \
	do                                                         \
	{                                                          \
		VecInt minus;                                          \
                                                               \
		for (int i = 0; i < VL; i++)                           \
			minus[i] = i & (stride) ? (int) 0x80000000u : 0;   \
		v = vec_swap_##stride(v) + (Vec) ((VecInt) v ^ minus); \
	} while (0)

/* The stages whose strides are below VL, with the signs before them. */
ALWAYS_INLINE Vec
hadamard_in_vector(Vec v)
{
	IN_VECTOR_STAGE(1);
	IN_VECTOR_STAGE(2);
	IN_VECTOR_STAGE(4);
#if VL == 16
	IN_VECTOR_STAGE(8);
#endif
	return v;
}

/* Two stages, of stride and 2 * stride, in one pass. */
ALWAYS_INLINE void
hadamard_two_stages(float *values, size_t count, size_t stride)
{
	for (size_t start = 0; start < count; start += 4 * stride)
		for (size_t i = start; i < start + stride; i += VL)
		{
			const Vec a = vec_load(values + i);
			const Vec b = vec_load(values + i + stride);
			const Vec c = vec_load(values + i + 2 * stride);
			const Vec d = vec_load(values + i + 3 * stride);
			const Vec ab = a + b, a_b = a - b, cd = c + d, c_d = c - d;

			vec_store(values + i, ab + cd);
			vec_store(values + i + stride, a_b + c_d);
			vec_store(values + i + 2 * stride, ab - cd);
			vec_store(values + i + 3 * stride, a_b - c_d);
		}
}

ALWAYS_INLINE void
hadamard_stage(float *values, size_t count, size_t stride)
{
	for (size_t start = 0; start < count; start += 2 * stride)
		for (size_t i = start; i < start + stride; i += VL)
		{
			const Vec a = vec_load(values + i);
			const Vec b = vec_load(values + i + stride);

			vec_store(values + i, a + b);
			vec_store(values + i + stride, a - b);
		}
}

static void
signed_hadamard(float *values, const float *signs, size_t count)
{
	size_t stride = VL;

	for (size_t i = 0; i < count; i += VL)
		vec_store(values + i, hadamard_in_vector(vec_load(values + i) *
												 vec_load(signs + i)));
	for (; 2 * stride < count; stride *= 4)
		hadamard_two_stages(values, count, stride);
	if (stride < count)
		hadamard_stage(values, count, stride);
}

/* Replace rows [odd, power] by matrix times rows, VL columns at a time. */
static void
mix_rows(float *values, const float *matrix, size_t power, size_t odd)
{
	Vec column[MAX_ODD];

	for (size_t start = 0; start < power; start += VL)
	{
		for (size_t row = 0; row < odd; row++)
			column[row] = vec_load(values + row * power + start);
		for (size_t row = 0; row < odd; row++)
		{
			Vec sum = {0};

			for (size_t k = 0; k < odd; k++)
				sum += vec_set(matrix[row * odd + k]) * column[k];
			vec_store(values + row * power + start, sum);
		}
	}
}

static void
rotate(float *values, const float *signs, const float *matrix, int rounds,
	   size_t power, size_t odd)
{
	for (int round = 0; round < rounds; round++)
	{
		for (size_t row = 0; row < odd; row++)
			signed_hadamard(values + row * power,
							signs + ((size_t) round * odd + row) * power,
							power);
		if (odd > 1)
			mix_rows(values, matrix, power, odd);
	}
}

/* ---- encoding ----------------------------------------------------------- */

static double
dot_i8(const int8_t *a, const float *b, size_t count)
{
	Vec sum[REGISTERS] = {{0}};

	for (size_t start = 0; start < count; start += LANES)
		for (int r = 0; r < REGISTERS; r++)
			sum[r] +=
				vec_load_i8(a + start + r * VL) * vec_load(b + start + r * VL);
	return reduce_lanes(sum);
}

static void
encode_signs(const float *x, const int8_t *centroid, float scale, size_t count,
			 uint8_t *bits, FrSignSums *sums)
{
	Vec absolute[REGISTERS] = {{0}}, squared[REGISTERS] = {{0}};
	const Vec scales = vec_set(scale);

	for (size_t start = 0; start < count; start += LANES)
	{
		uint32_t positive = 0;

		for (int r = 0; r < REGISTERS; r++)
		{
			const Vec c = scales * vec_load_i8(centroid + start + r * VL);
			const Vec rest = vec_load(x + start + r * VL) - c;
			positive |= vec_signs(rest) << r * VL;
			absolute[r] += vec_absolute(rest);
			squared[r] += rest * rest;
		}
		memcpy(bits + start / 8, &positive, sizeof positive);
	}
	sums->r_absolute = reduce_lanes(absolute);
	sums->r_squared = reduce_lanes(squared);
}

/* The level next to x: its nibble, and itself. */
ALWAYS_INLINE VecInt
nearest_level(Vec x, VecInt *level)
{
	static const int8_t levels[8] = FR_LEVELS;
	static const float bounds[7] = FR_LEVEL_BOUNDS;
	const Vec magnitude = vec_absolute(x);
	const VecInt minus = (VecInt) (x < 0.0f);
	VecInt index = vec_set_int(8), value = vec_set_int(levels[0]);

	for (int i = 0; i < 7; i++)
	{
		const VecInt is_above = (VecInt) (magnitude > vec_set(bounds[i]));

		index -= is_above;
		value += is_above & vec_set_int(levels[i + 1] - levels[i]);
	}
	/* 15 - n is ~n in four bits; -v is ~v + 1. */
	*level = (value ^ minus) - minus;
	return (index ^ minus) & vec_set_int(15);
}

static void
encode_levels(const float *x, float scale, size_t count, uint8_t *nibbles,
			  FrLevelSums *sums)
{
	Vec squared[REGISTERS] = {{0}}, product[REGISTERS] = {{0}};
	VecInt level_squared = {0};
	const Vec scales = vec_set(scale);

	for (size_t start = 0; start < count; start += LANES)
	{
		uint8_t *target = nibbles + start / (2 * LANES) * LANES;
		uint8_t parts[LANES];

		for (int r = 0; r < REGISTERS; r++)
		{
			const Vec value = vec_load(x + start + r * VL);
			VecInt level;
			const VecInt nibble = nearest_level(value * scales, &level);

			vec_store_bytes(parts + r * VL, nibble);
			squared[r] += value * value;
			product[r] += value * __builtin_convertvector(level, Vec);
			level_squared += level * level;
		}
		if (start % (2 * LANES) == 0)
			memcpy(target, parts, sizeof parts);
		else
			for (int i = 0; i < LANES; i++)
				target[i] = (uint8_t) (target[i] | parts[i] << 4);
	}
	sums->x_squared = reduce_lanes(squared);
	sums->x_level = reduce_lanes(product);
	sums->level_squared = 0;
	for (int i = 0; i < VL; i++)
		sums->level_squared += level_squared[i];
}

/* ---- scanning ----------------------------------------------------------- */

/* The table of coordinates query[0..3]: VL entries per vector. */
ALWAYS_INLINE void
fill_entries(const float *query, float factor, uint8_t *entries,
			 Vec errors[16 / VL], Vec squares[16 / VL])
{
	const Vec magic = vec_set(12582912.0f); /* rounds to an integer */
	const Vec offset =
		vec_set((__builtin_fabsf(query[0]) + __builtin_fabsf(query[1])) +
				(__builtin_fabsf(query[2]) + __builtin_fabsf(query[3])));

	for (int part = 0; part < 16 / VL; part++)
	{
		Vec sum = offset, rounded, difference;

		for (int i = 0; i < 4; i++)
		{
			VecInt minus;

			for (int n = 0; n < VL; n++)
				minus[n] = (part * VL + n) >> i & 1 ? 0 : (int) 0x80000000u;
			sum += (Vec) ((VecInt) vec_set(query[i]) ^ minus);
		}
		sum *= vec_set(factor);
		rounded = (sum + magic) - magic;
		vec_store_bytes(entries + part * VL,
						__builtin_convertvector(rounded, VecInt));
		difference = rounded - sum;
		errors[part] += difference;
		squares[part] += difference * difference;
	}
}

static void
fill_table(const float *query, float factor, size_t groups, uint8_t *table,
		   double *error, double *squared_error)
{
	Vec errors[16 / VL] = {{0}}, squares[16 / VL] = {{0}};

	for (size_t segment = 0; segment < groups * 8; segment++, query += 4)
		fill_entries(
			query, factor,
			table +
				((segment / 8 * 2 + segment % 2) * 4 + segment % 8 / 2) * 16,
			errors, squares);
	*error = *squared_error = 0;
	for (int n = 0; n < 16; n++)
	{
		*error += (double) errors[n / VL][n % VL];
		*squared_error += (double) squares[n / VL][n % VL];
	}
}

static void
scan_sums(const uint8_t *codes, const uint8_t *table, size_t groups,
		  uint16_t *sums)
{
	const BlockSums found = block_sums(codes, table, groups);

	memcpy(sums, &found, sizeof found);
}

/* a where mask, else b */
ALWAYS_INLINE Vec
select_lanes(VecInt mask, Vec a, Vec b)
{
	return (Vec) (((VecInt) a & mask) | ((VecInt) b & ~mask));
}

/* What the bounds of a block have in common. */
typedef struct BoundTerms
{
	Vec scale, offset, base, epsilon, norm;
} BoundTerms;

/* The greater root of (y - u)^2 = s^2 (norm^2 - y^2 / r^2), or linear where
 * that is less. */
ALWAYS_INLINE Vec
tighten(Vec linear, Vec u, Vec s, Vec r, Vec norm)
{
	const Vec zero = vec_set(0.0f), tiny = vec_set(FR_SCAN_TINY);
	const Vec r2 = r * r;
	const Vec sum = r2 + s * s;
	const Vec divisor = select_lanes((VecInt) (sum > tiny), sum, tiny);
	const Vec square = r2 * ((norm * norm) * divisor - u * u);
	const Vec root =
		vec_sqrt(select_lanes((VecInt) (square > zero), square, zero));
	const Vec y = (u * r2 + s * root) / divisor;

	return select_lanes((VecInt) (y < linear), y, linear);
}

/* Report bounds of VL vectors from number first on. */
ALWAYS_INLINE uint32_t
report_bounds(const FrScanTask *task, const BoundTerms *terms, Vec sums,
			  uint32_t first, uint32_t count, float *bounds, uint8_t *vectors)
{
	const Vec r = vec_load_half(task->r + first);
	const Vec margin = r * vec_set(FR_SCAN_MARGIN);
	const Vec u =
		vec_load_half(task->b + first) * (sums * terms->scale + terms->offset);
	const Vec s = terms->epsilon * vec_load_half(task->e + first);
	const Vec linear = u + s * terms->norm;
	uint32_t mask = task->mask >> first;
	float values[VL];
	Vec bound = (terms->base + linear) + margin;

	/* Most vectors are too far away by the simpler bound. */
	mask &= vec_between(task->lowest, bound, __builtin_inff());
	if (mask == 0)
		return count;
	bound = (terms->base + tighten(linear, u, s, r, terms->norm)) + margin;
	mask &= vec_between(task->lowest, bound, task->highest);
	vec_store(values, bound);
	for (; mask != 0; mask &= mask - 1)
	{
		const uint32_t i = (uint32_t) __builtin_ctz(mask);

		bounds[count] = values[i];
		vectors[count++] = (uint8_t) (first + i);
	}
	return count;
}

static uint32_t
scan(const FrScanTask *task, float *bounds, uint8_t *vectors)
{
	const BoundTerms terms = {vec_set(task->sum_scale),
							  vec_set(task->sum_offset), vec_set(task->base),
							  vec_set(task->epsilon), vec_set(task->norm)};
	const BlockSums sums = block_sums(task->codes, task->table, task->groups);
	uint32_t count = 0;

	count = report_bounds(task, &terms, vec_from_u16(sums.part0), 0, count,
						  bounds, vectors);
	count = report_bounds(task, &terms, vec_from_u16(sums.part1), VL, count,
						  bounds, vectors);
#if VL == 8
	count = report_bounds(task, &terms, vec_from_u16(sums.part2), 2 * VL, count,
						  bounds, vectors);
	count = report_bounds(task, &terms, vec_from_u16(sums.part3), 3 * VL, count,
						  bounds, vectors);
#endif
	return count;
}

/* ---- assignment --------------------------------------------------------- */

static void
best_score(const float *scores, size_t blocks, size_t n, uint32_t first_index,
		   float *best, uint32_t *index)
{
	for (size_t i = 0; i < n; i++)
	{
		float value[16];
		int32_t place[16];

		for (int part = 0; part < 16; part += VL)
		{
			Vec greatest = vec_set(best[i]);
			VecInt at = vec_set_int(-1);

			for (size_t b = 0; b < blocks; b++)
			{
				const Vec score =
					vec_load(scores + (b * n + i) * 16 + (size_t) part);
				const VecInt is_greater = (VecInt) (score > greatest);

				greatest = (Vec) (((VecInt) score & is_greater) |
								  ((VecInt) greatest & ~is_greater));
				at = (vec_set_int((int) b * 16) & is_greater) |
					 (at & ~is_greater);
			}
			vec_store(value + part, greatest);
			memcpy(place + part, &at, sizeof at);
		}

		int32_t found = INT32_MAX;

		for (int lane = 0; lane < 16; lane++)
		{
			if (place[lane] < 0)
				continue;
			if (value[lane] > best[i] ||
				(value[lane] == best[i] && place[lane] + lane < found &&
				 found != INT32_MAX))
			{
				best[i] = value[lane];
				found = place[lane] + lane;
			}
		}
		if (found != INT32_MAX)
			index[i] = first_index + (uint32_t) found;
	}
}

const FrSearchKernels SEARCH_KERNELS = {
	.rotate = rotate,
	.dot_i8 = dot_i8,
	.encode_signs = encode_signs,
	.encode_levels = encode_levels,
	.dot_levels = dot_levels,
	.fill_table = fill_table,
	.scan_sums = scan_sums,
	.scan = scan,
	.best_score = best_score,
};

#endif
