/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/explore/plan.h"

#include <stdio.h>
#include <string.h>

#include "tests/explore/actors.h"
#include "tests/explore/check.h"
#include "tests/explore/states.h"
#include "tests/explore/trace.h"

#define SECOND_NS INT64_C(1000000000)
#define HOUR_NS (3600 * SECOND_NS)
#define RUN_STEPS 140 /* of all six, about */
/* Runs that are about something find more, and are more alike: seeds from this one on have fewer of them. */
#define WIDE_SEEDS 1000000000
#define NARROW_PERCENT 40
#define WIDE_PERCENT 12
#define CLEAN_PERCENT \
	10 /* of the runs: what is left at the end is looked at too, which takes as long as the run */

static bool chance(struct world *w, unsigned percent)
{
	return world_random(w, 100) < percent;
}

/* ---- who ---- */

static void add_backups(struct world *w, const struct files *files, enum state s, bool all)
{
	bool same_name = chance(w, 20);

	if (all || chance(w, 85))
		actors_backup(w, "backup1", "w1", &files[FILES_W1]);
	if (all || chance(w, 50))
		actors_backup(w, "backup2", same_name ? "w1" : "w2", &files[FILES_W2]);
}

static void add_others(struct world *w, const struct files *files, enum state s, bool all)
{
	static const char *const targets[] = { "b1", "b1", "b1", "b2", "w1" };
	static const enum files_kind kinds[] = { FILES_B1, FILES_B1, FILES_B2 };
	unsigned first = s == STATE_TWO || s >= STATE_UNFINISHED ? 0 : 3;

	if (all || chance(w, 90))
		actors_collect(w, "collect1", 1 + chance(w, 40), chance(w, 15));
	if (all || chance(w, 50))
		actors_collect(w, "collect2", 1 + chance(w, 20), chance(w, 15));
	if (all || chance(w, first ? 40 : 85))
		actors_delete(w, "delete", targets[first + world_random(w, 5 - first)]);
	if (all || chance(w, 35)) {
		enum files_kind kind = kinds[world_random(w, 3)];

		actors_read(w, "reader", files[kind].name, &files[kind]);
	}
}

/* ---- in what order ---- */

static void order(struct world *w)
{
	unsigned at[ACTORS_MAX];

	w->walk = chance(w, 30);
	w->switch_percent = (unsigned[]){ 2, 5, 15, 50 }[world_random(w, 4)];
	for (unsigned i = 0; i < w->actor_count; i++)
		at[i] = i;
	for (unsigned i = w->actor_count; i > 1; i--) {
		unsigned k = (unsigned)world_random(w, i), other = at[k];

		at[k] = at[i - 1];
		at[i - 1] = other;
	}
	for (unsigned i = 0; i < w->actor_count; i++)
		w->actors[at[i]].priority = (int)i + 1;
	w->lowest = 0;
	w->change_count = (unsigned)world_random(w, 6);
	for (unsigned i = 0; i < w->change_count; i++)
		w->changes[i] = (unsigned)world_random(w, RUN_STEPS * w->actor_count / 6 + 1);
	if (chance(w, 25))
		w->list_page = 1 + (unsigned)world_random(w, 3);
	w->delete_singly = chance(w, 25);
}

/* ---- what goes wrong ---- */

static void break_actor(struct world *w, struct actor *a)
{
	static const unsigned requests[] = { 20, 50, 4, 14 }, writes[] = { 5, 7, 1, 3 };
	static const enum verdict how[] = { VERDICT_LOST_DONE, VERDICT_LOST, VERDICT_LATE };
	unsigned times = a->role == ROLE_COLLECT ? a->times : 1;

	if (chance(w, 12)) {
		a->crash_at = (unsigned)world_random(w, (uint64_t)requests[a->role] * times);
		a->crash_after = chance(w, 50);
	}
	if (chance(w, 20)) {
		a->lose_at = (unsigned)world_random(w, (uint64_t)writes[a->role] * times);
		a->lose_how = how[world_random(w, 3)];
	}
}

static void pass_time(struct world *w)
{
	static const int64_t by[] = { SECOND_NS / 5, 121 * SECOND_NS, 16 * 60 * SECOND_NS,
				      25 * HOUR_NS };

	if (chance(w, 60))
		return;
	w->jump_count = 1 + (unsigned)world_random(w, 3);
	for (unsigned i = 0; i < w->jump_count; i++) {
		w->jumps[i].at = (unsigned)world_random(w, RUN_STEPS * w->actor_count / 6 + 1);
		w->jumps[i].by_ns = by[world_random(w, 4)];
	}
}

/* ---- the end ---- */

/* More than a day later everything that crashed is fenced; collectors run until nothing is left to do. */
static void clean(struct world *w)
{
	for (int i = 0; i < 3 && !w->failure[0]; i++) {
		world_free_actors(w);
		green_set_ns(green_now_ns() + 25 * HOUR_NS);
		w->change_count = w->jump_count = 0;
		w->walk = false;
		trace_note(w->trace, "a day later");
		actors_collect(w, "cleaner", 1, i == 1);
		world_run(w);
	}
}

/* ---- runs that are about something ---- */

/*
 * What loses data needs a few actors that stop in the right places, which chance alone finds late: here each of them may let all others go first before some step that
 * decides, and deletes and readers are about the backup whose content is contested.
 */
struct cast {
	bool reader, fencer;
	enum step steps[ROLE_COUNT][4];
};

