/*
 * thresholds_guard.c: who writes facerec_thresholds: its trigger, and
 * facerec_thresholds_install.
 *
 * The trigger marks the rows that came with the extension, lets rows from
 * elsewhere replace them, and tells all backends about changes.  The rows
 * themselves are in sql/45_thresholds.sql, as the body of a function that
 * facerec_thresholds_install calls, so that they can be had again.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "pg/catalog.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_thresholds_guard);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_thresholds_install);

/* Who changes the table just now. */
typedef enum Writer
{
	WRITER_OTHER,
	WRITER_INSTALL, /* facerec_thresholds_install: its rows are builtin */
	WRITER_GUARD	/* the trigger, making room for a row */
} Writer;

static Writer writer = WRITER_OTHER;

static const char *
schema_of(Relation table)
{
	return quote_identifier(get_namespace_name(RelationGetNamespace(table)));
}

/* SPI_execute_with_args as this writer; returns the number of rows. */
static uint64
execute_as(Writer who, const char *query, int count, Oid *types, Datum *values,
		   int expected)
{
	Writer before = writer;
	int result = 0;

	PG_TRY();
	{
		writer = who;
		result =
			SPI_execute_with_args(query, count, types, values, NULL, false, 0);
	}
	PG_FINALLY();
	{
		writer = before;
	}
	PG_END_TRY();
	if (result != expected)
		elog(ERROR, "could not execute: %s", query);
	return SPI_processed;
}

/* ---- the trigger -------------------------------------------------------- */

/*
 * Of the rows for the model and rate of a new one: delete those that came with
 * the extension, or see whether there are others.  Returns how many rows were
 * deleted or seen.
 */
static uint64
process_rivals(Relation table, HeapTuple tuple, const char *command,
			   int expected)
{
	TupleDesc descriptor = RelationGetDescr(table);
	Oid types[] = {TEXTOID, FLOAT8OID};
	Datum values[2];
	bool nulls[2];
	int model = get_attnum(RelationGetRelid(table), "model");
	int fmr = get_attnum(RelationGetRelid(table), "fmr");

	values[0] = heap_getattr(tuple, model, descriptor, &nulls[0]);
	values[1] = heap_getattr(tuple, fmr, descriptor, &nulls[1]);
	if (nulls[0] || nulls[1])
		return 0; /* NOT NULL raises the error */
	SPI_connect();

	char *query = psprintf("%s AND fingerprint = right($1, 8) AND fmr = $2",
						   psprintf(command, schema_of(table)));

	uint64 count = execute_as(WRITER_GUARD, query, 2, types, values, expected);

	SPI_finish();
	return count;
}

/* A row that comes from outside replaces the builtin one for its rate. */
static void
delete_builtin(Relation table, HeapTuple tuple)
{
	(void) process_rivals(table, tuple,
						  "DELETE FROM %s.facerec_thresholds WHERE builtin",
						  SPI_OK_DELETE);
}

/* Is there such a row for the rate of a builtin one?  It stays. */
static bool
has_own(Relation table, HeapTuple tuple)
{
	return process_rivals(table, tuple,
						  "SELECT FROM %s.facerec_thresholds WHERE NOT builtin",
						  SPI_OK_SELECT) > 0;
}

/* builtin is what facerec_thresholds_install writes, and nothing else. */
static HeapTuple
mark_origin(Relation table, HeapTuple tuple, bool is_builtin)
{
	int column = get_attnum(RelationGetRelid(table), "builtin");
	Datum value = BoolGetDatum(is_builtin);
	bool is_null = false;

	return heap_modify_tuple_by_cols(tuple, RelationGetDescr(table), 1, &column,
									 &value, &is_null);
}

static bool
is_marked_builtin(Relation table, HeapTuple tuple)
{
	bool is_null;
	Datum value =
		heap_getattr(tuple, get_attnum(RelationGetRelid(table), "builtin"),
					 RelationGetDescr(table), &is_null);

	return !is_null && DatumGetBool(value);
}

