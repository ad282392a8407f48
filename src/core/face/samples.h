/*
 * samples.h: pictures to calibrate a network on.
 *
 * They are kept as the network is fed with them: aligned crops for an
 * embedder, reduced photos for a detector; 8-bit, so that hundreds fit in
 * memory.
 */
#ifndef FR_CORE_FACE_SAMPLES_H
#define FR_CORE_FACE_SAMPLES_H

#include "core/face/pipeline.h"
#include "core/nn/observe.h"

typedef struct FrSampleSet
{
	const FrGraph *graph;			/* of the network */
	const FrDescriptor *descriptor; /* of its model */
	const FrAllocator *allocator;
	int capacity, count;
	size_t bytes, max_bytes; /* of the pictures */
	FrImage *images;
	FrShape *shapes; /* of the network's input */
} FrSampleSet;

/* An empty set for at most capacity pictures; full, too, once they have
 * max_bytes.  MISMATCH unless the network has one input for pictures. */
FrStatus fr_sample_set_init(FrSampleSet *set, const FrGraph *graph,
							const FrDescriptor *descriptor, int capacity,
							size_t max_bytes, const FrAllocator *allocator,
							FrError *error);

void fr_sample_set_fini(FrSampleSet *set);

/* Forget the pictures from number count on. */
void fr_sample_set_truncate(FrSampleSet *set, int count);

bool fr_sample_set_is_full(const FrSampleSet *set);

/*
 * Add, up to where the set is full, the faces of a photo; or, when the model
 * is itself a detector, the photo.  The detector is the one that finds the
 * faces, or the model.
 */
FrStatus fr_sample_set_add_photo(FrSampleSet *set, FrPhoto *photo,
								 const FrDetector *detector, FrError *error);

/* Add a copy of a crop, which has the model's size (MISMATCH otherwise). */
FrStatus
fr_sample_set_add_crop(FrSampleSet *set, const FrImage *crop, FrError *error);

/* The pictures as samples; they point into the set.  With flip averaging
 * every second one is mirrored. */
FrSamples fr_sample_set_samples(FrSampleSet *set);

#endif
