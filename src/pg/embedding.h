/*
 * embedding.h: values of the type faceembedding in the server.
 *
 * Their bytes are described in core/metric/stored_embedding.h.
 */
#ifndef FR_PG_EMBEDDING_H
#define FR_PG_EMBEDDING_H

#include "postgres.h"

#include "core/metric/stored_embedding.h"
#include "fmgr.h"
#include "pg/errors.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#define FR_EMBEDDING_MAX_DIMS FR_DIRECTION_MAX_DIMS
#define FR_EMBEDDING_VERSION  FR_STORED_EMBEDDING_VERSION

typedef FrStoredEmbedding FrEmbedding;

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
