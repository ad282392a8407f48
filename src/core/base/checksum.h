/*
 * checksum.h: a fast 64-bit checksum against damage, not against intent.
 *
 * Eight independent lanes take one 64-bit word of each 64-byte line:
 * lane = rotate(lane ^ word) * odd constant.  Every step is a bijection of
 * the lane, and so is the way the lanes are joined, so a change within one
 * word is always noticed, any other change but for one in 2^64.  The lanes
 * keep a core's multiplier busy: memory is the limit.
 */
#ifndef FR_CORE_BASE_CHECKSUM_H
#define FR_CORE_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#define FR_CHECKSUM_LINE 64

typedef struct FrChecksum
{
	uint64_t lanes[8];
	uint64_t length; /* bytes so far */
} FrChecksum;

/* Start; different seeds give independent checksums of the same bytes. */
void fr_checksum_init(FrChecksum *sum, uint64_t seed);

/* Add bytes; every call but the last must bring whole lines of 64 bytes. */
void fr_checksum_add(FrChecksum *sum, const void *bytes, size_t size_bytes);

uint64_t fr_checksum_value(const FrChecksum *sum);

/* The checksum of one piece. */
uint64_t fr_checksum(const void *bytes, size_t size_bytes, uint64_t seed);

#endif
