/*
 * faces.c: SQL functions from photos to faces and embeddings.
 *
 * Every function does the same: choose the models (face_models.h), attempt
 * the work in the core (image_call.h), turn the result into Datums.  The
 * forms with and without a model argument share their C function.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "core/face/pipeline.h"
#include "fmgr.h"
#include "funcapi.h"
#include "pg/embedding.h"
#include "pg/face_models.h"
#include "pg/image_call.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/geo_decls.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_detect);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_embed);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_embed_box);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_embed_aligned);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_embed_all);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_embedding);

#define DETECT_COLUMNS	  8
#define EMBED_ALL_COLUMNS 6

#define LIMIT_HINT                                                       \
	"Raise facerec.max_inference_memory, or let the detector work on a " \
	"smaller picture (detection_size)."

/* One call: where it works, with which models, and what it finds. */
typedef struct FaceCall
{
	FrCall call;
	FrFaceModels models;
	FrFaces faces;
	float *embeddings; /* [faces.count, dims], raw; in the call's memory */
} FaceCall;

/* The model argument number index, or NULL when the function has none. */
static const char *
get_model_argument(FunctionCallInfo fcinfo, int index)
{
	return PG_NARGS() > index ? text_to_cstring(PG_GETARG_TEXT_PP(index))
							  : NULL;
}

/* ---- work in the core --------------------------------------------------- */

static FrStatus
open_photo(FaceCall *work, FrPhoto **photo)
{
	FrCall *call = &work->call;
	FrPhotoOptions options = {
		.max_pixels = fr_call_max_pixels(),
		.detection_size = work->models.detection.detection_size,
		.cancel = call->cancel,
	};

	call->is_image_at_fault = true;

	FrStatus status = fr_photo_open(call->image, call->image_bytes, &options,
									&call->allocator, photo, &call->error);

	call->is_image_at_fault = status != FR_OK;
	return status;
}

/* Embed the faces that were found, from the photo they were found in. */
static FrStatus
embed_faces(FaceCall *work, FrPhoto *photo)
{
	FrModel *embedder = work->models.embedder;
	FrCall *call = &work->call;
	size_t count = (size_t) work->faces.count * (size_t) embedder->row.dims;

	if (count == 0)
		return FR_OK;
	work->embeddings = fr_alloc_zeroed(&call->allocator, count, sizeof(float));
	if (!work->embeddings)
		return fr_fail_nomem(&call->error, count * sizeof(float));
	return fr_photo_embed(photo, embedder->nets[0], &embedder->descriptor.core,
						  work->faces.faces, work->faces.count,
						  embedder->row.dims, work->embeddings, &call->error);
}

/* Detect and, if an embedder is chosen, embed. */
static FrStatus
attempt_faces(FaceCall *work)
{
	FrPhoto *photo;
	FrDetector detector = fr_face_models_get_detector(&work->models);
	FrStatus status = open_photo(work, &photo);

	if (status != FR_OK)
		return status;
	status = fr_photo_detect(photo, &detector, &work->faces, &work->call.error);
	if (status == FR_OK && work->models.embedder)
		status = embed_faces(work, photo);
	fr_photo_close(photo);
	return status;
}

/* Find the face in a region and embed it. */
static FrStatus
attempt_region(FaceCall *work, const double region[4])
{
	FrPhoto *photo;
	FrFace *face = fr_alloc_zeroed(&work->call.allocator, 1, sizeof(FrFace));
	bool is_found;

	if (!face)
		return fr_fail_nomem(&work->call.error, sizeof(FrFace));

	FrStatus status = open_photo(work, &photo);

	if (status != FR_OK)
		return status;
	FrDetector detector = fr_face_models_get_detector(&work->models);

	status = fr_photo_detect_region(photo, &detector, (float) region[0],
									(float) region[1], (float) region[2],
									(float) region[3], face, &is_found,
									&work->call.error);
	work->faces = (FrFaces){.count = 0, .faces = face};
	if (status == FR_OK && is_found)
	{
		work->faces.count = 1;
		status = embed_faces(work, photo);
	}
	fr_photo_close(photo);
	return status;
}

