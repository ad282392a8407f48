/*
 * image_call.h: the frame around every SQL function that works on a picture.
 *
 * An FrCall owns the memory of one call.  Work is done in attempts: when the
 * core stops because of an interrupt that turns out to be none of a user's
 * business (a worker's message, say), the attempt starts again.
 *
 *	fr_call_begin(&call);
 *	do
 *		status = attempt(&call, ...);
 *	while (fr_call_is_interrupted(&call, status));
 *	if (status != FR_OK)
 *		fr_call_fail(&call, status, ...);
 *	... copy the result ...
 *	fr_call_end(&call);
 */
#ifndef FR_PG_IMAGE_CALL_H
#define FR_PG_IMAGE_CALL_H

#include "postgres.h"

#include "core/image/image.h"
#include "utils/geo_decls.h"

typedef struct FrCall
{
	MemoryContext memory;  /* of the attempts; deleted by fr_call_end */
	FrAllocator allocator; /* on memory */
	FrCancel cancel;
	bytea *detoasted;  /* NULL when the argument could be used as it is */
	const void *image; /* the bytes of the picture */
	size_t image_bytes;
	bool is_image_at_fault; /* set before work that reads the picture alone,
							 * unset before other work */
	FrError error;			/* of the last attempt */
} FrCall;

/* Start a call on a picture, a bytea. */
extern void fr_call_begin(FrCall *call, Datum image);

/* Release everything. */
extern void fr_call_end(FrCall *call);

/* After an attempt: true when it has to be repeated.  A real cancel does not
 * return. */
extern bool fr_call_is_interrupted(FrCall *call, FrStatus status);

/*
 * Report the failure of an attempt.  What is wrong with the picture is an
 * ERROR or, with facerec.on_error = ignore, a WARNING after which this
 * returns; everything else is an ERROR with this primary message and, for
 * LIMIT, this hint (may be NULL).
 */
extern void fr_call_fail(FrCall *call, FrStatus status, const char *primary,
						 const char *limit_hint);

/* After a failed attempt: what is wrong with the picture, in words; NULL when
 * that is not the reason.  palloc'd. */
extern char *fr_call_image_fault(FrCall *call, FrStatus status);

/* The limit facerec.max_image_pixels. */
extern size_t fr_call_max_pixels(void);

/* Decode the whole picture of the call, at 1/reduction of its size (1, 2, 4 or
 * 8). */
extern FrStatus fr_call_decode(FrCall *call, int reduction, FrImage *image);

/* Encode as JPEG into a bytea in the call's memory. */
extern FrStatus
fr_call_encode(FrCall *call, const FrImage *image, bytea **result);

/* The corners of a box as x0, y0, x1, y1 with x0 <= x1 and y0 <= y1; ERROR
 * unless they are finite. */
extern void fr_read_box(const BOX *box, double corners[4]);

#endif
