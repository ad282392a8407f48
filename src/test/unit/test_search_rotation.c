/*
 * test_search_rotation.c: the rotation keeps inner products, mixes whatever it
 * gets and depends on nothing but its seed.
 */
#include "core/metric/direction.h"
#include "core/search/rotation.h"
#include "test/unit/search_data.h"

static const FrKernels *kernels;

static FrRotation
rotation_of(const FrSearchShape *shape, uint64_t seed)
{
	FrRotation rotation;
	FrError error = {0};

	is_status(
		fr_rotation_init(&rotation, shape, seed, &fr_allocator_malloc, &error),
		FR_OK, &error, "rotation of %u", shape->padded);
	return rotation;
}

static void
test_keeps_products(uint32_t dims)
{
	const FrSearchShape shape = shape_of(dims);
	FrRotation rotation = rotation_of(&shape, 99);
	float *x = floats_of(dims), *y = floats_of(dims);
	float *rx = floats_of(shape.padded), *ry = floats_of(shape.padded);
	double worst = 0;

	for (int i = 0; i < 10; i++)
	{
		random_unit(x, dims);
		random_unit(y, dims);
		fr_rotation_apply(&rotation, kernels, x, rx);
		fr_rotation_apply(&rotation, kernels, y, ry);
		worst = fmax(worst, fabs(exact_dot(x, y, dims) -
								 exact_dot(rx, ry, shape.padded)));
		worst = fmax(worst, fabs(exact_dot(rx, rx, shape.padded) - 1));
	}
	ok(worst < 2e-6, "%u dimensions: products are kept (%.1e)", dims, worst);
	fr_rotation_fini(&rotation, &fr_allocator_malloc);
	free(x);
	free(y);
	free(rx);
	free(ry);
}

/* Even an axis becomes a vector whose coordinates look normal: fourth moment 3,
 * none far out. */
static void
test_mixes_axes(uint32_t dims)
{
	const FrSearchShape shape = shape_of(dims);
	FrRotation rotation = rotation_of(&shape, 5);
	float *x = floats_of(dims), *rx = floats_of(shape.padded);
	double fourth = 0, greatest = 0;
	const double p = shape.padded;

	for (uint32_t axis = 0; axis < dims; axis += dims / 8)
	{
		memset(x, 0, dims * sizeof *x);
		x[axis] = 1;
		fr_rotation_apply(&rotation, kernels, x, rx);
		for (uint32_t i = 0; i < shape.padded; i++)
		{
			const double v = (double) rx[i] * sqrt(p);

			fourth += v * v * v * v / p;
			greatest = fmax(greatest, fabs(v));
		}
	}
	fourth /= (dims + dims / 8 - 1) / (dims / 8);
	ok(fourth > 2.2 && fourth < 3.8 && greatest < 6,
	   "%u dimensions: axes are mixed (fourth moment %.2f, greatest %.2f)",
	   dims, fourth, greatest);
	fr_rotation_fini(&rotation, &fr_allocator_malloc);
	free(x);
	free(rx);
}

static void
test_seeds_differ(void)
{
	const FrSearchShape shape = shape_of(512);
	FrRotation a = rotation_of(&shape, 1), b = rotation_of(&shape, 2);
	FrRotation again = rotation_of(&shape, 1);
	float x[512], ra[512], rb[512], rc[512];

	random_unit(x, 512);
	fr_rotation_apply(&a, kernels, x, ra);
	fr_rotation_apply(&b, kernels, x, rb);
	fr_rotation_apply(&again, kernels, x, rc);
	ok(memcmp(ra, rc, sizeof ra) == 0, "the same seed: the same bits");
	ok(fabs(exact_dot(ra, rb, 512)) < 0.3, "another seed: another rotation");
	fr_rotation_fini(&a, &fr_allocator_malloc);
	fr_rotation_fini(&b, &fr_allocator_malloc);
	fr_rotation_fini(&again, &fr_allocator_malloc);
}

static void
test_halves(void)
{
	const FrSearchShape shape = shape_of(600);
	FrRotation rotation = rotation_of(&shape, 3);
	float x[600], unit[600], want[640], got[640], scale;
	uint16_t halves[600];

	random_unit(x, 600);
	fr_direction_pack(x, 600, halves, &scale);
	kernels->vector->f16_to_f32(halves, unit, 600);
	for (int i = 0; i < 600; i++)
		unit[i] *= scale;
	fr_rotation_apply(&rotation, kernels, unit, want);
	fr_rotation_apply_halves(&rotation, kernels, halves, scale, got);
	ok(memcmp(got, want, sizeof got) == 0, "stored directions");
	fr_rotation_fini(&rotation, &fr_allocator_malloc);
}

static void
test_allocation_failures(void)
{
	const FrSearchShape shape = shape_of(576);

	for (long fail_at = 1; fail_at <= 2; fail_at++)
	{
		TestMemory memory = {.fail_at = fail_at};
		FrAllocator allocator = test_allocator(&memory);
		FrRotation rotation;
		FrError error = {0};

		is_status(fr_rotation_init(&rotation, &shape, 1, &allocator, &error),
				  FR_ERR_NOMEM, &error, "allocation %ld fails", fail_at);
		fr_rotation_fini(&rotation, &allocator);
		is_int(memory.live, 0, "nothing is lost");
	}
}

int
main(void)
{
	static const uint32_t dims[] = {1,	 3,	  64,	128,  257, 300,
									512, 576, 1000, 1856, 4032};

	kernels = fr_kernels_best();
	for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
		test_keeps_products(dims[i]);
	test_mixes_axes(128);
	test_mixes_axes(512);
	test_mixes_axes(576);
	test_mixes_axes(1856);
	test_seeds_differ();
	test_halves();
	test_allocation_failures();
	return tap_done();
}
