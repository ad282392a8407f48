/*
 * quantize.c: fr_quantize, the stages in order; see quantizer.h.
 */
#include "core/nn/quantize.h"

#include <string.h>

#include "core/nn/op_table.h"
#include "core/nn/quantizer.h"

/* Values that are observed at one time. */
#define PORTION_BYTES ((size_t) 32 << 20)

/* What histograms may need when the options do not say. */
#define DEFAULT_MAX_BYTES ((size_t) 2 << 30)

/* Values counted between two polls. */
#define COUNTED_AT_ONCE ((size_t) 1 << 18)

bool
fr_quantize_is_quantized(const FrGraph *graph)
{
	for (int i = 0; i < graph->node_count; i++)
		if (graph->nodes[i].op == FR_OP_QUANTIZE ||
			graph->nodes[i].op == FR_OP_DEQUANTIZE)
			return true;
	return false;
}

/* ---- what layers read --------------------------------------------------- */

/* Add what was seen to the sum of each channel. */
static bool
add_channels(const FrQuantizer *quantizer, FrQuantTensor *tensor,
			 const FrShape *shape, const float *data)
{
	size_t channels = (size_t) tensor->channels;
	size_t batch = fr_shape_span(shape, 0, 1);
	size_t plane = fr_shape_span(shape, 2, shape->rank);
	FrPoll poll = fr_poll_begin(quantizer->cancel);

	for (size_t i = 0; i < batch * channels; i++)
	{
		double sum = 0;

		for (size_t k = 0; k < plane; k++)
			sum += (double) data[i * plane + k];
		tensor->sums[i % channels] += sum;
		if (fr_poll(&poll, plane + 8))
			return false;
	}
	tensor->seen += (double) (batch * plane);
	return true;
}

static FrStatus
count_values(void *context, int number, int sample, const FrShape *shape,
			 const float *data, FrError *error)
{
	FrQuantizer *quantizer = context;
	FrQuantTensor *tensor = &quantizer->tensors[number];
	const FrValue *value = &quantizer->folded.values[tensor->value];
	size_t count = fr_shape_span(shape, 0, shape->rank);

	if (shape->rank < 2 || shape->dims[1] != tensor->channels)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The value \"%.60s\" does not have the %lld channels "
					   "of the weights that are applied to it.",
					   value->name, (long long) tensor->channels);
	tensor->rank = shape->rank;
	for (size_t start = 0; start < count; start += COUNTED_AT_ONCE)
	{
		size_t left = count - start;

		if (fr_is_cancelled(quantizer->cancel))
			return fr_fail_cancelled(error);
		if (!fr_value_range_add(tensor->range, data + start,
								left < COUNTED_AT_ONCE ? left
													   : COUNTED_AT_ONCE))
			return fr_fail(error, FR_ERR_MISMATCH,
						   "On sample %d the value \"%.60s\" is not finite.",
						   sample + 1, value->name);
	}
	if (!add_channels(quantizer, tensor, shape, data))
		return fr_fail_cancelled(error);
	return FR_OK;
}

static FrStatus
allocate_tensor(FrQuantizer *quantizer, FrQuantTensor *tensor)
{
	size_t channels = (size_t) tensor->channels;

	tensor->range =
		fr_arena_alloc_zeroed(&quantizer->scratch, 1, sizeof *tensor->range);
	tensor->sums = fr_arena_alloc_zeroed(&quantizer->scratch, channels,
										 sizeof *tensor->sums);
	tensor->scale = fr_arena_alloc(quantizer->arena, sizeof *tensor->scale);
	tensor->zero_point = fr_arena_alloc(quantizer->arena, 1);
	if (!tensor->range || !tensor->sums || !tensor->scale ||
		!tensor->zero_point)
		return fr_fail_nomem(quantizer->error, sizeof *tensor->range);
	return FR_OK;
}

