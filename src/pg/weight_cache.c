/*
 * weight_cache.c: the files of weight_cache.h.
 *
 * base/pgsql_tmp_facerec/ in the data directory holds
 *     <model>.<identity>.weights   image and packed weights; never changes
 *     <model>.<identity>.checked   a line that names the file whose checksums
 *                                  were found right since the server started
 *     <model>.<identity>.tmp       being written, by the holder of the lock
 *     lock                         locked by whoever writes; says in 8 bytes
 *                                  when writing last failed
 * <model> and <identity> are hexadecimal digits of hashes.  A file gets its
 * name by rename() when it is complete; nothing is ever changed or cut off
 * under its name, because other backends have it mapped.  Removing one needs
 * no lock: it costs the next user a repetition of the work.
 */
#include "postgres.h"

#include "pg/weight_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "common/cryptohash.h"
#include "common/file_perm.h"
#include "miscadmin.h"
#include "pg/errors.h"
#include "pg/memory.h"
#include "pg/settings.h"
#include "storage/fd.h"
#include "storage/pg_shmem.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#if PG_VERSION_NUM < 140000
#error "PostgreSQL 14 or later is needed"
#endif

#define SUFFIX_WEIGHTS ".weights"
#define SUFFIX_CHECKED ".checked"
#define SUFFIX_TEMP	   ".tmp"

#define HEX_MODEL_BYTES	   16
#define HEX_IDENTITY_BYTES 8
#define NAME_BYTES		   (2 * (HEX_MODEL_BYTES + HEX_IDENTITY_BYTES) + 2)

/* What stays free on the disk: tables and WAL need it more.  As much as the
 * file takes, but at least this. */
#define RESERVED_BYTES ((uint64) 1024 * 1024 * 1024)

/* A marker younger than this is not touched again. */
#define TOUCH_SECONDS 3600

/* What a ".checked" file says: one line. */
#define MARK_BYTES 256

/* A file in the directory, for making room. */
typedef struct CacheFile
{
	char name[NAME_BYTES]; /* without suffix */
	off_t size_bytes;
	time_t used_at;
} CacheFile;

/* A mapping, released with its memory context. */
typedef struct Mapping
{
	FrPackFile file; /* first: callers hold a pointer to it */
	void *address;
	size_t size_bytes;
	struct stat status; /* of the file when it was mapped */
	MemoryContextCallback on_reset;
} Mapping;

/* ---- names -------------------------------------------------------------- */

static void
append_hex(char *digits, const uint8 *bytes, int count)
{
	for (int i = 0; i < count; i++)
		sprintf(digits + 2 * i, "%02x", bytes[i]);
}

static void
model_prefix(const uint8 *sha256, char prefix[NAME_BYTES])
{
	append_hex(prefix, sha256, HEX_MODEL_BYTES);
	strcpy(prefix + 2 * HEX_MODEL_BYTES, ".");
}

static void
make_name(const FrWeightKey *key, char name[NAME_BYTES])
{
	model_prefix(key->sha256, name);
	append_hex(name + strlen(name), key->identity, HEX_IDENTITY_BYTES);
}

static void
make_path(const FrWeightKey *key, const char *suffix, char path[MAXPGPATH])
{
	char name[NAME_BYTES];

	make_name(key, name);
	snprintf(path, MAXPGPATH, "%s/%s%s", FR_WEIGHT_CACHE_DIR, name, suffix);
}

/* Packing is a property of the code: found out once per kernel table. */
static uint64
layout_of(const FrKernels *kernels)
{
	static const FrKernels *known;
	static uint64 layout;

	if (known != kernels || layout == 0)
	{
		FrAllocator allocator = fr_pg_allocator(CurrentMemoryContext);

		known = kernels;
		layout = fr_pack_layout(kernels, &allocator);
	}
	return layout;
}

