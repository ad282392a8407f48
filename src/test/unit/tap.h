/*
 * tap.h: unit tests in the Test Anything Protocol.
 *
 * Each test program calls ok() and friends and ends with
 * "return tap_done();".  An allocator that counts and can fail helps to test
 * memory, cancel hooks that count to test cancelling.  Header only; depends on
 * libc and core/base.
 */
#ifndef FR_TEST_TAP_H
#define FR_TEST_TAP_H

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/status.h"

static int tap_count;
static int tap_failures;

__attribute__((unused, format(printf, 2, 3))) static bool
ok(bool passed, const char *format, ...)
{
	va_list arguments;

	printf("%sok %d - ", passed ? "" : "not ", ++tap_count);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
	tap_failures += !passed;
	return passed;
}

#define is_int(got, want, ...)                                                \
	do                                                                        \
	{                                                                         \
		long long tap_got = (long long) (got), tap_want = (long long) (want); \
		if (!ok(tap_got == tap_want, __VA_ARGS__))                            \
			printf("# got %lld, want %lld\n", tap_got, tap_want);             \
	} while (0)

#define ok_near(got, want, tolerance, ...)                             \
	do                                                                 \
	{                                                                  \
		double tap_got = (got), tap_want = (want);                     \
		if (!ok(fabs(tap_got - tap_want) <= (tolerance), __VA_ARGS__)) \
			printf("# got %.9g, want %.9g\n", tap_got, tap_want);      \
	} while (0)

#define is_status(got, want, error, ...)                                \
	do                                                                  \
	{                                                                   \
		FrStatus tap_got = (got), tap_want = (want);                    \
		if (!ok(tap_got == tap_want, __VA_ARGS__))                      \
			printf("# got %s (%s), want %s\n", fr_status_name(tap_got), \
				   (error)->message, fr_status_name(tap_want));         \
	} while (0)

__attribute__((unused, format(printf, 1, 2))) static void
diag(const char *format, ...)
{
	va_list arguments;

	fputs("# ", stdout);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

/* One passed test that says that something was skipped, and why. */
__attribute__((unused)) static void
skip(const char *what, const char *why)
{
	printf("ok %d - %s # SKIP %s\n", ++tap_count, what, why);
}

__attribute__((unused)) static int
tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failures > 0;
}

/* ---- test data ---------------------------------------------------------- */

/* Path of a file of the test data folder (FACEREC_TESTDATA, default
 * ../shared); the buffer is static. */
__attribute__((unused)) static const char *
testdata_path(const char *name)
{
	static char path[4096];
	const char *folder = getenv("FACEREC_TESTDATA");

	snprintf(path, sizeof path, "%s/%s",
			 folder && *folder ? folder : "../shared", name);
	return path;
}

/* Read a whole file; NULL when it is absent. The caller frees it. */
__attribute__((unused)) static unsigned char *
read_file(const char *path, size_t *size_bytes)
{
	FILE *file = fopen(path, "rb");
	unsigned char *bytes = NULL;
	long length;

	*size_bytes = 0;
	if (!file)
		return NULL;
	if (fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) >= 0 &&
		fseek(file, 0, SEEK_SET) == 0)
	{
		/* Exactly the file's size, so that sanitizers see an overrun. */
		bytes = malloc(length > 0 ? (size_t) length : 1);
		if (bytes && fread(bytes, 1, (size_t) length, file) == (size_t) length)
			*size_bytes = (size_t) length;
		else
		{
			free(bytes);
			bytes = NULL;
		}
	}
	fclose(file);
	return bytes;
}

/* ---- allocators --------------------------------------------------------- */

/* Counts live allocations; fails request number fail_at (1-based; 0 never). */
typedef struct TestMemory
{
	long live;	   /* allocations not yet released */
	long requests; /* so far */
	long fail_at;
} TestMemory;

__attribute__((unused)) static void *
test_alloc(void *context, size_t size_bytes)
{
	TestMemory *memory = context;

	if (++memory->requests == memory->fail_at)
		return NULL;

	void *result = malloc(size_bytes ? size_bytes : 1);

	memory->live += result != NULL;
	return result;
}

__attribute__((unused)) static void
test_release(void *context, void *pointer)
{
	TestMemory *memory = context;

	memory->live -= pointer != NULL;
	free(pointer);
}

__attribute__((unused)) static FrAllocator
test_allocator(TestMemory *memory)
{
	return (FrAllocator){test_alloc, test_release, memory};
}

/* ---- cancel hooks ------------------------------------------------------- */

/* Cancels at poll number cancel_at (1-based; 0 never), at no other: whoever
 * ignores it does not get a second chance. */
typedef struct TestCancel
{
	long polls; /* so far */
	long cancel_at;
} TestCancel;

__attribute__((unused)) static bool
test_poll(void *context)
{
	TestCancel *cancel = context;

	return ++cancel->polls == cancel->cancel_at;
}

__attribute__((unused)) static FrCancel
test_cancel_at(TestCancel *cancel)
{
	return (FrCancel){test_poll, cancel};
}

/* A hook whose context is an int: cancels when that has been counted down to
 * 0, and from then on. */
__attribute__((unused)) static bool
test_count_down(void *context)
{
	int *left = context;

	return (*left)-- <= 0;
}

#endif
