/*
 * search_settings.c: the settings "faceindex.*".
 */
#include "index/search_settings.h"

#include <limits.h>
#include <math.h>

#include "utils/guc.h"

double fr_setting_recall;
int fr_setting_probes;
int fr_setting_seed;

const double fr_recall_levels[FR_RECALL_LEVELS] = {0.9, 0.95, 0.98, 0.99,
												   0.999};

void
fr_search_settings_init(void)
{
	DefineCustomRealVariable(
		"faceindex.recall",
		"Sets the share of the nearest faces that an index scan finds.",
		"1 reads the whole index, with bounds that practically never miss one; "
		"less reads the lists that sufficed for it when the index was built.",
		&fr_setting_recall, 1.0, 0.9, 1.0, PGC_USERSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"faceindex.probes",
		"Sets the number of lists that an index scan reads first.",
		"0 chooses it by faceindex.recall. More lists are read when the query "
		"asks for more rows.",
		&fr_setting_probes, 0, 0, INT_MAX, PGC_USERSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"faceindex.seed", "Sets the seed of the rotation of new indexes.",
		"0 chooses a random one for each. Others repeat an index exactly, for "
		"tests; whoever knows the seed can make up faces that are missed.",
		&fr_setting_seed, 0, 0, INT_MAX, PGC_USERSET, GUC_NOT_IN_SAMPLE, NULL,
		NULL, NULL);

#if PG_VERSION_NUM >= 150000
	MarkGUCPrefixReserved("faceindex");
#else
	EmitWarningsOnPlaceholders("faceindex");
#endif
}

/* Half of what may be missed is lost by tighter bounds of the codes, half by
 * lists that are not read; each half saves time. */
double
fr_search_settings_code_recall(void)
{
	return (1.0 + fr_setting_recall) / 2;
}

/* The share of lists that was found to give that recall. */
static double
get_fraction(const FrMetaPage *meta)
{
	double recall = (1.0 + fr_setting_recall) / 2;

	for (int i = 0; i < FR_RECALL_LEVELS; i++)
		if (recall <= fr_recall_levels[i])
			return meta->probe_fractions[i];
	return 1.0;
}

uint32
fr_search_settings_lists(const FrMetaPage *meta)
{
	double count = fr_setting_probes > 0
					   ? fr_setting_probes
					   : ceil(get_fraction(meta) * meta->list_count);

	/* Not yet measured, or not a number: all. */
	if (!(count >= 1 && count < meta->list_count))
		return meta->list_count;
	return (uint32) count;
}
