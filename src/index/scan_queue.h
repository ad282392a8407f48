/*
 * scan_queue.h: a priority queue of rows of a scan, smallest key first.
 *
 * A binary heap in one array.  Equal keys come in the order of the rows'
 * addresses, so that scans repeat.
 */
#ifndef FR_INDEX_SCAN_QUEUE_H
#define FR_INDEX_SCAN_QUEUE_H

#include "postgres.h"

#include "storage/itemptr.h"

typedef struct FrScanRow
{
	double key;
	float bound; /* by its 1-bit code */
	ItemPointerData tid;
} FrScanRow;

typedef struct FrScanQueue
{
	FrScanRow *rows; /* in the context current at init */
	Size count;
	Size capacity;
} FrScanQueue;

extern void fr_scan_queue_init(FrScanQueue *queue);
extern void fr_scan_queue_push(FrScanQueue *queue, const FrScanRow *row);

/* Keep only rows whose 1-bit bound is at least that. */
extern void fr_scan_queue_keep(FrScanQueue *queue, float lowest_bound);

/* The first row; the queue must not be empty. */
extern FrScanRow fr_scan_queue_pop(FrScanQueue *queue);

static inline bool
fr_scan_queue_is_empty(const FrScanQueue *queue)
{
	return queue->count == 0;
}

static inline double
fr_scan_queue_first_key(const FrScanQueue *queue)
{
	return queue->rows[0].key;
}

#endif
