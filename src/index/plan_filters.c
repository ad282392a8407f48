/*
 * plan_filters.c: index paths for "flag" and "column = ANY (values)".
 *
 * The core writes "flag = true" as "flag" and recognises that only in operator
 * families of its own, before PostgreSQL 16; and before 17 it leaves out
 * "= ANY" on a column behind the first where the index is to give an order.
 * Both may be asked of a faceindex, whose order does not depend on filter
 * columns.  So each path that the core makes over an index is made once more
 * with what it left out.
 */
#include "postgres.h"

#include "index/plan_hook.h"

#if PG_VERSION_NUM < 170000

#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "index/index.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"

/* Makes the cheaper of two equals. */
#define TIE (1 - 1e-6)

/* ---- clauses ------------------------------------------------------------ */

/* "column = value" for a flag that is column number `column` of the index. */
static Expr *
make_flag_clause(IndexOptInfo *index, int column, Node *operand, bool value)
{
	if (!match_index_to_operand(operand, column, index))
		return NULL;
	return make_opclause(BooleanEqualOperator, BOOLOID, false, (Expr *) operand,
						 (Expr *) makeBoolConst(value, false), InvalidOid,
						 InvalidOid);
}

/* What a condition asks of a column of flags; NULL = nothing. */
static Expr *
match_flag(IndexOptInfo *index, int column, Node *clause)
{
	if (!op_in_opfamily(BooleanEqualOperator, index->opfamily[column]))
		return NULL;
	if (is_notclause(clause))
		return make_flag_clause(
			index, column, (Node *) get_notclausearg((Expr *) clause), false);
	if (IsA(clause, BooleanTest))
	{
		BooleanTest *test = (BooleanTest *) clause;

		if (test->booltesttype != IS_TRUE && test->booltesttype != IS_FALSE)
			return NULL;
		return make_flag_clause(index, column, (Node *) test->arg,
								test->booltesttype == IS_TRUE);
	}
	return make_flag_clause(index, column, clause, true);
}

static bool
is_array_clause(PlannerInfo *root, IndexOptInfo *index, int column,
				Node *clause)
{
	ScalarArrayOpExpr *any = (ScalarArrayOpExpr *) clause;

	return IsA(clause, ScalarArrayOpExpr) && any->useOr &&
		   op_in_opfamily(any->opno, index->opfamily[column]) &&
		   match_index_to_operand(linitial(any->args), column, index) &&
		   !bms_is_member(index->rel->relid,
						  pull_varnos(root, lsecond(any->args))) &&
		   !contain_volatile_functions(lsecond(any->args));
}

/* A condition as one on a filter column; NULL when it is none. */
static IndexClause *
match_filter(PlannerInfo *root, IndexOptInfo *index, int column,
			 RestrictInfo *restriction)
{
	Node *clause = (Node *) restriction->clause;
	RestrictInfo *quals = restriction;
	IndexClause *result;

	if (restriction->pseudoconstant ||
		!restriction_is_securely_promotable(restriction, index->rel))
		return NULL;
	if (!is_array_clause(root, index, column, clause))
	{
		Expr *flag = match_flag(index, column, clause);

		if (!flag)
			return NULL;
		quals = make_simple_restrictinfo(root, flag);
	}
	result = makeNode(IndexClause);
	result->rinfo = restriction;
	result->indexquals = list_make1(quals);
	result->indexcol = (AttrNumber) column;
	return result;
}

/* ---- paths -------------------------------------------------------------- */

static bool
has_clause(List *clauses, RestrictInfo *restriction)
{
	ListCell *cell;

	foreach (cell, clauses)
		if (lfirst_node(IndexClause, cell)->rinfo == restriction)
			return true;
	return false;
}

/* The clauses of a path and what else can be asked for, in the order of the
 * columns. */
static List *
complete_clauses(PlannerInfo *root, IndexOptInfo *index, List *clauses)
{
	List *result = NIL;

	for (int column = 0; column < index->nkeycolumns; column++)
	{
		ListCell *cell;

		foreach (cell, clauses)
			if (lfirst_node(IndexClause, cell)->indexcol == column)
				result = lappend(result, lfirst(cell));
		if (column == FR_EMBEDDING_COLUMN)
			continue;
		foreach (cell, index->indrestrictinfo)
		{
			RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
			IndexClause *clause =
				has_clause(clauses, restriction)
					? NULL
					: match_filter(root, index, column, restriction);

			if (clause)
				result = lappend(result, clause);
		}
	}
	return result;
}

/* How often a path is executed for outer rows, at least. */
static double
count_loops(PlannerInfo *root, Relids outer)
{
	double loops = 0;
	int relid = -1;

	while ((relid = bms_next_member(outer, relid)) >= 0)
	{
		RelOptInfo *rel = root->simple_rel_array[relid];

		if (rel && rel->rows > 0 && (loops == 0 || rel->rows < loops))
			loops = rel->rows;
	}
	return Max(loops, 1.0);
}

/* A path with more conditions on filter columns; NULL when there are none.  Where
 * it costs the same, it is the better one: flags cost the core nothing. */
static Path *
complete_path(PlannerInfo *root, IndexPath *path)
{
	List *clauses = complete_clauses(root, path->indexinfo, path->indexclauses);
	Relids outer = PATH_REQ_OUTER(&path->path);
	Path *result;

	if (list_length(clauses) == list_length(path->indexclauses))
		return NULL;
	result = (Path *) create_index_path(
		root, path->indexinfo, clauses, path->indexorderbys,
		path->indexorderbycols, path->path.pathkeys, path->indexscandir, false,
		outer, count_loops(root, outer), false);
	result->startup_cost *= TIE;
	result->total_cost *= TIE;
	return result;
}

bool
fr_plan_has_filters(PlannerInfo *root, IndexOptInfo *index)
{
	ListCell *cell;

	for (int column = 1; column < index->nkeycolumns; column++)
		foreach (cell, index->indrestrictinfo)
			if (match_filter(root, index, column, lfirst(cell)))
				return true;
	return false;
}

List *
fr_plan_complete_paths(PlannerInfo *root, List *paths)
{
	List *result = NIL;
	ListCell *cell;

	foreach (cell, paths)
	{
		Path *path = complete_path(root, lfirst_node(IndexPath, cell));

		if (path)
			result = lappend(result, path);
	}
	return result;
}

#else

bool
fr_plan_has_filters(PlannerInfo *root, IndexOptInfo *index)
{
	return false;
}

List *
fr_plan_complete_paths(PlannerInfo *root, List *paths)
{
	return NIL;
}

#endif
