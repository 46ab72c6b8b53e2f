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

static bool ends_with(const struct endpoint *p, const char *suffix)
{
	size_t n = strlen(suffix);

	return p->host_len > n && strncasecmp(p->host + p->host_len - n, suffix, n) == 0;
}

static bool is_virtual(const struct endpoint *p, const char *bucket, enum s3_addressing addressing)
{
	if (addressing != S3_ADDRESSING_AUTO)
		return addressing == S3_ADDRESSING_VIRTUAL;
	return fits_host_name(bucket) &&
	       (ends_with(p, ".amazonaws.com") || ends_with(p, ".amazonaws.com.cn"));
}

static bool is_region_name(const char *region)
{
	size_t n = 0;

	while (islower((unsigned char)region[n]) || isdigit((unsigned char)region[n]) ||
	       region[n] == '-')
		n++;
	return n > 0 && n <= 64 && !region[n];
}

static char *aws_endpoint(const char *region)
{
	return util_printf("https://s3.%s.amazonaws.com%s", region,
			   strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

int s3addr_init(struct s3addr *ret, const char *bucket, const char *endpoint, const char *region,
		enum s3_addressing addressing, struct err *e)
{
	_cleanup_free_ char *made = NULL;
	struct s3addr a = { 0 };
	struct endpoint p;
	bool in_host;
	int r;

	if (!is_region_name(region))
		return err_set(e, ERR_USAGE, -EINVAL, "'%s' is no name of a region", region);
	if (!endpoint)
		endpoint = made = aws_endpoint(region);
	if (!endpoint)
		return err_nomem(e);
	if ((r = s3addr_check_bucket(bucket, e)) || (r = s3addr_check_endpoint(endpoint, e)) ||
	    (r = parse_endpoint(endpoint, &p)))
		return r;
	in_host = is_virtual(&p, bucket, addressing);
	a.tls = p.tls;
	a.host = util_printf("%s%s%.*s%s%.*s", in_host ? bucket : "", in_host ? "." : "",
			     (int)p.host_len, p.host, p.port ? ":" : "",
			     p.port ? (int)strspn(p.port, "0123456789") : 0, p.port ? p.port : "");
	a.path = in_host ? util_printf("%s", "") : util_printf("/%s", bucket);
	if (a.host)
		a.origin = util_printf("%s://%s", p.tls ? "https" : "http", a.host);
	if (!a.host || !a.path || !a.origin) {
		s3addr_deinit(&a);
		return err_nomem(e);
	}
	*ret = a;
	return 0;
}

void s3addr_deinit(struct s3addr *a)
{
	free(a->origin);
	free(a->host);
	free(a->path);
	*a = (struct s3addr){ 0 };
}
