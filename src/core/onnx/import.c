/*
 * import.c: fr_onnx_import, from the file's messages to an FrGraph.
 *
 * Passes: count everything (so that each array is allocated once), give each
 * name a value (initialisers, inputs, node outputs), build the nodes, check
 * that every input exists, put the nodes in order.  Names are looked up by
 * their raw bytes in a hash table; the graph keeps a printable copy.
 */
#include "core/onnx/import.h"

#include <string.h>

#include "core/base/size.h"
#include "core/onnx/import_ops.h"

/* More than any network has; they bound the memory that a file of a given
 * size can ask for. */
#define MAX_NODES			(1 << 17)
#define MAX_INITIALIZERS	(1 << 17)
#define MAX_INPUTS			(1 << 10)
#define MAX_NAME_CHARACTERS 200

typedef struct Counts
{
	size_t nodes, initializers, inputs, outputs, node_outputs;
} Counts;

/* ---- names -------------------------------------------------------------- */

/* FNV-1a. */
static uint64_t
hash_name(FrBytes name)
{
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < name.length; i++)
		hash = (hash ^ name.data[i]) * 1099511628211u;
	return hash ^ hash >> 32;
}

/* The slot that holds name, or the empty one where it belongs. */
static int32_t *
find_slot(const FrImport *import, FrBytes name)
{
	size_t mask = import->slot_count - 1;
	size_t slot = (size_t) hash_name(name) & mask;

	while (import->slots[slot] >= 0 &&
		   !fr_bytes_equal(import->names[import->slots[slot]], name))
		slot = (slot + 1) & mask;
	return &import->slots[slot];
}

static const char *
copy_name(FrImport *import, FrBytes name)
{
	size_t size_bytes =
		(name.length < MAX_NAME_CHARACTERS ? name.length
										   : MAX_NAME_CHARACTERS) +
		1;
	char *copy = fr_arena_alloc(&import->graph->arena, size_bytes);

	return copy ? fr_onnx_printable(name, copy, size_bytes) : NULL;
}

/* Append a value; an empty name is not entered in the table.  The room was
 * counted before. */
static FrStatus
add_value(FrImport *import, FrBytes name, int32_t *index)
{
	FrGraph *graph = import->graph;
	int32_t *slot = name.length > 0 ? find_slot(import, name) : NULL;
	char text[64];

	if (slot && *slot >= 0)
		return fr_fail(import->error, FR_ERR_CORRUPT,
					   "The value \"%s\" is defined twice.",
					   fr_onnx_printable(name, text, sizeof text));
	if (graph->value_count >= import->value_capacity)
		return fr_fail(import->error, FR_ERR_BUG,
					   "The model has more values than were counted.");
	*index = graph->value_count;

	FrValue *value = &graph->values[*index];

	value->name = copy_name(import, name);
	if (!value->name)
		return fr_fail_nomem(import->error, name.length + 1);
	import->names[*index] = name;
	graph->value_count++;
	if (slot)
		*slot = *index;
	return FR_OK;
}

int32_t
fr_import_add_constant(FrImport *import, FrDtype dtype, int rank, int64_t count,
					   const void *data)
{
	int32_t index = -1;

	if (add_value(import, (FrBytes){0}, &index) != FR_OK)
		return -1;
	import->graph->values[index] =
		(FrValue){.name = import->graph->values[index].name,
				  .dtype = dtype,
				  .shape = {.rank = rank,
							.dims =
							{ rank > 0 ? count : 0 }},
				  .is_shape_known = true,
				  .constant = data};
	return index;
}

/* ---- values ------------------------------------------------------------- */

