/*
 * recognise.c: from a network to its preset; see recognise.h.
 */
#include "core/face/recognise.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/face/trial.h"

/* ---- what a network does to its input first ------------------------------ */

/* value * scale + shift, per channel, before anything else. */
typedef struct Leading
{
	bool is_there;
	bool is_opaque; /* a normalisation that does not tell how it is fed */
	bool has_channel_scale, has_channel_shift; /* each channel has its own */
	float scale[3], shift[3];
} Leading;

/* The only node that reads the contents of a value; NULL when there are
 * several. */
static const FrNode *
only_reader(const FrGraph *graph, int32_t value)
{
	const FrNode *reader = NULL;

	for (int i = 0; i < graph->node_count; i++)
	{
		const FrNode *node = &graph->nodes[i];

		for (int k = 0; k < node->input_count; k++)
		{
			if (node->inputs[k] != value || node->op == FR_OP_SHAPE)
				continue;
			if (reader)
				return NULL;
			reader = node;
		}
	}
	return reader;
}

/* One constant per channel, or the same for all; how many there are, 0 for
 * anything else. */
static size_t
read_channels(const FrGraph *graph, int32_t index, float channels[3])
{
	const FrValue *value = index < 0 ? NULL : &graph->values[index];
	size_t count;

	if (!value || !value->constant || value->dtype != FR_FLOAT32 ||
		!fr_shape_count(&value->shape, &count) || (count != 1 && count != 3))
		return 0;
	for (size_t i = 0; i < 3; i++)
		memcpy(&channels[i],
			   (const char *) value->constant +
				   (count == 1 ? 0 : i) * sizeof(float),
			   sizeof(float));
	return count;
}

/* Take one node into *leading; false when it is no affine map. */
static bool
add_leading(const FrGraph *graph, const FrNode *node, int32_t value,
			Leading *leading)
{
	float by[3];
	bool is_first = node->input_count == 2 && node->inputs[0] == value;
	bool is_shift = node->op == FR_OP_ADD || node->op == FR_OP_SUB;
	bool is_commutative = node->op == FR_OP_ADD || node->op == FR_OP_MUL;
	size_t count;

	if (node->input_count != 2 || (!is_first && !is_commutative))
		return false;
	count = read_channels(graph, node->inputs[is_first ? 1 : 0], by);
	if (count == 0)
		return false;
	leading->has_channel_scale |= !is_shift && count == 3;
	leading->has_channel_shift |= is_shift && count == 3;
	for (int c = 0; c < 3; c++)
	{
		float factor = node->op == FR_OP_MUL   ? by[c]
					   : node->op == FR_OP_DIV ? 1 / by[c]
											   : 1;

		leading->scale[c] *= factor;
		leading->shift[c] *= factor;
		if (node->op == FR_OP_ADD)
			leading->shift[c] += by[c];
		else if (node->op == FR_OP_SUB)
			leading->shift[c] -= by[c];
	}
	leading->is_there = true;
	return true;
}

static Leading
find_leading(const FrGraph *graph)
{
	Leading leading = {.scale = {1, 1, 1}};
	int32_t value = graph->inputs[0];

	for (const FrNode *node = only_reader(graph, value); node;
		 node = only_reader(graph, value))
	{
		bool is_affine = node->op == FR_OP_ADD || node->op == FR_OP_SUB ||
						 node->op == FR_OP_MUL || node->op == FR_OP_DIV;
		bool is_neutral = node->op == FR_OP_TRANSPOSE ||
						  node->op == FR_OP_IDENTITY || node->op == FR_OP_CAST;

		if (!is_neutral &&
			!(is_affine && add_leading(graph, node, value, &leading)))
		{
			leading.is_opaque = is_affine || node->op == FR_OP_BATCH_NORM;
			break;
		}
		value = node->outputs[0];
	}
	return leading;
}

/* Does it take 0..255 to about -1..1? */
static bool
is_centred(const Leading *leading)
{
	bool is_so = leading->is_there && !leading->is_opaque;

	for (int c = 0; c < 3; c++)
		is_so = is_so && leading->scale[c] > 1 / 140.0f &&
				leading->scale[c] < 1 / 115.0f &&
				fabsf(127.5f * leading->scale[c] + leading->shift[c]) < 0.05f;
	return is_so;
}

/* ---- messages ------------------------------------------------------------ */

static const char *
describe_value(const FrValue *value, char *text, size_t text_bytes)
{
	char shape[64] = "";

	if (value->is_shape_known)
		fr_shape_text(&value->shape, shape, sizeof shape);
	snprintf(text, text_bytes, "\"%.20s\"%s%s", value->name,
			 shape[0] ? " " : "", shape);
	return text;
}

/* What the network looks like, and what follows from that. */
static FrStatus
fail_network(const FrGraph *graph, const char *conclusion, FrError *error)
{
	char input[96] = "nothing", output[96] = "nothing", more[32] = "";

	if (graph->input_count > 0)
		describe_value(&graph->values[graph->inputs[0]], input, sizeof input);
	if (graph->output_count > 0)
		describe_value(&graph->values[graph->outputs[0]], output,
					   sizeof output);
	if (graph->output_count > 1)
		snprintf(more, sizeof more, " and %d more", graph->output_count - 1);
	return fr_fail(error, FR_ERR_MISMATCH,
				   "The network takes %s and gives %s%s%s", input, output, more,
				   conclusion);
}

