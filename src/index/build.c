/*
 * build.c: CREATE INDEX and REINDEX.
 *
 * Sample, cluster, encode and sort all rows, write the lists, and last the
 * routing and meta pages in front of them; then log everything at once.
 * Nobody sees the index before that, so there is nothing to recover from a
 * build that fails.
 */
#include "postgres.h"

#include "index/build.h"

#include "access/generic_xlog.h"
#include "access/xloginsert.h"
#include "commands/progress.h"
#include "index/row.h"
#include "index/search_settings.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"

void
fr_build_set_phase(FrBuildPhase phase)
{
	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase);
}

char *
fr_index_build_phase(int64 phase)
{
	static const char *const names[] = {
		[FR_PHASE_INITIALIZE] = "initializing",
		[FR_PHASE_SAMPLE] = "sampling table",
		[FR_PHASE_CLUSTER] = "clustering sample",
		[FR_PHASE_CALIBRATE] = "calibrating probes",
		[FR_PHASE_SCAN] = "scanning table",
		[FR_PHASE_SORT] = "sorting by list",
		[FR_PHASE_WRITE] = "writing lists",
	};

	if (phase < FR_PHASE_INITIALIZE || phase >= (int64) lengthof(names))
		return NULL;
	return pstrdup(names[phase]);
}

/* ---- scanning ----------------------------------------------------------- */

/* How many workers the planner grants; PostgreSQL asks for AMs by itself from
 * version 17 on. */
static int
choose_workers(Relation heap, Relation index, IndexInfo *info)
{
#if PG_VERSION_NUM >= 170000
	return info->ii_ParallelWorkers;
#else
	if (!IsNormalProcessingMode())
		return 0;
	return plan_create_index_workers(RelationGetRelid(heap),
									 RelationGetRelid(index));
#endif
}

/* Read and sort all rows in this process. */
static Tuplesortstate *
scan_alone(Relation heap, Relation index, IndexInfo *info,
		   const FrBuildPlan *plan, FrBuildCounts *counts)
{
	Tuplesortstate *sort = fr_build_begin_sort(maintenance_work_mem, NULL);
	pg_atomic_uint32 fingerprint;
	FrBuildRows *rows;

	pg_atomic_init_u32(&fingerprint, plan->meta.fingerprint);
	rows = fr_build_rows_create(index, plan, &fingerprint, sort);
	counts->heap_rows = fr_build_rows_scan(rows, heap, info, NULL, true);
	counts->index_rows = rows->row_count;
	counts->list_rows = rows->list_rows;
	counts->fingerprint = pg_atomic_read_u32(&fingerprint);
	fr_build_rows_destroy(rows);
	return sort;
}

/* ---- pages in front ----------------------------------------------------- */

/* Add the pages of meta and routing, which are written last. */
static void
reserve_head(Relation index, uint32 routing_pages)
{
	for (uint32 i = 0; i <= routing_pages; i++)
	{
		Buffer buffer = fr_index_extend(index);

		if (BufferGetBlockNumber(buffer) != i)
			elog(ERROR, "index \"%s\" is not empty",
				 RelationGetRelationName(index));
		UnlockReleaseBuffer(buffer);
	}
}

static void
write_head(Relation index, const FrBuildPlan *plan, const char *entries)
{
	const FrMetaPage *meta = &plan->meta;

	for (uint32 i = 0; i <= meta->routing_pages; i++)
	{
		Buffer buffer = ReadBuffer(index, i);
		Page page = BufferGetPage(buffer);

		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		if (i == FR_INDEX_META_BLOCK)
			fr_meta_page_init(page, meta);
		else
			fr_routing_page_init(page, &plan->shape, i - 1, entries,
								 meta->list_count);
		MarkBufferDirty(buffer);
		UnlockReleaseBuffer(buffer);
	}
}

/* ---- build -------------------------------------------------------------- */

/* Read, encode, sort and write all rows; fills counts and entries. */
static void
build_lists(Relation heap, Relation index, IndexInfo *info,
			const FrBuildPlan *plan, FrBuildCounts *counts, char *entries)
{
	int workers = choose_workers(heap, index, info);
	FrParallelBuild *parallel = NULL;
	Tuplesortstate *sort = NULL;

	fr_build_set_phase(FR_PHASE_SCAN);
	if (workers > 0)
		parallel = fr_build_begin_parallel(heap, index, info, plan, workers,
										   counts, &sort);
	if (!parallel)
		sort = scan_alone(heap, index, info, plan, counts);
	fr_build_set_phase(FR_PHASE_WRITE);
	fr_build_write_lists(index, plan, counts, sort, entries);
	tuplesort_end(sort);
	if (parallel)
		fr_build_end_parallel(parallel);
}

uint64
fr_index_make_seed(void)
{
	uint64 seed;

	if (fr_setting_seed != 0)
		return (uint64) fr_setting_seed;
	if (!pg_strong_random(&seed, sizeof seed))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not generate a random seed")));
	return seed;
}

/* Exclusion constraints look for rows that no snapshot sees yet. */
static void
refuse_exclusion(const IndexInfo *info)
{
	if (info->ii_ExclusionOps)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a faceindex cannot be used for an exclusion "
						"constraint"),
				 errhint("Look for a matching face before the INSERT.")));
}

IndexBuildResult *
fr_index_build(Relation heap, Relation index, IndexInfo *info)
{
	IndexBuildResult *result = palloc0(sizeof *result);
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "faceindex build", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	FrBuildCounts counts = {0};
	FrBuildPlan plan;
	char *entries = NULL;

	refuse_exclusion(info);
	fr_build_make_plan(heap, index, info, &plan);
	counts.heap_rows = plan.heap_rows;
	if (plan.meta.dims > 0)
	{
		Size bytes = plan.meta.list_count * fr_routing_entry_bytes(&plan.shape);

		entries = palloc0(bytes);
		fr_meta_set_shape(&plan.meta, &plan.shape);
		plan.meta.routing_first = FR_INDEX_META_BLOCK + 1;
		plan.meta.routing_pages = (plan.meta.list_count - 1) /
									  fr_routing_entries_per_page(&plan.shape) +
								  1;
	}
	reserve_head(index, plan.meta.routing_pages);
	if (plan.meta.dims > 0)
	{
		build_lists(heap, index, info, &plan, &counts, entries);
		plan.meta.fingerprint = counts.fingerprint;
		plan.meta.rows_at_build = counts.index_rows;
	}
	write_head(index, &plan, entries);
	if (RelationNeedsWAL(index))
		log_newpage_range(index, MAIN_FORKNUM, 0,
						  RelationGetNumberOfBlocks(index), true);
	result->heap_tuples = counts.heap_rows;
	result->index_tuples = counts.index_rows;
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return result;
}

void
fr_index_build_empty(Relation index)
{
	FrMetaPage meta = {0};
	Buffer buffer;

	meta.magic = FR_INDEX_MAGIC;
	meta.format = FR_INDEX_FORMAT;
	meta.seed = fr_index_make_seed();
	fr_row_check_columns(index, &meta);
#if PG_VERSION_NUM >= 160000
	buffer = ExtendBufferedRel(BMR_REL(index), INIT_FORKNUM, NULL,
							   EB_LOCK_FIRST | EB_SKIP_EXTENSION_LOCK);
#else
	buffer = ReadBufferExtended(index, INIT_FORKNUM, P_NEW, RBM_NORMAL, NULL);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
#endif
	START_CRIT_SECTION();
	fr_meta_page_init(BufferGetPage(buffer), &meta);
	MarkBufferDirty(buffer);
	log_newpage_buffer(buffer, true);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
}
