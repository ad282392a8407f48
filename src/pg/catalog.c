/*
 * catalog.c: reading facerec_models and facerec_thresholds; see catalog.h.
 *
 * The tables live in the extension's schema, wherever that is.  Their Oids are
 * looked up once and forgotten when one of them is invalidated, which also
 * happens whenever a row comes or goes (models.c and metrics.c send the
 * invalidation), so that one counter tells everybody who caches something
 * about models.
 */
#include "postgres.h"

#include "pg/catalog.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "common/cryptohash.h"
#include "miscadmin.h"
#include "pg/builtin_models.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Columns of facerec_models, in the order of sql/20_models.sql. */
enum
{
	ANUM_NAME = 1,
	ANUM_FINGERPRINT,
	ANUM_ROLE,
	ANUM_PRESET,
	ANUM_DESCRIPTOR,
	ANUM_DIMS,
	ANUM_SHA256,
	ANUM_LICENSE,
	ANUM_SOURCE,
	ANUM_BUILTIN,
	ANUM_LOADED_AT,
	ANUM_WEIGHTS
};

/* Columns of facerec_thresholds, in the order of sql/40_metrics.sql. */
enum
{
	ANUM_POINT_MODEL = 1,
	ANUM_POINT_FMR,
	ANUM_POINT_THRESHOLD,
	ANUM_POINT_FNMR,
	ANUM_POINT_N_GENUINE,
	ANUM_POINT_N_IMPOSTOR,
	ANUM_POINT_SOURCE,
	ANUM_POINT_CALIBRATED_AT,
	ANUM_POINT_BUILTIN,
	ANUM_POINT_FINGERPRINT
};

/* Where the tables and their indexes are. */
typedef struct Tables
{
	bool is_known;
	Oid models;
	Oid name_index;
	Oid fingerprint_index;
	Oid thresholds;
	Oid thresholds_index;
} Tables;

static Tables known;
static uint64 generation = 1;

static void
on_relcache_invalidation(Datum arg, Oid relation)
{
	if (relation != InvalidOid && relation != known.models &&
		relation != known.thresholds)
		return;
	known.is_known = false;
	generation++;
}

static void
watch_invalidations(void)
{
	static bool is_watching = false;

	if (is_watching)
		return;
	CacheRegisterRelcacheCallback(on_relcache_invalidation, (Datum) 0);
	is_watching = true;
}

/* ---- where the tables are ----------------------------------------------- */

static Oid
find_extension_schema(Oid extension)
{
	Oid schema = InvalidOid;
	Relation relation = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));

	SysScanDesc scan =
		systable_beginscan(relation, ExtensionOidIndexId, true, NULL, 1, &key);
	HeapTuple tuple = systable_getnext(scan);

	if (HeapTupleIsValid(tuple))
		schema = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return schema;
}

static Tables
find_tables(void)
{
	if (known.is_known)
		return known;
	watch_invalidations();

	Tables found = {0};
	Oid extension = get_extension_oid("facerec", true);

	if (!OidIsValid(extension))
		return found;

	Oid schema = find_extension_schema(extension);

	found.models = get_relname_relid("facerec_models", schema);
	found.name_index = get_relname_relid("facerec_models_pkey", schema);
	found.fingerprint_index =
		get_relname_relid("facerec_models_fingerprint_key", schema);
	found.thresholds = get_relname_relid("facerec_thresholds", schema);
	found.thresholds_index =
		get_relname_relid("facerec_thresholds_fingerprint_key", schema);
	found.is_known = OidIsValid(found.models) && OidIsValid(found.thresholds);
	known = found;
	return found;
}

Oid
fr_catalog_table(void)
{
	return find_tables().models;
}

Oid
fr_catalog_thresholds_table(void)
{
	return find_tables().thresholds;
}

/*
 * The active snapshot, seeing also what this transaction has done since it was
 * taken: PL/pgSQL evaluates IMMUTABLE functions with the snapshot of the
 * statement around it.  NULL when there is none.
 */
