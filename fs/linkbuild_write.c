/* SPDX-License-Identifier: Apache-2.0 */
/* From what was read of the backups to the file: which backups are whole, which runs they hold, everything in its order. */
#include <errno.h>
#include <string.h>
#include "fs/linkbuild_private.h"

#define NO_NUMBER UINT32_MAX
#define BUCKET_BITS 8
#define BUCKETS (1 << BUCKET_BITS)

static uint32_t *uses(struct linkbuild *b)
{
	return b->uses.data;
}

static uint32_t *numbers(struct linkbuild *b)
{
	return b->numbers.data;
}

/* ---- which backups are whole, and what they hold ---- */

static int use_kept(struct linkbuild *b, const struct built *k)
{
	struct linkfile_cursor c;
	uint32_t number;
	int r = 0;

	linkfile_cursor_init(&c, b->o.old, LINKFILE_LISTS, k->was.first);
	for (uint64_t i = 0; r == 0 && i < k->was.count; i++) {
		r = linkfile_next(&c, &number);
		if (r == 0 && number < b->old_runs)
			uses(b)[number]++;
		else if (r >= 0)
			r = -EBADMSG;
	}
	return r;
}

/* A run that somebody else was to read, and could not, makes this backup fail too. */
static bool is_whole(struct linkbuild *b, const struct built *k)
{
	const uint32_t *lists = b->lists.data;

	for (uint64_t i = k->first; i < k->first + k->count; i++)
		if (lists[i] >= b->old_runs &&
		    linkbuild_runs(b)[lists[i] - b->old_runs].entry_count == 0)
			return false;
	return true;
}

static int use_fresh(struct linkbuild *b, size_t i)
{
	const struct built *k = &b->backups[i];
	struct err e = ERR_INIT;

	if (b->o.backups[i].result == 0 && !is_whole(b, k)) {
		b->o.backups[i].result =
			err_set(&e, ERR_IO, -EIO, "a run that it shares could not be read");
		if (b->o.failed)
			b->o.failed(b->o.ctx, i, &e);
	}
	for (uint64_t n = 0; b->o.backups[i].result == 0 && n < k->count; n++)
		uses(b)[((const uint32_t *)b->lists.data)[k->first + n]]++;
	return 0;
}

static int count_uses(struct linkbuild *b)
{
	size_t all = (b->old_runs + b->run_count + 1) * sizeof(uint32_t);
	int r = spill_grow(&b->uses, b->o.dir_fd, all);

	if (r == 0)
		r = spill_grow(&b->numbers, b->o.dir_fd, all);
	if (r < 0)
		return r;
	memset(b->uses.data, 0, all);
	memset(b->numbers.data, 0xff,
	       all); /* NO_NUMBER, also for what only backups name that failed */
	for (size_t i = 0; r == 0 && i < b->o.count; i++)
		r = b->backups[i].kept ? use_kept(b, &b->backups[i]) : use_fresh(b, i);
	return r;
}

/* ---- runs ---- */

static int compare_runs(const void *a, const void *b, void *runs)
{
	const struct link_run *all = runs;
	uint32_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return link_key_compare(&all[x].key, &all[y].key);
}

/* The new runs that are in use, by key. */
static uint32_t *sort_runs(struct linkbuild *b, size_t *ret_count)
{
	uint32_t *order = calloc(b->run_count + 1, sizeof(*order));

	*ret_count = 0;
	for (size_t i = 0; order && i < b->run_count; i++)
		if (uses(b)[b->old_runs + i] > 0)
			order[(*ret_count)++] = (uint32_t)i;
	if (order && *ret_count > 0)
		qsort_r(order, *ret_count, sizeof(*order), compare_runs, b->runs.data);
	return order;
}

static int put_run(struct linkbuild *b, struct linkfile_writer *w, struct link_run *run,
		   uint32_t was, uint32_t *next)
{
	if (uses(b)[was] == 0)
		return 0;
	run->count = uses(b)[was];
	numbers(b)[was] = (*next)++;
	return linkfile_append(w, LINKFILE_RUNS, run);
}

