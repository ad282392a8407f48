/*
 * face_images.c: SQL functions that look at pictures and make new ones:
 * face_image_info, face_image_error, face_crop, face_align, face_draw.  What
 * they make is JPEG, without any metadata of the source.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "core/face/pipeline.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "pg/errors.h"
#include "pg/image_call.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_image_info);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_image_error);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_crop);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_align);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_draw);

#define INFO_COLUMNS 7

/* Reading a picture to its end takes no more memory than it must. */
#define ERROR_REDUCTION 8

/* face_align decodes for the crop alone. */
#define ALIGN_DECODE_SIZE 640
#define ALIGN_LEAST_SIZE  16

/* ---- face_image_info ---------------------------------------------------- */

Datum
facerec_face_image_info(PG_FUNCTION_ARGS)
{
	FrCall call;
	FrImageInfo info;
	TupleDesc descriptor;
	Datum values[INFO_COLUMNS] = {0};
	bool nulls[INFO_COLUMNS];

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE ||
		descriptor->natts != INFO_COLUMNS)
		elog(ERROR, "unexpected row type");
	memset(nulls, true, sizeof(nulls));
	fr_call_begin(&call, PG_GETARG_DATUM(0));

	FrImageFormat format = fr_image_sniff(call.image, call.image_bytes);

	if (format != FR_IMAGE_UNKNOWN)
	{
		values[0] = CStringGetTextDatum(fr_image_format_name(format));
		nulls[0] = false;
	}
	if (fr_image_read_info(call.image, call.image_bytes, &info, &call.error) ==
		FR_OK)
	{
		values[1] = Int32GetDatum(info.width);
		values[2] = Int32GetDatum(info.height);
		values[3] = Int32GetDatum(info.orientation);
		values[4] = Int32GetDatum(info.components);
		values[5] = Int32GetDatum(info.bit_depth);
		values[6] = BoolGetDatum(info.is_progressive);
		memset(nulls + 1, false, sizeof(nulls) - sizeof(nulls[0]));
	}
	fr_call_end(&call);
	PG_RETURN_DATUM(HeapTupleGetDatum(
		heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

/* ---- face_image_error --------------------------------------------------- */

/* face_image_error(image): why it cannot be read, NULL when it can. */
Datum
facerec_face_image_error(PG_FUNCTION_ARGS)
{
	FrCall call;
	FrImage image;
	FrStatus status;
	char *fault = NULL;

	fr_call_begin(&call, PG_GETARG_DATUM(0));
	do
		status = fr_call_decode(&call, ERROR_REDUCTION, &image);
	while (fr_call_is_interrupted(&call, status));
	if (status != FR_OK)
	{
		fault = fr_call_image_fault(&call, status);
		if (!fault)
			fr_raise(status, &call.error, "could not read image", NULL);
	}
	fr_call_end(&call);
	if (!fault)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(fault));
}

/* ---- one picture in, one picture out ------------------------------------ */

typedef FrStatus (*PictureFunction)(FrCall *call, void *arguments,
									bytea **result);

/* Attempt function until it is done and return its picture from the SQL
 * function (NULL when the source is unreadable and may be skipped). */
static Datum
return_picture(FunctionCallInfo fcinfo, PictureFunction function,
			   void *arguments, const char *failure)
{
	FrCall call;
	FrStatus status;
	bytea *result = NULL;
	Datum copy = (Datum) 0;

	fr_call_begin(&call, PG_GETARG_DATUM(0));
	do
		status = function(&call, arguments, &result);
	while (fr_call_is_interrupted(&call, status));
	if (status == FR_OK)
		copy = datumCopy(PointerGetDatum(result), false, -1);
	else
		fr_call_fail(&call, status, failure, NULL);
	fr_call_end(&call);
	if (status != FR_OK)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(copy);
}

/* ---- face_crop ---------------------------------------------------------- */

static FrStatus
attempt_crop(FrCall *call, void *arguments, bytea **result)
{
	const double *corners = arguments;
	FrImageInfo info;
	FrImage image;

	call->is_image_at_fault = true;

	FrStatus status =
		fr_image_read_info(call->image, call->image_bytes, &info, &call->error);

	if (status != FR_OK)
		return status;

	/* Whole pixels that the box touches; pixel centres are integers. */
	FrDecodeOptions options = {
		.max_pixels = fr_call_max_pixels(),
		.reduction = 1,
		.has_region = true,
		.region = {.x0 = (int) Max(0, Min(floor(corners[0]), info.width)),
				   .y0 = (int) Max(0, Min(floor(corners[1]), info.height)),
				   .x1 = (int) Max(0, Min(ceil(corners[2]), info.width)),
				   .y1 = (int) Max(0, Min(ceil(corners[3]), info.height))},
		.cancel = call->cancel,
	};

	if (options.region.x0 >= options.region.x1 ||
		options.region.y0 >= options.region.y1)
	{
		call->is_image_at_fault = false;
		return fr_fail(&call->error, FR_ERR_ARGUMENT,
					   "The box covers no pixel of the picture of %d x %d.",
					   info.width, info.height);
	}
	status = fr_image_decode(call->image, call->image_bytes, &options,
							 &call->allocator, &image, &call->error);
	call->is_image_at_fault = status != FR_OK;
	if (status != FR_OK)
		return status;
	return fr_call_encode(call, &image, result);
}

Datum
facerec_face_crop(PG_FUNCTION_ARGS)
{
	double corners[4];
	double margin = PG_GETARG_FLOAT4(2);

	fr_read_box(PG_GETARG_BOX_P(1), corners);
	if (!(margin >= 0 && margin <= 10))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("margin must be between 0 and 10")));

	double width = corners[2] - corners[0];
	double height = corners[3] - corners[1];

	corners[0] -= margin * width;
	corners[1] -= margin * height;
	corners[2] += margin * width;
	corners[3] += margin * height;
	return return_picture(fcinfo, attempt_crop, corners, "could not crop face");
}

