/*
 * scan_plain.c: all rows of the index, for a face that it cannot be searched
 * for.
 *
 * ORDER BY embedding <=> NULL wants all rows, in any order.  A face of
 * another model or of other dimensions wants the error of the operator, at
 * the first row that the query sees; where there is none, it wants no error.
 */
#include "postgres.h"

#include <math.h>

#include "index/scan_state.h"
#include "miscadmin.h"

/* Rows of a page, copied so that the table is not read under its lock. */
typedef struct PageRows
{
	int count;
	ItemPointerData *tids;
} PageRows;

static void
copy_rows(FrScan *scan, Page page, PageRows *rows)
{
	uint32 used = fr_code_blocks_used(page, &scan->shape);

	rows->count = 0;
	for (uint32 i = 0; i < used; i++)
	{
		const uint8 *block = fr_code_block(page, &scan->shape, i);
		uint32 mask = fr_scan_block_mask(scan, block);

		for (uint32 slot = 0; slot < FR_SEARCH_BLOCK; slot++)
			if (mask >> slot & 1)
				rows->tids[rows->count++] =
					fr_scan_tid(fr_block_row(&scan->shape, block, slot));
	}
}

/* Step to the next list that has pages; false when there is none. */
static bool
find_page(FrScan *scan)
{
	while (!BlockNumberIsValid(scan->plain_block))
	{
		if (++scan->plain_list >= scan->list_count)
			return false;
		scan->plain_block = scan->lists[scan->plain_list].first;
	}
	return true;
}

bool
fr_scan_plain_page(FrScan *scan)
{
	PageRows rows;

	if (!find_page(scan))
		return false;

	const FrScanList *list = &scan->lists[scan->plain_list];

	fr_scan_check_walk(scan, ++scan->plain_pages, list->list);

	Buffer buffer = fr_scan_read_code_page(scan, scan->plain_block, list->list,
										   list->generation);

	if (!BufferIsValid(buffer))
	{
		fr_scan_restart(scan);
		return true;
	}
	rows.tids = palloc(scan->shape.blocks_per_page * FR_SEARCH_BLOCK *
					   sizeof(ItemPointerData));
	copy_rows(scan, BufferGetPage(buffer), &rows);
	scan->plain_block = FrPageGetCodeHeader(BufferGetPage(buffer))->next;
	UnlockReleaseBuffer(buffer);
	for (int i = 0; i < rows.count; i++)
	{
		FrScanRow row = {.bound = INFINITY, .tid = rows.tids[i]};

		if (fr_scan_fetch(scan, &row.tid, &row.key))
			fr_scan_queue_push(&scan->found, &row);
	}
	pfree(rows.tids);
	return true;
}
