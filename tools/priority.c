/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/priority.h"

#include <linux/ioprio.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define BACKUP_NICE 10 /* P8: a production node is not hurt */

static const struct class
{
	const char *name;
	int class, level; /* ioprio_set(2); IOPRIO_CLASS_NONE: what it was started with */
} classes[] = {
	{ "idle", IOPRIO_CLASS_IDLE, 0 },
	{ "best-effort", IOPRIO_CLASS_BE, 4 },
	{ "none", IOPRIO_CLASS_NONE, 0 },
};

struct priority {
	uint64_t nice;
	const struct class *io;
};

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

static int find(const struct cli *cli, const char *section, struct priority *ret, struct err *e)
{
	bool backup = strcmp(section, "backup") == 0;
	const char *nice_text = config_get(cli->config, section, "nice");
	const char *class = config_get(cli->config, section, "ionice");
	int r;

	*ret = (struct priority){ .nice = backup ? BACKUP_NICE : 0 };
	r = nice_text ? cli_number("nice", nice_text, 0, 19, &ret->nice, e) : 0;
	if (r < 0)
		return err_wrap(e, r, "configuration, [%s]", section);
	class = class ? class : backup ? "idle" : "none";
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
		if (strcmp(class, classes[i].name) == 0)
			ret->io = &classes[i];
	return ret->io ? 0
		       : err_set(e, ERR_USAGE, -EINVAL,
				 "configuration, [%s]: ionice '%s': idle, best-effort or none is wanted",
				 section, class);
}

int priority_check(const struct cli *cli, const char *section, struct err *e)
{
	struct priority p;

	return find(cli, section, &p, e);
}

int priority_step_back(const struct cli *cli, const char *section, struct err *e)
{
	struct priority p;
	int r = find(cli, section, &p, e);

	if (r < 0)
		return r;
	set_nice((int)p.nice);
	set_io_class(p.io->class, p.io->level);
	return 0;
}

/* ---- aside ---- */

struct aside {
	const struct cli *cli;
	const char *section;
	int (*fn)(void *ctx, struct err *e);
	void *ctx;
	struct err *e;
	int result;
};

static void *run(void *arg)
{
	struct aside *a = arg;

	a->result = priority_step_back(a->cli, a->section, a->e);
	if (a->result == 0)
		a->result = a->fn(a->ctx, a->e);
	return NULL;
}

int priority_aside(const struct cli *cli, const char *section, int (*fn)(void *ctx, struct err *e),
		   void *ctx, struct err *e)
{
	struct aside a = { .cli = cli, .section = section, .fn = fn, .ctx = ctx, .e = e };
	pthread_t thread;
	int r = pthread_create(&thread, NULL, run, &a);

	if (r != 0)
		return err_errno(e, -r, "cannot start a thread");
	pthread_join(thread, NULL);
	return a.result;
}
