/* SPDX-License-Identifier: Apache-2.0 */
/*
 * INI files, read through inih. A line that cannot be taken whole (too long, no '=') is an error that names the line: a value is never truncated.
 * Limits: 1 MiB, lines of 8192 bytes, section and key names of 48. "key = value" or "key: value"; comments are lines that begin with ';' or '#': inside of a
 * value both are ordinary bytes. Errors never quote a value.
 */
#ifndef SSTABLEFS_BASE_INI_H
#define SSTABLEFS_BASE_INI_H

#include "base/err.h"

#define INI_NAME_BYTES_MAX 48

/* 0 to go on; negative errno after filling e to stop. `line` counts from 1. section NULL: its name is longer than INI_NAME_BYTES_MAX. */
typedef int ini_entry(void *ctx, const char *section, const char *key, const char *value, int line,
		      struct err *e);

/* The same of a line that begins a section. All of these come before the first entry. */
typedef int ini_section(void *ctx, const char *name, int line, struct err *e);

/* section NULL: nobody asks. 0; -ENOENT (ERR_NOT_FOUND) where the file does not exist; others as they come. */
int ini_read_file(const char *path, ini_section *section, ini_entry *entry, void *ctx,
		  struct err *e);

#endif
