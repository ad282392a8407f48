/*
 * quantizer.h: what the files of quantisation share.  Private to core/nn.
 *
 *	quantize.c			the stages in order; reading the samples
 *	quantize_layers.c	which layers; constants folded; int8 weights
 *	quantize_graph.c	the graph with some of the layers in int8
 *	quantize_tune.c		agreement; which layers stay float32
 */
#ifndef FR_CORE_NN_QUANTIZER_H
#define FR_CORE_NN_QUANTIZER_H

#include "core/nn/quantize.h"

/* A layer that can be quantised. */
typedef struct FrQuantLayer
{
	int32_t node;		 /* in the folded graph */
	int32_t input;		 /* number of the tensor that it reads */
	int32_t weights;	 /* value */
	int64_t outputs;	 /* channels */
	int64_t inputs;		 /* channels that one output reads */
	int64_t taps;		 /* of the kernel */
	bool is_transposed;	 /* MatMul, and Gemm without transB: weights are
						  * [inputs, outputs] */
	bool is_matmul;		 /* becomes a Gemm */
	bool is_excluded;	 /* by the caller */
	double loss;		 /* 1 - agreement when it alone is quantised */
	int8_t *codes;		 /* [outputs, inputs, taps] */
	int8_t *zero_points; /* [outputs], all 0 */
	float *scales;		 /* [outputs] */
	float *bias;		 /* [outputs], corrected; NULL: as it was */
} FrQuantLayer;

/* A value that layers read. */
typedef struct FrQuantTensor
{
	int32_t value;
	int rank;
	int64_t channels;
	double *sums; /* per channel, of all that was seen */
	double seen;  /* numbers per channel */
	FrValueRange *range;
	float *scale; /* of the code; constants of the quantised graph */
	uint8_t *zero_point;
} FrQuantTensor;

typedef struct FrQuantizer
{
	const FrQuantizeOptions *options;
	const FrSamples *samples;
	const FrCancel *cancel;
	const FrAllocator *allocator;
	FrError *error;
	FrArena *arena;	 /* of the quantised graph */
	FrArena scratch; /* released at the end */
	FrGraph folded;	 /* the source with constants calculated; in scratch,
					  * but the constants are in arena */
	FrQuantLayer *layers;
	int layer_count;
	FrQuantTensor *tensors;
	int tensor_count;
	bool *is_quantized; /* per layer: the choice at hand */
} FrQuantizer;

/* Copy the source into folded, calculating what depends on constants only. */
FrStatus fr_quantizer_fold(FrQuantizer *quantizer, const FrGraph *source);

/* Find layers and the tensors that they read. */
FrStatus fr_quantizer_find_layers(FrQuantizer *quantizer);

/* What to call a layer. */
const char *
fr_quantizer_name(const FrQuantizer *quantizer, const FrQuantLayer *layer);

/* Code the weights of all layers, and correct their biases by the mean of
 * what they read. */
FrStatus fr_quantizer_code_weights(FrQuantizer *quantizer);

/* Make the graph in which the layers of is_quantized are int8.  Its own
 * memory is in *arena, which it takes over. */
FrStatus
fr_quantizer_build(FrQuantizer *quantizer, FrArena *arena, FrGraph *graph);

/* Choose is_quantized, and report what was measured. */
FrStatus fr_quantizer_tune(FrQuantizer *quantizer, FrQuantizeReport *report);

#endif
