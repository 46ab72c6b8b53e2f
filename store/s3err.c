/* SPDX-License-Identifier: Apache-2.0 */
#include "store/s3err.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum class {
	CLASS_OTHER,
	CLASS_NO_BUCKET,
	CLASS_CREDENTIALS,
	CLASS_DENIED,
	CLASS_PROXY,
	CLASS_CLOCK,
	CLASS_REGION,
	CLASS_BUSY,    /* try again; nothing was carried out */
	CLASS_BROKEN,  /* try again; a put may have been carried out */
	CLASS_DAMAGED, /* try again: the request was changed on its way */
	CLASS_FULL,
	CLASS_BAD_NAME,
	CLASS_ARCHIVED,
	CLASS_UNSUPPORTED,
};

static const struct {
	const char *code;
	enum class class;
} by_code[] = {
	{ "NoSuchBucket", CLASS_NO_BUCKET },
	{ "InvalidAccessKeyId", CLASS_CREDENTIALS },
	{ "SignatureDoesNotMatch", CLASS_CREDENTIALS },
	{ "AccessDenied", CLASS_DENIED },
	{ "AllAccessDisabled", CLASS_DENIED },
	{ "AccountProblem", CLASS_CREDENTIALS },
	{ "ExpiredToken", CLASS_CREDENTIALS },
	{ "InvalidToken", CLASS_CREDENTIALS },
	{ "TokenRefreshRequired", CLASS_CREDENTIALS },
	{ "ExpiredTokenException", CLASS_CREDENTIALS },
	{ "RequestExpired", CLASS_CREDENTIALS },
	{ "RequestTimeTooSkewed", CLASS_CLOCK },
	{ "PermanentRedirect", CLASS_REGION },
	{ "TemporaryRedirect", CLASS_REGION },
	{ "AuthorizationHeaderMalformed", CLASS_REGION },
	{ "IllegalLocationConstraintException", CLASS_REGION },
	{ "SlowDown", CLASS_BUSY },
	{ "ServiceUnavailable", CLASS_BUSY },
	{ "TooManyRequests", CLASS_BUSY },
	{ "OperationAborted", CLASS_BUSY },
	{ "ConditionalRequestConflict", CLASS_BUSY },
	{ "RequestTimeout", CLASS_BUSY },
	{ "InternalError", CLASS_BROKEN },
	{ "BadDigest", CLASS_DAMAGED },
	{ "IncompleteBody", CLASS_DAMAGED },
	{ "XAmzContentSHA256Mismatch", CLASS_DAMAGED },
	{ "XAmzContentChecksumMismatch", CLASS_DAMAGED },
	{ "XMinioStorageFull", CLASS_FULL },
	{ "QuotaExceeded", CLASS_FULL },
	{ "InvalidBucketName", CLASS_BAD_NAME },
	{ "InvalidObjectState", CLASS_ARCHIVED },
	{ "NotImplemented", CLASS_UNSUPPORTED },
};

/* A region error is one only where the answer names the region. */
static enum class classify(const struct s3err_answer *a) {
	for (size_t i = 0; i < sizeof(by_code) / sizeof(by_code[0]);
	     i++){ if (strcmp(a->code, by_code[i].code) == 0 &&
		       (by_code[i].class != CLASS_REGION || a->region[0])) return by_code[i]
			   .class; }
if (a->status >= 300 && a->status < 400) return a->region[0] ? CLASS_REGION : CLASS_OTHER;
switch (a->status) {
case 400: /* all that a HEAD to another region gets */
	return a->region[0] && !a->code[0] ? CLASS_REGION : CLASS_OTHER;
case 401:
case 403:
	return CLASS_CREDENTIALS;
case 407:
	return CLASS_PROXY;
case 408:
case 429:
	return CLASS_BUSY;
case 501:
case 505:
	return CLASS_UNSUPPORTED;
case 507:
	return CLASS_FULL;
default:
	return a->status >= 500 ? CLASS_BROKEN : CLASS_OTHER;
}
}

/* "Code: message", or what is there of it. */
static const char *server_says(const struct s3err_answer *a, char *out, size_t size)
{
	if (!a->code[0] && !a->message[0])
		snprintf(out, size, "no reason given");
	else
		snprintf(out, size, "%s%s%s", a->code, a->code[0] && a->message[0] ? ": " : "",
			 a->message);
	return out;
}

static int set_clock(struct err *e, const struct s3err_answer *a)
{
	if (!a->skew_s)
		return err_set(
			e, ERR_CREDENTIALS, -EACCES,
			"the server finds this host's clock too far off its own: set the clock");
	return err_set(e, ERR_CREDENTIALS, -EACCES,
		       "this host's clock is %" PRId64 " s %s the server's: set the clock",
		       a->skew_s < 0 ? -a->skew_s : a->skew_s,
		       a->skew_s > 0 ? "behind" : "ahead of");
}

