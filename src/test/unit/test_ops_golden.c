/*
 * test_ops_golden.c: every operator against ONNX Runtime.
 *
 * src/test/golden/ops.bin holds small ONNX models with inputs and the outputs
 * that ONNX Runtime calculated (make_ops.py there has the format).  Each is
 * imported, specialised for its inputs and run with plain operators; then the
 * graph is written, and what was written goes the same way.
 */
#include "core/base/bytes.h"
#include "core/onnx/import.h"
#include "core/onnx/write.h"
#include "test/unit/graph_run.h"
#include "test/unit/tap.h"

#define MAX_TENSORS 4

/* Relative to the larger of 1 and the expected value. */
#define TOLERANCE 1e-5

typedef struct GoldenTensor
{
	FrTensor tensor; /* data is malloc'ed */
	size_t count;
} GoldenTensor;

typedef struct GoldenCase
{
	char name[96];
	const uint8_t *model;
	uint32_t model_bytes;
	uint32_t input_count, output_count;
	GoldenTensor inputs[MAX_TENSORS], outputs[MAX_TENSORS];
} GoldenCase;

static bool
take_i64(FrBytes *bytes, int64_t *out)
{
	uint32_t low, high;

	if (!fr_bytes_take_le32(bytes, &low) || !fr_bytes_take_le32(bytes, &high))
		return false;
	*out = (int64_t) ((uint64_t) high << 32 | low);
	return true;
}

static bool
take_tensor(FrBytes *bytes, FrDtype dtype, GoldenTensor *out)
{
	uint32_t rank;
	const uint8_t *data;

	*out = (GoldenTensor){.tensor.dtype = dtype};
	if (!fr_bytes_take_le32(bytes, &rank) || rank > FR_MAX_RANK)
		return false;
	out->tensor.shape.rank = (int) rank;
	for (uint32_t i = 0; i < rank; i++)
		if (!take_i64(bytes, &out->tensor.shape.dims[i]))
			return false;
	if (!fr_shape_count(&out->tensor.shape, &out->count) ||
		!fr_bytes_take(bytes, out->count * fr_dtype_size(dtype), &data))
		return false;
	out->tensor.data = malloc(out->count * fr_dtype_size(dtype) + 1);
	memcpy(out->tensor.data, data, out->count * fr_dtype_size(dtype));
	return true;
}

static bool
take_case(FrBytes *bytes, GoldenCase *out)
{
	static const FrDtype dtypes[] = {FR_FLOAT32, FR_INT64, FR_INT32,
									 FR_BOOL,	 FR_UINT8, FR_INT8};
	uint32_t length, type;
	const uint8_t *name;

	*out = (GoldenCase){0};
	if (!fr_bytes_take_le32(bytes, &length) || length >= sizeof out->name ||
		!fr_bytes_take(bytes, length, &name))
		return false;
	memcpy(out->name, name, length);
	if (!fr_bytes_take_le32(bytes, &out->model_bytes) ||
		!fr_bytes_take(bytes, out->model_bytes, &out->model) ||
		!fr_bytes_take_le32(bytes, &out->input_count) ||
		out->input_count > MAX_TENSORS)
		return false;
	for (uint32_t i = 0; i < out->input_count; i++)
		if (!take_tensor(bytes, FR_FLOAT32, &out->inputs[i]))
			return false;
	if (!fr_bytes_take_le32(bytes, &out->output_count) ||
		out->output_count > MAX_TENSORS)
		return false;
	for (uint32_t i = 0; i < out->output_count; i++)
		if (!fr_bytes_take_le32(bytes, &type) || type > 5 ||
			!take_tensor(bytes, dtypes[type], &out->outputs[i]))
			return false;
	return true;
}

static void
free_case(GoldenCase *test)
{
	for (int i = 0; i < MAX_TENSORS; i++)
	{
		free(test->inputs[i].tensor.data);
		free(test->outputs[i].tensor.data);
	}
}

static double
worst_difference(const FrTensor *got, const GoldenTensor *want)
{
	double worst = 0;

	if (want->tensor.dtype != FR_FLOAT32)
		return memcmp(got->data, want->tensor.data,
					  want->count * fr_dtype_size(want->tensor.dtype)) == 0
				   ? 0
				   : INFINITY;
	for (size_t i = 0; i < want->count; i++)
	{
		double a = (double) ((const float *) got->data)[i];
		double b = (double) ((const float *) want->tensor.data)[i];
		double difference = fabs(a - b) / fmax(1.0, fabs(b));

		if (a != b && !(difference <= worst))
			worst = isnan(difference) ? INFINITY : difference;
	}
	return worst;
}

