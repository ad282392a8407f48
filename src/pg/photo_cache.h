/*
 * photo_cache.h: the last photo's embedding, kept per call site.
 *
 * The query ORDER BY embedding <=> face_embed($1) calls face_embed once per
 * row of the table.  Every call site (FmgrInfo) therefore remembers its last
 * photo, with all that its embedding depends on, and the embedding.
 */
#ifndef FR_PG_PHOTO_CACHE_H
#define FR_PG_PHOTO_CACHE_H

#include "postgres.h"

#include "fmgr.h"
#include "pg/catalog.h"
#include "pg/embedding.h"

/* What an embedding depends on besides the photo.  Zero it before use:
 * compared bytewise. */
typedef struct FrPhotoKey
{
	char embedder[FR_MODEL_LABEL_BYTES]; /* as the user names it */
	char detector[FR_MODEL_LABEL_BYTES]; /* "" = the embedder's own */
	const void *kernels;
	double max_image_pixels;
	double detection_threshold;
	double region[4]; /* x0, y0, x1, y1; zeros = the largest face */
	int detection_size;
	int min_face_size;
	int max_faces;
	int max_inference_memory;
	int on_error;
	bool is_cut; /* a name did not fit: not a key */
} FrPhotoKey;

typedef struct FrPhotoCache FrPhotoCache;

/* The cache of this call site. */
extern FrPhotoCache *fr_photo_cache_get(FunctionCallInfo fcinfo);

/*
 * Look a photo up that is still a toast pointer, without reading it: within
 * one snapshot the same pointer is the same photo.
 */
extern bool
fr_photo_cache_find_pointer(FrPhotoCache *cache, const FrPhotoKey *key,
							Datum image, const FrEmbedding **embedding);

/*
 * Look the photo up; *embedding becomes NULL when it has no face.  Never
 * finds what was computed when the catalog looked different.
 */
extern bool fr_photo_cache_find(FrPhotoCache *cache, const FrPhotoKey *key,
								const void *image, size_t image_bytes,
								const FrEmbedding **embedding);

/* Remember a result (embedding may be NULL); stamp was taken before the
 * models were looked up; argument is the photo as the function was given it. */
extern void fr_photo_cache_store(FrPhotoCache *cache, const FrPhotoKey *key,
								 const FrCatalogStamp *stamp, Datum argument,
								 const void *image, size_t image_bytes,
								 const FrEmbedding *embedding);

#endif
