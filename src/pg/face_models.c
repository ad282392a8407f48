/*
 * face_models.c: see face_models.h.
 */
#include "postgres.h"

#include "pg/face_models.h"

#include "pg/settings.h"

/* ---- from the settings -------------------------------------------------- */

static bool
is_set(const char *setting)
{
	return setting && setting[0];
}

static const char *
require_embedder(void)
{
	if (!is_set(fr_setting_embedder))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no face embedder is set"),
				 errhint("RESET facerec.embedder for the one that came with "
						 "the extension.")));
	return fr_setting_embedder;
}

static const char *
require_detector(void)
{
	if (!is_set(fr_setting_detector))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no face detector is set"),
				 errhint("RESET facerec.detector for the one that came with "
						 "the extension.")));
	return fr_setting_detector;
}

static void
apply_settings(FrDescriptor *detection)
{
	if (fr_setting_detection_threshold >= 0)
		detection->detection_threshold = (float) fr_setting_detection_threshold;
	detection->detection_size = fr_setting_detection_size;
	detection->min_face_size = fr_setting_min_face_size;
	detection->max_faces = fr_setting_max_faces;
}

/* ---- models ------------------------------------------------------------- */

/* Find a model that another one's descriptor names; by fingerprint, because
 * that cannot mean another model. */
static void
find_named(const char *label, const char *user, const char *what,
		   FrModelRow *row)
{
	uint32 fingerprint = fr_catalog_parse_fingerprint(label);

	if (!fr_catalog_find_fingerprint(fingerprint, row))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("face model \"%s\" does not exist", label),
						errdetail("It finds the %s for face model \"%s\".",
								  what, user),
						errhint("Load it again.")));
}

static void
use_detector(FrFaceModels *models, const FrModelRow *row)
{
	const char *label;
	FrModelRow landmarks;

	models->detector = fr_model_cache_get(row);
	models->detection = models->detector->descriptor.core;
	models->landmarks = NULL;
	label = models->detector->descriptor.landmarks;
	if (!label[0])
		return;
	find_named(label, row->name, "landmarks", &landmarks);
	models->landmarks = fr_model_cache_get(&landmarks);
}

FrDetector
fr_face_models_get_detector(const FrFaceModels *models)
{
	FrDetector detector = {.descriptor = &models->detection};

	memcpy(detector.nets, models->detector->nets, sizeof(detector.nets));
	if (models->landmarks)
	{
		detector.landmarker = models->landmarks->nets[0];
		detector.landmarks = &models->landmarks->descriptor.core;
	}
	return detector;
}

static void
use_detector_named(FrFaceModels *models, const char *name)
{
	FrModelRow row;

	fr_catalog_resolve_role(name, FR_ROLE_DETECTOR, &row);
	use_detector(models, &row);
}

/* The detector that an embedder's descriptor names. */
static void
use_detector_of_embedder(FrFaceModels *models)
{
	const char *label = models->embedder->descriptor.detector;
	const char *embedder = models->embedder->row.name;
	FrModelRow row;

	if (!label[0])
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("face model \"%s\" has no detector", embedder),
				 errhint("Load a detector, then drop this model and load it "
						 "again.")));

	find_named(label, embedder, "faces", &row);
	use_detector(models, &row);
}

void
fr_face_models_detector(FrFaceModels *models, const char *name)
{
	fr_model_cache_begin();
	models->embedder = NULL;
	use_detector_named(models, name ? name : require_detector());
	if (!name)
		apply_settings(&models->detection);
}

void
fr_face_models_find_embedder(const char *name, FrModelRow *row)
{
	fr_catalog_resolve_role(name ? name : require_embedder(), FR_ROLE_EMBEDDER,
							row);
}

static void
use_embedder(FrFaceModels *models, const char *name)
{
	FrModelRow row;

	fr_face_models_find_embedder(name, &row);
	models->embedder = fr_model_cache_get(&row);
}

void
fr_face_models_embedder(FrFaceModels *models, const char *name)
{
	fr_model_cache_begin();
	models->detector = NULL;
	models->landmarks = NULL;
	use_embedder(models, name);
}

void
fr_face_models_both(FrFaceModels *models, const char *name)
{
	fr_model_cache_begin();
	use_embedder(models, name);
	if (!name && (fr_setting_is_detector_set() ||
				  !models->embedder->descriptor.detector[0]))
		use_detector_named(models, require_detector());
	else
		use_detector_of_embedder(models);

	if (!name)
		apply_settings(&models->detection);
	else
	{
		const FrDescriptor *own = &models->embedder->descriptor.core;

		models->detection.detection_threshold = own->detection_threshold;
		models->detection.detection_size = own->detection_size;
		models->detection.min_face_size = own->min_face_size;
		models->detection.max_faces = own->max_faces;
	}
}

/* ---- keys --------------------------------------------------------------- */

static void
copy_name(const char *name, char field[FR_MODEL_LABEL_BYTES], FrPhotoKey *key)
{
	if (strlcpy(field, name, FR_MODEL_LABEL_BYTES) >= FR_MODEL_LABEL_BYTES)
		key->is_cut = true;
}

void
fr_face_models_key(const char *name, FrPhotoKey *key)
{
	memset(key, 0, sizeof(*key));
	key->kernels = fr_setting_kernels();
	key->max_image_pixels = fr_setting_max_image_pixels;
	key->max_inference_memory = fr_setting_max_inference_memory;
	key->on_error = fr_setting_on_error;
	if (name)
	{
		copy_name(name, key->embedder, key);
		return;
	}
	if (is_set(fr_setting_embedder))
		copy_name(fr_setting_embedder, key->embedder, key);
	if (fr_setting_is_detector_set())
		copy_name(fr_setting_detector, key->detector, key);
	key->detection_threshold = fr_setting_detection_threshold;
	key->detection_size = fr_setting_detection_size;
	key->min_face_size = fr_setting_min_face_size;
	key->max_faces = fr_setting_max_faces;
}
