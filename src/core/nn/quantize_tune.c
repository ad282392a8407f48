/*
 * quantize_tune.c: how well the variant agrees, and what stays float32.
 *
 * The variant with all layers in int8 is compared with the original on some
 * of the samples.  If they do not agree well enough, each layer is quantised
 * alone to see what it costs, and the fewest of the costliest layers stay
 * float32 with which the agreement is reached (found by bisection).  What is
 * reported is measured on samples that had no part in this.
 */
#include <math.h>
#include <string.h>

#include "core/base/size.h"
#include "core/nn/op_table.h"
#include "core/nn/quantizer.h"

#define MEASURED_SAMPLES 64 /* for the agreement of a choice */
#define PROBED_SAMPLES	 8	/* for one layer alone */

/* Outputs of the original that are kept. */
#define MAX_REFERENCE_BYTES ((size_t) 64 << 20)

/* Some of the samples, evenly spread over all. */
typedef struct Subset
{
	const FrSamples *all;
	FrSamples samples; /* these */
} Subset;

typedef struct Tuner
{
	FrQuantizer *quantizer;
	Subset measured;
	Subset probed; /* of the measured ones */
	int output_count;
	const float **references; /* the original's: per measured sample, output */
	const Subset *running;	  /* measured or probed */
	double *agreement;		  /* per sample of the run at hand */
} Tuner;

/* ---- samples ------------------------------------------------------------ */

static int
position(const Subset *subset, int index)
{
	return (int) ((int64_t) index * subset->all->count / subset->samples.count);
}

static FrStatus
fill_subset(void *context, int index, FrPlan *plan, FrError *error)
{
	const Subset *subset = context;

	return subset->all->fill(subset->all->context, position(subset, index),
							 plan, error);
}

static FrStatus
choose_subset(FrQuantizer *quantizer, const FrSamples *all, int most,
			  Subset *subset)
{
	int count = all->count < most ? all->count : most;
	size_t bytes = (size_t) count * sizeof(FrShape);
	FrShape *shapes = fr_arena_alloc(&quantizer->scratch, bytes);

	if (!shapes)
		return fr_fail_nomem(quantizer->error, bytes);
	subset->all = all;
	subset->samples = (FrSamples){.count = count,
								  .shapes = shapes,
								  .fill = fill_subset,
								  .context = subset};
	for (int i = 0; i < count; i++)
		shapes[i] = all->shapes[position(subset, i)];
	return FR_OK;
}

/* ---- agreement ---------------------------------------------------------- */

static double
cosine(const float *a, const float *b, size_t count)
{
	double product = 0, a_norm = 0, b_norm = 0;

	for (size_t i = 0; i < count; i++)
	{
		product += (double) a[i] * (double) b[i];
		a_norm += (double) a[i] * (double) a[i];
		b_norm += (double) b[i] * (double) b[i];
	}
	if (a_norm == 0 && b_norm == 0)
		return 1;

	double result = product / sqrt(a_norm * b_norm);

	return isfinite(result) ? result : 0;
}

static FrStatus
keep_reference(void *context, int number, int sample, const FrShape *shape,
			   const float *data, FrError *error)
{
	Tuner *tuner = context;
	size_t size_bytes = fr_shape_span(shape, 0, shape->rank) * sizeof *data;
	const float *copy =
		fr_arena_copy(&tuner->quantizer->scratch, data, size_bytes);

	tuner->references[sample * tuner->output_count + number] = copy;
	return copy ? FR_OK : fr_fail_nomem(error, size_bytes);
}

static FrStatus
compare_output(void *context, int number, int sample, const FrShape *shape,
			   const float *data, FrError *error)
{
	Tuner *tuner = context;
	int measured = tuner->running == &tuner->probed
					   ? position(&tuner->probed, sample)
					   : sample;
	double agreement =
		cosine(tuner->references[measured * tuner->output_count + number], data,
			   fr_shape_span(shape, 0, shape->rank));

	(void) error;
	if (agreement < tuner->agreement[sample])
		tuner->agreement[sample] = agreement;
	return FR_OK;
}

/* Run a graph with the source's outputs on samples. */
static FrStatus
run_outputs(Tuner *tuner, const FrGraph *graph, const FrSamples *samples,
			FrObserver observer)
{
	FrQuantizer *quantizer = tuner->quantizer;
	FrObservation observation = {
		.graph = graph,
		.values = graph->outputs,
		.value_count = graph->output_count,
		.samples = samples,
		.options = quantizer->options->net,
		.portion_bytes = SIZE_MAX / 2,
		.observer = observer,
		.context = tuner,
	};

	return fr_observe(&observation, quantizer->cancel, quantizer->allocator,
					  quantizer->error);
}

