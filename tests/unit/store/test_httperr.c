/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include "store/httperr.h"

Test(httperr, every_failure_has_a_kind_and_a_sentence)
{
	static const struct {
		struct httperr x;
		enum err_kind kind;
		int error;
		bool retryable, unknown;
		const char *says;
	} cases[] = {
		{ { .what = HTTPERR_CANCELLED, .connected = true, .may_have_arrived = true },
		  ERR_IO,
		  -ECANCELED,
		  false,
		  true,
		  "interrupted" },
		{ { .what = HTTPERR_NETWORK, .socket_error = EMFILE, .text = "Couldn't connect" },
		  ERR_STORE,
		  -EIO,
		  true,
		  false,
		  "Too many open files (raise the limit" },
		{ { .what = HTTPERR_TOO_LONG, .connected = true },
		  ERR_STORE,
		  -EIO,
		  false,
		  false,
		  "longer" },
		{ { .what = HTTPERR_TOO_LONG, .connected = true, .is_range = true },
		  ERR_STORE,
		  -EIO,
		  true,
		  false,
		  "longer" },
		{ { .what = HTTPERR_TIMEOUT, .connected = true, .verdict = HTTPLIMIT_NO_ANSWER },
		  ERR_STORE,
		  -ETIMEDOUT,
		  true,
		  false,
		  "nothing came in 1.5 s" },
		{ { .what = HTTPERR_TIMEOUT, .connected = true, .verdict = HTTPLIMIT_STANDS_STILL },
		  ERR_STORE,
		  -ETIMEDOUT,
		  true,
		  false,
		  "stood still for 30 s" },
		{ { .what = HTTPERR_TIMEOUT, .connected = true, .may_have_arrived = true },
		  ERR_STORE,
		  -ETIMEDOUT,
		  true,
		  true,
		  "TEXT" },
		{ { .what = HTTPERR_CERTIFICATE }, ERR_STORE, -EIO, false, false, "ca=" },
		{ { .what = HTTPERR_NETWORK, .may_have_arrived = true },
		  ERR_STORE,
		  -EIO,
		  true,
		  false,
		  "cannot be reached: TEXT" },
		{ { .what = HTTPERR_NETWORK, .connected = true },
		  ERR_STORE,
		  -EIO,
		  true,
		  false,
		  "no usable answer: TEXT" },
		{ { .what = HTTPERR_NETWORK, .proxy_status = 407 },
		  ERR_CREDENTIALS,
		  -EACCES,
		  false,
		  false,
		  "password" },
		{ { .what = HTTPERR_NETWORK, .proxy_status = 403 },
		  ERR_STORE,
		  -EIO,
		  false,
		  false,
		  "does not connect to the store (403)" },
		{ { .what = HTTPERR_NETWORK, .proxy_status = 503 },
		  ERR_STORE,
		  -EIO,
		  true,
		  false,
		  "does not connect to the store (503)" },
		{ { .what = HTTPERR_CLOSED, .connected = true, .may_have_arrived = true },
		  ERR_STORE,
		  -EIO,
		  true,
		  true,
		  "closed" },
		{ { .what = HTTPERR_PROXY_URL }, ERR_USAGE, -EINVAL, false, false, "http_proxy" },
		{ { .what = HTTPERR_OTHER, .connected = true },
		  ERR_STORE,
		  -EIO,
		  false,
		  false,
		  "TEXT" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct httperr x = cases[i].x;
		struct err e = ERR_INIT;

		x.text = "TEXT";
		x.limit = (struct httplimit){ 1500, 30000 };
		cr_expect_eq(httperr_set(&e, &x), cases[i].error, "case %zu", i);
		cr_expect_eq(e.kind, cases[i].kind, "case %zu", i);
		cr_expect_eq(e.retryable, cases[i].retryable, "case %zu", i);
		cr_expect_eq(e.outcome_unknown, cases[i].unknown, "case %zu", i);
		cr_expect(strstr(e.message, cases[i].says), "case %zu: %s", i, e.message);
	}
}
