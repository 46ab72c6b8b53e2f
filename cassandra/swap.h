/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exchanging what lies in the directories of a stopped node, by renames alone (docs/restore-node.md). Each directory of Cassandra (a place) gets a directory of ours,
 * so that everything stays on its file system:
 *
 *	PLACE/.sstablefs-restore-node/backups/new      what was fetched
 *	PLACE/.sstablefs-restore-node/backups/old      what was there before
 *	PLACE/.sstablefs-restore-node/backups/undone   what was restored and was taken out again
 *	PLACE/.sstablefs-restore-node/unfinished.db    while it stands, Cassandra does not start
 *
 * Cassandra looks into no directory that is called "backups". A file that ends in .db elsewhere below its data directories and is no SSTable keeps it from starting.
 * Every move may be repeated after a crash at any point: it goes on with what has not been moved.
 *
 * The places belong to Cassandra's user, who may exchange any name in them at any time, and restore-node may be root. So a place is opened without following a symbolic link in any part of its
 * path; our directory, and what is opened in it, must be a directory that belongs to us or to root and that nobody else can write to; and everything is done relative to
 * descriptors of these. Entries are moved by name, whatever they are, and never looked into but for their removal, which follows no link.
 */
#ifndef SSTABLEFS_CASSANDRA_SWAP_H
#define SSTABLEFS_CASSANDRA_SWAP_H

#include <stdint.h>
#include <sys/types.h>
#include "base/cancel.h"
#include "base/err.h"

#define SWAP_DIRECTORY ".sstablefs-restore-node"

struct swap_place {
	char *path; /* absolute, without symbolic links */
	bool data;  /* a data directory; else commit log, hints, saved caches… */
	/* Which directory it has to be: whose, if `owned`, and which one, if `inode` is not 0 (that is of one run: numbers may change when a file system is mounted again). */
	bool owned;
	uid_t owner;
	dev_t device;
	ino_t inode;
};

enum swap_part { SWAP_NEW, SWAP_OLD, SWAP_UNDONE };
enum swap_move {
	SWAP_OUT,   /* the place's entries -> old */
	SWAP_IN,    /* new -> the place */
	SWAP_CLEAR, /* the place's entries -> undone */
	SWAP_BACK,  /* old -> the place */
};

/* Where a part lies: a new string; NULL: out of memory. */
char *swap_path(const struct swap_place *p, enum swap_part part);
/* Opens the place; the caller closes it. -ENOTDIR… where a part of its path is a symbolic link; -EPERM (ERR_CONFLICT): it is another directory, by what the place says of it. */
int swap_open_place(const struct swap_place *p, int *ret_fd, struct err *e);
/* Opens our directory in it, made where it is missing (`make`). -ENOENT (no error text): it is not there. -EPERM (ERR_CONFLICT): it is another user's, or others may write to it. */
int swap_open_own(const struct swap_place *p, bool make, int *ret_fd, struct err *e);
/* The same of a part, which is never made. */
int swap_open_part(const struct swap_place *p, enum swap_part part, int *ret_fd, struct err *e);
/* Makes the directories, durably. */
int swap_make(const struct swap_place *p, struct err *e);
/* That all of them are there. -ENOENT (ERR_CONFLICT): as where the file system of the place is not mounted. */
int swap_check_made(const struct swap_place *p, struct err *e);
/* Whether everything in the place can be moved: we may write there, and nothing in it is another file system. 0; -EACCES, -EXDEV… with ERR_CONFLICT or ERR_IO. */
int swap_check(const struct swap_place *p, struct err *e);
/*
 * Moves all entries, durably; lost+found, our own directory and the entry `keep` (NULL: none) of the place and of new stay. -EEXIST (ERR_CONFLICT): an entry
 * of that name is there already; nothing is ever replaced.
 */
int swap_move(const struct swap_place *p, enum swap_move move, const char *keep, struct err *e);
/* Whether a part holds anything: 1 or 0, or < 0. */
int swap_holds(const struct swap_place *p, enum swap_part part, struct err *e);
/* Whether no part of a place holds anything. 0; -EEXIST (ERR_CONFLICT): one does, or it cannot be seen: what is in these is nobody's where no journal says whose. */
int swap_check_parts(const struct swap_place *p, struct err *e);
/* Puts unfinished.db up in a data directory, or takes it down; nothing for other places. */
int swap_guard(const struct swap_place *p, bool up, struct err *e);
/*
 * Removes all entries but lost+found, our own directory and `keep` (NULL: none), durably. This one and those below that have a `cancel` may take minutes: they give signs of life (cancel_waits), and
 * end with -ECANCELED where it is set; the same call then removes the rest.
 */
int swap_empty(const struct swap_place *p, const char *keep, const struct cancel *cancel,
	       struct err *e);
/*
 * What swap_empty(keep) would free, by the blocks of files; a file with names elsewhere counts by its share. 0 or -errno.
 */
int swap_usage(const struct swap_place *p, const char *keep, const struct cancel *cancel,
	       uint64_t *ret_bytes, struct err *e);
/* Removes backups/ and unfinished.db. The directory itself stays. */
int swap_remove(const struct swap_place *p, const struct cancel *cancel, struct err *e);
/* Removes our directory and all in it, the entry `last` (NULL: none) after the others. Where somebody has begun to use it since, it stays with what is theirs. */
int swap_end(const struct swap_place *p, const char *last, const struct cancel *cancel,
	     struct err *e);

#endif
