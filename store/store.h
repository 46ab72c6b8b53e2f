/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The object store: one interface for memory, directories and S3, and for the wrappers that add retry, rate limits, traces and faults.
 *
 * Keys are non-empty UTF-8 of at most STORE_KEY_MAX bytes without NUL, without a leading '/', "." or ".." segments or empty segments.
 * Objects are immutable byte strings replaced as a whole; the store is strongly consistent: what a put acknowledged is seen by every
 * later get, head and list. All calls block, may be made from any number of threads at once, and give up with -ECANCELED within
 * 100 ms of `cancel` being set. Which requests are made again, and when, is the retry wrapper's business, never a backend's.
 *
 * Returns: 0 done; > 0 one of enum store_outcome, for which *e stays untouched; < 0 -errno with *e filled: kind, retryable, outcome_unknown (a put
 * whose answer was lost), http_status, request_id, key.
 */
#ifndef SSTABLEFS_STORE_STORE_H
#define SSTABLEFS_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include "base/cancel.h"
#include "base/err.h"

#define STORE_KEY_MAX 1024
#define STORE_ETAG_MAX 128	    /* with the NUL */
#define STORE_OBJECT_MAX (64 * MIB) /* the largest object that anybody here writes or reads */
#define STORE_DELETE_MAX 1000
#define STORE_LIST_PAGE 1000

enum store_outcome {
	STORE_NOT_FOUND = 1, /* get, head: no such key; put IF_MATCH: no such key */
	STORE_PRECONDITION, /* put: IF_ABSENT and the key exists, or IF_MATCH and the ETag is another (HTTP 412) */
	STORE_CONFLICT, /* put: a concurrent conditional write is under way; nothing is known of the outcome of ours but that it was not carried out (HTTP 409). The retry wrapper makes it again. */
};

enum store_cap {
	STORE_CAP_IF_ABSENT = 1 << 0, /* put with IF_ABSENT is atomic */
	STORE_CAP_IF_MATCH = 1 << 1,  /* put with IF_MATCH is atomic */
	STORE_CAP_DATE = 1 << 2,      /* answers carry the store's own time */
	STORE_CAP_LOCAL =
		1 << 3, /* no network: connections and read-ahead beyond the cores gain little */
};

enum store_cond { STORE_ALWAYS, STORE_IF_ABSENT, STORE_IF_MATCH };

/* What an answer says about the object and the store. */
struct store_meta {
	uint64_t size_bytes; /* of the whole object */
	char etag[STORE_ETAG_MAX]; /* opaque, compared as a string; quotes removed. Changes with the content */
	int64_t date_ns;     /* the store's time of the answer (Date), 0 where unknown */
	int64_t modified_ns; /* Last-Modified, 0 where unknown (put) */
};

struct store_put {
	const char *key;
	const struct iovec *body; /* borrowed until the call returns */
	int body_count;
	enum store_cond cond;
	const char *etag; /* for STORE_IF_MATCH */
};

struct store_get {
	const char *key;
	uint64_t offset;
	uint64_t len_bytes; /* exactly this many from offset, at least 1; a range that is not inside the object: -ERANGE, ERR_CORRUPT. 0 with whole = true */
	bool whole;	    /* the whole object, at most cap_bytes (larger: -EFBIG, ERR_CORRUPT) */
	uint64_t expected_bytes; /* whole: how long it may well be, for a rate limit; 0: short, or not known */
	void *dst;
	size_t cap_bytes;
	/*
	 * Called now and then on the calling thread, while more bytes arrive: dst[0..done) is filled and will not be written again; another attempt asks for the rest.
	 * Unverified bytes, also of two versions where the object is replaced meanwhile: check before use. May be NULL. `whole` needs expected_bytes then: an object of another length may fail (ERR_CORRUPT).
	 */
	void (*progress)(void *ctx, size_t done_bytes);
	void *progress_ctx;
};

struct store_entry {
	const char *key; /* borrowed during the callback; a common prefix ends in '/' */
	bool is_prefix;
	uint64_t size_bytes;
	const char *etag; /* "" for prefixes */
	int64_t modified_ns;
};

/* 0 to go on; > 0 to stop the listing without error; < 0 to fail with it. Called without locks, in order of keys (bytewise). */
typedef int store_list_fn(void *ctx, const struct store_entry *entry, struct err *e);

struct store_list {
	const char *prefix; /* "" for all */
	bool delimiter; /* group by '/' after the prefix: a group that holds a key is one entry */
	const char *start_after; /* keys bytewise greater than this; NULL: from the start */
	store_list_fn *entry;
	void *ctx;
};

struct store_delete_error {
	size_t index; /* into keys */
	char code[64];
	char message[192];
};

struct store;

struct store_ops {
	const char *name; /* "memory", "directory", "s3", "retry"… */
	int (*put)(struct store *s, const struct store_put *req, struct store_meta *ret,
		   const struct cancel *c, struct err *e);
	int (*get)(struct store *s, const struct store_get *req, struct store_meta *ret,
		   const struct cancel *c, struct err *e);
	int (*head)(struct store *s, const char *key, struct store_meta *ret,
		    const struct cancel *c, struct err *e);
	/* All pages, each requested when the one before was handed out. */
	int (*list)(struct store *s, const struct store_list *req, const struct cancel *c,
		    struct err *e);
	/* Up to STORE_DELETE_MAX keys; a missing key is success. 0 also with partial errors: *ret_error_count of the keys were not deleted, told in errors[] (room for `count`). */
	int (*delete_many)(struct store *s, const char *const *keys, size_t count,
			   struct store_delete_error *errors, size_t *ret_error_count,
			   const struct cancel *c, struct err *e);
	unsigned (*caps)(struct store *s);
	void (*free)(struct store *s); /* wrappers free the store below too */
};

/* Every backend and wrapper begins with this. */
struct store {
	const struct store_ops *ops;
};

/* Checked entries: arguments are validated here, once, for all backends (-EINVAL, ERR_USAGE). ret may be NULL. */
int store_put(struct store *s, const struct store_put *req, struct store_meta *ret,
	      const struct cancel *c, struct err *e);
int store_get(struct store *s, const struct store_get *req, struct store_meta *ret,
	      const struct cancel *c, struct err *e);
int store_head(struct store *s, const char *key, struct store_meta *ret, const struct cancel *c,
	       struct err *e);
int store_list(struct store *s, const struct store_list *req, const struct cancel *c,
	       struct err *e);
int store_delete_many(struct store *s, const char *const *keys, size_t count,
		      struct store_delete_error *errors, size_t *ret_error_count,
		      const struct cancel *c, struct err *e);
unsigned store_caps(struct store *s);
void store_free(struct store *s);
DEFINE_CLEANUP(struct store *, store_free);

/* Conveniences over the above. */
int store_put_bytes(struct store *s, const char *key, const void *data, size_t len_bytes,
		    enum store_cond cond, const char *etag, struct store_meta *ret,
		    const struct cancel *c, struct err *e);
/* The whole object in a new buffer with a NUL behind it (not counted). */
int store_get_alloc(struct store *s, const char *key, size_t max_bytes, char **ret_data,
		    size_t *ret_len, struct store_meta *ret_meta, const struct cancel *c,
		    struct err *e);
/* 0 or -EINVAL: the rule for keys above. */
int store_key_check(const char *key);

#endif
