/* SPDX-License-Identifier: Apache-2.0 */
/* Each link against answers that are written here: what it asks, what it takes, what it refuses. */
#include "tests/unit/store/creds_help.h"
#include "tests/unit/store/script.h"

#define HEAD(status) "HTTP/1.1 " status "\r\nConnection: keep-alive\r\n"
#define TEXT_22(text) HEAD("200 OK") "Content-Length: 22\r\n\r\n" text
#define EMPTY(status) HEAD(status) "Content-Length: 0\r\n\r\n"
#define UNTIL_CLOSED "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
#define JSON                                                                            \
	"{\"Code\":\"Success\",\"AccessKeyId\":\"AKIA1\",\"SecretAccessKey\":\"HUSH\"," \
	"\"Token\":\"HUSHTOKEN\",\"Expiration\":\"2026-11-22T11:42:00Z\"}"

#define STEPS(...)                                     \
	((const struct script_step[]){ __VA_ARGS__ }), \
		sizeof((const struct script_step[]){ __VA_ARGS__ }) / sizeof(struct script_step)

static void expect_line(const struct script *s, size_t request, const char *line)
{
	char full[256];

	snprintf(full, sizeof(full), "\r\n%s\r\n", line);
	cr_assert_lt(request, s->request_count);
	cr_expect(strcasestr(s->requests[request], full), "'%s' is not in: %s", line,
		  s->requests[request]);
}

static void expect_begin(const struct script *s, size_t request, const char *text)
{
	cr_assert_lt(request, s->request_count);
	cr_expect(strstr(s->requests[request], text) == s->requests[request], "'%s' begins not: %s",
		  text, s->requests[request]);
}

/* ---- the metadata service ---- */

static void imds_open(struct help *h, struct script *s, const struct script_step *steps, size_t n)
{
	script_start(s, steps, n);
	help_init(h);
	help_set(h, "AWS_EC2_METADATA_DISABLED", "false");
	help_set(h, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "%s/", s->endpoint);
	help_open(h);
}

static void close_all(struct help *h, struct script *s)
{
	help_deinit(h);
	script_stop(s);
}

Test(creds_links, the_metadata_service_is_asked_with_a_session_token)
{
	struct help h;
	struct script s;

	imds_open(&h, &s,
		  STEPS({ TEXT_22("AQAEAtoken-0123456789="), SCRIPT_CLOSE },
			{ TEXT_22("the-role-of-instance-1"), SCRIPT_CLOSE },
			{ UNTIL_CLOSED JSON, SCRIPT_CLOSE }));
	help_expect(&h, "AKIA1");
	help_expect_source(&h, "role the-role-of-instance-1, until 2026-11-22T11:42:00Z");
	help_expect(&h, "AKIA1"); /* from the copy: the script is over */
	expect_begin(&s, 0, "PUT /latest/api/token HTTP/1.1\r\n");
	expect_line(&s, 0, "X-aws-ec2-metadata-token-ttl-seconds: 21600");
	expect_line(&s, 0, "Content-Length: 0");
	expect_begin(&s, 1, "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\r\n");
	expect_line(&s, 1, "X-aws-ec2-metadata-token: AQAEAtoken-0123456789=");
	expect_begin(&s, 2,
		     "GET /latest/meta-data/iam/security-credentials/the-role-of-instance-1 ");
	expect_line(&s, 2, "X-aws-ec2-metadata-token: AQAEAtoken-0123456789=");
	close_all(&h, &s);
}

Test(creds_links, a_session_token_that_is_refused_is_replaced_once)
{
	struct help h;
	struct script s;

	imds_open(&h, &s,
		  STEPS({ TEXT_22("AQAEAtoken-0123456789="), SCRIPT_CLOSE },
			{ EMPTY("401 Unauthorized"), SCRIPT_CLOSE },
			{ TEXT_22("AQAEAtoken-second-one="), SCRIPT_CLOSE },
			{ TEXT_22("the-role-of-instance-1"), SCRIPT_CLOSE },
			{ UNTIL_CLOSED JSON, SCRIPT_CLOSE }));
	help_expect(&h, "AKIA1");
	expect_line(&s, 4, "X-aws-ec2-metadata-token: AQAEAtoken-second-one=");
	close_all(&h, &s);
}

