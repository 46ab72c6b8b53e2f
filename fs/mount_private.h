/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of a mount: what it is made of. */
#ifndef SSTABLEFS_FS_MOUNT_PRIVATE_H
#define SSTABLEFS_FS_MOUNT_PRIVATE_H

#include "fs/mount.h"
#include "fs/op.h"

/*
 * Memory (P7): memory= covers the blocks of content, the metadata objects kept whole, the parsed trees, and the scratch overlay. Small tables and thread stacks are in the 64 MiB beside it.
 */
struct mount {
	struct mount_options o;
	struct repo *repo;
	struct source *source;
	struct kv *kv;
	struct meta *meta;
	struct reader *reader;
	struct index *index;
	struct treecache *trees;
	struct overlay *overlay; /* NULL: nothing can be changed */
	struct view *view;
	struct pinned *pinned;
	struct autopins *autopins;
	struct fs *fs;
	struct server server;
	bool server_started;
	struct fuse_session *session;
	char *mountpoint; /* absolute */
	bool mounted;
	unsigned connection;  /* its number below /sys/fs/fuse/connections, 0 where not known */
	struct cancel cancel; /* the mount ends */
	int64_t begun_ms;
	char *cache_path;
	uint64_t index_memory; /* of memory=, for the index, where there is no cache directory; else 0 */
};

/* Texts of .sstablefs, appended to out; ctx is the mount. Any thread. */
void mount_status_text(void *ctx, struct wbuf *out);
void mount_metrics_text(void *ctx, struct wbuf *out);

/* How much of memory= an index takes that cannot lie on a disk. */
uint64_t mount_index_memory(const struct mount *m);
/* How much of cache_size= the link counts of all nodes may take (fs/index.h): an eighth, as much as the other tables. */
uint64_t mount_link_bytes(const struct mount *m);
/* Opens kv: in a locked directory below cache_dir, or in memory (logged), and sets cache_path. -ENOTDIR: cache_dir cannot be a directory. */
int mount_open_cache(struct mount *m, struct err *e);

#endif
