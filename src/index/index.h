/*
 * index.h: what the files of the access method share.
 *
 * Reading meta and routing, checking pages, and the callbacks that handler.c
 * puts into IndexAmRoutine.  README says who locks what in which order.
 */
#ifndef FR_INDEX_INDEX_H
#define FR_INDEX_INDEX_H

#include "postgres.h"

#include "access/amapi.h"
#include "catalog/pg_type.h"
#include "core/metric/stored_embedding.h"
#include "core/search/centroids.h"
#include "core/search/codes.h"
#include "core/search/rotation.h"
#include "core/search/search_shape.h"
#include "index/host.h"
#include "index/page.h"
#include "nodes/execnodes.h"
#include "storage/bufmgr.h"
#include "storage/lockdefs.h"
#include "utils/rel.h"
#include "utils/relcache.h"

/* PostgreSQL 18 has this name and not the other. */
#ifndef pg_noreturn
#define pg_noreturn pg_attribute_noreturn()
#endif

/* Strategies of the operators. */
#define FR_STRATEGY_COSINE 1 /* <=>, order by */
#define FR_STRATEGY_L2	   2 /* <->, order by */
#define FR_STRATEGY_MATCH  3 /* %, search */
#define FR_STRATEGY_RANGE  4 /* <@ face_within(...), search */

/* Of the classes of filter columns. */
#define FR_STRATEGY_EQUAL		  1 /* = */
#define FR_STRATEGY_LESS		  2 /* < */
#define FR_STRATEGY_LESS_EQUAL	  3 /* <= */
#define FR_STRATEGY_GREATER_EQUAL 4 /* >= */
#define FR_STRATEGY_GREATER		  5 /* > */

#define FR_STRATEGY_COUNT 5 /* of the class that has most */

/* Do filter columns of this type compare as signed integers?  As integers,
 * signed or not?  Others have "=" only. */
static inline bool
fr_filter_is_signed(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID ||
		   type == DATEOID || type == TIMEOID || type == TIMESTAMPOID ||
		   type == TIMESTAMPTZOID;
}

static inline bool
fr_filter_is_ordered(Oid type)
{
	return fr_filter_is_signed(type) || type == OIDOID || type == CHAROID;
}

/* Can values of a type be searched for in a filter column of another?  Integers
 * compare across widths, other types only with themselves. */
static inline bool
fr_filter_is_comparable(Oid column, Oid value)
{
	return column == value ||
		   ((column == INT2OID || column == INT4OID || column == INT8OID) &&
			(value == INT2OID || value == INT4OID || value == INT8OID));
}

/* Support functions of the embedding's class. */
#define FR_PROC_MATCH_DISTANCE 1 /* (faceembedding) -> float8 */
#define FR_PROC_WITHIN		   2 /* (faceembedding, float8) -> face_range */
#define FR_PROC_COUNT		   2

/* Samples are random, but the same for the same table. */
#define FR_INDEX_SEED UINT64CONST(0x5eedfacef00d1234)

/* The embedding is the first column of an index, filter columns follow. */
#define FR_EMBEDDING_COLUMN 0

typedef struct FrIndexOptions
{
	int32 vl_len_; /* do not touch directly */
	int lists;	   /* 0 = by the number of rows */
} FrIndexOptions;

/* ---- meta and routing (lists.c) ----------------------------------------- */

/*
 * The routing as a backend remembers it: entries as on disk, one behind the
 * other.  first and generation are as of meta.routing_version; insert_page
 * is whatever this backend last saw.
 */
typedef struct FrRouting
{
	FrMetaPage meta;
	FrSearchShape shape;
	Size entry_bytes;
	/* Where blocks were found in shared buffers (page_read.c): Buffer [blocks],
	 * behind the entries. */
	Size recent_offset; /* from entries */
	BlockNumber recent_blocks;
	char entries[FLEXIBLE_ARRAY_MEMBER]; /* MAXALIGNed */
} FrRouting;

static inline FrRoutingEntry *
fr_routing_list(const FrRouting *routing, uint32 list)
{
	return (FrRoutingEntry *) ((char *) routing->entries +
							   list * routing->entry_bytes);
}

static inline const FrCentroid *
fr_routing_centroid(const FrRouting *routing, uint32 list)
{
	return FrRoutingEntryGetCentroid(fr_routing_list(routing, list));
}

/* Copy the meta page, after checking that this is a faceindex of a format
 * that we read. */
extern void fr_index_read_meta(Relation index, FrMetaPage *meta);

/* ERROR unless a page is a meta page that we read, of an index with these
 * columns. */
extern void fr_index_check_meta(Relation index, Page page);

/* A hash (FNV-1a) of all that decides how the other pages are to be read:
 * from magic to seed, block_bytes and slots_per_page. */
extern uint32 fr_meta_identity(const FrMetaPage *meta);

/* Note the shape that dims and filter columns of a meta page lead to. */
extern void fr_meta_set_shape(FrMetaPage *meta, const FrSearchShape *shape);

