/*
 * catalog.h: the table facerec_models, as C sees it.
 */
#ifndef FR_PG_CATALOG_H
#define FR_PG_CATALOG_H

#include "postgres.h"

/*
 * Text for messages: "name@1f3c9a7e" when the catalog knows the fingerprint,
 * "1f3c9a7e" otherwise, "unknown" for 0.  palloc'd; never fails for a
 * missing model or a missing extension table.
 */
extern char *fr_catalog_model_label(uint32 fingerprint);

#endif
