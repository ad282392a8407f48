/*
 * quantize_layers.c: which layers become int8, and their weights as bytes.
 *
 * Weights are coded symmetrically, with the scale of each output channel set
 * by its largest weight.  What rounding does to the mean of an output is
 * known from the mean of what the layer reads, and goes into the bias
 * (M. Nagel et al., "Data-Free Quantization Through Weight Equalization and
 * Bias Correction", ICCV 2019, section 4.2, with measured means).
 */
#include <math.h>
#include <string.h>

#include "core/base/size.h"
#include "core/nn/op_table.h"
#include "core/nn/quantizer.h"
#include "kernels/int8_kernels.h"

/* The largest code; -128 is not used, so that a scale has one meaning. */
#define MAX_CODE 127

/* A convolution of so few channels reads pixels, not features. */
#define MAX_PICTURE_CHANNELS 4

/* What calculated constants may have, and polls of about a millisecond that
 * they may take; what exceeds it stays as it is. */
#define MAX_FOLDED_BYTES ((size_t) 512 << 20)
#define MAX_FOLD_POLLS	 512

/* ---- constants ---------------------------------------------------------- */

typedef struct FoldBudget
{
	const FrCancel *cancel;
	size_t bytes;
	int polls;
} FoldBudget;

static bool
is_budget_spent(void *context)
{
	FoldBudget *budget = context;

	return ++budget->polls > MAX_FOLD_POLLS || fr_is_cancelled(budget->cancel);
}

/* Memory for the outputs; false when the budget does not allow it. */
static bool
allocate_outputs(FrQuantizer *quantizer, const FrNode *node, FoldBudget *budget,
				 FrTensor *outputs)
{
	for (int k = 0; k < node->output_count; k++)
	{
		size_t count, size_bytes;

		if (!fr_shape_count(&outputs[k].shape, &count) || count == 0 ||
			!fr_size_mul(count, fr_dtype_size(outputs[k].dtype), &size_bytes) ||
			size_bytes > MAX_FOLDED_BYTES - budget->bytes)
			return false;
		budget->bytes += size_bytes;
		outputs[k].data = fr_arena_alloc(quantizer->arena, size_bytes);
		if (!outputs[k].data)
			return false;
	}
	return true;
}

/* The inputs as tensors; false when one is not constant. */
static bool
constant_inputs(const FrGraph *graph, const FrNode *node, FrTensor *tensors,
				const FrTensor **inputs)
{
	if (node->input_count < 1 || node->input_count > FR_MAX_NODE_INPUTS ||
		node->output_count > FR_MAX_NODE_OUTPUTS)
		return false;
	for (int k = 0; k < node->input_count; k++)
	{
		inputs[k] = NULL;
		if (node->inputs[k] < 0)
			continue;

		const FrValue *value = &graph->values[node->inputs[k]];

		if (!value->constant)
			return false;
		/* Plain operators take inputs as const FrTensor: nothing writes
		 * through this pointer. */
		tensors[k] = (FrTensor){.dtype = value->dtype,
								.shape = value->shape,
								.data = (void *) (uintptr_t) value->constant};
		inputs[k] = &tensors[k];
	}
	return true;
}

/* Calculate a node of constant inputs.  One that fails stays: whoever runs
 * the graph says why. */
static FrStatus
fold_node(FrQuantizer *quantizer, const FrNode *node, FoldBudget *budget)
{
	FrTensor tensors[FR_MAX_NODE_INPUTS], outputs[FR_MAX_NODE_OUTPUTS];
	const FrTensor *inputs[FR_MAX_NODE_INPUTS];
	FrCancel cancel = {is_budget_spent, budget};
	FrError ignored;

	if (!constant_inputs(&quantizer->folded, node, tensors, inputs) ||
		fr_op_infer(node, inputs, outputs, &ignored) != FR_OK)
		return FR_OK;

	bool is_same =
		node->op == FR_OP_IDENTITY ||
		(node->op == FR_OP_CAST && inputs[0]->dtype == outputs[0].dtype);

	if (is_same)
		outputs[0].data = inputs[0]->data;
	else if (!allocate_outputs(quantizer, node, budget, outputs) ||
			 fr_op_run(node, inputs, outputs, &cancel, &ignored) != FR_OK)
		return fr_is_cancelled(quantizer->cancel)
				   ? fr_fail_cancelled(quantizer->error)
				   : FR_OK;
	for (int k = 0; k < node->output_count; k++)
	{
		FrValue *value = &quantizer->folded.values[node->outputs[k]];

		value->dtype = outputs[k].dtype;
		value->shape = outputs[k].shape;
		value->is_shape_known = true;
		value->constant = outputs[k].data;
	}
	return FR_OK;
}

