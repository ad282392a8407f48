/*
 * models.c: SQL functions that load and drop models.
 *
 * A model is imported and planned once before its row is written, so that a
 * bad file is refused here, by name, and not in the middle of a query.
 */
#include "postgres.h"

#include "pg/models.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "core/face/detect.h"
#include "core/face/recognise.h"
#include "core/nn/quantize.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pg/builtin_models.h"
#include "pg/catalog.h"
#include "pg/errors.h"
#include "pg/memory.h"
#include "pg/model_cache.h"
#include "pg/model_descriptor.h"
#include "pg/model_links.h"
#include "pg/settings.h"
#include "pg/weight_cache.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_model_load);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_model_load_chunks);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_model_drop);

/* A row whose weights are larger could not be dumped: COPY writes two
 * digits per byte and its lines are limited to 1 GB. */
#define MAX_WEIGHTS_BYTES ((size_t) 480 * 1024 * 1024)

/* A model on its way into the table. */
typedef struct NewModel
{
	FrModelRow row;
	FrModelDescriptor descriptor;
	bool is_preset_given;
	FrModelFiles files;
	ArrayType *chunks;	/* what is stored */
	bool is_builtin;	/* nothing is */
	bool has_landmarks; /* a detector that finds them by itself */
	Jsonb *stored_descriptor;
	const char *license; /* or NULL */
	const char *source;	 /* or NULL */
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

void
fr_model_check_name(const char *name)
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

/* ---- loading ------------------------------------------------------------ */

/* The networks of a model while it is checked. */
typedef struct Trial
{
	MemoryContext memory;
	FrAllocator allocator;
	FrNetOptions options;
	FrNet *nets[FR_MAX_GRAPHS];
	int count;
} Trial;

static void
fail_trial(Trial *trial, const NewModel *model, FrStatus status,
		   const FrError *error, const char *hint)
{
	fr_model_nets_destroy(trial->nets);
	MemoryContextDelete(trial->memory);
	fr_raise(status, error,
			 psprintf("could not load face model \"%s\"", model->row.name),
			 hint);
}

/* A number for all channels, or three. */
static void
append_channels(StringInfo words, const float channels[3])
{
	if (channels[0] == channels[1] && channels[1] == channels[2])
		appendStringInfo(words, "%g", (double) channels[0]);
	else
		appendStringInfo(words, "[%g, %g, %g]", (double) channels[0],
						 (double) channels[1], (double) channels[2]);
}

/* How a network is fed, in words. */
static char *
describe_feeding(const FrDescriptor *core)
{
	static const float zeros[3] = {0, 0, 0}, ones[3] = {1, 1, 1};
	StringInfoData words;

	initStringInfo(&words);
	appendStringInfoString(&words, core->is_bgr ? "BGR" : "RGB");
	if (core->is_standardised)
		appendStringInfoString(&words, ", standardised per picture");
	else if (memcmp(core->mean, zeros, sizeof(zeros)) == 0 &&
			 memcmp(core->scale, ones, sizeof(ones)) == 0)
		appendStringInfoString(&words, " 0..255");
	else
	{
		appendStringInfoString(&words, ", (v - ");
		append_channels(&words, core->mean);
		appendStringInfoString(&words, ") * ");
		append_channels(&words, core->scale);
	}
	return words.data;
}

/* Say which preset was recognised, and what that means. */
static void
notice_preset(const NewModel *model)
{
	const FrDescriptor *core = &model->descriptor.core;

	ereport(NOTICE, (errmsg("face model \"%s\" was recognized as preset \"%s\"",
							model->row.name, core->preset),
					 errdetail("It is fed with %s.", describe_feeding(core))));
}

/* Make the networks; find the preset when the user has not named one. */
static void
make_networks(NewModel *model, Trial *trial)
{
	FrCancel cancel = fr_pg_cancel();
	FrError error;
	char hint[256];
	FrStatus status;

	trial->memory = AllocSetContextCreate(
		CurrentMemoryContext, "facerec model check", ALLOCSET_DEFAULT_SIZES);
	trial->allocator = fr_pg_allocator(trial->memory);
	trial->options = fr_model_net_options();
	if (model->is_preset_given)
	{
		trial->count = model->descriptor.core.graph_count;
		status =
			fr_model_nets_create(&model->files, trial->count, &trial->options,
								 &trial->allocator, trial->nets, &error);
	}
	else
		status = fr_model_nets_explore(&model->files, &trial->options,
									   &trial->allocator, trial->nets,
									   &trial->count, &error);
	if (status != FR_OK)
		fail_trial(trial, model, status, &error, NULL);
	if (model->is_preset_given)
		return;
	/* Not every interrupt is a user's wish to stop. */
	while ((status = fr_preset_recognise(
				trial->nets, trial->count, &cancel, &trial->allocator,
				&model->descriptor.core, hint, &error)) == FR_ERR_CANCELLED)
		CHECK_FOR_INTERRUPTS();
	if (status != FR_OK)
		fail_trial(trial, model, status, &error,
				   status == FR_ERR_MISMATCH ? hint : NULL);
	strlcpy(model->row.preset, model->descriptor.core.preset,
			sizeof(model->row.preset));
}

/* Only a network that has 8-bit layers is a variant of another one. */
static void
check_origin(const NewModel *model, Trial *trial)
{
	FrError error;

	if (!model->descriptor.origin.fingerprint[0])
		return;
	for (int i = 0; i < trial->count; i++)
		if (fr_quantize_is_quantized(fr_net_graph(trial->nets[i])))
			return;

	FrStatus status =
		fr_fail(&error, FR_ERR_ARGUMENT,
				"Its descriptor has the key \"int8_of\", but no layer of the "
				"network is quantized.");

	fail_trial(trial, model, status, &error,
			   "face_model_quantize makes 8-bit variants, and writes the keys "
			   "\"int8_...\".");
}

/* Check networks against the descriptor, try a detector once; sets dims. */
static void
try_networks(NewModel *model, Trial *trial)
{
	const FrDescriptor *core = &model->descriptor.core;
	FrCancel cancel = fr_pg_cancel();
	FrDetector detector = {.descriptor = core};
	FrError error;
	FrStatus status;

	while ((status = fr_model_check(core, trial->nets, trial->count, &cancel,
									&trial->allocator, &model->row.dims,
									&error)) == FR_ERR_CANCELLED)
		CHECK_FOR_INTERRUPTS();
	if (status == FR_ERR_MISMATCH && model->is_preset_given)
		fail_trial(trial, model, status, &error,
				   "face_model_load without a preset tells which one fits, if "
				   "any does.");
	if (status == FR_OK && core->role == FR_ROLE_DETECTOR)
	{
		memcpy(detector.nets, trial->nets, sizeof(detector.nets));
		model->has_landmarks = fr_detector_has_landmarks(&detector);
		while ((status = fr_detect_probe(&detector, &cancel, &trial->allocator,
										 &error)) == FR_ERR_CANCELLED)
			CHECK_FOR_INTERRUPTS();
	}
	if (status != FR_OK)
		fail_trial(trial, model, status, &error, NULL);
	fr_model_nets_destroy(trial->nets);
	MemoryContextDelete(trial->memory);
}

static void
insert_model(const NewModel *model, Oid table)
{
	char fingerprint[9];
	char *query = psprintf(
		"INSERT INTO %s.facerec_models (name, fingerprint, role, preset, "
		"descriptor, dims, sha256, license, source, weights, builtin) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
		quote_identifier(get_namespace_name(get_rel_namespace(table))));
	Oid types[] = {TEXTOID,	 TEXTOID, TEXTOID, TEXTOID,		  JSONBOID, INT4OID,
				   BYTEAOID, TEXTOID, TEXTOID, BYTEAARRAYOID, BOOLOID};
	char nulls[lengthof(types) + 1] = "           ";
	bytea *sha256 = palloc(VARHDRSZ + FR_SHA256_BYTES);

	SET_VARSIZE(sha256, VARHDRSZ + FR_SHA256_BYTES);
	memcpy(VARDATA(sha256), model->row.sha256, FR_SHA256_BYTES);
	snprintf(fingerprint, sizeof(fingerprint), "%08x", model->row.fingerprint);

	Datum values[] = {
		CStringGetTextDatum(model->row.name),
		CStringGetTextDatum(fingerprint),
		CStringGetTextDatum(fr_role_name(model->row.role)),
		CStringGetTextDatum(model->row.preset),
		JsonbPGetDatum(model->stored_descriptor),
		Int32GetDatum(model->row.dims),
		PointerGetDatum(sha256),
		model->license ? CStringGetTextDatum(model->license) : (Datum) 0,
		model->source ? CStringGetTextDatum(model->source) : (Datum) 0,
		PointerGetDatum(model->chunks),
		BoolGetDatum(model->is_builtin)};

	if (!model->license)
		nulls[7] = 'n';
	if (!model->source)
		nulls[8] = 'n';

	if (SPI_execute_with_args(query, lengthof(types), types, values, nulls,
							  false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert into facerec_models");
}

/* Another model has the same weights. */
static bool
are_weights_used(const FrModelRow *row, const char *schema)
{
	Oid types[] = {BYTEAOID};
	bytea *sha256 = palloc(VARHDRSZ + FR_SHA256_BYTES);
	Datum values[] = {PointerGetDatum(sha256)};
	char *query = psprintf(
		"SELECT FROM %s.facerec_models WHERE sha256 = $1 LIMIT 1", schema);

	SET_VARSIZE(sha256, VARHDRSZ + FR_SHA256_BYTES);
	memcpy(VARDATA(sha256), row->sha256, FR_SHA256_BYTES);
	if (SPI_execute_with_args(query, 1, types, values, NULL, false, 0) !=
		SPI_OK_SELECT)
		elog(ERROR, "could not read facerec_models");
	return SPI_processed > 0;
}

static void
delete_model(const FrModelRow *row)
{
	const char *schema = quote_identifier(
		get_namespace_name(get_rel_namespace(fr_catalog_table())));
	Oid types[] = {TEXTOID};
	Datum values[] = {CStringGetTextDatum(row->name)};
	char *query =
		psprintf("DELETE FROM %s.facerec_models WHERE name = $1", schema);

	if (SPI_execute_with_args(query, 1, types, values, NULL, false, 0) !=
		SPI_OK_DELETE)
		elog(ERROR, "could not delete from facerec_models");
	/* Should this be rolled back, the next use makes them anew. */
	if (!are_weights_used(row, schema))
		fr_weight_cache_forget(row->sha256);
}

/* Make room for a builtin model of this version. */
static void
replace_builtin(const FrModelRow *row)
{
	char *users = fr_model_links_users(row);

	if (users)
		ereport(
			WARNING,
			(errmsg("face models that use \"%s@%08x\" do not work any "
					"more",
					row->name, row->fingerprint),
			 errdetail("Another model replaces it; it is used by: %s.", users),
			 errhint("Load them again.")));
	delete_model(row);
}

/* The same model is there under another name.  An update of the extension
 * must not fail because somebody had tried its networks before. */
static void
report_other_name(const NewModel *model, const char *other)
{
	if (model->is_builtin)
		ereport(WARNING,
				(errmsg("face model \"%s\" was not added because it is already "
						"loaded as \"%s\"",
						model->row.name, other),
				 errhint("Use it by that name, or drop it and SELECT "
						 "facerec_models_install() again.")));
	else
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("face model \"%s\" is already loaded as \"%s\"",
							   model->row.name, other),
						errdetail("Weights and descriptor are the same, bit "
								  "by bit."),
						errhint("Use it by that name.")));
}

/*
 * Is a model of that name there?  The same one is worth a NOTICE, another
 * one an ERROR; so is the same one under another name, but for a builtin model.
 */
static bool
is_already_loaded(const NewModel *model)
{
	FrModelRow other;
	bool is_named = fr_catalog_find_name(model->row.name, &other);

	if (is_named && other.is_builtin && model->is_builtin &&
		other.fingerprint != model->row.fingerprint)
	{
		replace_builtin(&other);
		is_named = false;
	}
	if (is_named)
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
	if (!fr_catalog_find_fingerprint(model->row.fingerprint, &other))
		return false;
	report_other_name(model, other.name);
	return true;
}

static void
fail_too_large(const char *name, size_t weights_bytes)
{
	ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg("could not load face model \"%s\"", name),
					errdetail("The model has %zu bytes, the limit is %zu.",
							  weights_bytes, MAX_WEIGHTS_BYTES)));
}

