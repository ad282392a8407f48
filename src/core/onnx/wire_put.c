/*
 * wire_put.c: see wire_put.h.
 */
#include "core/onnx/wire_put.h"

#include <string.h>

#include "core/base/size.h"
#include "core/onnx/wire.h"

/* Move on; the sum sticks at SIZE_MAX, for which nobody has memory. */
static void
advance(FrWireOut *out, size_t size_bytes)
{
	if (!fr_size_add(out->length, size_bytes, &out->length))
		out->length = SIZE_MAX;
}

static void
put(FrWireOut *out, const void *bytes, size_t size_bytes)
{
	if (out->data && size_bytes > 0)
		memcpy(out->data + out->length, bytes, size_bytes);
	advance(out, size_bytes);
}

/* Seven bits a byte, low ones first; the top bit says that more follow. */
static void
put_number(FrWireOut *out, uint64_t value)
{
	uint8_t digits[10];
	size_t count = 0;

	do
	{
		digits[count++] =
			(uint8_t) ((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
		value >>= 7;
	} while (value > 0);
	put(out, digits, count);
}

static void
put_tag(FrWireOut *out, uint32_t number, FrWireType type)
{
	put_number(out, (uint64_t) number << 3 | (uint64_t) type);
}

void
fr_wire_put_varint(FrWireOut *out, uint32_t number, uint64_t value)
{
	put_tag(out, number, FR_WIRE_VARINT);
	put_number(out, value);
}

void
fr_wire_put_float(FrWireOut *out, uint32_t number, float value)
{
	uint32_t bits;
	uint8_t bytes[4];

	memcpy(&bits, &value, sizeof bits);
	for (int i = 0; i < 4; i++)
		bytes[i] = (uint8_t) (bits >> 8 * i);
	put_tag(out, number, FR_WIRE_FIXED32);
	put(out, bytes, sizeof bytes);
}

void
fr_wire_put_bytes(FrWireOut *out, uint32_t number, const void *bytes,
				  size_t size_bytes)
{
	put_tag(out, number, FR_WIRE_BYTES);
	put_number(out, size_bytes);
	put(out, bytes, size_bytes);
}

void
fr_wire_put_text(FrWireOut *out, uint32_t number, const char *text)
{
	fr_wire_put_bytes(out, number, text, strlen(text));
}

void
fr_wire_put_message(FrWireOut *out, uint32_t number, FrWirePutter put_fields,
					const void *context)
{
	FrWireOut counter = {0};

	put_fields(&counter, context);
	put_tag(out, number, FR_WIRE_BYTES);
	put_number(out, counter.length);
	if (out->data)
		put_fields(out, context);
	else
		advance(out, counter.length);
}
