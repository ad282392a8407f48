/*
 * index_host.h: hands the access method what it needs of the glue.
 */
#ifndef FR_PG_INDEX_HOST_H
#define FR_PG_INDEX_HOST_H

/* From _PG_init, after fr_settings_init. */
extern void fr_index_host_init(void);

#endif
