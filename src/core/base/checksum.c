/*
 * checksum.c: see checksum.h.
 */
#include "core/base/checksum.h"

#include <string.h>

#define LANES 8

/* An odd number with evenly spread bits: 2^64 divided by the golden ratio. */
#define FACTOR 0x9e3779b97f4a7c15u

static inline uint64_t
step(uint64_t lane, uint64_t word)
{
	uint64_t mixed = lane ^ word;

	return (mixed << 29 | mixed >> 35) * FACTOR;
}

void
fr_checksum_init(FrChecksum *sum, uint64_t seed)
{
	for (uint64_t i = 0; i < LANES; i++)
		sum->lanes[i] = step(seed + i, FACTOR);
	sum->length = 0;
}

void
fr_checksum_add(FrChecksum *sum, const void *bytes, size_t size_bytes)
{
	const uint8_t *p = bytes;
	uint64_t lanes[LANES], words[LANES];

	memcpy(lanes, sum->lanes, sizeof lanes);
	sum->length += size_bytes;
	for (; size_bytes >= sizeof words;
		 size_bytes -= sizeof words, p += sizeof words)
	{
		memcpy(words, p, sizeof words);
		for (int i = 0; i < LANES; i++)
			lanes[i] = step(lanes[i], words[i]);
	}
	if (size_bytes > 0)
	{
		memset(words, 0, sizeof words);
		memcpy(words, p, size_bytes);
		for (int i = 0; i < LANES; i++)
			lanes[i] = step(lanes[i], words[i]);
	}
	memcpy(sum->lanes, lanes, sizeof lanes);
}

uint64_t
fr_checksum_value(const FrChecksum *sum)
{
	uint64_t value = sum->length;

	for (int i = 0; i < LANES; i++)
		value = step(value, sum->lanes[i]);
	return value ^ value >> 32;
}

uint64_t
fr_checksum(const void *bytes, size_t size_bytes, uint64_t seed)
{
	FrChecksum sum;

	fr_checksum_init(&sum, seed);
	fr_checksum_add(&sum, bytes, size_bytes);
	return fr_checksum_value(&sum);
}
