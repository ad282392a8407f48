/*
 * builtin_models.h: the models that come with the extension.
 *
 * Their rows in facerec_models are like all others, but have no weights:
 * those are part of the library (networks/networks.h) and found by their
 * SHA-256.  So a row means the same network in every version of the library,
 * or nothing where that has other networks.
 */
#ifndef FR_PG_BUILTIN_MODELS_H
#define FR_PG_BUILTIN_MODELS_H

#include "postgres.h"

#include "pg/catalog.h"

/* Names of the models; those of detector and embedder are the defaults of
 * facerec.detector and facerec.embedder. */
#define FR_BUILTIN_LANDMARKS "facerec-landmarks"
#define FR_BUILTIN_DETECTOR	 "facerec-detector"
#define FR_BUILTIN_EMBEDDER	 "facerec-embedder"

#define FR_BUILTIN_LICENSE                                                 \
	"non-commercial research only: trained on faces from CelebA, UTKFace " \
	"and others that allow no other use"

/* The name of the model whose weights the library has; NULL when it has
 * none of that SHA-256. */
extern const char *fr_builtin_name(const uint8 sha256[FR_SHA256_BYTES]);

/* Is this the name or label of one of the models above? */
extern bool fr_builtin_is_name(const char *reference);

/* The weights of a builtin row, where they are; ERROR when the library has
 * others. */
extern void fr_builtin_files(const FrModelRow *row, FrModelFiles *files);

#endif
