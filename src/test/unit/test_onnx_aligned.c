/*
 * test_onnx_aligned.c: the aligned image of a model is the same model.
 *
 * What the original file imports to is the specification: every value, every
 * node and, for damaged files, the refusal.
 */
#include "core/onnx/aligned.h"
#include "core/onnx/import.h"
#include "plan_layers.h"

/* 3 x 1051 elements: more than FR_ONNX_ALIGN_BYTES in every type. */
#define ROWS	3
#define COLUMNS 1051
#define COUNT	(ROWS * COLUMNS)

/* Weights of all types and sizes, at whatever offset names bring. */
static OnnxBuffer
build_model(void)
{
	static uint16_t halves[COUNT];
	static double doubles[COUNT];
	static int64_t wide[COUNT];
	static uint8_t bytes[COUNT];
	const int64_t dims[] = {ROWS, COLUMNS};
	OnnxModel model;
	OnnxBuffer typed = {0}, constant;

	for (int i = 0; i < COUNT; i++)
	{
		halves[i] = (uint16_t) (i * 13); /* with subnormals and infinities */
		doubles[i] = i / 3.0;
		wide[i] = (int64_t) i << 33;
		bytes[i] = (uint8_t) i;
	}
	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, (int64_t[]){1, 24, 5, 5});
	onnx_output(&model, "y", 4, (int64_t[]){1, 24, 5, 5});
	add_conv(&model, "x", "c", (ConvLayer){.in = 24, .out = 24, .kernel_h = 1});
	add_conv(&model, "c", "y", (ConvLayer){.in = 24, .out = 24, .kernel_h = 1});
	onnx_weight_raw(&model, "half", ONNX_FLOAT16, 2, dims, halves,
					sizeof halves);
	onnx_weight_raw(&model, "a", ONNX_DOUBLE, 2, dims, doubles, sizeof doubles);
	onnx_weight_raw(&model, "bc", ONNX_INT64, 2, dims, wide, sizeof wide);
	onnx_weight_raw(&model, "def", ONNX_INT8, 2, dims, bytes, sizeof bytes);
	onnx_weight_raw(&model, "u", ONNX_UINT8, 2, dims, bytes, sizeof bytes);
	onnx_weight_raw(&model, "flag", ONNX_BOOL, 2, dims, bytes, sizeof bytes);
	onnx_weight_raw(&model, "empty", ONNX_FLOAT, 2, (int64_t[]){0, 5}, bytes,
					0);
	onnx_weight_f32(&model, "small", 1, (int64_t[]){1}, &(float){0.5f});

	/* float_data, packed, and a name that is long */
	onnx_field_varint(&typed, 1, 500);
	onnx_field_varint(&typed, 2, ONNX_FLOAT);
	onnx_field_bytes(&typed, 4, doubles, 2000);
	onnx_field_string(&typed, 8, "a name that is as long as names can be");
	onnx_field_message(&model.graph, 5, &typed);

	constant = onnx_tensor("", ONNX_FLOAT, 1, (int64_t[]){700}, doubles, 2800);
	onnx_node(&model, "Constant", "k", "", "constant");
	onnx_attr_tensor(&model, "value", &constant);
	return onnx_finish(&model);
}

typedef struct Aligned
{
	uint8_t *bytes;
	size_t size_bytes;
} Aligned;

static Aligned
align(const uint8_t *bytes, size_t size_bytes)
{
	Aligned image = {.size_bytes = fr_onnx_aligned_size(bytes, size_bytes)};
	FrError error;

	/* Exactly as many bytes as promised, so that sanitizers see an overrun. */
	if (posix_memalign((void **) &image.bytes, 64, image.size_bytes + 1) != 0)
		abort();
	fr_onnx_align(bytes, size_bytes, image.bytes, NULL, &error);
	return image;
}

static bool
is_same_value(const FrValue *a, const FrValue *b)
{
	size_t count = 0;

	if (strcmp(a->name, b->name) != 0 || a->dtype != b->dtype ||
		a->is_shape_known != b->is_shape_known ||
		!fr_shape_equal(&a->shape, &b->shape) || !a->constant != !b->constant)
		return false;
	fr_shape_count(&a->shape, &count);
	return !a->constant || memcmp(a->constant, b->constant,
								  count * fr_dtype_size(a->dtype)) == 0;
}

