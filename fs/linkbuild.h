/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the link counts of a node (fs/linkfile.h) from those that were there and the backups that are to be counted: what is known of a backup or a run is taken over,
 * the rest is read from trees and runs, several backups at once, each run once. Memory: four bytes for each run of the backups that are being read, and the trees that are
 * being read; the rest lies in files without names.
 */
#ifndef SSTABLEFS_FS_LINKBUILD_H
#define SSTABLEFS_FS_LINKBUILD_H

#include "catalog/meta.h"
#include "fs/linkfile.h"

struct link_wanted { /* a backup that is to be counted */
	struct ulid writer;
	struct place root;
	int result; /* 0: it was counted; < 0: it could not be read. Others may be all the same */
};

struct linkbuild_options { /* all borrowed */
	struct meta *meta;
	int dir_fd; /* < 0: in memory */
	const struct node_name *name;
	uint64_t nonce, max_bytes; /* of the file; while it is made twice that again */
	struct linkfile *old;	   /* NULL: nothing is known */
	struct link_wanted *backups;
	size_t count;
	const uint64_t *taken; /* numbers that no file may have */
	size_t taken_count;
	/* One at a time: backup i could not be read. */
	void (*failed)(void *ctx, size_t i, const struct err *e);
	void *ctx;
	const struct cancel *cancel;
};

struct linkbuild;

enum { LINKBUILD_SAME = 1 };
/* 0; LINKBUILD_SAME: `old` says it already (*ret NULL). A backup that cannot be read does not keep the others from being counted. */
int linkbuild_run(const struct linkbuild_options *o, struct linkbuild **ret, struct linkfile **file,
		  struct err *e);
void linkbuild_free(struct linkbuild *b); /* NULL: nothing */
DEFINE_CLEANUP(struct linkbuild *, linkbuild_free);

/* What the build changed: each inode whose count is another now, and each run that no backup holds any more. */
int linkbuild_changed(struct linkbuild *b, void (*fn)(void *ctx, uint64_t ino), void *ctx);
int linkbuild_gone(struct linkbuild *b, int (*fn)(void *ctx, const struct link_key *k), void *ctx);

#endif