/* Compare the choice in is_quantized with the original. */
static FrStatus
measure(Tuner *tuner, const Subset *subset, double *mean, double *least)
{
	FrQuantizer *quantizer = tuner->quantizer;
	FrArena arena;
	FrGraph graph;

	fr_arena_init(&arena, quantizer->allocator);

	FrStatus status = fr_quantizer_build(quantizer, &arena, &graph);

	if (status != FR_OK)
		return status;
	tuner->running = subset;
	*mean = 0;
	*least = 1;
	for (int i = 0; i < subset->samples.count; i++)
		tuner->agreement[i] = 1;
	status = run_outputs(tuner, &graph, &subset->samples, compare_output);
	for (int i = 0; i < subset->samples.count; i++)
	{
		*mean += tuner->agreement[i] / subset->samples.count;
		*least = fmin(*least, tuner->agreement[i]);
	}
	fr_graph_destroy(&graph);
	return status;
}

/* ---- before measuring --------------------------------------------------- */

/* How many samples' outputs may be kept, by the size of the first's. */
static FrStatus
count_measurable(const FrQuantizer *quantizer, const FrSamples *samples,
				 int *count)
{
	const FrGraph *graph = &quantizer->folded;
	size_t shape_bytes = (size_t) graph->output_count * sizeof(FrShape);
	FrShape *shapes = fr_alloc(quantizer->allocator, shape_bytes);
	size_t bytes = 1;

	if (!shapes)
		return fr_fail_nomem(quantizer->error, shape_bytes);

	FrStatus status =
		fr_observe_shapes(graph, graph->outputs, graph->output_count,
						  samples->shapes, quantizer->options->net,
						  quantizer->allocator, shapes, quantizer->error);

	for (int i = 0; status == FR_OK && i < graph->output_count; i++)
		bytes += fr_shape_span(&shapes[i], 0, shapes[i].rank) * sizeof(float);
	*count = MEASURED_SAMPLES;
	if (MAX_REFERENCE_BYTES / bytes < MEASURED_SAMPLES)
		*count = (int) (MAX_REFERENCE_BYTES / bytes) + 1;
	fr_release(quantizer->allocator, shapes);
	return status;
}

static FrStatus
prepare(Tuner *tuner, const FrSamples *samples)
{
	FrQuantizer *quantizer = tuner->quantizer;
	int most = 1;
	FrStatus status = count_measurable(quantizer, samples, &most);

	if (status == FR_OK)
		status = choose_subset(quantizer, samples, most, &tuner->measured);
	if (status == FR_OK)
		status = choose_subset(quantizer, &tuner->measured.samples,
							   PROBED_SAMPLES, &tuner->probed);
	if (status != FR_OK)
		return status;

	size_t count = (size_t) tuner->measured.samples.count;
	size_t references = count * (size_t) quantizer->folded.output_count;

	tuner->output_count = quantizer->folded.output_count;
	tuner->references = fr_arena_alloc_zeroed(&quantizer->scratch, references,
											  sizeof *tuner->references);
	tuner->agreement = fr_arena_alloc_zeroed(&quantizer->scratch, count,
											 sizeof *tuner->agreement);
	if (!tuner->references || !tuner->agreement)
		return fr_fail_nomem(quantizer->error,
							 references * sizeof *tuner->references);
	return run_outputs(tuner, &quantizer->folded, &tuner->measured.samples,
					   keep_reference);
}

/* ---- choosing ----------------------------------------------------------- */

/* What each layer costs when it alone is quantised. */
static FrStatus
probe_layers(Tuner *tuner)
{
	FrQuantizer *quantizer = tuner->quantizer;
	size_t count = (size_t) quantizer->layer_count;
	FrStatus status = FR_OK;

	for (size_t i = 0; status == FR_OK && i < count; i++)
	{
		double mean, least;

		if (quantizer->layers[i].is_excluded)
			continue;
		memset(quantizer->is_quantized, 0, count);
		quantizer->is_quantized[i] = true;
		status = measure(tuner, &tuner->probed, &mean, &least);
		quantizer->layers[i].loss = 1 - mean;
	}
	return status;
}