/* Check the model, complete it and write its row; returns its label. */
static char *
load_model(NewModel *model, Jsonb *given)
{
	Oid table = fr_catalog_table();
	char label[FR_MODEL_LABEL_BYTES];
	Trial trial = {0};

	if (!OidIsValid(table))
		elog(ERROR, "table facerec_models does not exist");
	if (model->files.total_bytes > MAX_WEIGHTS_BYTES)
		fail_too_large(model->row.name, model->files.total_bytes);
	if (model->is_preset_given && given)
		fr_model_descriptor_apply(given, &model->descriptor);
	make_networks(model, &trial);
	if (!model->is_preset_given)
	{
		if (given)
			fr_model_descriptor_apply(given, &model->descriptor);
		notice_preset(model);
	}
	model->row.role = model->descriptor.core.role;
	check_origin(model, &trial);
	try_networks(model, &trial);

	/* One load at a time, so that names and detectors stay as they are. */
	Relation relation = table_open(table, ShareRowExclusiveLock);

	SPI_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	fr_model_links_complete(model->row.name, given, model->has_landmarks,
							&model->descriptor);
	model->stored_descriptor = fr_model_descriptor_to_jsonb(&model->descriptor);
	fr_model_files_sha256(&model->files, model->descriptor.core.graph_count,
						  model->row.sha256);
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

	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *preset = NULL;

	fr_model_check_name(name);
	if (!PG_ARGISNULL(2))
		preset = text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (preset && !fr_preset_find(preset, &model->descriptor.core))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("face model preset \"%s\" does not exist", preset),
				 errhint("The presets are: %s.", fr_preset_names())));
	strlcpy(model->row.name, name, sizeof(model->row.name));
	model->is_preset_given = preset != NULL;
	if (preset)
		strlcpy(model->row.preset, preset, sizeof(model->row.preset));
	if (!PG_ARGISNULL(4))
		model->license = text_to_cstring(PG_GETARG_TEXT_PP(4));
}

