/*
 * embedding_agg.c: the mean direction of embeddings, a person's template.
 *
 * avg(faceembedding) and face_template(faceembedding, weight) sum the unit
 * vectors in double precision and normalise the sum.  A mean of embeddings of
 * one model and others of an unknown model has an unknown model; two known
 * models are an error.  The state can be combined and sent between parallel
 * workers.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "libpq/pqformat.h"
#include "pg/embedding.h"
#include "pg/settings.h"
#include "utils/float.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_avg_accum);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_template_accum);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_avg_combine);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_avg_serialize);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_avg_deserialize);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_avg_final);

/* A sum of unit vectors shorter than this, relative to the weights, is
 * nothing but the rounding of halves. */
#define SHORTEST_MEAN 1e-6

typedef struct DirectionSum
{
	uint32 fingerprint; /* of the known model, 0 = none seen */
	bool has_unknown;	/* some embedding had no model */
	int dims;
	double weight; /* sum of the weights */
	double sums[FLEXIBLE_ARRAY_MEMBER];
} DirectionSum;

/* The context in which the state lives, or an ERROR. */
static MemoryContext
aggregate_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called in non-aggregate context");
	return context;
}

static DirectionSum *
make_sum(MemoryContext context, int dims)
{
	DirectionSum *sum = MemoryContextAllocZero(
		context, offsetof(DirectionSum, sums) + sizeof(double) * (Size) dims);

	sum->dims = dims;
	return sum;
}

/* Note the model of another part of the sum; ERROR if it does not fit. */
static void
add_model(DirectionSum *sum, uint32 fingerprint, bool has_unknown, int dims)
{
	if (fingerprint != 0 && sum->fingerprint != 0 &&
		fingerprint != sum->fingerprint)
		fr_embedding_raise_models(sum->fingerprint, fingerprint);
	if (dims != sum->dims)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("different face embedding dimensions %d and %d",
							   sum->dims, dims)));
	if (fingerprint != 0)
		sum->fingerprint = fingerprint;
	sum->has_unknown |= has_unknown;
}

static void
add_embedding(DirectionSum *sum, const FrEmbedding *embedding, double weight)
{
	float values[FR_EMBEDDING_MAX_DIMS];
	double factor = weight * (double) embedding->scale;

	add_model(sum, embedding->fingerprint, embedding->fingerprint == 0,
			  embedding->dims);
	fr_setting_kernels()->vector->f16_to_f32(embedding->halves, values,
											 embedding->dims);
	for (int i = 0; i < sum->dims; i++)
		sum->sums[i] += factor * (double) values[i];
	sum->weight += weight;
}

/* Add argument 1 to the state, argument 0. */
static Datum
accumulate(FunctionCallInfo fcinfo, double weight)
{
	MemoryContext context = aggregate_context(fcinfo);
	DirectionSum *sum =
		PG_ARGISNULL(0) ? NULL : (DirectionSum *) PG_GETARG_POINTER(0);
	FrEmbedding *embedding = PG_GETARG_FREMBEDDING(1);

	if (!sum)
		sum = make_sum(context, embedding->dims);
	add_embedding(sum, embedding, weight);
	PG_FREE_IF_COPY(embedding, 1);
	PG_RETURN_POINTER(sum);
}

/* The state as it is, when a row adds nothing. */
static Datum
unchanged(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}

/* (internal, faceembedding) -> internal */
Datum
facerec_faceembedding_avg_accum(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1))
		return unchanged(fcinfo);
	return accumulate(fcinfo, 1.0);
}

/* (internal, faceembedding, weight float8) -> internal; rows with weight 0
 * or NULL do not count. */
Datum
facerec_faceembedding_template_accum(PG_FUNCTION_ARGS)
{
	double weight;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return unchanged(fcinfo);
	weight = PG_GETARG_FLOAT8(2);
	if (isnan(weight) || isinf(weight) || weight < 0.0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("weight of a face embedding must be finite and not "
						"negative")));
	if (weight == 0.0)
		return unchanged(fcinfo);
	return accumulate(fcinfo, weight);
}

