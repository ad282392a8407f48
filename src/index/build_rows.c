/*
 * build_rows.c: all rows of a table, encoded and sorted by list.
 *
 * Rows are collected until the assigner can compare many of them with all
 * centroids at a time; then each is encoded and goes into a tuplesort, which
 * keeps to maintenance_work_mem.
 */
#include "postgres.h"

#include "catalog/index.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "index/build.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Behind the encoded record: per filter column 8 bytes of value, 1 of null. */
#define FILTER_BYTES (sizeof(uint64) + sizeof(bool))

/* ---- the sort ----------------------------------------------------------- */

TupleDesc
fr_build_sort_descriptor(void)
{
	TupleDesc descriptor = CreateTemplateTupleDesc(2);

	TupleDescInitEntry(descriptor, 1, "place", INT8OID, -1, 0);
	TupleDescInitEntry(descriptor, 2, "record", BYTEAOID, -1, 0);
	return descriptor;
}

Tuplesortstate *
fr_build_begin_sort(int work_memory_kb, SortCoordinate coordinate)
{
	AttrNumber column = 1;
	Oid less = Int8LessOperator;
	Oid collation = InvalidOid;
	bool is_nulls_first = false;

#if PG_VERSION_NUM >= 150000
	return tuplesort_begin_heap(fr_build_sort_descriptor(), 1, &column, &less,
								&collation, &is_nulls_first, work_memory_kb,
								coordinate, TUPLESORT_NONE);
#else
	return tuplesort_begin_heap(fr_build_sort_descriptor(), 1, &column, &less,
								&collation, &is_nulls_first, work_memory_kb,
								coordinate, false);
#endif
}

static int64
sort_key(uint32 list, const ItemPointerData *tid)
{
	return (int64) ((uint64) list << 48 |
					(uint64) ItemPointerGetBlockNumberNoCheck(tid) << 16 |
					ItemPointerGetOffsetNumberNoCheck(tid));
}

/* ---- rows in ------------------------------------------------------------ */

FrBuildRows *
fr_build_rows_create(Relation index, const FrBuildPlan *plan,
					 pg_atomic_uint32 *fingerprint, Tuplesortstate *sort)
{
	FrBuildRows *rows = palloc0(sizeof *rows);
	FrError error = {0};

	rows->allocator = fr_index_host->allocator(CurrentMemoryContext);
	rows->index = index;
	rows->plan = plan;
	rows->fingerprint = fingerprint;
	rows->sort = sort;
	rows->slot =
		MakeSingleTupleTableSlot(fr_build_sort_descriptor(), &TTSOpsVirtual);
	rows->row_context = AllocSetContextCreate(
		CurrentMemoryContext, "faceindex row", ALLOCSET_DEFAULT_SIZES);
	fr_row_encoder_init(&rows->encoder, &plan->shape, plan->meta.seed);
	fr_index_check_status(
		fr_assigner_create(&plan->shape, rows->encoder.kernels, plan->centroids,
						   plan->meta.list_count, &rows->allocator,
						   &rows->assigner, &error),
		&error, "could not prepare the centroids of an index");
	rows->rotated =
		palloc(FR_ASSIGN_ROWS * (Size) plan->shape.padded * sizeof(float));
	rows->lists = palloc(FR_ASSIGN_ROWS * sizeof(uint32));
	rows->tids = palloc(FR_ASSIGN_ROWS * sizeof(ItemPointerData));
	rows->filters = palloc(FR_ASSIGN_ROWS * sizeof(FrFilterValues));
	rows->record_bytes = VARHDRSZ + plan->shape.encoded_bytes +
						 plan->shape.filter_count * FILTER_BYTES;
	rows->record = palloc0(rows->record_bytes);
	SET_VARSIZE(rows->record, rows->record_bytes);
	rows->list_rows = palloc0(plan->meta.list_count * sizeof(uint64));
	return rows;
}

void
fr_build_rows_destroy(FrBuildRows *rows)
{
	fr_assigner_destroy(rows->assigner);
	ExecDropSingleTupleTableSlot(rows->slot);
	MemoryContextDelete(rows->row_context);
	pfree(rows->rotated);
}

/* Encode the row that waits at a position and give it to the sort. */
static void
sort_row(FrBuildRows *rows, int position)
{
	const FrBuildPlan *plan = rows->plan;
	const FrSearchShape *shape = &plan->shape;
	uint32 list = rows->lists[position];
	uint8 *record = (uint8 *) VARDATA(rows->record);
	const FrFilterValues *filters = &rows->filters[position];

	fr_code_encode(shape, rows->encoder.kernels,
				   rows->rotated + position * (Size) shape->padded,
				   fr_build_centroid(plan, list), record);
	record += shape->encoded_bytes;
	for (uint32 i = 0; i < shape->filter_count; i++)
	{
		memcpy(record, &filters->values[i], sizeof(uint64));
		record[sizeof(uint64)] = filters->is_null[i];
		record += FILTER_BYTES;
	}
	ExecClearTuple(rows->slot);
	rows->slot->tts_values[0] =
		Int64GetDatum(sort_key(list, &rows->tids[position]));
	rows->slot->tts_values[1] = PointerGetDatum(rows->record);
	rows->slot->tts_isnull[0] = rows->slot->tts_isnull[1] = false;
	ExecStoreVirtualTuple(rows->slot);
	tuplesort_puttupleslot(rows->sort, rows->slot);
	rows->list_rows[list]++;
}

