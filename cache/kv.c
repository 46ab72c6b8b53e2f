/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks: `writer` is held by whoever changes either file (an open batch holds it all the time); `kept_lock` is read-held during
 * reads of the surviving tables and write-held while their file is replaced. Order: writer, then kept_lock. The ephemeral file is
 * never replaced, so its reads need no lock.
 */
#include "cache/kv.h"

#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "base/io.h"
#include "cache/kvdir.h"
#include "cache/kvvalue.h"
#include "cache/mark.h"

#define MARK_NAME "closed"
#define READER_TABLE_BYTES ((size_t)64 * KIB) /* some 1,000 readers at once */
#define PATH_BYTES 64

enum { KEPT, SCRATCH, FILES };

static const struct {
	const char *name;
	int file;
} tables[KV_TABLES] = {
	[KV_BLOBS] = { "blobs", KEPT },	 [KV_RECORDS] = { "records", KEPT },
	[KV_HEADS] = { "heads", KEPT },	 [KV_RING] = { "ring", KEPT },
	[KV_STATE] = { "state", KEPT },	 [KV_INODES] = { "inodes", SCRATCH },
	[KV_RUNS] = { "runs", SCRATCH }, [KV_DIRS] = { "dirs", SCRATCH },
};
static const char *const file_names[FILES] = { "data.mdb", "mount.mdb" };

struct kv {
	struct kvdir dir;
	uint64_t max_bytes;
	const char *discarded;
	pthread_mutex_t writer;
	pthread_rwlock_t kept_lock;
	MDB_env *env[FILES]; /* [KEPT] is NULL once it could not be made anew */
	MDB_dbi dbi[KV_TABLES];
};

struct kv_batch {
	struct kv *kv;
	MDB_txn *txn[FILES]; /* begun at the first use */
	int failed;	     /* what a put or delete failed with */
};

static int fail(struct err *e, int rc, const char *what)
{
	int code = -EIO;

	if (rc == MDB_MAP_FULL || rc == MDB_TXN_FULL || rc == EDQUOT)
		code = -ENOSPC;
	else if (rc > 0)
		code = -rc;
	return err_set(e, ERR_IO, code, "the local cache: %s: %s", what, mdb_strerror(rc));
}

/* LMDB's interface has no const. */
static MDB_val borrow(const void *data, size_t len)
{
	return (MDB_val){ .mv_size = len, .mv_data = (void *)(uintptr_t)data };
}

/* ---- files ---- */

static int open_tables(struct kv *kv, int file, MDB_env *env)
{
	MDB_txn *txn;
	int rc;

	rc = mdb_txn_begin(env, NULL, 0, &txn);
	if (rc)
		return rc;
	for (int t = 0; t < KV_TABLES; t++) {
		if (tables[t].file != file)
			continue;
		rc = mdb_dbi_open(txn, tables[t].name, MDB_CREATE, &kv->dbi[t]);
		if (rc) {
			mdb_txn_abort(txn);
			return rc;
		}
	}
	return mdb_txn_commit(txn);
}

static int open_env(struct kv *kv, int file, const char *path, MDB_env *env)
{
	int rc;

	rc = mdb_env_set_mapsize(env, kv->max_bytes / 8 * 7);
	if (rc == 0)
		rc = mdb_env_set_maxdbs(env, KV_TABLES);
	if (rc == 0)
		rc = mdb_env_open(env, path,
				  MDB_NOSUBDIR | MDB_NOTLS | MDB_NOSYNC | MDB_NOMETASYNC |
					  MDB_NORDAHEAD,
				  0600);
	if (rc == 0)
		rc = open_tables(kv, file, env);
	return rc;
}

/* Opens the file as it is, or makes an empty one. An LMDB error number. */
static int file_open(struct kv *kv, int file)
{
	char path[PATH_BYTES], lock[PATH_BYTES];
	MDB_env *env;
	int rc;

	/* By descriptor: whoever now has the directory's name, this is about ours. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", kv->dir.fd, file_names[file]);
	/* LMDB would make its lock file sparse and map it writable: on a full disk, a fatal signal. */
	snprintf(lock, sizeof(lock), "%s-lock", file_names[file]);
	rc = kvdir_make_zeros(&kv->dir, lock, READER_TABLE_BYTES);
	if (rc < 0)
		return -rc;
	rc = mdb_env_create(&env);
	if (rc)
		return rc;
	rc = open_env(kv, file, path, env);
	if (rc) {
		mdb_env_close(env);
		return rc;
	}
	kv->env[file] = env;
	return 0;
}

