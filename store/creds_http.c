/* SPDX-License-Identifier: Apache-2.0 */
#include "store/creds_http.h"

#include <errno.h>
#include <string.h>
#include "base/version.h"
#include "store/http.h"

/* Credentials are fetched a few times a day: each fetch has a network thread of its own for as long as it lasts. */
int creds_http_perform(struct creds_attempt *a, const struct creds_http_request *request,
		       struct creds_http_answer *ret, struct err *e)
{
	struct http_options options = {
		.ca_file = request->ca_file,
		.user_agent = "sstablefs/" SSTABLEFS_VERSION,
		.direct = request->direct,
		.connections = 1,
		.connect_timeout_ms = request->connect_ms,
		.stall_timeout_ms = request->total_ms,
		.request_timeout_ms = request->total_ms,
	};
	struct iovec body = { (void *)(uintptr_t)request->body,
			      request->body ? strlen(request->body) : 0 };
	struct creds_http_answer answer = { 0 };
	struct http_request http = {
		.method = request->method,
		.url = request->url,
		.headers = request->headers,
		.body = &body,
		.body_count = request->body ? 1 : 0,
		.has_body = request->body != NULL,
		.text = &answer.text,
	};
	_cleanup_(http_freep) struct http *h = NULL;
	struct http_answer status;
	int r = http_new(&options, &h, e);

	a->asked = true;
	if (r < 0)
		return r;
	while (http.header_count < CREDS_HTTP_HEADERS_MAX && request->headers[http.header_count])
		http.header_count++;
	wbuf_init(&answer.text, CREDS_HTTP_ANSWER_MAX);
	r = http_perform(h, &http, &status, a->cancel, e);
	if (r < 0) {
		creds_http_answer_deinit(&answer);
		if (e)
			e->outcome_unknown = false; /* handing out credentials twice does no harm */
		return r;
	}
	answer.status = status.status;
	*ret = answer;
	return 0;
}

void creds_http_answer_deinit(struct creds_http_answer *answer)
{
	if (answer->text.data)
		explicit_bzero(answer->text.data, answer->text.len);
	wbuf_deinit(&answer->text);
}

int creds_http_refused(const struct creds_http_answer *answer, const char *why, struct err *e)
{
	bool again = answer->status == 429 || answer->status >= 500;
	int r = err_set(e, again ? ERR_STORE : ERR_CREDENTIALS, again ? -EAGAIN : -EACCES,
			"HTTP status %d%s%s", answer->status, *why ? ": " : "", why);

	if (e)
		e->retryable = again;
	return r;
}
