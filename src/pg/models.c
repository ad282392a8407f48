/*
 * models.c: SQL functions that load and drop models, and the trigger that
 * keeps the table honest.
 *
 * A model is imported and planned once before its row is written, so that a
 * bad file is refused here, by name, and not in the middle of a query.  The
 * trigger checks the hashes of every row again: rows that arrive by COPY,
 * restore or replication are as good as loaded ones.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "core/onnx/import.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "pg/catalog.h"
#include "pg/errors.h"
#include "pg/memory.h"
#include "pg/model_cache.h"
#include "pg/model_descriptor.h"
#include "pg/settings.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_model_load);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_model_load_chunks);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_model_drop);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_models_guard);

/* A row whose weights are larger could not be dumped: COPY writes two
 * digits per byte and its lines are limited to 1 GB. */
#define MAX_WEIGHTS_BYTES ((size_t) 480 * 1024 * 1024)

/* A model on its way into the table. */
typedef struct NewModel
{
	FrModelRow row;
	FrModelDescriptor descriptor;
	const void *weights;
	size_t weights_bytes;
	ArrayType *chunks; /* what is stored */
	Jsonb *stored_descriptor;
	const char *license; /* or NULL */
} NewModel;

/* ---- checks ------------------------------------------------------------- */

static void
check_not_null(FunctionCallInfo fcinfo, int argument, const char *what)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the %s of a face model must not be null", what)));
}

static void
check_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
								  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t length = strlen(name);

	if (length == 0 || length >= FR_MODEL_NAME_BYTES ||
		strspn(name, allowed) != length)
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
						errmsg("invalid name for a face model: \"%s\"", name),
						errdetail("A name has 1 to %d letters, digits, dots, "
								  "underscores and hyphens.",
								  FR_MODEL_NAME_BYTES - 1)));
}

/* Name the license of models that are not free for every use. */
static void
notice_license(const char *name, const char *license)
{
	static const char *const marks[] = {"non-commercial", "noncommercial",
										"non commercial", "research",
										"by-nc",		  "by nc"};

	if (!license)
		return;

	char *lower = asc_tolower(license, strlen(license));

	for (size_t i = 0; i < lengthof(marks); i++)
		if (strstr(lower, marks[i]))
		{
			ereport(NOTICE, (errmsg("license of model \"%s\" is \"%s\"", name,
									license)));
			return;
		}
}

/* ---- the detector of an embedder ---------------------------------------- */

/* Take over how the detector detects, except for what the user has said. */
static void
adopt_detection(const FrDescriptor *detector, Jsonb *given, FrDescriptor *core)
{
	if (!fr_model_descriptor_has(given, "detection_threshold"))
		core->detection_threshold = detector->detection_threshold;
	if (!fr_model_descriptor_has(given, "detection_size"))
		core->detection_size = detector->detection_size;
	if (!fr_model_descriptor_has(given, "min_face_size"))
		core->min_face_size = detector->min_face_size;
	if (!fr_model_descriptor_has(given, "max_faces"))
		core->max_faces = detector->max_faces;
}

/* The name of the only detector in the catalog; NULL when there are none or
 * several. */
