/* SPDX-License-Identifier: Apache-2.0 */
/* Mount options (CLI.md, "Mount options"): from -o, fstab and [mount] of the configuration. */
#ifndef SSTABLEFS_TOOLS_MOUNTOPT_H
#define SSTABLEFS_TOOLS_MOUNTOPT_H

#include "fs/mount.h"

struct mountopt {
	struct mount_options o; /* strings are owned by this struct */
	char *strings[16];
	size_t string_count;
	bool has_overlay;
	char *log_path, *trace_path, *config_path;
};

void mountopt_init(struct mountopt *m);
void mountopt_deinit(struct mountopt *m);
/* "a,b=c,…"; `\,` is a comma in a value. -EINVAL (ERR_USAGE): unknown, without its value, not a number; the nearest name is given. */
int mountopt_parse(struct mountopt *m, const char *text, struct err *e);
/* Once all are set: how memory= is divided. -EINVAL (ERR_USAGE): overlay_size= does not fit. */
int mountopt_finish(struct mountopt *m, struct err *e);
/* One option; value NULL or "" where it has none. */
int mountopt_set(struct mountopt *m, const char *name, const char *value, struct err *e);
/* All names of our own, NULL at the end. */
const char *const *mountopt_names(void);

#endif
