/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/commands.h"
#include "tools/unmount.h"

enum { OPT_LAZY = OPT_COMMAND, OPT_FORCE };

int cmd_umount(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = { { "lazy", no_argument, NULL, OPT_LAZY },
						 { "force", no_argument, NULL, OPT_FORCE },
						 COMMON_HELP,
						 { NULL, 0, NULL, 0 } };
	bool lazy = false, force = false;
	struct err e = ERR_INIT;
	int c;

	while ((c = cli_getopt(argc, argv, options, &e)) >= 0) {
		if (c == '?')
			return cli_fail(cli, &e);
		lazy = lazy || c == OPT_LAZY;
		force = force || c == OPT_FORCE;
	}
	if (argc - optind != 1)
		return cli_usage(cli, "umount needs one mount point");
	return unmount_run(argv[optind], lazy, force, &e) < 0 ? cli_fail(cli, &e) : EXIT_DONE;
}
