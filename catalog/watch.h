/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that looks ten times a second whether something must end: because somebody asked for it, or because it has lasted too long. */
#ifndef SSTABLEFS_CATALOG_WATCH_H
#define SSTABLEFS_CATALOG_WATCH_H

#include "base/cancel.h"
#include "base/clock.h"
#include "base/err.h"

struct watch_options {
	const struct clock *clock;
	const struct cancel *from; /* NULL: nobody asks */
	int64_t delay_ms;	   /* how long after `from` was set */
	int64_t limit_ms;	   /* since watch_start; 0: none */
	void (*fire)(void *ctx);   /* called once, from the thread */
	void *ctx;
};

struct watch;
int watch_start(const struct watch_options *o, struct watch **ret, struct err *e);
void watch_stop(struct watch *w); /* joins; fire is not called any more */
DEFINE_CLEANUP(struct watch *, watch_stop);

/* A `fire` for the common case: ctx is a struct cancel *. */
void watch_set_cancel(void *ctx);

#endif
