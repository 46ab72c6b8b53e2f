/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all commands share: global options, configuration, the composition of the stack, output and errors. A command is one file,
 * cmd_<name>.c, and one line in commands.c.
 */
#ifndef SSTABLEFS_TOOLS_CLI_H
#define SSTABLEFS_TOOLS_CLI_H

#include <getopt.h>
#include <jansson.h>
#include "base/cancel.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "catalog/find.h"
#include "catalog/progress.h"
#include "store/creds.h"
#include "store/wrap.h"
#include "tools/config.h"

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_FOUND = 3,
	EXIT_ABSENT = 4,
	EXIT_STORE = 5
};

struct cli {
	const char *repository;	 /* --repository, or NULL */
	const char *config_path; /* --config, or NULL */
	bool json, quiet, progress_always;
	bool json_line; /* a document is one line */
	int verbose;
	const char *command;
	struct config *config;
	struct cancel cancel; /* set by SIGINT and SIGTERM */
	struct cancel hurry; /* a second SIGINT: also what only comes to its end is not waited for */
	struct log *log;
	struct metrics *metrics;
	const struct clock *clock;
};

struct command {
	const char *name, *arguments, *summary, *help; /* help: options and an example */
	/* argv[0] is the command's name. The exit code; failures are reported by cli_fail. */
	int (*run)(struct cli *cli, int argc, char **argv);
};
const struct command *command_find(const char *name); /* NULL: none */
const struct command *command_table(size_t *ret_count);
/* What a later version brings, in words, or NULL where the name means nothing. */
const char *command_reserved(const char *name);

/* Prints the error once (or its JSON document) and returns its exit code. A cancelled command: 130 or 143. */
int cli_fail(struct cli *cli, const struct err *e);
/* The same after a part was done: with --json one document holds the error and what `document` says. Steals it; NULL is fine. */
int cli_fail_with(struct cli *cli, const struct err *e, json_t *document);
/* Wrong usage: exit code 2, with the way to help. */
int cli_usage(struct cli *cli, const char *fmt, ...) _printf_(2, 3);
/* Prints a line on stdout. Names come from a bucket: control characters and what is no UTF-8 are replaced (util_one_line). 0, or < 0 where it cannot be written. */
int cli_print_line(struct err *e, const char *fmt, ...) _printf_(2, 3);
/* Prints a document on stdout. Steals `document`. 0, or the exit code of a failed write. */
int cli_print_json(struct cli *cli, json_t *document);
/* The exit code in the end: EXIT_FAILED, and said, where the result did not get to stdout whole; not where whoever reads a pipe has left. */
int cli_end(struct cli *cli, int code);
/* Prints the command's help. */
int cli_help(const struct command *command);

/* ---- options that several commands take ---- */

struct common { /* strings borrowed from argv or the configuration */
	const char *cluster, *node;
	unsigned jobs, connections;
	uint64_t memory_bytes, limit_rate;
	struct log *log; /* of the store; NULL: the command's */
};
enum {
	OPT_CLUSTER = 256,
	OPT_NODE,
	OPT_JOBS,
	OPT_CONNECTIONS,
	OPT_MEMORY,
	OPT_LIMIT_RATE,
	OPT_HELP,
	OPT_COMMAND /* first of a command's own */
};
#define COMMON_NAMES                                         \
	{ "cluster", required_argument, NULL, OPT_CLUSTER }, \
	{                                                    \
		"node", required_argument, NULL, OPT_NODE    \
	}
#define COMMON_LIMITS                                                        \
	{ "jobs", required_argument, NULL, OPT_JOBS },                       \
		{ "connections", required_argument, NULL, OPT_CONNECTIONS }, \
		{ "memory", required_argument, NULL, OPT_MEMORY },           \
	{                                                                    \
		"limit-rate", required_argument, NULL, OPT_LIMIT_RATE        \
	}
#define COMMON_HELP                                 \
	{                                           \
		"help", no_argument, NULL, OPT_HELP \
	}

/* Defaults, then the configuration's [section]. -EINVAL (ERR_USAGE). */
int common_init(struct common *c, const struct cli *cli, const char *section, unsigned connections,
		struct err *e);
/* One option of getopt_long: 0 taken, > 0 not one of these, < 0. */
int common_option(struct common *c, int option, const char *value, struct err *e);
/* The next option: -1 at the end; '?' after an error was put into e (unknown, or without its value). */
int cli_getopt(int argc, char **argv, const struct option *options, struct err *e);
/* A decimal number between low and high. */
int cli_number(const char *what, const char *text, uint64_t low, uint64_t high, uint64_t *ret,
	       struct err *e);

/* ---- the stack ---- */

struct session {
	struct store *store, *trace;
	struct repo *repo;
	struct source *source;
	struct kv *kv; /* NULL: none, or in use by another process */
	struct meta *meta;
	char *url; /* as given */
};
struct session_options {
	unsigned access; /* enum repo_access */
	const struct common *common;
	enum object_verify verify;
	bool no_cache; /* believe nothing local */
};
/* The repository's URL: option, environment, configuration. */
int session_url(struct cli *cli, const char **ret, struct err *e);
int session_open_store(struct cli *cli, const struct common *common, bool create, struct session *s,
		       struct err *e);
/* Where the credentials of the repository come from: as url_find_credentials. */
int session_credentials(struct cli *cli, const struct common *common,
			char ret_source[CREDS_SOURCE_MAX], struct err *e);
int session_open(struct cli *cli, const struct session_options *o, struct session *ret,
		 struct err *e);
void session_close(struct session *s);
/* Where local state lies: $SSTABLEFS_CACHE_DIR, /var/cache/sstablefs for root, else ~/.cache/sstablefs. New string. */
char *session_cache_dir(void);
/* This host's default node name: configuration, else the host's full name in lower case. New string. */
char *session_default_node(struct cli *cli);

/* ---- progress ---- */

struct progress_view; /* a thread that shows a struct progress on stderr */
struct progress_view *progress_view_start(struct cli *cli, const char *verb,
					  struct progress *p); /* NULL: nothing to show */
void progress_view_stop(struct progress_view *v);

#endif
