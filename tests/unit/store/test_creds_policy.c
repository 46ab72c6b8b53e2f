/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "store/creds_container.h"
#include "store/creds_link.h"
#include "store/creds_policy.h"
#include "store/creds_process.h"
#include "store/creds_sts.h"

#define S ((int64_t)1000000000)
#define NOW (1795344120 * S)

Test(creds_policy, credentials_are_due_a_quarter_of_their_time_before_their_end)
{
	static const struct {
		int64_t life_s, due_s, last_s;
		uint32_t random;
	} cases[] = {
		{ 12 * 3600, 12 * 3600 - 900, 12 * 3600 - 10, 0 },
		{ 12 * 3600, 12 * 3600 - 900 - 225, 12 * 3600 - 10, UINT32_MAX },
		{ 3600, 2700, 3590, 0 },
		{ 900, 675, 890, 0 },
		{ 40, 30, 38, 0 },
		{ 1, 0, 0, UINT32_MAX },
		{ 0, 225, 290, 0 }, /* handed out expired: the grace */
		{ -3600, 225, 290, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct creds_policy_times t =
			creds_policy_times(NOW, NOW + cases[i].life_s * S, cases[i].random);

		cr_expect_eq((t.due_ns - NOW) / S, cases[i].due_s, "%zu: %ld", i,
			     (long)((t.due_ns - NOW) / S));
		cr_expect_eq((t.last_ns - NOW) / S, cases[i].last_s, "%zu", i);
		cr_expect_leq(t.due_ns, t.last_ns, "%zu", i);
	}
	cr_expect_eq(creds_policy_times(NOW, 0, 7).due_ns, INT64_MAX);
	cr_expect_eq(creds_policy_times(NOW, 0, 7).last_ns, INT64_MAX);
	cr_expect_leq(creds_policy_times(NOW, INT64_MAX, UINT32_MAX).due_ns, INT64_MAX);
}

Test(creds_policy, failures_are_made_again_ever_more_slowly)
{
	cr_expect_eq(creds_policy_pause_ms(1), 1000);
	cr_expect_eq(creds_policy_pause_ms(2), 2000);
	cr_expect_eq(creds_policy_pause_ms(6), 32000);
	cr_expect_eq(creds_policy_pause_ms(7), 60000);
	cr_expect_eq(creds_policy_pause_ms(4000000000U), 60000);
}

Test(creds_policy, times_are_read_with_any_offset)
{
	static const struct {
		const char *text;
		int64_t s;
	} cases[] = {
		{ "2026-11-22T10:42:00Z", 1795344120 },
		{ "2026-11-22T10:42:00.5Z", 1795344120 },
		{ "2026-11-22T10:42:00+00:00", 1795344120 },
		{ "2026-11-22T12:12:00+01:30", 1795344120 },
		{ "2026-11-22T08:42:00-02:00", 1795344120 },
		{ "2026-11-22T10:42:00", -1 },
		{ "2026-11-22T10:42:00+0000", -1 },
		{ "2026-11-22T10:42:00Z+00:00", -1 },
		{ "+00:00", -1 },
		{ "", -1 },
		{ "tomorrow", -1 },
		{ "2026-11-22T10:42:00.000000000000000000000000000000000000000+00:00", -1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t ns = -S;

		creds_link_time(cases[i].text, &ns);
		cr_expect_eq(ns / S, cases[i].s, "%s: %ld", cases[i].text, (long)(ns / S));
	}
}

Test(creds_policy, the_containers_endpoint_is_asked_only_where_nobody_listens_in)
{
	static const char *const good[] = {
		"http://127.0.0.1/x",	    "http://127.1.2.3:8080/x",
		"http://localhost:80",	    "http://[::1]/x",
		"http://169.254.170.2/v2",  "http://169.254.170.23/v1/credentials",
		"http://[fd00:ec2::23]/v1", "http://[FD00:EC2:0::23]:80/",
		"https://example.com/x",    "https://10.0.0.1:8443/x?a=@",
		"HTTP://LOCALHOST/",
	};
	static const char *const bad[] = {
		"http://10.0.0.1/x",
		"http://169.254.169.254/",
		"http://169.254.170.24/",
		"http://example.com/",
		"http://127.0.0.1@example.com/",
		"http://127.0.0.1:80@example.com/",
		"http://localhost.example.com/",
		"http://127.1/",
		"http://0x7f000001/",
		"http://2130706433/",
		"http://[fd00:ec2::254]/",
		"http://[::ffff:10.0.0.1]/",
		"http://::1/",
		"http://[::1",
		"http:///x",
		"http://",
		"https://",
		"https://a@example.com/",
		"ftp://127.0.0.1/",
		"file:///etc/passwd",
		"/x",
		"",
		"http://127.0.0.1\\@example.com/",
		"http://127.0.0.1 /",
		"http://127.0.0.1/a b",
		"http://127.0.0.1/\r\nX: y",
		"http://127.0.0.1:8a/",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		cr_expect(creds_container_may_ask(good[i]), "%s", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect_not(creds_container_may_ask(bad[i]), "%s", bad[i]);
}

/* The words with a '|' between; NULL: refused. */
Test(creds_policy, a_command_is_split_as_a_shell_splits_it_and_nothing_else_happens)
{
	static const struct {
		const char *command, *words;
	} cases[] = {
		{ "a", "a" },
		{ "  a\tb  c ", "a|b|c" },
		{ "a 'b c' \"d e\"f", "a|b c|d ef" },
		{ "a \"\" ''", "a||" },
		{ "a b\\ c \"d\\\"e\\x\" 'f\\'", "a|b c|d\"e\\x|f\\" },
		{ "/bin/a $HOME `id` $(id) ; b > c & d | e *",
		  "/bin/a|$HOME|`id`|$(id)|;|b|>|c|&|d|@|e|*" },
		{ "a 'b", NULL },
		{ "a \"b\\\"", NULL },
		{ "a \\", NULL },
		{ "", NULL },
		{ "   ", NULL },
		{ "'' a", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char command[128], joined[128] = "", *words[CREDS_PROCESS_WORDS_MAX + 1];
		int r;

		snprintf(command, sizeof(command), "%s", cases[i].command);
		r = creds_process_split(command, words);
		cr_expect_eq(r == 0, cases[i].words != NULL, "%s", cases[i].command);
		for (size_t n = 0; r == 0 && words[n]; n++) {
			strcat(joined, n ? "|" : "");
			strcat(joined, strcmp(words[n], "|") == 0 ? "@" : words[n]);
		}
		if (cases[i].words)
			cr_expect_str_eq(joined, cases[i].words);
	}
}

Test(creds_policy, a_command_of_too_many_words_is_refused)
{
	char command[4 * CREDS_PROCESS_WORDS_MAX] = "", *words[CREDS_PROCESS_WORDS_MAX + 1];

	for (int i = 0; i < CREDS_PROCESS_WORDS_MAX; i++)
		strcat(command, "a ");
	cr_expect_eq(creds_process_split(command, words), 0);
	cr_expect_null(words[CREDS_PROCESS_WORDS_MAX]);
	memset(command, 0, sizeof(command));
	for (int i = 0; i <= CREDS_PROCESS_WORDS_MAX; i++)
		strcat(command, "a ");
	cr_expect_eq(creds_process_split(command, words), -EINVAL);
}

static const char *lookup(void *ctx, const char *name)
{
	const char *const *pairs = ctx;

	for (; *pairs; pairs += 2) {
		if (strcmp(*pairs, name) == 0)
			return pairs[1];
	}
	return NULL;
}

Test(creds_policy, sts_is_asked_in_the_region_unless_another_endpoint_is_named)
{
	static const struct {
		const char *pairs[7], *profile_region, *url_region, *origin, *region;
	} cases[] = {
		{ { NULL }, NULL, NULL, "https://sts.amazonaws.com", "us-east-1" },
		{ { NULL }, NULL, "eu-west-1", "https://sts.eu-west-1.amazonaws.com", "eu-west-1" },
		{ { NULL },
		  "eu-west-2",
		  "eu-west-1",
		  "https://sts.eu-west-2.amazonaws.com",
		  "eu-west-2" },
		{ { "AWS_REGION", "ap-south-1" },
		  "eu-west-2",
		  NULL,
		  "https://sts.ap-south-1.amazonaws.com",
		  "ap-south-1" },
		{ { "AWS_DEFAULT_REGION", "cn-north-1" },
		  NULL,
		  NULL,
		  "https://sts.cn-north-1.amazonaws.com.cn",
		  "cn-north-1" },
		{ { "AWS_ENDPOINT_URL", "http://h:9000/" },
		  NULL,
		  NULL,
		  "http://h:9000",
		  "us-east-1" },
		{ { "AWS_ENDPOINT_URL", "http://h:1", "AWS_ENDPOINT_URL_STS", "https://s" },
		  NULL,
		  NULL,
		  "https://s",
		  "us-east-1" },
		{ { "AWS_ENDPOINT_URL", "http://h:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
		    "true" },
		  NULL,
		  NULL,
		  "https://sts.amazonaws.com",
		  "us-east-1" },
		{ { "AWS_ENDPOINT_URL", "http://u:p@h:1" }, NULL, NULL, NULL, NULL },
		{ { "AWS_REGION", "evil.example.com/" }, NULL, NULL, NULL, NULL },
		{ { NULL }, "x\ny", NULL, NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct creds_world w = { .getenv = lookup,
					 .getenv_ctx = (void *)(uintptr_t)cases[i].pairs,
					 .region = (char *)(uintptr_t)cases[i].url_region };
		_cleanup_free_ char *origin = NULL;
		const char *region = NULL;
		struct err e = ERR_INIT;
		bool named;
		int r = creds_sts_endpoint(&w, cases[i].profile_region, &origin, &region, &named,
					   &e);

		cr_expect_eq(r == 0, cases[i].origin != NULL, "%zu: %s", i, e.message);
		if (r == 0) {
			cr_expect_str_eq(origin, cases[i].origin);
			cr_expect_str_eq(region, cases[i].region);
		}
	}
}

Test(creds_policy, what_sts_says_is_read_within_limits)
{
	static const char good[] =
		"<AssumeRoleResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><AssumeRoleResult>"
		"<Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>B</SecretAccessKey>"
		"<SessionToken>C</SessionToken><Expiration>D</Expiration></Credentials>"
		"</AssumeRoleResult></AssumeRoleResponse>";
	static const char error[] =
		"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
	static const char entity[] = "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>";
	char longer[8192] = "<R><RResult><Credentials><SessionToken>";
	struct creds_sts_answer a = { .access_key = "" };

	cr_expect_eq(creds_sts_parse(good, strlen(good), &a), 0);
	cr_expect_str_eq(a.access_key, "A");
	cr_expect_str_eq(a.secret_key, "B");
	cr_expect_str_eq(a.session_token, "C");
	cr_expect_str_eq(a.expiration, "D");
	cr_expect_eq(creds_sts_parse(error, strlen(error), &a), 0);
	cr_expect_str_eq(a.error_code, "AccessDenied");
	cr_expect_str_eq(a.error_message, "no");
	cr_expect_str_eq(a.access_key, "");
	cr_expect_eq(creds_sts_parse(entity, strlen(entity), &a), -EBADMSG);
	cr_expect_eq(creds_sts_parse("", 0, &a), -EBADMSG);
	memset(longer + strlen(longer), 't', CREDS_FIELD_MAX);
	strcat(longer, "</SessionToken></Credentials></RResult></R>");
	cr_expect_eq(creds_sts_parse(longer, strlen(longer), &a), -EBADMSG, "a token is never cut");
}
