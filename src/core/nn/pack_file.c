/*
 * pack_file.c: see pack_file.h.
 *
 *     offset  what
 *     0       header, 192 bytes
 *     192     image, filled up with zeros to whole lines of 64 bytes
 *     ...     data of the items, each filled up to whole lines
 *     ...     index: one entry of 48 bytes per item, sorted by hash; then the
 *             keys; filled up
 *
 * Integers are little-endian, as the machine has them.  Every byte is under
 * one checksum: the header has its own and those of index and image, the
 * index has those of the items, padding counts to what it follows.
 */
#include "core/nn/pack_file.h"

#include <string.h>

#include "core/base/checksum.h"
#include "core/base/size.h"

#define LINE FR_CHECKSUM_LINE

/* Bytes checked or written between two polls: a fraction of a millisecond. */
#define PIECE_BYTES ((size_t) 1 << 20)

#define MAX_ITEMS (1 << 20)

static const char magic[16] = "facerec weights\n";

typedef struct Header
{
	char magic[16];
	uint32_t version;
	uint32_t item_count;
	uint8_t identity[FR_PACK_IDENTITY_BYTES];
	uint64_t file_bytes;
	uint64_t image_bytes;
	uint64_t index_offset;
	uint64_t index_bytes; /* with keys, without padding */
	uint64_t image_checksum;
	uint64_t index_checksum;
	uint64_t reserved[10];
	uint64_t checksum; /* of all before */
} Header;

_Static_assert(sizeof(Header) == 192 && sizeof(Header) % LINE == 0,
			   "the image starts on a line");

typedef struct Entry
{
	uint64_t hash; /* of the key */
	uint64_t key_offset, key_bytes;
	uint64_t data_offset, data_bytes;
	uint64_t checksum; /* of the data with its padding */
} Entry;

_Static_assert(sizeof(Entry) == 48, "entries have no padding");

/* Size in whole lines; false on overflow. */
static bool
whole_lines(size_t size_bytes, size_t *padded)
{
	if (!fr_size_add(size_bytes, LINE - 1, padded))
		return false;
	*padded -= *padded % LINE;
	return true;
}

static uint64_t
hash_key(FrBytes key)
{
	return fr_checksum(key.data, key.length, 0);
}

/* ---- writing ------------------------------------------------------------ */

typedef struct Output
{
	const FrPackSink *sink;
	const FrCancel *cancel;
	FrError *error;
} Output;

static FrStatus
check_cancel(const FrCancel *cancel, FrError *error)
{
	if (!fr_is_cancelled(cancel))
		return FR_OK;
	return fr_fail(error, FR_ERR_CANCELLED,
				   "Keeping the packed weights was cancelled.");
}

/* Write bytes and zeros up to whole lines. */
static FrStatus
put_lines(const Output *output, const void *bytes, size_t size_bytes)
{
	static const uint8_t zeros[LINE] = {0};
	const uint8_t *p = bytes;
	size_t fill = (LINE - size_bytes % LINE) % LINE;
	FrStatus status = FR_OK;
	bool is_written = true;

	for (size_t done = 0; done < size_bytes && is_written;)
	{
		size_t rest = size_bytes - done;
		size_t piece = rest < PIECE_BYTES ? rest : PIECE_BYTES;

		status = check_cancel(output->cancel, output->error);
		if (status != FR_OK)
			return status;
		is_written =
			output->sink->write(output->sink->context, p + done, piece);
		done += piece;
	}
	if (is_written && fill > 0)
		is_written = output->sink->write(output->sink->context, zeros, fill);
	return is_written ? FR_OK
					  : fr_fail(output->error, FR_ERR_LIMIT,
								"The packed weights cannot be written.");
}

/* Checksum of bytes and zeros up to whole lines. */
static FrStatus
sum_lines(const void *bytes, size_t size_bytes, const FrCancel *cancel,
		  uint64_t *value, FrError *error)
{
	const uint8_t *p = bytes;
	FrStatus status = FR_OK;
	FrChecksum sum;

	fr_checksum_init(&sum, 0);
	for (size_t done = 0; done < size_bytes && status == FR_OK;)
	{
		size_t rest = size_bytes - done;
		size_t piece = rest < PIECE_BYTES ? rest : PIECE_BYTES;

		status = check_cancel(cancel, error);
		fr_checksum_add(&sum, p + done, piece);
		done += piece;
	}
	/* A last line that is cut off counts as filled up with zeros. */
	sum.length += (LINE - size_bytes % LINE) % LINE;
	*value = fr_checksum_value(&sum);
	return status;
}

