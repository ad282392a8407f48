/*
 * cost.c: what a scan of a faceindex costs.
 *
 * A scan reads the code pages of its lists, once a round, and the re-rank
 * codes of all candidates whose 1-bit code does not exclude them.  How many
 * those are follows from the distribution of similarities, which is close to
 * normal: the bound of a 1-bit code lies some deviations above the
 * similarity, so wanting the k nearest of n means looking at all that are
 * not further than that below the k-th.  The first of them costs most; what
 * LIMIT asks for is taken as what the scan will be asked for.
 *
 * All queries read the same pages, so these are taken to be in memory but for
 * a tenth.  A scan that neither orders nor bounds the distance is refused, for
 * rows without an embedding are not in the index.
 */
#include "postgres.h"

#include "optimizer/cost.h"

#include <math.h>

#include "access/genam.h"
#include "index/index.h"
#include "index/scan.h"
#include "index/search_settings.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/spccache.h"

/* More than disable_cost, which a sequential scan may have to bear. */
#define REFUSED_COST 1.0e20

/* The share of page costs that is charged. */
#define PAGES_NOT_IN_MEMORY 0.1

/* Measured, in units of cpu_operator_cost: scanning a code page, a distance
 * from a centroid, a re-rank code, a row of the table. */
#define COST_OF_PAGE	 120.0
#define COST_OF_CENTROID 16.0
#define COST_OF_RERANK	 130.0
#define COST_OF_ROW		 400.0

/* Photos of the person itself that the estimates of conditions expect: they
 * are far nearer than any stranger. */
#define PHOTOS_OF_A_PERSON 10.0

/* Measured: how far bounds of 1-bit codes lie above the similarity, times
 * the square root of the padded dimensions, in deviations of similarities. */
#define BOUND_DEVIATIONS 42.0

/* What an index looks like to a scan. */
typedef struct IndexSize
{
	double rows;
	double lists;
	double routing_pages;
	double code_pages;	 /* of the lists that are read */
	double rerank_pages; /* of all lists */
	double fraction;	 /* of the lists that are read */
	double deviations;	 /* that bounds lie above the similarity */
} IndexSize;

static void
measure(IndexOptInfo *info, IndexSize *size)
{
	Relation index = index_open(info->indexoid, NoLock);
	FrMetaPage meta;

	fr_index_read_meta(index, &meta);
	memset(size, 0, sizeof *size);
	size->rows = Max(info->tuples, 1.0);
	size->fraction = 1.0;
	if (meta.dims != 0)
	{
		FrSearchShape shape;
		double pages = Max((double) info->pages - 1 - meta.routing_pages, 1.0);

		fr_index_shape(&meta, &shape);
		size->lists = meta.list_count;
		size->routing_pages = meta.routing_pages;
		size->fraction =
			(double) fr_search_settings_lists(&meta) / Max(meta.list_count, 1);
		size->rerank_pages =
			pages * shape.rerank_pages / (shape.rerank_pages + 1);
		size->code_pages = (pages - size->rerank_pages) * size->fraction;
		size->deviations = BOUND_DEVIATIONS / sqrt(shape.padded);
	}
	index_close(index, NoLock);
}

/* ---- what is asked ------------------------------------------------------ */

/* The face in "embedding % face" and in "embedding <@ face_within(face, c)", or
 * the range, when it is all that can be seen; NULL for "= ANY". */
static Node *
get_face(Expr *clause)
{
	Node *value;

	if (!IsA(clause, OpExpr) || list_length(((OpExpr *) clause)->args) != 2)
		return NULL;
	value = lsecond(((OpExpr *) clause)->args);
	if (IsA(value, FuncExpr) && list_length(((FuncExpr *) value)->args) == 2)
		return linitial(((FuncExpr *) value)->args);
	return value;
}

/* The query of "(SELECT ...)" that sets this parameter, as it was planned;
 * NULL for other expressions and for those of outer rows. */
static Query *
get_scalar_query(PlannerInfo *root, Node *node)
{
	ListCell *cell;

	if (!node || !IsA(node, Param) ||
		castNode(Param, node)->paramkind != PARAM_EXEC)
		return NULL;
	foreach (cell, root->init_plans)
	{
		SubPlan *plan = lfirst_node(SubPlan, cell);

		if (list_member_int(plan->setParam, castNode(Param, node)->paramid))
			return list_nth_node(PlannerInfo, root->glob->subroots,
								 plan->plan_id - 1)
				->parse;
	}
	return NULL;
}

/* The same face, as far as can be told while planning?  A photo's face is
 * often written twice, each time as "(SELECT face_embed(...))". */
static bool
is_same_face(PlannerInfo *root, Node *a, Node *b)
{
	Query *query = get_scalar_query(root, a);

	return equal(a, b) || (query && equal(query, get_scalar_query(root, b)));
}

/* Does the path bound the distance from the face that it orders by? */
static bool
has_bound(PlannerInfo *root, IndexPath *path)
{
	Node *face = path->indexorderbys == NIL
					 ? NULL
					 : get_face(linitial(path->indexorderbys));
	ListCell *cell;

	foreach (cell, path->indexclauses)
	{
		IndexClause *clause = lfirst_node(IndexClause, cell);

		Node *bounded =
			get_face(linitial_node(RestrictInfo, clause->indexquals)->clause);

		if (clause->indexcol == FR_EMBEDDING_COLUMN && bounded &&
			(!face || is_same_face(root, face, bounded)))
			return true;
	}
	return false;
}

static bool
can_scan(PlannerInfo *root, IndexPath *path)
{
	int order_count = list_length(path->indexorderbys);

	return order_count == 1 || (order_count == 0 && has_bound(root, path));
}

