/*
 * models_guard.c: the trigger that keeps facerec_models honest.
 *
 * It checks the hashes of every row, so that rows that arrive by COPY, restore
 * or replication are as good as loaded ones, refuses changes, and tells all
 * backends that models have come or gone.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "pg/builtin_models.h"
#include "pg/catalog.h"
#include "pg/errors.h"
#include "pg/model_descriptor.h"
#include "pg/models.h"
#include "utils/inval.h"
#include "utils/rel.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_models_guard);

static char *
get_text(HeapTuple tuple, TupleDesc descriptor, const char *column)
{
	char *value =
		SPI_getvalue(tuple, descriptor, SPI_fnumber(descriptor, column));

	if (!value)
		ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
						errmsg("column \"%s\" of facerec_models must not be "
							   "null",
							   column)));
	return value;
}

static Datum
get_datum(HeapTuple tuple, TupleDesc descriptor, const char *column)
{
	bool is_null;
	Datum value = SPI_getbinval(tuple, descriptor,
								SPI_fnumber(descriptor, column), &is_null);

	if (is_null)
		ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
						errmsg("column \"%s\" of facerec_models must not be "
							   "null",
							   column)));
	return value;
}

/* ERROR: a row that face_model_load would not have written, and why. */
pg_noreturn static void
refuse_row(const char *name, const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_CHECK_VIOLATION),
					errmsg("row of face model \"%s\" is not valid", name),
					errdetail_internal("%s", detail),
					errhint("Use face_model_load to add a model.")));
}

/* ERROR unless the descriptor is as face_model_load writes it: complete. */
static void
check_descriptor(const char *name, const FrDescriptor *preset, Jsonb *given)
{
	FrModelDescriptor read = {.core = *preset};

	fr_model_descriptor_apply(given, &read);

	Jsonb *complete = fr_model_descriptor_to_jsonb(&read);

	if (compareJsonbContainers(&given->root, &complete->root) != 0)
		refuse_row(name, "Its descriptor is not complete.");
}

/* The weights of a builtin row: those of the library, none of its own. */
static void
read_builtin_files(const char *name, HeapTuple tuple, TupleDesc descriptor,
				   FrModelFiles *files)
{
	FrModelRow row = {0};
	bytea *sha256 = DatumGetByteaPP(get_datum(tuple, descriptor, "sha256"));
	ArrayType *weights =
		DatumGetArrayTypeP(get_datum(tuple, descriptor, "weights"));
	const char *builtin = NULL;

	if (VARSIZE_ANY_EXHDR(sha256) == FR_SHA256_BYTES)
	{
		memcpy(row.sha256, VARDATA_ANY(sha256), FR_SHA256_BYTES);
		builtin = fr_builtin_name(row.sha256);
	}
	if (!builtin || strcmp(builtin, name) != 0 || ARR_NDIM(weights) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("row of face model \"%s\" is not valid", name),
				 errdetail("It is marked as builtin, but this version of "
						   "facerec has no such network."),
				 errhint("SELECT facerec_models_install() adds the models of "
						 "this version.")));
	fr_builtin_files(&row, files);
}

static bool
is_builtin(HeapTuple tuple, TupleDesc descriptor)
{
	return DatumGetBool(get_datum(tuple, descriptor, "builtin"));
}

/* Is a builtin row there already?  Every database has its own, so those of
 * another one, which come by COPY, are not needed. */
static bool
is_known_builtin(HeapTuple tuple, TupleDesc descriptor)
{
	FrModelRow row;
	uint32 fingerprint =
		(uint32) strtoul(get_text(tuple, descriptor, "fingerprint"), NULL, 16);

	return is_builtin(tuple, descriptor) &&
		   fr_catalog_find_name(get_text(tuple, descriptor, "name"), &row) &&
		   row.is_builtin && row.fingerprint == fingerprint;
}

