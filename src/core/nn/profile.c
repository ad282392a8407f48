/*
 * profile.c: see profile.h.
 */
#include "core/nn/profile.h"

#include <string.h>

#include "core/base/size.h"
#include "core/nn/planner.h"

/* A 1x1 convolution whose maps and weights stay in the second-level cache. */
#define PEAK_CHANNELS 128
#define PEAK_SIDE	  28
#define PEAK_FLOPS	  (2.0 * PEAK_CHANNELS * PEAK_CHANNELS * PEAK_SIDE * PEAK_SIDE)

/* Larger than the last cache that one core has to itself. */
#define STREAM_FLOATS ((size_t) 4 << 20)

#define PEAK_RUNS	15
#define STREAM_RUNS 3

static double
median(double *values, int count)
{
	for (int i = 1; i < count; i++)
	{
		double value = values[i];
		int hole = i;

		for (; hole > 0 && values[hole - 1] > value; hole--)
			values[hole] = values[hole - 1];
		values[hole] = value;
	}
	return values[count / 2];
}

/* ---- what is possible ----------------------------------------------------- */

/* A graph of one convolution; its arena owns everything. */
static bool
build_peak_graph(const FrAllocator *allocator, FrGraph *graph)
{
	FrArena *arena = &graph->arena;
	size_t weight_count = (size_t) PEAK_CHANNELS * PEAK_CHANNELS;
	const FrShape map = {.rank = 4,
						 .dims = {1, PEAK_CHANNELS, PEAK_SIDE, PEAK_SIDE}};
	const FrShape filters = {.rank = 4,
							 .dims = {PEAK_CHANNELS, PEAK_CHANNELS, 1, 1}};
	float *weights;
	int32_t *ends;

	*graph = (FrGraph){
		.node_count = 1, .value_count = 3, .input_count = 1, .output_count = 1};
	fr_arena_init(arena, allocator);
	graph->nodes = fr_arena_alloc_zeroed(arena, 1, sizeof *graph->nodes);
	graph->values = fr_arena_alloc_zeroed(arena, 3, sizeof *graph->values);
	weights = fr_arena_alloc_zeroed(arena, weight_count, sizeof *weights);
	ends = fr_arena_alloc_zeroed(arena, 3, sizeof *ends);
	if (!graph->nodes || !graph->values || !weights || !ends)
		return false;
	ends[1] = 1;
	ends[2] = 2;
	graph->inputs = ends;
	graph->outputs = ends + 2;
	for (size_t i = 0; i < weight_count; i++)
		weights[i] = 1.0f / PEAK_CHANNELS;
	graph->values[0] = (FrValue){
		.name = "x", .dtype = FR_FLOAT32, .shape = map, .is_shape_known = true};
	graph->values[1] = (FrValue){.name = "w",
								 .dtype = FR_FLOAT32,
								 .shape = filters,
								 .is_shape_known = true,
								 .constant = weights};
	graph->values[2] = (FrValue){.name = "y"};
	graph->nodes[0] = (FrNode){.op = FR_OP_CONV,
							   .name = "peak",
							   .input_count = 2,
							   .inputs = ends,
							   .output_count = 1,
							   .outputs = ends + 2};
	graph->nodes[0].u.window = (FrWindow){
		.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}, .group = 1};
	return true;
}

