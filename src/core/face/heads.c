/*
 * heads.c: the outputs of a one-shot detector; see heads.h.
 */
#include "core/face/heads.h"

#include <math.h>

#include "core/face/retinaface.h"
#include "core/face/scrfd.h"
#include "core/face/yunet.h"

/* How far rounding may take a probability out of 0..1. */
#define SCORE_TOLERANCE 1e-3f

static FrStatus
check_count(int count, FrError *error)
{
	if (count > FR_MAX_HEADS)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The network has %d outputs; no preset of a detector "
					   "has more than %d.",
					   count, FR_MAX_HEADS);
	return FR_OK;
}

FrStatus
fr_heads_of_graph(const FrGraph *graph, const FrGraph *sized, int width,
				  int height, FrHeads *heads, FrError *error)
{
	FrStatus status = check_count(sized->output_count, error);

	*heads = (FrHeads){.width = width, .height = height};
	for (int i = 0; i < sized->output_count && status == FR_OK; i++)
	{
		/* An output may be another one's value: the name is the source's. */
		const char *name = graph->values[graph->outputs[i]].name;
		const FrValue *value = &sized->values[sized->outputs[i]];

		heads->heads[heads->count++] =
			(FrHead){.name = name, .shape = value->shape};
		if (value->dtype != FR_FLOAT32)
			status = fr_fail(error, FR_ERR_MISMATCH,
							 "The network's output \"%.40s\" is of type %s, "
							 "not float32.",
							 name, fr_dtype_name(value->dtype));
	}
	return status;
}

FrStatus
fr_heads_of_plan(const FrNet *net, const FrPlan *plan, int width, int height,
				 FrHeads *heads, FrError *error)
{
	const FrGraph *graph = fr_net_graph(net);
	FrStatus status = check_count(graph->output_count, error);

	*heads = (FrHeads){.width = width, .height = height};
	for (int i = 0; i < graph->output_count && status == FR_OK; i++)
	{
		const FrShape *shape;
		FrHead *head = &heads->heads[heads->count++];

		head->name = graph->values[graph->outputs[i]].name;
		head->values = fr_plan_output(plan, i, &shape);
		head->shape = *shape;
	}
	return status;
}

bool
fr_head_rows(const FrHead *head, int64_t *rows, int64_t *columns)
{
	const FrShape *shape = &head->shape;

	if (shape->rank < 2)
		return false;
	for (int i = 0; i < shape->rank - 2; i++)
	{
		if (shape->dims[i] != 1)
			return false;
	}
	*rows = shape->dims[shape->rank - 2];
	*columns = shape->dims[shape->rank - 1];
	return true;
}

FrStatus
fr_head_check_values(const FrHead *head, bool is_score, FrError *error)
{
	float least = 0, most = 0;
	size_t count;

	if (!fr_shape_count(&head->shape, &count))
		count = 0;
	for (size_t i = 0; i < count; i++)
	{
		if (!isfinite(head->values[i]))
			return fr_fail(error, FR_ERR_MISMATCH,
						   "The output \"%.40s\" has values that are not "
						   "finite numbers when the picture is gray.",
						   head->name);
		least = fminf(least, head->values[i]);
		most = fmaxf(most, head->values[i]);
	}
	if (is_score && (least < -SCORE_TOLERANCE || most > 1 + SCORE_TOLERANCE))
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The scores of output \"%.40s\" are between %g and %g "
					   "when the picture is gray; they must be probabilities: "
					   "export the network with its sigmoid or softmax.",
					   head->name, (double) least, (double) most);
	return FR_OK;
}

bool
fr_heads_has_rule(FrDecodeRule rule)
{
	return rule == FR_DECODE_YUNET || rule == FR_DECODE_SCRFD ||
		   rule == FR_DECODE_RETINAFACE;
}

int
fr_heads_multiple(FrDecodeRule rule, int output_count)
{
	return rule == FR_DECODE_SCRFD ? fr_scrfd_multiple(output_count) : 32;
}

static FrStatus
fail_rule(FrDecodeRule rule, FrError *error)
{
	return fr_fail(error, FR_ERR_ARGUMENT,
				   "There is no rule number %d for reading a detector's "
				   "outputs.",
				   (int) rule);
}

FrStatus
fr_heads_check(FrDecodeRule rule, const FrHeads *heads, bool *has_landmarks,
			   FrError *error)
{
	FrYunetGrid grids[FR_YUNET_GRID_COUNT];
	FrScrfd scrfd;
	FrRetinaface retinaface;
	FrStatus status;

	*has_landmarks = true;
	switch (rule)
	{
		case FR_DECODE_YUNET:
			return fr_yunet_bind(heads, grids, error);
		case FR_DECODE_SCRFD:
			status = fr_scrfd_bind(heads, &scrfd, error);
			*has_landmarks = status == FR_OK && scrfd.has_landmarks;
			return status;
		case FR_DECODE_RETINAFACE:
			return fr_retinaface_bind(heads, &retinaface, error);
		case FR_DECODE_NONE:
		case FR_DECODE_MTCNN:
			break;
	}
	return fail_rule(rule, error);
}

FrStatus
fr_heads_decode(FrDecodeRule rule, const FrHeads *heads, float threshold,
				const FrCancel *cancel, FrArena *arena,
				FrCandidates *candidates, FrError *error)
{
	FrYunetGrid grids[FR_YUNET_GRID_COUNT];
	FrScrfd scrfd;
	FrRetinaface retinaface;
	FrStatus status;

	*candidates = (FrCandidates){0};
	switch (rule)
	{
		case FR_DECODE_YUNET:
			status = fr_yunet_bind(heads, grids, error);
			return status != FR_OK ? status
								   : fr_yunet_decode(grids, threshold, cancel,
													 arena, candidates, error);
		case FR_DECODE_SCRFD:
			status = fr_scrfd_bind(heads, &scrfd, error);
			return status != FR_OK ? status
								   : fr_scrfd_decode(&scrfd, threshold, cancel,
													 arena, candidates, error);
		case FR_DECODE_RETINAFACE:
			status = fr_retinaface_bind(heads, &retinaface, error);
			return status != FR_OK
					   ? status
					   : fr_retinaface_decode(&retinaface, threshold, cancel,
											  arena, candidates, error);
		case FR_DECODE_NONE:
		case FR_DECODE_MTCNN:
			break;
	}
	return fail_rule(rule, error);
}
