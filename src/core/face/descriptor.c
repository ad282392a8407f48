/*
 * descriptor.c: does a network fit the way it is meant to be used?
 *
 * Asked once, when a model is loaded, so that a wrong preset or file is
 * refused with its reason rather than at the first photo.  The output shapes
 * come from shape inference alone; nothing is run.
 */
#include <math.h>
#include <stdio.h>

#include "core/face/heads.h"
#include "core/face/input.h"
#include "core/face/mtcnn.h"
#include "core/face/trial.h"

#define MAX_EMBEDDING_DIMS 4096
#define MAX_DETECTION_SIZE 65536
#define MAX_SIZE_MULTIPLE  1024
#define MAX_FACES		   100000
#define MAX_MARGIN		   4.0

/* Longest side of the input that a detector's shapes are tried with. */
#define TRIAL_SIZE 64

/* Crops that a network is asked about which takes any number. */
#define TRIAL_BATCH 2

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
	if (status == FR_OK && !fr_heads_has_rule(d->decode) &&
		d->decode != FR_DECODE_MTCNN)
		status = fr_fail(error, FR_ERR_ARGUMENT,
						 "The preset \"%s\" has no rule for reading a "
						 "detector's outputs.",
						 d->preset);
	if (status == FR_OK && d->size_multiple % 32 != 0)
		status = fr_fail(error, FR_ERR_ARGUMENT,
						 "\"size_multiple\" is %d, but the strides of the "
						 "preset \"%s\" need a multiple of 32.",
						 d->size_multiple, d->preset);
	return status;
}

static FrStatus
check_crop_values(const FrDescriptor *d, FrError *error)
{
	FrStatus status =
		check_range("input_width", d->input_width, 1, FR_MAX_CROP_SIDE, error);

	if (status == FR_OK)
		status = check_range("input_height", d->input_height, 1,
							 FR_MAX_CROP_SIDE, error);
	if (status == FR_OK && (unsigned) d->alignment >= FR_TEMPLATE_COUNT)
		status = fr_fail(error, FR_ERR_ARGUMENT,
						 "There is no alignment template number %d.",
						 (int) d->alignment);
	if (status == FR_OK && !(d->margin >= 0 && d->margin <= MAX_MARGIN))
		status = fr_fail(error, FR_ERR_ARGUMENT,
						 "\"margin\" is %g, but must be between 0 and %g.",
						 (double) d->margin, MAX_MARGIN);
	if (status == FR_OK && !(d->second_look >= 0 && d->second_look <= 1))
		status = fr_fail(error, FR_ERR_ARGUMENT,
						 "\"second_look\" is %g, but must be between 0 and 1.",
						 (double) d->second_look);
	return status;
}

/* Give *trial the sizes that the graph fixes; false when it fixes others than
 * the pipeline feeds.  A detector runs one picture of any size, other networks
 * any number of one size. */
static bool
fit_input(const FrShape *have, bool is_detector, int channel, FrShape *trial)
{
	if (have->rank != 4)
		return false;
	for (int i = 0; i < 4; i++)
	{
		bool is_free = is_detector ? i > 0 && i != channel : i == 0;
		int64_t dim = have->dims[i];

		if (dim == FR_DIM_DYNAMIC)
			continue; /* as it is */
		if (dim < 1 || (!is_free && dim != trial->dims[i]))
			return false;
		trial->dims[i] = dim;
	}
	return true;
}

/* The input is [batch, 3, height, width] or [batch, height, width, 3]; *trial
 * gets a shape to try. */
static FrStatus
check_input(const FrDescriptor *descriptor, const FrGraph *graph,
			FrShape *trial, FrError *error)
{
	bool is_detector = descriptor->role == FR_ROLE_DETECTOR;
	const FrValue *input = &graph->values[graph->inputs[0]];
	int trial_size = fr_heads_multiple(descriptor->decode, graph->output_count);

	if (trial_size < TRIAL_SIZE)
		trial_size = TRIAL_SIZE;
	if (input->dtype != FR_FLOAT32 && input->dtype != FR_DTYPE_NONE)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The network's input \"%.40s\" is of type %s, not "
					   "float32.",
					   input->name, fr_dtype_name(input->dtype));
	*trial =
		fr_input_shape(graph, is_detector ? 1 : TRIAL_BATCH,
					   is_detector ? trial_size : descriptor->input_width,
					   is_detector ? trial_size : descriptor->input_height);
	if (input->is_shape_known && !fit_input(&input->shape, is_detector,
											trial->dims[1] == 3 ? 1 : 3, trial))
	{
		char have_text[96], want_text[96];

		trial->dims[0] = 1;
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

static FrStatus
check_heads(const FrDescriptor *descriptor, const FrGraph *source,
			const FrGraph *sized, const FrShape *input, FrError *error)
{
	int row = fr_input_is_channels_last(source) ? 1 : 2;
	FrHeads heads;
	bool has_landmarks;
	FrStatus status =
		fr_heads_of_graph(source, sized, (int) input->dims[row + 1],
						  (int) input->dims[row], &heads, error);

	if (status == FR_OK)
		status =
			fr_heads_check(descriptor->decode, &heads, &has_landmarks, error);
	return status;
}

/* [batch, dims], or with ones behind as convolutions leave them. */
static bool
is_vector_batch(const FrShape *shape, int64_t batch)
{
	return shape->dims[0] == batch &&
		   (shape->rank == 2 ||
			(shape->rank == 4 && shape->dims[2] == 1 && shape->dims[3] == 1));
}

/* An embedder has one output, as has a landmarks network; what has others is
 * something else, so they are named (the first three). */
static FrStatus
check_output_count(const FrGraph *graph, FrRole role, FrError *error)
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
				   "The network has %d outputs (%s), but %s has one.",
				   graph->output_count, names,
				   role == FR_ROLE_EMBEDDER ? "an embedder"
											: "a landmarks network");
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

