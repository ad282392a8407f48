/*
 * embedding_ops.c: distances of embeddings, their total order and their hash.
 *
 * Distances refuse to compare two known models.  The order (fingerprint, then
 * dimensions, then values) does not: it serves DISTINCT, joins and btree,
 * which must be able to sort anything.
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"
#include "pg/catalog.h"
#include "pg/embedding.h"
#include "pg/settings.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_distance);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_similarity);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_l2_distance);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_l1_distance);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_negative_inner_product);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_lt);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_le);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_eq);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_ne);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_ge);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_gt);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_cmp);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_hash);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_hash_extended);

/* ---- distances ---------------------------------------------------------- */

void
fr_embedding_raise_models(uint32 a, uint32 b)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("cannot compare face embeddings of different models"),
			 errdetail("The models are \"%s\" and \"%s\".",
					   fr_catalog_model_label(a), fr_catalog_model_label(b)),
			 errhint("Embed both photos with the same model.")));
}

void
fr_embedding_check_pair(const FrEmbedding *a, const FrEmbedding *b)
{
	if (unlikely(a->fingerprint != b->fingerprint && a->fingerprint != 0 &&
				 b->fingerprint != 0))
		fr_embedding_raise_models(a->fingerprint, b->fingerprint);
	if (unlikely(a->dims != b->dims))
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("different face embedding dimensions %d and %d",
							   a->dims, b->dims)));
}

double
fr_embedding_distance(const FrEmbedding *a, const FrEmbedding *b)
{
	return fr_stored_distance(fr_setting_kernels()->vector, a, b);
}

/* A distance of two arguments that can be compared. */
typedef double (*Distance)(const FrEmbedding *a, const FrEmbedding *b);

static inline Datum
call_distance(FunctionCallInfo fcinfo, Distance distance)
{
	FrEmbedding *a = PG_GETARG_FREMBEDDING(0);
	FrEmbedding *b = PG_GETARG_FREMBEDDING(1);
	double result;

	fr_embedding_check_pair(a, b);
	result = distance(a, b);
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	PG_RETURN_FLOAT8(result);
}

static double
similarity(const FrEmbedding *a, const FrEmbedding *b)
{
	return 1.0 - fr_embedding_distance(a, b);
}

static double
l2_distance(const FrEmbedding *a, const FrEmbedding *b)
{
	return fr_stored_l2_distance(fr_setting_kernels()->vector, a, b);
}

static double
l1_distance(const FrEmbedding *a, const FrEmbedding *b)
{
	return fr_setting_kernels()->vector->taxicab_f16(
		a->halves, a->scale, b->halves, b->scale, a->dims);
}

static double
negative_inner_product(const FrEmbedding *a, const FrEmbedding *b)
{
	return fr_embedding_distance(a, b) - 1.0;
}

/* a <=> b: cosine distance, 0..2 */
Datum
facerec_face_distance(PG_FUNCTION_ARGS)
{
	return call_distance(fcinfo, fr_embedding_distance);
}

/* 1 - (a <=> b): cosine similarity, -1..1 */
Datum
facerec_face_similarity(PG_FUNCTION_ARGS)
{
	return call_distance(fcinfo, similarity);
}

/* a <-> b: Euclidean distance of the unit vectors, 0..2 */
Datum
facerec_face_l2_distance(PG_FUNCTION_ARGS)
{
	return call_distance(fcinfo, l2_distance);
}

/* a <+> b: taxicab distance of the unit vectors */
Datum
facerec_face_l1_distance(PG_FUNCTION_ARGS)
{
	return call_distance(fcinfo, l1_distance);
}

/* a <#> b: negative inner product of the unit vectors, -1..1 */
Datum
facerec_face_negative_inner_product(PG_FUNCTION_ARGS)
{
	return call_distance(fcinfo, negative_inner_product);
}

/* ---- total order -------------------------------------------------------- */

/* A half as an integer of the same order (there are no negative zeros). */
static inline int
order_of_half(uint16 half)
{
	return half & 0x8000 ? -(half & 0x7fff) : half;
}

static int
compare(const FrEmbedding *a, const FrEmbedding *b)
{
	if (a->fingerprint != b->fingerprint)
		return a->fingerprint < b->fingerprint ? -1 : 1;
	if (a->dims != b->dims)
		return a->dims < b->dims ? -1 : 1;
	for (int i = 0; i < a->dims; i++)
		if (a->halves[i] != b->halves[i])
			return order_of_half(a->halves[i]) < order_of_half(b->halves[i])
					   ? -1
					   : 1;
	return 0;
}

/* Compare the two arguments of a function. */
static int
compare_arguments(FunctionCallInfo fcinfo)
{
	FrEmbedding *a = PG_GETARG_FREMBEDDING(0);
	FrEmbedding *b = PG_GETARG_FREMBEDDING(1);
	int order = compare(a, b);

	/* Index access methods expect comparisons not to leak. */
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return order;
}

Datum
facerec_faceembedding_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) < 0);
}

Datum
facerec_faceembedding_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) <= 0);
}

Datum
facerec_faceembedding_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) == 0);
}

Datum
facerec_faceembedding_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) != 0);
}

Datum
facerec_faceembedding_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) >= 0);
}

Datum
facerec_faceembedding_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) > 0);
}

Datum
facerec_faceembedding_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_arguments(fcinfo));
}

/* ---- hash --------------------------------------------------------------- */

/* What equality looks at: the fingerprint and the halves. */
static uint64
hash_embedding(const FrEmbedding *embedding, uint64 seed)
{
	uint64 values =
		hash_bytes_extended((const unsigned char *) embedding->halves,
							(int) (embedding->dims * sizeof(uint16)), seed);

	return hash_combine64(
		values, hash_bytes_uint32_extended(embedding->fingerprint, seed));
}

Datum
facerec_faceembedding_hash(PG_FUNCTION_ARGS)
{
	FrEmbedding *embedding = PG_GETARG_FREMBEDDING(0);
	uint64 hash = hash_embedding(embedding, 0);

	PG_FREE_IF_COPY(embedding, 0);
	PG_RETURN_UINT32((uint32) hash);
}

/* With seed 0 the low 32 bits must be those of the plain hash. */
Datum
facerec_faceembedding_hash_extended(PG_FUNCTION_ARGS)
{
	FrEmbedding *embedding = PG_GETARG_FREMBEDDING(0);
	uint64 hash = hash_embedding(embedding, (uint64) PG_GETARG_INT64(1));

	PG_FREE_IF_COPY(embedding, 0);
	PG_RETURN_UINT64(hash);
}
