/*
 * write.c: fr_onnx_write, from an FrGraph to a file's messages.
 *
 * Names first: those that others know (inputs, outputs), then the rest,
 * each claimed in a hash table so that no two values share one.  Then the
 * whole file is put twice, to count and to write (wire_put.h).  Field
 * numbers are those of onnx.proto.
 */
#include "core/onnx/write.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/base/size.h"
#include "core/onnx/model.h"
#include "core/onnx/write_ops.h"

#define BASE_OPSET		 13
#define MAX_FILE_BYTES	 ((size_t) INT_MAX) /* protobuf's limit */
#define NAME_BYTES		 32					/* of a name that we make */
#define SOFTMAX_EXTRAS	 3					/* rows, their softmax, shape */
#define GRAPH_NAME_FIELD 2
#define NO_AXIS			 INT_MIN

typedef struct Writer
{
	const FrGraph *graph;
	const FrOnnxProperty *properties;
	int property_count;
	int opset;
	FrArena scratch;
	FrError *error;
	bool *is_used;						   /* per value: written at all */
	const char **names;					   /* per value */
	const char **slots;					   /* hash table of the names in use */
	size_t slot_count;					   /* a power of two */
	const char *(*extras)[SOFTMAX_EXTRAS]; /* per node, legacy Softmax only */
} Writer;

/* ---- names -------------------------------------------------------------- */

/* Enter a name; false when it is taken.  The table is never full. */
static bool
claim(Writer *writer, const char *name)
{
	uint64_t hash = 14695981039346656037u; /* FNV-1a */
	size_t mask = writer->slot_count - 1;

	for (const char *c = name; *c; c++)
		hash = (hash ^ (uint8_t) *c) * 1099511628211u;

	size_t slot = (size_t) (hash ^ hash >> 32) & mask;

	for (; writer->slots[slot]; slot = (slot + 1) & mask)
		if (strcmp(writer->slots[slot], name) == 0)
			return false;
	writer->slots[slot] = name;
	return true;
}

/* A name that nobody has, of a kind and a number; NULL without memory. */
static const char *
invent_name(Writer *writer, const char *kind, int number)
{
	char *name = fr_arena_alloc(&writer->scratch, NAME_BYTES);

	if (!name)
	{
		fr_fail_nomem(writer->error, NAME_BYTES);
		return NULL;
	}
	snprintf(name, NAME_BYTES, "%s_%d", kind, number);
	for (int again = 1; !claim(writer, name); again++)
		snprintf(name, NAME_BYTES, "%s_%d_%d", kind, number, again);
	return name;
}

static void
keep_name(Writer *writer, int32_t index)
{
	const char *name = writer->graph->values[index].name;

	if (!writer->names[index] && name && name[0] && claim(writer, name))
		writer->names[index] = name;
}

static FrStatus
name_values(Writer *writer)
{
	const FrGraph *graph = writer->graph;

	for (int i = 0; i < graph->input_count; i++)
		keep_name(writer, graph->inputs[i]);
	for (int i = 0; i < graph->output_count; i++)
		keep_name(writer, graph->outputs[i]);
	for (int i = 0; i < graph->value_count; i++)
		if (writer->is_used[i])
			keep_name(writer, i);
	for (int i = 0; i < graph->value_count; i++)
	{
		if (!writer->is_used[i] || writer->names[i])
			continue;
		writer->names[i] = invent_name(writer, "value", i);
		if (!writer->names[i])
			return FR_ERR_NOMEM;
	}
	for (int i = 0; i < graph->node_count; i++)
	{
		static const char *const kinds[SOFTMAX_EXTRAS] = {
			"softmax_rows", "softmax_values", "softmax_shape"};

		for (int k = 0; k < SOFTMAX_EXTRAS; k++)
			if (fr_write_is_legacy_softmax(&graph->nodes[i]) &&
				!(writer->extras[i][k] = invent_name(writer, kinds[k], i)))
				return FR_ERR_NOMEM;
	}
	return FR_OK;
}

/* ---- before writing ----------------------------------------------------- */

static void
mark_used(Writer *writer)
{
	const FrGraph *graph = writer->graph;

	for (int i = 0; i < graph->input_count; i++)
		writer->is_used[graph->inputs[i]] = true;
	for (int i = 0; i < graph->output_count; i++)
		writer->is_used[graph->outputs[i]] = true;
	for (int i = 0; i < graph->node_count; i++)
	{
		const FrNode *node = &graph->nodes[i];

		for (int k = 0; k < node->input_count; k++)
			if (node->inputs[k] >= 0)
				writer->is_used[node->inputs[k]] = true;
		for (int k = 0; k < node->output_count; k++)
			writer->is_used[node->outputs[k]] = true;
	}
}

