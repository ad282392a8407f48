/*
 * models.h: adding a model from C, as face_model_load does from SQL.
 */
#ifndef FR_PG_MODELS_H
#define FR_PG_MODELS_H

#include "postgres.h"

#include "utils/jsonb.h"

/* A model of one network. */
typedef struct FrModelDraft
{
	const char *name;
	const char *preset;
	Jsonb *descriptor;			  /* complete */
	const char *license, *source; /* or NULL */
	const void *weights;		  /* the ONNX file */
	size_t weights_bytes;
	bool is_builtin; /* the library has the weights: they are not stored */
} FrModelDraft;

/* ERROR unless a model may have this name. */
extern void fr_model_check_name(const char *name);

/*
 * Check the model and write its row, with the rights of the table's owner:
 * whoever calls has checked that the user may.  Returns its label, palloc'd;
 * ERROR when another model has the name, or the model another name.  A builtin
 * model replaces the one of another version of the library.
 */
extern char *fr_model_add(const FrModelDraft *draft);

#endif
