/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins that a mount takes by itself (docs/mount.md, "Pins"): a backup is pinned while files of it are open, and for a while after. One pin for each backup, however
 * many files; a few threads for all of them, and none that wakes while there is no pin. Which backup is pinned for a file is its owner's to choose.
 *
 *   WAITING --begun--> HELD --lost--> LOST --begun again--> HELD
 *       \--its record is not COMMITTED--> GONE <--/
 *
 * WAITING: files are read without a pin (the store does not answer, or must not be written). LOST and GONE: their reads answer EIO.
 */
#ifndef SSTABLEFS_FS_AUTOPIN_H
#define SSTABLEFS_FS_AUTOPIN_H

#include "base/metrics.h"
#include "catalog/hold.h"
#include "fs/view.h"

struct autopin_choice { /* of a pin that is known only the writer is needed */
	struct node_name where;
	char backup[FORMAT_NAME_BYTES + 1];
	struct ulid writer;
	struct place root;
	bool sure; /* it is known to hold the file */
};

struct autopin_known { /* a pin of that node: as good as any other, or (gone) none */
	struct ulid writer;
	bool gone;
};

enum {
	AUTOPIN_NONE = 3 /* nothing need be pinned, or nothing can be */,
	AUTOPIN_GONE = 4 /* every backup that held it is gone */
};

struct autopin_ops {
	/* Which backup to pin for an inode of a node; known: those that were used last come first. 0 or AUTOPIN_…. Asks nothing of the store. */
	int (*choose)(void *ctx, uint32_t node, uint64_t ino, const struct autopin_known *known,
		      size_t count, struct autopin_choice *ret);
	/* Whether all choices for that node are now sure. */
	bool (*settled)(void *ctx, uint32_t node);
	/* A backup of the node is not there any more: the next look must ask. */
	void (*deleted)(void *ctx, uint32_t node);
	void *ctx;
};

struct autopin_options { /* borrowed */
	struct repo *repo;
	struct log *log;
	struct metrics *metrics;
	int64_t linger_ms; /* a pin ends so long after its last file was closed; 0: 15 minutes */
	int64_t wait_ms;   /* an open waits so long for a pin; 0: 2 s */
	int64_t retry_ms;  /* after a failure; 0: 15 s */
	int64_t renew_ms;  /* 0: hold.h's */
	int64_t end_ms; /* autopin_stop and autopin_free wait so long for pins that end; 0: 10 s */
	unsigned max;	/* pins at once; 0: 256 */
};

struct autopins;
/* No thread is started yet. NULL: out of memory. */
struct autopins *autopin_new(const struct autopin_options *o);
/* Before the first open. Who chooses must live until autopin_stop. */
void autopin_set_ops(struct autopins *a, const struct autopin_ops *ops);
/* No pin is begun or renewed any more, and nothing is chosen; pins that are being ended have end_ms. */
void autopin_stop(struct autopins *a);
/* Ends all pins, within end_ms altogether: what is not ended then stays until a collector ends it. All uses must be closed. */
void autopin_free(struct autopins *a);
DEFINE_CLEANUP(struct autopins *, autopin_free);

struct autopin_use {	     /* an open file; zeroed before autopin_open */
	struct autopin *pin; /* under the lock of the pins; NULL: none */
	uint32_t node;
	uint64_t ino;
	bool sure;
};

/*
 * Waits for a pin for at most wait_ms; goes on without where none can be had by then. 0; VIEW_WOULD_BLOCK; -ESTALE: the backup was deleted, and no other has the
 * file; -EINTR.
 */
int autopin_open(struct autopins *a, uint32_t node, uint64_t ino, struct view_wait w,
		 struct autopin_use *use, struct err *e);
void autopin_close(struct autopins *a, struct autopin_use *use);
/* Before each read. Where the pin was lost it waits for another one. 0, VIEW_WOULD_BLOCK, -EIO: the pin was lost, -EINTR. */
int autopin_check(struct autopins *a, struct autopin_use *use, struct view_wait w, struct err *e);
/* Adds to an error that says that an object is missing why it may be. Returns r. */
int autopin_explain(struct autopins *a, struct autopin_use *use, int r, struct err *e);

/* Lines of .sstablefs/status; counters. */
void autopin_describe(struct autopins *a, struct wbuf *out);
void autopin_count(struct autopins *a, struct metrics *m);

#endif
