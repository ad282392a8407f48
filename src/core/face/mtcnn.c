/*
 * mtcnn.c: the cascade of MTCNN; see mtcnn.h.
 *
 * Step by step as the authors' implementation has it, also where it is odd
 * (mtcnn_windows.h).  The second and third network run on batches of a few
 * sizes, so that their plans are made once.
 */
#include "core/face/mtcnn.h"

#include <string.h>

#include "core/face/heads.h"
#include "core/face/input.h"
#include "core/face/mtcnn_crop.h"

/* P's window and the distance between two of them, pixels. */
#define WINDOW 12
#define STRIDE 2

#define PYRAMID_FACTOR 0.709
#define P_THRESHOLD	   0.6f
#define R_THRESHOLD	   0.7f
#define SCALE_OVERLAP  0.5 /* within one level of the pyramid */
#define STAGE_OVERLAP  0.7 /* after the first and second stage */

/* Crops per run: working memory stays small whatever the picture. */
#define MAX_BATCH 64

/* Crops that R and O are asked about when they take any number. */
#define TRIAL_BATCH 2

/* Side of the picture that P's shapes are tried with. */
#define TRIAL_SIDE 64

enum
{
	STAGE_P = 0,
	STAGE_R,
	STAGE_O,
	STAGE_COUNT
};

static const char *const stage_names[STAGE_COUNT] = {"first (P)", "second (R)",
													 "third (O)"};
static const int stage_sides[STAGE_COUNT] = {WINDOW, 24, 48};

/* What a stage gives for each window. */
typedef struct StageOutputs
{
	const float *classes;	/* [batch, 2, rows, columns]: 1 = face */
	const float *shifts;	/* [batch, 4, rows, columns] */
	const float *landmarks; /* [batch, 10]: five x, five y; stage O only */
} StageOutputs;

/* ---- outputs ------------------------------------------------------------- */

/* Windows along a side of P's input. */
static int
count_windows(int side)
{
	return (side - 1) / STRIDE - 4;
}

static FrStatus
fail_output(int stage, const FrHead *head, FrError *error)
{
	char text[96];

	return fr_fail(error, FR_ERR_MISMATCH,
				   "The output \"%.24s\" of the %s network has shape %s; the "
				   "preset \"mtcnn\" reads %s.",
				   head->name, stage_names[stage],
				   fr_shape_text(&head->shape, text, sizeof text),
				   stage == STAGE_P ? "[1, 2, rows, columns] and [1, 4, rows, "
									  "columns]"
				   : stage == STAGE_R ? "[n, 2] and [n, 4]"
									  : "[n, 2], [n, 4] and [n, 10]");
}

/* Does a head hold so many values per window of a batch? */
static bool
is_head_of(const FrHead *head, int64_t batch, int64_t channels, int rows,
		   int columns)
{
	const FrShape *shape = &head->shape;
	size_t count;

	if (shape->rank != 2 && shape->rank != 4)
		return false;
	if (shape->rank == 4 &&
		(shape->dims[2] != rows || shape->dims[3] != columns))
		return false;
	return shape->dims[0] == batch && shape->dims[1] == channels &&
		   fr_shape_count(shape, &count) &&
		   count == (size_t) (batch * channels * rows * columns);
}

/* Tell the outputs of a stage apart by their channels. */
static FrStatus
bind_outputs(const FrHeads *heads, int stage, int64_t batch,
			 StageOutputs *outputs, FrError *error)
{
	static const int channels[3] = {2, 4, 10};
	int wanted = stage == STAGE_O ? 3 : 2;
	int rows = stage == STAGE_P ? count_windows(heads->height) : 1;
	int columns = stage == STAGE_P ? count_windows(heads->width) : 1;
	const float **places[3] = {&outputs->classes, &outputs->shifts,
							   &outputs->landmarks};
	bool is_taken[3] = {false};

	*outputs = (StageOutputs){0};
	if (heads->count != wanted)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The %s network has %d outputs, but the preset "
					   "\"mtcnn\" reads %d.",
					   stage_names[stage], heads->count, wanted);
	for (int i = 0; i < heads->count; i++)
	{
		const FrHead *head = &heads->heads[i];
		int kind = 0;

		while (kind < wanted &&
			   !is_head_of(head, batch, channels[kind], rows, columns))
			kind++;
		if (kind == wanted || is_taken[kind])
			return fail_output(stage, head, error);
		is_taken[kind] = true;
		*places[kind] = head->values;
	}
	return FR_OK;
}

