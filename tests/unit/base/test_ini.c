/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/ini.h"
#include "tests/unit/base/tmpdir.h"

struct collected {
	char text[20000];    /* "line section key value|" for each entry */
	size_t value_bytes;  /* of the last entry */
	const char *stop_at; /* a key at which the entry fails */
};

static int collect(void *ctx, const char *section, const char *key, const char *value, int line,
		   struct err *e)
{
	struct collected *c = ctx;
	size_t n = strlen(c->text);

	snprintf(c->text + n, sizeof(c->text) - n, "%d [%s] %s=%s|", line, section ? section : "?",
		 key, value);
	c->value_bytes = strlen(value);
	if (c->stop_at && strcmp(key, c->stop_at) == 0)
		return err_set(e, ERR_USAGE, -EDOM, "no %s here", key);
	return 0;
}

static int read_text(const char *text, size_t len, struct collected *c, struct err *e)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_free_ char *path = util_printf("%s/conf", t.path);

	tmpdir_write(&t, "conf", text, len);
	return ini_read_file(path, NULL, collect, c, e);
}

Test(ini, values_are_taken_as_they_stand)
{
	static const struct {
		const char *text, *expected;
	} rows[] = {
		{ "", "" },
		{ "[a]\nk=v\n", "2 [a] k=v|" },
		{ "[a]\n k = v \n", "2 [a] k=v|" },
		{ "[a]\r\nk = v\r\n", "2 [a] k=v|" },
		{ "k = v", "1 [] k=v|" },
		{ "[a]\nk = a=b\n", "2 [a] k=a=b|" },
		{ "[a]\nk = a ; b\n", "2 [a] k=a ; b|" },
		{ "[a]\nk = ; b\n", "2 [a] k=; b|" },
		{ "[a]\nk = a # b;c\n", "2 [a] k=a # b;c|" },
		{ "[a]\nk = #1\n", "2 [a] k=#1|" },
		{ "[a]\nk = \"quoted\"\n", "2 [a] k=\"quoted\"|" },
		{ "[a]\nurl = s3://bucket/x:y?z\n", "2 [a] url=s3://bucket/x:y?z|" },
		{ "[a]\nk: v\n", "2 [a] k=v|" },
		{ "[a]\nk =\n", "2 [a] k=|" },
		{ "# c\n; c\n\n[a]\n  # c\nk = v\n", "6 [a] k=v|" },
		{ "[a]\nk = v\n[b]\nk = w\n", "2 [a] k=v|4 [b] k=w|" },
		{ "[a]\nk = v\n  more = w\n", "2 [a] k=v|3 [a] more=w|" },
		{ "[gr\xc3\xbc\xc3\x9f]\nschl\xc3\xbcssel = \xe9\x8d\xb5 \xf0\x9f\x94\x91\n",
		  "2 [gr\xc3\xbc\xc3\x9f] schl\xc3\xbcssel=\xe9\x8d\xb5 \xf0\x9f\x94\x91|" },
		{ "\xef\xbb\xbf[a]\nk = v\n", "2 [a] k=v|" },
		{ "[profile long name]\nk=v\n", "2 [profile long name] k=v|" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		static struct collected c;
		struct err e = ERR_INIT;

		c = (struct collected){ 0 };
		cr_expect_eq(read_text(rows[i].text, strlen(rows[i].text), &c, &e), 0,
			     "row %zu: %s", i, e.message);
		cr_expect_str_eq(c.text, rows[i].expected, "row %zu: %s", i, c.text);
	}
}

/* "k=" and x up to that many bytes of line, in the middle of a file and at its end without a newline. */
Test(ini, a_line_is_never_cut)
{
	static const size_t lengths[] = { 3,   190,  197,  198,	 199,  200,  201,  399,	 400, 401,
					  799, 1000, 1600, 3199, 4096, 6399, 6400, 8191, 8192 };

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		for (int with_more = 0; with_more < 2; with_more++) {
			static struct collected c;
			struct err e = ERR_INIT;
			char text[9000];
			size_t len = (size_t)sprintf(text, "[s]\nk=");

			c = (struct collected){ 0 };
			memset(text + len, 'x', lengths[i] - 2);
			len += lengths[i] - 2;
			if (with_more)
				len += (size_t)sprintf(text + len, "\nlast=%s\n", "12345");
			cr_expect_eq(read_text(text, len, &c, &e), 0, "%zu: %s", lengths[i],
				     e.message);
			if (with_more) {
				cr_expect_eq(c.value_bytes, 5, "%zu", lengths[i]);
				cr_expect_not_null(strstr(c.text, "|3 [s] last=12345|"), "%zu",
						   lengths[i]);
				cr_expect_eq(strlen(c.text), strlen("2 [s] ") + lengths[i] + 1 +
								     strlen("3 [s] last=12345|"));
			} else {
				cr_expect_eq(c.value_bytes, lengths[i] - 2, "%zu", lengths[i]);
			}
		}
	}
}

Test(ini, a_line_that_is_too_long_is_refused_whatever_it_holds)
{
	static const char *const begins[] = { "k=", "#", ";", "[", "   " };

	for (size_t i = 0; i < ARRAY_SIZE(begins); i++) {
		static struct collected c;
		struct err e = ERR_INIT;
		char text[9000];
		size_t len = (size_t)sprintf(text, "[s]\na=b\n%s", begins[i]);

		c = (struct collected){ 0 };
		memset(text + len, 'x', 8193 - strlen(begins[i]));
		len += 8193 - strlen(begins[i]);
		text[len++] = '\n';
		cr_expect_eq(read_text(text, len, &c, &e), -EINVAL, "%s", begins[i]);
		cr_expect_eq(e.kind, ERR_USAGE);
		cr_expect_not_null(strstr(e.message, "/conf:3: the line is longer than 8192 bytes"),
				   "%s", e.message);
		cr_expect_null(strstr(e.message, "xxx"));
		cr_expect_str_empty(c.text, "nothing is taken from such a file");
	}
}

