/* SPDX-License-Identifier: Apache-2.0 */
/* One LMDB file of the key-value store: opening it in its directory, and moving it to another. */
#ifndef SSTABLEFS_CACHE_KVENV_H
#define SSTABLEFS_CACHE_KVENV_H

#include <lmdb.h>
#include "cache/kv.h"
#include "cache/kvdir.h"

enum { KVENV_KEPT, KVENV_SCRATCH, KVENV_FILES };

/* The file that a table is in, and the file's name. */
int kvenv_of(enum kv_table t);
const char *kvenv_name(int file);

/* Opens the file as it is, or makes an empty one; dbi of its tables are set. An LMDB error number. */
int kvenv_open(const struct kvdir *dir, int file, uint64_t map_bytes, MDB_dbi dbi[KV_TABLES],
	       MDB_env **ret);
/* Removes what is there first. */
int kvenv_open_empty(const struct kvdir *dir, int file, uint64_t map_bytes, MDB_dbi dbi[KV_TABLES],
		     MDB_env **ret);
/* Bytes in use; 0 for NULL. */
uint64_t kvenv_used(MDB_env *env);
/* Copies the file, as it was after the last commit, into another directory. No change may be under way. -ENOSPC: it is larger than max_bytes. 0 or -errno. */
int kvenv_copy(MDB_env *env, const struct kvdir *to, int file, uint64_t max_bytes);

#endif
