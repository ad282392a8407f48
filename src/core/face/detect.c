/*
 * detect.c: one picture through a detector network; see detect.h.
 */
#include "core/face/detect.h"

#include <math.h>
#include <string.h>

#include "core/face/heads.h"
#include "core/face/input.h"
#include "core/face/mtcnn.h"
#include "core/face/scrfd.h"

/* Height and width that the graph's input is fixed to; 0 where it is free. */
static void
fixed_size(const FrNet *detector, int *width, int *height)
{
	const FrGraph *graph = fr_net_graph(detector);

	*width = *height = 0;
	if (graph->input_count != 1)
		return; /* fr_detect_run refuses it */

	const FrShape *shape = &graph->values[graph->inputs[0]].shape;
	int row = fr_input_is_channels_last(graph) ? 1 : 2;

	if (graph->values[graph->inputs[0]].is_shape_known && shape->rank == 4)
	{
		if (shape->dims[row] > 0 && shape->dims[row] <= INT32_MAX)
			*height = (int) shape->dims[row];
		if (shape->dims[row + 1] > 0 && shape->dims[row + 1] <= INT32_MAX)
			*width = (int) shape->dims[row + 1];
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

FrShape
fr_detect_shape(const FrNet *net, const FrDescriptor *descriptor, int width,
				int height)
{
	const FrGraph *graph = fr_net_graph(net);
	int multiple = fr_heads_multiple(descriptor->decode, graph->output_count);
	int fixed_width, fixed_height;

	if (descriptor->size_multiple > multiple)
		multiple = descriptor->size_multiple;
	fixed_size(net, &fixed_width, &fixed_height);
	return fr_input_shape(
		graph, 1, fixed_width > 0 ? fixed_width : round_up(width, multiple),
		fixed_height > 0 ? fixed_height : round_up(height, multiple));
}

/* Plan for the padded picture, fill the input and run. */
static FrStatus
run_network(const FrDetector *detector, const FrImage *image,
			const FrCancel *cancel, FrHeads *heads, FrError *error)
{
	const FrDescriptor *descriptor = detector->descriptor;
	FrNet *net = detector->nets[0];
	FrShape shape =
		fr_detect_shape(net, descriptor, image->width, image->height);
	int row = fr_input_is_channels_last(fr_net_graph(net)) ? 1 : 2;
	int height = (int) shape.dims[row], width = (int) shape.dims[row + 1];
	FrPlan *plan;
	FrStatus status = fr_net_plan(net, &shape, cancel, &plan, error);

	if (status == FR_OK)
		status = fr_input_set(plan, 0, image, descriptor, false, error);
	if (status == FR_OK)
		status = fr_plan_run(plan, cancel, error);
	if (status == FR_OK)
		status = fr_heads_of_plan(net, plan, width, height, heads, error);
	return status;
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
		face->lacks_landmarks = !candidates->landmarks;
		if (candidates->landmarks)
			memcpy(face->landmarks,
				   candidates->landmarks + (size_t) k * FR_LANDMARK_COUNT,
				   sizeof face->landmarks);
	}
	return FR_OK;
}

/* The candidates that survive suppression; the cascade has suppressed by its
 * own rule. */
static FrStatus
select_faces(const FrDescriptor *descriptor, const FrCandidates *candidates,
			 const FrCancel *cancel, FrArena *arena,
			 const FrAllocator *allocator, FrFaces *faces, FrError *error)
{
	size_t kept_bytes = (size_t) candidates->boxes.count * sizeof(int);
	int *kept = fr_arena_alloc(arena, kept_bytes);
	int kept_count = candidates->boxes.count;
	FrStatus status = FR_OK;

	if (!kept)
		return fr_fail_nomem(error, kept_bytes);
	if (descriptor->decode != FR_DECODE_MTCNN)
		status = fr_nms(&candidates->boxes, descriptor->nms_iou, cancel, kept,
						&kept_count, error);
	else
	{
		for (int i = 0; i < kept_count; i++)
			kept[i] = i;
	}
	if (status == FR_OK)
		status =
			copy_kept(candidates, kept, kept_count, allocator, faces, error);
	return status;
}

/* Candidates of the network, or of the cascade of networks. */
static FrStatus
find_candidates(const FrDetector *detector, const FrImage *image,
				double min_side, const FrCancel *cancel, FrArena *arena,
				FrCandidates *candidates, FrError *error)
{
	const FrDescriptor *descriptor = detector->descriptor;
	FrHeads heads;

	if (descriptor->decode == FR_DECODE_MTCNN)
		return fr_mtcnn_detect(detector, image, min_side, cancel, arena,
							   candidates, error);

	FrStatus status = run_network(detector, image, cancel, &heads, error);

	if (status == FR_OK)
		status = fr_heads_decode(descriptor->decode, &heads,
								 descriptor->detection_threshold, cancel, arena,
								 candidates, error);
	return status;
}

static FrStatus
check_detector(const FrDetector *detector, FrError *error)
{
	const FrDescriptor *descriptor = detector->descriptor;
	FrStatus status = FR_OK;

	if (descriptor->role != FR_ROLE_DETECTOR)
		return fr_fail(error, FR_ERR_ARGUMENT,
					   "The preset \"%s\" is not one of a detector.",
					   descriptor->preset);
	if (descriptor->graph_count < 1 || descriptor->graph_count > FR_MAX_GRAPHS)
		return fr_fail(error, FR_ERR_BUG, "A detector has %d networks.",
					   descriptor->graph_count);
	for (int i = 0; i < descriptor->graph_count && status == FR_OK; i++)
		status = fr_input_check(detector->nets[i], descriptor, error);
	return status;
}

FrStatus
fr_detect_run(const FrDetector *detector, const FrImage *image, double min_side,
			  const FrCancel *cancel, const FrAllocator *allocator,
			  FrFaces *faces, FrError *error)
{
	FrStatus status = check_detector(detector, error);

	*faces = (FrFaces){.allocator = allocator};
	if (status != FR_OK)
		return status;

	FrCandidates candidates;
	FrArena arena;

	fr_arena_init(&arena, allocator);
	status = find_candidates(detector, image, min_side, cancel, &arena,
							 &candidates, error);
	if (status == FR_OK)
		status = select_faces(detector->descriptor, &candidates, cancel, &arena,
							  allocator, faces, error);
	fr_arena_fini(&arena);
	return status;
}

/* ---- at load time -------------------------------------------------------- */

/* Side of the picture that a detector is tried with. */
#define PROBE_SIDE 64

/* Whether a head holds scores. */
static bool
is_score_head(FrDecodeRule rule, const FrHead *head)
{
	int64_t rows, columns;

	if (rule == FR_DECODE_YUNET)
		return strncmp(head->name, "cls_", 4) == 0 ||
			   strncmp(head->name, "obj_", 4) == 0;
	if (!fr_head_rows(head, &rows, &columns))
		return false;
	return (rule == FR_DECODE_SCRFD && columns == 1) ||
		   (rule == FR_DECODE_RETINAFACE && columns == 2);
}

bool
fr_detector_has_landmarks(const FrDetector *detector)
{
	return detector->descriptor->decode != FR_DECODE_SCRFD ||
		   fr_scrfd_has_landmarks(
			   fr_net_graph(detector->nets[0])->output_count);
}

/* Run a network with heads and look at what it gives. */
static FrStatus
probe_heads(const FrDetector *detector, const FrImage *image,
			const FrCancel *cancel, FrError *error)
{
	FrDecodeRule rule = detector->descriptor->decode;
	FrHeads heads;
	FrStatus status = run_network(detector, image, cancel, &heads, error);

	for (int i = 0; status == FR_OK && i < heads.count; i++)
		status = fr_head_check_values(
			&heads.heads[i], is_score_head(rule, &heads.heads[i]), error);
	return status;
}

FrStatus
fr_detect_probe(const FrDetector *detector, const FrCancel *cancel,
				const FrAllocator *allocator, FrError *error)
{
	FrFaces faces;
	FrImage image;
	int width, height;
	FrStatus status = check_detector(detector, error);

	if (status != FR_OK)
		return status;
	fr_detect_fit(detector->nets[0], 0, PROBE_SIDE, PROBE_SIDE, &width,
				  &height);
	status = fr_image_create(width, height, allocator, &image, error);
	if (status != FR_OK)
		return status;
	memset(image.pixels, 128, (size_t) width * (size_t) height * 3);
	if (fr_heads_has_rule(detector->descriptor->decode))
		status = probe_heads(detector, &image, cancel, error);
	else if (detector->descriptor->decode == FR_DECODE_MTCNN)
		status = fr_mtcnn_probe(detector, cancel, allocator, error);
	if (status == FR_OK)
	{
		status = fr_detect_run(detector, &image, 0, cancel, allocator, &faces,
							   error);
		fr_faces_destroy(&faces);
	}
	fr_image_destroy(&image);
	return status;
}
