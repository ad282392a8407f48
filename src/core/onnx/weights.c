/*
 * weights.c: TensorProto views and their data; see model.h.
 *
 * A tensor keeps its elements either as raw little-endian bytes or in one of
 * five repeated number fields, chosen by its type.  Raw data that is aligned
 * and needs no conversion is used where it lies; everything else is decoded
 * element by element.
 */
#include <string.h>

#include "core/base/size.h"
#include "core/onnx/model.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
			   "raw tensor data is used as it lies in the file");

/* How each ONNX type is stored and what it becomes. */
typedef struct ElementRule
{
	FrDtype dtype;
	uint32_t typed_field; /* of TensorProto, when not raw */
	FrWireType wire;
	size_t raw_bytes;
} ElementRule;

static const ElementRule element_rules[] = {
	[FR_ONNX_FLOAT] = {FR_FLOAT32, 4, FR_WIRE_FIXED32, 4},
	[FR_ONNX_UINT8] = {FR_UINT8, 5, FR_WIRE_VARINT, 1},
	[FR_ONNX_INT8] = {FR_INT8, 5, FR_WIRE_VARINT, 1},
	[FR_ONNX_UINT16] = {FR_INT32, 5, FR_WIRE_VARINT, 2},
	[FR_ONNX_INT16] = {FR_INT32, 5, FR_WIRE_VARINT, 2},
	[FR_ONNX_INT32] = {FR_INT32, 5, FR_WIRE_VARINT, 4},
	[FR_ONNX_INT64] = {FR_INT64, 7, FR_WIRE_VARINT, 8},
	[FR_ONNX_BOOL] = {FR_BOOL, 5, FR_WIRE_VARINT, 1},
	[FR_ONNX_FLOAT16] = {FR_FLOAT32, 5, FR_WIRE_VARINT, 2},
	[FR_ONNX_DOUBLE] = {FR_FLOAT32, 10, FR_WIRE_FIXED64, 8},
	[FR_ONNX_UINT32] = {FR_INT64, 11, FR_WIRE_VARINT, 4},
	[FR_ONNX_UINT64] = {FR_INT64, 11, FR_WIRE_VARINT, 8},
	[FR_ONNX_BFLOAT16] = {FR_FLOAT32, 5, FR_WIRE_VARINT, 2},
};

#define RULE_COUNT (sizeof element_rules / sizeof *element_rules)

FrDtype
fr_onnx_dtype(int64_t onnx_type)
{
	return onnx_type >= 0 && onnx_type < (int64_t) RULE_COUNT
			   ? element_rules[onnx_type].dtype
			   : FR_DTYPE_NONE;
}

/* ---- TensorProto -------------------------------------------------------- */

static FrStatus
read_dims(FrOnnxTensor *tensor, const char *name, FrError *error)
{
	size_t rank, product = 1;

	if (!fr_onnx_read_ints(tensor->message, 1, tensor->shape.dims, FR_MAX_RANK,
						   &rank))
		return fr_fail(error, FR_ERR_CORRUPT,
					   "The dimensions of tensor \"%s\" are malformed.", name);
	if (rank > FR_MAX_RANK)
		return fr_fail(error, FR_ERR_UNSUPPORTED,
					   "Tensor \"%s\" has %zu dimensions; at most %d are "
					   "supported.",
					   name, rank, FR_MAX_RANK);
	tensor->shape.rank = (int) rank;
	for (int i = 0; i < tensor->shape.rank; i++)
	{
		int64_t dim = tensor->shape.dims[i];

		if (dim < 0)
			return fr_fail(error, FR_ERR_CORRUPT,
						   "Tensor \"%s\" has the negative dimension %lld.",
						   name, (long long) dim);
		if (dim > FR_ONNX_MAX_DIM ||
			!fr_size_mul(product, (size_t) dim, &product))
			return fr_fail(error, FR_ERR_CORRUPT,
						   "Tensor \"%s\" has a dimension of %lld, which no "
						   "file can hold.",
						   name, (long long) dim);
	}
	tensor->element_count = product;
	return FR_OK;
}

