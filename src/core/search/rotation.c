/*
 * rotation.c: signs and mixing matrix of the pseudo-random rotation.
 *
 * The Hartley matrix cos(t) + sin(t), t = 2 pi i j / n, over sqrt(n), is
 * symmetric and its own inverse (R. V. L. Hartley, "A More Symmetrical Fourier
 * Analysis", Proc. IRE 30, 1942).
 */
#include "core/search/rotation.h"

#include <math.h>
#include <string.h>

#include "core/base/random.h"

static void
fill_signs(FrRotation *rotation, uint64_t seed)
{
	const float norm = (float) (1.0 / sqrt((double) rotation->power));
	const size_t count = (size_t) FR_ROTATION_ROUNDS * rotation->padded;
	uint64_t bits = 0;

	for (size_t i = 0; i < count; i++, bits >>= 1)
	{
		if (i % 64 == 0)
			bits = fr_random(&seed);
		rotation->signs[i] = bits & 1 ? norm : -norm;
	}
}

static void
fill_matrix(FrRotation *rotation)
{
	const uint32_t n = rotation->odd;

	for (uint32_t i = 0; i < n; i++)
		for (uint32_t j = 0; j < n; j++)
		{
			double angle = 2.0 * M_PI * (double) (i * j % n) / n;

			rotation->matrix[i * n + j] =
				(float) ((cos(angle) + sin(angle)) / sqrt((double) n));
		}
}

FrStatus
fr_rotation_init(FrRotation *rotation, const FrSearchShape *shape,
				 uint64_t seed, const FrAllocator *allocator, FrError *error)
{
	const size_t sign_bytes =
		(size_t) FR_ROTATION_ROUNDS * shape->padded * sizeof(float);

	*rotation = (FrRotation){.dims = shape->dims, .padded = shape->padded};
	rotation->power = shape->padded & (~shape->padded + 1);
	rotation->odd = shape->padded / rotation->power;
	rotation->signs = fr_alloc_aligned(allocator, sign_bytes);
	if (!rotation->signs)
		return fr_fail_nomem(error, sign_bytes);
	fill_signs(rotation, seed);
	if (rotation->odd > 1)
	{
		const size_t matrix_bytes =
			(size_t) rotation->odd * rotation->odd * sizeof(float);

		rotation->matrix = fr_alloc_aligned(allocator, matrix_bytes);
		if (!rotation->matrix)
			return fr_fail_nomem(error, matrix_bytes);
		fill_matrix(rotation);
	}
	return FR_OK;
}

void
fr_rotation_fini(FrRotation *rotation, const FrAllocator *allocator)
{
	fr_release_aligned(allocator, rotation->signs);
	fr_release_aligned(allocator, rotation->matrix);
	rotation->signs = rotation->matrix = NULL;
}

/* Pad and rotate what is in the first dims of out. */
static void
rotate(const FrRotation *rotation, const FrKernels *kernels, float *out)
{
	memset(out + rotation->dims, 0,
		   (rotation->padded - rotation->dims) * sizeof *out);
	kernels->search->rotate(out, rotation->signs, rotation->matrix,
							FR_ROTATION_ROUNDS, rotation->power, rotation->odd);
}

void
fr_rotation_apply(const FrRotation *rotation, const FrKernels *kernels,
				  const float *x, float *out)
{
	memcpy(out, x, rotation->dims * sizeof *out);
	rotate(rotation, kernels, out);
}

void
fr_rotation_apply_halves(const FrRotation *rotation, const FrKernels *kernels,
						 const uint16_t *halves, float scale, float *out)
{
	kernels->vector->f16_to_f32(halves, out, rotation->dims);
	for (uint32_t i = 0; i < rotation->dims; i++)
		out[i] *= scale;
	rotate(rotation, kernels, out);
}
