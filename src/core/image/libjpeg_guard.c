/*
 * libjpeg_guard.c: error and memory managers for libjpeg; see the header.
 *
 * The memory manager replaces the methods of jmemmgr.c as "struct
 * jpeg_memory_mgr" of jpeglib.h describes them.  It is simpler than the
 * original: one allocation per request, virtual arrays always whole in
 * memory, cleared row by row when first touched, so that clearing hundreds
 * of megabytes never delays an interrupt.
 */
#include "core/image/libjpeg_guard.h"

#include <stdint.h>
#include <string.h>

#include "core/base/size.h"

/* SIMD code of libjpeg-turbo reads and writes whole vectors: rows start at
 * and are rounded up to twice the AVX2 register (jmemmgr.c, ALIGN_SIZE). */
#define ROW_ALIGNMENT ((size_t) 64)

struct FrJpegBlock
{
	FrJpegBlock *next;
	size_t size_bytes; /* this header included */
};

_Static_assert(sizeof(FrJpegBlock) <= ROW_ALIGNMENT,
			   "the header fits before the first row");

/* jpeglib.h declares these two; their content is the memory manager's. */
struct jvirt_sarray_control
{
	struct jvirt_sarray_control *next;
	JSAMPARRAY rows; /* NULL until realised */
	size_t row_bytes;
	JDIMENSION width;
	JDIMENSION row_count;
	JDIMENSION cleared_rows; /* from the top; all when never cleared */
};

struct jvirt_barray_control
{
	struct jvirt_barray_control *next;
	JBLOCKARRAY rows;
	size_t row_bytes;
	JDIMENSION width;
	JDIMENSION row_count;
	JDIMENSION cleared_rows;
};

static FrJpegGuard *
guard_of(j_common_ptr cinfo)
{
	return cinfo->client_data;
}

/* ---- errors ------------------------------------------------------------- */

_Noreturn void
fr_jpeg_guard_leave(FrJpegGuard *guard, FrStatus status)
{
	guard->status = status;
	longjmp(guard->on_error, 1);
}

/* The status for a libjpeg error code. */
static FrStatus
status_of(int message_code)
{
	switch (message_code)
	{
		case JERR_OUT_OF_MEMORY:
			return FR_ERR_NOMEM;
		case JERR_IMAGE_TOO_BIG:
			return FR_ERR_LIMIT;
		case JERR_SOF_UNSUPPORTED:
		case JERR_BAD_PRECISION:
		case JERR_ARITH_NOTIMPL:
		case JERR_CCIR601_NOTIMPL:
		case JERR_CONVERSION_NOTIMPL:
		case JERR_FRACT_SAMPLE_NOTIMPL:
		case JERR_NOTIMPL:
		case JERR_NOT_COMPILED:
			return FR_ERR_UNSUPPORTED;
		default:
			return FR_ERR_CORRUPT;
	}
}

_Noreturn static void
error_exit(j_common_ptr cinfo)
{
	static const char *const reasons[FR_STATUS_COUNT] = {
		[FR_ERR_CORRUPT] = "The JPEG data is damaged",
		[FR_ERR_UNSUPPORTED] = "The JPEG data is of a kind that is not decoded",
		[FR_ERR_LIMIT] = "The JPEG picture is too large",
		[FR_ERR_NOMEM] = "There is not enough memory for the JPEG picture",
	};
	FrJpegGuard *guard = guard_of(cinfo);
	const FrStatus status = status_of(cinfo->err->msg_code);
	char text[JMSG_LENGTH_MAX];

	cinfo->err->format_message(cinfo, text);
	fr_fail(guard->error, status, "%s (%s).", reasons[status], text);
	fr_jpeg_guard_leave(guard, status);
}

/* Warnings that mean missing or wrong pixels are errors; the others are
 * about oddities that every decoder forgives. */
static void
emit_message(j_common_ptr cinfo, int message_level)
{
	if (message_level >= 0)
		return;
	cinfo->err->num_warnings++;
	switch (cinfo->err->msg_code)
	{
		case JWRN_ARITH_BAD_CODE:
		case JWRN_HIT_MARKER:
		case JWRN_HUFF_BAD_CODE:
		case JWRN_JPEG_EOF:
		case JWRN_MUST_RESYNC:
			error_exit(cinfo);
		default:
			break;
	}
}

static void
output_message(j_common_ptr cinfo)
{
	(void) cinfo;
}

FrStatus
fr_jpeg_guard_run(FrJpegGuard *guard, void (*body)(void *job), void *job)
{
	if (setjmp(guard->on_error))
		return guard->status;
	body(job);
	return FR_OK;
}

