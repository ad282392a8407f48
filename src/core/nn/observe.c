/*
 * observe.c: see observe.h.
 */
#include "core/nn/observe.h"

/* What one tensor, or one plan, may need when the options do not say. */
#define DEFAULT_MAX_BYTES ((size_t) 2 << 30)

/* A view of the graph with other outputs, which owns nothing else. */
static FrStatus
view_with_outputs(const FrGraph *graph, const int32_t *outputs, int count,
				  const FrAllocator *allocator, FrGraph *view, FrError *error)
{
	size_t size_bytes = (size_t) count * sizeof *outputs;

	*view = *graph;
	fr_arena_init(&view->arena, allocator);
	view->output_count = count;
	view->outputs = fr_arena_copy(&view->arena, outputs, size_bytes);
	if (view->outputs)
		return FR_OK;
	fr_graph_destroy(view);
	return fr_fail_nomem(error, size_bytes);
}

FrStatus
fr_observe_check(const FrGraph *graph, FrError *error)
{
	if (graph->input_count != 1)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The network has %d inputs instead of one.",
					   graph->input_count);
	return FR_OK;
}

FrStatus
fr_observe_shapes(const FrGraph *graph, const int32_t *values, int value_count,
				  const FrShape *input, const FrNetOptions *options,
				  const FrAllocator *allocator, FrShape *shapes, FrError *error)
{
	size_t max_bytes = options && options->max_plan_bytes
						   ? options->max_plan_bytes
						   : DEFAULT_MAX_BYTES;
	FrGraph view, special;
	FrStatus status =
		view_with_outputs(graph, values, value_count, allocator, &view, error);

	if (status != FR_OK)
		return status;
	status = fr_graph_specialize(&view, input, max_bytes, allocator, &special,
								 error);
	for (int i = 0; status == FR_OK && i < value_count; i++)
		shapes[i] = special.values[special.outputs[i]].shape;
	if (status == FR_OK)
		fr_graph_destroy(&special);
	fr_graph_destroy(&view);
	return status;
}

static FrStatus
observe_sample(const FrObservation *work, FrNet *net, int first, int count,
			   int sample, const FrCancel *cancel, FrError *error)
{
	FrPlan *plan;
	FrStatus status =
		fr_net_plan(net, &work->samples->shapes[sample], cancel, &plan, error);

	if (status == FR_OK)
		status =
			work->samples->fill(work->samples->context, sample, plan, error);
	if (status == FR_OK)
		status = fr_plan_run(plan, cancel, error);
	for (int i = 0; status == FR_OK && i < count; i++)
	{
		const FrShape *shape;
		const float *data = fr_plan_output(plan, i, &shape);

		if (fr_is_cancelled(cancel))
			return fr_fail(error, FR_ERR_CANCELLED,
						   "Observing the network was cancelled.");
		status = work->observer(work->context, first + i, sample, shape, data,
								error);
	}
	return status;
}

static FrStatus
observe_portion(const FrObservation *work, int first, int count,
				const FrCancel *cancel, const FrAllocator *allocator,
				FrError *error)
{
	FrGraph view;
	FrNet *net;
	FrStatus status = view_with_outputs(work->graph, work->values + first,
										count, allocator, &view, error);

	if (status == FR_OK)
		status = fr_net_create(&view, work->options, allocator, &net, error);
	if (status != FR_OK)
		return status;
	for (int i = 0; status == FR_OK && i < work->samples->count; i++)
		status = observe_sample(work, net, first, count, i, cancel, error);
	fr_net_destroy(net);
	return status;
}

/* Of a specialised shape, which fits. */
static size_t
float_bytes(const FrShape *shape)
{
	size_t count = 0;

	(void) fr_shape_count(shape, &count);
	return count * sizeof(float);
}

FrStatus
fr_observe(const FrObservation *work, const FrCancel *cancel,
		   const FrAllocator *allocator, FrError *error)
{
	FrStatus status = fr_observe_check(work->graph, error);

	if (status != FR_OK || work->samples->count < 1 || work->value_count < 1)
		return status;

	size_t shape_bytes = (size_t) work->value_count * sizeof(FrShape);
	FrShape *shapes = fr_alloc(allocator, shape_bytes);

	if (!shapes)
		return fr_fail_nomem(error, shape_bytes);
	status = fr_observe_shapes(work->graph, work->values, work->value_count,
							   work->samples->shapes, work->options, allocator,
							   shapes, error);
	for (int first = 0; status == FR_OK && first < work->value_count;)
	{
		size_t bytes = float_bytes(&shapes[first]);
		int count = 1;

		while (first + count < work->value_count &&
			   bytes + float_bytes(&shapes[first + count]) <=
				   work->portion_bytes)
			bytes += float_bytes(&shapes[first + count++]);
		status = observe_portion(work, first, count, cancel, allocator, error);
		first += count;
	}
	fr_release(allocator, shapes);
	return status;
}
