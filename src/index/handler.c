/*
 * handler.c: the access method faceindex as PostgreSQL sees it.
 *
 * An inverted file over the embeddings of one model: see README.
 */
#include "postgres.h"

#include "commands/vacuum.h"
#include "fmgr.h"
#include "index/index.h"
#include "index/plan_hook.h"
#include "index/scan.h"
#include "index/scan_limit.h"
#include "index/search_settings.h"
#include "nodes/makefuncs.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceindex_handler);

const FrIndexHost *fr_index_host;

void
fr_index_init(const FrIndexHost *host)
{
	fr_index_host = host;
	fr_index_options_init();
	fr_search_settings_init();
	fr_plan_hook_install();
	fr_limit_hook_install();
}

/* faceindex_handler(internal) -> index_am_handler */
Datum
facerec_faceindex_handler(PG_FUNCTION_ARGS)
{
	IndexAmRoutine *routine = makeNode(IndexAmRoutine);

	routine->amstrategies = FR_STRATEGY_COUNT;
	routine->amsupport = FR_PROC_COUNT;
	routine->amcanorderbyop = true;
	routine->amcanmulticol = true;
	/* Rows without an embedding are not in the index, but nothing asks for
	 * them: the cost estimate refuses scans that have neither an order nor a
	 * bound on the distance. */
	routine->amoptionalkey = true;
	/* Of filter columns; other faces are looked for row by row. */
	routine->amsearcharray = true;
	/* VACUUM's passes write what they find; each takes a worker of its own. */
	routine->amparallelvacuumoptions =
		VACUUM_OPTION_PARALLEL_BULKDEL | VACUUM_OPTION_PARALLEL_COND_CLEANUP;
#if PG_VERSION_NUM >= 170000
	/* plan_create_index_workers asks this. */
	routine->amcanbuildparallel = true;
#endif

	routine->ambuild = fr_index_build;
	routine->ambuildempty = fr_index_build_empty;
	routine->aminsert = fr_index_insert;
	routine->ambulkdelete = fr_index_bulk_delete;
	routine->amvacuumcleanup = fr_index_vacuum_cleanup;
	routine->amcostestimate = fr_index_cost_estimate;
	routine->amoptions = fr_index_options;
	routine->ambuildphasename = fr_index_build_phase;
	routine->amvalidate = fr_index_validate;
	routine->ambeginscan = fr_index_begin_scan;
	routine->amrescan = fr_index_rescan;
	routine->amgettuple = fr_index_get_tuple;
	routine->amendscan = fr_index_end_scan;
	PG_RETURN_POINTER(routine);
}
