/*
 * model_links.h: the models that another model uses.
 *
 * An embedder's descriptor names the detector that finds its faces, and how
 * it does; that of a detector may name the model that finds the landmarks,
 * and one without landmarks of its own does if there is such a model.  What
 * the user leaves open is fixed when the model is loaded, so that it never
 * changes.
 */
#ifndef FR_PG_MODEL_LINKS_H
#define FR_PG_MODEL_LINKS_H

#include "postgres.h"

#include "pg/model_descriptor.h"

/*
 * Complete the descriptor of a model called name: given is what the user
 * said (may be NULL), has_landmarks whether a detector finds landmarks by
 * itself.  Needs SPI and a snapshot; ERROR when a named model does not fit.
 */
extern void
fr_model_links_complete(const char *name, Jsonb *given, bool has_landmarks,
						FrModelDescriptor *descriptor);

/* The names of the loaded models that use this one, also by way of others that
 * were loaded, for a message; NULL when there
 * are none.  Needs SPI. */
extern char *fr_model_links_users(const FrModelRow *row);

/* ERROR when other models use this one. */
extern void fr_model_links_check_unused(const FrModelRow *row);

#endif
