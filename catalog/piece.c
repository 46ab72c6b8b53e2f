/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/piece.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/crc.h"
#include "base/io.h"

#define STEP_BYTES \
	(1 * MIB) /* read and hashed at once: hashed while still in the processor's cache */
#define AHEAD_BYTES (256 * KIB) /* larger pieces are asked for as a whole before the first step */
#define PAGES_MAX (FORMAT_OBJECT_BYTES / 4096 + 1)

/* Which pages of a piece were in the page cache before it was read. */
struct residency {
	uint64_t start; /* of the first page, in the file */
	size_t page_bytes, page_count;
	unsigned char resident[PAGES_MAX];
};

static int vanished(const char *path, struct err *e)
{
	int r = err_set(e, ERR_IO, -ENOENT, "%s vanished while it was backed up", path);

	err_key(e, path);
	return r;
}

static void stamp_of(const struct stat *st, struct stamp *ret)
{
	*ret = (struct stamp){
		.ino = st->st_ino,
		.size_bytes = (uint64_t)st->st_size,
		.mtime_ns = clock_timespec_ns(st->st_mtim),
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
	};
}

int piece_stamp(const char *path, struct stamp *ret, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == ENOENT ? vanished(path, e)
				       : err_errno(e, -errno, "cannot stat %s", path);
	stamp_of(&st, ret);
	return 0;
}

/* Reading does not count as a use of the file where we may say so. A pipe that took the file's place must not block. */
static int open_file(const char *path, int *ret, struct err *e)
{
	int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	int fd = open(path, flags | O_NOATIME);

	if (fd < 0 && errno == EPERM)
		fd = open(path, flags);
	if (fd < 0)
		return errno == ENOENT ? vanished(path, e)
				       : err_errno(e, -errno, "cannot open %s", path);
	*ret = fd;
	return 0;
}

/* 0, PIECE_CHANGED, < 0. */
static int compare(int fd, const char *path, const struct stamp *expected, struct err *e)
{
	struct stamp now;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(e, -errno, "cannot stat %s", path);
	stamp_of(&st, &now);
	if (!S_ISREG(st.st_mode) || now.ino != expected->ino ||
	    now.size_bytes != expected->size_bytes || now.mtime_ns != expected->mtime_ns)
		return PIECE_CHANGED;
	return 0;
}

/* Where it cannot be told, everything counts as resident, and stays. */
static void look_at_cache(int fd, uint64_t offset, size_t len, struct residency *ret)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *map;

	ret->page_bytes = page;
	ret->start = offset / page * page;
	ret->page_count = (size_t)((offset + len - ret->start + page - 1) / page);
	if (ret->page_count > PAGES_MAX)
		ret->page_count = 0;
	if (ret->page_count == 0)
		return;
	memset(ret->resident, 1, ret->page_count);
	map = mmap(NULL, ret->page_count * page, PROT_READ, MAP_SHARED, fd, (off_t)ret->start);
	if (map == MAP_FAILED)
		return;
	if (mincore(map, ret->page_count * page, ret->resident) < 0)
		memset(ret->resident, 1, ret->page_count);
	munmap(map, ret->page_count * page);
}

/* Drops the pages that were not there before. */
static void restore_cache(int fd, const struct residency *was)
{
	for (size_t i = 0, end; i < was->page_count; i = end) {
		bool resident = was->resident[i] & 1;

		for (end = i + 1; end < was->page_count && (was->resident[end] & 1) == resident;)
			end++;
		if (!resident)
			(void)posix_fadvise(fd, (off_t)(was->start + i * was->page_bytes),
					    (off_t)((end - i) * was->page_bytes),
					    POSIX_FADV_DONTNEED);
	}
}

/*
 * The kernel's own read-ahead would reach into the next piece, whose pages would then look as if they had been in the cache before. So it is
 * switched off, and the piece, no more, is asked for in one go: the disk works while the first part is hashed.
 */
static void ask_for(int fd, uint64_t offset, size_t len)
{
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	if (len > AHEAD_BYTES)
		(void)posix_fadvise(fd, (off_t)offset, (off_t)len, POSIX_FADV_WILLNEED);
}

static int read_steps(int fd, const char *path, uint64_t offset, uint8_t *dst, size_t len,
		      struct frame_digest *digests, uint32_t *crc, const struct cancel *c,
		      struct err *e)
{
	for (size_t done = 0; done < len; done += STEP_BYTES) {
		size_t step = MIN_OF(len - done, STEP_BYTES);
		ssize_t n;

		if (cancel_is_set(c))
			return err_set(e, ERR_IO, -ECANCELED, "interrupted");
		n = io_pread_full(fd, dst + done, step, offset + done);
		if (n < 0)
			return err_errno(e, (int)n, "cannot read %s", path);
		if ((size_t)n < step)
			return PIECE_CHANGED;
		object_digest_frames(dst + done, step, digests + done / FORMAT_FRAME_BYTES);
		if (crc)
			*crc = crc_add(*crc, dst + done, step);
	}
	return 0;
}

int piece_read(const char *path, const struct stamp *expected, uint64_t offset, void *dst,
	       size_t len_bytes, struct frame_digest *digests, uint32_t *ret_crc,
	       const struct cancel *c, struct err *e)
{
	_cleanup_close_ int fd = -1;
	struct residency cache;
	int r = open_file(path, &fd, e);

	if (ret_crc)
		*ret_crc = 0;
	if (r == 0)
		r = compare(fd, path, expected, e);
	if (r != 0 || len_bytes == 0)
		return r;
	look_at_cache(fd, offset, len_bytes, &cache);
	ask_for(fd, offset, len_bytes);
	r = read_steps(fd, path, offset, dst, len_bytes, digests, ret_crc, c, e);
	restore_cache(fd, &cache);
	return r == 0 ? compare(fd, path, expected, e) : r;
}
