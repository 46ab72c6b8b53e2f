/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/explore/sched.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/explore/trace.h"

#define STEPS_MAX 6000 /* of a run: more are a run that does not end */
#define LATE_PERCENT 8
#define PATIENCE_NS INT64_C(9000000000)
#define TICK_PERCENT 75

void world_fail(struct world *w, const char *fmt, ...)
{
	va_list args;

	if (w->failure[0])
		return;
	va_start(args, fmt);
	vsnprintf(w->failure, sizeof(w->failure), fmt, args);
	va_end(args);
}

/* splitmix64 */
static uint64_t draw(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

uint64_t world_random(struct world *w, uint64_t below)
{
	return draw(&w->random) % below;
}

/* ---- actors ---- */

static int64_t actor_wall(void *ctx)
{
	return WALL_NS + green_now_ns() + ((struct actor *)ctx)->skew_ns;
}

static int64_t actor_elapsed(void *ctx)
{
	return green_now_ns();
}

static void actor_random(void *ctx, void *out, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes; i++)
		((uint8_t *)out)[i] = (uint8_t)(draw(&((struct actor *)ctx)->random) >> 32);
}

struct actor *world_actor(struct world *w, enum role role, const char *name,
			  void (*run)(struct actor *a))
{
	struct actor *a = &w->actors[w->actor_count];

	*a = (struct actor){ .role = role,
			     .run = run,
			     .group = w->actor_count++,
			     .crash_at = NEVER,
			     .lose_at = NEVER,
			     .crash_step = STEP_COUNT,
			     .wait_step = STEP_COUNT };
	snprintf(a->name, sizeof(a->name), "%s", name);
	a->last = &a->pending;
	for (const char *c = name; *c; c++)
		a->random = a->random * 31 + (unsigned char)*c;
	/* No two clocks agree. */
	a->skew_ns = ((int64_t)(draw(&a->random) % 48) - 24) * 3600 * 1000000000;
	a->clock = (struct clock){ actor_wall, actor_elapsed, actor_random, a };
	a->store = step_store_new(w, a);
	return a;
}

void world_free_actors(struct world *w)
{
	for (unsigned i = 0; i < w->actor_count; i++) {
		late_free(w->actors[i].late);
		store_free(w->actors[i].store);
	}
	w->actor_count = 0;
}

static void *actor_main(void *arg)
{
	struct actor *a = arg;

	a->run(a);
	a->ended = true;
	return NULL;
}

/* ---- what happens to a request ---- */

static void crash(struct world *w, struct actor *a)
{
	a->crashed = true;
	a->faults++;
	trace_note(w->trace, "%s crashes", a->name);
}

static enum verdict verdict_of(struct world *w, struct actor *a, const struct request *q)
{
	bool write = q->op == OP_PUT || q->op == OP_DELETE;
	static const enum verdict given_up[] = { VERDICT_GIVEN_UP, VERDICT_LOST_DONE, VERDICT_LOST,
						 VERDICT_LATE };

	if (cancel_is_set(q->cancel))
		return write ? given_up[world_random(w, 4)] : VERDICT_GIVEN_UP;
	if (write && a->writes++ == a->lose_at) {
		a->faults++;
		return a->lose_how;
	}
	return VERDICT_DO;
}

/* The requests of a process that is gone end, and so do those that it makes on its way out. */
static void sweep(struct actor *a)
{
	while (a->crashed && a->pending) {
		struct request *q = a->pending;

		a->pending = q->next;
		if (!a->pending)
			a->last = &a->pending;
		q->verdict = VERDICT_CRASHED;
		green_unpark(q->thread);
		green_settle(a->group);
	}
}

static struct request *take_request(struct world *w, struct actor *a)
{
	struct request **at = &a->pending, *q;
	unsigned skip = w->walk || world_random(w, 8) == 0 ? (unsigned)world_random(w, 3) : 0;

	while (skip-- > 0 && (*at)->next)
		at = &(*at)->next;
	q = *at;
	*at = q->next;
	if (!q->next)
		a->last = at;
	q->next = NULL;
	return q;
}

static void step_request(struct world *w, struct actor *a)
{
	struct request *q = take_request(w, a);
	bool crashes = a->requests++ == a->crash_at || q->step == a->crash_step;

	if (crashes && !a->crash_after)
		crash(w, a);
	q->verdict = a->crashed ? VERDICT_CRASHED : verdict_of(w, a, q);
	if (crashes && a->crash_after)
		crash(w, a);
	green_unpark(q->thread);
	green_settle(a->group);
	sweep(a);
}

