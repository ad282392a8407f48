/*
 * embed.c: crops through a network that makes numbers of them; see embed.h.
 */
#include "core/face/embed.h"

#include <math.h>
#include <string.h>

#include "core/face/input.h"

/* How many crops to run at once: what the graph is fixed to, or as many as
 * there are, within bounds. */
static int
choose_batch(const FrNet *embedder, int count)
{
	const FrGraph *graph = fr_net_graph(embedder);
	const FrValue *input = &graph->values[graph->inputs[0]];

	if (input->is_shape_known && input->shape.rank == 4 &&
		input->shape.dims[0] > 0 && input->shape.dims[0] <= 1024)
		return (int) input->shape.dims[0];
	return count < FR_EMBED_MAX_BATCH ? count : FR_EMBED_MAX_BATCH;
}

/* Run up to batch crops; *output gets [batch, dims], checked for the first
 * count. */
static FrStatus
run_batch(FrPlan *plan, const FrDescriptor *descriptor, const FrImage *crops,
		  int count, int batch, int dims, bool is_mirrored,
		  const FrCancel *cancel, const float **output, FrError *error)
{
	for (int i = 0; i < count; i++)
	{
		FrStatus status =
			fr_input_set(plan, i, &crops[i], descriptor, is_mirrored, error);

		if (status != FR_OK)
			return status;
	}
	FrStatus status = fr_plan_run(plan, cancel, error);
	const FrShape *shape;
	size_t value_count = 0;

	if (status != FR_OK)
		return status;
	*output = fr_plan_output(plan, 0, &shape);
	if (!fr_shape_count(shape, &value_count) ||
		value_count != (size_t) batch * (size_t) dims)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The network gave %zu values for %d pictures instead "
					   "of %d each.",
					   value_count, batch, dims);
	for (size_t i = 0; i < (size_t) count * (size_t) dims; i++)
	{
		if (!isfinite((*output)[i]))
			return fr_fail(error, FR_ERR_MISMATCH,
						   "The network gave a value that is not a finite "
						   "number.");
	}
	return FR_OK;
}

/* embedding += unit vector of output (nothing when that is zero). */
static void
add_unit(const float *output, int dims, float *embedding)
{
	double sum = 0;

	for (int i = 0; i < dims; i++)
		sum += (double) output[i] * (double) output[i];
	if (!(sum > 0))
		return;

	double scale = 1 / sqrt(sum);

	for (int i = 0; i < dims; i++)
		embedding[i] += (float) ((double) output[i] * scale);
}

/* Which landmark a mirrored crop shows in the place of each. */
static const int mirrored_landmarks[FR_LANDMARK_COUNT] = {1, 0, 2, 4, 3};

/* landmarks += half of the points that the network gives, brought back from
 * the mirrored crop if it was that. */
static void
add_points(const float *output, bool is_mirrored, float *landmarks)
{
	for (int k = 0; k < FR_LANDMARK_COUNT; k++)
	{
		const float *from =
			output + 2 * (is_mirrored ? mirrored_landmarks[k] : k);

		landmarks[2 * k] += (is_mirrored ? 1 - from[0] : from[0]) / 2;
		landmarks[2 * k + 1] += from[1] / 2;
	}
}

static void
add_output(const FrDescriptor *descriptor, const float *output, int dims,
		   bool is_mirrored, float *sum)
{
	if (descriptor->role == FR_ROLE_LANDMARKS)
		add_points(output, is_mirrored, sum);
	else
		add_unit(output, dims, sum);
}

static FrStatus
embed_batch(FrPlan *plan, const FrDescriptor *descriptor, const FrImage *crops,
			int count, int batch, int dims, const FrCancel *cancel,
			float *embeddings, FrError *error)
{
	size_t floats = (size_t) count * (size_t) dims;
	const float *output;

	if (!descriptor->is_flip_averaged)
	{
		FrStatus status = run_batch(plan, descriptor, crops, count, batch, dims,
									false, cancel, &output, error);

		if (status == FR_OK)
			memcpy(embeddings, output, floats * sizeof(float));
		return status;
	}
	memset(embeddings, 0, floats * sizeof(float));
	for (int mirrored = 0; mirrored < 2; mirrored++)
	{
		FrStatus status = run_batch(plan, descriptor, crops, count, batch, dims,
									mirrored == 1, cancel, &output, error);

		if (status != FR_OK)
			return status;
		for (int i = 0; i < count; i++)
			add_output(descriptor, output + (size_t) i * (size_t) dims, dims,
					   mirrored == 1, embeddings + (size_t) i * (size_t) dims);
	}
	return FR_OK;
}

static FrStatus
check_crops(const FrDescriptor *descriptor, const FrImage *crops, int count,
			int dims, FrError *error)
{
	if (descriptor->role == FR_ROLE_DETECTOR || descriptor->input_width < 1 ||
		descriptor->input_height < 1)
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "The preset \"%s\" does not take crops.",
					   descriptor->preset);
	if (descriptor->role == FR_ROLE_LANDMARKS && dims != FR_LANDMARK_VALUES)
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "Landmarks are %d numbers, not %d.", FR_LANDMARK_VALUES,
					   dims);
	for (int i = 0; i < count; i++)
	{
		if (crops[i].width != descriptor->input_width ||
			crops[i].height != descriptor->input_height)
			return fr_fail(error, FR_ERR_MISMATCH,
						   "The picture has %d x %d pixels, but the model "
						   "takes aligned crops of %d x %d.",
						   crops[i].width, crops[i].height,
						   descriptor->input_width, descriptor->input_height);
	}
	return FR_OK;
}

FrStatus
fr_embed_crops(FrNet *embedder, const FrDescriptor *descriptor,
			   const FrImage *crops, int count, int dims,
			   const FrCancel *cancel, float *embeddings, FrError *error)
{
	FrStatus status = check_crops(descriptor, crops, count, dims, error);

	if (status == FR_OK)
		status = fr_input_check(embedder, descriptor, error);
	for (int start = 0; start < count && status == FR_OK;)
	{
		int batch = choose_batch(embedder, count - start);
		int size = count - start < batch ? count - start : batch;
		FrShape shape =
			fr_input_shape(fr_net_graph(embedder), batch,
						   descriptor->input_width, descriptor->input_height);
		FrPlan *plan;

		status = fr_net_plan(embedder, &shape, cancel, &plan, error);
		if (status == FR_OK)
			status = embed_batch(
				plan, descriptor, crops + start, size, batch, dims, cancel,
				embeddings + (size_t) start * (size_t) dims, error);
		start += size;
	}
	return status;
}
