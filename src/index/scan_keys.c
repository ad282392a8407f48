/*
 * scan_keys.c: what the keys and the ORDER BY of a scan ask for.
 *
 * A scan looks for one face: that of ORDER BY or, without, that of the first
 * condition.  Conditions about the same face bound the search; those about
 * others are only checked row by row.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "index/scan_limit.h"
#include "index/scan_state.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Attributes of the composite type face_range. */
#define RANGE_FACE	   1
#define RANGE_DISTANCE 2

static const FrStoredEmbedding *
get_face(Datum value)
{
	return (const FrStoredEmbedding *) PG_DETOAST_DATUM_COPY(value);
}

/* ---- conditions --------------------------------------------------------- */

static void
add_bound(FrScan *scan, ScanKey key, const FrStoredEmbedding *face,
		  double max_distance)
{
	FrScanBound *bound = &scan->bounds[scan->bound_count++];

	*bound = (FrScanBound){.key = key,
						   .face = face,
						   .max_distance = max_distance,
						   .is_match = key->sk_strategy == FR_STRATEGY_MATCH};
}

/* embedding <@ range */
static void
read_range(FrScan *scan, ScanKey key)
{
	HeapTupleHeader range = DatumGetHeapTupleHeader(key->sk_argument);
	bool has_no_face;
	bool has_no_distance;
	Datum face = GetAttributeByNum(range, RANGE_FACE, &has_no_face);
	Datum distance = GetAttributeByNum(range, RANGE_DISTANCE, &has_no_distance);

	if (has_no_face || has_no_distance)
		scan->matches_nothing = true;
	else
		add_bound(scan, key, get_face(face), DatumGetFloat8(distance));
}

/* A value as filter columns of that width have it; an integer may be of another
 * width (else type is InvalidOid).  False when the column cannot hold it. */
static bool
convert_value(Datum value, Oid type, int16 width, uint64 *result)
{
	int64 integer = type == INT2OID	  ? DatumGetInt16(value)
					: type == INT4OID ? DatumGetInt32(value)
									  : (int64) value;
	int bits = 8 * width;

	*result = (uint64) integer;
	if (width == 8)
		return true;
	*result &= (UINT64CONST(1) << bits) - 1;
	return !OidIsValid(type) || (integer >= -(INT64CONST(1) << (bits - 1)) &&
								 integer < INT64CONST(1) << (bits - 1));
}

/* The values of a key: of "= ANY" those that are not NULL. */
static Datum *
get_values(ScanKey key, int *count)
{
	Datum *values = &key->sk_argument;

	*count = 1;
	if (key->sk_flags & SK_SEARCHARRAY)
	{
		ArrayType *array = DatumGetArrayTypeP(key->sk_argument);
		bool *nulls;
		int present = 0;
		int16 length;
		bool is_by_value;
		char alignment;

		get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &is_by_value,
							 &alignment);
		deconstruct_array(array, ARR_ELEMTYPE(array), length, is_by_value,
						  alignment, &values, &nulls, count);
		for (int i = 0; i < *count; i++)
			if (!nulls[i])
				values[present++] = values[i];
		*count = present;
	}
	return values;
}

static int
compare_values(const void *a, const void *b)
{
	uint64 left = *(const uint64 *) a;
	uint64 right = *(const uint64 *) b;

	return left < right ? -1 : left > right;
}

/* column = value, column = ANY (values) */
static void
read_values(FrScan *scan, ScanKey key, int16 width, FrScanFilter *filter)
{
	Oid type = key->sk_subtype;
	/* Integers compare across widths, other types only with themselves. */
	bool is_integer = type == INT2OID || type == INT4OID || type == INT8OID;
	int count;
	Datum *values = get_values(key, &count);

	filter->values = palloc(Max(count, 1) * sizeof(uint64));
	filter->value_count = 0;
	for (int i = 0; i < count; i++)
		if (convert_value(values[i], is_integer ? type : InvalidOid, width,
						  &filter->values[filter->value_count]))
			filter->value_count++;
	qsort(filter->values, filter->value_count, sizeof(uint64), compare_values);
	if (filter->value_count == 0)
		scan->matches_nothing = true;
}

