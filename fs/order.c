/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/order.h"

#include <pthread.h>
#include <stdlib.h>

enum { AS_LISTED, BY_NUMBER, ORDERS };

struct file {
	uint64_t ino;
	uint32_t place; /* in the listing */
};

struct roll { /* a directory that was listed */
	uint64_t dir;
	uint64_t used; /* when, by the count of listings and opens; 0: not in use */
	uint64_t *listed;
	struct file *sorted; /* by number; NULL: to be made */
	size_t count, cap;

	uint32_t next[ORDERS];	/* the place behind the file that was opened last */
	unsigned proof[ORDERS]; /* so many were opened in order */
	/* What was fetched from there on: whole files, and `part` bytes of the one behind them. */
	uint32_t ahead;
	uint64_t ahead_bytes, part;
};

struct order {
	pthread_mutex_t lock; /* all below */
	struct roll rolls[ORDER_DIRECTORIES];
	uint64_t time;
	bool fetching; /* between order_next and order_fetched */
};

struct order *order_new(void)
{
	struct order *o = calloc(1, sizeof(*o));

	if (o)
		pthread_mutex_init(&o->lock, NULL);
	return o;
}

static void roll_clear(struct roll *r)
{
	free(r->listed);
	free(r->sorted);
	*r = (struct roll){ .dir = 0 };
}

void order_free(struct order *o)
{
	if (!o)
		return;
	for (unsigned i = 0; i < ORDER_DIRECTORIES; i++)
		roll_clear(&o->rolls[i]);
	pthread_mutex_destroy(&o->lock);
	free(o);
}

/* ---- listings ---- */

static struct roll *find_dir(struct order *o, uint64_t dir)
{
	for (unsigned i = 0; i < ORDER_DIRECTORIES; i++)
		if (o->rolls[i].used && o->rolls[i].dir == dir)
			return &o->rolls[i];
	return NULL;
}

/* Of the directory itself, else in place of the one that was used least recently. */
static struct roll *begin(struct order *o, uint64_t dir)
{
	struct roll *r = find_dir(o, dir);

	for (unsigned i = 0; !r && i < ORDER_DIRECTORIES; i++)
		if (!o->rolls[i].used)
			r = &o->rolls[i];
	if (!r) {
		r = &o->rolls[0];
		for (unsigned i = 1; i < ORDER_DIRECTORIES; i++)
			if (o->rolls[i].used < r->used)
				r = &o->rolls[i];
	}
	roll_clear(r);
	r->dir = dir;
	return r;
}

static void add(struct roll *r, const uint64_t *inos, size_t count)
{
	free(steal_pointer(&r->sorted));
	if (r->count + count > ORDER_FILES ||
	    util_grow(&r->listed, &r->cap, r->count + count, sizeof(*r->listed)) < 0)
		return;
	for (size_t i = 0; i < count; i++)
		r->listed[r->count++] = inos[i];
}

void order_list(struct order *o, uint64_t dir, uint64_t first, const uint64_t *inos, size_t count)
{
	struct roll *r;

	pthread_mutex_lock(&o->lock);
	r = first == 0 ? begin(o, dir) : find_dir(o, dir);
	if (r) {
		r->used = ++o->time;
		/* A listing goes on in the middle of what it was given before. */
		if (first <= r->count && first + count > r->count)
			add(r, inos + (r->count - first), (size_t)(first + count - r->count));
	}
	pthread_mutex_unlock(&o->lock);
}

/* ---- opens ---- */

