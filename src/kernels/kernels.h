/*
 * kernels.h: the inner loops, one table per instruction set.
 *
 * Kernels know numbers and strides, not tensors or faces; they allocate
 * nothing and call nothing but each other.  One source is compiled per
 * instruction set; select.c picks a table at run time, by what the CPU has
 * or by name.  Every kernel is a total function: sizes may be 0, no pointer
 * need be aligned unless its contract says so, tails are handled inside.
 * Same table, same input: same bits.  An instruction set has several tables,
 * of which the CPU decides: "avx512" gives other bits on a CPU that gains by
 * multiplying in pairs than on one that does not; "avx2" and "generic" have one
 * each.
 */
#ifndef FR_KERNELS_KERNELS_H
#define FR_KERNELS_KERNELS_H

#include "kernels/int8_kernels.h"
#include "kernels/nn_kernels.h"
#include "kernels/search_kernels.h"
#include "kernels/vector_kernels.h"

typedef struct FrKernels
{
	const char *isa; /* "avx512", "avx2", "generic" */
	/* Of this table: isa, or isa and what it makes use of, "avx512-pairs". */
	const char *name;
	const FrNnKernels *nn;
	/* The same without multiplying in pairs, for convolutions that do not gain
	 * by it; nn itself where nn does not. Weights packed by one do not fit
	 * the other. */
	const FrNnKernels *unpaired;
	const FrVectorKernels *vector;
	const FrInt8Kernels *int8;
	const FrSearchKernels *search;
} FrKernels;

extern const FrKernels fr_kernels_generic;
#if defined(__x86_64__)
extern const FrKernels fr_kernels_avx2;
extern const FrKernels fr_kernels_avx512;
extern const FrKernels fr_kernels_avx512vnni;	/* 8-bit kernels by VNNI */
extern const FrKernels fr_kernels_avx512_pairs; /* and sums in pairs */
#endif

/* The best table that this CPU can run. */
const FrKernels *fr_kernels_best(void);

/* The table of an instruction set that is best on this CPU ("auto" = the
 * best of all); or the table of that name, whether it is the best or not
 * ("avx512-fma" for AVX-512 without VNNI, "avx512-vnni", "avx512-pairs").
 * NULL when the name is unknown or this CPU cannot run it. */
const FrKernels *fr_kernels_by_name(const char *isa);

/* Describe the CPU, e.g. "AMD EPYC (avx2 f16c avx512f avx512bw
 * avx512vnni)"; returns buffer. */
const char *fr_kernels_cpu_text(char *buffer, unsigned long buffer_bytes);

#endif
