/*
 * plan_hook.h: paths for distances below a bound (plan_hook.c).
 */
#ifndef FR_INDEX_PLAN_HOOK_H
#define FR_INDEX_PLAN_HOOK_H

#include "postgres.h"

#include "nodes/pathnodes.h"

/* Let the planner search by "embedding <=> face < distance"; from _PG_init. */
extern void fr_plan_hook_install(void);

/*
 * Conditions on filter columns that the core uses by itself only from
 * PostgreSQL 16 and 17 on (plan_filters.c): are there any, and the paths of an
 * index once more with them.
 */
extern bool fr_plan_has_filters(PlannerInfo *root, IndexOptInfo *index);
extern List *fr_plan_complete_paths(PlannerInfo *root, List *paths);

#endif