/* ---- memory ------------------------------------------------------------- */

_Noreturn static void
leave_for_memory(FrJpegGuard *guard, size_t size_bytes)
{
	fr_fail_nomem(guard->error, size_bytes);
	fr_jpeg_guard_leave(guard, FR_ERR_NOMEM);
}

static size_t
round_up(size_t size_bytes)
{
	return (size_bytes + ROW_ALIGNMENT - 1) & ~(ROW_ALIGNMENT - 1);
}

/* Sizes are products of two 32-bit numbers and a small one: they are checked
 * against max_bytes, so rounding cannot overflow. */
static void *
alloc_block(j_common_ptr cinfo, int pool_id, size_t size_bytes)
{
	FrJpegGuard *guard = guard_of(cinfo);

	if (pool_id < 0 || pool_id >= JPOOL_NUMPOOLS)
		ERREXIT1(cinfo, JERR_BAD_POOL_ID, pool_id);
	if (size_bytes > guard->max_bytes - guard->used_bytes ||
		ROW_ALIGNMENT > guard->max_bytes - guard->used_bytes - size_bytes)
	{
		fr_fail(guard->error, FR_ERR_LIMIT,
				"Decoding the JPEG picture needs more than the %zu bytes that "
				"its pixel limit allows.",
				guard->max_bytes);
		fr_jpeg_guard_leave(guard, FR_ERR_LIMIT);
	}

	const size_t block_bytes = size_bytes + ROW_ALIGNMENT;
	FrJpegBlock *block = fr_alloc_aligned(guard->allocator, block_bytes);

	if (!block)
		leave_for_memory(guard, block_bytes);
	block->next = guard->blocks[pool_id];
	block->size_bytes = block_bytes;
	guard->blocks[pool_id] = block;
	guard->used_bytes += block_bytes;
	return (char *) block + ROW_ALIGNMENT;
}

/* Allocate row_count rows of row_bytes, with a pointer to each. */
static void *
alloc_rows(j_common_ptr cinfo, int pool_id, size_t row_bytes,
		   JDIMENSION row_count)
{
	const size_t table_bytes = round_up((size_t) row_count * sizeof(void *));
	size_t rows_bytes, total_bytes;

	if (!fr_size_mul(row_bytes, row_count, &rows_bytes) ||
		!fr_size_add(rows_bytes, table_bytes, &total_bytes))
		leave_for_memory(guard_of(cinfo), SIZE_MAX);

	void **table = alloc_block(cinfo, pool_id, total_bytes);
	char *first_row = (char *) table + table_bytes;

	for (JDIMENSION y = 0; y < row_count; y++)
		table[y] = first_row + (size_t) y * row_bytes;
	return table;
}

static JSAMPARRAY
alloc_sarray(j_common_ptr cinfo, int pool_id, JDIMENSION width,
			 JDIMENSION row_count)
{
	return alloc_rows(cinfo, pool_id, round_up(width * sizeof(JSAMPLE)),
					  row_count);
}

static JBLOCKARRAY
alloc_barray(j_common_ptr cinfo, int pool_id, JDIMENSION width,
			 JDIMENSION row_count)
{
	return alloc_rows(cinfo, pool_id, width * sizeof(JBLOCK), row_count);
}

static jvirt_sarray_ptr
request_virt_sarray(j_common_ptr cinfo, int pool_id, boolean pre_zero,
					JDIMENSION width, JDIMENSION row_count,
					JDIMENSION max_access)
{
	FrJpegGuard *guard = guard_of(cinfo);
	jvirt_sarray_ptr array = alloc_block(cinfo, pool_id, sizeof *array);

	(void) max_access;
	*array = (struct jvirt_sarray_control){
		.next = guard->sample_arrays,
		.row_bytes = round_up(width * sizeof(JSAMPLE)),
		.width = width,
		.row_count = row_count,
		.cleared_rows = pre_zero ? 0 : row_count,
	};
	guard->sample_arrays = array;
	return array;
}

static jvirt_barray_ptr
request_virt_barray(j_common_ptr cinfo, int pool_id, boolean pre_zero,
					JDIMENSION width, JDIMENSION row_count,
					JDIMENSION max_access)
{
	FrJpegGuard *guard = guard_of(cinfo);
	jvirt_barray_ptr array = alloc_block(cinfo, pool_id, sizeof *array);

	(void) max_access;
	*array = (struct jvirt_barray_control){
		.next = guard->block_arrays,
		.row_bytes = width * sizeof(JBLOCK),
		.width = width,
		.row_count = row_count,
		.cleared_rows = pre_zero ? 0 : row_count,
	};
	guard->block_arrays = array;
	return array;
}

