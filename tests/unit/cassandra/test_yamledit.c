/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/io.h"
#include "cassandra/yamledit.h"
#include "tests/unit/base/tmpdir.h"

static const struct yamledit_change changes[] = { { "initial_token", "-5,7" },
						  { "num_tokens", "2" },
						  { "auto_bootstrap", "false" } };
#define ADDED "initial_token: -5,7\nnum_tokens: 2\nauto_bootstrap: false\n"

static int edit(const char *text, char **ret, struct err *e)
{
	size_t len = 0;

	return yamledit_text("it", text, strlen(text), changes, ARRAY_SIZE(changes), ret, &len, e);
}

Test(yamledit, only_the_values_change)
{
	static const struct {
		const char *before, *after;
	} cases[] = {
		{ "num_tokens: 16\ninitial_token: 1\nauto_bootstrap: true\n",
		  "num_tokens: 2\ninitial_token: -5,7\nauto_bootstrap: false\n" },
		/* What is missing comes at the end, what is a comment stays one. */
		{ "# a\ncluster_name: 'x'   # y\n", "# a\ncluster_name: 'x'   # y\n" ADDED },
		{ "a: 1\n# initial_token:\n\n# end\n", "a: 1\n# initial_token:\n\n# end\n" ADDED },
		{ "a: 1", "a: 1\n" ADDED },
		{ "a: |\n  text\n  more\n", "a: |\n  text\n  more\n" ADDED },
		{ "a: |+\n  text\n\n\n", "a: |+\n  text\n\n\n" ADDED },
		{ "a:\n- b\n- c\n", "a:\n- b\n- c\n" ADDED },
		{ "a:\n    - b: c\n      d: e\n", "a:\n    - b: c\n      d: e\n" ADDED },
		{ "---\na: 1\n", "---\na: 1\n" ADDED },
		{ "a: 1\n...\n", "a: 1\n" ADDED "...\n" },
		/* Quotes, blanks and comments stay. */
		{ "initial_token:   \"1,2\"   # mine\nnum_tokens : '16' #x\n'auto_bootstrap': true # no\n",
		  "initial_token:   \"-5,7\"   # mine\nnum_tokens : '2' #x\n'auto_bootstrap': false # no\n" },
		/* Without a value. */
		{ "initial_token:\nnum_tokens: # none\nauto_bootstrap: ~\n",
		  "initial_token: -5,7\nnum_tokens: 2 # none\nauto_bootstrap: false\n" },
		{ "a: 1\nnum_tokens: 1\nauto_bootstrap: 1\ninitial_token:",
		  "a: 1\nnum_tokens: 2\nauto_bootstrap: false\ninitial_token: -5,7" },
		/* Places are counted in characters, not bytes. */
		{ "# Zürich — 東京 🙂\nnum_tokens: 16 # ä\n",
		  "# Zürich — 東京 🙂\nnum_tokens: 2 # ä\ninitial_token: -5,7\nauto_bootstrap: false\n" },
		{ "a: 1\r\nnum_tokens: 16\r\n",
		  "a: 1\r\nnum_tokens: 2\r\ninitial_token: -5,7\r\nauto_bootstrap: false\r\n" },
		/* Only keys of the outermost mapping count. */
		{ "a: {num_tokens: 16}\nb:\n  initial_token: 3\n  c: [auto_bootstrap]\nd: num_tokens\n",
		  "a: {num_tokens: 16}\nb:\n  initial_token: 3\n  c: [auto_bootstrap]\nd: num_tokens\n" ADDED },
		{ "  a: 1\n  num_tokens: 3\n",
		  "  a: 1\n  num_tokens: 2\n  initial_token: -5,7\n  auto_bootstrap: false\n" },
		{ "a: &x 1\nb: *x\nc: !!str 2\n", "a: &x 1\nb: *x\nc: !!str 2\n" ADDED },
		{ "? [a, b]\n: c\n? num_tokens\n: 16\n",
		  "? [a, b]\n: c\n? num_tokens\n: 2\ninitial_token: -5,7\nauto_bootstrap: false\n" },
		{ "num_tokens: 2\ninitial_token: -5,7\nauto_bootstrap: false\n",
		  "num_tokens: 2\ninitial_token: -5,7\nauto_bootstrap: false\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *after = NULL;
		struct err e = ERR_INIT;
		int r = edit(cases[i].before, &after, &e);

		cr_assert_eq(r, 0, "%zu: %s: %s", i, cases[i].before, e.message);
		cr_expect_str_eq(after, cases[i].after, "%zu", i);
	}
}

Test(yamledit, what_cannot_be_edited_safely_is_refused)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "", "it is empty" },
		{ "# nothing\n", "it is empty" },
		{ "just words\n", "no mapping" },
		{ "- a\n- b\n", "no mapping" },
		{ "{num_tokens: 16}\n", "no mapping" },
		{ "a: 1\n---\nb: 2\n", "second document" },
		{ "num_tokens: 1\nnum_tokens: 2\n", "line 2: the key is there twice" },
		{ "num_tokens: [1, 2]\n", "not a plain word" },
		{ "num_tokens:\n  a: 1\n", "not a plain word" },
		{ "a: &x 16\nnum_tokens: *x\n", "line 2: the value to be changed is not" },
		{ "num_tokens: &x 16\n", "not a plain word" },
		{ "num_tokens: !!int 16\n", "not a plain word" },
		{ "initial_token: |\n  1,2\n", "more than one line" },
		{ "initial_token: 1,\n  2\n", "more than one line" },
		{ "initial_token: \"1,\n  2\"\n", "more than one line" },
		{ "a: [1\nb: 2\n", "line " },
		{ "a: \"\\xzz\"\n", "line 1" },
		{ "a: \xff\n", "line " },
		{ "\ta: 1\n", "line 1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *after = NULL;
		struct err e = ERR_INIT;

		cr_expect_lt(edit(cases[i].text, &after, &e), 0, "%s", cases[i].text);
		cr_expect_eq(e.kind, ERR_USAGE, "%s", cases[i].text);
		cr_expect(strstr(e.message, cases[i].why), "%s: %s", cases[i].text, e.message);
		cr_expect_null(after);
	}
}

