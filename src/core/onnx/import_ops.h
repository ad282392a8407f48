/*
 * import_ops.h: what import.c and import_ops.c share.
 *
 * import.c owns the values and the order of nodes; import_ops.c knows the
 * attributes of each operator in each opset.
 */
#ifndef FR_CORE_ONNX_IMPORT_OPS_H
#define FR_CORE_ONNX_IMPORT_OPS_H

#include "core/onnx/import.h"
#include "core/onnx/model.h"

/* Constants that one node's attributes may become, and the inputs that it may
 * then have. */
#define FR_IMPORT_MAX_EXTRA			 4
#define FR_IMPORT_MIN_INPUT_CAPACITY 8

typedef struct FrImport
{
	FrGraph *graph;
	FrArena scratch; /* released when the import ends */
	FrError *error;
	FrOnnxModel model;
	FrOnnxNode *views; /* of the file's nodes, in file order; scratch */
	int view_count;
	int value_capacity;
	FrBytes *names; /* of the values as in the file; scratch */
	int32_t *slots; /* hash table of value indices, -1 empty; scratch */
	size_t slot_count;
} FrImport;

/* Reads the attributes of one node.  The first failure sticks, and every
 * later read returns its default, so that callers check status once. */
typedef struct FrAttributes
{
	FrImport *import;
	const FrOnnxNode *view;
	FrNode *node;
	FrStatus status;
} FrAttributes;

/* The operator that an ONNX name stands for (Dropout is Identity, Upsample is
 * Resize); false when it is not supported.  Constant is not among them: it
 * becomes a value. */
bool fr_import_find_op(FrBytes op_type, FrOp *op);

/* Fill node->u from the attributes and bring the inputs to the form that
 * graph.h promises.  node->inputs has room for FR_IMPORT_MIN_INPUT_CAPACITY. */
FrStatus
fr_import_attributes(FrImport *import, const FrOnnxNode *view, FrNode *node);

/* The value of a Constant node. */
FrStatus
fr_import_constant(FrImport *import, const FrOnnxNode *view, FrValue *value);

/* Append a constant that the file does not have as a value of its own; the
 * data must live as long as the graph.  Returns its index, or -1. */
int32_t fr_import_add_constant(FrImport *import, FrDtype dtype, int rank,
							   int64_t count, const void *data);

/* Put graph->nodes into an executable order: unchanged if it is one already.
 * CORRUPT, naming a node, when there is a cycle. */
FrStatus fr_import_sort_nodes(FrImport *import);

#endif
