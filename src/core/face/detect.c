/*
 * detect.c: one picture through a detector network; see detect.h.
 */
#include "core/face/detect.h"

#include <math.h>
#include <string.h>

#include "core/face/input.h"
#include "core/face/yunet.h"

/* Height and width that the graph's input is fixed to; 0 where it is free. */
static void
fixed_size(const FrNet *detector, int *width, int *height)
{
	const FrGraph *graph = fr_net_graph(detector);

	*width = *height = 0;
	if (graph->input_count != 1)
		return; /* fr_detect_run refuses it */

	const FrShape *shape = &graph->values[graph->inputs[0]].shape;

	if (graph->values[graph->inputs[0]].is_shape_known && shape->rank == 4)
	{
		if (shape->dims[2] > 0 && shape->dims[2] <= INT32_MAX)
			*height = (int) shape->dims[2];
		if (shape->dims[3] > 0 && shape->dims[3] <= INT32_MAX)
			*width = (int) shape->dims[3];
	}
}

void
fr_detect_fit(const FrNet *detector, int longest, int width, int height,
			  int *fit_width, int *fit_height)
{
	int max_width, max_height;
	double ratio = 1;

	fixed_size(detector, &max_width, &max_height);
	if (longest > 0)
		ratio =
			fmin(ratio, (double) longest / (width > height ? width : height));
	if (max_width > 0)
		ratio = fmin(ratio, (double) max_width / width);
	if (max_height > 0)
		ratio = fmin(ratio, (double) max_height / height);
	*fit_width = (int) fmax(1, floor(width * ratio + 0.5));
	*fit_height = (int) fmax(1, floor(height * ratio + 0.5));
}

static int
round_up(int value, int multiple)
{
	return (value + multiple - 1) / multiple * multiple;
}

/* Plan for the padded picture, fill the input and run. */
static FrStatus
run_network(FrNet *detector, const FrDescriptor *descriptor,
			const FrImage *image, const FrCancel *cancel, FrPlan **plan,
			int *width, int *height, FrError *error)
{
	int multiple =
		descriptor->size_multiple > 1 ? descriptor->size_multiple : 1;

	fixed_size(detector, width, height);
	if (*width == 0)
		*width = round_up(image->width, multiple);
	if (*height == 0)
		*height = round_up(image->height, multiple);

	FrShape shape = {.rank = 4, .dims = {1, 3, *height, *width}};
	FrStatus status = fr_net_plan(detector, &shape, cancel, plan, error);

	if (status == FR_OK)
		status = fr_input_set(*plan, 0, image, descriptor, false, error);
	if (status == FR_OK)
		status = fr_plan_run(*plan, cancel, error);
	return status;
}

/* Point at the heads in the plan's outputs, whose sizes are checked. */
static FrStatus
read_grids(const FrNet *detector, const FrPlan *plan, int width, int height,
		   FrYunetGrid grids[FR_YUNET_GRID_COUNT], FrError *error)
{
	int outputs[FR_YUNET_GRID_COUNT][FR_YUNET_HEAD_COUNT];
	FrStatus status = fr_yunet_bind(fr_net_graph(detector), outputs, error);

	if (status != FR_OK)
		return status;
	for (int g = 0; g < FR_YUNET_GRID_COUNT; g++)
	{
		grids[g].rows = height / fr_yunet_strides[g];
		grids[g].columns = width / fr_yunet_strides[g];

		size_t cells = (size_t) grids[g].rows * (size_t) grids[g].columns;

		for (int h = 0; h < FR_YUNET_HEAD_COUNT; h++)
		{
			const FrShape *shape;
			size_t count = 0;

			grids[g].heads[h] = fr_plan_output(plan, outputs[g][h], &shape);
			if (!fr_shape_count(shape, &count) ||
				count != cells * (size_t) fr_yunet_head_sizes[h])
				return fr_fail(error, FR_ERR_MISMATCH,
							   "For an input of %d x %d pixels, output %d of "
							   "the detector has %zu values instead of %zu.",
							   width, height, outputs[g][h] + 1, count,
							   cells * (size_t) fr_yunet_head_sizes[h]);
		}
	}
	return FR_OK;
}

static FrStatus
copy_kept(const FrCandidates *candidates, const int *kept, int kept_count,
		  const FrAllocator *allocator, FrFaces *faces, FrError *error)
{
	const FrBoxes *boxes = &candidates->boxes;

	*faces = (FrFaces){.allocator = allocator};
	if (kept_count == 0)
		return FR_OK;
	faces->faces =
		fr_alloc_zeroed(allocator, (size_t) kept_count, sizeof(FrFace));
	if (!faces->faces)
		return fr_fail_nomem(error, (size_t) kept_count * sizeof(FrFace));
	faces->count = kept_count;
	for (int i = 0; i < kept_count; i++)
	{
		FrFace *face = &faces->faces[i];
		int k = kept[i];

		face->x0 = boxes->x0[k];
		face->y0 = boxes->y0[k];
		face->x1 = boxes->x1[k];
		face->y1 = boxes->y1[k];
		face->score = boxes->score[k];
		memcpy(face->landmarks,
			   candidates->landmarks + (size_t) k * FR_LANDMARK_COUNT,
			   sizeof face->landmarks);
	}
	return FR_OK;
}

/* Candidates, then those that survive suppression. */
static FrStatus
select_faces(const FrYunetGrid grids[FR_YUNET_GRID_COUNT],
			 const FrDescriptor *descriptor, const FrCancel *cancel,
			 FrArena *arena, const FrAllocator *allocator, FrFaces *faces,
			 FrError *error)
{
	FrCandidates candidates;
	int kept_count;
	FrStatus status = fr_yunet_decode(grids, descriptor->detection_threshold,
									  cancel, arena, &candidates, error);

	if (status != FR_OK)
		return status;

	size_t kept_bytes = (size_t) candidates.boxes.count * sizeof(int);
	int *kept = fr_arena_alloc(arena, kept_bytes);

	if (!kept)
		return fr_fail_nomem(error, kept_bytes);
	status = fr_nms(&candidates.boxes, descriptor->nms_iou, cancel, kept,
					&kept_count, error);
	if (status == FR_OK)
		status =
			copy_kept(&candidates, kept, kept_count, allocator, faces, error);
	return status;
}

FrStatus
fr_detect_run(FrNet *detector, const FrDescriptor *descriptor,
			  const FrImage *image, const FrCancel *cancel,
			  const FrAllocator *allocator, FrFaces *faces, FrError *error)
{
	FrYunetGrid grids[FR_YUNET_GRID_COUNT];
	FrPlan *plan;
	int width, height;

	*faces = (FrFaces){.allocator = allocator};
	if (descriptor->role != FR_ROLE_DETECTOR ||
		descriptor->decode != FR_DECODE_YUNET)
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "The preset \"%s\" is not one of a detector.",
					   descriptor->preset);

	FrStatus status = fr_input_check(detector, descriptor, error);

	if (status == FR_OK)
		status = run_network(detector, descriptor, image, cancel, &plan, &width,
							 &height, error);
	if (status == FR_OK)
		status = read_grids(detector, plan, width, height, grids, error);
	if (status != FR_OK)
		return status;

	FrArena arena;

	fr_arena_init(&arena, allocator);
	status = select_faces(grids, descriptor, cancel, &arena, allocator, faces,
						  error);
	fr_arena_fini(&arena);
	return status;
}