/* The layers to choose from, costliest first. */
static FrStatus
sort_layers(FrQuantizer *quantizer, int **order, int *count)
{
	size_t bytes = (size_t) quantizer->layer_count * sizeof **order;
	FrPoll poll = fr_poll_begin(quantizer->cancel);

	*order = fr_arena_alloc(&quantizer->scratch, bytes);
	*count = 0;
	if (!*order)
		return fr_fail_nomem(quantizer->error, bytes);
	for (int i = 0; i < quantizer->layer_count; i++)
	{
		int place = *count;

		if (quantizer->layers[i].is_excluded)
			continue;
		for (; place > 0; place--)
		{
			int before = (*order)[place - 1];

			if (quantizer->layers[before].loss >= quantizer->layers[i].loss)
				break;
			(*order)[place] = before;
		}
		(*order)[place] = i;
		++*count;
		if (fr_poll(&poll, (size_t) *count))
			return fr_fail_cancelled(quantizer->error);
	}
	return FR_OK;
}

/* Quantise all but the first kept of the order. */
static void
choose(FrQuantizer *quantizer, const int *order, int count, int kept)
{
	memset(quantizer->is_quantized, 0, (size_t) quantizer->layer_count);
	for (int i = kept; i < count; i++)
		quantizer->is_quantized[order[i]] = true;
}

/* Keep the fewest costly layers with which the agreement is reached. */
static FrStatus
keep_costliest(Tuner *tuner, FrQuantizeReport *report)
{
	FrQuantizer *quantizer = tuner->quantizer;
	double target = quantizer->options->min_agreement;
	double mean = 0, least = 0;
	int *order, count;
	FrStatus status = probe_layers(tuner);

	if (status == FR_OK)
		status = sort_layers(quantizer, &order, &count);
	if (status != FR_OK)
		return status;

	int bad = 0, good = count; /* numbers of layers that stay float32 */

	while (good - bad > 1)
	{
		int kept = bad + (good - bad) / 2;

		choose(quantizer, order, count, kept);
		status = measure(tuner, &tuner->measured, &mean, &least);
		if (status != FR_OK)
			return status;
		if (mean < target)
		{
			bad = kept;
			continue;
		}
		good = kept;
		report->calibrated_agreement = report->mean_agreement = mean;
		report->least_agreement = least;
	}
	if (good == count)
		return fr_fail(quantizer->error, FR_ERR_MISMATCH,
					   "Not one of %d layers can be quantized at a cosine of "
					   "%g.",
					   count, target);
	choose(quantizer, order, count, good);
	return FR_OK;
}

/* Quantise all layers but the excluded ones. */
static FrStatus
choose_all(FrQuantizer *quantizer)
{
	int count = 0;

	for (int i = 0; i < quantizer->layer_count; i++)
	{
		quantizer->is_quantized[i] = !quantizer->layers[i].is_excluded;
		count += quantizer->is_quantized[i];
	}
	if (count == 0)
		return fr_fail(quantizer->error, FR_ERR_MISMATCH,
					   "All %d layers that could be quantized are excluded.",
					   quantizer->layer_count);
	return FR_OK;
}

/* Measure the choice on what nothing was chosen by. */
static FrStatus
measure_held_out(FrQuantizer *quantizer, FrQuantizeReport *report)
{
	const FrSamples *held_out = quantizer->options->held_out;
	Tuner tuner = {.quantizer = quantizer};

	if (!held_out || held_out->count < 1)
		return FR_OK;

	FrStatus status = prepare(&tuner, held_out);

	if (status != FR_OK)
		return status;
	report->measured_count = tuner.measured.samples.count;
	return measure(&tuner, &tuner.measured, &report->mean_agreement,
				   &report->least_agreement);
}

FrStatus
fr_quantizer_tune(FrQuantizer *quantizer, FrQuantizeReport *report)
{
	Tuner tuner = {.quantizer = quantizer};
	FrStatus status = choose_all(quantizer);

	if (status == FR_OK)
		status = prepare(&tuner, quantizer->samples);
	if (status != FR_OK)
		return status;
	report->measured_count = tuner.measured.samples.count;
	status = measure(&tuner, &tuner.measured, &report->mean_agreement,
					 &report->least_agreement);
	report->calibrated_agreement = report->mean_agreement;
	if (status == FR_OK &&
		!(report->mean_agreement >= quantizer->options->min_agreement))
		status = keep_costliest(&tuner, report);
	return status == FR_OK ? measure_held_out(quantizer, report) : status;
}
