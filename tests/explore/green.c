/* SPDX-License-Identifier: Apache-2.0 */
/* A fortified longjmp refuses to go from stack to stack. */
#undef _FORTIFY_SOURCE

#include "tests/explore/green.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#define STACK_BYTES ((size_t)512 * 1024)
#define GUARD_BYTES ((size_t)4096)
#define NS_PER_S INT64_C(1000000000)

struct queue {
	struct green *first, *last;
};

struct green {
	jmp_buf place;
	ucontext_t start;
	bool started, ended, joined, detached;
	unsigned group;
	uint64_t serial;
	void *(*fn)(void *);
	void *arg;
	struct queue joiners;
	struct green *next;	     /* in the one queue that it is in */
	struct green *older, *newer; /* all threads that have not ended */
	int64_t until_ns;	     /* INT64_MAX: waits for no time */
	struct queue *waits_in;	     /* the condition that a timed wait can leave */
	bool timed_out;
	char *stack;
};

/* What lies in the memory of a pthread_mutex_t and of a pthread_cond_t. */
struct mutex {
	struct green *owner;
	struct queue waiting;
};

_Static_assert(sizeof(struct mutex) <= sizeof(pthread_mutex_t), "a mutex has room");
_Static_assert(sizeof(struct queue) <= sizeof(pthread_cond_t), "a condition has room");

static struct {
	struct green *running;
	jmp_buf outside;
	struct queue ready[GREEN_GROUPS];
	struct green *all[GREEN_GROUPS];
	unsigned alive[GREEN_GROUPS];
	int64_t now_ns;
	uint64_t threads;    /* made so far */
	struct green *spare; /* ended, with their stacks */
} world;

static void fail(const char *what)
{
	fprintf(stderr, "green threads: %s\n", what);
	abort();
}

/* ---- queues ---- */

static void push(struct queue *q, struct green *g)
{
	g->next = NULL;
	if (q->last)
		q->last->next = g;
	else
		q->first = g;
	q->last = g;
}

static struct green *pop(struct queue *q)
{
	struct green *g = q->first;

	if (!g)
		return NULL;
	q->first = g->next;
	if (!q->first)
		q->last = NULL;
	g->next = NULL;
	return g;
}

static void take_out(struct queue *q, struct green *g)
{
	struct green **at = &q->first, *before = NULL;

	while (*at != g) {
		before = *at;
		at = &(*at)->next;
	}
	*at = g->next;
	if (q->last == g)
		q->last = before;
	g->next = NULL;
}

static void make_ready(struct green *g)
{
	g->until_ns = INT64_MAX;
	g->waits_in = NULL;
	push(&world.ready[g->group], g);
}

/* ---- switching ---- */

/* Leaves the running thread, which is in some queue, or parked. errno is the system thread's. */
static void leave(void)
{
	int error = errno;

	if (!world.running)
		fail("somebody outside of all threads would have to wait");
	if (_setjmp(world.running->place) == 0)
		_longjmp(world.outside, 1);
	errno = error;
}

static void end(struct green *g)
{
	struct green *j;

	g->ended = true;
	while ((j = pop(&g->joiners)))
		make_ready(j);
	if (g->older)
		g->older->newer = g->newer;
	else
		world.all[g->group] = g->newer;
	if (g->newer)
		g->newer->older = g->older;
	world.alive[g->group]--;
}

static void run_thread(void)
{
	struct green *g = world.running;

	g->fn(g->arg);
	end(g);
	_longjmp(world.outside, 1);
}

static void start(struct green *g)
{
	g->started = true;
	getcontext(&g->start);
	g->start.uc_stack.ss_sp = g->stack + GUARD_BYTES;
	g->start.uc_stack.ss_size = STACK_BYTES;
	g->start.uc_link = NULL;
	makecontext(&g->start, run_thread, 0);
	setcontext(&g->start);
}

static void enter(struct green *g)
{
	world.running = g;
	if (_setjmp(world.outside) == 0) {
		if (g->started)
			_longjmp(g->place, 1);
		start(g);
	}
	g = world.running;
	world.running = NULL;
	if (g->ended && (g->joined || g->detached)) {
		g->next = world.spare;
		world.spare = g;
	}
}

static char *new_stack(void)
{
	char *p = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED || mprotect(p, GUARD_BYTES, PROT_NONE) < 0)
		fail("no memory for a stack");
	return p;
}

static struct green *green_new(unsigned group, void *(*fn)(void *), void *arg)
{
	struct green *g = world.spare;
	char *stack = NULL;

	if (g) {
		world.spare = g->next;
		stack = g->stack;
	} else {
		g = malloc(sizeof(*g));
		if (!g)
			fail("no memory");
	}
	memset(g, 0, sizeof(*g));
	g->stack = stack ? stack : new_stack();
	g->group = group;
	g->serial = ++world.threads;
	g->fn = fn;
	g->arg = arg;
	g->newer = world.all[group];
	if (g->newer)
		g->newer->older = g;
	world.all[group] = g;
	world.alive[group]++;
	make_ready(g);
	return g;
}

void green_spawn(unsigned group, void *(*fn)(void *), void *arg)
{
	green_new(group, fn, arg)->detached = true;
}

void green_settle(unsigned group)
{
	struct green *g;

	while ((g = pop(&world.ready[group])))
		enter(g);
}

void green_park(void)
{
	leave();
}

void green_unpark(struct green *g)
{
	make_ready(g);
}

