/*
 * libjpeg_guard.h: running libjpeg so that it can do no harm.
 *
 * libjpeg reports errors by a callback that must not return, takes memory by
 * malloc and may spill to temporary files.  A guard gives it an error
 * manager that jumps back to the one setjmp, and a memory manager of ours:
 * everything comes from the caller's FrAllocator, up to a limit, and stays in
 * memory.  Works with libjpeg-turbo 2.1 and 3 at API level 62.
 */
#ifndef FR_CORE_IMAGE_LIBJPEG_GUARD_H
#define FR_CORE_IMAGE_LIBJPEG_GUARD_H

/* jpeglib.h does not include what it needs, so the order matters. */
/* clang-format off */
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>

#include <jpeglib.h>
#include <jerror.h>
/* clang-format on */

#include "core/base/arena.h"
#include "core/base/status.h"

typedef struct FrJpegBlock FrJpegBlock;

typedef struct FrJpegGuard
{
	struct jpeg_error_mgr errors;
	struct jpeg_memory_mgr memory;
	struct jpeg_memory_mgr *first_memory; /* the one that libjpeg made */
	jmp_buf on_error;
	FrStatus status;
	FrError *error;
	const FrAllocator *allocator;
	size_t used_bytes;
	size_t max_bytes; /* LIMIT beyond this */
	FrJpegBlock *blocks[JPOOL_NUMPOOLS];
	struct jvirt_sarray_control *sample_arrays;
	struct jvirt_barray_control *block_arrays;
} FrJpegGuard;

/* Prepare *guard; the caller then sets cinfo.err = &guard->errors and
 * cinfo.client_data = guard before jpeg_create_(de)compress. */
void fr_jpeg_guard_init(FrJpegGuard *guard, size_t max_bytes,
						const FrAllocator *allocator, FrError *error);

/* Replace the memory manager of a libjpeg object just created; its destroy
 * function then releases everything. */
void fr_jpeg_guard_adopt_memory(FrJpegGuard *guard, j_common_ptr cinfo);

/*
 * Run body(job), which may call libjpeg; returns FR_OK, or the status with
 * which it was left.  The caller destroys the libjpeg object afterwards on
 * every path.  All state must be reached through job: nothing else is
 * reliable after a jump.
 */
FrStatus
fr_jpeg_guard_run(FrJpegGuard *guard, void (*body)(void *job), void *job);

/* Leave the running body with a status; fr_fail has been called. */
_Noreturn void fr_jpeg_guard_leave(FrJpegGuard *guard, FrStatus status);

#endif
