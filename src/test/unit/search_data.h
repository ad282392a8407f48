/*
 * search_data.h: what the tests of the index's maths share: random unit
 * vectors, and a shape with pages of 8 kB.
 */
#ifndef FR_TEST_SEARCH_DATA_H
#define FR_TEST_SEARCH_DATA_H

#include <math.h>

#include "core/base/random.h"
#include "core/search/search_shape.h"
#include "kernels/kernels.h"
#include "test/unit/tap.h"

#define PAGE_ROOM 8120 /* bytes of an 8 kB page for blocks or codes */

static uint64_t data_seed = 1;

/* About normal: the sum of 12 uniform numbers less their mean. */
static inline float
random_normal(void)
{
	double sum = -6;

	for (int i = 0; i < 12; i++)
		sum += (double) (fr_random(&data_seed) >> 11) * 0x1p-53;
	return (float) sum;
}

static inline void
random_unit(float *x, size_t count)
{
	double squared = 0;

	for (size_t i = 0; i < count; i++)
	{
		x[i] = random_normal();
		squared += (double) x[i] * (double) x[i];
	}
	for (size_t i = 0; i < count; i++)
		x[i] = (float) ((double) x[i] / sqrt(squared));
}

static inline double
exact_dot(const float *a, const float *b, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (double) a[i] * (double) b[i];
	return sum;
}

static inline FrSearchShape
shape_of(uint32_t dims)
{
	FrSearchShape shape;
	FrError error = {0};
	const uint32_t room = dims <= 1856 ? PAGE_ROOM : 32600;

	is_status(fr_search_shape_init(&shape, dims, NULL, 0, room, room, &error),
			  FR_OK, &error, "shape of %u dimensions", dims);
	return shape;
}

static inline float *
floats_of(size_t count)
{
	return aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64);
}

#endif
