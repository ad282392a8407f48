/*
 * errors.c: the one door from FrStatus to ereport.
 */
#include "pg/errors.h"

#include "miscadmin.h"

/* No default, so that the compiler names a status that is missing here. */
int
fr_sqlstate(FrStatus status)
{
	switch (status)
	{
		case FR_ERR_CORRUPT:
			return ERRCODE_INVALID_BINARY_REPRESENTATION;
		case FR_ERR_UNSUPPORTED:
			return ERRCODE_FEATURE_NOT_SUPPORTED;
		case FR_ERR_LIMIT:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		case FR_ERR_NOMEM:
			return ERRCODE_OUT_OF_MEMORY;
		case FR_ERR_CANCELLED:
			return ERRCODE_QUERY_CANCELED;
		case FR_ERR_MISMATCH:
			return ERRCODE_DATA_EXCEPTION;
		case FR_ERR_ARGUMENT:
			return ERRCODE_INVALID_PARAMETER_VALUE;
		case FR_OK:
		case FR_ERR_BUG:
			break;
	}
	return ERRCODE_INTERNAL_ERROR;
}

void
fr_raise(FrStatus status, const FrError *error, const char *primary,
		 const char *hint)
{
	if (status == FR_ERR_CANCELLED)
	{
		/* Words the error as the server does: user, timeout, shutdown. */
		CHECK_FOR_INTERRUPTS();
		ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
						errmsg("canceling statement due to user request")));
	}
	ereport(ERROR, (errcode(fr_sqlstate(status)), errmsg("%s", primary),
					error && error->message[0]
						? errdetail_internal("%s", error->message)
						: 0,
					hint ? errhint("%s", hint) : 0));
	pg_unreachable();
}