/* ---- cost --------------------------------------------------------------- */

/* The share of a normal distribution above z. */
static double
share_above(double z)
{
	return 0.5 * erfc(z / M_SQRT2);
}

/* How many candidates must be looked at for the nearest `wanted` of rows. */
static double
count_candidates(const IndexSize *size, double rows, double wanted)
{
	double low = -8.0;
	double high = 8.0;

	if (wanted >= rows)
		return rows;
	for (int i = 0; i < 40; i++)
	{
		double middle = (low + high) / 2;

		if (share_above(middle) > wanted / rows)
			low = middle;
		else
			high = middle;
	}
	return Max(wanted, rows * share_above(low - size->deviations));
}

/* What all scans of a plan have in common. */
typedef struct ScanCost
{
	IndexSize size;
	double rows;	  /* that pass the filter columns */
	bool is_bounded;  /* by a condition on the distance */
	Cost page_cost;	  /* of pages read in order, so far as charged */
	Cost random_cost; /* of others */
} ScanCost;

/* The cost until `wanted` rows have come. */
static Cost
cost_of_rows(const ScanCost *scan, double wanted)
{
	const IndexSize *size = &scan->size;
	double strangers =
		scan->is_bounded ? Max(wanted - PHOTOS_OF_A_PERSON, 0.0) : wanted;
	double candidates =
		wanted - strangers + count_candidates(size, scan->rows, strangers);
	double rounds = fr_scan_count_rounds(size->rows, wanted, candidates);
	double pages =
		size->rerank_pages > 0
			? size->rerank_pages * (1 - exp(-candidates / size->rerank_pages))
			: 0;

	return size->routing_pages * scan->page_cost +
		   size->lists * COST_OF_CENTROID * cpu_operator_cost +
		   rounds * size->code_pages *
			   (scan->page_cost + COST_OF_PAGE * cpu_operator_cost) +
		   pages * scan->random_cost +
		   candidates * COST_OF_RERANK * cpu_operator_cost +
		   wanted * COST_OF_ROW * cpu_operator_cost;
}

/* Pages of repeated scans stay in memory. */
static double
count_misses(PlannerInfo *root, const IndexSize *size, double loop_count)
{
	double pages = size->code_pages + size->rerank_pages;

	if (loop_count <= 1 || pages < 1)
		return 1.0;
	return index_pages_fetched(pages * loop_count, (BlockNumber) pages, pages,
							   root) /
		   (pages * loop_count);
}

/* The selectivity of the clauses of some columns, or of all. */
static Selectivity
get_selectivity(PlannerInfo *root, IndexPath *path, bool of_filters)
{
	IndexOptInfo *info = path->indexinfo;
	List *clauses = NIL;
	ListCell *cell;

	foreach (cell, path->indexclauses)
	{
		IndexClause *clause = lfirst_node(IndexClause, cell);

		if (!of_filters || clause->indexcol != FR_EMBEDDING_COLUMN)
			clauses = lappend(clauses, clause);
	}
	return clauselist_selectivity(
		root,
		add_predicate_to_index_quals(info,
									 get_quals_from_indexclauses(clauses)),
		info->rel->relid, JOIN_INNER, NULL);
}

/* How many of the scan's rows the query will ask for, by its LIMIT. */
static double
count_wanted(PlannerInfo *root, IndexPath *path, double rows_out)
{
	double rows_needed = path->indexinfo->rel->rows;

	if (path->indexorderbys == NIL || root->limit_tuples < 0 ||
		root->limit_tuples >= rows_needed)
		return rows_out;
	return Max(1.0, rows_out * root->limit_tuples / rows_needed);
}

static void
refuse(IndexPath *path, Cost *startup_cost, Cost *total_cost)
{
	*startup_cost = REFUSED_COST;
	*total_cost = REFUSED_COST;
#if PG_VERSION_NUM >= 180000
	path->path.disabled_nodes = 2;
#endif
}

void
fr_index_cost_estimate(PlannerInfo *root, IndexPath *path, double loop_count,
					   Cost *startup_cost, Cost *total_cost,
					   Selectivity *selectivity, double *correlation,
					   double *pages)
{
	IndexOptInfo *info = path->indexinfo;
	ScanCost scan;

	*correlation = 0;
	*pages = info->pages;
	*selectivity = get_selectivity(root, path, false);
	if (!can_scan(root, path))
	{
		refuse(path, startup_cost, total_cost);
		return;
	}
	measure(info, &scan.size);
	get_tablespace_page_costs(info->reltablespace, &scan.random_cost,
							  &scan.page_cost);

	double charged =
		PAGES_NOT_IN_MEMORY * count_misses(root, &scan.size, loop_count);
	double rows_out = Max(1.0, info->rel->tuples * *selectivity);

	scan.random_cost *= charged;
	scan.page_cost *= charged;
	scan.rows = Max(1.0, info->rel->tuples * scan.size.fraction *
							 get_selectivity(root, path, true));
	scan.is_bounded = has_bound(root, path);
	if (!scan.is_bounded)
		rows_out = scan.rows;

	double wanted = count_wanted(root, path, rows_out);

	/* The core goes in a straight line from the first row to the last: such
	 * that it passes by what is wanted. */
	*startup_cost =
		cost_of_rows(&scan, path->indexorderbys == NIL ? rows_out : 1.0);
	*total_cost = cost_of_rows(&scan, wanted);
	if (wanted > 1.0)
		*total_cost = *startup_cost + (*total_cost - *startup_cost) *
										  (rows_out - 1) / (wanted - 1);
}
