/*
 * nn_quantize.h: from floats to bytes (template).
 *
 * Rounding adds and subtracts 1.5 * 2^23, which leaves the nearest integer
 * (ties to even) in the low bits, on every machine alike.
 */
#ifndef FR_KERNELS_NN_QUANTIZE_H
#define FR_KERNELS_NN_QUANTIZE_H

#include <string.h>

#include "kernels/nn_vector.h"

#define ROUND_MAGIC 12582912.0f /* 1.5 * 2^23 */

typedef uint8_t VecBytes __attribute__((vector_size(VL)));

/* What quantising needs, for one vector of channels. */
typedef struct Quantizer
{
	Vec scale, shift, low, high;
	VecInt offset; /* bits of the magic number less the zero point */
} Quantizer;

ALWAYS_INLINE Quantizer
quantizer_at(const FrQuantize *quantize, ptrdiff_t channel)
{
	const VecInt magic = (VecInt) vec_set(ROUND_MAGIC);

	return (Quantizer){
		.scale = vec_load(quantize->scale + channel),
		.shift = vec_load(quantize->shift + channel),
		.low = vec_set((float) -quantize->zero_point),
		.high = vec_set((float) (255 - quantize->zero_point)),
		.offset = magic - quantize->zero_point,
	};
}

/* The order of the limits makes NaN the lowest byte. */
ALWAYS_INLINE void
store_bytes(uint8_t *target, Vec value, const Quantizer *q)
{
	const Vec limited =
		vec_min(vec_max(value * q->scale + q->shift, q->low), q->high);
	const VecInt rounded = (VecInt) (limited + ROUND_MAGIC) - q->offset;
	const VecBytes bytes = __builtin_convertvector(rounded, VecBytes);

	memcpy(target, &bytes, sizeof bytes);
}

#endif
