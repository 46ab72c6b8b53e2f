/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/statvfs.h>
#include "base/io.h"
#include "catalog/probe.h"
#include "cassandra/leftover.h"
#include "cassandra/tags.h"
#include "fs/mountpoint.h"
#include "tools/asknode.h"
#include "tools/commands.h"
#include "tools/doctorconf.h"
#include "tools/hooks.h"
#include "tools/live.h"

#define SKEW_WARNING_S 60
#define ASK_TIMEOUT_MS 30000 /* of a call of nodetool */
#define SKEW_ERROR_S 900     /* S3 refuses signatures that are further off */

enum level { LEVEL_OK, LEVEL_WARNING, LEVEL_ERROR };

struct report {
	struct cli *cli;
	json_t *list;
	enum level worst;
	struct facts *facts; /* of the node that runs here; NULL: none answers */
};

static void line(struct report *r, enum level level, const char *check, const char *fmt, ...)
	_printf_(4, 5);

static void line(struct report *r, enum level level, const char *check, const char *fmt, ...)
{
	static const char *const words[] = { "ok", "warning", "error" };
	char text[1400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->worst = MAX_OF(r->worst, level);
	if (r->cli->json)
		json_array_append_new(r->list,
				      json_pack("{s:s, s:s, s:o}", "check", check, "result",
						words[level], "message", json_text(text)));
	else
		cli_print_line(NULL, "%-8s %-12s %s", words[level], check, text);
}

static void check_fuse(struct report *r)
{
	if (access("/dev/fuse", F_OK) < 0)
		line(r, LEVEL_ERROR, "fuse",
		     "there is no /dev/fuse: load the kernel module (modprobe fuse), or give the container the device");
	else if (access("/dev/fuse", R_OK | W_OK) < 0)
		line(r, LEVEL_ERROR, "fuse", "no permission to open /dev/fuse");
	else if (geteuid() != 0 && system("command -v fusermount3 >/dev/null 2>&1") != 0)
		line(r, LEVEL_ERROR, "fuse",
		     "users need fusermount3 to mount: install the package fuse3");
	else
		line(r, LEVEL_OK, "fuse", "/dev/fuse can be opened");
}

static void stale_mount(void *ctx, const char *path, const char *source)
{
	line(ctx, LEVEL_WARNING, "mounts",
	     "%s is a stale mount: the process that served %s is gone (clear it with: sstablefs umount %s; mounting again does too)",
	     path, source, path);
}

static void check_cache(struct report *r)
{
	_cleanup_free_ char *path = session_cache_dir();
	struct statvfs st;
	char text[32];

	if (!path || io_mkdirs(AT_FDCWD, path, 0700) < 0 || access(path, W_OK) < 0 ||
	    statvfs(path, &st) < 0)
		line(r, LEVEL_WARNING, "cache",
		     "%s cannot be written: mounts need -o cache_dir=, other commands work without",
		     path ? path : "");
	else if ((uint64_t)st.f_bavail * st.f_frsize < 1 * GIB)
		line(r, LEVEL_WARNING, "cache",
		     "%s has only %s left, mounts use up to cache_size= (1 GiB)", path,
		     util_format_bytes(text, (uint64_t)st.f_bavail * st.f_frsize));
	else
		line(r, LEVEL_OK, "cache", "%s", path);
}

static void check_clock(struct report *r, struct session *s)
{
	struct store_meta meta;
	int64_t skew_s;
	struct err e = ERR_INIT;

	if (store_head(s->store, KEY_REPOSITORY, &meta, &r->cli->cancel, &e) != 0 ||
	    meta.date_ns == 0)
		return;
	skew_s = (clock_wall_ns(r->cli->clock) - meta.date_ns) / 1000000000;
	if (skew_s < 0)
		skew_s = -skew_s;
	if (skew_s >= SKEW_ERROR_S)
		line(r, LEVEL_ERROR, "clock",
		     "this host's clock is %lld s away from the store's: set it (NTP)",
		     (long long)skew_s);
	else if (skew_s >= SKEW_WARNING_S)
		line(r, LEVEL_WARNING, "clock", "this host's clock is %lld s away from the store's",
		     (long long)skew_s);
	else
		line(r, LEVEL_OK, "clock", "within %lld s of the store's", (long long)skew_s);
}

/* Where this host's backups go, as backup finds it out. False: it has no name here. */
static bool own_place(const struct report *r, const struct common *c, struct node_name *ret)
{
	const char *cluster = c->cluster ? c->cluster
					 : config_get(r->cli->config, "cassandra", "cluster");
	_cleanup_free_ char *own = session_default_node(r->cli);
	const char *node = c->node ? c->node : own;

	if (!node || keys_check_name("node", node, NULL) < 0)
		return false;
	strcpy(ret->node, node);
	if (!cluster && r->facts && *r->facts->cluster) {
		keys_clean_name(ret->cluster, r->facts->cluster);
		return true;
	}
	if (!cluster || keys_check_name("cluster", cluster, NULL) < 0)
		return false;
	strcpy(ret->cluster, cluster);
	return true;
}

static void check_conditions(struct report *r, struct session *s, const struct common *c)
{
	struct probe_result p;
	struct node_name n;
	struct err e = ERR_INIT;

	if (!own_place(r, c, &n)) {
		line(r, LEVEL_OK, "conditional",
		     "not tried, as no Cassandra runs here: --cluster and --node name the part of the repository to try them in");
		return;
	}
	if (probe_run(s->repo, &n, &p, &r->cli->cancel, &e) < 0)
		line(r, LEVEL_ERROR, "conditional", "conditional requests could not be tried: %s",
		     e.message);
	else if (!probe_passed(&p))
		line(r, LEVEL_ERROR, "conditional",
		     "the store does not honour %s%s%s: backups work, but delete, purge and gc will refuse",
		     p.if_absent ? "" : "If-None-Match ", p.if_match_stale ? "" : "If-Match ",
		     p.if_match_missing ? "" : "If-Match on a missing key ");
	else
		line(r, p.may_delete ? LEVEL_OK : LEVEL_WARNING, "conditional", "%s",
		     p.may_delete
			     ? "the store honours If-None-Match and If-Match"
			     : "the store honours conditional requests; these credentials may not delete, which is enough for all but gc");
}

/* False: there are none, so nothing can be asked of the store. */
static bool check_credentials(struct report *r, const struct common *c)
{
	char source[CREDS_SOURCE_MAX], text[2048];
	struct err e = ERR_INIT;
	int rc = session_credentials(r->cli, c, source, &e);

	if (rc == 0)
		line(r, LEVEL_OK, "credentials", "from %s", source);
	else if (rc < 0 && (e.kind == ERR_CREDENTIALS || e.kind == ERR_STORE))
		line(r, LEVEL_ERROR, "credentials", "%s", err_describe(&e, text, sizeof(text)));
	/* All else is said again when the repository is opened. */
	return rc >= 0 || (e.kind != ERR_CREDENTIALS && e.kind != ERR_STORE);
}

static void check_repository(struct report *r, const struct common *c)
{
	struct session_options open = { .access = REPO_READ, .common = c, .no_cache = true };
	struct session s = { .store = NULL };
	struct err e = ERR_INIT;
	char text[2048];

	if (session_open(r->cli, &open, &s, &e) < 0) {
		line(r, LEVEL_ERROR, e.kind == ERR_CREDENTIALS ? "credentials" : "repository", "%s",
		     err_describe(&e, text, sizeof(text)));
	} else {
		line(r, LEVEL_OK, "repository", "%s can be read (id %s, format %d)", s.url,
		     repo_id(s.repo), FORMAT_VERSION);
		check_clock(r, &s);
		check_conditions(r, &s, c);
	}
	session_close(&s);
}

/* ---- Cassandra ---- */

static void check_data_dirs(struct report *r, const struct facts *f)
{
	size_t unreadable = 0;

	for (size_t i = 0; i < f->data_dir_count; i++) {
		if (access(f->data_dirs[i], R_OK | X_OK) == 0)
			continue;
		unreadable++;
		line(r, LEVEL_ERROR, "cassandra",
		     "its data directory %s cannot be read: %s (run backups as the user that runs Cassandra, or as root)",
		     f->data_dirs[i], strerrordesc_np(errno));
	}
	if (unreadable == 0)
		line(r, LEVEL_OK, "cassandra", "%s, %s, cluster %s: %zu data %s can be read",
		     f->version, f->address, f->cluster, f->data_dir_count,
		     f->data_dir_count == 1 ? "directory" : "directories");
}

static void check_leftovers(struct report *r, const struct facts *f)
{
	_cleanup_free_ char *state = live_state_dir();
	char **tags = tags_with_prefix((const char *const *)f->data_dirs, f->data_dir_count,
				       LIVE_TAG_PREFIX);

	for (size_t i = 0; state && tags && tags[i]; i++) {
		switch (leftover_look(state, tags[i])) {
		case LEFTOVER_RUNNING:
			break;
		case LEFTOVER_DEAD:
			line(r, LEVEL_WARNING, "snapshots",
			     "%s is left of a run that ended early: the next backup clears it",
			     tags[i]);
			break;
		default:
			line(r, LEVEL_WARNING, "snapshots",
			     "%s is not known here, so nothing will clear it; if no backup of another host or user uses it: nodetool clearsnapshot -t %s",
			     tags[i], tags[i]);
		}
	}
	tags_free(tags);
}

static bool is_configured(const struct cli *cli)
{
	static const char *const keys[] = { "nodetool",
					    "jmx_host",
					    "jmx_port",
					    "jmx_username",
					    "cqlsh",
					    "cql_host",
					    "cql_credentials_file",
					    "cqlshrc",
					    "cql_ssl" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (config_get(cli->config, "cassandra", keys[i]))
			return true;
	return false;
}

/* Backups store the schema that cqlsh tells, restore-node knows by it when the node answers again. */
static void check_cql(struct report *r, const struct asknode *ask, const struct facts *f)
{
	const struct cqlsh cqlsh = asknode_cqlsh(ask, f->address);
	_cleanup_free_ char *id = NULL;
	struct err e = ERR_INIT;
	int n = cqlsh_value(&cqlsh,
			    "SELECT JSON host_id AS value FROM system.local WHERE key = 'local'",
			    &id, &e);

	if (n < 0)
		line(r, LEVEL_ERROR, "cql", "%s", e.message);
	else if (strcasecmp(id, f->host_id) != 0)
		line(r, LEVEL_WARNING, "cql",
		     "the node that answers at %s is %s, not this host's, %s: [cassandra] cql_host must name this one",
		     cqlsh.host, id, f->host_id);
	else
		line(r, LEVEL_OK, "cql", "%s answers at %s", cqlsh.program, cqlsh.host);
}

/* A host need not have a Cassandra: it may only mount and restore. */
static void check_cassandra(struct report *r)
{
	struct facts *f = NULL;
	struct asknode ask;
	struct err e = ERR_INIT;
	int n = asknode_init(&ask, r->cli, &e);

	if (n < 0) {
		/* What the configuration says wrongly was told. */
		if (e.kind != ERR_USAGE)
			line(r, LEVEL_ERROR, "cassandra", "%s", e.message);
		asknode_deinit(&ask);
		return;
	}
	ask.nodetool.timeout_ms = MIN_OF(ask.nodetool.timeout_ms, ASK_TIMEOUT_MS);
	ask.cqlsh.timeout_ms = MIN_OF(ask.cqlsh.timeout_ms, ASK_TIMEOUT_MS);
	n = asknode_facts(&ask, true, &f, &e);
	if (n == -ENOENT && e.kind == ERR_USAGE && !is_configured(r->cli)) {
		line(r, LEVEL_OK, "cassandra",
		     "there is no nodetool: this host can mount and restore");
	} else if (n < 0) {
		line(r, LEVEL_ERROR, "cassandra", "%s", e.message);
	} else {
		check_data_dirs(r, f);
		check_leftovers(r, f);
		check_cql(r, &ask, f);
	}
	r->facts = f;
	asknode_deinit(&ask);
}

/* ---- what the configuration says ---- */

static void check_hook(void *ctx, const char *key, const char *program, const struct err *why)
{
	if (why)
		line(ctx, LEVEL_ERROR, "hooks", "%s", why->message);
	else
		line(ctx, LEVEL_OK, "hooks", "%s = %s", key, program);
}

static void wrong(void *ctx, const char *text)
{
	line(ctx, LEVEL_ERROR, "settings", "%s", text);
}

static void check_configuration(struct report *r)
{
	struct cli *cli = r->cli;
	const char *path = config_path(cli->config);
	unsigned count = doctorconf_check(cli, wrong, r) + doctorconf_find(cli, wrong, r);

	hooks_each(cli, check_hook, r);
	if (count == 0 && path)
		line(r, LEVEL_OK, "settings", "what %s says can be gone by", path);
	else if (count == 0)
		line(r, LEVEL_OK, "settings", "there is no configuration file");
}

int cmd_doctor(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = { COMMON_NAMES, COMMON_HELP, { NULL, 0, NULL, 0 } };
	struct report report = { .cli = cli, .list = json_array() };
	struct err e = ERR_INIT;
	struct common common;
	int c, r = common_init(&common, cli, NULL, 4, &e);

	while (r == 0 && (c = cli_getopt(argc, argv, options, &e)) >= 0)
		r = c == '?' ? e.code : common_option(&common, c, optarg, &e);
	if (r == 0 && optind < argc)
		r = err_set(&e, ERR_USAGE, -EINVAL, "doctor takes no argument: '%s'", argv[optind]);
	if (r < 0) {
		json_decref(report.list);
		return cli_fail(cli, &e);
	}
	check_fuse(&report);
	mountpoint_each_stale(stale_mount, &report);
	check_cache(&report);
	check_configuration(&report);
	check_cassandra(&report);
	if (check_credentials(&report, &common))
		check_repository(&report, &common);
	if (cli->json)
		r = cli_print_json(cli, json_pack("{s:O}", "checks", report.list));
	json_decref(report.list);
	facts_free(report.facts);
	return r ? r : report.worst == LEVEL_OK ? EXIT_DONE : EXIT_FOUND;
}
