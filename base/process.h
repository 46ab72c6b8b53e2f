/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs another program to its end: no shell, a session and process group of its own, no terminal, no standard input but what is given, none of our
 * descriptors, default signals. It has a time limit, what it prints is bounded, and whatever is left of its group when it ends, or
 * when it is given up, is killed.
 */
#ifndef SSTABLEFS_BASE_PROCESS_H
#define SSTABLEFS_BASE_PROCESS_H

#include "base/buf.h"
#include "base/cancel.h"
#include "base/err.h"

struct process_options {
	char *const *words; /* the program, found through PATH, and its arguments; NULL at the end */
	char *const *environment; /* as of struct spawn_options */
	int timeout_ms;
	const struct cancel *cancel;
	const struct wbuf *in; /* what it reads on standard input, from memory; NULL: nothing */
	/* What it prints is appended to these, up to their maximum; NULL: thrown away. Their bytes may be secrets: no copy of them is left here. */
	struct wbuf *out, *errors;
	bool cut_errors; /* more on standard error than fits is thrown away, and is no failure */
};

/*
 * 0: it ended by itself, *ret_status is what waitpid(2) says of it. -ETIMEDOUT, -ECANCELED: given up and killed. -E2BIG: killed, as it
 * printed too much; or its arguments are more than Linux takes. -ENOMEM. Others: it could not be run at all.
 */
int process_run(const struct process_options *o, int *ret_status);
/*
 * The same outcome as an error of `kind`, its subject "it": "it did not end within 60 s and was killed", "it cannot be run: No such
 * file or directory", "it ended with exit code 1". 0 where r is 0 and the program ended with exit code 0; else < 0.
 */
int process_explain(const struct process_options *o, int r, int status, enum err_kind kind,
		    struct err *e);

#endif