/* Where everything goes. */
typedef struct Layout
{
	size_t first_data, index_offset, index_bytes, file_bytes;
} Layout;

static bool
lay_out(const FrPackFileContents *contents, Layout *layout)
{
	size_t offset, padded;

	if (contents->item_count < 0 || contents->item_count > MAX_ITEMS ||
		!whole_lines(contents->image.length, &padded) ||
		!fr_size_add(padded, sizeof(Header), &layout->first_data))
		return false;
	offset = layout->first_data;
	layout->index_bytes = (size_t) contents->item_count * sizeof(Entry);
	for (int i = 0; i < contents->item_count; i++)
		if (!whole_lines(contents->items[i].size_bytes, &padded) ||
			!fr_size_add(offset, padded, &offset) ||
			!fr_size_add(layout->index_bytes, contents->items[i].key.length,
						 &layout->index_bytes))
			return false;
	layout->index_offset = offset;
	return whole_lines(layout->index_bytes, &padded) &&
		   fr_size_add(offset, padded, &layout->file_bytes);
}

bool
fr_pack_file_size(const FrPackFileContents *contents, size_t *size_bytes)
{
	Layout layout;

	if (!lay_out(contents, &layout))
		return false;
	*size_bytes = layout.file_bytes;
	return true;
}

/* Shell's sort with Ciura's gaps: a model has some hundred items. */
static void
sort_entries(Entry *entries, int count)
{
	static const int gaps[] = {701, 301, 132, 57, 23, 10, 4, 1};

	for (size_t g = 0; g < sizeof gaps / sizeof *gaps; g++)
		for (int i = gaps[g]; i < count; i++)
		{
			Entry entry = entries[i];
			int hole = i;

			for (; hole >= gaps[g] && entries[hole - gaps[g]].hash > entry.hash;
				 hole -= gaps[g])
				entries[hole] = entries[hole - gaps[g]];
			entries[hole] = entry;
		}
}

static FrStatus
fill_index(const FrPackFileContents *contents, const Layout *layout,
		   const FrCancel *cancel, uint8_t *index, FrError *error)
{
	Entry *entries = (Entry *) (void *) index;
	size_t data_offset = layout->first_data;
	size_t key_offset = (size_t) contents->item_count * sizeof(Entry);

	for (int i = 0; i < contents->item_count; i++)
	{
		const FrPackedItem *item = &contents->items[i];
		size_t padded = 0;
		FrStatus status;

		whole_lines(item->size_bytes, &padded);
		entries[i] = (Entry){.hash = hash_key(item->key),
							 .key_offset = key_offset,
							 .key_bytes = item->key.length,
							 .data_offset = data_offset,
							 .data_bytes = item->size_bytes};
		status = sum_lines(item->data, item->size_bytes, cancel,
						   &entries[i].checksum, error);
		if (status != FR_OK)
			return status;
		memcpy(index + key_offset, item->key.data, item->key.length);
		key_offset += item->key.length;
		data_offset += padded;
	}
	sort_entries(entries, contents->item_count);
	return FR_OK;
}

static FrStatus
write_parts(const FrPackFileContents *contents, const Layout *layout,
			const uint8_t *index, const Output *output)
{
	Header header = {.version = FR_PACK_VERSION,
					 .item_count = (uint32_t) contents->item_count,
					 .file_bytes = layout->file_bytes,
					 .image_bytes = contents->image.length,
					 .index_offset = layout->index_offset,
					 .index_bytes = layout->index_bytes};
	FrStatus status;

	memcpy(header.magic, magic, sizeof magic);
	memcpy(header.identity, contents->identity, FR_PACK_IDENTITY_BYTES);
	status = sum_lines(contents->image.data, contents->image.length,
					   output->cancel, &header.image_checksum, output->error);
	if (status != FR_OK)
		return status;
	status = sum_lines(index, layout->index_bytes, output->cancel,
					   &header.index_checksum, output->error);
	if (status != FR_OK)
		return status;
	header.checksum = fr_checksum(&header, offsetof(Header, checksum), 0);
	status = put_lines(output, &header, sizeof header);
	if (status == FR_OK)
		status =
			put_lines(output, contents->image.data, contents->image.length);
	for (int i = 0; i < contents->item_count && status == FR_OK; i++)
		status = put_lines(output, contents->items[i].data,
						   contents->items[i].size_bytes);
	if (status == FR_OK)
		status = put_lines(output, index, layout->index_bytes);
	return status;
}

