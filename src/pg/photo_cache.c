/*
 * photo_cache.c: see photo_cache.h.
 *
 * The photo itself is the key, not a hash of it: comparing is cheaper than
 * hashing and never wrong; for a literal even that is not needed.  A hit
 * also needs the catalog to look as it did (fr_catalog_stamp), which within
 * one query it always does.
 */
#include "postgres.h"

#include "pg/photo_cache.h"

#include "access/detoast.h"
#include "nodes/primnodes.h"
#include "utils/memutils.h"

/* Larger photos are not kept. */
#define MAX_IMAGE_BYTES ((size_t) 32 * 1024 * 1024)

struct FrPhotoCache
{
	MemoryContext memory;	/* the call site's */
	bool is_image_constant; /* the argument is a literal */
	bool is_filled;
	FrPhotoKey key;
	FrCatalogStamp stamp;
	const void *image_seen; /* where the caller's image was */
	bool has_pointer;
	struct varatt_external pointer; /* its toast pointer, if it was one */
	void *image;					/* own copy */
	size_t image_bytes;
	FrEmbedding *embedding; /* own copy; NULL = no face */
};

static bool
is_literal(FunctionCallInfo fcinfo)
{
	Node *expression = fcinfo->flinfo->fn_expr;

	return expression && IsA(expression, FuncExpr) &&
		   IsA(linitial(((FuncExpr *) expression)->args), Const);
}

FrPhotoCache *
fr_photo_cache_get(FunctionCallInfo fcinfo)
{
	FrPhotoCache *cache = fcinfo->flinfo->fn_extra;

	if (!cache)
	{
		cache = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(*cache));
		cache->memory = fcinfo->flinfo->fn_mcxt;
		cache->is_image_constant = is_literal(fcinfo);
		fcinfo->flinfo->fn_extra = cache;
	}
	return cache;
}

static bool
is_same_image(const FrPhotoCache *cache, const void *image, size_t image_bytes)
{
	if (cache->image_bytes != image_bytes)
		return false;
	if (cache->is_image_constant && cache->image_seen == image)
		return true;
	return memcmp(cache->image, image, image_bytes) == 0;
}

/* Does the cached result hold for this key, now? */
static bool
is_current(const FrPhotoCache *cache, const FrPhotoKey *key)
{
	if (!cache->is_filled || key->is_cut ||
		memcmp(&cache->key, key, sizeof(*key)) != 0)
		return false;

	FrCatalogStamp now = fr_catalog_stamp();

	return fr_catalog_stamp_equal(&cache->stamp, &now);
}

/* Read the toast pointer in an argument; false when it is none. */
static bool
read_pointer(Datum argument, struct varatt_external *pointer)
{
	struct varlena *value = (struct varlena *) DatumGetPointer(argument);

	if (!VARATT_IS_EXTERNAL_ONDISK(value))
		return false;
	VARATT_EXTERNAL_GET_POINTER(*pointer, value);
	return true;
}

bool
fr_photo_cache_find_pointer(FrPhotoCache *cache, const FrPhotoKey *key,
							Datum image, const FrEmbedding **embedding)
{
	struct varatt_external pointer;

	if (!cache->has_pointer || !read_pointer(image, &pointer) ||
		memcmp(&pointer, &cache->pointer, sizeof(pointer)) != 0 ||
		!is_current(cache, key))
		return false;
	*embedding = cache->embedding;
	return true;
}

bool
fr_photo_cache_find(FrPhotoCache *cache, const FrPhotoKey *key,
					const void *image, size_t image_bytes,
					const FrEmbedding **embedding)
{
	if (!is_current(cache, key) || !is_same_image(cache, image, image_bytes))
		return false;
	*embedding = cache->embedding;
	return true;
}

static void
clear(FrPhotoCache *cache)
{
	cache->is_filled = false;
	cache->has_pointer = false;
	if (cache->image)
		pfree(cache->image);
	if (cache->embedding)
		pfree(cache->embedding);
	cache->image = NULL;
	cache->embedding = NULL;
}

void
fr_photo_cache_store(FrPhotoCache *cache, const FrPhotoKey *key,
					 const FrCatalogStamp *stamp, Datum argument,
					 const void *image, size_t image_bytes,
					 const FrEmbedding *embedding)
{
	clear(cache);
	if (image_bytes > MAX_IMAGE_BYTES)
		return;
	cache->image = MemoryContextAlloc(cache->memory, image_bytes + 1);
	memcpy(cache->image, image, image_bytes);
	if (embedding)
	{
		cache->embedding =
			MemoryContextAlloc(cache->memory, VARSIZE(embedding));
		memcpy(cache->embedding, embedding, VARSIZE(embedding));
	}
	cache->key = *key;
	cache->stamp = *stamp;
	cache->image_seen = image;
	cache->has_pointer = read_pointer(argument, &cache->pointer);
	cache->image_bytes = image_bytes;
	cache->is_filled = true;
}
