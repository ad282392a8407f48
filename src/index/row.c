/*
 * row.c: from the values of a row to what an index keeps of it.
 */
#include "postgres.h"

#include "index/row.h"

#include "access/genam.h"

void
fr_row_encoder_init(FrRowEncoder *encoder, const FrSearchShape *shape,
					uint64 seed)
{
	FrAllocator allocator = fr_index_host->allocator(CurrentMemoryContext);
	FrError error = {0};

	encoder->shape = *shape;
	encoder->kernels = fr_index_host->kernels();
	encoder->rotated = palloc(shape->padded * sizeof(float));
	encoder->encoded = palloc(shape->encoded_bytes);
	fr_index_check_status(fr_rotation_init(&encoder->rotation, &encoder->shape,
										   seed, &allocator, &error),
						  &error, "could not prepare the codes of an index");
}

/* ---- columns ------------------------------------------------------------ */

/* Whether the class of a column is one of embeddings. */
static bool
is_embedding_column(Relation index, int column)
{
	return RegProcedureIsValid(
		index_getprocid(index, column + 1, FR_PROC_MATCH_DISTANCE));
}

static void
check_filter_column(Relation index, int column)
{
	Form_pg_attribute attribute =
		TupleDescAttr(RelationGetDescr(index), column);

	if (is_embedding_column(index, column))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a faceindex cannot have two columns of embeddings"),
				 errhint("Create one index for each of them.")));
	if (!attribute->attbyval || attribute->attlen < 1 || attribute->attlen > 8)
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("column \"%s\" cannot be a filter column of a faceindex",
					NameStr(attribute->attname)),
			 errdetail("Filter columns are of types that are passed by "
					   "value.")));
}

void
fr_row_check_columns(Relation index, FrMetaPage *meta)
{
	int count = IndexRelationGetNumberOfKeyAttributes(index);

	if (!is_embedding_column(index, FR_EMBEDDING_COLUMN))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the first column of a faceindex must be an embedding"),
				 errhint("Write USING faceindex (embedding, filter, ...).")));
	if (count - 1 > FR_SEARCH_MAX_FILTERS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("a faceindex cannot have more than %d filter columns",
						FR_SEARCH_MAX_FILTERS)));
	meta->filter_count = count - 1;
	for (int i = 1; i < count; i++)
	{
		check_filter_column(index, i);
		meta->filter_widths[i - 1] =
			TupleDescAttr(RelationGetDescr(index), i)->attlen;
	}
}

void
fr_row_filters(Relation index, const Datum *values, const bool *isnull,
			   FrFilterValues *filters)
{
	int count = IndexRelationGetNumberOfKeyAttributes(index);

	for (int i = 1; i < count; i++)
	{
		filters->is_null[i - 1] = isnull[i];
		filters->values[i - 1] = isnull[i] ? 0 : (uint64) values[i];
	}
}

/* ---- models ------------------------------------------------------------- */

void
fr_row_check_model(Relation index, uint32 fingerprint, int dims,
				   const FrStoredEmbedding *embedding)
{
	if (unlikely(fingerprint != 0 && embedding->fingerprint != 0 &&
				 fingerprint != embedding->fingerprint))
		ereport(
			ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("face embedding of model \"%s\" does not belong in index "
					"\"%s\"",
					fr_index_host->model_label(embedding->fingerprint),
					RelationGetRelationName(index)),
			 errdetail("The index holds embeddings of model \"%s\".",
					   fr_index_host->model_label(fingerprint)),
			 errhint(
				 "Embed all photos of a column with the same model: drop the "
				 "index, replace all embeddings, create the index. If no "
				 "row is left of the other model, VACUUM (INDEX_CLEANUP on) "
				 "the table, or REINDEX.")));
	if (unlikely(dims != embedding->dims))
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("face embedding of %d dimensions does not "
							   "belong in index \"%s\"",
							   embedding->dims, RelationGetRelationName(index)),
						errdetail("The index holds embeddings of %d "
								  "dimensions.",
								  dims),
						errhint("Drop the index, replace all embeddings, "
								"create the index. If no row is left of those "
								"dimensions, VACUUM (INDEX_CLEANUP on) the "
								"table, or REINDEX.")));
}

/* ---- item pointers ------------------------------------------------------ */

void
fr_row_check_tid(Relation index, Relation heap, const ItemPointerData *tid,
				 BlockNumber *heap_blocks)
{
	BlockNumber block = ItemPointerGetBlockNumberNoCheck(tid);

	if (likely(block < *heap_blocks))
		return;
	*heap_blocks = RelationGetNumberOfBlocks(heap);
	if (block >= *heap_blocks)
		fr_index_corrupt(index,
						 "It points at block %u of the table, which has %u.",
						 block, *heap_blocks);
}

/* ---- slots -------------------------------------------------------------- */

void
fr_row_put(const FrSearchShape *shape, Page code, Page rerank, uint32 slot,
		   const uint8 *encoded, const ItemPointerData *tid,
		   const FrFilterValues *filters)
{
	uint32 block = slot / FR_SEARCH_BLOCK;
	uint32 position = slot % shape->rerank_per_page;

	fr_code_page_use_block(code, shape, block);
	fr_rerank_page_use(rerank, shape, position);
	fr_block_put(shape, fr_code_block(code, shape, block),
				 slot % FR_SEARCH_BLOCK, encoded, fr_row_id(tid),
				 filters->values, filters->is_null);
	fr_rerank_put(shape, fr_rerank_area(rerank), position, encoded);
	FrPageGetCodeHeader(code)->live++;
}
