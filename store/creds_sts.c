/* SPDX-License-Identifier: Apache-2.0 */
#include "store/creds_sts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/digest.h"
#include "store/creds_http.h"
#include "store/s3addr.h"
#include "store/sigv4.h"
#include "store/xml.h"

#define STS_CONNECT_MS 5000
#define STS_TOTAL_MS 15000
#define STS_FORM_MAX (128 * (size_t)KIB)
#define STS_FORM_TYPE "application/x-www-form-urlencoded; charset=utf-8"

/* ---- where ---- */

static const char *first_of(const char *a, const char *b)
{
	return a ? a : b;
}

/* The endpoint that the environment names; NULL: none. */
static const char *named_endpoint(const struct creds_world *w)
{
	const char *ignore = creds_link_variable(w, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");

	if (ignore && strcasecmp(ignore, "true") == 0)
		return NULL;
	return first_of(creds_link_variable(w, "AWS_ENDPOINT_URL_STS"),
			creds_link_variable(w, "AWS_ENDPOINT_URL"));
}

static bool is_region(const char *region)
{
	size_t n = strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n <= 64 && !region[n];
}

int creds_sts_endpoint(const struct creds_world *w, const char *profile_region, char **ret_origin,
		       const char **ret_region, bool *ret_named, struct err *e)
{
	const char *named = named_endpoint(w);
	const char *region = first_of(first_of(creds_link_variable(w, "AWS_REGION"),
					       creds_link_variable(w, "AWS_DEFAULT_REGION")),
				      first_of(profile_region, w->region));
	char *origin;
	size_t len;

	if (region && !is_region(region))
		return err_set(e, ERR_CREDENTIALS, -EINVAL,
			       "the region for STS is no name of a region");
	if (named && s3addr_check_endpoint(named, e) < 0)
		return err_wrap(e, -EINVAL, "AWS_ENDPOINT_URL_STS or AWS_ENDPOINT_URL");
	if (named)
		origin = strdup(named);
	else if (region)
		origin = util_printf("https://sts.%s.amazonaws.com%s", region,
				     strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
	else
		origin = strdup("https://sts.amazonaws.com");
	if (!origin)
		return err_nomem(e);
	len = strlen(origin);
	if (origin[len - 1] == '/')
		origin[len - 1] = 0;
	*ret_origin = origin;
	*ret_region = region ? region : "us-east-1";
	*ret_named = named != NULL;
	return 0;
}

/* ---- the answer ---- */

struct reader {
	struct creds_sts_answer *answer;
	bool cut;
};

static int take_begin(void *ctx, const char *path)
{
	return 0;
}

/* "/AssumeRoleResponse/AssumeRoleResult/Credentials/AccessKeyId": what is behind the root and the result. */
static int take_element(void *ctx, const char *path, const char *text, bool cut)
{
	struct reader *r = ctx;
	struct creds_sts_answer *a = r->answer;
	const struct {
		const char *end;
		char *out;
		size_t size;
	} fields[] = {
		{ "Result/Credentials/AccessKeyId", a->access_key, sizeof(a->access_key) },
		{ "Result/Credentials/SecretAccessKey", a->secret_key, sizeof(a->secret_key) },
		{ "Result/Credentials/SessionToken", a->session_token, sizeof(a->session_token) },
		{ "Result/Credentials/Expiration", a->expiration, sizeof(a->expiration) },
		{ "/ErrorResponse/Error/Code", a->error_code, sizeof(a->error_code) },
		{ "/ErrorResponse/Error/Message", a->error_message, sizeof(a->error_message) },
	};
	size_t len = strlen(path);

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		size_t n = strlen(fields[i].end);

		if (len < n || strcmp(path + len - n, fields[i].end) != 0)
			continue;
		if (fields[i].out != a->error_message && (cut || strlen(text) >= fields[i].size))
			return -EBADMSG;
		snprintf(fields[i].out, fields[i].size, "%s", text);
	}
	return 0;
}

int creds_sts_parse(const void *data, size_t len_bytes, struct creds_sts_answer *ret)
{
	struct creds_sts_answer answer = { .error_code = "" };
	struct reader r = { .answer = &answer };
	struct xml_handler handler = { .begin = take_begin, .end = take_element, .ctx = &r };
	int rc = xml_walk(data, len_bytes, &handler);

	if (rc == 0)
		*ret = answer;
	explicit_bzero(&answer, sizeof(answer));
	return rc;
}

static int keep(const struct creds_sts_answer *in, struct creds_found *ret, struct err *e)
{
	struct creds_value *v = &ret->value;
	int r = creds_link_keep(v->access_key, sizeof(v->access_key), in->access_key,
				"the AccessKeyId of STS", e);

	if (r == 0)
		r = creds_link_keep(v->secret_key, sizeof(v->secret_key), in->secret_key,
				    "the SecretAccessKey of STS", e);
	if (r == 0)
		r = creds_link_keep(v->session_token, sizeof(v->session_token), in->session_token,
				    "the SessionToken of STS", e);
	if (r == 0 && (!v->access_key[0] || !v->secret_key[0] || !v->session_token[0]))
		return err_set(e, ERR_CREDENTIALS, -EBADMSG,
			       "the answer of STS holds no credentials");
	if (r == 0 && creds_link_time(in->expiration, &ret->expires_ns) < 0)
		return err_set(e, ERR_CREDENTIALS, -EBADMSG,
			       "the Expiration in the answer of STS is no time of RFC 3339");
	return r;
}

/* Whether a message, which may have been cut, repeats the secret that was sent. */
static bool repeats(const char *message, const char *secret)
{
	char begin[17] = "";

	if (!secret || !*secret)
		return false;
	memcpy(begin, secret, MIN_OF(strlen(secret), sizeof(begin) - 1));
	return strstr(message, begin);
}

/* A message that repeats a secret is not passed on. */
static int refused(const struct creds_http_answer *http, const struct creds_sts_answer *in,
		   const char *secret, struct err *e)
{
	char why[400];
	bool leaks = repeats(in->error_message, secret);
	int r;

	snprintf(why, sizeof(why), "%s%s%s", in->error_code,
		 in->error_message[0] && !leaks ? ": " : "", leaks ? "" : in->error_message);
	r = creds_http_refused(http, why, e);
	if (e && (strcmp(in->error_code, "IDPCommunicationError") == 0 ||
		  strncmp(in->error_code, "Throttling", 10) == 0)) {
		e->kind = ERR_STORE;
		e->retryable = true;
	}
	return r;
}

static int take_answer(const struct creds_http_answer *http, const char *secret,
		       struct creds_found *ret, struct err *e)
{
	struct creds_sts_answer in = { .error_code = "" };
	int r = creds_sts_parse(http->text.data, http->text.len, &in);

	if (r == -ENOMEM)
		r = err_nomem(e);
	else if (http->status != 200)
		r = refused(http, &in, secret, e);
	else if (r < 0)
		r = err_set(e, ERR_CREDENTIALS, r, "the answer is no document of STS");
	else
		r = keep(&in, ret, e);
	explicit_bzero(&in, sizeof(in));
	return r;
}

/* ---- the question ---- */

struct question {
	char *origin;
	const char *region;
	bool named; /* the endpoint is one of the environment's */
	struct wbuf form, authorization;
};

static void question_deinit(struct question *q)
{
	free(q->origin);
	if (q->form.data)
		explicit_bzero(q->form.data, q->form.len); /* a web identity token is a secret */
	wbuf_deinit(&q->form);
	wbuf_deinit(&q->authorization);
}

static void put_field(struct question *q, const char *name, const char *value)
{
	if (!value)
		return;
	if (q->form.len)
		wbuf_u8(&q->form, '&');
	sigv4_encode(&q->form, name, false);
	wbuf_u8(&q->form, '=');
	sigv4_encode(&q->form, value, false);
}

static int question_init(struct question *q, struct creds_attempt *a, const char *action,
			 const struct creds_sts_role *role, struct err *e)
{
	char session[64];

	snprintf(session, sizeof(session), "sstablefs-%" PRId64,
		 clock_wall_ns(a->world->clock) / 1000000000);
	wbuf_init(&q->form, STS_FORM_MAX);
	wbuf_init(&q->authorization, 4 * (size_t)KIB);
	put_field(q, "Action", action);
	put_field(q, "Version", "2011-06-15");
	put_field(q, "RoleArn", role->arn);
	put_field(q, "RoleSessionName", role->session_name ? role->session_name : session);
	put_field(q, "DurationSeconds", role->duration_seconds);
	put_field(q, "ExternalId", role->external_id);
	return creds_sts_endpoint(a->world, role->region, &q->origin, &q->region, &q->named, e);
}

/* headers: up to a NULL, beside that of the type. */
static int post(struct creds_attempt *a, struct question *q, const char *const *headers,
		const char *secret, struct creds_found *ret, struct err *e)
{
	_cleanup_free_ char *url = util_printf("%s/", q->origin);
	_cleanup_(creds_http_answer_deinit) struct creds_http_answer answer = { 0 };
	struct creds_http_request request = {
		.method = "POST",
		.url = url,
		.headers = { "Content-Type: " STS_FORM_TYPE },
		.body = (const char *)q->form.data,
		.ca_file = first_of(creds_link_variable(a->world, "AWS_CA_BUNDLE"),
				    q->named ? a->world->ca_file : NULL),
		.connect_ms = STS_CONNECT_MS,
		.total_ms = STS_TOTAL_MS,
	};
	int r;

	if (!url)
		return err_nomem(e);
	for (size_t i = 0; headers[i]; i++)
		request.headers[i + 1] = headers[i];
	r = creds_http_perform(a, &request, &answer, e);
	if (r == 0)
		r = take_answer(&answer, secret, ret, e);
	return r < 0 ? err_wrap(e, r, "STS at %s", q->origin) : 0;
}

/* The form's end, and the errors that were kept in it. */
static int close_form(struct question *q, struct err *e)
{
	wbuf_u8(&q->form, 0);
	if (wbuf_error(&q->form) == -ENOMEM)
		return err_nomem(e);
	return wbuf_error(&q->form)
		       ? err_set(e, ERR_CREDENTIALS, -E2BIG, "the request to STS is too long")
		       : 0;
}

static const char *host_of(const struct question *q)
{
	return strstr(q->origin, "://") + 3;
}

static int sign(struct question *q, const struct creds_value *signer, const char *date,
		struct err *e)
{
	struct id256 hash = digest_sha256(q->form.data, q->form.len - 1);
	char payload[SHA256_HEX];
	struct sigv4_pair headers[] = {
		{ "content-type", STS_FORM_TYPE },
		{ "host", host_of(q) },
		{ "x-amz-date", date },
		{ "x-amz-security-token", signer->session_token },
	};
	struct sigv4_request request = {
		.method = "POST",
		.path = "/",
		.headers = headers,
		.header_count = signer->session_token[0] ? 4 : 3,
		.payload_hash = payload,
		.date = date,
		.region = q->region,
		.service = "sts",
	};
	int r;

	util_hex(payload, hash.b, sizeof(hash.b));
	wbuf_put(&q->authorization, "Authorization: ", 15);
	r = sigv4_authorization(&q->authorization, &request, signer->access_key,
				signer->secret_key);
	if (r == -ENOMEM)
		return err_nomem(e);
	return r < 0 ? err_set(e, ERR_CREDENTIALS, r, "the request to STS cannot be signed") : 0;
}

int creds_sts_assume(struct creds_attempt *a, const struct creds_sts_role *role,
		     const struct creds_value *signer, struct creds_found *ret, struct err *e)
{
	_cleanup_(question_deinit) struct question q = { .origin = NULL };
	_cleanup_(creds_link_free_secret) char *token = NULL;
	_cleanup_free_ char *host = NULL;
	char date[CLOCK_RFC3339_BYTES], date_line[64];
	int r = question_init(&q, a, "AssumeRole", role, e);

	if (r == 0)
		r = close_form(&q, e);
	clock_compact(date, clock_wall_ns(a->world->clock));
	snprintf(date_line, sizeof(date_line), "X-Amz-Date: %s", date);
	if (r == 0)
		r = sign(&q, signer, date, e);
	if (r < 0)
		return r;
	host = util_printf("Host: %s", host_of(&q));
	if (signer->session_token[0])
		token = util_printf("X-Amz-Security-Token: %s", signer->session_token);
	if (!host || (signer->session_token[0] && !token))
		return err_nomem(e);
	return post(a, &q,
		    (const char *[]){ (const char *)q.authorization.data, host, date_line, token,
				      NULL },
		    signer->session_token, ret, e);
}

int creds_sts_web_identity(struct creds_attempt *a, const struct creds_sts_role *role,
			   const char *token_path, struct creds_found *ret, struct err *e)
{
	_cleanup_(question_deinit) struct question q = { .origin = NULL };
	_cleanup_(creds_link_free_secret) char *token = NULL;
	int r = creds_link_token_file(token_path, &token, e);

	if (r == 0)
		r = question_init(&q, a, "AssumeRoleWithWebIdentity", role, e);
	if (r < 0)
		return r;
	put_field(&q, "WebIdentityToken", token);
	r = close_form(&q, e);
	return r < 0 ? r : post(a, &q, (const char *[]){ NULL }, token, ret, e);
}
