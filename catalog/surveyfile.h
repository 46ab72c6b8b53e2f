/* SPDX-License-Identifier: Apache-2.0 */
/* The file that a survey is kept in. */
#ifndef SSTABLEFS_CATALOG_SURVEYFILE_H
#define SSTABLEFS_CATALOG_SURVEYFILE_H

#include "catalog/survey.h"

/*
 * nodes, names and entries of a file, every index checked; of any repository where repo_id is NULL. *ret_whole_ns: when the last survey of everything ended, 0: there was none. -ENOENT
 * (ERR_NOT_FOUND) where there is nothing that can be believed.
 */
int surveyfile_load(const char *path, const char *repo_id, struct survey **ret,
		    int64_t *ret_whole_ns, struct err *e);
/* Atomically; makes the directory. */
int surveyfile_save(const char *path, const char *repo_id, const struct survey *s, int64_t whole_ns,
		    struct err *e);
/* Only the time: nothing else has changed. */
int surveyfile_touch(const char *path, int64_t whole_ns);

#endif
