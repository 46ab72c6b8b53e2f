/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks: `writer` is held by whoever changes either file (an open batch holds it all the time); `lock` of a file is read-held during reads of its
 * tables and write-held while the file is replaced. Order: writer, then lock.
 */
#include "cache/kv.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include "base/io.h"
#include "cache/kvenv.h"
#include "cache/kvvalue.h"
#include "cache/mark.h"

#define MARK_NAME "closed"

struct kv {
	struct kvdir dir;
	uint64_t max_bytes;
	const char *discarded;
	pthread_mutex_t writer;
	pthread_rwlock_t lock[KVENV_FILES];
	MDB_env *env[KVENV_FILES]; /* NULL once it could not be made anew */
	MDB_dbi dbi[KV_TABLES];
	char *refuge; /* where [KVENV_SCRATCH] goes when its disk fails; NULL: nowhere, or it went there */
	uint64_t refuge_bytes;
};

struct kv_batch {
	struct kv *kv;
	MDB_txn *txn[KVENV_FILES]; /* begun at the first use */
	int failed;		   /* what a put or delete failed with */
};

static int fail(struct err *e, int rc, const char *what)
{
	int code = -EIO;

	if (rc == MDB_MAP_FULL || rc == MDB_TXN_FULL || rc == EDQUOT)
		code = -ENOSPC;
	else if (rc > 0)
		code = -rc;
	return err_set(e, ERR_IO, code, "the local cache: %s: %s", what,
		       rc == MDB_MAP_FULL ? "full: allow a larger cache_size=" : mdb_strerror(rc));
}

/* LMDB's interface has no const. */
static MDB_val borrow(const void *data, size_t len)
{
	return (MDB_val){ .mv_size = len, .mv_data = (void *)(uintptr_t)data };
}

/* ---- files ---- */

static uint64_t map_bytes(const struct kv *kv)
{
	return kv->max_bytes / 8 * 7;
}

static int file_open_empty(struct kv *kv, int file)
{
	return kvenv_open_empty(&kv->dir, file, map_bytes(kv), kv->dbi, &kv->env[file]);
}

/* Discards all surviving tables. The caller holds `writer` and has no transaction on them. */
static int discard_kept(struct kv *kv, struct err *e)
{
	int rc;

	pthread_rwlock_wrlock(&kv->lock[KVENV_KEPT]);
	if (kv->env[KVENV_KEPT])
		mdb_env_close(steal_pointer(&kv->env[KVENV_KEPT]));
	rc = file_open_empty(kv, KVENV_KEPT);
	pthread_rwlock_unlock(&kv->lock[KVENV_KEPT]);
	return rc ? fail(e, rc, "cannot be made anew") : 0;
}

/* The ephemeral tables as they were committed, in a directory that has no name any more. An LMDB error number. */
static int open_in_refuge(struct kv *kv, struct kvdir *dir)
{
	struct err e = ERR_INIT;
	MDB_env *env;
	int r = kvdir_open(dir, kv->refuge, &e), rc;

	if (r == 0)
		r = kvenv_copy(kv->env[KVENV_SCRATCH], dir, KVENV_SCRATCH, kv->refuge_bytes);
	if (r < 0)
		return -r;
	rc = kvenv_open(dir, KVENV_SCRATCH, kv->refuge_bytes, kv->dbi, &env);
	if (rc == 0) {
		mdb_env_close(kv->env[KVENV_SCRATCH]);
		kv->env[KVENV_SCRATCH] = env;
	}
	return rc;
}

/* The disk of the ephemeral tables is full or broken: they move. The caller holds `writer` and has no transaction on them. 0: they did. */
static int take_refuge(struct kv *kv)
{
	_cleanup_free_ char *path = NULL;
	struct kvdir dir = KVDIR_NONE;
	int rc;

	if (!kv->refuge || !kv->env[KVENV_SCRATCH])
		return ENOSPC;
	pthread_rwlock_wrlock(&kv->lock[KVENV_SCRATCH]);
	rc = open_in_refuge(kv, &dir);
	path = steal_pointer(&kv->refuge);
	pthread_rwlock_unlock(&kv->lock[KVENV_SCRATCH]);
	if (dir.fd >= 0)
		io_remove_tree(AT_FDCWD, path);
	kvdir_close(&dir);
	if (rc == 0) /* what is left on the disk is of no use */
		io_remove_tree(kv->dir.fd, kvenv_name(KVENV_SCRATCH));
	return rc;
}