static int compare(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static bool sort(struct roll *r)
{
	if (r->sorted || r->count == 0)
		return r->sorted;
	r->sorted = malloc(r->count * sizeof(*r->sorted));
	if (!r->sorted)
		return false;
	for (size_t i = 0; i < r->count; i++)
		r->sorted[i] = (struct file){ r->listed[i], (uint32_t)i };
	qsort(r->sorted, r->count, sizeof(*r->sorted), compare);
	return true;
}

/* The file's places; false: the roll does not hold it. */
static bool find_places(struct roll *r, uint64_t ino, uint32_t places[ORDERS])
{
	struct file key = { .ino = ino }, *file;

	if (!sort(r))
		return false;
	file = bsearch(&key, r->sorted, r->count, sizeof(key), compare);
	if (!file)
		return false;
	places[AS_LISTED] = file->place;
	places[BY_NUMBER] = (uint32_t)(file - r->sorted);
	return true;
}

/* The roll that was used last of those that hold the file (backups share files), and the file's places in it. */
static struct roll *find_file(struct order *o, uint64_t ino, uint32_t places[ORDERS])
{
	struct roll *found = NULL;

	for (unsigned i = 0; i < ORDER_DIRECTORIES; i++) {
		struct roll *r = &o->rolls[i];

		if (r->used && !(found && found->used > r->used) && find_places(r, ino, places))
			found = r;
	}
	return found;
}

static unsigned order_of(const struct roll *r)
{
	return r->proof[BY_NUMBER] > r->proof[AS_LISTED] ? BY_NUMBER : AS_LISTED;
}

static bool is_proven(const struct roll *r)
{
	return r->proof[order_of(r)] >= ORDER_PROOF;
}

/* The file that was opened is no longer ahead. */
static void step(struct roll *r, uint64_t size, bool in_order)
{
	if (in_order && r->ahead > 0) {
		r->ahead--;
		r->ahead_bytes -= MIN_OF(size, r->ahead_bytes);
	} else {
		r->ahead = 0;
		r->ahead_bytes = r->part = 0;
	}
}

bool order_open(struct order *o, uint64_t ino, uint64_t size_bytes)
{
	uint32_t places[ORDERS];
	bool in_order = false;
	struct roll *r;

	pthread_mutex_lock(&o->lock);
	r = find_file(o, ino, places);
	if (r && places[AS_LISTED] + 1 == r->next[AS_LISTED]) {
		in_order = is_proven(r); /* once more */
	} else if (r) {
		r->used = ++o->time;
		for (unsigned k = 0; k < ORDERS; k++) {
			r->proof[k] = places[k] == r->next[k] ? r->proof[k] + 1 : 0;
			r->next[k] = places[k] + 1;
		}
		in_order = is_proven(r);
		step(r, size_bytes, in_order);
	}
	pthread_mutex_unlock(&o->lock);
	return in_order;
}

/* ---- what comes next ---- */

bool order_next(struct order *o, uint64_t opened_ino, uint64_t room_bytes, struct order_want *ret)
{
	uint32_t places[ORDERS];
	bool found = false;
	struct roll *r;

	pthread_mutex_lock(&o->lock);
	r = find_file(o, opened_ino, places);
	if (r && !o->fetching && is_proven(r) && r->ahead < ORDER_AHEAD &&
	    places[order_of(r)] + 1 == r->next[order_of(r)] &&
	    r->next[order_of(r)] + r->ahead < r->count && r->ahead_bytes < room_bytes) {
		size_t place = r->next[order_of(r)] + r->ahead;

		ret->dir = r->dir;
		ret->ino = order_of(r) == BY_NUMBER ? r->sorted[place].ino : r->listed[place];
		ret->from = r->part;
		ret->bytes = room_bytes - r->ahead_bytes;
		ret->as_listed = order_of(r) == AS_LISTED;
		o->fetching = found = true;
	}
	pthread_mutex_unlock(&o->lock);
	return found;
}

bool order_fetched(struct order *o, const struct order_want *want, uint64_t to, uint64_t size_bytes)
{
	uint32_t places[ORDERS];
	bool whole = false;
	struct roll *r;

	pthread_mutex_lock(&o->lock);
	r = find_dir(o, want->dir);
	o->fetching = false;
	/* Another file may have been opened meanwhile. */
	if (r && find_places(r, want->ino, places) &&
	    places[order_of(r)] == r->next[order_of(r)] + r->ahead && r->part == want->from) {
		whole = to == size_bytes;
		r->ahead_bytes += to - r->part;
		r->part = whole ? 0 : to;
		r->ahead += whole;
	}
	pthread_mutex_unlock(&o->lock);
	return whole;
}
