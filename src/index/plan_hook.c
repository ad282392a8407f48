/*
 * plan_hook.c: index paths for WHERE embedding <=> face < distance.
 *
 * The core matches an index to a clause "column operator value"; a bound on a
 * distance is none, and its operator (that of float8) belongs to the core, so
 * that no support function can translate it.  A hook does: after the core
 * has made its paths, each such clause gets a companion that it implies,
 *
 *     embedding <@ face_within(face, distance)
 *
 * and the core makes index paths once more with the companions among the
 * clauses of the table.  The core thereby does all the matching, also of other
 * columns, join clauses and ORDER BY.  The companions are then taken away: the
 * original clause remains as filter, which settles < against <=.
 *
 * Two more corrections: the core cannot estimate such a clause and takes a
 * third of the rows, which would let a sequential scan win under LIMIT; and
 * before PostgreSQL 16 it looks at an index for ORDER BY distance, id only if
 * the index can give the whole order.
 */
#include "postgres.h"

#include "index/plan_hook.h"

#include "access/htup_details.h"
#include "catalog/pg_am.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_type.h"
#include "index/index.h"
#include "index/scan.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static set_rel_pathlist_hook_type previous_hook;

/* A clause and what it implies. */
typedef struct Companion
{
	RestrictInfo *original;
	RestrictInfo *derived;
} Companion;

/* Where a comparison has its distance and its bound. */
typedef struct Comparison
{
	Oid function;
	bool is_reversed; /* bound > distance */
	bool is_float4;	  /* the bound is float4 */
} Comparison;

static const Comparison comparisons[] = {
	{F_FLOAT8LT, false, false}, {F_FLOAT8LE, false, false},
	{F_FLOAT8GT, true, false},	{F_FLOAT8GE, true, false},
	{F_FLOAT84LT, false, true}, {F_FLOAT84LE, false, true},
	{F_FLOAT48GT, true, true},	{F_FLOAT48GE, true, true}};

/* ---- recognising clauses ------------------------------------------------ */

/* Can the index be asked for it?  It must not depend on the row. */
static bool
is_search_value(PlannerInfo *root, IndexOptInfo *index, Node *value)
{
	return !bms_is_member(index->rel->relid, pull_varnos(root, value)) &&
		   !contain_volatile_functions(value);
}

/* The two sides of the cosine distance, as operator or as function. */
static List *
arguments_of_distance(Node *node, Oid distance_operator)
{
	if (IsA(node, OpExpr) && ((OpExpr *) node)->opno == distance_operator)
		return ((OpExpr *) node)->args;
	if (IsA(node, FuncExpr) &&
		((FuncExpr *) node)->funcid == get_opcode(distance_operator))
		return ((FuncExpr *) node)->args;
	return NIL;
}

/* Take a comparison "distance < bound" apart. */
static bool
match_comparison(OpExpr *clause, Node **distance, Node **bound)
{
	if (list_length(clause->args) != 2)
		return false;
	set_opfuncid(clause);
	for (Size i = 0; i < lengthof(comparisons); i++)
	{
		const Comparison *comparison = &comparisons[i];

		if (comparison->function != clause->opfuncid)
			continue;

		bool is_reversed = comparison->is_reversed;

		*distance = list_nth(clause->args, is_reversed ? 1 : 0);
		*bound = list_nth(clause->args, is_reversed ? 0 : 1);
		if (comparison->is_float4)
			*bound = (Node *) makeFuncExpr(F_FLOAT8_FLOAT4, FLOAT8OID,
										   list_make1(*bound), InvalidOid,
										   InvalidOid, COERCE_IMPLICIT_CAST);
		return true;
	}
	return false;
}

/* The clause "embedding <@ face_within(face, bound)" of an index. */
static Expr *
make_range_clause(IndexOptInfo *index, Node *embedding, Node *face, Node *bound)
{
	Oid family = index->opfamily[0];
	Oid type = index->opcintype[0];
	Oid within = get_opfamily_proc(family, type, type, FR_PROC_WITHIN);

	if (!OidIsValid(within))
		return NULL; /* an operator class of someone else */

	Oid range_type = get_func_rettype(within);
	Oid contained =
		get_opfamily_member(family, type, range_type, FR_STRATEGY_RANGE);
	FuncExpr *range =
		makeFuncExpr(within, range_type, list_make2(face, bound), InvalidOid,
					 InvalidOid, COERCE_EXPLICIT_CALL);
	Expr *clause;

	if (!OidIsValid(contained))
		return NULL;
	clause = make_opclause(contained, BOOLOID, false, (Expr *) embedding,
						   (Expr *) range, InvalidOid, InvalidOid);
	set_opfuncid((OpExpr *) clause);
	return clause;
}

/* What the first column of an index can be asked for in place of a clause;
 * NULL = nothing. */
