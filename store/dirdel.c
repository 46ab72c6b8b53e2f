/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "store/dirdel.h"
#include "store/dirpath.h"
#include "store/dirput.h"
#include "store/dirtmp.h"

/* Removes one file, under the lock that updates of its directory hold. 0: it is not there any more. */
static int remove_one(struct dirctx *ctx, const char *key, const struct cancel *c)
{
	_cleanup_close_ int lock = -1;
	struct stat st;

	if (fstatat(ctx->root_fd, key, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode))
		return 0; /* no object */
	lock = dirtmp_lock(ctx, key, dirpath_directory_len(key), DIRTMP_EXCLUSIVE, c);
	if (lock < 0)
		return lock;
	if (unlinkat(ctx->root_fd, key, 0) == 0 || errno == ENOENT || errno == ENOTDIR ||
	    errno == ENAMETOOLONG || errno == EISDIR)
		return 0;
	return -errno;
}

/* Makes the removals from the directory of `key` durable, and removes it where it is empty. */
static int finish_directory(struct dirctx *ctx, const char *key)
{
	char path[STORE_KEY_MAX + 2] = ".";
	size_t len = dirpath_directory_len(key);
	_cleanup_close_ int fd = -1;

	if (len > 0) {
		memcpy(path, key, len);
		path[len] = '\0';
	}
	fd = openat(ctx->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG ? 0 : -errno;
	if (fsync(fd) < 0)
		return -errno;
	if (len > 0)
		dirpath_prune(ctx->root_fd, path, len);
	return 0;
}

static bool same_directory(const char *a, const char *b)
{
	size_t len = dirpath_directory_len(a);

	return len == dirpath_directory_len(b) && memcmp(a, b, len) == 0;
}

static void note(struct store_delete_error *error, size_t index, int code)
{
	*error = (struct store_delete_error){ .index = index };
	snprintf(error->code, sizeof(error->code), "%s",
		 code == -EACCES || code == -EPERM ? "AccessDenied" : "InternalError");
	snprintf(error->message, sizeof(error->message), "%s", strerrordesc_np(-code));
}

int dirdel_delete_many(struct dirctx *ctx, const char *const *keys, size_t count,
		       struct store_delete_error *errors, size_t *ret_error_count,
		       const struct cancel *c, struct err *e)
{
	size_t error_count = 0;
	int r;

	for (size_t i = 0; i < count; i++) {
		if (cancel_is_set(c))
			return dirput_error(ctx, -ECANCELED, "", e);
		r = remove_one(ctx, keys[i], c);
		if (r == -EACCES || r == -EPERM || r == -EIO)
			note(&errors[error_count++], i, r);
		else if (r < 0)
			return dirput_error(ctx, r, "cannot delete objects", e);
		if (i + 1 < count && same_directory(keys[i], keys[i + 1]))
			continue;
		r = finish_directory(ctx, keys[i]);
		if (r < 0)
			return dirput_error(ctx, r, "cannot make deletions durable", e);
	}
	*ret_error_count = error_count;
	return 0;
}
