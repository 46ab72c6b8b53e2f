/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scratch overlay of a mount: what was changed in it, in memory, private to it, forgotten with it. It knows nothing of backups but inode numbers:
 *
 *   a *name* in a directory either lies as the backup has it (below), or is hidden, or leads to an inode of the overlay or of a backup;
 *   a *count* says by how much the links of a backup's inode differ in this mount;
 *   an *inode* of the overlay has its number from a range of its own, above those of backups (fs/inode.h), and lives while it has a name, is open, or the kernel knows it.
 *
 * What a backup holds never changes, so whoever changes a name passes along what lies below it, found out before. A directory of a backup is known by its number and the generation
 * of its backup. Everything is one bound (fs/room.h): -ENOSPC. All calls are short and wait for nothing but each other. Failures are negative errno values. Any thread.
 */
#ifndef SSTABLEFS_FS_OVERLAY_H
#define SSTABLEFS_FS_OVERLAY_H

#include <sys/stat.h>
#include "base/clock.h"
#include "base/metrics.h"
#include "fs/inode.h"

#define OVERLAY_FIRST_INO (UINT64_C(1) << INODE_BITS)
#define OVERLAY_FIRST_COOKIE \
	(UINT64_C(1) << 40) /* smaller positions of a listing are the backup's */

struct overlay;
struct overlay *overlay_new(uint64_t max_bytes,
			    const struct clock *clock); /* NULL: out of memory */
void overlay_free(struct overlay *o);
/* As room_share, before anything else is done with the overlay. changed must not call it. */
void overlay_share(struct overlay *o, void (*changed)(void *ctx, uint64_t bytes), void *ctx);
DEFINE_CLEANUP(struct overlay *, overlay_free);

static inline bool overlay_owns(uint64_t ino)
{
	return ino >= OVERLAY_FIRST_INO;
}

struct overlay_dir {
	uint64_t ino, generation; /* generation 0: a directory of the overlay */
};

struct overlay_below { /* what a backup holds by a name; ino 0: nothing */
	uint64_t ino;
	bool is_dir;
	bool generated; /* it can be hidden, but leads nowhere under another name */
	uint64_t names; /* of a directory that is to be removed or replaced: how many it holds */
};

struct overlay_name {
	struct overlay_dir dir;
	const char *name;
	struct overlay_below below;
};

/* ---- looking ---- */

enum overlay_outcome { OVERLAY_BELOW = 1, OVERLAY_HIDDEN = 2 };

/* 0: *ret_ino, of the overlay or of a backup. OVERLAY_BELOW: as the backup has it. OVERLAY_HIDDEN: there is no such name. */
int overlay_find(struct overlay *o, struct overlay_dir dir, const char *name, uint64_t *ret_ino);
/* Whether something in a directory of a backup is not as the backup has it; then also when that last changed. */
bool overlay_has_changed(struct overlay *o, struct overlay_dir dir, struct timespec *ret);
/* To be added to st_nlink of a backup's inode. */
int64_t overlay_links(struct overlay *o, uint64_t ino);
/* Names that the backup has not, in the order of their positions, those behind `cookie` up to `last`; fn: > 0 stops. fn must not call the overlay. A name that is replaced keeps its position. */
typedef int overlay_list_fn(void *ctx, const char *name, uint64_t ino, mode_t type,
			    uint64_t cookie);
void overlay_list(struct overlay *o, struct overlay_dir dir, uint64_t cookie, uint64_t last,
		  overlay_list_fn *fn, void *ctx);
/* The position of the newest name of all: a listing that begins now ends there. */
uint64_t overlay_last_cookie(struct overlay *o);

/* ---- inodes of the overlay: -ESTALE where there is none ---- */

int overlay_stat(struct overlay *o, uint64_t ino, struct stat *ret);
/* The same, and the kernel knows it once more from now on. */
int overlay_look(struct overlay *o, uint64_t ino, struct stat *ret);
void overlay_forget(struct overlay *o, uint64_t ino, uint64_t times);
int overlay_parent(struct overlay *o, uint64_t ino, struct overlay_dir *ret); /* of a directory */
/* A new string. */
int overlay_readlink(struct overlay *o, uint64_t ino, char **ret);

enum overlay_set { /* as FUSE_SET_ATTR_* */
		   OVERLAY_SET_MODE = 1 << 0,
		   OVERLAY_SET_UID = 1 << 1,
		   OVERLAY_SET_GID = 1 << 2,
		   OVERLAY_SET_SIZE = 1 << 3,
		   OVERLAY_SET_ATIME = 1 << 4,
		   OVERLAY_SET_MTIME = 1 << 5,
		   OVERLAY_SET_ATIME_NOW = 1 << 7,
		   OVERLAY_SET_MTIME_NOW = 1 << 8,
};
int overlay_setattr(struct overlay *o, uint64_t ino, const struct stat *st, int set,
		    struct stat *ret);

/* Files only. What is open stays, whatever its names. */
int overlay_open(struct overlay *o, uint64_t ino, bool truncate);
void overlay_close(struct overlay *o, uint64_t ino);
/* Bytes read; fewer only at the end of the file. */
ssize_t overlay_read(struct overlay *o, uint64_t ino, uint64_t offset, void *out, size_t len_bytes);
/* Bytes written; fewer where it became full. */
ssize_t overlay_write(struct overlay *o, uint64_t ino, uint64_t offset, const void *data,
		      size_t len_bytes);
/* fallocate(2): mode 0, FALLOC_FL_KEEP_SIZE, and FALLOC_FL_PUNCH_HOLE with it; others -EOPNOTSUPP. */
int overlay_allocate(struct overlay *o, uint64_t ino, int mode, uint64_t offset,
		     uint64_t len_bytes);

/* ---- changing names ---- */

struct overlay_new {
	mode_t mode; /* with its type */
	uid_t uid;
	gid_t gid;
	const char *target; /* of a symlink */
};
/* The kernel knows the new inode once. -EEXIST. */
int overlay_make(struct overlay *o, const struct overlay_name *n, const struct overlay_new *what,
		 struct stat *ret);
/* A further name of an inode that is no directory; where it is the overlay's the kernel knows it once more. -EEXIST, -ENOENT: it has no name any more. */
int overlay_link(struct overlay *o, const struct overlay_name *n, uint64_t ino);
int overlay_unlink(struct overlay *o, const struct overlay_name *n); /* -ENOENT, -EISDIR */
int overlay_rmdir(struct overlay *o,
		  const struct overlay_name *n); /* -ENOENT, -ENOTDIR, -ENOTEMPTY */
/* flags as renameat2(2). -EXDEV: a directory of a backup, or what is generated, is moved. */
int overlay_rename(struct overlay *o, const struct overlay_name *from,
		   const struct overlay_name *to, unsigned flags);
/* The name leads to a backup's inode that is no more: it goes too. */
void overlay_drop(struct overlay *o, struct overlay_dir dir, const char *name);
/* A backup was removed: what was changed in it is forgotten, what is open of it stays. */
void overlay_forget_backup(struct overlay *o, uint64_t generation);

struct overlay_usage {
	uint64_t used_bytes, max_bytes;
	uint64_t inodes; /* of its own: files, directories, symlinks */
	uint64_t hidden; /* names of backups that are hidden or lead elsewhere */
};
struct overlay_usage overlay_usage(struct overlay *o);
/* For .sstablefs/status and metrics; o NULL: there is none. */
void overlay_describe(struct overlay *o, struct wbuf *out);
void overlay_count(struct overlay *o, struct metrics *m);

#endif