/* What a stage is tried with when it is loaded. */
static FrShape
trial_shape(const FrNet *net, int stage)
{
	const FrGraph *graph = fr_net_graph(net);
	const FrValue *input = &graph->values[graph->inputs[0]];
	int side = stage == STAGE_P ? TRIAL_SIDE : stage_sides[stage];
	FrShape shape = {.rank = 4, .dims = {1, 3, side, side}};

	if (stage != STAGE_P && (!input->is_shape_known || input->shape.rank < 1 ||
							 input->shape.dims[0] == FR_DIM_DYNAMIC))
		shape.dims[0] = TRIAL_BATCH;
	return shape;
}

static FrStatus
check_stage(const FrDescriptor *descriptor, const FrNet *net, int stage,
			const FrCancel *cancel, const FrAllocator *allocator,
			FrError *error)
{
	const FrGraph *graph = fr_net_graph(net);
	FrStatus status = fr_input_check(net, descriptor, error);

	if (status != FR_OK)
		return status;

	const FrValue *input = &graph->values[graph->inputs[0]];
	FrShape shape = trial_shape(net, stage);
	bool is_fitting = input->dtype == FR_FLOAT32;

	for (int i = 0; i < 4 && input->is_shape_known; i++)
		is_fitting &=
			input->shape.rank == 4 && (input->shape.dims[i] == FR_DIM_DYNAMIC ||
									   (input->shape.dims[i] == shape.dims[i] &&
										(stage != STAGE_P || i < 2)));
	if (!is_fitting)
		return fr_fail(
			error, FR_ERR_MISMATCH,
			"The %s network does not take what the preset \"mtcnn\" feeds: "
			"float32 %s.",
			stage_names[stage],
			stage == STAGE_P   ? "[1, 3, height, width] of any size"
			: stage == STAGE_R ? "[n, 3, 24, 24]"
							   : "[n, 3, 48, 48]");

	FrGraph sized;
	FrHeads heads;
	StageOutputs outputs;
	int side = (int) shape.dims[2];

	status = fr_net_specialize(net, &shape, cancel, allocator, &sized, error);
	if (status != FR_OK)
		return status;
	status = fr_heads_of_graph(graph, &sized, side, side, &heads, error);
	if (status == FR_OK)
		status = bind_outputs(&heads, stage, shape.dims[0], &outputs, error);
	fr_graph_destroy(&sized);
	return status;
}

FrStatus
fr_mtcnn_check(const FrDescriptor *descriptor, FrNet *const *nets,
			   const FrCancel *cancel, const FrAllocator *allocator,
			   FrError *error)
{
	FrStatus status = FR_OK;

	for (int stage = 0; stage < STAGE_COUNT && status == FR_OK; stage++)
		status = check_stage(descriptor, nets[stage], stage, cancel, allocator,
							 error);
	return status;
}

/* ---- the trial run ------------------------------------------------------- */

/* Plan for the trial shape, feed all of it with the picture, run. */
static FrStatus
run_trial(const FrDetector *detector, int stage, const FrImage *image,
		  const FrCancel *cancel, FrHeads *heads, FrError *error)
{
	FrNet *net = detector->nets[stage];
	FrShape shape = trial_shape(net, stage);
	FrPlan *plan;
	FrStatus status = fr_net_plan(net, &shape, cancel, &plan, error);

	for (int64_t i = 0; i < shape.dims[0] && status == FR_OK; i++)
		status =
			fr_input_set(plan, i, image, detector->descriptor, false, error);
	if (status == FR_OK)
		status = fr_plan_run(plan, cancel, error);
	if (status == FR_OK)
		status = fr_heads_of_plan(net, plan, image->width, image->height, heads,
								  error);
	return status;
}