static char *
find_only_detector(Oid table)
{
	char *query = psprintf(
		"SELECT min(name) FROM %s.facerec_models WHERE role = 'detector' "
		"HAVING count(*) = 1",
		quote_identifier(get_namespace_name(get_rel_namespace(table))));
	char *name = NULL;

	if (SPI_execute(query, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read facerec_models");
	if (SPI_processed == 1)
		name = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	return name;
}

static void
notice_no_detector(const char *name)
{
	ereport(NOTICE,
			(errmsg("face model \"%s\" has no detector", name),
			 errdetail("face_embed(image, '%s') needs one to find the faces.",
					   name),
			 errhint("Load a detector first, or name one of several: "
					 "{\"detector\": \"name\"}.")));
}

/*
 * Fix which detector finds the faces for an embedder, and how: the one in
 * the descriptor, else that of facerec.detector, else the only one there is.
 */
static void
complete_embedder(NewModel *model, Jsonb *given, Oid table)
{
	FrModelDescriptor *descriptor = &model->descriptor;
	FrModelDescriptor detector = {0};
	FrModelRow row;
	const char *reference = NULL;

	if (fr_model_descriptor_has(given, "detector"))
		reference = descriptor->detector;
	else if (fr_setting_detector && fr_setting_detector[0])
		reference = fr_setting_detector;
	else
		reference = find_only_detector(table);

	if (!reference || !reference[0])
	{
		descriptor->detector[0] = '\0';
		if (fr_preset_find("yunet", &detector.core))
			adopt_detection(&detector.core, given, &descriptor->core);
		if (!fr_model_descriptor_has(given, "detector"))
			notice_no_detector(model->row.name);
		return;
	}

	FrModelContents contents;

	fr_catalog_resolve_role(reference, FR_ROLE_DETECTOR, &row);
	if (!fr_preset_find(row.preset, &detector.core) ||
		!fr_catalog_read(&row, CurrentMemoryContext, &contents))
		elog(ERROR, "could not read face model \"%s\"", row.name);
	fr_model_descriptor_apply(contents.descriptor, &detector);
	adopt_detection(&detector.core, given, &descriptor->core);
	fr_catalog_format_label(descriptor->detector, row.name, row.fingerprint);
}

/* ---- loading ------------------------------------------------------------ */

/* Import the file and plan it once; sets dims. */
static void
try_model(NewModel *model)
{
	MemoryContext memory = AllocSetContextCreate(
		CurrentMemoryContext, "facerec model check", ALLOCSET_DEFAULT_SIZES);
	FrAllocator allocator = fr_pg_allocator(memory);
	FrNetOptions options = fr_model_net_options();
	FrGraph graph;
	FrNet *net = NULL;
	FrError error;
	FrStatus status = fr_onnx_import(model->weights, model->weights_bytes,
									 &allocator, &graph, &error);

	if (status == FR_OK)
		status = fr_net_create(&graph, &options, &allocator, &net, &error);
	if (status == FR_OK)
		status = fr_descriptor_check(&model->descriptor.core, net, &allocator,
									 &model->row.dims, &error);
	if (net)
		fr_net_destroy(net);
	MemoryContextDelete(memory);
	if (status != FR_OK)
		fr_raise(status, &error,
				 psprintf("could not load face model \"%s\"", model->row.name),
				 NULL);
}

static void
insert_model(const NewModel *model, Oid table)
{
	char fingerprint[9];
	char *query = psprintf(
		"INSERT INTO %s.facerec_models (name, fingerprint, role, preset, "
		"descriptor, dims, sha256, license, weights) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		quote_identifier(get_namespace_name(get_rel_namespace(table))));
	Oid types[] = {TEXTOID, TEXTOID,  TEXTOID, TEXTOID,		 JSONBOID,
				   INT4OID, BYTEAOID, TEXTOID, BYTEAARRAYOID};
	bytea *sha256 = palloc(VARHDRSZ + FR_SHA256_BYTES);

	SET_VARSIZE(sha256, VARHDRSZ + FR_SHA256_BYTES);
	memcpy(VARDATA(sha256), model->row.sha256, FR_SHA256_BYTES);
	snprintf(fingerprint, sizeof(fingerprint), "%08x", model->row.fingerprint);

	Datum values[] = {
		CStringGetTextDatum(model->row.name),
		CStringGetTextDatum(fingerprint),
		CStringGetTextDatum(model->row.role == FR_ROLE_DETECTOR ? "detector"
																: "embedder"),
		CStringGetTextDatum(model->row.preset),
		JsonbPGetDatum(model->stored_descriptor),
		Int32GetDatum(model->row.dims),
		PointerGetDatum(sha256),
		model->license ? CStringGetTextDatum(model->license) : (Datum) 0,
		PointerGetDatum(model->chunks)};

	if (SPI_execute_with_args(query, lengthof(types), types, values,
							  model->license ? "         " : "       n ", false,
							  0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert into facerec_models");
}

/*
 * Is a model of that name there?  The same one is worth a NOTICE, another
 * one an ERROR; so is the same one under another name.
 */
static bool
is_already_loaded(const NewModel *model)
{
	FrModelRow other;

	if (fr_catalog_find_name(model->row.name, &other))
	{
		if (other.fingerprint != model->row.fingerprint)
			ereport(
				ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("face model \"%s\" already exists", model->row.name),
				 errhint("Drop it with face_model_drop('%s'), or load "
						 "the new one under another name.",
						 model->row.name)));
		ereport(NOTICE, (errmsg("face model \"%s\" is already loaded",
								model->row.name)));
		return true;
	}
	if (fr_catalog_find_fingerprint(model->row.fingerprint, &other))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("face model \"%s\" is already loaded as \"%s\"",
							   model->row.name, other.name)));
	return false;
}

/* Check the model, complete it and write its row; returns its label. */
static char *
load_model(NewModel *model, Jsonb *given)
{
	Oid table = fr_catalog_table();
	char label[FR_MODEL_LABEL_BYTES];

	if (!OidIsValid(table))
		elog(ERROR, "table facerec_models does not exist");
	if (model->weights_bytes > MAX_WEIGHTS_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("could not load face model \"%s\"", model->row.name),
				 errdetail("The model has %zu bytes, the limit is %zu.",
						   model->weights_bytes, MAX_WEIGHTS_BYTES)));
	model->row.role = model->descriptor.core.role;
	if (given)
		fr_model_descriptor_apply(given, &model->descriptor);

	/* One load at a time, so that names and detectors stay as they are. */
	Relation relation = table_open(table, ShareRowExclusiveLock);

	SPI_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	if (model->row.role == FR_ROLE_EMBEDDER)
		complete_embedder(model, given, table);
	try_model(model);
	model->stored_descriptor = fr_model_descriptor_to_jsonb(&model->descriptor);
	fr_catalog_sha256(model->weights, model->weights_bytes, model->row.sha256);
	model->row.fingerprint =
		fr_catalog_fingerprint(model->row.sha256, model->row.preset,
							   model->row.dims, model->stored_descriptor);
	if (!is_already_loaded(model))
	{
		insert_model(model, table);
		notice_license(model->row.name, model->license);
	}
	PopActiveSnapshot();
	SPI_finish();
	table_close(relation, NoLock);
	fr_catalog_format_label(label, model->row.name, model->row.fingerprint);
	return pstrdup(label);
}

/* The arguments that both forms of face_model_load share. */
static void
read_arguments(FunctionCallInfo fcinfo, NewModel *model)
{
	check_not_null(fcinfo, 0, "name");
	check_not_null(fcinfo, 1, "weights");
	check_not_null(fcinfo, 2, "preset");

	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *preset = text_to_cstring(PG_GETARG_TEXT_PP(2));

	check_name(name);
	if (!fr_preset_find(preset, &model->descriptor.core))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("face model preset \"%s\" does not exist", preset),
				 errhint("The presets are: %s.", fr_preset_names())));
	strlcpy(model->row.name, name, sizeof(model->row.name));
	strlcpy(model->row.preset, preset, sizeof(model->row.preset));
	if (!PG_ARGISNULL(4))
		model->license = text_to_cstring(PG_GETARG_TEXT_PP(4));
}