Datum
facerec_face_model_load(PG_FUNCTION_ARGS)
{
	NewModel model = {0};

	read_arguments(fcinfo, &model);

	Datum chunk = PointerGetDatum(PG_GETARG_BYTEA_PP(1));

	model.chunks =
		construct_array(&chunk, 1, BYTEAOID, -1, false, TYPALIGN_INT);
	fr_model_files_read(model.chunks, &model.files);

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
	fr_model_files_read(model.chunks, &model.files);

	char *label =
		load_model(&model, PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3));

	PG_RETURN_TEXT_P(cstring_to_text(label));
}

/* Take the draft as face_model_load takes its arguments. */
static char *
add_draft(const FrModelDraft *draft)
{
	NewModel model = {.is_preset_given = true,
					  .is_builtin = draft->is_builtin,
					  .license = draft->license,
					  .source = draft->source};
	bytea *weights;
	Datum chunk;

	if (!fr_preset_find(draft->preset, &model.descriptor.core))
		elog(ERROR, "face model preset \"%s\" does not exist", draft->preset);
	strlcpy(model.row.name, draft->name, sizeof(model.row.name));
	strlcpy(model.row.preset, draft->preset, sizeof(model.row.preset));
	if (draft->is_builtin)
	{
		model.chunks = construct_empty_array(BYTEAOID);
		model.files.bytes = draft->weights;
		model.files.total_bytes = draft->weights_bytes;
		model.files.size_bytes[0] = draft->weights_bytes;
		model.files.count = 1;
		return load_model(&model, draft->descriptor);
	}
	weights = palloc(VARHDRSZ + draft->weights_bytes);
	SET_VARSIZE(weights, VARHDRSZ + draft->weights_bytes);
	memcpy(VARDATA(weights), draft->weights, draft->weights_bytes);
	CHECK_FOR_INTERRUPTS();
	chunk = PointerGetDatum(weights);
	model.chunks =
		construct_array(&chunk, 1, BYTEAOID, -1, false, TYPALIGN_INT);
	pfree(weights);
	CHECK_FOR_INTERRUPTS();
	fr_model_files_read(model.chunks, &model.files);
	return load_model(&model, draft->descriptor);
}

