/*
 * import.h: an ONNX file becomes an FrGraph.
 *
 * The reader is a bounded, zero-copy parser of the protobuf wire format:
 * nothing in the file is trusted, constants point into the file's bytes
 * (which must outlive the graph) unless they have to be converted (float16
 * and misaligned data are copied into the graph's arena as float32).
 */
#ifndef FR_CORE_ONNX_IMPORT_H
#define FR_CORE_ONNX_IMPORT_H

#include "core/nn/graph.h"

/*
 * Import the model in bytes.  Checks: IR version and opset 7..21 of the
 * default domain, unknown operators (UNSUPPORTED, naming node and operator),
 * missing or doubly defined values, cycles, initialiser sizes against their
 * shapes, negative or absurd dimensions, external data (UNSUPPORTED), nested
 * sub-graphs (UNSUPPORTED).
 */
FrStatus
fr_onnx_import(const void *bytes, size_t size_bytes,
			   const FrAllocator *allocator, FrGraph *graph, FrError *error);

#endif
