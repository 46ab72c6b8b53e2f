/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler: actors (backups, collectors, a delete, a reader) are groups of green threads over one store in memory. Every request of theirs to the store
 * stops before it is carried out; the scheduler, from a seed alone, picks which one goes on, moves the clock, crashes an actor, and loses answers.
 */
#ifndef SSTABLEFS_TESTS_SCHED_H
#define SSTABLEFS_TESTS_SCHED_H

#include "catalog/repo.h"
#include "store/store.h"
#include "tests/explore/green.h"

#define WALL_NS INT64_C(1700000000000000000) /* the store's clock when the fake clock is 0 */
#define ACTORS_MAX 8
#define NEVER 100000u

enum role { ROLE_BACKUP, ROLE_COLLECT, ROLE_DELETE, ROLE_READ, ROLE_COUNT };

/* What a request is to the protocol (docs/deletion.md). */
enum step {
	STEP_W0_FIND, /* an interrupted backup that could be continued */
	STEP_W1,
	STEP_W1_LIST,
	STEP_W1_GET,
	STEP_W2_LIST,
	STEP_W2_GET,
	STEP_W2B_LIST,
	STEP_W2B_GET,
	STEP_W2B_TREE,
	STEP_W3,
	STEP_W4,
	STEP_W5,
	STEP_WX,
	STEP_C1_RECORDS,
	STEP_C1_PINS,
	STEP_C1_KEYS,
	STEP_C2,
	STEP_C3_RECORDS,
	STEP_C3_WAITS,
	STEP_C4_RECORDS,
	STEP_C4_PINS,
	STEP_C4_AGAIN,
	STEP_C4_DELETE,
	STEP_C4_WAITS,
	STEP_C4_LIST,
	STEP_C_LISTS,
	STEP_C_TREE,
	STEP_C_FENCE,
	STEP_C_END,
	STEP_R_PIN,
	STEP_R_CHECK,
	STEP_R_READ,
	STEP_R_RENEW,
	STEP_R_END,
	STEP_D_READ,
	STEP_D_WRITE,
	STEP_OTHER,
	STEP_COUNT
};
extern const char *const step_names[STEP_COUNT];

enum op { OP_PUT, OP_GET, OP_HEAD, OP_LIST, OP_DELETE };

/* What becomes of a request. */
enum verdict {
	VERDICT_DO,
	VERDICT_LOST_DONE, /* carried out, and the answer is lost */
	VERDICT_LOST,	   /* not carried out, and nobody knows */
	VERDICT_LATE,	   /* as LOST, but it arrives some time later after all */
	VERDICT_GIVEN_UP,  /* its cancel token was set before it was sent */
	VERDICT_CRASHED,   /* its process is gone */
};

struct request {
	struct actor *actor;
	struct green *thread;
	enum op op;
	enum store_cond cond;
	const char *const *keys; /* one, but for a delete; of a list: the prefix */
	size_t key_count;
	const struct cancel *cancel;
	enum step step;
	enum verdict verdict;
	bool changed;	     /* the store: set when it was carried out */
	const char *outcome; /* in words */
	struct request *next;
};

struct actor {
	enum role role;
	char name[16];
	unsigned group;
	void (*run)(struct actor *a); /* on a green thread */
	struct clock clock;
	int64_t skew_ns; /* of its clock */
	uint64_t random;
	struct store *store;
	struct repo *repo;
	struct kv *kv; /* its local state */
	struct request *pending, **last;
	struct late *late; /* puts and deletes of it that are still on their way */
	unsigned requests, writes, phase;
	bool crashed, ended, was_listing;
	/* Decided by the seed. */
	unsigned crash_at, lose_at; /* the request, the write, by number; NEVER */
	bool crash_after;	    /* it is carried out, and its answer never seen */
	enum verdict lose_how;
	enum step crash_step; /* STEP_COUNT: none. For the states that runs begin with */
	unsigned faults;      /* crashes and lost answers so far */
	enum step wait_step; /* before this one it lets all others go first, once; STEP_COUNT: never */
	int64_t wait_ns;     /* and so much time passes */
	int priority;
	/* What it does, and what became of it: actors.c. */
	const struct files *files;
	char backup[32];
	unsigned times;
	bool dry, warm; /* a dry run, whose local state is what warm ones begin with */
	bool full, succeeded, unknown;
	struct ulid writer;
	char nonce[33]; /* of its last write; another actor may have continued the record */
	bool holds;
};

struct world {
	struct store *store; /* the memory */
	struct clock clock;  /* the store's */
	struct actor actors[ACTORS_MAX];
	unsigned actor_count;
	uint64_t random;    /* of the scheduler */
	unsigned list_page; /* keys that one page of a listing has; 0: all at once */
	bool delete_singly; /* the keys of one DeleteObjects go one by one */
	/* How this run is scheduled. */
	bool walk; /* at random, else by priorities */
	unsigned switch_percent;
	unsigned changes[8], change_count; /* steps at which who runs falls behind all others */
	struct {
		unsigned at;
		int64_t by_ns;
	} jumps[4];
	unsigned jump_count;
	unsigned steps;
	int lowest;
	struct actor *last;
	struct trace *trace;
	char failure[2048]; /* "": none */
};

/* Notes what is wrong; the first thing counts. */
void world_fail(struct world *w, const char *fmt, ...) _printf_(2, 3);
uint64_t world_random(struct world *w, uint64_t below);
/* A new actor in a world: its own store, clock and random numbers. */
struct actor *world_actor(struct world *w, enum role role, const char *name,
			  void (*run)(struct actor *a));
/* Runs all actors to their ends. */
void world_run(struct world *w);
void world_free_actors(struct world *w);

/* The store of an actor: every request becomes a struct request that waits for the scheduler. */
struct store *step_store_new(struct world *w, struct actor *a);
struct request;
void late_free(struct late *l);
/* Carries out what was late; frees it. */
void late_arrive(struct world *w, struct actor *a);

#endif
