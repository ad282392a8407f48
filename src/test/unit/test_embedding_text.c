/*
 * test_embedding_text.c: the text form is exact for every half, and what is
 * not an embedding is refused with the right reason.
 */
#include <locale.h>

#include "core/metric/embedding_text.h"
#include "kernels/half.h"
#include "test/unit/tap.h"

static FrEmbeddingText parsed;
static FrError error;

/* Whether some decimal with fewer decimals reads back as half: the C
 * library's formatting is the independent reference. */
static bool
has_shorter(uint16_t half, const char *text)
{
	char shorter[64];
	const char *point = strchr(text, '.');
	const char *mark = strchr(text, 'e');
	int decimals;

	if (mark)
	{
		decimals = point ? (int) (mark - point) - 1 : 0;
		if (decimals == 0)
			return false;
		snprintf(shorter, sizeof shorter, "%.*e", decimals - 1,
				 (double) fr_half_to_float(half));
	}
	else
	{
		if (!point)
			return false;
		decimals = (int) strlen(point + 1);
		snprintf(shorter, sizeof shorter, "%.*f", decimals - 1,
				 (double) fr_half_to_float(half));
	}
	return fr_half_from_float(strtof(shorter, NULL)) == half;
}

static void
test_every_half(void)
{
	int wrong = 0, misread = 0, longer = 0;

	for (uint32_t i = 0; i < 65536; i++)
	{
		uint16_t half = (uint16_t) i;
		char text[FR_HALF_TEXT_BYTES + 2] = "[";
		size_t length;

		if (!fr_half_is_finite(half))
			continue;
		length = fr_half_format(half, text + 1);
		wrong += fr_half_from_float(strtof(text + 1, NULL)) != half;
		longer += has_shorter(half, text + 1);
		strcpy(text + 1 + length, "]");
		misread +=
			fr_embedding_parse(text, &parsed, &error) != FR_DIRECTION_OK ||
			parsed.count != 1 || fr_half_from_float(parsed.values[0]) != half;
	}
	is_int(wrong, 0, "every finite half prints as a number that strtof reads");
	is_int(misread, 0, "and that the parser reads");
	is_int(longer, 0, "with no decimal too many");
}

static uint64_t seed = 3;

static uint64_t
random_bits(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return seed >> 16;
}

/* Numbers of all lengths and exponents are read as strtof reads them. */
static void
test_numbers_equal_strtof(void)
{
	int differences = 0;

	for (int round = 0; round < 60000; round++)
	{
		char text[96] = "[";
		char *p = text + 1;
		int digits = 1 + (int) (random_bits() % 24);
		int point = (int) (random_bits() % 26);
		float expected;
		FrDirectionFault fault;

		if (random_bits() & 1)
			*p++ = '-';
		for (int i = 0; i < digits; i++)
		{
			if (i == point)
				*p++ = '.';
			*p++ = (char) ('0' + random_bits() % 10);
		}
		if (random_bits() & 1)
			p += sprintf(p, "e%d", (int) (random_bits() % 100) - 50);
		*p = '\0';
		expected = strtof(text + 1, NULL);
		strcpy(p, "]");
		fault = fr_embedding_parse(text, &parsed, &error);
		if (isinf(expected))
			differences += fault != FR_DIRECTION_RANGE;
		else
			differences += fault != FR_DIRECTION_OK ||
						   memcmp(&parsed.values[0], &expected, 4) != 0;
	}
	is_int(differences, 0, "random numbers are read as strtof reads them");
}

