/*
 * options.c: CREATE INDEX ... USING faceindex (...) WITH (lists = n).
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "index/index.h"

/* One level of routing: every query computes its distance to each centroid. */
#define LISTS_MAX 32768

static relopt_kind options_kind;

void
fr_index_options_init(void)
{
	options_kind = add_reloption_kind();
	add_int_reloption(options_kind, "lists",
					  "Number of lists; 0 chooses by the number of rows", 0, 0,
					  LISTS_MAX, AccessExclusiveLock);
}

bytea *
fr_index_options(Datum reloptions, bool validate)
{
	static const relopt_parse_elt table[] = {
		{"lists", RELOPT_TYPE_INT, offsetof(FrIndexOptions, lists)},
	};

	return (bytea *) build_reloptions(reloptions, validate, options_kind,
									  sizeof(FrIndexOptions), table,
									  lengthof(table));
}

int
fr_index_option_lists(Relation index)
{
	const FrIndexOptions *options = (FrIndexOptions *) index->rd_options;

	return options ? options->lists : 0;
}