static FrStatus
add_initializer(FrImport *import, FrBytes message)
{
	FrOnnxTensor tensor;
	FrStatus status = fr_onnx_tensor_parse(message, &tensor, import->error);
	int32_t index;

	if (status != FR_OK)
		return status;
	if (tensor.name.length == 0)
		return fr_fail(import->error, FR_ERR_CORRUPT,
					   "An initialiser has no name.");
	status = add_value(import, tensor.name, &index);
	if (status != FR_OK)
		return status;

	FrValue *value = &import->graph->values[index];

	value->shape = tensor.shape;
	value->is_shape_known = true;
	return fr_onnx_tensor_data(&tensor, &import->graph->arena, &value->dtype,
							   &value->constant, import->error);
}

/* A graph input; one that has an initialiser is a constant, not an input. */
static FrStatus
add_input(FrImport *import, FrBytes message)
{
	FrGraph *graph = import->graph;
	FrOnnxValueInfo info;
	FrStatus status = fr_onnx_value_info_parse(message, &info, import->error);
	char name[64];
	int32_t index;

	if (status != FR_OK)
		return status;
	fr_onnx_printable(info.name, name, sizeof name);
	if (info.name.length == 0)
		return fr_fail(import->error, FR_ERR_CORRUPT,
					   "An input of the model has no name.");

	int32_t known = *find_slot(import, info.name);

	if (known >= 0 && graph->values[known].constant)
		return FR_OK;
	if (fr_onnx_dtype(info.element_type) == FR_DTYPE_NONE)
		return fr_fail(import->error, FR_ERR_UNSUPPORTED,
					   "Input \"%s\" has ONNX data type %lld, which is not "
					   "supported.",
					   name, (long long) info.element_type);
	status = add_value(import, info.name, &index);
	if (status != FR_OK)
		return status;
	graph->values[index].dtype = fr_onnx_dtype(info.element_type);
	graph->values[index].shape = info.shape;
	graph->values[index].is_shape_known = info.has_shape;
	graph->inputs[graph->input_count++] = index;
	return FR_OK;
}

static FrStatus
add_output(FrImport *import, FrBytes message)
{
	FrGraph *graph = import->graph;
	FrOnnxValueInfo info;
	FrStatus status = fr_onnx_value_info_parse(message, &info, import->error);
	char name[64];

	if (status != FR_OK)
		return status;

	int32_t index = *find_slot(import, info.name);

	if (index < 0)
		return fr_fail(import->error, FR_ERR_CORRUPT,
					   "The model's output \"%s\" is calculated by no node.",
					   fr_onnx_printable(info.name, name, sizeof name));
	graph->outputs[graph->output_count++] = index;
	return FR_OK;
}

/* Call add for every field of the graph with that number, in file order. */
static FrStatus
add_each(FrImport *import, uint32_t field_number,
		 FrStatus (*add)(FrImport *, FrBytes))
{
	FrBytes message = import->model.graph;
	FrWireField field;
	FrStatus status = FR_OK;

	while (status == FR_OK && message.length > 0 &&
		   fr_wire_next(&message, &field))
		if (fr_wire_is(&field, field_number, FR_WIRE_BYTES))
			status = add(import, field.bytes);
	return status;
}

/* ---- nodes -------------------------------------------------------------- */

static FrStatus
add_view(FrImport *import, FrBytes message)
{
	return fr_onnx_node_parse(message, &import->views[import->view_count++],
							  import->error);
}

static FrStatus
check_domain(FrImport *import, const FrOnnxNode *view)
{
	char name[64], op_type[48], domain[48];

	if (view->domain.length == 0 ||
		fr_bytes_equal_text(view->domain, "ai.onnx"))
		return FR_OK;
	return fr_fail(import->error, FR_ERR_UNSUPPORTED,
				   "Node \"%s\" is operator %s of domain \"%s\"; only "
				   "standard ONNX operators are supported.",
				   fr_onnx_printable(view->name, name, sizeof name),
				   fr_onnx_printable(view->op_type, op_type, sizeof op_type),
				   fr_onnx_printable(view->domain, domain, sizeof domain));
}

/* Make the values that a node's outputs are; indices go to out unless it is
 * NULL. */
