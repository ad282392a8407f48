/*
 * image_call.c: memory, interrupts and errors of a call; see image_call.h.
 */
#include "postgres.h"

#include "pg/image_call.h"

#include <math.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "pg/errors.h"
#include "pg/memory.h"
#include "pg/settings.h"
#include "utils/memutils.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#define JPEG_QUALITY 92

/* ---- begin and end ------------------------------------------------------ */

void
fr_call_begin(FrCall *call, Datum image)
{
	memset(call, 0, sizeof(*call));
	call->memory = AllocSetContextCreate(CurrentMemoryContext, "facerec call",
										 ALLOCSET_DEFAULT_SIZES);
	call->allocator = fr_pg_allocator(call->memory);
	call->cancel = fr_pg_cancel();

	bytea *bytes = (bytea *) PG_DETOAST_DATUM_PACKED(image);

	if (PointerGetDatum(bytes) != image)
		call->detoasted = bytes;
	call->image = VARDATA_ANY(bytes);
	call->image_bytes = VARSIZE_ANY_EXHDR(bytes);
}

void
fr_call_end(FrCall *call)
{
	MemoryContextDelete(call->memory);
	if (call->detoasted)
		pfree(call->detoasted);
	memset(call, 0, sizeof(*call));
}

bool
fr_call_is_interrupted(FrCall *call, FrStatus status)
{
	if (status != FR_ERR_CANCELLED)
		return false;
	MemoryContextReset(call->memory);
	CHECK_FOR_INTERRUPTS();
	return true;
}

/* ---- failures ----------------------------------------------------------- */

/* Everything that a picture alone can get wrong.  Behind the decoder only
 * CORRUPT can still be the picture's fault: a second pass over it. */
static bool
is_fault_of_image(const FrCall *call, FrStatus status)
{
	if (status == FR_ERR_CORRUPT)
		return true;
	return call->is_image_at_fault &&
		   (status == FR_ERR_UNSUPPORTED || status == FR_ERR_LIMIT);
}

static void
report_image(const FrCall *call, FrStatus status, int level)
{
	FrImageFormat format = fr_image_sniff(call->image, call->image_bytes);
	FrImageInfo info;

	if (status == FR_ERR_UNSUPPORTED && format != FR_IMAGE_UNKNOWN &&
		format != FR_IMAGE_JPEG && format != FR_IMAGE_PNG)
	{
		ereport(level,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("image format \"%s\" is not supported",
						fr_image_format_name(format)),
				 level < ERROR
					 ? errhint("Convert the image to JPEG or PNG before "
							   "inserting it.")
					 : errhint("Convert the image to JPEG or PNG before "
							   "inserting it, or set facerec.on_error to "
							   "\"ignore\" to skip such images.")));
		return;
	}
	if (status == FR_ERR_LIMIT &&
		fr_image_read_info(call->image, call->image_bytes, &info, NULL) ==
			FR_OK &&
		(size_t) info.width * (size_t) info.height > fr_call_max_pixels())
	{
		ereport(level,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("image of %d x %d pixels exceeds "
						"facerec.max_image_pixels",
						info.width, info.height),
				 errdetail("The limit is %zu pixels.", fr_call_max_pixels()),
				 errhint("Reduce the image before inserting it, or have a "
						 "superuser raise the limit.")));
		return;
	}
	fr_report(level, status, &call->error, "could not decode image",
			  level < ERROR ? NULL
							: "Set facerec.on_error to \"ignore\" to skip "
							  "such images.");
}

void
fr_call_fail(FrCall *call, FrStatus status, const char *primary,
			 const char *limit_hint)
{
	if (is_fault_of_image(call, status))
		report_image(call, status,
					 fr_setting_on_error == FR_ON_ERROR_IGNORE ? WARNING
															   : ERROR);
	else
		fr_raise(status, &call->error, primary,
				 status == FR_ERR_LIMIT ? limit_hint : NULL);
}

/* ---- pictures ----------------------------------------------------------- */

size_t
fr_call_max_pixels(void)
{
	return (size_t) fr_setting_max_image_pixels;
}

FrStatus
fr_call_decode(FrCall *call, FrImage *image)
{
	FrDecodeOptions options = {.max_pixels = fr_call_max_pixels(),
							   .reduction = 1,
							   .cancel = call->cancel};

	call->is_image_at_fault = true;

	FrStatus status = fr_image_decode(call->image, call->image_bytes, &options,
									  &call->allocator, image, &call->error);

	call->is_image_at_fault = status != FR_OK;
	return status;
}

FrStatus
fr_call_encode(FrCall *call, const FrImage *image, bytea **result)
{
	uint8_t *bytes;
	size_t size_bytes;
	FrStatus status = fr_image_encode_jpeg(image, JPEG_QUALITY, &call->cancel,
										   &call->allocator, &bytes,
										   &size_bytes, &call->error);

	if (status != FR_OK)
		return status;
	if (size_bytes > MaxAllocSize - VARHDRSZ)
		return fr_fail(&call->error, FR_ERR_LIMIT,
					   "The JPEG would have %zu bytes.", size_bytes);
	*result = MemoryContextAlloc(call->memory, VARHDRSZ + size_bytes);
	SET_VARSIZE(*result, VARHDRSZ + size_bytes);
	memcpy(VARDATA(*result), bytes, size_bytes);
	return FR_OK;
}

void
fr_read_box(const BOX *box, double corners[4])
{
	corners[0] = Min(box->low.x, box->high.x);
	corners[1] = Min(box->low.y, box->high.y);
	corners[2] = Max(box->low.x, box->high.x);
	corners[3] = Max(box->low.y, box->high.y);
	for (int i = 0; i < 4; i++)
		if (!isfinite(corners[i]))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("the corners of a box must be finite")));
}