Datum
facerec_face_model_load(PG_FUNCTION_ARGS)
{
	NewModel model = {0};

	read_arguments(fcinfo, &model);

	bytea *weights = PG_GETARG_BYTEA_PP(1);
	Datum chunk = PointerGetDatum(weights);

	model.weights = VARDATA_ANY(weights);
	model.weights_bytes = VARSIZE_ANY_EXHDR(weights);
	model.chunks =
		construct_array(&chunk, 1, BYTEAOID, -1, false, TYPALIGN_INT);

	char *label =
		load_model(&model, PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3));

	PG_RETURN_TEXT_P(cstring_to_text(label));
}

Datum
facerec_face_model_load_chunks(PG_FUNCTION_ARGS)
{
	NewModel model = {0};

	read_arguments(fcinfo, &model);
	model.chunks = PG_GETARG_ARRAYTYPE_P(1);
	fr_catalog_join_chunks(model.chunks, &model.weights, &model.weights_bytes);

	char *label =
		load_model(&model, PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3));

	PG_RETURN_TEXT_P(cstring_to_text(label));
}

/* ---- dropping ----------------------------------------------------------- */

/* ERROR when embedders detect their faces with this model. */
static void
check_not_needed(const FrModelRow *row, const char *schema)
{
	Oid types[] = {TEXTOID};
	Datum values[] = {CStringGetTextDatum(psprintf("%08x", row->fingerprint))};
	/* The row may come from a database where the detector has another name. */
	char *query = psprintf("SELECT string_agg(quote_ident(name), ', ' ORDER "
						   "BY name) FROM %s.facerec_models "
						   "WHERE right(descriptor->>'detector', 8) = $1",
						   schema);

	if (SPI_execute_with_args(query, 1, types, values, NULL, false, 1) !=
		SPI_OK_SELECT)
		elog(ERROR, "could not read facerec_models");

	char *users = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);

	if (users)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop face model \"%s\" because other models "
						"need it",
						row->name),
				 errdetail("It finds the faces for: %s.", users),
				 errhint("Drop those models first.")));
}

static void
delete_model(const FrModelRow *row, const char *schema)
{
	Oid types[] = {TEXTOID};
	Datum values[] = {CStringGetTextDatum(row->name)};
	char *query =
		psprintf("DELETE FROM %s.facerec_models WHERE name = $1", schema);

	if (SPI_execute_with_args(query, 1, types, values, NULL, false, 0) !=
		SPI_OK_DELETE)
		elog(ERROR, "could not delete from facerec_models");
}

