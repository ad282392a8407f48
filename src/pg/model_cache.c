/*
 * model_cache.c: loading models and keeping them; see model_cache.h.
 *
 * A network is made of a mapped file of packed weights (weight_cache.h).  The
 * first process to use a model finds none: it makes the network of the
 * table's weights, writes the file and starts anew with that.  Where no file
 * can be written, the network of the table's weights serves.
 *
 * Every entry owns a memory context with its network and its plans, and its
 * weights or the mapping of them.  The context is a child of the caller's until the model is
 * complete and moves under CacheMemoryContext then: an error in between
 * takes everything with it.
 */
#include "postgres.h"

#include "pg/model_cache.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "core/face/input.h"
#include "core/onnx/aligned.h"
#include "miscadmin.h"
#include "pg/builtin_models.h"
#include "pg/errors.h"
#include "pg/memory.h"
#include "pg/settings.h"
#include "pg/weight_cache.h"
#include "utils/memutils.h"

/* Above this, the models used longest ago are dropped from memory. */
#define CACHE_BYTES ((size_t) 1024 * 1024 * 1024)

/* What a detector that takes pictures of any size is planned for when nobody
 * says for which. */
#define NATIVE_SIDE 640

typedef struct Entry
{
	FrModel model; /* first: callers hold a pointer to it */
	struct Entry *next;
	MemoryContext memory; /* holds this entry, too */
	FrAllocator allocator;
	FrNetOptions options; /* as asked for */
	/* Of each network: */
	FrWeightKey keys[FR_MAX_GRAPHS];
	const FrPackFile *files[FR_MAX_GRAPHS]; /* mapped; or NULL: own image */
	FrBytes images[FR_MAX_GRAPHS];
	bool is_outdated; /* a file has more than it knows */
	bool is_save_tried;
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

	/* Plans that wait for reuse get an eighth of what one may need.  MTCNN
	 * plans for each level of the image pyramid, at most about 17, whose sizes
	 * differ from photo to photo: so many serve the photos of one size. */
	options.max_cached_bytes = options.max_plan_bytes / 8;
	options.max_cached_plans = 32;
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

/* How many networks an entry has. */
static int
count_nets(const Entry *entry)
{
	return entry->model.descriptor.core.graph_count;
}

static void
trim_entry(Entry *entry)
{
	for (int i = 0; i < count_nets(entry); i++)
		fr_net_trim(entry->model.nets[i]);
}

void
fr_model_cache_begin(void)
{
	tick++;
	for (Entry **link = &entries; *link;)
	{
		/* a call that failed did not come to its end */
		trim_entry(*link);
		if ((*link)->is_outdated)
			remove_entry(link);
		else
			link = &(*link)->next;
	}
	if (entries)
		sweep();
}

/* Write the files of the networks that have packed weights by themselves;
 * false when one cannot be written. */
static bool
save_nets(Entry *entry, int lock)
{
	entry->is_save_tried = true;
	for (int i = 0; i < count_nets(entry); i++)
	{
		if (entry->files[i] &&
			fr_weight_cache_unsaved(entry->model.nets[i]) == 0)
			continue;
		if (!fr_weight_cache_save(lock, &entry->keys[i], entry->images[i],
								  entry->model.nets[i], entry->files[i]))
			return false;
		entry->is_outdated = true;
	}
	return true;
}

/* Add to a model's files what this process had to pack by itself, for other
 * sizes of pictures, or because there was no file. */
static void
save_unsaved(Entry *entry)
{
	size_t unsaved = 0;
	int lock;

	for (int i = 0; i < count_nets(entry); i++)
		unsaved += fr_weight_cache_unsaved(entry->model.nets[i]);
	if (unsaved == 0 || entry->is_outdated || entry->is_save_tried ||
		!fr_weight_cache_lock(false, &lock))
		return;
	save_nets(entry, lock);
	fr_weight_cache_unlock(lock);
}

void
fr_model_cache_end(void)
{
	for (Entry *entry = entries; entry; entry = entry->next)
	{
		trim_entry(entry);
		save_unsaved(entry);
	}
}

/* Memory of this process alone. */
static size_t
entry_bytes(const Entry *entry)
{
	size_t total = 0;

	for (int i = 0; i < count_nets(entry); i++)
		total += (entry->files[i] ? 0 : entry->images[i].length) +
				 fr_net_bytes(entry->model.nets[i]);
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
fail_gone(const FrModelRow *row)
{
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("face model \"%s\" does not exist", row->name)));
}

static void
read_descriptor(Entry *entry, Jsonb *descriptor)
{
	FrModelRow *row = &entry->model.row;

	if (!fr_preset_find(row->preset, &entry->model.descriptor.core))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("face model preset \"%s\" does not exist",
							   row->preset)));
	fr_model_descriptor_apply(descriptor, &entry->model.descriptor);
}