/* ---- recognition --------------------------------------------------------- */

#define MAX_FITTING 16

/* The presets whose inputs and outputs a network has. */
typedef struct Fitting
{
	int count;
	FrDescriptor presets[MAX_FITTING];
	int dims;
} Fitting;

static bool
has_fitting(const Fitting *fitting, const char *preset)
{
	for (int i = 0; i < fitting->count; i++)
	{
		if (strcmp(fitting->presets[i].preset, preset) == 0)
			return true;
	}
	return false;
}

static FrStatus
collect_in_trial(FrTrial *trial, Fitting *fitting, FrError *error)
{
	FrError first = {0};

	*fitting = (Fitting){0};
	for (int i = 0; fr_preset_at(i) && fitting->count < MAX_FITTING; i++)
	{
		FrStatus status;
		int dims;

		if (fr_preset_at(i)->graph_count != 1)
			continue;
		status = fr_trial_check(trial, fr_preset_at(i), &dims, error);
		switch (status)
		{
			case FR_OK:
				fitting->presets[fitting->count++] = *fr_preset_at(i);
				fitting->dims = dims;
				break;
			case FR_ERR_MISMATCH:
				break;
			/* What one size asks too much of, another may not. */
			case FR_ERR_CORRUPT:
			case FR_ERR_UNSUPPORTED:
			case FR_ERR_LIMIT:
				if (first.status == FR_OK)
					first = *error;
				break;
			default:
				return status;
		}
	}
	if (fitting->count == 0 && first.status != FR_OK)
	{
		*error = first;
		return first.status;
	}
	return FR_OK;
}

static FrStatus
collect_fitting(FrNet *net, const FrCancel *cancel,
				const FrAllocator *allocator, Fitting *fitting, FrError *error)
{
	FrTrial trial = fr_trial_of(net, cancel, allocator);
	FrStatus status = collect_in_trial(&trial, fitting, error);

	fr_trial_fini(&trial);
	return status;
}

/* The graph normalises by itself: give it pixels as they are. */
static void
choose_raw(const char *preset, FrDescriptor *descriptor)
{
	fr_preset_find(preset, descriptor);
	descriptor->is_standardised = false;
	for (int c = 0; c < 3; c++)
	{
		descriptor->mean[c] = 0;
		descriptor->scale[c] = 1;
	}
}

/* Is a crop's size fixed?  One that is free fits every embedder. */
static bool
is_size_known(const FrGraph *graph)
{
	const FrValue *input = &graph->values[graph->inputs[0]];
	bool is_known = input->is_shape_known && input->shape.rank == 4;

	for (int i = 1; i < 4 && is_known; i++)
		is_known = input->shape.dims[i] > 0;
	return is_known;
}

/* What is known of a network of one graph, and where the answer goes. */
typedef struct Look
{
	const FrGraph *graph;
	Fitting fitting;
	Leading leading;
	FrDescriptor *descriptor;
	char *hint; /* of HINT_BYTES */
	FrError *error;
} Look;

#define HINT_BYTES 256

static FrStatus
refuse(const Look *look, const char *conclusion, const char *hint)
{
	snprintf(look->hint, HINT_BYTES, "%s", hint);
	return fail_network(look->graph, conclusion, look->error);
}

/* Only what the first nodes do tells the presets apart; all feed RGB. */
static FrStatus
recognise_arcface(const Look *look)
{
	if (!is_centred(&look->leading))
		return refuse(look, ": its inputs and outputs fit several presets.",
					  "Name the preset: \"arcface\" for (v - 127.5) / 127.5, "
					  "\"mobilefacenet\" for (v - 127.5) / 128, \"sface\" for "
					  "0..255, all RGB.");
	choose_raw(look->fitting.dims == 128 ? "sface" : "arcface",
			   look->descriptor);
	return FR_OK;
}

static FrStatus
recognise_facenet(const Look *look)
{
	if (!is_centred(&look->leading))
		return refuse(look, ": how its pictures are normalised is not known.",
					  "Name the preset \"facenet\"; add the descriptor "
					  "{\"standardise\": false} if it was trained with "
					  "(v - 127.5) / 128 instead of standardised pictures.");
	choose_raw("facenet", look->descriptor);
	return FR_OK;
}

/* Crops of this size are fed in both channel orders. */
static FrStatus
recognise_sphereface(const Look *look)
{
	if (is_centred(&look->leading))
		return refuse(look, ": its channel order is not known.",
					  "Name the preset \"sphereface\" with the descriptor "
					  "{\"mean\": 0, \"scale\": 1} if it is fed with BGR, and "
					  "\"color\": \"rgb\" in it if with RGB.");
	return refuse(
		look, ": how its pictures are fed is not known.",
		"Name the preset \"sphereface\" if it is fed with BGR, "
		"(v - 127.5) / 128; add the descriptor {\"color\": \"rgb\"} if "
		"with RGB.");
}

