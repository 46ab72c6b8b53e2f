/* SPDX-License-Identifier: Apache-2.0 */
#include "store/s3follow.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/util.h"

#define NS_PER_S 1000000000LL
/* A refusal without a reason (HEAD) is laid on the clock where it is off by this much. AWS and MinIO accept 15 minutes. */
#define SUSPECT_SKEW_NS (4 * 60 * NS_PER_S)
#define LOCATION_CONSTRAINT " location constraint is incompatible"

/* ---- what to do ---- */

static bool is_code(const struct s3follow_answer *a, const char *code)
{
	return strcmp(a->code, code) == 0;
}

static bool may_be_the_clock(const struct s3follow_answer *a)
{
	int64_t off_ns = a->date_ns - a->signed_ns;

	if (a->date_ns == 0 || (a->status != 403 && a->status != 400))
		return false;
	off_ns = off_ns < 0 ? -off_ns : off_ns;
	if (is_code(a, "RequestTimeTooSkewed") || is_code(a, "RequestExpired") ||
	    is_code(a, "RequestInTheFuture"))
		return off_ns >= NS_PER_S;
	return !a->code[0] && off_ns >= SUSPECT_SKEW_NS;
}

/* "The eu-south-1 location constraint is incompatible for the region specific endpoint …" */
static void region_of_message(const char *message, char ret[S3ADDR_REGION_MAX])
{
	const char *end = strstr(message, LOCATION_CONSTRAINT), *begin = end;

	while (begin && begin > message && begin[-1] != ' ')
		begin--;
	if (!end || end - begin >= S3ADDR_REGION_MAX)
		return;
	memcpy(ret, begin, (size_t)(end - begin));
	ret[end - begin] = 0;
}

void s3follow_region(const struct s3follow_answer *a, char ret[S3ADDR_REGION_MAX])
{
	ret[0] = 0;
	if (a->region[0] && strlen(a->region) < S3ADDR_REGION_MAX)
		strcpy(ret, a->region);
	else if (is_code(a, "IllegalLocationConstraintException"))
		region_of_message(a->message, ret);
	if (!s3addr_is_region(ret) || !strcmp(ret, "unspecified"))
		ret[0] = 0;
}

static bool is_about_the_region(const struct s3follow_answer *a)
{
	switch (a->status) {
	case 301:
	case 307:
	case 403: /* of a HEAD, and where the wrong region does not know the user */
		return true;
	case 400: /* a HEAD has no code */
		return !a->code[0] || is_code(a, "AuthorizationHeaderMalformed") ||
		       is_code(a, "IllegalLocationConstraintException");
	default:
		return false;
	}
}

enum s3follow_action s3follow_decide(const struct s3follow_answer *a, const char *region,
				     const struct s3follow_tried *tried)
{
	char named[S3ADDR_REGION_MAX];

	if (!tried->clock && may_be_the_clock(a))
		return S3FOLLOW_CLOCK;
	if (a->status == 307 && a->location[0])
		return tried->redirects < S3FOLLOW_REDIRECTS_MAX ? S3FOLLOW_ELSEWHERE
								 : S3FOLLOW_NOT;
	s3follow_region(a, named);
	if (!tried->region && named[0] && strcmp(named, region) != 0 && is_about_the_region(a))
		return S3FOLLOW_REGION;
	return S3FOLLOW_NOT;
}

/* ---- where a Location leads ---- */

static int hex_value(char c)
{
	if (isdigit((unsigned char)c))
		return c - '0';
	return isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* In place. False: not well formed, or a control byte. */
static bool decode(char *s)
{
	char *out = s;

	for (; *s; s++) {
		int high, low;

		*out = *s;
		if (*s == '%') {
			high = hex_value(s[1]);
			low = high < 0 ? -1 : hex_value(s[2]);
			if (low < 0)
				return false;
			*out = (char)(high * 16 + low);
			s += 2;
		}
		if ((unsigned char)*out < ' ' || *out == 0x7f)
			return false;
		out++;
	}
	*out = 0;
	return true;
}

static int parse_query(struct s3follow_target *t, char *text)
{
	char *pair;

	t->has_query = true;
	while ((pair = strsep(&text, "&"))) {
		char *value = strchr(pair, '=');

		if (!*pair)
			continue;
		if (t->query_count == S3FOLLOW_QUERY_MAX)
			return -EINVAL;
		if (value)
			*value++ = 0;
		if (!decode(pair) || (value && !decode(value)))
			return -EINVAL;
		t->query[t->query_count++] = (struct sigv4_pair){ pair, value ? value : "" };
	}
	return 0;
}

/* text: "/path?query", of which either may be missing. */
static int parse_rest(struct s3follow_target *t, const char *text)
{
	size_t path_len = strcspn(text, "?#");
	char *path;

	t->text = strdup(text + path_len + (text[path_len] == '?'));
	path = strndup(text, path_len);
	if (!t->text || !path) {
		free(path);
		return -ENOMEM;
	}
	free(t->addr.path);
	t->addr.path = path;
	if (!decode(path) || strchr(text, '#'))
		return -EINVAL;
	return text[path_len] == '?' ? parse_query(t, t->text) : 0;
}

static bool is_below(const char *host, const char *domain)
{
	size_t n = strlen(host), m = strlen(domain);

	return n > m && host[n - m - 1] == '.' && strcasecmp(host + n - m, domain) == 0;
}

/* AWS's hosts there are run by others. */
static bool is_in_china(const char *server)
{
	return is_below(server, "cn");
}

static bool may_lead_to(const struct s3addr *from, const struct s3addr *to)
{
	if (from->tls && !to->tls)
		return false;
	if (strcasecmp(from->server, to->server) == 0 || is_below(to->server, from->server))
		return true;
	return s3addr_is_aws(from->server) && s3addr_is_aws(to->server) &&
	       is_in_china(from->server) == is_in_china(to->server);
}

int s3follow_location(const char *location, const struct s3addr *from, struct s3follow_target *ret)
{
	_cleanup_(s3follow_target_deinit) struct s3follow_target t = { 0 };
	const char *host = strstr(location, "://");
	size_t len;
	int r;

	if (!host)
		return -EINVAL;
	len = (size_t)(host + 3 - location) + strcspn(host + 3, "/?#");
	r = s3addr_init_origin(&t.addr, location, len);
	if (r == 0 && !may_lead_to(from, &t.addr))
		r = -EPERM;
	if (r == 0)
		r = parse_rest(&t, location + len);
	if (r < 0)
		return r;
	*ret = t;
	t = (struct s3follow_target){ 0 };
	return 0;
}

void s3follow_target_deinit(struct s3follow_target *t)
{
	s3addr_deinit(&t->addr);
	free(t->text);
	*t = (struct s3follow_target){ 0 };
}
