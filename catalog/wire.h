/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the encodings of runs and trees have in common (docs/format.md, "Parts of runs and trees"): the table of objects, names, attributes, extents.
 * Internal to run.c and tree.c. Everything has one encoding only: the getters refuse what the putters would not have written.
 */
#ifndef SSTABLEFS_CATALOG_WIRE_H
#define SSTABLEFS_CATALOG_WIRE_H

#include "catalog/tree.h"

/* -EBADMSG with ERR_CORRUPT: "the <what> is damaged: <why>"; and -EINVAL with ERR_IO for an encoder that was given what must not be. */
int wire_corrupt(struct err *e, const char *what, const char *why);
int wire_invalid(struct err *e, const char *what, const char *why);

/* ---- objects ---- */

/* Sizes, number of frames and flags as an object can have them. */
bool wire_ref_is_fine(const struct object_ref *ref);

/* The objects that a run or tree names: sorted by (writer, id), each once. */
struct wire_objects {
	struct object_ref *refs;
	bool *used; /* parsing: an extent names it */
	size_t count, cap;
};
void wire_objects_deinit(struct wire_objects *t);
/* Encoding: add all in any order, then seal, then put. */
int wire_objects_add(struct wire_objects *t, const struct object_ref *ref);
/* -EINVAL where one is outside the limits, or named in two ways. */
int wire_objects_seal(struct wire_objects *t);
void wire_objects_put(const struct wire_objects *t, struct wbuf *out);
/* Parsing: 0, -EBADMSG, -ENOMEM. */
int wire_objects_get(struct wire_objects *t, struct rbuf *b);
bool wire_objects_all_used(const struct wire_objects *t);

/* ---- names ---- */

/* Not empty, ".", ".." or too long, without '/'. */
bool wire_name_is_fine(const char *name, size_t len_bytes);

struct wire_name {
	size_t len;
	char text[FORMAT_FILE_NAME_BYTES + 1];
};
/* A name after the one before it (NULL: none), of which it shares begin and end, and a bit that the user has a meaning for. */
void wire_name_put(struct wbuf *out, const char *previous, const char *name, bool bit);
/* name: in, the one before it (len 0: none); out, this one. */
bool wire_name_get(struct rbuf *b, struct wire_name *name, bool *ret_bit);

/* ---- attributes ---- */

struct wire_attributes {
	struct attributes attr;
	uint32_t data_dir; /* FORMAT_NO_DATA_DIR for child directories */
};
bool wire_attributes_are_fine(const struct wire_attributes *a);
/* Whether all but the mtime is equal: then it is not written again. */
bool wire_attributes_same(const struct wire_attributes *a, const struct wire_attributes *b);
/* with_data_dir: files. previous: NULL for the first. */
void wire_attributes_put(struct wbuf *out, const struct wire_attributes *previous,
			 const struct wire_attributes *a, bool with_data_dir);
/* a: in, the ones before (all zero for the first, with first = true); out, these. */
bool wire_attributes_get(struct rbuf *b, struct wire_attributes *a, bool same, bool first,
			 bool with_data_dir);

/* ---- extents ---- */

/* Inside its object, and where frames begin and end as far as the reference tells. */
bool wire_extent_is_fine(const struct extent *x);
/*
 * An extent and a bit: what the bit stands for (extent_of_file: the whole object; place: begins where the one before it ends) is
 * implied by it and not written.
 */
void wire_file_extent_put(struct wbuf *out, const struct wire_objects *t, const struct extent *x);
bool wire_file_extent_get(struct rbuf *b, struct wire_objects *t, struct extent *ret);
/* previous: an extent of length 0 for the first. */
void wire_place_put(struct wbuf *out, const struct wire_objects *t, const struct extent *previous,
		    const struct place *p);
bool wire_place_get(struct rbuf *b, struct wire_objects *t, const struct extent *previous,
		    struct place *ret);

#endif
