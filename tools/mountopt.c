/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mountopt.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include "tools/nearest.h"

#define CACHE_BYTES_MIN (128 * MIB)
#define MEMORY_BYTES_MIN (64 * MIB)
#define OVERLAY_BYTES (64 * MIB)
#define OVERLAY_BYTES_MIN (1 * MIB)
#define OVERLAY_SHARE 3 /* at most a third of memory= */

void mountopt_init(struct mountopt *m)
{
	*m = (struct mountopt){
		.o = {
			.cache_bytes = 1 * GIB,
			.memory_bytes = 192 * MIB,
			.connections = 16,
			.refresh_s = 5,
			.verify = OBJECT_VERIFY_XXH3,
			.trace_fd = -1,
		},
	};
}

void mountopt_deinit(struct mountopt *m)
{
	for (size_t i = 0; i < m->string_count; i++)
		free(m->strings[i]);
	free(m->log_path);
	free(m->trace_path);
	free(m->config_path);
}

static int bad(struct err *e, const char *name, const char *value, const char *wanted)
{
	return err_set(e, ERR_USAGE, -EINVAL, "mount option %s=%s: %s", name, value, wanted);
}

static int keep(struct mountopt *m, const char *value, const char **ret, struct err *e)
{
	char *copy = strdup(value);

	if (!copy || m->string_count == ARRAY_SIZE(m->strings)) {
		free(copy);
		return copy ? err_set(e, ERR_USAGE, -EINVAL, "too many mount options")
			    : err_nomem(e);
	}
	m->strings[m->string_count++] = copy;
	*ret = copy;
	return 0;
}

static int keep_path(char **at, const char *value, struct err *e)
{
	free(*at);
	*at = strdup(value);
	return *at ? 0 : err_nomem(e);
}

static int number(const char *name, const char *value, int base, unsigned long max,
		  unsigned long *ret, struct err *e)
{
	char *end;

	errno = 0;
	*ret = strtoul(value, &end, base);
	if (*value < '0' || *value > '9' || *end || errno || *ret > max)
		return bad(e, name, value,
			   base == 8 ? "an octal number is wanted" : "a number is wanted");
	return 0;
}

static int size(const char *name, const char *value, uint64_t least, uint64_t *ret, struct err *e)
{
	char text[32];

	if (util_parse_bytes(value, ret) < 0)
		return bad(e, name, value, "a size is wanted, such as 512M or 4G");
	if (*ret < least)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "mount option %s=%s is too small: at least %s", name, value,
			       util_format_bytes(text, least));
	return 0;
}

static int name_option(struct mountopt *m, const char *name, const char *value, const char **ret,
		       struct err *e)
{
	int r = keys_check_name(name, value, e);

	return r < 0 ? r : keep(m, value, ret, e);
}

static int user(struct mountopt *m, const char *value, struct err *e)
{
	struct passwd pw, *found = NULL;
	unsigned long id;
	char buf[4096];

	m->o.has_uid = true;
	if (getpwnam_r(value, &pw, buf, sizeof(buf), &found) == 0 && found) {
		m->o.uid = found->pw_uid;
		return 0;
	}
	if (number("uid", value, 10, UINT32_MAX - 1, &id, e) < 0)
		return bad(e, "uid", value, "no such user on this host");
	m->o.uid = (uid_t)id;
	return 0;
}

static int group(struct mountopt *m, const char *value, struct err *e)
{
	struct group gr, *found = NULL;
	unsigned long id;
	char buf[16384];

	m->o.has_gid = true;
	if (getgrnam_r(value, &gr, buf, sizeof(buf), &found) == 0 && found) {
		m->o.gid = found->gr_gid;
		return 0;
	}
	if (number("gid", value, 10, UINT32_MAX - 1, &id, e) < 0)
		return bad(e, "gid", value, "no such group on this host");
	m->o.gid = (gid_t)id;
	return 0;
}