static int put_runs(struct linkbuild *b, struct linkfile_writer *w)
{
	size_t count = 0, at = 0;
	_cleanup_free_ uint32_t *order = sort_runs(b, &count);
	struct linkfile_cursor c;
	struct link_run run, *all = linkbuild_runs(b);
	uint32_t next = 0, old = 0;
	int r = LINKFILE_ABSENT;

	if (!order)
		return -ENOMEM;
	if (b->o.old) {
		linkfile_cursor_init(&c, b->o.old, LINKFILE_RUNS, 0);
		r = linkfile_next(&c, &run);
	}
	while (r == 0 || (r == LINKFILE_ABSENT && at < count)) {
		if (at < count && (r != 0 || link_key_compare(&all[order[at]].key, &run.key) < 0)) {
			int put = put_run(b, w, &all[order[at]], b->old_runs + order[at], &next);

			at++;
			if (put < 0)
				return put;
			continue;
		}
		r = put_run(b, w, &run, old++, &next);
		if (r == 0)
			r = linkfile_next(&c, &run);
	}
	return MIN_OF(r, 0);
}

/* ---- backups ---- */

static int put_list(struct linkbuild *b, struct linkfile_writer *w, const struct built *k)
{
	uint64_t count = k->kept ? k->was.count : k->count;
	_cleanup_free_ uint32_t *list = calloc(count + 1, sizeof(*list));
	struct linkfile_cursor c;
	int r = 0;

	if (!list)
		return -ENOMEM;
	if (k->kept)
		linkfile_cursor_init(&c, b->o.old, LINKFILE_LISTS, k->was.first);
	for (uint64_t i = 0; r == 0 && i < count; i++) {
		if (k->kept)
			r = linkfile_next(&c, &list[i]);
		else
			list[i] = ((const uint32_t *)b->lists.data)[k->first + i];
		if (r == 0)
			list[i] = numbers(b)[list[i]];
	}
	if (count > 0)
		qsort(list, count, sizeof(*list), linkbuild_compare_numbers);
	for (uint64_t i = 0; r == 0 && i < count; i++)
		r = linkfile_append(w, LINKFILE_LISTS, &list[i]);
	return r;
}

static int compare_writers(const void *a, const void *b, void *backups)
{
	const struct link_wanted *all = backups;

	return memcmp(&all[*(const size_t *)a].writer, &all[*(const size_t *)b].writer,
		      sizeof(struct ulid));
}

/* Lists first, then the backups, both by writer. */
static int put_backups(struct linkbuild *b, struct linkfile_writer *w)
{
	_cleanup_free_ size_t *order = calloc(b->o.count + 1, sizeof(*order));
	uint64_t first = 0;
	int r = 0;

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < b->o.count; i++)
		order[i] = i;
	qsort_r(order, b->o.count, sizeof(*order), compare_writers, b->o.backups);
	for (size_t i = 0; r == 0 && i < b->o.count; i++)
		if (b->o.backups[order[i]].result == 0)
			r = put_list(b, w, &b->backups[order[i]]);
	for (size_t i = 0; r == 0 && i < b->o.count; i++) {
		const struct link_wanted *wanted = &b->o.backups[order[i]];
		const struct built *k = &b->backups[order[i]];
		struct link_backup put = { .writer = wanted->writer,
					   .root = wanted->root.digest,
					   .first = first,
					   .count = k->kept ? k->was.count : k->count };

		if (wanted->result < 0)
			continue;
		first += put.count;
		r = linkfile_append(w, LINKFILE_BACKUPS, &put);
	}
	return r;
}

/* ---- links ---- */

static int compare_links(const void *a, const void *b)
{
	const struct link *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return (x->run > y->run) - (x->run < y->run);
}

static size_t bucket_of(const struct link *l)
{
	return l->ino >> (62 - BUCKET_BITS);
}

/* In place, and without the copy of all that qsort(3) would make: first into buckets, as numbers are spread evenly. */
static void sort_links(struct link *links, size_t count)
{
	size_t next[BUCKETS] = { 0 }, end[BUCKETS], at = 0;

	for (size_t i = 0; i < count; i++)
		next[bucket_of(&links[i])]++;
	for (size_t i = 0; i < BUCKETS; i++) {
		size_t here = next[i];

		next[i] = at;
		at = end[i] = at + here;
	}
	for (size_t i = 0; i < BUCKETS; i++)
		while (next[i] < end[i]) {
			struct link l = links[next[i]];
			size_t to = bucket_of(&l);

			links[next[i]] = links[next[to]];
			links[next[to]++] = l;
		}
	at = 0;
	for (size_t i = 0; i < BUCKETS; i++) {
		if (end[i] > at)
			qsort(links + at, end[i] - at, sizeof(*links), compare_links);
		at = end[i];
	}
}