static int file_open_empty(struct kv *kv, int file)
{
	int r = io_remove_tree(kv->dir.fd, file_names[file]);

	return r < 0 ? -r : file_open(kv, file);
}

static uint64_t file_used(const struct kv *kv, int file)
{
	MDB_envinfo info;
	MDB_stat stat;

	if (!kv->env[file] || mdb_env_info(kv->env[file], &info) ||
	    mdb_env_stat(kv->env[file], &stat))
		return 0;
	return ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
}

/* Discards all surviving tables. The caller holds `writer` and has no transaction on them. */
static int discard_kept(struct kv *kv, struct err *e)
{
	int rc;

	pthread_rwlock_wrlock(&kv->kept_lock);
	if (kv->env[KEPT])
		mdb_env_close(steal_pointer(&kv->env[KEPT]));
	rc = file_open_empty(kv, KEPT);
	pthread_rwlock_unlock(&kv->kept_lock);
	return rc ? fail(e, rc, "cannot be made anew") : 0;
}

static bool kept_is_over_its_part(const struct kv *kv)
{
	uint64_t scratch = file_used(kv, SCRATCH);
	uint64_t left = scratch < kv->max_bytes ? kv->max_bytes - scratch : 0;

	return file_used(kv, KEPT) > MAX_OF(left, kv->max_bytes / 8);
}

/* ---- open and close ---- */

static int open_kept(struct kv *kv, struct err *e)
{
	int r, rc = MDB_INVALID;

	r = mark_take(kv->dir.fd, MARK_NAME, file_names[KEPT], kv->max_bytes / 8 * 7,
		      &kv->discarded, e);
	if (r < 0)
		return r;
	if (r == 0) {
		rc = file_open(kv, KEPT);
		if (rc)
			kv->discarded = "LMDB does not take it";
	}
	if (rc)
		rc = file_open_empty(kv, KEPT);
	return rc ? fail(e, rc, "cannot be made") : 0;
}

static void close_files(struct kv *kv)
{
	for (int file = 0; file < FILES; file++)
		if (kv->env[file])
			mdb_env_close(steal_pointer(&kv->env[file]));
}

static void release(struct kv *kv)
{
	close_files(kv);
	kvdir_close(&kv->dir);
	pthread_rwlock_destroy(&kv->kept_lock);
	pthread_mutex_destroy(&kv->writer);
	free(kv);
}

int kv_open(const char *path, uint64_t max_bytes, struct kv **ret, struct err *e)
{
	struct kv *kv = calloc(1, sizeof(*kv));
	int r, rc = 0;

	if (!kv)
		return err_nomem(e);
	kv->dir = KVDIR_NONE;
	kv->max_bytes = MAX_OF(max_bytes, KV_MIN_BYTES) / MIB * MIB;
	pthread_mutex_init(&kv->writer, NULL);
	pthread_rwlock_init(&kv->kept_lock, NULL);
	r = kvdir_open(&kv->dir, path, e);
	if (r == 0)
		r = open_kept(kv, e);
	if (r == 0)
		rc = file_open_empty(kv, SCRATCH);
	if (rc)
		r = fail(e, rc, "cannot be made");
	if (r < 0) {
		release(kv);
		return r;
	}
	*ret = kv;
	return 0;
}

void kv_close(struct kv *kv)
{
	bool ours = false;
	int fd;

	if (!kv)
		return;
	if (kv->env[KEPT] && mdb_env_get_fd(kv->env[KEPT], &fd) == 0)
		ours = kvdir_is_ours(&kv->dir, file_names[KEPT], fd);
	close_files(kv);
	if (ours) {
		io_remove_tree(kv->dir.fd, file_names[SCRATCH]);
		mark_write(kv->dir.fd, MARK_NAME, file_names[KEPT], NULL);
	}
	release(kv);
}

