/*
 * build_parallel.c: CREATE INDEX by several processes.
 *
 * The leader samples and clusters alone.  Then leader and workers share one
 * parallel scan of the table; each encodes the rows that it gets into a sort
 * of its own, and the leader merges the sorted runs.  The arrangement is that
 * of PostgreSQL's btree (access/nbtree/nbtsort.c).
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "commands/progress.h"
#include "executor/instrument.h"
#include "index/build.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/condition_variable.h"
#include "storage/spin.h"
#include "tcop/tcopprot.h"
#include "utils/snapmgr.h"

#if PG_VERSION_NUM >= 140000
#include "utils/backend_status.h"
#include "utils/wait_event.h"
#endif

#define KEY_SHARED	  UINT64CONST(0xFACE000000000001)
#define KEY_PLAN	  UINT64CONST(0xFACE000000000002)
#define KEY_CENTROIDS UINT64CONST(0xFACE000000000003)
#define KEY_ROWS	  UINT64CONST(0xFACE000000000004)
#define KEY_SORT	  UINT64CONST(0xFACE000000000005)
#define KEY_QUERY	  UINT64CONST(0xFACE000000000006)
#define KEY_WAL		  UINT64CONST(0xFACE000000000007)
#define KEY_BUFFERS	  UINT64CONST(0xFACE000000000008)

typedef struct Shared
{
	Oid heap, index;
	bool is_concurrent;
	int sort_count; /* processes that sort, the leader included */
	int work_memory_kb;
	pg_atomic_uint32 fingerprint;
	ConditionVariable done;
	slock_t mutex; /* of what follows */
	int done_count;
	double heap_rows, index_rows;
	bool has_broken_hot_chain;
	/* the parallel table scan follows, BUFFERALIGNed */
} Shared;

#define SharedGetScan(shared) \
	((ParallelTableScanDesc) ((char *) (shared) + BUFFERALIGN(sizeof(Shared))))

struct FrParallelBuild
{
	ParallelContext *context;
	Shared *shared;
	Sharedsort *sort;
	Snapshot snapshot;
	WalUsage *wal;
	BufferUsage *buffers;
};

PGDLLEXPORT void fr_index_build_worker(dsm_segment *segment, shm_toc *toc);

/* ---- what every process does -------------------------------------------- */

/* Add what this process counted. */
static void
report(Shared *shared, const FrBuildRows *rows, pg_atomic_uint64 *list_rows,
	   const IndexInfo *info, double heap_rows)
{
	for (uint32 i = 0; i < rows->plan->meta.list_count; i++)
		pg_atomic_fetch_add_u64(&list_rows[i], (int64) rows->list_rows[i]);
	SpinLockAcquire(&shared->mutex);
	shared->done_count++;
	shared->heap_rows += heap_rows;
	shared->index_rows += rows->row_count;
	shared->has_broken_hot_chain |= info->ii_BrokenHotChain;
	SpinLockRelease(&shared->mutex);
	ConditionVariableSignal(&shared->done);
}

/* Scan a part of the table into a sorted run. */
static void
scan_part(Relation heap, Relation index, const FrBuildPlan *plan,
		  Shared *shared, Sharedsort *shared_sort, pg_atomic_uint64 *list_rows,
		  bool is_leader)
{
	SortCoordinate coordinate = palloc0(sizeof *coordinate);
	IndexInfo *info = BuildIndexInfo(index);
	Tuplesortstate *sort;
	FrBuildRows *rows;
	TableScanDesc scan;
	double heap_rows;

	coordinate->isWorker = true;
	coordinate->nParticipants = -1;
	coordinate->sharedsort = shared_sort;
	info->ii_Concurrent = shared->is_concurrent;
	sort = fr_build_begin_sort(shared->work_memory_kb, coordinate);
	rows = fr_build_rows_create(index, plan, &shared->fingerprint, sort);
	scan = table_beginscan_parallel(heap, SharedGetScan(shared));
	heap_rows = fr_build_rows_scan(rows, heap, info, scan, is_leader);
	report(shared, rows, list_rows, info, heap_rows);
	fr_build_rows_destroy(rows);
	tuplesort_end(sort);
}

/* ---- workers ------------------------------------------------------------ */