Test(yamledit, a_change_is_a_key_and_a_word)
{
	static const struct yamledit_change none[] = {
		{ "a b", "1" }, { "", "1" },	{ "a", "" },  { "a", "1 2" }, { "a", "x: y" },
		{ "a", "#" },	{ "a", "1\n" }, { "a", "-" }, { "a", "..." }, { "a", ",1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		char *after = NULL;
		size_t len;

		cr_expect_eq(yamledit_text("it", "b: 1\n", 5, &none[i], 1, &after, &len, NULL),
			     -EINVAL, "%s: %s", none[i].key, none[i].value);
	}
}

/* ---- files ---- */

static void put(const char *path, const char *text)
{
	cr_assert_eq(io_publish_file(AT_FDCWD, path, text, strlen(text), 0640, NULL), 0);
}

static bool holds(const char *path, const char *text)
{
	_cleanup_free_ char *found = NULL;
	size_t len;

	if (io_read_file(AT_FDCWD, path, 1000, &found, &len) < 0)
		return text == NULL;
	return text && strcmp(found, text) == 0;
}

Test(yamledit, a_file_is_edited_once_and_put_back)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	char path[200], backup[240];
	struct err e = ERR_INIT;
	struct stat st;

	snprintf(path, sizeof(path), "%s/cassandra.yaml", t.path);
	snprintf(backup, sizeof(backup), "%s" YAMLEDIT_BACKUP_SUFFIX, path);
	put(path, "a: 1\n");
	for (int again = 0; again < 2; again++) {
		cr_assert_eq(yamledit_file(path, changes, 3, &e), 0, "%s", e.message);
		cr_expect(holds(path, "a: 1\n" ADDED));
		cr_expect(holds(backup, "a: 1\n"));
	}
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0640);
	for (int again = 0; again < 2; again++) {
		cr_assert_eq(yamledit_undo(path, changes, 3, &e), 0, "%s", e.message);
		cr_expect(holds(path, "a: 1\n"));
		cr_expect(holds(backup, NULL));
	}
}

/* Cassandra's user, whose directory it is, made a link of it, or of the directory, since it was looked at. */
Test(yamledit, no_symbolic_link_is_followed)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_tmpdir_ struct tmpdir foreign = tmpdir_new();
	char path[200], below[200], target[200], backup[240];
	struct err e = ERR_INIT;

	snprintf(path, sizeof(path), "%s/cassandra.yaml", t.path);
	snprintf(backup, sizeof(backup), "%s" YAMLEDIT_BACKUP_SUFFIX, path);
	snprintf(target, sizeof(target), "%s/cassandra.yaml", foreign.path);
	put(target, "a: 1\n");
	cr_assert_eq(symlink(target, path), 0);
	cr_expect_eq(yamledit_check(path, changes, 3, &e), -ELOOP);
	cr_expect_eq(yamledit_file(path, changes, 3, &e), -ELOOP);
	cr_assert_eq(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/conf", t.path);
	cr_assert_eq(symlink(foreign.path, path), 0);
	snprintf(below, sizeof(below), "%s/conf/cassandra.yaml", t.path);
	cr_expect_eq(yamledit_file(below, changes, 3, &e), -ENOTDIR);
	cr_expect_eq(yamledit_undo(below, changes, 3, &e), -ENOTDIR);
	cr_expect_eq(yamledit_forget(below, &e), -ENOTDIR);
	cr_expect(holds(target, "a: 1\n"));
	snprintf(path, sizeof(path), "%s/cassandra.yaml", t.path);
	put(path, "a: 2\n");
	cr_assert_eq(symlink(target, backup), 0);
	cr_expect_eq(yamledit_file(path, changes, 3, &e), -ELOOP);
	cr_expect(holds(path, "a: 2\n") && holds(target, "a: 1\n"));
}

