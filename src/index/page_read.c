/*
 * page_read.c: pinning pages of an index that are read again and again.
 *
 * A query reads thousands of pages, the same ones each time; looking them up
 * in the table of shared buffers costs as much as what is done with them.
 * So a backend remembers the buffer of each block next to the routing
 * (index.h), and pins that buffer if it still holds the block.
 */
#include "index/page_read.h"

#include "index/index.h"
#include "pgstat.h"

/* For an index of 8 GB; blocks behind are looked up. */
#define RECENT_MAX (1024 * 1024)

/* Pinning a remembered buffer does not count as use of it, and one that is
 * never looked up would seem worth evicting.  Each time another one of that
 * many blocks is looked up. */
#define LOOK_UP_PERIOD 64

Size
fr_recent_bytes(Relation index)
{
	if (RelationUsesLocalBuffers(index))
		return 0;
	return Min(RelationGetNumberOfBlocks(index), RECENT_MAX) * sizeof(Buffer);
}

/* Where the buffer of a block is remembered; NULL = nowhere. */
static Buffer *
find_recent(Relation index, BlockNumber block)
{
	FrRouting *routing = index->rd_amcache;

	if (!routing || block >= routing->recent_blocks)
		return NULL;
	return (Buffer *) (routing->entries + routing->recent_offset) + block;
}

static bool
pin_recent(Relation index, BlockNumber block, Buffer recent)
{
#if PG_VERSION_NUM >= 160000
	bool is_there =
		ReadRecentBuffer(index->rd_locator, MAIN_FORKNUM, block, recent);
#else
	bool is_there =
		ReadRecentBuffer(index->rd_node, MAIN_FORKNUM, block, recent);
#endif

	if (is_there)
	{
		pgstat_count_buffer_read(index);
		pgstat_count_buffer_hit(index);
	}
	return is_there;
}

Buffer
fr_index_read_buffer(Relation index, BlockNumber block)
{
	static uint32 reads;
	Buffer *recent = find_recent(index, block);
	Buffer buffer;

	if (recent && BufferIsValid(*recent) && ++reads % LOOK_UP_PERIOD != 0 &&
		pin_recent(index, block, *recent))
		return *recent;
	/* What is remembered is of blocks that there are. */
	buffer = recent ? ReadBuffer(index, block) : fr_index_pin(index, block);
	recent = find_recent(index, block);
	if (recent)
		*recent = buffer;
	return buffer;
}