static void
compare(const GoldenCase *test, const GraphRun *run)
{
	char got_text[96], want_text[96];

	for (uint32_t i = 0; i < test->output_count; i++)
	{
		const FrTensor *got = run_graph_output(run, (int) i);
		const GoldenTensor *want = &test->outputs[i];
		double worst = INFINITY;

		if (!fr_shape_equal(&got->shape, &want->tensor.shape) ||
			got->dtype != want->tensor.dtype)
			diag("got %s %s, want %s %s", fr_dtype_name(got->dtype),
				 fr_shape_text(&got->shape, got_text, sizeof got_text),
				 fr_dtype_name(want->tensor.dtype),
				 fr_shape_text(&want->tensor.shape, want_text,
							   sizeof want_text));
		else
			worst = worst_difference(got, want);
		ok(worst <= TOLERANCE, "%s: output %u differs by %.2g", test->name, i,
		   worst);
	}
}

static FrStatus
run_graph_of(const GoldenCase *test, const FrGraph *graph, FrError *error)
{
	FrGraph special = {0};
	GraphRun run = {0};
	FrShape shapes[MAX_TENSORS];
	const void *inputs[MAX_TENSORS];

	for (uint32_t i = 0; i < test->input_count; i++)
	{
		shapes[i] = test->inputs[i].tensor.shape;
		inputs[i] = test->inputs[i].tensor.data;
	}

	FrStatus status = fr_graph_specialize(
		graph, shapes, 1 << 20, &fr_allocator_malloc, &special, error);

	if (status == FR_OK)
		status = run_graph(&run, &special, inputs, error);
	if (status == FR_OK)
		compare(test, &run);
	run_graph_free(&run);
	fr_graph_destroy(&special);
	return status;
}

/* What newer opsets cannot say is refused; all else means the same again. */
static void
write_again(const GoldenCase *test, const FrGraph *graph)
{
	FrError error = {0};
	FrGraph again = {0};
	void *bytes;
	size_t size_bytes;
	FrStatus status = fr_onnx_write(graph, NULL, 0, &fr_allocator_malloc,
									&bytes, &size_bytes, &error);
	bool is_shrinking = strstr(error.message, "rounds as opsets before 11");

	if (status == FR_ERR_UNSUPPORTED && is_shrinking)
	{
		ok(true, "%s cannot be written", test->name);
		return;
	}
	if (status == FR_OK)
		status = fr_onnx_import(bytes, size_bytes, &fr_allocator_malloc, &again,
								&error);
	if (status == FR_OK)
		status = run_graph_of(test, &again, &error);
	is_status(status, FR_OK, &error, "%s runs when written again", test->name);
	fr_graph_destroy(&again);
	free(bytes);
}

static void
run_case(const GoldenCase *test)
{
	FrError error = {0};
	FrGraph graph = {0};
	FrStatus status = fr_onnx_import(test->model, test->model_bytes,
									 &fr_allocator_malloc, &graph, &error);

	if (status == FR_OK)
		status = run_graph_of(test, &graph, &error);
	is_status(status, FR_OK, &error, "%s runs", test->name);
	if (status == FR_OK)
		write_again(test, &graph);
	fr_graph_destroy(&graph);
}

int
main(void)
{
	size_t size_bytes;
	unsigned char *file = read_file("src/test/golden/ops.bin", &size_bytes);
	FrBytes bytes = fr_bytes(file, size_bytes);
	uint32_t magic = 0, count = 0;

	if (!ok(file != NULL, "ops.bin is readable"))
		return tap_done();
	fr_bytes_take_le32(&bytes, &magic);
	fr_bytes_take_le32(&bytes, &count);
	ok(magic == 0x504f5246 && count > 0, "ops.bin holds %u cases", count);
	for (uint32_t i = 0; i < count; i++)
	{
		GoldenCase test;
		bool is_whole = take_case(&bytes, &test);

		if (is_whole)
			run_case(&test);
		else
			ok(false, "case %u is whole", i);
		free_case(&test);
		if (!is_whole)
			break;
	}
	free(file);
	return tap_done();
}