const char *kv_discarded(const struct kv *kv)
{
	return kv->discarded;
}

uint64_t kv_used_bytes(struct kv *kv)
{
	uint64_t used;

	pthread_rwlock_rdlock(&kv->kept_lock);
	used = file_used(kv, KEPT) + file_used(kv, SCRATCH);
	pthread_rwlock_unlock(&kv->kept_lock);
	return used;
}

static struct kvvalue value_of(enum kv_table t, const MDB_val *key, const MDB_val *stored)
{
	return (struct kvvalue){ t, key->mv_data, key->mv_size, stored->mv_data, stored->mv_size };
}

/* ---- reading ---- */

/* 0, KV_ABSENT (the tables are out of use) or < 0. On 0, read_end must follow. */
static int read_begin(struct kv *kv, enum kv_table t, MDB_txn **ret, struct err *e)
{
	int file = tables[t].file, rc = KV_ABSENT;

	if (file == KEPT)
		pthread_rwlock_rdlock(&kv->kept_lock);
	if (kv->env[file]) {
		rc = mdb_txn_begin(kv->env[file], NULL, MDB_RDONLY, ret);
		if (rc)
			rc = fail(e, rc, "cannot be read");
	}
	if (rc && file == KEPT)
		pthread_rwlock_unlock(&kv->kept_lock);
	return rc;
}

static void read_end(struct kv *kv, enum kv_table t, MDB_txn *txn)
{
	mdb_txn_abort(txn);
	if (tables[t].file == KEPT)
		pthread_rwlock_unlock(&kv->kept_lock);
}

/* 0, KV_ABSENT or < 0. */
static int find(struct kv *kv, MDB_txn *txn, enum kv_table t, const void *key, size_t key_bytes,
		struct kvvalue *ret, struct err *e)
{
	MDB_val k = borrow(key, key_bytes), stored;
	int rc = mdb_get(txn, kv->dbi[t], &k, &stored);

	if (rc)
		return rc == MDB_NOTFOUND ? KV_ABSENT : fail(e, rc, "cannot be read");
	*ret = value_of(t, &k, &stored);
	return 0;
}

static int lookup(struct kv *kv, enum kv_table t, const void *key, size_t key_bytes,
		  struct kvvalue_target *to, size_t *ret_len, struct err *e)
{
	struct kvvalue v;
	MDB_txn *txn;
	int r;

	r = kvvalue_check(key_bytes, 0, e);
	if (r == 0)
		r = read_begin(kv, t, &txn, e);
	if (r)
		return r;
	r = find(kv, txn, t, key, key_bytes, &v, e);
	if (r == 0)
		r = kvvalue_copy(&v, to, ret_len, e);
	read_end(kv, t, txn);
	return r;
}

int kv_get(struct kv *kv, enum kv_table t, const void *key, size_t key_bytes, void **ret,
	   size_t *ret_len, struct err *e)
{
	struct kvvalue_target to = { .is_new = true };
	int r;

	r = lookup(kv, t, key, key_bytes, &to, ret_len, e);
	if (r == 0)
		*ret = to.data;
	else
		free(to.data);
	return r;
}

int kv_read(struct kv *kv, enum kv_table t, const void *key, size_t key_bytes, void *dst,
	    size_t cap_bytes, size_t *ret_len, struct err *e)
{
	struct kvvalue_target to = { .data = dst, .cap_bytes = cap_bytes };

	return lookup(kv, t, key, key_bytes, &to, ret_len, e);
}

