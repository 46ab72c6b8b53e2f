/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of one test, removed when the variable goes out of scope: `_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();` */
#ifndef SSTABLEFS_TESTS_TMPDIR_H
#define SSTABLEFS_TESTS_TMPDIR_H

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/io.h"

struct tmpdir {
	char path[64];
	int fd;
};

static inline struct tmpdir tmpdir_new(void)
{
	struct tmpdir t = { .path = "/tmp/sstablefs-test-XXXXXX" };

	cr_assert(mkdtemp(t.path), "mkdtemp: %m");
	t.fd = open(t.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert(t.fd >= 0, "open %s: %m", t.path);
	return t;
}

static inline void tmpdir_deinit(struct tmpdir *t)
{
	close(t->fd);
	cr_assert_eq(io_remove_tree(AT_FDCWD, t->path), 0);
}

#define _cleanup_tmpdir_ _cleanup_(tmpdir_deinit)

static inline void tmpdir_write(const struct tmpdir *t, const char *name, const void *data,
				size_t len_bytes)
{
	int fd = openat(t->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	cr_assert(fd >= 0, "open %s: %m", name);
	cr_assert_eq(io_write_full(fd, data, len_bytes), 0);
	close(fd);
}

#endif
