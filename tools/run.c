/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/run.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "base/version.h"
#include "tools/cli.h"
#include "tools/nearest.h"
#include "tools/versions.h"

/* The one place that a signal can reach; set before the handlers are installed. */
static struct cli *signal_target;

/* A second one of another kind may be a terminal that goes after Ctrl-C: no sign of haste. */
static void on_signal(int signal)
{
	if (signal == SIGINT && cancel_is_set(&signal_target->cancel))
		cancel_set(&signal_target->hurry, signal);
	cancel_set(&signal_target->cancel, signal);
}

static void catch_signals(struct cli *cli)
{
	struct sigaction act = { .sa_handler = on_signal }, hup;

	signal_target = cli;
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	/* A terminal that is gone: what was begun is cleaned up, unless nohup(1) wants it done. */
	if (sigaction(SIGHUP, NULL, &hup) == 0 && hup.sa_handler != SIG_IGN)
		sigaction(SIGHUP, &act, NULL);
}

void run_prepare(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, normal = { .sa_handler = SIG_DFL };

	/* What a peer or a limit of file sizes does to a write is that write's error, and no reason to end. */
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGXFSZ, &ignore, NULL);
	/* Who started us may ignore the ends of children; then no child's answer could be had. */
	sigaction(SIGCHLD, &normal, NULL);
	/* Memory is bounded by configuration: many threads must not keep an arena each, and large buffers go back at once. */
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
}

static int usage(FILE *out)
{
	const struct command *table;
	size_t count;

	table = command_table(&count);
	fputs("usage: sstablefs [-r URL] [--config FILE] [--json] [-q|-v] COMMAND [options] [arguments]\n\n"
	      "Backups of Cassandra nodes in S3, MinIO or a directory, deduplicated, and mounted as an ordinary tree.\n\n",
	      out);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "  %-14s %s\n", table[i].name, table[i].summary);
	fputs("\nOptions:\n"
	      "  -r, --repository URL   /DIRECTORY, file:///DIRECTORY, or s3://BUCKET[/PREFIX][?endpoint=URL&region=R&…]\n"
	      "                         (else $SSTABLEFS_REPOSITORY, else url under [repository] of the configuration)\n"
	      "      --config FILE      configuration (else $SSTABLEFS_CONFIG, ~/.config/sstablefs/…, /etc/sstablefs/…)\n"
	      "      --json             one JSON document on stdout\n"
	      "      --progress=always  progress lines also where stderr is no terminal\n"
	      "  -q, --quiet  -v, --verbose  --version  --help\n\n"
	      "sstablefs COMMAND --help tells more. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done but\n"
	      "something was found, 4 what was named does not exist, 5 the store cannot be reached or refuses the credentials.\n",
	      out);
	return out == stderr ? EXIT_USAGE : EXIT_DONE;
}

enum { GLOBAL_CONFIG = 256, GLOBAL_JSON, GLOBAL_PROGRESS, GLOBAL_VERSION, GLOBAL_HELP };

/* -1: go on with argv[optind]; else an exit code. */
static int global_options(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		{ "repository", required_argument, NULL, 'r' },
		{ "config", required_argument, NULL, GLOBAL_CONFIG },
		{ "json", no_argument, NULL, GLOBAL_JSON },
		{ "quiet", no_argument, NULL, 'q' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "progress", required_argument, NULL, GLOBAL_PROGRESS },
		{ "version", no_argument, NULL, GLOBAL_VERSION },
		{ "help", no_argument, NULL, GLOBAL_HELP },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:r:qv", options, NULL)) >= 0) {
		switch (c) {
		case 'r':
			cli->repository = optarg;
			break;
		case 'q':
			cli->quiet = true;
			break;
		case 'v':
			cli->verbose++;
			break;
		case GLOBAL_CONFIG:
			cli->config_path = optarg;
			break;
		case GLOBAL_JSON:
			cli->json = true;
			break;
		case GLOBAL_PROGRESS:
			if (strcmp(optarg, "always") != 0)
				return cli_usage(cli, "--progress=%s: only 'always' is known",
						 optarg);
			cli->progress_always = true;
			break;
		case GLOBAL_VERSION:
			return versions_print();
		case GLOBAL_HELP:
			return usage(stdout);
		case ':':
			return cli_usage(cli, "option '%s' needs a value", argv[optind - 1]);
		default:
			return cli_usage(cli, "unknown option '%s'", argv[optind - 1]);
		}
	}
	return -1;
}

/* --json, -q, -v and --progress are also taken behind the command's name: moved before it. */
static int take_late_globals(struct cli *cli, int argc, char **argv)
{
	int kept = 1;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			for (; i < argc; i++)
				argv[kept++] = argv[i];
			break;
		}
		if (strcmp(argv[i], "--json") == 0)
			cli->json = true;
		else if (strcmp(argv[i], "-q") == 0 || strcmp(argv[i], "--quiet") == 0)
			cli->quiet = true;
		else if (strcmp(argv[i], "--progress=always") == 0)
			cli->progress_always = true;
		else
			argv[kept++] = argv[i];
	}
	argv[kept] = NULL;
	return kept;
}

static int no_such_command(struct cli *cli, const char *name)
{
	const char *reserved = command_reserved(name);
	const struct command *table;
	const char *names[32] = { NULL }, *near;
	size_t count;

	if (reserved)
		return cli_usage(cli, "command '%s' is not in this version: %s", name, reserved);
	table = command_table(&count);
	for (size_t i = 0; i < count && i < ARRAY_SIZE(names) - 1; i++)
		names[i] = table[i].name;
	near = nearest_word(name, names);
	return near ? cli_usage(cli, "unknown command '%s' (did you mean '%s'?)", name, near)
		    : cli_usage(cli, "unknown command '%s'", name);
}

static int dispatch(struct cli *cli, int argc, char **argv)
{
	const struct command *command = command_find(argv[0]);
	struct err e = ERR_INIT;
	int r;

	if (!command)
		return no_such_command(cli, argv[0]);
	cli->command = command->name;
	argc = take_late_globals(cli, argc, argv);
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0)
			return cli_help(command);
	r = config_load(cli->config_path, &cli->config, &e);
	if (r < 0)
		return cli_fail(cli, &e);
	cli->log = log_new(cli->clock, cli->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING,
			   log_to_stderr, NULL);
	cli->metrics = metrics_new();
	if (!cli->log || !cli->metrics) {
		err_nomem(&e);
		return cli_fail(cli, &e);
	}
	optind = 0; /* getopt starts afresh, GNU's way */
	return command->run(cli, argc, argv);
}

int run_command_line(int argc, char **argv)
{
	struct cli cli = { .command = "sstablefs", .clock = clock_system() };
	int code;

	run_prepare();
	code = global_options(&cli, argc, argv);
	if (code >= 0)
		return code;
	if (optind >= argc)
		return usage(stderr);
	catch_signals(&cli);
	code = cli_end(&cli, dispatch(&cli, argc - optind, argv + optind));
	if (cli.config)
		config_free(cli.config);
	if (cli.log)
		log_free(cli.log);
	if (cli.metrics)
		metrics_free(cli.metrics);
	return code;
}