static const char *const names[] = {
	"allow_other",	"uid",	       "gid",	  "umask",     "numeric_ids", "xattr",
	"cluster",	"node",	       "pin",	  "cache_dir", "cache_size",  "memory",
	"overlay_size", "connections", "refresh", "verify",    "ro",	      "log",
	"trace",	"config",      NULL
};

const char *const *mountopt_names(void)
{
	return names;
}

static bool is_flag(const char *name)
{
	return strcmp(name, "allow_other") == 0 || strcmp(name, "numeric_ids") == 0 ||
	       strcmp(name, "xattr") == 0 || strcmp(name, "ro") == 0;
}

/* On the command line a flag has no value; in the configuration it is yes or no. */
static int flag_value(const char *name, const char *value, bool *ret, struct err *e)
{
	if (!value || !*value || strcmp(value, "yes") == 0 || strcmp(value, "true") == 0 ||
	    strcmp(value, "1") == 0)
		*ret = true;
	else if (strcmp(value, "no") == 0 || strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
		*ret = false;
	else
		return bad(e, name, value, "yes or no is wanted");
	return 0;
}

static int set_flag(struct mountopt *m, const char *name, const char *value, struct err *e)
{
	bool on = false;
	int r = flag_value(name, value, &on, e);

	if (r < 0)
		return r;
	if (strcmp(name, "allow_other") == 0)
		m->o.allow_other = on;
	else if (strcmp(name, "numeric_ids") == 0)
		m->o.numeric_ids = on;
	else if (strcmp(name, "xattr") == 0)
		m->o.xattr = on;
	else
		m->o.read_only = on;
	return 0;
}

static int set_number(struct mountopt *m, const char *name, const char *value, struct err *e)
{
	unsigned long v;
	int r = number(name, value, strcmp(name, "umask") == 0 ? 8 : 10,
		       strcmp(name, "umask") == 0 ? 0777 : 86400, &v, e);

	if (r < 0)
		return r;
	if (strcmp(name, "umask") == 0) {
		m->o.has_umask = true;
		m->o.umask = (mode_t)v;
	} else if (strcmp(name, "refresh") == 0) {
		m->o.refresh_s = (unsigned)v;
	} else if (v < 1 || v > 256) {
		return bad(e, name, value, "between 1 and 256 is wanted");
	} else {
		m->o.connections = (unsigned)v;
	}
	return 0;
}

static int set_overlay(struct mountopt *m, const char *value, struct err *e)
{
	m->has_overlay = true;
	m->o.overlay_bytes = 0;
	return strcmp(value, "0") == 0
		       ? 0
		       : size("overlay_size", value, OVERLAY_BYTES_MIN, &m->o.overlay_bytes, e);
}

static int set_verify(struct mountopt *m, const char *value, struct err *e)
{
	if (strcmp(value, "xxh3") != 0 && strcmp(value, "sha256") != 0)
		return bad(e, "verify", value, "xxh3 or sha256 is wanted");
	m->o.verify = strcmp(value, "sha256") == 0 ? OBJECT_VERIFY_SHA256 : OBJECT_VERIFY_XXH3;
	return 0;
}

static int set_value(struct mountopt *m, const char *name, const char *value, struct err *e)
{
	if (strcmp(name, "uid") == 0)
		return user(m, value, e);
	if (strcmp(name, "gid") == 0)
		return group(m, value, e);
	if (strcmp(name, "umask") == 0 || strcmp(name, "refresh") == 0 ||
	    strcmp(name, "connections") == 0)
		return set_number(m, name, value, e);
	if (strcmp(name, "pin") == 0)
		return name_option(m, "backup", value, &m->o.pin, e);
	if (strcmp(name, "cluster") == 0)
		return name_option(m, name, value, &m->o.cluster, e);
	if (strcmp(name, "node") == 0)
		return name_option(m, name, value, &m->o.node, e);
	if (strcmp(name, "cache_dir") == 0)
		return keep(m, value, &m->o.cache_dir, e);
	if (strcmp(name, "cache_size") == 0)
		return size(name, value, CACHE_BYTES_MIN, &m->o.cache_bytes, e);
	if (strcmp(name, "memory") == 0)
		return size(name, value, MEMORY_BYTES_MIN, &m->o.memory_bytes, e);
	if (strcmp(name, "overlay_size") == 0)
		return set_overlay(m, value, e);
	if (strcmp(name, "verify") == 0)
		return set_verify(m, value, e);
	if (strcmp(name, "log") == 0)
		return keep_path(&m->log_path, value, e);
	if (strcmp(name, "trace") == 0)
		return keep_path(&m->trace_path, value, e);
	return keep_path(&m->config_path, value, e); /* config= */
}

/* What mount(8), FUSE and systemd add, and what has no meaning for a tree that nobody writes. */
static bool is_generic(const char *name)
{
	static const char *const generic[] = {
		"rw",	      "defaults",     "auto",	    "noauto",
		"_netdev",    "nofail",	      "user",	    "users",
		"nouser",     "owner",	      "group",	    "nosuid",
		"suid",	      "nodev",	      "dev",	    "exec",
		"noexec",     "atime",	      "noatime",    "relatime",
		"norelatime", "strictatime",  "nodiratime", "diratime",
		"async",      "sync",	      "dirsync",    "lazytime",
		"nolazytime", "silent",	      "loud",	    "default_permissions",
		"nonempty",   "auto_unmount", "allow_root", NULL
	};

	if (strncmp(name, "x-", 2) == 0 || strncmp(name, "X-", 2) == 0 ||
	    strncmp(name, "comment", 7) == 0 || strncmp(name, "fsname", 6) == 0 ||
	    strncmp(name, "subtype", 7) == 0)
		return true;
	for (const char *const *g = generic; *g; g++)
		if (strcmp(name, *g) == 0)
			return true;
	return false;
}

int mountopt_set(struct mountopt *m, const char *name, const char *value, struct err *e)
{
	const char *near;

	for (const char *const *n = names; *n; n++) {
		if (strcmp(name, *n) != 0)
			continue;
		if (is_flag(name))
			return set_flag(m, name, value, e);
		if (!value || !*value)
			return err_set(e, ERR_USAGE, -EINVAL,
				       "mount option %s needs a value (%s=…)", name, name);
		return set_value(m, name, value, e);
	}
	if (is_generic(name))
		return 0;
	near = nearest_word(name, names);
	if (near)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "unknown mount option '%s' (did you mean '%s'?)", name, near);
	return err_set(e, ERR_USAGE, -EINVAL, "unknown mount option '%s'", name);
}