static FrStatus
attempt_aligned(FaceCall *work)
{
	FrModel *embedder = work->models.embedder;
	FrCall *call = &work->call;
	FrImage crop;
	FrStatus status = fr_call_decode(call, 1, &crop);

	if (status != FR_OK)
		return status;
	work->embeddings = fr_alloc_zeroed(
		&call->allocator, (size_t) embedder->row.dims, sizeof(float));
	if (!work->embeddings)
		return fr_fail_nomem(&call->error,
							 (size_t) embedder->row.dims * sizeof(float));
	status =
		fr_embed_aligned(&crop, embedder->nets[0], &embedder->descriptor.core,
						 embedder->row.dims, work->embeddings, &call->cancel,
						 &call->allocator, &call->error);
	fr_image_destroy(&crop);
	work->faces.count = 1;
	return status;
}

/* ---- one embedding ------------------------------------------------------ */

typedef enum EmbedKind
{
	EMBED_LARGEST,
	EMBED_REGION,
	EMBED_ALIGNED
} EmbedKind;

/* Compute the embedding in the caller's context; NULL when there is no face
 * (or, with facerec.on_error = ignore, no readable picture). */
static FrEmbedding *
compute_embedding(FaceCall *work, EmbedKind kind, const char *model,
				  const double region[4])
{
	FrStatus status;

	if (kind == EMBED_ALIGNED)
		fr_face_models_embedder(&work->models, model);
	else
		fr_face_models_both(&work->models, model);
	if (kind == EMBED_LARGEST)
		work->models.detection.max_faces = 1;
	do
	{
		work->faces.count = 0;
		if (kind == EMBED_LARGEST)
			status = attempt_faces(work);
		else if (kind == EMBED_REGION)
			status = attempt_region(work, region);
		else
			status = attempt_aligned(work);
	} while (fr_call_is_interrupted(&work->call, status));

	if (status != FR_OK)
	{
		fr_call_fail(&work->call, status, "could not embed face", LIMIT_HINT);
		return NULL; /* only a warning */
	}
	if (work->faces.count == 0)
		return NULL;

	const FrModelRow *row = &work->models.embedder->row;

	return fr_embedding_make(work->embeddings, row->dims, row->fingerprint);
}

/* A copy of what the cache knows. */
static Datum
return_known(FunctionCallInfo fcinfo, const FrEmbedding *known)
{
	if (!known)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(datumCopy(PointerGetDatum(known), false, -1));
}

static Datum
embed(FunctionCallInfo fcinfo, EmbedKind kind, const char *model,
	  const double region[4])
{
	FaceCall work = {0};
	FrPhotoCache *cache = fr_photo_cache_get(fcinfo);
	FrPhotoKey key;
	const FrEmbedding *known;

	fr_face_models_key(model, &key);
	memcpy(key.region, region, sizeof(key.region));
	if (fr_photo_cache_find_pointer(cache, &key, PG_GETARG_DATUM(0), &known))
		return return_known(fcinfo, known);
	fr_call_begin(&work.call, PG_GETARG_DATUM(0));
	if (fr_photo_cache_find(cache, &key, work.call.image, work.call.image_bytes,
							&known))
	{
		fr_call_end(&work.call);
		return return_known(fcinfo, known);
	}

	FrCatalogStamp stamp = fr_catalog_stamp();
	FrEmbedding *result = compute_embedding(&work, kind, model, region);

	fr_photo_cache_store(cache, &key, &stamp, PG_GETARG_DATUM(0),
						 work.call.image, work.call.image_bytes, result);
	fr_model_cache_end();
	fr_call_end(&work.call);
	if (!result)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(result);
}

