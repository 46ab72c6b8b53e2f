/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "base/err.h"

Test(err, the_first_failure_is_kept_and_prefixed_on_its_way_up)
{
	struct err e = ERR_INIT;
	char text[2048];
	int r;

	r = err_set(&e, ERR_CORRUPT, -EBADMSG, "frame %d does not fit", 3);
	cr_expect_eq(r, -EBADMSG);
	err_key(&e, "objects/ab");
	r = err_wrap(&e, r, "cannot read %s", "file");
	cr_expect_eq(r, -EBADMSG);
	cr_expect_eq(e.kind, ERR_CORRUPT);
	cr_expect_eq(e.code, -EBADMSG);
	cr_expect_str_eq(e.message, "cannot read file: frame 3 does not fit");
	cr_expect_str_eq(err_describe(&e, text, sizeof(text)),
			 "cannot read file: frame 3 does not fit (key objects/ab)");
}

Test(err, an_errno_is_said_in_words)
{
	struct err e = ERR_INIT;

	cr_expect_eq(err_errno(&e, -ENOENT, "cannot open %s", "/x"), -ENOENT);
	cr_expect_str_eq(e.message, "cannot open /x: No such file or directory");
	cr_expect_eq(e.kind, ERR_IO);
	cr_expect_eq(err_errno(&e, -99999, "strange"), -99999);
	cr_expect_str_eq(e.message, "strange: unknown error");
	cr_expect_eq(err_nomem(&e), -ENOMEM);
	cr_expect_str_eq(e.message, "out of memory");
}

Test(err, a_wrap_of_a_bare_code_says_the_code)
{
	struct err e = ERR_INIT;

	cr_expect_eq(err_wrap(&e, -ENOSPC, "cannot write %s", "y"), -ENOSPC);
	cr_expect_str_eq(e.message, "cannot write y: No space left on device");
	cr_expect_eq(e.kind, ERR_IO);
	cr_expect_eq(e.code, -ENOSPC);
}

Test(err, nobody_has_to_want_the_text)
{
	cr_expect_eq(err_set(NULL, ERR_IO, -EIO, "x"), -EIO);
	cr_expect_eq(err_errno(NULL, -EIO, "x"), -EIO);
	cr_expect_eq(err_nomem(NULL), -ENOMEM);
	cr_expect_eq(err_wrap(NULL, -EIO, "x"), -EIO);
	err_key(NULL, "k");
}

Test(err, a_new_failure_forgets_the_one_before)
{
	struct err e = ERR_INIT;

	err_set(&e, ERR_STORE, -EIO, "first");
	e.http_status = 503;
	e.retryable = true;
	strcpy(e.request_id, "REQ");
	err_key(&e, "one");
	err_set(&e, ERR_IO, -EPERM, "second after %s", e.message);
	cr_expect_str_eq(e.message, "second after first");
	cr_expect_eq(e.http_status, 0);
	cr_expect_not(e.retryable);
	cr_expect_str_empty(e.request_id);
	cr_expect_str_empty(e.key);
}

Test(err, the_key_noted_first_stays)
{
	struct err e = ERR_INIT;

	err_key(&e, "inner");
	err_key(&e, "outer");
	cr_expect_str_eq(e.key, "inner");
}

Test(err, a_long_key_loses_its_beginning_between_characters)
{
	struct err e = ERR_INIT;
	char key[2001];

	/* Two bytes a character, so that every second cut would fall into the middle of one. */
	for (int odd = 0; odd < 2; odd++) {
		memset(key, 'x', sizeof(key));
		for (size_t i = (size_t)odd; i + 1 < sizeof(key) - 5; i += 2) {
			key[i] = '\xc3';
			key[i + 1] = '\xa9';
		}
		strcpy(key + sizeof(key) - 5, "/end");
		e = ERR_INIT;
		err_key(&e, key);
		cr_expect_lt(strlen(e.key), sizeof(e.key));
		cr_expect_gt(strlen(e.key), sizeof(e.key) - 5);
		cr_expect_eq(strncmp(e.key, "...\xc3\xa9", 5), 0);
		cr_expect_str_eq(e.key + strlen(e.key) - 4, "/end");
	}
}

Test(err, a_message_that_is_too_long_is_cut_and_stays_a_string)
{
	struct err e = ERR_INIT;
	char big[3000], text[100];

	memset(big, 'm', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	err_set(&e, ERR_IO, -EIO, "%s", big);
	cr_expect_eq(strlen(e.message), sizeof(e.message) - 1);
	err_wrap(&e, -EIO, "%s", "prefix");
	cr_expect_eq(strlen(e.message), sizeof(e.message) - 1);
	cr_expect_eq(strncmp(e.message, "prefix: mmm", 11), 0);
	cr_expect_eq(strlen(err_describe(&e, text, sizeof(text))), sizeof(text) - 1);
	cr_expect_eq(strlen(err_describe(&e, text, 1)), 0);
}

Test(err, a_description_is_one_harmless_line_with_all_that_is_known)
{
	struct err e = ERR_INIT;
	char text[2048];

	err_set(&e, ERR_STORE, -EIO, "bad\nanswer \033[2J");
	cr_expect_str_eq(err_describe(&e, text, sizeof(text)), "bad?answer ?[2J");
	e.http_status = 503;
	cr_expect_str_eq(err_describe(&e, text, sizeof(text)), "bad?answer ?[2J (HTTP status 503)");
	strcpy(e.request_id, "4442\r\n");
	err_key(&e, "a\tb");
	cr_expect_str_eq(err_describe(&e, text, sizeof(text)),
			 "bad?answer ?[2J (key a?b, HTTP status 503, request id 4442?\?)");
	e = ERR_INIT;
	e.code = -EACCES;
	cr_expect_str_eq(err_describe(&e, text, sizeof(text)), "Permission denied");
}

Test(err, every_kind_has_its_exit_code_and_name)
{
	static const struct {
		enum err_kind kind;
		int exit_code;
		const char *name;
	} rows[] = {
		{ ERR_NONE, 0, "none" },       { ERR_IO, 1, "io" },
		{ ERR_CORRUPT, 1, "corrupt" }, { ERR_CONFLICT, 1, "conflict" },
		{ ERR_USAGE, 2, "usage" },     { ERR_NOT_FOUND, 4, "not_found" },
		{ ERR_STORE, 5, "store" },     { ERR_CREDENTIALS, 5, "credentials" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cr_expect_eq(err_exit_code(rows[i].kind), rows[i].exit_code, "%s", rows[i].name);
		cr_expect_str_eq(err_kind_name(rows[i].kind), rows[i].name);
	}
}
