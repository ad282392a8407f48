/*
 * test_onnx_weights.c: the elements of TensorProto in every type, as raw
 * bytes and as packed or single numbers; expected values are written out by
 * hand.
 */
#include "core/onnx/model.h"
#include "test/unit/onnx_build.h"
#include "test/unit/tap.h"

static double
element(FrDtype dtype, const void *data, size_t i)
{
	switch ((int) dtype)
	{
		case FR_FLOAT32:
			return (double) ((const float *) data)[i];
		case FR_INT64:
			return (double) ((const int64_t *) data)[i];
		case FR_INT32:
			return ((const int32_t *) data)[i];
		case FR_INT8:
			return ((const int8_t *) data)[i];
		default:
			return ((const uint8_t *) data)[i];
	}
}

/* Decode the tensor and compare its elements; releases it. */
static void
decodes(OnnxBuffer *message, FrDtype dtype, size_t count, const double *want,
		const char *what)
{
	FrArena arena;
	FrOnnxTensor tensor;
	FrError error = {0};
	FrDtype got_dtype = FR_DTYPE_NONE;
	const void *data = NULL;
	bool are_equal;

	fr_arena_init(&arena, &fr_allocator_malloc);

	FrStatus status = fr_onnx_tensor_parse(
		fr_bytes(message->data, message->size_bytes), &tensor, &error);

	if (status == FR_OK)
		status =
			fr_onnx_tensor_data(&tensor, &arena, &got_dtype, &data, &error);
	are_equal =
		status == FR_OK && got_dtype == dtype && tensor.element_count == count;
	for (size_t i = 0; are_equal && i < count; i++)
		are_equal = element(dtype, data, i) == want[i];
	ok(are_equal, "%s", what);
	if (!are_equal)
		diag("%s %s", fr_dtype_name(got_dtype), error.message);
	fr_arena_fini(&arena);
	free(message->data);
}

static void
raw_decodes(int type, const void *bytes, size_t size_bytes, FrDtype dtype,
			size_t count, const double *want, const char *what)
{
	/* Names of rising length move the data over all alignments. */
	for (int pad = 0; pad < 8; pad++)
	{
		char name[16] = "aaaaaaaaaa";
		char text[96];

		name[pad] = '\0';
		snprintf(text, sizeof text, "raw %s, name of %d", what, pad);

		OnnxBuffer tensor = onnx_tensor(
			name, type, 1, (int64_t[]){(int64_t) count}, bytes, size_bytes);

		decodes(&tensor, dtype, count, want, text);
	}
}

static void
test_raw(void)
{
	/* 1, -2, largest, smallest subnormal, -0.5 */
	static const uint16_t halves[] = {0x3c00, 0xc000, 0x7bff, 0x0001, 0xb800};
	static const uint16_t bfloats[] = {0x3f80, 0xc000, 0x4049};

	raw_decodes(ONNX_FLOAT, (float[]){1.5f, -2}, 8, FR_FLOAT32, 2,
				(double[]){1.5, -2}, "float");
	raw_decodes(ONNX_DOUBLE, (double[]){0.25, -1e30}, 16, FR_FLOAT32, 2,
				(double[]){0.25, (double) -1e30f}, "double");
	raw_decodes(ONNX_FLOAT16, halves, sizeof halves, FR_FLOAT32, 5,
				(double[]){1, -2, 65504, 0x1p-24, -0.5}, "float16");
	raw_decodes(ONNX_BFLOAT16, bfloats, sizeof bfloats, FR_FLOAT32, 3,
				(double[]){1, -2, 3.140625}, "bfloat16");
	raw_decodes(ONNX_INT64, (int64_t[]){-5, (int64_t) 1 << 40}, 16, FR_INT64, 2,
				(double[]){-5, 0x1p40}, "int64");
	raw_decodes(ONNX_UINT32, (uint32_t[]){7, 4000000000u}, 8, FR_INT64, 2,
				(double[]){7, 4e9}, "uint32");
	raw_decodes(ONNX_INT32, (int32_t[]){-5, 9}, 8, FR_INT32, 2,
				(double[]){-5, 9}, "int32");
	raw_decodes(ONNX_INT16, (int16_t[]){-5, 9}, 4, FR_INT32, 2,
				(double[]){-5, 9}, "int16");
	raw_decodes(ONNX_UINT16, (uint16_t[]){65535, 9}, 4, FR_INT32, 2,
				(double[]){65535, 9}, "uint16");
	raw_decodes(ONNX_INT8, (int8_t[]){-128, 127}, 2, FR_INT8, 2,
				(double[]){-128, 127}, "int8");
	raw_decodes(ONNX_UINT8, (uint8_t[]){255, 0}, 2, FR_UINT8, 2,
				(double[]){255, 0}, "uint8");
	raw_decodes(ONNX_BOOL, (uint8_t[]){2, 0}, 2, FR_BOOL, 2, (double[]){1, 0},
				"bool");
}

