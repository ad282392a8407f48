/*
 * aligned.c: see aligned.h.
 *
 * One walk over the nested messages that can hold tensors; all other fields
 * are copied as they are.  A message on the way to a tensor gets its length
 * as a varint of fixed width, which is filled in when its end is known; in
 * front of a tensor's data goes a doc_string that fills the line.  The same
 * walk without a target counts bytes.
 */
#include "core/onnx/aligned.h"

#include <string.h>

#include "core/base/size.h"
#include "core/onnx/model.h"

#define LINE		 64
#define LENGTH_BYTES 5 /* of a varint up to 2^35 */

/* Elements decoded between two polls: about a millisecond. */
#define PIECE_ELEMENTS ((size_t) 1 << 18)

/* Fields of TensorProto. */
enum
{
	TENSOR_DIMS = 1,
	TENSOR_DATA_TYPE = 2,
	TENSOR_NAME = 8,
	TENSOR_RAW_DATA = 9,
	TENSOR_DOC_STRING = 12
};

/* Messages that can hold tensors, outermost first. */
typedef enum Level
{
	LEVEL_MODEL = 0,
	LEVEL_GRAPH,
	LEVEL_NODE,
	LEVEL_ATTRIBUTE,
	LEVEL_TENSOR
} Level;

/* Which fields of a message lead on, and to what. */
typedef struct Branch
{
	uint32_t field;
	Level level;
} Branch;

static const Branch branches[][2] = {
	[LEVEL_MODEL] = {{7, LEVEL_GRAPH}},
	[LEVEL_GRAPH] = {{FR_GRAPH_NODE, LEVEL_NODE},
					 {FR_GRAPH_INITIALIZER, LEVEL_TENSOR}},
	[LEVEL_NODE] = {{FR_NODE_ATTRIBUTE, LEVEL_ATTRIBUTE}},
	[LEVEL_ATTRIBUTE] = {{5, LEVEL_TENSOR}},
};

typedef struct Writer
{
	uint8_t *target; /* NULL: count only */
	size_t offset;
	const FrCancel *cancel;
	bool is_cancelled;
} Writer;

static void
put(Writer *writer, const void *bytes, size_t size_bytes)
{
	if (writer->target && size_bytes > 0)
		memcpy(writer->target + writer->offset, bytes, size_bytes);
	writer->offset += size_bytes;
}

/* Write a varint of the given width, or of the least one when that is 0. */
static void
put_varint(Writer *writer, uint64_t value, size_t width)
{
	uint8_t bytes[10];
	size_t count = 0;

	do
	{
		bytes[count] = (uint8_t) (value & 0x7f) | 0x80;
		value >>= 7;
		count++;
	} while (value > 0 || count < width);
	bytes[count - 1] &= 0x7f;
	put(writer, bytes, count);
}

static void
put_tag(Writer *writer, uint32_t field, FrWireType type)
{
	put_varint(writer, (uint64_t) field << 3 | type, 0);
}

/* Fill in the length of what was written since start. */
static void
put_length_at(Writer *writer, size_t length_offset, size_t start)
{
	Writer at = {.target = writer->target, .offset = length_offset};

	put_varint(&at, writer->offset - start, LENGTH_BYTES);
}

/* The number that ONNX gives to one of the engine's types. */
static FrOnnxType
onnx_type_of(FrDtype dtype)
{
	switch ((int) dtype)
	{
		case FR_FLOAT32:
			return FR_ONNX_FLOAT;
		case FR_INT64:
			return FR_ONNX_INT64;
		case FR_INT32:
			return FR_ONNX_INT32;
		case FR_INT8:
			return FR_ONNX_INT8;
		case FR_UINT8:
			return FR_ONNX_UINT8;
		default:
			return FR_ONNX_BOOL;
	}
}

static void
put_data(Writer *writer, const FrOnnxTensor *tensor, size_t size_bytes,
		 size_t element_bytes)
{
	size_t piece = tensor->has_raw ? PIECE_ELEMENTS : tensor->element_count;

	for (size_t first = 0; writer->target && first < tensor->element_count;
		 first += piece)
	{
		size_t rest = tensor->element_count - first;

		if (fr_is_cancelled(writer->cancel))
		{
			writer->is_cancelled = true;
			break;
		}
		fr_onnx_tensor_decode(tensor, first, rest < piece ? rest : piece,
							  writer->target + writer->offset +
								  first * element_bytes);
	}
	writer->offset += size_bytes;
}

