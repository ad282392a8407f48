/*
 * onnx_build.h: write small ONNX models in memory, for tests.
 *
 * A model is built front to back: onnx_begin, then inputs, weights and nodes
 * in any order, then onnx_finish, which gives the file's bytes.  Attributes
 * belong to the node that was added last.  Memory comes from malloc and
 * running out of it ends the program.  Header only; depends on libc.
 *
 *     OnnxModel model;
 *
 *     onnx_begin(&model, 13);
 *     onnx_input(&model, "x", 4, (int64_t[]){1, 3, -1, -1});
 *     onnx_weight_f32(&model, "w", 4, (int64_t[]){8, 3, 3, 3}, weights);
 *     onnx_node(&model, "Conv", "conv1", "x w", "y");
 *     onnx_attr_ints(&model, "pads", 4, (int64_t[]){1, 1, 1, 1});
 *     onnx_output(&model, "y", 0, NULL);
 *     OnnxBuffer file = onnx_finish(&model);
 *     ... file.data, file.size_bytes ...
 *     free(file.data);
 */
#ifndef FR_TEST_ONNX_BUILD_H
#define FR_TEST_ONNX_BUILD_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* TensorProto.DataType */
enum
{
	ONNX_FLOAT = 1,
	ONNX_UINT8 = 2,
	ONNX_INT8 = 3,
	ONNX_UINT16 = 4,
	ONNX_INT16 = 5,
	ONNX_INT32 = 6,
	ONNX_INT64 = 7,
	ONNX_STRING = 8,
	ONNX_BOOL = 9,
	ONNX_FLOAT16 = 10,
	ONNX_DOUBLE = 11,
	ONNX_UINT32 = 12,
	ONNX_UINT64 = 13,
	ONNX_BFLOAT16 = 16
};

typedef struct OnnxBuffer
{
	unsigned char *data;
	size_t size_bytes;
	size_t capacity_bytes;
} OnnxBuffer;

typedef struct OnnxModel
{
	OnnxBuffer graph;
	OnnxBuffer node; /* being written; empty when none is open */
	int opset;
	int ir_version;
} OnnxModel;

/* ---- protobuf wire format ----------------------------------------------- */

__attribute__((unused)) static void
onnx_put(OnnxBuffer *buffer, const void *bytes, size_t size_bytes)
{
	size_t needed = buffer->size_bytes + size_bytes;

	if (needed > buffer->capacity_bytes)
	{
		buffer->capacity_bytes = 2 * needed;
		buffer->data = realloc(buffer->data, buffer->capacity_bytes);
		if (!buffer->data)
			abort();
	}
	if (size_bytes > 0)
		memcpy(buffer->data + buffer->size_bytes, bytes, size_bytes);
	buffer->size_bytes = needed;
}

__attribute__((unused)) static void
onnx_put_varint(OnnxBuffer *buffer, uint64_t value)
{
	do
	{
		unsigned char byte = (unsigned char) (value & 0x7f);

		value >>= 7;
		if (value)
			byte |= 0x80;
		onnx_put(buffer, &byte, 1);
	} while (value);
}

__attribute__((unused)) static void
onnx_field_varint(OnnxBuffer *buffer, uint32_t number, int64_t value)
{
	onnx_put_varint(buffer, (uint64_t) number << 3 | 0);
	onnx_put_varint(buffer, (uint64_t) value);
}

__attribute__((unused)) static void
onnx_field_float(OnnxBuffer *buffer, uint32_t number, float value)
{
	onnx_put_varint(buffer, (uint64_t) number << 3 | 5);
	onnx_put(buffer, &value, 4);
}

__attribute__((unused)) static void
onnx_field_bytes(OnnxBuffer *buffer, uint32_t number, const void *bytes,
				 size_t size_bytes)
{
	onnx_put_varint(buffer, (uint64_t) number << 3 | 2);
	onnx_put_varint(buffer, size_bytes);
	onnx_put(buffer, bytes, size_bytes);
}

__attribute__((unused)) static void
onnx_field_string(OnnxBuffer *buffer, uint32_t number, const char *text)
{
	onnx_field_bytes(buffer, number, text, strlen(text));
}

/* Append *message as a field of *buffer and release it. */
__attribute__((unused)) static void
onnx_field_message(OnnxBuffer *buffer, uint32_t number, OnnxBuffer *message)
{
	onnx_field_bytes(buffer, number, message->data, message->size_bytes);
	free(message->data);
	*message = (OnnxBuffer){0};
}

