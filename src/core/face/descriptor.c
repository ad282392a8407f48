/*
 * descriptor.c: does a network fit the way it is meant to be used?
 *
 * Asked once, when a model is loaded, so that a wrong preset or file is
 * refused with its reason rather than at the first photo.  The output shapes
 * come from shape inference alone; nothing is run.
 */
#include <math.h>
#include <stdio.h>

#include "core/face/input.h"
#include "core/face/yunet.h"

#define MAX_EMBEDDING_DIMS 4096
#define MAX_CROP_SIDE	   1024
#define MAX_DETECTION_SIZE 65536
#define MAX_SIZE_MULTIPLE  1024
#define MAX_FACES		   100000

/* Longest side of the input that a detector's shapes are tried with. */
#define TRIAL_SIZE 64

static FrStatus
check_range(const char *name, int value, int low, int high, FrError *error)
{
	if (value < low || value > high)
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "\"%s\" is %d, but must be between %d and %d.", name,
					   value, low, high);
	return FR_OK;
}

static FrStatus
check_share(const char *name, float value, FrError *error)
{
	if (!(value >= 0 && value <= 1))
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "\"%s\" is %g, but must be between 0 and 1.", name,
					   (double) value);
	return FR_OK;
}

static FrStatus
check_normalisation(const FrDescriptor *descriptor, FrError *error)
{
	for (int i = 0; i < 3; i++)
	{
		if (!isfinite(descriptor->mean[i]) || !isfinite(descriptor->scale[i]) ||
			descriptor->scale[i] == 0)
			return fr_fail(error, FR_ERR_ARGUMENT,
						   "Mean and scale must be finite numbers and the "
						   "scale must not be 0; channel %d has %g and %g.",
						   i + 1, (double) descriptor->mean[i],
						   (double) descriptor->scale[i]);
	}
	return FR_OK;
}

static FrStatus
check_detector_values(const FrDescriptor *d, FrError *error)
{
	FrStatus status =
		check_share("detection_threshold", d->detection_threshold, error);

	if (status == FR_OK)
		status = check_share("nms_iou", d->nms_iou, error);
	if (status == FR_OK)
		status = check_range("detection_size", d->detection_size, 0,
							 MAX_DETECTION_SIZE, error);
	if (status == FR_OK)
		status = check_range("min_face_size", d->min_face_size, 0,
							 MAX_DETECTION_SIZE, error);
	if (status == FR_OK)
		status = check_range("max_faces", d->max_faces, 1, MAX_FACES, error);
	if (status == FR_OK)
		status = check_range("size_multiple", d->size_multiple, 1,
							 MAX_SIZE_MULTIPLE, error);
	if (status == FR_OK && d->decode != FR_DECODE_YUNET)
		status = fr_fail(error, FR_ERR_ARGUMENT,
						 "The preset \"%s\" has no rule for reading a "
						 "detector's outputs.",
						 d->preset);
	if (status == FR_OK && d->size_multiple % 32 != 0)
		status = fr_fail(error, FR_ERR_ARGUMENT,
						 "\"size_multiple\" is %d, but the strides of the "
						 "preset \"yunet\" need a multiple of 32.",
						 d->size_multiple);
	return status;
}

static FrStatus
check_embedder_values(const FrDescriptor *d, FrError *error)
{
	FrStatus status =
		check_range("input_width", d->input_width, 1, MAX_CROP_SIDE, error);

	if (status == FR_OK)
		status = check_range("input_height", d->input_height, 1, MAX_CROP_SIDE,
							 error);
	if (status == FR_OK && d->alignment != FR_TEMPLATE_ARCFACE_112 &&
		d->alignment != FR_TEMPLATE_OMZ_128)
		status = fr_fail(error, FR_ERR_ARGUMENT,
						 "There is no alignment template number %d.",
						 (int) d->alignment);
	return status;
}

/* Give *trial the sizes that the graph fixes; false when it fixes others than
 * the pipeline feeds.  A detector runs one picture of any size, an embedder
 * any number of one size. */
static bool
fit_input(const FrShape *have, bool is_detector, FrShape *trial)
{
	if (have->rank != 4)
		return false;
	for (int i = 0; i < 4; i++)
	{
		bool is_free = is_detector ? i >= 2 : i == 0;
		int64_t dim = have->dims[i];

		if (dim == FR_DIM_DYNAMIC)
			continue;
		if (dim < 1 || (!is_free && dim != trial->dims[i]))
			return false;
		trial->dims[i] = dim;
	}
	return true;
}

/* The input is [batch, 3, height, width]; *trial gets a shape to try. */
static FrStatus
check_input(const FrDescriptor *descriptor, const FrGraph *graph,
			FrShape *trial, FrError *error)
{
	bool is_detector = descriptor->role == FR_ROLE_DETECTOR;
	const FrValue *input = &graph->values[graph->inputs[0]];

	if (input->dtype != FR_FLOAT32 && input->dtype != FR_DTYPE_NONE)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The network's input \"%.40s\" is of type %s, not "
					   "float32.",
					   input->name, fr_dtype_name(input->dtype));
	*trial = (FrShape){
		.rank = 4,
		.dims = {1, 3, is_detector ? TRIAL_SIZE : descriptor->input_height,
				 is_detector ? TRIAL_SIZE : descriptor->input_width},
	};
	if (input->is_shape_known && !fit_input(&input->shape, is_detector, trial))
	{
		char have_text[96], want_text[96];

		return fr_fail(
			error, FR_ERR_MISMATCH,
			"The network's input \"%.40s\" has shape %s, but the preset "
			"\"%s\" feeds %s.",
			input->name,
			fr_shape_text(&input->shape, have_text, sizeof have_text),
			descriptor->preset,
			fr_shape_text(trial, want_text, sizeof want_text));
	}
	return FR_OK;
}

