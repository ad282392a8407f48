/*
 * face_models.h: which models a call uses, and how it detects.
 *
 * With a model named, everything comes from that model's descriptor, so that
 * the function depends on its arguments only; without, the settings
 * facerec.detector, facerec.embedder, facerec.detection_* and the like
 * decide.
 */
#ifndef FR_PG_FACE_MODELS_H
#define FR_PG_FACE_MODELS_H

#include "postgres.h"

#include "pg/model_cache.h"
#include "pg/photo_cache.h"

typedef struct FrFaceModels
{
	FrModel *detector;	/* NULL: not needed */
	FrModel *embedder;	/* NULL: not needed */
	FrModel *landmarks; /* NULL: the detector needs none, or has none */
	FrDescriptor detection;
} FrFaceModels;

/* What the core needs to detect; points into *models. */
extern FrDetector fr_face_models_get_detector(const FrFaceModels *models);

/* Each takes the model that the user names, or NULL for the settings, and
 * raises an ERROR when there is no such model. */
extern void fr_face_models_detector(FrFaceModels *models, const char *name);
extern void fr_face_models_embedder(FrFaceModels *models, const char *name);
extern void fr_face_models_both(FrFaceModels *models, const char *name);

/* Find the row of such an embedder, without the network. */
extern void fr_face_models_find_embedder(const char *name, FrModelRow *row);

/* What the result depends on besides the photo. */
extern void fr_face_models_key(const char *name, FrPhotoKey *key);

#endif
