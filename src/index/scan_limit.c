/*
 * scan_limit.c: tells scans what the query's LIMIT wants of them.
 *
 * When the executor has set up a query, each LIMIT is followed down to the
 * scans of a faceindex that feed it row by row.  A limit that is an expression
 * of constants and parameters is known by then; others stay unknown, which
 * costs time and no rows.
 */
#include "postgres.h"

#include "index/scan_limit.h"

#include "executor/executor.h"
#include "index/index.h"
#include "index/scan.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/rel.h"

/* Rows to look for with a filter, for each that is expected to be needed. */
#define FILTER_RESERVE 1.25

static ExecutorStart_hook_type previous_hook;

/* How many rows must come for so many to pass the scan's filter. */
static double
allow_for_filter(const IndexScanState *state, double rows)
{
	double passing = state->ss.ps.plan->plan_rows;
	double all = state->ss.ss_currentRelation->rd_rel->reltuples;

	if (!state->ss.ps.qual || passing < 1 || all <= passing)
		return rows;
	/* What filter columns drop is not told from what the filter drops. */
	for (int i = 0; i < state->iss_NumScanKeys; i++)
		if (state->iss_ScanKeys[i].sk_attno > FR_EMBEDDING_COLUMN + 1)
			return rows;
	/* And some more, since no sample of rows is exactly like all. */
	return FILTER_RESERVE * rows * all / passing;
}

/* Mark the scan's ORDER BY keys. */
static void
mark_scan(IndexScanState *state, double limit, bool is_whole)
{
	Relation index = state->iss_RelationDesc;
	uint32 rows;

	if (!index || index->rd_indam->ambeginscan != fr_index_begin_scan)
		return;
	rows = (uint32) Min(allow_for_filter(state, limit), FR_LIMIT_MAX);
	for (int i = 0; i < state->iss_NumOrderByKeys; i++)
		state->iss_OrderByKeys[i].sk_flags |=
			rows << FR_LIMIT_SHIFT | (is_whole ? FR_LIMIT_IS_WHOLE : 0);
}

/* Follow a limit down the plan, as long as rows come up in the same order.
 * Whoever may drop some makes it a lower limit. */
static void
follow(PlanState *state, uint32 rows, bool is_whole)
{
	if (!state || rows > FR_LIMIT_MAX)
		return;
	is_whole = is_whole && !state->qual;
	switch (nodeTag(state))
	{
		case T_IndexScanState:
			mark_scan(castNode(IndexScanState, state), rows, is_whole);
			break;
		case T_ResultState:
			follow(outerPlanState(state), rows, is_whole);
			break;
		case T_SubqueryScanState:
			follow(castNode(SubqueryScanState, state)->subplan, rows, is_whole);
			break;
		case T_IncrementalSortState:
			/* Looks at the row behind, for the end of its last group. */
			follow(outerPlanState(state), rows + 1, is_whole);
			break;
		case T_LockRowsState:
		case T_NestLoopState:
			follow(outerPlanState(state), rows, false);
			break;
		case T_MergeAppendState:
		{
			MergeAppendState *append = castNode(MergeAppendState, state);

			for (int i = 0; i < append->ms_nplans; i++)
				follow(append->mergeplans[i], rows, is_whole);
			break;
		}
		default:
			break;
	}
}

static bool
has_run_time_parameter(Node *node, void *context)
{
	if (!node)
		return false;
	if (IsA(node, Param))
		return castNode(Param, node)->paramkind != PARAM_EXTERN;
	return expression_tree_walker(node, has_run_time_parameter, context);
}

/* The value of LIMIT or OFFSET, 0 when there is none; false when it is not yet
 * known. */
static bool
evaluate(LimitState *state, ExprState *expression, Node *source, int64 *value)
{
	bool is_null;
	Datum datum;

	*value = 0;
	if (!expression)
		return true;
	if (contain_mutable_functions(source) || contain_subplans(source) ||
		has_run_time_parameter(source, NULL))
		return false;
	datum = ExecEvalExprSwitchContext(expression, state->ps.ps_ExprContext,
									  &is_null);
	*value = is_null ? 0 : DatumGetInt64(datum);
	return true;
}

static void
follow_limit(LimitState *state)
{
	Limit *plan = castNode(Limit, state->ps.plan);
	int64 count;
	int64 offset;

	if (!evaluate(state, state->limitCount, plan->limitCount, &count) ||
		!evaluate(state, state->limitOffset, plan->limitOffset, &offset))
		return;
	if (count > 0 && count <= FR_LIMIT_MAX && offset >= 0 &&
		offset <= FR_LIMIT_MAX)
		follow(outerPlanState(state), count + offset,
			   plan->limitOption == LIMIT_OPTION_COUNT);
}

static bool
visit(PlanState *state, void *context)
{
	if (IsA(state, LimitState))
		follow_limit(castNode(LimitState, state));
	return planstate_tree_walker(state, visit, context);
}

static void
start(QueryDesc *query, int flags)
{
	if (previous_hook)
		previous_hook(query, flags);
	else
		standard_ExecutorStart(query, flags);
	if (query->planstate && !(flags & EXEC_FLAG_EXPLAIN_ONLY))
		visit(query->planstate, NULL);
}

void
fr_limit_hook_install(void)
{
	previous_hook = ExecutorStart_hook;
	ExecutorStart_hook = start;
}
