/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

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

int spawn_start(const struct spawn_options *o, pid_t *ret)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int r;

	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	r = set_up(&files, &attr, o);
	if (r == 0)
		r = -posix_spawnp(ret, o->words[0], &files, &attr, o->words,
				  o->environment ? o->environment : environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return r;
}
