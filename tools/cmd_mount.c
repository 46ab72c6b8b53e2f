/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syslog.h>
#include "fs/mountpoint.h"
#include "tools/commands.h"
#include "tools/daemon.h"
#include "tools/mountcmd.h"

struct serving {
	struct cli *cli;
	struct mountopt *m;
	struct session s;
	struct mount *mount;
	struct daemon_link link;
	struct log *log;
	char *cache_dir, *mountpoint, *default_node;
	int log_fd;
};

/* The mount that a signal ends; set before the handler can run. */
static struct mount *signal_mount;

static void on_end(int signal)
{
	(void)signal;
	mount_stop(signal_mount);
}

static void catch_end(struct mount *mount)
{
	struct sigaction act = { .sa_handler = on_end };

	signal_mount = mount;
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
}

static int open_log(struct serving *v, bool foreground, struct err *e)
{
	const char *path = v->m->log_path;
	enum log_level level = v->cli->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;

	v->log_fd = -1;
	if (path) {
		v->log_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
		if (v->log_fd < 0)
			return err_errno(e, -errno, "cannot open the log %s", path);
		v->log = log_new(v->cli->clock, level, log_to_fd, (void *)(intptr_t)v->log_fd);
	} else if (foreground) {
		v->log = log_new(v->cli->clock, level, log_to_stderr, NULL);
	} else {
		openlog("sstablefs", LOG_PID, LOG_DAEMON);
		v->log = log_new(v->cli->clock, level, log_to_syslog, NULL);
	}
	return v->log ? 0 : err_nomem(e);
}

static int open_trace(struct serving *v, struct err *e)
{
	if (!v->m->trace_path)
		return 0;
	v->m->o.trace_fd = open(v->m->trace_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	return v->m->o.trace_fd < 0
		       ? err_errno(e, -errno, "cannot open the trace %s", v->m->trace_path)
		       : 0;
}

static int open_all(struct serving *v, bool foreground, struct err *e)
{
	struct common common = { .connections = v->m->o.connections,
				 .memory_bytes = v->m->o.memory_bytes,
				 .jobs = 1 };
	int r = open_log(v, foreground, e);

	common.log = v->log;
	if (r == 0)
		r = open_trace(v, e);
	if (r == 0)
		r = session_open_store(v->cli, &common, false, &v->s, e);
	if (r == 0)
		r = repo_open(v->s.store, REPO_READ, v->cli->clock, NULL, &v->s.repo, e);
	if (r < 0)
		return r;
	if (!v->m->o.cache_dir) {
		v->cache_dir = session_cache_dir();
		v->m->o.cache_dir = v->cache_dir;
	}
	v->m->o.mountpoint = v->mountpoint;
	v->m->o.fsname = v->s.url;
	v->m->o.log = v->log;
	v->m->o.metrics = v->cli->metrics;
	v->m->o.clock = v->cli->clock;
	if (v->m->o.pin) {
		v->default_node = session_default_node(v->cli);
		v->m->o.default_node = v->default_node;
	}
	if (!v->m->o.cache_dir || (v->m->o.pin && !v->default_node))
		return err_nomem(e);
	return mount_open(v->s.repo, &v->m->o, &v->mount, e);
}

static void ready(void *ctx)
{
	struct serving *v = ctx;

	log_write(v->log, LOG_LEVEL_INFO, "mounted", "mounted %s on %s", v->s.url, v->mountpoint);
	daemon_notify("READY=1");
	daemon_ready(&v->link);
}

static int serve(struct serving *v, bool foreground, struct err *e)
{
	int r = open_all(v, foreground, e);

	if (r < 0)
		return r;
	catch_end(v->mount);
	r = mount_serve(v->mount, ready, v, e);
	daemon_notify("STOPPING=1");
	log_write(v->log, LOG_LEVEL_INFO, "unmounted", "the mount on %s ended", v->mountpoint);
	return r;
}

static void serving_deinit(struct serving *v)
{
	if (v->mount)
		mount_close(v->mount);
	session_close(&v->s);
	if (v->log)
		log_free(v->log);
	if (v->log_fd >= 0)
		close(v->log_fd);
	if (v->m->o.trace_fd >= 0)
		close(v->m->o.trace_fd);
	free(v->default_node);
	free(v->cache_dir);
	free(v->mountpoint);
}

int mountcmd_run(struct cli *cli, const char *mountpoint, struct mountopt *m, bool foreground)
{
	struct serving v = { .cli = cli, .m = m, .link = { -1 }, .log_fd = -1 };
	struct err e = ERR_INIT;
	int r = mountopt_finish(m, &e);

	if (r < 0)
		return cli_fail(cli, &e);
	/* The daemon leaves this directory. A missing one is explained later. */
	v.mountpoint = mountpoint_absolute(mountpoint);
	if (!v.mountpoint)
		v.mountpoint = strdup(mountpoint);
	if (!foreground)
		r = daemon_begin(&v.link, &e);
	if (r == 0) {
		r = serve(&v, foreground, &e);
		if (r < 0)
			daemon_failed(&v.link, &e);
		serving_deinit(&v);
		if (!foreground)
			return r < 0 ? EXIT_FAILED : EXIT_DONE; /* the parent prints the error */
	} else {
		free(v.mountpoint);
	}
	return r < 0 ? cli_fail(cli, &e) : EXIT_DONE;
}

static int configured_option(void *ctx, const char *key, const char *value, struct err *e)
{
	return mountopt_set(ctx, key, value, e);
}

int mountcmd_configure(struct cli *cli, struct mountopt *m, struct err *e)
{
	int r = config_each(cli->config, "mount", configured_option, m, e);

	return r < 0 ? err_wrap(e, r, "configuration") : 0;
}

static int parse(int argc, char **argv, struct mountopt *m, bool *ret_foreground, struct err *e)
{
	static const struct option options[] = { COMMON_HELP, { NULL, 0, NULL, 0 } };
	int c, r = 0;

	opterr = 0;
	while (r == 0 && (c = getopt_long(argc, argv, ":fo:", options, NULL)) >= 0) {
		if (c == 'f')
			*ret_foreground = true;
		else if (c == 'o')
			r = mountopt_parse(m, optarg, e);
		else
			r = err_set(e, ERR_USAGE, -EINVAL,
				    c == ':' ? "option '%s' needs a value" : "unknown option '%s'",
				    argv[optind - 1]);
	}
	if (r == 0 && argc - optind != 1)
		r = err_set(e, ERR_USAGE, -EINVAL, "mount needs one mount point");
	return r;
}

int cmd_mount(struct cli *cli, int argc, char **argv)
{
	bool foreground = false;
	struct err e = ERR_INIT;
	struct mountopt m;
	int r;

	mountopt_init(&m);
	r = mountcmd_configure(cli, &m, &e);
	if (r == 0)
		r = parse(argc, argv, &m, &foreground, &e);
	r = r < 0 ? cli_fail(cli, &e) : mountcmd_run(cli, argv[optind], &m, foreground);
	mountopt_deinit(&m);
	return r;
}
