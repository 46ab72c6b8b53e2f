/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to be read: files, and the objects that hold their content, in the order of first use, each with the pieces of files that lie in it.
 * So every object is read once however many files need it. Built by one thread; then many may read it.
 *
 * Its memory grows with what is in it: users add files until plan_memory says that it is enough, work it off, reset it and go on.
 */
#ifndef SSTABLEFS_CATALOG_PLAN_H
#define SSTABLEFS_CATALOG_PLAN_H

#include <stdatomic.h>
#include "catalog/keys.h"
#include "catalog/tree.h"

#define PLAN_NONE UINT32_MAX

struct plan_piece {	    /* the pieces of a file are neighbours, in order */
	uint32_t file;	    /* index */
	uint32_t next;	    /* piece of the same object, or PLAN_NONE */
	uint32_t object;    /* index */
	uint32_t offset;    /* in the object's content */
	uint32_t len_bytes; /* 0 only for an empty file */
	uint64_t file_offset;
};

struct plan_file {
	const char *path;
	struct attributes attr;
	uint64_t size_bytes;
	uint32_t data_dir;
	uint32_t tag;	  /* the user's */
	uint64_t ordinal; /* the user's */
	struct id256 content;
	const void *inline_data; /* or NULL */
	uint32_t first_piece, piece_count;
	_Atomic uint32_t left; /* pieces; the user counts down */
};

/* Inline content is gathered in groups that look like objects: grouped = true, no ref, pieces with offset 0 of their file's inline_data. */
struct plan_object {
	bool grouped;
	struct object_ref ref;
	const struct node_name *node; /* borrowed */
	uint32_t first_piece, last_piece, piece_count;
	uint32_t start, end; /* what the pieces span of the content */
};

struct plan {
	struct plan_file *files;
	struct plan_piece *pieces;
	struct plan_object *objects;
	size_t file_count, piece_count, object_count;
	/* internal */
	size_t file_cap, piece_cap, object_cap;
	uint32_t *slots; /* hash table of indexes into objects, by (writer, id) */
	size_t slot_count;
	uint32_t group; /* that still takes inline content, or PLAN_NONE */
	struct plan_text *texts;
	uint64_t text_bytes;
};

void plan_init(struct plan *p);
void plan_deinit(struct plan *p);
/* Empty again; memory is kept but for texts. */
void plan_reset(struct plan *p);
/* Everything is copied but *n. The file is p->files[p->file_count - 1] afterwards. -EBADMSG (ERR_CORRUPT), with nothing added, where the entry describes an object otherwise than one before it. */
int plan_add(struct plan *p, const struct node_name *n, const char *path, const struct entry *entry,
	     struct err *e);
uint64_t plan_memory(const struct plan *p);
/* The object's index, or PLAN_NONE. */
uint32_t plan_find(const struct plan *p, const struct ulid *writer, const struct id256 *id);

#endif
