/*
 * fuzz_pack_file.c: libFuzzer target for the file of packed weights.
 *
 * The input is the file, but for its checksums of header and index, which
 * are made right, so that what is behind them is reached.  Every item is
 * looked up and read whole.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/checksum.h"
#include "core/nn/pack_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

/* Offsets in the header. */
#define VERSION_AT		  16
#define ITEM_COUNT_AT	  20
#define IDENTITY_AT		  24
#define FILE_BYTES_AT	  56
#define INDEX_OFFSET_AT	  72
#define INDEX_CHECKSUM_AT 96
#define CHECKSUM_AT		  184
#define HEADER_BYTES	  192

static void
put_word(uint8_t *bytes, size_t offset, uint64_t value)
{
	memcpy(bytes + offset, &value, sizeof value);
}

/* Make right what a blind change would hardly ever get right. */
static void
mend(uint8_t *bytes, size_t size_bytes)
{
	const uint32_t version = FR_PACK_VERSION;
	uint64_t index_offset;

	if (size_bytes < HEADER_BYTES)
		return;
	memcpy(bytes, "facerec weights\n", 16);
	memcpy(bytes + VERSION_AT, &version, sizeof version);
	memset(bytes + IDENTITY_AT, 0, FR_PACK_IDENTITY_BYTES);
	put_word(bytes, FILE_BYTES_AT, size_bytes);
	memcpy(&index_offset, bytes + INDEX_OFFSET_AT, sizeof index_offset);
	if (index_offset <= size_bytes)
		put_word(
			bytes, INDEX_CHECKSUM_AT,
			fr_checksum(bytes + index_offset, size_bytes - index_offset, 0));
	put_word(bytes, CHECKSUM_AT, fr_checksum(bytes, CHECKSUM_AT, 0));
}

static void
read_all(const FrPackFile *file)
{
	volatile uint64_t sum =
		fr_checksum(file->image.data, file->image.length, 0);

	for (int i = 0; i < file->item_count && i < 1000; i++)
	{
		FrPackedItem item = fr_pack_file_item(file, i);

		sum += fr_checksum(item.data, item.size_bytes, 0);
		sum += fr_checksum(item.key.data, item.key.length, 0);
		(void) fr_pack_file_find((void *) (uintptr_t) file, item.key,
								 item.size_bytes);
	}
}

static bool
read_bytes(void *context, uint64_t offset, void *bytes, size_t size_bytes)
{
	const FrBytes *source = context;

	if (offset > source->length || size_bytes > source->length - offset)
		abort();
	memcpy(bytes, source->data + offset, size_bytes);
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	static const uint8_t identity[FR_PACK_IDENTITY_BYTES];
	void *memory;
	FrBytes bytes;
	FrPackSource source = {read_bytes, &bytes, size_bytes};
	FrPackFile file;
	FrError error;

	/* Exactly the file's size, so that sanitizers see an overrun. */
	if (posix_memalign(&memory, 64, size_bytes ? size_bytes : 1) != 0)
		return 0;
	if (size_bytes > 0)
		memcpy(memory, data, size_bytes);
	mend(memory, size_bytes);
	bytes = fr_bytes(memory, size_bytes);
	if (fr_pack_file_open(bytes, identity, &file, &error) == FR_OK)
		read_all(&file);
	(void) fr_pack_file_verify(&source, identity, NULL, &fr_allocator_malloc,
							   &error);
	free(memory);
	return 0;
}
