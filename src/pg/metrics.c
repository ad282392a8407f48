/*
 * metrics.c: thresholds as false match rates: face_threshold, face_match and
 * the operator %, with their estimates for the planner.
 *
 * % is called once per row of a table.  So every call site keeps the
 * calibrations of the models that it meets, as long as the table
 * facerec_thresholds looks the same to the query (catalog.h, stamps).
 */
#include "postgres.h"

#include "pg/metrics.h"

#include "catalog/pg_type.h"
#include "core/metric/calibrate.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "pg/catalog.h"
#include "pg/embedding.h"
#include "pg/errors.h"
#include "pg/settings.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/selfuncs.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_threshold);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_match);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_faceembedding_match_distance);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_match_sel);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_match_joinsel);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_network_fingerprint);

/* One query rarely meets more models. */
#define CALIBRATION_COUNT 4

/* How many photos of one person the planner expects in a table. */
#define PHOTOS_OF_A_PERSON 10.0

/* The calibration of a model, and the point that was asked for last. */
typedef struct Calibration
{
	uint32 fingerprint;
	FrOperatingPoint *points; /* NULL = free entry */
	int count;
	bool is_builtin;		  /* the points came with the extension */
	FrOperatingPoint current; /* fmr 0 = none yet */
	bool has_warned;
} Calibration;

/* What a user asks for: a rate for a pair of faces, or for a whole search. */
typedef struct Request
{
	double rate;
	int64 gallery_size; /* 1 = a pair */
	double fmr;			/* what that is for one comparison */
} Request;

typedef struct CalibrationCache
{
	FrCatalogStamp stamp;
	int next; /* entry to replace when all are taken */
	Calibration entries[CALIBRATION_COUNT];
	char model[FR_MODEL_LABEL_BYTES]; /* as the user names it; "" = none */
	uint32 fingerprint_of_model;
} CalibrationCache;

/* ---- calibrations of a call site ---------------------------------------- */

static void
forget(Calibration *entry)
{
	if (entry->points)
		pfree(entry->points);
	memset(entry, 0, sizeof(*entry));
}

/* The cache of this call site, without what is out of date. */
static CalibrationCache *
get_cache(FmgrInfo *call_site)
{
	CalibrationCache *cache = call_site->fn_extra;
	FrCatalogStamp now = fr_catalog_stamp();

	if (!cache)
	{
		cache = MemoryContextAllocZero(call_site->fn_mcxt, sizeof(*cache));
		call_site->fn_extra = cache;
	}
	if (!fr_catalog_stamp_equal(&cache->stamp, &now))
	{
		for (int i = 0; i < CALIBRATION_COUNT; i++)
			forget(&cache->entries[i]);
		cache->model[0] = '\0';
		cache->stamp = now;
	}
	return cache;
}

/*
 * The fingerprint that a model would have without the keys of its descriptor
 * that do not move its embeddings: how faces are found, and in which
 * precision large layers keep their weights.  0 when the model is not in the
 * catalog.
 */
static uint32
network_fingerprint(uint32 fingerprint)
{
	static const char *const keys[] = {
		"detector",		 "detection_threshold", "detection_size",
		"min_face_size", "max_faces",			"weight_storage",
	};
	Datum names[lengthof(keys)];
	FrModelRow row;
	FrModelContents contents;

	if (!fr_catalog_find_fingerprint(fingerprint, &row) ||
		!fr_catalog_read_descriptor(&row, CurrentMemoryContext, &contents))
		return 0;
	for (int i = 0; i < (int) lengthof(keys); i++)
		names[i] = CStringGetTextDatum(keys[i]);

	ArrayType *array = construct_array(names, lengthof(keys), TEXTOID, -1,
									   false, TYPALIGN_INT);
	Jsonb *rest = DatumGetJsonbP(DirectFunctionCall2(
		jsonb_delete_array, JsonbPGetDatum(contents.descriptor),
		PointerGetDatum(array)));

	return fr_catalog_fingerprint(row.sha256, row.preset, row.dims, rest);
}

/*
 * The calibration of a model: its own rows, else those of its network, and of
 * either the rows of this database before those of the extension.  It does not
 * matter much how a face was found: the extension's rows hold for every
 * detector.  Calibrations are not mixed: a point of one set of faces between
 * two of another can make a stricter rate accept more.
 */
