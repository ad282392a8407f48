/*
 * bytes.h: a bounds-checked cursor over bytes that came from outside.
 *
 * Every take either succeeds whole and advances, or returns false and leaves
 * the cursor where it was; nothing is copied.
 */
#ifndef FR_CORE_BASE_BYTES_H
#define FR_CORE_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct FrBytes
{
	const uint8_t *data;
	size_t length; /* what is left, bytes */
} FrBytes;

static inline FrBytes
fr_bytes(const void *data, size_t length)
{
	return (FrBytes){.data = (const uint8_t *) data, .length = length};
}

/* Take length bytes; *out points into the input. */
static inline bool
fr_bytes_take(FrBytes *bytes, size_t length, const uint8_t **out)
{
	if (length > bytes->length)
		return false;
	*out = bytes->data;
	bytes->data += length;
	bytes->length -= length;
	return true;
}

static inline bool
fr_bytes_skip(FrBytes *bytes, size_t length)
{
	const uint8_t *ignored;

	return fr_bytes_take(bytes, length, &ignored);
}

static inline bool
fr_bytes_take_u8(FrBytes *bytes, uint8_t *out)
{
	const uint8_t *p;

	if (!fr_bytes_take(bytes, 1, &p))
		return false;
	*out = p[0];
	return true;
}

static inline bool
fr_bytes_take_be16(FrBytes *bytes, uint16_t *out)
{
	const uint8_t *p;

	if (!fr_bytes_take(bytes, 2, &p))
		return false;
	*out = (uint16_t) (p[0] << 8 | p[1]);
	return true;
}

static inline bool
fr_bytes_take_le16(FrBytes *bytes, uint16_t *out)
{
	const uint8_t *p;

	if (!fr_bytes_take(bytes, 2, &p))
		return false;
	*out = (uint16_t) (p[1] << 8 | p[0]);
	return true;
}

static inline bool
fr_bytes_take_be32(FrBytes *bytes, uint32_t *out)
{
	const uint8_t *p;

	if (!fr_bytes_take(bytes, 4, &p))
		return false;
	*out = (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 |
		   (uint32_t) p[2] << 8 | (uint32_t) p[3];
	return true;
}

static inline bool
fr_bytes_take_le32(FrBytes *bytes, uint32_t *out)
{
	const uint8_t *p;

	if (!fr_bytes_take(bytes, 4, &p))
		return false;
	*out = (uint32_t) p[3] << 24 | (uint32_t) p[2] << 16 |
		   (uint32_t) p[1] << 8 | (uint32_t) p[0];
	return true;
}

#endif