static void
test_refused(void)
{
	static const struct
	{
		const char *text;
		FrDirectionFault fault;
	} cases[] = {
		{"", FR_DIRECTION_SYNTAX},
		{" ", FR_DIRECTION_SYNTAX},
		{"1,2", FR_DIRECTION_SYNTAX},
		{"MODEL", FR_DIRECTION_SYNTAX},
		{"MODEL=", FR_DIRECTION_SYNTAX},
		{"MODEL=1f3c9a7;[1]", FR_DIRECTION_SYNTAX},
		{"MODEL=1f3c9a7e0;[1]", FR_DIRECTION_SYNTAX},
		{"MODEL=1f3c9a7g;[1]", FR_DIRECTION_SYNTAX},
		{"MODEL=1f3c9a7e[1]", FR_DIRECTION_SYNTAX},
		{"MODEL=1f3c9a7e;1", FR_DIRECTION_SYNTAX},
		{"MODEL=1f3c9a7e;", FR_DIRECTION_SYNTAX},
		{"[", FR_DIRECTION_SYNTAX},
		{"[]", FR_DIRECTION_EMPTY},
		{"[ ]", FR_DIRECTION_EMPTY},
		{"[,1]", FR_DIRECTION_SYNTAX},
		{"[1,]", FR_DIRECTION_SYNTAX},
		{"[1,,2]", FR_DIRECTION_SYNTAX},
		{"[1 2]", FR_DIRECTION_SYNTAX},
		{"[1,2", FR_DIRECTION_SYNTAX},
		{"[1,2]]", FR_DIRECTION_SYNTAX},
		{"[1,2],", FR_DIRECTION_SYNTAX},
		{"[.]", FR_DIRECTION_SYNTAX},
		{"[-]", FR_DIRECTION_SYNTAX},
		{"[+-1]", FR_DIRECTION_SYNTAX},
		{"[1e]", FR_DIRECTION_SYNTAX},
		{"[0x1p3]", FR_DIRECTION_SYNTAX},
		{"[one]", FR_DIRECTION_SYNTAX},
		{"[1,NaN]", FR_DIRECTION_NAN},
		{"[inf]", FR_DIRECTION_INFINITE},
		{"[-Infinity]", FR_DIRECTION_INFINITE},
		{"[3.5e38]", FR_DIRECTION_RANGE},
		{"[-1e99999999999999999999]", FR_DIRECTION_RANGE},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
	{
		error.message[0] = '\0';
		is_int(fr_embedding_parse(cases[i].text, &parsed, &error),
			   cases[i].fault, "refused: %s", cases[i].text);
		ok(error.message[0] && strchr(error.message, '.'),
		   "with a sentence: %s", error.message);
	}
}

static void
test_accepted(void)
{
	static const char text[] =
		" model=1F3C9a7e ; [ 1 ,\t-.5,+2.,1e-2 , 0.000E+5,1e-999 ] \n";
	static const float expected[] = {1.0f, -0.5f, 2.0f, 0.01f, 0.0f, 0.0f};

	is_int(fr_embedding_parse(text, &parsed, &error), FR_DIRECTION_OK,
		   "white space, case and forms of numbers");
	is_int(parsed.fingerprint, 0x1f3c9a7e, "the fingerprint");
	is_int(parsed.count, 6, "the number of values");
	ok(memcmp(parsed.values, expected, sizeof expected) == 0, "the values");
	is_int(fr_embedding_parse("[1]", &parsed, &error), FR_DIRECTION_OK,
		   "a text without a model");
	is_int(parsed.fingerprint, 0, "has fingerprint 0");
}

/* Turkish has another capital of i; without that locale on the machine this
 * runs in the C locale. */
static void
test_words_do_not_depend_on_the_locale(void)
{
	const char *locale = setlocale(LC_CTYPE, "tr_TR.UTF-8");

	ok(fr_embedding_parse("[1,INF]", &parsed, &error) == FR_DIRECTION_INFINITE,
	   "INF is infinite in locale %s", locale ? locale : "C");
	setlocale(LC_CTYPE, "C");
}

static void
test_limit_of_dimensions(void)
{
	size_t length = 2 * FR_DIRECTION_MAX_DIMS + 1;
	char *text = malloc(length + 3);

	for (size_t i = 0; i < length + 2; i++)
		text[i] = i % 2 ? '1' : ',';
	text[0] = '[';
	text[length - 1] = ']';
	text[length] = '\0';
	is_int(fr_embedding_parse(text, &parsed, &error), FR_DIRECTION_OK,
		   "4096 dimensions");
	is_int(parsed.count, FR_DIRECTION_MAX_DIMS, "all of them");
	text[length - 1] = ',';
	text[length] = '1';
	text[length + 1] = ']';
	text[length + 2] = '\0';
	is_int(fr_embedding_parse(text, &parsed, &error), FR_DIRECTION_TOO_LONG,
		   "not 4097");
	free(text);
}

/* From text to halves to text and back: the second trip changes nothing, for
 * vectors of arbitrary norm. */
static void
test_round_trip(size_t count)
{
	static float values[FR_DIRECTION_MAX_DIMS];
	static uint16_t halves[FR_DIRECTION_MAX_DIMS];
	static uint16_t again[FR_DIRECTION_MAX_DIMS];
	char *text = malloc(FR_EMBEDDING_TEXT_BYTES(count));
	int broken = 0, too_long = 0;

	for (int round = 0; round < 20; round++)
	{
		uint32_t fingerprint = (uint32_t) random_bits();
		float scale, scale_again;

		for (size_t i = 0; i < count; i++)
			values[i] = ldexpf((float) (random_bits() % 2001) - 1000.0f,
							   -(int) (random_bits() % 20));
		values[0] += 2000.0f;
		fr_direction_pack(values, count, halves, &scale);
		too_long += fr_embedding_format(fingerprint, halves, count, text) >=
					FR_EMBEDDING_TEXT_BYTES(count);
		if (fr_embedding_parse(text, &parsed, &error) != FR_DIRECTION_OK ||
			fr_direction_pack(parsed.values, parsed.count, again,
							  &scale_again) != FR_DIRECTION_OK)
			broken++;
		else
			broken += parsed.fingerprint != fingerprint ||
					  parsed.count != count || scale != scale_again ||
					  memcmp(halves, again, count * sizeof *halves) != 0;
	}
	is_int(broken, 0, "%zu dimensions survive text", count);
	is_int(too_long, 0, "and fit their buffer");
	free(text);
}

int
main(void)
{
	static const size_t dims[] = {1, 2, 3, 128, 512, 4096};

	test_every_half();
	test_numbers_equal_strtof();
	test_refused();
	test_accepted();
	test_words_do_not_depend_on_the_locale();
	test_limit_of_dimensions();
	for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
		test_round_trip(dims[i]);
	return tap_done();
}
