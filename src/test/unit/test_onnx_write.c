/*
 * test_onnx_write.c: the ONNX writer: names, versions, what cannot be
 * written, memory.
 *
 * That every operator means the same after writing is shown by
 * test_ops_golden, with values from ONNX Runtime; here it is the networks of
 * the test data folder that are written and read again.
 */
#include "core/onnx/import.h"
#include "core/onnx/model.h"
#include "core/onnx/write.h"
#include "onnx_build.h"
#include "tap.h"

/* Import what onnx_build.h made; the bytes must stay. */
static FrGraph
import(const OnnxBuffer *file)
{
	FrGraph graph = {0};
	FrError error = {0};

	is_status(fr_onnx_import(file->data, file->size_bytes, &fr_allocator_malloc,
							 &graph, &error),
			  FR_OK, &error, "the model is imported");
	return graph;
}

static bool
are_nodes_equal(const FrGraph *a, const FrGraph *b)
{
	if (a->node_count != b->node_count || a->input_count != b->input_count ||
		a->output_count != b->output_count)
		return false;
	for (int i = 0; i < a->node_count; i++)
	{
		const FrNode *left = &a->nodes[i], *right = &b->nodes[i];

		if (left->op != right->op || strcmp(left->name, right->name) != 0 ||
			left->input_count != right->input_count ||
			left->output_count != right->output_count)
			return false;
	}
	return true;
}

/* ---- names -------------------------------------------------------------- */

/* Two values differ in bytes that are shown alike; one has no name; one has
 * the name that the writer would invent. */
static void
test_names(void)
{
	OnnxModel model;
	FrGraph again = {0};
	FrError error = {0};
	void *bytes;
	size_t size_bytes;
	const FrOnnxProperty properties[] = {{"key", "value"}};

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 2, (int64_t[]){-1, 3});
	onnx_node(&model, "Relu", "first", "x", "a\x01");
	onnx_node(&model, "Neg", "second", "a\x01", "a\x02");
	onnx_node(&model, "Abs", "", "a\x02", "value_1");
	onnx_node(&model, "Add", "last", "a\x02 value_1", "y");
	onnx_output(&model, "y", 2, (int64_t[]){-1, 3});

	OnnxBuffer file = onnx_finish(&model);
	FrGraph graph = import(&file);

	is_status(fr_onnx_write(&graph, properties, 1, &fr_allocator_malloc, &bytes,
							&size_bytes, &error),
			  FR_OK, &error, "values of one printed name are written");
	is_status(
		fr_onnx_import(bytes, size_bytes, &fr_allocator_malloc, &again, &error),
		FR_OK, &error, "and read again");
	ok(are_nodes_equal(&graph, &again), "the nodes are the same");
	ok(again.output_count == 1 &&
		   strcmp(again.values[again.outputs[0]].name, "y") == 0 &&
		   strcmp(again.values[again.inputs[0]].name, "x") == 0,
	   "input and output keep their names");
	is_int(again.values[again.inputs[0]].shape.dims[0], FR_DIM_DYNAMIC,
		   "an open dimension stays open");
	fr_graph_destroy(&again);
	fr_graph_destroy(&graph);
	free(bytes);
	free(file.data);
}

/* ---- versions ----------------------------------------------------------- */

/* Write one node of an opset; returns the opset of the result, 0 for an
 * error. */
static int
written_opset(int opset, const char *op, const char *inputs, int64_t axes)
{
	OnnxModel model;
	FrOnnxModel head = {0};
	FrError error = {0};
	void *bytes;
	size_t size_bytes;

	onnx_begin(&model, opset);
	onnx_input(&model, "x", 2, (int64_t[]){2, 3});
	onnx_weight_f32(&model, "w", 1, (int64_t[]){3}, (float[]){1, 2, 3});
	onnx_weight_f32(&model, "half", 1, (int64_t[]){2}, (float[]){1, 0.5f});
	onnx_node(&model, op, "node", inputs, "y");
	if (axes >= 0)
		onnx_attr_ints(&model, "axes", 1, &axes);
	onnx_output(&model, "y", 0, NULL);

	OnnxBuffer file = onnx_finish(&model);
	FrGraph graph = import(&file);

	if (fr_onnx_write(&graph, NULL, 0, &fr_allocator_malloc, &bytes,
					  &size_bytes, &error) != FR_OK)
		diag("%s", error.message);
	else
		(void) fr_onnx_model_parse(bytes, size_bytes, &head, &error);
	fr_graph_destroy(&graph);
	free(bytes);
	free(file.data);
	return (int) head.opset;
}