char *
fr_model_add(const FrModelDraft *draft)
{
	Oid table = fr_catalog_table();
	Oid user;
	int security;
	int settings = NewGUCNestLevel();

	if (!OidIsValid(table))
		elog(ERROR, "table facerec_models does not exist");
	if (draft->weights_bytes > MAX_WEIGHTS_BYTES)
		fail_too_large(draft->name, draft->weights_bytes);

	Relation relation = table_open(table, AccessShareLock);

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(relation->rd_rel->relowner,
						   security | SECURITY_LOCAL_USERID_CHANGE);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);

	char *label = add_draft(draft);

	AtEOXact_GUC(true, settings);
	SetUserIdAndSecContext(user, security);
	table_close(relation, AccessShareLock);
	return label;
}

/* ---- dropping ----------------------------------------------------------- */

Datum
facerec_face_model_drop(PG_FUNCTION_ARGS)
{
	char *reference = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Oid table = fr_catalog_table();
	FrModelRow row;

	if (!OidIsValid(table))
		elog(ERROR, "table facerec_models does not exist");

	Relation relation = table_open(table, ShareRowExclusiveLock);

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
	if (row.is_builtin)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot drop face model \"%s\" because it is part of "
						"the extension",
						row.name),
				 errhint("The owner of table facerec_models can DELETE its "
						 "row.")));
	fr_model_links_check_unused(&row);
	delete_model(&row);
	PopActiveSnapshot();
	SPI_finish();
	table_close(relation, NoLock);
	PG_RETURN_VOID();
}