static FrStatus
allocate(Writer *writer)
{
	size_t values = (size_t) writer->graph->value_count;
	size_t nodes = (size_t) writer->graph->node_count;
	FrArena *scratch = &writer->scratch;

	writer->slot_count = 64;
	while (writer->slot_count < 2 * (values + SOFTMAX_EXTRAS * nodes))
		writer->slot_count *= 2;
	writer->is_used =
		fr_arena_alloc_zeroed(scratch, values, sizeof *writer->is_used);
	writer->names =
		fr_arena_alloc_zeroed(scratch, values, sizeof *writer->names);
	writer->slots = fr_arena_alloc_zeroed(scratch, writer->slot_count,
										  sizeof *writer->slots);
	writer->extras =
		fr_arena_alloc_zeroed(scratch, nodes, sizeof *writer->extras);
	if (!writer->is_used || !writer->names || !writer->slots || !writer->extras)
		return fr_fail_nomem(writer->error,
							 writer->slot_count * sizeof *writer->slots);
	return FR_OK;
}

static FrStatus
prepare(Writer *writer)
{
	const FrGraph *graph = writer->graph;
	FrStatus status = allocate(writer);

	if (status != FR_OK)
		return status;
	writer->opset = BASE_OPSET;
	for (int i = 0; i < graph->node_count; i++)
	{
		int opset = fr_write_opset(&graph->nodes[i]);

		status = fr_write_check(graph, &graph->nodes[i], writer->error);
		if (status != FR_OK)
			return status;
		if (opset > writer->opset)
			writer->opset = opset;
	}
	mark_used(writer);
	return name_values(writer);
}

/* ---- messages ----------------------------------------------------------- */

/* What a message needs besides the writer. */
typedef struct Part
{
	const Writer *writer;
	int index; /* of a node, a value or a property */
} Part;

/* A node that the graph does not have; inputs and outputs by name. */
typedef struct ExtraNode
{
	const char *op, *inputs[2], *output;
	int axis; /* or NO_AXIS */
} ExtraNode;

/* A dimension of a part's value. */
typedef struct Dimension
{
	const Part *part;
	int number;
} Dimension;

/* One that is open gets a name of its own. */
static void
put_dimension(FrWireOut *out, const void *context)
{
	const Dimension *dimension = context;
	const Part *part = dimension->part;
	const FrValue *value = &part->writer->graph->values[part->index];
	int64_t size = value->shape.dims[dimension->number];
	char name[64];

	if (size >= 0)
	{
		fr_wire_put_varint(out, 1, (uint64_t) size);
		return;
	}
	snprintf(name, sizeof name, "%.40s_%d", part->writer->names[part->index],
			 dimension->number);
	fr_wire_put_text(out, 2, name);
}

static void
put_shape(FrWireOut *out, const void *context)
{
	const Part *part = context;
	int rank = part->writer->graph->values[part->index].shape.rank;

	for (int i = 0; i < rank; i++)
	{
		Dimension dimension = {part, i};

		fr_wire_put_message(out, 1, put_dimension, &dimension);
	}
}

/* TypeProto.Tensor */
static void
put_tensor_type(FrWireOut *out, const void *context)
{
	const Part *part = context;
	const FrValue *value = &part->writer->graph->values[part->index];
	FrDtype dtype = value->dtype == FR_DTYPE_NONE ? FR_FLOAT32 : value->dtype;

	fr_wire_put_varint(out, 1, (uint64_t) fr_write_dtype(dtype));
	if (value->is_shape_known)
		fr_wire_put_message(out, 2, put_shape, part);
}

static void
put_type(FrWireOut *out, const void *context)
{
	fr_wire_put_message(out, 1, put_tensor_type, context);
}

static void
put_value_info(FrWireOut *out, const void *context)
{
	const Part *part = context;

	fr_wire_put_text(out, 1, part->writer->names[part->index]);
	fr_wire_put_message(out, 2, put_type, part);
}

static void
put_node(FrWireOut *out, const void *context)
{
	const Part *part = context;
	const Writer *writer = part->writer;
	const FrNode *node = &writer->graph->nodes[part->index];

	for (int k = 0; k < node->input_count; k++)
		fr_wire_put_text(out, FR_NODE_INPUT,
						 node->inputs[k] < 0 ? ""
											 : writer->names[node->inputs[k]]);
	for (int k = 0; k < node->output_count; k++)
		fr_wire_put_text(out, FR_NODE_OUTPUT, writer->names[node->outputs[k]]);
	if (node->name && node->name[0])
		fr_wire_put_text(out, 3, node->name);
	fr_wire_put_text(out, 4, fr_op_name(node->op));
	fr_write_attributes(out, node, writer->opset);
}

static void
put_extra_node(FrWireOut *out, const void *context)
{
	const ExtraNode *node = context;

	for (int k = 0; k < 2 && node->inputs[k]; k++)
		fr_wire_put_text(out, FR_NODE_INPUT, node->inputs[k]);
	fr_wire_put_text(out, FR_NODE_OUTPUT, node->output);
	fr_wire_put_text(out, 4, node->op);
	if (node->axis != NO_AXIS)
		fr_write_int(out, "axis", node->axis);
}

/* Softmax over all dimensions from an axis on is that of the rows of the
 * matrix that Flatten makes. */