FrStatus
fr_pack_file_write(const FrPackFileContents *contents, const FrPackSink *sink,
				   const FrCancel *cancel, const FrAllocator *allocator,
				   FrError *error)
{
	const Output output = {sink, cancel, error};
	Layout layout;
	uint8_t *index;
	FrStatus status;

	if (!lay_out(contents, &layout))
		return fr_fail(error, FR_ERR_LIMIT,
					   "The packed weights are too large for a file.");
	index = fr_alloc_aligned(allocator, layout.index_bytes + LINE);
	if (!index)
		return fr_fail_nomem(error, layout.index_bytes);
	status = fill_index(contents, &layout, cancel, index, error);
	if (status == FR_OK)
		status = write_parts(contents, &layout, index, &output);
	fr_release_aligned(allocator, index);
	return status;
}

/* ---- reading ------------------------------------------------------------ */

static const Entry *
entries_of(const FrPackFile *file)
{
	return (const Entry *) (const void *) file->index.data;
}

static FrStatus
fail_corrupt(FrError *error, const char *what)
{
	return fr_fail(error, FR_ERR_CORRUPT,
				   "The file of packed weights is damaged: %s.", what);
}

/* The header's numbers agree with each other and with the file's size. */
static bool
is_header_sound(const Header *header, size_t file_bytes)
{
	size_t image_bytes, index_bytes, offset;

	return header->file_bytes == file_bytes &&
		   header->item_count <= MAX_ITEMS &&
		   whole_lines(header->image_bytes, &image_bytes) &&
		   whole_lines(header->index_bytes, &index_bytes) &&
		   fr_size_add(image_bytes, sizeof(Header), &offset) &&
		   header->index_offset % LINE == 0 && header->index_offset >= offset &&
		   header->index_offset <= file_bytes &&
		   file_bytes - header->index_offset == index_bytes &&
		   header->item_count <= header->index_bytes / sizeof(Entry);
}

/* An entry's data lie between image and index, its key in the index. */
static bool
is_entry_sound(const Header *header, const Entry *entry)
{
	size_t padded, end, key_end;

	return entry->data_offset % LINE == 0 &&
		   entry->data_offset >= sizeof(Header) + header->image_bytes &&
		   whole_lines(entry->data_bytes, &padded) &&
		   fr_size_add(entry->data_offset, padded, &end) &&
		   end <= header->index_offset &&
		   entry->key_offset >= header->item_count * sizeof(Entry) &&
		   fr_size_add(entry->key_offset, entry->key_bytes, &key_end) &&
		   key_end <= header->index_bytes;
}

static FrStatus
check_header(const Header *header, size_t file_bytes,
			 const uint8_t identity[FR_PACK_IDENTITY_BYTES], FrError *error)
{
	if (memcmp(header->magic, magic, sizeof magic) != 0)
		return fail_corrupt(error, "it does not start as such a file does");
	if (header->version != FR_PACK_VERSION)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The file of packed weights has version %u, not %d.",
					   (unsigned) header->version, FR_PACK_VERSION);
	if (fr_checksum(header, offsetof(Header, checksum), 0) != header->checksum)
		return fail_corrupt(error, "the checksum of its header is wrong");
	if (memcmp(header->identity, identity, FR_PACK_IDENTITY_BYTES) != 0)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The file of packed weights belongs to another model.");
	if (!is_header_sound(header, file_bytes))
		return fail_corrupt(error, "it does not have the size it should have");
	return FR_OK;
}

/* Check an index of a sound header, with its padding. */
static FrStatus
check_index(const Header *header, const uint8_t *index, FrError *error)
{
	const Entry *entries = (const Entry *) (const void *) index;
	size_t index_bytes = header->file_bytes - header->index_offset;

	if (fr_checksum(index, index_bytes, 0) != header->index_checksum)
		return fail_corrupt(error, "the checksum of its index is wrong");
	for (uint32_t i = 0; i < header->item_count; i++)
		if (!is_entry_sound(header, &entries[i]) ||
			(i > 0 && entries[i - 1].hash > entries[i].hash))
			return fail_corrupt(error, "its index is not in order");
	return FR_OK;
}

FrStatus
fr_pack_file_open(FrBytes bytes, const uint8_t identity[FR_PACK_IDENTITY_BYTES],
				  FrPackFile *file, FrError *error)
{
	const Header *header = (const Header *) (const void *) bytes.data;
	FrStatus status;

	*file = (FrPackFile){0};
	if (bytes.length < sizeof(Header))
		return fail_corrupt(error, "it is shorter than its header");
	status = check_header(header, bytes.length, identity, error);
	if (status != FR_OK)
		return status;

	const uint8_t *index = bytes.data + header->index_offset;

	status = check_index(header, index, error);
	if (status != FR_OK)
		return status;
	*file = (FrPackFile){
		.bytes = bytes,
		.image = fr_bytes(bytes.data + sizeof(Header), header->image_bytes),
		.index = fr_bytes(index, header->index_bytes),
		.item_count = (int) header->item_count,
	};
	return FR_OK;
}

