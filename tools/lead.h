/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leads one command on many hosts at once, over ssh: each runs sstablefs for the whole time, says how far it is, and goes on when it is let (its side: tools/follow.h). What the steps are, and who
 * may go on when, is the task's; here are connections, words, failures, signs of life and the end.
 *
 *     WAITING -> CONNECTING -> RESTING (0 steps) -> WORKING -> RESTING (1 step) -> … -> WORKING -> DONE
 *                    |              \-> DONE (it has nothing to do)
 *                    +-- from each of these: FAILED (its own failure), STOPPED (ours)
 *
 * One thread, which polls.
 */
#ifndef SSTABLEFS_TOOLS_LEAD_H
#define SSTABLEFS_TOOLS_LEAD_H

#include "tools/peer.h"
#include "tools/sshconf.h"

#define LEAD_TEXT_MAX 1024

enum lead_state {
	LEAD_WAITING,
	LEAD_CONNECTING,
	LEAD_RESTING,
	LEAD_WORKING,
	LEAD_DONE,
	LEAD_FAILED,
	LEAD_STOPPED
};

struct lead_step {
	const char *word;  /* that lets a host take it */
	const char *event; /* that it says when it has; NULL: the last one, after which it ends */
	const char *working, *rested; /* how it is called meanwhile, and then */
};

struct lead_host { /* strings are owned, or part of `ready`; NULL: not known (yet) */
	char *host;
	char *command; /* what its shell runs; NULL: the run's */
	enum lead_state state;
	size_t step;	       /* how many it has taken */
	const char *done_name; /* of LEAD_DONE, as the task calls it */
	bool hung_up;	       /* its input was closed: it is expected to end */
	bool answered;	       /* it lives: what was run there said something, or ended by itself */
	struct peer *peer;
	json_t *ready, *result, *error; /* what it said of itself, of its work, of its failure */
	const char *cluster, *node, *host_id, *dc, *rack, *repository; /* in `ready`, or "" */
	char *said;	       /* the last line on its standard error, not passed on yet */
	char *message;	       /* why it failed, one line */
	const char *failed_at; /* the name of its state before */
	bool in_step;	       /* it came to its end in the middle of a step */
	int exit_code;	       /* of sstablefs there, or of ssh */
	int64_t told_ms;       /* when its state changed, or it was told to end */
	int64_t heard_ms;
	uint64_t bytes_done, bytes_total, files_done, files_total;
};
#define LEAD_HOST_INIT                                                                            \
	{                                                                                         \
		.cluster = "", .node = "", .host_id = "", .dc = "", .rack = "", .repository = "", \
	}

struct lead;
struct lead_task {
	const char *command; /* of sstablefs there */
	const struct lead_step *steps;
	size_t step_count;
	int64_t grace_ms;	/* for a host to end after it was told to */
	const char *grace_over; /* what is to be said where it did not */
	const char *undone;	/* what is to be said of one that ended well without a result */
	/* It said `ready` for the first time; fields of `event` may be taken out. It may be failed. */
	void (*ready)(struct lead *l, struct lead_host *h, json_t *event);
	/* It took a step that has an event. NULL: nobody wants to know. */
	void (*rested)(struct lead *l, struct lead_host *h);
	/* Some state changed: lets those go on that may. Not called any more after lead_stop(). */
	void (*advance)(struct lead *l);
	/* It ended well, h->result is there: what its state is called; NULL: its work is not done. */
	const char *(*done)(const struct lead_host *h);
};

/* What is to be shown, in the thread of lead_run(). */
struct lead_sink {
	/* A host came to another state, or failed. */
	void (*changed)(void *ctx, const struct lead *l, const struct lead_host *h);
	/* What its sstablefs said beside its result. */
	void (*said)(void *ctx, const struct lead_host *h, const char *line);
	/* Several times a second. */
	void (*tick)(void *ctx, const struct lead *l);
	void *ctx;
};

struct lead { /* filled by the caller; what is borrowed must live as long */
	const struct sshconf *ssh;
	const char *command; /* what the shells of the hosts run that have none of their own */
	const struct lead_task *task;
	void *ctx; /* the task's */
	struct lead_host *hosts;
	size_t count;
	const struct clock *clock;
	const struct cancel *cancel, *hurry; /* hosts are told to end; and are not waited for */
	struct lead_sink sink;
	/* The run's own. */
	struct pollfd *fds; /* two for each host */
	bool stopping;	    /* nobody goes on */
	bool changed;	    /* a host came to another state since the task was asked */
	int64_t beat_ms;    /* the last sign of life */
	int64_t looked_ms;  /* when all hosts were looked at, also those that said nothing */
	struct err refusal; /* why nothing was begun */
};

/* 0: every host came to an end (its state says which). < 0: nothing was begun, *e says why: lead_refuse(), or a shortage here. */
int lead_run(struct lead *l, struct err *e);

/* ---- for the task's functions ---- */

int64_t lead_now_ms(const struct lead *l);
/* How many are in that state, after that many steps where the state is RESTING or WORKING. */
size_t lead_count(const struct lead *l, enum lead_state state, size_t step);
/* Lets one that rests take its next step. */
void lead_let(struct lead *l, struct lead_host *h);
/* Takes the message over; NULL: out of memory. The host is told to end. */
void lead_fail(struct lead *l, struct lead_host *h, int exit_code, char *message);
/* Tells all hosts to end. */
void lead_stop(struct lead *l);
/* The same, and the run fails with this. */
void lead_refuse(struct lead *l, enum err_kind kind, const char *fmt, ...) _printf_(3, 4);

/* ---- what is known of a host ---- */

bool lead_is_over(const struct lead_host *h);
const char *lead_state_name(const struct lead *l, const struct lead_host *h);
/* Of an event or a result; "" where it is none. */
const char *lead_text(const json_t *o, const char *key);
void lead_free_hosts(struct lead_host *hosts, size_t count);

#endif