/* ---- face_align --------------------------------------------------------- */

typedef struct AlignArguments
{
	FrPoint landmarks[FR_LANDMARK_COUNT];
	int size;
} AlignArguments;

static FrStatus
attempt_align(FrCall *call, void *arguments, bytea **result)
{
	const AlignArguments *align = arguments;
	FrPhotoOptions options = {.max_pixels = fr_call_max_pixels(),
							  .detection_size = ALIGN_DECODE_SIZE,
							  .cancel = call->cancel};
	/* 128 is the size of the one template that is not ArcFace's. */
	FrTemplate alignment =
		align->size == 128 ? FR_TEMPLATE_OMZ_128 : FR_TEMPLATE_ARCFACE_112;
	FrPhoto *photo;
	FrImage crop;

	call->is_image_at_fault = true;

	FrStatus status = fr_photo_open(call->image, call->image_bytes, &options,
									&call->allocator, &photo, &call->error);

	call->is_image_at_fault = status != FR_OK;
	if (status != FR_OK)
		return status;
	status = fr_photo_align(photo, align->landmarks, alignment, align->size,
							align->size, &crop, &call->error);
	fr_photo_close(photo);
	if (status != FR_OK)
		return status;
	return fr_call_encode(call, &crop, result);
}

static void
read_landmarks(ArrayType *array, FrPoint landmarks[FR_LANDMARK_COUNT])
{
	Datum *elements;
	bool *nulls;
	int count;

	deconstruct_array(array, POINTOID, sizeof(Point), false, TYPALIGN_DOUBLE,
					  &elements, &nulls, &count);
	if (count != FR_LANDMARK_COUNT)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("expected %d landmarks, not %d", FR_LANDMARK_COUNT, count),
			 errdetail("They are: eye left in the picture, eye right, "
					   "nose tip, mouth corner left, mouth corner "
					   "right.")));
	for (int i = 0; i < count; i++)
	{
		const Point *point = nulls[i] ? NULL : DatumGetPointP(elements[i]);

		if (!point || !isfinite((float) point->x) ||
			!isfinite((float) point->y))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("landmarks must be finite and not null")));
		landmarks[i] = (FrPoint){(float) point->x, (float) point->y};
	}
}