/* With fewer answers the service hangs up. */
static void imds_fails(const char *says, const struct script_step *steps, size_t n)
{
	struct help h;
	struct script s;

	imds_open(&h, &s, steps, n);
	help_expect_error(&h, says);
	cr_expect_eq(h.err.kind, ERR_CREDENTIALS, "%s", h.err.message);
	cr_expect_not(h.err.retryable, "%s", h.err.message);
	cr_expect_eq(script_request_count(&s), n, "%s: %zu", says, script_request_count(&s));
	close_all(&h, &s);
}

Test(creds_links, what_the_metadata_service_refuses_is_said_and_version_1_is_not_tried)
{
	struct script_step token = { TEXT_22("AQAEAtoken-0123456789="), SCRIPT_CLOSE };

	imds_fails("hop limit is 1", STEPS({ "", SCRIPT_HOLD }));
	imds_fails("switched off", STEPS({ EMPTY("403 Forbidden"), SCRIPT_CLOSE }));
	imds_fails("HTTP status 404", STEPS({ EMPTY("404 Not Found"), SCRIPT_CLOSE }));
	imds_fails("session token is malformed",
		   STEPS({ TEXT_22("0123456789 123456789 1"), SCRIPT_CLOSE }));
	imds_fails("session token is malformed", STEPS({ EMPTY("200 OK"), SCRIPT_CLOSE }));
	imds_fails("no role is attached", STEPS(token, { EMPTY("404 Not Found"), SCRIPT_CLOSE }));
	imds_fails("role is malformed",
		   STEPS(token, { TEXT_22("../../../../api/token?"), SCRIPT_CLOSE }));
	imds_fails("role is malformed",
		   STEPS(token, { TEXT_22("..%2f..%2fapi/token-01"), SCRIPT_CLOSE }));
	imds_fails("HTTP status 301",
		   STEPS(token,
			 { EMPTY("301 Moved\r\nLocation: http://127.0.0.1:1/"), SCRIPT_CLOSE }));
	imds_fails("Code is not",
		   STEPS(token, { TEXT_22("the-role-of-instance-1"), SCRIPT_CLOSE },
			 { UNTIL_CLOSED "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}",
			   SCRIPT_CLOSE }));
}

/* One that is there and has a hiccup: it is not absent. */
static void imds_is_worth_another_attempt(const struct script_step *steps, size_t n)
{
	struct creds_value v;
	struct help h;
	struct script s;

	imds_open(&h, &s, steps, n);
	cr_expect_lt(help_get(&h, &v), 0);
	cr_expect_eq(h.err.kind, ERR_STORE, "%s", h.err.message);
	cr_expect(h.err.retryable, "%s", h.err.message);
	cr_expect(strstr(h.err.message, "the metadata service http"), "%s", h.err.message);
	close_all(&h, &s);
}

Test(creds_links, a_metadata_service_that_is_overloaded_is_asked_again)
{
	struct script_step token = { TEXT_22("AQAEAtoken-0123456789="), SCRIPT_CLOSE };

	imds_is_worth_another_attempt(STEPS({ EMPTY("503 Service Unavailable"), SCRIPT_CLOSE }));
	imds_is_worth_another_attempt(
		STEPS(token, { EMPTY("429 Too Many Requests"), SCRIPT_CLOSE }));
	imds_is_worth_another_attempt(STEPS(token, { "", SCRIPT_HOLD }));
}

Test(creds_links, what_is_said_names_all_places_in_their_order)
{
	struct help h;
	static const char *const order[] = { "no credentials: ", "environment (",
					     "shared files (",	 "web identity (",
					     "container (",	 "metadata service (" };
	const char *at;

	help_init(&h);
	help_open(&h);
	help_expect_error(&h, "AWS_EC2_METADATA_DISABLED is true");
	at = h.err.message;
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		cr_assert(at = strstr(at, order[i]), "%s: %s", order[i], h.err.message);
	}
	help_deinit(&h);
}

