/*
 * embedding_text.c: reading and writing the text form of embeddings.
 *
 * A finite half is a whole number of 2^-24, so the shortest decimal is found
 * in plain 64-bit integers: for a growing number of decimals, take the
 * nearest decimal and look whether it lies in the interval that rounds to the
 * half.  Numbers are read exactly: up to 2^53 times a power of ten up to
 * 10^22 is one correctly rounded operation on doubles (W. D. Clinger, "How to
 * Read Floating Point Numbers Accurately", PLDI 1990); the rest is left to
 * strtof.
 */
#include "core/metric/embedding_text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/half.h"

/* ---- writing ------------------------------------------------------------ */

/* digits * 10^-decimals */
typedef struct Decimal
{
	uint64_t digits;
	int decimals;
} Decimal;

/* The decimal with the fewest decimals that rounds to magnitude (a half
 * without its sign), and of those the nearest. */
static Decimal
shortest_decimal(uint16_t magnitude)
{
	unsigned exponent = magnitude >> 10;
	uint64_t significand = magnitude & 0x3ffu;
	bool is_even = (significand & 1) == 0;
	/* In units of 2^-25: the value, and half the gaps above and below. */
	uint64_t above = exponent > 1 ? (uint64_t) 1 << (exponent - 1) : 1;
	uint64_t below = exponent > 1 && significand == 0 ? above / 2 : above;
	uint64_t value = 2 * above * (significand + (exponent > 0 ? 1024 : 0));
	uint64_t power = 1;

	for (int decimals = 0;; decimals++, power *= 10)
	{
		uint64_t digits = (value * power + ((uint64_t) 1 << 24)) >> 25;
		uint64_t candidate = digits << 25;
		uint64_t low = (value - below) * power;
		uint64_t high = (value + above) * power;

		if (is_even ? candidate >= low && candidate <= high
					: candidate > low && candidate < high)
			return (Decimal){digits, decimals};
	}
}

/* Write digits with a point before the last `decimals` of them, padded with
 * zeros on the left as needed; returns the end. */
static char *
put_fixed(char *p, uint64_t digits, int decimals)
{
	char reversed[24];
	int length = 0;

	do
	{
		reversed[length++] = (char) ('0' + digits % 10);
		digits /= 10;
	} while (digits > 0 || length <= decimals);
	while (length-- > 0)
	{
		*p++ = reversed[length];
		if (length == decimals && decimals > 0)
			*p++ = '.';
	}
	return p;
}

size_t
fr_half_format(uint16_t half, char *buffer)
{
	uint16_t magnitude = half & 0x7fffu;
	char *p = buffer;

	if (half & FR_HALF_SIGN)
		*p++ = '-';
	if (magnitude == 0)
		*p++ = '0';
	else
	{
		Decimal decimal = shortest_decimal(magnitude);
		int digit_count = 0;

		for (uint64_t rest = decimal.digits; rest > 0; rest /= 10)
			digit_count++;

		int exponent = digit_count - 1 - decimal.decimals;

		if (exponent >= -4)
			p = put_fixed(p, decimal.digits, decimal.decimals);
		else
		{
			/* Exponents of halves end at -8: 2^-24 is 6e-08. */
			p = put_fixed(p, decimal.digits, digit_count - 1);
			memcpy(p, "e-0", 3);
			p[3] = (char) ('0' - exponent);
			p += 4;
		}
	}
	*p = '\0';
	return (size_t) (p - buffer);
}

size_t
fr_embedding_format(uint32_t fingerprint, const uint16_t *halves, size_t count,
					char *buffer)
{
	static const char hex[] = "0123456789abcdef";
	char *p = buffer;

	if (fingerprint != 0)
	{
		memcpy(p, "MODEL=", 6);
		p += 6;
		for (int shift = 28; shift >= 0; shift -= 4)
			*p++ = hex[fingerprint >> shift & 15u];
		*p++ = ';';
	}
	*p++ = '[';
	for (size_t i = 0; i < count; i++)
	{
		if (i > 0)
			*p++ = ',';
		p += fr_half_format(halves[i], p);
	}
	*p++ = ']';
	*p = '\0';
	return (size_t) (p - buffer);
}