static Expr *
translate_clause(PlannerInfo *root, IndexOptInfo *index, Expr *clause)
{
	Oid type = index->opcintype[0];
	Oid distance_operator =
		get_opfamily_member(index->opfamily[0], type, type, FR_STRATEGY_COSINE);
	Node *distance;
	Node *bound;

	if (!OidIsValid(distance_operator) || !IsA(clause, OpExpr) ||
		!match_comparison((OpExpr *) clause, &distance, &bound))
		return NULL;

	List *sides = arguments_of_distance(distance, distance_operator);

	if (list_length(sides) != 2 || !is_search_value(root, index, bound))
		return NULL;
	for (int i = 0; i < 2; i++)
	{
		Node *embedding = list_nth(sides, i);
		Node *face = list_nth(sides, 1 - i);

		if (match_index_to_operand(embedding, 0, index) &&
			is_search_value(root, index, face))
			return make_range_clause(index, embedding, face, bound);
	}
	return NULL;
}

/*
 * A RestrictInfo that is the original's in all but the clause, as
 * commute_restrictinfo makes one: it is applied where the original is.
 */
static RestrictInfo *
derive_restrictinfo(PlannerInfo *root, RestrictInfo *original, Expr *clause)
{
	RestrictInfo *derived = makeNode(RestrictInfo);

	memcpy(derived, original, sizeof(*derived));
	derived->clause = clause;
	derived->left_relids = pull_varnos(root, get_leftop(clause));
	derived->right_relids = pull_varnos(root, get_rightop(clause));
	derived->eval_cost.startup = -1;
	derived->norm_selec = -1;
	derived->outer_selec = -1;
	derived->parent_ec = NULL;
	derived->mergeopfamilies = NIL;
	derived->left_ec = NULL;
	derived->right_ec = NULL;
	derived->left_em = NULL;
	derived->right_em = NULL;
	derived->scansel_cache = NIL;
	derived->hashjoinoperator = InvalidOid;
#if PG_VERSION_NUM >= 150000
	derived->left_hasheqoperator = InvalidOid;
	derived->right_hasheqoperator = InvalidOid;
#else
	derived->hasheqoperator = InvalidOid;
#endif
	return derived;
}

/* The companions of clauses, a list of Companion. */
static List *
find_companions(PlannerInfo *root, IndexOptInfo *index, List *clauses)
{
	List *companions = NIL;
	ListCell *cell;

	foreach (cell, clauses)
	{
		RestrictInfo *original = lfirst_node(RestrictInfo, cell);
		Expr *clause = original->pseudoconstant
						   ? NULL
						   : translate_clause(root, index, original->clause);

		if (!clause)
			continue;

		Companion *companion = palloc(sizeof(*companion));

		companion->original = original;
		companion->derived = derive_restrictinfo(root, original, clause);
		companions = lappend(companions, companion);
	}
	return companions;
}

/* clauses and the companions, in a new list. */
static List *
add_companions(List *clauses, List *companions)
{
	List *result = list_copy(clauses);
	ListCell *cell;

	foreach (cell, companions)
		result = lappend(result, ((Companion *) lfirst(cell))->derived);
	return result;
}

/* ---- row counts --------------------------------------------------------- */

/* Scale the row counts of the paths of a parameterization. */
static void
scale_path_rows(List *paths, ParamPathInfo *parameters, double factor)
{
	ListCell *cell;

	foreach (cell, paths)
	{
		Path *path = lfirst(cell);

		if (path->param_info == parameters)
			path->rows = clamp_row_est(path->rows * factor);
	}
}

/*
 * Replace the core's estimate of clauses by that of their companions, in the
 * table's row count and those of its paths.
 */
static void
correct_row_count(PlannerInfo *root, RelOptInfo *rel, List *companions)
{
	double factor = 1.0;
	ListCell *cell;

	foreach (cell, companions)
	{
		Companion *companion = lfirst(cell);
		Selectivity estimate = clause_selectivity(
			root, (Node *) companion->original, rel->relid, JOIN_INNER, NULL);
		Selectivity better = clause_selectivity(
			root, (Node *) companion->derived, rel->relid, JOIN_INNER, NULL);

		/* Another index has corrected it already, or it is surely empty. */
		if (estimate == better || estimate <= 0)
			continue;
		factor *= better / estimate;
		companion->original->norm_selec = better;
	}
	if (factor == 1.0)
		return;
	rel->rows = clamp_row_est(rel->rows * factor);
	scale_path_rows(rel->pathlist, NULL, factor);
	scale_path_rows(rel->partial_pathlist, NULL, factor);
}

/* The same for what the core will estimate joins by. */
static void
correct_join_clauses(PlannerInfo *root, RelOptInfo *rel, List *companions)
{
	ListCell *cell;

	foreach (cell, companions)
	{
		Companion *companion = lfirst(cell);
		Selectivity share = clause_selectivity(
			root, (Node *) companion->derived, rel->relid, JOIN_INNER, NULL);

		companion->original->norm_selec = share;
		companion->original->outer_selec = share;
	}
}

/* The clauses of a parameterization, each original in place of (or for the
 * estimate: replaced by) its companion. */