static int each(struct kv *kv, enum kv_table t, MDB_cursor *cursor, const MDB_val *prefix,
		kv_each_fn *fn, void *ctx, struct err *e)
{
	MDB_val key = *prefix, stored;
	int r = 0, rc;

	rc = mdb_cursor_get(cursor, &key, &stored, prefix->mv_size ? MDB_SET_RANGE : MDB_FIRST);
	while (rc == 0 && r == 0) {
		struct kvvalue v = value_of(t, &key, &stored);
		const void *value;
		size_t len;

		if (key.mv_size < prefix->mv_size ||
		    memcmp(key.mv_data, prefix->mv_data, prefix->mv_size) != 0)
			return 0;
		if (kvvalue_view(&v, &value, &len) == 0)
			r = fn(ctx, key.mv_data, key.mv_size, value, len, e);
		if (r == 0)
			rc = mdb_cursor_get(cursor, &key, &stored, MDB_NEXT);
	}
	if (rc && rc != MDB_NOTFOUND)
		return fail(e, rc, "cannot be read");
	return r < 0 ? r : 0;
}

int kv_each(struct kv *kv, enum kv_table t, const void *prefix, size_t prefix_bytes, kv_each_fn *fn,
	    void *ctx, struct err *e)
{
	MDB_val p = borrow(prefix_bytes ? prefix : "", prefix_bytes);
	MDB_cursor *cursor;
	MDB_txn *txn;
	int r, rc;

	r = prefix_bytes ? kvvalue_check(prefix_bytes, 0, e) : 0;
	if (r == 0)
		r = read_begin(kv, t, &txn, e);
	if (r)
		return r < 0 ? r : 0;
	rc = mdb_cursor_open(txn, kv->dbi[t], &cursor);
	if (rc) {
		r = fail(e, rc, "cannot be read");
	} else {
		r = each(kv, t, cursor, &p, fn, ctx, e);
		mdb_cursor_close(cursor);
	}
	read_end(kv, t, txn);
	return r;
}

/* ---- writing ---- */

int kv_batch_begin(struct kv *kv, struct kv_batch **ret, struct err *e)
{
	struct kv_batch *b = calloc(1, sizeof(*b));

	if (!b)
		return err_nomem(e);
	b->kv = kv;
	pthread_mutex_lock(&kv->writer);
	*ret = b;
	return 0;
}

static int batch_txn(struct kv_batch *b, int file, struct err *e)
{
	struct kv *kv = b->kv;
	int rc, r = 0;

	if (b->txn[file])
		return 0;
	if (file == KEPT && kv->env[KEPT] && kept_is_over_its_part(kv))
		r = discard_kept(kv, e);
	else if (!kv->env[file])
		r = err_set(e, ERR_IO, -EIO, "the local cache is out of use");
	if (r < 0)
		return r;
	rc = mdb_txn_begin(kv->env[file], NULL, 0, &b->txn[file]);
	return rc ? fail(e, rc, "cannot be written") : 0;
}

static int put_wrapped(struct kv *kv, MDB_txn *txn, enum kv_table t, MDB_val *key,
		       const void *value, size_t len)
{
	MDB_val stored = { .mv_size = KVVALUE_EXTRA + len };
	int rc = mdb_put(txn, kv->dbi[t], key, &stored, MDB_RESERVE);

	if (rc == 0)
		kvvalue_store(stored.mv_data, t, key->mv_data, key->mv_size, value, len);
	return rc;
}

static int batch_put(struct kv_batch *b, enum kv_table t, MDB_val *key, const void *value,
		     size_t len, struct err *e)
{
	int file = tables[t].file, r, rc = 0;

	r = batch_txn(b, file, e);
	if (r == 0)
		rc = put_wrapped(b->kv, b->txn[file], t, key, value, len);
	if (rc == MDB_MAP_FULL && file == KEPT) {
		/* Everything in them goes, and the put is tried on the empty file. */
		mdb_txn_abort(steal_pointer(&b->txn[KEPT]));
		rc = 0;
		r = discard_kept(b->kv, e);
		if (r == 0)
			r = batch_txn(b, KEPT, e);
		if (r == 0)
			rc = put_wrapped(b->kv, b->txn[KEPT], t, key, value, len);
	}
	return rc ? fail(e, rc, "cannot be written") : r;
}

static int batch_ended(const struct kv_batch *b, struct err *e)
{
	return err_set(e, ERR_IO, b->failed, "the local cache: an earlier change failed");
}

