/*
 * model_cache.c: loading models and keeping them; see model_cache.h.
 *
 * Every entry owns a memory context with its weights, its packed network and
 * its plans.  The context is a child of the caller's until the model is
 * complete and moves under CacheMemoryContext then: an error in between
 * takes everything with it.
 */
#include "postgres.h"

#include "pg/model_cache.h"

#include "pg/errors.h"
#include "pg/memory.h"
#include "pg/settings.h"
#include "utils/memutils.h"

/* Above this, the models used longest ago are dropped from memory. */
#define CACHE_BYTES ((size_t) 1024 * 1024 * 1024)

typedef struct Entry
{
	FrModel model; /* first: callers hold a pointer to it */
	struct Entry *next;
	MemoryContext memory; /* holds this entry, too */
	FrAllocator allocator;
	FrNetOptions options;
	size_t weights_bytes;
	uint64 last_used; /* tick */
} Entry;

static Entry *entries;
static uint64 tick = 1;
static FrCatalogStamp swept_at;

FrNetOptions
fr_model_net_options(void)
{
	FrNetOptions options = {
		.kernels = fr_setting_kernels(),
		.max_plan_bytes = (size_t) fr_setting_max_inference_memory * 1024,
	};

	/* Plans that wait for reuse get an eighth of what one may need. */
	options.max_cached_bytes = options.max_plan_bytes / 8;
	return options;
}

static void
remove_entry(Entry **link)
{
	Entry *entry = *link;

	*link = entry->next;
	fr_model_nets_destroy(entry->model.nets);
	MemoryContextDelete(entry->memory);
}

/* Free entries whose rows the active snapshot does not see any more. */
static void
sweep(void)
{
	FrCatalogStamp now = fr_catalog_stamp();

	if (now.generation == swept_at.generation)
		return;
	swept_at = now;
	for (Entry **link = &entries; *link;)
	{
		FrModelRow row;

		if (fr_catalog_find_fingerprint((*link)->model.row.fingerprint, &row))
			link = &(*link)->next;
		else
			remove_entry(link);
	}
}

void
fr_model_cache_begin(void)
{
	tick++;
	fr_model_cache_end(); /* a call that failed did not come that far */
	if (entries)
		sweep();
}

void
fr_model_cache_end(void)
{
	for (Entry *entry = entries; entry; entry = entry->next)
		for (int i = 0; i < FR_MAX_GRAPHS && entry->model.nets[i]; i++)
			fr_net_trim(entry->model.nets[i]);
}

static size_t
entry_bytes(const Entry *entry)
{
	size_t total = entry->weights_bytes;

	for (int i = 0; i < FR_MAX_GRAPHS && entry->model.nets[i]; i++)
		total += fr_net_bytes(entry->model.nets[i]);
	return total;
}

static void
evict_for_room(void)
{
	for (;;)
	{
		size_t total = 0;
		Entry **oldest = NULL;

		for (Entry **link = &entries; *link; link = &(*link)->next)
		{
			total += entry_bytes(*link);
			if ((*link)->last_used < tick &&
				(!oldest || (*link)->last_used < (*oldest)->last_used))
				oldest = link;
		}
		if (total <= CACHE_BYTES || !oldest)
			return;
		remove_entry(oldest);
	}
}

/* ---- loading ------------------------------------------------------------ */

static void
read_model(Entry *entry, FrModelContents *contents)
{
	FrModelRow *row = &entry->model.row;
	uint8 sha256[FR_SHA256_BYTES];

	if (!fr_catalog_read(row, entry->memory, contents))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("face model \"%s\" does not exist", row->name)));
	if (!fr_preset_find(row->preset, &entry->model.descriptor.core))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("face model preset \"%s\" does not exist",
							   row->preset)));
	fr_model_files_sha256(&contents->files,
						  entry->model.descriptor.core.graph_count, sha256);
	if (memcmp(sha256, row->sha256, FR_SHA256_BYTES) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("weights of face model \"%s\" are damaged", row->name),
				 errdetail("Their SHA-256 differs from that in "
						   "facerec_models."),
				 errhint("Drop the model and load it again.")));
	fr_model_descriptor_apply(contents->descriptor, &entry->model.descriptor);
	entry->weights_bytes = contents->files.total_bytes;
}

/* Rows that came by COPY were never tried by face_model_load. */
static FrStatus
check_fit(Entry *entry, FrError *error)
{
	int dims;
	const FrDescriptor *core = &entry->model.descriptor.core;
	FrStatus status = fr_model_check(core, entry->model.nets, core->graph_count,
									 &entry->allocator, &dims, error);

	if (status == FR_OK && dims != entry->model.row.dims)
		status =
			fr_fail(error, FR_ERR_MISMATCH,
					"The network gives %d dimensions, but its row says %d.",
					dims, entry->model.row.dims);
	return status;
}

static Entry *
load_entry(const FrModelRow *row, const FrNetOptions *options)
{
	MemoryContext memory = AllocSetContextCreate(
		CurrentMemoryContext, "facerec model", ALLOCSET_DEFAULT_SIZES);
	Entry *entry = MemoryContextAllocZero(memory, sizeof(Entry));
	FrModelContents contents;
	FrError error;

	entry->memory = memory;
	entry->allocator = fr_pg_allocator(memory);
	entry->options = *options;
	entry->model.row = *row;
	read_model(entry, &contents);

	FrStatus status = fr_model_nets_create(
		&contents.files, entry->model.descriptor.core.graph_count,
		&entry->options, &entry->allocator, entry->model.nets, &error);

	if (status == FR_OK)
		status = check_fit(entry, &error);
	if (status != FR_OK)
	{
		char *primary = psprintf("could not load face model \"%s\"", row->name);

		MemoryContextDelete(memory);
		fr_raise(status, &error, primary, NULL);
	}
	pfree(contents.descriptor);
	MemoryContextSetIdentifier(memory, entry->model.row.name);
	MemoryContextSetParent(memory, CacheMemoryContext);
	return entry;
}

FrModel *
fr_model_cache_get(const FrModelRow *row)
{
	FrNetOptions options = fr_model_net_options();

	for (Entry **link = &entries; *link; link = &(*link)->next)
	{
		Entry *entry = *link;

		if (entry->model.row.fingerprint != row->fingerprint ||
			entry->options.kernels != options.kernels)
			continue;
		if (memcmp(&entry->model.row, row, sizeof(*row)) == 0 &&
			entry->options.max_plan_bytes == options.max_plan_bytes)
		{
			entry->last_used = tick;
			return &entry->model;
		}
		remove_entry(link);
		break;
	}

	Entry *entry = load_entry(row, &options);

	entry->last_used = tick;
	entry->next = entries;
	entries = entry;
	evict_for_room();
	return &entry->model;
}
