/*
 * index_host.c: what the access method faceindex needs of the glue.
 */
#include "postgres.h"

#include "pg/index_host.h"

#include "index/host.h"
#include "pg/catalog.h"
#include "pg/errors.h"
#include "pg/memory.h"
#include "pg/settings.h"

static void
raise_error(FrStatus status, const FrError *error, const char *primary,
			const char *hint)
{
	fr_raise(status, error, primary, hint);
}

static const FrIndexHost host = {
	.kernels = fr_setting_kernels,
	.raise = raise_error,
	.allocator = fr_pg_allocator,
	.cancel = fr_pg_cancel,
	.model_label = fr_catalog_model_label,
};

void
fr_index_host_init(void)
{
	fr_index_init(&host);
}
