/*
 * specialize.c: fr_graph_specialize, a graph for one set of input shapes.
 *
 * One walk over the nodes that the outputs need: infer the node's shapes,
 * then either evaluate it (all inputs constant, or Shape), or drop it
 * (Identity), or keep it with its attributes resolved.  A second backward
 * walk then drops what only the evaluated nodes needed, and the values that
 * are left are numbered anew.
 *
 * A model must not be able to buy much work or memory with a few bytes:
 * every tensor, and all evaluated ones together, stay within
 * max_tensor_bytes, and evaluation stops after a fixed amount of work.
 */
#include <string.h>

#include "core/base/size.h"
#include "core/nn/op_table.h"
#include "core/nn/planner.h"

/* Polls of about a millisecond each that constant folding may take. */
#define MAX_FOLD_POLLS 512

typedef struct Specializer
{
	const FrGraph *source;
	FrGraph *graph;
	FrArena scratch;
	FrError *error;
	size_t max_tensor_bytes;
	size_t folded_bytes; /* by now */
	int fold_polls;		 /* by now */
	const FrCancel *cancel;
	/* Per value of the source: */
	FrTensor *tensors; /* dtype NONE until known; data: constant */
	int32_t *aliases;  /* the value that it equals, or itself */
	bool *is_needed;
	int32_t *renumbered;
} Specializer;

static bool
is_fold_budget_spent(void *context)
{
	Specializer *spec = context;

	return ++spec->fold_polls > MAX_FOLD_POLLS || fr_is_cancelled(spec->cancel);
}

/* ---- before the walk ---------------------------------------------------- */

static FrStatus
check_input(Specializer *spec, int index, const FrShape *given)
{
	const FrValue *value = &spec->source->values[spec->source->inputs[index]];
	char given_text[96], value_text[96];
	size_t count;
	bool is_fit = given->rank >= 0 && given->rank <= FR_MAX_RANK &&
				  (!value->is_shape_known || given->rank == value->shape.rank);

	for (int i = 0; is_fit && i < given->rank; i++)
	{
		if (given->dims[i] < 1 || given->dims[i] > FR_MAX_DIM)
			return fr_fail(spec->error, FR_ERR_ARGUMENT,
						   "Input \"%.60s\" is given the dimension %lld.",
						   value->name, (long long) given->dims[i]);
		is_fit = !value->is_shape_known || value->shape.dims[i] < 0 ||
				 value->shape.dims[i] == given->dims[i];
	}
	if (!is_fit)
		return fr_fail(
			spec->error, FR_ERR_MISMATCH,
			"Input \"%.40s\" of the model has shape %s, not %s.", value->name,
			fr_shape_text(&value->shape, value_text, sizeof value_text),
			fr_shape_text(given, given_text, sizeof given_text));
	if (!fr_shape_count(given, &count) ||
		count > spec->max_tensor_bytes / fr_dtype_size(value->dtype))
		return fr_fail(spec->error, FR_ERR_LIMIT,
					   "Input \"%.40s\" of shape %s exceeds the limit of %zu "
					   "bytes per tensor.",
					   value->name,
					   fr_shape_text(given, given_text, sizeof given_text),
					   spec->max_tensor_bytes);
	spec->tensors[spec->source->inputs[index]] =
		(FrTensor){.dtype = value->dtype, .shape = *given};
	return FR_OK;
}

static void
set_constants(Specializer *spec)
{
	for (int i = 0; i < spec->source->value_count; i++)
	{
		const FrValue *value = &spec->source->values[i];

		spec->aliases[i] = i;
		if (!value->constant)
			continue;
		/* Plain operators take inputs as const FrTensor: nothing writes
		 * through this pointer. */
		spec->tensors[i] =
			(FrTensor){.dtype = value->dtype,
					   .shape = value->shape,
					   .data = (void *) (uintptr_t) value->constant};
	}
}

/* Mark the values from which the given outputs are calculated. */
static void
mark_needed(Specializer *spec, const FrGraph *graph, const FrNode *nodes,
			int node_count)
{
	memset(spec->is_needed, 0,
		   (size_t) graph->value_count * sizeof *spec->is_needed);
	for (int i = 0; i < graph->output_count; i++)
		spec->is_needed[spec->aliases[graph->outputs[i]]] = true;
	for (int i = node_count - 1; i >= 0; i--)
	{
		const FrNode *node = &nodes[i];
		bool is_used = false;

		for (int k = 0; k < node->output_count; k++)
			is_used |= spec->is_needed[node->outputs[k]];
		for (int k = 0; is_used && k < node->input_count; k++)
			if (node->inputs[k] >= 0)
				spec->is_needed[node->inputs[k]] = true;
	}
}

