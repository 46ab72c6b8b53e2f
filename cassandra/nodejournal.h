/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of restore-node: which backup is being restored into which directories, and how far it is (docs/restore-node.md). It lies in the first data directory,
 * <place 0>/.sstablefs-restore-node/journal.json, is replaced atomically and durably before and after each step, and a lock beside it lets one process at a time work.
 */
#ifndef SSTABLEFS_CASSANDRA_NODEJOURNAL_H
#define SSTABLEFS_CASSANDRA_NODEJOURNAL_H

#include "base/ulid.h"
#include "cassandra/swap.h"

#define NODEJOURNAL_PLACES_MAX 1100
#define NODEJOURNAL_BYTES_MAX ((size_t)8 * 1024 * 1024)

enum nodejournal_mode { NODEJOURNAL_RESTORE, NODEJOURNAL_ABORT, NODEJOURNAL_FINISH };
/* In this order; nodejournal_has() says which of them a restore consists of. */
enum nodejournal_step {
	NODEJOURNAL_FETCH,
	NODEJOURNAL_STOP,
	NODEJOURNAL_OUT,
	NODEJOURNAL_EMPTY,
	NODEJOURNAL_COPY,
	NODEJOURNAL_IN,
	NODEJOURNAL_YAML,
	NODEJOURNAL_START,
	NODEJOURNAL_CHECK,
	NODEJOURNAL_IMPORT
};
#define NODEJOURNAL_STEPS (NODEJOURNAL_IMPORT + 1)
#define NODEJOURNAL_ONLY_MAX 256
/* Where the data of before are. */
enum nodejournal_moved {
	NODEJOURNAL_IN_PLACE,
	NODEJOURNAL_PARTLY,
	NODEJOURNAL_ASIDE,
	NODEJOURNAL_REMOVED /* some of them at least */
};

struct nodejournal { /* strings are owned */
	char *cluster, *node, *backup;
	char *host_id; /* that the backup's node has; "" = not known */
	char writer[ULID_TEXT];
	enum nodejournal_mode mode;
	enum nodejournal_step step;
	bool done; /* the step */
	enum nodejournal_moved moved;
	bool keep_auth;
	bool no_stage; /* what was there is removed before the backup comes */
	char *tokens;  /* --remote: those of the backup's node, parted by commas; "" else */
	char *yaml;    /* --remote: cassandra.yaml; "" else */
	char **only;   /* --only: what is imported into a node that runs */
	size_t only_count;
	char *importing; /* the table whose import was begun last, "shop.users"; "": none was */
	char *address; /* of the node, as it said itself before; "": it was not asked, or cassandra.yaml says where CQL is taken */
	bool was_running; /* the node, when it began */
	bool made; /* our directories in all places: one that is missing from then on is on a disk that is not mounted */
	struct swap_place *places; /* the data directories come first */
	size_t place_count;
};

struct nodejournal *nodejournal_new(void); /* NULL: out of memory */
void nodejournal_free(struct nodejournal *j);
DEFINE_CLEANUP(struct nodejournal *, nodejournal_free);
/* 0 or -ENOMEM. Data directories before others. */
int nodejournal_add_place(struct nodejournal *j, const char *path, bool data, struct err *e);
/* 0 or -ENOMEM. */
int nodejournal_add_only(struct nodejournal *j, const char *only, struct err *e);
/* Whether the restore consists of that step, too. */
bool nodejournal_has(const struct nodejournal *j, enum nodejournal_step s);

#define NODEJOURNAL_KEPT "system_auth" /* keep_auth: stays as it is on the node */
#define NODEJOURNAL_EXCEPT_MAX 4
/*
 * What of the backup does not come, as "ks" or "ks.table". Of another node: which node it is and whom it knows (system.local, peers), which the node then finds out anew.
 */
size_t nodejournal_except(const struct nodejournal *j, const char *ret[NODEJOURNAL_EXCEPT_MAX]);
/* What the restore was asked to be, as options: "--remote --keep-auth", "--only shop.users". A new string; NULL: out of memory. */
char *nodejournal_options(const struct nodejournal *j);

/*
 * In both `data_dir` has no symbolic links (placepath_find): one that has become one since is not followed.
 *
 * Takes the lock in that data directory, making SWAP_DIRECTORY where it is missing (`make`). A descriptor; -ENOENT (ERR_NOT_FOUND): nothing is there; -EBUSY (ERR_CONFLICT).
 */
int nodejournal_lock(const char *data_dir, bool make, int *ret_fd, struct err *e);
/* NULL in *ret: there is none. ERR_CORRUPT: it cannot be understood. */
int nodejournal_read(const char *data_dir, struct nodejournal **ret, struct err *e);
/* Durable when it returns. A file beside it keeps some room for it, which it takes where the disk is full. */
int nodejournal_write(const struct nodejournal *j, struct err *e);
/* Removes everything of ours from the places, the journal last. May take minutes, as swap_empty. */
int nodejournal_end(const struct nodejournal *j, const struct cancel *cancel, struct err *e);

const char *nodejournal_step_name(enum nodejournal_step s);
const char *nodejournal_mode_name(enum nodejournal_mode m);

#endif