/* What becomes of a new row, or of one that is changed; NULL: not needed. */
static HeapTuple
accept_row(Relation table, HeapTuple tuple, bool is_insert)
{
	bool is_builtin = writer == WRITER_INSTALL;

	if (is_insert && is_builtin && has_own(table, tuple))
		return NULL;
	if (is_insert && !is_builtin)
		delete_builtin(table, tuple);
	return mark_origin(table, tuple, is_builtin);
}

Datum
facerec_thresholds_guard(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "facerec_thresholds_guard was not called as a trigger");

	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Relation table = trigger->tg_relation;
	bool is_insert = TRIGGER_FIRED_BY_INSERT(trigger->tg_event);
	HeapTuple tuple = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event)
						  ? trigger->tg_newtuple
						  : trigger->tg_trigtuple;

	if (!TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		elog(ERROR, "facerec_thresholds_guard must be fired before each row");
	/* It runs with its owner's privileges: not for other tables. */
	if (RelationGetRelid(table) != fr_catalog_thresholds_table())
		elog(ERROR, "facerec_thresholds_guard is not for table \"%s\"",
			 RelationGetRelationName(table));

	/* Each node has the rows of its own version, whatever the others have. */
	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA &&
		writer == WRITER_OTHER && is_marked_builtin(table, tuple))
		return PointerGetDatum(NULL);

	/* Sent when the transaction commits: every backend forgets what it
	 * knows about thresholds (catalog.c). */
	CacheInvalidateRelcacheByRelid(RelationGetRelid(table));
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		return PointerGetDatum(tuple);
	return PointerGetDatum(accept_row(table, tuple, is_insert));
}

/* ---- installing --------------------------------------------------------- */

static void
replace_builtin(Relation table)
{
	const char *schema = schema_of(table);

	(void) execute_as(
		WRITER_INSTALL,
		psprintf("DELETE FROM %s.facerec_thresholds WHERE builtin", schema), 0,
		NULL, NULL, SPI_OK_DELETE);
	(void) execute_as(WRITER_INSTALL,
					  psprintf("SELECT %s.facerec_thresholds_add()", schema), 0,
					  NULL, NULL, SPI_OK_SELECT);
}

/* Name the models that do not use the extension's rows. */
static void
notice_hidden(Relation table)
{
	const char *schema = schema_of(table);
	char *query = psprintf(
		"SELECT string_agg(DISTINCT quote_ident(split_part(f.model, '@', 1)), "
		"', ') FROM %s.facerec_thresholds_in_force f "
		"JOIN %s.facerec_thresholds t ON t.fingerprint IN (right(f.model, 8), "
		"%s.facerec_network_fingerprint(right(f.model, 8))) "
		"WHERE t.builtin AND NOT f.builtin",
		schema, schema, schema);

	if (SPI_execute(query, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read facerec_thresholds");

	char *models =
		SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);

	if (models)
		ereport(NOTICE,
				(errmsg("some face models do not use the thresholds of the "
						"extension"),
				 errdetail("They have rows of their own in "
						   "facerec_thresholds: %s.",
						   models),
				 errhint("Delete those to use the extension's.")));
}

/* facerec_thresholds_install(): the rows of this version of the extension, in
 * place of those that are left of it or another one. */
Datum
facerec_thresholds_install(PG_FUNCTION_ARGS)
{
	Oid oid = fr_catalog_thresholds_table();

	if (!OidIsValid(oid))
		elog(ERROR, "table facerec_thresholds does not exist");

	/* One at a time, and nobody else writes. */
	Relation table = table_open(oid, ShareRowExclusiveLock);

	SPI_connect();
	replace_builtin(table);
	notice_hidden(table);
	SPI_finish();
	table_close(table, NoLock);
	PG_RETURN_VOID();
}
