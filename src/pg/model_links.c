/*
 * model_links.c: see model_links.h.
 */
#include "postgres.h"

#include "pg/model_links.h"

#include "executor/spi.h"
#include "pg/builtin_models.h"
#include "pg/settings.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

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

static const char *
table_schema(void)
{
	return quote_identifier(
		get_namespace_name(get_rel_namespace(fr_catalog_table())));
}

/* The name of the only model of a role that was loaded; NULL when there are
 * none or several. */
static char *
find_only(FrRole role)
{
	char *query =
		psprintf("SELECT min(name) FROM %s.facerec_models WHERE role = '%s' "
				 "AND NOT builtin HAVING count(*) = 1",
				 table_schema(), fr_role_name(role));
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

/* Nobody has named the builtin model, and it may not be for everybody. */
static void
notice_builtin(const char *name, const char *key, const char *used)
{
	ereport(NOTICE,
			(errmsg("face model \"%s\" uses \"%s\", which comes with the "
					"extension",
					name, used),
			 errdetail("Its licence: %s.", FR_BUILTIN_LICENSE),
			 errhint("Name another one, or none: {\"%s\": \"name\"}, "
					 "{\"%s\": null}.",
					 key, key)));
}

/*
 * Which detector finds the faces for an embedder: the one in the descriptor,
 * else that of facerec.detector if it is set, else the only one that was
 * loaded, else the one that came with the extension.  NULL or "" for none.
 */
static const char *
choose_detector(const char *name, Jsonb *given,
				const FrModelDescriptor *descriptor)
{
	FrModelRow row;
	const char *only;

	if (fr_model_descriptor_has(given, "detector"))
		return descriptor->detector;
	if (fr_setting_is_detector_set())
		return fr_setting_detector;
	only = find_only(FR_ROLE_DETECTOR);
	if (only || !fr_catalog_find_name(FR_BUILTIN_DETECTOR, &row))
		return only;
	notice_builtin(name, "detector", FR_BUILTIN_DETECTOR);
	return FR_BUILTIN_DETECTOR;
}

/* Fix which detector finds the faces for an embedder, and how. */
static void
complete_embedder(const char *name, Jsonb *given, FrModelDescriptor *descriptor)
{
	FrModelDescriptor detector = {0};
	FrModelRow row;
	const char *reference = choose_detector(name, given, descriptor);

	if (!reference || !reference[0])
	{
		descriptor->detector[0] = '\0';
		if (fr_preset_find("yunet", &detector.core))
			adopt_detection(&detector.core, given, &descriptor->core);
		if (!fr_model_descriptor_has(given, "detector"))
			notice_no_detector(name);
		return;
	}

	FrModelContents contents;

	fr_catalog_resolve_role(reference, FR_ROLE_DETECTOR, &row);
	if (!fr_preset_find(row.preset, &detector.core) ||
		!fr_catalog_read_descriptor(&row, CurrentMemoryContext, &contents))
		elog(ERROR, "could not read face model \"%s\"", row.name);
	fr_model_descriptor_apply(contents.descriptor, &detector);
	adopt_detection(&detector.core, given, &descriptor->core);
	fr_catalog_format_label(descriptor->detector, row.name, row.fingerprint);
}

static void
notice_no_landmarks(const char *name)
{
	ereport(NOTICE,
			(errmsg("face model \"%s\" finds no landmarks", name),
			 errdetail("Its faces are cut out by their boxes, without "
					   "rotation, and have no quality."),
			 errhint("Load a model with the preset \"landmarks-5\" or "
					 "\"omz-landmarks-0009\" first, or name one of several: "
					 "{\"landmarks\": \"name\"}.")));
}

/*
 * Which model finds the landmarks: the one in the descriptor, else, for a
 * detector that has none of its own, the only one that was loaded, else the
 * one that came with the extension.  NULL or "" for none.
 */
static const char *
choose_landmarks(const char *name, Jsonb *given, bool has_landmarks,
				 const FrModelDescriptor *descriptor)
{
	FrModelRow row;
	const char *only;

	if (fr_model_descriptor_has(given, "landmarks"))
		return descriptor->landmarks;
	if (has_landmarks)
		return NULL;
	only = find_only(FR_ROLE_LANDMARKS);
	if (only || !fr_catalog_find_name(FR_BUILTIN_LANDMARKS, &row))
		return only;
	notice_builtin(name, "landmarks", FR_BUILTIN_LANDMARKS);
	return FR_BUILTIN_LANDMARKS;
}

/* Fix which model finds the landmarks. */
static void
complete_detector(const char *name, Jsonb *given, bool has_landmarks,
				  FrModelDescriptor *descriptor)
{
	const char *reference =
		choose_landmarks(name, given, has_landmarks, descriptor);
	FrModelRow row;

	if (reference && reference[0])
	{
		fr_catalog_resolve_role(reference, FR_ROLE_LANDMARKS, &row);
		fr_catalog_format_label(descriptor->landmarks, row.name,
								row.fingerprint);
	}
	else if (!has_landmarks && !fr_model_descriptor_has(given, "landmarks"))
		notice_no_landmarks(name);
	descriptor->is_landmarks_none = !has_landmarks && !descriptor->landmarks[0];
}

void
fr_model_links_complete(const char *name, Jsonb *given, bool has_landmarks,
						FrModelDescriptor *descriptor)
{
	if (descriptor->core.role == FR_ROLE_EMBEDDER)
		complete_embedder(name, given, descriptor);
	else if (descriptor->core.role == FR_ROLE_DETECTOR)
		complete_detector(name, given, has_landmarks, descriptor);
}

char *
fr_model_links_users(const FrModelRow *row)
{
	Oid types[] = {TEXTOID};
	Datum values[] = {CStringGetTextDatum(psprintf("%08x", row->fingerprint))};
	/* The row may come from a database where the model has another name. */
	char *query = psprintf(
		"WITH RECURSIVE loaded AS (SELECT name, fingerprint, "
		"ARRAY[right(descriptor->>'detector', 8), "
		"right(descriptor->>'landmarks', 8)] AS used "
		"FROM %s.facerec_models WHERE NOT builtin), "
		"users AS (SELECT name, fingerprint FROM loaded WHERE $1 = ANY (used) "
		"UNION SELECT l.name, l.fingerprint FROM loaded l "
		"JOIN users u ON u.fingerprint = ANY (l.used)) "
		"SELECT string_agg(quote_ident(name), ', ' ORDER BY name) FROM users",
		table_schema());

	if (SPI_execute_with_args(query, 1, types, values, NULL, false, 1) !=
		SPI_OK_SELECT)
		elog(ERROR, "could not read facerec_models");

	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

void
fr_model_links_check_unused(const FrModelRow *row)
{
	char *users = fr_model_links_users(row);

	if (users)
		ereport(
			ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot drop face model \"%s\" because other models "
					"need it",
					row->name),
			 errdetail("It finds the %s for: %s.",
					   row->role == FR_ROLE_LANDMARKS ? "landmarks" : "faces",
					   users),
			 errhint("Drop those models first.")));
}
