/* SPDX-License-Identifier: Apache-2.0 */
/* mount.fuse.sstablefs SPEC DIR [-sfnv] [-N NS] [-t TYPE] [-o OPTION,…] */
#include "tools/run.h"

int main(int argc, char **argv)
{
	return run_mount_helper(argc, argv);
}
