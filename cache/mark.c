/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/mark.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/digest.h"
#include "base/io.h"

#define STEP_BYTES ((size_t)1 * MIB)
#define MARK_BYTES 80

/* One chained digest over steps, as the library of digests takes memory, not streams. */
static int digest_fd(int fd, uint64_t size_bytes, uint64_t *ret)
{
	_cleanup_free_ uint8_t *buffer = malloc(STEP_BYTES);
	uint64_t chain[2] = { 0, 0 };

	if (!buffer)
		return -ENOMEM;
	for (uint64_t at = 0; at < size_bytes;) {
		ssize_t n = io_pread_full(fd, buffer, STEP_BYTES, at);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return -ENODATA;
		chain[1] = digest_xxh64(buffer, (size_t)n);
		chain[0] = digest_xxh64(chain, sizeof(chain));
		at += (uint64_t)n;
	}
	*ret = chain[0];
	return 0;
}

/* What the mark of the file must say, as the file is now. */
static int describe(int dir_fd, const char *file, uint64_t max_bytes, char out[MARK_BYTES])
{
	_cleanup_close_ int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	uint64_t digest = 0;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((uint64_t)st.st_size > max_bytes)
		return -EFBIG;
	r = digest_fd(fd, (uint64_t)st.st_size, &digest);
	if (r < 0)
		return r;
	snprintf(out, MARK_BYTES, "sstablefs cache 1 %" PRIu64 " %016" PRIx64 "\n",
		 (uint64_t)st.st_size, digest);
	return 0;
}

int mark_write(int dir_fd, const char *mark, const char *file, struct err *e)
{
	char text[MARK_BYTES];
	int r;

	r = describe(dir_fd, file, UINT64_MAX, text);
	if (r < 0)
		return err_errno(e, r, "cannot read the cache's %s", file);
	return io_publish_file(dir_fd, mark, text, strlen(text), 0600, e);
}

static int compare(int dir_fd, const char *file, uint64_t max_bytes, const char *said,
		   const char **ret_why)
{
	char is[MARK_BYTES];
	int r;

	r = describe(dir_fd, file, max_bytes, is);
	if (r == 0 && strcmp(is, said) == 0)
		return 0;
	if (r == -EFBIG)
		*ret_why = "it is larger than it may be now";
	else if (r < 0)
		*ret_why = "it cannot be read";
	else
		*ret_why = "it is not what it was when it was closed";
	return MARK_UNFIT;
}

int mark_take(int dir_fd, const char *mark, const char *file, uint64_t max_bytes,
	      const char **ret_why, struct err *e)
{
	_cleanup_free_ char *said = NULL;
	struct stat st;
	size_t len;
	int r, removed;

	r = io_read_file(dir_fd, mark, MARK_BYTES, &said, &len);
	if (r == -ENOMEM)
		return err_nomem(e);
	if (r == -ENOENT) {
		bool file_is_there = fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0;

		*ret_why = file_is_there ? "it was not closed" : NULL;
		return MARK_UNFIT;
	}
	removed = io_remove_tree(dir_fd, mark);
	if (removed == 0 && fsync(dir_fd) < 0)
		removed = -errno;
	if (removed < 0)
		return err_errno(e, removed, "cannot remove the cache's %s", mark);
	if (r < 0) {
		*ret_why = "its mark cannot be read";
		return MARK_UNFIT;
	}
	return compare(dir_fd, file, max_bytes, said, ret_why);
}