void
fr_index_build_worker(dsm_segment *segment, shm_toc *toc)
{
	Shared *shared = shm_toc_lookup(toc, KEY_SHARED, false);
	FrBuildPlan plan = *(FrBuildPlan *) shm_toc_lookup(toc, KEY_PLAN, false);
	Sharedsort *sort = shm_toc_lookup(toc, KEY_SORT, false);
	BufferUsage *buffers = shm_toc_lookup(toc, KEY_BUFFERS, false);
	WalUsage *wal = shm_toc_lookup(toc, KEY_WAL, false);
	char *query = shm_toc_lookup(toc, KEY_QUERY, true);
	LOCKMODE heap_lock =
		shared->is_concurrent ? ShareUpdateExclusiveLock : ShareLock;
	LOCKMODE index_lock =
		shared->is_concurrent ? RowExclusiveLock : AccessExclusiveLock;
	Relation heap;
	Relation index;

	debug_query_string = query;
	pgstat_report_activity(STATE_RUNNING, debug_query_string);
	plan.centroids = shm_toc_lookup(toc, KEY_CENTROIDS, false);
	heap = table_open(shared->heap, heap_lock);
	index = index_open(shared->index, index_lock);
	tuplesort_attach_shared(sort, segment);
	InstrStartParallelQuery();
	scan_part(heap, index, &plan, shared, sort,
			  shm_toc_lookup(toc, KEY_ROWS, false), false);
	InstrEndParallelQuery(&buffers[ParallelWorkerNumber],
						  &wal[ParallelWorkerNumber]);
	index_close(index, index_lock);
	table_close(heap, heap_lock);
}

/* ---- leader ------------------------------------------------------------- */

static void
estimate(shm_toc_estimator *estimator, Size bytes)
{
	shm_toc_estimate_chunk(estimator, bytes);
	shm_toc_estimate_keys(estimator, 1);
}

static void *
allocate(shm_toc *toc, uint64 key, Size bytes)
{
	void *chunk = shm_toc_allocate(toc, bytes);

	memset(chunk, 0, bytes);
	shm_toc_insert(toc, key, chunk);
	return chunk;
}

static Shared *
init_shared(ParallelContext *context, Relation heap, Relation index,
			IndexInfo *info, const FrBuildPlan *plan, Snapshot snapshot,
			Size bytes)
{
	Shared *shared = allocate(context->toc, KEY_SHARED, bytes);

	shared->heap = RelationGetRelid(heap);
	shared->index = RelationGetRelid(index);
	shared->is_concurrent = info->ii_Concurrent;
	shared->sort_count = context->nworkers + 1;
	shared->work_memory_kb = Max(maintenance_work_mem / shared->sort_count, 64);
	pg_atomic_init_u32(&shared->fingerprint, plan->meta.fingerprint);
	ConditionVariableInit(&shared->done);
	SpinLockInit(&shared->mutex);
	table_parallelscan_initialize(heap, SharedGetScan(shared), snapshot);
	return shared;
}

/* Put everything that workers need into shared memory. */
static pg_atomic_uint64 *
fill_shared(FrParallelBuild *build, Relation heap, Relation index,
			IndexInfo *info, const FrBuildPlan *plan, Size shared_bytes,
			Size sort_bytes)
{
	ParallelContext *context = build->context;
	shm_toc *toc = context->toc;
	uint32 lists = plan->meta.list_count;
	pg_atomic_uint64 *list_rows;

	build->shared = init_shared(context, heap, index, info, plan,
								build->snapshot, shared_bytes);
	memcpy(allocate(toc, KEY_PLAN, sizeof *plan), plan, sizeof *plan);
	memcpy(allocate(toc, KEY_CENTROIDS, plan->centroids_bytes), plan->centroids,
		   plan->centroids_bytes);
	list_rows = allocate(toc, KEY_ROWS, lists * sizeof *list_rows);
	for (uint32 i = 0; i < lists; i++)
		pg_atomic_init_u64(&list_rows[i], 0);
	build->sort = allocate(toc, KEY_SORT, sort_bytes);
	tuplesort_initialize_shared(build->sort, build->shared->sort_count,
								context->seg);
	build->buffers =
		allocate(toc, KEY_BUFFERS, context->nworkers * sizeof(BufferUsage));
	build->wal = allocate(toc, KEY_WAL, context->nworkers * sizeof(WalUsage));
	if (debug_query_string)
		strcpy(allocate(toc, KEY_QUERY, strlen(debug_query_string) + 1),
			   debug_query_string);
	return list_rows;
}