static Snapshot
current_snapshot(SnapshotData *copy)
{
	if (!ActiveSnapshotSet())
		return NULL;
	*copy = *GetActiveSnapshot();
	copy->curcid = GetCurrentCommandId(false);
	return copy;
}

/* ---- rows --------------------------------------------------------------- */

static char *
text_column(HeapTuple tuple, TupleDesc descriptor, int column)
{
	bool is_null;
	Datum value = heap_getattr(tuple, column, descriptor, &is_null);

	if (is_null)
		elog(ERROR, "column %d of facerec_models is null", column);
	return TextDatumGetCString(value);
}

static void
read_row(HeapTuple tuple, TupleDesc descriptor, FrModelRow *row)
{
	bool is_null;

	memset(row, 0, sizeof(*row));
	strlcpy(row->name, text_column(tuple, descriptor, ANUM_NAME),
			sizeof(row->name));
	strlcpy(row->preset, text_column(tuple, descriptor, ANUM_PRESET),
			sizeof(row->preset));
	row->fingerprint = (uint32) strtoul(
		text_column(tuple, descriptor, ANUM_FINGERPRINT), NULL, 16);

	const char *role = text_column(tuple, descriptor, ANUM_ROLE);

	row->role = FR_ROLE_DETECTOR;
	while (row->role < FR_ROLE_COUNT &&
		   strcmp(role, fr_role_name(row->role)) != 0)
		row->role++;
	if (row->role == FR_ROLE_COUNT)
		elog(ERROR, "unknown role \"%s\" in facerec_models", role);
	row->dims =
		DatumGetInt32(heap_getattr(tuple, ANUM_DIMS, descriptor, &is_null));

	bytea *sha256 =
		DatumGetByteaPP(heap_getattr(tuple, ANUM_SHA256, descriptor, &is_null));

	if (VARSIZE_ANY_EXHDR(sha256) != FR_SHA256_BYTES)
		elog(ERROR, "column sha256 of facerec_models has %d bytes",
			 (int) VARSIZE_ANY_EXHDR(sha256));
	memcpy(row->sha256, VARDATA_ANY(sha256), FR_SHA256_BYTES);
	row->is_builtin =
		DatumGetBool(heap_getattr(tuple, ANUM_BUILTIN, descriptor, &is_null));
}

static void
read_contents(HeapTuple tuple, TupleDesc descriptor, const FrModelRow *row,
			  MemoryContext context, bool has_weights,
			  FrModelContents *contents)
{
	bool is_null;
	MemoryContext caller = MemoryContextSwitchTo(context);

	contents->descriptor = DatumGetJsonbPCopy(
		heap_getattr(tuple, ANUM_DESCRIPTOR, descriptor, &is_null));
	memset(&contents->files, 0, sizeof(contents->files));
	if (!has_weights || row->is_builtin)
	{
		MemoryContextSwitchTo(caller);
		if (has_weights)
			fr_builtin_files(row, &contents->files);
		return;
	}

	Datum chunks = heap_getattr(tuple, ANUM_WEIGHTS, descriptor, &is_null);
	ArrayType *array = DatumGetArrayTypePCopy(chunks);

	fr_model_files_read(array, &contents->files);
	if (contents->files.bytes < (const char *) array ||
		contents->files.bytes > (const char *) array + VARSIZE(array))
		pfree(array);
	MemoryContextSwitchTo(caller);
}

/* Find the row whose column equals value and read what the caller wants. */
static bool
scan_table(int column, const char *value, FrModelRow *row,
		   MemoryContext context, bool has_weights, FrModelContents *contents)
{
	Tables where = find_tables();

	if (!OidIsValid(where.models))
		return false;

	Oid index =
		column == ANUM_NAME ? where.name_index : where.fingerprint_index;
	Relation table = table_open(where.models, AccessShareLock);
	SnapshotData copy;
	Snapshot snapshot = current_snapshot(&copy);
	ScanKeyData key;

	/* The columns have the collation "C", which ScanKeyInit sets. */
	ScanKeyInit(&key, (AttrNumber) column, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(value));

	SysScanDesc scan =
		systable_beginscan(table, index, OidIsValid(index), snapshot, 1, &key);
	HeapTuple tuple = systable_getnext(scan);
	bool is_found = HeapTupleIsValid(tuple);

	if (is_found)
		read_row(tuple, RelationGetDescr(table), row);
	if (is_found && contents)
		read_contents(tuple, RelationGetDescr(table), row, context, has_weights,
					  contents);
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return is_found;
}

