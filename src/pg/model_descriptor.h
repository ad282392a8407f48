/*
 * model_descriptor.h: a model's descriptor, as jsonb and as C.
 *
 * The user gives a preset and, in jsonb, what differs from it.  What is
 * stored is complete: every key of the model's role, so that a model never
 * changes, not even when a preset's defaults do.
 */
#ifndef FR_PG_MODEL_DESCRIPTOR_H
#define FR_PG_MODEL_DESCRIPTOR_H

#include "postgres.h"

#include "core/face/face.h"
#include "pg/catalog.h"
#include "utils/jsonb.h"

/* Where an 8-bit model comes from (face_model_quantize); zeroed otherwise. */
typedef struct FrModelOrigin
{
	char fingerprint[9]; /* of the original, "" = none */
	int photos, samples; /* that calibrated it and measured it */
	int layers;			 /* in 8 bits */
	int float_layers;	 /* that could be, but stay float32 */
	float cosine;		 /* mean and least, with the original's outputs, of */
	float least_cosine;	 /* samples that did not calibrate it */
} FrModelOrigin;

/*
 * A descriptor with what only the catalog knows.  For an embedder, detector
 * names the model that finds the faces for it ("name@1f3c9a7e", "" = none),
 * and detection_threshold, detection_size, min_face_size and max_faces in
 * core say how; they replace the detector's own.  For a detector,
 * landmarks names the model that finds them, or finds them more exactly; that
 * a detector without landmarks of its own has none is stored, too, or the same
 * descriptor would find one later.
 */
typedef struct FrModelDescriptor
{
	FrDescriptor core;
	char detector[FR_MODEL_LABEL_BYTES];
	char landmarks[FR_MODEL_LABEL_BYTES];
	bool is_landmarks_none; /* "landmarks" is null, not absent */
	FrModelOrigin origin;
} FrModelDescriptor;

/* Is key one of the keys in object? */
extern bool fr_model_descriptor_has(Jsonb *object, const char *key);

/* Change *descriptor by the keys of object; ERROR naming the allowed keys
 * and ranges for anything else. */
extern void
fr_model_descriptor_apply(Jsonb *object, FrModelDescriptor *descriptor);

/* The complete descriptor as jsonb, in CurrentMemoryContext. */
extern Jsonb *fr_model_descriptor_to_jsonb(const FrModelDescriptor *descriptor);

#endif