static FrStatus
read_piece(const FrPackSource *source, uint64_t offset, void *bytes,
		   size_t size_bytes, FrError *error)
{
	if (size_bytes > 0 &&
		!source->read(source->context, offset, bytes, size_bytes))
		return fail_corrupt(error, "it cannot be read");
	return FR_OK;
}

/* Check what lies at an offset, with its padding, through a buffer. */
static FrStatus
verify_lines(const FrPackSource *source, uint64_t offset, size_t size_bytes,
			 uint64_t checksum, uint8_t *buffer, const FrCancel *cancel,
			 FrError *error)
{
	size_t padded = 0;
	FrStatus status = FR_OK;
	FrChecksum sum;

	whole_lines(size_bytes, &padded);
	fr_checksum_init(&sum, 0);
	for (size_t done = 0; done < padded && status == FR_OK;)
	{
		size_t rest = padded - done;
		size_t piece = rest < PIECE_BYTES ? rest : PIECE_BYTES;

		status = check_cancel(cancel, error);
		if (status == FR_OK)
			status = read_piece(source, offset + done, buffer, piece, error);
		if (status == FR_OK)
			fr_checksum_add(&sum, buffer, piece);
		done += piece;
	}
	if (status == FR_OK && fr_checksum_value(&sum) != checksum)
		status = fail_corrupt(error, "a checksum is wrong");
	return status;
}

/* Check all behind a sound header; index and buffer are memory for that. */
static FrStatus
verify_rest(const FrPackSource *source, const Header *header, uint8_t *index,
			uint8_t *buffer, const FrCancel *cancel, FrError *error)
{
	const Entry *entries = (const Entry *) (const void *) index;
	FrStatus status =
		read_piece(source, header->index_offset, index,
				   source->size_bytes - header->index_offset, error);

	if (status == FR_OK)
		status = check_index(header, index, error);
	if (status == FR_OK)
		status = verify_lines(source, sizeof(Header), header->image_bytes,
							  header->image_checksum, buffer, cancel, error);
	for (uint32_t i = 0; i < header->item_count && status == FR_OK; i++)
		status =
			verify_lines(source, entries[i].data_offset, entries[i].data_bytes,
						 entries[i].checksum, buffer, cancel, error);
	return status;
}

FrStatus
fr_pack_file_verify(const FrPackSource *source,
					const uint8_t identity[FR_PACK_IDENTITY_BYTES],
					const FrCancel *cancel, const FrAllocator *allocator,
					FrError *error)
{
	Header header;
	FrStatus status;

	if (source->size_bytes < sizeof header)
		return fail_corrupt(error, "it is shorter than its header");
	status = read_piece(source, 0, &header, sizeof header, error);
	if (status == FR_OK)
		status = check_header(&header, source->size_bytes, identity, error);
	if (status != FR_OK)
		return status;

	size_t index_bytes = source->size_bytes - header.index_offset;
	uint8_t *index = fr_alloc_aligned(allocator, index_bytes + LINE);
	uint8_t *buffer = fr_alloc_aligned(allocator, PIECE_BYTES);

	status = index && buffer
				 ? verify_rest(source, &header, index, buffer, cancel, error)
				 : fr_fail_nomem(error, index_bytes + PIECE_BYTES);
	fr_release_aligned(allocator, buffer);
	fr_release_aligned(allocator, index);
	return status;
}

FrPackedItem
fr_pack_file_item(const FrPackFile *file, int index)
{
	const Entry *entry = &entries_of(file)[index];

	return (FrPackedItem){
		.key = fr_bytes(file->index.data + entry->key_offset, entry->key_bytes),
		.data = file->bytes.data + entry->data_offset,
		.size_bytes = entry->data_bytes,
		.is_found = true};
}

const void *
fr_pack_file_find(void *context, FrBytes key, size_t size_bytes)
{
	const FrPackFile *file = context;
	const Entry *entries = entries_of(file);
	uint64_t hash = hash_key(key);
	int low = 0, high = file->item_count;

	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (entries[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < file->item_count && entries[low].hash == hash; low++)
	{
		FrPackedItem item = fr_pack_file_item(file, low);

		if (item.key.length == key.length && item.size_bytes == size_bytes &&
			memcmp(item.key.data, key.data, key.length) == 0)
			return item.data;
	}
	return NULL;
}
