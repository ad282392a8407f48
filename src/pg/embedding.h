/*
 * embedding.h: the on-disk form of the type faceembedding.
 *
 *  offset  size  field
 *  0       4     varlena header
 *  4       4     fingerprint of the model, 0 = unknown
 *  8       2     dims, 1..4096
 *  10      2     format version (high byte, 1) and flags (low byte, 0)
 *  12      4     scale, float4: 1 / norm of the stored halves
 *  16      2*n   the direction as IEEE 754 binary16
 *
 * The halves are an L2-normalised vector rounded to half precision; scale
 * makes the distance of equal embeddings exactly 0.  Both are the work of
 * core/metric/direction.h, which says why text, arrays and binary copies are
 * exact.  512 dimensions take 1,040 bytes.
 */
#ifndef FR_PG_EMBEDDING_H
#define FR_PG_EMBEDDING_H

#include "postgres.h"

#include "core/metric/direction.h"
#include "fmgr.h"
#include "pg/errors.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#define FR_EMBEDDING_MAX_DIMS FR_DIRECTION_MAX_DIMS
#define FR_EMBEDDING_VERSION  1

typedef struct FrEmbedding
{
	int32 vl_len_; /* do not touch directly */
	uint32 fingerprint;
	uint16 dims;
	uint16 version_flags;
	float4 scale;
	uint16 halves[FLEXIBLE_ARRAY_MEMBER];
} FrEmbedding;

#define FR_EMBEDDING_BYTES(dims) \
	(offsetof(FrEmbedding, halves) + sizeof(uint16) * (Size) (dims))

/* Detoast (also short headers: the struct needs 4-byte alignment). */
#define DatumGetFrEmbedding(d)	 ((FrEmbedding *) PG_DETOAST_DATUM(d))
#define PG_GETARG_FREMBEDDING(n) DatumGetFrEmbedding(PG_GETARG_DATUM(n))

/*
 * Make an embedding of values [dims] (of any norm but zero, all finite, at
 * most FR_EMBEDDING_MAX_DIMS; else an ERROR), normalised and rounded to
 * halves, in CurrentMemoryContext.
 */
extern FrEmbedding *
fr_embedding_make(const float *values, int dims, uint32 fingerprint);

/* ERROR unless a and b can be compared: same dims, and same model or one
 * unknown. */
extern void fr_embedding_check_pair(const FrEmbedding *a, const FrEmbedding *b);

/* ERROR: embeddings of these two known models cannot be mixed. */
pg_noreturn extern void fr_embedding_raise_models(uint32 a, uint32 b);

/* Cosine distance, 0..2, after fr_embedding_check_pair. */
extern double fr_embedding_distance(const FrEmbedding *a, const FrEmbedding *b);

#endif