static int
read_calibration(uint32 fingerprint, FrOperatingPoint **points,
				 bool *is_builtin)
{
	int count = fr_catalog_thresholds(fingerprint, *is_builtin = false, points);

	if (count == 0)
		count = fr_catalog_thresholds(fingerprint, *is_builtin = true, points);

	uint32 network = count == 0 ? network_fingerprint(fingerprint) : 0;

	if (network != 0)
		count = fr_catalog_thresholds(network, *is_builtin = false, points);
	if (network != 0 && count == 0)
		count = fr_catalog_thresholds(network, *is_builtin = true, points);
	return count;
}

/* How many of the extension's rows a model does not use since it has others. */
static int
count_hidden(uint32 fingerprint)
{
	FrOperatingPoint *points;
	int count = fr_catalog_thresholds(fingerprint, true, &points);
	uint32 network = network_fingerprint(fingerprint);

	if (network != 0 && network != fingerprint)
		count += fr_catalog_thresholds(network, true, &points);
	return count;
}

static Calibration *
get_calibration(FmgrInfo *call_site, uint32 fingerprint)
{
	CalibrationCache *cache = get_cache(call_site);

	for (int i = 0; i < CALIBRATION_COUNT; i++)
		if (cache->entries[i].points &&
			cache->entries[i].fingerprint == fingerprint)
			return &cache->entries[i];

	FrOperatingPoint *points;
	bool is_builtin;
	int count = read_calibration(fingerprint, &points, &is_builtin);
	Calibration *entry = &cache->entries[cache->next];

	cache->next = (cache->next + 1) % CALIBRATION_COUNT;
	forget(entry);
	entry->points =
		MemoryContextAlloc(call_site->fn_mcxt, (count + 1) * sizeof(*points));
	if (count > 0)
		memcpy(entry->points, points, count * sizeof(*points));
	entry->count = count;
	entry->is_builtin = is_builtin;
	entry->fingerprint = fingerprint;
	pfree(points);
	return entry;
}

/* ---- thresholds that are not there -------------------------------------- */

/* How to get on when the rate lies outside the calibration. */
static char *
hint_range(const Calibration *calibration, const Request *request,
		   int hidden_count)
{
	int64 largest = fr_calibrate_largest_gallery(
		request->rate,
		fr_calibrate_least_fmr(calibration->points, calibration->count));

	if (largest > 0 && largest < request->gallery_size)
		return psprintf("The largest gallery at that rate has %lld faces.",
						(long long) largest);
	if (hidden_count > 0)
		return pstrdup("Choose a rate in that range, add rows to "
					   "facerec_thresholds, or delete the model's own rows and "
					   "SELECT facerec_thresholds_install().");
	return pstrdup("Choose a rate in that range, or add rows to "
				   "facerec_thresholds.");
}

static char *
hint_missing(FrStatus status, const Calibration *calibration,
			 const Request *request, int hidden_count)
{
	if (status == FR_ERR_MISMATCH)
		return pstrdup("Correct or delete rows of facerec_thresholds; view "
					   "facerec_thresholds_in_force shows which are used.");
	if (calibration->count == 0)
		return pstrdup("Add rows for it to facerec_thresholds. SELECT "
					   "facerec_thresholds_install() puts deleted ones of the "
					   "extension back.");
	return hint_range(calibration, request, hidden_count);
}

static void
raise_no_threshold(FrStatus status, const FrError *error,
				   const Calibration *calibration, const Request *request)
{
	const char *label = fr_catalog_model_label(calibration->fingerprint);
	bool is_search = request->gallery_size > 1;
	int hidden_count = calibration->count > 0 && !calibration->is_builtin
						   ? count_hidden(calibration->fingerprint)
						   : 0;
	StringInfoData detail;

	initStringInfo(&detail);
	if (is_search)
		appendStringInfo(&detail, "That is %g for each face. ", request->fmr);
	appendStringInfoString(&detail, error->message);
	if (hidden_count > 0)
		appendStringInfo(&detail,
						 " Not used, because the model has rows of its own: "
						 "%d that came with the extension.",
						 hidden_count);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 is_search ? errmsg("no threshold for model \"%s\" at false match "
								"rate %g in a gallery of %lld faces",
								label, request->rate,
								(long long) request->gallery_size)
					   : errmsg("no threshold for model \"%s\" at false match "
								"rate %g",
								label, request->rate),
			 errdetail_internal("%s", detail.data),
			 errhint("%s", hint_missing(status, calibration, request,
										hidden_count))));
}

