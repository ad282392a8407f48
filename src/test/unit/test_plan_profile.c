/*
 * test_plan_profile.c: what the CPU reaches, and how long steps take.
 *
 * Times cannot be compared with anything; that they are positive, follow the
 * clock that is given, and that nothing leaks when memory runs out, can.
 */
#include "core/nn/profile.h"
#include "tap.h"

/* A clock that says that every step takes one second. */
static double ticks;

static double
tick(void)
{
	return ticks += 1.0;
}

static bool
always(void *context)
{
	(void) context;
	return true;
}

static void
test_peak(const FrKernels *kernels)
{
	FrPeak peak = {0};
	FrError error;
	FrStatus status = fr_profile_peak(kernels, tick, NULL, &fr_allocator_malloc,
									  &peak, &error);

	is_status(status, FR_OK, &error, "%s: peak", kernels->isa);
	ok_near(peak.flops, 2.0 * 128 * 128 * 28 * 28, 1.0,
			"%s: one convolution per tick", kernels->isa);
	ok_near(peak.int8_ops, 2.0 * 128 * 128 * 28 * 28, 1.0,
			"%s: one convolution of bytes per tick", kernels->isa);
	ok_near(peak.bytes_streamed, 32.0 * 1024 * 1024, 1.0,
			"%s: one stream per tick", kernels->isa);
}

static void
test_cancel(void)
{
	const FrCancel cancel = {always, NULL};
	FrPeak peak;
	FrError error;

	is_status(fr_profile_peak(fr_kernels_by_name("generic"), tick, &cancel,
							  &fr_allocator_malloc, &peak, &error),
			  FR_ERR_CANCELLED, &error, "measuring can be cancelled");
}

static void
test_no_memory(void)
{
	TestMemory memory = {0};
	FrAllocator allocator = test_allocator(&memory);
	const FrKernels *kernels = fr_kernels_best();
	FrPeak peak;
	FrError error;
	bool are_all_refused = true;

	fr_profile_peak(kernels, tick, NULL, &allocator, &peak, &error);

	long requests = memory.requests;

	for (long n = 1; n <= requests; n++)
	{
		memory = (TestMemory){.fail_at = n};
		are_all_refused &= fr_profile_peak(kernels, tick, NULL, &allocator,
										   &peak, &error) == FR_ERR_NOMEM &&
						   memory.live == 0;
	}
	ok(are_all_refused && requests > 10,
	   "each of %ld allocations may fail, and nothing leaks", requests);
}

static void
test_estimate(void)
{
	const FrPeak peak = {
		.flops = 100.0, .int8_ops = 400.0, .bytes_streamed = 10.0};
	const FrPlanStep busy = {
		.flops = 1000.0, .weight_bytes = 8, .shape = {.rank = 1, .dims = {3}}};
	const FrPlanStep heavy = {
		.flops = 1.0, .weight_bytes = 88, .shape = {.rank = 1, .dims = {3}}};

	const FrPlanStep clever = {
		.flops = 4000.0, .saving = 4.0, .shape = {.rank = 1, .dims = {3}}};

	ok_near(fr_profile_estimate(&busy, &peak), 10.0, 1e-9,
			"much arithmetic takes as long as that");
	ok_near(fr_profile_estimate(&clever, &peak), 10.0, 1e-9,
			"less where the kernel saves some");
	const FrPlanStep bytes = {
		.flops = 4000.0, .is_int8 = true, .shape = {.rank = 1, .dims = {3}}};

	ok_near(fr_profile_estimate(&bytes, &peak), 10.0, 1e-9,
			"less where bytes are multiplied");
	ok_near(fr_profile_estimate(&heavy, &peak), 10.0, 1e-9,
			"many bytes take as long as those");
}

int
main(void)
{
	test_peak(fr_kernels_by_name("generic"));
	if (fr_kernels_best() != fr_kernels_by_name("generic"))
		test_peak(fr_kernels_best());
	test_cancel();
	test_no_memory();
	test_estimate();
	return tap_done();
}
