/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/sparse.h"

#include <errno.h>
#include <string.h>

#define FANOUT_BITS 9 /* a table is a page of pointers */
#define FANOUT (1 << FANOUT_BITS)

_Static_assert(FANOUT * sizeof(void *) == ROOM_PAGE_BYTES, "a table is a page");

/* Pages that a tree of that height can hold. */
static uint64_t capacity(unsigned height)
{
	return UINT64_C(1) << (FANOUT_BITS * height);
}

static size_t slot_of(uint64_t page, unsigned level)
{
	return (size_t)(page >> (FANOUT_BITS * level)) % FANOUT;
}

static uint8_t *find(const struct sparse *s, uint64_t page)
{
	void *at = s->root;

	if (page >= capacity(s->height))
		return NULL;
	for (unsigned level = s->height; at && level > 0; level--)
		at = ((void **)at)[slot_of(page, level - 1)];
	return at;
}

static int grow(struct sparse *s, struct room *r, uint64_t page)
{
	while (page >= capacity(s->height)) {
		if (s->root) {
			void *table;
			int rc = room_take_page(r, &table);

			if (rc < 0)
				return rc;
			((void **)table)[0] = s->root;
			s->root = table;
		}
		s->height++;
	}
	return 0;
}

/* Also makes the tables above it. What was made before a failure is an empty table, which the next punch gives back. */
static int find_or_make(struct sparse *s, struct room *r, uint64_t page, uint8_t **ret)
{
	void **at = &s->root;
	int rc = grow(s, r, page);

	for (unsigned level = s->height; rc == 0; level--) {
		if (!*at) {
			rc = room_take_page(r, at);
			if (rc == 0 && level == 0)
				s->data_pages++;
		}
		if (rc == 0 && level == 0) {
			*ret = *at;
			return 0;
		}
		if (rc == 0)
			at = &((void **)*at)[slot_of(page, level - 1)];
	}
	return rc;
}

void sparse_read(const struct sparse *s, uint64_t offset, void *out, size_t len_bytes)
{
	uint8_t *to = out;

	while (len_bytes > 0) {
		size_t in_page = offset % ROOM_PAGE_BYTES;
		size_t part = MIN_OF(len_bytes, ROOM_PAGE_BYTES - in_page);
		const uint8_t *page = find(s, offset / ROOM_PAGE_BYTES);

		if (page)
			memcpy(to, page + in_page, part);
		else
			memset(to, 0, part);
		to += part;
		offset += part;
		len_bytes -= part;
	}
}

ssize_t sparse_write(struct sparse *s, struct room *r, uint64_t offset, const void *data,
		     size_t len_bytes)
{
	const uint8_t *from = data;
	size_t done = 0;

	while (done < len_bytes) {
		size_t in_page = (offset + done) % ROOM_PAGE_BYTES;
		size_t part = MIN_OF(len_bytes - done, ROOM_PAGE_BYTES - in_page);
		uint8_t *page;
		int rc = find_or_make(s, r, (offset + done) / ROOM_PAGE_BYTES, &page);

		if (rc < 0)
			return done > 0 ? (ssize_t)done : rc;
		memcpy(page + in_page, from + done, part);
		done += part;
	}
	return (ssize_t)done;
}

/* Gives back the pages [first, last] of what hangs at *at, which begins at page `base`; the table too where nothing is left. */
static void drop(struct sparse *s, struct room *r, void **at, unsigned level, uint64_t base,
		 uint64_t first, uint64_t last)
{
	void **table = *at;
	bool empty = true;

	if (!table || base > last || base + capacity(level) - 1 < first)
		return;
	for (size_t i = 0; level > 0 && i < FANOUT; i++) {
		drop(s, r, &table[i], level - 1, base + i * capacity(level - 1), first, last);
		empty = empty && !table[i];
	}
	if (!empty)
		return;
	if (level == 0)
		s->data_pages--;
	room_give_page(r, *at);
	*at = NULL;
}

static void clear(const struct sparse *s, uint64_t from, uint64_t to)
{
	uint8_t *page = find(s, from / ROOM_PAGE_BYTES);

	if (page)
		memset(page + from % ROOM_PAGE_BYTES, 0, (size_t)(to - from));
}

void sparse_punch(struct sparse *s, struct room *r, uint64_t from, uint64_t to)
{
	uint64_t first = from / ROOM_PAGE_BYTES + (from % ROOM_PAGE_BYTES != 0);
	uint64_t end = to / ROOM_PAGE_BYTES;

	if (from >= to)
		return;
	if (first > end) { /* within one page */
		clear(s, from, to);
		return;
	}
	if (from % ROOM_PAGE_BYTES)
		clear(s, from, first * ROOM_PAGE_BYTES);
	if (to % ROOM_PAGE_BYTES)
		clear(s, end * ROOM_PAGE_BYTES, to);
	if (first < end)
		drop(s, r, &s->root, s->height, 0, first, end - 1);
	if (!s->root)
		s->height = 0;
}

/* Gives back those of `count` pages from `first` on that were made. */
static void undo(struct sparse *s, struct room *r, uint64_t first, const bool *made, uint64_t count)
{
	for (uint64_t i = 0, end; i < count; i = end + 1) {
		for (end = i; end < count && made[end]; end++)
			;
		sparse_punch(s, r, (first + i) * ROOM_PAGE_BYTES, (first + end) * ROOM_PAGE_BYTES);
	}
}

int sparse_reserve(struct sparse *s, struct room *r, uint64_t offset, uint64_t len_bytes)
{
	uint64_t first = offset / ROOM_PAGE_BYTES,
		 count = (offset + len_bytes - 1) / ROOM_PAGE_BYTES - first + 1;
	_cleanup_free_ bool *made = NULL;

	if (len_bytes == 0)
		return 0;
	if (count > room_limit(r) / ROOM_PAGE_BYTES)
		return -ENOSPC;
	made = calloc(count, sizeof(*made));
	if (!made)
		return -ENOMEM;
	for (uint64_t i = 0; i < count; i++) {
		uint8_t *page;
		bool missing = !find(s, first + i);
		int rc = find_or_make(s, r, first + i, &page);

		made[i] = missing;
		if (rc < 0) { /* tables may have been made for this one too */
			undo(s, r, first, made, i + 1);
			return rc;
		}
	}
	return 0;
}