Datum
facerec_face_align(PG_FUNCTION_ARGS)
{
	AlignArguments align = {.size = PG_GETARG_INT32(2)};

	read_landmarks(PG_GETARG_ARRAYTYPE_P(1), align.landmarks);
	if (align.size < ALIGN_LEAST_SIZE || align.size > FR_MAX_CROP_SIDE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("size must be between %d and %d",
							   ALIGN_LEAST_SIZE, FR_MAX_CROP_SIDE)));
	return return_picture(fcinfo, attempt_align, &align,
						  "could not align face");
}

/* ---- face_draw ---------------------------------------------------------- */

typedef struct DrawArguments
{
	int count;
	Datum *boxes;
	bool *box_nulls;
	const char **labels; /* UTF-8; NULL, or as many as boxes, each or NULL */
} DrawArguments;

static const uint8_t line_color[3] = {0, 200, 83};
static const uint8_t text_color[3] = {255, 255, 255};

/* A bar with the label on top of the box; below its upper edge where there
 * is no room above. */
static void
draw_label(FrImage *image, const double corners[4], int thickness, int scale,
		   const char *label)
{
	int width;
	int height;

	fr_image_text_size(scale, label, &width, &height);

	double bar_height = height + 2 * scale;
	double x = Max(0, Min(corners[0], image->width - 1));
	double y = corners[1] - bar_height;

	if (y < 0)
		y = Max(0, Min(corners[1] + thickness, image->height - 1));
	fr_image_fill_rect(image, x, y, x + width + 2 * scale, y + bar_height,
					   line_color);
	fr_image_draw_text(image, (int) x + scale, (int) y + scale, scale, label,
					   text_color);
}

static FrStatus
attempt_draw(FrCall *call, void *arguments, bytea **result)
{
	const DrawArguments *draw = arguments;
	FrImage image;
	FrStatus status = fr_call_decode(call, 1, &image);

	if (status != FR_OK)
		return status;

	/* Lines and letters that show at the size people look at pictures. */
	int side = Max(image.width, image.height);
	int thickness = Max(2, side / 400);
	int scale = Max(1, side / 500);

	for (int i = 0; i < draw->count; i++)
	{
		double corners[4];

		if (draw->box_nulls[i])
			continue;
		fr_read_box(DatumGetBoxP(draw->boxes[i]), corners);
		fr_image_draw_rect(&image, corners[0], corners[1], corners[2],
						   corners[3], thickness, line_color);
		if (draw->labels && draw->labels[i])
			draw_label(&image, corners, thickness, scale, draw->labels[i]);
	}
	return fr_call_encode(call, &image, result);
}

static void
read_boxes(ArrayType *array, DrawArguments *draw)
{
	double corners[4];

	deconstruct_array(array, BOXOID, sizeof(BOX), false, TYPALIGN_DOUBLE,
					  &draw->boxes, &draw->box_nulls, &draw->count);
	for (int i = 0; i < draw->count; i++)
		if (!draw->box_nulls[i])
			fr_read_box(DatumGetBoxP(draw->boxes[i]), corners);
}

static void
read_labels(ArrayType *array, DrawArguments *draw)
{
	Datum *elements;
	bool *nulls;
	int count;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements,
					  &nulls, &count);
	if (count != draw->count)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("there are %d boxes, but %d labels", draw->count,
							   count)));
	draw->labels = palloc0(sizeof(char *) * (Size) (count + 1));
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			continue;

		char *label = TextDatumGetCString(elements[i]);

		draw->labels[i] = pg_server_to_any(label, (int) strlen(label), PG_UTF8);
	}
}

Datum
facerec_face_draw(PG_FUNCTION_ARGS)
{
	DrawArguments draw = {0};

	read_boxes(PG_GETARG_ARRAYTYPE_P(1), &draw);
	if (PG_NARGS() > 2)
		read_labels(PG_GETARG_ARRAYTYPE_P(2), &draw);
	return return_picture(fcinfo, attempt_draw, &draw,
						  "could not draw on image");
}