/* A graph of many small layers must not take more than a plan may. */
static FrStatus
check_memory(const FrQuantizer *quantizer)
{
	const FrNetOptions *net = quantizer->options->net;
	size_t most =
		net && net->max_plan_bytes ? net->max_plan_bytes : DEFAULT_MAX_BYTES;
	size_t count = (size_t) quantizer->tensor_count;

	if (count > most / sizeof(FrValueRange))
		return fr_fail(quantizer->error, FR_ERR_LIMIT,
					   "Calibrating %zu tensors needs %zu bytes each, %zu are "
					   "allowed for all.",
					   count, sizeof(FrValueRange), most);
	return FR_OK;
}

/* Run the samples; choose a code for each tensor. */
static FrStatus
calibrate(FrQuantizer *quantizer)
{
	size_t count = (size_t) quantizer->tensor_count;
	int32_t *values =
		fr_arena_alloc(&quantizer->scratch, count * sizeof *values);
	FrStatus status =
		values ? FR_OK
			   : fr_fail_nomem(quantizer->error, count * sizeof *values);
	FrObservation observation = {
		.graph = &quantizer->folded,
		.values = values,
		.value_count = quantizer->tensor_count,
		.samples = quantizer->samples,
		.options = quantizer->options->net,
		.portion_bytes = PORTION_BYTES,
		.observer = count_values,
		.context = quantizer,
	};

	for (size_t i = 0; status == FR_OK && i < count; i++)
	{
		values[i] = quantizer->tensors[i].value;
		status = allocate_tensor(quantizer, &quantizer->tensors[i]);
	}
	if (status == FR_OK)
		status = fr_observe(&observation, quantizer->cancel,
							quantizer->allocator, quantizer->error);
	for (size_t i = 0; status == FR_OK && i < count; i++)
	{
		FrQuantTensor *tensor = &quantizer->tensors[i];
		FrByteCode code =
			fr_value_range_code(tensor->range, quantizer->options->rule);

		*tensor->scale = code.scale;
		*tensor->zero_point = code.zero_point;
		if (fr_is_cancelled(quantizer->cancel))
			status = fr_fail_cancelled(quantizer->error);
	}
	return status;
}

/* ---- the caller's choice ------------------------------------------------ */

static FrStatus
exclude(FrQuantizer *quantizer)
{
	const FrQuantizeOptions *options = quantizer->options;

	for (int k = 0; k < options->excluded_count; k++)
	{
		const char *name = options->excluded[k];
		bool is_found = false;

		if (fr_is_cancelled(quantizer->cancel))
			return fr_fail_cancelled(quantizer->error);
		for (int i = 0; i < quantizer->layer_count; i++)
		{
			FrQuantLayer *layer = &quantizer->layers[i];
			const FrNode *node = &quantizer->folded.nodes[layer->node];
			const FrValue *output = &quantizer->folded.values[node->outputs[0]];

			if (strcmp(name, node->name) != 0 &&
				strcmp(name, output->name) != 0)
				continue;
			layer->is_excluded = true;
			is_found = true;
		}
		if (!is_found)
			return fr_fail(quantizer->error, FR_ERR_ARGUMENT,
						   "The network has no layer \"%.100s\" that could be "
						   "quantized.",
						   name);
	}
	return FR_OK;
}

/* ---- the whole ---------------------------------------------------------- */

static FrStatus
list_kept(const FrQuantizer *quantizer, FrQuantizeReport *report)
{
	int kept = 0;

	report->layer_count = quantizer->layer_count;
	report->kept =
		fr_arena_alloc_zeroed(quantizer->arena, (size_t) quantizer->layer_count,
							  sizeof *report->kept);
	if (!report->kept)
		return fr_fail_nomem(quantizer->error, sizeof *report->kept);
	for (int i = 0; i < quantizer->layer_count; i++)
		if (!quantizer->is_quantized[i])
			report->kept[kept++] =
				fr_quantizer_name(quantizer, &quantizer->layers[i]);
	report->quantized_count = quantizer->layer_count - kept;
	return FR_OK;
}

/* State the outputs' shapes, which a file has to say: as they are for an input
 * of fixed shape, else only their rank. */