Datum
facerec_face_embed(PG_FUNCTION_ARGS)
{
	static const double no_region[4];

	return embed(fcinfo, EMBED_LARGEST, get_model_argument(fcinfo, 1),
				 no_region);
}

Datum
facerec_face_embed_box(PG_FUNCTION_ARGS)
{
	BOX *box = PG_GETARG_BOX_P(1);
	double region[4];

	fr_read_box(box, region);
	return embed(fcinfo, EMBED_REGION, get_model_argument(fcinfo, 2), region);
}

Datum
facerec_face_embed_aligned(PG_FUNCTION_ARGS)
{
	static const double no_region[4];

	return embed(fcinfo, EMBED_ALIGNED, get_model_argument(fcinfo, 1),
				 no_region);
}

/* ---- rows of faces ------------------------------------------------------ */

typedef struct FaceRows
{
	int count;
	FrFace *faces;
	FrEmbedding **embeddings; /* NULL for face_detect */
} FaceRows;

/* Copy the result into CurrentMemoryContext. */
static FaceRows *
copy_rows(const FaceCall *work)
{
	FaceRows *rows = palloc0(sizeof(FaceRows));
	const FrModel *embedder = work->models.embedder;

	rows->count = work->faces.count;
	rows->faces = palloc(sizeof(FrFace) * (Size) (rows->count + 1));
	if (rows->count > 0)
		memcpy(rows->faces, work->faces.faces,
			   sizeof(FrFace) * (Size) rows->count);
	if (!embedder)
		return rows;
	rows->embeddings = palloc(sizeof(FrEmbedding *) * (Size) (rows->count + 1));
	for (int i = 0; i < rows->count; i++)
		rows->embeddings[i] = fr_embedding_make(
			work->embeddings + (size_t) i * (size_t) embedder->row.dims,
			embedder->row.dims, embedder->row.fingerprint);
	return rows;
}

/* Detect (and embed) everything; the rows are made in context. */
static FaceRows *
find_faces(FunctionCallInfo fcinfo, bool is_embedding, MemoryContext context)
{
	FaceCall work = {0};
	const char *model = get_model_argument(fcinfo, 1);
	FrStatus status;

	fr_call_begin(&work.call, PG_GETARG_DATUM(0));
	if (is_embedding)
		fr_face_models_both(&work.models, model);
	else
		fr_face_models_detector(&work.models, model);
	do
	{
		work.faces.count = 0;
		status = attempt_faces(&work);
	} while (fr_call_is_interrupted(&work.call, status));
	if (status != FR_OK)
	{
		fr_call_fail(&work.call, status,
					 is_embedding ? "could not embed faces"
								  : "could not detect faces",
					 LIMIT_HINT);
		work.faces.count = 0; /* only a warning */
	}

	MemoryContext caller = MemoryContextSwitchTo(context);
	FaceRows *rows = copy_rows(&work);

	MemoryContextSwitchTo(caller);
	fr_model_cache_end();
	fr_call_end(&work.call);
	return rows;
}

static Datum
make_box(const FrFace *face)
{
	BOX *box = palloc(sizeof(BOX));

	/* A BOX stores its upper right corner first, as mathematics sees it. */
	box->high.x = Max(face->x0, face->x1);
	box->high.y = Max(face->y0, face->y1);
	box->low.x = Min(face->x0, face->x1);
	box->low.y = Min(face->y0, face->y1);
	return BoxPGetDatum(box);
}

static Datum
make_landmarks(const FrFace *face)
{
	Datum elements[FR_LANDMARK_COUNT];
	Point points[FR_LANDMARK_COUNT];

	for (int i = 0; i < FR_LANDMARK_COUNT; i++)
	{
		points[i].x = face->landmarks[i].x;
		points[i].y = face->landmarks[i].y;
		elements[i] = PointPGetDatum(&points[i]);
	}
	return PointerGetDatum(construct_array(elements, FR_LANDMARK_COUNT,
										   POINTOID, sizeof(Point), false,
										   TYPALIGN_DOUBLE));
}

