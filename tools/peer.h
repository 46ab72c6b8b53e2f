/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that runs beside us and is talked to in lines: words go to its standard input, lines come from its outputs. Nothing here
 * waits: the caller polls (one thread, many peers).
 */
#ifndef SSTABLEFS_TOOLS_PEER_H
#define SSTABLEFS_TOOLS_PEER_H

#include <poll.h>
#include "base/err.h"

#define PEER_LINE_MAX ((size_t)2 * 1024 * 1024)

struct peer;

int peer_start(char *const *words, struct peer **ret, struct err *e);
/* Ends what is left of it, and of what it started. */
void peer_free(struct peer *p);
DEFINE_CLEANUP(struct peer *, peer_free);

/* Two entries for poll(2); those of an output that is at its end are -1. */
void peer_fds(const struct peer *p, struct pollfd fds[2]);
/* A line without its end, which is \n, \r or both; empty ones are passed over. `errors`: it was on standard error. It may be changed, and is gone afterwards. */
typedef void peer_line_fn(void *ctx, bool errors, char *line);
/* From now on a line longer than PEER_LINE_MAX is passed on in pieces, each of which ends behind a blank, where it has one. */
void peer_take_pieces(struct peer *p);
/* What is there now. -E2BIG: a line longer than PEER_LINE_MAX, unless pieces are taken; -ENOMEM. */
int peer_read(struct peer *p, peer_line_fn *fn, void *ctx);
/* Whether it ended; then *ret_status is what waitpid(2) says, and a last line without a newline was passed to fn. */
bool peer_ended(struct peer *p, int *ret_status, peer_line_fn *fn, void *ctx);
/* A word and a newline. False: it does not read (its input is full or closed). */
bool peer_send(struct peer *p, const char *word);
/* The end of its input. */
void peer_hang_up(struct peer *p);

#endif
