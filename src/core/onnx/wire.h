/*
 * wire.h: bounded, zero-copy reader of the protobuf wire format.
 *
 * A message is a run of fields, each a number, a wire type and a value.
 * fr_wire_next takes one field off the front of a message; it never reads
 * outside the message, copies nothing and has no nesting of its own: a
 * nested message is a field's bytes, which the caller may walk in turn.
 * Format: Protocol Buffers documentation, "Encoding".
 */
#ifndef FR_CORE_ONNX_WIRE_H
#define FR_CORE_ONNX_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"

typedef enum FrWireType
{
	FR_WIRE_VARINT = 0,
	FR_WIRE_FIXED64 = 1,
	FR_WIRE_BYTES = 2, /* strings, nested messages, packed numbers */
	FR_WIRE_FIXED32 = 5
} FrWireType;

typedef struct FrWireField
{
	uint32_t number;
	FrWireType type;
	uint64_t value; /* varint, fixed64 or fixed32 */
	FrBytes bytes;	/* FR_WIRE_BYTES */
} FrWireField;

/* Take one field off *message. False when the message is malformed there: a
 * varint of more than ten bytes, a field number of 0, a group or an unknown
 * wire type, or a value that runs past the end. */
bool fr_wire_next(FrBytes *message, FrWireField *field);

/* Take one varint; false when it is cut off or longer than ten bytes. */
bool fr_wire_take_varint(FrBytes *bytes, uint64_t *value);

/* Whether the field is the given number with the given type. A field of a
 * known number but another type counts as unknown and is skipped, as the
 * format demands. */
static inline bool
fr_wire_is(const FrWireField *field, uint32_t number, FrWireType type)
{
	return field->number == number && field->type == type;
}

#endif