static Datum
make_row(const FaceRows *rows, int index, TupleDesc descriptor)
{
	const FrFace *face = &rows->faces[index];
	Datum values[DETECT_COLUMNS];
	bool nulls[DETECT_COLUMNS] = {false};

	values[0] = Int32GetDatum(index + 1);
	values[1] = make_box(face);
	values[2] = Float4GetDatum(face->score);
	values[3] = Float4GetDatum(face->quality);
	values[4] = make_landmarks(face);
	nulls[3] = nulls[4] = face->lacks_landmarks;
	if (rows->embeddings)
		values[5] = PointerGetDatum(rows->embeddings[index]);
	else
	{
		values[5] = Float4GetDatum(face->yaw);
		values[6] = Float4GetDatum(face->pitch);
		values[7] = Float4GetDatum(face->roll);
		nulls[5] = nulls[6] = nulls[7] = face->lacks_landmarks;
	}
	return HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls));
}

/* The body of both set-returning functions. */
static Datum
return_faces(FunctionCallInfo fcinfo, bool is_embedding)
{
	FuncCallContext *context;

	if (SRF_IS_FIRSTCALL())
	{
		TupleDesc descriptor;

		context = SRF_FIRSTCALL_INIT();

		MemoryContext caller =
			MemoryContextSwitchTo(context->multi_call_memory_ctx);

		if (get_call_result_type(fcinfo, NULL, &descriptor) !=
				TYPEFUNC_COMPOSITE ||
			descriptor->natts !=
				(is_embedding ? EMBED_ALL_COLUMNS : DETECT_COLUMNS))
			elog(ERROR, "unexpected row type");
		context->tuple_desc = BlessTupleDesc(descriptor);
		MemoryContextSwitchTo(caller);

		FaceRows *rows =
			find_faces(fcinfo, is_embedding, context->multi_call_memory_ctx);

		context->user_fctx = rows;
		context->max_calls = (uint64) rows->count;
	}

	context = SRF_PERCALL_SETUP();
	if (context->call_cntr >= context->max_calls)
		SRF_RETURN_DONE(context);

	Datum row = make_row(context->user_fctx, (int) context->call_cntr,
						 context->tuple_desc);

	SRF_RETURN_NEXT(context, row);
}

Datum
facerec_face_detect(PG_FUNCTION_ARGS)
{
	return return_faces(fcinfo, false);
}

Datum
facerec_face_embed_all(PG_FUNCTION_ARGS)
{
	return return_faces(fcinfo, true);
}

/* ---- vectors from elsewhere --------------------------------------------- */

/* The numbers of a one-dimensional array without nulls. */
static float *
read_numbers(ArrayType *array, int *count)
{
	Datum *elements;
	bool *nulls;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
						errmsg("array must be 1-D")));
	deconstruct_array(array, FLOAT4OID, sizeof(float4), true, TYPALIGN_INT,
					  &elements, &nulls, count);

	float *numbers = palloc(sizeof(float) * (Size) (*count + 1));

	for (int i = 0; i < *count; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("array must not contain nulls")));
		numbers[i] = DatumGetFloat4(elements[i]);
	}
	return numbers;
}

Datum
facerec_face_embedding(PG_FUNCTION_ARGS)
{
	int count;
	float *values = read_numbers(PG_GETARG_ARRAYTYPE_P(0), &count);
	char *model = text_to_cstring(PG_GETARG_TEXT_PP(1));
	FrModelRow row;

	fr_catalog_resolve_role(model, FR_ROLE_EMBEDDER, &row);
	if (count != row.dims)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("expected %d dimensions, not %d", row.dims, count),
				 errdetail("Face model \"%s\" gives embeddings of %d "
						   "dimensions.",
						   row.name, row.dims)));
	PG_RETURN_POINTER(fr_embedding_make(values, count, row.fingerprint));
}