/* A parallel context with room for all; false when there is none. */
static bool
create_context(FrParallelBuild *build, Relation heap, IndexInfo *info,
			   const FrBuildPlan *plan, int workers, Size *shared_bytes,
			   Size *sort_bytes)
{
	ParallelContext *context;
	shm_toc_estimator *estimator;

	EnterParallelMode();
	build->context = context =
		CreateParallelContext("facerec", "fr_index_build_worker", workers);
	build->snapshot = info->ii_Concurrent
						  ? RegisterSnapshot(GetTransactionSnapshot())
						  : SnapshotAny;
	estimator = &context->estimator;
	*shared_bytes =
		add_size(BUFFERALIGN(sizeof(Shared)),
				 table_parallelscan_estimate(heap, build->snapshot));
	*sort_bytes = tuplesort_estimate_shared(workers + 1);
	estimate(estimator, *shared_bytes);
	estimate(estimator, *sort_bytes);
	estimate(estimator, sizeof *plan);
	estimate(estimator, plan->centroids_bytes);
	estimate(estimator, plan->meta.list_count * sizeof(pg_atomic_uint64));
	estimate(estimator, mul_size(sizeof(BufferUsage), workers));
	estimate(estimator, mul_size(sizeof(WalUsage), workers));
	if (debug_query_string)
		estimate(estimator, strlen(debug_query_string) + 1);
	InitializeParallelDSM(context);
	return context->seg != NULL;
}

static void
destroy_context(FrParallelBuild *build)
{
	if (IsMVCCSnapshot(build->snapshot))
		UnregisterSnapshot(build->snapshot);
	DestroyParallelContext(build->context);
	ExitParallelMode();
	pfree(build);
}

/* Wait until everybody who started has sorted. */
static void
wait_for_runs(const FrParallelBuild *build, int expected)
{
	Shared *shared = build->shared;

	for (;;)
	{
		int done_count;

		SpinLockAcquire(&shared->mutex);
		done_count = shared->done_count;
		SpinLockRelease(&shared->mutex);
		if (done_count == expected)
			break;
		ConditionVariableSleep(&shared->done,
							   WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
	}
	ConditionVariableCancelSleep();
}

/* Begin to merge the runs of all. */
static Tuplesortstate *
merge_runs(FrParallelBuild *build, int run_count)
{
	SortCoordinate coordinate = palloc0(sizeof *coordinate);
	Tuplesortstate *sort;

	coordinate->isWorker = false;
	coordinate->nParticipants = run_count;
	coordinate->sharedsort = build->sort;
	sort = fr_build_begin_sort(maintenance_work_mem, coordinate);
	tuplesort_performsort(sort);
	return sort;
}

FrParallelBuild *
fr_build_begin_parallel(Relation heap, Relation index, IndexInfo *info,
						const FrBuildPlan *plan, int workers,
						FrBuildCounts *counts, Tuplesortstate **sort)
{
	FrParallelBuild *build = palloc0(sizeof *build);
	uint32 lists = plan->meta.list_count;
	Size shared_bytes;
	Size sort_bytes;
	pg_atomic_uint64 *list_rows;
	int run_count;

	if (!create_context(build, heap, info, plan, workers, &shared_bytes,
						&sort_bytes))
	{
		destroy_context(build);
		return NULL;
	}
	list_rows =
		fill_shared(build, heap, index, info, plan, shared_bytes, sort_bytes);
	LaunchParallelWorkers(build->context);
	if (build->context->nworkers_launched == 0)
	{
		WaitForParallelWorkersToFinish(build->context);
		destroy_context(build);
		return NULL;
	}
	run_count = build->context->nworkers_launched + 1;
	scan_part(heap, index, plan, build->shared, build->sort, list_rows, true);
	WaitForParallelWorkersToAttach(build->context);
	wait_for_runs(build, run_count);
	*sort = merge_runs(build, run_count);
	/* The caller's says whether older snapshots may use the index. */
	info->ii_BrokenHotChain |= build->shared->has_broken_hot_chain;
	counts->heap_rows = build->shared->heap_rows;
	counts->index_rows = build->shared->index_rows;
	counts->fingerprint = pg_atomic_read_u32(&build->shared->fingerprint);
	counts->list_rows = palloc(lists * sizeof(uint64));
	for (uint32 i = 0; i < lists; i++)
		counts->list_rows[i] = pg_atomic_read_u64(&list_rows[i]);
	return build;
}

void
fr_build_end_parallel(FrParallelBuild *build)
{
	WaitForParallelWorkersToFinish(build->context);
	for (int i = 0; i < build->context->nworkers_launched; i++)
		InstrAccumParallelQuery(&build->buffers[i], &build->wal[i]);
	destroy_context(build);
}
