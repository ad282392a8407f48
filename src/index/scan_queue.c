/*
 * scan_queue.c: a priority queue of rows of a scan.
 */
#include "index/scan_queue.h"

#include "utils/memutils.h"

#define FIRST_CAPACITY 256

void
fr_scan_queue_init(FrScanQueue *queue)
{
	queue->rows = palloc(FIRST_CAPACITY * sizeof(FrScanRow));
	queue->capacity = FIRST_CAPACITY;
	queue->count = 0;
}

static inline bool
precedes(const FrScanRow *a, const FrScanRow *b)
{
	if (a->key != b->key)
		return a->key < b->key;
	return ItemPointerCompare((ItemPointer) &a->tid, (ItemPointer) &b->tid) < 0;
}

/* Let a row rise from a place to where it belongs. */
static void
sift_up(FrScanQueue *queue, Size place, const FrScanRow *row)
{
	while (place > 0)
	{
		Size parent = (place - 1) / 2;

		if (!precedes(row, &queue->rows[parent]))
			break;
		queue->rows[place] = queue->rows[parent];
		place = parent;
	}
	queue->rows[place] = *row;
}

void
fr_scan_queue_push(FrScanQueue *queue, const FrScanRow *row)
{
	if (queue->count == queue->capacity)
	{
		/* The rows of a large table, for a query that reads all of it. */
		queue->capacity *= 2;
		queue->rows =
			repalloc_huge(queue->rows, queue->capacity * sizeof(FrScanRow));
	}
	sift_up(queue, queue->count++, row);
}

void
fr_scan_queue_keep(FrScanQueue *queue, float lowest_bound)
{
	Size count = queue->count;

	queue->count = 0;
	for (Size i = 0; i < count; i++)
	{
		FrScanRow row = queue->rows[i];

		if (row.bound >= lowest_bound)
			sift_up(queue, queue->count++, &row);
	}
}

FrScanRow
fr_scan_queue_pop(FrScanQueue *queue)
{
	FrScanRow first = queue->rows[0];
	FrScanRow last = queue->rows[--queue->count];
	Size place = 0;

	for (;;)
	{
		Size child = 2 * place + 1;

		if (child >= queue->count)
			break;
		if (child + 1 < queue->count &&
			precedes(&queue->rows[child + 1], &queue->rows[child]))
			child++;
		if (!precedes(&queue->rows[child], &last))
			break;
		queue->rows[place] = queue->rows[child];
		place = child;
	}
	if (queue->count > 0)
		queue->rows[place] = last;
	return first;
}
