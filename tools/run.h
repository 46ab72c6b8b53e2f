/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, whole: global options, the command, the exit code. */
#ifndef SSTABLEFS_TOOLS_RUN_H
#define SSTABLEFS_TOOLS_RUN_H

/* What every process of ours does first: signals that are errors of a write are ignored, the allocator is bounded. */
void run_prepare(void);
int run_command_line(int argc, char **argv);
/* mount.fuse.sstablefs: what mount(8) passes to helpers. Exit codes 0, 1, 32. */
int run_mount_helper(int argc, char **argv);

#endif
