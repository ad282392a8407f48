/*
 * lane_sum.h: the order in which portable kernels add up their 32 lanes, the
 * same as that of the vector ones, so that the bits agree.
 */
#ifndef FR_KERNELS_LANE_SUM_H
#define FR_KERNELS_LANE_SUM_H

/* Add the lanes: 32 to 8, then 4, 2, 1. */
static inline double
reduce_lanes(const float *lanes)
{
	double sums[8];

	for (int i = 0; i < 8; i++)
		sums[i] = ((double) lanes[i] + (double) lanes[i + 8]) +
				  ((double) lanes[i + 16] + (double) lanes[i + 24]);
	for (int width = 4; width > 0; width /= 2)
		for (int i = 0; i < width; i++)
			sums[i] += sums[i + width];
	return sums[0];
}

#endif