static FrStatus
add_node_outputs(FrImport *import, const FrOnnxNode *view, int32_t *out)
{
	FrBytes message = view->message;
	FrWireField field;
	FrStatus status = FR_OK;
	int count = 0;

	while (status == FR_OK && message.length > 0 &&
		   fr_wire_next(&message, &field))
		if (fr_wire_is(&field, FR_NODE_OUTPUT, FR_WIRE_BYTES))
			status = add_value(import, field.bytes, &out[count++]);
	return status;
}

/* A Constant node is a value. */
static FrStatus
add_constant_node(FrImport *import, const FrOnnxNode *view)
{
	FrValue value = {0};
	FrStatus status = fr_import_constant(import, view, &value);
	int32_t index;

	if (status != FR_OK)
		return status;
	if (view->output_count != 1)
		return fr_fail(import->error, FR_ERR_CORRUPT,
					   "A Constant node has %d outputs.", view->output_count);
	status = add_node_outputs(import, view, &index);
	if (status != FR_OK)
		return status;
	value.name = import->graph->values[index].name;
	import->graph->values[index] = value;
	return FR_OK;
}

/* Make the node and its output values; inputs are looked up later, when all
 * values are there.  file_node is kept in name order through the views. */
static FrStatus
add_node(FrImport *import, const FrOnnxNode *view, FrNode *node)
{
	FrArena *arena = &import->graph->arena;
	char op_type[64];
	size_t capacity = (size_t) view->input_count;

	*node = (FrNode){.name = copy_name(import, view->name),
					 .input_count = view->input_count,
					 .output_count = view->output_count};
	if (!node->name)
		return fr_fail_nomem(import->error, view->name.length + 1);
	if (!fr_import_find_op(view->op_type, &node->op))
		return fr_fail(
			import->error, FR_ERR_UNSUPPORTED,
			"Node \"%.60s\" has operator %s, which is not "
			"supported.",
			node->name,
			fr_onnx_printable(view->op_type, op_type, sizeof op_type));
	if (node->input_count > FR_MAX_NODE_INPUTS ||
		node->output_count > FR_MAX_NODE_OUTPUTS || node->output_count < 1)
		return fr_node_fail(import->error, FR_ERR_UNSUPPORTED, node,
							"It has %d inputs and %d outputs.",
							node->input_count, node->output_count);
	if (capacity < FR_IMPORT_MIN_INPUT_CAPACITY)
		capacity = FR_IMPORT_MIN_INPUT_CAPACITY;
	node->inputs = fr_arena_alloc(arena, capacity * sizeof *node->inputs);
	node->outputs = fr_arena_alloc(arena, (size_t) node->output_count *
											  sizeof *node->outputs);
	if (!node->inputs || !node->outputs)
		return fr_fail_nomem(import->error, capacity * sizeof *node->inputs);
	memset(node->inputs, 0xff, capacity * sizeof *node->inputs);
	return add_node_outputs(import, view, node->outputs);
}

static FrStatus
link_inputs(FrImport *import, const FrOnnxNode *view, FrNode *node)
{
	FrBytes message = view->message;
	FrWireField field;
	char name[64];
	int count = 0;

	while (message.length > 0 && fr_wire_next(&message, &field))
	{
		if (!fr_wire_is(&field, FR_NODE_INPUT, FR_WIRE_BYTES))
			continue;
		node->inputs[count] = -1;
		if (field.bytes.length > 0)
		{
			node->inputs[count] = *find_slot(import, field.bytes);
			if (node->inputs[count] < 0)
				return fr_node_fail(
					import->error, FR_ERR_CORRUPT, node,
					"Input \"%s\" is neither in the file nor calculated by "
					"any node.",
					fr_onnx_printable(field.bytes, name, sizeof name));
		}
		count++;
	}
	while (node->input_count > 0 && node->inputs[node->input_count - 1] < 0)
		node->input_count--;
	return FR_OK;
}