bool
fr_catalog_find_name(const char *name, FrModelRow *row)
{
	return scan_table(ANUM_NAME, name, row, NULL, false, NULL);
}

bool
fr_catalog_find_fingerprint(uint32 fingerprint, FrModelRow *row)
{
	char hex[9];

	snprintf(hex, sizeof(hex), "%08x", fingerprint);
	return scan_table(ANUM_FINGERPRINT, hex, row, NULL, false, NULL);
}

bool
fr_catalog_read(const FrModelRow *row, MemoryContext context,
				FrModelContents *contents)
{
	char hex[9];
	FrModelRow again;

	snprintf(hex, sizeof(hex), "%08x", row->fingerprint);
	return scan_table(ANUM_FINGERPRINT, hex, &again, context, true, contents);
}

bool
fr_catalog_read_descriptor(const FrModelRow *row, MemoryContext context,
						   FrModelContents *contents)
{
	char hex[9];
	FrModelRow again;

	snprintf(hex, sizeof(hex), "%08x", row->fingerprint);
	return scan_table(ANUM_FINGERPRINT, hex, &again, context, false, contents);
}

/* ---- thresholds --------------------------------------------------------- */

/* A row of facerec_thresholds; returns whether it is a builtin one. */
static bool
read_point(HeapTuple tuple, TupleDesc descriptor, FrOperatingPoint *point)
{
	bool is_null;
	Datum count =
		heap_getattr(tuple, ANUM_POINT_N_IMPOSTOR, descriptor, &is_null);

	/* All other columns read here are NOT NULL. */
	point->impostor_count = is_null ? 0 : DatumGetInt64(count);
	point->fmr = DatumGetFloat8(
		heap_getattr(tuple, ANUM_POINT_FMR, descriptor, &is_null));
	point->threshold = DatumGetFloat8(
		heap_getattr(tuple, ANUM_POINT_THRESHOLD, descriptor, &is_null));
	return DatumGetBool(
		heap_getattr(tuple, ANUM_POINT_BUILTIN, descriptor, &is_null));
}

int
fr_catalog_thresholds(uint32 fingerprint, bool is_builtin,
					  FrOperatingPoint **points)
{
	Tables where = find_tables();
	int count = 0, capacity = 8;
	char hex[9];
	ScanKeyData key;
	HeapTuple tuple;

	*points = palloc(capacity * sizeof(**points));
	if (!OidIsValid(where.thresholds))
		return 0;
	snprintf(hex, sizeof(hex), "%08x", fingerprint);
	ScanKeyInit(&key, ANUM_POINT_FINGERPRINT, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(hex));

	Relation table = table_open(where.thresholds, AccessShareLock);
	SnapshotData copy;
	Snapshot snapshot = current_snapshot(&copy);
	SysScanDesc scan = systable_beginscan(table, where.thresholds_index,
										  OidIsValid(where.thresholds_index),
										  snapshot, 1, &key);

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		FrOperatingPoint point;

		if (read_point(tuple, RelationGetDescr(table), &point) != is_builtin)
			continue;
		if (count == capacity)
		{
			capacity *= 2;
			*points = repalloc(*points, capacity * sizeof(**points));
		}
		(*points)[count++] = point;
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return count;
}

/* ---- names -------------------------------------------------------------- */

void
fr_catalog_format_label(char label[FR_MODEL_LABEL_BYTES], const char *name,
						uint32 fingerprint)
{
	snprintf(label, FR_MODEL_LABEL_BYTES, "%s@%08x", name, fingerprint);
}

char *
fr_catalog_model_label(uint32 fingerprint)
{
	FrModelRow row;

	if (fingerprint == 0)
		return pstrdup("unknown");
	if (!IsTransactionState() ||
		!fr_catalog_find_fingerprint(fingerprint, &row))
		return psprintf("%08x", fingerprint);
	return psprintf("%s@%08x", row.name, row.fingerprint);
}