static const struct cast casts[] = {
	/* What a backup takes over is deleted and collected meanwhile. */
	{ .steps = { [ROLE_BACKUP] = { STEP_W2_LIST, STEP_W2B_LIST, STEP_W3, STEP_W5 },
		     [ROLE_COLLECT] = { STEP_C2, STEP_C3_RECORDS, STEP_C4_RECORDS, STEP_C4_DELETE },
		     [ROLE_DELETE] = { STEP_D_WRITE, STEP_D_WRITE, STEP_D_READ, STEP_D_READ } } },
	/* What a reader reads is. */
	{ .reader = true,
	  .steps = { [ROLE_BACKUP] = { STEP_W2_LIST, STEP_W2B_LIST, STEP_W3, STEP_W5 },
		     [ROLE_COLLECT] = { STEP_C2, STEP_C4_RECORDS, STEP_C4_RECORDS, STEP_C4_DELETE },
		     [ROLE_DELETE] = { STEP_D_WRITE, STEP_D_WRITE, STEP_D_READ, STEP_D_READ },
		     [ROLE_READ] = { STEP_R_PIN, STEP_R_CHECK, STEP_R_READ, STEP_R_READ } } },
	/* A process is held up for so long that it is taken for dead. */
	{ .fencer = true,
	  .steps = { [ROLE_BACKUP] = { STEP_W2_LIST, STEP_W3, STEP_W5, STEP_W5 },
		     [ROLE_COLLECT] = { STEP_C_FENCE, STEP_C_FENCE, STEP_C2, STEP_C4_DELETE },
		     [ROLE_DELETE] = { STEP_D_WRITE, STEP_D_WRITE, STEP_D_READ, STEP_D_READ },
		     [ROLE_READ] = { STEP_R_PIN, STEP_R_CHECK, STEP_R_READ, STEP_R_READ } } },
};

static void give_way(struct world *w, const struct cast *c, struct actor *a)
{
	if (strcmp(a->name, "collect2") == 0 || chance(w, 25))
		return;
	a->wait_step = c->steps[a->role][world_random(w, 4)];
	if (c->fencer && chance(w, 50))
		a->wait_ns = chance(w, 70) ? 25 * HOUR_NS : 16 * 60 * SECOND_NS;
}

static void add_focused(struct world *w, const struct files *files, const struct cast *c,
			enum state s)
{
	bool reused = s == STATE_REUSED;
	const char *contested = reused ? "w0" : "b1";

	if (!c->reader || chance(w, 30))
		actors_backup(w, "backup1", chance(w, 75) ? "w1" : "w2", &files[FILES_W1]);
	if (chance(w, c->fencer ? 40 : 15))
		actors_backup(w, "backup2", chance(w, 50) ? "w1" : "w2", &files[FILES_W2]);
	actors_collect(w, "collect1", 1 + chance(w, 30), chance(w, 10));
	if (chance(w, 40))
		actors_collect(w, "collect2", 1 + chance(w, 20), chance(w, 10));
	if (chance(w, 85))
		actors_delete(w, "delete", contested);
	if (c->reader || chance(w, 10))
		actors_read(w, "reader", contested, &files[reused ? FILES_W2 : FILES_B1]);
}

static void focus(struct world *w, const struct files *files)
{
	static const enum state states[] = { STATE_TWO,	    STATE_TWO,	  STATE_TWO,
					     STATE_TWO,	    STATE_REUSED, STATE_REUSED,
					     STATE_REUSED,  STATE_REUSED, STATE_REUSED,
					     STATE_WAITING, STATE_TAKEN,  STATE_UNFINISHED };
	const struct cast *c = &casts[world_random(w, ARRAY_SIZE(casts))];
	enum state s = states[world_random(w, ARRAY_SIZE(states))];

	states_load(w, s);
	trace_note(w->trace, "begins with: %s", states_names[s]);
	add_focused(w, files, c, s);
	order(w);
	w->walk = false;
	w->change_count /= 3;
	for (unsigned i = 0; i < w->actor_count; i++)
		give_way(w, c, &w->actors[i]);
	if (chance(w, 25))
		break_actor(w, &w->actors[world_random(w, w->actor_count)]);
}

/* ---- runs of all kinds ---- */

static void wander(struct world *w, const struct files *files)
{
	enum state s = (enum state)world_random(w, STATE_COUNT);
	bool all = chance(w, 60);

	states_load(w, s);
	trace_note(w->trace, "begins with: %s", states_names[s]);
	add_backups(w, files, s, all);
	add_others(w, files, s, all);
	order(w);
	for (unsigned i = 0; i < w->actor_count; i++)
		break_actor(w, &w->actors[i]);
	pass_time(w);
}

void plan_run(struct world *w, const struct files *files, uint64_t seed)
{
	w->random = seed * UINT64_C(0x9e3779b97f4a7c15);
	if (chance(w, seed < WIDE_SEEDS ? NARROW_PERCENT : WIDE_PERCENT))
		focus(w, files);
	else
		wander(w, files);
	/* Some backups have a local state that remembers b1 and b2. */
	for (unsigned i = 0; i < w->actor_count; i++)
		w->actors[i].warm = w->actors[i].role == ROLE_BACKUP && seed % 8 == 6;
	world_run(w);
	if (!w->failure[0])
		check_world(w, files);
	if (!w->failure[0] && chance(w, CLEAN_PERCENT)) {
		clean(w);
		if (!w->failure[0])
			check_world(w, files);
		if (!w->failure[0])
			check_clean(w);
	}
	world_free_actors(w);
	store_free(w->store);
}
