/*
 * quantize_graph.c: the graph with a choice of layers in int8.
 *
 * A tensor that quantised layers read is coded once:
 *
 *	value -> QuantizeLinear -> uint8 -> DequantizeLinear -> layers
 *
 * and each layer's weights are int8 -> DequantizeLinear (axis 0).  All that
 * is not touched is the folded graph's.
 */
#include <stdio.h>
#include <string.h>

#include "core/nn/quantizer.h"

#define VALUES_PER_TENSOR 4 /* code, decoded, scale, zero point */
#define VALUES_PER_LAYER  5 /* codes, decoded, scales, zero points, bias */

typedef struct Builder
{
	const FrQuantizer *quantizer;
	FrGraph *graph;
	int32_t *decoded; /* per tensor: value of the DequantizeLinear, or -1 */
	bool has_memory;
} Builder;

static void *
take(Builder *builder, size_t size_bytes)
{
	void *memory = fr_arena_alloc(&builder->graph->arena, size_bytes);

	builder->has_memory = builder->has_memory && memory;
	return memory;
}

/* Append a value called base + suffix.  The room was counted. */
static int32_t
add_value(Builder *builder, const char *base, const char *suffix)
{
	size_t size_bytes = strlen(base) + strlen(suffix) + 1;
	char *name = take(builder, size_bytes);
	FrGraph *graph = builder->graph;

	if (name)
		snprintf(name, size_bytes, "%s%s", base, suffix);
	graph->values[graph->value_count] = (FrValue){.name = name};
	return graph->value_count++;
}

static int32_t
add_constant(Builder *builder, const char *base, const char *suffix,
			 FrDtype dtype, FrShape shape, const void *data)
{
	int32_t value = add_value(builder, base, suffix);
	FrValue *made = &builder->graph->values[value];

	made->dtype = dtype;
	made->shape = shape;
	made->is_shape_known = true;
	made->constant = data;
	return value;
}

/* Append a node with the given inputs; its name is its output's. */
static void
add_node(Builder *builder, FrOp op, const int32_t *inputs, int input_count,
		 int axis, int32_t output)
{
	FrGraph *graph = builder->graph;
	FrNode *node = &graph->nodes[graph->node_count];

	*node = (FrNode){.op = op,
					 .name = graph->values[output].name,
					 .input_count = input_count,
					 .output_count = 1};
	node->inputs = take(builder, (size_t) input_count * sizeof *inputs);
	node->outputs = take(builder, sizeof *node->outputs);
	node->u.quantize.axis = axis;
	if (!builder->has_memory)
		return;
	memcpy(node->inputs, inputs, (size_t) input_count * sizeof *inputs);
	node->outputs[0] = output;
	graph->node_count++;
}

/* The value that the layers read instead of a tensor. */
static int32_t
decoded_tensor(Builder *builder, int32_t number)
{
	static const FrShape scalar = {.rank = 0};
	const FrQuantTensor *tensor = &builder->quantizer->tensors[number];
	const char *name = builder->graph->values[tensor->value].name;
	int32_t inputs[3];

	if (builder->decoded[number] >= 0)
		return builder->decoded[number];

	int32_t code = add_value(builder, name, "_quantized");
	int32_t decoded = add_value(builder, name, "_dequantized");

	inputs[0] = tensor->value;
	inputs[1] = add_constant(builder, name, "_scale", FR_FLOAT32, scalar,
							 tensor->scale);
	inputs[2] = add_constant(builder, name, "_zero_point", FR_UINT8, scalar,
							 tensor->zero_point);
	if (builder->has_memory)
		add_node(builder, FR_OP_QUANTIZE, inputs, 3, 1, code);
	inputs[0] = code;
	if (builder->has_memory)
		add_node(builder, FR_OP_DEQUANTIZE, inputs, 3, 1, decoded);
	builder->decoded[number] = decoded;
	return decoded;
}

static int32_t
decoded_weights(Builder *builder, const FrQuantLayer *layer)
{
	const FrValue *weights = &builder->graph->values[layer->weights];
	FrShape channels = {.rank = 1, .dims = {layer->outputs}};
	FrShape shape = weights->shape;
	const char *name = weights->name;
	int32_t inputs[3];

	shape.dims[0] = layer->outputs;
	shape.dims[1] = layer->inputs;
	inputs[0] =
		add_constant(builder, name, "_quantized", FR_INT8, shape, layer->codes);
	inputs[1] = add_constant(builder, name, "_scale", FR_FLOAT32, channels,
							 layer->scales);
	inputs[2] = add_constant(builder, name, "_zero_point", FR_INT8, channels,
							 layer->zero_points);

	int32_t decoded = add_value(builder, name, "_dequantized");

	if (builder->has_memory)
		add_node(builder, FR_OP_DEQUANTIZE, inputs, 3, 0, decoded);
	return decoded;
}

