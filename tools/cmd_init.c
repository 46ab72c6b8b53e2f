/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "tools/commands.h"

enum { OPT_COMPRESSION = OPT_COMMAND };

static int parse(int argc, char **argv, enum object_compression *ret, struct err *e)
{
	static const struct option options[] = { { "compression", required_argument, NULL,
						   OPT_COMPRESSION },
						 COMMON_HELP,
						 { NULL, 0, NULL, 0 } };
	int c;

	*ret = OBJECT_COMPRESS_ZSTD;
	while ((c = cli_getopt(argc, argv, options, e)) >= 0) {
		if (c == '?')
			return e->code;
		if (strcmp(optarg, "none") == 0)
			*ret = OBJECT_COMPRESS_NONE;
		else if (strcmp(optarg, "zstd") != 0)
			return err_set(e, ERR_USAGE, -EINVAL,
				       "--compression '%s': zstd or none is wanted", optarg);
	}
	return optind < argc
		       ? err_set(e, ERR_USAGE, -EINVAL,
				 "init takes no argument: '%s' (the repository is named by -r)",
				 argv[optind])
		       : 0;
}

int cmd_init(struct cli *cli, int argc, char **argv)
{
	enum object_compression compression;
	struct session s = { .store = NULL };
	struct err e = ERR_INIT;
	struct common common;
	int r = parse(argc, argv, &compression, &e);

	if (r == 0)
		r = common_init(&common, cli, NULL, 4, &e);
	if (r == 0)
		r = session_open_store(cli, &common, true, &s, &e);
	if (r == 0)
		r = repo_init(s.store, compression, cli->clock, &e);
	if (r == 0)
		r = repo_open(s.store, REPO_READ | REPO_WRITE, cli->clock, &cli->cancel, &s.repo,
			      &e);
	if (r < 0) {
		r = cli_fail(cli, &e);
	} else if (cli->json) {
		r = cli_print_json(cli, json_pack("{s:s, s:s, s:i}", "repository", s.url, "id",
						  repo_id(s.repo), "format", FORMAT_VERSION));
	} else if (!cli->quiet) {
		printf("created repository %s at %s\n", repo_id(s.repo), s.url);
	}
	session_close(&s);
	return r;
}
