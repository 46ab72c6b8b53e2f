/* SPDX-License-Identifier: Apache-2.0 */
/* Why a request got no answer, in words, and whether to make it again. Pure. Any thread. */
#ifndef SSTABLEFS_STORE_HTTPERR_H
#define SSTABLEFS_STORE_HTTPERR_H

#include <stdbool.h>
#include "base/err.h"
#include "store/httplimit.h"

enum httperr_what {
	HTTPERR_CANCELLED,
	HTTPERR_MEMORY,
	HTTPERR_TOO_LONG, /* more bytes than there is room for */
	HTTPERR_TIMEOUT,
	HTTPERR_CERTIFICATE,
	HTTPERR_NETWORK,   /* names, connections, bytes lost on the way */
	HTTPERR_CLOSED,	   /* a connection that was to be used again was closed */
	HTTPERR_PROXY_URL, /* of the environment, and the text may hold its password */
	HTTPERR_OTHER,
};

struct httperr {
	enum httperr_what what;
	enum httplimit_verdict verdict; /* of a timeout: whose limit it was */
	struct httplimit limit;
	bool connected;	       /* the request was begun */
	bool may_have_arrived; /* the server may have got its body */
	bool is_range; /* 206: how long it is was asked for, so more of it was made on the way */
	long proxy_status; /* of a proxy's answer to CONNECT, 0: none */
	int socket_error;  /* errno: this process could not have a socket; 0: it could */
	const char *text;  /* what the library says */
};

/* Fills e and returns e->code. */
int httperr_set(struct err *e, const struct httperr *x);

#endif
