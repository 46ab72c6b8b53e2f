/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link counts of one node as a file: which runs its backups hold and how many of them hold each, and which runs hold each inode. It is written once, in order,
 * and never changed; what changes is written as the next file (fs/linkbuild.h). It is read by pread(2): it takes no memory, and no damage of it can end a process.
 *
 *   block   4080 bytes of records of one kind, u64 nonce of the file + number of the block, u64 XXH3-64 of all before it
 *   block 0 the head; then the blocks of the runs (sorted by key), of the lists (numbers of runs), of the backups (sorted by writer), of the links (sorted by inode)
 *
 * Records are in host byte order; the head says which. A block that does not fit is damage, wherever it is met: -EBADMSG. Any thread.
 */
#ifndef SSTABLEFS_FS_LINKFILE_H
#define SSTABLEFS_FS_LINKFILE_H

#include "base/ulid.h"
#include "catalog/keys.h"
#include "catalog/tree.h"
#include "fs/linkcache.h"
#include "fs/linkkey.h"

struct link_run {
	struct link_key key;
	struct place place;
	uint32_t count; /* backups that hold it there */
	uint32_t entry_count;
};

struct link_backup {
	struct ulid writer;
	struct id256 root;
	uint64_t first; /* of its numbers in the lists, ascending */
	uint64_t count;
};

struct link {
	uint64_t ino;
	uint32_t run;
	uint32_t bits; /* see link_bits() */
};

/* 6 bits: which entry of the run; 8 bits: the first byte of its content's id; 18 bits of the identity's digest that are not in the inode's number. */
static inline uint32_t link_bits(uint32_t entry, const struct id256 *content,
				 const struct id256 *digest)
{
	return entry | (uint32_t)content->b[0] << 6 |
	       ((uint32_t)digest->b[8] | (uint32_t)digest->b[9] << 8 |
		(uint32_t)(digest->b[10] & 3) << 16)
		       << 14;
}
static inline uint32_t link_entry(const struct link *l)
{
	return l->bits & 63;
}
static inline uint8_t link_first_byte(const struct link *l)
{
	return (uint8_t)(l->bits >> 6);
}
static inline uint32_t link_check(const struct link *l)
{
	return l->bits >> 14;
}

enum linkfile_part {
	LINKFILE_RUNS,	  /* struct link_run */
	LINKFILE_LISTS,	  /* uint32_t */
	LINKFILE_BACKUPS, /* struct link_backup */
	LINKFILE_LINKS,	  /* struct link */
	LINKFILE_PARTS
};

struct linkfile;

/* What the file of a node is called. */
#define LINKFILE_PREFIX "links-"
enum { LINKFILE_NAME_BYTES = 48 };
void linkfile_name(const struct node_name *n, char out[LINKFILE_NAME_BYTES]);

/* The file of a node in a directory, every block of it checked. -ENOENT; -EBADMSG: it is not (any more) what was written for this node by such a program. */
int linkfile_open(int dir_fd, const struct node_name *n, struct linkfile **ret);
struct linkfile *linkfile_ref(struct linkfile *f);
void linkfile_unref(struct linkfile *f); /* NULL: nothing */
DEFINE_CLEANUP(struct linkfile *, linkfile_unref);

/* From now on blocks that are looked at are kept there (borrowed, must outlive the file). Before others have the file. */
void linkfile_use(struct linkfile *f, struct linkcache *c);
/* Blocks that were read one by one so far, from the file itself. */
uint64_t linkfile_reads(const struct linkfile *f);

uint64_t linkfile_count(const struct linkfile *f, enum linkfile_part part);
uint64_t linkfile_bytes(const struct linkfile *f);
/* Whether a block was met that could not be read: all is to be made anew. */
bool linkfile_is_damaged(const struct linkfile *f);
/* Whether an inode has another number than its digest says, because of a collision. */
bool linkfile_has_moved(const struct linkfile *f);
/* Whether any content's id begins with the byte. */
bool linkfile_has_byte(const struct linkfile *f, uint8_t first_byte);

int linkfile_get(const struct linkfile *f, enum linkfile_part part, uint64_t i, void *record);
enum { LINKFILE_ABSENT = 1 };
int linkfile_find_run(const struct linkfile *f, const struct link_key *key, struct link_run *ret,
		      uint32_t *ret_number);
/* Calls fn for each run that holds the inode: 0 go on, > 0 stop (returned), < 0 fail. */
typedef int linkfile_fn(void *ctx, const struct link *l);
int linkfile_each(const struct linkfile *f, uint64_t ino, linkfile_fn *fn, void *ctx);
/* 0 or LINKFILE_ABSENT. */
int linkfile_find_backup(const struct linkfile *f, const struct ulid *writer,
			 struct link_backup *ret);

/* Reading in order. */
struct linkfile_cursor {
	const struct linkfile *file;
	enum linkfile_part part;
	uint64_t next, held; /* of records; the block that is held, 0: none */
	uint64_t block[512];
};
void linkfile_cursor_init(struct linkfile_cursor *c, const struct linkfile *f,
			  enum linkfile_part part, uint64_t first);
/* 0, or LINKFILE_ABSENT at the end. */
int linkfile_next(struct linkfile_cursor *c, void *record);

/* Writing: each part in its order, then the end. */
struct linkfile_writer;
/* dir_fd < 0: in memory. nonce: a random number. -ENOSPC: larger than max_bytes, or the disk is full. */
int linkfile_writer_new(int dir_fd, const struct node_name *n, uint64_t nonce, uint64_t max_bytes,
			struct linkfile_writer **ret);
void linkfile_writer_free(struct linkfile_writer *w);
DEFINE_CLEANUP(struct linkfile_writer *, linkfile_writer_free);
int linkfile_append(struct linkfile_writer *w, enum linkfile_part part, const void *record);
/* Ends the file and gives it its name, instead of the one that had it; where that fails it has none, and goes with the process. */
int linkfile_finish(struct linkfile_writer *w, bool has_moved, struct linkfile **ret);
/* Where all files in the directory together are larger than max_bytes: removes those of other nodes than these. */
void linkfile_keep(int dir_fd, uint64_t max_bytes, const struct node_name *const *nodes,
		   size_t count);
/* Takes the name away from the node's file. */
void linkfile_remove(int dir_fd, const struct node_name *n);

#endif