/* ---- the container ---- */

static void container_open(struct help *h, struct script *s, const struct script_step *steps,
			   size_t n)
{
	script_start(s, steps, n);
	help_init(h);
	help_set(h, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "%s/get?a=b", s->endpoint);
	help_open(h);
}

Test(creds_links, an_endpoint_with_a_hiccup_is_left_alone_for_a_second_and_then_asked_again)
{
	struct creds_value v;
	struct help h;
	struct script s;

	container_open(&h, &s,
		       STEPS({ EMPTY("503 Service Unavailable"), SCRIPT_CLOSE },
			     { EMPTY("500 Internal Server Error"), SCRIPT_CLOSE },
			     { UNTIL_CLOSED JSON, SCRIPT_CLOSE }));
	for (size_t asked = 1; asked <= 2; asked++) {
		cr_expect_lt(help_get(&h, &v), 0);
		cr_expect_eq(h.err.retry_after_ms, 1000);
		h.clock.elapsed_ns += SECOND_NS / 4;
		cr_expect_lt(help_get(&h, &v), 0);
		cr_expect_eq(h.err.retry_after_ms, 750);
		cr_expect_eq(script_request_count(&s), asked);
		h.clock.elapsed_ns += 3 * SECOND_NS / 4;
	}
	help_expect(&h, "AKIA1");
	close_all(&h, &s);
}

Test(creds_links, the_containers_endpoint_is_sent_its_token_from_the_file_as_it_is_now)
{
	struct help h;
	struct script s;

	container_open(&h, &s,
		       STEPS({ UNTIL_CLOSED JSON, SCRIPT_CLOSE },
			     { UNTIL_CLOSED JSON, SCRIPT_CLOSE }));
	help_set(&h, "AWS_CONTAINER_AUTHORIZATION_TOKEN", "not this one");
	help_set(&h, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "%s/token", h.dir);
	help_file(&h, "token", "Bearer one\n");
	help_expect(&h, "AKIA1");
	help_expect_source(&h, "the container endpoint http://127.0.0.1:");
	help_file(&h, "token", "Bearer two\n");
	h.clock.wall_ns += 3000 * SECOND_NS;
	help_expect(&h, "AKIA1");
	expect_begin(&s, 0, "GET /get?a=b HTTP/1.1\r\n");
	expect_line(&s, 0, "Authorization: Bearer one");
	expect_line(&s, 1, "Authorization: Bearer two");
	close_all(&h, &s);
}

static void container_fails(const char *says, enum err_kind kind, const char *answer)
{
	struct help h;
	struct script s;
	struct script_step step = { answer, SCRIPT_CLOSE };

	container_open(&h, &s, &step, 1);
	help_expect_error(&h, says);
	cr_expect_eq(h.err.kind, kind, "%s", h.err.message);
	cr_expect_eq(h.err.retryable, strstr(says, "503") != NULL, "%s", h.err.message);
	close_all(&h, &s);
}

#define FIELDS(a) UNTIL_CLOSED "{\"SecretAccessKey\":\"HUSH\"," a "}"
#define KEY_ID "\"AccessKeyId\":\"A\","

