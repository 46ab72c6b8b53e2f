/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/doctorconf.h"

#include <string.h>
#include "store/url.h"
#include "tools/asknode.h"
#include "tools/checkquery.h"
#include "tools/gcnodes.h"
#include "tools/hooks.h"
#include "tools/mountcmd.h"
#include "tools/names.h"
#include "tools/nodecommand.h"
#include "tools/priority.h"
#include "tools/purgepolicy.h"
#include "tools/sshconf.h"

typedef int reader(struct cli *cli, const char *section, struct err *e);

static int read_limits(struct cli *cli, const char *section, struct err *e)
{
	struct common c;

	return common_init(&c, cli, section, 1, e);
}

static int read_priority(struct cli *cli, const char *section, struct err *e)
{
	return priority_check(cli, section, e);
}

static int read_fence(struct cli *cli, const char *section, struct err *e)
{
	struct gcnodes_options o = { .full = false };

	(void)section;
	return gcnodes_config(cli, &o, e);
}

static int read_policy(struct cli *cli, const char *section, struct err *e)
{
	struct policy p = { .force = false };
	bool any;

	(void)section;
	return purgepolicy_config(cli, &p, &any, e);
}

static int read_mount(struct cli *cli, const char *section, struct err *e)
{
	struct mountopt m;
	int r;

	(void)section;
	mountopt_init(&m);
	r = mountcmd_configure(cli, &m, e);
	if (r == 0)
		r = mountopt_finish(&m, e);
	mountopt_deinit(&m);
	return r;
}

static int read_url(struct cli *cli, const char *section, struct err *e)
{
	const char *text = config_get(cli->config, section, "url");
	struct url url;
	int r = text && *text ? url_parse(text, &url, e) : 1;

	if (r == 0)
		url_deinit(&url);
	return MIN_OF(r, 0);
}

static int read_names(struct cli *cli, const char *section, struct err *e)
{
	(void)section;
	return names_check_config(cli, e);
}

static int read_node(struct cli *cli, const char *section, struct err *e)
{
	struct asknode ask;
	int r = asknode_init(&ask, cli, e);

	(void)section;
	asknode_deinit(&ask);
	return r;
}

static int read_ssh(struct cli *cli, const char *section, struct err *e)
{
	struct sshconf c;
	int r = sshconf_init(&c, cli, e);

	(void)section;
	sshconf_deinit(&c);
	return r;
}

static int read_hooks(struct cli *cli, const char *section, struct err *e)
{
	static const char *const none[] = { NULL };

	(void)section;
	return hooks_check(cli, none, e); /* their time; doctor names each of them */
}

static int read_checks(struct cli *cli, const char *section, struct err *e)
{
	struct checkquery q;

	(void)section;
	return checkquery_config(cli, &q, e);
}

unsigned doctorconf_check(struct cli *cli, void (*fn)(void *ctx, const char *text), void *ctx)
{
	static const struct {
		const char *section;
		reader *read;
	} parts[] = {
		{ "repository", read_url },   { "cassandra", read_names },
		{ "cassandra", read_node },   { "backup", read_limits },
		{ "backup", read_priority },  { "restore", read_limits },
		{ "restore", read_priority }, { "verify", read_limits },
		{ "gc", read_limits },	      { "gc", read_fence },
		{ "purge", read_policy },     { "ssh", read_ssh },
		{ "hooks", read_hooks },      { "checks", read_checks },
		{ "mount", read_mount },
	};
	unsigned count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct err e = ERR_INIT;

		if (parts[i].read(cli, parts[i].section, &e) >= 0)
			continue;
		fn(ctx, e.message);
		count++;
	}
	return count;
}

/* ---- programs and files ---- */

struct finding {
	struct cli *cli;
	void (*fn)(void *ctx, const char *text);
	void *ctx;
	unsigned count;
};

static void tell(struct finding *f, const char *section, const char *key, const char *value,
		 const char *why)
{
	_cleanup_free_ char *text = util_printf("[%s] %s = %s: %s", section, key, value, why);

	f->fn(f->ctx, text ? text : why);
	f->count++;
}

static void look_for_program(struct finding *f, const char *section, const char *key)
{
	const char *program = config_get(f->cli->config, section, key);

	if (program && *program && !nodecommand_exists(program))
		tell(f, section, key, program, "there is no such program");
}

static void look_for_command(struct finding *f, const char *key, enum nodecommand which)
{
	const char *line = config_get(f->cli->config, "cassandra", key);
	struct err e = ERR_INIT;

	if (line && *line && nodecommand_check(f->cli, which, &e) < 0)
		tell(f, "cassandra", key, line, e.message);
}

/* What ssh makes of "~" and "%" is its own. */
static void look_for_file(struct finding *f, const char *section, const char *key)
{
	const char *path = config_get(f->cli->config, section, key);

	if (path && *path == '/' && access(path, R_OK) < 0)
		tell(f, section, key, path, strerrordesc_np(errno));
}

unsigned doctorconf_find(struct cli *cli, void (*fn)(void *ctx, const char *text), void *ctx)
{
	struct finding f = { .cli = cli, .fn = fn, .ctx = ctx };

	look_for_program(&f, "cassandra", "nodetool");
	look_for_program(&f, "cassandra", "cqlsh");
	look_for_program(&f, "cassandra", "sstableloader");
	look_for_command(&f, "stop_command", NODECOMMAND_STOP);
	look_for_command(&f, "start_command", NODECOMMAND_START);
	look_for_program(&f, "ssh", "program");
	look_for_file(&f, "ssh", "config");
	look_for_file(&f, "ssh", "identity_file");
	look_for_file(&f, "ssh", "certificate_file");
	look_for_file(&f, "repository", "ca");
	return f.count;
}