static void
put_legacy_softmax(FrWireOut *out, const Writer *writer, int index)
{
	const FrNode *node = &writer->graph->nodes[index];
	const char *const *extras = writer->extras[index];
	const char *input = writer->names[node->inputs[0]];
	const char *output = writer->names[node->outputs[0]];
	const ExtraNode nodes[] = {
		{"Flatten", {input}, extras[0], node->u.axis.axis},
		{"Softmax", {extras[0]}, extras[1], 1},
		{"Shape", {input}, extras[2], NO_AXIS},
		{"Reshape", {extras[1], extras[2]}, output, NO_AXIS},
	};

	for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
		fr_wire_put_message(out, FR_GRAPH_NODE, put_extra_node, &nodes[i]);
}

static void
put_initializer(FrWireOut *out, const Writer *writer, int index)
{
	const FrValue *value = &writer->graph->values[index];
	size_t count = 0;

	(void) fr_shape_count(&value->shape, &count);

	FrWriteTensor tensor = {.name = writer->names[index],
							.dtype = value->dtype,
							.shape = &value->shape,
							.data = value->constant,
							.size_bytes = count * fr_dtype_size(value->dtype)};

	fr_wire_put_message(out, FR_GRAPH_INITIALIZER, fr_write_tensor, &tensor);
}

static void
put_graph(FrWireOut *out, const void *context)
{
	const Writer *writer = context;
	const FrGraph *graph = writer->graph;
	Part part = {.writer = writer};

	for (int i = 0; i < graph->node_count; i++)
	{
		part.index = i;
		if (fr_write_is_legacy_softmax(&graph->nodes[i]))
			put_legacy_softmax(out, writer, i);
		else
			fr_wire_put_message(out, FR_GRAPH_NODE, put_node, &part);
	}
	fr_wire_put_text(out, GRAPH_NAME_FIELD, "graph");
	for (int i = 0; i < graph->value_count; i++)
		if (writer->is_used[i] && graph->values[i].constant)
			put_initializer(out, writer, i);
	for (int i = 0; i < graph->input_count; i++)
	{
		part.index = graph->inputs[i];
		fr_wire_put_message(out, FR_GRAPH_INPUT, put_value_info, &part);
	}
	for (int i = 0; i < graph->output_count; i++)
	{
		part.index = graph->outputs[i];
		fr_wire_put_message(out, FR_GRAPH_OUTPUT, put_value_info, &part);
	}
}

static void
put_opset(FrWireOut *out, const void *context)
{
	const Writer *writer = context;

	fr_wire_put_text(out, 1, "");
	fr_wire_put_varint(out, 2, (uint64_t) writer->opset);
}

static void
put_property(FrWireOut *out, const void *context)
{
	const FrOnnxProperty *property = context;

	fr_wire_put_text(out, 1, property->key);
	fr_wire_put_text(out, 2, property->value);
}

/* The IR version that came with an opset: the ONNX project's
 * docs/Versioning.md. */
static int
ir_version(int opset)
{
	if (opset <= 14)
		return 7;
	return opset <= 18 ? 8 : opset <= 20 ? 9 : 10;
}

static void
put_model(FrWireOut *out, const Writer *writer)
{
	fr_wire_put_varint(out, 1, (uint64_t) ir_version(writer->opset));
	fr_wire_put_text(out, 2, "facerec");
	fr_wire_put_message(out, 7, put_graph, writer);
	fr_wire_put_message(out, 8, put_opset, writer);
	for (int i = 0; i < writer->property_count; i++)
		fr_wire_put_message(out, 14, put_property, &writer->properties[i]);
}

/* ---- the whole ---------------------------------------------------------- */

static FrStatus
write_model(const Writer *writer, const FrAllocator *allocator, void **bytes,
			size_t *size_bytes)
{
	FrWireOut counter = {0}, out = {0};

	put_model(&counter, writer);
	if (counter.length > MAX_FILE_BYTES)
		return fr_fail(writer->error, FR_ERR_LIMIT,
					   "The ONNX file would have %zu bytes, the format allows "
					   "%zu.",
					   counter.length, MAX_FILE_BYTES);
	out.data = fr_alloc(allocator, counter.length);
	if (!out.data)
		return fr_fail_nomem(writer->error, counter.length);
	put_model(&out, writer);
	*bytes = out.data;
	*size_bytes = out.length;
	return FR_OK;
}

FrStatus
fr_onnx_write(const FrGraph *graph, const FrOnnxProperty *properties,
			  int property_count, const FrAllocator *allocator, void **bytes,
			  size_t *size_bytes, FrError *error)
{
	Writer writer = {.graph = graph,
					 .properties = properties,
					 .property_count = property_count,
					 .error = error};

	*bytes = NULL;
	*size_bytes = 0;
	fr_arena_init(&writer.scratch, allocator);

	FrStatus status = prepare(&writer);

	if (status == FR_OK)
		status = write_model(&writer, allocator, bytes, size_bytes);
	fr_arena_fini(&writer.scratch);
	return status;
}
