/* SPDX-License-Identifier: Apache-2.0 */
/* Mounting, for the command and for the helper of mount(8). */
#ifndef SSTABLEFS_TOOLS_MOUNTCMD_H
#define SSTABLEFS_TOOLS_MOUNTCMD_H

#include "tools/cli.h"
#include "tools/mountopt.h"

/* Mounts and serves: in the foreground until the end, else returns 0 in the parent once the mount is ready. The exit code of the process that returns. */
int mountcmd_run(struct cli *cli, const char *mountpoint, struct mountopt *m, bool foreground);
/* [mount] of the configuration into m, which is empty. */
int mountcmd_configure(struct cli *cli, struct mountopt *m, struct err *e);

#endif
