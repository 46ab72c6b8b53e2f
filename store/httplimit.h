/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a transfer is still alive. Pure; one thread for each watch.
 *
 * A slow transfer is not a dead one: what counts is that bytes reach the other side, not how many
 * of them the kernel has taken. Waiting for the first byte of an answer, once the request is over
 * there, has a limit of its own.
 */
#ifndef SSTABLEFS_STORE_HTTPLIMIT_H
#define SSTABLEFS_STORE_HTTPLIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* A transfer that moves less than this in stall_ms stands still: single bytes keep nothing alive. */
#define HTTPLIMIT_STEP_BYTES 1024
/* Behind the request limit, a body has the time that it takes at this rate. */
#define HTTPLIMIT_SLOWEST_BYTES_PER_S 8192

struct httplimit {
	int first_byte_ms, stall_ms;
};

/* What is known of a transfer now. */
struct httplimit_seen {
	bool connected;
	bool all_sent;		 /* and acknowledged by the other side */
	uint64_t sent_bytes;	 /* of the body, acknowledged */
	uint64_t received_bytes; /* head and body of the answer */
};

struct httplimit_watch { /* zero: at its beginning */
	struct httplimit_seen before;
	int64_t since_ms; /* when it last moved */
	uint64_t at_bytes;
};

enum httplimit_verdict { HTTPLIMIT_ALIVE, HTTPLIMIT_NO_ANSWER, HTTPLIMIT_STANDS_STILL };

enum httplimit_verdict httplimit_check(const struct httplimit *l, struct httplimit_watch *w,
				       const struct httplimit_seen *seen, int64_t now_ms);

/* The limit of a whole request, for a body of so many bytes in either direction. */
int64_t httplimit_request_ms(int request_ms, uint64_t body_bytes);

#endif
