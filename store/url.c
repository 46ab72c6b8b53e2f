/* SPDX-License-Identifier: Apache-2.0 */
#include "store/url.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "store/dir.h"
#include "store/retry.h"
#include "store/s3addr.h"
#include "store/wrap.h"

#define URL_BYTES_MAX 8192

/* ---- parsing ---- */

static int hex_value(char c)
{
	if (isdigit((unsigned char)c))
		return c - '0';
	return isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* len bytes of s with %XX decoded, in a new string. -EINVAL: a '%' without two digits, or a control byte. */
static int decode(const char *s, size_t len, char **ret, struct err *e)
{
	char *out = malloc(len + 1), *p = out;

	if (!out)
		return err_nomem(e);
	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		if (c == '%') {
			int high = i + 1 < len ? hex_value(s[i + 1]) : -1,
			    low = i + 2 < len ? hex_value(s[i + 2]) : -1;

			if (high < 0 || low < 0) {
				free(out);
				return err_set(
					e, ERR_USAGE, -EINVAL,
					"the URL holds a '%%' without two hexadecimal digits (%%25 stands for '%%')");
			}
			c = (char)(high * 16 + low);
			i += 2;
		}
		if ((unsigned char)c < ' ' || c == 0x7f) {
			free(out);
			return err_set(e, ERR_USAGE, -EINVAL, "the URL holds a control character");
		}
		*p++ = c;
	}
	*p = 0;
	*ret = out;
	return 0;
}

static int set_addressing(struct url *u, const char *value, struct err *e)
{
	if (strcmp(value, "auto") == 0)
		u->addressing = S3_ADDRESSING_AUTO;
	else if (strcmp(value, "path") == 0)
		u->addressing = S3_ADDRESSING_PATH;
	else if (strcmp(value, "virtual") == 0)
		u->addressing = S3_ADDRESSING_VIRTUAL;
	else
		return err_set(e, ERR_USAGE, -EINVAL,
			       "addressing=%s in the URL: it is auto, path or virtual", value);
	return 0;
}

/* Steals *value on success. */
static int set_parameter(struct url *u, const char *name, char **value, struct err *e)
{
	char **field = NULL;

	if (strcmp(name, "endpoint") == 0)
		field = &u->endpoint;
	else if (strcmp(name, "region") == 0)
		field = &u->region;
	else if (strcmp(name, "ca") == 0)
		field = &u->ca;
	else if (strcmp(name, "profile") == 0)
		field = &u->profile;
	else if (strcmp(name, "addressing") == 0)
		return set_addressing(u, *value, e);
	else
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"the URL has a parameter '%s': it knows endpoint, region, addressing, ca and profile",
			name);
	if (*field)
		return err_set(e, ERR_USAGE, -EINVAL, "the URL gives %s twice", name);
	if (!**value)
		return err_set(e, ERR_USAGE, -EINVAL, "the URL gives %s without a value", name);
	*field = steal_pointer(value);
	return 0;
}

static int parse_parameter(struct url *u, const char *text, size_t len, struct err *e)
{
	_cleanup_free_ char *name = NULL, *value = NULL;
	const char *equals = memchr(text, '=', len);
	size_t name_len = equals ? (size_t)(equals - text) : len;
	int r = decode(text, name_len, &name, e);

	if (r < 0)
		return r;
	if (!equals)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "the URL has a parameter '%s' without a value", name);
	r = decode(equals + 1, len - name_len - 1, &value, e);
	return r < 0 ? r : set_parameter(u, name, &value, e);
}

static int parse_parameters(struct url *u, const char *text, struct err *e)
{
	while (*text) {
		size_t len = strcspn(text, "&");
		int r = parse_parameter(u, text, len, e);

		if (r < 0)
			return r;
		text += len + (text[len] == '&');
	}
	return u->endpoint ? s3addr_check_endpoint(u->endpoint, e) : 0;
}

