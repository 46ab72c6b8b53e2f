/* SPDX-License-Identifier: Apache-2.0 */
#include "store/s3addr.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "store/httphdr.h"

struct endpoint { /* views into its text */
	bool tls;
	const char *host; /* an IPv6 address with its brackets */
	size_t host_len;
	const char *port; /* digits, NULL: none */
};

static bool is_host_char(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '.' || c == '_';
}

/* Takes the host at s; the length, or 0 where there is none. */
static size_t host_length(const char *s)
{
	size_t n = 0;

	if (*s == '[') {
		while (isxdigit((unsigned char)s[n + 1]) || s[n + 1] == ':' || s[n + 1] == '.')
			n++;
		return n && s[n + 1] == ']' ? n + 2 : 0;
	}
	while (is_host_char(s[n]))
		n++;
	return n;
}

static int parse_endpoint(const char *text, struct endpoint *ret)
{
	struct endpoint p = { 0 };
	uint64_t port;
	const char *rest;

	if (strncasecmp(text, "https://", 8) == 0)
		p.tls = true;
	else if (strncasecmp(text, "http://", 7) != 0)
		return -EINVAL;
	p.host = text + (p.tls ? 8 : 7);
	p.host_len = host_length(p.host);
	rest = p.host + p.host_len;
	if (*rest == ':') {
		p.port = rest + 1;
		rest += 1 + strspn(p.port, "0123456789");
	}
	if (p.host_len == 0 || (*rest && strcmp(rest, "/") != 0))
		return -EINVAL;
	if (p.port) {
		char digits[8] = "";
		size_t n = (size_t)(rest - p.port);

		if (n == 0 || n >= sizeof(digits))
			return -EINVAL;
		memcpy(digits, p.port, n);
		if (httphdr_parse_u64(digits, &port) < 0 || port == 0 || port > 65535)
			return -EINVAL;
		if (port == (p.tls ? 443 : 80))
			p.port = NULL;
	}
	*ret = p;
	return 0;
}

int s3addr_check_endpoint(const char *endpoint, struct err *e)
{
	struct endpoint p;

	if (parse_endpoint(endpoint, &p) == 0)
		return 0;
	/* It may hold a password before an '@': not shown. */
	if (strchr(endpoint, '@'))
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"the endpoint holds a user name: credentials do not belong in a URL");
	return err_set(
		e, ERR_USAGE, -EINVAL,
		"the endpoint '%s' is not of the form http://HOST[:PORT] or https://HOST[:PORT]",
		endpoint);
}

int s3addr_check_bucket(const char *bucket, struct err *e)
{
	size_t len = strlen(bucket), good = 0;

	while (is_host_char(bucket[good]))
		good++;
	if (good == len && len >= 3 && len <= 255 && isalnum((unsigned char)bucket[0]) &&
	    isalnum((unsigned char)bucket[len - 1]))
		return 0;
	return err_set(e, ERR_USAGE, -EINVAL, "'%s' is no name of a bucket", bucket);
}

/* One DNS label in lower case: a bucket with dots does not fit the certificate of *.s3.amazonaws.com. */
static bool fits_host_name(const char *bucket)
{
	size_t len = strlen(bucket);

	if (len > 63)
		return false;
	for (; *bucket; bucket++) {
		if (!islower((unsigned char)*bucket) && !isdigit((unsigned char)*bucket) &&
		    *bucket != '-')
			return false;
	}
	return true;
}

/* The suffix at the end of the first len bytes of s, with something before it. */
static bool ends_with(const char *s, size_t len, const char *suffix)
{
	size_t n = strlen(suffix);

	return len > n && strncasecmp(s + len - n, suffix, n) == 0;
}

/* The length of what is before AWS's domain, 0 where the host is not below it. */
static size_t below_aws(const char *host, size_t len)
{
	if (ends_with(host, len, ".amazonaws.com.cn"))
		return len - strlen(".amazonaws.com.cn");
	return ends_with(host, len, ".amazonaws.com") ? len - strlen(".amazonaws.com") : 0;
}

static bool is_ip_address(const struct endpoint *p)
{
	return p->host[0] == '[' || strspn(p->host, "0123456789.") >= p->host_len;
}

static bool is_virtual(const struct endpoint *p, const char *bucket, enum s3_addressing addressing)
{
	if (addressing != S3_ADDRESSING_AUTO)
		return addressing == S3_ADDRESSING_VIRTUAL;
	return fits_host_name(bucket) && below_aws(p->host, p->host_len) > 0;
}

bool s3addr_is_region(const char *region)
{
	size_t n = 0;

	while (islower((unsigned char)region[n]) || isdigit((unsigned char)region[n]) ||
	       region[n] == '-')
		n++;
	return n > 0 && n < S3ADDR_REGION_MAX && !region[n];
}

