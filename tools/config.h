/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file (CLI.md, "Configuration file"): known keys only, an unknown one is an error that names the nearest. */
#ifndef SSTABLEFS_TOOLS_CONFIG_H
#define SSTABLEFS_TOOLS_CONFIG_H

#include "base/err.h"

struct config;

/* path NULL: $SSTABLEFS_CONFIG, else ~/.config/sstablefs/sstablefs.conf, else /etc/sstablefs/sstablefs.conf, where there is one. A path that was named must exist. */
int config_load(const char *path, struct config **ret, struct err *e);
void config_free(struct config *c);
DEFINE_CLEANUP(struct config *, config_free);
/* NULL: not set. */
const char *config_get(const struct config *c, const char *section, const char *key);
/* Of the file that was read; NULL: there is none. */
const char *config_path(const struct config *c);
/* Every entry of a section, in order. fn: 0 go on, < 0 fail. */
typedef int config_each_fn(void *ctx, const char *key, const char *value, struct err *e);
int config_each(const struct config *c, const char *section, config_each_fn *fn, void *ctx,
		struct err *e);

#endif
