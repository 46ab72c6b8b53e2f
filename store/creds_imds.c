/* SPDX-License-Identifier: Apache-2.0 */
#include "store/creds_imds.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "store/creds_http.h"
#include "store/creds_json.h"
#include "store/s3addr.h"

#define IMDS_MS 1000 /* the service is on this host, or it is not there */
#define IMDS_TOKEN_MAX 1024
#define IMDS_ROLE_MAX 128
#define IMDS_ROLES "/latest/meta-data/iam/security-credentials/"
#define IMDS_TTL "X-aws-ec2-metadata-token-ttl-seconds: 21600"
#define IMDS_TOKEN "X-aws-ec2-metadata-token: "

struct imds {
	struct creds_attempt *attempt;
	bool answered; /* the service is there */
	char origin[256];
	char token_header[sizeof(IMDS_TOKEN) + IMDS_TOKEN_MAX];
};

static int find_origin(struct imds *m, struct err *e)
{
	const struct creds_world *w = m->attempt->world;
	const char *endpoint = creds_link_variable(w, "AWS_EC2_METADATA_SERVICE_ENDPOINT"),
		   *mode = creds_link_variable(w, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
	bool v6 = mode && strcasecmp(mode, "IPv6") == 0;
	size_t len;
	int r;

	if (mode && !v6 && strcasecmp(mode, "IPv4") != 0)
		return err_set(e, ERR_CREDENTIALS, -EINVAL,
			       "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE is neither IPv4 nor IPv6");
	if (!endpoint)
		endpoint = v6 ? "http://[fd00:ec2::254]" : "http://169.254.169.254";
	r = s3addr_check_endpoint(endpoint, e);
	len = strlen(endpoint);
	if (r < 0 || len >= sizeof(m->origin))
		return err_set(
			e, ERR_CREDENTIALS, -EINVAL,
			"AWS_EC2_METADATA_SERVICE_ENDPOINT is not of the form http://HOST[:PORT]");
	memcpy(m->origin, endpoint, len + 1);
	if (m->origin[len - 1] == '/')
		m->origin[len - 1] = 0;
	return 0;
}

static int ask(struct imds *m, const char *method, const char *path, const char *header,
	       struct creds_http_answer *ret, struct err *e)
{
	char url[CREDS_HTTP_URL_MAX];
	struct creds_http_request request = {
		.method = method,
		.url = url,
		.headers = { header },
		.body = strcmp(method, "PUT") == 0 ? "" : NULL,
		.direct = true,
		.connect_ms = IMDS_MS,
		.total_ms = IMDS_MS,
	};
	int r;

	snprintf(url, sizeof(url), "%s%s", m->origin, path);
	r = creds_http_perform(m->attempt, &request, ret, e);
	m->answered |= r == 0;
	return r;
}

/*
 * The first line of a short answer. False: it is none, or holds bytes that belong neither into a
 * header nor into a path.
 */
static bool take_line(const struct creds_http_answer *answer, char *out, size_t size)
{
	size_t n = 0;

	while (n < answer->text.len && answer->text.data[n] != '\n' && answer->text.data[n] != '\r')
		n++;
	if (n == 0 || n >= size)
		return false;
	for (size_t i = 0; i < n; i++) {
		out[i] = (char)answer->text.data[i];
		if (!isalnum(answer->text.data[i]) && !strchr("+=,.@_-/:", out[i]))
			return false;
	}
	out[n] = 0;
	return true;
}

/*
 * Inside a container the answer to this request is dropped by an instance whose hop limit is 1:
 * then, as on a host that is no instance, nothing comes.
 */
static int get_token(struct imds *m, struct err *e)
{
	_cleanup_(creds_http_answer_deinit) struct creds_http_answer answer = { 0 };
	size_t len = strlen(IMDS_TOKEN);
	int r = ask(m, "PUT", "/latest/api/token", IMDS_TTL, &answer, e);

	if (r == -ETIMEDOUT)
		return err_wrap(
			e, r,
			"no session token: this is no EC2 instance, or a container on one whose metadata hop limit is 1 (raise it to 2)");
	if (r < 0)
		return err_wrap(e, r, "no session token");
	if (answer.status == 403)
		return creds_http_refused(
			&answer, "no session token: the metadata service is switched off here", e);
	if (answer.status != 200)
		return creds_http_refused(&answer, "no session token", e);
	memcpy(m->token_header, IMDS_TOKEN, len);
	if (!take_line(&answer, m->token_header + len, IMDS_TOKEN_MAX))
		return err_set(e, ERR_CREDENTIALS, -EBADMSG, "the session token is malformed");
	return 0;
}

/* A session token that is not accepted any more is replaced once. */
static int get(struct imds *m, const char *path, struct creds_http_answer *ret, struct err *e)
{
	int r = ask(m, "GET", path, m->token_header, ret, e);

	if (r == 0 && ret->status == 401) {
		creds_http_answer_deinit(ret);
		r = get_token(m, e);
		if (r == 0)
			r = ask(m, "GET", path, m->token_header, ret, e);
	}
	return r;
}

static int get_role(struct imds *m, char role[IMDS_ROLE_MAX], struct err *e)
{
	_cleanup_(creds_http_answer_deinit) struct creds_http_answer answer = { 0 };
	int r = get(m, IMDS_ROLES, &answer, e);

	if (r < 0)
		return r;
	if (answer.status == 404 || (answer.status == 200 && answer.text.len == 0))
		return err_set(e, ERR_CREDENTIALS, -ENOENT, "no role is attached to this instance");
	if (answer.status != 200)
		return creds_http_refused(&answer, "", e);
	if (!take_line(&answer, role, IMDS_ROLE_MAX) || strpbrk(role, "/:"))
		return err_set(e, ERR_CREDENTIALS, -EBADMSG, "the name of the role is malformed");
	return 0;
}

static int get_credentials(struct imds *m, const char *role, struct creds_found *ret, struct err *e)
{
	_cleanup_(creds_http_answer_deinit) struct creds_http_answer answer = { 0 };
	char path[sizeof(IMDS_ROLES) + IMDS_ROLE_MAX];
	int r;

	snprintf(path, sizeof(path), IMDS_ROLES "%s", role);
	r = get(m, path, &answer, e);
	if (r < 0)
		return r;
	if (answer.status != 200)
		return creds_http_refused(&answer, "", e);
	snprintf(ret->source, sizeof(ret->source), "the metadata service %s, role %s", m->origin,
		 role);
	return creds_json_read(CREDS_JSON_ENDPOINT, (const char *)answer.text.data, answer.text.len,
			       ret, e);
}

/* A service that never answered is most likely not there: that is not worth a minute of attempts. */
static int judge(struct imds *m, int r, struct err *e)
{
	struct creds_attempt *a = m->attempt;

	if (r == -ECANCELED || r == -ENOMEM || !e)
		return r;
	if (a->had_some || (m->answered && e->retryable))
		return err_wrap(e, r, "the metadata service %s", m->origin);
	return creds_link_absent(a, "metadata service", "%s: %s", m->origin, e->message);
}

int creds_imds_fetch(struct creds_attempt *a, struct creds_found *ret, struct err *e)
{
	const char *disabled = creds_link_variable(a->world, "AWS_EC2_METADATA_DISABLED");
	struct imds m = { .attempt = a };
	struct creds_found found = { .expires_ns = 0 };
	char role[IMDS_ROLE_MAX];
	int r;

	if (disabled && strcasecmp(disabled, "true") == 0)
		return creds_link_absent(a, "metadata service",
					 "AWS_EC2_METADATA_DISABLED is true");
	r = find_origin(&m, e);
	if (r == 0)
		r = get_token(&m, e);
	if (r == 0)
		r = get_role(&m, role, e);
	if (r == 0)
		r = get_credentials(&m, role, &found, e);
	if (r == 0)
		*ret = found;
	explicit_bzero(m.token_header, sizeof(m.token_header));
	creds_value_wipe(&found.value);
	return r < 0 ? judge(&m, r, e) : 0;
}