FrStatus
fr_quantizer_fold(FrQuantizer *quantizer, const FrGraph *source)
{
	FrGraph *folded = &quantizer->folded;
	FoldBudget budget = {.cancel = quantizer->cancel};
	size_t node_bytes = (size_t) source->node_count * sizeof *source->nodes;
	size_t value_bytes = (size_t) source->value_count * sizeof *source->values;
	FrStatus status = FR_OK;

	*folded = *source;
	folded->arena = (FrArena){0};
	folded->node_count = 0;
	folded->nodes = fr_arena_alloc(&quantizer->scratch, node_bytes);
	folded->values =
		fr_arena_copy(&quantizer->scratch, source->values, value_bytes);
	if (!folded->nodes || !folded->values)
		return fr_fail_nomem(quantizer->error, node_bytes + value_bytes);
	for (int i = 0; status == FR_OK && i < source->node_count; i++)
	{
		const FrNode *node = &source->nodes[i];

		status = fold_node(quantizer, node, &budget);
		if (!folded->values[node->outputs[0]].constant)
			folded->nodes[folded->node_count++] = *node;
	}
	return status;
}

/* ---- layers ------------------------------------------------------------- */

const char *
fr_quantizer_name(const FrQuantizer *quantizer, const FrQuantLayer *layer)
{
	const FrNode *node = &quantizer->folded.nodes[layer->node];

	return node->name[0] ? node->name
						 : quantizer->folded.values[node->outputs[0]].name;
}

/* The weights of a node, when they are of a layer that can be quantised. */
static const FrValue *
layer_weights(const FrGraph *graph, const FrNode *node)
{
	bool is_conv = node->op == FR_OP_CONV && node->u.window.group == 1;
	bool is_gemm = node->op == FR_OP_GEMM && node->u.gemm.alpha == 1.0f &&
				   node->u.gemm.beta == 1.0f && !node->u.gemm.is_a_transposed;

	if ((!is_conv && !is_gemm && node->op != FR_OP_MATMUL) ||
		node->input_count < 2 || node->inputs[0] < 0 || node->inputs[1] < 0)
		return NULL;

	const FrValue *weights = &graph->values[node->inputs[1]];
	size_t count;

	if (graph->values[node->inputs[0]].constant || !weights->constant ||
		weights->dtype != FR_FLOAT32 ||
		weights->shape.rank != (is_conv ? 4 : 2) ||
		!fr_shape_count(&weights->shape, &count) || count == 0 ||
		(is_conv && weights->shape.dims[1] <= MAX_PICTURE_CHANNELS))
		return NULL;
	return weights;
}

static FrQuantLayer
make_layer(const FrGraph *graph, int32_t index, const FrValue *weights)
{
	const FrNode *node = &graph->nodes[index];
	const FrShape *shape = &weights->shape;
	FrQuantLayer layer = {.node = index, .weights = node->inputs[1]};

	layer.is_matmul = node->op == FR_OP_MATMUL;
	layer.is_transposed = layer.is_matmul || (node->op == FR_OP_GEMM &&
											  !node->u.gemm.is_b_transposed);
	layer.outputs = shape->dims[layer.is_transposed];
	layer.inputs = shape->dims[!layer.is_transposed];
	layer.taps = shape->rank == 4 ? shape->dims[2] * shape->dims[3] : 1;
	return layer;
}

/* The number of the tensor for a value, added when it is new. */
static int32_t
find_tensor(FrQuantizer *quantizer, int32_t *numbers, int32_t value,
			int64_t channels)
{
	if (numbers[value] < 0)
	{
		numbers[value] = quantizer->tensor_count;
		quantizer->tensors[quantizer->tensor_count++] =
			(FrQuantTensor){.value = value, .channels = channels};
	}
	return numbers[value];
}