/* The convolution is the plan's longest step: the others convert its ends. */
static FrStatus
measure_flops(const FrKernels *kernels, FrClock now, const FrCancel *cancel,
			  const FrAllocator *allocator, double *flops, FrError *error)
{
	const FrShape shape = {.rank = 4,
						   .dims = {1, PEAK_CHANNELS, PEAK_SIDE, PEAK_SIDE}};
	const FrNetOptions options = {.kernels = kernels};
	double seconds[8], longest = 1e-9;
	FrGraph graph;
	FrNet *net;
	FrPlan *plan;

	if (!build_peak_graph(allocator, &graph))
	{
		fr_graph_destroy(&graph);
		return fr_fail_nomem(error, sizeof graph);
	}

	FrStatus status = fr_net_create(&graph, &options, allocator, &net, error);

	if (status != FR_OK)
		return status;
	status = fr_net_plan(net, &shape, cancel, &plan, error);
	if (status == FR_OK && fr_plan_step_count(plan) > 8)
		status = fr_fail(error, FR_ERR_BUG, "A convolution has %d steps.",
						 fr_plan_step_count(plan));
	if (status == FR_OK)
		status = fr_profile_run(plan, PEAK_RUNS, now, cancel, allocator,
								seconds, error);
	for (int i = 0; status == FR_OK && i < fr_plan_step_count(plan); i++)
	{
		FrPlanStep step;

		fr_plan_step(plan, i, &step);
		if (step.flops > 0 && seconds[i] > longest)
			longest = seconds[i];
	}
	*flops = PEAK_FLOPS / longest;
	fr_net_destroy(net);
	return status;
}

/* The same convolution of bytes; memory is zero, which takes as long. */
static FrStatus
measure_int8(const FrInt8Kernels *kernels, FrClock now, const FrCancel *cancel,
			 const FrAllocator *allocator, double *ops, FrError *error)
{
	const ptrdiff_t pixels = PEAK_SIDE * PEAK_SIDE;
	size_t input_bytes = (size_t) (PEAK_CHANNELS * pixels);
	size_t output_bytes = input_bytes * sizeof(float);
	size_t constant_bytes = PEAK_CHANNELS * sizeof(float);
	size_t size_bytes =
		input_bytes + output_bytes + constant_bytes +
		kernels->packed_bytes(PEAK_CHANNELS, PEAK_CHANNELS, 1, 1);
	double seconds[PEAK_RUNS];
	uint8_t *memory = fr_alloc_aligned(allocator, size_bytes);

	if (!memory)
		return fr_fail_nomem(error, size_bytes);
	memset(memory, 0, size_bytes);

	uint8_t *output = memory + input_bytes;
	uint8_t *zeros = output + output_bytes;
	FrInt8ConvTask task = {
		.input = memory,
		.in_block = FR_BYTE_BLOCK * pixels,
		.in_row = FR_BYTE_BLOCK * PEAK_SIDE,
		.in_pixel = FR_BYTE_BLOCK,
		.in_quads = PEAK_CHANNELS / FR_QUAD,
		.pixel_quads = FR_BYTE_BLOCK / FR_QUAD,
		.kernel_h = 1,
		.kernel_w = 1,
		.out_blocks = PEAK_CHANNELS / FR_BLOCK,
		.out_h = PEAK_SIDE,
		.out_w = PEAK_SIDE,
		.output = (float *) (void *) output,
		.out_block = FR_BLOCK * pixels,
		.out_row = FR_BLOCK * PEAK_SIDE,
		.out_pixel = FR_BLOCK,
		.weights = (const int8_t *) (zeros + constant_bytes),
		.start = (const int32_t *) (void *) zeros,
		.scale = (const float *) (void *) zeros,
		.epilogue = {.bias = (const float *) (void *) zeros},
	};
	FrStatus status = FR_OK;

	for (int i = 0; i < PEAK_RUNS && status == FR_OK; i++)
	{
		double start = now();

		if (fr_is_cancelled(cancel))
			status = fr_fail(error, FR_ERR_CANCELLED,
							 "Measuring kernels was cancelled.");
		else
			kernels->conv(&task);
		seconds[i] = now() - start;
	}
	fr_release_aligned(allocator, memory);
	if (status == FR_OK)
	{
		double typical = median(seconds, PEAK_RUNS);

		*ops = PEAK_FLOPS / (typical > 1e-9 ? typical : 1e-9);
	}
	return status;
}

