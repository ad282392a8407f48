/*
 * model.h: views of an ONNX file's messages.
 *
 * Each parse function reads one protobuf message (ModelProto, NodeProto,
 * AttributeProto, TensorProto, ValueInfoProto of onnx.proto) into a flat
 * struct whose FrBytes point into the file.  Repeated fields stay in the
 * message and are walked when they are wanted.  No function recurses:
 * sub-graphs are refused, not read.
 */
#ifndef FR_CORE_ONNX_MODEL_H
#define FR_CORE_ONNX_MODEL_H

#include "core/base/arena.h"
#include "core/nn/tensor.h"
#include "core/onnx/wire.h"

/* The largest dimension that any tensor may have. */
#define FR_ONNX_MAX_DIM ((int64_t) 1 << 40)

/* Field numbers that the importer walks itself. */
enum
{
	FR_GRAPH_NODE = 1,
	FR_GRAPH_INITIALIZER = 5,
	FR_GRAPH_INPUT = 11,
	FR_GRAPH_OUTPUT = 12,
	FR_GRAPH_SPARSE_INITIALIZER = 15,
	FR_NODE_INPUT = 1,
	FR_NODE_OUTPUT = 2,
	FR_NODE_ATTRIBUTE = 5
};

/* TensorProto.DataType */
typedef enum FrOnnxType
{
	FR_ONNX_FLOAT = 1,
	FR_ONNX_UINT8 = 2,
	FR_ONNX_INT8 = 3,
	FR_ONNX_UINT16 = 4,
	FR_ONNX_INT16 = 5,
	FR_ONNX_INT32 = 6,
	FR_ONNX_INT64 = 7,
	FR_ONNX_STRING = 8,
	FR_ONNX_BOOL = 9,
	FR_ONNX_FLOAT16 = 10,
	FR_ONNX_DOUBLE = 11,
	FR_ONNX_UINT32 = 12,
	FR_ONNX_UINT64 = 13,
	FR_ONNX_BFLOAT16 = 16
} FrOnnxType;

typedef struct FrOnnxModel
{
	int64_t ir_version;
	int64_t opset; /* of the default domain */
	FrBytes graph; /* GraphProto */
} FrOnnxModel;

typedef struct FrOnnxNode
{
	FrBytes message; /* NodeProto */
	FrBytes name, op_type, domain;
	int input_count, output_count;
} FrOnnxNode;

/* AttributeProto.AttributeType */
typedef enum FrOnnxAttributeType
{
	FR_ONNX_ATTR_NONE = 0,
	FR_ONNX_ATTR_FLOAT = 1,
	FR_ONNX_ATTR_INT = 2,
	FR_ONNX_ATTR_STRING = 3,
	FR_ONNX_ATTR_TENSOR = 4,
	FR_ONNX_ATTR_GRAPH = 5,
	FR_ONNX_ATTR_FLOATS = 6,
	FR_ONNX_ATTR_INTS = 7
} FrOnnxAttributeType;

typedef struct FrOnnxAttribute
{
	FrBytes message; /* AttributeProto */
	FrBytes name;
	int64_t type; /* FrOnnxAttributeType, or another number */
	float f;
	int64_t i;
	FrBytes s;
	FrBytes tensor; /* TensorProto; data NULL when absent */
	bool has_graph; /* a sub-graph is there */
} FrOnnxAttribute;

typedef struct FrOnnxTensor
{
	FrBytes message; /* TensorProto */
	FrBytes name;
	int64_t data_type; /* FrOnnxType, or another number */
	FrShape shape;
	size_t element_count; /* product of the dimensions */
	bool has_raw;
	FrBytes raw;
} FrOnnxTensor;

typedef struct FrOnnxValueInfo
{
	FrBytes name;
	int64_t element_type; /* FrOnnxType, or another number; 0 not stated */
	bool has_shape;
	FrShape shape; /* symbolic dimensions are FR_DIM_DYNAMIC */
} FrOnnxValueInfo;

/* Read the file's head: IR version 3..10, opset 7..21 of the default domain,
 * exactly one graph. */
FrStatus fr_onnx_model_parse(const void *bytes, size_t size_bytes,
							 FrOnnxModel *model, FrError *error);

/* The following return CORRUPT with a sentence when the message is broken. */
FrStatus fr_onnx_node_parse(FrBytes message, FrOnnxNode *node, FrError *error);
FrStatus fr_onnx_attribute_parse(FrBytes message, FrOnnxAttribute *attribute,
								 FrError *error);
FrStatus fr_onnx_value_info_parse(FrBytes message, FrOnnxValueInfo *info,
								  FrError *error);

/* Also checks the dimensions, and refuses external data and strings. */
FrStatus
fr_onnx_tensor_parse(FrBytes message, FrOnnxTensor *tensor, FrError *error);

/* Read a repeated integer (or float) field of a message, packed or not: the
 * first capacity values go to out, *count is how many there are in all.
 * False when the field is malformed. */
bool fr_onnx_read_ints(FrBytes message, uint32_t field_number, int64_t *out,
					   size_t capacity, size_t *count);
bool fr_onnx_read_floats(FrBytes message, uint32_t field_number, float *out,
						 size_t capacity, size_t *count);

/* The engine's type for the tensor's elements and what they take in it;
 * CORRUPT when the file holds more or fewer than the shape says. */
FrStatus fr_onnx_tensor_measure(const FrOnnxTensor *tensor, FrDtype *dtype,
								size_t *size_bytes, FrError *error);

/* Write count elements, from first on, to out; the tensor has passed
 * fr_onnx_tensor_measure.  Typed (not raw) data is written as a whole. */
void fr_onnx_tensor_decode(const FrOnnxTensor *tensor, size_t first,
						   size_t count, void *out);

/*
 * The tensor's elements in a type the engine has: float, float16, bfloat16
 * and double become FR_FLOAT32; the 16-bit integers and int32 FR_INT32;
 * uint32, uint64 and int64 FR_INT64; int8, uint8 and bool stay.  Data that is
 * raw, aligned and of the right type is not copied: *data then points into
 * the file; else it lies in the arena.
 */
FrStatus fr_onnx_tensor_data(const FrOnnxTensor *tensor, FrArena *arena,
							 FrDtype *dtype, const void **data, FrError *error);

/* The engine's type for an ONNX type; FR_DTYPE_NONE when there is none. */
FrDtype fr_onnx_dtype(int64_t onnx_type);

/* Write name, cut to what fits, with anything but printable ASCII replaced by
 * '?', so that it can stand in a message; returns buffer. */
const char *fr_onnx_printable(FrBytes name, char *buffer, size_t buffer_bytes);

static inline bool
fr_bytes_equal(FrBytes a, FrBytes b)
{
	if (a.length != b.length)
		return false;
	for (size_t i = 0; i < a.length; i++)
		if (a.data[i] != b.data[i])
			return false;
	return true;
}

static inline bool
fr_bytes_equal_text(FrBytes bytes, const char *text)
{
	size_t i = 0;

	for (; i < bytes.length && text[i]; i++)
		if (bytes.data[i] != (uint8_t) text[i])
			return false;
	return i == bytes.length && !text[i];
}

#endif
