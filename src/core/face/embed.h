/*
 * embed.h: crops through an embedding or a landmarks network.
 */
#ifndef FR_CORE_FACE_EMBED_H
#define FR_CORE_FACE_EMBED_H

#include "core/face/face.h"

/* The most crops that go through the network at once. */
#define FR_EMBED_MAX_BATCH 16

/*
 * Embed count crops of the descriptor's size, or find their landmarks (dims is
 * FR_LANDMARK_VALUES then); embeddings is [count, dims], the network's raw
 * output.  With flip averaging it is the sum of the unit vectors of the crop
 * and of its mirror image; landmarks are the mean of both.  MISMATCH when the
 * network's output is not [batch, dims] or not finite.
 */
FrStatus
fr_embed_crops(FrNet *embedder, const FrDescriptor *descriptor,
			   const FrImage *crops, int count, int dims,
			   const FrCancel *cancel, float *embeddings, FrError *error);

#endif
