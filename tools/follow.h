/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host's side of what another one leads over ssh (tools/lead.h): the command says on standard output how far it is, and goes on when it is let, by words on standard input. An input that ends, or
 * on which nothing is heard for two minutes, means that the coordinator or the connection is gone: the command is cancelled, at once or after the step that it is at, where that is to be ended.
 */
#ifndef SSTABLEFS_TOOLS_FOLLOW_H
#define SSTABLEFS_TOOLS_FOLLOW_H

#include "cassandra/facts.h"
#include "tools/cli.h"

#define FOLLOW_PROTOCOL 1
/* What the coordinator says. */
#define FOLLOW_WORD_WAIT "wait" /* it is there */
#define FOLLOW_WORD_PREPARE "prepare"
#define FOLLOW_WORD_SNAPSHOT "snapshot"
#define FOLLOW_WORD_UPLOAD "upload"
#define FOLLOW_WORD_FETCH "fetch"
#define FOLLOW_WORD_STOP "stop"
#define FOLLOW_WORD_START "start"
#define FOLLOW_WORD_CHECK "check"
#define FOLLOW_WORD_FINISH "finish"
/* What the host says. */
#define FOLLOW_READY "ready"
#define FOLLOW_PREPARED "prepared"
#define FOLLOW_TAKEN "taken"
#define FOLLOW_FETCHED "fetched"
#define FOLLOW_EXCHANGED "exchanged"
#define FOLLOW_STARTED "started"
#define FOLLOW_ALIVE \
	"{\"progress\":{}}" /* on standard error, in answer to a word while another program is waited for */

struct follow_step {
	const char *word;  /* that lets it be taken */
	const char *event; /* that says it is; NULL: the last one */
	bool is_ended;	   /* also where the coordinator is gone */
};

struct follow_task {
	const char *work; /* "the backup": what is given up where the coordinator is gone */
	const struct follow_step *steps;
	size_t step_count;
};

struct follow;

/* Listens from now on, and makes a signal's cancel of an end of the input. The task lives as long. */
int follow_start(struct cli *cli, const struct follow_task *task, struct follow **ret,
		 struct err *e);
void follow_stop(struct follow *f);
DEFINE_CLEANUP(struct follow *, follow_stop);

struct follow_ready { /* borrowed; "": not known */
	const char *cluster, *node, *host_id, *dc, *rack, *repository;
};
/* Everything that can be checked before the first step is right. `more`: what else the task says; stolen. */
int follow_ready(const struct follow_ready *r, json_t *more, struct err *e);
/* As many steps are taken: says so of each of which it was not said yet. NULL is fine: 0. */
int follow_tell(struct follow *f, size_t taken, struct err *e);
/* The same, and waits until the next may be taken. -ECANCELED. */
int follow_pass(struct follow *f, size_t taken, struct err *e);

#endif
