/*
 * search_kernels.h: rotation, encoding and scanning of the face index.
 *
 * What the numbers mean is said in core/search/README.  P (padded) is a
 * multiple of 64, at most FR_SEARCH_KERNEL_MAX_P.  Float sums run over 32
 * lanes (element i in lane i % 32), no product is fused with an addition, and
 * the lanes are reduced in float64 by a fixed tree: same input, same bits, on
 * every instruction set.  So codes do not depend on the machine that made
 * them.
 */
#ifndef FR_KERNELS_SEARCH_KERNELS_H
#define FR_KERNELS_SEARCH_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define FR_SEARCH_KERNEL_MAX_P 4096

/* 1-bit codes are scanned 32 vectors at a time, 32 coordinates (a group: 4
 * bytes of each vector) at a time. */
#define FR_SCAN_VECTORS		32
#define FR_SCAN_GROUP		32
#define FR_SCAN_GROUP_BYTES (FR_SCAN_VECTORS * FR_SCAN_GROUP / 8)

/* A group's tables: for its 4 bytes, 16 sums for the low nibble each; then the
 * same for the high nibbles. */
#define FR_SCAN_TABLE_BYTES (2 * 4 * 16)

/* The largest entry of a table: four of them fit in a byte, and all that
 * FR_SEARCH_KERNEL_MAX_P coordinates need in 16 bits. */
#define FR_SCAN_TABLE_MAX 63

/* Bounds of the vectors of one block. */
typedef struct FrScanTask
{
	const uint8_t *codes; /* [groups, 32, 4] */
	const uint8_t *table; /* [groups, 2, 4, 16], 64-byte aligned */
	size_t groups;
	const uint16_t *r, *b, *e; /* [32] binary16 */
	uint32_t mask;			   /* vectors to look at */
	/* u = b * (sum * sum_scale + sum_offset), s = epsilon * e
	 * y = u + s * norm or, if that is less, the greater root of
	 *	   (y - u)^2 = s^2 (norm^2 - y^2 / r^2)
	 * bound = (base + y) + r * FR_SCAN_MARGIN */
	float sum_scale, sum_offset, base, epsilon, norm;
	float lowest, highest; /* bounds to report, both included */
} FrScanTask;

/* The rounding of b to binary16. */
#define FR_SCAN_MARGIN 0x1p-11f

/* A divisor that is not less is no zero. */
#define FR_SCAN_TINY 1e-20f

/* What encode_signs adds up, r = x - scale * centroid. */
typedef struct FrSignSums
{
	double r_absolute; /* sum of |r| */
	double r_squared;  /* sum of r^2 */
} FrSignSums;

/* The levels of the re-rank code: those with the least squared error for
 * normally distributed coordinates (J. Max, "Quantizing for Minimum
 * Distortion", IRE Trans. Inf. Theory 6, 1960, table I, N = 16), times
 * FR_LEVEL_UNIT and rounded.  Nibble n < 8 stands for -level[7 - n], others
 * for level[n - 8]. */
#define FR_LEVEL_UNIT 23.0f
#define FR_LEVELS                    \
	{                                \
		3, 9, 15, 22, 29, 37, 48, 63 \
	}

static inline int
fr_level_of_nibble(unsigned nibble)
{
	static const int8_t levels[] = FR_LEVELS;

	return nibble < 8 ? -levels[7 - nibble] : levels[nibble - 8];
}

/* Midpoints of neighbouring levels: |x| above the i-th is at least level i + 1.
 */
#define FR_LEVEL_BOUNDS                                \
	{                                                  \
		6.0f, 12.0f, 18.5f, 25.5f, 33.0f, 42.5f, 55.5f \
	}

typedef struct FrLevelSums
{
	double x_squared; /* sum of x^2 */
	double x_level;	  /* sum of x * v */
	int64_t level_squared;
} FrLevelSums;

typedef struct FrSearchKernels
{
	/*
	 * values [odd, power], P = odd * power, power a power of two and at least
	 * 64; rounds times: multiply by signs [round, P], then a Walsh-Hadamard
	 * transform of each row (strides 1, 2, 4, ...: a + b, a - b), then, when
	 * odd is not 1, the rows by the symmetric matrix [odd, odd].
	 */
	void (*rotate)(float *values, const float *signs, const float *matrix,
				   int rounds, size_t power, size_t odd);

	/* sum of a[i] * b[i] over count, a multiple of 32 */
	double (*dot_i8)(const int8_t *a, const float *b, size_t count);

	/* Write bit i % 8 of bits[i / 8] = (x[i] - c[i] >= 0), c[i] = scale *
	 * centroid[i], for count, a multiple of 32. */
	void (*encode_signs)(const float *x, const int8_t *centroid, float scale,
						 size_t count, uint8_t *bits, FrSignSums *sums);

	/* Write the nibble of the level v[i] next to x[i] * scale, for count, a
	 * multiple of 64: of every 64 coordinates, the first 32 in the low
	 * nibbles of 32 bytes, the others in the high ones. */
	void (*encode_levels)(const float *x, float scale, size_t count,
						  uint8_t *nibbles, FrLevelSums *sums);

	/* sum of v[i] * query[i]; |query[i]| <= 8191 */
	int32_t (*dot_levels)(const uint8_t *nibbles, const int16_t *query,
						  size_t count);

	/*
	 * Write the tables of a query [groups * 32]: entry n of the table of
	 * coordinates i .. i + 3 is the sum of |q| and of +-q (+ where n has the
	 * bit), times factor, rounded to nearest; factor is such that it is at
	 * most FR_SCAN_TABLE_MAX.  Add up what rounding added, and its squares,
	 * over all entries.
	 */
	void (*fill_table)(const float *query, float factor, size_t groups,
					   uint8_t *table, double *error, double *squared_error);

	/* The sums of table entries of 32 vectors: what scan uses. */
	void (*scan_sums)(const uint8_t *codes, const uint8_t *table, size_t groups,
					  uint16_t *sums);

	/* Write the bounds to report and their vectors (rising); return how
	 * many.  bounds and vectors have room for 32. */
	uint32_t (*scan)(const FrScanTask *task, float *bounds, uint8_t *vectors);

	/*
	 * scores [blocks, n, 16]: the greatest of each of n, over blocks and
	 * lanes, is compared with best[i]; where it is greater, best[i] and
	 * index[i] (first_index + block * 16 + lane) are replaced.  Ties go to
	 * the lower index.
	 */
	void (*best_score)(const float *scores, size_t blocks, size_t n,
					   uint32_t first_index, float *best, uint32_t *index);
} FrSearchKernels;

extern const FrSearchKernels fr_search_kernels_generic;
#if defined(__x86_64__)
extern const FrSearchKernels fr_search_kernels_avx2;
extern const FrSearchKernels fr_search_kernels_avx512;
#endif

#endif