static FrStatus
probe_stage(const FrDetector *detector, int stage, const FrCancel *cancel,
			const FrAllocator *allocator, FrError *error)
{
	int side = stage == STAGE_P ? TRIAL_SIDE : stage_sides[stage];
	FrHeads heads;
	StageOutputs outputs;
	FrImage image;
	FrStatus status = fr_image_create(side, side, allocator, &image, error);

	if (status != FR_OK)
		return status;
	memset(image.pixels, 128, (size_t) side * (size_t) side * 3);
	status = run_trial(detector, stage, &image, cancel, &heads, error);
	if (status == FR_OK)
		status = bind_outputs(&heads, stage, heads.heads[0].shape.dims[0],
							  &outputs, error);
	for (int i = 0; i < heads.count && status == FR_OK; i++)
		status = fr_head_check_values(
			&heads.heads[i], heads.heads[i].values == outputs.classes, error);
	fr_image_destroy(&image);
	return status;
}

FrStatus
fr_mtcnn_probe(const FrDetector *detector, const FrCancel *cancel,
			   const FrAllocator *allocator, FrError *error)
{
	FrStatus status = FR_OK;

	for (int stage = 0; stage < STAGE_COUNT && status == FR_OK; stage++)
		status = probe_stage(detector, stage, cancel, allocator, error);
	return status;
}

/* ---- first stage --------------------------------------------------------- */

/* One cascade at work. */
typedef struct Cascade
{
	const FrDetector *detector;
	const FrImage *image;
	const FrCancel *cancel;
	FrArena *arena;
	float *sums; /* [image width, 3], for crops */
} Cascade;

/* The windows of one level whose score reaches the threshold. */
static FrStatus
collect_windows(const Cascade *work, const StageOutputs *outputs, int columns,
				int count, double scale, FrWindows *windows, FrError *error)
{
	const float *scores = outputs->classes + count;
	FrCellHeap heap;
	FrStatus status = fr_cells_init(&heap, work->arena, error);

	if (status != FR_OK)
		return status;
	for (int i = 0; i < count; i++)
	{
		if (i % FR_CELLS_PER_POLL == 0 && fr_is_cancelled(work->cancel))
			return fr_fail(error, FR_ERR_CANCELLED, "Detection was cancelled.");
		if (scores[i] >= P_THRESHOLD)
			fr_cells_push(&heap, (FrCell){fr_clip01(scores[i]), 0, i});
	}
	windows->count = heap.count;
	windows->windows = fr_arena_alloc_zeroed(
		work->arena, (size_t) heap.count + 1, sizeof *windows->windows);
	if (!windows->windows)
		return fr_fail_nomem(error,
							 (size_t) heap.count * sizeof *windows->windows);
	for (int i = 0; i < heap.count; i++)
	{
		int index = heap.cells[i].index;
		double x = STRIDE * (index % columns), y = STRIDE * (index / columns);
		FrWindowBox *window = &windows->windows[i];

		window->x0 = trunc((x + 1) / scale) - 1;
		window->y0 = trunc((y + 1) / scale) - 1;
		window->x1 = trunc((x + WINDOW) / scale);
		window->y1 = trunc((y + WINDOW) / scale);
		window->score = heap.cells[i].score;
		for (int k = 0; k < 4; k++)
			window->shift[k] =
				outputs->shifts[(size_t) k * (size_t) count + (size_t) index];
	}
	return FR_OK;
}

/* One picture of the pyramid through P. */
static FrStatus
run_level(const Cascade *work, const FrImage *level, double scale,
		  FrWindows *windows, FrError *error)
{
	FrNet *net = work->detector->nets[STAGE_P];
	FrShape shape =
		fr_input_shape(fr_net_graph(net), 1, level->width, level->height);
	int columns = count_windows(level->width);
	FrPlan *plan;
	FrHeads heads;
	StageOutputs outputs;
	FrStatus status = fr_net_plan(net, &shape, work->cancel, &plan, error);

	if (status == FR_OK)
		status = fr_input_set(plan, 0, level, work->detector->descriptor, false,
							  error);
	if (status == FR_OK)
		status = fr_plan_run(plan, work->cancel, error);
	if (status == FR_OK)
		status = fr_heads_of_plan(net, plan, level->width, level->height,
								  &heads, error);
	if (status == FR_OK)
		status = bind_outputs(&heads, STAGE_P, 1, &outputs, error);
	if (status == FR_OK)
		status = collect_windows(work, &outputs, columns,
								 columns * count_windows(level->height), scale,
								 windows, error);
	if (status == FR_OK)
		status = fr_windows_suppress(windows, SCALE_OVERLAP, false,
									 work->cancel, work->arena, error);
	return status;
}

