/*
 * weight_cache.h: files of packed weights that all backends map.
 *
 * The first backend that uses a model packs its weights and writes them,
 * with the model itself, to a file below the data directory; every other one
 * maps that file (core/nn/pack_file.h) and neither reads the table's weights
 * nor packs.  A cache: whatever is missing, damaged or cannot be written
 * costs time and memory, never the result.  How and why: pg/README, "Packed
 * weights are shared".
 */
#ifndef FR_PG_WEIGHT_CACHE_H
#define FR_PG_WEIGHT_CACHE_H

#include "postgres.h"

#include "core/nn/pack_file.h"
#include "pg/catalog.h"

/* Base backups and pg_checksums leave out what starts with pgsql_tmp,
 * pg_rewind what has it behind a slash.  The server empties base/pgsql_tmp
 * when it starts, no other. */
#define FR_WEIGHT_CACHE_DIR "base/pgsql_tmp_facerec"

/* What a file is for: one network of a model, packed in one way. */
typedef struct FrWeightKey
{
	char model[FR_MODEL_NAME_BYTES]; /* for messages */
	uint8 sha256[FR_SHA256_BYTES];	 /* of the model's weights */
	uint8 identity[FR_PACK_IDENTITY_BYTES];
} FrWeightKey;

/* The key of network number index of a model. */
extern void
fr_weight_cache_key(const FrModelRow *row, int index, FrWeightFormat format,
					const FrKernels *kernels, FrWeightKey *key);

/*
 * Map the file; NULL when there is none that is sound, or the cache is off.
 * It stays mapped until owner is reset.
 */
extern const FrPackFile *
fr_weight_cache_open(const FrWeightKey *key, MemoryContext owner);

/*
 * Whether a mapped file is still as it was when it was mapped: somebody may
 * have written to it or cut it off, though nobody should.  One system call.
 */
extern bool
fr_weight_cache_is_intact(const FrWeightKey *key, const FrPackFile *file);

/*
 * The right to write files, which one backend has at a time; false when it
 * cannot be had: the cache is off, the directory cannot be written, or
 * is_patient is false and another backend has it.  Given back by unlock, or
 * when the transaction fails.
 */
extern bool fr_weight_cache_lock(bool is_patient, int *lock);
extern void fr_weight_cache_unlock(int lock);

/* Note whether writing was possible.  When it was not, nobody gets the lock
 * for a minute, to try the same again.  The lock must be held. */
extern void fr_weight_cache_note(int lock, bool is_written);

/* Write the file of a net that was imported from image: its packed weights,
 * those of the file it has, if any, and those of the file that is there now;
 * nothing when that has them all.  The lock must be held.  False, with
 * a message in the log, when that is not possible. */
extern bool
fr_weight_cache_save(int lock, const FrWeightKey *key, FrBytes image,
					 const FrNet *net, const FrPackFile *file);

/* Bytes of packed weights that the net holds itself. */
extern size_t fr_weight_cache_unsaved(const FrNet *net);

/* Remove a mapped file that turned out not to be what it should be. */
extern void
fr_weight_cache_discard(const FrWeightKey *key, const FrPackFile *file);

/* Remove all files of a model that is dropped. */
extern void fr_weight_cache_forget(const uint8 sha256[FR_SHA256_BYTES]);

#endif
