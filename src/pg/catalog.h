/*
 * catalog.h: the tables facerec_models and facerec_thresholds, as C sees them.
 *
 * Models are rows: every lookup reads the table with the caller's snapshot,
 * so that a model appears, changes and goes exactly as transactions say.
 * Lookups use an index and leave the weights where they are.  They read the
 * table directly, not through SQL: whoever may call a function may use the
 * model, though nobody but the owner may read its weights.  Thresholds are
 * found by the fingerprint alone.
 */
#ifndef FR_PG_CATALOG_H
#define FR_PG_CATALOG_H

#include "postgres.h"

#include "core/face/face.h"
#include "core/metric/calibrate.h"
#include "pg/model_nets.h"
#include "utils/array.h"
#include "utils/jsonb.h"

#define FR_MODEL_NAME_BYTES 64 /* with the terminating zero */
/* name@1f3c9a7e */
#define FR_MODEL_LABEL_BYTES (FR_MODEL_NAME_BYTES + 9)
#define FR_SHA256_BYTES		 32

/* A row, without what is large. */
typedef struct FrModelRow
{
	char name[FR_MODEL_NAME_BYTES];
	uint32 fingerprint; /* never 0 */
	FrRole role;
	char preset[FR_MODEL_NAME_BYTES];
	int dims; /* 0 unless an embedder */
	uint8 sha256[FR_SHA256_BYTES];
	bool is_builtin; /* the library has the weights (builtin_models.h) */
} FrModelRow;

/* The rest of the row. */
typedef struct FrModelContents
{
	Jsonb *descriptor;
	FrModelFiles files;
} FrModelContents;

/*
 * Text for messages: "name@1f3c9a7e" when the catalog knows the fingerprint,
 * "1f3c9a7e" otherwise, "unknown" for 0.  palloc'd; never fails for a
 * missing model or a missing extension table.
 */
extern char *fr_catalog_model_label(uint32 fingerprint);

/* Write "name@1f3c9a7e". */
extern void fr_catalog_format_label(char label[FR_MODEL_LABEL_BYTES],
									const char *name, uint32 fingerprint);

/* Oids of the tables facerec_models and facerec_thresholds; InvalidOid when
 * there is none. */
extern Oid fr_catalog_table(void);
extern Oid fr_catalog_thresholds_table(void);

/* Find a row by name or by fingerprint; false when there is none that the
 * active snapshot sees. */
extern bool fr_catalog_find_name(const char *name, FrModelRow *row);
extern bool fr_catalog_find_fingerprint(uint32 fingerprint, FrModelRow *row);

/*
 * Find the model that a user names, "name" or "name@1f3c9a7e"; ERROR when
 * there is none.  A fingerprint means the same network everywhere, so it
 * finds the model also when that has another name here.
 */
extern void fr_catalog_resolve(const char *reference, FrModelRow *row);

/* The same for a model of a certain role; ERROR when it has the other. */
extern void
fr_catalog_resolve_role(const char *reference, FrRole role, FrModelRow *row);

/* Read descriptor and weights of a row into context; false when the row is
 * gone.  The weights of a builtin model are not copied; ERROR when the library
 * does not have them. */
extern bool fr_catalog_read(const FrModelRow *row, MemoryContext context,
							FrModelContents *contents);

/* The same without the weights, which stay where they are. */
extern bool
fr_catalog_read_descriptor(const FrModelRow *row, MemoryContext context,
						   FrModelContents *contents);

/* The bytes of an array of chunks as one piece; they point into the array
 * when it has one chunk, else they are palloc'd.  ERROR for NULL chunks. */
extern void fr_catalog_join_chunks(ArrayType *chunks, const void **bytes,
								   size_t *size_bytes);

/* SHA-256 of some bytes. */
extern void fr_catalog_sha256(const void *weights, size_t weights_bytes,
							  uint8 sha256[FR_SHA256_BYTES]);

/*
 * Read a fingerprint as it is written, eight hexadecimal digits in lower
 * case, alone or behind "name@"; 0 when label is neither.
 */
extern uint32 fr_catalog_parse_fingerprint(const char *label);

/*
 * The fingerprint of a model: the first 32 bits of the SHA-256 over the
 * weights (by their SHA-256), preset, dims and the descriptor's text.  Of the
 * models that it names (detector, landmarks) only the fingerprints count,
 * because the same network may have another name in another database.
 */
extern uint32
fr_catalog_fingerprint(const uint8 sha256[FR_SHA256_BYTES], const char *preset,
					   int dims, Jsonb *descriptor);

/*
 * The thresholds under a fingerprint, in no order: those that came with the
 * extension, or the others.  *points is palloc'd; returns their number.
 */
extern int fr_catalog_thresholds(uint32 fingerprint, bool is_builtin,
								 FrOperatingPoint **points);

/*
 * A stamp of what the tables look like to the active snapshot: as long as it
 * stays equal, a lookup gives the same rows.
 */
typedef struct FrCatalogStamp
{
	uint64 generation; /* invalidations seen so far */
	TransactionId xmax;
	uint32 xcnt;
	int32 subxcnt;
	CommandId curcid;
} FrCatalogStamp;

extern FrCatalogStamp fr_catalog_stamp(void);
extern bool
fr_catalog_stamp_equal(const FrCatalogStamp *a, const FrCatalogStamp *b);

#endif
