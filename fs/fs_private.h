/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the tree: what a path means, and how its inode looks. */
#ifndef SSTABLEFS_FS_FS_PRIVATE_H
#define SSTABLEFS_FS_FS_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include "fs/fs.h"
#include "fs/order.h"

/*
 * An open file or directory. The kernel may release it while a request on it is still being ended here (a reply is the last thing that it waits
 * for), so each request holds a reference of its own; and it may leave some open at the end, so all are in a list. What is open keeps its
 * attributes when its backup is removed: fstat(2), and each read that reaches the end of a file, asks for them by inode number alone.
 */
struct handle {
	struct handle *prev, *next;
	struct fs *fs;
	struct stat st; /* st_ino 0: not kept */
	atomic_uint refs;
	void (*free)(struct handle *h);
};

struct fs {
	struct fs_options o;
	struct timespec born;
	struct order *order;
	pthread_mutex_t lock;  /* the list of handles */
	struct handle handles; /* ring, this one is its head */
};

/* With one reference: the kernel's. */
void fs_handle_add(struct fs *f, struct handle *h, void (*free)(struct handle *h));
void fs_handle_ref(struct handle *h);
void fs_handle_unref(struct handle *h);

enum place_kind {
	PLACE_ROOT,	   /* "" */
	PLACE_CONTROL,	   /* .sstablefs */
	PLACE_STATUS,	   /* .sstablefs/status */
	PLACE_METRICS,	   /* .sstablefs/metrics */
	PLACE_CLUSTER,	   /* C */
	PLACE_NODES,	   /* C/nodes */
	PLACE_NODE,	   /* C/nodes/N */
	PLACE_LATEST,	   /* C/nodes/N/latest */
	PLACE_OBJECTS,	   /* C/nodes/N/objects */
	PLACE_OBJECTS_OF,  /* C/nodes/N/objects/aa */
	PLACE_BACKUP,	   /* C/nodes/N/B */
	PLACE_BACKUP_JSON, /* C/nodes/N/B/backup.json */
	PLACE_INSIDE,	   /* C/nodes/N/B/… : a directory of the backup */
	PLACE_BACKUPS,	   /* C/backups */
	PLACE_NAMED,	   /* C/backups/B */
	PLACE_LINK,	   /* C/backups/B/N */
};

struct position { /* a path of the mount, taken apart */
	enum place_kind kind;
	char path[FORMAT_PATH_BYTES + 1];
	char cluster[FORMAT_NAME_BYTES + 1], node[FORMAT_NAME_BYTES + 1],
		backup[FORMAT_NAME_BYTES + 1];
	uint8_t first_byte; /* objects/<aa> */
	const char *inside; /* into path: below the backup, "" for the backup itself */
};

/* 0, or -ENAMETOOLONG. Only paths that this mount made come here. */
int position_parse(struct position *p, const char *path);
/* The path of a child: 0 or -ENAMETOOLONG. */
int position_child(struct position *ret, const struct position *parent, const char *name);
/* The path of the directory that holds it; the root holds itself. 0. */
int position_parent(struct position *ret, const struct position *p);
/* Inode numbers of what has a path. */
int position_ino(struct fs *f, const struct position *p, const char *target, uint64_t *ret,
		 struct err *e);
/* Whether the name can be one of a cluster, node or backup. */
bool position_good_name(const char *name);

/* Of what was looked up before, and is asked for again: as a rule at once. */
#define FS_WAIT ((struct view_wait){ true, NULL })
/* The inode's row; root included. ret_position is filled for INDEX_PATH. */
int fs_row(struct fs *f, uint64_t ino, struct view_wait w, struct index_node *ret,
	   struct position *ret_position, struct err *e);

static inline bool fs_is_link(enum place_kind k)
{
	return k == PLACE_LATEST || k == PLACE_LINK;
}