uint32
fr_catalog_parse_fingerprint(const char *label)
{
	const char *at = strchr(label, '@');
	const char *hex = at ? at + 1 : label;

	if (strlen(hex) != 8 || strspn(hex, "0123456789abcdef") != 8)
		return 0;
	return (uint32) strtoul(hex, NULL, 16);
}

void
fr_catalog_resolve(const char *reference, FrModelRow *row)
{
	char *name = pstrdup(reference);
	char *at = strchr(name, '@');
	uint32 fingerprint = at ? fr_catalog_parse_fingerprint(reference) : 0;

	if (fingerprint && fr_catalog_find_fingerprint(fingerprint, row))
		return;
	if (at)
		*at = '\0';

	bool is_named = fr_catalog_find_name(name, row);

	if (is_named && !at)
		return;

	const char *hint = "See table facerec_models for the available models.";

	if (!is_named && fr_builtin_is_name(reference))
		hint = "SELECT facerec_models_install() adds the models that come with "
			   "the extension; facerec.detector and facerec.embedder can name "
			   "others.";
	else if (reference[0] == '(') /* no name begins like that */
		hint = "A region of the picture is written with its type: box "
			   "'(x1,y1),(x2,y2)'.";
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("face model \"%s\" does not exist", reference),
			 is_named ? errdetail("The model of that name is now \"%s@%08x\".",
								  name, row->fingerprint)
					  : 0,
			 errhint("%s", hint)));
}

void
fr_catalog_resolve_role(const char *reference, FrRole role, FrModelRow *row)
{
	fr_catalog_resolve(reference, row);
	if (row->role != role)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 role == FR_ROLE_DETECTOR
					 ? errmsg("face model \"%s\" is not a detector", reference)
				 : role == FR_ROLE_EMBEDDER
					 ? errmsg("face model \"%s\" is not an embedder", reference)
					 : errmsg("face model \"%s\" does not find landmarks",
							  reference),
				 errhint("See table facerec_models for the available "
						 "models.")));
}

/* ---- contents ----------------------------------------------------------- */

void
fr_catalog_join_chunks(ArrayType *chunks, const void **bytes,
					   size_t *size_bytes)
{
	Datum *elements;
	bool *nulls;
	int count;
	size_t total = 0;

	deconstruct_array(chunks, BYTEAOID, -1, false, TYPALIGN_INT, &elements,
					  &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("chunk %d of the model's weights is null", i + 1)));
		total += VARSIZE_ANY_EXHDR(DatumGetPointer(elements[i]));
	}

	if (count == 1)
		*bytes = VARDATA_ANY(DatumGetPointer(elements[0]));
	else
	{
		char *joined = MemoryContextAllocHuge(CurrentMemoryContext, total + 1);
		size_t used = 0;

		for (int i = 0; i < count; i++)
		{
			bytea *chunk = (bytea *) DatumGetPointer(elements[i]);

			memcpy(joined + used, VARDATA_ANY(chunk), VARSIZE_ANY_EXHDR(chunk));
			used += VARSIZE_ANY_EXHDR(chunk);
		}
		*bytes = joined;
	}
	*size_bytes = total;
	if (elements)
		pfree(elements);
	if (nulls)
		pfree(nulls);
}

/* Bytes hashed between two looks at interrupts: about a millisecond. */
#define HASH_STEP ((size_t) 256 * 1024)

/* pg_cryptohash_update in steps; -1 on failure. */
static int
hash_update(pg_cryptohash_ctx *hash, const uint8 *bytes, size_t size_bytes)
{
	for (size_t done = 0; done < size_bytes; done += HASH_STEP)
	{
		CHECK_FOR_INTERRUPTS();
		if (pg_cryptohash_update(hash, bytes + done,
								 Min(HASH_STEP, size_bytes - done)) < 0)
			return -1;
	}
	return 0;
}

