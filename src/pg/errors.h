/*
 * errors.h: the one door from FrStatus to ereport.
 */
#ifndef FR_PG_ERRORS_H
#define FR_PG_ERRORS_H

#include "postgres.h"

#include "core/base/status.h"

/*
 * Raise the core's error: primary is the message ("could not decode image"),
 * the core's sentence becomes the DETAIL, hint (may be NULL) the HINT.
 * CANCELLED runs CHECK_FOR_INTERRUPTS first.  Never returns.
 */
extern void fr_raise(FrStatus status, const FrError *error, const char *primary,
					 const char *hint) pg_attribute_noreturn();

/* The same at level elevel (WARNING for facerec.on_error = ignore), which
 * returns when elevel < ERROR. */
extern void fr_report(int elevel, FrStatus status, const FrError *error,
					  const char *primary, const char *hint);

#endif
