/*
 * embedding_text.h: the text form of an embedding.
 *
 *   MODEL=1f3c9a7e;[0.0123,-0.0456,...]      (the idiom of PostGIS's EWKT)
 *
 * Eight hexadecimal digits of the model's fingerprint, then the values; just
 * "[...]" when the model is unknown (fingerprint 0).  Each half is printed
 * with the fewest decimals that read back as the same half, so that text is
 * exact; see direction.h for why reading it changes nothing else.
 */
#ifndef FR_CORE_METRIC_EMBEDDING_TEXT_H
#define FR_CORE_METRIC_EMBEDDING_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"
#include "core/metric/direction.h"

/* The numbers of a text, as written (not normalised). */
typedef struct FrEmbeddingText
{
	uint32_t fingerprint;
	size_t count;
	float values[FR_DIRECTION_MAX_DIMS];
} FrEmbeddingText;

/*
 * Read text (NUL-terminated).  White space is allowed around every part,
 * hexadecimal digits in either case.  On a fault error's message is a
 * sentence that says where and what.  Numbers have the C locale's form;
 * LC_NUMERIC must be "C", as it always is in a PostgreSQL server.
 */
FrDirectionFault
fr_embedding_parse(const char *text, FrEmbeddingText *parsed, FrError *error);

/* Bytes that suffice for fr_embedding_format, with the closing NUL. */
#define FR_EMBEDDING_TEXT_BYTES(count) ((size_t) 18 + (size_t) 13 * (count))

/* Write the text of halves [count], finite; returns its length. */
size_t fr_embedding_format(uint32_t fingerprint, const uint16_t *halves,
						   size_t count, char *buffer);

/* Bytes that suffice for fr_half_format, with the closing NUL. */
#define FR_HALF_TEXT_BYTES 16

/* Write a finite half with the fewest decimals that read back as the same
 * half; returns the length. */
size_t fr_half_format(uint16_t half, char *buffer);

#endif