/* ---- model -------------------------------------------------------------- */

__attribute__((unused)) static void
onnx_begin(OnnxModel *model, int opset)
{
	*model = (OnnxModel){.opset = opset, .ir_version = 7};
	onnx_field_string(&model->graph, 2, "test");
}

__attribute__((unused)) static void
onnx_close_node(OnnxModel *model)
{
	if (model->node.data)
		onnx_field_message(&model->graph, 1, &model->node);
}

/* A ValueInfoProto; a dimension of -1 is symbolic. */
__attribute__((unused)) static OnnxBuffer
onnx_value_info(const char *name, int type, int rank, const int64_t *dims)
{
	OnnxBuffer info = {0}, type_proto = {0}, tensor = {0}, shape = {0};

	for (int i = 0; i < rank; i++)
	{
		OnnxBuffer dim = {0};

		if (dims[i] == -1)
			onnx_field_string(&dim, 2, "n");
		else
			onnx_field_varint(&dim, 1, dims[i]);
		onnx_field_message(&shape, 1, &dim);
	}
	onnx_field_varint(&tensor, 1, type);
	if (dims)
		onnx_field_message(&tensor, 2, &shape);
	onnx_field_message(&type_proto, 1, &tensor);
	onnx_field_string(&info, 1, name);
	onnx_field_message(&info, 2, &type_proto);
	free(shape.data);
	return info;
}

/* A float input; a dimension of -1 is symbolic. */
__attribute__((unused)) static void
onnx_input(OnnxModel *model, const char *name, int rank, const int64_t *dims)
{
	OnnxBuffer info = onnx_value_info(name, ONNX_FLOAT, rank, dims);

	onnx_close_node(model);
	onnx_field_message(&model->graph, 11, &info);
}

__attribute__((unused)) static void
onnx_input_of_type(OnnxModel *model, const char *name, int type, int rank,
				   const int64_t *dims)
{
	OnnxBuffer info = onnx_value_info(name, type, rank, dims);

	onnx_close_node(model);
	onnx_field_message(&model->graph, 11, &info);
}

/* A float output; dims NULL: no shape stated. */
__attribute__((unused)) static void
onnx_output(OnnxModel *model, const char *name, int rank, const int64_t *dims)
{
	OnnxBuffer info = onnx_value_info(name, ONNX_FLOAT, rank, dims);

	onnx_close_node(model);
	onnx_field_message(&model->graph, 12, &info);
}

/* A TensorProto with raw_data; the sizes need not agree. */
__attribute__((unused)) static OnnxBuffer
onnx_tensor(const char *name, int type, int rank, const int64_t *dims,
			const void *bytes, size_t size_bytes)
{
	OnnxBuffer tensor = {0};

	for (int i = 0; i < rank; i++)
		onnx_field_varint(&tensor, 1, dims[i]);
	onnx_field_varint(&tensor, 2, type);
	onnx_field_string(&tensor, 8, name);
	onnx_field_bytes(&tensor, 9, bytes, size_bytes);
	return tensor;
}

__attribute__((unused)) static void
onnx_weight_raw(OnnxModel *model, const char *name, int type, int rank,
				const int64_t *dims, const void *bytes, size_t size_bytes)
{
	OnnxBuffer tensor = onnx_tensor(name, type, rank, dims, bytes, size_bytes);

	onnx_close_node(model);
	onnx_field_message(&model->graph, 5, &tensor);
}

__attribute__((unused)) static size_t
onnx_count(int rank, const int64_t *dims)
{
	size_t count = 1;

	for (int i = 0; i < rank; i++)
		count *= (size_t) dims[i];
	return count;
}

__attribute__((unused)) static void
onnx_weight_f32(OnnxModel *model, const char *name, int rank,
				const int64_t *dims, const float *data)
{
	onnx_weight_raw(model, name, ONNX_FLOAT, rank, dims, data,
					4 * onnx_count(rank, dims));
}

/* A vector of int64, as shapes and axes are. */
__attribute__((unused)) static void
onnx_weight_i64(OnnxModel *model, const char *name, int count,
				const int64_t *data)
{
	onnx_weight_raw(model, name, ONNX_INT64, 1, (int64_t[]){count}, data,
					8 * (size_t) count);
}