static FrStatus
append_windows(FrArena *arena, const FrWindows *more, FrWindows *all,
			   FrError *error)
{
	size_t size_bytes =
		(size_t) (all->count + more->count) * sizeof *all->windows;
	FrWindowBox *joined;

	if (more->count == 0)
		return FR_OK;
	joined = fr_arena_alloc(arena, size_bytes);
	if (!joined)
		return fr_fail_nomem(error, size_bytes);
	if (all->count > 0)
		memcpy(joined, all->windows, (size_t) all->count * sizeof *joined);
	memcpy(joined + all->count, more->windows,
		   (size_t) more->count * sizeof *joined);
	all->windows = joined;
	all->count += more->count;
	return FR_OK;
}

static FrStatus
propose_windows(const Cascade *work, double min_side, FrWindows *windows,
				FrError *error)
{
	const FrImage *image = work->image;
	int shorter = image->width < image->height ? image->width : image->height;
	double largest = WINDOW / fmax(min_side, WINDOW);
	double left = shorter * largest;
	FrStatus status = FR_OK;

	*windows = (FrWindows){0};
	for (int level = 0; left >= WINDOW && status == FR_OK; level++)
	{
		double scale = largest * pow(PYRAMID_FACTOR, level);
		FrImage resized;
		FrWindows found;

		status =
			fr_image_resize(image, (int) ceil(image->width * scale),
							(int) ceil(image->height * scale), work->cancel,
							work->arena->allocator, &resized, error);
		if (status != FR_OK)
			break;
		status = run_level(work, &resized, scale, &found, error);
		fr_image_destroy(&resized);
		if (status == FR_OK)
			status = append_windows(work->arena, &found, windows, error);
		left *= PYRAMID_FACTOR;
	}
	if (status == FR_OK)
		status = fr_windows_suppress(windows, STAGE_OVERLAP, false,
									 work->cancel, work->arena, error);
	if (status != FR_OK)
		return status;
	fr_windows_regress(windows, true);
	fr_windows_square(windows);
	return FR_OK;
}

/* ---- second and third stage ---------------------------------------------- */

/* How many crops to run for so many that are left: what the graph is fixed
 * to, else a power of two; the next one above is for few crops, or for when
 * less than a quarter of it is in vain. */
static int
choose_batch(const FrNet *net, int left)
{
	const FrGraph *graph = fr_net_graph(net);
	const FrValue *input = &graph->values[graph->inputs[0]];
	int batch = 1;

	if (input->is_shape_known && input->shape.dims[0] > 0)
		return input->shape.dims[0] < MAX_BATCH ? (int) input->shape.dims[0]
												: MAX_BATCH;
	while (batch < left && batch < MAX_BATCH)
		batch *= 2;
	return left >= 8 && left * 4 <= batch * 3 ? batch / 2 : batch;
}

/* Crops of count windows through the network of a stage. */
static FrStatus
run_crops(const Cascade *work, int stage, const FrWindowBox *windows, int count,
		  int batch, StageOutputs *outputs, FrError *error)
{
	FrNet *net = work->detector->nets[stage];
	int side = stage_sides[stage];
	size_t crop_floats = (size_t) 3 * (size_t) side * (size_t) side;
	FrShape shape = {.rank = 4, .dims = {batch, 3, side, side}};
	FrPlan *plan;
	FrHeads heads;
	FrStatus status = fr_net_plan(net, &shape, work->cancel, &plan, error);

	if (status != FR_OK)
		return status;

	float *planes = fr_plan_input(plan, 0);

	for (int i = 0; i < count && status == FR_OK; i++)
		status = fr_mtcnn_crop(
			work->image, &windows[i], work->detector->descriptor, side,
			work->sums, work->cancel, planes + (size_t) i * crop_floats, error);
	memset(planes + (size_t) count * crop_floats, 0,
		   (size_t) (batch - count) * crop_floats * sizeof(float));
	if (status == FR_OK)
		status = fr_plan_run(plan, work->cancel, error);
	if (status == FR_OK)
		status = fr_heads_of_plan(net, plan, side, side, &heads, error);
	if (status == FR_OK)
		status = bind_outputs(&heads, stage, batch, outputs, error);
	return status;
}

