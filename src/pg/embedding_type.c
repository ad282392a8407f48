/*
 * embedding_type.c: the type faceembedding: text and binary form, typmod,
 * casts, and what a value says about itself.
 *
 * The binary form, in network byte order:
 *
 *  offset  size  field
 *  0       1     format version, 1
 *  1       1     flags, 0
 *  2       2     dims, 1..4096
 *  4       4     fingerprint of the model, 0 = unknown
 *  8       2*n   the direction as IEEE 754 binary16
 *
 * The scale is not sent: it follows from the halves.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "core/metric/embedding_text.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "pg/catalog.h"
#include "pg/embedding.h"
#include "pg/settings.h"
#include "utils/array.h"
#include "utils/builtins.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_in);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_out);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_recv);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_send);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_typmod_in);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_enforce_typmod);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_to_float4);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_dims);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_model);

/* PostgreSQL 16 and later can ask the input function not to raise. */
#if PG_VERSION_NUM >= 160000
#define RETURN_ERROR(fcinfo, ...) \
	ereturn((fcinfo)->context, (Datum) 0, __VA_ARGS__)
#else
#define RETURN_ERROR(fcinfo, ...) ereport(ERROR, __VA_ARGS__)
#endif

/* How much of a wrong text a message repeats; logs are no place for whole
 * biometric templates. */
#define QUOTED_BYTES 64

StaticAssertDecl(offsetof(FrEmbedding, halves) == 16,
				 "the header of an embedding takes 16 bytes");

/* ---- faults ------------------------------------------------------------- */

/* SQLSTATE and message of a fault; syntax errors quote the text as well. */
typedef struct FaultText
{
	int sqlstate;
	const char *message;
	const char *detail; /* where the parser has none */
} FaultText;

static const FaultText fault_texts[] = {
	[FR_DIRECTION_SYNTAX] = {ERRCODE_INVALID_TEXT_REPRESENTATION,
							 "invalid input syntax for type faceembedding", ""},
	[FR_DIRECTION_EMPTY] = {ERRCODE_DATA_EXCEPTION,
							"faceembedding must have at least 1 dimension",
							"The list of values is empty."},
	[FR_DIRECTION_TOO_LONG] =
		{ERRCODE_PROGRAM_LIMIT_EXCEEDED,
		 "faceembedding cannot have more than " CppAsString2(
			 FR_DIRECTION_MAX_DIMS) " dimensions",
		 ""},
	[FR_DIRECTION_RANGE] = {ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
							"value out of range for type faceembedding", ""},
	[FR_DIRECTION_NAN] = {ERRCODE_DATA_EXCEPTION,
						  "NaN not allowed in faceembedding", ""},
	[FR_DIRECTION_INFINITE] = {ERRCODE_DATA_EXCEPTION,
							   "infinite value not allowed in faceembedding",
							   ""},
	[FR_DIRECTION_ZERO] = {ERRCODE_DATA_EXCEPTION,
						   "zero vector not allowed in faceembedding",
						   "A face embedding is a direction, and zeros have "
						   "none."},
};

FrEmbedding *
fr_embedding_make(const float *values, int dims, uint32 fingerprint)
{
	int room = Min(Max(dims, 0), FR_EMBEDDING_MAX_DIMS);
	FrEmbedding *embedding = palloc0(FR_EMBEDDING_BYTES(room));
	FrDirectionFault fault = fr_direction_pack(
		values, (size_t) Max(dims, 0), embedding->halves, &embedding->scale);

	if (fault != FR_DIRECTION_OK)
	{
		const FaultText *words = &fault_texts[fault];

		ereport(ERROR, (errcode(words->sqlstate), errmsg("%s", words->message),
						words->detail[0] ? errdetail("%s", words->detail) : 0));
	}
	SET_VARSIZE(embedding, FR_EMBEDDING_BYTES(dims));
	embedding->fingerprint = fingerprint;
	embedding->dims = (uint16) dims;
	embedding->version_flags = FR_EMBEDDING_VERSION << 8;
	return embedding;
}

/* Whether dims fit a typmod; -1 fits all. */
static bool
fits_typmod(int dims, int32 typmod)
{
	return typmod == -1 || typmod == dims;
}

