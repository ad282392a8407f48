/*
 * random.h: a small seeded generator of pseudo-random numbers.
 *
 * SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
 * Generators", OOPSLA 2014): every seed gives another sequence of full period.
 * For choices that must be the same everywhere, not for secrets.
 */
#ifndef FR_CORE_BASE_RANDOM_H
#define FR_CORE_BASE_RANDOM_H

#include <stdint.h>

/* The next number; *state starts as the seed. */
static inline uint64_t
fr_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* The next number in 0 .. limit - 1; limit is 1 .. 2^32. */
static inline uint64_t
fr_random_below(uint64_t *state, uint64_t limit)
{
	return (fr_random(state) >> 32) * limit >> 32;
}

#endif
