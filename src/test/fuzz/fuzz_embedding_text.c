/*
 * fuzz_embedding_text.c: any text is refused with a sentence, or read, packed
 * and written such that reading it again changes nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "core/metric/embedding_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool holds)
{
	if (!holds)
		abort();
}

static void
check_round_trip(const FrEmbeddingText *parsed)
{
	static uint16_t halves[FR_DIRECTION_MAX_DIMS];
	static uint16_t again[FR_DIRECTION_MAX_DIMS];
	static FrEmbeddingText reread;
	float scale, scale_again;
	char *text;

	if (fr_direction_pack(parsed->values, parsed->count, halves, &scale) !=
		FR_DIRECTION_OK)
		return;
	text = malloc(FR_EMBEDDING_TEXT_BYTES(parsed->count));
	check(fr_embedding_format(parsed->fingerprint, halves, parsed->count,
							  text) < FR_EMBEDDING_TEXT_BYTES(parsed->count));
	check(fr_embedding_parse(text, &reread, NULL) == FR_DIRECTION_OK);
	check(reread.count == parsed->count);
	check(reread.fingerprint == parsed->fingerprint);
	check(fr_direction_pack(reread.values, reread.count, again, &scale_again) ==
		  FR_DIRECTION_OK);
	check(memcmp(halves, again, parsed->count * sizeof *halves) == 0);
	check(scale == scale_again);
	check(fr_direction_distance(&fr_vector_kernels_generic, halves, scale,
								again, scale_again, parsed->count) == 0.0);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FrEmbeddingText parsed;
	FrError error = {0};
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (fr_embedding_parse(text, &parsed, &error) == FR_DIRECTION_OK)
		check_round_trip(&parsed);
	else
		check(error.message[0] != '\0');
	free(text);
	return 0;
}
