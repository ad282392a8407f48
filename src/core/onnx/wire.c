/*
 * wire.c: protobuf fields from bytes; see wire.h.
 */
#include "core/onnx/wire.h"

bool
fr_wire_take_varint(FrBytes *bytes, uint64_t *value)
{
	uint64_t result = 0;

	for (unsigned i = 0; i < 10 && i < bytes->length; i++)
	{
		uint8_t byte = bytes->data[i];

		/* The tenth byte has room for one bit; more are dropped. */
		result |= (uint64_t) (byte & 0x7f) << (7 * i);
		if (!(byte & 0x80))
		{
			*value = result;
			return fr_bytes_skip(bytes, i + 1);
		}
	}
	return false;
}

bool
fr_wire_next(FrBytes *message, FrWireField *field)
{
	uint64_t tag, length;
	uint32_t low, high = 0;

	if (!fr_wire_take_varint(message, &tag) || tag > UINT32_MAX || tag < 8)
		return false;
	*field = (FrWireField){.number = (uint32_t) (tag >> 3),
						   .type = (FrWireType) (tag & 7)};
	switch (field->type)
	{
		case FR_WIRE_VARINT:
			return fr_wire_take_varint(message, &field->value);
		case FR_WIRE_FIXED64:
			if (message->length < 8 || !fr_bytes_take_le32(message, &low) ||
				!fr_bytes_take_le32(message, &high))
				return false;
			field->value = (uint64_t) high << 32 | low;
			return true;
		case FR_WIRE_BYTES:
			if (!fr_wire_take_varint(message, &length) ||
				length > message->length)
				return false;
			field->bytes.length = (size_t) length;
			return fr_bytes_take(message, (size_t) length, &field->bytes.data);
		case FR_WIRE_FIXED32:
			if (!fr_bytes_take_le32(message, &low))
				return false;
			field->value = low;
			return true;
	}
	return false; /* groups, or a type that does not exist */
}