/* (internal, internal) -> internal */
Datum
facerec_faceembedding_avg_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context = aggregate_context(fcinfo);
	DirectionSum *sum, *other;

	if (PG_ARGISNULL(1))
		return unchanged(fcinfo);
	other = (DirectionSum *) PG_GETARG_POINTER(1);
	/* The other state may live shorter than ours, so it is added to zeros,
	 * not taken over. */
	sum = PG_ARGISNULL(0) ? make_sum(context, other->dims)
						  : (DirectionSum *) PG_GETARG_POINTER(0);
	add_model(sum, other->fingerprint, other->has_unknown, other->dims);
	for (int i = 0; i < sum->dims; i++)
		sum->sums[i] += other->sums[i];
	sum->weight += other->weight;
	PG_RETURN_POINTER(sum);
}

Datum
facerec_faceembedding_avg_serialize(PG_FUNCTION_ARGS)
{
	DirectionSum *sum = (DirectionSum *) PG_GETARG_POINTER(0);
	StringInfoData buffer;

	aggregate_context(fcinfo);
	pq_begintypsend(&buffer);
	pq_sendint32(&buffer, sum->fingerprint);
	pq_sendbyte(&buffer, sum->has_unknown);
	pq_sendint16(&buffer, (uint16) sum->dims);
	pq_sendfloat8(&buffer, sum->weight);
	for (int i = 0; i < sum->dims; i++)
		pq_sendfloat8(&buffer, sum->sums[i]);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buffer));
}

Datum
facerec_faceembedding_avg_deserialize(PG_FUNCTION_ARGS)
{
	bytea *bytes = PG_GETARG_BYTEA_PP(0);
	StringInfoData buffer;
	uint32 fingerprint;
	bool has_unknown;
	DirectionSum *sum;

	aggregate_context(fcinfo);
	initStringInfo(&buffer);
	appendBinaryStringInfo(&buffer, VARDATA_ANY(bytes),
						   VARSIZE_ANY_EXHDR(bytes));
	fingerprint = pq_getmsgint(&buffer, 4);
	has_unknown = pq_getmsgbyte(&buffer) != 0;
	sum = make_sum(CurrentMemoryContext, (int) pq_getmsgint(&buffer, 2));
	sum->fingerprint = fingerprint;
	sum->has_unknown = has_unknown;
	sum->weight = pq_getmsgfloat8(&buffer);
	for (int i = 0; i < sum->dims; i++)
		sum->sums[i] = pq_getmsgfloat8(&buffer);
	pq_getmsgend(&buffer);
	pfree(buffer.data);
	PG_RETURN_POINTER(sum);
}

/* The sum's direction [dims]; false when it has none. */
static bool
normalise(const DirectionSum *sum, float *values)
{
	double largest = 0.0, squares = 0.0;

	for (int i = 0; i < sum->dims; i++)
		largest = fmax(largest, fabs(sum->sums[i]));
	if (largest == 0.0)
		return false;
	/* Through the largest, so that no weight overflows or vanishes. */
	for (int i = 0; i < sum->dims; i++)
	{
		double value = sum->sums[i] / largest;

		values[i] = (float) value;
		squares += value * value;
	}
	return largest * sqrt(squares) > SHORTEST_MEAN * sum->weight;
}

Datum
facerec_faceembedding_avg_final(PG_FUNCTION_ARGS)
{
	DirectionSum *sum;
	float values[FR_EMBEDDING_MAX_DIMS];

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	sum = (DirectionSum *) PG_GETARG_POINTER(0);
	if (isinf(sum->weight))
		float_overflow_error();
	if (!normalise(sum, values))
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("mean of face embeddings has no direction"),
						errdetail("The embeddings cancel each other out.")));
	PG_RETURN_POINTER(fr_embedding_make(
		values, sum->dims, sum->has_unknown ? 0 : sum->fingerprint));
}
