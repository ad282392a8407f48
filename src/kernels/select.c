/*
 * select.c: the tables of kernels and the choice between them.
 *
 * A table is chosen only when the CPU and the operating system support every
 * instruction set that its files are compiled for (__builtin_cpu_supports
 * asks CPUID and XGETBV).
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "kernels/kernels.h"

const FrKernels fr_kernels_generic = {"generic",
									  "generic",
									  &fr_nn_kernels_generic,
									  &fr_nn_kernels_generic,
									  &fr_vector_kernels_generic,
									  &fr_int8_kernels_generic,
									  &fr_search_kernels_generic};

#if defined(__x86_64__)

const FrKernels fr_kernels_avx2 = {"avx2",
								   "avx2",
								   &fr_nn_kernels_avx2,
								   &fr_nn_kernels_avx2,
								   &fr_vector_kernels_avx2,
								   &fr_int8_kernels_avx2,
								   &fr_search_kernels_avx2};
const FrKernels fr_kernels_avx512 = {"avx512",
									 "avx512-fma",
									 &fr_nn_kernels_avx512,
									 &fr_nn_kernels_avx512,
									 &fr_vector_kernels_avx512,
									 &fr_int8_kernels_avx512,
									 &fr_search_kernels_avx512};
const FrKernels fr_kernels_avx512vnni = {"avx512",
										 "avx512-vnni",
										 &fr_nn_kernels_avx512,
										 &fr_nn_kernels_avx512,
										 &fr_vector_kernels_avx512,
										 &fr_int8_kernels_avx512vnni,
										 &fr_search_kernels_avx512};
const FrKernels fr_kernels_avx512_pairs = {"avx512",
										   "avx512-pairs",
										   &fr_nn_kernels_pairs_avx512,
										   &fr_nn_kernels_avx512,
										   &fr_vector_kernels_avx512,
										   &fr_int8_kernels_avx512vnni,
										   &fr_search_kernels_avx512};

static bool
cpu_runs_avx2(void)
{
	unsigned int eax, ebx, ecx = 0, edx;

	/* Not every compiler knows the name "f16c": ask CPUID itself. */
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
		   __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}

static bool
cpu_runs_avx512(void)
{
	return cpu_runs_avx2() && __builtin_cpu_supports("avx512f") &&
		   __builtin_cpu_supports("avx512bw") &&
		   __builtin_cpu_supports("avx512dq") &&
		   __builtin_cpu_supports("avx512vl");
}

static bool
cpu_runs_vnni(void)
{
	return cpu_runs_avx512() && __builtin_cpu_supports("avx512vnni");
}

/* True for AMD's Zen and what descends from it (families 17h and up, also
 * under Hygon's name): floating-point adders beside the multiply-add units.
 * Others add and multiply in the same units. */
static bool
cpu_has_adders(void)
{
	unsigned int eax, ebx, ecx, edx, family;
	char vendor[12];

	if (!__get_cpuid(0, &eax, &ebx, &ecx, &edx))
		return false;
	memcpy(vendor, &ebx, 4);
	memcpy(vendor + 4, &edx, 4);
	memcpy(vendor + 8, &ecx, 4);
	if (memcmp(vendor, "AuthenticAMD", 12) != 0 &&
		memcmp(vendor, "HygonGenuine", 12) != 0)
		return false;
	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
		return false;
	family = eax >> 8 & 0xf;
	if (family == 0xf)
		family += eax >> 20 & 0xff;
	return family >= 0x17;
}

/* The best table for AVX-512, or NULL.  Every CPU with adders of its own that
 * has AVX-512 has VNNI, too. */
static const FrKernels *
best_avx512(void)
{
	if (cpu_runs_vnni())
		return cpu_has_adders() ? &fr_kernels_avx512_pairs
								: &fr_kernels_avx512vnni;
	return cpu_runs_avx512() ? &fr_kernels_avx512 : NULL;
}

#endif

const FrKernels *
fr_kernels_best(void)
{
#if defined(__x86_64__)
	if (cpu_runs_avx512())
		return best_avx512();
	if (cpu_runs_avx2())
		return &fr_kernels_avx2;
#endif
	return &fr_kernels_generic;
}

const FrKernels *
fr_kernels_by_name(const char *isa)
{
	if (strcmp(isa, "auto") == 0)
		return fr_kernels_best();
#if defined(__x86_64__)
	if (strcmp(isa, "avx512") == 0)
		return best_avx512();
	if (strcmp(isa, "avx512-fma") == 0)
		return cpu_runs_avx512() ? &fr_kernels_avx512 : NULL;
	if (strcmp(isa, "avx512-vnni") == 0)
		return cpu_runs_vnni() ? &fr_kernels_avx512vnni : NULL;
	if (strcmp(isa, "avx512-pairs") == 0)
		return cpu_runs_vnni() ? &fr_kernels_avx512_pairs : NULL;
	if (strcmp(isa, "avx2") == 0)
		return cpu_runs_avx2() ? &fr_kernels_avx2 : NULL;
#endif
	return strcmp(isa, "generic") == 0 ? &fr_kernels_generic : NULL;
}

#if defined(__x86_64__)

/* The brand string without the blanks around it; "" when there is none. */
static void
cpu_brand(char brand[49])
{
	unsigned int words[12] = {0};
	size_t length, blanks;

	for (unsigned int i = 0; i < 3; ++i)
	{
		if (!__get_cpuid(0x80000002u + i, &words[i * 4], &words[i * 4 + 1],
						 &words[i * 4 + 2], &words[i * 4 + 3]))
			break;
	}
	memcpy(brand, words, 48);
	brand[48] = '\0';
	blanks = strspn(brand, " ");
	length = strlen(brand + blanks);
	memmove(brand, brand + blanks, length + 1);
	while (length > 0 && brand[length - 1] == ' ')
		brand[--length] = '\0';
}

const char *
fr_kernels_cpu_text(char *buffer, unsigned long buffer_bytes)
{
	char brand[49];
	unsigned int eax, ebx, ecx = 0, edx;
	const bool has_f16c =
		__get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);

	cpu_brand(brand);
	snprintf(buffer, buffer_bytes, "%s (sse2%s%s%s%s%s%s%s%s)",
			 brand[0] ? brand : "x86-64",
			 __builtin_cpu_supports("avx2") ? " avx2" : "",
			 __builtin_cpu_supports("fma") ? " fma" : "",
			 has_f16c ? " f16c" : "",
			 __builtin_cpu_supports("avx512f") ? " avx512f" : "",
			 __builtin_cpu_supports("avx512bw") ? " avx512bw" : "",
			 __builtin_cpu_supports("avx512dq") ? " avx512dq" : "",
			 __builtin_cpu_supports("avx512vl") ? " avx512vl" : "",
			 __builtin_cpu_supports("avx512vnni") ? " avx512vnni" : "");
	return buffer;
}

#else

const char *
fr_kernels_cpu_text(char *buffer, unsigned long buffer_bytes)
{
	snprintf(buffer, buffer_bytes, "%s", "unknown CPU");
	return buffer;
}

#endif