Test(creds_links, hostile_answers_of_an_endpoint_are_refused)
{
	static char huge[100000], deep[40000];

	snprintf(huge, sizeof(huge), "%s{\"AccessKeyId\":\"%090000d\"}", UNTIL_CLOSED, 1);
	snprintf(deep, sizeof(deep), "%s%030000d", UNTIL_CLOSED, 0);
	memset(deep + strlen(UNTIL_CLOSED), '[', 30000);
	container_fails("HTTP status 403", ERR_CREDENTIALS, EMPTY("403 Forbidden"));
	container_fails("HTTP status 503", ERR_STORE, EMPTY("503 Busy"));
	container_fails("HTTP status 302", ERR_CREDENTIALS,
			EMPTY("302 Found\r\nLocation: http://127.0.0.1:1/"));
	container_fails("longer than it may be", ERR_STORE, huge);
	container_fails("nested too deeply", ERR_CREDENTIALS, deep);
	container_fails("not valid JSON", ERR_CREDENTIALS, UNTIL_CLOSED "HUSH");
	container_fails("not a JSON object", ERR_CREDENTIALS, UNTIL_CLOSED "[\"HUSH\"]");
	container_fails("no AccessKeyId", ERR_CREDENTIALS, FIELDS("\"a\":\"HUSH\""));
	container_fails("no AccessKeyId", ERR_CREDENTIALS, FIELDS("\"AccessKeyId\":\"\""));
	container_fails("control character", ERR_CREDENTIALS,
			FIELDS("\"AccessKeyId\":\"A\\r\\nX: HUSH\""));
	container_fails("not a string", ERR_CREDENTIALS, FIELDS("\"AccessKeyId\":7"));
	container_fails("RFC 3339", ERR_CREDENTIALS, FIELDS(KEY_ID "\"Expiration\":\"soon\""));
	container_fails("not a string", ERR_CREDENTIALS, FIELDS(KEY_ID "\"Token\":[]"));
	container_fails("not valid JSON", ERR_CREDENTIALS, FIELDS(KEY_ID "\"AccessKeyId\":\"B\""));
}