/* Two identities with one number differ in what else is kept of their digests. */
static int put_link(struct linkbuild *b, struct linkfile_writer *w, struct link l,
		    struct link *last)
{
	if (l.ino == last->ino && link_check(&l) != link_check(last)) {
		int r = linkbuild_note_collision(b, l.ino);

		return r < 0 ? r : LINKBUILD_COLLISION;
	}
	if (l.run >= b->old_runs + b->run_count)
		return -EBADMSG;
	*last = l;
	l.run = numbers(b)[l.run];
	return l.run == NO_NUMBER ? 0 : linkfile_append(w, LINKFILE_LINKS, &l);
}

static int put_links(struct linkbuild *b, struct linkfile_writer *w)
{
	const struct link *fresh = b->links.data;
	size_t at = 0;
	struct link l, last = { 0 };
	struct linkfile_cursor c;
	int r = LINKFILE_ABSENT;

	sort_links(b->links.data, b->link_count);
	if (b->o.old) {
		linkfile_cursor_init(&c, b->o.old, LINKFILE_LINKS, 0);
		r = linkfile_next(&c, &l);
	}
	while (r == 0 || (r == LINKFILE_ABSENT && at < b->link_count)) {
		int put;

		if (at < b->link_count && (r != 0 || fresh[at].ino < l.ino)) {
			put = put_link(b, w, fresh[at++], &last);
		} else {
			put = put_link(b, w, l, &last);
			r = linkfile_next(&c, &l);
		}
		if (put != 0)
			return put;
	}
	return MIN_OF(r, 0);
}

/* ---- the whole ---- */

int linkbuild_write(struct linkbuild *b, struct linkfile **ret)
{
	_cleanup_(linkfile_writer_freep) struct linkfile_writer *w = NULL;
	int r = count_uses(b);

	if (r == 0)
		r = linkfile_writer_new(b->o.dir_fd, b->o.name, b->o.nonce, b->o.max_bytes, &w);
	if (r == 0)
		r = put_runs(b, w);
	if (r == 0)
		r = put_backups(b, w);
	if (r == 0)
		r = put_links(b, w);
	return r == 0 ? linkfile_finish(
				w, b->moved_count > 0 || (b->o.old && linkfile_has_moved(b->o.old)),
				ret)
		      : r;
}

/* ---- what changed ---- */

static bool is_changed(struct linkbuild *b, uint32_t was, uint32_t count)
{
	return !b->o.old || uses(b)[was] != count;
}

static int changed_runs(struct linkbuild *b, uint8_t *bits)
{
	struct linkfile_cursor c;
	struct link_run run;
	uint32_t i = 0;
	int r;

	linkfile_cursor_init(&c, b->before, LINKFILE_RUNS, 0);
	while ((r = linkfile_next(&c, &run)) == 0) {
		if (is_changed(b, i, run.count))
			bits[i / 8] |= (uint8_t)(1 << i % 8);
		i++;
	}
	return MIN_OF(r, 0);
}

static int tell_old(struct linkbuild *b, void (*fn)(void *ctx, uint64_t ino), void *ctx)
{
	uint64_t count = linkfile_count(b->before, LINKFILE_RUNS);
	_cleanup_free_ uint8_t *bits = calloc(count / 8 + 1, 1);
	struct linkfile_cursor c;
	struct link l;
	int r = bits ? changed_runs(b, bits) : -ENOMEM;

	linkfile_cursor_init(&c, b->before, LINKFILE_LINKS, 0);
	while (r == 0) {
		r = linkfile_next(&c, &l);
		if (r == 0 && l.run < count && bits[l.run / 8] >> l.run % 8 & 1)
			fn(ctx, l.ino);
	}
	return MIN_OF(r, 0);
}

int linkbuild_changed(struct linkbuild *b, void (*fn)(void *ctx, uint64_t ino), void *ctx)
{
	const struct link *fresh = b->links.data;

	for (size_t i = 0; i < b->link_count; i++)
		fn(ctx, fresh[i].ino);
	return b->before ? tell_old(b, fn, ctx) : 0;
}

int linkbuild_gone(struct linkbuild *b, int (*fn)(void *ctx, const struct link_key *k), void *ctx)
{
	struct linkfile_cursor c;
	struct link_run run;
	uint32_t i = 0;
	int r = 0;

	if (!b->o.old)
		return 0;
	linkfile_cursor_init(&c, b->o.old, LINKFILE_RUNS, 0);
	while (r == 0) {
		r = linkfile_next(&c, &run);
		if (r == 0 && uses(b)[i++] == 0)
			r = fn(ctx, &run.key);
	}
	return MIN_OF(r, 0);
}
