/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by overlay.c (names), overlay_change.c (what changes them) and overlay_inode.c (inodes and their bytes).
 *
 * Invariants, whenever the lock is free:
 *   a name that lies BELOW is in no table; a folder of a backup has a name or is dead; an inode has a link, a kernel that knows it, or is open;
 *   links of a backup's inode: refs = names that lead to it + names that cover it, delta = names that lead to it - names that cover it; there is a row while refs > 0.
 */
#ifndef SSTABLEFS_FS_OVERLAY_PRIVATE_H
#define SSTABLEFS_FS_OVERLAY_PRIVATE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include "fs/overlay.h"
#include "fs/sparse.h"
#include "fs/table.h"

struct folder { /* what differs in a directory of a backup; all that is in one of the overlay */
	struct table_item item;
	struct overlay_dir key;
	struct timespec changed;
	struct name *first, *last; /* in order of seq */
	struct name *cursor;	   /* where the last listing stopped; NULL: not known */
	uint64_t here;		   /* names that lead somewhere */
	uint64_t covering;	   /* names below which the backup holds something */
	bool dead;		   /* removed */
	struct folder *next;	   /* while a backup is forgotten: the next one of it */
};

enum name_state { NAME_BELOW, NAME_HIDDEN, NAME_HERE };

struct name {
	struct table_item item;
	struct folder *folder;
	struct name *prev, *next;
	enum name_state state;
	uint64_t ino; /* HERE */
	mode_t type;  /* HERE: S_IFMT of it */
	struct overlay_below below;
	uint64_t seq;
	size_t bytes; /* of this block */
	char text[];
};

struct links { /* of a backup's inode */
	struct table_item item;
	uint64_t ino;
	uint64_t refs;
	int64_t delta;
};

struct inode {
	struct table_item item;
	uint64_t ino;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	uint32_t nlink;
	uint64_t lookups, opens;
	uint64_t size_bytes;
	struct timespec atime, mtime, ctime;
	struct sparse data;
	char *target;
	size_t target_bytes;	   /* of its block */
	struct folder *folder;	   /* of a directory */
	struct overlay_dir parent; /* of a directory */
	struct inode *next;	   /* while names are cleared: the next one to be cleared */
};

struct overlay {
	const struct clock *clock;
	pthread_mutex_t lock; /* everything below but `changes` */
	struct room *room;
	struct table folders, names, links, inodes;
	uint64_t last_ino, last_seq;
	uint64_t covering;	      /* names below which a backup holds something */
	atomic_uint_fast64_t changes; /* folders of backups and links: nothing differs while 0 */
};

/* All with the lock held. */
struct timespec overlay_now(const struct overlay *o);
uint64_t overlay_hash(uint64_t number);
struct inode *overlay_inode(struct overlay *o, uint64_t ino); /* NULL: none */
int overlay_inode_make(struct overlay *o, const struct overlay_new *what, struct inode **ret);
/* Frees it where nothing holds it any more. */
void overlay_inode_settle(struct overlay *o, struct inode *i);
void overlay_inode_stat(const struct inode *i, struct stat *ret);

/* The folder of a directory, or NULL. With the wrong generation: none. */
struct folder *overlay_folder(struct overlay *o, struct overlay_dir dir);
/* The same, made where it is missing; that of a removed backup of the same name is forgotten. -ESTALE: no such directory of the overlay; -ENOENT: it was removed. */
int overlay_folder_make(struct overlay *o, struct overlay_dir dir, struct folder **ret);
void overlay_folder_settle(struct overlay *o,
			   struct folder *f);		       /* frees it where it says nothing */
void overlay_folder_free(struct overlay *o, struct folder *f); /* it has no names */
void overlay_folder_touch(struct overlay *o, struct folder *f);
/* Forgets all names in it, and in directories of the overlay below it. */
void overlay_folder_clear(struct overlay *o, struct folder *f);

struct name *overlay_name_find(struct overlay *o, const struct folder *f, const char *text);
/* Found or made, BELOW then. */
int overlay_name_make(struct overlay *o, struct folder *f, const struct overlay_name *at,
		      struct name **ret);
void overlay_name_settle(struct overlay *o, struct name *n); /* frees it where it says nothing */
/* HERE: a reference to the links of a backup's inode is handed over. The inode that it led to is to be settled by the caller. */
void overlay_name_set(struct overlay *o, struct name *n, enum name_state state, uint64_t ino,
		      mode_t type);

/* References to the links of a backup's inode; nothing for inodes of the overlay. */
int overlay_links_ref(struct overlay *o, uint64_t ino);
void overlay_links_unref(struct overlay *o, uint64_t ino);

#endif