Test(creds_links, the_containers_variables_are_checked_before_anything_is_sent)
{
	struct help h;

	help_init(&h);
	help_set(&h, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://10.0.0.1/x");
	help_set(&h, "AWS_CONTAINER_AUTHORIZATION_TOKEN", "HUSH\r\nX: y");
	help_open(&h);
	help_expect_error(&h, "may not be asked");
	help_set(&h, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/x");
	help_expect_error(&h, "AWS_CONTAINER_AUTHORIZATION_TOKEN holds a control character");
	help_set(&h, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "%s/absent", h.dir);
	help_expect_error(&h, "cannot read the token file");
	help_set(&h, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@example.com/x");
	help_expect_error(&h, "does not begin with a '/'");
	help_deinit(&h);
}

/* ---- STS ---- */

#define STS_ANSWER                                                                             \
	UNTIL_CLOSED "<AssumeRoleResponse><AssumeRoleResult><Credentials>"                     \
		     "<AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>HUSH</SecretAccessKey>" \
		     "<SessionToken>HUSHTOKEN</SessionToken>"                                  \
		     "<Expiration>2026-11-22T11:42:00Z</Expiration>"                           \
		     "</Credentials></AssumeRoleResult></AssumeRoleResponse>"
#define ARN "arn:aws:iam::123456789012:role/backup"

static void sts_open(struct help *h, struct script *s, const struct script_step *steps, size_t n)
{
	script_start(s, steps, n);
	help_init(h);
	help_set(h, "AWS_ENDPOINT_URL_STS", "%s", s->endpoint);
	help_open(h);
}

Test(creds_links, a_role_is_assumed_with_a_signed_request)
{
	struct help h;
	struct script s;

	sts_open(&h, &s, STEPS({ STS_ANSWER, SCRIPT_CLOSE }));
	help_file(&h, "config",
		  "[default]\nrole_arn = " ARN "\nsource_profile = keys\nexternal_id = a&b=c\n"
		  "role_session_name = night\nduration_seconds = 3600\nregion = eu-west-1\n"
		  "[profile keys]\naws_access_key_id = AKIA1\naws_secret_access_key = HUSH\n"
		  "aws_session_token = SIGNER\n");
	chmod(h.dir, 0700);
	help_expect(&h, "ASIA1");
	help_expect_source(&h, "role " ARN " of profile [default], by profile [keys]");
	expect_begin(&s, 0, "POST / HTTP/1.1\r\n");
	expect_line(&s, 0, "Content-Type: application/x-www-form-urlencoded; charset=utf-8");
	expect_line(&s, 0, "X-Amz-Date: 20261122T104200Z");
	expect_line(&s, 0, "X-Amz-Security-Token: SIGNER");
	cr_expect(
		strstr(s.requests[0],
		       "Authorization: AWS4-HMAC-SHA256 Credential=AKIA1/20261122/eu-west-1/sts/"));
	cr_expect(strstr(s.requests[0],
			 "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token"));
	cr_expect(strstr(s.requests[0],
			 "\r\n\r\nAction=AssumeRole&Version=2011-06-15&"
			 "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fbackup&"
			 "RoleSessionName=night&DurationSeconds=3600&ExternalId=a%26b%3Dc"),
		  "%s", s.requests[0]);
	close_all(&h, &s);
}

Test(creds_links, a_web_identity_is_read_again_each_time_and_sent_without_a_signature)
{
	struct help h;
	struct script s;

	sts_open(&h, &s, STEPS({ STS_ANSWER, SCRIPT_CLOSE }, { STS_ANSWER, SCRIPT_CLOSE }));
	help_set(&h, "AWS_WEB_IDENTITY_TOKEN_FILE", "%s/jwt", h.dir);
	help_expect_error(&h, "AWS_ROLE_ARN is not");
	help_set(&h, "AWS_ROLE_ARN", ARN);
	help_expect_error(&h, "cannot read the token file");
	help_file(&h, "jwt", "\n");
	help_expect_error(&h, "is empty");
	help_file(&h, "jwt", "one.two.three\n");
	help_expect(&h, "ASIA1");
	help_file(&h, "jwt", "four\n");
	h.clock.wall_ns += 3000 * SECOND_NS;
	help_expect(&h, "ASIA1");
	cr_expect(strstr(s.requests[0], "Action=AssumeRoleWithWebIdentity&"));
	cr_expect(strstr(s.requests[0], "&RoleSessionName=sstablefs-1795344120&"));
	cr_expect(strstr(s.requests[0], "&WebIdentityToken=one.two.three"));
	cr_expect(strstr(s.requests[1], "&WebIdentityToken=four"));
	cr_expect_null(strcasestr(s.requests[0], "Authorization:"));
	close_all(&h, &s);
}

static void web_identity_fails(const char *says, bool retryable, const char *answer)
{
	struct help h;
	struct script s;
	struct script_step step = { answer, SCRIPT_CLOSE };

	sts_open(&h, &s, &step, 1);
	help_set(&h, "AWS_WEB_IDENTITY_TOKEN_FILE", "%s/jwt", h.dir);
	help_set(&h, "AWS_ROLE_ARN", ARN);
	help_file(&h, "jwt", "HUSH-identity-token\n");
	help_expect_error(&h, says);
	cr_expect_eq(h.err.retryable, retryable, "%s", h.err.message);
	close_all(&h, &s);
}

#define STS_ERROR(status, code, message)                                                    \
	"HTTP/1.1 " status "\r\nConnection: close\r\n\r\n<ErrorResponse><Error><Code>" code \
	"</Code><Message>" message "</Message></Error></ErrorResponse>"

Test(creds_links, what_sts_refuses_is_said_without_the_token)
{
	web_identity_fails("ExpiredTokenException: too old", false,
			   STS_ERROR("400 Bad", "ExpiredTokenException", "too old"));
	web_identity_fails("InvalidIdentityToken", false,
			   STS_ERROR("400 Bad", "InvalidIdentityToken",
				     "cannot parse HUSH-identity-token"));
	web_identity_fails("IDPCommunicationError", true,
			   STS_ERROR("400 Bad", "IDPCommunicationError", "x"));
	web_identity_fails("ThrottlingException", true,
			   STS_ERROR("400 Bad", "ThrottlingException", "x"));
	web_identity_fails("HTTP status 503", true, EMPTY("503 Busy"));
	web_identity_fails("no document of STS", false, UNTIL_CLOSED "HUSH");
	web_identity_fails("holds no credentials", false, UNTIL_CLOSED "<a/>");
}
