/*
 * value_range.h: which range of a tensor's values eight bits should cover.
 *
 * Values seen are counted in a histogram of equal bins around zero that
 * widens, by powers of two, as larger values come.  The range that is chosen
 * has the least expected squared error: a narrower one cuts off rare large
 * values, a wider one makes every step coarser (J. L. McKinstry et al.,
 * "Discovering Low-Precision Networks Close to Full-Precision Networks",
 * arXiv 1809.04191, section 3; R. Krishnamoorthi, arXiv 1806.08342, section
 * 3.1 for the affine code).
 */
#ifndef FR_CORE_NN_VALUE_RANGE_H
#define FR_CORE_NN_VALUE_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* At least eight bins for each of 256 steps, however the values lie. */
#define FR_RANGE_BINS 4096

typedef struct FrValueRange
{
	float limit;	   /* bins cover -limit..limit; 0: only zeros so far */
	float least, most; /* seen; 0 is always among them */
	uint64_t zeros;	   /* exact zeros, which are in no bin */
	uint64_t bins[FR_RANGE_BINS];
} FrValueRange;

typedef enum FrRangeRule
{
	FR_RANGE_LEAST_ERROR = 0,
	FR_RANGE_EXTREMES /* all that was seen */
} FrRangeRule;

/* Value v is coded as round(v / scale) + zero_point, kept in 0..255. */
typedef struct FrByteCode
{
	float scale;
	uint8_t zero_point;
} FrByteCode;

/* Count values.  False, and nothing counted, when one is not finite. */
bool fr_value_range_add(FrValueRange *range, const float *values, size_t count);

/* The code for values like those that were counted.  Zero is exact. */
FrByteCode fr_value_range_code(const FrValueRange *range, FrRangeRule rule);

#endif