static int parse_prefix(struct url *u, const char *text, size_t len, struct err *e)
{
	int r;

	while (len && text[len - 1] == '/')
		len--;
	r = decode(text, len, &u->prefix, e);
	if (r < 0)
		return r;
	/* Room for the longest key that is put behind it: 256 bytes are far more than any. */
	if (len && (store_key_check(u->prefix) < 0 || strlen(u->prefix) > STORE_KEY_MAX - 256))
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"the URL's prefix '%s' is no valid key: no empty, '.' or '..' part, UTF-8, at most %d bytes",
			u->prefix, STORE_KEY_MAX - 256);
	return 0;
}

/* After "s3://". */
static int parse_s3(struct url *u, const char *text, struct err *e)
{
	size_t whole = strcspn(text, "?"), authority = strcspn(text, "/?");
	const char *prefix = text + authority + (text[authority] == '/');
	int r;

	u->scheme = URL_S3;
	if (memchr(text, '@', authority))
		return err_set(e, ERR_USAGE, -EINVAL,
			       "the URL holds a user name: credentials do not belong in a URL");
	if (strchr(text, '#'))
		return err_set(e, ERR_USAGE, -EINVAL, "the URL holds a '#': %%23 stands for it");
	r = decode(text, authority, &u->bucket, e);
	if (r < 0)
		return r;
	if (!u->bucket[0])
		return err_set(e, ERR_USAGE, -EINVAL,
			       "the URL names no bucket: s3://BUCKET[/PREFIX]");
	r = s3addr_check_bucket(u->bucket, e);
	if (r == 0)
		r = parse_prefix(u, prefix, (size_t)(text + whole - prefix), e);
	if (r == 0 && text[whole])
		r = parse_parameters(u, text + whole + 1, e);
	return r;
}

/* After "file://". */
static int parse_file(struct url *u, const char *text, struct err *e)
{
	if (text[0] != '/')
		return err_set(e, ERR_USAGE, -EINVAL,
			       "a file URL names a path of this host: file:///PATH");
	if (strpbrk(text, "?#"))
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"a file URL takes no parameters (%%3F stands for '?', %%23 for '#')");
	return decode(text, strlen(text), &u->path, e);
}

/* The length of "scheme" in "scheme://", 0 where there is none. */
static size_t scheme_length(const char *text)
{
	size_t n = 0;

	while (isalnum((unsigned char)text[n]) || text[n] == '+' || text[n] == '-' ||
	       text[n] == '.')
		n++;
	return n && strncmp(text + n, "://", 3) == 0 ? n : 0;
}

static int parse(const char *text, struct url *u, struct err *e)
{
	size_t n = scheme_length(text);

	if (!*text)
		return err_set(e, ERR_USAGE, -EINVAL, "the repository's URL is empty");
	if (strlen(text) > URL_BYTES_MAX)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "the repository's URL is longer than %d bytes", URL_BYTES_MAX);
	if (n == 2 && strncasecmp(text, "s3", 2) == 0)
		return parse_s3(u, text + 5, e);
	if (n == 4 && strncasecmp(text, "file", 4) == 0)
		return parse_file(u, text + 7, e);
	if (n)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"the scheme '%.*s://' is not known: a repository is /PATH, file:///PATH or s3://BUCKET",
			(int)n, text);
	u->path = strdup(text);
	return u->path ? 0 : err_nomem(e);
}

int url_parse(const char *text, struct url *ret, struct err *e)
{
	struct url u = { .scheme = URL_DIRECTORY };
	int r = parse(text, &u, e);

	if (r < 0)
		url_deinit(&u);
	else
		*ret = u;
	return r;
}

void url_deinit(struct url *u)
{
	free(u->path);
	free(u->bucket);
	free(u->prefix);
	free(u->endpoint);
	free(u->region);
	free(u->ca);
	free(u->profile);
	*u = (struct url){ 0 };
}

char *url_display(const struct url *u)
{
	if (u->scheme == URL_DIRECTORY)
		return strdup(u->path);
	return util_printf("s3://%s%s%s%s%s", u->bucket, *u->prefix ? "/" : "", u->prefix,
			   u->endpoint ? "?endpoint=" : "", u->endpoint ? u->endpoint : "");
}