/* ---- thresholds --------------------------------------------------------- */

/* Find the threshold of a model; ERROR when there is none.  Warns once, and
 * not once per row, of a calibration that is too small for the rate. */
static double
find_threshold(FmgrInfo *call_site, uint32 fingerprint, const Request *request)
{
	Calibration *calibration = get_calibration(call_site, fingerprint);
	double fmr = request->fmr;
	FrError error;

	if (likely(calibration->current.fmr == fmr))
		return calibration->current.threshold;

	FrStatus status = fr_calibrate_find(calibration->points, calibration->count,
										fmr, &calibration->current, &error);

	if (status != FR_OK)
		raise_no_threshold(status, &error, calibration, request);
	if (!calibration->has_warned && fr_calibrate_is_weak(&calibration->current))
	{
		calibration->has_warned = true;
		ereport(WARNING,
				(errmsg("false match rate %g is below 3 / %lld impostor "
						"comparisons",
						fmr, (long long) calibration->current.impostor_count),
				 errdetail("The calibration of model \"%s\" is too small to "
						   "tell.",
						   fr_catalog_model_label(fingerprint))));
	}
	return calibration->current.threshold;
}

static void
check_fmr(double fmr)
{
	if (!(fmr > 0.0 && fmr < 1.0))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid false match rate: %g", fmr),
						errdetail("A false match rate must be greater than 0 "
								  "and less than 1.")));
}

double
fr_metrics_threshold(FmgrInfo *call_site, uint32 fingerprint, double fmr)
{
	Request request = {.rate = fmr, .gallery_size = 1, .fmr = fmr};

	check_fmr(fmr);
	return find_threshold(call_site, fingerprint, &request);
}

/* What a user means by "name", "name@1f3c9a7e" or, as face_model says for a
 * model that is not in the catalog, "1f3c9a7e". */
static uint32
fingerprint_of(const char *model)
{
	uint32 fingerprint = fr_catalog_parse_fingerprint(model);
	FrModelRow row;

	if (fingerprint && strchr(model, '@'))
		return fingerprint;
	if (fingerprint && !fr_catalog_find_name(model, &row))
		return fingerprint;
	fr_catalog_resolve_role(model, FR_ROLE_EMBEDDER, &row);
	return row.fingerprint;
}

/* The same, remembered: WHERE a <=> b < face_threshold('name', 1e-4) asks
 * once per row. */
static uint32
find_model(FmgrInfo *call_site, const char *model)
{
	CalibrationCache *cache = get_cache(call_site);

	if (cache->model[0] && strcmp(cache->model, model) == 0)
		return cache->fingerprint_of_model;

	uint32 fingerprint = fingerprint_of(model);

	if (strlen(model) < sizeof(cache->model))
	{
		strlcpy(cache->model, model, sizeof(cache->model));
		cache->fingerprint_of_model = fingerprint;
	}
	return fingerprint;
}

/* face_threshold(model, fmr, gallery_size) */
Datum
facerec_face_threshold(PG_FUNCTION_ARGS)
{
	char *model = text_to_cstring(PG_GETARG_TEXT_PP(0));
	double fmr = PG_GETARG_FLOAT8(1);
	int64 gallery_size = PG_GETARG_INT64(2);

	check_fmr(fmr);
	if (gallery_size < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid gallery size: %lld", (long long) gallery_size),
				 errdetail("A gallery has at least one face.")));

	Request request = {
		.rate = fmr,
		.gallery_size = gallery_size,
		.fmr = fr_calibrate_fmr_of_fpir(fmr, gallery_size),
	};

	PG_RETURN_FLOAT8(find_threshold(
		fcinfo->flinfo, find_model(fcinfo->flinfo, model), &request));
}

/*
 * facerec_network_fingerprint(fingerprint): under which fingerprint the rows
 * of a model's network are; NULL for a model that is not in the catalog.
 */
