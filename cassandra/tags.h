/* SPDX-License-Identifier: Apache-2.0 */
/* Which snapshots a node has, for people who named one that it has not. */
#ifndef SSTABLEFS_CASSANDRA_TAGS_H
#define SSTABLEFS_CASSANDRA_TAGS_H

#include <stddef.h>
#include "base/cancel.h"
#include "base/err.h"

/* The names of all snapshots of all tables, sorted, as "a, b, c" (the first 20, then "…"), newly allocated; "" where there is none. */
int tags_list(const char *const *data_dirs, size_t data_dir_count, const struct cancel *c,
	      char **ret, struct err *e);

/* The names, sorted, of all snapshots that begin with `prefix`: a new array of new strings, which ends with a NULL. NULL: out of memory. */
char **tags_with_prefix(const char *const *data_dirs, size_t data_dir_count, const char *prefix);
void tags_free(char **names);
/* How many tables have the snapshot `tag`; where a data directory cannot be read, those that were seen. */
size_t tags_count(const char *const *data_dirs, size_t data_dir_count, const char *tag);

#endif
