/*
 * status.h: how the core reports failure.
 *
 * Core functions never jump, exit or log: they return an FrStatus and, on
 * failure, leave a sentence in an FrError.  The status says what the caller
 * should do; the message says what is wrong with the input.  Depends on libc
 * only.
 */
#ifndef FR_CORE_BASE_STATUS_H
#define FR_CORE_BASE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum FrStatus
{
	FR_OK = 0,
	FR_ERR_CORRUPT,		/* bytes that contradict their own format */
	FR_ERR_UNSUPPORTED, /* well formed, but a feature that is not there */
	FR_ERR_LIMIT,		/* larger than a limit that the caller set */
	FR_ERR_NOMEM,		/* the allocator returned NULL */
	FR_ERR_CANCELLED,	/* the cancel hook asked to stop */
	FR_ERR_MISMATCH,	/* fits its format, but not the other argument */
	FR_ERR_ARGUMENT,	/* a value outside its documented range */
	FR_ERR_BUG			/* a broken promise of our own code */
} FrStatus;

#define FR_STATUS_COUNT (FR_ERR_BUG + 1)

/* What went wrong: a sentence, starting upper case, ending with a full stop
 * (it becomes the DETAIL line of the SQL error). */
typedef struct FrError
{
	FrStatus status;
	char message[224];
} FrError;

/* Fill *error (which may be NULL) and return status, so that failing is one
 * line: return fr_fail(error, FR_ERR_CORRUPT, "The header is cut off."). */
FrStatus fr_fail(FrError *error, FrStatus status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Fail with FR_ERR_NOMEM and a standard message about size_bytes. */
FrStatus fr_fail_nomem(FrError *error, size_t size_bytes);

/* Name of a status for tests and logs, e.g. "corrupt". */
const char *fr_status_name(FrStatus status);

/*
 * Long loops ask this hook now and then (at least every few milliseconds)
 * whether to stop; they then return FR_ERR_CANCELLED.  A hook must not jump.
 * A NULL hook, or one whose function is NULL, never cancels.
 */
typedef struct FrCancel
{
	bool (*is_cancelled)(void *context);
	void *context;
} FrCancel;

static inline bool
fr_is_cancelled(const FrCancel *cancel)
{
	return cancel && cancel->is_cancelled &&
		   cancel->is_cancelled(cancel->context);
}

#endif
