/* SPDX-License-Identifier: Apache-2.0 */
#include "store/creds_container.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "store/creds_http.h"
#include "store/creds_json.h"

#define ECS_ORIGIN "http://169.254.170.2"
#define CONTAINER_MS 2000 /* the endpoint is on this host */

/* ---- which endpoints may be asked ---- */

static bool is_local_address(const char *host)
{
	struct in_addr v4, ecs, eks;
	struct in6_addr v6, eks6;

	inet_pton(AF_INET, "169.254.170.2", &ecs);
	inet_pton(AF_INET, "169.254.170.23", &eks);
	inet_pton(AF_INET6, "fd00:ec2::23", &eks6);
	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127 || v4.s_addr == ecs.s_addr ||
		       v4.s_addr == eks.s_addr;
	if (inet_pton(AF_INET6, host, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6) || memcmp(&v6, &eks6, sizeof(v6)) == 0;
	return strcasecmp(host, "localhost") == 0;
}

/* The host of "HOST[:PORT]", an IPv6 address without its brackets. False: it is none. */
static bool split_host(const char *authority, size_t len, char host[64])
{
	bool bracket = *authority == '[';
	const char *begin = authority + bracket, *end = memchr(authority, bracket ? ']' : ':', len),
		   *port;
	size_t n, rest;

	if (bracket && !end)
		return false;
	if (!end)
		end = authority + len;
	n = (size_t)(end - begin);
	if (n == 0 || n >= 64)
		return false;
	memcpy(host, begin, n);
	host[n] = 0;
	port = end + bracket;
	rest = len - (size_t)(port - authority);
	return rest == 0 || (*port == ':' && strspn(port + 1, "0123456789") == rest - 1);
}

bool creds_container_may_ask(const char *url)
{
	const char *authority;
	char host[64];
	size_t len;

	for (const unsigned char *c = (const unsigned char *)url; *c; c++) {
		if (*c <= ' ' || *c >= 0x7f || *c == '\\')
			return false;
	}
	if (strncasecmp(url, "https://", 8) == 0)
		return url[8] && !memchr(url + 8, '@', strcspn(url + 8, "/?#"));
	if (strncasecmp(url, "http://", 7) != 0)
		return false;
	authority = url + 7;
	len = strcspn(authority, "/?#");
	return len && split_host(authority, len, host) && is_local_address(host);
}

/* ---- the request ---- */

/* > 0: the variables are not set. */
static int find_url(struct creds_attempt *a, char url[CREDS_HTTP_URL_MAX], struct err *e)
{
	const struct creds_world *w = a->world;
	const char *relative = creds_link_variable(w, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
		   *full = creds_link_variable(w, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
	int n;

	if (!relative && !full)
		return creds_link_absent(
			a, "container",
			"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and AWS_CONTAINER_CREDENTIALS_FULL_URI are not set");
	if (relative && relative[0] != '/')
		return err_set(e, ERR_CREDENTIALS, -EINVAL,
			       "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with a '/'");
	n = snprintf(url, CREDS_HTTP_URL_MAX, "%s%s", relative ? ECS_ORIGIN : "",
		     relative ? relative : full);
	if (n >= CREDS_HTTP_URL_MAX || !creds_container_may_ask(url))
		return err_set(
			e, ERR_CREDENTIALS, -EINVAL,
			"the address of the container's credentials may not be asked: http is for this host, 169.254.170.2, 169.254.170.23 and [fd00:ec2::23] only, all else needs https");
	return 0;
}

/* The header with the token, a new string or NULL where there is none. */
static int make_authorization(const struct creds_world *w, char **ret, struct err *e)
{
	const char *path = creds_link_variable(w, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
		   *token = creds_link_variable(w, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
	_cleanup_(creds_link_free_secret) char *text = NULL;
	int r;

	*ret = NULL;
	if (!path && !token)
		return 0;
	r = path ? creds_link_token_file(path, &text, e) : 0;
	if (r < 0)
		return r;
	token = path ? text : token;
	for (const unsigned char *c = (const unsigned char *)token; *c; c++) {
		if (*c < ' ' || *c == 0x7f)
			return err_set(e, ERR_CREDENTIALS, -EINVAL, "%s holds a control character",
				       path ? path : "AWS_CONTAINER_AUTHORIZATION_TOKEN");
	}
	*ret = util_printf("Authorization: %s", token);
	return *ret ? 0 : err_nomem(e);
}

static int ask(struct creds_attempt *a, const char *url, const char *authorization,
	       struct creds_found *ret, struct err *e)
{
	struct creds_http_request request = {
		.method = "GET",
		.url = url,
		.headers = { "Accept: application/json", authorization },
		.ca_file = creds_link_variable(a->world, "AWS_CA_BUNDLE"),
		.direct = strncasecmp(url, "http://", 7) == 0,
		.connect_ms = CONTAINER_MS,
		.total_ms = CONTAINER_MS,
	};
	_cleanup_(creds_http_answer_deinit) struct creds_http_answer answer = { 0 };
	int r = creds_http_perform(a, &request, &answer, e);

	if (r < 0)
		return r;
	if (answer.status != 200)
		return creds_http_refused(&answer, "", e);
	return creds_json_read(CREDS_JSON_ENDPOINT, (const char *)answer.text.data, answer.text.len,
			       ret, e);
}

int creds_container_fetch(struct creds_attempt *a, struct creds_found *ret, struct err *e)
{
	_cleanup_(creds_link_free_secret) char *authorization = NULL;
	char url[CREDS_HTTP_URL_MAX];
	struct creds_found found = { .expires_ns = 0 };
	int r = find_url(a, url, e);

	if (r > 0)
		return r;
	if (r == 0)
		r = make_authorization(a->world, &authorization, e);
	if (r == 0) {
		snprintf(found.source, sizeof(found.source), "the container endpoint %.*s",
			 (int)(8 + strcspn(url + 8, "/?#")), url);
		r = ask(a, url, authorization, &found, e);
		if (r < 0)
			err_wrap(e, r, "%s", found.source);
	}
	if (r == 0)
		*ret = found;
	creds_value_wipe(&found.value);
	return r;
}