/* A value of a type that has an order. */
static int64
get_integer(Datum value, Oid type)
{
	switch (type)
	{
		case CHAROID:
			return (uint8) DatumGetChar(value);
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
		case DATEOID:
			return DatumGetInt32(value);
		case OIDOID:
			return DatumGetObjectId(value);
		default:
			return DatumGetInt64(value);
	}
}

/* The integers that are in an order to a value; false when there are none. */
static bool
get_interval(StrategyNumber strategy, int64 value, int64 *low, int64 *high)
{
	*low = PG_INT64_MIN;
	*high = PG_INT64_MAX;
	switch (strategy)
	{
		case FR_STRATEGY_LESS:
			*high = value - (value > PG_INT64_MIN);
			return value > PG_INT64_MIN;
		case FR_STRATEGY_LESS_EQUAL:
			*high = value;
			return true;
		case FR_STRATEGY_GREATER_EQUAL:
			*low = value;
			return true;
		default:
			*low = value + (value < PG_INT64_MAX);
			return value < PG_INT64_MAX;
	}
}

/* column < value and the like; of "< ANY" the widest. */
static void
read_interval(FrScan *scan, ScanKey key, FrScanFilter *filter)
{
	bool is_possible = false;
	int count;
	Datum *values = get_values(key, &count);

	filter->is_range = true;
	filter->low = PG_INT64_MAX;
	filter->high = PG_INT64_MIN;
	for (int i = 0; i < count; i++)
	{
		int64 low;
		int64 high;

		if (!get_interval(key->sk_strategy,
						  get_integer(values[i], key->sk_subtype), &low, &high))
			continue;
		filter->low = Min(filter->low, low);
		filter->high = Max(filter->high, high);
		is_possible = true;
	}
	if (!is_possible)
		scan->matches_nothing = true;
}

static void
read_filter(FrScan *scan, ScanKey key)
{
	FrScanFilter *filter = &scan->filters[scan->filter_count++];
	Relation index = scan->descriptor->indexRelation;
	int column = key->sk_attno - 1;

	if (!fr_filter_is_comparable(index->rd_opcintype[column],
								 key->sk_subtype) ||
		(key->sk_strategy != FR_STRATEGY_EQUAL &&
		 !fr_filter_is_ordered(index->rd_opcintype[column])))
		elog(ERROR, "faceindex cannot compare type %u with type %u",
			 index->rd_opcintype[column], key->sk_subtype);
	*filter = (FrScanFilter){
		.column = column - 1,
		.is_signed = fr_filter_is_signed(index->rd_opcintype[column])};
	if (key->sk_strategy == FR_STRATEGY_EQUAL)
		read_values(scan, key,
					TupleDescAttr(RelationGetDescr(index), column)->attlen,
					filter);
	else
		read_interval(scan, key, filter);
}

/* embedding % ANY (faces) and the like: no bound, only checked. */
static void
read_array(FrScan *scan, ScanKey key)
{
	FrScanBound *bound = &scan->bounds[scan->bound_count++];

	*bound = (FrScanBound){.key = key};
	bound->elements = get_values(key, &bound->element_count);
	if (bound->element_count == 0)
		scan->matches_nothing = true;
}

static void
read_key(FrScan *scan, ScanKey key)
{
	if (key->sk_flags & SK_ISNULL)
		scan->matches_nothing = true;
	else if (key->sk_attno > 1)
		read_filter(scan, key);
	else if (key->sk_flags & SK_SEARCHARRAY)
		read_array(scan, key);
	else if (key->sk_strategy == FR_STRATEGY_RANGE)
		read_range(scan, key);
	else
		/* The distance depends on the index's model. */
		add_bound(scan, key, get_face(key->sk_argument), 0.0);
}

/* ---- order -------------------------------------------------------------- */