/* ---- the stack ---- */

static int open_directory(const struct url *u, const struct url_open_options *o, struct store **ret,
			  struct err *e)
{
	struct dir_store_options dir = {
		.path = u->path, .create = o->create, .clock = o->clock, .log = o->log
	};

	return dir_store_new(&dir, ret, e);
}

/* NULL: none is named. AWS_REGION before AWS_DEFAULT_REGION, as the AWS SDKs have it. */
static const char *region_of(const struct url *u)
{
	static const char *const names[] = { "AWS_REGION", "AWS_DEFAULT_REGION" };

	if (u->region)
		return u->region;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return value;
	}
	return NULL;
}

static struct creds *make_credentials(const struct url *u, const struct url_open_options *o)
{
	return creds_new(&(struct creds_options){
		.credentials_file = o->credentials_file,
		.profile = u->profile ? u->profile : o->profile,
		.region = u->region,
		.ca_file = u->ca ? u->ca : o->ca,
		.clock = o->clock,
		.log = o->log,
	});
}

int url_find_credentials(const struct url *u, const struct url_open_options *o,
			 char ret_source[CREDS_SOURCE_MAX], const struct cancel *cancel,
			 struct err *e)
{
	_cleanup_(creds_freep) struct creds *c = NULL;
	struct creds_value value;
	int r;

	if (u->scheme != URL_S3)
		return URL_NO_CREDENTIALS;
	c = make_credentials(u, o);
	if (!c)
		return err_nomem(e);
	r = creds_get(c, &value, cancel, e);
	creds_value_wipe(&value);
	if (r == 0)
		creds_describe(c, ret_source);
	return r;
}

static int open_s3(const struct url *u, const struct url_open_options *o, struct store **ret,
		   struct err *e)
{
	struct s3_options s3 = {
		.bucket = u->bucket,
		.prefix = u->prefix,
		.endpoint = u->endpoint,
		.region = region_of(u),
		.ca_file = u->ca ? u->ca : o->ca,
		.addressing = u->addressing,
		.connections = o->connections,
		.clock = o->clock,
		.log = o->log,
		.metrics = o->metrics,
	};
	int r;

	s3.creds = make_credentials(u, o);
	if (!s3.creds)
		return err_nomem(e);
	r = s3_store_new(&s3, ret, e);
	if (r < 0)
		creds_free(s3.creds);
	return r;
}

/* Puts `over` on top of *s, which it has stolen; NULL: it could not be made. */
static int stack(struct store **s, struct store *over, struct err *e)
{
	if (!over)
		return err_nomem(e);
	*s = over;
	return 0;
}

/* The trace is below the retries, so that it counts what is really sent. */
static int wrap(struct store **s, const struct url_open_options *o, struct store **ret_trace,
		struct err *e)
{
	struct retry_options retry = { .total_ms = o->retry_total_ms,
				       .clock = o->clock,
				       .metrics = o->metrics };
	int r = stack(s, trace_store_new(*s, o->clock, o->metrics), e);

	*ret_trace = *s;
	if (r == 0 && o->limit_rate)
		r = stack(s, rate_store_new(*s, o->limit_rate, o->clock), e);
	if (r == 0)
		r = stack(s, retry_store_new(*s, &retry), e);
	return r;
}

int url_open_store(const struct url *u, const struct url_open_options *o, struct store **ret,
		   struct store **ret_trace, struct err *e)
{
	_cleanup_(store_freep) struct store *s = NULL;
	struct store *trace = NULL;
	int r = u->scheme == URL_S3 ? open_s3(u, o, &s, e) : open_directory(u, o, &s, e);

	if (r == 0)
		r = wrap(&s, o, &trace, e);
	if (r < 0)
		return r;
	if (ret_trace)
		*ret_trace = trace;
	*ret = steal_pointer(&s);
	return 0;
}
