/*
 * pipeline.h: from the bytes of a photo to faces and embeddings.
 *
 * An FrPhoto decodes once: at the largest reduction that still serves the
 * detector, and, only when a face is too small in that decode for the
 * embedder, a second time for the region of the faces.  Everything it holds
 * comes from the allocator and goes with fr_photo_close.
 */
#ifndef FR_CORE_FACE_PIPELINE_H
#define FR_CORE_FACE_PIPELINE_H

#include "core/face/face.h"

typedef struct FrPhoto FrPhoto;

typedef struct FrPhotoOptions
{
	size_t max_pixels;	/* refuse larger pictures */
	int detection_size; /* longest side that detection will use; 0 = native.
						 * Photos are never enlarged for detection. */
	FrCancel cancel;	/* copied; used by everything done with the photo */
} FrPhotoOptions;

/* Check the header and decode for detection.  bytes must stay valid until
 * fr_photo_close. */
FrStatus
fr_photo_open(const void *bytes, size_t size_bytes,
			  const FrPhotoOptions *options, const FrAllocator *allocator,
			  FrPhoto **photo, FrError *error);
void fr_photo_close(FrPhoto *photo);

/* Size of the upright full-size picture. */
void fr_photo_size(const FrPhoto *photo, int *width, int *height);

/*
 * Find faces: detector, threshold, non-maximum suppression, minimum size, at
 * most max_faces of the largest; landmarks by the other network if the
 * detector gives none; head pose and quality filled in.
 */
FrStatus fr_photo_detect(FrPhoto *photo, const FrDetector *detector,
						 FrFaces *faces, FrError *error);

/*
 * Embed count faces, by their landmarks (or boxes, where the descriptor says
 * so or there are none), as one batch (or several of bounded size).
 * embeddings is [count, dims], raw network outputs (with flip averaging: the
 * sum of both unit vectors), not normalised.
 */
FrStatus fr_photo_embed(FrPhoto *photo, FrNet *embedder,
						const FrDescriptor *descriptor, const FrFace *faces,
						int count, int dims, float *embeddings, FrError *error);

/*
 * The face inside a region that the user gives: the detected face whose box
 * overlaps the region most (IoU >= 0.3, or its centre inside and at least
 * half of the region's area), else the best face found by detecting in the
 * surroundings of the region alone; *is_found is false when there is none.
 */
FrStatus fr_photo_detect_region(FrPhoto *photo, const FrDetector *detector,
								float x0, float y0, float x1, float y1,
								FrFace *face, bool *is_found, FrError *error);

/* Cut out the aligned crop of one face for the descriptor's template and
 * size, from the best resolution needed. */
FrStatus
fr_photo_align(FrPhoto *photo, const FrPoint landmarks[5], FrTemplate alignment,
			   int width, int height, FrImage *crop, FrError *error);

/* The crop of one face that fr_photo_embed would embed. */
FrStatus fr_photo_crop(FrPhoto *photo, const FrDescriptor *descriptor,
					   const FrFace *face, FrImage *crop, FrError *error);

/* The picture, reduced, that fr_photo_detect would give a detector of one
 * network. */
FrStatus fr_photo_reduce(FrPhoto *photo, const FrDetector *detector,
						 FrImage *picture, FrError *error);

/* Embed a picture that already is an aligned crop of the descriptor's size
 * (MISMATCH otherwise). */
FrStatus fr_embed_aligned(const FrImage *crop, FrNet *embedder,
						  const FrDescriptor *descriptor, int dims,
						  float *embedding, const FrCancel *cancel,
						  const FrAllocator *allocator, FrError *error);

#endif