/* Of the Location only the origin, and nothing that may be a password. */
static int set_redirect(struct err *e, const struct s3err_answer *a, const char *says)
{
	const char *host = strstr(a->location, "://");
	size_t len = host ? (size_t)(host + 3 - a->location) + strcspn(host + 3, "/?#") : 0;

	if (len == 0 || memchr(a->location, '@', len))
		return err_set(e, ERR_USAGE, -EINVAL,
			       "%s redirects elsewhere: check endpoint, region and bucket (%s)",
			       a->origin, says);
	return err_set(
		e, ERR_USAGE, -EINVAL,
		"%s redirects to %.*s, which is not followed: check endpoint, region and bucket (%s)",
		a->origin, (int)len, a->location, says);
}

static int set_text(struct err *e, const struct s3err_answer *a, enum class class)
{
	char says[400];

	server_says(a, says, sizeof(says));
	switch (class) {
	case CLASS_NO_BUCKET:
		return err_set(e, ERR_NOT_FOUND, -ENOENT, "the bucket '%s' does not exist at %s",
			       a->bucket, a->origin);
	case CLASS_DENIED:
		return err_set(e, ERR_CREDENTIALS, -EACCES,
			       "%s denies access: the credentials do not permit this (%s)",
			       a->origin, says);
	case CLASS_CREDENTIALS:
		return err_set(e, ERR_CREDENTIALS, -EACCES, "%s refuses the credentials (%s)",
			       a->origin, says);
	case CLASS_PROXY:
		return err_set(
			e, ERR_CREDENTIALS, -EACCES,
			"the HTTP proxy of the environment wants a user name and password (407)");
	case CLASS_CLOCK:
		return set_clock(e, a);
	case CLASS_REGION:
		return err_set(e, ERR_USAGE, -EINVAL,
			       "the bucket '%s' lies in region %s: put region=%s into the URL",
			       a->bucket, a->region, a->region);
	case CLASS_BUSY:
		return err_set(e, ERR_STORE, -EAGAIN, "the server is busy (%s)", says);
	case CLASS_BROKEN:
		return err_set(e, ERR_STORE, -EIO, "the server failed (%s)", says);
	case CLASS_DAMAGED:
		return err_set(e, ERR_STORE, -EIO, "the request was damaged on its way (%s)", says);
	case CLASS_FULL:
		return err_set(e, ERR_STORE, -ENOSPC, "the server has no space left (%s)", says);
	case CLASS_BAD_NAME:
		return err_set(e, ERR_USAGE, -EINVAL,
			       "the server does not accept '%s' as the name of a bucket (%s)",
			       a->bucket, says);
	case CLASS_ARCHIVED:
		return err_set(e, ERR_STORE, -EIO,
			       "the object is archived: restore it from the archive first (%s)",
			       says);
	case CLASS_UNSUPPORTED:
		return err_set(e, ERR_STORE, -EOPNOTSUPP,
			       "the server does not support a request that sstablefs needs (%s)",
			       says);
	case CLASS_OTHER:
		break;
	}
	if (a->status >= 300 && a->status < 400)
		return set_redirect(e, a, says);
	if (a->code[0])
		return err_set(e, ERR_STORE, -EIO, "the server refuses the request (%s)", says);
	return err_set(e, ERR_STORE, -EIO, "%s does not answer like an S3 server: check the URL",
		       a->origin);
}

int s3err_set(struct err *e, const struct s3err_answer *a)
{
	enum class class = classify(a);
	int r = set_text(e, a, class);

	if (!e)
		return r;
	e->http_status = a->status;
	e->retryable = class == CLASS_BUSY || class == CLASS_BROKEN || class == CLASS_DAMAGED;
	e->outcome_unknown = a->is_put && class == CLASS_BROKEN;
	e->retry_after_ms = e->retryable ? a->retry_after_ms : 0;
	snprintf(e->request_id, sizeof(e->request_id), "%s", a->request_id);
	return r;
}

static bool is_of_class(const char *code, enum class class)
{
	for (size_t i = 0; i < sizeof(by_code) / sizeof(by_code[0]); i++) {
		if (strcmp(code, by_code[i].code) == 0)
			return by_code[i].class == class;
	}
	return false;
}

bool s3err_is_about_credentials(const char *code)
{
	return is_of_class(code, CLASS_CREDENTIALS);
}

bool s3err_is_about_damage(const char *code)
{
	return is_of_class(code, CLASS_DAMAGED);
}