int kv_batch_put(struct kv_batch *b, enum kv_table t, const void *key, size_t key_bytes,
		 const void *value, size_t len_bytes, struct err *e)
{
	MDB_val k = borrow(key, key_bytes);
	int r;

	if (b->failed)
		return batch_ended(b, e);
	r = kvvalue_check(key_bytes, len_bytes, e);
	if (r == 0)
		r = batch_put(b, t, &k, value, len_bytes, e);
	if (r < 0)
		b->failed = r;
	return r;
}

static int batch_delete(struct kv_batch *b, enum kv_table t, MDB_val *key, struct err *e)
{
	int file = tables[t].file, r, rc;

	if (!b->kv->env[file])
		return 0; /* out of use: nothing is there */
	r = batch_txn(b, file, e);
	if (r < 0)
		return r;
	rc = mdb_del(b->txn[file], b->kv->dbi[t], key, NULL);
	if (rc == MDB_MAP_FULL && file == KEPT) {
		mdb_txn_abort(steal_pointer(&b->txn[KEPT]));
		return discard_kept(b->kv, e);
	}
	return rc && rc != MDB_NOTFOUND ? fail(e, rc, "cannot be written") : 0;
}

int kv_batch_delete(struct kv_batch *b, enum kv_table t, const void *key, size_t key_bytes,
		    struct err *e)
{
	MDB_val k = borrow(key, key_bytes);
	int r;

	if (b->failed)
		return batch_ended(b, e);
	r = kvvalue_check(key_bytes, 0, e);
	if (r == 0)
		r = batch_delete(b, t, &k, e);
	if (r < 0)
		b->failed = r;
	return r;
}

int kv_batch_get(struct kv_batch *b, enum kv_table t, const void *key, size_t key_bytes,
		 const void **ret, size_t *ret_len, struct err *e)
{
	int file = tables[t].file, r;
	struct kvvalue v;

	if (b->failed)
		return batch_ended(b, e);
	r = kvvalue_check(key_bytes, 0, e);
	if (r == 0 && !b->kv->env[file])
		return KV_ABSENT;
	if (r == 0)
		r = batch_txn(b, file, e);
	if (r == 0)
		r = find(b->kv, b->txn[file], t, key, key_bytes, &v, e);
	return r ? r : kvvalue_view(&v, ret, ret_len);
}

/* The ephemeral file first: what is lost of the surviving one by a full map is no failure. */
int kv_batch_commit(struct kv_batch *b, struct err *e)
{
	int r = b->failed, rc;

	for (int file = FILES - 1; file >= 0; file--) {
		MDB_txn *txn = steal_pointer(&b->txn[file]);

		if (!txn)
			continue;
		if (r < 0) {
			mdb_txn_abort(txn);
			continue;
		}
		rc = mdb_txn_commit(txn);
		if (rc == MDB_MAP_FULL && file == KEPT)
			r = discard_kept(b->kv, e);
		else if (rc)
			r = fail(e, rc, "cannot be written");
	}
	if (b->failed)
		batch_ended(b, e);
	kv_batch_abort(b);
	return r;
}

void kv_batch_abort(struct kv_batch *b)
{
	if (!b)
		return;
	for (int file = 0; file < FILES; file++)
		if (b->txn[file])
			mdb_txn_abort(b->txn[file]);
	pthread_mutex_unlock(&b->kv->writer);
	free(b);
}

static int end_single(struct kv_batch *b, int r, struct err *e)
{
	if (r == 0)
		return kv_batch_commit(b, e);
	kv_batch_abort(b);
	return r;
}

int kv_put(struct kv *kv, enum kv_table t, const void *key, size_t key_bytes, const void *value,
	   size_t len_bytes, struct err *e)
{
	struct kv_batch *b;
	int r = kv_batch_begin(kv, &b, e);

	if (r == 0)
		r = end_single(b, kv_batch_put(b, t, key, key_bytes, value, len_bytes, e), e);
	return r;
}

int kv_delete(struct kv *kv, enum kv_table t, const void *key, size_t key_bytes, struct err *e)
{
	struct kv_batch *b;
	int r = kv_batch_begin(kv, &b, e);

	if (r == 0)
		r = end_single(b, kv_batch_delete(b, t, key, key_bytes, e), e);
	return r;
}