/* A tensor of three elements without data yet. */
static OnnxBuffer
begin_tensor(int type)
{
	OnnxBuffer tensor = {0};

	onnx_field_varint(&tensor, 1, 3);
	onnx_field_varint(&tensor, 2, type);
	return tensor;
}

static void
test_typed(void)
{
	static const int64_t numbers[] = {-1, 300, 5};
	OnnxBuffer packed = {0}, tensor = begin_tensor(ONNX_INT64);

	for (int i = 0; i < 3; i++)
		onnx_field_varint(&tensor, 7, numbers[i]);
	decodes(&tensor, FR_INT64, 3, (double[]){-1, 300, 5},
			"int64, number by number");

	tensor = begin_tensor(ONNX_INT32);
	for (int i = 0; i < 3; i++)
		onnx_put_varint(&packed, (uint64_t) numbers[i]);
	onnx_field_message(&tensor, 5, &packed);
	decodes(&tensor, FR_INT32, 3, (double[]){-1, 300, 5}, "int32, packed");

	tensor = begin_tensor(ONNX_FLOAT);
	onnx_field_float(&tensor, 4, 2.5f);
	onnx_field_bytes(&tensor, 4, (float[]){-1, 8}, 8);
	decodes(&tensor, FR_FLOAT32, 3, (double[]){2.5, -1, 8},
			"float, single and packed");

	tensor = begin_tensor(ONNX_DOUBLE);
	onnx_field_bytes(&tensor, 10, (double[]){-1, 8, 0.5}, 24);
	decodes(&tensor, FR_FLOAT32, 3, (double[]){-1, 8, 0.5}, "double, packed");

	tensor = begin_tensor(ONNX_FLOAT16);
	onnx_field_varint(&tensor, 5, 0x3c00);
	onnx_field_varint(&tensor, 5, 0x8000);
	onnx_field_varint(&tensor, 5, 0xbc00);
	decodes(&tensor, FR_FLOAT32, 3, (double[]){1, 0, -1},
			"float16, number by number");
}

static void
test_wrong_counts(void)
{
	FrArena arena;
	FrOnnxTensor tensor;
	FrError error = {0};
	FrDtype dtype;
	const void *data;
	OnnxBuffer message = begin_tensor(ONNX_FLOAT);

	fr_arena_init(&arena, &fr_allocator_malloc);
	onnx_field_bytes(&message, 4, (float[]){-1, 8}, 8);
	fr_onnx_tensor_parse(fr_bytes(message.data, message.size_bytes), &tensor,
						 &error);
	is_status(fr_onnx_tensor_data(&tensor, &arena, &dtype, &data, &error),
			  FR_ERR_CORRUPT, &error, "two numbers for three elements");
	free(message.data);

	message = begin_tensor(ONNX_FLOAT);
	onnx_field_bytes(&message, 4, (float[]){-1, 8, 0}, 11);
	fr_onnx_tensor_parse(fr_bytes(message.data, message.size_bytes), &tensor,
						 &error);
	is_status(fr_onnx_tensor_data(&tensor, &arena, &dtype, &data, &error),
			  FR_ERR_CORRUPT, &error, "packed floats that are cut off");
	free(message.data);
	fr_arena_fini(&arena);
}

int
main(void)
{
	test_raw();
	test_typed();
	test_wrong_counts();
	return tap_done();
}
