/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/priority.h"

#include <linux/ioprio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define NICE 10 /* P8: a production node is not hurt */

/* Whoever started us with a lower priority meant it: it is never raised. */
static void set_nice(int level)
{
	int now = getpriority(PRIO_PROCESS, 0);

	if (level > now)
		setpriority(PRIO_PROCESS, 0, level);
}

static void set_io_class(int class, int level)
{
	long now = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);

	if (class != IOPRIO_CLASS_NONE && now >> IOPRIO_CLASS_SHIFT != IOPRIO_CLASS_IDLE)
		syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(class, level));
}

int priority_step_back(const struct cli *cli, struct err *e)
{
	static const struct {
		const char *name;
		int class, level; /* ioprio_set(2); IOPRIO_CLASS_NONE: what it was started with */
	} classes[] = {
		{ "idle", IOPRIO_CLASS_IDLE, 0 },
		{ "best-effort", IOPRIO_CLASS_BE, 4 },
		{ "none", IOPRIO_CLASS_NONE, 0 },
	};
	const char *nice_text = config_get(cli->config, "backup", "nice");
	const char *class = config_get(cli->config, "backup", "ionice");
	uint64_t level = NICE;
	int r = nice_text ? cli_number("[backup] nice", nice_text, 0, 19, &level, e) : 0;

	if (r < 0)
		return r;
	set_nice((int)level);
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		if (strcmp(class ? class : "idle", classes[i].name) != 0)
			continue;
		set_io_class(classes[i].class, classes[i].level);
		return 0;
	}
	return err_set(e, ERR_USAGE, -EINVAL,
		       "[backup] ionice = %s: idle, best-effort or none is wanted", class);
}
