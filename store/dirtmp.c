/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include "base/digest.h"
#include "store/dirtmp.h"

#define DATA_PREFIX "put-"

/* openat below the root, making the reserved directory where it is missing. */
static int open_reserved(int root_fd, const char *name, int flags)
{
	int fd = openat(root_fd, name, flags | O_CLOEXEC | O_NOFOLLOW, 0666);

	if (fd >= 0 || errno != ENOENT || !(flags & O_CREAT))
		return fd >= 0 ? fd : -errno;
	if (mkdirat(root_fd, DIRTMP_NAME, 0777) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(root_fd, name, flags | O_CLOEXEC | O_NOFOLLOW, 0666);
	return fd >= 0 ? fd : -errno;
}

/* A cleaner may have met the file between its creation and its lock: then it is gone or locked. */
static bool own_it(int fd)
{
	struct stat st;

	return flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0;
}

int dirtmp_create(struct dirctx *ctx, struct dirtmp_file *ret)
{
	for (;;) {
		_cleanup_close_ int fd = -1;
		struct dirtmp_file f;
		uint8_t random[12];
		char hex[2 * sizeof(random) + 1];

		clock_random(ctx->clock, random, sizeof(random));
		util_hex(hex, random, sizeof(random));
		snprintf(f.name, sizeof(f.name), DIRTMP_NAME "/" DATA_PREFIX "%s", hex);
		fd = open_reserved(ctx->root_fd, f.name, O_RDWR | O_CREAT | O_EXCL);
		if (fd == -EEXIST || (fd >= 0 && !own_it(fd)))
			continue;
		if (fd < 0)
			return fd;
		f.fd = steal_fd(&fd);
		f.root_fd = ctx->root_fd;
		*ret = f;
		return 0;
	}
}

void dirtmp_deinit(struct dirtmp_file *f)
{
	if (f->name[0])
		unlinkat(f->root_fd, f->name, 0);
	if (f->fd >= 0)
		close(f->fd);
	*f = DIRTMP_FILE_INIT;
}

/* flock with a limit and a look at cancel: flock(2) itself would wait without end. */
static int lock_within(struct dirctx *ctx, int fd, int operation, const struct cancel *c)
{
	int64_t give_up_ms = clock_elapsed_ms(ctx->clock) + DIRTMP_LOCK_LIMIT_MS;
	struct timespec pause = { .tv_nsec = 200000 };

	while (flock(fd, operation | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (cancel_is_set(c))
			return -ECANCELED;
		if (clock_elapsed_ms(ctx->clock) >= give_up_ms)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
		pause.tv_nsec = MIN_OF(2 * pause.tv_nsec, 10000000);
	}
	return 0;
}

int dirtmp_lock(struct dirctx *ctx, const char *directory, size_t directory_len,
		enum dirtmp_lock mode, const struct cancel *c)
{
	_cleanup_close_ int fd = -1;
	bool exclusive = mode == DIRTMP_EXCLUSIVE;
	char name[sizeof(DIRTMP_NAME) + 16];
	int r;

	snprintf(name, sizeof(name), DIRTMP_NAME "/lock-%02u",
		 (unsigned)(digest_xxh64(directory, directory_len) % DIRTMP_LOCKS));
	fd = open_reserved(ctx->root_fd, name, exclusive ? O_RDWR | O_CREAT : O_RDONLY);
	if (fd < 0)
		return fd;
	r = lock_within(ctx, fd, exclusive ? LOCK_EX : LOCK_SH, c);
	return r < 0 ? r : steal_fd(&fd);
}

/* Removes one file unless its writer lives. */
static void clean_one(int dir_fd, const char *name)
{
	_cleanup_close_ int fd =
		openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		unlinkat(dir_fd, name, 0);
}

void dirtmp_clean(int root_fd)
{
	int fd = openat(root_fd, DIRTMP_NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)))
		if (strncmp(entry->d_name, DATA_PREFIX, strlen(DATA_PREFIX)) == 0)
			clean_one(fd, entry->d_name);
	closedir(dir);
}