FrStatus
fr_onnx_tensor_parse(FrBytes message, FrOnnxTensor *tensor, FrError *error)
{
	FrWireField field;
	bool is_external = false;
	char name[64];

	*tensor = (FrOnnxTensor){.message = message};
	while (message.length > 0)
	{
		if (!fr_wire_next(&message, &field))
			return fr_fail(error, FR_ERR_CORRUPT,
						   "The ONNX file holds a malformed or cut off "
						   "tensor.");
		if (fr_wire_is(&field, 2, FR_WIRE_VARINT))
			tensor->data_type = (int64_t) field.value;
		else if (fr_wire_is(&field, 8, FR_WIRE_BYTES))
			tensor->name = field.bytes;
		else if (fr_wire_is(&field, 9, FR_WIRE_BYTES))
		{
			tensor->raw = field.bytes;
			tensor->has_raw = true;
		}
		else if (fr_wire_is(&field, 13, FR_WIRE_BYTES) ||
				 (fr_wire_is(&field, 14, FR_WIRE_VARINT) && field.value != 0))
			is_external = true;
	}
	fr_onnx_printable(tensor->name, name, sizeof name);
	if (is_external)
		return fr_fail(error, FR_ERR_UNSUPPORTED,
					   "Tensor \"%s\" keeps its data in another file; models "
					   "with external data are not supported.",
					   name);
	if (fr_onnx_dtype(tensor->data_type) == FR_DTYPE_NONE)
		return fr_fail(error, FR_ERR_UNSUPPORTED,
					   "Tensor \"%s\" has ONNX data type %lld, which is not "
					   "supported.",
					   name, (long long) tensor->data_type);
	return read_dims(tensor, name, error);
}

/* ---- elements ----------------------------------------------------------- */

static float
float_of_half(uint16_t half)
{
	uint32_t sign = (uint32_t) (half & 0x8000) << 16;
	uint32_t exponent = (half >> 10) & 0x1f;
	uint32_t mantissa = half & 0x3ff;
	uint32_t bits;
	float value;

	if (exponent == 0)
	{
		/* Zero or subnormal: mantissa * 2^-24 is exact in float32. */
		value = (float) mantissa * 0x1p-24f;
		return sign ? -value : value;
	}
	if (exponent == 31)
		bits = sign | 0x7f800000 | mantissa << 13;
	else
		bits = sign | (exponent + 112) << 23 | mantissa << 13;
	memcpy(&value, &bits, sizeof value);
	return value;
}

static float
float_of_element(FrOnnxType type, uint64_t bits)
{
	uint32_t low = (uint32_t) bits;
	float single;
	double wide;

	switch ((int) type)
	{
		case FR_ONNX_FLOAT16:
			return float_of_half((uint16_t) bits);
		case FR_ONNX_DOUBLE:
			memcpy(&wide, &bits, sizeof wide);
			return (float) wide;
		case FR_ONNX_BFLOAT16:
			low <<= 16;
			break;
		default:
			break;
	}
	memcpy(&single, &low, sizeof single);
	return single;
}

/* Sign-extend, or cut, an integer element to what its type can hold. */
static int64_t
int_of_element(FrOnnxType type, uint64_t bits)
{
	switch ((int) type)
	{
		case FR_ONNX_UINT16:
			return (uint16_t) bits;
		case FR_ONNX_INT16:
			return (int16_t) bits;
		case FR_ONNX_INT32:
			return (int32_t) bits;
		case FR_ONNX_UINT32:
			return (uint32_t) bits;
		default:
			return (int64_t) bits;
	}
}

static void
store_element(const FrOnnxTensor *tensor, FrDtype dtype, uint64_t bits,
			  size_t index, void *out)
{
	FrOnnxType type = (FrOnnxType) tensor->data_type;

	switch (dtype)
	{
		case FR_FLOAT32:
			((float *) out)[index] = float_of_element(type, bits);
			break;
		case FR_INT64:
			((int64_t *) out)[index] = int_of_element(type, bits);
			break;
		case FR_INT32:
			((int32_t *) out)[index] = (int32_t) int_of_element(type, bits);
			break;
		case FR_BOOL:
			((uint8_t *) out)[index] = bits != 0;
			break;
		case FR_INT8:
		case FR_UINT8:
			((uint8_t *) out)[index] = (uint8_t) bits;
			break;
		case FR_DTYPE_NONE:
		case FR_FLOAT16:
		case FR_DTYPE_COUNT:
			break;
	}
}

/* Elements first to first + count. */
static void
convert_raw(const FrOnnxTensor *tensor, const ElementRule *rule, size_t first,
			size_t count, void *out)
{
	const uint8_t *raw = tensor->raw.data + first * rule->raw_bytes;

	for (size_t i = 0; i < count; i++)
	{
		uint64_t bits = 0;

		memcpy(&bits, raw + i * rule->raw_bytes, rule->raw_bytes);
		store_element(tensor, rule->dtype, bits, i, out);
	}
}

/* The same for the common type that needs converting. */
static void
convert_halves(const FrOnnxTensor *tensor, size_t first, size_t count,
			   float *out)
{
	const uint8_t *raw = tensor->raw.data + first * sizeof(uint16_t);

	for (size_t i = 0; i < count; i++)
	{
		uint16_t half;

		memcpy(&half, raw + i * sizeof half, sizeof half);
		out[i] = float_of_half(half);
	}
}