/* ---- reading ------------------------------------------------------------ */

static const char *
skip_space(const char *p)
{
	while (*p == ' ' || (*p >= '\t' && *p <= '\r'))
		p++;
	return p;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Value of a hexadecimal digit, or -1. */
static int
hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* A number as written: significand * 10^exponent. */
typedef struct Scan
{
	const char *end; /* behind the number; NULL when there is none */
	uint64_t significand;
	long exponent;
	bool is_negative;
	bool is_exact; /* significand holds all the digits */
} Scan;

/* Take a run of digits into scan; returns how many. */
static size_t
scan_digits(Scan *scan)
{
	const char *start = scan->end;

	for (; is_digit(*scan->end); scan->end++)
	{
		if (scan->significand > (UINT64_MAX - 9) / 10)
			scan->is_exact = false;
		else
			scan->significand =
				scan->significand * 10 + (uint64_t) (*scan->end - '0');
	}
	return (size_t) (scan->end - start);
}

/* Take "e", a sign and digits, if all that is there. */
static void
scan_exponent(Scan *scan)
{
	const char *p = scan->end;
	bool is_negative;
	long exponent = 0;

	if (*p != 'e' && *p != 'E')
		return;
	p++;
	is_negative = *p == '-';
	if (*p == '-' || *p == '+')
		p++;
	if (!is_digit(*p))
		return;
	for (; is_digit(*p); p++)
		if (exponent < 1000000)
			exponent = exponent * 10 + (*p - '0');
	scan->exponent += is_negative ? -exponent : exponent;
	scan->end = p;
}

static Scan
scan_number(const char *p)
{
	Scan scan = {.is_exact = true, .is_negative = *p == '-'};
	size_t digit_count, fraction_count = 0;

	if (*p == '-' || *p == '+')
		p++;
	scan.end = p;
	digit_count = scan_digits(&scan);
	if (*scan.end == '.')
	{
		scan.end++;
		fraction_count = scan_digits(&scan);
	}
	if (digit_count + fraction_count == 0)
	{
		scan.end = NULL;
		return scan;
	}
	/* A text is at most 1 GB, so this fits. */
	scan.exponent = -(long) fraction_count;
	scan_exponent(&scan);
	return scan;
}

/* The float nearest to a scanned number that starts at text. */
static float
number_value(const Scan *scan, const char *text)
{
	static const double powers[] = {
		1e0,  1e1,	1e2,  1e3,	1e4,  1e5,	1e6,  1e7,	1e8,  1e9,	1e10, 1e11,
		1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

	if (scan->is_exact && scan->significand <= (uint64_t) 1 << 53 &&
		scan->exponent >= -22 && scan->exponent <= 22)
	{
		double value = (double) scan->significand;
		uint64_t bits;

		if (scan->exponent < 0)
			value /= powers[-scan->exponent];
		else
			value *= powers[scan->exponent];

		/* Rounding again, to float, is wrong only for a double half way
		 * between two floats (or a subnormal float: none is here unless
		 * it is 0, for 10^-22 is normal). */
		memcpy(&bits, &value, sizeof bits);
		if ((bits & 0x1fffffffu) != 0x10000000u)
			return (float) (scan->is_negative ? -value : value);
	}
	return strtof(text, NULL);
}

static FrDirectionFault
fail(FrError *error, FrDirectionFault fault, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static FrDirectionFault
fail(FrError *error, FrDirectionFault fault, const char *format, ...)
{
	char message[sizeof error->message];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	fr_fail(error,
			fault == FR_DIRECTION_SYNTAX ? FR_ERR_CORRUPT : FR_ERR_ARGUMENT,
			"%s", message);
	return fault;
}

/* Does text start with word, which is in lower case?  Letters of either case
 * count, and only ASCII: in a Turkish locale, I is not a capital i. */
static bool
starts_with(const char *text, const char *word)
{
	for (; *word; text++, word++)
	{
		char c =
			*text >= 'A' && *text <= 'Z' ? (char) (*text - 'A' + 'a') : *text;

		if (c != *word)
			return false;
	}
	return true;
}

/* Something that scan_number does not take: a word or no number at all. */
static FrDirectionFault
fail_not_number(const char *p, size_t dimension, FrError *error)
{
	if (*p == '-' || *p == '+')
		p++;
	if (starts_with(p, "nan"))
		return fail(error, FR_DIRECTION_NAN, "Dimension %zu is NaN.",
					dimension);
	if (starts_with(p, "inf"))
		return fail(error, FR_DIRECTION_INFINITE, "Dimension %zu is infinite.",
					dimension);
	return fail(error, FR_DIRECTION_SYNTAX, "Dimension %zu is not a number.",
				dimension);
}

/* Read "MODEL=xxxxxxxx;", if it is there. */
static FrDirectionFault
parse_model(const char **text, uint32_t *fingerprint, FrError *error)
{
	const char *p = skip_space(*text);

	*fingerprint = 0;
	if (*p != '[')
	{
		if (!starts_with(p, "model="))
			return fail(error, FR_DIRECTION_SYNTAX,
						"Face embeddings must start with \"MODEL=\" or "
						"\"[\".");
		p += 6;
		for (int i = 0; i < 8; i++, p++)
		{
			int digit = hex_value(*p);

			if (digit < 0)
				return fail(error, FR_DIRECTION_SYNTAX,
							"\"MODEL=\" must be followed by 8 hexadecimal "
							"digits.");
			*fingerprint = *fingerprint << 4 | (uint32_t) digit;
		}
		p = skip_space(p);
		if (*p != ';')
			return fail(error, FR_DIRECTION_SYNTAX,
						"The model's 8 hexadecimal digits must be followed by "
						"\";\".");
		p = skip_space(p + 1);
		if (*p != '[')
			return fail(error, FR_DIRECTION_SYNTAX,
						"The values must start with \"[\".");
	}
	*text = p + 1;
	return FR_DIRECTION_OK;
}

/* Read one number of the list. */
static FrDirectionFault
parse_value(const char **text, FrEmbeddingText *parsed, FrError *error)
{
	const char *p = *text;
	size_t dimension = parsed->count + 1;
	Scan scan = scan_number(p);
	float value;

	if (!scan.end)
		return fail_not_number(p, dimension, error);
	if (parsed->count == FR_DIRECTION_MAX_DIMS)
		return fail(error, FR_DIRECTION_TOO_LONG,
					"Face embeddings have at most %d dimensions.",
					FR_DIRECTION_MAX_DIMS);
	value = number_value(&scan, p);
	if (isinf(value))
		return fail(error, FR_DIRECTION_RANGE,
					"Dimension %zu is too large for single precision.",
					dimension);
	parsed->values[parsed->count++] = value;
	*text = scan.end;
	return FR_DIRECTION_OK;
}

FrDirectionFault
fr_embedding_parse(const char *text, FrEmbeddingText *parsed, FrError *error)
{
	const char *p = text;
	FrDirectionFault fault = parse_model(&p, &parsed->fingerprint, error);

	if (fault != FR_DIRECTION_OK)
		return fault;
	parsed->count = 0;
	p = skip_space(p);
	if (*p == ']')
		return fail(error, FR_DIRECTION_EMPTY, "The list of values is empty.");
	for (;;)
	{
		p = skip_space(p);
		fault = parse_value(&p, parsed, error);
		if (fault != FR_DIRECTION_OK)
			return fault;
		p = skip_space(p);
		if (*p == ']')
			break;
		if (*p != ',')
			return fail(error, FR_DIRECTION_SYNTAX,
						"Dimension %zu must be followed by \",\" or \"]\".",
						parsed->count);
		p++;
	}
	if (*skip_space(p + 1) != '\0')
		return fail(error, FR_DIRECTION_SYNTAX,
					"There is text behind the closing \"]\".");
	return FR_DIRECTION_OK;
}
