/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/util.h"

/* Where the child's descriptor `target` goes: to that end, or nowhere. */
static int direct(posix_spawn_file_actions_t *files, int target, int end)
{
	if (end < 0)
		return posix_spawn_file_actions_addopen(files, target, "/dev/null",
							target == 0 ? O_RDONLY : O_WRONLY, 0);
	return posix_spawn_file_actions_adddup2(files, end, target);
}

static int set_up(posix_spawn_file_actions_t *files, posix_spawnattr_t *attr,
		  const struct spawn_options *o)
{
	sigset_t none, all;
	int r = direct(files, 0, o->in);

	sigemptyset(&none);
	sigfillset(&all);
	if (!r)
		r = direct(files, 1, o->out);
	if (!r)
		r = direct(files, 2, o->errors);
	if (!r)
		r = posix_spawn_file_actions_addclosefrom_np(files, 3);
	if (!r)
		r = posix_spawnattr_setsigmask(attr, &none);
	if (!r)
		r = posix_spawnattr_setsigdefault(attr, &all);
	if (!r)
		r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
							   POSIX_SPAWN_SETSIGDEF);
	return -r;
}

/* Names and places are left: ssh may go through a program of AWS's (ProxyCommand), which finds keys of its own by them. */
static bool is_kept(const char *variable)
{
	static const char *const harmless[] = {
		"AWS_PROFILE=",	       "AWS_DEFAULT_PROFILE=", "AWS_REGION=",
		"AWS_DEFAULT_REGION=", "AWS_CONFIG_FILE=",     "AWS_SHARED_CREDENTIALS_FILE="
	};

	if (strncmp(variable, "AWS_", 4) != 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		if (strncmp(variable, harmless[i], strlen(harmless[i])) == 0)
			return true;
	return false;
}

/* NULL: out of memory. */
static char **without_keys(void)
{
	size_t count = 0, kept = 0;
	char **list;

	while (environ[count])
		count++;
	list = calloc(count + 1, sizeof(*list));
	for (size_t i = 0; list && i < count; i++)
		if (is_kept(environ[i]))
			list[kept++] = environ[i];
	return list;
}

int spawn_start(const struct spawn_options *o, pid_t *ret)
{
	posix_spawn_file_actions_t files;
	_cleanup_free_ char **filtered = o->environment ? NULL : without_keys();
	posix_spawnattr_t attr;
	int r;

	if (!o->environment && !filtered)
		return -ENOMEM;
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	r = set_up(&files, &attr, o);
	if (r == 0)
		r = -posix_spawnp(ret, o->words[0], &files, &attr, o->words,
				  o->environment ? o->environment : filtered);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return r;
}