static FrStatus
state_outputs(FrQuantizer *quantizer)
{
	FrGraph *folded = &quantizer->folded;
	const FrValue *input = &folded->values[folded->inputs[0]];
	bool is_fixed = input->is_shape_known && fr_shape_is_static(&input->shape);
	size_t bytes = (size_t) folded->output_count * sizeof(FrShape);
	FrShape *shapes = fr_arena_alloc(&quantizer->scratch, bytes);

	if (!shapes)
		return fr_fail_nomem(quantizer->error, bytes);

	FrStatus status =
		fr_observe_shapes(folded, folded->outputs, folded->output_count,
						  quantizer->samples->shapes, quantizer->options->net,
						  quantizer->allocator, shapes, quantizer->error);

	for (int i = 0; status == FR_OK && i < folded->output_count; i++)
	{
		FrValue *output = &folded->values[folded->outputs[i]];

		for (int d = 0; d < shapes[i].rank && !is_fixed; d++)
			shapes[i].dims[d] = FR_DIM_DYNAMIC;
		if (output->constant || folded->outputs[i] == folded->inputs[0])
			continue;
		output->dtype = FR_FLOAT32;
		output->shape = shapes[i];
		output->is_shape_known = true;
	}
	return status;
}

/* Which layers there are, and which the caller excludes. */
static FrStatus
choose_layers(FrQuantizer *quantizer, const FrGraph *source)
{
	FrStatus status = fr_observe_check(source, quantizer->error);

	if (status == FR_OK)
		status = fr_quantizer_fold(quantizer, source);
	if (status == FR_OK)
		status = fr_quantizer_find_layers(quantizer);
	if (status == FR_OK)
		status = exclude(quantizer);
	return status;
}

static FrStatus
quantize(FrQuantizer *quantizer, const FrGraph *source,
		 FrQuantizeReport *report)
{
	FrStatus status = FR_OK;

	if (quantizer->samples->count < 1)
		status = fr_fail(quantizer->error, FR_ERR_ARGUMENT,
						 "There are no samples to calibrate with.");
	if (status == FR_OK)
		status = choose_layers(quantizer, source);
	if (status == FR_OK)
		status = state_outputs(quantizer);
	if (status == FR_OK)
		status = check_memory(quantizer);
	if (status == FR_OK)
		status = calibrate(quantizer);
	if (status == FR_OK)
		status = fr_quantizer_code_weights(quantizer);
	if (status == FR_OK)
		status = fr_quantizer_tune(quantizer, report);
	if (status == FR_OK)
		status = list_kept(quantizer, report);
	return status;
}

FrStatus
fr_quantize_check(const FrGraph *source, const FrShape *shape,
				  const FrQuantizeOptions *options, const FrCancel *cancel,
				  const FrAllocator *allocator, FrError *error)
{
	/* Only shapes are looked at. */
	const FrSamples samples = {.count = 1, .shapes = shape};
	FrArena arena;
	FrQuantizer quantizer = {
		.options = options,
		.samples = &samples,
		.cancel = cancel,
		.allocator = allocator,
		.error = error,
		.arena = &arena,
	};

	fr_arena_init(&arena, allocator);
	fr_arena_init(&quantizer.scratch, allocator);

	FrStatus status = choose_layers(&quantizer, source);

	fr_arena_fini(&quantizer.scratch);
	fr_arena_fini(&arena);
	return status;
}

FrStatus
fr_quantize(const FrGraph *source, const FrSamples *samples,
			const FrQuantizeOptions *options, const FrCancel *cancel,
			const FrAllocator *allocator, FrGraph *quantized,
			FrQuantizeReport *report, FrError *error)
{
	FrArena arena;
	FrQuantizer quantizer = {
		.options = options,
		.samples = samples,
		.cancel = cancel,
		.allocator = allocator,
		.error = error,
		.arena = &arena,
	};

	*quantized = (FrGraph){0};
	*report = (FrQuantizeReport){0};
	fr_arena_init(&arena, allocator);
	fr_arena_init(&quantizer.scratch, allocator);

	FrStatus status = quantize(&quantizer, source, report);

	if (status == FR_OK)
		status = fr_quantizer_build(&quantizer, &arena, quantized);
	else
		fr_arena_fini(&arena);
	fr_arena_fini(&quantizer.scratch);
	return status;
}
