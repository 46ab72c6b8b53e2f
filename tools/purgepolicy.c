/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/purgepolicy.h"

#include "tools/age.h"

#define KEEP_MAX 1000000

static const struct {
	const char *key, *option;
} names[] = {
	[PURGEPOLICY_LAST] = { "keep_last", "--keep-last" },
	[PURGEPOLICY_DAILY] = { "keep_daily", "--keep-daily" },
	[PURGEPOLICY_WEEKLY] = { "keep_weekly", "--keep-weekly" },
	[PURGEPOLICY_MONTHLY] = { "keep_monthly", "--keep-monthly" },
	[PURGEPOLICY_OLDER_THAN] = { "older_than", "--older-than" },
};

static int set(struct policy *p, enum purgepolicy_part part, const char *what, const char *value,
	       struct err *e)
{
	uint64_t *keep[] = { &p->keep_last, &p->keep_daily, &p->keep_weekly, &p->keep_monthly };

	if (part == PURGEPOLICY_OLDER_THAN)
		return age_parse(what, value, &p->older_than_ms, e);
	return cli_number(what, value, 0, KEEP_MAX, keep[part], e);
}

int purgepolicy_option(struct policy *p, enum purgepolicy_part part, const char *value,
		       struct err *e)
{
	return set(p, part, names[part].option, value, e);
}

int purgepolicy_config(const struct cli *cli, struct policy *p, bool *ret_any, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < PURGEPOLICY_PARTS; i++) {
		const char *value = config_get(cli->config, "purge", names[i].key);

		if (!value)
			continue;
		*ret_any = true;
		r = set(p, i, names[i].key, value, e);
	}
	return r < 0 ? err_wrap(e, r, "configuration, [purge]") : 0;
}