Datum
facerec_network_fingerprint(PG_FUNCTION_ARGS)
{
	char *model = text_to_cstring(PG_GETARG_TEXT_PP(0));
	uint32 network = network_fingerprint(fr_catalog_parse_fingerprint(model));

	if (network == 0)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%08x", network)));
}

/* ---- same person -------------------------------------------------------- */

/* The model of a pair that can be compared: that of the side that knows. */
static uint32
model_of_pair(const FrEmbedding *a, const FrEmbedding *b)
{
	uint32 fingerprint = a->fingerprint ? a->fingerprint : b->fingerprint;

	if (unlikely(fingerprint == 0))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("cannot match face embeddings of unknown models"),
				 errdetail("Thresholds belong to models."),
				 errhint("Say which model made them, with "
						 "face_embedding(real[], model), or compare their "
						 "distance with a threshold of your own.")));
	return fingerprint;
}

/* a % b, face_match(a, b) and face_match(a, b, fmr) */
Datum
facerec_face_match(PG_FUNCTION_ARGS)
{
	FrEmbedding *a = PG_GETARG_FREMBEDDING(0);
	FrEmbedding *b = PG_GETARG_FREMBEDDING(1);
	double fmr = PG_NARGS() > 2 ? PG_GETARG_FLOAT8(2) : fr_setting_fmr;

	fr_embedding_check_pair(a, b);

	double threshold =
		fr_metrics_threshold(fcinfo->flinfo, model_of_pair(a, b), fmr);
	bool is_same = fr_embedding_distance(a, b) <= threshold;

	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	PG_RETURN_BOOL(is_same);
}

/*
 * faceembedding_match_distance(faceembedding) -> float8: the distance up to
 * which % holds, for an index scan that looks for this face.  NULL when the
 * face does not know its model: then the rows do, each for itself.
 */
Datum
facerec_faceembedding_match_distance(PG_FUNCTION_ARGS)
{
	FrEmbedding *face = PG_GETARG_FREMBEDDING(0);
	uint32 fingerprint = face->fingerprint;

	PG_FREE_IF_COPY(face, 0);
	if (fingerprint == 0)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(
		fr_metrics_threshold(fcinfo->flinfo, fingerprint, fr_setting_fmr));
}

/* ---- estimates ---------------------------------------------------------- */

/*
 * The share of rows that match a face: strangers by the false match rate,
 * which is just that share, and a few photos of the person.
 */
static Selectivity
share_of_matches(double row_count)
{
	Selectivity share = fr_setting_fmr;

	if (row_count > 0)
		share += PHOTOS_OF_A_PERSON / row_count;
	CLAMP_PROBABILITY(share);
	return share;
}

static double
row_count_of(const VariableStatData *variable)
{
	return variable->rel ? variable->rel->tuples : 0;
}

/* face_match_sel(internal, oid, internal, integer) */
Datum
facerec_face_match_sel(PG_FUNCTION_ARGS)
{
	PlannerInfo *root = (PlannerInfo *) PG_GETARG_POINTER(0);
	List *arguments = (List *) PG_GETARG_POINTER(2);
	int relation = PG_GETARG_INT32(3);
	VariableStatData variable;
	Node *other;
	bool is_on_left;
	double row_count = 0;

	if (get_restriction_variable(root, arguments, relation, &variable, &other,
								 &is_on_left))
	{
		row_count = row_count_of(&variable);
		ReleaseVariableStats(variable);
	}
	PG_RETURN_FLOAT8(share_of_matches(row_count));
}

/* face_match_joinsel(internal, oid, internal, smallint, internal) */
Datum
facerec_face_match_joinsel(PG_FUNCTION_ARGS)
{
	PlannerInfo *root = (PlannerInfo *) PG_GETARG_POINTER(0);
	List *arguments = (List *) PG_GETARG_POINTER(2);
	SpecialJoinInfo *join = (SpecialJoinInfo *) PG_GETARG_POINTER(4);
	VariableStatData left;
	VariableStatData right;
	bool is_reversed;

	get_join_variables(root, arguments, join, &left, &right, &is_reversed);

	double row_count = Max(row_count_of(&left), row_count_of(&right));

	ReleaseVariableStats(left);
	ReleaseVariableStats(right);
	PG_RETURN_FLOAT8(share_of_matches(row_count));
}
