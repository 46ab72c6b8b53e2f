/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One transfer: which bytes of the caller's memory go out next, and where those go that come in.
 * The network thread calls it with what libcurl hands over. Nothing here blocks.
 */
#ifndef SSTABLEFS_STORE_HTTPXFER_H
#define SSTABLEFS_STORE_HTTPXFER_H

#include "store/http.h"

struct httpxfer {
	const struct http_request *request;
	bool body_begun, in_headers, sink_chosen;
	bool too_long;	/* the answer has more bytes than there is room for */
	bool no_memory; /* for the text of the answer */
	enum http_sink sink;
	int iov; /* the body has been handed out up to here */
	size_t iov_offset, dst_done;
};

uint64_t httpxfer_body_bytes(const struct http_request *r);
/* Up to `room` further bytes of the body; how many. */
size_t httpxfer_read(struct httpxfer *x, char *out, size_t room);
/* A line of the answer's head, or of a trailer, which is not listened to. */
void httpxfer_header(struct httpxfer *x, const char *line, size_t len);
/* Bytes of the answer's body. False: break the transfer off. */
bool httpxfer_write(struct httpxfer *x, int status, const char *data, size_t len);

#endif