static FrStatus
measure_stream(const FrKernels *kernels, FrClock now, const FrCancel *cancel,
			   const FrAllocator *allocator, double *bytes, FrError *error)
{
	size_t half = STREAM_FLOATS * sizeof(float);
	double seconds[STREAM_RUNS];
	float *memory = fr_alloc_aligned(allocator, 2 * half);

	if (!memory)
		return fr_fail_nomem(error, 2 * half);
	memset(memory, 0, 2 * half);
	for (int i = 0; i < STREAM_RUNS; i++)
	{
		double start = now();

		if (fr_is_cancelled(cancel))
		{
			fr_release_aligned(allocator, memory);
			return fr_fail(error, FR_ERR_CANCELLED,
						   "Measuring memory was cancelled.");
		}
		kernels->nn->activate(memory, memory + STREAM_FLOATS, STREAM_FLOATS,
							  FR_ACT_CLIP, 0.0f, 1.0f);
		seconds[i] = now() - start;
	}
	fr_release_aligned(allocator, memory);

	double typical = median(seconds, STREAM_RUNS);

	*bytes = 2.0 * (double) half / (typical > 1e-9 ? typical : 1e-9);
	return FR_OK;
}

FrStatus
fr_profile_peak(const FrKernels *kernels, FrClock now, const FrCancel *cancel,
				const FrAllocator *allocator, FrPeak *peak, FrError *error)
{
	FrStatus status =
		measure_flops(kernels, now, cancel, allocator, &peak->flops, error);

	if (status == FR_OK)
		status = measure_int8(kernels->int8, now, cancel, allocator,
							  &peak->int8_ops, error);
	if (status == FR_OK)
		status = measure_stream(kernels, now, cancel, allocator,
								&peak->bytes_streamed, error);
	return status;
}

double
fr_profile_estimate(const FrPlanStep *step, const FrPeak *peak)
{
	size_t count = 0;
	double saving = step->saving > 0 ? step->saving : 1.0;
	double rate = step->is_int8 ? peak->int8_ops : peak->flops;
	double arithmetic = step->flops / saving / rate;
	double memory;

	fr_shape_count(&step->shape, &count);
	memory = ((double) step->weight_bytes + (double) count * sizeof(float)) /
			 peak->bytes_streamed;
	return arithmetic > memory ? arithmetic : memory;
}

/* ---- what is ---------------------------------------------------------------- */

static void
clear_inputs(FrPlan *plan)
{
	for (int i = 0; i < plan->graph.input_count; i++)
	{
		size_t count = 0;

		fr_shape_count(&plan->input_shapes[i], &count);
		memset(fr_plan_input(plan, i), 0, count * sizeof(float));
	}
}

/* Where a run is. */
typedef struct Stopwatch
{
	FrClock now;
	double last;
	double *seconds; /* [steps] */
} Stopwatch;

static void
note_step(void *context, int step)
{
	Stopwatch *watch = context;
	double time = watch->now();

	watch->seconds[step] += time - watch->last;
	watch->last = time;
}

/* Seconds of each step in one run, added to those in seconds. */
static FrStatus
run_once(FrPlan *plan, FrClock now, const FrCancel *cancel, double *seconds,
		 FrError *error)
{
	clear_inputs(plan);

	Stopwatch watch = {.now = now, .last = now(), .seconds = seconds};
	const FrPlanProbe probe = {note_step, &watch};

	return fr_plan_run_probed(plan, &probe, cancel, error);
}

FrStatus
fr_profile_run(FrPlan *plan, int runs, FrClock now, const FrCancel *cancel,
			   const FrAllocator *allocator, double *seconds, FrError *error)
{
	size_t steps = (size_t) plan->step_count;
	double *all =
		fr_alloc_zeroed(allocator, steps * (size_t) runs + 1, sizeof *all);
	double *of_step = fr_alloc_zeroed(allocator, (size_t) runs, sizeof *all);
	FrStatus status =
		all && of_step ? FR_OK : fr_fail_nomem(error, steps * sizeof *all);

	for (int run = 0; run < runs && status == FR_OK; run++)
		status = run_once(plan, now, cancel, all + (size_t) run * steps, error);
	for (size_t i = 0; i < steps && status == FR_OK; i++)
	{
		for (int run = 0; run < runs; run++)
			of_step[run] = all[(size_t) run * steps + i];
		seconds[i] = median(of_step, runs);
	}
	fr_release(allocator, all);
	fr_release(allocator, of_step);
	return status;
}
