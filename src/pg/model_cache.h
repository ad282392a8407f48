/*
 * model_cache.h: the networks that this backend has ready to run.
 *
 * A model is made ready once per backend and then kept, by fingerprint and
 * instruction set; its packed weights are shared with other backends where
 * that is possible (weight_cache.h).  Callers look the row up first
 * (catalog.h), so a dropped or replaced model is never used; entries whose
 * rows are gone are freed at the next use of the cache.
 */
#ifndef FR_PG_MODEL_CACHE_H
#define FR_PG_MODEL_CACHE_H

#include "postgres.h"

#include "core/nn/plan.h"
#include "pg/catalog.h"
#include "pg/model_descriptor.h"

typedef struct FrModel
{
	FrModelRow row;
	FrModelDescriptor descriptor;
	FrNet *nets[FR_MAX_GRAPHS]; /* as many as the preset has */
} FrModel;

/*
 * Start to use models: frees what has gone and lets older entries be evicted.
 * Models got since stay valid until the next begin.
 */
extern void fr_model_cache_begin(void);

/* Done with the results of the networks: gives back working memory beyond
 * what is worth keeping for the next photo. */
extern void fr_model_cache_end(void);

/* The model of a row, loaded when it is not in the cache; ERROR when it
 * cannot be loaded. */
extern FrModel *fr_model_cache_get(const FrModelRow *row);

/* The shape of the input of a model's network for one picture: what the
 * network fixes, else the given size, else (0) the usual one. */
extern FrShape
fr_model_input_shape(const FrModel *model, int index, int width, int height);

/* The same of a network that is not made. */
FrShape
fr_graph_input_shape(const FrGraph *graph, const FrDescriptor *descriptor,
					 int index, int width, int height);

/* What a network needs of the settings. */
extern FrNetOptions fr_model_net_options(void);

#endif
