/*
 * pairs.c: which convolutions multiply in pairs (kernels/nn_pairs.h).
 *
 * Those that gain by it, where it costs no digits.  Products of inputs, which
 * pairs add and subtract again, are small beside the output while weights are
 * of one magnitude.  Where the weights of an input channel are far smaller
 * than the others, the network has learnt them for a large input, or they come
 * of a normalisation that was folded: what cancels is then much larger than
 * what it leaves.
 */
#include <string.h>

#include "core/nn/planner.h"

/* Weights by which each input channel is judged, at least, of as many filters
 * as that takes: a sample, because a process that maps packed weights has not
 * touched the others yet. */
#define SAMPLED_WEIGHTS 128

/* How far the root mean square of an input channel's weights may lie below
 * that of all. If inputs are as large as their weights are small, pairs then
 * have about three times the rounding error of single products, and eight
 * times at twice the spread (test_kernels_nn). Trained networks lie below 2
 * to 4, but for channels that died in training. */
#define MAX_SPREAD 6.0

/* Add to sums[channels] the squares of each channel's weights, relative to the
 * filter's mean; squares[channels] is scratch. */
static void
add_filter(const float *filter, const float *factors, int channels,
		   ptrdiff_t taps, double *squares, double *sums)
{
	double total = 0.0;

	for (int i = 0; i < channels; i++)
	{
		double factor = factors ? (double) factors[i] : 1.0, sum = 0.0;

		for (ptrdiff_t t = 0; t < taps; t++)
			sum +=
				(double) filter[i * taps + t] * (double) filter[i * taps + t];
		squares[i] = sum * factor * factor;
		total += squares[i];
	}
	for (int i = 0; i < channels && total > 0.0; i++)
		sums[i] += squares[i] * channels / total;
}

/* Whether an input channel of one group has far smaller weights than others.
 * Zeros count: nothing bounds what they meet. */
static FrStatus
find_spread(FrPlanner *planner, const FrUnit *unit, int group, double *sums,
			bool *is_wide)
{
	int channels = unit->in_channels / unit->window.group;
	int outputs = unit->out_channels / unit->window.group;
	ptrdiff_t taps =
		(ptrdiff_t) unit->window.kernel[0] * unit->window.kernel[1];
	ptrdiff_t samples = (SAMPLED_WEIGHTS - 1) / taps + 1;
	int step = samples < outputs ? (int) (outputs / samples) : 1;
	const float *filters =
		unit->weights + (ptrdiff_t) group * outputs * channels * taps;
	const float *factors =
		unit->pre_scale ? unit->pre_scale + (ptrdiff_t) group * channels : NULL;
	double all = 0.0;

	memset(sums, 0, (size_t) channels * sizeof *sums);
	for (int o = 0; o < outputs; o += step)
	{
		FrStatus status = fr_plan_poll(planner);

		if (status != FR_OK)
			return status;
		add_filter(filters + (ptrdiff_t) o * channels * taps, factors, channels,
				   taps, sums + channels, sums);
	}
	for (int i = 0; i < channels; i++)
		all += sums[i] / channels;
	for (int i = 0; i < channels; i++)
		*is_wide |= sums[i] * MAX_SPREAD * MAX_SPREAD < all;
	return FR_OK;
}

/* Pairs gain nothing in short sums, where weights come from memory (fully
 * connected layers, the many weights of Winograd's positions), where they would
 * be converted for each block, and for pictures. */
static bool
is_gain(const FrPlanner *planner, const FrUnit *unit)
{
	const FrSlot *out = &planner->slots[unit->out_slot];

	int channels = unit->in_channels / unit->window.group;

	return unit->kind == FR_UNIT_CONV && !unit->is_transposed &&
		   channels >= FR_BLOCK &&
		   (int64_t) channels * unit->window.kernel[0] *
				   unit->window.kernel[1] >=
			   FR_MIN_PAIRED_DEPTH &&
		   planner->slots[unit->in_slot].lanes == FR_BLOCK &&
		   (out->height != 1 || out->width != 1) &&
		   fr_unit_format(planner, unit) == FR_WEIGHTS_F32;
}

FrStatus
fr_choose_unpaired(FrPlanner *planner, const FrUnit *unit, bool *is_unpaired)
{
	size_t channels = (size_t) (unit->in_channels / unit->window.group);
	FrStatus status = FR_OK;
	double *sums;

	*is_unpaired = unit->kind != FR_UNIT_DEPTHWISE && !is_gain(planner, unit);
	if (unit->kind == FR_UNIT_DEPTHWISE || *is_unpaired ||
		planner->kernels->nn == planner->kernels->unpaired)
		return FR_OK;
	sums = fr_arena_alloc_zeroed(&planner->scratch, 2 * channels, sizeof *sums);
	if (!sums)
		return fr_fail_nomem(planner->error, 2 * channels * sizeof *sums);
	for (int g = 0; g < unit->window.group && status == FR_OK; g++)
		status = find_spread(planner, unit, g, sums, is_unpaired);
	return status;
}