static void
test_versions(void)
{
	is_int(written_opset(7, "Relu", "x", -1), 13, "Relu needs opset 13");
	is_int(written_opset(11, "ReduceSum", "x", 1), 13,
		   "so does ReduceSum, whose axes become an input there");
	is_int(written_opset(11, "ReduceMax", "x", 1), 18,
		   "ReduceMax with axes needs opset 18");
	is_int(written_opset(11, "ReduceMax", "x", -1), 13,
		   "ReduceMax without axes does not");
	is_int(written_opset(17, "LayerNormalization", "x w", -1), 17,
		   "LayerNormalization needs opset 17");
	is_int(written_opset(20, "Gelu", "x", -1), 20, "Gelu needs opset 20");
	is_int(written_opset(10, "Resize", "x half", -1), 0,
		   "a Resize that shrank as before opset 11 is refused");
}

/* ---- networks ----------------------------------------------------------- */

static void
test_network(const char *name)
{
	char path[256];
	size_t size_bytes, written_bytes = 0;
	FrError error = {0};
	FrGraph graph = {0}, again = {0};
	void *written = NULL;

	snprintf(path, sizeof path, "models/%s", name);

	unsigned char *bytes = read_file(testdata_path(path), &size_bytes);

	if (!bytes)
	{
		skip(name, "the test data folder is absent");
		return;
	}

	FrStatus status =
		fr_onnx_import(bytes, size_bytes, &fr_allocator_malloc, &graph, &error);

	if (status == FR_OK)
		status = fr_onnx_write(&graph, NULL, 0, &fr_allocator_malloc, &written,
							   &written_bytes, &error);
	if (status == FR_OK)
		status = fr_onnx_import(written, written_bytes, &fr_allocator_malloc,
								&again, &error);
	is_status(status, FR_OK, &error, "%s is written and read", name);
	ok(are_nodes_equal(&graph, &again), "%s has the same nodes", name);
	fr_graph_destroy(&again);
	fr_graph_destroy(&graph);
	free(written);
	free(bytes);
}

/* ---- memory ------------------------------------------------------------- */

static void
test_memory(void)
{
	OnnxModel model;
	FrError error = {0};
	FrStatus status = FR_ERR_NOMEM;
	void *bytes = NULL;
	size_t size_bytes;
	int failures = 0;

	onnx_begin(&model, 11);
	onnx_input(&model, "x", 4, (int64_t[]){1, 2, 3, 3});
	onnx_node(&model, "Softmax", "softmax", "x", "y");
	onnx_output(&model, "y", 0, NULL);

	OnnxBuffer file = onnx_finish(&model);
	FrGraph graph = import(&file);

	for (long n = 1; status == FR_ERR_NOMEM && n < 100; n++)
	{
		TestMemory memory = {.fail_at = n};
		FrAllocator allocator = test_allocator(&memory);

		status = fr_onnx_write(&graph, NULL, 0, &allocator, &bytes, &size_bytes,
							   &error);
		failures += status == FR_ERR_NOMEM && bytes == NULL;
		fr_release(&allocator, bytes);
		if (memory.live != 0)
			ok(false, "allocation %ld: %ld blocks are left", n, memory.live);
	}
	is_status(status, FR_OK, &error, "written after %d failing allocations",
			  failures);
	ok(failures >= 2, "both allocations can fail");
	fr_graph_destroy(&graph);
	free(file.data);
}

int
main(void)
{
	test_names();
	test_versions();
	test_network("mobilefacenet-128.onnx");
	test_network("face-reidentification-retail-0095.onnx");
	test_network("yunet_n_dynamic.onnx");
	test_network("mtcnn-pnet.onnx");
	test_network("minifasnet-v1se-80x80.onnx");
	test_memory();
	return tap_done();
}
