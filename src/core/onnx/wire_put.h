/*
 * wire_put.h: writing the protobuf wire format into memory of known size.
 *
 * A length stands before every nested message.  So everything is put twice:
 * once into an FrWireOut without memory, which only counts, then into memory
 * of exactly that size.  A function that puts a message must therefore put
 * the same bytes each time.  Format: Protocol Buffers documentation,
 * "Encoding".
 */
#ifndef FR_CORE_ONNX_WIRE_PUT_H
#define FR_CORE_ONNX_WIRE_PUT_H

#include <stddef.h>
#include <stdint.h>

typedef struct FrWireOut
{
	uint8_t *data; /* NULL: only count */
	size_t length; /* put so far; SIZE_MAX when it does not fit a size_t */
} FrWireOut;

/* Puts the fields of one message. */
typedef void (*FrWirePutter)(FrWireOut *out, const void *context);

/* Each puts one field: its tag and its value. */
void fr_wire_put_varint(FrWireOut *out, uint32_t number, uint64_t value);
void fr_wire_put_float(FrWireOut *out, uint32_t number, float value);
void fr_wire_put_bytes(FrWireOut *out, uint32_t number, const void *bytes,
					   size_t size_bytes);
void fr_wire_put_text(FrWireOut *out, uint32_t number, const char *text);
void fr_wire_put_message(FrWireOut *out, uint32_t number, FrWirePutter put,
						 const void *context);

#endif
