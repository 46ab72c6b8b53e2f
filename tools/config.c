/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/config.h"

#include <string.h>
#include "base/ini.h"
#include "tools/medusawords.h"
#include "tools/mountopt.h"
#include "tools/nearest.h"

struct setting {
	char *section, *key, *value;
};

struct config {
	struct setting *settings;
	size_t count, cap;
	char *path;
};

static const char *const repository_keys[] = { "url", "credentials_file", "profile", "ca", NULL };
static const char *const cassandra_keys[] = { "cluster",
					      "node",
					      "yaml",
					      "nodetool",
					      "cqlsh",
					      "jmx_host",
					      "jmx_port",
					      "jmx_username",
					      "jmx_password_file",
					      "jmx_ssl",
					      "cql_host",
					      "cql_credentials_file",
					      "cql_ssl",
					      "cqlshrc",
					      "timeout",
					      "start_command",
					      "stop_command",
					      "sstableloader",
					      NULL };
static const char *const limit_keys[] = { "limit_rate", "jobs",	  "connections", "memory",
					  "nice",	"ionice", NULL };

static const char *const ssh_keys[] = { "program",
					"config",
					"user",
					"port",
					"identity_file",
					"certificate_file",
					"connect_timeout",
					"keepalive",
					"timeout",
					"command",
					NULL };
static const char *const hooks_keys[] = { "before_snapshot", "after_snapshot",
					  "before_upload",   "after_upload",
					  "before_fetch",    "after_fetch",
					  "before_exchange", "after_exchange",
					  "before_check",    "after_check",
					  "before_load",     "after_load",
					  "timeout",	     NULL };
static const char *const checks_keys[] = { "query", "expected_rows", "expected_result", NULL };
static const char *const purge_keys[] = { "keep_last",	  "keep_daily", "keep_weekly",
					  "keep_monthly", "older_than", NULL };
static const char *const verify_keys[] = { "limit_rate", "jobs", "connections", "memory", NULL };
static const char *const gc_keys[] = { "limit_rate", "jobs",	    "connections",
				       "memory",     "fence_after", NULL };

static const struct section {
	const char *name;
	const char *const *keys; /* NULL: mount options */
} sections[] = {
	{ "repository", repository_keys },
	{ "cassandra", cassandra_keys },
	{ "backup", limit_keys },
	{ "restore", limit_keys },
	{ "verify", verify_keys },
	{ "gc", gc_keys },
	{ "purge", purge_keys },
	{ "ssh", ssh_keys },
	{ "hooks", hooks_keys },
	{ "checks", checks_keys },
	{ "mount", NULL },
};

static const struct section *section_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (strcmp(sections[i].name, name) == 0)
			return &sections[i];
	return NULL;
}

static int unknown(const struct config *c, int line, const char *kind, const char *word,
		   const char *near, struct err *e)
{
	if (near)
		return err_set(e, ERR_USAGE, -EINVAL, "%s:%d: unknown %s '%s' (did you mean '%s'?)",
			       c->path, line, kind, word, near);
	return err_set(e, ERR_USAGE, -EINVAL, "%s:%d: unknown %s '%s'", c->path, line, kind, word);
}

static int check_section(void *ctx, const char *name, int line, struct err *e)
{
	const char *names[ARRAY_SIZE(sections) + 1] = { NULL };
	const struct config *c = ctx;

	if (section_of(name))
		return 0;
	if (medusawords_is_section(name))
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"%s:%d: [%s] is a section of Medusa's: docs/from-medusa.md says what stands for each of its keys",
			c->path, line, name);
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		names[i] = sections[i].name;
	return unknown(c, line, "section", name, nearest_word(name, names), e);
}

static const char *const *keys_of(const struct section *s)
{
	return s->keys ? s->keys : mountopt_names();
}

static bool is_key(const struct section *s, const char *key)
{
	for (const char *const *k = keys_of(s); *k; k++)
		if (strcmp(key, *k) == 0)
			return true;
	return false;
}

/* One of another section says more than the nearest of this one. */
static int unknown_key(const struct config *c, const struct section *s, const char *key, int line,
		       struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (is_key(&sections[i], key))
			return err_set(e, ERR_USAGE, -EINVAL,
				       "%s:%d: '%s' is a key of [%s], and none of [%s]", c->path,
				       line, key, sections[i].name, s->name);
	return unknown(c, line, "key", key, nearest_word(key, keys_of(s)), e);
}