static List *
exchange_clauses(List *clauses, List *companions, bool want_derived)
{
	List *result = list_copy(clauses);
	ListCell *cell;

	foreach (cell, companions)
	{
		Companion *companion = lfirst(cell);

		if (!list_member_ptr(clauses, companion->original))
			continue;
		result = list_delete_ptr(result, companion->derived);
		if (want_derived)
		{
			result = list_delete_ptr(result, companion->original);
			result = lappend(result, companion->derived);
		}
	}
	return result;
}

/*
 * Take the companions out of the parameterizations (which may be used by
 * paths that do not scan the index), but keep their estimates.
 */
static void
correct_parameterizations(PlannerInfo *root, RelOptInfo *rel, List *companions)
{
	ListCell *cell;

	foreach (cell, rel->ppilist)
	{
		ParamPathInfo *parameters = lfirst(cell);
		double rows = get_parameterized_baserel_size(
			root, rel,
			exchange_clauses(parameters->ppi_clauses, companions, true));

		if (parameters->ppi_rows > 0)
			scale_path_rows(rel->pathlist, parameters,
							rows / parameters->ppi_rows);
		parameters->ppi_rows = rows;
		parameters->ppi_clauses =
			exchange_clauses(parameters->ppi_clauses, companions, false);
	}
}

/* The row count of a partitioned table is that of its partitions, which have
 * been corrected by now. */
static void
correct_parent(PlannerInfo *root, RelOptInfo *parent)
{
	double rows = 0;
	ListCell *cell;

	foreach (cell, root->append_rel_list)
	{
		AppendRelInfo *link = lfirst(cell);
		RelOptInfo *child = root->simple_rel_array[link->child_relid];

		if (link->parent_relid == parent->relid && child &&
			!IS_DUMMY_REL(child))
			rows += child->rows;
	}
	parent->rows = clamp_row_est(rows);
}

/* ---- paths -------------------------------------------------------------- */

/* Before PostgreSQL 16: can the index help with a longer ORDER BY? */
static bool
wants_prefix(PlannerInfo *root)
{
#if PG_VERSION_NUM >= 160000
	return false;
#else
	return enable_incremental_sort && list_length(root->query_pathkeys) > 1;
#endif
}

/* Let the core make the paths of one index, with companions; nothing but those
 * is in the result. */
static List *
make_paths(PlannerInfo *root, RelOptInfo *rel, IndexOptInfo *index,
		   List *base_companions, List *join_companions)
{
	List *indexes = rel->indexlist;
	List *joins = rel->joininfo;
	List *restrictions = index->indrestrictinfo;
	List *pathkeys = root->query_pathkeys;
	List *paths = rel->pathlist;
	List *result;

	rel->pathlist = NIL;
	rel->indexlist = list_make1(index);
	rel->joininfo = add_companions(joins, join_companions);
	index->indrestrictinfo = add_companions(restrictions, base_companions);
	create_index_paths(root, rel);
	if (wants_prefix(root))
	{
		root->query_pathkeys = list_make1(linitial(pathkeys));
		create_index_paths(root, rel);
		root->query_pathkeys = pathkeys;
	}
	index->indrestrictinfo = restrictions;
	rel->joininfo = joins;
	rel->indexlist = indexes;
	result = rel->pathlist;
	rel->pathlist = paths;
	return result;
}

static void
add_all_paths(RelOptInfo *rel, List *paths)
{
	ListCell *cell;

	foreach (cell, paths)
		add_path(rel, lfirst(cell));
}

static void
consider_index(PlannerInfo *root, RelOptInfo *rel, IndexOptInfo *index)
{
	List *base_companions =
		find_companions(root, index, index->indrestrictinfo);
	List *join_companions = find_companions(root, index, rel->joininfo);

	List *paths;

	if (!base_companions && !join_companions && !wants_prefix(root) &&
		!fr_plan_has_filters(root, index))
		return;
	correct_row_count(root, rel, base_companions);
	correct_join_clauses(root, rel, join_companions);
	paths = make_paths(root, rel, index, base_companions, join_companions);
	add_all_paths(rel, paths);
	add_all_paths(rel, fr_plan_complete_paths(root, paths));
	correct_parameterizations(root, rel, join_companions);
}

static bool
is_faceindex(const IndexOptInfo *index)
{
	return (void *) index->amcostestimate == (void *) fr_index_cost_estimate;
}

static void
add_paths(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	ListCell *cell;

	if (previous_hook)
		previous_hook(root, rel, rti, rte);
	/* A sample is to be taken from the table. */
	if (rte->rtekind != RTE_RELATION || rte->tablesample || IS_DUMMY_REL(rel))
		return;
	if (rte->inh)
	{
		if (rel->baserestrictinfo)
			correct_parent(root, rel);
		return;
	}
	foreach (cell, rel->indexlist)
	{
		IndexOptInfo *index = lfirst_node(IndexOptInfo, cell);

		if (is_faceindex(index) && (index->indpred == NIL || index->predOK))
			consider_index(root, rel, index);
	}
}

void
fr_plan_hook_install(void)
{
	previous_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = add_paths;
}
