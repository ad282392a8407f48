/*
 * search_settings.h: the settings "faceindex.*", defined in search_settings.c.
 */
#ifndef FR_INDEX_SEARCH_SETTINGS_H
#define FR_INDEX_SEARCH_SETTINGS_H

#include "postgres.h"

#include "index/page.h"

extern double fr_setting_recall; /* 0.9 .. 1.0 */
extern int fr_setting_probes;	 /* lists; 0 = as recall says */
extern int fr_setting_seed;		 /* of new indexes; 0 = random */

/* The recalls of FrMetaPage.probe_fractions, rising. */
extern const double fr_recall_levels[FR_RECALL_LEVELS];

/* Define the settings and reserve the prefix (from _PG_init). */
extern void fr_search_settings_init(void);

/* The recall that is asked of the codes; lists left out cost the rest. */
extern double fr_search_settings_code_recall(void);

/* How many of its lists an index reads before it gives the first row. */
extern uint32 fr_search_settings_lists(const FrMetaPage *meta);

#endif
