/*
 * graph_run.h: run a specialised graph node by node with plain operators.
 *
 * The slow, obvious executor for tests: every value gets its own memory, all
 * of it released by run_graph_free.  Header only.
 */
#ifndef FR_TEST_GRAPH_RUN_H
#define FR_TEST_GRAPH_RUN_H

#include <stdlib.h>
#include <string.h>

#include "core/nn/graph.h"

typedef struct GraphRun
{
	const FrGraph *graph;
	FrTensor *tensors; /* one per value */
} GraphRun;

__attribute__((unused)) static void
run_graph_free(GraphRun *run)
{
	for (int i = 0; run->tensors && i < run->graph->value_count; i++)
		if (!run->graph->values[i].constant)
			free(run->tensors[i].data);
	free(run->tensors);
	run->tensors = NULL;
}

/* Run graph, which fr_graph_specialize made; inputs [i] is the data of graph
 * input i, of its shape and type.  Outputs are found by run_graph_output. */
__attribute__((unused)) static FrStatus
run_graph(GraphRun *run, const FrGraph *graph, const void *const *inputs,
		  FrError *error)
{
	FrStatus status = FR_OK;

	run->graph = graph;
	run->tensors = calloc((size_t) graph->value_count + 1, sizeof(FrTensor));
	for (int i = 0; i < graph->value_count; i++)
	{
		const FrValue *value = &graph->values[i];
		size_t count = 0;

		run->tensors[i] =
			(FrTensor){.dtype = value->dtype,
					   .shape = value->shape,
					   .data = (void *) (uintptr_t) value->constant};
		fr_shape_count(&value->shape, &count);
		/* Exactly the tensor's size, so that sanitizers see an overrun. */
		if (!value->constant)
			run->tensors[i].data = malloc(count * fr_dtype_size(value->dtype));
	}
	for (int i = 0; i < graph->input_count; i++)
	{
		FrTensor *tensor = &run->tensors[graph->inputs[i]];
		size_t count = 0;

		fr_shape_count(&tensor->shape, &count);
		memcpy(tensor->data, inputs[i], count * fr_dtype_size(tensor->dtype));
	}
	for (int i = 0; status == FR_OK && i < graph->node_count; i++)
	{
		const FrNode *node = &graph->nodes[i];
		const FrTensor *in[FR_MAX_NODE_INPUTS];
		FrTensor out[FR_MAX_NODE_OUTPUTS];

		for (int k = 0; k < node->input_count; k++)
			in[k] = node->inputs[k] < 0 ? NULL : &run->tensors[node->inputs[k]];
		for (int k = 0; k < node->output_count; k++)
			out[k] = run->tensors[node->outputs[k]];
		status = fr_op_run(node, in, out, NULL, error);
	}
	return status;
}

__attribute__((unused)) static const FrTensor *
run_graph_output(const GraphRun *run, int index)
{
	return &run->tensors[run->graph->outputs[index]];
}

#endif
