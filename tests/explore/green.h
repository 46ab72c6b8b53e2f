/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Green threads under the project's own code: pthread_create, mutexes, conditions, clocks and sleeps of the program are replaced at link time
 * (-Wl,--wrap, see CMakeLists.txt), so that one system thread runs everything, in an order that depends on nothing but what the scheduler decides.
 *
 * Each thread belongs to a group (an actor: a process of the real world). A thread runs until it waits: for a mutex, a condition, another thread, the fake
 * clock, or, in green_park, for the scheduler. The clock stands still unless the scheduler moves it; who waits for a time wakes only in green_fire.
 *
 * Everything here is called from one system thread. green_settle, green_fire and green_advance: only from outside of the green threads.
 */
#ifndef SSTABLEFS_TESTS_GREEN_H
#define SSTABLEFS_TESTS_GREEN_H

#include <stdbool.h>
#include <stdint.h>

#define GREEN_GROUPS 16

struct green;

/* A thread of a group; it runs at the next green_settle of the group. */
void green_spawn(unsigned group, void *(*fn)(void *), void *arg);
/* Runs the threads of a group, in the order in which they became runnable, until none is. */
void green_settle(unsigned group);
/* Called by a green thread: waits for green_unpark. */
void green_park(void);
void green_unpark(struct green *g);
/* The thread that runs; NULL outside of all. */
struct green *green_self(void);
/* A number that no other thread has. */
uint64_t green_serial(const struct green *g);
/* Threads of a group that have not ended; its threads that wait for nothing that could happen are a deadlock. */
unsigned green_alive(unsigned group);

/* The fake clock. */
int64_t green_now_ns(void);
void green_set_ns(int64_t now_ns);
/* Whether a thread of the group waits for a time that has come; the earliest time that any thread of the group waits for (INT64_MAX: none). */
bool green_is_due(unsigned group);
int64_t green_next_ns(unsigned group);
/* Wakes the threads of the group whose time has come. They run at the next green_settle. */
void green_fire(unsigned group);

#endif
