/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who uses a directory. A process of another mount namespace, as that of a container, has it at another path, or has another directory at this path; and a bind mount gives it a second one. So
 * mountinfo(5) of each namespace is asked where that directory is to be seen in it. No file system is asked: one that hangs does not stop it.
 */
#ifndef SSTABLEFS_TOOLS_DIRUSERS_H
#define SSTABLEFS_TOOLS_DIRUSERS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define DIRUSERS_PATHS_MAX 64

/*
 * The other processes that have something open, mapped or as directory in one of these (absolute paths without symbolic links, NULL at the end), whatever they call it: "123 (cp), 456 (bash)", at
 * most 20, "" where none is seen. Whether one of them has the first directory at this very path.
 */
bool dirusers_list(const char *const *directories, char *out, size_t size);

/* Whether this process, or one that it was started from, as a shell, has its working directory in one of them: which process, and where. */
bool dirusers_among_own(const char *const *directories, long *ret_pid, char out[PATH_MAX]);

struct dirusers_place { /* where a directory is in its file system */
	unsigned major, minor;
	char *inside; /* "" for its root, else "/srv/data" */
};
/* Pure, of the text of a mountinfo. False: nothing is known of that path. `inside` is a new string. */
bool dirusers_place(const char *mountinfo, const char *path, struct dirusers_place *ret);
/* Pure: the paths at which it is to be seen there, the caller's to free, at most DIRUSERS_PATHS_MAX. A part of it that is mounted alone counts. How many. */
size_t dirusers_paths(const char *mountinfo, const struct dirusers_place *place,
		      char *ret[DIRUSERS_PATHS_MAX]);

#endif
