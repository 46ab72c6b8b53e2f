/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helper of mount(8) (mount.fuse.sstablefs SPEC DIR [-sfnv] [-N NS] [-t TYPE] [-o OPTION,…]): called by mount -t fuse.sstablefs and for fstab,
 * often with an empty environment. Exit codes are mount(8)'s: 0 success, 1 wrong call, 32 mount failed.
 */
#include <stdio.h>
#include <string.h>
#include "tools/mountcmd.h"
#include "tools/run.h"

#define MOUNT_USAGE 1
#define MOUNT_FAILED 32

struct call {
	const char *spec, *directory;
	bool fake, verbose;
};

static int usage(void)
{
	fputs("usage: mount.fuse.sstablefs SPEC DIR [-sfnv] [-N NS] [-t TYPE] [-o OPTION,…]\n",
	      stderr);
	return MOUNT_USAGE;
}

/* SPEC and DIR come first, options may stand between and behind them. */
static int parse(int argc, char **argv, struct call *call, struct mountopt *m, struct err *e)
{
	int c, r = 0;

	opterr = 0;
	while (r == 0 && (c = getopt(argc, argv, "sfnvN:t:o:")) >= 0) {
		if (c == 'f')
			call->fake = true;
		else if (c == 'v')
			call->verbose = true;
		else if (c == 'o')
			r = mountopt_parse(m, optarg, e);
		else if (c == '?')
			r = err_set(e, ERR_USAGE, -EINVAL, "wrong call");
	}
	if (r == 0 && argc - optind != 2)
		r = err_set(e, ERR_USAGE, -EINVAL, "SPEC and DIR are wanted");
	if (r == 0) {
		call->spec = argv[optind];
		call->directory = argv[optind + 1];
	}
	return r;
}

/* Options of the configuration come first, so that those of the call win. */
static int prepare(struct cli *cli, int argc, char **argv, struct call *call, struct mountopt *m,
		   struct err *e)
{
	struct mountopt first;
	int r;

	mountopt_init(&first);
	r = parse(argc, argv, call, &first, e);
	if (r == 0)
		r = config_load(first.config_path, &cli->config, e);
	mountopt_deinit(&first);
	if (r == 0)
		r = mountcmd_configure(cli, m, e);
	optind = 0;
	if (r == 0)
		r = parse(argc, argv, call, m, e);
	return r;
}

int run_mount_helper(int argc, char **argv)
{
	struct cli cli = { .command = "mount", .clock = clock_system() };
	struct call call = { .spec = NULL };
	struct err e = ERR_INIT;
	struct mountopt m;
	char text[2048];
	int code;

	if (argc < 3)
		return usage();
	run_prepare();
	mountopt_init(&m);
	if (prepare(&cli, argc, argv, &call, &m, &e) < 0) {
		fprintf(stderr, "mount.fuse.sstablefs: %s\n", err_describe(&e, text, sizeof(text)));
		return MOUNT_USAGE;
	}
	cli.repository = call.spec;
	cli.verbose = call.verbose;
	cli.metrics = metrics_new();
	if (!cli.metrics)
		return MOUNT_FAILED;
	code = call.fake || mountcmd_run(&cli, call.directory, &m, false) == EXIT_DONE
		       ? 0
		       : MOUNT_FAILED;
	mountopt_deinit(&m);
	metrics_free(cli.metrics);
	if (cli.config)
		config_free(cli.config);
	return code;
}
