/*
 * module.c: what happens when a backend loads facerec, and what
 * facerec_version() and facerec_cpu() say about the build and the machine.
 */
#include "postgres.h"

#include <jpeglib.h>
#include <png.h>
#include <stdio.h> /* jpeglib.h uses FILE */

#include "fmgr.h"
#include "pg/index_host.h"
#include "pg/settings.h"
#include "utils/builtins.h"

#ifndef FACEREC_VERSION
#define FACEREC_VERSION "development"
#endif

#if PG_VERSION_NUM >= 180000
PG_MODULE_MAGIC_EXT(.name = "facerec", .version = FACEREC_VERSION);
#else
PG_MODULE_MAGIC;
#endif

PGDLLEXPORT void _PG_init(void);

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_facerec_version);
PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_facerec_cpu);

#ifdef LIBJPEG_TURBO_VERSION
#define JPEG_LIBRARY "libjpeg-turbo " CppAsString2(LIBJPEG_TURBO_VERSION)
#else
#define JPEG_LIBRARY "libjpeg " CppAsString2(JPEG_LIB_VERSION)
#endif

void
_PG_init(void)
{
	fr_settings_init();
	fr_index_host_init();
}

/* facerec_version() -> text, like postgis_full_version(): one line that
 * belongs into every bug report. */
Datum
facerec_facerec_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(
		psprintf("facerec %s (PostgreSQL %s) %s, libpng %s, isa %s",
				 FACEREC_VERSION, PG_VERSION, JPEG_LIBRARY,
				 png_get_libpng_ver(NULL), fr_setting_kernels()->name)));
}

/* facerec_cpu() -> text: the CPU and the instruction sets that matter. */
Datum
facerec_facerec_cpu(PG_FUNCTION_ARGS)
{
	char buffer[256];

	PG_RETURN_TEXT_P(
		cstring_to_text(fr_kernels_cpu_text(buffer, sizeof buffer)));
}
