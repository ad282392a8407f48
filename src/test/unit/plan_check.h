/*
 * plan_check.h: compare planned networks with their plain operators.
 *
 * A test writes a small model with onnx_build.h; check_plan runs it once by
 * the plain operators and once planned for every instruction set of this CPU,
 * with an arena full of NaN, and compares all outputs.  Header only.
 */
#ifndef FR_TEST_PLAN_CHECK_H
#define FR_TEST_PLAN_CHECK_H

#include "core/nn/plan.h"
#include "core/onnx/import.h"
#include "onnx_build.h"
#include "tap.h"

static const char *const check_isas[] = {"generic", "avx2", "avx512-fma",
										 "avx512-pairs"};
#define CHECK_ISA_COUNT ((int) (sizeof check_isas / sizeof *check_isas))

/* ---- random numbers ------------------------------------------------------ */

static uint32_t check_seed = 1;

/* Uniform in low..high; the sequence is the same in every run. */
__attribute__((unused)) static float
check_random(float low, float high)
{
	check_seed = check_seed * 1664525u + 1013904223u;
	return low + (high - low) * (float) (check_seed >> 8) / 16777216.0f;
}

/* Add a float weight of the given shape with values in low..high. */
__attribute__((unused)) static void
check_weight_in(OnnxModel *model, const char *name, int rank,
				const int64_t *dims, float low, float high)
{
	size_t count = 1;
	float *values;

	for (int i = 0; i < rank; i++)
		count *= (size_t) dims[i];
	values = malloc((count + 1) * sizeof *values);
	if (!values)
		abort();
	for (size_t i = 0; i < count; i++)
		values[i] = check_random(low, high);
	onnx_weight_f32(model, name, rank, dims, values);
	free(values);
}

#define CHECK_DIMS(...)                                                     \
	(int) (sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]) \
	{                                                                       \
		__VA_ARGS__                                                         \
	}

__attribute__((unused)) static void
check_weight(OnnxModel *model, const char *name, int rank, const int64_t *dims)
{
	check_weight_in(model, name, rank, dims, -1.0f, 1.0f);
}

/* ---- nets ---------------------------------------------------------------- */

/* A net of the file's bytes; NULL, after a failed test, when it is refused. */
__attribute__((unused)) static FrNet *
check_net(const OnnxBuffer *file, const FrNetOptions *options,
		  const FrAllocator *allocator, FrStatus *status, FrError *error)
{
	FrGraph graph = {0};
	FrNet *net = NULL;

	*status =
		fr_onnx_import(file->data, file->size_bytes, allocator, &graph, error);
	if (*status == FR_OK)
		*status = fr_net_create(&graph, options, allocator, &net, error);
	return net;
}

__attribute__((unused)) static void
check_fill_input(float *input, const FrShape *shape, uint32_t seed)
{
	size_t count = 0;

	fr_shape_count(shape, &count);
	check_seed = seed;
	for (size_t i = 0; i < count; i++)
		input[i] = check_random(-1.0f, 1.0f);
}

/* Largest difference of two plans' outputs number index, relative to the
 * larger of 1 and the largest value; HUGE_VAL when shapes differ or a value is
 * not finite. */
__attribute__((unused)) static double
check_difference(const FrPlan *got_plan, const FrPlan *want_plan, int index)
{
	const FrShape *got_shape, *want_shape;
	const float *got = fr_plan_output(got_plan, index, &got_shape);
	const float *want = fr_plan_output(want_plan, index, &want_shape);
	double scale = 1.0, largest = 0.0;
	size_t count = 0;

	if (!fr_shape_equal(got_shape, want_shape) ||
		!fr_shape_count(got_shape, &count))
		return HUGE_VAL;
	for (size_t i = 0; i < count; i++)
	{
		double difference = fabs((double) got[i] - (double) want[i]);

		if (!isfinite(difference))
			return HUGE_VAL;
		scale = fmax(scale, fabs((double) want[i]));
		largest = fmax(largest, difference);
	}
	return largest / scale;
}

/* Steps of a plan whose kernel's name contains text. */
__attribute__((unused)) static int
check_count_steps(const FrPlan *plan, const char *text)
{
	int count = 0;

	for (int i = 0; i < fr_plan_step_count(plan); i++)
	{
		FrPlanStep step;

		fr_plan_step(plan, i, &step);
		count += strstr(step.kernel, text) != NULL;
	}
	return count;
}

__attribute__((unused)) static void
check_print_steps(const FrPlan *plan)
{
	for (int i = 0; i < fr_plan_step_count(plan); i++)
	{
		FrPlanStep step;
		char text[96];

		fr_plan_step(plan, i, &step);
		diag("%2d %-24s %-32s %s", i, step.name, step.kernel,
			 fr_shape_text(&step.shape, text, sizeof text));
	}
}

/* What outputs may differ by, also where sums are in pairs. */
#define CHECK_TOLERANCE 1e-5

