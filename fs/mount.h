/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mount, whole: the tree of ARCHITECTURE.md section 2 served by FUSE until it is unmounted or told to stop. Two mounts in one process work.
 */
#ifndef SSTABLEFS_FS_MOUNT_H
#define SSTABLEFS_FS_MOUNT_H

#include <sys/types.h>
#include "base/log.h"
#include "base/metrics.h"
#include "catalog/object.h"
#include "catalog/repo.h"

struct mount_options {
	const char *mountpoint;
	const char *fsname;	    /* SPEC exactly as given */
	const char *cluster, *node; /* show only that; NULL: all */
	const char *pin;	    /* a backup to hold on to; NULL */
	const char *default_node;   /* this host's: which node's, where `node` is NULL */
	const char *cache_dir;	    /* base directory; one locked sub-directory of it is used */
	uint64_t cache_bytes, memory_bytes;
	uint64_t overlay_bytes; /* of memory_bytes, at most a third; 0: every write is answered with EROFS */
	unsigned connections;
	unsigned refresh_s;
	enum object_verify verify;
	bool allow_other, numeric_ids, xattr, read_only;
	bool has_uid, has_gid, has_umask;
	uid_t uid;
	gid_t gid;
	mode_t umask;
	int trace_fd; /* one line for each file-system operation; -1: none */
	struct log *log;
	struct metrics *metrics;
	const struct clock *clock;
};

struct mount;
/* Opens the cache, looks into the store once, mounts. On return the tree can be used (the kernel's INIT was answered by mount_serve, which must follow). A stale mount of sstablefs there is cleared (logged); without a usable cache directory the index lies in memory (logged). Errors: a busy mount point, no /dev/fuse, no permission, allow_other not allowed by fuse.conf: a sentence each. */
int mount_open(struct repo *repo, const struct mount_options *o, struct mount **ret, struct err *e);
/* Serves until unmounted or mount_stop. on_ready is called once, when the first request was answered. Readers that are active at the end get an answer. */
int mount_serve(struct mount *m, void (*on_ready)(void *ctx), void *ctx, struct err *e);
/* Ends the session; async-signal-safe. */
void mount_stop(struct mount *m);
/* Unmounts (lazily where still busy) and frees. */
void mount_close(struct mount *m);

#endif
