/* SPDX-License-Identifier: Apache-2.0 */
/* Files in a place, for the tests of swap and nodejournal. */
#ifndef SSTABLEFS_TESTS_SWAP_HELP_H
#define SSTABLEFS_TESTS_SWAP_HELP_H

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include "base/io.h"
#include "cassandra/swap.h"
#include "tests/unit/base/tmpdir.h"

static inline void put(const char *top, const char *name, const char *text)
{
	char path[500];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	*strrchr(path, '/') = 0;
	cr_assert_eq(io_mkdirs(AT_FDCWD, path, 0755), 0);
	snprintf(path, sizeof(path), "%s/%s", top, name);
	cr_assert_eq(io_publish_file(AT_FDCWD, path, text, strlen(text), 0644, NULL), 0);
}

static inline bool holds(const char *top, const char *name, const char *text)
{
	_cleanup_free_ char *found = NULL;
	char path[500];
	size_t len;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	if (io_read_file(AT_FDCWD, path, 1000, &found, &len) < 0)
		return text == NULL;
	return text && strcmp(found, text) == 0;
}

#define OLD SWAP_DIRECTORY "/backups/old/"
#define NEW SWAP_DIRECTORY "/backups/new/"
#define CASSANDRA 12345

#endif