static void
read_order(FrScan *scan, ScanKey key)
{
	scan->order_by = key;
	scan->orders_by_l2 = key->sk_strategy == FR_STRATEGY_L2;
	scan->wanted = fr_limit_rows(key);
	if (!(key->sk_flags & SK_ISNULL))
		scan->face = get_face(key->sk_argument);
}

void
fr_scan_read_keys(FrScan *scan)
{
	IndexScanDesc descriptor = scan->descriptor;

	scan->face = NULL;
	scan->order_by = NULL;
	scan->wanted = 0;
	scan->matches_nothing = false;
	scan->bounds = palloc(sizeof(FrScanBound) * (descriptor->numberOfKeys + 1));
	scan->bound_count = 0;
	scan->filters =
		palloc(sizeof(FrScanFilter) * (descriptor->numberOfKeys + 1));
	scan->filter_count = 0;

	if (descriptor->numberOfOrderBys > 1)
		elog(ERROR, "faceindex cannot order by two distances");
	if (descriptor->numberOfOrderBys > 0)
		read_order(scan, &descriptor->orderByData[0]);
	for (int i = 0; i < descriptor->numberOfKeys; i++)
		read_key(scan, &descriptor->keyData[i]);
	if (!scan->order_by && scan->bound_count == 0 && !scan->matches_nothing)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot scan index \"%s\" without ORDER BY or a bound "
						"on the distance",
						RelationGetRelationName(descriptor->indexRelation)),
				 errdetail("Rows without an embedding are not in the index.")));
	for (int i = 0; i < scan->bound_count && !scan->order_by && !scan->face;
		 i++)
		scan->face = scan->bounds[i].face;
}

/* ---- with the index's model --------------------------------------------- */

/* The threshold of % for a face, or for the rows when the face does not know
 * its model; false when neither does. */
static bool
find_match_distance(FrScan *scan, FrScanBound *bound, uint32 fingerprint)
{
	Relation index = scan->descriptor->indexRelation;
	FmgrInfo *procedure = index_getprocinfo(index, FR_EMBEDDING_COLUMN + 1,
											FR_PROC_MATCH_DISTANCE);
	Size bytes = VARSIZE(bound->face);
	FrStoredEmbedding *face = palloc(bytes);

	memcpy(face, bound->face, bytes);
	if (face->fingerprint == 0)
		face->fingerprint = fingerprint;
	if (face->fingerprint == 0)
		return false;
	bound->max_distance =
		DatumGetFloat8(FunctionCall1(procedure, PointerGetDatum(face)));
	return true;
}

static bool
is_same_face(const FrStoredEmbedding *a, const FrStoredEmbedding *b)
{
	return a == b ||
		   (VARSIZE(a) == VARSIZE(b) && memcmp(a, b, VARSIZE(a)) == 0);
}

static bool
fits_index(const FrStoredEmbedding *face, const FrMetaPage *meta)
{
	return face->dims == meta->dims &&
		   (face->fingerprint == meta->fingerprint || face->fingerprint == 0 ||
			meta->fingerprint == 0);
}

/* The lowest similarity for a distance, rounded down. */
static float
floor_of_distance(double max_distance)
{
	if (isnan(max_distance) || max_distance > 2.0)
		return -INFINITY;
	return nextafterf((float) (1.0 - max_distance), -INFINITY);
}

void
fr_scan_bind_keys(FrScan *scan, const FrMetaPage *meta)
{
	/* Faces that cannot be compared with the index's raise the operator's
	 * own error, at the first row. */
	scan->is_plain = !scan->face || !fits_index(scan->face, meta);
	scan->floor = -INFINITY;
	for (int i = 0; i < scan->bound_count; i++)
	{
		FrScanBound *bound = &scan->bounds[i];

		if (!bound->face)
			continue;
		if (!fits_index(bound->face, meta) ||
			(bound->is_match &&
			 !find_match_distance(scan, bound, meta->fingerprint)))
			scan->is_plain = true;
		else if (scan->face && is_same_face(bound->face, scan->face))
			scan->floor =
				Max(scan->floor, floor_of_distance(bound->max_distance));
	}
}