Test(yamledit, what_a_killed_edit_left_goes_and_what_is_not_ours_stays)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	char path[200], left[240], elsewhere[240];
	struct err e = ERR_INIT;

	snprintf(path, sizeof(path), "%s/cassandra.yaml", t.path);
	snprintf(left, sizeof(left), "%s/.cassandra.yaml.restore-node.tmp", t.path);
	snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", t.path);
	put(path, "a: 1\n");
	put(left, "a: 1\nini");
	cr_assert_eq(yamledit_file(path, changes, 3, &e), 0, "%s", e.message);
	cr_expect(holds(path, "a: 1\n" ADDED) && holds(left, NULL));
	put(left, "a: 1\nini");
	cr_assert_eq(yamledit_undo(path, changes, 3, &e), 0, "%s", e.message);
	cr_expect(holds(path, "a: 1\n") && holds(left, NULL));
	put(left, "a: 1\nini");
	cr_assert_eq(yamledit_forget(path, &e), 0, "%s", e.message);
	cr_expect(holds(left, NULL));
	put(elsewhere, "mine");
	cr_assert_eq(symlink("elsewhere", left), 0);
	cr_expect_eq(yamledit_file(path, changes, 3, &e), -EEXIST);
	cr_expect(holds(path, "a: 1\n") && holds(elsewhere, "mine") && holds(left, "mine"));
	cr_assert_eq(unlink(left), 0);
	put(left, "somebody else's");
	cr_assert_eq(chown(left, 12347, 12347), 0);
	cr_assert_eq(yamledit_forget(path, &e), 0, "%s", e.message);
	cr_expect(holds(left, "somebody else's"));
}

Test(yamledit, what_somebody_changed_meanwhile_stays)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	char path[200], backup[240];
	struct err e = ERR_INIT;

	snprintf(path, sizeof(path), "%s/cassandra.yaml", t.path);
	snprintf(backup, sizeof(backup), "%s" YAMLEDIT_BACKUP_SUFFIX, path);
	put(path, "a: 1\n");
	cr_assert_eq(yamledit_file(path, changes, 3, &e), 0);
	put(path, "a: 2\n");
	cr_expect_eq(yamledit_undo(path, changes, 3, &e), -EBUSY);
	cr_expect_eq(e.kind, ERR_CONFLICT);
	cr_expect_eq(yamledit_file(path, changes, 3, &e), -EBUSY);
	cr_expect(holds(path, "a: 2\n"));
	cr_expect(holds(backup, "a: 1\n"));
}

Test(yamledit, what_is_to_be_edited_is_looked_at_first)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	char path[200], backup[240];
	struct err e = ERR_INIT;

	snprintf(path, sizeof(path), "%s/cassandra.yaml", t.path);
	snprintf(backup, sizeof(backup), "%s" YAMLEDIT_BACKUP_SUFFIX, path);
	cr_expect_eq(yamledit_check(path, changes, 3, &e), -ENOENT);
	put(path, "num_tokens: [1]\n");
	cr_expect_eq(yamledit_check(path, changes, 3, &e), -EBADMSG);
	put(path, "a: 1\n");
	cr_expect_eq(yamledit_check(path, changes, 3, &e), 0, "%s", e.message);
	cr_expect(holds(path, "a: 1\n") && holds(backup, NULL));
	cr_assert_eq(yamledit_file(path, changes, 3, &e), 0);
	cr_expect_eq(yamledit_check(path, changes, 3, &e), -EEXIST);
	for (int again = 0; again < 2; again++)
		cr_assert_eq(yamledit_forget(path, &e), 0, "%s", e.message);
	cr_expect(holds(path, "a: 1\n" ADDED) && holds(backup, NULL));
}

Test(yamledit, owner_and_mode_are_those_of_the_file)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	char path[200], backup[240];
	struct err e = ERR_INIT;
	struct stat st;

	cr_assert_eq(geteuid(), 0, "the tests run as root");
	snprintf(path, sizeof(path), "%s/cassandra.yaml", t.path);
	snprintf(backup, sizeof(backup), "%s" YAMLEDIT_BACKUP_SUFFIX, path);
	put(path, "a: 1\n");
	cr_assert_eq(chown(path, 12345, 12346), 0);
	cr_assert_eq(yamledit_file(path, changes, 3, &e), 0, "%s", e.message);
	cr_expect(stat(backup, &st) == 0 && st.st_uid == 12345 && st.st_gid == 12346);
	cr_expect_eq(st.st_mode & 07777, 0640);
	cr_expect(stat(path, &st) == 0 && st.st_uid == 12345 && st.st_gid == 12346);
	cr_expect_eq(st.st_mode & 07777, 0640);
}