/* Take one number of the rule's wire type off packed bytes. */
static bool
take_number(FrBytes *packed, FrWireType wire, uint64_t *bits)
{
	uint32_t low, high = 0;

	if (wire == FR_WIRE_VARINT)
		return fr_wire_take_varint(packed, bits);
	if (!fr_bytes_take_le32(packed, &low))
		return false;
	if (wire == FR_WIRE_FIXED64 && !fr_bytes_take_le32(packed, &high))
		return false;
	*bits = (uint64_t) high << 32 | low;
	return true;
}

/* Walk the typed number field; elements go to out unless it is NULL.  *count
 * is how many there are, or false for malformed numbers. */
static bool
walk_typed(const FrOnnxTensor *tensor, const ElementRule *rule, void *out,
		   size_t *count)
{
	FrBytes message = tensor->message;
	FrWireField field;
	uint64_t bits;

	*count = 0;
	while (message.length > 0)
	{
		if (!fr_wire_next(&message, &field))
			return false;
		if (field.number != rule->typed_field)
			continue;
		if (field.type == rule->wire)
		{
			if (out)
				store_element(tensor, rule->dtype, field.value, *count, out);
			++*count;
			continue;
		}
		if (field.type != FR_WIRE_BYTES)
			continue;
		while (field.bytes.length > 0)
		{
			if (!take_number(&field.bytes, rule->wire, &bits))
				return false;
			if (out)
				store_element(tensor, rule->dtype, bits, *count, out);
			++*count;
		}
	}
	return true;
}

static FrStatus
fail_size(const FrOnnxTensor *tensor, size_t found, const char *unit,
		  FrError *error)
{
	char name[64], shape[96];

	return fr_fail(error, FR_ERR_CORRUPT,
				   "Tensor \"%s\" of shape %s holds %zu %s, which is not what "
				   "its shape needs.",
				   fr_onnx_printable(tensor->name, name, sizeof name),
				   fr_shape_text(&tensor->shape, shape, sizeof shape), found,
				   unit);
}

/* Whether the elements in the file are bit for bit what they become. */
static bool
is_ready(const FrOnnxTensor *tensor, const ElementRule *rule)
{
	return tensor->has_raw && rule->raw_bytes == fr_dtype_size(rule->dtype) &&
		   rule->dtype != FR_BOOL && tensor->data_type != FR_ONNX_UINT32;
}

FrStatus
fr_onnx_tensor_measure(const FrOnnxTensor *tensor, FrDtype *dtype,
					   size_t *size_bytes, FrError *error)
{
	const ElementRule *rule = &element_rules[tensor->data_type];
	size_t count = tensor->element_count;
	size_t raw_bytes, found;

	if (!fr_size_mul(count, rule->raw_bytes, &raw_bytes) ||
		!fr_size_mul(count, fr_dtype_size(rule->dtype), size_bytes))
		return fail_size(tensor, tensor->raw.length, "bytes", error);
	/* Checked before anything is allocated, so that the file's own size
	 * bounds what a shape can ask for. */
	if (tensor->has_raw && tensor->raw.length != raw_bytes)
		return fail_size(tensor, tensor->raw.length, "bytes", error);
	if (!tensor->has_raw &&
		(!walk_typed(tensor, rule, NULL, &found) || found != count))
		return fail_size(tensor, found, "elements", error);
	*dtype = rule->dtype;
	return FR_OK;
}

void
fr_onnx_tensor_decode(const FrOnnxTensor *tensor, size_t first, size_t count,
					  void *out)
{
	const ElementRule *rule = &element_rules[tensor->data_type];
	size_t found;

	if (count == 0)
		return;
	if (!tensor->has_raw)
		(void) walk_typed(tensor, rule, out, &found);
	else if (is_ready(tensor, rule))
		memcpy(out, tensor->raw.data + first * rule->raw_bytes,
			   count * rule->raw_bytes);
	else if (tensor->data_type == FR_ONNX_FLOAT16)
		convert_halves(tensor, first, count, out);
	else
		convert_raw(tensor, rule, first, count, out);
}

FrStatus
fr_onnx_tensor_data(const FrOnnxTensor *tensor, FrArena *arena, FrDtype *dtype,
					const void **data, FrError *error)
{
	const ElementRule *rule = &element_rules[tensor->data_type];
	size_t size_bytes;
	FrStatus status = fr_onnx_tensor_measure(tensor, dtype, &size_bytes, error);

	if (status != FR_OK)
		return status;
	if (is_ready(tensor, rule) && tensor->element_count > 0 &&
		(uintptr_t) tensor->raw.data % rule->raw_bytes == 0)
	{
		*data = tensor->raw.data;
		return FR_OK;
	}

	void *copy = fr_arena_alloc(arena, size_bytes);

	if (!copy)
		return fr_fail_nomem(error, size_bytes);
	fr_onnx_tensor_decode(tensor, 0, tensor->element_count, copy);
	*data = copy;
	return FR_OK;
}
