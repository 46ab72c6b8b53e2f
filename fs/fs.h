/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of ARCHITECTURE.md section 2, without FUSE: inodes, lookup, attributes, directories, reading. Its callers are thin adapters.
 *
 * Every function that may need the store takes a struct view_wait: with wait = false it answers FS_WOULD_BLOCK instead of waiting, so that a thread that
 * takes requests from the kernel never waits for the store. Failures are negative errno values with *e filled; -ESTALE: the backup was removed. Any thread.
 */
#ifndef SSTABLEFS_FS_FS_H
#define SSTABLEFS_FS_FS_H

#include <sys/stat.h>
#include <sys/statvfs.h>
#include "catalog/reader.h"
#include "fs/autopin.h"
#include "fs/overlay.h"
#include "fs/pinned.h"
#include "fs/treecache.h"
#include "fs/view.h"

enum fs_outcome { FS_WOULD_BLOCK = 1, FS_ABSENT = 2 };

struct fs;

struct fs_options { /* all borrowed */
	struct view *view;
	struct index *index;
	struct treecache *trees;
	struct reader *reader;
	struct pinned *pinned; /* NULL: none */
	struct autopins
		*autopins; /* NULL: files are read without pins. fs_new tells it how to choose */
	struct overlay *overlay; /* NULL: nothing can be changed */
	const struct clock *clock;
	struct log *log;
	double refresh_s; /* timeout of names that a refresh can change */
	bool has_uid, has_gid;
	uint32_t uid,
		gid; /* of everything, where has_…; of directories that no backup holds, always */
	uint32_t umask; /* taken from every mode */
	/* Text of .sstablefs/status and .sstablefs/metrics, appended to out. */
	void (*status)(void *ctx, struct wbuf *out);
	void (*metrics)(void *ctx, struct wbuf *out);
	void *ctx;
};

struct fs *fs_new(const struct fs_options *o); /* NULL: out of memory */
/* The generation of all directories of a backup. */
uint64_t fs_generation_of(const struct ulid *writer);
void fs_free(struct fs *f); /* closes what is still open */
DEFINE_CLEANUP(struct fs *, fs_free);

#define FS_LONG_S 31536000.0 /* timeout of what never changes */

struct fs_entry { /* what a lookup gives, also for an absent name (ino 0) */
	uint64_t ino;
	uint64_t generation; /* of directories in a backup: another backup of the same name is another inode */
	struct stat st;
	double entry_timeout_s, attr_timeout_s;
};

/* FS_ABSENT: ret->entry_timeout_s says for how long. "." of any inode and ".." of any directory: what a file handle leads to (name_to_handle_at(2)). Once the kernel was given an entry it may forget it; one that it was not given is undone. */
int fs_lookup(struct fs *f, uint64_t parent, const char *name, struct view_wait w,
	      struct fs_entry *ret, struct err *e);
void fs_forget(struct fs *f, uint64_t ino, uint64_t times);
static inline void fs_lookup_undo(struct fs *f, const struct fs_entry *en)
{
	fs_forget(f, en->ino, 1);
}
int fs_getattr(struct fs *f, uint64_t ino, struct view_wait w, struct stat *ret,
	       double *ret_timeout_s, struct err *e);
/* The target in a new string. */
int fs_readlink(struct fs *f, uint64_t ino, char **ret, struct err *e);
int fs_statvfs(struct fs *f, struct statvfs *ret);
/* user.sstablefs.{content,stored,object}: a new string; -ENODATA for other names and other inodes. */
int fs_getxattr(struct fs *f, uint64_t ino, const char *name, struct view_wait w, char **ret,
		struct err *e);

