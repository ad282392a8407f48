/*
 * nn_reference.h: the network kernels as plain loops, written from the
 * contracts in kernels/nn_kernels.h: what test_kernels_nn.c compares with.
 *
 * Sums are in float64.  Each function also gives the sum of the magnitudes
 * of the terms, from which a test derives how far float32 may be off.
 * Depends on libc and kernels/nn_kernels.h.
 */
#ifndef FR_TEST_NN_REFERENCE_H
#define FR_TEST_NN_REFERENCE_H

#include <math.h>

#include "kernels/nn_kernels.h"

static inline double
reference_activate(double v, FrActivation activation, double low, double high,
				   double slope)
{
	if (isnan(v))
		return v;
	switch (activation)
	{
		case FR_ACT_CLIP:
			return fmin(fmax(v, low), high);
		case FR_ACT_PRELU:
			return v > 0 ? v : slope * v;
		case FR_ACT_SIGMOID:
			return 1 / (1 + exp(-v));
		case FR_ACT_TANH:
			return tanh(v);
		case FR_ACT_HARD_SIGMOID:
			return fmin(fmax(v * low + high, 0), 1);
		case FR_ACT_HARD_SWISH:
			return v * fmin(fmax(v / 6 + 0.5, 0), 1);
		case FR_ACT_SWISH:
			return v / (1 + exp(-v));
		case FR_ACT_NONE:
		case FR_ACT_COUNT:
			break;
	}
	return v;
}

/* The epilogue of one sum; residual is NULL when there is none. */
static inline float
reference_finish(double sum, const FrEpilogue *e, int channel,
				 const float *residual)
{
	const double slope =
		e->activation == FR_ACT_PRELU ? (double) e->slope[channel] : 0;

	if (e->bias)
		sum += (double) e->bias[channel];
	if (residual && !e->is_residual_after)
		sum += (double) *residual;
	sum = reference_activate(sum, e->activation, (double) e->low,
							 (double) e->high, slope);
	if (residual && e->is_residual_after)
		sum += (double) *residual;
	return (float) sum;
}

/* The sum of output channel oc at (y, x); weights are ONNX [oc, ic, kh, kw]
 * (row-major) times scale[oc]. */
static inline double
reference_conv_sum(const FrConvTask *t, const float *weights,
				   const float *scale, int oc, int y, int x, double *magnitude)
{
	double sum = 0;

	*magnitude = 0;
	for (int ic = 0; ic < t->in_channels; ++ic)
	{
		for (int ky = 0; ky < t->kernel_h; ++ky)
		{
			for (int kx = 0; kx < t->kernel_w; ++kx)
			{
				const float in =
					t->input[ic / t->in_lanes * t->in_block + y * t->in_row +
							 x * t->in_pixel + ky * t->tap_row +
							 kx * t->tap_col + ic % t->in_lanes];
				const float w =
					weights[((oc * t->in_channels + ic) * t->kernel_h + ky) *
								t->kernel_w +
							kx];
				const double term =
					(double) in * (double) w * (scale ? (double) scale[oc] : 1);

				sum += term;
				*magnitude += fabs(term);
			}
		}
	}
	return sum;
}

/* Output channel oc at (y, x); channels from out_channels on are padding. */
static inline float
reference_conv(const FrConvTask *t, const float *weights, const float *scale,
			   int out_channels, int oc, int y, int x, double *magnitude)
{
	const float *residual = t->residual;
	double sum = 0;

	*magnitude = 0;
	if (oc < out_channels)
		sum = reference_conv_sum(t, weights, scale, oc, y, x, magnitude);
	if (residual)
		residual += oc / FR_BLOCK * t->res_block + y * t->res_row +
					x * t->res_pixel + oc % FR_BLOCK;
	return reference_finish(sum, &t->epilogue, oc, residual);
}

static inline float
reference_depthwise(const FrDepthwiseTask *t, int c, int y, int x,
					double *magnitude)
{
	double sum = 0;

	*magnitude = 0;
	for (int ky = 0; ky < t->kernel_h; ++ky)
	{
		for (int kx = 0; kx < t->kernel_w; ++kx)
		{
			const float in =
				t->input[c / FR_BLOCK * t->in_block + y * t->in_row +
						 x * t->in_pixel + ky * t->tap_row + kx * t->tap_col +
						 c % FR_BLOCK];
			const float w =
				t->weights[((c / FR_BLOCK * t->kernel_h + ky) * t->kernel_w +
							kx) *
							   FR_BLOCK +
						   c % FR_BLOCK];

			sum += (double) in * (double) w;
			*magnitude += fabs((double) in * (double) w);
		}
	}

	const float *residual = t->residual;

	if (residual)
		residual += c / FR_BLOCK * t->res_block + y * t->res_row +
					x * FR_BLOCK + c % FR_BLOCK;
	return reference_finish(sum, &t->epilogue, c, residual);
}

static inline float
reference_pool(const FrPoolTask *t, int c, int y, int x)
{
	double sum = 0, largest = -INFINITY;

	for (int ky = 0; ky < t->kernel_h; ++ky)
	{
		for (int kx = 0; kx < t->kernel_w; ++kx)
		{
			const double in =
				(double) t->input[c / FR_BLOCK * t->in_block + y * t->in_row +
								  x * t->in_pixel + ky * t->tap_row +
								  kx * t->tap_col + c % FR_BLOCK];

			sum += in;
			largest = in > largest ? in : largest;
		}
	}
	return (float) (t->is_max ? largest : sum * (double) t->scale);
}

static inline double
reference_binary(FrBinary binary, double a, double b)
{
	switch (binary)
	{
		case FR_BINARY_ADD:
			return a + b;
		case FR_BINARY_SUB:
			return a - b;
		case FR_BINARY_MUL:
			return a * b;
		case FR_BINARY_DIV:
			return a / b;
		case FR_BINARY_MAX:
			return fmax(a, b);
		case FR_BINARY_MIN:
			return fmin(a, b);
		case FR_BINARY_NONE:
			break;
	}
	return a;
}

static inline float
reference_eltwise(const FrEltwiseTask *t, int c, int y, int x)
{
	const int block = c / FR_BLOCK, lane = c % FR_BLOCK;
	double a =
		(double) t->a[block * t->a_block + y * t->a_row + x * FR_BLOCK + lane];
	double b = 0;

	if (t->scale)
		a *= (double) t->scale[c];
	if (t->b)
		b = (double)
				t->b[block * t->b_block + y * t->b_row + x * t->b_pixel + lane];
	return reference_finish(reference_binary(t->binary, a, b), &t->epilogue, c,
							NULL);
}

#endif