static FrStatus
check_float_output(const FrValue *value, FrError *error)
{
	if (value->dtype != FR_FLOAT32)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The network's output \"%.40s\" is of type %s, not "
					   "float32.",
					   value->name, fr_dtype_name(value->dtype));
	return FR_OK;
}

/* One head of one grid: so many values for the tried input. */
static FrStatus
check_head(const FrValue *value, const FrShape *input, int64_t wanted,
		   FrError *error)
{
	size_t count;
	char text[96];

	if (fr_shape_count(&value->shape, &count) && count == (size_t) wanted)
		return check_float_output(value, error);
	return fr_fail(error, FR_ERR_MISMATCH,
				   "For an input of %d x %d pixels the output \"%.24s\" has "
				   "shape %s, but the preset \"yunet\" needs %lld values.",
				   (int) input->dims[3], (int) input->dims[2], value->name,
				   fr_shape_text(&value->shape, text, sizeof text),
				   (long long) wanted);
}

static FrStatus
check_yunet_outputs(const FrGraph *source, const FrGraph *sized,
					const FrShape *input, FrError *error)
{
	int outputs[FR_YUNET_GRID_COUNT][FR_YUNET_HEAD_COUNT];
	FrStatus status = fr_yunet_bind(source, outputs, error);

	if (status != FR_OK)
		return status;
	for (int i = 0; i < FR_YUNET_GRID_COUNT * FR_YUNET_HEAD_COUNT; i++)
	{
		int grid = i / FR_YUNET_HEAD_COUNT, head = i % FR_YUNET_HEAD_COUNT;
		int64_t stride = fr_yunet_strides[grid];
		int64_t cells = (input->dims[2] / stride) * (input->dims[3] / stride);

		status = check_head(&sized->values[sized->outputs[outputs[grid][head]]],
							input, cells * fr_yunet_head_sizes[head], error);
		if (status != FR_OK)
			return status;
	}
	return FR_OK;
}

/* [batch, dims], or with ones behind as convolutions leave them. */
static bool
is_vector_batch(const FrShape *shape, int64_t batch)
{
	return shape->dims[0] == batch &&
		   (shape->rank == 2 ||
			(shape->rank == 4 && shape->dims[2] == 1 && shape->dims[3] == 1));
}

/* An embedder has one output; what has others is something else, so they are
 * named (the first three). */
static FrStatus
check_output_count(const FrGraph *graph, FrError *error)
{
	char names[160]; /* 3 * (40 + 4), and the dots */
	size_t used = 0;

	if (graph->output_count == 1)
		return FR_OK;
	if (graph->output_count < 1)
		return fr_fail(error, FR_ERR_MISMATCH, "The network has no output.");
	for (int i = 0; i < graph->output_count && i < 3; i++)
		used += (size_t) snprintf(names + used, sizeof names - used,
								  "%s\"%.40s\"", i > 0 ? ", " : "",
								  graph->values[graph->outputs[i]].name);
	if (graph->output_count > 3)
		snprintf(names + used, sizeof names - used, ", ...");
	return fr_fail(error, FR_ERR_MISMATCH,
				   "The network has %d outputs (%s), but an embedder has one.",
				   graph->output_count, names);
}

/* The only output is the embedding: one vector per picture. */
static FrStatus
check_embedding_output(const FrGraph *sized, const FrShape *input, int *dims,
					   FrError *error)
{
	const FrValue *value = &sized->values[sized->outputs[0]];
	size_t batch = (size_t) input->dims[0], count;
	char text[96];

	FrStatus status = check_float_output(value, error);

	if (status != FR_OK)
		return status;
	if (!fr_shape_count(&value->shape, &count) ||
		!is_vector_batch(&value->shape, input->dims[0]) || count / batch < 1 ||
		count / batch > MAX_EMBEDDING_DIMS)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The network's output \"%.40s\" has shape %s for "
					   "%zu pictures; an embedding has shape [pictures, 1 to "
					   "%d].",
					   value->name,
					   fr_shape_text(&value->shape, text, sizeof text), batch,
					   MAX_EMBEDDING_DIMS);
	*dims = (int) (count / batch);
	return FR_OK;
}

FrStatus
fr_descriptor_check(const FrDescriptor *descriptor, FrNet *net,
					const FrAllocator *allocator, int *dims, FrError *error)
{
	const FrGraph *source = fr_net_graph(net);
	bool is_detector = descriptor->role == FR_ROLE_DETECTOR;
	FrShape input;

	*dims = 0;

	FrStatus status = check_normalisation(descriptor, error);

	if (status == FR_OK)
		status = is_detector ? check_detector_values(descriptor, error)
							 : check_embedder_values(descriptor, error);
	if (status == FR_OK)
		status = fr_input_check(net, descriptor, error);
	if (status == FR_OK)
		status = check_input(descriptor, source, &input, error);
	if (status == FR_OK && !is_detector)
		status = check_output_count(source, error);
	if (status != FR_OK)
		return status;

	FrGraph sized;

	status = fr_graph_specialize(source, &input, (size_t) 1 << 31, allocator,
								 &sized, error);
	if (status != FR_OK)
		return status;
	status = is_detector ? check_yunet_outputs(source, &sized, &input, error)
						 : check_embedding_output(&sized, &input, dims, error);
	fr_graph_destroy(&sized);
	return status;
}
