/*
 * model.c: ModelProto, NodeProto, AttributeProto and ValueInfoProto views;
 * see model.h.  Field numbers are those of onnx.proto.
 */
#include "core/onnx/model.h"

#include <limits.h>
#include <string.h>

#define MIN_IR_VERSION 3
#define MAX_IR_VERSION 10
#define MIN_OPSET	   7
#define MAX_OPSET	   21

const char *
fr_onnx_printable(FrBytes name, char *buffer, size_t buffer_bytes)
{
	size_t i = 0;

	for (; i < name.length && i + 1 < buffer_bytes; i++)
	{
		uint8_t c = name.data[i];

		buffer[i] = c >= 0x20 && c < 0x7f ? (char) c : '?';
	}
	buffer[i] = '\0';
	return buffer;
}

static FrStatus
fail_malformed(FrError *error, const char *what)
{
	return fr_fail(error, FR_ERR_CORRUPT,
				   "The ONNX file holds a malformed or cut off %s.", what);
}

/* An entry of opset_import: its version if it is the default domain's. */
static FrStatus
parse_opset(FrBytes message, int64_t *opset, FrError *error)
{
	FrWireField field;
	FrBytes domain = {0};
	int64_t version = 0;

	while (message.length > 0)
	{
		if (!fr_wire_next(&message, &field))
			return fail_malformed(error, "opset entry");
		if (fr_wire_is(&field, 1, FR_WIRE_BYTES))
			domain = field.bytes;
		else if (fr_wire_is(&field, 2, FR_WIRE_VARINT))
			version = (int64_t) field.value;
	}
	if (domain.length == 0 || fr_bytes_equal_text(domain, "ai.onnx"))
		*opset = version;
	return FR_OK;
}

FrStatus
fr_onnx_model_parse(const void *bytes, size_t size_bytes, FrOnnxModel *model,
					FrError *error)
{
	FrBytes message = fr_bytes(bytes, size_bytes);
	FrWireField field;
	int graph_count = 0;

	*model = (FrOnnxModel){0};
	while (message.length > 0)
	{
		if (!fr_wire_next(&message, &field))
			return fail_malformed(error, "model");
		if (fr_wire_is(&field, 1, FR_WIRE_VARINT))
			model->ir_version = (int64_t) field.value;
		else if (fr_wire_is(&field, 7, FR_WIRE_BYTES))
		{
			model->graph = field.bytes;
			graph_count++;
		}
		else if (fr_wire_is(&field, 8, FR_WIRE_BYTES))
		{
			FrStatus status = parse_opset(field.bytes, &model->opset, error);

			if (status != FR_OK)
				return status;
		}
	}
	if (graph_count != 1)
		return fr_fail(error, FR_ERR_CORRUPT,
					   "The bytes hold %d ONNX graphs instead of one.",
					   graph_count);
	if (model->ir_version < MIN_IR_VERSION ||
		model->ir_version > MAX_IR_VERSION)
		return fr_fail(error, FR_ERR_UNSUPPORTED,
					   "The model has ONNX IR version %lld; %d to %d are "
					   "supported.",
					   (long long) model->ir_version, MIN_IR_VERSION,
					   MAX_IR_VERSION);
	if (model->opset < MIN_OPSET || model->opset > MAX_OPSET)
		return fr_fail(error, FR_ERR_UNSUPPORTED,
					   "The model has ONNX operator set %lld; %d to %d are "
					   "supported.",
					   (long long) model->opset, MIN_OPSET, MAX_OPSET);
	return FR_OK;
}

FrStatus
fr_onnx_node_parse(FrBytes message, FrOnnxNode *node, FrError *error)
{
	FrWireField field;

	*node = (FrOnnxNode){.message = message};
	while (message.length > 0)
	{
		if (!fr_wire_next(&message, &field))
			return fail_malformed(error, "node");
		if (field.type != FR_WIRE_BYTES)
			continue;
		switch (field.number)
		{
			case FR_NODE_INPUT:
				node->input_count += node->input_count < INT_MAX;
				break;
			case FR_NODE_OUTPUT:
				node->output_count += node->output_count < INT_MAX;
				break;
			case 3:
				node->name = field.bytes;
				break;
			case 4:
				node->op_type = field.bytes;
				break;
			case 7:
				node->domain = field.bytes;
				break;
			default:
				break;
		}
	}
	return FR_OK;
}