static void
add_layer(Builder *builder, const FrQuantLayer *layer)
{
	const FrNode *source = &builder->quantizer->folded.nodes[layer->node];
	FrShape channels = {.rank = 1, .dims = {layer->outputs}};
	int32_t inputs[3] = {-1, -1, -1};

	inputs[0] = decoded_tensor(builder, layer->input);
	inputs[1] = decoded_weights(builder, layer);
	if (layer->bias)
		inputs[2] =
			add_constant(builder, fr_quantizer_name(builder->quantizer, layer),
						 "_bias", FR_FLOAT32, channels, layer->bias);
	else if (source->input_count > 2)
		inputs[2] = source->inputs[2];

	FrNode *node = &builder->graph->nodes[builder->graph->node_count];
	int32_t *copy = take(builder, sizeof inputs);

	if (!builder->has_memory)
		return;
	*node = *source;
	memcpy(copy, inputs, sizeof inputs);
	node->inputs = copy;
	node->input_count = inputs[2] >= 0 ? 3 : 2;
	if (layer->is_matmul)
	{
		node->op = FR_OP_GEMM;
		node->u.gemm.alpha = node->u.gemm.beta = 1.0f;
		node->u.gemm.is_a_transposed = false;
	}
	if (layer->is_transposed)
		node->u.gemm.is_b_transposed = true; /* the codes are [out, in] */
	builder->graph->node_count++;
}

static bool
allocate(Builder *builder)
{
	const FrQuantizer *quantizer = builder->quantizer;
	const FrGraph *folded = &quantizer->folded;
	FrGraph *graph = builder->graph;
	size_t tensors = (size_t) quantizer->tensor_count;
	size_t layers = (size_t) quantizer->layer_count;
	size_t nodes = (size_t) folded->node_count + 2 * tensors + layers;
	size_t values = (size_t) folded->value_count + VALUES_PER_TENSOR * tensors +
					VALUES_PER_LAYER * layers;

	graph->nodes = take(builder, nodes * sizeof *graph->nodes);
	graph->values = take(builder, values * sizeof *graph->values);
	graph->inputs =
		fr_arena_copy(&graph->arena, folded->inputs,
					  (size_t) folded->input_count * sizeof *graph->inputs);
	graph->outputs =
		fr_arena_copy(&graph->arena, folded->outputs,
					  (size_t) folded->output_count * sizeof *graph->outputs);
	builder->decoded = take(builder, tensors * sizeof *builder->decoded);
	if (!builder->has_memory || !graph->inputs || !graph->outputs)
		return false;
	memset(builder->decoded, 0xff, tensors * sizeof *builder->decoded);
	memcpy(graph->values, folded->values,
		   (size_t) folded->value_count * sizeof *graph->values);
	graph->value_count = folded->value_count;
	graph->input_count = folded->input_count;
	graph->output_count = folded->output_count;
	return true;
}

FrStatus
fr_quantizer_build(FrQuantizer *quantizer, FrArena *arena, FrGraph *graph)
{
	const FrGraph *folded = &quantizer->folded;
	Builder builder = {
		.quantizer = quantizer, .graph = graph, .has_memory = true};
	int layer = 0;

	*graph = (FrGraph){.arena = *arena};
	*arena = (FrArena){0};

	bool is_done = allocate(&builder);

	/* Layers are in the order of the nodes. */
	for (int i = 0; is_done && i < folded->node_count; i++)
	{
		bool is_layer = layer < quantizer->layer_count &&
						quantizer->layers[layer].node == i;

		if (is_layer && quantizer->is_quantized[layer])
			add_layer(&builder, &quantizer->layers[layer]);
		else
			graph->nodes[graph->node_count++] = folded->nodes[i];
		layer += is_layer;
		is_done = builder.has_memory;
	}
	if (is_done)
		return FR_OK;
	fr_graph_destroy(graph);
	return fr_fail_nomem(quantizer->error, sizeof *graph);
}