static void step_tick(struct actor *a)
{
	green_fire(a->group);
	green_settle(a->group);
	sweep(a);
}

/* ---- who is next ---- */

static bool can_go(const struct actor *a)
{
	return a->pending || green_is_due(a->group);
}

static void pass(struct world *w, int64_t by_ns)
{
	green_set_ns(green_now_ns() + by_ns);
	/* Who was held up for long may rightly give up. */
	for (unsigned i = 0; i < w->actor_count; i++)
		w->actors[i].faults += by_ns > PATIENCE_NS;
	trace_note(w->trace, "%.1f s pass", (double)by_ns / 1e9);
}

/* Whether it is about to make the request before which it lets others go first. */
static bool gives_way(struct world *w, struct actor *a)
{
	if (!a->pending || a->pending->step != a->wait_step)
		return false;
	a->wait_step = STEP_COUNT;
	a->priority = --w->lowest;
	if (a->wait_ns > 0)
		pass(w, a->wait_ns);
	return true;
}

static struct actor *pick_by_priority(struct world *w)
{
	struct actor *best = NULL;

	for (unsigned i = 0; i < w->actor_count; i++) {
		struct actor *a = &w->actors[i];

		if (can_go(a) && (!best || a->priority > best->priority))
			best = a;
	}
	if (best && gives_way(w, best))
		return pick_by_priority(w);
	for (unsigned i = 0; best && i < w->change_count; i++) {
		if (w->changes[i] == w->steps) {
			best->priority = --w->lowest;
			w->changes[i] = NEVER;
			return pick_by_priority(w);
		}
	}
	return best;
}

static struct actor *pick_by_chance(struct world *w)
{
	struct actor *able[ACTORS_MAX];
	unsigned count = 0;

	if (w->last && can_go(w->last) && world_random(w, 100) >= w->switch_percent)
		return w->last;
	for (unsigned i = 0; i < w->actor_count; i++)
		if (can_go(&w->actors[i]))
			able[count++] = &w->actors[i];
	return count > 0 ? able[world_random(w, count)] : NULL;
}

static void arrive_late(struct world *w, unsigned percent)
{
	for (unsigned i = 0; i < w->actor_count; i++)
		while (w->actors[i].late && world_random(w, 100) < percent)
			late_arrive(w, &w->actors[i]);
}

static void jump(struct world *w)
{
	for (unsigned i = 0; i < w->jump_count; i++) {
		if (w->jumps[i].at != w->steps)
			continue;
		w->jumps[i].at = NEVER;
		pass(w, w->jumps[i].by_ns);
	}
}

/* Nobody can go on before some time comes. False: nobody ever will. */
static bool wait_for_time(struct world *w)
{
	int64_t next = INT64_MAX;
	bool alive = false;

	for (unsigned i = 0; i < w->actor_count; i++) {
		int64_t t = green_next_ns(w->actors[i].group);

		next = MIN_OF(next, t);
		alive = alive || green_alive(w->actors[i].group) > 0;
	}
	if (!alive)
		return false;
	if (next == INT64_MAX) {
		world_fail(w, "threads wait for one another for ever");
		return false;
	}
	green_set_ns(next);
	return true;
}

static void step(struct world *w, struct actor *a)
{
	bool tick = green_is_due(a->group);

	if (tick && (!a->pending || world_random(w, 100) < TICK_PERCENT))
		step_tick(a);
	else
		step_request(w, a);
	w->last = a;
	w->steps++;
}

void world_run(struct world *w)
{
	w->steps = 0;
	w->last = NULL;
	for (unsigned i = 0; i < w->actor_count; i++) {
		green_spawn(w->actors[i].group, actor_main, &w->actors[i]);
		green_settle(w->actors[i].group);
	}
	while (w->steps < STEPS_MAX && !w->failure[0]) {
		struct actor *a;

		jump(w);
		arrive_late(w, LATE_PERCENT);
		a = w->walk ? pick_by_chance(w) : pick_by_priority(w);
		if (a)
			step(w, a);
		else if (!wait_for_time(w))
			break;
	}
	if (w->steps >= STEPS_MAX)
		world_fail(w, "the run does not end");
	arrive_late(w, 100);
}