/* The node and backup that a position lies in: -ESTALE where they are gone. No look. */
int fs_find_backup(struct fs *f, const struct position *p, struct view_node **ret_node,
		   struct view_backup *ret, struct err *e);
/* Whether a file may still be read: -EIO where its backup was pinned and the pin was lost. */
int fs_check_file(struct fs *f, uint32_t node, uint64_t ino, struct err *e);
/* How backups are chosen to be pinned. */
struct autopin_ops fs_autopin_ops(struct fs *f);
/* A directory in a backup (PLACE_BACKUP or PLACE_INSIDE). */
struct fs_tree {
	struct view_node *node;
	struct cached *tree;	/* referenced */
	struct attributes attr; /* as recorded; of the backup itself: 0755, when it finished */
	uint64_t generation;
	struct ulid writer;
};
/* Where metadata of a backup is missing: -ESTALE where a new look says that the backup was removed, else r as it is. */
int fs_missing(struct fs *f, struct view_node *n, const char *backup, const struct ulid *writer,
	       struct view_wait w, int r, struct err *e);
int fs_find_tree(struct fs *f, const struct position *p, struct view_wait w, struct fs_tree *ret,
		 struct err *e);
/* Where a symlink points. New string. */
int fs_link_target(struct fs *f, const struct position *p, char **ret, struct err *e);

/* The look at the node that a position lies in. FS_ABSENT: there is none. */
int fs_look(struct fs *f, const struct position *p, struct view_wait w, struct view_node **ret,
	    struct err *e);

/* What a backup holds by a name in that directory: FS_ABSENT, a child directory (*ret_ino 0), or a file. */
int fs_find_in_tree(struct fs *f, const struct position *parent, const struct fs_tree *t,
		    const char *name, struct view_wait w, uint64_t *ret_ino, struct err *e);
/* A directory of a backup, as the overlay knows it. */
struct overlay_dir fs_overlay_dir(uint64_t ino, uint64_t generation);
/* The entry of an inode of the overlay, which the kernel is given. -ESTALE. */
int fs_overlay_entry(struct fs *f, uint64_t ino, struct fs_entry *ret);
uint64_t fs_overlay_generation(const struct fs *f);
/* What the overlay has by a name of a backup: OVERLAY_BELOW (as the backup has it), OVERLAY_HIDDEN, or 0: where it leads. */
int fs_overlay_covering(struct fs *f, struct overlay_dir dir, const char *name, uint64_t *ret_ino,
			mode_t *ret_type);
/* Where a listing that begins now ends. */
uint64_t fs_overlay_last_cookie(struct fs *f);

/* Attributes. */
void fs_stat_static(struct fs *f, const struct position *p, uint64_t ino, struct stat *ret);
/* Of a directory in a backup, with its times where it was changed. */
void fs_stat_dir(struct fs *f, struct view_node *n, const struct attributes *attr, uint64_t ino,
		 uint64_t generation, struct stat *ret);
void fs_stat_recorded(struct fs *f, struct view_node *n, const struct attributes *attr, mode_t type,
		      uint64_t ino, uint64_t size, uint32_t nlink, struct stat *ret);
void fs_stat_file(struct fs *f, const struct index_node *row, struct stat *ret,
		  double *ret_timeout_s);
int fs_stat_position(struct fs *f, const struct position *p, const char *target, uint64_t ino,
		     struct view_wait w, struct stat *ret, double *ret_timeout_s, struct err *e);
/* A file below a backup: its inode, made known to the index. */
int fs_find_file(struct fs *f, struct view_node *n, const char *inside, const struct tree *tree,
		 const char *name, struct view_wait w, uint64_t *ret_ino, struct err *e);
/* The generation of a directory in a backup, from the backup's writer. */
static inline uint64_t fs_generation(const struct view_backup *b)
{
	return fs_generation_of(&b->writer);
}
/* How long a name directly below the position may be kept. */
double fs_name_timeout(const struct fs *f, enum place_kind parent);

#endif