static void
check_sha256(const FrModelRow *row, const FrModelContents *contents,
			 int graph_count)
{
	uint8 sha256[FR_SHA256_BYTES];

	fr_model_files_sha256(&contents->files, graph_count, sha256);
	if (memcmp(sha256, row->sha256, FR_SHA256_BYTES) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("weights of face model \"%s\" are damaged", row->name),
				 errdetail("Their SHA-256 differs from that in "
						   "facerec_models."),
				 errhint("Drop the model and load it again.")));
}

/* Rows that came by COPY were never tried by face_model_load. */
static FrStatus
check_fit(Entry *entry, FrError *error)
{
	int dims;
	const FrDescriptor *core = &entry->model.descriptor.core;
	FrCancel cancel = fr_pg_cancel();
	FrStatus status;

	/* Not every interrupt is a user's wish to stop. */
	while ((status = fr_model_check(core, entry->model.nets, core->graph_count,
									&cancel, &entry->allocator, &dims,
									error)) == FR_ERR_CANCELLED)
		CHECK_FOR_INTERRUPTS();
	if (status == FR_OK && dims != entry->model.row.dims)
		status =
			fr_fail(error, FR_ERR_MISMATCH,
					"The network gives %d dimensions, but its row says %d.",
					dims, entry->model.row.dims);
	return status;
}

static Entry *
start_entry(const FrModelRow *row, const FrNetOptions *options)
{
	MemoryContext memory = AllocSetContextCreate(
		CurrentMemoryContext, "facerec model", ALLOCSET_DEFAULT_SIZES);
	Entry *entry = MemoryContextAllocZero(memory, sizeof(Entry));
	FrModelContents contents;

	entry->memory = memory;
	entry->allocator = fr_pg_allocator(memory);
	entry->options = *options;
	entry->model.row = *row;
	if (!fr_catalog_read_descriptor(row, CurrentMemoryContext, &contents))
		fail_gone(row);
	read_descriptor(entry, contents.descriptor);
	pfree(contents.descriptor);
	/* Whether there is a file of packed weights must not decide this. */
	if (row->is_builtin)
		fr_builtin_files(row, &contents.files);
	for (int i = 0; i < count_nets(entry); i++)
		fr_weight_cache_key(row, i, entry->model.descriptor.core.weight_format,
							options->kernels, &entry->keys[i]);
	return entry;
}

/* Make the networks of the entry's images. */
static FrStatus
make_nets(Entry *entry, FrError *error)
{
	FrStatus status = FR_OK;

	for (int i = 0; i < count_nets(entry) && status == FR_OK; i++)
	{
		FrNetOptions options = entry->options;

		options.weight_format = entry->model.descriptor.core.weight_format;
		options.weights.image = entry->images[i];
		if (entry->files[i])
		{
			options.weights.find = fr_pack_file_find;
			options.weights.context = unconstify(FrPackFile *, entry->files[i]);
		}
		status = fr_model_net_create(
			entry->images[i].data, entry->images[i].length, &options,
			&entry->allocator, &entry->model.nets[i], error);
	}
	return status == FR_OK ? check_fit(entry, error) : status;
}

/* An entry with the mapped files; NULL when there are none. */
static Entry *
load_mapped(const FrModelRow *row, const FrNetOptions *options)
{
	Entry *entry = start_entry(row, options);
	FrError error;
	bool are_mapped = true;

	for (int i = 0; i < count_nets(entry) && are_mapped; i++)
	{
		entry->files[i] = fr_weight_cache_open(&entry->keys[i], entry->memory);
		are_mapped = entry->files[i] != NULL;
		if (are_mapped)
			entry->images[i] = entry->files[i]->image;
	}
	if (are_mapped && make_nets(entry, &error) == FR_OK)
		return entry;

	/* What the table has will do, or tell what is wrong.  Other failures than
	 * damage are those of the row or of this session's limits. */
	if (are_mapped && error.status == FR_ERR_CORRUPT)
		for (int i = 0; i < count_nets(entry); i++)
			fr_weight_cache_discard(&entry->keys[i], entry->files[i]);
	MemoryContextDelete(entry->memory);
	return NULL;
}

/* Bring the table's weights into the form that networks use in place. */
static FrStatus
align_images(Entry *entry, const FrModelFiles *files, FrError *error)
{
	FrCancel cancel = fr_pg_cancel();
	FrStatus status = FR_OK;

	for (int i = 0; i < count_nets(entry) && status == FR_OK; i++)
	{
		FrBytes file;

		status = fr_model_files_get(files, count_nets(entry), i, &file, error);
		if (status != FR_OK)
			break;

		size_t size_bytes = fr_onnx_aligned_size(file.data, file.length);
		void *image = fr_alloc_aligned(&entry->allocator, size_bytes);

		if (!image)
			return fr_fail_nomem(error, size_bytes);
		entry->images[i] = fr_bytes(image, size_bytes);
		status = fr_onnx_align(file.data, file.length, image, &cancel, error);
	}
	return status;
}

