/*
 * image_call.c: memory, interrupts and errors of a call; see image_call.h.
 */
#include "postgres.h"

#include "pg/image_call.h"

#include <math.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "pg/catalog.h"
#include "pg/errors.h"
#include "pg/memory.h"
#include "pg/settings.h"
#include "utils/builtins.h"
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

/* What is wrong with a picture, in the words of a message. */
typedef struct Fault
{
	int sqlstate;
	const char *message;
	const char *detail; /* or NULL */
	const char *remedy; /* or NULL */
} Fault;

static Fault
describe_fault(const FrCall *call, FrStatus status)
{
	FrImageFormat format = fr_image_sniff(call->image, call->image_bytes);
	FrImageInfo info;

	if (status == FR_ERR_UNSUPPORTED && format != FR_IMAGE_UNKNOWN &&
		format != FR_IMAGE_JPEG && format != FR_IMAGE_PNG)
		return (Fault){
			.sqlstate = ERRCODE_FEATURE_NOT_SUPPORTED,
			.message = psprintf("image format \"%s\" is not supported",
								fr_image_format_name(format)),
			.remedy = "Convert the image to JPEG or PNG before inserting it",
		};
	if (status == FR_ERR_LIMIT &&
		fr_image_read_info(call->image, call->image_bytes, &info, NULL) ==
			FR_OK &&
		(size_t) info.width * (size_t) info.height > fr_call_max_pixels())
		return (Fault){
			.sqlstate = ERRCODE_PROGRAM_LIMIT_EXCEEDED,
			.message = psprintf("image of %d x %d pixels exceeds "
								"facerec.max_image_pixels",
								info.width, info.height),
			.detail =
				psprintf("The limit is %zu pixels.", fr_call_max_pixels()),
			.remedy =
				"Reduce the image before inserting it or have a superuser "
				"raise the limit",
		};
	return (Fault){
		.sqlstate = fr_sqlstate(status),
		.message = "could not decode image",
		.detail = call->error.message[0] ? call->error.message : NULL,
	};
}

/* How to get on; a warning is already the consequence of facerec.on_error. */
static const char *
make_hint(const Fault *fault, int level)
{
	if (level < ERROR)
		return fault->remedy ? psprintf("%s.", fault->remedy) : NULL;
	if (!fault->remedy)
		return "Set facerec.on_error to \"ignore\" to skip such images.";
	return psprintf("%s, or set facerec.on_error to \"ignore\" to skip such "
					"images.",
					fault->remedy);
}

/* Which row it is a function cannot know.  So the message says how to find
 * the picture: WHERE sha256(data) = '\x...'. */
static char *
identify_image(const FrCall *call)
{
	uint8 sha256[FR_SHA256_BYTES];
	char digits[2 * FR_SHA256_BYTES + 1];

	fr_catalog_sha256(call->image, call->image_bytes, sha256);
	hex_encode((const char *) sha256, FR_SHA256_BYTES, digits);
	digits[2 * FR_SHA256_BYTES] = '\0';
	return psprintf("image of %zu bytes with SHA-256 \\x%s", call->image_bytes,
					digits);
}

static void
report_image(const FrCall *call, FrStatus status, int level)
{
	Fault fault = describe_fault(call, status);
	const char *hint = make_hint(&fault, level);
	const char *identity = identify_image(call);

	ereport(level,
			(errcode(fault.sqlstate), errmsg("%s", fault.message),
			 fault.detail ? errdetail_internal("%s", fault.detail) : 0,
			 hint ? errhint("%s", hint) : 0, errcontext("%s", identity)));
}

char *
fr_call_image_fault(FrCall *call, FrStatus status)
{
	if (!is_fault_of_image(call, status))
		return NULL;

	Fault fault = describe_fault(call, status);

	return fault.detail ? psprintf("%s: %s", fault.message, fault.detail)
						: pstrdup(fault.message);
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
fr_call_decode(FrCall *call, int reduction, FrImage *image)
{
	FrDecodeOptions options = {.max_pixels = fr_call_max_pixels(),
							   .reduction = reduction,
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
