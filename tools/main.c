/* SPDX-License-Identifier: Apache-2.0 */
/* sstablefs [-r URL] [--config FILE] [--json] [-q|-v] COMMAND [options] [arguments] */
#include "tools/run.h"

int main(int argc, char **argv)
{
	return run_command_line(argc, argv);
}
