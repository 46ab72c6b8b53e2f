/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "store/s3err.h"

static struct err describe(struct s3err_answer a)
{
	struct err e = ERR_INIT;

	a.code = a.code ? a.code : "";
	a.message = a.message ? a.message : "";
	a.region = a.region ? a.region : "";
	a.location = a.location ? a.location : "";
	a.request_id = a.request_id ? a.request_id : "";
	a.bucket = "bkt";
	a.origin = "http://host:9000";
	cr_expect_eq(s3err_set(&e, &a), e.code);
	cr_expect_lt(e.code, 0);
	cr_expect_eq(e.http_status, a.status);
	return e;
}

Test(s3err, every_answer_has_a_kind_and_a_sentence)
{
	static const struct {
		int status;
		const char *code, *region;
		enum err_kind kind;
		int error;
		bool retryable, unknown; /* of a put */
		const char *says;
	} cases[] = {
		{ 404, "NoSuchBucket", "", ERR_NOT_FOUND, -ENOENT, false, false,
		  "bucket 'bkt' does not exist" },
		{ 403, "InvalidAccessKeyId", "", ERR_CREDENTIALS, -EACCES, false, false,
		  "InvalidAccessKeyId" },
		{ 403, "SignatureDoesNotMatch", "", ERR_CREDENTIALS, -EACCES, false, false,
		  "SignatureDoesNotMatch" },
		{ 403, "AccessDenied", "", ERR_CREDENTIALS, -EACCES, false, false,
		  "do not permit this (AccessDenied" },
		{ 403, "", "", ERR_CREDENTIALS, -EACCES, false, false, "no reason given" },
		{ 401, "", "", ERR_CREDENTIALS, -EACCES, false, false, "refuses the credentials" },
		{ 407, "", "", ERR_CREDENTIALS, -EACCES, false, false, "proxy" },
		{ 409, "OperationAborted", "", ERR_STORE, -EAGAIN, true, false, "busy" },
		{ 400, "ExpiredToken", "", ERR_CREDENTIALS, -EACCES, false, false, "ExpiredToken" },
		{ 403, "RequestTimeTooSkewed", "", ERR_CREDENTIALS, -EACCES, false, false,
		  "set the clock" },
		{ 301, "PermanentRedirect", "eu-west-1", ERR_USAGE, -EINVAL, false, false,
		  "region=eu-west-1" },
		{ 307, "TemporaryRedirect", "eu-west-1", ERR_USAGE, -EINVAL, false, false,
		  "region=eu-west-1" },
		{ 301, "", "", ERR_USAGE, -EINVAL, false, false, "redirects" },
		{ 400, "AuthorizationHeaderMalformed", "eu-west-1", ERR_USAGE, -EINVAL, false,
		  false, "eu-west-1" },
		{ 400, "AuthorizationHeaderMalformed", "", ERR_STORE, -EIO, false, false,
		  "AuthorizationHeader" },
		{ 400, "", "eu-west-1", ERR_USAGE, -EINVAL, false, false, "region=eu-west-1" },
		{ 503, "SlowDown", "", ERR_STORE, -EAGAIN, true, false, "busy" },
		{ 503, "ServiceUnavailable", "", ERR_STORE, -EAGAIN, true, false, "busy" },
		{ 429, "", "", ERR_STORE, -EAGAIN, true, false, "busy" },
		{ 400, "RequestTimeout", "", ERR_STORE, -EAGAIN, true, false, "busy" },
		{ 500, "InternalError", "", ERR_STORE, -EIO, true, true, "failed" },
		{ 200, "InternalError", "", ERR_STORE, -EIO, true, true, "failed" },
		{ 502, "", "", ERR_STORE, -EIO, true, true, "failed" },
		{ 503, "", "", ERR_STORE, -EIO, true, true, "failed" },
		{ 503, "SlowDownWrite", "", ERR_STORE, -EIO, true, true, "failed" },
		{ 504, "", "", ERR_STORE, -EIO, true, true, "failed" },
		{ 400, "BadDigest", "", ERR_STORE, -EIO, true, false, "damaged" },
		{ 400, "XAmzContentSHA256Mismatch", "", ERR_STORE, -EIO, true, false, "damaged" },
		{ 507, "XMinioStorageFull", "", ERR_STORE, -ENOSPC, false, false, "no space left" },
		{ 400, "InvalidBucketName", "", ERR_USAGE, -EINVAL, false, false, "'bkt'" },
		{ 403, "InvalidObjectState", "", ERR_STORE, -EIO, false, false, "archived" },
		{ 501, "NotImplemented", "", ERR_STORE, -EOPNOTSUPP, false, false,
		  "does not support" },
		{ 400, "InvalidArgument", "", ERR_STORE, -EIO, false, false, "InvalidArgument" },
		{ 404, "", "", ERR_STORE, -EIO, false, false, "check the URL" },
		{ 204, "", "", ERR_STORE, -EIO, false, false, "check the URL" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = describe((struct s3err_answer){ .status = cases[i].status,
							       .code = cases[i].code,
							       .region = cases[i].region,
							       .is_put = true });

		cr_expect_eq(e.kind, cases[i].kind, "%d %s", cases[i].status, cases[i].code);
		cr_expect_eq(e.code, cases[i].error, "%d %s", cases[i].status, cases[i].code);
		cr_expect_eq(e.retryable, cases[i].retryable, "%d %s", cases[i].status,
			     cases[i].code);
		cr_expect_eq(e.outcome_unknown, cases[i].unknown, "%d %s", cases[i].status,
			     cases[i].code);
		cr_expect(strstr(e.message, cases[i].says), "%s", e.message);
	}
}

Test(s3err, only_a_put_has_an_unknown_outcome)
{
	cr_expect_not(describe((struct s3err_answer){ .status = 500 }).outcome_unknown);
}

Test(s3err, retry_after_and_the_request_id_are_handed_on)
{
	struct err e = describe((struct s3err_answer){ .status = 503,
						       .code = "SlowDown",
						       .retry_after_ms = 7000,
						       .request_id = "4442587FB7D0A2F9" });

	cr_expect_eq(e.retry_after_ms, 7000);
	cr_expect_str_eq(e.request_id, "4442587FB7D0A2F9");
}

Test(s3err, a_wrong_clock_is_said_with_its_difference)
{
	cr_expect(strstr(describe((struct s3err_answer){ .status = 403,
							 .code = "RequestTimeTooSkewed",
							 .skew_s = 3600 })
				 .message,
			 "3600 s behind"));
	cr_expect(strstr(describe((struct s3err_answer){ .status = 403,
							 .code = "RequestTimeTooSkewed",
							 .skew_s = -90 })
				 .message,
			 "90 s ahead"));
}