static bool
is_node_needed(const Specializer *spec, const FrNode *node)
{
	for (int k = 0; k < node->output_count; k++)
		if (spec->is_needed[node->outputs[k]])
			return true;
	return false;
}

/* ---- one node ----------------------------------------------------------- */

static void
normalize_axis(int *axis, int rank)
{
	if (*axis < 0)
		*axis += rank;
}

/* Fill in what attributes leave open until the shapes are known.  The node
 * has passed fr_op_infer. */
static FrStatus
resolve_attributes(FrNode *node, const FrTensor *const *inputs, FrError *error)
{
	const FrShape *shape = &inputs[0]->shape;
	int64_t sizes[FR_MAX_RANK];
	double scales[FR_MAX_RANK];
	FrWindow window;
	FrStatus status = FR_OK;

	switch ((int) node->op)
	{
		case FR_OP_CONV:
		case FR_OP_CONV_TRANSPOSE:
			status = fr_window_resolve(node, shape, &inputs[1]->shape, &window,
									   sizes, error);
			node->u.window = window;
			break;
		case FR_OP_MAX_POOL:
		case FR_OP_AVERAGE_POOL:
			status =
				fr_window_resolve(node, shape, NULL, &window, sizes, error);
			node->u.window = window;
			break;
		case FR_OP_TRANSPOSE:
			for (int i = 0; node->u.transpose.rank == 0 && i < shape->rank; i++)
				node->u.transpose.permutation[i] = shape->rank - 1 - i;
			node->u.transpose.rank = shape->rank;
			break;
		case FR_OP_RESIZE:
			status = fr_resize_sizes(node, inputs, sizes, scales, error);
			if (node->u.resize.rounding != FR_ROUND_LEGACY)
				break;
			node->u.resize.rounding = FR_ROUND_FLOOR;
			for (int i = 0; i < shape->rank; i++)
				if (scales[i] < 1)
					node->u.resize.rounding = FR_ROUND_LEGACY;
			break;
		case FR_OP_SOFTMAX:
		case FR_OP_SPLIT:
		case FR_OP_CONCAT:
		case FR_OP_GATHER:
		case FR_OP_FLATTEN:
			normalize_axis(&node->u.axis.axis, shape->rank);
			break;
		case FR_OP_REDUCE_MEAN:
		case FR_OP_REDUCE_SUM:
		case FR_OP_REDUCE_MAX:
		case FR_OP_REDUCE_MIN:
		case FR_OP_REDUCE_L2:
			node->u.reduce.count = -1;
			if (node->input_count > 1 && inputs[1])
				node->u.reduce.count = (int) fr_shape_span(
					&inputs[1]->shape, 0, inputs[1]->shape.rank);
			break;
		case FR_OP_LAYER_NORM:
		case FR_OP_LP_NORM:
			normalize_axis(&node->u.norm.axis, shape->rank);
			break;
		default:
			break;
	}
	return status;
}

static FrStatus
check_output(Specializer *spec, const FrNode *node, const FrTensor *output)
{
	char text[128];
	size_t count;

	if (fr_shape_count(&output->shape, &count) &&
		count <= spec->max_tensor_bytes / fr_dtype_size(output->dtype))
		return FR_OK;
	return fr_node_fail(spec->error, FR_ERR_LIMIT, node,
						"A tensor of shape %s exceeds the limit of %zu bytes.",
						fr_shape_text(&output->shape, text, sizeof text),
						spec->max_tensor_bytes);
}

/* Evaluate a node whose inputs are constant; outputs get data. */
static FrStatus
fold_node(Specializer *spec, const FrNode *node, const FrTensor *const *inputs,
		  FrTensor *outputs)
{
	FrCancel budget = {is_fold_budget_spent, spec};

	for (int k = 0; k < node->output_count; k++)
	{
		size_t count = 0, size_bytes, total;

		if (!fr_shape_count(&outputs[k].shape, &count) ||
			!fr_size_mul(count, fr_dtype_size(outputs[k].dtype), &size_bytes) ||
			!fr_size_add(spec->folded_bytes, size_bytes, &total) ||
			total > spec->max_tensor_bytes)
			return fr_node_fail(spec->error, FR_ERR_LIMIT, node,
								"The model's calculated constants exceed the "
								"limit of %zu bytes.",
								spec->max_tensor_bytes);
		outputs[k].data = fr_arena_alloc(&spec->graph->arena, size_bytes);
		if (!outputs[k].data)
			return fr_fail_nomem(spec->error, size_bytes);
		spec->folded_bytes = total;
	}

	FrStatus status = fr_op_run(node, inputs, outputs, &budget, spec->error);

	if (status == FR_ERR_CANCELLED && spec->fold_polls > MAX_FOLD_POLLS)
		return fr_node_fail(spec->error, FR_ERR_LIMIT, node,
							"Calculating the model's constants takes too "
							"long.");
	return status;
}

