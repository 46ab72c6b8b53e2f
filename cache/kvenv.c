/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/kvenv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include "base/io.h"

#define READER_TABLE_BYTES ((size_t)64 * KIB) /* some 1,000 readers at once */
#define PATH_BYTES 64
#define COPY_BYTES ((size_t)256 * KIB)

static const struct {
	const char *name;
	int file;
} tables[KV_TABLES] = {
	[KV_BLOBS] = { "blobs", KVENV_KEPT },  [KV_RECORDS] = { "records", KVENV_KEPT },
	[KV_HEADS] = { "heads", KVENV_KEPT },  [KV_RING] = { "ring", KVENV_KEPT },
	[KV_STATE] = { "state", KVENV_KEPT },  [KV_INODES] = { "inodes", KVENV_SCRATCH },
	[KV_RUNS] = { "runs", KVENV_SCRATCH }, [KV_DIRS] = { "dirs", KVENV_SCRATCH },
};

int kvenv_of(enum kv_table t)
{
	return tables[t].file;
}

const char *kvenv_name(int file)
{
	return file == KVENV_KEPT ? "data.mdb" : "mount.mdb";
}

static int open_tables(MDB_env *env, int file, MDB_dbi dbi[KV_TABLES])
{
	MDB_txn *txn;
	int rc;

	rc = mdb_txn_begin(env, NULL, 0, &txn);
	if (rc)
		return rc;
	for (int t = 0; t < KV_TABLES; t++) {
		if (tables[t].file != file)
			continue;
		rc = mdb_dbi_open(txn, tables[t].name, MDB_CREATE, &dbi[t]);
		if (rc) {
			mdb_txn_abort(txn);
			return rc;
		}
	}
	return mdb_txn_commit(txn);
}

static int open_env(MDB_env *env, const char *path, uint64_t map_bytes)
{
	int rc;

	rc = mdb_env_set_mapsize(env, map_bytes);
	if (rc == 0)
		rc = mdb_env_set_maxdbs(env, KV_TABLES);
	if (rc == 0)
		rc = mdb_env_open(env, path,
				  MDB_NOSUBDIR | MDB_NOTLS | MDB_NOSYNC | MDB_NOMETASYNC |
					  MDB_NORDAHEAD,
				  0600);
	return rc;
}

int kvenv_open(const struct kvdir *dir, int file, uint64_t map_bytes, MDB_dbi dbi[KV_TABLES],
	       MDB_env **ret)
{
	char path[PATH_BYTES], lock[PATH_BYTES];
	MDB_env *env;
	int rc;

	/* By descriptor: whoever now has the directory's name, this is about ours. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir->fd, kvenv_name(file));
	/* LMDB would make its lock file sparse and map it writable: on a full disk, a fatal signal. */
	snprintf(lock, sizeof(lock), "%s-lock", kvenv_name(file));
	rc = kvdir_make_zeros(dir, lock, READER_TABLE_BYTES);
	if (rc < 0)
		return -rc;
	rc = mdb_env_create(&env);
	if (rc)
		return rc;
	rc = open_env(env, path, map_bytes);
	if (rc == 0)
		rc = open_tables(env, file, dbi);
	if (rc) {
		mdb_env_close(env);
		return rc;
	}
	*ret = env;
	return 0;
}

int kvenv_open_empty(const struct kvdir *dir, int file, uint64_t map_bytes, MDB_dbi dbi[KV_TABLES],
		     MDB_env **ret)
{
	int r = io_remove_tree(dir->fd, kvenv_name(file));

	return r < 0 ? -r : kvenv_open(dir, file, map_bytes, dbi, ret);
}

uint64_t kvenv_used(MDB_env *env)
{
	MDB_envinfo info;
	MDB_stat stat;

	if (!env || mdb_env_info(env, &info) || mdb_env_stat(env, &stat))
		return 0;
	return ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
}

static int copy_bytes(int from, int to, uint64_t len)
{
	_cleanup_free_ void *buffer = malloc(COPY_BYTES);

	if (!buffer)
		return -ENOMEM;
	for (uint64_t at = 0; at < len;) {
		ssize_t n = io_pread_full(from, buffer, COPY_BYTES, at);
		int r = n < 0 ? (int)n : io_pwrite_full(to, buffer, (size_t)n, at);

		if (r < 0 || n == 0)
			return r;
		at += (uint64_t)n;
	}
	return 0;
}

/* By its bytes, not by LMDB, which refuses to read a file of which it could not write a meta page. */
int kvenv_copy(MDB_env *env, const struct kvdir *to, int file, uint64_t max_bytes)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int from, r;

	if (mdb_env_get_fd(env, &from) || fstat(from, &st) < 0)
		return -EIO;
	if ((uint64_t)st.st_size > max_bytes)
		return -ENOSPC;
	r = io_remove_tree(to->fd, kvenv_name(file));
	if (r < 0)
		return r;
	fd = openat(to->fd, kvenv_name(file), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : copy_bytes(from, fd, (uint64_t)st.st_size);
}