/* The shape that a meta page with dims > 0 says. */
extern void fr_index_shape(const FrMetaPage *meta, FrSearchShape *shape);

/*
 * The routing, or NULL as long as the index has no row.  It stays in the
 * relcache entry: use it at once and copy what is needed longer, since any
 * catalog access may free it.
 *
 * With is_current it is checked against the meta page (one page read when it
 * still holds): for scans, which must start at the present chains.  Without,
 * it may be old: good enough for inserts, which look at the generation of
 * each page.
 */
extern FrRouting *fr_index_routing(Relation index, bool is_current);

/* Lock the page of a routing entry exclusively; *entry points into it.
 * InvalidBuffer when the routing is no longer there: meta is old. */
extern Buffer
fr_index_lock_routing_entry(Relation index, const FrMetaPage *meta,
							const FrSearchShape *shape, uint32 list,
							FrRoutingEntry **entry);

/*
 * Lock a list: exclusively to replace its chain, in share mode to add to pages
 * that are closed.  A heavyweight lock of the kind for rows: those for pages
 * are unknown to the detection of deadlocks before PostgreSQL 17.
 */
extern void fr_list_lock(Relation index, uint32 list, LOCKMODE mode);
extern void fr_list_unlock(Relation index, uint32 list, LOCKMODE mode);

/* Forget what this backend remembers. */
extern void fr_index_forget(Relation index);

/* ---- pages (lists.c) ---------------------------------------------------- */

/* Pin a block that a page or the routing names; ERROR if there is none. */
extern Buffer fr_index_pin(Relation index, BlockNumber block);

/* ERROR unless a page, locked at least in share mode, is one of ours, or
 * new. */
extern void fr_index_check_frame(Relation index, BlockNumber block, Page page);

/* ERROR unless a code page's header fits its blocks, and its re-rank pages are
 * others, each of them once. */
extern void fr_index_check_code_page(Relation index, const FrSearchShape *shape,
									 BlockNumber block, Page page);

/* True for a page that anybody may use: new, or free and without content. */
extern bool fr_page_is_free(Page page);

/* Whether a page, locked at least in share mode, is of a kind and belongs to
 * this generation of this list. */
static inline bool
fr_page_is(Page page, FrPageKind kind, uint32 list, uint32 generation)
{
	const FrPageSpecial *special;

	if (PageIsNew(page))
		return false;
	special = FrPageGetSpecial(page);
	return special->kind == kind && special->list == list &&
		   special->generation == generation;
}

/* Lay out an empty page; the number of a routing page is its list. */
extern void
fr_page_init(Page page, FrPageKind kind, uint32 list, uint32 generation);
extern void fr_code_page_init(Page page, const FrSearchShape *shape,
							  uint32 list, uint32 generation);

extern void fr_meta_page_init(Page page, const FrMetaPage *meta);

/* Routing page number, with its part of the entries [count] of all lists. */
extern void
fr_routing_page_init(Page page, const FrSearchShape *shape, uint32 number,
					 const char *entries, uint32 count);

/* Make sure that pd_lower is behind an entry, a block or a re-rank code that is
 * about to be written; new room is zeroed. */
extern void
fr_code_page_use_block(Page page, const FrSearchShape *shape, uint32 block);
extern void
fr_routing_page_use(Page page, const FrSearchShape *shape, uint32 position);
extern void
fr_rerank_page_use(Page page, const FrSearchShape *shape, uint32 position);

/* Add a page at the end, locked exclusively, all zeros. */
extern Buffer fr_index_extend(Relation index);

/* A free page, from the free space map or by extending the index, locked
 * exclusively; its content is not to be trusted. */
extern Buffer fr_index_new_buffer(Relation index);

/* ERROR: the index is damaged; detail is a sentence. */
pg_noreturn extern void fr_index_corrupt(Relation index, const char *format,
										 ...) pg_attribute_printf(2, 3);

/* ---- callbacks ---------------------------------------------------------- */

/* build.c */
extern IndexBuildResult *
fr_index_build(Relation heap, Relation index, IndexInfo *info);
extern void fr_index_build_empty(Relation index);

/* The seed of an index's rotation: nobody who makes up vectors knows it, unless
 * faceindex.seed says it. */
extern uint64 fr_index_make_seed(void);
extern char *fr_index_build_phase(int64 phase);

/* insert.c */
extern bool
fr_index_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid,
				Relation heap, IndexUniqueCheck check_unique,
				bool index_unchanged, IndexInfo *info);

/* vacuum.c */
extern IndexBulkDeleteResult *
fr_index_bulk_delete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
					 IndexBulkDeleteCallback callback, void *callback_state);
extern IndexBulkDeleteResult *
fr_index_vacuum_cleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats);

/* options.c */
extern bytea *fr_index_options(Datum reloptions, bool validate);
extern void fr_index_options_init(void);
extern int fr_index_option_lists(Relation index);

/* validate.c */
extern bool fr_index_validate(Oid opclass);

#endif