/* Open Model Zoo's begin with a Mul and an Add of a value per channel. */
static FrStatus
recognise_omz(const Look *look)
{
	const FrDescriptor *first = &look->fitting.presets[0];
	const Leading *leading = &look->leading;
	char hint[HINT_BYTES];

	if (leading->has_channel_scale && leading->has_channel_shift &&
		!leading->is_opaque && !is_centred(leading) &&
		(first->role == FR_ROLE_LANDMARKS || look->fitting.dims == 256))
	{
		*look->descriptor = *first;
		return FR_OK;
	}
	snprintf(hint, sizeof hint,
			 "If it is fed with BGR 0..255, name the preset \"%s\".",
			 first->preset);
	return refuse(look, ": the size fits one preset, the content does not.",
				  hint);
}

/* Networks that take crops: what the size leaves open, the first nodes have
 * to tell. */
static FrStatus
recognise_crops(const Look *look)
{
	const Fitting *fitting = &look->fitting;

	if (!is_size_known(look->graph))
		return refuse(look, ": the size of its crops is not fixed.",
					  "Name the preset; those for one output are: "
					  "omz-reid-0095, mobilefacenet, arcface, sface, facenet, "
					  "sphereface, omz-landmarks-0009, landmarks-5.");
	if (has_fitting(fitting, "arcface"))
		return recognise_arcface(look);
	if (has_fitting(fitting, "facenet"))
		return recognise_facenet(look);
	if (has_fitting(fitting, "sphereface"))
		return recognise_sphereface(look);
	return recognise_omz(look);
}

/* Detectors differ in their outputs.  Of those that normalise by themselves
 * only SCRFD's way is known. */
static FrStatus
recognise_detector(const Look *look)
{
	const FrDescriptor *first = &look->fitting.presets[0];
	char hint[HINT_BYTES];

	if (look->fitting.count > 1)
		return fail_network(look->graph, ": its outputs fit several presets.",
							look->error);
	*look->descriptor = *first;
	if (!look->leading.is_there && !look->leading.is_opaque)
		return FR_OK;
	if (first->decode == FR_DECODE_SCRFD && is_centred(&look->leading))
	{
		choose_raw(first->preset, look->descriptor);
		return FR_OK;
	}
	snprintf(hint, sizeof hint,
			 "Name the preset \"%s\", and \"color\", \"mean\" and \"scale\" in "
			 "the descriptor: what this network's first node is fed with.",
			 first->preset);
	return refuse(look, ": it changes its input in a way of its own.", hint);
}

/* Three networks are MTCNN's, if they fit. */
static FrStatus
recognise_cascade(FrNet *const *nets, const FrCancel *cancel,
				  const FrAllocator *allocator, FrDescriptor *descriptor,
				  char *hint, FrError *error)
{
	int dims, centred = 0, plain = 0;

	fr_preset_find("mtcnn", descriptor);
	snprintf(hint, HINT_BYTES,
			 "Three ONNX files are a model of the preset \"mtcnn\": P, R and "
			 "O, in this order.");

	FrStatus status =
		fr_model_check(descriptor, nets, 3, cancel, allocator, &dims, error);

	if (status != FR_OK)
		return status;
	for (int i = 0; i < 3; i++)
	{
		Leading leading = find_leading(fr_net_graph(nets[i]));

		centred += is_centred(&leading);
		plain += !leading.is_there && !leading.is_opaque;
	}
	if (centred == 3)
		choose_raw("mtcnn", descriptor);
	if (centred == 3 || plain == 3)
		return FR_OK;
	snprintf(hint, HINT_BYTES,
			 "Name the preset \"mtcnn\", and \"color\", \"mean\" and \"scale\" "
			 "in the descriptor: what the networks' first nodes are fed with.");
	return fail_network(fr_net_graph(nets[0]),
						": the three networks change their inputs in ways of "
						"their own.",
						error);
}

FrStatus
fr_preset_recognise(FrNet *const *nets, int count, const FrCancel *cancel,
					const FrAllocator *allocator, FrDescriptor *descriptor,
					char hint[256], FrError *error)
{
	const FrGraph *graph = fr_net_graph(nets[0]);
	Look look = {
		.graph = graph, .descriptor = descriptor, .hint = hint, .error = error};

	snprintf(hint, HINT_BYTES, "Name the preset; there are: %s.",
			 fr_preset_names());
	if (count == 3)
		return recognise_cascade(nets, cancel, allocator, descriptor, hint,
								 error);
	if (count != 1)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "No preset is a model of %d networks.", count);
	if (graph->input_count != 1)
		return fail_network(graph, ", but presets feed one picture.", error);

	FrStatus status =
		collect_fitting(nets[0], cancel, allocator, &look.fitting, error);

	if (status != FR_OK)
		return status;
	if (look.fitting.count == 0)
		return fail_network(graph, ", which fits no preset.", error);
	look.leading = find_leading(graph);
	return look.fitting.presets[0].role == FR_ROLE_DETECTOR
			   ? recognise_detector(&look)
			   : recognise_crops(&look);
}
