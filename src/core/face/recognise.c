/*
 * recognise.c: from a network to its preset; see recognise.h.
 */
#include "core/face/recognise.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- what a network does to its input first ------------------------------ */

/* value * scale + shift, per channel, before anything else. */
typedef struct Leading
{
	bool is_there;
	float scale[3], shift[3];
} Leading;

/* The only node that reads a value; NULL when there are several. */
static const FrNode *
only_reader(const FrGraph *graph, int32_t value)
{
	const FrNode *reader = NULL;

	for (int i = 0; i < graph->node_count; i++)
	{
		const FrNode *node = &graph->nodes[i];

		for (int k = 0; k < node->input_count; k++)
		{
			if (node->inputs[k] != value)
				continue;
			if (reader)
				return NULL;
			reader = node;
		}
	}
	return reader;
}

/* One constant per channel, or the same for all; false for anything else. */
static bool
read_channels(const FrGraph *graph, int32_t index, float channels[3])
{
	const FrValue *value = index < 0 ? NULL : &graph->values[index];
	size_t count;

	if (!value || !value->constant || value->dtype != FR_FLOAT32 ||
		!fr_shape_count(&value->shape, &count) || (count != 1 && count != 3))
		return false;
	for (size_t i = 0; i < 3; i++)
		memcpy(&channels[i],
			   (const char *) value->constant +
				   (count == 1 ? 0 : i) * sizeof(float),
			   sizeof(float));
	return true;
}

/* Take one node into *leading; false when it is no affine map. */
static bool
add_leading(const FrGraph *graph, const FrNode *node, int32_t value,
			Leading *leading)
{
	float by[3];
	bool is_first = node->input_count == 2 && node->inputs[0] == value;
	bool is_commutative = node->op == FR_OP_ADD || node->op == FR_OP_MUL;

	if (node->input_count != 2 || (!is_first && !is_commutative) ||
		!read_channels(graph, node->inputs[is_first ? 1 : 0], by))
		return false;
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
		bool is_neutral =
			node->op == FR_OP_TRANSPOSE || node->op == FR_OP_IDENTITY;

		if (!is_neutral &&
			!(is_affine && add_leading(graph, node, value, &leading)))
			break;
		value = node->outputs[0];
	}
	return leading;
}

/* Does it take 0..255 to about -1..1? */
static bool
is_centred(const Leading *leading)
{
	bool is_so = leading->is_there;

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
collect_fitting(FrNet *net, const FrAllocator *allocator, Fitting *fitting,
				FrError *error)
{
	*fitting = (Fitting){0};
	for (int i = 0; fr_preset_at(i) && fitting->count < MAX_FITTING; i++)
	{
		FrStatus status;
		int dims;

		if (fr_preset_at(i)->graph_count != 1)
			continue;
		status =
			fr_descriptor_check(fr_preset_at(i), net, allocator, &dims, error);
		if (status == FR_OK)
		{
			fitting->presets[fitting->count++] = *fr_preset_at(i);
			fitting->dims = dims;
		}
		else if (status != FR_ERR_MISMATCH)
			return status;
	}
	return FR_OK;
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

/* Networks that take crops: what the size leaves open, the first nodes have
 * to tell. */
static FrStatus
recognise_crops(const FrGraph *graph, const Fitting *fitting,
				FrDescriptor *descriptor, char hint[256], FrError *error)
{
	Leading leading = find_leading(graph);
	const FrDescriptor *first = &fitting->presets[0];

	if (!is_size_known(graph))
	{
		snprintf(hint, 256,
				 "Name the preset; those for one output are: "
				 "omz-reid-0095, mobilefacenet, arcface, sface, "
				 "facenet, sphereface, omz-landmarks-0009.");
		return fail_network(graph, ": the size of its crops is not fixed.",
							error);
	}
	if (has_fitting(fitting, "arcface"))
	{
		if (is_centred(&leading))
		{
			choose_raw(fitting->dims == 128 ? "sface" : "arcface", descriptor);
			return FR_OK;
		}
		snprintf(hint, 256,
				 "Name the preset: \"arcface\" for (v - 127.5) / "
				 "127.5, \"mobilefacenet\" for (v - 127.5) / 128, "
				 "\"sface\" for 0..255, all RGB.");
		return fail_network(
			graph, ": its inputs and outputs fit several presets.", error);
	}
	if (has_fitting(fitting, "facenet"))
	{
		if (is_centred(&leading))
		{
			choose_raw("facenet", descriptor);
			return FR_OK;
		}
		snprintf(hint, 256,
				 "Name the preset \"facenet\"; add the descriptor "
				 "{\"standardise\": false} if it was trained with "
				 "(v - 127.5) / 128 instead of standardised "
				 "pictures.");
		return fail_network(
			graph, ": how its pictures are normalised is not known.", error);
	}
	if (has_fitting(fitting, "omz-reid-0095") ||
		has_fitting(fitting, "omz-landmarks-0009"))
	{
		/* Both begin with a Mul and an Add per channel. */
		if (leading.is_there && !is_centred(&leading) &&
			(first->role == FR_ROLE_LANDMARKS || fitting->dims == 256))
		{
			*descriptor = *first;
			return FR_OK;
		}
		snprintf(hint, 256,
				 "If it is fed with BGR 0..255, name the preset "
				 "\"%s\".",
				 first->preset);
		return fail_network(
			graph, ": the size fits one preset, the content does not.", error);
	}
	*descriptor = *first;
	if (is_centred(&leading))
		choose_raw(first->preset, descriptor);
	return FR_OK;
}

FrStatus
fr_preset_recognise(FrNet *const *nets, int count, const FrAllocator *allocator,
					FrDescriptor *descriptor, char hint[256], FrError *error)
{
	const FrGraph *graph = fr_net_graph(nets[0]);
	Fitting fitting;

	snprintf(hint, 256, "Name the preset; there are: %s.", fr_preset_names());
	if (count == 3)
	{
		int dims;

		fr_preset_find("mtcnn", descriptor);
		snprintf(hint, 256,
				 "Three ONNX files are a model of the preset "
				 "\"mtcnn\": P, R and O, in this order.");
		return fr_model_check(descriptor, nets, count, allocator, &dims, error);
	}
	if (count != 1)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "No preset is a model of %d networks.", count);
	if (graph->input_count != 1)
		return fail_network(graph, ", but presets feed one picture.", error);

	FrStatus status = collect_fitting(nets[0], allocator, &fitting, error);

	if (status != FR_OK)
		return status;
	if (fitting.count == 0)
		return fail_network(graph, ", which fits no preset.", error);
	if (fitting.presets[0].role != FR_ROLE_DETECTOR)
		return recognise_crops(graph, &fitting, descriptor, hint, error);
	if (fitting.count > 1)
		return fail_network(graph, ": its outputs fit several presets.", error);
	*descriptor = fitting.presets[0];
	return FR_OK;
}