/* Every node that looks like a layer, whatever it reads. */
static FrStatus
list_candidates(FrQuantizer *quantizer, int32_t *inputs)
{
	const FrGraph *graph = &quantizer->folded;

	for (int32_t i = 0; i < graph->node_count; i++)
	{
		const FrNode *node = &graph->nodes[i];
		const FrValue *weights = layer_weights(graph, node);

		if (!weights)
			continue;

		FrQuantLayer layer = make_layer(graph, i, weights);

		/* Sums of more products would run in floats all the same. */
		if (layer.inputs * layer.taps > FR_INT8_MAX_DEPTH)
			continue;
		inputs[quantizer->layer_count] = node->inputs[0];
		quantizer->layers[quantizer->layer_count++] = layer;
	}
	if (quantizer->layer_count == 0)
		return fr_fail(quantizer->error, FR_ERR_MISMATCH,
					   "The network has no layer that can be quantized: no "
					   "convolution without groups beyond the first, and no "
					   "product with a constant matrix.");
	return FR_OK;
}

/* Keep the candidates that read a map (Conv) or a matrix (Gemm, MatMul). */
static FrStatus
keep_fitting(FrQuantizer *quantizer, const int32_t *inputs,
			 const FrShape *shapes)
{
	const FrGraph *graph = &quantizer->folded;
	size_t bytes = (size_t) graph->value_count * sizeof(int32_t);
	int32_t *numbers = fr_arena_alloc(&quantizer->scratch, bytes);
	int kept = 0;

	if (!numbers)
		return fr_fail_nomem(quantizer->error, bytes);
	memset(numbers, 0xff, bytes);
	for (int i = 0; i < quantizer->layer_count; i++)
	{
		FrQuantLayer layer = quantizer->layers[i];
		bool is_conv = graph->nodes[layer.node].op == FR_OP_CONV;

		if (shapes[i].rank != (is_conv ? 4 : 2))
			continue;
		layer.input = find_tensor(quantizer, numbers, inputs[i], layer.inputs);
		quantizer->layers[kept++] = layer;
	}
	quantizer->layer_count = kept;
	if (kept == 0)
		return fr_fail(quantizer->error, FR_ERR_MISMATCH,
					   "The network has no layer that can be quantized.");
	return FR_OK;
}

FrStatus
fr_quantizer_find_layers(FrQuantizer *quantizer)
{
	FrArena *scratch = &quantizer->scratch;
	size_t nodes = (size_t) quantizer->folded.node_count;
	int32_t *inputs = fr_arena_alloc(scratch, nodes * sizeof *inputs);
	FrShape *shapes = fr_arena_alloc(scratch, nodes * sizeof *shapes);

	quantizer->layers =
		fr_arena_alloc_zeroed(scratch, nodes, sizeof *quantizer->layers);
	quantizer->tensors =
		fr_arena_alloc_zeroed(scratch, nodes, sizeof *quantizer->tensors);
	quantizer->is_quantized = fr_arena_alloc_zeroed(scratch, nodes, 1);
	if (!inputs || !shapes || !quantizer->layers || !quantizer->tensors ||
		!quantizer->is_quantized)
		return fr_fail_nomem(quantizer->error,
							 nodes * sizeof *quantizer->layers);

	FrStatus status = list_candidates(quantizer, inputs);

	if (status == FR_OK)
		status = fr_observe_shapes(
			&quantizer->folded, inputs, quantizer->layer_count,
			quantizer->samples->shapes, quantizer->options->net,
			quantizer->allocator, shapes, quantizer->error);
	return status == FR_OK ? keep_fitting(quantizer, inputs, shapes) : status;
}

/* ---- weights ------------------------------------------------------------ */

/* Weight number tap of input i of output o. */
static float
weight_at(const FrQuantLayer *layer, const float *weights, int64_t o, int64_t i,
		  int64_t tap)
{
	return layer->is_transposed
			   ? weights[i * layer->outputs + o]
			   : weights[(o * layer->inputs + i) * layer->taps + tap];
}

