/* SPDX-License-Identifier: Apache-2.0 */
/* The files of all nodes together. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/io.h"
#include "fs/linkfile.h"

static bool is_one_of(const char *name, const struct node_name *const *nodes, size_t count)
{
	char own[LINKFILE_NAME_BYTES];

	for (size_t i = 0; i < count; i++) {
		linkfile_name(nodes[i], own);
		if (strcmp(own, name) == 0)
			return true;
	}
	return false;
}

/* Goes through the files of all nodes: their bytes, or (remove) those that are of none of these go. */
static uint64_t go_through(int dir_fd, bool remove, const struct node_name *const *nodes,
			   size_t count)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	uint64_t bytes = 0;
	struct dirent *en;
	struct stat st;

	if (!d && fd >= 0)
		close(fd);
	while (d && (en = readdir(d))) {
		if (strncmp(en->d_name, LINKFILE_PREFIX, strlen(LINKFILE_PREFIX)) != 0)
			continue;
		if (remove && !is_one_of(en->d_name, nodes, count))
			io_remove_tree(dir_fd, en->d_name);
		else if (fstatat(dir_fd, en->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			bytes += (uint64_t)st.st_size;
	}
	if (d)
		closedir(d);
	return bytes;
}

void linkfile_keep(int dir_fd, uint64_t max_bytes, const struct node_name *const *nodes,
		   size_t count)
{
	if (go_through(dir_fd, false, nodes, count) > max_bytes)
		go_through(dir_fd, true, nodes, count);
}