static char *aws_endpoint(const char *region)
{
	return util_printf("https://s3.%s.amazonaws.com%s", region,
			   strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

static int fill(struct s3addr *ret, const struct endpoint *p, const char *in_host, const char *path)
{
	struct s3addr a = { .tls = p->tls };

	a.server = util_printf("%.*s", (int)p->host_len, p->host);
	a.path = util_printf("%s", path);
	if (a.server)
		a.host = util_printf("%s%s%s%s%.*s", in_host, *in_host ? "." : "", a.server,
				     p->port ? ":" : "",
				     p->port ? (int)strspn(p->port, "0123456789") : 0,
				     p->port ? p->port : "");
	if (a.host)
		a.origin = util_printf("%s://%s", p->tls ? "https" : "http", a.host);
	if (!a.server || !a.path || !a.host || !a.origin) {
		s3addr_deinit(&a);
		return -ENOMEM;
	}
	*ret = a;
	return 0;
}

int s3addr_init(struct s3addr *ret, const char *bucket, const char *endpoint, const char *region,
		enum s3_addressing addressing, struct err *e)
{
	_cleanup_free_ char *made = NULL, *path = NULL;
	struct endpoint p;
	bool in_host;
	int r;

	if (!s3addr_is_region(region))
		return err_set(e, ERR_USAGE, -EINVAL, "'%s' is no name of a region", region);
	if (!endpoint)
		endpoint = made = aws_endpoint(region);
	if (!endpoint)
		return err_nomem(e);
	if ((r = s3addr_check_bucket(bucket, e)) || (r = s3addr_check_endpoint(endpoint, e)) ||
	    (r = parse_endpoint(endpoint, &p)))
		return r;
	in_host = is_virtual(&p, bucket, addressing);
	if (in_host && is_ip_address(&p))
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"addressing=virtual needs an endpoint with a name, not the address %.*s",
			(int)p.host_len, p.host);
	path = util_printf("%s%s", in_host ? "" : "/", in_host ? "" : bucket);
	if (!path || fill(ret, &p, in_host ? bucket : "", path) < 0)
		return err_nomem(e);
	return 0;
}

void s3addr_deinit(struct s3addr *a)
{
	free(a->origin);
	free(a->host);
	free(a->path);
	free(a->server);
	*a = (struct s3addr){ 0 };
}

int s3addr_init_origin(struct s3addr *ret, const char *text, size_t len)
{
	_cleanup_free_ char *origin = strndup(text, len);
	struct endpoint p;
	int r;

	if (!origin)
		return -ENOMEM;
	r = parse_endpoint(origin, &p);
	return r < 0 ? r : fill(ret, &p, "", "");
}

/* ---- AWS ---- */

/* The labels of a host from its end: the last one of the first *len bytes, which it takes away. */
static const char *take_label(const char *host, size_t *len, size_t *label_len)
{
	size_t at = *len;

	while (at > 0 && host[at - 1] != '.')
		at--;
	*label_len = *len - at;
	*len = at > 0 ? at - 1 : 0;
	return host + at;
}

static bool is_label(const char *label, size_t len, const char *text)
{
	return len == strlen(text) && strncasecmp(label, text, len) == 0;
}

/*
 * AWS's own names only, for anybody can have others below its domain:
 *   [BUCKET.]s3[-ANYTHING].amazonaws.com  [BUCKET.](s3|s3-fips)[.dualstack].REGION.amazonaws.com
 * The length of what stands before the region of the second form (0: the first form), < 0: neither.
 */
static int aws_form(const char *host, size_t len)
{
	size_t rest = below_aws(host, len), n, before;
	const char *label = take_label(host, &rest, &n);

	if (n == 0)
		return -1;
	if (is_label(label, n, "s3") || strncasecmp(label, "s3-", MIN_OF(n, (size_t)3)) == 0)
		return n >= 2 ? 0 : -1;
	if (!memchr(label, '-', n))
		return -1;
	before = rest;
	label = take_label(host, &rest, &n);
	if (is_label(label, n, "dualstack"))
		label = take_label(host, &rest, &n);
	return is_label(label, n, "s3") || is_label(label, n, "s3-fips") ? (int)before : -1;
}

bool s3addr_is_aws(const char *server)
{
	return aws_form(server, strlen(server)) >= 0;
}

int s3addr_for_region(const char *endpoint, const char *region, char **ret)
{
	struct endpoint p;
	size_t below;
	int before;

	*ret = NULL;
	if (!endpoint)
		return 0;
	if (parse_endpoint(endpoint, &p) < 0)
		return -EINVAL;
	before = aws_form(p.host, p.host_len);
	below = below_aws(p.host, p.host_len);
	if (before > 0)
		*ret = util_printf("%s://%.*s.%s%s", p.tls ? "https" : "http", before, p.host,
				   region, p.host + below);
	else if (before == 0 && is_label(p.host, below, "s3"))
		*ret = util_printf("%s://s3.%s%s", p.tls ? "https" : "http", region,
				   p.host + below);
	else
		*ret = strdup(endpoint);
	return *ret ? 0 : -ENOMEM;
}
