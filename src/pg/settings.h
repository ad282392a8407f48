/*
 * settings.h: the settings "facerec.*", defined in settings.c.
 */
#ifndef FR_PG_SETTINGS_H
#define FR_PG_SETTINGS_H

#include "postgres.h"

#include "kernels/kernels.h"

typedef enum FrOnError
{
	FR_ON_ERROR_STOP = 0,
	FR_ON_ERROR_IGNORE
} FrOnError;

extern char *fr_setting_detector;			  /* "" = none */
extern char *fr_setting_embedder;			  /* "" = none */
extern double fr_setting_detection_threshold; /* -1 = the model's own */
extern int fr_setting_detection_size;		  /* 1280; 0 = native */
extern int fr_setting_min_face_size;		  /* 20 */
extern int fr_setting_max_faces;			  /* 100 */
extern int fr_setting_on_error;				  /* FrOnError */
extern double fr_setting_max_image_pixels;	  /* 1e8; superuser */
extern int fr_setting_max_inference_memory;	  /* kB; 2 GB */
extern double fr_setting_fmr;				  /* 1e-4 */
extern bool fr_setting_weight_cache;		  /* on */
extern int fr_setting_weight_cache_size;	  /* MB; 8 GB; superuser */

/* Does facerec.detector name another model than by default?  With the default
 * an embedder's own detector finds the faces for it. */
extern bool fr_setting_is_detector_set(void);

/* The kernels that facerec.isa chose. */
extern const FrKernels *fr_setting_kernels(void);

/* Define the settings and reserve the prefix (from _PG_init). */
extern void fr_settings_init(void);

#endif
