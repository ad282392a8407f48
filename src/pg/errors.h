/*
 * errors.h: the one door from FrStatus to ereport.
 */
#ifndef FR_PG_ERRORS_H
#define FR_PG_ERRORS_H

#include "postgres.h"

#include "core/base/status.h"

/* PostgreSQL 18 has this name and not the other. */
#ifndef pg_noreturn
#define pg_noreturn pg_attribute_noreturn()
#endif

/*
 * Raise the core's error: primary is the message ("could not decode image"),
 * the core's sentence becomes the DETAIL, hint (may be NULL) the HINT.
 * CANCELLED runs CHECK_FOR_INTERRUPTS first.  Never returns.
 */
pg_noreturn extern void fr_raise(FrStatus status, const FrError *error,
								 const char *primary, const char *hint);

/* The SQLSTATE that a status stands for. */
extern int fr_sqlstate(FrStatus status);

#endif
