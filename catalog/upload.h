/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that put a backup's new objects below its own writer's prefix, a bounded number at once. Any thread may hand objects over. */
#ifndef SSTABLEFS_CATALOG_UPLOAD_H
#define SSTABLEFS_CATALOG_UPLOAD_H

#include "catalog/keys.h"
#include "catalog/object.h"
#include "catalog/progress.h"
#include "catalog/stored.h"
#include "catalog/work.h"
#include "store/store.h"

struct upload_options {
	struct store *store;
	const struct node_name *where;
	struct ulid writer;
	unsigned connections;
	bool dry_run; /* nothing is sent; everything else as if */
	const struct stored *
		stored; /* data objects that an interrupted run has sent already; NULL: none. Must outlive */
	struct work *work;
	struct progress *progress; /* may be NULL */
};

struct upload;
/* Called when the image is no longer needed: sent, or given up. From any thread, without the lock of `work`. */
typedef void upload_done_fn(void *ctx);

struct upload *upload_new(const struct upload_options *o); /* copies *o; NULL: out of memory */
void upload_free(struct upload *u);			   /* waits for what is under way */
DEFINE_CLEANUP(struct upload *, upload_free);

/* The memory of the image must stay as it is until `done`. A failure of the PUT goes to work_fail. 0, or < 0: not taken over, `done` is not called. */
int upload_put(struct upload *u, enum key_object kind, const struct object_image *image,
	       upload_done_fn *done, void *ctx, struct err *e);
/* Blocks until everything handed over was acknowledged, or something failed (see work_failed). */
void upload_drain(struct upload *u);
uint64_t upload_object_count(const struct upload *u);
/* Plain bytes of the data objects, and of how many of them an interrupted run had sent. */
uint64_t upload_data_bytes(const struct upload *u);
uint64_t upload_stored_bytes(const struct upload *u);

#endif
