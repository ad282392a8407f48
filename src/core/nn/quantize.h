/*
 * quantize.h: an int8 variant of a network, calibrated on samples.
 *
 * Convolutions without groups and fully connected layers get int8 weights
 * with one scale per output channel, and read their input through a
 * QuantizeLinear and a DequantizeLinear to uint8; all else stays float32.
 * (The form is ONNX's "QDQ"; B. Jacob et al., "Quantization and Training of
 * Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR
 * 2018, section 2.1, for the arithmetic it stands for.)  The first
 * convolution, which reads pixels, stays float32, and so do the layers that
 * cost most accuracy when the result would not agree with the original.
 */
#ifndef FR_CORE_NN_QUANTIZE_H
#define FR_CORE_NN_QUANTIZE_H

#include "core/nn/observe.h"
#include "core/nn/value_range.h"

typedef struct FrQuantizeOptions
{
	FrRangeRule rule;
	double min_agreement;		 /* see below; 0: as it comes out */
	const char *const *excluded; /* layers that stay float32, by the name of
								  * the node or of its output */
	int excluded_count;
	const FrSamples *held_out; /* only to measure the result on; NULL: it is
								* measured on what it was calibrated on */
	const FrNetOptions *net;   /* may be NULL */
} FrQuantizeOptions;

/*
 * Agreement of a sample: the cosine between the output of the original and
 * that of the variant, the least over all outputs.
 */
typedef struct FrQuantizeReport
{
	int layer_count; /* that could be int8 */
	int quantized_count;
	const char **kept; /* names of the other layer_count - quantized_count;
						 * in the quantised graph's arena */
	double calibrated_agreement; /* mean over calibration samples, by which
								  * layers were chosen */
	int measured_count;			 /* samples of the following */
	double mean_agreement, least_agreement;
} FrQuantizeReport;

/* Whether a network has quantised layers already. */
bool fr_quantize_is_quantized(const FrGraph *graph);

/* Fail as fr_quantize does where that depends on no more of the samples than
 * the shape of one. */
FrStatus
fr_quantize_check(const FrGraph *source, const FrShape *shape,
				  const FrQuantizeOptions *options, const FrCancel *cancel,
				  const FrAllocator *allocator, FrError *error);

/*
 * Make *quantized from the graph of a network with one input.  It shares
 * constants and names with *source, which must outlive it.  Layers stay
 * float32 until the mean agreement on the samples is at least min_agreement.
 * MISMATCH when the network has no layer that can be quantised, or none can
 * be at that agreement; ARGUMENT when an excluded name is none of a layer's.
 */
FrStatus fr_quantize(const FrGraph *source, const FrSamples *samples,
					 const FrQuantizeOptions *options, const FrCancel *cancel,
					 const FrAllocator *allocator, FrGraph *quantized,
					 FrQuantizeReport *report, FrError *error);

#endif