static bool kept_is_over_its_part(const struct kv *kv)
{
	uint64_t scratch = kvenv_used(kv->env[KVENV_SCRATCH]);
	uint64_t left = scratch < kv->max_bytes ? kv->max_bytes - scratch : 0;

	return kvenv_used(kv->env[KVENV_KEPT]) > MAX_OF(left, kv->max_bytes / 8);
}

/* ---- open and close ---- */

static int open_kept(struct kv *kv, struct err *e)
{
	int r, rc = MDB_INVALID;

	r = mark_take(kv->dir.fd, MARK_NAME, kvenv_name(KVENV_KEPT), map_bytes(kv), &kv->discarded,
		      e);
	if (r < 0)
		return r;
	if (r == 0) {
		rc = kvenv_open(&kv->dir, KVENV_KEPT, map_bytes(kv), kv->dbi, &kv->env[KVENV_KEPT]);
		if (rc)
			kv->discarded = "LMDB does not take it";
	}
	if (rc)
		rc = file_open_empty(kv, KVENV_KEPT);
	return rc ? fail(e, rc, "cannot be made") : 0;
}

static void close_files(struct kv *kv)
{
	for (int file = 0; file < KVENV_FILES; file++)
		if (kv->env[file])
			mdb_env_close(steal_pointer(&kv->env[file]));
}

static void release(struct kv *kv)
{
	close_files(kv);
	kvdir_close(&kv->dir);
	for (int file = 0; file < KVENV_FILES; file++)
		pthread_rwlock_destroy(&kv->lock[file]);
	pthread_mutex_destroy(&kv->writer);
	free(kv->refuge);
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
	for (int file = 0; file < KVENV_FILES; file++)
		pthread_rwlock_init(&kv->lock[file], NULL);
	r = kvdir_open(&kv->dir, path, e);
	if (r == 0)
		r = open_kept(kv, e);
	if (r == 0)
		rc = file_open_empty(kv, KVENV_SCRATCH);
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
	if (kv->env[KVENV_KEPT] && mdb_env_get_fd(kv->env[KVENV_KEPT], &fd) == 0)
		ours = kvdir_is_ours(&kv->dir, kvenv_name(KVENV_KEPT), fd);
	close_files(kv);
	if (ours) {
		io_remove_tree(kv->dir.fd, kvenv_name(KVENV_SCRATCH));
		mark_write(kv->dir.fd, MARK_NAME, kvenv_name(KVENV_KEPT), NULL);
	}
	release(kv);
}

const char *kv_discarded(const struct kv *kv)
{
	return kv->discarded;
}

uint64_t kv_used_bytes(struct kv *kv)
{
	uint64_t used = 0;

	for (int file = 0; file < KVENV_FILES; file++) {
		pthread_rwlock_rdlock(&kv->lock[file]);
		used += kvenv_used(kv->env[file]);
		pthread_rwlock_unlock(&kv->lock[file]);
	}
	return used;
}

int kv_set_refuge(struct kv *kv, const char *path, uint64_t max_bytes)
{
	kv->refuge = strdup(path);
	kv->refuge_bytes = max_bytes / MIB * MIB;
	return kv->refuge ? 0 : -ENOMEM;
}

static struct kvvalue value_of(enum kv_table t, const MDB_val *key, const MDB_val *stored)
{
	return (struct kvvalue){ t, key->mv_data, key->mv_size, stored->mv_data, stored->mv_size };
}

/* ---- reading ---- */

/* 0, KV_ABSENT (the tables are out of use) or < 0. On 0, read_end must follow. */
static int read_begin(struct kv *kv, enum kv_table t, MDB_txn **ret, struct err *e)
{
	int file = kvenv_of(t), rc = KV_ABSENT;

	pthread_rwlock_rdlock(&kv->lock[file]);
	if (kv->env[file]) {
		rc = mdb_txn_begin(kv->env[file], NULL, MDB_RDONLY, ret);
		if (rc)
			rc = fail(e, rc, "cannot be read");
	}
	if (rc)
		pthread_rwlock_unlock(&kv->lock[file]);
	return rc;
}

