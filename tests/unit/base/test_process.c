/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include "base/process.h"

#define LONG_MS 120000 /* never reached where all is well */

static char *words_of(const char *script, char *words[4])
{
	words[0] = (char *)(size_t) "sh";
	words[1] = (char *)(size_t) "-c";
	words[2] = (char *)(size_t)script;
	words[3] = NULL;
	return words[0];
}

/* Runs a script of the shell; its output as a string in *out and *errors. */
static int run(const char *script, struct wbuf *out, struct wbuf *errors, int *status)
{
	char *words[4];
	struct process_options o = {
		.words = words, .timeout_ms = LONG_MS, .out = out, .errors = errors
	};
	int r;

	words_of(script, words);
	r = process_run(&o, status);
	wbuf_u8(out, 0);
	wbuf_u8(errors, 0);
	return r;
}

Test(process, both_outputs_and_the_exit_code_are_had)
{
	struct wbuf out, errors;
	int status = 0;

	wbuf_init(&out, 100);
	wbuf_init(&errors, 100);
	cr_assert_eq(run("echo one; echo two >&2; exit 7", &out, &errors, &status), 0);
	cr_expect_str_eq((char *)out.data, "one\n");
	cr_expect_str_eq((char *)errors.data, "two\n");
	cr_expect(WIFEXITED(status));
	cr_expect_eq(WEXITSTATUS(status), 7);
	wbuf_deinit(&out);
	wbuf_deinit(&errors);
}

Test(process, nothing_is_had_of_our_input_and_descriptors)
{
	struct wbuf out, errors;
	int status = 0, fd = dup(1);

	wbuf_init(&out, 1000);
	wbuf_init(&errors, 1000);
	cr_assert_eq(
		run("cat; ls /proc/self/fd | wc -l; test \"$(ps -o sid= -p $$)\" -eq $$ && echo alone",
		    &out, &errors, &status),
		0);
	cr_expect_str_eq((char *)out.data, "4\nalone\n"); /* 0, 1, 2 and the one that ls reads */
	close(fd);
	wbuf_deinit(&out);
	wbuf_deinit(&errors);
}

Test(process, what_is_given_is_on_standard_input_from_its_beginning_to_its_end)
{
	char *words[4];
	struct wbuf in, out;
	struct process_options o = { .words = words, .timeout_ms = LONG_MS, .in = &in, .out = &out };
	int status = 0;

	wbuf_init(&in, 300000);
	wbuf_init(&out, 100);
	for (int i = 0; i < 40000; i++)
		wbuf_put(&in, "abcdef\n", 7);
	words_of("head -c 6; wc -l", words);
	cr_assert_eq(process_run(&o, &status), 0);
	wbuf_u8(&out, 0);
	cr_expect(strncmp((char *)out.data, "abcdef", 6) == 0);
	words_of("cat | wc -lc | tr -s ' '", words);
	out.len = 0;
	cr_assert_eq(process_run(&o, &status), 0);
	wbuf_u8(&out, 0);
	cr_expect_not_null(strstr((char *)out.data, "40000 280000\n"));
	wbuf_deinit(&in);
	wbuf_deinit(&out);
}

Test(process, too_much_output_ends_it_but_too_many_errors_are_cut)
{
	char *words[4];
	struct wbuf out, errors;
	struct process_options o = { .words = words, .timeout_ms = LONG_MS, .out = &out };
	struct err e = ERR_INIT;
	int status = 0, r;

	wbuf_init(&out, 1000);
	words_of("yes", words);
	r = process_run(&o, &status);
	cr_expect_eq(r, -E2BIG);
	cr_expect_eq(process_explain(&o, r, status, ERR_IO, &e), -E2BIG);
	cr_expect_str_eq(e.message, "it printed more than 1000 bytes");
	wbuf_deinit(&out);

	wbuf_init(&errors, 1000);
	o = (struct process_options){
		.words = words, .timeout_ms = LONG_MS, .errors = &errors, .cut_errors = true
	};
	words_of("i=0; while [ $i -lt 2000 ]; do echo x >&2; i=$((i + 1)); done", words);
	cr_expect_eq(process_run(&o, &status), 0);
	cr_expect_eq(errors.len, 1000);
	cr_expect_eq(status, 0);
	wbuf_deinit(&errors);
}

Test(process, arguments_that_are_too_long_are_not_taken_for_output)
{
	_cleanup_free_ char *script = malloc(200001);
	struct wbuf out;
	char *words[4];
	struct process_options o = { .words = words, .timeout_ms = LONG_MS, .out = &out };
	struct err e = ERR_INIT;
	int status = 0, r;

	memset(script, 'x', 200000);
	script[200000] = '\0';
	wbuf_init(&out, 1000);
	words_of(script, words);
	r = process_run(&o, &status);
	cr_expect_eq(process_explain(&o, r, status, ERR_IO, &e), -E2BIG);
	cr_expect_str_eq(e.message, "it cannot be run: its arguments are too long");
	wbuf_deinit(&out);
}

/* Not where it is the zombie of an init that has not looked yet. */
static bool is_alive(pid_t pid)
{
	char path[64], text[256] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (!fgets(text, sizeof(text), f))
		text[0] = 0;
	fclose(f);
	return text[0] && !strstr(text, ") Z ") && !strstr(text, ") X ");
}

/* The outcome in words. */
static int outcome(const struct process_options *o, struct err *e)
{
	int status = 0, r = process_run(o, &status);

	return process_explain(o, r, status, ERR_IO, e);
}

Test(process, one_that_hangs_is_killed_with_all_that_it_began)
{
	char *words[4], pid[32] = "";
	struct wbuf out;
	struct process_options o = { .words = words, .timeout_ms = 2000, .out = &out };
	struct err e = ERR_INIT;
	int status = 0, r;

	wbuf_init(&out, 100);
	words_of("trap '' TERM INT; sleep 1000 & echo $!; wait", words);
	r = process_run(&o, &status);
	cr_expect_eq(process_explain(&o, r, status, ERR_IO, &e), -ETIMEDOUT);
	cr_expect_str_eq(e.message, "it did not end within 2 s and was killed");
	cr_assert_gt(out.len, 0);
	memcpy(pid, out.data, MIN_OF(out.len, sizeof(pid) - 1));
	for (int tries = 0; is_alive(atoi(pid)) && tries < 6000; tries++)
		usleep(10000);
	cr_expect_not(is_alive(atoi(pid)));
	wbuf_deinit(&out);
}

Test(process, what_cannot_be_run_and_what_is_cancelled_is_said)
{
	char *words[] = { (char *)(size_t) "/nowhere/nodetool", NULL }, *hang[4];
	struct cancel cancel = { .reason = 1 };
	struct process_options o = { .words = words, .timeout_ms = LONG_MS };
	struct err e = ERR_INIT;

	cr_expect_lt(outcome(&o, &e), 0);
	cr_expect_str_eq(e.message, "it cannot be run: No such file or directory");
	words_of("exec sleep 1000", hang);
	o = (struct process_options){ .words = hang, .timeout_ms = LONG_MS, .cancel = &cancel };
	cr_expect_eq(outcome(&o, &e), -ECANCELED);
	words_of("kill -9 $$", hang);
	o.cancel = NULL;
	cr_expect_eq(outcome(&o, &e), -EIO);
	cr_expect_str_eq(e.message, "it was ended by signal 9");
}
