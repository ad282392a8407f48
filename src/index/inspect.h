/*
 * inspect.h: opening an index to look into it.
 */
#ifndef FR_INDEX_INSPECT_H
#define FR_INDEX_INSPECT_H

#include "postgres.h"

#include "storage/lock.h"
#include "utils/rel.h"

/*
 * Open a faceindex and its table with a lock.  ERROR for anything else, and
 * for who neither owns the index nor is a member of pg_stat_scan_tables.
 */
extern Relation fr_inspect_open(Oid oid, LOCKMODE lock, Relation *heap);

/* Close both; the locks are released. */
extern void fr_inspect_close(Relation index, Relation heap, LOCKMODE lock);

#endif