void
fr_weight_cache_key(const FrModelRow *row, int index, FrWeightFormat format,
					const FrKernels *kernels, FrWeightKey *key)
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
	char *suffix =
		psprintf(" network=%d format=%d kernels=%s layout=%016llx version=%d "
				 "extension=%s",
				 index, (int) format, kernels->name,
				 (unsigned long long) layout_of(kernels), FR_PACK_VERSION,
				 FACEREC_VERSION);

	strlcpy(key->model, row->name, sizeof(key->model));
	memcpy(key->sha256, row->sha256, sizeof(key->sha256));
	if (!hash || pg_cryptohash_init(hash) < 0 ||
		pg_cryptohash_update(hash, row->sha256, FR_SHA256_BYTES) < 0 ||
		pg_cryptohash_update(hash, (const uint8 *) suffix, strlen(suffix)) <
			0 ||
		pg_cryptohash_final(hash, key->identity, sizeof(key->identity)) < 0)
		elog(ERROR, "could not compute a SHA-256 hash");
	pg_cryptohash_free(hash);
	pfree(suffix);
}

/* ---- markers: which files have been checked ------------------------------ */

/* Differs whenever the server makes its shared memory anew, also after the
 * crash of a process: reading a file that was mapped may have been its cause.
 * The postmaster draws it at random. */
static uint32
server_incarnation(void)
{
	return (uint32) ((const PGShmemHeader *) UsedShmemSegAddr)->dsm_control;
}

/* A file that was replaced or written to gets another line, and so does
 * every file when the server starts anew: the machine may have crashed. */
static void
make_mark(const struct stat *status, char mark[MARK_BYTES])
{
	memset(mark, 0, MARK_BYTES);
	snprintf(mark, MARK_BYTES,
			 "device %llu inode %llu size %lld written %lld.%09ld changed "
			 "%lld.%09ld server " INT64_FORMAT ".%08x\n",
			 (unsigned long long) status->st_dev,
			 (unsigned long long) status->st_ino, (long long) status->st_size,
			 (long long) status->st_mtim.tv_sec, status->st_mtim.tv_nsec,
			 (long long) status->st_ctim.tv_sec, status->st_ctim.tv_nsec,
			 (int64) PgStartTime, server_incarnation());
}