/* Node i of the graph is the i-th view that is no Constant. */
static FrStatus
add_nodes(FrImport *import)
{
	FrGraph *graph = import->graph;
	FrStatus status = FR_OK;
	int kept = 0;

	for (int i = 0; status == FR_OK && i < import->view_count; i++)
	{
		const FrOnnxNode view = import->views[i];

		status = check_domain(import, &view);
		if (status != FR_OK)
			return status;
		if (fr_bytes_equal_text(view.op_type, "Constant"))
		{
			status = add_constant_node(import, &view);
			continue;
		}
		status = add_node(import, &view, &graph->nodes[kept]);
		import->views[kept++] = view;
	}
	graph->node_count = kept;
	for (int i = 0; status == FR_OK && i < kept; i++)
		status = link_inputs(import, &import->views[i], &graph->nodes[i]);
	for (int i = 0; status == FR_OK && i < kept; i++)
		status =
			fr_import_attributes(import, &import->views[i], &graph->nodes[i]);
	return status;
}

/* Operators of which we have the first output only (MaxPool's indices,
 * Dropout's mask) lose the others when nothing uses them. */
static FrStatus
drop_extra_outputs(FrImport *import)
{
	FrGraph *graph = import->graph;
	size_t values = (size_t) graph->value_count;
	bool *is_used = fr_arena_alloc_zeroed(&import->scratch, values, 1);

	if (!is_used)
		return fr_fail_nomem(import->error, values);
	for (int i = 0; i < graph->node_count; i++)
		for (int k = 0; k < graph->nodes[i].input_count; k++)
			if (graph->nodes[i].inputs[k] >= 0)
				is_used[graph->nodes[i].inputs[k]] = true;
	for (int i = 0; i < graph->output_count; i++)
		is_used[graph->outputs[i]] = true;
	for (int i = 0; i < graph->node_count; i++)
	{
		FrNode *node = &graph->nodes[i];

		if (node->op == FR_OP_SPLIT)
			continue;
		for (int k = 1; k < node->output_count; k++)
			if (is_used[node->outputs[k]])
				return fr_node_fail(import->error, FR_ERR_UNSUPPORTED, node,
									"Output %d is used; only the first is "
									"supported.",
									k);
		node->output_count = 1;
	}
	return FR_OK;
}

/* ---- the whole ---------------------------------------------------------- */

static FrStatus
count_graph(FrImport *import, Counts *counts)
{
	FrBytes message = import->model.graph;
	FrWireField field;

	*counts = (Counts){0};
	while (message.length > 0)
	{
		if (!fr_wire_next(&message, &field))
			return fr_fail(import->error, FR_ERR_CORRUPT,
						   "The ONNX file holds a malformed or cut off "
						   "graph.");
		if (field.type != FR_WIRE_BYTES)
			continue;
		counts->nodes += field.number == FR_GRAPH_NODE;
		counts->initializers += field.number == FR_GRAPH_INITIALIZER;
		counts->inputs += field.number == FR_GRAPH_INPUT;
		counts->outputs += field.number == FR_GRAPH_OUTPUT;
		if (field.number == FR_GRAPH_SPARSE_INITIALIZER)
			return fr_fail(import->error, FR_ERR_UNSUPPORTED,
						   "Sparse initialisers are not supported.");
	}
	/* Old files list every initialiser as an input, too. */
	if (counts->nodes > MAX_NODES || counts->initializers > MAX_INITIALIZERS ||
		counts->inputs > MAX_INPUTS + counts->initializers ||
		counts->outputs > MAX_INPUTS)
		return fr_fail(import->error, FR_ERR_LIMIT,
					   "The model has %zu nodes, %zu initialisers, %zu inputs "
					   "and %zu outputs.",
					   counts->nodes, counts->initializers, counts->inputs,
					   counts->outputs);
	if (counts->outputs == 0)
		return fr_fail(import->error, FR_ERR_CORRUPT,
					   "The model has no output.");
	return FR_OK;
}

