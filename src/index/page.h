/*
 * page.h: the pages of a faceindex, as they lie on disk.
 *
 * An index is a set of lists (inverted file).  The list whose centroid is
 * nearest holds a vector, as a 1-bit code on a code page and as a 4-bit code
 * on one of the re-rank pages of that code page; the vector itself is in the
 * table only.  What is inside blocks and codes belongs to
 * core/search/search_shape.h; this file knows where they lie.
 *
 *  page      list  content
 *  meta      -     block 0: FrMetaPage
 *  routing   -     FrRoutingEntry[]: a centroid and where its list begins
 *  code      yes   FrCodePageHeader, then blocks of 32 vectors
 *  re-rank   yes   codes, slot n of the code page at n % codes_per_page
 *  free      -     zeros; waits for reuse, also in the free space map
 *
 * All pages have a standard header, FrPageSpecial at the end, and pd_lower
 * behind what is used: generic WAL and full page images leave out the rest.
 */
#ifndef FR_INDEX_PAGE_H
#define FR_INDEX_PAGE_H

#include "postgres.h"

#include "access/transam.h"
#include "core/search/search_shape.h"
#include "storage/block.h"
#include "storage/bufpage.h"

#define FR_INDEX_META_BLOCK 0
#define FR_INDEX_MAGIC		0x78646966 /* "fidx" */
/* To be raised whenever what lies on pages changes, or what it means; README
 * says what belongs to that. */
#define FR_INDEX_FORMAT 3

/* ---- every page --------------------------------------------------------- */

typedef enum FrPageKind
{
	FR_PAGE_FREE = 1,
	FR_PAGE_META,
	FR_PAGE_ROUTING,
	FR_PAGE_CODE,
	FR_PAGE_RERANK
} FrPageKind;

/* An inserter must not add to this page: its chain is being copied. */
#define FR_PAGE_CLOSED 0x0001

/* Last two bytes of every page, for tools that guess what a file is. */
#define FR_PAGE_ID 0xFACE

/*
 *  offset  size  field
 *  0       8     retired_xid: 0, or the next transaction when the page was
 *                found to belong to no list any more
 *  8       4     list
 *  12      4     generation of the list's chain
 *  16      2     kind
 *  18      2     flags
 *  20      2     format
 *  22      2     page_id
 */
typedef struct FrPageSpecial
{
	uint64 retired_xid;
	uint32 list;
	uint32 generation;
	uint16 kind;
	uint16 flags;
	uint16 format;
	uint16 page_id;
} FrPageSpecial;

#define FR_PAGE_SPECIAL_BYTES MAXALIGN(sizeof(FrPageSpecial))
/* At the end, whatever the header of a damaged page says. */
#define FrPageGetSpecial(page) \
	((FrPageSpecial *) ((char *) (page) + BLCKSZ - FR_PAGE_SPECIAL_BYTES))

/* What is between header and special: 8,144 of 8,192 bytes. */
#define FR_PAGE_ROOM \
	(BLCKSZ - MAXALIGN(SizeOfPageHeaderData) - FR_PAGE_SPECIAL_BYTES)

/* ---- meta --------------------------------------------------------------- */

/* Recalls for which the build measures how many lists must be read. */
#define FR_RECALL_LEVELS 5

/*
 * dims and fingerprint are 0 until the first row says them.  routing_version
 * changes whenever a chain or the routing is replaced (not when only an
 * insert_page changes): what a backend remembers of the routing is good as
 * long as the version is the same.
 */
typedef struct FrMetaPage
{
	uint32 magic;
	uint16 format;
	uint16 dims; /* 0 = no row yet, and no routing */
	uint32 fingerprint;
	uint16 padded; /* of the shape: see fr_index_check_meta */
	uint16 filter_count;
	uint8 filter_widths[FR_SEARCH_MAX_FILTERS]; /* bytes: 1, 2, 4 or 8 */
	uint64 seed;								/* of the rotation */
	uint32 list_count;
	BlockNumber routing_first; /* routing pages are contiguous */
	uint32 routing_pages;
	uint32 routing_version;
	uint32 generation;	   /* the last one given to a chain */
	uint16 block_bytes;	   /* of the shape, like padded */
	uint16 slots_per_page; /* likewise */
	float8 rows_at_build;
	float8 probe_fractions[FR_RECALL_LEVELS]; /* of fr_recall_levels */
	uint32 identity; /* of what is said once: fr_meta_identity */
	uint32 reserved;
} FrMetaPage;

