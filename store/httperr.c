/* SPDX-License-Identifier: Apache-2.0 */
#include "store/httperr.h"

#include <string.h>

static int set_timeout(struct err *e, const struct httperr *x)
{
	switch (x->verdict) {
	case HTTPLIMIT_NO_ANSWER:
		return err_set(e, ERR_STORE, -ETIMEDOUT, "no answer in time: nothing came in %g s",
			       x->limit.first_byte_ms / 1000.0);
	case HTTPLIMIT_STANDS_STILL:
		return err_set(e, ERR_STORE, -ETIMEDOUT,
			       "no answer in time: the transfer stood still for %g s",
			       x->limit.stall_ms / 1000.0);
	case HTTPLIMIT_ALIVE:
		break;
	}
	return err_set(e, ERR_STORE, -ETIMEDOUT, "no answer in time: %s", x->text);
}

/* The proxy of the environment did not let us through to the server. */
static int set_proxy(struct err *e, const struct httperr *x)
{
	if (x->proxy_status == 407)
		return err_set(
			e, ERR_CREDENTIALS, -EACCES,
			"the HTTP proxy of the environment wants a user name and password (407)");
	return err_set(e, ERR_STORE, -EIO,
		       "the HTTP proxy of the environment does not connect to the store (%ld)",
		       x->proxy_status);
}

static int set_network(struct err *e, const struct httperr *x)
{
	if (x->connected)
		return err_set(e, ERR_STORE, -EIO, "no usable answer: %s", x->text);
	if (x->proxy_status >= 300)
		return set_proxy(e, x);
	if (x->socket_error)
		return err_set(e, ERR_STORE, -EIO, "this process cannot make a connection: %s%s",
			       strerrordesc_np(x->socket_error),
			       x->socket_error == EMFILE ? " (raise the limit: ulimit -n)" : "");
	return err_set(e, ERR_STORE, -EIO, "the store cannot be reached: %s", x->text);
}

static int set_text(struct err *e, const struct httperr *x)
{
	switch (x->what) {
	case HTTPERR_CANCELLED:
		return err_set(e, ERR_IO, -ECANCELED, "interrupted");
	case HTTPERR_MEMORY:
		return err_nomem(e);
	case HTTPERR_TOO_LONG:
		return err_set(e, ERR_STORE, -EIO,
			       "the body of the answer is longer than it may be");
	case HTTPERR_TIMEOUT:
		return set_timeout(e, x);
	case HTTPERR_CERTIFICATE:
		return err_set(
			e, ERR_STORE, -EIO,
			"the server's certificate is not trusted: %s (ca= names the authority to trust)",
			x->text);
	case HTTPERR_NETWORK:
		return set_network(e, x);
	case HTTPERR_CLOSED:
		return err_set(e, ERR_STORE, -EIO, "the connection was closed before the answer");
	case HTTPERR_PROXY_URL:
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"the proxy of the environment cannot be used: check http_proxy, https_proxy and all_proxy");
	case HTTPERR_OTHER:
		break;
	}
	return err_set(e, ERR_STORE, -EIO, "no usable answer: %s", x->text);
}

/* A proxy that does not reach the server may do so later; one that does not want to will not. */
static bool is_refused_by_proxy(const struct httperr *x)
{
	return !x->connected && x->proxy_status >= 300 && x->proxy_status < 500 &&
	       x->proxy_status != 429;
}

int httperr_set(struct err *e, const struct httperr *x)
{
	int r = set_text(e, x);

	if (!e)
		return r;
	e->retryable = (x->what == HTTPERR_TIMEOUT || x->what == HTTPERR_NETWORK ||
			x->what == HTTPERR_CLOSED ||
			(x->what == HTTPERR_TOO_LONG && x->is_range)) &&
		       !is_refused_by_proxy(x);
	e->outcome_unknown = x->connected && x->may_have_arrived;
	return r;
}
