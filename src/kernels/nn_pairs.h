/*
 * nn_pairs.h: two multiply-adds for one (template).
 *
 * Some processors have floating-point adders beside their multiply-add
 * units (AMD since Zen): a convolution leaves them idle.  Winograd's inner
 * product uses them:
 *
 *     x0 * y0 + x1 * y1 = (x0 + y1) * (x1 + y0) - x0 * x1 - y0 * y1
 *
 * (S. Winograd, "A New Algorithm for Inner Product", IEEE Transactions on
 * Computers C-17(7), 1968, equations 1 to 3.)  The sum of y0 * y1 belongs to
 * an output channel and is known when weights are packed; the sum of x0 * x1
 * belongs to an output pixel and is computed here, once for all output
 * channels.  With PAIRS = 5 of the 8 pairs of a block, 16 multiply-adds
 * become 11 and 10 additions: both kinds of unit are busy.
 *
 * Every other pair is subtracted, with the weights' signs changed:
 *
 *     x0 * y0 + x1 * y1 = x0 * x1 + y0 * y1 - (x0 - y1) * (x1 - y0)
 *
 * Inputs behind a Relu are never negative; products x0 * x1 of one sign would
 * pile up in the sums and cost digits.
 */
#ifndef FR_KERNELS_NN_PAIRS_H
#define FR_KERNELS_NN_PAIRS_H

#include "kernels/nn_filter.h"

/* Pixels whose corrections are computed before tiles run over them. */
#define MAX_CORRECTIONS 2048

/* Half a block. */
typedef float Octet __attribute__((vector_size(FR_BLOCK / 2 * 4)));
typedef float OctetMemory
	__attribute__((vector_size(FR_BLOCK / 2 * 4), aligned(4), may_alias));

/* The signed sum of the products of paired inputs in the window of one output
 * pixel. */
static float
pixel_correction(const FrConvTask *task, const float *window)
{
	Octet sums[2] = {{0}, {0}}, total;
	float correction = 0;

	for (int block = 0; block < task->in_channels / FR_BLOCK; ++block)
	{
		Octet sum = sums[block % 2];

		for (int ky = 0; ky < task->kernel_h; ++ky)
		{
			const float *source = window + ky * task->tap_row;

			for (int kx = 0; kx < task->kernel_w; ++kx)
			{
				sum += *(const OctetMemory *) source *
					   *(const OctetMemory *) (source + FR_BLOCK / 2);
				source += task->tap_col;
			}
		}
		sums[block % 2] = sum;
		window += task->in_block;
	}
	total = sums[0] - sums[1];
	for (int pair = 0; pair < PAIRS; ++pair)
		correction += is_subtracted(pair, 0) ? -total[pair] : total[pair];
	return correction;
}

#endif
