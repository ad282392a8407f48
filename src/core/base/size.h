/*
 * size.h: overflow-checked arithmetic for sizes that come from outside.
 *
 * Each function returns false, leaving *result untouched, when the true
 * result does not fit; depends on compiler builtins only.
 */
#ifndef FR_CORE_BASE_SIZE_H
#define FR_CORE_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>

static inline bool
fr_size_add(size_t a, size_t b, size_t *result)
{
	size_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*result = sum;
	return true;
}

static inline bool
fr_size_mul(size_t a, size_t b, size_t *result)
{
	size_t product;

	if (__builtin_mul_overflow(a, b, &product))
		return false;
	*result = product;
	return true;
}

/* a * b * c */
static inline bool
fr_size_mul3(size_t a, size_t b, size_t c, size_t *result)
{
	size_t product;

	return fr_size_mul(a, b, &product) && fr_size_mul(product, c, result);
}

#endif