int mountopt_finish(struct mountopt *m, struct err *e)
{
	uint64_t most = m->o.memory_bytes / OVERLAY_SHARE;
	char wanted[32], limit[32];

	if (!m->has_overlay)
		m->o.overlay_bytes = MIN_OF(OVERLAY_BYTES, most);
	if (m->o.overlay_bytes <= most)
		return 0;
	return err_set(
		e, ERR_USAGE, -EINVAL,
		"mount option overlay_size= (%s) is more than a third of memory= (%s): raise memory= too",
		util_format_bytes(wanted, m->o.overlay_bytes),
		util_format_bytes(limit, m->o.memory_bytes));
}

int mountopt_parse(struct mountopt *m, const char *text, struct err *e)
{
	_cleanup_free_ char *one = malloc(strlen(text) + 1);

	if (!one)
		return err_nomem(e);
	while (*text) {
		char *out = one, *value;
		int r;

		for (; *text && *text != ','; text++) {
			if (text[0] == '\\' && (text[1] == ',' || text[1] == '\\'))
				text++;
			*out++ = *text;
		}
		*out = '\0';
		text += *text == ',';
		if (!*one)
			continue;
		value = strchr(one, '=');
		if (value)
			*value++ = '\0';
		r = mountopt_set(m, one, value, e);
		if (r < 0)
			return r;
	}
	return 0;
}