static FrStatus
allocate_graph(FrImport *import, const Counts *counts)
{
	FrGraph *graph = import->graph;
	FrArena *arena = &graph->arena, *scratch = &import->scratch;
	size_t values = counts->initializers + counts->inputs +
					counts->node_outputs + FR_IMPORT_MAX_EXTRA * counts->nodes;

	import->value_capacity = (int) values;
	import->slot_count = 64;
	while (import->slot_count < 2 * values)
		import->slot_count *= 2;
	graph->nodes =
		fr_arena_alloc_zeroed(arena, counts->nodes, sizeof *graph->nodes);
	graph->values = fr_arena_alloc_zeroed(arena, values, sizeof *graph->values);
	graph->inputs =
		fr_arena_alloc_zeroed(arena, counts->inputs, sizeof *graph->inputs);
	graph->outputs =
		fr_arena_alloc_zeroed(arena, counts->outputs, sizeof *graph->outputs);
	import->names =
		fr_arena_alloc_zeroed(scratch, values, sizeof *import->names);
	import->slots =
		fr_arena_alloc(scratch, import->slot_count * sizeof *import->slots);
	if (!graph->nodes || !graph->values || !graph->inputs || !graph->outputs ||
		!import->names || !import->slots)
		return fr_fail_nomem(import->error, values * sizeof *graph->values);
	memset(import->slots, 0xff, import->slot_count * sizeof *import->slots);
	return FR_OK;
}

/* Read the nodes' heads, which say how many values there are. */
static FrStatus
read_views(FrImport *import, Counts *counts)
{
	import->views = fr_arena_alloc_zeroed(&import->scratch, counts->nodes,
										  sizeof *import->views);
	if (!import->views)
		return fr_fail_nomem(import->error,
							 counts->nodes * sizeof *import->views);

	FrStatus status = add_each(import, FR_GRAPH_NODE, add_view);

	for (int i = 0; status == FR_OK && i < import->view_count; i++)
	{
		counts->node_outputs += (size_t) import->views[i].output_count;
		if (counts->node_outputs > (size_t) 8 * MAX_NODES)
			status = fr_fail(import->error, FR_ERR_LIMIT,
							 "The model has more than %zu values.",
							 counts->node_outputs);
	}
	return status;
}

static FrStatus
import_graph(FrImport *import)
{
	Counts counts;
	FrStatus status = count_graph(import, &counts);

	if (status == FR_OK)
		status = read_views(import, &counts);
	if (status == FR_OK)
		status = allocate_graph(import, &counts);
	if (status == FR_OK)
		status = add_each(import, FR_GRAPH_INITIALIZER, add_initializer);
	if (status == FR_OK)
		status = add_each(import, FR_GRAPH_INPUT, add_input);
	if (status == FR_OK)
		status = add_nodes(import);
	if (status == FR_OK)
		status = add_each(import, FR_GRAPH_OUTPUT, add_output);
	if (status == FR_OK)
		status = drop_extra_outputs(import);
	if (status == FR_OK)
		status = fr_import_sort_nodes(import);
	return status;
}

FrStatus
fr_onnx_import(const void *bytes, size_t size_bytes,
			   const FrAllocator *allocator, FrGraph *graph, FrError *error)
{
	FrImport import = {.graph = graph, .error = error};

	*graph = (FrGraph){0};
	fr_arena_init(&graph->arena, allocator);
	fr_arena_init(&import.scratch, allocator);

	FrStatus status =
		fr_onnx_model_parse(bytes, size_bytes, &import.model, error);

	if (status == FR_OK)
		status = import_graph(&import);
	fr_arena_fini(&import.scratch);
	if (status != FR_OK)
		fr_graph_destroy(graph);
	return status;
}