static bool
is_same_graph(const FrGraph *a, const FrGraph *b)
{
	bool is_same =
		a->node_count == b->node_count && a->value_count == b->value_count &&
		a->input_count == b->input_count && a->output_count == b->output_count;

	for (int i = 0; is_same && i < a->value_count; i++)
		is_same = is_same_value(&a->values[i], &b->values[i]);
	for (int i = 0; is_same && i < a->node_count; i++)
		is_same =
			a->nodes[i].op == b->nodes[i].op &&
			a->nodes[i].input_count == b->nodes[i].input_count &&
			memcmp(a->nodes[i].inputs, b->nodes[i].inputs,
				   (size_t) a->nodes[i].input_count * sizeof(int32_t)) == 0;
	return is_same;
}

/* Large constants lie in the image, on whole lines; but for bools, which the
 * importer brings to 0 and 1. */
static bool
is_in_place(const FrGraph *graph, const Aligned *image)
{
	for (int i = 0; i < graph->value_count; i++)
	{
		const FrValue *value = &graph->values[i];
		const uint8_t *data = value->constant;
		size_t count = 0;

		fr_shape_count(&value->shape, &count);
		if (!data || value->dtype == FR_BOOL ||
			count * fr_dtype_size(value->dtype) < FR_ONNX_ALIGN_BYTES)
			continue;
		if (data < image->bytes || data >= image->bytes + image->size_bytes ||
			(size_t) (data - image->bytes) % 64 != 0)
			return false;
	}
	return true;
}

static void
test_same_graph(const OnnxBuffer *file)
{
	Aligned image = align(file->data, file->size_bytes);
	Aligned again = align(image.bytes, image.size_bytes);
	FrGraph want, got, got_again;
	FrError error = {0};

	is_status(fr_onnx_import(file->data, file->size_bytes, &fr_allocator_malloc,
							 &want, &error),
			  FR_OK, &error, "the original is imported");
	is_status(fr_onnx_import(image.bytes, image.size_bytes,
							 &fr_allocator_malloc, &got, &error),
			  FR_OK, &error, "the image is imported");
	is_status(fr_onnx_import(again.bytes, again.size_bytes,
							 &fr_allocator_malloc, &got_again, &error),
			  FR_OK, &error, "the image's image is imported");
	ok(is_same_graph(&want, &got), "the image is the same graph");
	ok(is_same_graph(&want, &got_again), "its image, too");
	ok(is_in_place(&got, &image), "large constants are used in place");
	ok(!is_in_place(&want, &image), "those of the original are not");
	ok(got.arena.total_bytes < 100000, "importing the image copies little");
	fr_graph_destroy(&want);
	fr_graph_destroy(&got);
	fr_graph_destroy(&got_again);
	free(image.bytes);
	free(again.bytes);
}

/* A damaged file is refused as before, with the same words. */
static void
test_damaged(const OnnxBuffer *file)
{
	bool are_equal = true;
	int refused = 0;

	for (size_t i = 0; i < 400 && are_equal; i++)
	{
		uint8_t *bytes = malloc(file->size_bytes);
		size_t size_bytes = file->size_bytes;
		FrError want = {0}, got = {0};
		FrGraph graph;
		Aligned image;

		if (!bytes)
			abort();
		memcpy(bytes, file->data, file->size_bytes);
		if (i % 2)
			size_bytes = size_bytes * i / 400;
		else
			bytes[(size_t) (check_random(0.0f, 1.0f) *
							(float) (size_bytes - 1))] ^=
				(uint8_t) (1 << i % 8);
		image = align(bytes, size_bytes);

		FrStatus status = fr_onnx_import(bytes, size_bytes,
										 &fr_allocator_malloc, &graph, &want);

		fr_graph_destroy(&graph);
		are_equal =
			fr_onnx_import(image.bytes, image.size_bytes, &fr_allocator_malloc,
						   &graph, &got) == status &&
			strcmp(want.message, got.message) == 0;
		if (!are_equal)
			diag("%zu: %s | %s", i, want.message, got.message);
		fr_graph_destroy(&graph);
		refused += status != FR_OK;
		free(image.bytes);
		free(bytes);
	}
	ok(are_equal, "damaged files are refused in the same words");
	ok(refused > 100, "and many are refused");
}

static bool
always(void *context)
{
	(void) context;
	return true;
}

static void
test_cancel(const OnnxBuffer *file)
{
	const FrCancel cancel = {always, NULL};
	uint8_t *image = malloc(fr_onnx_aligned_size(file->data, file->size_bytes));
	FrError error;

	is_status(
		fr_onnx_align(file->data, file->size_bytes, image, &cancel, &error),
		FR_ERR_CANCELLED, &error, "converting can be cancelled");
	free(image);
}

int
main(void)
{
	OnnxBuffer file = build_model();

	test_same_graph(&file);
	test_damaged(&file);
	test_cancel(&file);
	free(file.data);
	return tap_done();
}
