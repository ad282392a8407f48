/*
 * fuzz_onnx.c: libFuzzer target for the ONNX reader and writer,
 * specialisation and the plain operators.
 *
 * The input is an ONNX file.  It is imported, written again (which must give
 * a file that can be imported), specialised for small inputs
 * (dynamic dimensions become 8, static ones keep their size) and run once,
 * all within fixed bounds of memory and work.
 */
#include <stdlib.h>
#include <string.h>

#include "core/onnx/import.h"
#include "core/onnx/write.h"

#define MAX_INPUTS		 4
#define MAX_TENSOR_BYTES ((size_t) 1 << 20)
#define MAX_POLLS		 64 /* of about a millisecond of work each */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static bool
is_out_of_work(void *context)
{
	return ++*(int *) context > MAX_POLLS;
}

/* Give every value without data its memory and run the nodes in order. */
static void
run(const FrGraph *graph, FrArena *arena, FrTensor *tensors)
{
	int polls = 0;
	FrCancel cancel = {is_out_of_work, &polls};
	FrError error;
	size_t total_bytes = 0;

	for (int i = 0; i < graph->value_count; i++)
	{
		const FrValue *value = &graph->values[i];
		size_t count = 0;

		fr_shape_count(&value->shape, &count);
		total_bytes += count * fr_dtype_size(value->dtype);
		tensors[i] = (FrTensor){value->dtype, value->shape,
								(void *) (uintptr_t) value->constant};
		if (!value->constant && total_bytes < 64 * MAX_TENSOR_BYTES)
			tensors[i].data = fr_arena_alloc_zeroed(
				arena, count, fr_dtype_size(value->dtype));
		if (!tensors[i].data)
			return;
	}
	for (int i = 0; i < graph->node_count; i++)
	{
		const FrNode *node = &graph->nodes[i];
		const FrTensor *inputs[FR_MAX_NODE_INPUTS];
		FrTensor outputs[FR_MAX_NODE_OUTPUTS];

		for (int k = 0; k < node->input_count; k++)
			inputs[k] = node->inputs[k] < 0 ? NULL : &tensors[node->inputs[k]];
		for (int k = 0; k < node->output_count; k++)
			outputs[k] = tensors[node->outputs[k]];
		if (fr_op_run(node, inputs, outputs, &cancel, &error) != FR_OK)
			return;
	}
}

static void
write_again(const FrGraph *graph)
{
	void *bytes;
	size_t size_bytes;
	FrGraph again;
	FrError error;

	if (fr_onnx_write(graph, NULL, 0, &fr_allocator_malloc, &bytes, &size_bytes,
					  &error) != FR_OK)
		return;
	if (fr_onnx_import(bytes, size_bytes, &fr_allocator_malloc, &again,
					   &error) != FR_OK ||
		again.input_count != graph->input_count ||
		again.output_count != graph->output_count)
		abort();
	fr_graph_destroy(&again);
	free(bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	FrGraph graph, special;
	FrError error;
	FrShape shapes[MAX_INPUTS];
	FrArena arena;

	if (fr_onnx_import(data, size_bytes, &fr_allocator_malloc, &graph,
					   &error) != FR_OK)
		return 0;
	write_again(&graph);
	for (int i = 0; i < graph.input_count && i < MAX_INPUTS; i++)
	{
		shapes[i] = graph.values[graph.inputs[i]].shape;
		for (int d = 0; d < shapes[i].rank; d++)
			if (shapes[i].dims[d] < 0)
				shapes[i].dims[d] = 8;
	}
	if (graph.input_count <= MAX_INPUTS &&
		fr_graph_specialize(&graph, shapes, MAX_TENSOR_BYTES,
							&fr_allocator_malloc, &special, &error) == FR_OK)
	{
		fr_arena_init(&arena, &fr_allocator_malloc);

		FrTensor *tensors = fr_arena_alloc_zeroed(
			&arena, (size_t) special.value_count + 1, sizeof *tensors);

		if (tensors)
			run(&special, &arena, tensors);
		fr_arena_fini(&arena);
		fr_graph_destroy(&special);
	}
	fr_graph_destroy(&graph);
	return 0;
}