static void
sort_waiting_rows(FrBuildRows *rows)
{
	FrCancel cancel = fr_index_host->cancel();
	FrError error = {0};

	fr_index_check_status(fr_assigner_run(rows->assigner, rows->rotated,
										  rows->count, rows->lists, NULL,
										  &cancel, &error),
						  &error, "could not choose the lists of embeddings");
	for (int i = 0; i < rows->count; i++)
		sort_row(rows, i);
	rows->row_count += rows->count;
	rows->count = 0;
}

/*
 * A row that is dead but for older snapshots, of another model: those must do
 * without the index, as if it lacked a row of a HOT chain.  When an index is
 * made anew they could not be told.
 */
static bool
is_dead_of_other_model(FrBuildRows *rows, const FrStoredEmbedding *embedding,
					   bool is_alive)
{
	uint32 known = pg_atomic_read_u32(rows->fingerprint);

	if (is_alive || ReindexIsProcessingIndex(RelationGetRelid(rows->index)) ||
		(embedding->dims == rows->plan->meta.dims &&
		 (embedding->fingerprint == known || embedding->fingerprint == 0)))
		return false;
	rows->info->ii_BrokenHotChain = true;
	return true;
}

/* All rows are of one model, whoever reads the first that knows its own. */
static void
check_model(FrBuildRows *rows, const FrStoredEmbedding *embedding)
{
	uint32 known = pg_atomic_read_u32(rows->fingerprint);

	if (known == 0 && embedding->fingerprint != 0 &&
		pg_atomic_compare_exchange_u32(rows->fingerprint, &known,
									   embedding->fingerprint))
		known = embedding->fingerprint;
	fr_row_check_model(rows->index, known, rows->plan->meta.dims, embedding);
}

static void
build_callback(Relation index, ItemPointer tid, Datum *values, bool *isnull,
			   bool is_alive, void *state)
{
	FrBuildRows *rows = state;
	const FrStoredEmbedding *embedding;
	MemoryContext caller;

	if (isnull[FR_EMBEDDING_COLUMN])
		return;
	caller = MemoryContextSwitchTo(rows->row_context);
	embedding = fr_row_embedding(values[FR_EMBEDDING_COLUMN]);
	if (is_dead_of_other_model(rows, embedding, is_alive))
	{
		MemoryContextSwitchTo(caller);
		MemoryContextReset(rows->row_context);
		return;
	}
	check_model(rows, embedding);
	fr_row_rotate(&rows->encoder, embedding,
				  rows->rotated +
					  rows->count * (Size) rows->plan->shape.padded);
	rows->tids[rows->count] = *tid;
	fr_row_filters(index, values, isnull, &rows->filters[rows->count]);
	rows->count++;
	MemoryContextSwitchTo(caller);
	MemoryContextReset(rows->row_context);
	if (rows->count == FR_ASSIGN_ROWS)
		sort_waiting_rows(rows);
}

double
fr_build_rows_scan(FrBuildRows *rows, Relation heap, IndexInfo *info,
				   TableScanDesc scan, bool is_progress)
{
	double heap_rows;

	rows->info = info;
	heap_rows = table_index_build_scan(heap, rows->index, info, true,
									   is_progress, build_callback, rows, scan);

	if (rows->count > 0)
		sort_waiting_rows(rows);
	if (is_progress)
		fr_build_set_phase(FR_PHASE_SORT);
	tuplesort_performsort(rows->sort);
	return heap_rows;
}

/* ---- rows out ----------------------------------------------------------- */

bool
fr_build_next_row(Tuplesortstate *sort, TupleTableSlot *slot,
				  const FrBuildPlan *plan, FrSortedRow *row)
{
	const FrSearchShape *shape = &plan->shape;
	bool is_null;
	uint64 key;
	const uint8 *record;

	if (!tuplesort_gettupleslot(sort, true, false, slot, NULL))
		return false;
	key = (uint64) DatumGetInt64(slot_getattr(slot, 1, &is_null));
	record = (const uint8 *) VARDATA_ANY(
		DatumGetPointer(slot_getattr(slot, 2, &is_null)));
	row->list = (uint32) (key >> 48);
	ItemPointerSet(&row->tid, (BlockNumber) (key >> 16), (uint16) key);
	row->encoded = record;
	record += shape->encoded_bytes;
	for (uint32 i = 0; i < shape->filter_count; i++)
	{
		memcpy(&row->filters.values[i], record, sizeof(uint64));
		row->filters.is_null[i] = record[sizeof(uint64)];
		record += FILTER_BYTES;
	}
	return true;
}