/* ---- text --------------------------------------------------------------- */

/* The start of an input, for messages. */
static char *
quotable(const char *input)
{
	int length = (int) strlen(input);
	int clipped = pg_mbcliplen(input, length, QUOTED_BYTES);

	return psprintf("%.*s%s", clipped, input, clipped < length ? "..." : "");
}

Datum
facerec_faceembedding_in(PG_FUNCTION_ARGS)
{
	const char *input = PG_GETARG_CSTRING(0);
	int32 typmod = PG_GETARG_INT32(2);
	FrEmbeddingText *parsed = palloc(sizeof *parsed);
	FrEmbedding *embedding = NULL;
	FrError error = {0};
	FrDirectionFault fault = fr_embedding_parse(input, parsed, &error);

	if (fault == FR_DIRECTION_OK)
	{
		embedding = palloc0(FR_EMBEDDING_BYTES(parsed->count));
		fault = fr_direction_pack(parsed->values, parsed->count,
								  embedding->halves, &embedding->scale);
	}
	if (fault == FR_DIRECTION_SYNTAX)
		RETURN_ERROR(fcinfo, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
							  errmsg("%s: \"%s\"", fault_texts[fault].message,
									 quotable(input)),
							  errdetail_internal("%s", error.message)));
	if (fault != FR_DIRECTION_OK)
		RETURN_ERROR(fcinfo,
					 (errcode(fault_texts[fault].sqlstate),
					  errmsg("%s", fault_texts[fault].message),
					  errdetail_internal(
						  "%s", error.message[0] ? error.message
												 : fault_texts[fault].detail)));
	if (!fits_typmod((int) parsed->count, typmod))
		RETURN_ERROR(fcinfo, (errcode(ERRCODE_DATA_EXCEPTION),
							  errmsg("expected %d dimensions, not %d", typmod,
									 (int) parsed->count)));

	SET_VARSIZE(embedding, FR_EMBEDDING_BYTES(parsed->count));
	embedding->fingerprint = parsed->fingerprint;
	embedding->dims = (uint16) parsed->count;
	embedding->version_flags = FR_EMBEDDING_VERSION << 8;
	pfree(parsed);
	PG_RETURN_POINTER(embedding);
}

Datum
facerec_faceembedding_out(PG_FUNCTION_ARGS)
{
	FrEmbedding *embedding = PG_GETARG_FREMBEDDING(0);
	char *output = palloc(FR_EMBEDDING_TEXT_BYTES(embedding->dims));

	fr_embedding_format(embedding->fingerprint, embedding->halves,
						embedding->dims, output);
	PG_FREE_IF_COPY(embedding, 0);
	PG_RETURN_CSTRING(output);
}

/* ---- binary ------------------------------------------------------------- */

Datum
facerec_faceembedding_send(PG_FUNCTION_ARGS)
{
	FrEmbedding *embedding = PG_GETARG_FREMBEDDING(0);
	StringInfoData buffer;

	pq_begintypsend(&buffer);
	pq_sendbyte(&buffer, FR_EMBEDDING_VERSION);
	pq_sendbyte(&buffer, 0);
	pq_sendint16(&buffer, embedding->dims);
	pq_sendint32(&buffer, embedding->fingerprint);
	for (int i = 0; i < embedding->dims; i++)
		pq_sendint16(&buffer, embedding->halves[i]);
	PG_FREE_IF_COPY(embedding, 0);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buffer));
}

