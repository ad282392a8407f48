/*
 * row.h: from the values of a row to what an index keeps of it.
 */
#ifndef FR_INDEX_ROW_H
#define FR_INDEX_ROW_H

#include "postgres.h"

#include "fmgr.h"
#include "index/index.h"
#include "storage/itemptr.h"

/* The values of filter columns as blocks take them. */
typedef struct FrFilterValues
{
	uint64 values[FR_SEARCH_MAX_FILTERS];
	bool is_null[FR_SEARCH_MAX_FILTERS];
} FrFilterValues;

/* Rotates and encodes; of one shape and seed. */
typedef struct FrRowEncoder
{
	FrSearchShape shape;
	const FrKernels *kernels;
	FrRotation rotation;
	float *rotated; /* [padded] */
	uint8 *encoded; /* [encoded_bytes] */
} FrRowEncoder;

/* Make an encoder in CurrentMemoryContext, which frees it. */
extern void fr_row_encoder_init(FrRowEncoder *encoder,
								const FrSearchShape *shape, uint64 seed);

/* ERROR unless the columns of an index are one embedding and then at most
 * FR_SEARCH_MAX_FILTERS filter columns; writes their number and widths to
 * meta. */
extern void fr_row_check_columns(Relation index, FrMetaPage *meta);

/* The embedding of a row, detoasted. */
static inline const FrStoredEmbedding *
fr_row_embedding(Datum value)
{
	return (const FrStoredEmbedding *) PG_DETOAST_DATUM(value);
}

/*
 * ERROR unless an embedding fits an index of these dims and this model.
 * Unknown models go with every model, as for the operators: such rows can be
 * found by a face of any model.
 */
extern void fr_row_check_model(Relation index, uint32 fingerprint, int dims,
							   const FrStoredEmbedding *embedding);

/*
 * Write into the meta page what the row is the first to say: the number of
 * dimensions, the model.  Another process may have been faster, also with
 * another model.
 */
extern void
fr_index_learn_model(Relation index, const FrStoredEmbedding *embedding);

/*
 * ERROR unless an item pointer of the index points at a block that the table
 * has, at least *heap_blocks of them: whoever asks the table for another one
 * would be told that the table is damaged.
 */
extern void
fr_row_check_tid(Relation index, Relation heap, const ItemPointerData *tid,
				 BlockNumber *heap_blocks);

/* The filter columns of a row. */
extern void fr_row_filters(Relation index, const Datum *values,
						   const bool *isnull, FrFilterValues *filters);

static inline void
fr_row_rotate(FrRowEncoder *encoder, const FrStoredEmbedding *embedding,
			  float *rotated)
{
	fr_rotation_apply_halves(&encoder->rotation, encoder->kernels,
							 embedding->halves, embedding->scale, rotated);
}

/* Row ids of the core are item pointers, byte by byte. */
StaticAssertDecl(sizeof(FrRowId) == sizeof(ItemPointerData),
				 "a row id holds an item pointer");

static inline FrRowId
fr_row_id(const ItemPointerData *tid)
{
	FrRowId row;

	memcpy(&row, tid, sizeof row);
	return row;
}

static inline ItemPointerData
fr_row_tid(FrRowId row)
{
	ItemPointerData tid;

	memcpy(&tid, &row, sizeof tid);
	return tid;
}

/* Put a row into a slot of a code page and its re-rank code into the page
 * that the slot belongs to (both writable images); counts it as live. */
extern void
fr_row_put(const FrSearchShape *shape, Page code, Page rerank, uint32 slot,
		   const uint8 *encoded, const ItemPointerData *tid,
		   const FrFilterValues *filters);

#endif
