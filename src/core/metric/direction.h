/*
 * direction.h: directions as vectors of halves, the content of an embedding.
 *
 * A stored direction is a vector of IEEE 754 halves whose norm is within
 * FR_DIRECTION_SLACK of 1, and its float "scale", which is 1 / norm.
 *
 * Packing keeps what is already a direction: if the values, rounded to
 * halves, have a norm within the slack, the rounded values are stored;
 * otherwise they are divided by their norm first.  Rounding a unit vector of
 * n dimensions to halves moves it by at most 2^-11 (relative, normal halves)
 * plus sqrt(n) * 2^-25 (absolute, subnormal halves), for n <= 4096 less than
 * 0.0005, which is below the slack of 0.00073.  So every packed direction
 * meets the first rule, and packing it again, from its text, its array of
 * floats or its bytes, gives the same bits: packing is idempotent.  Values
 * that the rule keeps although their norm is, say, 1.0005 lose nothing: the
 * scale takes the norm out of every distance.
 *
 * Negative zeros become zeros, so that equal directions have equal bytes.
 */
#ifndef FR_CORE_METRIC_DIRECTION_H
#define FR_CORE_METRIC_DIRECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/vector_kernels.h"

#define FR_DIRECTION_MAX_DIMS 4096
#define FR_DIRECTION_SLACK	  (1.5 / 2048)

/* Why values or a text are no direction. */
typedef enum FrDirectionFault
{
	FR_DIRECTION_OK = 0,
	FR_DIRECTION_SYNTAX,   /* text in another form */
	FR_DIRECTION_EMPTY,	   /* no dimension */
	FR_DIRECTION_TOO_LONG, /* more than FR_DIRECTION_MAX_DIMS */
	FR_DIRECTION_RANGE,	   /* a number beyond single precision */
	FR_DIRECTION_NAN,
	FR_DIRECTION_INFINITE,
	FR_DIRECTION_ZERO /* all values are 0 */
} FrDirectionFault;

/* Pack values [count]; on a fault halves are undefined. */
FrDirectionFault fr_direction_pack(const float *values, size_t count,
								   uint16_t *halves, float *scale);

/* Check that halves [count] are a packed direction, and compute the scale.
 * False when a half is not finite, the norm is not within the slack, or a
 * zero is negative. */
bool fr_direction_scale(const uint16_t *halves, size_t count, float *scale);

/*
 * Cosine distance of two packed directions, 0..2.  The scale is the smallest
 * float for which the similarity of a direction with itself is not below 1,
 * so the distance of equal directions is exactly 0.  Symmetric to the last
 * bit, and the same on every instruction set.  Resolution: about 3e-7.
 */
static inline double
fr_direction_distance(const FrVectorKernels *kernels, const uint16_t *a,
					  float a_scale, const uint16_t *b, float b_scale,
					  size_t count)
{
	double similarity =
		kernels->dot_f16(a, b, count) * ((double) a_scale * (double) b_scale);
	double distance = 1.0 - similarity;

	return distance < 0.0 ? 0.0 : distance > 2.0 ? 2.0 : distance;
}

#endif
