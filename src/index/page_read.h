/*
 * page_read.h: pinning pages of an index that are read again and again.
 */
#ifndef FR_INDEX_PAGE_READ_H
#define FR_INDEX_PAGE_READ_H

#include "postgres.h"

#include "storage/bufmgr.h"
#include "utils/rel.h"

/* Memory for remembering where the blocks of an index are. */
extern Size fr_recent_bytes(Relation index);

/* ReadBuffer, sparing the look-up where the block still is where this backend
 * saw it last. */
extern Buffer fr_index_read_buffer(Relation index, BlockNumber block);

#endif
