/*
 * check.h: what check.c (pages) and check_rows.c (the table) share.
 */
#ifndef FR_INDEX_CHECK_H
#define FR_INDEX_CHECK_H

#include "postgres.h"

#include "index/row.h"
#include "nodes/pg_list.h"

/* Where a row is in the index. */
typedef struct FrCheckedRow
{
	uint64 tid;		   /* block << 16 | offset */
	BlockNumber block; /* code page */
	uint16 slot;
	bool is_seen; /* by the scan of the table */
} FrCheckedRow;

typedef struct FrProblem
{
	BlockNumber block;
	char *text;
} FrProblem;

typedef struct FrCheck
{
	Relation heap, index;
	MemoryContext context; /* of the problems */
	FrMetaPage meta;
	FrSearchShape shape;
	FrRouting *routing; /* a copy of our own */
	BlockNumber blocks;
	uint8 *reached;		/* bit per block: code or re-rank page of a chain */
	uint8 *living;		/* bit per block: says it is of a present chain */
	FrCheckedRow *rows; /* NULL unless the table is compared */
	uint64 row_count, row_capacity;
	List *problems; /* FrProblem */
} FrCheck;

/* Note a problem; after many of them no more. */
extern void
fr_check_complain(FrCheck *check, BlockNumber block, const char *format, ...)
	pg_attribute_printf(3, 4);

/* Compare the rows that were collected with those of the table that the
 * active snapshot sees. */
extern void fr_check_rows(FrCheck *check);

#endif
