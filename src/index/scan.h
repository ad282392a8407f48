/*
 * scan.h: the callbacks of scans and of the planner, for handler.c.
 */
#ifndef FR_INDEX_SCAN_H
#define FR_INDEX_SCAN_H

#include "postgres.h"

#include "access/amapi.h"
#include "access/relscan.h"
#include "nodes/pathnodes.h"

/* scan.c */
extern IndexScanDesc
fr_index_begin_scan(Relation index, int key_count, int order_by_count);
extern void fr_index_rescan(IndexScanDesc scan, ScanKey keys, int key_count,
							ScanKey order_bys, int order_by_count);
extern bool fr_index_get_tuple(IndexScanDesc scan, ScanDirection direction);
extern void fr_index_end_scan(IndexScanDesc scan);

/* scan_rounds.c: how many rounds bring so many of an index's rows, which takes
 * that many candidates; for cost.c. */
extern int fr_scan_count_rounds(double rows, double wanted, double candidates);

/* cost.c */
extern void fr_index_cost_estimate(PlannerInfo *root, IndexPath *path,
								   double loop_count, Cost *startup_cost,
								   Cost *total_cost, Selectivity *selectivity,
								   double *correlation, double *pages);

#endif