static void read_end(struct kv *kv, enum kv_table t, MDB_txn *txn)
{
	mdb_txn_abort(txn);
	pthread_rwlock_unlock(&kv->lock[kvenv_of(t)]);
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

static bool is_of_the_disk(int rc)
{
	return rc == ENOSPC || rc == EDQUOT || rc == EFBIG || rc == EIO || rc == EROFS ||
	       rc == MDB_PANIC;
}

/* LMDB lets nobody read any more when it could not write a meta page. */
static bool can_be_read(MDB_env *env)
{
	MDB_txn *txn;

	if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn))
		return false;
	mdb_txn_abort(txn);
	return true;
}

/*
 * A change of one of the files failed with an LMDB error number. By the disk: the ephemeral tables move (-EAGAIN: nothing of the batch is there); the surviving
 * ones stay as they were, or are discarded where they cannot be read any more.
 */
static int failed_change(struct kv_batch *b, int file, int rc, struct err *e)
{
	if (!is_of_the_disk(rc))
		return fail(e, rc, "cannot be written");
	if (b->txn[file])
		mdb_txn_abort(steal_pointer(&b->txn[file]));
	if (file == KVENV_SCRATCH && take_refuge(b->kv) == 0)
		return err_set(e, ERR_IO, -EAGAIN,
			       "the local cache: its disk failed, and it moved");
	if (file == KVENV_KEPT && !can_be_read(b->kv->env[file]))
		discard_kept(b->kv, NULL);
	return fail(e, rc, "cannot be written");
}

static int batch_txn(struct kv_batch *b, int file, struct err *e)
{
	struct kv *kv = b->kv;
	int rc, r = 0;

	if (b->txn[file])
		return 0;
	if (file == KVENV_KEPT && kv->env[KVENV_KEPT] && kept_is_over_its_part(kv))
		r = discard_kept(kv, e);
	else if (!kv->env[file])
		r = err_set(e, ERR_IO, -EIO, "the local cache is out of use");
	if (r < 0)
		return r;
	rc = mdb_txn_begin(kv->env[file], NULL, 0, &b->txn[file]);
	return rc ? failed_change(b, file, rc, e) : 0;
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
	int file = kvenv_of(t), r, rc = 0;

	r = batch_txn(b, file, e);
	if (r == 0)
		rc = put_wrapped(b->kv, b->txn[file], t, key, value, len);
	if (rc == MDB_MAP_FULL && file == KVENV_KEPT) {
		/* Everything in them goes, and the put is tried on the empty file. */
		mdb_txn_abort(steal_pointer(&b->txn[KVENV_KEPT]));
		rc = 0;
		r = discard_kept(b->kv, e);
		if (r == 0)
			r = batch_txn(b, KVENV_KEPT, e);
		if (r == 0)
			rc = put_wrapped(b->kv, b->txn[KVENV_KEPT], t, key, value, len);
	}
	return rc ? failed_change(b, file, rc, e) : r;
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
	int file = kvenv_of(t), r, rc;

	if (!b->kv->env[file])
		return 0; /* out of use: nothing is there */
	r = batch_txn(b, file, e);
	if (r < 0)
		return r;
	rc = mdb_del(b->txn[file], b->kv->dbi[t], key, NULL);
	if (rc == MDB_MAP_FULL && file == KVENV_KEPT) {
		mdb_txn_abort(steal_pointer(&b->txn[KVENV_KEPT]));
		return discard_kept(b->kv, e);
	}
	return rc && rc != MDB_NOTFOUND ? failed_change(b, file, rc, e) : 0;
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
	int file = kvenv_of(t), r;
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

	for (int file = KVENV_FILES - 1; file >= 0; file--) {
		MDB_txn *txn = steal_pointer(&b->txn[file]);

		if (!txn)
			continue;
		if (r < 0) {
			mdb_txn_abort(txn);
			continue;
		}
		rc = mdb_txn_commit(txn);
		if (rc == MDB_MAP_FULL && file == KVENV_KEPT)
			r = discard_kept(b->kv, e);
		else if (rc)
			r = failed_change(b, file, rc, e);
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
	for (int file = 0; file < KVENV_FILES; file++)
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
