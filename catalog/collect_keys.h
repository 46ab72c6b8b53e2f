/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of objects of one node that may have to go, 40 bytes each, sorted by (writer, kind, id), and which of them something reaches. Of a set that is larger
 * than the memory allows only a slice is kept: the ids that begin with certain bits. Internal to catalog/collect*.c; one thread at a time.
 */
#ifndef SSTABLEFS_CATALOG_COLLECT_KEYS_H
#define SSTABLEFS_CATALOG_COLLECT_KEYS_H

#include <assert.h>
#include "catalog/keys.h"
#include "catalog/tree.h"

#define COLLECT_KEYS_LISTS 32 /* lists that keys of one set may come from */
#define COLLECT_KEYS_SIZE_MAX ((1u << 24) - 1)

struct collect_key {
	struct id256 id;
	uint32_t writer; /* index into writers */
	unsigned size_bytes : 24, meta : 1, reached : 1, present : 1, list : 5;
};
static_assert(FORMAT_STORED_MAX_BYTES <= COLLECT_KEYS_SIZE_MAX, "sizes of objects fit");

struct collect_keys {
	struct ulid *writers; /* all that were met, also where none of their keys is in the slice */
	bool *left_out;	      /* of each: its keys are not wanted */
	size_t writer_count, writer_cap, left_out_cap;
	uint32_t *slots; /* writers by hash: index + 1, 0: free */
	size_t slot_count;
	struct collect_key *keys;
	size_t count, cap, max; /* max: keys that the memory allows */
	unsigned bits;		/* the slice: ids whose first `bits` bits are `value` */
	uint32_t value;
};

void collect_keys_deinit(struct collect_keys *k);
/* The writer's index, or < 0: -ENOMEM. */
int64_t collect_keys_writer(struct collect_keys *k, const struct ulid *writer);
bool collect_keys_has_writer(const struct collect_keys *k, const struct ulid *writer);
/* Keys of that writer are not wanted (dropped by collect_keys_sort). Unknown writers: nothing. */
void collect_keys_leave_out(struct collect_keys *k, const struct ulid *writer);
/* 0; COLLECT_KEYS_FULL: more than the memory allows; -ENOMEM. What is not in the slice is passed over. */
enum { COLLECT_KEYS_FULL = 64 }; /* none of enum store_outcome */
int collect_keys_add(struct collect_keys *k, enum key_object kind, const struct ulid *writer,
		     const struct id256 *id, uint64_t size_bytes, unsigned list);
/* After the last add, before find. */
void collect_keys_sort(struct collect_keys *k);
/* The first of the equal keys (several lists may name one), and how many there are; NULL: none. */
struct collect_key *collect_keys_find(const struct collect_keys *k, enum key_object kind,
				      const struct object_ref *ref, size_t *ret_count);
/* "<writer>/<id>" -> 0, or -EINVAL. */
int collect_keys_parse(const char *rest, struct ulid *ret_writer, struct id256 *ret_id);

#endif
