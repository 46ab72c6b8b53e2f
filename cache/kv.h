/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local key-value store: LMDB, behind checksums. Everything in it can be rebuilt; nothing in it is believed without a check.
 *
 * Two LMDB files in one directory: data.mdb holds the tables that survive, mount.mdb the ephemeral ones and begins empty each time. Both are used without fsync:
 * kv_close writes a digest of data.mdb into a mark beside it, kv_open wants that mark to be there and to fit, else the file is discarded
 * (an LMDB file that was torn or garbled can end a process: it is never mapped). Each value carries a checksum too; one that does not fit is as if absent.
 *
 * max_bytes bounds both files together. The ephemeral tables may take 7/8 of it; what is not theirs is for the others, at least 1/8. Where these have grown beyond their
 * part, or their map is full, all surviving tables are discarded before the next change to them: also what an open batch has put into them so far. -ENOSPC: a single
 * value that cannot fit, or an ephemeral table beyond its part. A full disk: -ENOSPC, or -EIO where LMDB saw a write cut short. After these the store goes on with what it has.
 * The directory may be deleted at any time: what is open goes on, nothing is left behind, and a later discard puts the surviving tables out of use (reads find nothing).
 *
 * One process at a time (flock on the directory's lock file); open after daemonising; any thread.
 */
#ifndef SSTABLEFS_CACHE_KV_H
#define SSTABLEFS_CACHE_KV_H

#include "base/err.h"

struct kv;

/* Tables are fixed at build time: persistent ones survive, ephemeral ones are emptied at open. */
enum kv_table {
	KV_BLOBS,   /* digest (32) -> tree or run bytes */
	KV_RECORDS, /* record key -> etag NUL text */
	KV_HEADS,   /* object id (32) -> head bytes */
	KV_RING,    /* object id (32) u32 block -> where in the disk ring (cache/ring.h) */
	KV_STATE,   /* small things: probe results, … */
	KV_INODES,  /* ephemeral: the mount's index (fs/) */
	KV_RUNS,    /* ephemeral: the mount's index (fs/) */
	KV_DIRS,    /* ephemeral: the mount's index (fs/) */
	KV_TABLES
};

#define KV_MIN_BYTES (16 * MIB)

/*
 * path: a directory and no symbolic link, made where missing (0700). max_bytes below KV_MIN_BYTES count as that. -EBUSY (ERR_CONFLICT): another process has it. -EPERM
 * (ERR_CONFLICT): it is another user's, or others may write to it.
 */
int kv_open(const char *path, uint64_t max_bytes, struct kv **ret, struct err *e);
void kv_close(struct kv *kv);
DEFINE_CLEANUP(struct kv *, kv_close);
/* Why kv_open did not believe what it found ("it was not closed", …), for the log; NULL where it did or there was nothing. A constant. */
const char *kv_discarded(const struct kv *kv);

/*
 * Where the ephemeral tables go when their disk is full or broken: a directory that is made then and in which nothing stays (of files in memory, for example). At most
 * max_bytes; -EAGAIN of a change or a commit says that they went, and that nothing of the batch is there: it can be done again. Once only. Before other threads. -ENOMEM.
 */
int kv_set_refuge(struct kv *kv, const char *path, uint64_t max_bytes);

#define KV_KEY_MAX 511
#define KV_VALUE_MAX (64 * MIB)

/* A copy of the value in a new buffer (NUL behind it, not counted). > 0 (KV_ABSENT): none. */
enum { KV_ABSENT = 1 };
int kv_get(struct kv *kv, enum kv_table t, const void *key, size_t key_bytes, void **ret,
	   size_t *ret_len, struct err *e);
/* As kv_get, into caller's memory of at most cap bytes (-E2BIG: larger). On any other result than 0 the memory's content is undefined. */
int kv_read(struct kv *kv, enum kv_table t, const void *key, size_t key_bytes, void *dst,
	    size_t cap_bytes, size_t *ret_len, struct err *e);
int kv_put(struct kv *kv, enum kv_table t, const void *key, size_t key_bytes, const void *value,
	   size_t len_bytes, struct err *e);
int kv_delete(struct kv *kv, enum kv_table t, const void *key, size_t key_bytes, struct err *e);

/*
 * Many changes as one transaction (one for each of the two files): cheap per change. Not shared between threads; blocks other writers while open, so no I/O in
 * between and no kv_put by the same thread. Memory: a few KiB for each changed page until the commit. After a failed put or delete the batch can only end.
 */
struct kv_batch;
int kv_batch_begin(struct kv *kv, struct kv_batch **ret, struct err *e);
/* 0, KV_ABSENT; valid until the next put or delete of the batch. */
int kv_batch_get(struct kv_batch *b, enum kv_table t, const void *key, size_t key_bytes,
		 const void **ret, size_t *ret_len, struct err *e);
int kv_batch_put(struct kv_batch *b, enum kv_table t, const void *key, size_t key_bytes,
		 const void *value, size_t len_bytes, struct err *e);
int kv_batch_delete(struct kv_batch *b, enum kv_table t, const void *key, size_t key_bytes,
		    struct err *e);			/* what is absent is no error */
int kv_batch_commit(struct kv_batch *b, struct err *e); /* frees b, whatever the result */
void kv_batch_abort(struct kv_batch *b);

/* Entries whose key begins with prefix, in order; fn: 0 go on, > 0 stop, < 0 fail. Memory is borrowed during the call; fn must not write to kv. */
typedef int kv_each_fn(void *ctx, const void *key, size_t key_bytes, const void *value,
		       size_t len_bytes, struct err *e);
int kv_each(struct kv *kv, enum kv_table t, const void *prefix, size_t prefix_bytes, kv_each_fn *fn,
	    void *ctx, struct err *e);

uint64_t kv_used_bytes(struct kv *kv);

#endif
