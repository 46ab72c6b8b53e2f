/* SPDX-License-Identifier: Apache-2.0 */
/* What starts sstableloader, and what its end means. The lines are those that it printed. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "cassandra/loader.h"

#define EXITED(code) ((code) << 8) /* as waitpid(2) says it */

Test(loader, its_words)
{
	struct loader l = { .program = "sl",
			    .hosts = "a,b",
			    .port = "9142",
			    .conf_path = "/c.yaml",
			    .throttle_mib = 7,
			    .keyspace = "k2",
			    .table = "t2",
			    .directory = "/m/k/t-1" };
	static const char *const whole[] = { "sl",	"--nodes",
					     "a,b",	"--port",
					     "9142",	"--conf-path",
					     "/c.yaml", "--throttle-mib",
					     "7",	"--entire-sstable-throttle-mib",
					     "7",	"--target-keyspace",
					     "k2",	"--target-table",
					     "t2",	"/m/k/t-1" };
	static const char *const least[] = { "sl",  "--nodes",
					     "a,b", "--throttle-mib",
					     "0",   "--entire-sstable-throttle-mib",
					     "0",   "/m/k/t-1" };
	struct loader_words words;
	size_t i;

	loader_words(&l, &words);
	for (i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		cr_expect_str_eq(words.words[i], whole[i]);
	cr_expect_null(words.words[i]);
	l.port = l.conf_path = l.keyspace = l.table = NULL;
	l.throttle_mib = 0;
	loader_words(&l, &words);
	for (i = 0; i < sizeof(least) / sizeof(least[0]); i++)
		cr_expect_str_eq(words.words[i], least[i]);
	cr_expect_null(words.words[i]);
}

#define OPENING \
	"Established connection to initial hosts\nOpening sstables and calculating sections to stream\n"
#define BEGIN \
	OPENING "Streaming relevant part of /m/nb-1-big-Data.db /m/nb-2-big-Data.db to [/127.0.0.1]\n"
#define SUMMARY \
	"Summary statistics: \n   Connections per host    : 1         \n   Total files transferred : 8         \n   Total bytes transferred : 4.7KiB   \n"

static int judge(const char *text, int status, struct err *e)
{
	_cleanup_free_ char *copy = strdup(text);
	struct loader_said said = { .skipped = false };
	char *rest = copy, *line;

	while ((line = strsep(&rest, "\n")))
		loader_hear(&said, line);
	*e = ERR_INIT;
	return loader_judge(&said, 2, status, e);
}

Test(loader, only_its_summary_and_exit_code_0_and_no_skipped_file_are_success)
{
	static const struct {
		const char *text, *said;
		int status;
	} cases[] = {
		{ BEGIN SUMMARY, NULL, EXITED(0) },
		{ BEGIN
		  "progress: [/127.0.0.1]0:1/1 100% total: 100% 5.4KiB/s (avg: 5.4KiB/s)\n" SUMMARY,
		  NULL, EXITED(0) },
		{ OPENING
		  "Streaming relevant part of /m/nb-1-big-Data.db /m/nb-2-big-Data.db  to [/127.0.0.1]\n" SUMMARY,
		  NULL, EXITED(0) },
		{ OPENING
		  "Streaming relevant part of /m/nb-1-big-Data.db \n/m/nb-2-big-Data.db \nto [/127.0.0.1]\n" SUMMARY,
		  NULL, EXITED(0) },
		{ OPENING
		  "Streaming relevant part of /m/nb-1-big-Data.db to [/127.0.0.1]\nof /m/nb-2-big-Data.db \n" SUMMARY,
		  "passed over 1 of 2 SSTables", EXITED(0) },
		{ OPENING SUMMARY, "passed over 2 of 2 SSTables", EXITED(0) },
		{ BEGIN, "without its summary", EXITED(0) },
		{ "", "without its summary", EXITED(0) },
		{ BEGIN "Summary statistics: \n   Total files transferred : 0         \n",
		  "sent no file", EXITED(0) },
		{ BEGIN "Skipping file nb-1-big-Data.db: table shop.users doesn't exist\n" SUMMARY,
		  "table shop.users doesn't exist", EXITED(0) },
		{ BEGIN "Skipping file nb-1-big-Data.db, error opening it: x\n" SUMMARY,
		  "error opening it", EXITED(0) },
		{ BEGIN SUMMARY, "exit code 1", EXITED(1) },
		{ BEGIN SUMMARY, "signal 9", 9 },
		{ BEGIN
		  "WARN  12:00 Error of no importance\nStreaming to the following hosts failed:\n[/127.0.0.2:7000]\n"
		  "java.util.concurrent.ExecutionException: x.StreamException: Stream failed\n"
		  "\tat a.FailedThing.get(Future.java:1)\nCaused by: x.StreamException: Stream failed\n",
		  "exit code 1: Streaming to the following hosts failed:; java.util.concurrent.ExecutionException: x.StreamException: Stream failed; Caused by",
		  EXITED(1) },
		{ "Unrecognized option: --target-table\n", "exit code 1: Unrecognized option",
		  EXITED(1) },
	};
	struct err e;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_eq(judge(cases[i].text, cases[i].status, &e), cases[i].said ? -EIO : 0,
			     "%zu: %s", i, e.message);
		if (cases[i].said)
			cr_expect(strstr(e.message, cases[i].said), "%zu: %s", i, e.message);
	}
}