/* Copy a node, with its inputs' aliases replaced, to the end of the graph. */
static FrStatus
keep_node(Specializer *spec, const FrNode *node, const FrTensor *const *inputs)
{
	FrGraph *graph = spec->graph;
	FrNode *copy = &graph->nodes[graph->node_count];
	size_t input_bytes = (size_t) node->input_count * sizeof *copy->inputs;
	size_t output_bytes = (size_t) node->output_count * sizeof *copy->outputs;

	*copy = *node;
	copy->inputs = fr_arena_alloc(&graph->arena, input_bytes);
	copy->outputs = fr_arena_copy(&graph->arena, node->outputs, output_bytes);
	if (!copy->inputs || !copy->outputs)
		return fr_fail_nomem(spec->error, input_bytes + output_bytes);
	for (int k = 0; k < node->input_count; k++)
		copy->inputs[k] =
			node->inputs[k] < 0 ? -1 : spec->aliases[node->inputs[k]];
	graph->node_count++;
	return resolve_attributes(copy, inputs, spec->error);
}

/* A node that hands its input on unchanged. */
static bool
is_transparent(const FrNode *node, const FrTensor *const *inputs,
			   const FrTensor *outputs)
{
	return node->op == FR_OP_IDENTITY ||
		   (node->op == FR_OP_CAST && inputs[0]->dtype == outputs[0].dtype);
}

/* 8-bit weights, which kernels read as they are; the planner evaluates the
 * node if no kernel does. */
static bool
is_weight_dequantized(const FrNode *node, const FrTensor *const *inputs)
{
	return node->op == FR_OP_DEQUANTIZE && inputs[0]->shape.rank >= 2 &&
		   (inputs[0]->dtype == FR_INT8 || inputs[0]->dtype == FR_UINT8);
}

static FrStatus
specialize_node(Specializer *spec, const FrNode *node)
{
	const FrTensor *inputs[FR_MAX_NODE_INPUTS] = {NULL};
	FrTensor outputs[FR_MAX_NODE_OUTPUTS];
	bool is_constant = true;

	if (node->input_count > FR_MAX_NODE_INPUTS ||
		node->output_count > FR_MAX_NODE_OUTPUTS)
		return fr_node_fail(spec->error, FR_ERR_UNSUPPORTED, node,
							"It has %d inputs and %d outputs.",
							node->input_count, node->output_count);
	for (int k = 0; k < node->input_count; k++)
	{
		if (node->inputs[k] < 0)
			continue;
		inputs[k] = &spec->tensors[spec->aliases[node->inputs[k]]];
		is_constant &= inputs[k]->data != NULL;
	}

	FrStatus status = fr_op_infer(node, inputs, outputs, spec->error);

	for (int k = 0; status == FR_OK && k < node->output_count; k++)
		status = check_output(spec, node, &outputs[k]);
	if (status != FR_OK)
		return status;
	if (is_transparent(node, inputs, outputs))
	{
		spec->aliases[node->outputs[0]] = spec->aliases[node->inputs[0]];
		return FR_OK;
	}
	if ((is_constant && !is_weight_dequantized(node, inputs)) ||
		node->op == FR_OP_SHAPE)
		status = fold_node(spec, node, inputs, outputs);
	else
		status = keep_node(spec, node, inputs);
	for (int k = 0; k < node->output_count; k++)
		spec->tensors[node->outputs[k]] = outputs[k];
	return status;
}

/* ---- after the walk ----------------------------------------------------- */

static void
drop_unneeded_nodes(Specializer *spec)
{
	FrGraph *graph = spec->graph;
	int kept = 0;

	mark_needed(spec, spec->source, graph->nodes, graph->node_count);
	for (int i = 0; i < graph->node_count; i++)
		if (is_node_needed(spec, &graph->nodes[i]))
			graph->nodes[kept++] = graph->nodes[i];
	graph->node_count = kept;
}

