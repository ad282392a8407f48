/*
 * pack_winograd.c: filters at the positions of F(4x4, 3x3) or F(3x3, 3x3).
 *
 * Each 3x3 filter g becomes G g G' (nn_winograd.h), computed in double and
 * rounded once.  Row i of G evaluates a polynomial of degree 2 at point p and
 * divides by the product of p's distances from the other points:
 *
 *     p               0     3/4       -3/4      3/2      -3/2     infinity
 *     1 / N, 4x4  64/81  -128/243  -128/243   32/243   32/243         1
 *     1 / N, 3x3  32/27   -32/27    -32/81    32/81       -           1
 *
 * Packed as [chunk of output blocks][position][conv_pack of a 1x1 kernel], in
 * the order in which a run reads it.
 */
#include "core/base/size.h"
#include "core/nn/planner.h"

#define A 0.75
#define B 1.5

#define MAX_WINDOW FR_WINOGRAD_WINDOW(FR_WINOGRAD_MAX_TILE)

/* One dimension: out[position] from three taps, for tiles of so many outputs.
 */
static void
evaluate(const double tap[3], int tile, double out[MAX_WINDOW])
{
	double even_a = tap[0] + A * A * tap[2], odd_a = A * tap[1];
	double even_b = tap[0] + B * B * tap[2], odd_b = B * tap[1];

	if (tile == 3)
	{
		out[0] = tap[0] * (32.0 / 27.0);
		out[1] = (even_a + odd_a) * (-32.0 / 27.0);
		out[2] = (even_a - odd_a) * (-32.0 / 81.0);
		out[3] = (even_b + odd_b) * (32.0 / 81.0);
		out[4] = tap[2];
		return;
	}
	out[0] = tap[0] * (64.0 / 81.0);
	out[1] = (even_a + odd_a) * (-128.0 / 243.0);
	out[2] = (even_a - odd_a) * (-128.0 / 243.0);
	out[3] = (even_b + odd_b) * (32.0 / 243.0);
	out[4] = (even_b - odd_b) * (32.0 / 243.0);
	out[5] = tap[2];
}

/* One filter, multiplied by factor, to positions that lie stride apart. */
static void
transform(const float filter[9], double factor, int tile, float *out,
		  size_t stride)
{
	const int window = FR_WINOGRAD_WINDOW(tile);
	double columns[3][MAX_WINDOW];

	for (int x = 0; x < 3; x++)
	{
		double tap[3] = {(double) filter[x] * factor,
						 (double) filter[3 + x] * factor,
						 (double) filter[6 + x] * factor};

		evaluate(tap, tile, columns[x]);
	}
	for (int y = 0; y < window; y++)
	{
		double tap[3] = {columns[0][y], columns[1][y], columns[2][y]};
		double row[MAX_WINDOW];

		evaluate(tap, tile, row);
		for (int x = 0; x < window; x++)
			out[(size_t) (y * window + x) * stride] = (float) row[x];
	}
}

/* Outputs of a tile in each direction. */
static int
tile_of(const FrPackKey *key)
{
	return key->transform == FR_PACK_WINOGRAD_3 ? 3 : 4;
}

static FrConvFilter
product_filter(const FrPackKey *key, int count)
{
	return (FrConvFilter){.out_channels = count,
						  .in_channels = key->in_channels,
						  .kernel_h = 1,
						  .kernel_w = 1,
						  .in_lanes = FR_BLOCK,
						  .format = key->format};
}

bool
fr_pack_winograd_bytes(const FrPackKey *key, const FrNnKernels *kernels,
					   size_t *bytes)
{
	FrConvFilter filter = product_filter(key, key->out_channels);

	return fr_size_mul(kernels->conv_packed_bytes(&filter),
					   FR_WINOGRAD_POSITIONS((size_t) tile_of(key)), bytes);
}

/* The filters of count output channels from first on, at all positions:
 * [position][count][in_channels]; false when cancelled. */
static bool
transform_chunk(const FrPackKey *key, int first, int count,
				const FrCancel *cancel, float *out)
{
	size_t stride = (size_t) count * (size_t) key->in_channels;

	for (int o = 0; o < count; o++)
	{
		if (fr_is_cancelled(cancel))
			return false;
		for (int i = 0; i < key->in_channels; i++)
		{
			size_t at =
				(size_t) (first + o) * (size_t) key->in_channels + (size_t) i;
			double factor = 1.0 / (double) FR_WINOGRAD_VALUE_SCALE;

			if (key->scale)
				factor *= (double) key->scale[first + o];
			if (key->pre_scale)
				factor *= (double) key->pre_scale[i];
			transform(key->weights + 9 * at, factor, tile_of(key),
					  out + (size_t) o * (size_t) key->in_channels + i, stride);
		}
	}
	return true;
}

FrStatus
fr_pack_winograd(const FrPackKey *key, const FrNnKernels *kernels,
				 const FrCancel *cancel, const FrAllocator *allocator,
				 void *data, FrError *error)
{
	int most = FR_WINOGRAD_CHUNK * FR_BLOCK;
	int positions = FR_WINOGRAD_POSITIONS(tile_of(key));
	bool is_cancelled = false;
	char *target = data;
	size_t bytes;

	if (most > key->out_channels)
		most = key->out_channels;
	if (!fr_size_mul3((size_t) most, (size_t) key->in_channels,
					  (size_t) positions * sizeof(float), &bytes))
		return fr_fail_nomem(error, SIZE_MAX);

	float *chunk = fr_alloc(allocator, bytes);

	if (!chunk)
		return fr_fail_nomem(error, bytes);
	for (int first = 0; first < key->out_channels && !is_cancelled;
		 first += most)
	{
		int rest = key->out_channels - first;
		int count = rest < most ? rest : most;
		FrConvFilter filter = product_filter(key, count);

		is_cancelled = !transform_chunk(key, first, count, cancel, chunk);
		for (int p = 0; p < positions && !is_cancelled; p++)
		{
			is_cancelled = fr_is_cancelled(cancel);
			kernels->conv_pack(&filter,
							   chunk + (size_t) p * (size_t) count *
										   (size_t) key->in_channels,
							   NULL, target);
			target += kernels->conv_packed_bytes(&filter);
		}
	}
	fr_release(allocator, chunk);
	return is_cancelled
			   ? fr_fail(error, FR_ERR_CANCELLED, "Planning was cancelled.")
			   : FR_OK;
}