/* A directory that is open: what it lists does not change while it is, until it is read from its beginning again. Offsets are positions, any of them can be sought. */
struct fs_dir;
int fs_opendir(struct fs *f, uint64_t ino, struct view_wait w, struct fs_dir **ret, struct err *e);
void fs_closedir(struct fs_dir *d);
/* A request's own reference: the kernel may close a directory or file while the request is still being ended. */
void fs_dir_ref(struct fs_dir *d);
void fs_dir_unref(struct fs_dir *d);
/* Whether the kernel may keep the listing (what is below a backup never changes). */
bool fs_dir_is_fixed(const struct fs_dir *d);
/* Called for each entry from position `offset` on; `next` is the position behind it. entry->ino 0 with plus: attributes are not known, only st_ino and st_mode's type. Returns 0 to go on, > 0 when full. */
typedef int fs_fill_fn(void *ctx, const char *name, const struct fs_entry *entry, uint64_t next);
int fs_readdir(struct fs_dir *d, uint64_t offset, bool plus, struct view_wait w, fs_fill_fn *fill,
	       void *ctx, struct err *e);

/* A file that is open. direct: the kernel must keep no page of it, because it may be another text at the next open (generated files). */
struct fs_file;
/* flags of open(2): what a backup holds opens for reading only. */
int fs_open(struct fs *f, uint64_t ino, int flags, struct view_wait w, struct fs_file **ret,
	    bool *ret_direct, struct err *e);
/* The size of a file of a backup; 0: it is none. */
uint64_t fs_file_recorded_bytes(const struct fs_file *file);
void fs_close(struct fs_file *file);
void fs_file_ref(struct fs_file *file); /* as fs_dir_ref */
void fs_file_unref(struct fs_file *file);

struct fs_read { /* bytes to answer with; release with fs_read_done once they were sent */
	const struct iovec *iov;
	int iov_count;
	size_t len_bytes;
	struct iovec one;
	struct stream_read stream;
	struct stream *from; /* whose pins `stream` holds; NULL: none */
	void *copy;	     /* owned */
};
/* Exactly the bytes [offset, offset + len), cut only at the end of the file. */
int fs_read(struct fs_file *file, uint64_t offset, size_t len_bytes, struct view_wait w,
	    struct fs_read *ret, struct err *e);
void fs_read_done(struct fs_file *file, struct fs_read *rd);

/*
 * What changes something: in the overlay only, and only below a backup. It takes two steps, because a change that was begun must be answered: first where it would be
 * is found out, which may need the store; what follows is at once, and its errors are for the caller's program (-ENOSPC, -EEXIST, …).
 */
struct fs_name {
	struct overlay_name at; /* its text is the caller's */
	struct stat dir;	/* of the directory that it is in */
	struct view_node *node; /* where that is a backup's; else NULL */
	char backup[FORMAT_NAME_BYTES + 1];
};
/* -EROFS: not below a backup, or there is no overlay. replaced: a directory by that name may be removed. */
int fs_name(struct fs *f, uint64_t parent, const char *name, bool replaced, struct view_wait w,
	    struct fs_name *ret, struct err *e);
/* Whether the inode may be given a further name; -EROFS, -EPERM. */
int fs_may_link(struct fs *f, uint64_t ino, struct err *e);

/* The kernel knows the inode once more. mode with its type; target of a symlink, else NULL. */
int fs_make(struct fs *f, const struct fs_name *n, mode_t mode, uid_t uid, gid_t gid,
	    const char *target, struct fs_entry *ret);
int fs_link(struct fs *f, const struct fs_name *n, uint64_t ino, struct fs_entry *ret);
int fs_unlink(struct fs *f, const struct fs_name *n);
int fs_rmdir(struct fs *f, const struct fs_name *n);
int fs_rename(struct fs *f, const struct fs_name *from, const struct fs_name *to, unsigned flags);
/* set: enum overlay_set */
int fs_setattr(struct fs *f, uint64_t ino, const struct stat *st, int set, struct stat *ret,
	       double *ret_timeout_s);
/* Bytes written. */
ssize_t fs_write(struct fs_file *file, uint64_t offset, const void *data, size_t len_bytes);
int fs_allocate(struct fs_file *file, int mode, uint64_t offset, uint64_t len_bytes);

#endif