Datum
facerec_faceembedding_recv(PG_FUNCTION_ARGS)
{
	StringInfo buffer = (StringInfo) PG_GETARG_POINTER(0);
	int32 typmod = PG_GETARG_INT32(2);
	int version = pq_getmsgbyte(buffer);
	int flags = pq_getmsgbyte(buffer);
	int dims;
	FrEmbedding *embedding;

	if (version != FR_EMBEDDING_VERSION)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("unsupported faceembedding format version %d",
							   version)));
	if (flags != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("unsupported faceembedding flags %d", flags)));
	dims = (int) pq_getmsgint(buffer, 2);
	if (dims < 1 || dims > FR_EMBEDDING_MAX_DIMS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("faceembedding must have 1 to %d dimensions, not %d",
						FR_EMBEDDING_MAX_DIMS, dims)));
	if (!fits_typmod(dims, typmod))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("expected %d dimensions, not %d", typmod, dims)));

	embedding = palloc0(FR_EMBEDDING_BYTES(dims));
	SET_VARSIZE(embedding, FR_EMBEDDING_BYTES(dims));
	embedding->dims = (uint16) dims;
	embedding->version_flags = FR_EMBEDDING_VERSION << 8;
	embedding->fingerprint = pq_getmsgint(buffer, 4);
	for (int i = 0; i < dims; i++)
		embedding->halves[i] = (uint16) pq_getmsgint(buffer, 2);
	if (!fr_direction_scale(embedding->halves, (size_t) dims,
							&embedding->scale))
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("invalid faceembedding in binary format"),
						errdetail("The values are not a unit vector of finite "
								  "half-precision numbers.")));
	PG_RETURN_POINTER(embedding);
}

/* ---- typmod and casts --------------------------------------------------- */

/* The typmod is the number of dimensions, nothing that needs a catalog:
 * pg_restore creates tables before it fills ours. */
Datum
facerec_faceembedding_typmod_in(PG_FUNCTION_ARGS)
{
	int count;
	int32 *typmods = ArrayGetIntegerTypmods(PG_GETARG_ARRAYTYPE_P(0), &count);

	if (count != 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid type modifier"),
						errhint("Write faceembedding(512) for 512 "
								"dimensions.")));
	if (*typmods < 1)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("dimensions for type faceembedding must be at least 1")));
	if (*typmods > FR_EMBEDDING_MAX_DIMS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimensions for type faceembedding cannot exceed %d",
						FR_EMBEDDING_MAX_DIMS)));
	PG_RETURN_INT32(*typmods);
}

/* faceembedding(faceembedding, integer, boolean): the cast to a typmod. */
Datum
facerec_faceembedding_enforce_typmod(PG_FUNCTION_ARGS)
{
	FrEmbedding *embedding = PG_GETARG_FREMBEDDING(0);
	int32 typmod = PG_GETARG_INT32(1);

	if (!fits_typmod(embedding->dims, typmod))
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("expected %d dimensions, not %d", typmod,
							   embedding->dims)));
	PG_RETURN_POINTER(embedding);
}

/* faceembedding_to_float4(faceembedding, integer, boolean) -> real[]: the
 * stored halves, exactly; their norm is 1 to about three digits. */
Datum
facerec_faceembedding_to_float4(PG_FUNCTION_ARGS)
{
	FrEmbedding *embedding = PG_GETARG_FREMBEDDING(0);
	Size header_bytes = ARR_OVERHEAD_NONULLS(1);
	Size bytes = header_bytes + sizeof(float4) * embedding->dims;
	ArrayType *array = palloc0(bytes);

	SET_VARSIZE(array, bytes);
	array->ndim = 1;
	array->elemtype = FLOAT4OID;
	ARR_DIMS(array)[0] = embedding->dims;
	ARR_LBOUND(array)[0] = 1;
	fr_setting_kernels()->vector->f16_to_f32(
		embedding->halves, (float *) ((char *) array + header_bytes),
		embedding->dims);
	PG_FREE_IF_COPY(embedding, 0);
	PG_RETURN_ARRAYTYPE_P(array);
}

/* ---- what a value says -------------------------------------------------- */

Datum
facerec_face_dims(PG_FUNCTION_ARGS)
{
	FrEmbedding *embedding = PG_GETARG_FREMBEDDING(0);
	int dims = embedding->dims;

	PG_FREE_IF_COPY(embedding, 0);
	PG_RETURN_INT32(dims);
}

/* face_model(faceembedding) -> text: "name@1f3c9a7e". */
Datum
facerec_face_model(PG_FUNCTION_ARGS)
{
	FrEmbedding *embedding = PG_GETARG_FREMBEDDING(0);
	uint32 fingerprint = embedding->fingerprint;

	PG_FREE_IF_COPY(embedding, 0);
	PG_RETURN_TEXT_P(cstring_to_text(fr_catalog_model_label(fingerprint)));
}
