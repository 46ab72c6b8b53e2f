/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/installed.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/util.h"

struct looking {
	char *version, *jar; /* owned; NULL: none yet */
};

static void looking_deinit(struct looking *l)
{
	free(l->version);
	free(l->jar);
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* Of "apache-cassandra-5.0.9.jar"; 0: the name is not of that kind, as that of the link without a version beside it. */
static size_t version_in(const char *name, const char **ret)
{
	static const char before[] = "apache-cassandra-", after[] = ".jar";
	const char *end = strrchr(name, '.');

	if (!end || strncmp(name, before, strlen(before)) != 0 || strcmp(end, after) != 0)
		return 0;
	*ret = name + strlen(before);
	if (end <= *ret || !isdigit((unsigned char)**ret) ||
	    (size_t)(end - *ret) > INSTALLED_VERSION_MAX)
		return 0;
	return (size_t)(end - *ret);
}

static int take(struct looking *l, const char *directory, const char *name, struct err *e)
{
	const char *version;
	size_t len = version_in(name, &version);

	if (len == 0 ||
	    (l->version && strlen(l->version) == len && memcmp(l->version, version, len) == 0))
		return 0;
	if (l->version)
		return err_set(e, ERR_CONFLICT, -ENOTUNIQ,
			       "there are Cassandra %s (%s) and %.*s (in %s)", l->version, l->jar,
			       (int)len, version, directory);
	l->version = strndup(version, len);
	l->jar = util_printf("%s/%s", directory, name);
	return l->version && l->jar ? 0 : err_nomem(e);
}

static int look_into(struct looking *l, const char *directory, struct err *e)
{
	_cleanup_(closedirp) DIR *dir = opendir(directory);
	const struct dirent *entry;
	int r = 0;

	if (!dir && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (!dir)
		return err_errno(e, -errno, "cannot look into %s", directory);
	while (r == 0 && (errno = 0, entry = readdir(dir)))
		r = take(l, directory, entry->d_name, e);
	return r == 0 && errno ? err_errno(e, -errno, "cannot look into %s", directory) : r;
}

/* What lies two names above the file. */
static char *home_of(const char *file)
{
	char *home = realpath(file, NULL);

	for (int i = 0; i < 2 && home && strrchr(home, '/'); i++)
		*strrchr(home, '/') = '\0';
	return home;
}

int installed_find(const char *program, char **ret_version, char **ret_jar, struct err *e)
{
	static const char *const places[] = { "lib", "share/cassandra" };
	_cleanup_free_ char *home = home_of(program);
	_cleanup_(looking_deinit) struct looking l = { .version = NULL };
	int r = 0;

	if (!home)
		return err_errno(e, -errno, "cannot find %s", program);
	for (size_t i = 0; i < ARRAY_SIZE(places) && r == 0; i++) {
		_cleanup_free_ char *directory = util_printf("%s/%s", home, places[i]);

		r = directory ? look_into(&l, directory, e) : err_nomem(e);
	}
	if (r == 0 && !l.version)
		r = err_set(e, ERR_NOT_FOUND, -ENOENT,
			    "neither %s/lib nor %s/share/cassandra has an apache-cassandra-*.jar",
			    home, home);
	if (r < 0)
		return r;
	*ret_version = steal_pointer(&l.version);
	*ret_jar = steal_pointer(&l.jar);
	return 0;
}
