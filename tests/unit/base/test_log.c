/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "tests/unit/base/fake_clock.h"
#include "tests/unit/base/tmpdir.h"

#define SECOND INT64_C(1000000000)

struct lines {
	size_t count;
	char text[2000][128];
	enum log_level level[2000];
};

static void collect(void *ctx, enum log_level level, const char *line)
{
	struct lines *lines = ctx;

	cr_assert_lt(lines->count, ARRAY_SIZE(lines->text));
	lines->level[lines->count] = level;
	snprintf(lines->text[lines->count++], sizeof(lines->text[0]), "%s", line);
}

static struct lines lines;
static struct fake_clock fake;
static struct log *logger;

static void setup(void)
{
	fake_clock_init(&fake, 0);
	logger = log_new(&fake.clock, LOG_LEVEL_INFO, collect, &lines);
	cr_assert_not_null(logger);
}

static void teardown(void)
{
	log_free(logger);
}

TestSuite(log, .init = setup, .fini = teardown);

Test(log, a_line_reaches_the_sink_with_its_level_and_without_control_bytes)
{
	log_write(logger, LOG_LEVEL_WARNING, "k", "object %s\nis %d", "a\033b", 7);
	cr_assert_eq(lines.count, 1);
	cr_expect_str_eq(lines.text[0], "object a?b?is 7");
	cr_expect_eq(lines.level[0], LOG_LEVEL_WARNING);
}

Test(log, what_is_less_severe_than_the_level_is_not_written)
{
	log_write(logger, LOG_LEVEL_DEBUG, "k", "debug");
	log_write(logger, LOG_LEVEL_INFO, "k", "info");
	log_write(NULL, LOG_LEVEL_ERROR, "k", "nowhere");
	cr_assert_eq(lines.count, 1);
	cr_expect_str_eq(lines.text[0], "info");
}

Test(log, ten_lines_a_second_of_a_kind_and_then_one_that_counts_the_rest)
{
	for (int i = 0; i < 25; i++)
		log_write(logger, i == 20 ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "read-failed",
			  "line %d", i);
	cr_assert_eq(lines.count, 10);
	cr_expect_str_eq(lines.text[9], "line 9");
	fake.elapsed_ns = SECOND - 1;
	log_write(logger, LOG_LEVEL_INFO, "read-failed", "still within");
	cr_assert_eq(lines.count, 10);
	fake.elapsed_ns = SECOND;
	log_write(logger, LOG_LEVEL_INFO, "read-failed", "next second");
	cr_assert_eq(lines.count, 12);
	cr_expect_str_eq(lines.text[10], "16 more lines of kind read-failed were left out");
	cr_expect_eq(lines.level[10], LOG_LEVEL_ERROR, "as severe as the worst of them");
	cr_expect_str_eq(lines.text[11], "next second");
	fake.elapsed_ns = 10 * SECOND;
	log_write(logger, LOG_LEVEL_INFO, "read-failed", "much later");
	cr_expect_eq(lines.count, 13, "nothing was left out since");
}

Test(log, kinds_do_not_share_their_ten_lines)
{
	for (int i = 0; i < 11; i++) {
		log_write(logger, LOG_LEVEL_INFO, "one", "one");
		log_write(logger, LOG_LEVEL_INFO, "two", "two");
	}
	cr_assert_eq(lines.count, 20);
	fake.elapsed_ns = SECOND;
	log_write(logger, LOG_LEVEL_INFO, "three", "three");
	cr_assert_eq(lines.count, 23);
	cr_expect_str_eq(lines.text[20], "1 more line of kind one was left out");
	cr_expect_str_eq(lines.text[21], "1 more line of kind two was left out");
	cr_expect_str_eq(lines.text[22], "three");
}

Test(log, what_was_left_out_is_said_at_the_end_too)
{
	for (int i = 0; i < 13; i++)
		log_write(logger, LOG_LEVEL_INFO, "k", "x");
	log_free(logger);
	logger = NULL;
	cr_assert_eq(lines.count, 11);
	cr_expect_str_eq(lines.text[10], "3 more lines of kind k were left out");
}

Test(log, kinds_beyond_the_64th_share_one_place)
{
	char kind[16];

	for (int i = 0; i < 100; i++) {
		snprintf(kind, sizeof(kind), "kind-%d", i);
		log_write(logger, LOG_LEVEL_INFO, kind, "%s", kind);
	}
	cr_assert_eq(lines.count, 63 + 10);
	cr_expect_str_eq(lines.text[72], "kind-72");
	fake.elapsed_ns = SECOND;
	log_write(logger, LOG_LEVEL_INFO, "kind-0", "again");
	cr_assert_eq(lines.count, 63 + 10 + 2);
	cr_expect_str_eq(lines.text[73], "27 more lines of kind other were left out");
}

Test(log, a_line_of_any_length_stays_within_its_buffer)
{
	static char big[20000];

	memset(big, 'b', sizeof(big) - 1);
	log_write(logger, LOG_LEVEL_INFO, "a-kind-whose-name-is-much-longer-than-thirty-two-bytes",
		  "%s", big);
	cr_assert_eq(lines.count, 1);
	cr_expect_eq(strlen(lines.text[0]), sizeof(lines.text[0]) - 1);
}

Test(log, a_file_gets_the_time_the_level_and_the_line)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_free_ char *text = NULL;
	size_t len;
	int fd;

	fd = openat(t.fd, "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	cr_assert_geq(fd, 0);
	log_to_fd((void *)(intptr_t)fd, LOG_LEVEL_WARNING, "first");
	log_to_fd((void *)(intptr_t)fd, LOG_LEVEL_ERROR, "second");
	close(fd);
	cr_assert_eq(io_read_file(t.fd, "log", 1000, &text, &len), 0);
	cr_assert_eq(len, 2 * strlen("2026-11-22T10:42:00.123Z ") +
				  strlen("warning first\nerror second\n"));
	cr_expect_eq(strncmp(text + 24, " warning first\n", 15), 0, "%s", text);
	cr_expect_not_null(strstr(text, "Z error second\n"), "%s", text);
}
