/*
 * build.h: the steps of CREATE INDEX and what they hand on.
 *
 *  build_sample    some rows of the table -> dims, model, number of rows;
 *                  k-means over them -> centroids: the plan
 *  build_calibrate the sample -> how many lists a recall below 1 needs
 *  build_rows      all rows -> encoded, in a sort by list and place
 *  build_parallel  the same by several processes
 *  build_lists     sorted rows -> pages
 *  build           meta, routing, WAL, and the order of these
 */
#ifndef FR_INDEX_BUILD_H
#define FR_INDEX_BUILD_H

#include "postgres.h"

#include "access/tableam.h"
#include "index/row.h"
#include "port/atomics.h"
#include "utils/tuplesort.h"

/* Phases in pg_stat_progress_create_index; the first is PostgreSQL's. */
typedef enum FrBuildPhase
{
	FR_PHASE_INITIALIZE = 1,
	FR_PHASE_SAMPLE,
	FR_PHASE_CLUSTER,
	FR_PHASE_CALIBRATE,
	FR_PHASE_SCAN,
	FR_PHASE_SORT,
	FR_PHASE_WRITE
} FrBuildPhase;

extern void fr_build_set_phase(FrBuildPhase phase);

/*
 * What is decided before all rows are read.  meta has dims, fingerprint,
 * seed, filter columns and list_count; dims 0 says that the table has no row
 * to index.
 */
typedef struct FrBuildPlan
{
	FrMetaPage meta;
	double heap_rows; /* of the table, if dims is 0 */
	FrSearchShape shape;
	Size centroids_bytes;
	char *centroids; /* [list_count, shape.centroid_bytes] */
} FrBuildPlan;

static inline const FrCentroid *
fr_build_centroid(const FrBuildPlan *plan, uint32 list)
{
	return (const FrCentroid *) (plan->centroids +
								 list * (Size) plan->shape.centroid_bytes);
}

/* Sample the table and cluster the sample. */
extern void fr_build_make_plan(Relation heap, Relation index, IndexInfo *info,
							   FrBuildPlan *plan);

/* Measure meta.probe_fractions with the sample [row_count, padded]. */
extern void fr_build_calibrate(FrBuildPlan *plan, const FrKernels *kernels,
							   const float *sample, uint32 row_count);

/* ---- encoded rows ------------------------------------------------------- */

/*
 * A row in the sort: the key is (list << 48 | block << 16 | offset), so that
 * lists are written in the order of the table whoever read it; the rest is
 * the encoded record and the filter columns.
 */
typedef struct FrBuildRows
{
	Relation index;
	const FrBuildPlan *plan;
	FrRowEncoder encoder;
	FrAllocator allocator; /* of the assigner, which points at it */
	FrAssigner *assigner;
	pg_atomic_uint32 *fingerprint; /* of all rows; shared by workers */
	Tuplesortstate *sort;
	TupleTableSlot *slot;
	MemoryContext row_context; /* reset per row: detoasted values */

	/* Rows are assigned many at a time. */
	int count;
	float *rotated; /* [FR_ASSIGN_ROWS, padded] */
	uint32 *lists;
	ItemPointerData *tids;
	FrFilterValues *filters;
	bytea *record; /* encoded row and filter columns */
	Size record_bytes;

	IndexInfo *info;   /* of the scan */
	double row_count;  /* indexed */
	uint64 *list_rows; /* [list_count], of this process */
} FrBuildRows;

extern TupleDesc fr_build_sort_descriptor(void);
extern Tuplesortstate *
fr_build_begin_sort(int work_memory_kb, SortCoordinate coordinate);

extern FrBuildRows *
fr_build_rows_create(Relation index, const FrBuildPlan *plan,
					 pg_atomic_uint32 *fingerprint, Tuplesortstate *sort);

/* Encode what the scan gives (NULL: a scan of the whole table) and sort it;
 * returns the number of rows of the table. */
extern double
fr_build_rows_scan(FrBuildRows *rows, Relation heap, IndexInfo *info,
				   TableScanDesc scan, bool is_progress);

extern void fr_build_rows_destroy(FrBuildRows *rows);

/* A row as it comes out of the sort. */
typedef struct FrSortedRow
{
	uint32 list;
	ItemPointerData tid;
	const uint8 *encoded;
	FrFilterValues filters;
} FrSortedRow;

/* Next row, or false; valid until the next call. */
extern bool fr_build_next_row(Tuplesortstate *sort, TupleTableSlot *slot,
							  const FrBuildPlan *plan, FrSortedRow *row);

/* ---- several processes -------------------------------------------------- */

typedef struct FrParallelBuild FrParallelBuild;

/* What scanning gave, of all processes. */
typedef struct FrBuildCounts
{
	double heap_rows, index_rows;
	uint32 fingerprint;
	uint64 *list_rows; /* [list_count], palloc'd */
} FrBuildCounts;

/* Scan with workers; NULL when none could be started.  The sort, which
 * *sort is set to, lives until fr_build_end_parallel. */
extern FrParallelBuild *
fr_build_begin_parallel(Relation heap, Relation index, IndexInfo *info,
						const FrBuildPlan *plan, int workers,
						FrBuildCounts *counts, Tuplesortstate **sort);
extern void fr_build_end_parallel(FrParallelBuild *build);

/* ---- pages -------------------------------------------------------------- */

/* Write all lists behind what the index has, and set entries (as on disk,
 * [list_count] of fr_routing_entry_bytes). */
extern void fr_build_write_lists(Relation index, const FrBuildPlan *plan,
								 const FrBuildCounts *counts,
								 Tuplesortstate *sort, char *entries);

#endif
