/*
 * builtin_models.c: see builtin_models.h.
 *
 * facerec_models_install, which the extension's script calls, adds the rows;
 * everything that a row says is found out as face_model_load does it.  It
 * can be called again: rows of another version's networks give way to those
 * of this one.  What a user has loaded stays.
 */
#include "postgres.h"

#include "pg/builtin_models.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "networks/networks.h"
#include "pg/models.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_models_install);

#define SOURCE "trained for facerec, see src/networks/README"

/* What is said about a network beyond what its file says. */
typedef struct Builtin
{
	const char *name;
	const char *preset;
	const char *descriptor; /* what differs from the preset */
	const char *license;
	const char *source;
} Builtin;

static const Builtin builtins[] = {
	[FR_NETWORK_LANDMARKS] = {FR_BUILTIN_LANDMARKS, "landmarks-5",
							  "{\"flip\": true, \"second_look\": 0.09}",
							  FR_BUILTIN_LICENSE, SOURCE},
	/* The descriptor of the detector names the landmarks, and that of the
	 * embedder the detector. */
	[FR_NETWORK_DETECTOR] = {FR_BUILTIN_DETECTOR, "yunet",
							 "{\"large_faces\": true}", FR_BUILTIN_LICENSE,
							 SOURCE},
	/* A second pass over the mirrored crop pays (networks/README, "Flip
	 * averaging"). */
	[FR_NETWORK_EMBEDDER] = {FR_BUILTIN_EMBEDDER, "mobilefacenet",
							 "{\"flip\": true}", FR_BUILTIN_LICENSE, SOURCE},
};

StaticAssertDecl(lengthof(builtins) == FR_NETWORK_COUNT,
				 "every network is described");

/* ---- weights ------------------------------------------------------------ */

/* The network of that SHA-256; FR_NETWORK_COUNT when there is none. */
static FrNetworkId
find_network(const uint8 sha256[FR_SHA256_BYTES])
{
	char digits[2 * FR_SHA256_BYTES + 1];
	FrNetworkId id = (FrNetworkId) 0;

	hex_encode((const char *) sha256, FR_SHA256_BYTES, digits);
	digits[2 * FR_SHA256_BYTES] = '\0';
	while (id < FR_NETWORK_COUNT &&
		   strcmp(fr_network_file(id).sha256, digits) != 0)
		id++;
	return id;
}

const char *
fr_builtin_name(const uint8 sha256[FR_SHA256_BYTES])
{
	FrNetworkId id = find_network(sha256);

	return id < FR_NETWORK_COUNT ? builtins[id].name : NULL;
}

bool
fr_builtin_is_name(const char *reference)
{
	size_t length = strcspn(reference, "@");

	for (int id = 0; id < FR_NETWORK_COUNT; id++)
		if (strlen(builtins[id].name) == length &&
			strncmp(builtins[id].name, reference, length) == 0)
			return true;
	return false;
}

void
fr_builtin_files(const FrModelRow *row, FrModelFiles *files)
{
	FrNetworkId id = find_network(row->sha256);

	if (id == FR_NETWORK_COUNT)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("this version of facerec does not have the weights of "
					"face model \"%s@%08x\"",
					row->name, row->fingerprint),
			 errdetail("The model came with another version of the library."),
			 errhint("ALTER EXTENSION facerec UPDATE, or SELECT "
					 "facerec_models_install(), adds the models of this "
					 "version. To go on with old embeddings, load the old "
					 "model from its file, under another name.")));

	FrNetworkFile file = fr_network_file(id);

	memset(files, 0, sizeof(*files));
	files->bytes = (const char *) file.bytes;
	files->total_bytes = files->size_bytes[0] = file.size_bytes;
	files->count = 1;
}

/* ---- rows --------------------------------------------------------------- */

/* The descriptor of a builtin model that uses another one, if any. */
static Jsonb *
make_descriptor(const Builtin *builtin, const char *key, const char *used)
{
	Datum own =
		DirectFunctionCall1(jsonb_in, CStringGetDatum(builtin->descriptor));

	if (!used)
		return DatumGetJsonbP(own);

	char *link = psprintf("{\"%s\": \"%s\"}", key, used);

	return DatumGetJsonbP(DirectFunctionCall2(
		jsonb_concat, own,
		DirectFunctionCall1(jsonb_in, CStringGetDatum(link))));
}

/* Add a model, unless it is there, with a descriptor that names another one
 * under key; returns its label. */
static char *
install(FrNetworkId id, const char *key, const char *used)
{
	const Builtin *builtin = &builtins[id];
	FrNetworkFile file = fr_network_file(id);
	FrModelDraft draft = {
		.name = builtin->name,
		.preset = builtin->preset,
		.descriptor = make_descriptor(builtin, key, used),
		.license = builtin->license,
		.source = builtin->source,
		.weights = file.bytes,
		.weights_bytes = file.size_bytes,
		.is_builtin = true,
	};

	return fr_model_add(&draft);
}

/* Rows of networks that this version does not have any more. */
static void
delete_unknown(void)
{
	const char *schema = quote_identifier(
		get_namespace_name(get_rel_namespace(fr_catalog_table())));
	StringInfoData query;

	initStringInfo(&query);
	appendStringInfo(&query,
					 "DELETE FROM %s.facerec_models WHERE builtin "
					 "AND encode(sha256, 'hex') NOT IN (",
					 schema);
	for (int id = 0; id < FR_NETWORK_COUNT; id++)
		appendStringInfo(&query, "%s'%s'", id ? ", " : "",
						 fr_network_file((FrNetworkId) id).sha256);
	appendStringInfoChar(&query, ')');
	SPI_connect();
	if (SPI_execute(query.data, false, 0) != SPI_OK_DELETE)
		elog(ERROR, "could not delete from facerec_models");
	SPI_finish();
}

Datum
facerec_models_install(PG_FUNCTION_ARGS)
{
	char *landmarks = install(FR_NETWORK_LANDMARKS, NULL, NULL);
	char *detector = install(FR_NETWORK_DETECTOR, "landmarks", landmarks);

	(void) install(FR_NETWORK_EMBEDDER, "detector", detector);
	delete_unknown();
	PG_RETURN_VOID();
}
