/*
 * plan_hook.h: paths for distances below a bound (plan_hook.c).
 */
#ifndef FR_INDEX_PLAN_HOOK_H
#define FR_INDEX_PLAN_HOOK_H

/* Let the planner search by "embedding <=> face < distance"; from _PG_init. */
extern void fr_plan_hook_install(void);

#endif
