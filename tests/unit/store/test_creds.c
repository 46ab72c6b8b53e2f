/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/creds.h"

#define KEY "AKIAIOSFODNN7EXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

/* An environment of "NAME=value" strings, and a directory for files. */
struct world {
	const char *env[8];
	char dir[64], path[128], variable[192];
};

static const char *world_getenv(void *ctx, const char *name)
{
	const struct world *w = ctx;
	size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(w->env) && w->env[i]; i++) {
		if (strncmp(w->env[i], name, len) == 0 && w->env[i][len] == '=')
			return w->env[i] + len + 1;
	}
	return NULL;
}

static void world_init(struct world *w)
{
	*w = (struct world){ .dir = "/tmp/test_creds.XXXXXX" };
	cr_assert(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/credentials", w->dir);
}

static void world_deinit(struct world *w)
{
	unlink(w->path);
	rmdir(w->dir);
}

/* env[at] = name=value, kept in the world. */
static void world_set(struct world *w, int at, const char *name, const char *value)
{
	snprintf(w->variable, sizeof(w->variable), "%s=%s", name, value);
	w->env[at] = w->variable;
}

static void write_file(const struct world *w, mode_t mode, const char *text)
{
	_cleanup_close_ int fd = open(w->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	cr_assert_eq(fchmod(fd, mode), 0);
}

static struct creds *make(struct world *w, const char *file, const char *profile)
{
	struct creds *c = creds_new(&(struct creds_options){ .credentials_file = file,
							     .profile = profile,
							     .getenv = world_getenv,
							     .getenv_ctx = w,
							     .clock = clock_system() });

	cr_assert(c);
	return c;
}

static void expect_keys(struct creds *c, const char *access_key, const char *secret_key,
			const char *token)
{
	struct creds_value v;
	struct err e = ERR_INIT;

	cr_assert_eq(creds_get(c, &v, NULL, &e), 0, "%s", e.message);
	cr_expect_str_eq(v.access_key, access_key);
	cr_expect_str_eq(v.secret_key, secret_key);
	cr_expect_str_eq(v.session_token, token);
}

static void expect_error(struct creds *c, enum err_kind kind, const char *says)
{
	struct creds_value v;
	struct err e = ERR_INIT;

	cr_expect_lt(creds_get(c, &v, NULL, &e), 0);
	cr_expect_eq(e.kind, kind, "%s", e.message);
	cr_expect(strstr(e.message, says), "%s", e.message);
	cr_expect_null(strstr(e.message, "Secret"), "%s", e.message);
}

Test(creds, the_environment_comes_first)
{
	struct world w;
	_cleanup_(creds_freep) struct creds *c = NULL;

	world_init(&w);
	write_file(&w, 0600, "[default]\naws_access_key_id = F\naws_secret_access_key = G\n");
	w.env[0] = "AWS_ACCESS_KEY_ID=" KEY;
	w.env[1] = "AWS_SECRET_ACCESS_KEY=" SECRET;
	w.env[2] = "AWS_SESSION_TOKEN=tok/en==";
	world_set(&w, 3, "AWS_SHARED_CREDENTIALS_FILE", w.path);
	c = make(&w, NULL, NULL);
	expect_keys(c, KEY, SECRET, "tok/en==");
	w.env[2] = "AWS_SESSION_TOKEN=";
	expect_keys(c, KEY, SECRET, "");
	w.env[0] = w.env[1] = "X=";
	expect_keys(c, "F", "G", "");
	world_deinit(&w);
}

Test(creds, half_of_a_pair_in_the_environment_is_an_error)
{
	struct world w = { .env = { "AWS_ACCESS_KEY_ID=" KEY } };
	_cleanup_(creds_freep) struct creds *c = make(&w, NULL, NULL);

	expect_error(c, ERR_CREDENTIALS, "AWS_SECRET_ACCESS_KEY is not");
	w.env[0] = "AWS_SECRET_ACCESS_KEY=Secret";
	expect_error(c, ERR_CREDENTIALS, "AWS_ACCESS_KEY_ID is not");
}

/* env[1], the profile asked for by name, and what is found: keys, or an error that says `secret_key`. */
static void with_profile(struct world *w, const char *variable, const char *name,
			 const char *access_key, const char *secret_key)
{
	_cleanup_(creds_freep) struct creds *c = make(w, NULL, name);
	bool is_backup = access_key && strcmp(access_key, "B") == 0;

	w->env[1] = variable ? variable : "UNUSED=";
	if (access_key)
		expect_keys(c, access_key, secret_key, is_backup ? "T" : "");
	else
		expect_error(c, ERR_CREDENTIALS, secret_key);
}

Test(creds, the_shared_file_and_its_profiles_are_read)
{
	struct world w;

	world_init(&w);
	write_file(
		&w, 0600,
		"# comment\n[default]\naws_access_key_id = D\naws_secret_access_key = E\n"
		"[backup]\naws_access_key_id=B\naws_secret_access_key=C#;x\naws_session_token = T\nregion = x\n"
		"[half]\naws_access_key_id=B\n");
	world_set(&w, 0, "AWS_SHARED_CREDENTIALS_FILE", w.path);
	with_profile(&w, NULL, NULL, "D", "E");
	with_profile(&w, "AWS_PROFILE=backup", NULL, "B", "C#;x");
	with_profile(&w, "AWS_PROFILE=half", NULL, NULL, "[half]");
	with_profile(&w, "AWS_PROFILE=none", NULL, NULL, "no profile [none]");
	w.env[2] = "AWS_ACCESS_KEY_ID=" KEY;
	w.env[3] = "AWS_SECRET_ACCESS_KEY=" SECRET;
	with_profile(&w, "AWS_PROFILE=half", NULL, KEY, SECRET);
	with_profile(&w, "AWS_PROFILE=half", "backup", "B", "C#;x");
	world_deinit(&w);
}

Test(creds, the_shared_file_lies_in_the_home_directory_by_default)
{
	struct world w;
	_cleanup_(creds_freep) struct creds *c = NULL;
	char aws[80];

	world_init(&w);
	snprintf(aws, sizeof(aws), "%s/.aws", w.dir);
	cr_assert_eq(mkdir(aws, 0700), 0);
	snprintf(w.path, sizeof(w.path), "%s/.aws/credentials", w.dir);
	world_set(&w, 0, "HOME", w.dir);
	c = make(&w, NULL, NULL);
	expect_error(c, ERR_CREDENTIALS, "/.aws/credentials nor ");
	write_file(&w, 0600, "[default]\naws_access_key_id = D\naws_secret_access_key = E\n");
	expect_keys(c, "D", "E", "");
	unlink(w.path);
	rmdir(aws);
	rmdir(w.dir);
}

Test(creds, the_file_of_the_configuration_is_the_only_one_read)
{
	struct world w;
	_cleanup_(creds_freep) struct creds *c = NULL;

	world_init(&w);
	w.env[0] = "AWS_ACCESS_KEY_ID=" KEY;
	w.env[1] = "AWS_SECRET_ACCESS_KEY=" SECRET;
	c = make(&w, w.path, NULL);
	expect_error(c, ERR_CREDENTIALS, "does not exist");
	write_file(&w, 0600, "[default]\naws_access_key_id = D\naws_secret_access_key = E\n");
	expect_keys(c, "D", "E", "");
	world_deinit(&w);
}

Test(creds, a_changed_file_is_read_again)
{
	struct world w;
	_cleanup_(creds_freep) struct creds *c = NULL;
	struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

	world_init(&w);
	write_file(&w, 0600, "[default]\naws_access_key_id = D\naws_secret_access_key = E\n");
	cr_assert_eq(utimensat(AT_FDCWD, w.path, times, 0), 0);
	c = make(&w, w.path, NULL);
	expect_keys(c, "D", "E", "");
	write_file(&w, 0600, "[default]\naws_access_key_id = X\naws_secret_access_key = Y\n");
	cr_assert_eq(utimensat(AT_FDCWD, w.path, times, 0), 0);
	expect_keys(c, "D", "E", ""); /* same size, time and inode: the copy */
	times[1].tv_sec++;
	cr_assert_eq(utimensat(AT_FDCWD, w.path, times, 0), 0);
	expect_keys(c, "X", "Y", "");
	world_deinit(&w);
}

Test(creds, a_file_that_everybody_can_read_is_refused)
{
	struct world w;
	_cleanup_(creds_freep) struct creds *c = NULL;

	world_init(&w);
	write_file(&w, 0604, "[default]\naws_access_key_id = D\naws_secret_access_key = E\n");
	c = make(&w, w.path, NULL);
	expect_error(c, ERR_USAGE, "chmod");
	write_file(&w, 0640, "[default]\naws_access_key_id = D\naws_secret_access_key = E\n");
	expect_keys(c, "D", "E", "");
	world_deinit(&w);
}

Test(creds, values_that_no_header_can_carry_are_refused_and_not_repeated)
{
	struct world w = { .env = { "AWS_ACCESS_KEY_ID=" KEY,
				    "AWS_SECRET_ACCESS_KEY=Secret\nX: y" } };
	_cleanup_(creds_freep) struct creds *c = make(&w, NULL, NULL);
	char token[CREDS_FIELD_MAX + 32] = "AWS_SESSION_TOKEN=";

	expect_error(c, ERR_CREDENTIALS,
		     "AWS_SECRET_ACCESS_KEY holds a blank or control character");
	w.env[1] = "AWS_SECRET_ACCESS_KEY=" SECRET;
	memset(token + strlen(token), 't', CREDS_FIELD_MAX - 1);
	w.env[2] = token;
	expect_keys(c, KEY, SECRET, token + strlen("AWS_SESSION_TOKEN="));
	token[strlen(token)] = 't';
	expect_error(c, ERR_CREDENTIALS, "AWS_SESSION_TOKEN is longer than 4095 bytes");
}

Test(creds, damaged_files_are_named_with_their_line)
{
	struct world w;
	_cleanup_(creds_freep) struct creds *c = NULL;

	world_init(&w);
	write_file(&w, 0600, "[default]\naws_access_key_id = D\nthis is Secret\n");
	c = make(&w, w.path, NULL);
	expect_error(c, ERR_CREDENTIALS, "credentials:3");
	world_deinit(&w);
}
