/*
 * weight_cache_lock.c: who may write files of packed weights.
 *
 * flock() on a file in their directory: the kernel gives it back when its
 * holder dies.  Not a lock of the server's: those do not keep parallel
 * workers of one query apart.  The file says in 8 bytes when writing last
 * failed.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/file_perm.h"
#include "miscadmin.h"
#include "pg/settings.h"
#include "pg/weight_cache.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#define LOCK_PATH FR_WEIGHT_CACHE_DIR "/lock"

/* How long a backend waits for another one to pack a model, and how often it
 * looks. */
#define LOCK_PATIENCE_MS 60000
#define LOCK_POLL_MS	 5

/* How long writing is not tried again after it failed. */
#define FAILURE_SECONDS 60

/* In the contents of the lock file, because its times change when it is made
 * or copied, too. */
void
fr_weight_cache_note(int lock, bool is_written)
{
	int64 now = (int64) time(NULL);

	/* Where not even that can be written, the next one tries again. */
	if (is_written)
		(void) !ftruncate(lock, 0);
	else
		(void) !pwrite(lock, &now, sizeof(now), 0);
}

static bool
has_failed_lately(int lock)
{
	int64 then;

	return pread(lock, &then, sizeof(then), 0) == (ssize_t) sizeof(then) &&
		   llabs((long long) time(NULL) - (long long) then) < FAILURE_SECONDS;
}

/* Open the lock file, making it and the directory; -1, and a message the
 * first time, when that is not possible. */
static int
open_lock(void)
{
	static bool is_reported;
	int fd = OpenTransientFile(LOCK_PATH, O_RDWR | O_NOFOLLOW | PG_BINARY);

	if (fd < 0 && errno == ENOENT &&
		(MakePGDirectory(FR_WEIGHT_CACHE_DIR) == 0 || errno == EEXIST))
		fd = OpenTransientFile(LOCK_PATH,
							   O_CREAT | O_RDWR | O_NOFOLLOW | PG_BINARY);
	if (fd < 0 && !is_reported)
	{
		is_reported = true;
		ereport(
			LOG,
			(errcode_for_file_access(),
			 errmsg("could not use directory \"%s\": %m", FR_WEIGHT_CACHE_DIR),
			 errdetail("Every process packs the weights of face models "
					   "for itself.")));
	}
	return fd;
}

/* Take the lock if it is free.  One of a file that somebody has removed in
 * the meantime keeps nobody away: false, and no errno to wait for. */
static bool
try_lock(int fd)
{
	struct stat ours, named;

	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return false;
	errno = 0;
	return fstat(fd, &ours) == 0 && lstat(LOCK_PATH, &named) == 0 &&
		   ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

/* Wait until the lock is ours; false when that takes too long or is no use. */
static bool
wait_for_lock(int fd)
{
	TimestampTz start = GetCurrentTimestamp();

	for (;;)
	{
		if (has_failed_lately(fd))
			return false;
		if (try_lock(fd))
			return true;
		if ((errno != EWOULDBLOCK && errno != EINTR) ||
			TimestampDifferenceExceeds(start, GetCurrentTimestamp(),
									   LOCK_PATIENCE_MS))
			return false;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOCK_POLL_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

bool
fr_weight_cache_lock(bool is_patient, int *lock)
{
	*lock = -1;
	if (!fr_setting_weight_cache || fr_setting_weight_cache_size == 0)
		return false;

	int fd = open_lock();

	if (fd < 0)
		return false;
	if (is_patient ? !wait_for_lock(fd)
				   : has_failed_lately(fd) || !try_lock(fd))
	{
		CloseTransientFile(fd);
		return false;
	}
	*lock = fd;
	return true;
}

void
fr_weight_cache_unlock(int lock)
{
	if (lock >= 0)
		CloseTransientFile(lock);
}