Test(ini, what_is_no_line_of_a_configuration_is_refused_by_its_number)
{
	static const struct {
		const char *text;
		size_t len; /* 0: strlen */
		const char *error;
	} rows[] = {
		{ "[s]\na=b\nsecret-without-equals\n", 0, "/conf:3: neither" },
		{ "[s\nk=v\n", 0, "/conf:1: neither" },
		{ "[s]\nk=v\n\n\njunk", 0, "/conf:5: neither" },
		{ "[s]\njunk\nafter=1\n", 0, "/conf:2: neither" },
		{ "[s]\n= secret\n", 0, "/conf:2: no key" },
		{ "[s]\nk=sec\0ret\n", 14, "/conf:2: the line holds a NUL" },
		{ "[s]\na-key-that-is-much-longer-than-any-of-ours-could-ever-be=secret\n", 0,
		  "/conf:2: a key is longer" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		static struct collected c;
		struct err e = ERR_INIT;

		c = (struct collected){ 0 };
		cr_expect_eq(read_text(rows[i].text,
				       rows[i].len ? rows[i].len : strlen(rows[i].text), &c, &e),
			     -EINVAL, "row %zu", i);
		cr_expect_eq(e.kind, ERR_USAGE, "row %zu", i);
		cr_expect_not_null(strstr(e.message, rows[i].error), "row %zu: %s", i, e.message);
		cr_expect_null(strstr(c.text, "after"), "row %zu: read on after the error", i);
		cr_expect_null(strstr(e.message, "secret"), "row %zu: %s", i, e.message);
	}
}

Test(ini, names_of_48_bytes_are_whole_and_longer_ones_never_cut)
{
	for (int len = 47; len < 52; len++) {
		static struct collected c;
		struct err e = ERR_INIT;
		char text[200], name[64] = { 0 };
		int r;

		memset(name, 'n', (size_t)len);
		for (int which = 0; which < 2; which++) {
			c = (struct collected){ 0 };
			if (which)
				sprintf(text, "[s]\n%s=v\n", name);
			else
				sprintf(text, "[%s]\nk=v\n", name);
			r = read_text(text, strlen(text), &c, &e);
			cr_expect_eq(r, len <= 48 || !which ? 0 : -EINVAL, "%d", len);
			cr_expect_eq(strcmp(c.text, "2 [?] k=v|") == 0, len > 48 && !which, "%d",
				     len);
			cr_expect_eq(strstr(c.text, name) != NULL, len <= 48, "%d", len);
		}
	}
}

Test(ini, an_entry_that_fails_ends_the_reading_with_its_own_error)
{
	static struct collected c = { .stop_at = "two" };
	struct err e = ERR_INIT;
	static const char text[] = "[s]\none=1\ntwo=2\nthree=3\n";

	cr_expect_eq(read_text(text, strlen(text), &c, &e), -EDOM);
	cr_expect_str_eq(e.message, "no two here");
	cr_expect_str_eq(c.text, "2 [s] one=1|3 [s] two=2|");
}

Test(ini, a_file_that_cannot_be_read_is_named)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_free_ char *missing = util_printf("%s/missing", t.path);
	_cleanup_free_ char *big = util_printf("%s/big", t.path);
	static struct collected c;
	struct err e = ERR_INIT;
	int fd;

	cr_expect_eq(ini_read_file(missing, NULL, collect, &c, &e), -ENOENT);
	cr_expect_eq(e.kind, ERR_NOT_FOUND);
	cr_expect_not_null(strstr(e.message, missing), "%s", e.message);
	cr_expect_eq(ini_read_file(t.path, NULL, collect, &c, &e), -EISDIR);
	cr_expect_eq(e.kind, ERR_IO);
	tmpdir_write(&t, "big", "", 0);
	fd = openat(t.fd, "big", O_WRONLY);
	cr_assert_eq(ftruncate(fd, (1 << 20) + 1), 0);
	close(fd);
	cr_expect_eq(ini_read_file(big, NULL, collect, &c, &e), -EFBIG);
	cr_expect_eq(e.kind, ERR_USAGE);
	cr_expect_str_empty(c.text);
}

static int collect_section(void *ctx, const char *name, int line, struct err *e)
{
	struct collected *c = ctx;
	size_t n = strlen(c->text);

	snprintf(c->text + n, sizeof(c->text) - n, "%d [%s]|", line, name);
	if (c->stop_at && strcmp(name, c->stop_at) == 0)
		return err_set(e, ERR_USAGE, -EDOM, "no %s here", name);
	return 0;
}

Test(ini, sections_are_told_also_where_they_have_no_key)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_free_ char *path = util_printf("%s/conf", t.path);
	static const char text[] = "[a]\n\n # [no]\n [b]\nk = [v]\n[c] ; more\n[d]";
	struct collected c = { .stop_at = NULL };
	struct err e = ERR_INIT;

	tmpdir_write(&t, "conf", text, strlen(text));
	cr_assert_eq(ini_read_file(path, collect_section, collect, &c, &e), 0);
	cr_expect_str_eq(c.text, "1 [a]|4 [b]|6 [c]|7 [d]|5 [b] k=[v]|");
	c = (struct collected){ .stop_at = "c" };
	cr_expect_eq(ini_read_file(path, collect_section, collect, &c, &e), -EDOM);
	cr_expect_str_eq(c.text, "1 [a]|4 [b]|6 [c]|");
}
