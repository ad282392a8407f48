/*
 * face_range.c: ranges of faces, face_within(face, distance), and the
 * operators <@ and @>: is a face in the range?
 *
 * A range is what an index can search by: embedding <@ face_within(f, c) says
 * that (embedding <=> f) <= c, with everything about f on one side of an
 * operator.  The comparison is that of float8: a distance of NaN is beyond
 * every number, so such a range contains all faces.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "pg/embedding.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_within);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_is_within);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_range_contains);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_range_sel);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_range_joinsel);

/* Attributes of the composite type face_range. */
#define ATTRIBUTE_FACE	   1
#define ATTRIBUTE_DISTANCE 2

/* How many photos of one person the planner expects in a table. */
#define PHOTOS_OF_A_PERSON 10.0

/* The share of strangers that the planner expects in a range that it cannot
 * see: most ranges are thresholds. */
#define DEFAULT_SHARE 1e-5

/* face_within(face, distance) */
Datum
facerec_face_within(PG_FUNCTION_ARGS)
{
	TupleDesc descriptor = fcinfo->flinfo->fn_extra;
	Datum values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	bool nulls[] = {false, false};

	if (!descriptor)
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		if (get_call_result_type(fcinfo, NULL, &descriptor) !=
			TYPEFUNC_COMPOSITE)
			elog(ERROR, "face_within must return face_range");
		descriptor = BlessTupleDesc(descriptor);
		MemoryContextSwitchTo(old);
		fcinfo->flinfo->fn_extra = descriptor;
	}
	PG_RETURN_DATUM(
		HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls)));
}

/* Is the embedding in the range?  NULL when a field of the range is. */
static Datum
test_range(FunctionCallInfo fcinfo, int embedding_argument, int range_argument)
{
	FrEmbedding *embedding = PG_GETARG_FREMBEDDING(embedding_argument);
	HeapTupleHeader range = PG_GETARG_HEAPTUPLEHEADER(range_argument);
	bool has_no_face;
	bool has_no_distance;
	Datum face = GetAttributeByNum(range, ATTRIBUTE_FACE, &has_no_face);
	Datum distance =
		GetAttributeByNum(range, ATTRIBUTE_DISTANCE, &has_no_distance);

	if (has_no_face || has_no_distance)
		PG_RETURN_NULL();

	FrEmbedding *centre = DatumGetFrEmbedding(face);

	fr_embedding_check_pair(embedding, centre);

	bool is_within = float8_le(fr_embedding_distance(embedding, centre),
							   DatumGetFloat8(distance));

	if ((Pointer) centre != DatumGetPointer(face))
		pfree(centre);
	PG_FREE_IF_COPY(embedding, embedding_argument);
	PG_FREE_IF_COPY(range, range_argument);
	PG_RETURN_BOOL(is_within);
}

/* embedding <@ range */
Datum
facerec_face_is_within(PG_FUNCTION_ARGS)
{
	return test_range(fcinfo, 0, 1);
}

/* range @> embedding */
Datum
facerec_face_range_contains(PG_FUNCTION_ARGS)
{
	return test_range(fcinfo, 1, 0);
}

/* ---- estimates ---------------------------------------------------------- */

/*
 * The share of strangers within a distance.  Their similarities are close to
 * normally distributed: measured on face embeddings of 128 to 512 dimensions,
 * mean 0.02 and deviation 0.085; in few dimensions directions crowd, and the
 * deviation is that of random ones, 1 / sqrt(dims).
 */
static double
share_of_strangers(double distance, int dims)
{
	double deviation = dims > 0 ? Max(0.085, 1.0 / sqrt(dims)) : 0.085;

	return 0.5 * erfc((1.0 - distance - 0.02) / (deviation * M_SQRT2));
}

/* Not so when the column is the range, or when somebody has borrowed the
 * estimate for an operator on other types. */
static bool
is_range(Node *node)
{
	Oid relation = get_typ_typrelid(exprType(node));

	return OidIsValid(relation) &&
		   get_atttype(relation, ATTRIBUTE_DISTANCE) == FLOAT8OID;
}

/* The distance of a range as far as the planner knows it. */
static bool
estimate_distance(PlannerInfo *root, Node *range, double *distance)
{
	List *arguments = NIL;

	if (!is_range(range))
		return false;
	if (IsA(range, Const) && !((Const *) range)->constisnull)
	{
		bool is_null;
		Datum value = GetAttributeByNum(
			DatumGetHeapTupleHeader(((Const *) range)->constvalue),
			ATTRIBUTE_DISTANCE, &is_null);

		*distance = is_null ? -1.0 : DatumGetFloat8(value);
		return true;
	}
	if (IsA(range, FuncExpr))
		arguments = ((FuncExpr *) range)->args;
	else if (IsA(range, RowExpr))
		arguments = ((RowExpr *) range)->args;
	if (list_length(arguments) != 2 ||
		exprType(lsecond(arguments)) != FLOAT8OID)
		return false;

	Node *value = estimate_expression_value(root, lsecond(arguments));

	if (!IsA(value, Const))
		return false;
	*distance = ((Const *) value)->constisnull
					? -1.0
					: DatumGetFloat8(((Const *) value)->constvalue);
	return true;
}

static Selectivity
share_of_range(PlannerInfo *root, const VariableStatData *variable, Node *range)
{
	double row_count = variable->rel ? variable->rel->tuples : 0;
	double distance;
	Selectivity share = DEFAULT_SHARE;

	if (estimate_distance(root, range, &distance))
	{
		if (isnan(distance))
			return 1.0;
		if (distance < 0)
			return 0.0;
		share = share_of_strangers(distance, variable->atttypmod);
	}
	if (row_count > 0)
		share += PHOTOS_OF_A_PERSON / row_count;
	CLAMP_PROBABILITY(share);
	return share;
}

/* face_range_sel(internal, oid, internal, integer) */
Datum
facerec_face_range_sel(PG_FUNCTION_ARGS)
{
	PlannerInfo *root = (PlannerInfo *) PG_GETARG_POINTER(0);
	List *arguments = (List *) PG_GETARG_POINTER(2);
	int relation = PG_GETARG_INT32(3);
	VariableStatData variable;
	Node *other;
	bool is_on_left;

	if (!get_restriction_variable(root, arguments, relation, &variable, &other,
								  &is_on_left))
		PG_RETURN_FLOAT8(DEFAULT_SHARE);

	Selectivity share = share_of_range(root, &variable, other);

	ReleaseVariableStats(variable);
	PG_RETURN_FLOAT8(share);
}

/* face_range_joinsel(internal, oid, internal, smallint, internal) */
Datum
facerec_face_range_joinsel(PG_FUNCTION_ARGS)
{
	PlannerInfo *root = (PlannerInfo *) PG_GETARG_POINTER(0);
	List *arguments = (List *) PG_GETARG_POINTER(2);
	Node *range = lsecond(arguments);
	Node *embedding = linitial(arguments);
	VariableStatData variable;

	if (type_is_rowtype(exprType(embedding)))
	{
		range = linitial(arguments);
		embedding = lsecond(arguments);
	}
	examine_variable(root, embedding, 0, &variable);

	Selectivity share = share_of_range(root, &variable, range);

	ReleaseVariableStats(variable);
	PG_RETURN_FLOAT8(share);
}