#define FrPageGetMeta(page) ((FrMetaPage *) PageGetContents((Page) (page)))

/* ---- routing ------------------------------------------------------------ */

/*
 * FrRoutingEntry, then the FrCentroid (shape.centroid_bytes), together
 * fr_routing_entry_bytes(shape).  Entry l of the index is on routing page
 * l / fr_routing_entries_per_page(shape).
 */
typedef struct FrRoutingEntry
{
	BlockNumber first; /* first code page: every list has one */
	/* Where an insert begins to look for room, walking right from there: a
	 * code page of this chain, but which one is a hint. */
	BlockNumber insert_page;
	uint32 generation;
	uint32 rows; /* when the list was written or last vacuumed; a hint */
} FrRoutingEntry;

static inline Size
fr_routing_entry_bytes(const FrSearchShape *shape)
{
	return MAXALIGN(sizeof(FrRoutingEntry) + shape->centroid_bytes);
}

static inline uint32
fr_routing_entries_per_page(const FrSearchShape *shape)
{
	return FR_PAGE_ROOM / fr_routing_entry_bytes(shape);
}

static inline FrRoutingEntry *
fr_routing_entry(Page page, const FrSearchShape *shape, uint32 position)
{
	return (FrRoutingEntry *) (PageGetContents(page) +
							   position * fr_routing_entry_bytes(shape));
}

/* The centroid of an entry. */
#define FrRoutingEntryGetCentroid(entry) ((FrCentroid *) ((entry) + 1))

/* ---- code pages --------------------------------------------------------- */

/*
 *  offset  size  field
 *  0       4     next: the code page to the right, or InvalidBlockNumber
 *  4       2     live: vectors on this page
 *  6       2     unused, 0
 *  8       4*X   rerank: its re-rank pages (X = shape.rerank_pages),
 *                InvalidBlockNumber until the first slot of theirs is used
 *  8+4*X   ...   blocks of shape.block_bytes; pd_lower is behind the last one
 *                that was ever used
 */
typedef struct FrCodePageHeader
{
	BlockNumber next;
	uint16 live;
	uint16 reserved;
	BlockNumber rerank[FLEXIBLE_ARRAY_MEMBER];
} FrCodePageHeader;

#define FrPageGetCodeHeader(page) \
	((FrCodePageHeader *) PageGetContents((Page) (page)))

/* Room for blocks and numbers of re-rank pages: for fr_search_shape_init. */
#define FR_CODE_PAGE_ROOM (FR_PAGE_ROOM - offsetof(FrCodePageHeader, rerank))

static inline Size
fr_code_blocks_offset(const FrSearchShape *shape)
{
	return MAXALIGN(SizeOfPageHeaderData) + offsetof(FrCodePageHeader, rerank) +
		   shape->rerank_pages * sizeof(BlockNumber);
}

/* Block b of a code page, at a multiple of 4. */
static inline uint8 *
fr_code_block(Page page, const FrSearchShape *shape, uint32 block)
{
	return (uint8 *) page + fr_code_blocks_offset(shape) +
		   block * (Size) shape->block_bytes;
}

/* How many blocks of a code page hold or held vectors. */
static inline uint32
fr_code_blocks_used(Page page, const FrSearchShape *shape)
{
	Size lower = ((PageHeader) page)->pd_lower;
	Size offset = fr_code_blocks_offset(shape);

	if (unlikely(lower < offset))
		return 0;
	return Min((lower - offset) / shape->block_bytes, shape->blocks_per_page);
}

/* ---- re-rank pages ------------------------------------------------------ */

/* The codes of a re-rank page, for fr_rerank_put and fr_rerank_at: that of
 * slot n of a code page is on its re-rank page n / R at position n % R, R =
 * shape.rerank_per_page. */
static inline uint8 *
fr_rerank_area(Page page)
{
	return (uint8 *) PageGetContents(page);
}

#endif