/* Note that a file is in use: the one used longest ago is removed first. */
static void
touch_marker(const char *path, int fd)
{
	struct stat status;

	if (fstat(fd, &status) == 0 && time(NULL) - status.st_mtime > TOUCH_SECONDS)
		(void) utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

static bool
is_checked(const FrWeightKey *key, const struct stat *status)
{
	char path[MAXPGPATH], mark[MARK_BYTES], found[MARK_BYTES];

	make_path(key, SUFFIX_CHECKED, path);

	int fd = OpenTransientFile(path, O_RDONLY | O_NOFOLLOW | PG_BINARY);

	if (fd < 0)
		return false;
	make_mark(status, mark);

	bool is_equal = read(fd, found, sizeof(found)) == (ssize_t) sizeof(found) &&
					memcmp(mark, found, sizeof(found)) == 0;

	if (is_equal)
		touch_marker(path, fd);
	CloseTransientFile(fd);
	return is_equal;
}

/* Whoever reads half a line checks the file again; failing costs no more. */
static void
write_marker(const FrWeightKey *key, const struct stat *status)
{
	char path[MAXPGPATH], mark[MARK_BYTES];

	make_path(key, SUFFIX_CHECKED, path);
	make_mark(status, mark);

	int fd =
		OpenTransientFile(path, O_CREAT | O_WRONLY | O_NOFOLLOW | PG_BINARY);

	if (fd < 0)
		return;
	if (write(fd, mark, sizeof(mark)) != (ssize_t) sizeof(mark))
		(void) unlink(path);
	CloseTransientFile(fd);
}

/* ---- opening ------------------------------------------------------------ */

static void
unmap(void *argument)
{
	Mapping *mapping = argument;

	if (mapping->address)
		(void) munmap(mapping->address, mapping->size_bytes);
	mapping->address = NULL;
}

static Mapping *
map_file(int fd, const struct stat *status, MemoryContext owner)
{
	Mapping *mapping = MemoryContextAllocZero(owner, sizeof(Mapping));
	size_t size_bytes = (size_t) status->st_size;
	void *address = mmap(NULL, size_bytes, PROT_READ, MAP_SHARED, fd, 0);

	if (address == MAP_FAILED)
	{
		pfree(mapping);
		return NULL;
	}
	mapping->address = address;
	mapping->size_bytes = size_bytes;
	mapping->status = *status;
	mapping->on_reset.func = unmap;
	mapping->on_reset.arg = mapping;
	MemoryContextRegisterResetCallback(owner, &mapping->on_reset);
	return mapping;
}

static void
log_problem(const FrWeightKey *key, const char *what, const char *detail)
{
	ereport(LOG,
			(errmsg("%s packed weights of face model \"%s\"", what, key->model),
			 errdetail("%s", detail)));
}

static bool
read_at(void *context, uint64_t offset, void *bytes, size_t size_bytes)
{
	int fd = *(const int *) context;
	char *p = bytes;

	while (size_bytes > 0)
	{
		ssize_t got = pread(fd, p, size_bytes, (off_t) offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		p += got;
		offset += (uint64_t) got;
		size_bytes -= (size_t) got;
	}
	return true;
}

/* Read all of a file that nobody has checked since the server started.  Read,
 * not mapped: a bad disk is an error here and would be a signal there. */
static FrStatus
verify_file(const FrWeightKey *key, int fd, const struct stat *status,
			FrError *error)
{
	FrAllocator allocator = fr_pg_allocator(CurrentMemoryContext);
	FrCancel cancel = fr_pg_cancel();
	FrPackSource source = {.read = read_at,
						   .context = &fd,
						   .size_bytes = (size_t) status->st_size};
	FrStatus result =
		fr_pack_file_verify(&source, key->identity, &cancel, &allocator, error);

	if (result == FR_OK)
		write_marker(key, status);
	return result;
}

/* Map a file of ours and look at header and index.  NOMEM says nothing about
 * the file; other failures, that it must not be used. */
static FrStatus
open_file(const FrWeightKey *key, int fd, const struct stat *status,
		  MemoryContext owner, const FrPackFile **file, FrError *error)
{
	FrStatus result = FR_OK;

	if (!is_checked(key, status))
		result = verify_file(key, fd, status, error);
	if (result != FR_OK)
		return result;

	Mapping *mapping = map_file(fd, status, owner);

	if (!mapping)
		return fr_fail(error, FR_ERR_NOMEM, "The file cannot be mapped: %s.",
					   strerror(errno));
	result = fr_pack_file_open(fr_bytes(mapping->address, mapping->size_bytes),
							   key->identity, &mapping->file, error);
	if (result == FR_OK)
		*file = &mapping->file;
	else
		unmap(mapping);
	return result;
}

/* Remove the file that was found wanting; not the one that another process
 * has put in its place meanwhile. */
static void
discard(const FrWeightKey *key, const struct stat *status)
{
	char path[MAXPGPATH];
	struct stat now;

	make_path(key, SUFFIX_WEIGHTS, path);
	if (lstat(path, &now) != 0 || now.st_dev != status->st_dev ||
		now.st_ino != status->st_ino)
		return;
	(void) unlink(path);
	make_path(key, SUFFIX_CHECKED, path);
	(void) unlink(path);
}

const FrPackFile *
fr_weight_cache_open(const FrWeightKey *key, MemoryContext owner)
{
	char path[MAXPGPATH];
	const FrPackFile *file = NULL;
	struct stat status;
	FrStatus result;
	FrError error;

	if (!fr_setting_weight_cache)
		return NULL;
	make_path(key, SUFFIX_WEIGHTS, path);

	int fd = OpenTransientFile(path, O_RDONLY | O_NOFOLLOW | PG_BINARY);

	if (fd < 0 || fstat(fd, &status) != 0)
	{
		if (errno != ENOENT)
			ereport(LOG, (errcode_for_file_access(),
						  errmsg("could not open file \"%s\": %m", path)));
		if (fd >= 0)
			CloseTransientFile(fd);
		return NULL;
	}

	/* Only a file of this server's user: others could cut it off. */
	if (S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
		status.st_size > 0)
		result = open_file(key, fd, &status, owner, &file, &error);
	else
		result = fr_fail(&error, FR_ERR_CORRUPT,
						 "It is empty or not a file of this server's user.");
	CloseTransientFile(fd);
	if (result == FR_OK)
		return file;
	if (result == FR_ERR_CANCELLED)
		fr_raise(result, &error, "could not open packed weights", NULL);
	log_problem(key, result == FR_ERR_NOMEM ? "could not use" : "discarding",
				error.message);
	if (result != FR_ERR_NOMEM)
		discard(key, &status);
	return NULL;
}

bool
fr_weight_cache_is_intact(const FrWeightKey *key, const FrPackFile *file)
{
	const struct stat *then = &((const Mapping *) file)->status;
	char path[MAXPGPATH];
	struct stat now;

	make_path(key, SUFFIX_WEIGHTS, path);

	/* A file that was removed or replaced is ours as long as it is mapped. */
	if (stat(path, &now) != 0 || now.st_dev != then->st_dev ||
		now.st_ino != then->st_ino)
		return true;
	return now.st_size == then->st_size &&
		   now.st_mtim.tv_sec == then->st_mtim.tv_sec &&
		   now.st_mtim.tv_nsec == then->st_mtim.tv_nsec;
}

void
fr_weight_cache_discard(const FrWeightKey *key, const FrPackFile *file)
{
	discard(key, &((const Mapping *) file)->status);
}

/* ---- making room -------------------------------------------------------- */

static bool
has_suffix(const char *name, const char *suffix)
{
	size_t length = strlen(name), tail = strlen(suffix);

	return length > tail && strcmp(name + length - tail, suffix) == 0;
}

/* Only what we would name so ourselves. */
static bool
is_ours(const char *name)
{
	return strspn(name, "0123456789abcdef.") >= NAME_BYTES - 1 &&
		   (has_suffix(name, SUFFIX_WEIGHTS) ||
			has_suffix(name, SUFFIX_CHECKED) || has_suffix(name, SUFFIX_TEMP));
}

static void
remove_file(const char *name, const char *suffix)
{
	char path[MAXPGPATH];

	snprintf(path, sizeof(path), "%s/%s%s", FR_WEIGHT_CACHE_DIR, name, suffix);
	(void) unlink(path);
}

/* When a file was last opened, as far as its marker tells. */
static time_t
last_used(const char *name, const struct stat *status)
{
	char path[MAXPGPATH];
	struct stat marker;

	snprintf(path, sizeof(path), "%s/%s%s", FR_WEIGHT_CACHE_DIR, name,
			 SUFFIX_CHECKED);
	if (lstat(path, &marker) == 0 && marker.st_mtime > status->st_mtime)
		return marker.st_mtime;
	return status->st_mtime;
}

/* List the files and remove what a crash left behind: nobody else writes
 * while we hold the lock. */
static CacheFile *
list_files(int *count)
{
	CacheFile *files = palloc(sizeof(CacheFile));
	int capacity = 1;
	DIR *dir = AllocateDir(FR_WEIGHT_CACHE_DIR);
	struct dirent *entry;

	*count = 0;
	while (dir &&
		   (entry = ReadDirExtended(dir, FR_WEIGHT_CACHE_DIR, LOG)) != NULL)
	{
		char path[MAXPGPATH];
		struct stat status;

		if (!is_ours(entry->d_name))
			continue;
		if (has_suffix(entry->d_name, SUFFIX_TEMP))
			remove_file(entry->d_name, "");
		snprintf(path, sizeof(path), "%s/%s", FR_WEIGHT_CACHE_DIR,
				 entry->d_name);
		if (!has_suffix(entry->d_name, SUFFIX_WEIGHTS) ||
			lstat(path, &status) != 0)
			continue;
		if (*count == capacity)
		{
			capacity *= 2;
			files = repalloc(files, capacity * sizeof(CacheFile));
		}

		CacheFile *file = &files[(*count)++];

		strlcpy(file->name, entry->d_name, sizeof(file->name));
		file->size_bytes = status.st_size;
		file->used_at = last_used(file->name, &status);
	}
	if (dir)
		FreeDir(dir);
	return files;
}

/* Whether the disk has so much room that nobody else will miss it. */
static bool
has_disk_room(uint64 size_bytes)
{
	struct statvfs status;

	if (statvfs(FR_WEIGHT_CACHE_DIR, &status) != 0)
		return true; /* writing will tell */
	return (uint64) status.f_bavail * status.f_frsize >=
		   size_bytes + Max(size_bytes, RESERVED_BYTES);
}

/* Remove the files used longest ago until one of size_bytes fits.  The file
 * of that name is replaced, so it does not count. */
static void
make_room(size_t size_bytes, const char *name)
{
	uint64 limit = (uint64) fr_setting_weight_cache_size * 1024 * 1024;
	int count;
	CacheFile *files = list_files(&count);

	for (;;)
	{
		uint64 total = size_bytes;
		int oldest = -1;

		for (int i = 0; i < count; i++)
		{
			if (strcmp(files[i].name, name) == 0)
				continue;
			total += (uint64) files[i].size_bytes;
			if (files[i].size_bytes > 0 &&
				(oldest < 0 || files[i].used_at < files[oldest].used_at))
				oldest = i;
		}
		if (total <= limit || oldest < 0)
			break;
		remove_file(files[oldest].name, SUFFIX_CHECKED);
		remove_file(files[oldest].name, SUFFIX_WEIGHTS);
		files[oldest].size_bytes = 0;
	}
	pfree(files);
}

void
fr_weight_cache_forget(const uint8 sha256[FR_SHA256_BYTES])
{
	char prefix[NAME_BYTES];
	DIR *dir = AllocateDir(FR_WEIGHT_CACHE_DIR);
	struct dirent *entry;

	model_prefix(sha256, prefix);
	while (dir &&
		   (entry = ReadDirExtended(dir, FR_WEIGHT_CACHE_DIR, LOG)) != NULL)
		if (is_ours(entry->d_name) &&
			strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
			!has_suffix(entry->d_name, SUFFIX_TEMP))
			remove_file(entry->d_name, "");
	if (dir)
		FreeDir(dir);
}

/* ---- saving ------------------------------------------------------------- */

/* All packed weights that a file gets. */
typedef struct ItemList
{
	FrPackedItem *items;
	int count, capacity;
} ItemList;

static void
append_item(ItemList *list, const FrPackedItem *item)
{
	for (int i = 0; i < list->count; i++)
		if (list->items[i].key.length == item->key.length &&
			memcmp(list->items[i].key.data, item->key.data, item->key.length) ==
				0)
			return;
	if (list->count == list->capacity)
	{
		list->capacity *= 2;
		list->items =
			repalloc(list->items, (Size) list->capacity * sizeof(FrPackedItem));
	}
	list->items[list->count++] = *item;
}

static bool
collect_own(void *context, const FrPackedItem *item)
{
	if (!item->is_found)
		append_item(context, item);
	return true;
}

static void
append_file(ItemList *list, const FrPackFile *file)
{
	for (int i = 0; i < file->item_count; i++)
	{
		FrPackedItem item = fr_pack_file_item(file, i);

		append_item(list, &item);
	}
}

static bool
add_unsaved(void *context, const FrPackedItem *item)
{
	if (!item->is_found)
		*(size_t *) context += item->size_bytes;
	return true;
}

size_t
fr_weight_cache_unsaved(const FrNet *net)
{
	size_t size_bytes = 0;

	fr_net_each_packed(net, add_unsaved, &size_bytes);
	return size_bytes;
}

static bool
write_piece(void *context, const void *bytes, size_t size_bytes)
{
	int fd = *(const int *) context;
	const char *p = bytes;

	while (size_bytes > 0)
	{
		errno = 0;

		ssize_t written = write(fd, p, size_bytes);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
		{
			/* a write that stops without a reason lacks room */
			if (errno == 0)
				errno = ENOSPC;
			return false;
		}
		p += written;
		size_bytes -= (size_t) written;
	}
	return true;
}

/* Write the temporary file; what is wrong is in errno or *error. */
static FrStatus
write_temp(const char *path, const FrPackFileContents *contents, FrError *error)
{
	FrAllocator allocator = fr_pg_allocator(CurrentMemoryContext);
	FrCancel cancel = fr_pg_cancel();
	int fd = OpenTransientFile(path, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW |
										 PG_BINARY);
	FrPackSink sink = {write_piece, &fd};
	FrStatus status;

	if (fd < 0)
		return FR_ERR_LIMIT;
	status = fr_pack_file_write(contents, &sink, &cancel, &allocator, error);

	/* Some file systems tell of a full disk only now.  It need not outlive a
	 * crash of the machine, but what is mapped must be what is on disk. */
	if (status == FR_OK && pg_fsync(fd) != 0)
		status = FR_ERR_LIMIT;

	int saved_errno = errno;

	if (CloseTransientFile(fd) != 0 && status == FR_OK)
		return FR_ERR_LIMIT;
	errno = saved_errno;
	return status;
}

static bool
save_contents(const FrWeightKey *key, const FrPackFileContents *contents)
{
	char temp[MAXPGPATH], path[MAXPGPATH];
	FrError error = {0};

	make_path(key, SUFFIX_TEMP, temp);
	make_path(key, SUFFIX_WEIGHTS, path);

	FrStatus status = write_temp(temp, contents, &error);

	if (status == FR_OK && rename(temp, path) == 0)
		return true;

	int saved_errno = errno;

	(void) unlink(temp);
	if (status == FR_ERR_CANCELLED)
		fr_raise(status, &error, "could not write packed weights", NULL);
	if (status == FR_ERR_NOMEM)
	{
		log_problem(key, "could not write", error.message);
		return false;
	}
	errno = saved_errno;
	ereport(LOG,
			(errcode_for_file_access(),
			 errmsg("could not write file \"%s\": %m", path),
			 errdetail("Every process packs the weights of face model \"%s\" "
					   "for itself.",
					   key->model)));
	return false;
}

static bool
save_items(int lock, const FrWeightKey *key, FrBytes image,
		   const ItemList *list)
{
	FrPackFileContents contents = {.identity = key->identity,
								   .image = image,
								   .items = list->items,
								   .item_count = list->count};
	char name[NAME_BYTES];
	size_t size_bytes;
	bool is_saved;

	make_name(key, name);
	if (!fr_pack_file_size(&contents, &size_bytes) ||
		size_bytes > (uint64) fr_setting_weight_cache_size * 1024 * 1024)
	{
		log_problem(key, "not keeping",
					"They are larger than facerec.weight_cache_size.");
		return false;
	}
	if (!has_disk_room(size_bytes))
	{
		log_problem(key, "not keeping",
					"The disk would have less than 1 GB, or than their size, "
					"left.");
		fr_weight_cache_note(lock, false);
		return false;
	}
	make_room(size_bytes, name);
	is_saved = save_contents(key, &contents);
	fr_weight_cache_note(lock, is_saved);
	return is_saved;
}

bool
fr_weight_cache_save(int lock, const FrWeightKey *key, FrBytes image,
					 const FrNet *net, const FrPackFile *file)
{
	MemoryContext scratch = AllocSetContextCreate(
		CurrentMemoryContext, "facerec packed weights", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	ItemList list = {.capacity = 64};
	const FrPackFile *current = fr_weight_cache_open(key, scratch);
	int known = -1;
	bool is_saved = true;

	list.items = palloc((Size) list.capacity * sizeof(FrPackedItem));

	/* What other processes have added since this one looked stays. */
	if (current && current->image.length == image.length)
	{
		append_file(&list, current);
		known = list.count;
	}
	if (file)
		append_file(&list, file);
	fr_net_each_packed(net, collect_own, &list);
	if (list.count != known)
		is_saved = save_items(lock, key, image, &list);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return is_saved;
}
