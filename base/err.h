/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error context that travels from the place that knows to the place that prints.
 *
 * A function that can fail takes `struct err *e` (NULL allowed) and returns a negative errno value after filling it;
 * callers forward the value unchanged and may prefix what they were doing with err_wrap(). It is printed once, by tools/
 * or by the log of a mount. Everything in it is bounded; nothing needs freeing. Not shared between threads.
 */
#ifndef SSTABLEFS_BASE_ERR_H
#define SSTABLEFS_BASE_ERR_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/util.h"

/* What kind of failure it is, as a script sees it: CLI.md's "kind" and exit code. */
enum err_kind {
	ERR_NONE = 0,
	ERR_IO,		 /* exit 1 */
	ERR_CORRUPT,	 /* exit 1: a digest, a length or a structure does not fit */
	ERR_CONFLICT,	 /* exit 1: somebody else holds or changed it */
	ERR_USAGE,	 /* exit 2: arguments, configuration, names, features not understood */
	ERR_NOT_FOUND,	 /* exit 4: what was named does not exist */
	ERR_STORE,	 /* exit 5: the store cannot be reached or does not answer as it must */
	ERR_CREDENTIALS, /* exit 5: refused or missing credentials */
};

struct err {
	enum err_kind kind;
	int code;	 /* negative errno, as returned */
	int http_status; /* 0 where none */
	bool retryable;	 /* the same request may succeed when made again (set by store backends) */
	bool outcome_unknown; /* a write may or may not have been carried out */
	int retry_after_ms;   /* what the server asked for; 0 where nothing */
	char request_id[64];
	char key[512];	    /* object key or path, shortened at the front where longer */
	char message[1024]; /* a sentence without final stop: what failed and why */
};

#define ERR_INIT ((struct err){ 0 })

/* Fills *e (if not NULL; what it held before is forgotten) and returns `code`, which must be negative. */
int err_set(struct err *e, enum err_kind kind, int code, const char *fmt, ...) _printf_(4, 5);

/* err_set of ERR_IO with the text of errno `code` appended: "cannot open /x: No such file or directory". */
int err_errno(struct err *e, int code, const char *fmt, ...) _printf_(3, 4);

/* Out of memory. Returns -ENOMEM. */
int err_nomem(struct err *e);

/* Notes the object key or path that the failure concerns, if none is noted yet. */
void err_key(struct err *e, const char *key);

/* Puts "prefix: " before the message; where there is none, the message is the text of errno `code` and the kind ERR_IO. Returns `code` unchanged, for `return err_wrap(e, r, "…")`. */
int err_wrap(struct err *e, int code, const char *fmt, ...) _printf_(3, 4);

/* The exit code of CLI.md for a kind; the JSON name of a kind ("usage", "not_found", …). */
int err_exit_code(enum err_kind kind);
const char *err_kind_name(enum err_kind kind);

/* message (key K, HTTP status N, request id R): everything on one line, control bytes replaced. Returns out. */
char *err_describe(const struct err *e, char *out, size_t size);

#endif