/* An entry that owns its weights; ERROR when it cannot be made. */
static Entry *
load_own(const FrModelRow *row, const FrNetOptions *options)
{
	MemoryContext scratch = AllocSetContextCreate(
		CurrentMemoryContext, "facerec model bytes", ALLOCSET_DEFAULT_SIZES);
	Entry *entry = start_entry(row, options);
	FrModelContents contents;
	FrError error;

	if (!fr_catalog_read(row, scratch, &contents))
		fail_gone(row);
	check_sha256(row, &contents, count_nets(entry));

	FrStatus status = align_images(entry, &contents.files, &error);

	MemoryContextDelete(scratch);
	if (status == FR_OK)
		status = make_nets(entry, &error);
	if (status != FR_OK)
	{
		char *primary = psprintf("could not load face model \"%s\"", row->name);

		MemoryContextDelete(entry->memory);
		fr_raise(status, &error, primary, NULL);
	}
	return entry;
}

/* Pack what the usual inputs need and write it; false when that fails. */
static bool
save_entry(Entry *entry, int lock)
{
	FrCancel cancel = fr_pg_cancel();
	FrStatus status = FR_OK;
	FrError error;

	for (int i = 0; i < count_nets(entry) && status == FR_OK; i++)
	{
		FrShape shape = fr_model_input_shape(&entry->model, i, 0, 0);
		FrPlan *plan;

		status =
			fr_net_plan(entry->model.nets[i], &shape, &cancel, &plan, &error);
	}
	if (status == FR_ERR_CANCELLED)
		fr_raise(status, &error, "could not pack weights", NULL);
	return status == FR_OK && save_nets(entry, lock);
}

/* Packing took several times the memory of the model.  The C library would
 * keep what is free below the last piece in use. */
static void
give_back_memory(void)
{
#ifdef __GLIBC__
	(void) malloc_trim(0);
#endif
}

/* Load a model, and leave its packed weights for all other processes.  The
 * lock makes them wait for that: packing takes memory, too. */
static Entry *
load_entry(const FrModelRow *row, const FrNetOptions *options)
{
	Entry *entry = load_mapped(row, options);
	int lock;

	if (!entry && fr_weight_cache_lock(true, &lock))
	{
		entry = load_mapped(row, options);
		if (!entry)
		{
			Entry *own = load_own(row, options);

			if (save_entry(own, lock))
				entry = load_mapped(row, options);
			if (!entry)
				entry = own;
			else
			{
				remove_entry(&own);
				give_back_memory();
			}
		}
		fr_weight_cache_unlock(lock);
	}
	if (!entry)
		entry = load_own(row, options);
	MemoryContextSetIdentifier(entry->memory, entry->model.row.name);
	MemoryContextSetParent(entry->memory, CacheMemoryContext);
	return entry;
}

FrShape
fr_graph_input_shape(const FrGraph *graph, const FrDescriptor *descriptor,
					 int index, int width, int height)
{
	/* The second and third network of a cascade see windows of these sides. */
	static const int cascade_sides[FR_MAX_GRAPHS] = {0, 24, 48};
	const FrValue *input = &graph->values[graph->inputs[0]];
	int side = index > 0 ? cascade_sides[index] : NATIVE_SIDE;

	if (width == 0)
		width = descriptor->input_width > 0 ? descriptor->input_width : side;
	if (height == 0)
		height = descriptor->input_height > 0 ? descriptor->input_height : side;

	FrShape shape = fr_input_shape(graph, 1, width, height);

	for (int i = 0; input->is_shape_known && i < input->shape.rank && i < 4;
		 i++)
		if (input->shape.dims[i] > 0)
			shape.dims[i] = input->shape.dims[i];
	return shape;
}

FrShape
fr_model_input_shape(const FrModel *model, int index, int width, int height)
{
	return fr_graph_input_shape(fr_net_graph(model->nets[index]),
								&model->descriptor.core, index, width, height);
}

/* Nobody has touched the mapped files. */
static bool
is_intact(const Entry *entry)
{
	for (int i = 0; i < count_nets(entry); i++)
		if (entry->files[i] &&
			!fr_weight_cache_is_intact(&entry->keys[i], entry->files[i]))
			return false;
	return true;
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
			entry->options.max_plan_bytes == options.max_plan_bytes &&
			(entry->last_used == tick || is_intact(entry)))
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