/* Take over what the network says of a window; false when it is no face. */
static bool
read_window(const StageOutputs *outputs, int index, float threshold,
			FrWindowBox *window)
{
	double width = window->x1 - window->x0, height = window->y1 - window->y0;

	window->score = fr_clip01(outputs->classes[index * 2 + 1]);
	if (!(window->score > threshold))
		return false;
	memcpy(window->shift, outputs->shifts + (size_t) index * 4,
		   sizeof window->shift);
	for (int k = 0; outputs->landmarks && k < FR_LANDMARK_COUNT; k++)
	{
		const float *points = outputs->landmarks + (size_t) index * 10;
		FrPoint *landmark = &window->landmarks[k];

		landmark->x = (float) (window->x0 + (double) points[k] * width);
		landmark->y = (float) (window->y0 +
							   (double) points[k + FR_LANDMARK_COUNT] * height);
	}
	return true;
}

/* Keep the windows that a stage calls faces. */
static FrStatus
judge_windows(const Cascade *work, int stage, float threshold,
			  FrWindows *windows, FrError *error)
{
	int kept = 0;

	fr_windows_truncate(windows);
	for (int start = 0; start < windows->count;)
	{
		int left = windows->count - start;
		int batch = choose_batch(work->detector->nets[stage], left);
		int count = left < batch ? left : batch;
		StageOutputs outputs;
		FrStatus status = run_crops(work, stage, windows->windows + start,
									count, batch, &outputs, error);

		if (status != FR_OK)
			return status;
		for (int i = 0; i < count; i++)
		{
			FrWindowBox window = windows->windows[start + i];

			if (read_window(&outputs, i, threshold, &window))
				windows->windows[kept++] = window;
		}
		start += count;
	}
	windows->count = kept;
	return FR_OK;
}

static FrStatus
return_windows(const Cascade *work, const FrWindows *windows,
			   FrCandidates *candidates, FrError *error)
{
	FrStatus status = fr_candidates_alloc(work->arena, windows->count, true,
										  candidates, error);

	for (int i = 0; i < windows->count && status == FR_OK; i++)
	{
		const FrWindowBox *window = &windows->windows[i];
		float box[4] = {(float) window->x0, (float) window->y0,
						(float) window->x1, (float) window->y1};

		fr_candidates_add(candidates, box, window->score, window->landmarks);
	}
	return status;
}

/* The number that was meant by a float: boxes of whole pixels overlap by
 * exactly 0.7 now and then, which is more than 0.7f. */
static double
as_written(float share)
{
	return round((double) share * 1e6) / 1e6;
}

FrStatus
fr_mtcnn_detect(const FrDetector *detector, const FrImage *image,
				double min_side, const FrCancel *cancel, FrArena *arena,
				FrCandidates *candidates, FrError *error)
{
	const FrDescriptor *descriptor = detector->descriptor;
	size_t sums_bytes = (size_t) image->width * 3 * sizeof(float);
	Cascade work = {detector, image, cancel, arena,
					fr_arena_alloc(arena, sums_bytes)};
	FrWindows windows;

	*candidates = (FrCandidates){0};
	if (!work.sums)
		return fr_fail_nomem(error, sums_bytes);

	FrStatus status = propose_windows(&work, min_side, &windows, error);

	if (status == FR_OK)
		status = judge_windows(&work, STAGE_R, R_THRESHOLD, &windows, error);
	if (status == FR_OK)
		status = fr_windows_suppress(&windows, STAGE_OVERLAP, false, cancel,
									 arena, error);
	if (status != FR_OK)
		return status;
	fr_windows_regress(&windows, false);
	fr_windows_square(&windows);
	status = judge_windows(&work, STAGE_O, descriptor->detection_threshold,
						   &windows, error);
	if (status != FR_OK)
		return status;
	fr_windows_regress(&windows, false);
	status = fr_windows_suppress(&windows, as_written(descriptor->nms_iou),
								 true, cancel, arena, error);
	if (status == FR_OK)
		status = return_windows(&work, &windows, candidates, error);
	return status;
}