/* What a landmarks network gives is not the length of an embedding. */
static FrStatus
check_landmarks_output(const FrGraph *sized, const FrShape *input, int *dims,
					   FrError *error)
{
	FrStatus status = check_embedding_output(sized, input, dims, error);
	int values = *dims;

	*dims = 0;
	if (status == FR_OK && values != FR_LANDMARK_VALUES)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The network gives %d numbers per picture; a landmarks "
					   "network gives %d, x and y of five points.",
					   values, FR_LANDMARK_VALUES);
	return status;
}

static FrStatus
check_outputs(const FrDescriptor *descriptor, const FrGraph *source,
			  const FrGraph *sized, const FrShape *input, int *dims,
			  FrError *error)
{
	switch (descriptor->role)
	{
		case FR_ROLE_DETECTOR:
			return check_heads(descriptor, source, sized, input, error);
		case FR_ROLE_EMBEDDER:
			return check_embedding_output(sized, input, dims, error);
		case FR_ROLE_LANDMARKS:
			return check_landmarks_output(sized, input, dims, error);
		case FR_ROLE_COUNT:
			break;
	}
	return fr_fail(error, FR_ERR_BUG, "There is no role number %d.",
				   (int) descriptor->role);
}

static FrStatus
check_descriptor_values(const FrDescriptor *descriptor, FrError *error)
{
	FrStatus status = check_normalisation(descriptor, error);

	if (status != FR_OK)
		return status;
	return descriptor->role == FR_ROLE_DETECTOR
			   ? check_detector_values(descriptor, error)
			   : check_crop_values(descriptor, error);
}

FrTrial
fr_trial_of(FrNet *net, const FrCancel *cancel, const FrAllocator *allocator)
{
	return (FrTrial){.net = net, .cancel = cancel, .allocator = allocator};
}

void
fr_trial_fini(FrTrial *trial)
{
	if (trial->is_sized)
		fr_graph_destroy(&trial->sized);
	trial->is_sized = false;
}

FrStatus
fr_trial_size(FrTrial *trial, const FrShape *input, const FrGraph **sized,
			  FrError *error)
{
	if (!trial->is_sized || !fr_shape_equal(&trial->input, input))
	{
		fr_trial_fini(trial);

		FrStatus status =
			fr_net_specialize(trial->net, input, trial->cancel,
							  trial->allocator, &trial->sized, error);

		if (status != FR_OK)
			return status;
		trial->is_sized = true;
		trial->input = *input;
	}
	*sized = &trial->sized;
	return FR_OK;
}

FrStatus
fr_trial_check(FrTrial *trial, const FrDescriptor *descriptor, int *dims,
			   FrError *error)
{
	const FrGraph *source = fr_net_graph(trial->net), *sized;
	FrShape input;

	*dims = 0;
	if (descriptor->graph_count != 1)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The preset \"%s\" is a model of %d networks, not one.",
					   descriptor->preset, descriptor->graph_count);

	FrStatus status = check_descriptor_values(descriptor, error);

	if (status == FR_OK)
		status = fr_input_check(trial->net, descriptor, error);
	if (status == FR_OK)
		status = check_input(descriptor, source, &input, error);
	if (status == FR_OK && descriptor->role != FR_ROLE_DETECTOR)
		status = check_output_count(source, descriptor->role, error);
	if (status == FR_OK)
		status = fr_trial_size(trial, &input, &sized, error);
	if (status == FR_OK)
		status = check_outputs(descriptor, source, sized, &input, dims, error);
	return status;
}

FrStatus
fr_descriptor_check(const FrDescriptor *descriptor, FrNet *net,
					const FrCancel *cancel, const FrAllocator *allocator,
					int *dims, FrError *error)
{
	FrTrial trial = fr_trial_of(net, cancel, allocator);
	FrStatus status = fr_trial_check(&trial, descriptor, dims, error);

	fr_trial_fini(&trial);
	return status;
}

FrStatus
fr_model_check(const FrDescriptor *descriptor, FrNet *const *nets, int count,
			   const FrCancel *cancel, const FrAllocator *allocator, int *dims,
			   FrError *error)
{
	*dims = 0;
	if (count != descriptor->graph_count)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The preset \"%s\" is a model of %d networks, not %d.",
					   descriptor->preset, descriptor->graph_count, count);
	if (count == 1)
		return fr_descriptor_check(descriptor, nets[0], cancel, allocator, dims,
								   error);

	FrStatus status = check_descriptor_values(descriptor, error);

	if (status == FR_OK)
		status = fr_mtcnn_check(descriptor, nets, cancel, allocator, error);
	return status;
}
