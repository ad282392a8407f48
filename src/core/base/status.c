/*
 * status.c: filling FrError; see status.h.
 */
#include "core/base/status.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const status_names[] = {
	[FR_OK] = "ok",
	[FR_ERR_CORRUPT] = "corrupt",
	[FR_ERR_UNSUPPORTED] = "unsupported",
	[FR_ERR_LIMIT] = "limit",
	[FR_ERR_NOMEM] = "nomem",
	[FR_ERR_CANCELLED] = "cancelled",
	[FR_ERR_MISMATCH] = "mismatch",
	[FR_ERR_ARGUMENT] = "argument",
	[FR_ERR_BUG] = "bug",
};

_Static_assert(sizeof status_names / sizeof *status_names == FR_STATUS_COUNT,
			   "every status has a name");

FrStatus
fr_fail(FrError *error, FrStatus status, const char *format, ...)
{
	if (error)
	{
		va_list arguments;

		error->status = status;
		va_start(arguments, format);
		vsnprintf(error->message, sizeof error->message, format, arguments);
		va_end(arguments);
	}
	return status;
}

FrStatus
fr_fail_nomem(FrError *error, size_t size_bytes)
{
	return fr_fail(error, FR_ERR_NOMEM, "Failed on request of size %zu.",
				   size_bytes);
}

const char *
fr_status_name(FrStatus status)
{
	return (unsigned) status < FR_STATUS_COUNT ? status_names[status]
											   : "unknown";
}