Datum
facerec_face_model_drop(PG_FUNCTION_ARGS)
{
	char *reference = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Oid table = fr_catalog_table();
	FrModelRow row;

	if (!OidIsValid(table))
		elog(ERROR, "table facerec_models does not exist");

	Relation relation = table_open(table, ShareRowExclusiveLock);
	const char *schema =
		quote_identifier(get_namespace_name(RelationGetNamespace(relation)));

	SPI_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	fr_catalog_resolve(reference, &row);

	/* Another name with this fingerprint may be used, but not dropped. */
	const char *at = strchr(reference, '@');

	if (at && (strlen(row.name) != (Size) (at - reference) ||
			   strncmp(row.name, reference, (Size) (at - reference)) != 0))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("face model \"%s\" does not exist", reference),
						errdetail("The model of that fingerprint is called "
								  "\"%s\".",
								  row.name)));
	check_not_needed(&row, schema);
	delete_model(&row, schema);
	PopActiveSnapshot();
	SPI_finish();
	table_close(relation, NoLock);
	PG_RETURN_VOID();
}

/* ---- the trigger -------------------------------------------------------- */

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

/* ERROR unless the descriptor is as face_model_load writes it: complete. */
static void
check_descriptor(const char *name, const FrDescriptor *preset, Jsonb *given)
{
	FrModelDescriptor read = {.core = *preset};

	fr_model_descriptor_apply(given, &read);

	Jsonb *complete = fr_model_descriptor_to_jsonb(&read);

	if (compareJsonbContainers(&given->root, &complete->root) != 0)
		ereport(ERROR, (errcode(ERRCODE_CHECK_VIOLATION),
						errmsg("row of face model \"%s\" is not valid", name),
						errdetail("Its descriptor is not complete."),
						errhint("Use face_model_load to add a model.")));
}

/* ERROR unless hashes and role of a new row are what they must be. */
static void
check_row(HeapTuple tuple, TupleDesc descriptor)
{
	const void *weights;
	size_t weights_bytes;
	uint8 sha256[FR_SHA256_BYTES];
	char expected[9];
	FrDescriptor preset;
	char *name = get_text(tuple, descriptor, "name");
	char *preset_name = get_text(tuple, descriptor, "preset");
	char *role = get_text(tuple, descriptor, "role");
	char *fingerprint = get_text(tuple, descriptor, "fingerprint");

	check_name(name);
	fr_catalog_join_chunks(
		DatumGetArrayTypeP(get_datum(tuple, descriptor, "weights")), &weights,
		&weights_bytes);
	fr_catalog_sha256(weights, weights_bytes, sha256);
	snprintf(expected, sizeof(expected), "%08x",
			 fr_catalog_fingerprint(
				 sha256, preset_name,
				 DatumGetInt32(get_datum(tuple, descriptor, "dims")),
				 DatumGetJsonbP(get_datum(tuple, descriptor, "descriptor"))));

	bytea *stored = DatumGetByteaPP(get_datum(tuple, descriptor, "sha256"));

	if (VARSIZE_ANY_EXHDR(stored) != FR_SHA256_BYTES ||
		memcmp(VARDATA_ANY(stored), sha256, FR_SHA256_BYTES) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("row of face model \"%s\" is not valid", name),
				 errdetail("The SHA-256 of the weights differs from column "
						   "sha256."),
				 errhint("Use face_model_load to add a model.")));
	if (strcmp(fingerprint, expected) != 0)
		ereport(ERROR, (errcode(ERRCODE_CHECK_VIOLATION),
						errmsg("row of face model \"%s\" is not valid", name),
						errdetail("The fingerprint is %s, not %s.", expected,
								  fingerprint),
						errhint("Use face_model_load to add a model.")));
	if (fr_preset_find(preset_name, &preset) &&
		(preset.role == FR_ROLE_DETECTOR) != (strcmp(role, "detector") == 0))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("row of face model \"%s\" is not valid", name),
				 errdetail("The preset \"%s\" does not have the role \"%s\".",
						   preset_name, role),
				 errhint("Use face_model_load to add a model.")));
	if (fr_preset_find(preset_name, &preset))
		check_descriptor(
			name, &preset,
			DatumGetJsonbP(get_datum(tuple, descriptor, "descriptor")));
}

Datum
facerec_models_guard(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "facerec_models_guard was not called as a trigger");

	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		elog(ERROR, "facerec_models_guard must be fired before each row");
	/* Another table may have other types under the same names. */
	if (RelationGetRelid(trigger->tg_relation) != fr_catalog_table())
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("facerec_models_guard is for table "
							   "facerec_models only")));
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("a row of facerec_models never changes"),
						errhint("Use face_model_drop and face_model_load.")));
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		check_row(trigger->tg_trigtuple,
				  RelationGetDescr(trigger->tg_relation));

	/* Sent when the transaction commits: every backend forgets what it
	 * knows about models (catalog.c, model_cache.c). */
	CacheInvalidateRelcacheByRelid(RelationGetRelid(trigger->tg_relation));
	return PointerGetDatum(trigger->tg_trigtuple);
}