static float
float_of_bits(uint64_t bits)
{
	uint32_t low = (uint32_t) bits;
	float value;

	memcpy(&value, &low, sizeof value);
	return value;
}

/* The type of an attribute whose writer did not state it (it became
 * mandatory with IR version 2, yet some writers omit it). */
static int64_t
guess_attribute_type(uint32_t field_number)
{
	static const FrOnnxAttributeType types[] = {
		[2] = FR_ONNX_ATTR_FLOAT,  [3] = FR_ONNX_ATTR_INT,
		[4] = FR_ONNX_ATTR_STRING, [5] = FR_ONNX_ATTR_TENSOR,
		[6] = FR_ONNX_ATTR_GRAPH,  [7] = FR_ONNX_ATTR_FLOATS,
		[8] = FR_ONNX_ATTR_INTS,
	};

	return field_number < sizeof types / sizeof *types ? types[field_number]
													   : FR_ONNX_ATTR_NONE;
}

FrStatus
fr_onnx_attribute_parse(FrBytes message, FrOnnxAttribute *attribute,
						FrError *error)
{
	FrWireField field;
	int64_t guess = FR_ONNX_ATTR_NONE;

	*attribute = (FrOnnxAttribute){.message = message};
	while (message.length > 0)
	{
		if (!fr_wire_next(&message, &field))
			return fail_malformed(error, "attribute");
		if (guess_attribute_type(field.number) != FR_ONNX_ATTR_NONE)
			guess = guess_attribute_type(field.number);
		if (fr_wire_is(&field, 1, FR_WIRE_BYTES))
			attribute->name = field.bytes;
		else if (fr_wire_is(&field, 2, FR_WIRE_FIXED32))
			attribute->f = float_of_bits(field.value);
		else if (fr_wire_is(&field, 3, FR_WIRE_VARINT))
			attribute->i = (int64_t) field.value;
		else if (fr_wire_is(&field, 4, FR_WIRE_BYTES))
			attribute->s = field.bytes;
		else if (fr_wire_is(&field, 5, FR_WIRE_BYTES))
			attribute->tensor = field.bytes;
		else if (fr_wire_is(&field, 6, FR_WIRE_BYTES) ||
				 fr_wire_is(&field, 11, FR_WIRE_BYTES))
			attribute->has_graph = true;
		else if (fr_wire_is(&field, 20, FR_WIRE_VARINT))
			attribute->type = (int64_t) field.value;
	}
	if (attribute->type == FR_ONNX_ATTR_NONE)
		attribute->type = guess;
	return FR_OK;
}

/* ---- value infos -------------------------------------------------------- */

static FrStatus
parse_dimension(FrBytes message, int64_t *dim, FrError *error)
{
	FrWireField field;

	*dim = FR_DIM_DYNAMIC;
	while (message.length > 0)
	{
		if (!fr_wire_next(&message, &field))
			return fail_malformed(error, "dimension");
		if (!fr_wire_is(&field, 1, FR_WIRE_VARINT))
			continue;
		*dim = (int64_t) field.value;
		/* Exporters write 0 or -1 for "any", besides symbolic names. */
		if (*dim == 0 || *dim == -1)
			*dim = FR_DIM_DYNAMIC;
		else if (*dim < 0)
			return fr_fail(error, FR_ERR_CORRUPT,
						   "A value has the negative dimension %lld.",
						   (long long) *dim);
		else if (*dim > FR_ONNX_MAX_DIM)
			return fr_fail(error, FR_ERR_LIMIT,
						   "A value has a dimension of %lld.",
						   (long long) *dim);
	}
	return FR_OK;
}