/* ERROR unless hashes and role of a new row are what they must be. */
static void
check_row(HeapTuple tuple, TupleDesc descriptor)
{
	FrModelFiles files;
	uint8 sha256[FR_SHA256_BYTES];
	char expected[9];
	FrDescriptor preset = {.graph_count = 1};
	char *name = get_text(tuple, descriptor, "name");
	char *preset_name = get_text(tuple, descriptor, "preset");
	char *role = get_text(tuple, descriptor, "role");
	char *fingerprint = get_text(tuple, descriptor, "fingerprint");

	fr_model_check_name(name);
	if (is_builtin(tuple, descriptor))
		read_builtin_files(name, tuple, descriptor, &files);
	else
		fr_model_files_read(
			DatumGetArrayTypeP(get_datum(tuple, descriptor, "weights")),
			&files);

	bool is_known = fr_preset_find(preset_name, &preset);

	if (preset.graph_count > 1 && files.count != preset.graph_count)
		refuse_row(name,
				   psprintf("It has %d files, but the preset \"%s\" is a "
							"model of %d networks, each a file.",
							files.count, preset_name, preset.graph_count));
	fr_model_files_sha256(&files, preset.graph_count, sha256);
	snprintf(expected, sizeof(expected), "%08x",
			 fr_catalog_fingerprint(
				 sha256, preset_name,
				 DatumGetInt32(get_datum(tuple, descriptor, "dims")),
				 DatumGetJsonbP(get_datum(tuple, descriptor, "descriptor"))));

	bytea *stored = DatumGetByteaPP(get_datum(tuple, descriptor, "sha256"));

	if (VARSIZE_ANY_EXHDR(stored) != FR_SHA256_BYTES ||
		memcmp(VARDATA_ANY(stored), sha256, FR_SHA256_BYTES) != 0)
		refuse_row(name,
				   "The SHA-256 of the weights differs from column sha256.");
	if (strcmp(fingerprint, expected) != 0)
		refuse_row(name, psprintf("The fingerprint is %s, not %s.", expected,
								  fingerprint));
	if (is_known && strcmp(role, fr_role_name(preset.role)) != 0)
		refuse_row(name,
				   psprintf("The preset \"%s\" does not have the role \"%s\".",
							preset_name, role));
	if (is_known)
		check_descriptor(
			name, &preset,
			DatumGetJsonbP(get_datum(tuple, descriptor, "descriptor")));
}

/*
 * A model that was loaded, in a database that this row comes from, goes before
 * a builtin one of that name or of the same network.  Without triggers: the
 * guard would keep builtin rows from replication.
 */
static void
delete_builtin(Relation table, HeapTuple tuple)
{
	TupleDesc descriptor = RelationGetDescr(table);
	char *name = get_text(tuple, descriptor, "name");
	char *fingerprint = get_text(tuple, descriptor, "fingerprint");
	SysScanDesc scan =
		systable_beginscan(table, InvalidOid, false, NULL, 0, NULL);
	HeapTuple other;

	while (HeapTupleIsValid(other = systable_getnext(scan)))
		if (is_builtin(other, descriptor) &&
			(strcmp(get_text(other, descriptor, "name"), name) == 0 ||
			 strcmp(get_text(other, descriptor, "fingerprint"), fingerprint) ==
				 0))
			simple_heap_delete(table, &other->t_self);
	systable_endscan(scan);
}

/* WARNING when the row uses a builtin model that is not there: hardly any other
 * row will bring that. */
static void
warn_missing_builtin(HeapTuple tuple, TupleDesc descriptor)
{
	static const char *const keys[] = {"detector", "landmarks"};
	Jsonb *given = DatumGetJsonbP(get_datum(tuple, descriptor, "descriptor"));

	for (size_t i = 0; i < lengthof(keys); i++)
	{
		JsonbValue space;
		JsonbValue *used = getKeyJsonValueFromContainer(
			&given->root, keys[i], (int) strlen(keys[i]), &space);
		FrModelRow row;

		if (!used || used->type != jbvString)
			continue;

		char *label = pnstrdup(used->val.string.val, used->val.string.len);

		if (fr_builtin_is_name(label) &&
			!fr_catalog_find_fingerprint(fr_catalog_parse_fingerprint(label),
										 &row))
			ereport(
				WARNING,
				(errmsg("face model \"%s\" needs \"%s\", which is not there",
						get_text(tuple, descriptor, "name"), label),
				 errdetail("That model came with the extension, perhaps with "
						   "another version."),
				 errhint("If SELECT facerec_models_install() does not add "
						 "it, load it from its file, under another "
						 "name.")));
	}
}

/* What becomes of a new row: false when it is not needed. */
static bool
accept_row(Relation table, HeapTuple tuple)
{
	TupleDesc descriptor = RelationGetDescr(table);

	if (is_known_builtin(tuple, descriptor))
		return false;
	check_row(tuple, descriptor);
	if (!is_builtin(tuple, descriptor))
	{
		delete_builtin(table, tuple);
		warn_missing_builtin(tuple, descriptor);
	}
	return true;
}

Datum
facerec_models_guard(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "facerec_models_guard was not called as a trigger");

	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Relation table = trigger->tg_relation;
	HeapTuple tuple = trigger->tg_trigtuple;

	if (!TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		elog(ERROR, "facerec_models_guard must be fired before each row");
	/* Another table may have other types under the same names. */
	if (RelationGetRelid(table) != fr_catalog_table())
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("facerec_models_guard is for table "
							   "facerec_models only")));
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("a row of facerec_models never changes"),
						errhint("Use face_model_drop and face_model_load.")));
	/* Each node has the models of its own library, whatever versions the
	 * others have. */
	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA &&
		is_builtin(tuple, RelationGetDescr(table)))
		return PointerGetDatum(NULL);
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event) && !accept_row(table, tuple))
		return PointerGetDatum(NULL);

	/* Sent when the transaction commits: every backend forgets what it
	 * knows about models (catalog.c, model_cache.c). */
	CacheInvalidateRelcacheByRelid(RelationGetRelid(table));
	return PointerGetDatum(tuple);
}