/* Write the space separated names as string fields; "-" is an absent one. */
__attribute__((unused)) static void
onnx_put_names(OnnxBuffer *buffer, uint32_t number, const char *names)
{
	while (*names)
	{
		size_t length = strcspn(names, " ");

		if (length == 1 && *names == '-')
			onnx_field_bytes(buffer, number, "", 0);
		else if (length > 0)
			onnx_field_bytes(buffer, number, names, length);
		names += length;
		names += strspn(names, " ");
	}
}

/* Add a node; inputs and outputs are names separated by one space. */
__attribute__((unused)) static void
onnx_node(OnnxModel *model, const char *op, const char *name,
		  const char *inputs, const char *outputs)
{
	onnx_close_node(model);
	onnx_put_names(&model->node, 1, inputs);
	onnx_put_names(&model->node, 2, outputs);
	onnx_field_string(&model->node, 3, name);
	onnx_field_string(&model->node, 4, op);
}

/* The domain of the node added last. */
__attribute__((unused)) static void
onnx_node_domain(OnnxModel *model, const char *domain)
{
	onnx_field_string(&model->node, 7, domain);
}

__attribute__((unused)) static void
onnx_attr_int(OnnxModel *model, const char *name, int64_t value)
{
	OnnxBuffer attribute = {0};

	onnx_field_string(&attribute, 1, name);
	onnx_field_varint(&attribute, 3, value);
	onnx_field_varint(&attribute, 20, 2);
	onnx_field_message(&model->node, 5, &attribute);
}

__attribute__((unused)) static void
onnx_attr_float(OnnxModel *model, const char *name, float value)
{
	OnnxBuffer attribute = {0};

	onnx_field_string(&attribute, 1, name);
	onnx_field_float(&attribute, 2, value);
	onnx_field_varint(&attribute, 20, 1);
	onnx_field_message(&model->node, 5, &attribute);
}

__attribute__((unused)) static void
onnx_attr_string(OnnxModel *model, const char *name, const char *value)
{
	OnnxBuffer attribute = {0};

	onnx_field_string(&attribute, 1, name);
	onnx_field_string(&attribute, 4, value);
	onnx_field_varint(&attribute, 20, 3);
	onnx_field_message(&model->node, 5, &attribute);
}

__attribute__((unused)) static void
onnx_attr_ints(OnnxModel *model, const char *name, int count,
			   const int64_t *values)
{
	OnnxBuffer attribute = {0};

	onnx_field_string(&attribute, 1, name);
	for (int i = 0; i < count; i++)
		onnx_field_varint(&attribute, 8, values[i]);
	onnx_field_varint(&attribute, 20, 7);
	onnx_field_message(&model->node, 5, &attribute);
}

__attribute__((unused)) static void
onnx_attr_floats(OnnxModel *model, const char *name, int count,
				 const float *values)
{
	OnnxBuffer attribute = {0};

	onnx_field_string(&attribute, 1, name);
	for (int i = 0; i < count; i++)
		onnx_field_float(&attribute, 7, values[i]);
	onnx_field_varint(&attribute, 20, 6);
	onnx_field_message(&model->node, 5, &attribute);
}

/* A tensor attribute; releases *tensor. */
__attribute__((unused)) static void
onnx_attr_tensor(OnnxModel *model, const char *name, OnnxBuffer *tensor)
{
	OnnxBuffer attribute = {0};

	onnx_field_string(&attribute, 1, name);
	onnx_field_message(&attribute, 5, tensor);
	onnx_field_varint(&attribute, 20, 4);
	onnx_field_message(&model->node, 5, &attribute);
}

/* The file's bytes, to be freed by the caller; the model is empty again. The
 * memory is exactly as large as the file, so that sanitizers see overruns. */
__attribute__((unused)) static OnnxBuffer
onnx_finish(OnnxModel *model)
{
	OnnxBuffer file = {0}, opset = {0};

	onnx_close_node(model);
	onnx_field_varint(&file, 1, model->ir_version);
	onnx_field_message(&file, 7, &model->graph);
	onnx_field_string(&opset, 1, "");
	onnx_field_varint(&opset, 2, model->opset);
	onnx_field_message(&file, 8, &opset);
	file.data = realloc(file.data, file.size_bytes);
	if (!file.data)
		abort();
	file.capacity_bytes = file.size_bytes;
	return file;
}

#endif
