/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/explore/states.h"

#include <stdio.h>
#include <string.h>

#include "store/mem.h"
#include "tests/explore/actors.h"
#include "tests/explore/trace.h"

#define KEYS_MAX 64
#define MINUTE_NS INT64_C(60000000000)
#define DAY_NS (24 * 60 * MINUTE_NS)
#define DEAD_NS (20 * MINUTE_NS) /* so long without a word: a backup can be continued */

const char *const states_names[STATE_COUNT] = { "two backups",
						"b1 deleted",
						"b1 condemned",
						"b1 condemned, waiting",
						"b1 half gone",
						"a backup unfinished",
						"a backup and a reader dead",
						"b1 condemned, w0 reuses it",
						"a name taken twice" };

struct item {
	char *key;
	char *body;
	size_t len;
	int64_t modified_ns;
};

static struct saved {
	struct item items[KEYS_MAX];
	size_t count;
	int64_t now_ns;
} saved[STATE_COUNT];

/* ---- saving and loading ---- */

static int on_key(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct saved *s = ctx;

	if (s->count == KEYS_MAX)
		abort();
	s->items[s->count++] =
		(struct item){ .key = strdup(entry->key), .modified_ns = entry->modified_ns };
	return 0;
}

static void save(struct world *w, enum state which)
{
	struct saved *s = &saved[which];
	const struct store_list list = { .prefix = "", .entry = on_key, .ctx = s };
	struct err e = ERR_INIT;

	s->now_ns = green_now_ns();
	if (store_list(w->store, &list, NULL, &e) < 0)
		abort();
	for (size_t i = 0; i < s->count; i++)
		if (store_get_alloc(w->store, s->items[i].key, MIB, &s->items[i].body,
				    &s->items[i].len, NULL, NULL, &e) != 0)
			abort();
}

void states_load(struct world *w, enum state which)
{
	const struct saved *s = &saved[which];
	struct err e = ERR_INIT;

	w->store = mem_store_new(&w->clock);
	if (!w->store)
		abort();
	for (size_t i = 0; i < s->count; i++) {
		const struct item *x = &s->items[i];

		green_set_ns(x->modified_ns - WALL_NS);
		if (store_put_bytes(w->store, x->key, x->body, x->len, STORE_ALWAYS, NULL, NULL,
				    NULL, &e) != 0)
			abort();
	}
	green_set_ns(s->now_ns);
}

void states_free(void)
{
	for (size_t i = 0; i < STATE_COUNT; i++) {
		for (size_t k = 0; k < saved[i].count; k++) {
			free(saved[i].items[k].key);
			free(saved[i].items[k].body);
		}
	}
}

/* ---- making ---- */

/* Runs what was put into the world, with nothing in between; a minute passes. */
static void play(struct world *w)
{
	trace_reset(w->trace, false);
	world_run(w);
	world_free_actors(w);
	green_set_ns(green_now_ns() + MINUTE_NS);
	if (!w->failure[0])
		return;
	fprintf(stderr, "explore: cannot make the states that runs begin with: %s\n", w->failure);
	exit(1);
}

static void back_up(struct world *w, const struct files *f, enum step crash)
{
	char who[16];

	snprintf(who, sizeof(who), "make-%s", f->name);
	actors_backup(w, who, f->name, f)->crash_step = crash;
	play(w);
}

static void collect(struct world *w, enum state which, enum step crash)
{
	struct actor *c;

	states_load(w, STATE_DELETED);
	c = actors_collect(w, "gc", 1, false);
	c->crash_step = crash;
	c->crash_after = true;
	play(w);
	save(w, which);
	store_free(w->store);
}

static void make_unfinished(struct world *w, const struct files *files)
{
	struct actor *r;

	states_load(w, STATE_TWO);
	back_up(w, &files[FILES_W1], STEP_W5);
	green_set_ns(green_now_ns() + DEAD_NS);
	save(w, STATE_UNFINISHED);
	r = actors_read(w, "dead", "b1", &files[FILES_B1]);
	r->crash_step = STEP_R_READ;
	play(w);
	green_set_ns(green_now_ns() + DAY_NS + MINUTE_NS);
	save(w, STATE_DEAD);
	store_free(w->store);
}

/* w0 has read which backups there are when b1 is deleted and condemned, and commits then. */
static void make_reused(struct world *w, const struct files *files)
{
	struct actor *a;

	states_load(w, STATE_TWO);
	a = actors_backup(w, "make-w0", "w0", &files[FILES_W2]);
	a->wait_step = STEP_W3;
	a->priority = 3;
	actors_delete(w, "rm", "b1")->priority = 2;
	a = actors_collect(w, "gc", 1, false);
	a->priority = 1;
	a->crash_step = STEP_C3_WAITS;
	a->crash_after = true;
	play(w);
	back_up(w, &files[FILES_W1], STEP_W3);
	green_set_ns(green_now_ns() + DEAD_NS);
	save(w, STATE_REUSED);
	store_free(w->store);
}

static void make_taken(struct world *w, const struct files *files)
{
	struct actor *a;

	states_load(w, STATE_TWO);
	a = actors_backup(w, "make-1", "w1", &files[FILES_W2]);
	a->wait_step = STEP_W2_LIST;
	a->priority = 2;
	a = actors_backup(w, "make-2", "w1", &files[FILES_W1]);
	a->crash_step = STEP_W1_LIST;
	a->priority = 1;
	play(w);
	green_set_ns(green_now_ns() + DEAD_NS);
	save(w, STATE_TAKEN);
	store_free(w->store);
}

void states_make(struct world *w, const struct files *files)
{
	struct err e = ERR_INIT;

	w->store = mem_store_new(&w->clock);
	if (!w->store || repo_init(w->store, OBJECT_COMPRESS_NONE, &w->clock, &e) < 0)
		abort();
	back_up(w, &files[FILES_B2], STEP_COUNT);
	back_up(w, &files[FILES_B1], STEP_COUNT);
	actors_backup(w, "look", "look", &files[FILES_W1])->dry = true;
	play(w);
	save(w, STATE_TWO);
	actors_delete(w, "rm", "b1");
	play(w);
	save(w, STATE_DELETED);
	store_free(w->store);
	collect(w, STATE_CONDEMNED, STEP_C2);
	collect(w, STATE_WAITING, STEP_C3_WAITS);
	collect(w, STATE_HALF_GONE, STEP_C4_DELETE);
	make_unfinished(w, files);
	make_reused(w, files);
	make_taken(w, files);
}