static FrStatus
parse_shape(FrBytes message, FrShape *shape, FrError *error)
{
	FrWireField field;

	while (message.length > 0)
	{
		if (!fr_wire_next(&message, &field))
			return fail_malformed(error, "shape");
		if (!fr_wire_is(&field, 1, FR_WIRE_BYTES))
			continue;
		if (shape->rank == FR_MAX_RANK)
			return fr_fail(error, FR_ERR_UNSUPPORTED,
						   "A value has more than %d dimensions.", FR_MAX_RANK);

		FrStatus status =
			parse_dimension(field.bytes, &shape->dims[shape->rank++], error);

		if (status != FR_OK)
			return status;
	}
	return FR_OK;
}

/* TypeProto.Tensor */
static FrStatus
parse_tensor_type(FrBytes message, FrOnnxValueInfo *info, FrError *error)
{
	FrWireField field;

	while (message.length > 0)
	{
		if (!fr_wire_next(&message, &field))
			return fail_malformed(error, "tensor type");
		if (fr_wire_is(&field, 1, FR_WIRE_VARINT))
			info->element_type = (int64_t) field.value;
		else if (fr_wire_is(&field, 2, FR_WIRE_BYTES))
		{
			info->has_shape = true;
			info->shape.rank = 0;

			FrStatus status = parse_shape(field.bytes, &info->shape, error);

			if (status != FR_OK)
				return status;
		}
	}
	return FR_OK;
}

FrStatus
fr_onnx_value_info_parse(FrBytes message, FrOnnxValueInfo *info, FrError *error)
{
	FrWireField field, inner;
	FrBytes type = {0};

	*info = (FrOnnxValueInfo){0};
	while (message.length > 0)
	{
		if (!fr_wire_next(&message, &field))
			return fail_malformed(error, "value description");
		if (fr_wire_is(&field, 1, FR_WIRE_BYTES))
			info->name = field.bytes;
		else if (fr_wire_is(&field, 2, FR_WIRE_BYTES))
			type = field.bytes;
	}
	while (type.length > 0)
	{
		if (!fr_wire_next(&type, &inner))
			return fail_malformed(error, "value type");
		if (!fr_wire_is(&inner, 1, FR_WIRE_BYTES))
			continue;

		FrStatus status = parse_tensor_type(inner.bytes, info, error);

		if (status != FR_OK)
			return status;
	}
	return FR_OK;
}

/* ---- repeated numbers --------------------------------------------------- */

static bool
take_packed_ints(FrBytes packed, int64_t *out, size_t capacity, size_t *count)
{
	while (packed.length > 0)
	{
		uint64_t value;

		if (!fr_wire_take_varint(&packed, &value))
			return false;
		if (*count < capacity)
			out[*count] = (int64_t) value;
		++*count;
	}
	return true;
}

bool
fr_onnx_read_ints(FrBytes message, uint32_t field_number, int64_t *out,
				  size_t capacity, size_t *count)
{
	FrWireField field;

	*count = 0;
	while (message.length > 0)
	{
		if (!fr_wire_next(&message, &field))
			return false;
		if (fr_wire_is(&field, field_number, FR_WIRE_VARINT))
		{
			if (*count < capacity)
				out[*count] = (int64_t) field.value;
			++*count;
		}
		else if (fr_wire_is(&field, field_number, FR_WIRE_BYTES) &&
				 !take_packed_ints(field.bytes, out, capacity, count))
			return false;
	}
	return true;
}

bool
fr_onnx_read_floats(FrBytes message, uint32_t field_number, float *out,
					size_t capacity, size_t *count)
{
	FrWireField field;
	uint32_t bits;

	*count = 0;
	while (message.length > 0)
	{
		if (!fr_wire_next(&message, &field))
			return false;
		if (fr_wire_is(&field, field_number, FR_WIRE_FIXED32))
		{
			if (*count < capacity)
				out[*count] = float_of_bits(field.value);
			++*count;
		}
		else if (fr_wire_is(&field, field_number, FR_WIRE_BYTES))
		{
			if (field.bytes.length % 4 != 0)
				return false;
			while (fr_bytes_take_le32(&field.bytes, &bits))
			{
				if (*count < capacity)
					out[*count] = float_of_bits(bits);
				++*count;
			}
		}
	}
	return true;
}