static void
hash_parts(const void *first, size_t first_bytes, const char *second,
		   uint8 sha256[FR_SHA256_BYTES])
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);

	if (!hash || pg_cryptohash_init(hash) < 0 ||
		hash_update(hash, first, first_bytes) < 0 ||
		pg_cryptohash_update(hash, (const uint8 *) second, strlen(second)) <
			0 ||
		pg_cryptohash_final(hash, sha256, FR_SHA256_BYTES) < 0)
		elog(ERROR, "could not compute a SHA-256 hash");
	pg_cryptohash_free(hash);
}

void
fr_catalog_sha256(const void *weights, size_t weights_bytes,
				  uint8 sha256[FR_SHA256_BYTES])
{
	hash_parts(weights, weights_bytes, "", sha256);
}

/* Reduce the model that a key of a descriptor names to its fingerprint. */
static Jsonb *
without_model_name(Jsonb *descriptor, const char *name)
{
	JsonbValue key = {.type = jbvString};

	key.val.string.val = unconstify(char *, name);
	key.val.string.len = (int) strlen(name);

	JsonbValue *model =
		JB_ROOT_IS_OBJECT(descriptor)
			? findJsonbValueFromContainer(&descriptor->root, JB_FOBJECT, &key)
			: NULL;

	if (!model || model->type != jbvString)
		return descriptor;

	uint32 fingerprint = fr_catalog_parse_fingerprint(
		pnstrdup(model->val.string.val, (Size) model->val.string.len));

	if (fingerprint == 0)
		return descriptor;

	Datum path = CStringGetTextDatum(name);
	ArrayType *paths =
		construct_array(&path, 1, TEXTOID, -1, false, TYPALIGN_INT);
	char *value = psprintf("\"%08x\"", fingerprint);

	return DatumGetJsonbP(DirectFunctionCall4(
		jsonb_set, JsonbPGetDatum(descriptor), PointerGetDatum(paths),
		DirectFunctionCall1(jsonb_in, CStringGetDatum(value)),
		BoolGetDatum(false)));
}

uint32
fr_catalog_fingerprint(const uint8 sha256[FR_SHA256_BYTES], const char *preset,
					   int dims, Jsonb *descriptor)
{
	uint8 digest[FR_SHA256_BYTES];
	Jsonb *hashed = without_model_name(
		without_model_name(descriptor, "detector"), "landmarks");
	char *json = JsonbToCString(NULL, &hashed->root, (int) VARSIZE(hashed));
	char *suffix =
		psprintf(" preset=%s dims=%d descriptor=%s", preset, dims, json);

	hash_parts(sha256, FR_SHA256_BYTES, suffix, digest);
	pfree(json);
	pfree(suffix);

	uint32 fingerprint = (uint32) digest[0] << 24 | (uint32) digest[1] << 16 |
						 (uint32) digest[2] << 8 | (uint32) digest[3];

	/* 0 means "model unknown" in an embedding. */
	return fingerprint ? fingerprint : 1;
}

/* ---- stamps ------------------------------------------------------------- */

/*
 * Two snapshots with equal xmax see the same completed transactions below
 * it up to those still running; that set can only shrink, so equal counts
 * mean equal sets.  curcid covers what the own transaction did, the
 * generation covers its rollbacks.
 */
FrCatalogStamp
fr_catalog_stamp(void)
{
	FrCatalogStamp stamp = {0};

	watch_invalidations();
	AcceptInvalidationMessages();
	stamp.generation = generation;

	SnapshotData copy;
	Snapshot snapshot = current_snapshot(&copy);

	if (snapshot)
	{
		stamp.xmax = snapshot->xmax;
		stamp.xcnt = snapshot->xcnt;
		stamp.subxcnt = snapshot->subxcnt;
		stamp.curcid = snapshot->curcid;
	}
	return stamp;
}

bool
fr_catalog_stamp_equal(const FrCatalogStamp *a, const FrCatalogStamp *b)
{
	return a->generation == b->generation && a->xmax == b->xmax &&
		   a->xcnt == b->xcnt && a->subxcnt == b->subxcnt &&
		   a->curcid == b->curcid && TransactionIdIsValid(a->xmax);
}