/* Write a large tensor anew; false, with nothing written, when it is small or
 * malformed. */
static bool
put_tensor(Writer *writer, FrBytes message)
{
	FrOnnxTensor tensor;
	FrDtype dtype;
	size_t size_bytes;

	if (message.length < FR_ONNX_ALIGN_BYTES ||
		fr_onnx_tensor_parse(message, &tensor, NULL) != FR_OK ||
		fr_onnx_tensor_measure(&tensor, &dtype, &size_bytes, NULL) != FR_OK ||
		size_bytes < FR_ONNX_ALIGN_BYTES)
		return false;
	for (int i = 0; i < tensor.shape.rank; i++)
	{
		put_tag(writer, TENSOR_DIMS, FR_WIRE_VARINT);
		put_varint(writer, (uint64_t) tensor.shape.dims[i], 0);
	}
	put_tag(writer, TENSOR_DATA_TYPE, FR_WIRE_VARINT);
	put_varint(writer, (uint64_t) onnx_type_of(dtype), 0);
	put_tag(writer, TENSOR_NAME, FR_WIRE_BYTES);
	put_varint(writer, tensor.name.length, 0);
	put(writer, tensor.name.data, tensor.name.length);

	/* Two bytes of a short doc_string and six of the data's tag and length
	 * come before the data. */
	static const uint8_t spaces[LINE] = {0};
	size_t fill =
		(LINE - (writer->offset + 2 + 1 + LENGTH_BYTES) % LINE) % LINE;

	put_tag(writer, TENSOR_DOC_STRING, FR_WIRE_BYTES);
	put_varint(writer, fill, 0);
	put(writer, spaces, fill);
	put_tag(writer, TENSOR_RAW_DATA, FR_WIRE_BYTES);
	put_varint(writer, size_bytes, LENGTH_BYTES);
	put_data(writer, &tensor, size_bytes, fr_dtype_size(dtype));
	return true;
}

/* Write a message of a level; at most as deep as there are levels. */
static void
put_message(Writer *writer, FrBytes message, Level level)
{
	if (level == LEVEL_TENSOR)
	{
		if (!put_tensor(writer, message))
			put(writer, message.data, message.length);
		return;
	}
	while (message.length > 0 && !writer->is_cancelled)
	{
		const FrBytes rest = message;
		const Branch *branch = NULL;
		FrWireField field;

		if (!fr_wire_next(&message, &field))
		{
			put(writer, rest.data, rest.length);
			return;
		}
		for (int i = 0; i < 2; i++)
			if (branches[level][i].field &&
				fr_wire_is(&field, branches[level][i].field, FR_WIRE_BYTES))
				branch = &branches[level][i];
		if (!branch || field.bytes.length < FR_ONNX_ALIGN_BYTES)
		{
			put(writer, rest.data, rest.length - message.length);
			continue;
		}
		put_tag(writer, field.number, FR_WIRE_BYTES);

		size_t length_offset = writer->offset;

		writer->offset += LENGTH_BYTES;
		put_message(writer, field.bytes, branch->level);
		put_length_at(writer, length_offset, length_offset + LENGTH_BYTES);
	}
}

size_t
fr_onnx_aligned_size(const void *bytes, size_t size_bytes)
{
	Writer writer = {0};

	put_message(&writer, fr_bytes(bytes, size_bytes), LEVEL_MODEL);
	return writer.offset;
}

FrStatus
fr_onnx_align(const void *bytes, size_t size_bytes, void *image,
			  const FrCancel *cancel, FrError *error)
{
	Writer writer = {.target = image, .cancel = cancel};

	put_message(&writer, fr_bytes(bytes, size_bytes), LEVEL_MODEL);
	if (writer.is_cancelled)
		return fr_fail(error, FR_ERR_CANCELLED,
					   "Reading the model was cancelled.");
	return FR_OK;
}