/* One planned run against the reference's outputs. */
__attribute__((unused)) static void
check_isa(const OnnxBuffer *file, const char *isa, const FrPlan *want,
		  const FrShape *shapes, int steps, double tolerance, const char *what)
{
	FrNetOptions options = {.kernels = fr_kernels_by_name(isa),
							.is_poisoned = true};
	FrError error = {0};
	FrStatus status;
	FrPlan *plan = NULL;

	if (!options.kernels)
		return;

	FrNet *net =
		check_net(file, &options, &fr_allocator_malloc, &status, &error);
	double worst = 0.0;

	if (status == FR_OK)
		status = fr_net_plan(net, shapes, NULL, &plan, &error);
	for (int run = 0; run < 2 && status == FR_OK; run++)
	{
		for (int i = 0; i < fr_net_graph(net)->input_count; i++)
			check_fill_input(fr_plan_input(plan, i), &shapes[i],
							 77u + (uint32_t) i);
		status = fr_plan_run(plan, NULL, &error);
		for (int i = 0; i < fr_net_graph(net)->output_count && status == FR_OK;
			 i++)
			worst = fmax(worst, check_difference(plan, want, i));
	}
	if (!ok(status == FR_OK && worst <= tolerance, "%s: %s agrees", what, isa))
		diag("%s %s, difference %g", fr_status_name(status), error.message,
			 worst);
	if (plan && steps >= 0 && fr_plan_step_count(plan) != steps)
	{
		is_int(fr_plan_step_count(plan), steps, "%s: steps", what);
		check_print_steps(plan);
	}
	fr_net_destroy(net);
}

/* Run a new plan of the file's net with strips of so many rows (< 0: none). */
__attribute__((unused)) static FrNet *
check_strip_run(const OnnxBuffer *file, const char *isa, const FrShape *shapes,
				int strip_rows, FrPlan **plan)
{
	FrNetOptions options = {.kernels = fr_kernels_by_name(isa),
							.is_poisoned = true,
							.strip_rows = strip_rows};
	FrError error = {0};
	FrStatus status;
	FrNet *net =
		check_net(file, &options, &fr_allocator_malloc, &status, &error);

	*plan = NULL;
	if (status == FR_OK)
		status = fr_net_plan(net, shapes, NULL, plan, &error);
	for (int run = 0; run < 2 && status == FR_OK; run++)
	{
		for (int i = 0; i < fr_net_graph(net)->input_count; i++)
			check_fill_input(fr_plan_input(*plan, i), &shapes[i],
							 77u + (uint32_t) i);
		status = fr_plan_run(*plan, NULL, &error);
	}
	if (status != FR_OK)
	{
		diag("%s", error.message);
		*plan = NULL;
	}
	return net;
}

/* Steps of a plan that are part of a strip. */
__attribute__((unused)) static int
check_strip_steps(const FrPlan *plan)
{
	int count = 0;

	for (int i = 0; i < fr_plan_step_count(plan); i++)
	{
		FrPlanStep step;

		fr_plan_step(plan, i, &step);
		count += step.strip > 0;
	}
	return count;
}

/* Strips must not change a bit, however many rows they take at a time. */
__attribute__((unused)) static int
check_strips(const OnnxBuffer *file, const char *isa, const FrShape *shapes,
			 const char *what)
{
	static const int rows[] = {1, 2, 5};
	FrPlan *whole, *plan;
	int steps = 0;

	if (!fr_kernels_by_name(isa))
		return 0;

	FrNet *net = check_strip_run(file, isa, shapes, -1, &whole);

	for (int k = 0; k < 3 && whole; k++)
	{
		FrNet *other = check_strip_run(file, isa, shapes, rows[k], &plan);
		bool is_equal = plan != NULL;

		for (int i = 0; i < fr_net_graph(net)->output_count && is_equal; i++)
		{
			const FrShape *shape;
			const float *want = fr_plan_output(whole, i, &shape);
			size_t count = 0;

			is_equal = fr_shape_count(shape, &count) &&
					   memcmp(want, fr_plan_output(plan, i, NULL),
							  count * sizeof(float)) == 0;
		}
		if (!ok(is_equal, "%s: %s, strips of %d rows: the same bits", what, isa,
				rows[k]) &&
			plan)
			check_print_steps(plan);
		if (plan)
			steps += check_strip_steps(plan);
		fr_net_destroy(other);
	}
	fr_net_destroy(net);
	return steps;
}

/*
 * Compare the planned net of a file with the plain one on inputs of the given
 * shapes.  steps: how many steps the plan must have, -1 any.
 */
__attribute__((unused)) static void
check_plan_file(const OnnxBuffer *file, const FrShape *shapes, int steps,
				const char *what)
{
	FrNetOptions options = {.is_reference = true};
	FrError error = {0};
	FrStatus status;
	FrPlan *plan = NULL;
	FrNet *net =
		check_net(file, &options, &fr_allocator_malloc, &status, &error);

	if (status == FR_OK)
		status = fr_net_plan(net, shapes, NULL, &plan, &error);
	if (status == FR_OK)
	{
		for (int i = 0; i < fr_net_graph(net)->input_count; i++)
			check_fill_input(fr_plan_input(plan, i), &shapes[i],
							 77u + (uint32_t) i);
		status = fr_plan_run(plan, NULL, &error);
	}
	if (status != FR_OK)
		is_status(status, FR_OK, &error, "%s: plain run", what);
	else
		for (int i = 0; i < CHECK_ISA_COUNT; i++)
			check_isa(file, check_isas[i], plan, shapes, steps, CHECK_TOLERANCE,
					  what);
	fr_net_destroy(net);
}

/* The same for a model that is finished here. */
__attribute__((unused)) static void
check_plan(OnnxModel *model, const FrShape *shapes, int steps, const char *what)
{
	OnnxBuffer file = onnx_finish(model);

	check_plan_file(&file, shapes, steps, what);
	free(file.data);
}

#define CHECK_SHAPE(...)                                                    \
	(const FrShape)                                                         \
	{                                                                       \
		.rank = (int) (sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), \
		.dims = {                                                           \
			__VA_ARGS__                                                     \
		}                                                                   \
	}

#endif