/* Code the weights of output channel o; false when one is not finite. */
static bool
code_channel(FrQuantLayer *layer, const float *weights, int64_t o)
{
	int64_t count = layer->inputs * layer->taps;
	float largest = 0;

	for (int64_t k = 0; k < count; k++)
	{
		float weight =
			weight_at(layer, weights, o, k / layer->taps, k % layer->taps);

		if (!isfinite(weight))
			return false;
		largest = fmaxf(largest, fabsf(weight));
	}

	float scale = largest / MAX_CODE;
	bool is_codable = isnormal(scale);

	layer->scales[o] = is_codable ? scale : 1.0f;
	for (int64_t k = 0; k < count; k++)
	{
		float weight =
			weight_at(layer, weights, o, k / layer->taps, k % layer->taps);
		long code = is_codable ? lrintf(weight / scale) : 0;

		code = code > MAX_CODE ? MAX_CODE : code < -MAX_CODE ? -MAX_CODE : code;
		layer->codes[o * count + k] = (int8_t) code;
	}
	return true;
}

/* The constant bias of a layer, one per output; *is_open: it has none yet. */
static const float *
layer_bias(const FrQuantizer *quantizer, const FrQuantLayer *layer,
		   bool *is_open)
{
	const FrNode *node = &quantizer->folded.nodes[layer->node];

	*is_open = node->input_count < 3 || node->inputs[2] < 0;
	if (*is_open)
		return NULL;

	const FrValue *bias = &quantizer->folded.values[node->inputs[2]];
	size_t count = 0;

	if (!bias->constant || bias->dtype != FR_FLOAT32 || bias->shape.rank < 1 ||
		bias->shape.dims[bias->shape.rank - 1] != layer->outputs ||
		!fr_shape_count(&bias->shape, &count) ||
		count != (size_t) layer->outputs)
		return NULL;
	return bias->constant;
}

/* Give back to output o, on average, what coding its weights took. */
static void
correct_bias(const FrQuantLayer *layer, const FrQuantTensor *tensor,
			 const float *weights, const float *bias, int64_t o)
{
	int64_t count = layer->inputs * layer->taps;
	double sum = bias ? (double) bias[o] : 0;

	for (int64_t k = 0; k < count; k++)
	{
		int64_t i = k / layer->taps;
		double weight =
			(double) weight_at(layer, weights, o, i, k % layer->taps);
		double coded =
			(double) layer->codes[o * count + k] * (double) layer->scales[o];

		sum += (weight - coded) * tensor->sums[i] / tensor->seen;
	}
	layer->bias[o] = (float) sum;
}

static FrStatus
code_layer(FrQuantizer *quantizer, FrQuantLayer *layer)
{
	const FrQuantTensor *tensor = &quantizer->tensors[layer->input];
	const float *weights = quantizer->folded.values[layer->weights].constant;
	size_t outputs = (size_t) layer->outputs;
	size_t count = (size_t) (layer->inputs * layer->taps);
	bool is_open;
	const float *bias = layer_bias(quantizer, layer, &is_open);
	bool is_corrected = bias || is_open;
	FrPoll poll = fr_poll_begin(quantizer->cancel);

	layer->codes = fr_arena_alloc(quantizer->arena, outputs * count);
	layer->zero_points = fr_arena_alloc_zeroed(quantizer->arena, outputs, 1);
	layer->scales =
		fr_arena_alloc(quantizer->arena, outputs * sizeof *layer->scales);
	if (is_corrected)
		layer->bias =
			fr_arena_alloc(quantizer->arena, outputs * sizeof *layer->bias);
	if (!layer->codes || !layer->zero_points || !layer->scales ||
		(is_corrected && !layer->bias))
		return fr_fail_nomem(quantizer->error, outputs * count);
	for (int64_t o = 0; o < layer->outputs; o++)
	{
		if (!code_channel(layer, weights, o))
			return fr_node_fail(quantizer->error, FR_ERR_MISMATCH,
								&quantizer->folded.nodes[layer->node],
								"It has weights that are not finite.");
		if (is_corrected)
			correct_bias(layer, tensor, weights, bias, o);
		if (fr_poll(&poll, 16 * count))
			return fr_fail_cancelled(quantizer->error);
	}
	return FR_OK;
}

FrStatus
fr_quantizer_code_weights(FrQuantizer *quantizer)
{
	FrStatus status = FR_OK;

	for (int i = 0; status == FR_OK && i < quantizer->layer_count; i++)
		status = code_layer(quantizer, &quantizer->layers[i]);
	return status;
}