struct green *green_self(void)
{
	return world.running;
}

uint64_t green_serial(const struct green *g)
{
	return g->serial;
}

unsigned green_alive(unsigned group)
{
	return world.alive[group];
}

/* ---- time ---- */

int64_t green_now_ns(void)
{
	return world.now_ns;
}

void green_set_ns(int64_t now_ns)
{
	world.now_ns = now_ns;
}

int64_t green_next_ns(unsigned group)
{
	int64_t next = INT64_MAX;

	for (struct green *g = world.all[group]; g; g = g->newer)
		if (g->until_ns < next)
			next = g->until_ns;
	return next;
}

bool green_is_due(unsigned group)
{
	return green_next_ns(group) <= world.now_ns;
}

void green_fire(unsigned group)
{
	for (struct green *g = world.all[group]; g; g = g->newer) {
		if (g->until_ns > world.now_ns)
			continue;
		if (g->waits_in)
			take_out(g->waits_in, g);
		g->timed_out = true;
		make_ready(g);
	}
}

/* ---- what is called in place of the system's ---- */

int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);
int __wrap_pthread_join(pthread_t id, void **ret);
int __wrap_pthread_setname_np(pthread_t id, const char *name);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
int __wrap_pthread_mutex_init(pthread_mutex_t *p, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *p);
int __wrap_pthread_mutex_lock(pthread_mutex_t *p);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *p);
int __wrap_pthread_cond_init(pthread_cond_t *p, const pthread_condattr_t *attr);
int __wrap_pthread_cond_destroy(pthread_cond_t *p);
int __wrap_pthread_cond_wait(pthread_cond_t *p, pthread_mutex_t *m);
int __wrap_pthread_cond_timedwait(pthread_cond_t *p, pthread_mutex_t *m,
				  const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *p);
int __wrap_pthread_cond_broadcast(pthread_cond_t *p);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left);

int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg)
{
	if (!world.running)
		fail("a thread is made outside of all groups");
	*ret = (pthread_t)(uintptr_t)green_new(world.running->group, fn, arg);
	return 0;
}

int __wrap_pthread_join(pthread_t id, void **ret)
{
	struct green *g = (struct green *)(uintptr_t)id; /* NOLINT(performance-no-int-to-ptr) */

	g->joined = true;
	if (!g->ended) {
		push(&g->joiners, world.running);
		leave();
	} else {
		g->next = world.spare;
		world.spare = g;
	}
	if (ret)
		*ret = NULL;
	return 0;
}

int __wrap_pthread_setname_np(pthread_t id, const char *name)
{
	return 0;
}

int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return 0;
}

int __wrap_pthread_mutex_init(pthread_mutex_t *p, const pthread_mutexattr_t *attr)
{
	memset(p, 0, sizeof(*p));
	return 0;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *p)
{
	if (((struct mutex *)p)->owner)
		fail("a mutex is destroyed that somebody holds");
	return 0;
}

static struct green outsider; /* stands for whoever runs outside of all threads */

static struct green *me(void)
{
	return world.running ? world.running : &outsider;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *p)
{
	struct mutex *m = (struct mutex *)p;

	if (m->owner == me())
		fail("a mutex is locked twice");
	if (m->owner) {
		push(&m->waiting, world.running);
		leave();
	} else {
		m->owner = me();
	}
	return 0;
}

/* Handed to who waits longest. */
int __wrap_pthread_mutex_unlock(pthread_mutex_t *p)
{
	struct mutex *m = (struct mutex *)p;

	if (m->owner != me())
		fail("a mutex is unlocked by another thread");
	m->owner = pop(&m->waiting);
	if (m->owner)
		make_ready(m->owner);
	return 0;
}

int __wrap_pthread_cond_init(pthread_cond_t *p, const pthread_condattr_t *attr)
{
	memset(p, 0, sizeof(*p));
	return 0;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *p)
{
	if (((struct queue *)p)->first)
		fail("a condition is destroyed that somebody waits for");
	return 0;
}

static int wait_until(pthread_cond_t *p, pthread_mutex_t *m, int64_t until_ns)
{
	struct green *g = world.running;

	if (!g)
		fail("somebody outside of all threads waits for a condition");
	__wrap_pthread_mutex_unlock(m);
	push((struct queue *)p, g);
	g->waits_in = (struct queue *)p;
	g->until_ns = until_ns;
	g->timed_out = false;
	leave();
	__wrap_pthread_mutex_lock(m);
	return g->timed_out ? ETIMEDOUT : 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *p, pthread_mutex_t *m)
{
	return wait_until(p, m, INT64_MAX);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *p, pthread_mutex_t *m,
				  const struct timespec *until)
{
	return wait_until(p, m, until->tv_sec * NS_PER_S + until->tv_nsec);
}

int __wrap_pthread_cond_signal(pthread_cond_t *p)
{
	struct green *g = pop((struct queue *)p);

	if (g)
		make_ready(g);
	return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *p)
{
	while (((struct queue *)p)->first)
		__wrap_pthread_cond_signal(p);
	return 0;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
	*ret = (struct timespec){ world.now_ns / NS_PER_S, world.now_ns % NS_PER_S };
	return 0;
}

int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left)
{
	struct green *g = world.running;

	if (!g)
		fail("somebody outside of all threads sleeps");
	g->until_ns = world.now_ns + wanted->tv_sec * NS_PER_S + wanted->tv_nsec;
	leave();
	return 0;
}
