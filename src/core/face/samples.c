/*
 * samples.c: see samples.h.
 */
#include "core/face/samples.h"

#include "core/face/detect.h"
#include "core/face/input.h"

FrStatus
fr_sample_set_init(FrSampleSet *set, const FrGraph *graph,
				   const FrDescriptor *descriptor, int capacity,
				   size_t max_bytes, const FrAllocator *allocator,
				   FrError *error)
{
	*set = (FrSampleSet){.graph = graph,
						 .descriptor = descriptor,
						 .allocator = allocator,
						 .capacity = capacity,
						 .max_bytes = max_bytes};

	FrStatus status = fr_observe_check(graph, error);

	if (status != FR_OK)
		return status;
	set->images =
		fr_alloc_zeroed(allocator, (size_t) capacity, sizeof *set->images);
	set->shapes =
		fr_alloc_zeroed(allocator, (size_t) capacity, sizeof *set->shapes);
	if (set->images && set->shapes)
		return FR_OK;
	fr_sample_set_fini(set);
	return fr_fail_nomem(error, (size_t) capacity * sizeof *set->images);
}

void
fr_sample_set_truncate(FrSampleSet *set, int count)
{
	while (set->count > count)
	{
		FrImage *image = &set->images[--set->count];

		set->bytes -= 3 * (size_t) image->width * (size_t) image->height;
		fr_image_destroy(image);
	}
}

void
fr_sample_set_fini(FrSampleSet *set)
{
	fr_sample_set_truncate(set, 0);
	fr_release(set->allocator, set->images);
	fr_release(set->allocator, set->shapes);
	set->images = NULL;
	set->shapes = NULL;
}

bool
fr_sample_set_is_full(const FrSampleSet *set)
{
	return set->count >= set->capacity || set->bytes >= set->max_bytes;
}

/* Add a copy, in the set's own memory. */
static FrStatus
add_picture(FrSampleSet *set, const FrImage *picture, const FrShape *shape,
			FrError *error)
{
	FrImageRect all = {0, 0, picture->width, picture->height};

	if (fr_sample_set_is_full(set))
		return FR_OK;

	FrStatus status = fr_image_crop(picture, &all, NULL, set->allocator,
									&set->images[set->count], error);

	if (status != FR_OK)
		return status;
	set->bytes += 3 * (size_t) picture->width * (size_t) picture->height;
	set->shapes[set->count++] = *shape;
	return FR_OK;
}

FrStatus
fr_sample_set_add_crop(FrSampleSet *set, const FrImage *crop, FrError *error)
{
	const FrDescriptor *descriptor = set->descriptor;
	const FrValue *input = &set->graph->values[set->graph->inputs[0]];
	int64_t batch = 1;

	if (crop->width != descriptor->input_width ||
		crop->height != descriptor->input_height)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The picture has %d x %d pixels, but the model takes "
					   "aligned crops of %d x %d.",
					   crop->width, crop->height, descriptor->input_width,
					   descriptor->input_height);
	if (input->is_shape_known && input->shape.rank == 4 &&
		input->shape.dims[0] > 0)
		batch = input->shape.dims[0];

	FrShape shape =
		fr_input_shape(set->graph, batch, crop->width, crop->height);

	return add_picture(set, crop, &shape, error);
}

static FrStatus
add_reduced(FrSampleSet *set, FrPhoto *photo, const FrDetector *detector,
			FrError *error)
{
	FrImage picture;
	FrStatus status = fr_photo_reduce(photo, detector, &picture, error);

	if (status != FR_OK)
		return status;

	FrShape shape = fr_detect_shape(detector->nets[0], detector->descriptor,
									picture.width, picture.height);

	status = add_picture(set, &picture, &shape, error);
	fr_image_destroy(&picture);
	return status;
}

FrStatus
fr_sample_set_add_photo(FrSampleSet *set, FrPhoto *photo,
						const FrDetector *detector, FrError *error)
{
	FrFaces faces;

	if (set->descriptor->role == FR_ROLE_DETECTOR)
		return add_reduced(set, photo, detector, error);

	FrStatus status = fr_photo_detect(photo, detector, &faces, error);

	if (status != FR_OK)
		return status;
	for (int i = 0; i < faces.count && status == FR_OK; i++)
	{
		FrImage crop;

		if (fr_sample_set_is_full(set))
			break;
		status = fr_photo_crop(photo, set->descriptor, &faces.faces[i], &crop,
							   error);
		if (status == FR_OK)
			status = fr_sample_set_add_crop(set, &crop, error);
		fr_image_destroy(&crop);
	}
	fr_faces_destroy(&faces);
	return status;
}

/* All pictures of a fixed batch are the same one. */
static FrStatus
fill(void *context, int index, FrPlan *plan, FrError *error)
{
	const FrSampleSet *set = context;
	bool is_mirrored = set->descriptor->is_flip_averaged && index % 2 == 1;
	FrStatus status = FR_OK;

	for (int64_t i = 0; i < set->shapes[index].dims[0] && status == FR_OK; i++)
		status = fr_input_set(plan, i, &set->images[index], set->descriptor,
							  is_mirrored, error);
	return status;
}

FrSamples
fr_sample_set_samples(FrSampleSet *set)
{
	return (FrSamples){.count = set->count,
					   .shapes = set->shapes,
					   .fill = fill,
					   .context = set};
}
