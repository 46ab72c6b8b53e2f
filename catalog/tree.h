/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees and runs: the metadata of a backup (docs/format.md, "Trees and runs").
 *
 * A run holds the entries of one SSTable's components (names equal up to the last '-'), at most 64; other files of a directory form runs likewise. A tree is a
 * directory: its child directories and its runs, each by digest and place. Both are deterministic: the same entries give the same bytes.
 * Order: entries of a directory are ordered by (key, name), bytewise, where key = the name up to its last '-', or "" where it has none; runs are
 * cut where the key changes and after 64 entries. Child directories are ordered by name, bytewise.
 *
 * Parsed values own their memory; strings in them are NUL-terminated and without '/', never "", "." or "..".
 */
#ifndef SSTABLEFS_CATALOG_TREE_H
#define SSTABLEFS_CATALOG_TREE_H

#include <sys/types.h>
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/ulid.h"
#include "catalog/format.h"

/* An object as trees name it: enough to build its key and to ask for head and frames in parallel. */
struct object_ref {
	struct ulid writer;
	struct id256 id;
	uint32_t head_bytes;
	uint32_t plain_bytes;
	uint8_t flags; /* OBJECT_RAW, OBJECT_UNIFORM */
};

/* A piece of content: len_bytes plain bytes at offset of the object's content. */
struct extent {
	struct object_ref object;
	uint32_t offset, len_bytes;
};

/* Where a tree or run lies (in an object below trees/), and its content id. */
struct place {
	struct id256 digest;
	struct extent extent;
};

/* mode (07777 only), owner by number, time in ns since 1970. */
struct attributes {
	uint32_t mode, uid, gid;
	int64_t mtime_ns;
};

struct entry { /* a regular file */
	const char *name;
	struct attributes attr;
	uint64_t size_bytes;
	uint32_t data_dir;    /* index of the data directory, or FORMAT_NO_DATA_DIR */
	struct id256 content; /* computed for inline content when parsed */
	const void *
		inline_data; /* size_bytes of it where size_bytes <= FORMAT_INLINE_BYTES (also for empty files: non-NULL) */
	const struct extent *extents; /* else these, in order, lengths adding up to size_bytes */
	uint32_t extent_count;
};

struct run {
	uint32_t entry_count;
	struct entry *entries;
	void *memory;	     /* owned: everything the entries point to */
	size_t memory_bytes; /* of it */
};

struct run_ref {
	const char *first; /* name of the run's first entry */
	uint32_t entry_count;
	struct place place;
};

struct child {
	const char *name;
	struct attributes attr;
	struct place place; /* of its tree */
};

struct tree {
	uint32_t child_count, run_count;
	struct child *children;
	struct run_ref *runs;
	uint64_t file_count;  /* below this directory, with sub-directories */
	uint64_t total_bytes; /* likewise */
	uint64_t dir_count;   /* directories below this one */
	void *memory;
	size_t memory_bytes; /* of it: long names take more than what they are made of */
};

/* bytewise order of (key, name) as above: < 0, 0, > 0. */
int tree_compare_names(const char *a, const char *b);
/* length of the key part of a name: bytes before its last '-', 0 where it has none. */
size_t tree_key_length(const char *name);
/* How many of the entries from names[0] (sorted by tree_compare_names) belong to the run that begins there: 1 to FORMAT_RUN_ENTRIES. */
size_t tree_run_length(const char *const *names, size_t count);

/* Encoders: entries and children must be sorted and unique; -EINVAL (ERR_IO, a bug) where they are not or a limit is broken. */
int run_encode(const struct entry *entries, size_t count, struct wbuf *out, struct err *e);
int tree_encode(const struct tree *t, struct wbuf *out, struct err *e);

/* Parsers check everything: order, names, limits, sums, flags. -EBADMSG with ERR_CORRUPT. The caller has verified the bytes' digest. */
int run_parse(const void *data, size_t len_bytes, struct run **ret, struct err *e);
int tree_parse(const void *data, size_t len_bytes, struct tree **ret, struct err *e);
void run_free(struct run *r);
void tree_free(struct tree *t);
DEFINE_CLEANUP(struct run *, run_free);
DEFINE_CLEANUP(struct tree *, tree_free);

/*
 * What may still lie below a tree, while its child directories are gone through. Directories are named by digest, so a few small trees can stand for 2^64 paths: whoever
 * goes down a tree takes each child's totals out of its parent's room. Then no walk meets more than the root's totals say, and these are limited.
 */
struct tree_room {
	uint64_t files, dirs;
};
struct tree_room tree_room(const struct tree *t);
/* False: the child says that it holds more than is left. */
bool tree_room_take(struct tree_room *room, const struct tree *child);

/* Lookups in parsed values: NULL where absent. tree_find_run gives the only run that can hold `name`. */
const struct child *tree_find_child(const struct tree *t, const char *name);
const struct run_ref *tree_find_run(const struct tree *t, const char *name);
const struct entry *run_find(const struct run *r, const char *name);

#endif