static void
realize_virt_arrays(j_common_ptr cinfo)
{
	FrJpegGuard *guard = guard_of(cinfo);

	for (jvirt_sarray_ptr array = guard->sample_arrays; array;
		 array = array->next)
		if (!array->rows)
			array->rows = alloc_sarray(cinfo, JPOOL_IMAGE, array->width,
									   array->row_count);
	for (jvirt_barray_ptr array = guard->block_arrays; array;
		 array = array->next)
		if (!array->rows)
			array->rows = alloc_barray(cinfo, JPOOL_IMAGE, array->width,
									   array->row_count);
}

/* Check an access and clear the rows that it reaches for the first time. */
static void
touch_rows(j_common_ptr cinfo, void *const *rows, size_t row_bytes,
		   JDIMENSION row_count, JDIMENSION *cleared_rows, JDIMENSION start,
		   JDIMENSION count)
{
	if (!rows || start > row_count || count > row_count - start)
		ERREXIT(cinfo, JERR_BAD_VIRTUAL_ACCESS);
	for (; *cleared_rows < start + count; (*cleared_rows)++)
		memset(rows[*cleared_rows], 0, row_bytes);
}

static JSAMPARRAY
access_virt_sarray(j_common_ptr cinfo, jvirt_sarray_ptr array, JDIMENSION start,
				   JDIMENSION count, boolean writable)
{
	(void) writable;
	touch_rows(cinfo, (void *const *) array->rows, array->row_bytes,
			   array->row_count, &array->cleared_rows, start, count);
	return array->rows + start;
}

static JBLOCKARRAY
access_virt_barray(j_common_ptr cinfo, jvirt_barray_ptr array, JDIMENSION start,
				   JDIMENSION count, boolean writable)
{
	(void) writable;
	touch_rows(cinfo, (void *const *) array->rows, array->row_bytes,
			   array->row_count, &array->cleared_rows, start, count);
	return array->rows + start;
}

static void
free_pool(j_common_ptr cinfo, int pool_id)
{
	FrJpegGuard *guard = guard_of(cinfo);

	if (pool_id < 0 || pool_id >= JPOOL_NUMPOOLS)
		ERREXIT1(cinfo, JERR_BAD_POOL_ID, pool_id);
	if (pool_id == JPOOL_IMAGE)
	{
		guard->sample_arrays = NULL;
		guard->block_arrays = NULL;
	}
	while (guard->blocks[pool_id])
	{
		FrJpegBlock *block = guard->blocks[pool_id];

		guard->blocks[pool_id] = block->next;
		guard->used_bytes -= block->size_bytes;
		fr_release_aligned(guard->allocator, block);
	}
}

/* Release all of ours, then let libjpeg's own manager release itself. */
static void
self_destruct(j_common_ptr cinfo)
{
	FrJpegGuard *guard = guard_of(cinfo);

	for (int pool_id = JPOOL_NUMPOOLS - 1; pool_id >= 0; pool_id--)
		free_pool(cinfo, pool_id);
	cinfo->mem = guard->first_memory;
	cinfo->mem->self_destruct(cinfo);
}

void
fr_jpeg_guard_init(FrJpegGuard *guard, size_t max_bytes,
				   const FrAllocator *allocator, FrError *error)
{
	memset(guard, 0, sizeof *guard);
	jpeg_std_error(&guard->errors);
	guard->errors.error_exit = error_exit;
	guard->errors.emit_message = emit_message;
	guard->errors.output_message = output_message;
	guard->error = error;
	guard->allocator = allocator;
	guard->max_bytes = max_bytes;
	guard->memory = (struct jpeg_memory_mgr){
		.alloc_small = alloc_block,
		.alloc_large = alloc_block,
		.alloc_sarray = alloc_sarray,
		.alloc_barray = alloc_barray,
		.request_virt_sarray = request_virt_sarray,
		.request_virt_barray = request_virt_barray,
		.realize_virt_arrays = realize_virt_arrays,
		.access_virt_sarray = access_virt_sarray,
		.access_virt_barray = access_virt_barray,
		.free_pool = free_pool,
		.self_destruct = self_destruct,
	};
}

void
fr_jpeg_guard_adopt_memory(FrJpegGuard *guard, j_common_ptr cinfo)
{
	guard->first_memory = cinfo->mem;
	guard->memory.max_memory_to_use = cinfo->mem->max_memory_to_use;
	guard->memory.max_alloc_chunk = cinfo->mem->max_alloc_chunk;
	cinfo->mem = &guard->memory;
}