static int check_key(const struct config *c, const char *section, const char *key, int line,
		     struct err *e)
{
	const struct section *s = section_of(section);
	const char *ours;

	if (!s)
		return unknown(c, line, "section", section, NULL, e);
	if (!s->keys && strcmp(key, "config") == 0)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"%s:%d: config names this file: it is for the command line and fstab",
			c->path, line);
	if (is_key(s, key))
		return 0;
	ours = medusawords_key(section, key);
	if (!ours)
		return unknown_key(c, s, key, line, e);
	return err_set(e, ERR_USAGE, -EINVAL,
		       "%s:%d: '%s' is a key of Medusa's%s%s: see docs/from-medusa.md", c->path,
		       line, key, *ours ? ", here it is " : "", ours);
}

static int take(void *ctx, const char *section, const char *key, const char *value, int line,
		struct err *e)
{
	struct config *c = ctx;
	struct setting *s;
	int r;

	if (!section)
		return err_set(e, ERR_USAGE, -EINVAL, "%s:%d: no section has so long a name",
			       c->path, line);
	if (!*section)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "%s:%d: '%s' stands before the first [section]", c->path, line, key);
	r = check_key(c, section, key, line, e);
	if (r < 0)
		return r;
	if (util_grow(&c->settings, &c->cap, c->count + 1, sizeof(*c->settings)) < 0)
		return err_nomem(e);
	s = &c->settings[c->count++];
	s->section = strdup(section);
	s->key = strdup(key);
	s->value = strdup(value);
	return s->section && s->key && s->value ? 0 : err_nomem(e);
}

/* The first file that exists, as a new string; NULL: none. */
static int default_path(char **ret)
{
	const char *home = getenv("HOME"), *everybody = "/etc/sstablefs/sstablefs.conf";
	_cleanup_free_ char *path = NULL;

	if (home && *home) {
		path = util_printf("%s/.config/sstablefs/sstablefs.conf", home);
		if (!path)
			return -ENOMEM;
		if (access(path, F_OK) == 0) {
			*ret = steal_pointer(&path);
			return 0;
		}
	}
	*ret = NULL;
	if (access(everybody, F_OK) < 0)
		return 0;
	*ret = strdup(everybody);
	return *ret ? 0 : -ENOMEM;
}

/* Whether reading failed for reasons of this process and not of the file. */
static bool is_shortage(int code)
{
	return code == -ENOMEM || code == -EMFILE || code == -ENFILE;
}

int config_load(const char *path, struct config **ret, struct err *e)
{
	_cleanup_(config_freep) struct config *c = calloc(1, sizeof(*c));
	int r = 0;

	if (!c)
		return err_nomem(e);
	if (!path)
		path = getenv("SSTABLEFS_CONFIG");
	if (!path || !*path)
		r = default_path(&c->path);
	else if (!(c->path = strdup(path)))
		r = -ENOMEM;
	if (r < 0)
		return err_nomem(e);
	if (c->path) {
		r = ini_read_file(c->path, check_section, take, c, e);
		if (r == -ENOENT)
			return err_set(e, ERR_USAGE, r, "configuration file %s does not exist",
				       c->path);
		if (r < 0) {
			if (e && !is_shortage(r))
				e->kind = ERR_USAGE;
			return r;
		}
	}
	*ret = steal_pointer(&c);
	return 0;
}

void config_free(struct config *c)
{
	for (size_t i = 0; i < c->count; i++) {
		free(c->settings[i].section);
		free(c->settings[i].key);
		free(c->settings[i].value);
	}
	free(c->settings);
	free(c->path);
	free(c);
}

const char *config_get(const struct config *c, const char *section, const char *key)
{
	const char *value = NULL;

	for (size_t i = 0; i < c->count; i++)
		if (strcmp(c->settings[i].section, section) == 0 &&
		    strcmp(c->settings[i].key, key) == 0)
			value = c->settings[i].value;
	return value;
}

const char *config_path(const struct config *c)
{
	return c->path;
}

int config_each(const struct config *c, const char *section, config_each_fn *fn, void *ctx,
		struct err *e)
{
	for (size_t i = 0; i < c->count; i++) {
		int r;

		if (strcmp(c->settings[i].section, section) != 0)
			continue;
		r = fn(ctx, c->settings[i].key, c->settings[i].value, e);
		if (r < 0)
			return r;
	}
	return 0;
}
