/* SPDX-License-Identifier: Apache-2.0 */
/* The policy of purge, from its options and from [purge] of the configuration. */
#ifndef SSTABLEFS_TOOLS_PURGEPOLICY_H
#define SSTABLEFS_TOOLS_PURGEPOLICY_H

#include "catalog/policy.h"
#include "tools/cli.h"

enum purgepolicy_part {
	PURGEPOLICY_LAST,
	PURGEPOLICY_DAILY,
	PURGEPOLICY_WEEKLY,
	PURGEPOLICY_MONTHLY,
	PURGEPOLICY_OLDER_THAN,
	PURGEPOLICY_PARTS
};

/* As an option says it. ERR_USAGE. */
int purgepolicy_option(struct policy *p, enum purgepolicy_part part, const char *value,
		       struct err *e);
/* What [purge] says. *ret_any: something. ERR_USAGE naming the key. */
int purgepolicy_config(const struct cli *cli, struct policy *p, bool *ret_any, struct err *e);

#endif