/* The new number of a value of the source, which is made on first use. */
static int32_t
renumber(Specializer *spec, int32_t index)
{
	FrGraph *graph = spec->graph;

	if (index < 0)
		return -1;
	if (spec->renumbered[index] < 0)
	{
		const FrTensor *tensor = &spec->tensors[index];

		spec->renumbered[index] = graph->value_count;
		graph->values[graph->value_count++] =
			(FrValue){.name = spec->source->values[index].name,
					  .dtype = tensor->dtype,
					  .shape = tensor->shape,
					  .is_shape_known = true,
					  .constant = tensor->data};
	}
	return spec->renumbered[index];
}

static void
renumber_values(Specializer *spec)
{
	const FrGraph *source = spec->source;
	FrGraph *graph = spec->graph;

	memset(spec->renumbered, 0xff,
		   (size_t) source->value_count * sizeof *spec->renumbered);
	for (int i = 0; i < source->input_count; i++)
		graph->inputs[i] = renumber(spec, source->inputs[i]);
	for (int i = 0; i < graph->node_count; i++)
	{
		FrNode *node = &graph->nodes[i];

		for (int k = 0; k < node->input_count; k++)
			node->inputs[k] = renumber(spec, node->inputs[k]);
		for (int k = 0; k < node->output_count; k++)
			node->outputs[k] = renumber(spec, node->outputs[k]);
	}
	for (int i = 0; i < source->output_count; i++)
		graph->outputs[i] = renumber(spec, spec->aliases[source->outputs[i]]);
	graph->input_count = source->input_count;
	graph->output_count = source->output_count;
}

static FrStatus
allocate(Specializer *spec)
{
	const FrGraph *source = spec->source;
	size_t values = (size_t) source->value_count;
	FrArena *arena = &spec->graph->arena, *scratch = &spec->scratch;
	FrGraph *graph = spec->graph;

	graph->nodes = fr_arena_alloc_zeroed(arena, (size_t) source->node_count,
										 sizeof *graph->nodes);
	graph->values = fr_arena_alloc_zeroed(arena, values, sizeof *graph->values);
	graph->inputs = fr_arena_alloc_zeroed(arena, (size_t) source->input_count,
										  sizeof *graph->inputs);
	graph->outputs = fr_arena_alloc_zeroed(arena, (size_t) source->output_count,
										   sizeof *graph->outputs);
	spec->tensors =
		fr_arena_alloc_zeroed(scratch, values, sizeof *spec->tensors);
	spec->aliases =
		fr_arena_alloc_zeroed(scratch, values, sizeof *spec->aliases);
	spec->is_needed =
		fr_arena_alloc_zeroed(scratch, values, sizeof *spec->is_needed);
	spec->renumbered =
		fr_arena_alloc_zeroed(scratch, values, sizeof *spec->renumbered);
	if (!graph->nodes || !graph->values || !graph->inputs || !graph->outputs ||
		!spec->tensors || !spec->aliases || !spec->is_needed ||
		!spec->renumbered)
		return fr_fail_nomem(spec->error, values * sizeof *graph->values);
	return FR_OK;
}

static FrStatus
specialize(Specializer *spec, const FrShape *inputs)
{
	const FrGraph *source = spec->source;
	FrStatus status = allocate(spec);

	if (status != FR_OK)
		return status;
	set_constants(spec);
	for (int i = 0; status == FR_OK && i < source->input_count; i++)
		status = check_input(spec, i, &inputs[i]);
	mark_needed(spec, source, source->nodes, source->node_count);
	for (int i = 0; status == FR_OK && i < source->node_count; i++)
		if (is_node_needed(spec, &source->nodes[i]))
			status = specialize_node(spec, &source->nodes[i]);
	if (status != FR_OK)
		return status;
	drop_unneeded_nodes(spec);
	renumber_values(spec);
	return FR_OK;
}

FrStatus
fr_graph_specialize(const FrGraph *source, const FrShape *inputs,
					size_t max_tensor_bytes, const FrAllocator *allocator,
					FrGraph *graph, FrError *error)
{
	return fr_plan_specialize(source, inputs, max_tensor_bytes, NULL, allocator,
							  graph, error);
}

FrStatus
fr_plan_specialize(const FrGraph *source, const FrShape *inputs,
				   size_t max_tensor_bytes, const FrCancel *cancel,
				   const FrAllocator *allocator, FrGraph *graph, FrError *error)
{
	Specializer spec = {.source = source,
						.graph = graph,
						.error = error,
						.cancel = cancel,
						.max_tensor_bytes = max_tensor_bytes};

	*graph = (FrGraph){0};
	fr_arena_init(&graph->arena, allocator);
	fr_arena_init(&spec.scratch, allocator);

	FrStatus status = specialize(&spec, inputs);

	fr_arena_fini(&spec.scratch);
	if (status != FR_OK)
		fr_graph_destroy(graph);
	return status;
}
