/* SPDX-License-Identifier: Apache-2.0 */
/* The cache directory of a mount, or what takes its place. */
#include <fcntl.h>
#include "base/io.h"
#include "fs/mount_private.h"

#define CACHES_AT_ONCE 64 /* mounts of one repository on one host that share cache_dir */
#define MEMORY_PREFIX "/dev/shm/sstablefs-"

uint64_t mount_link_bytes(const struct mount *m)
{
	return MAX_OF(m->o.cache_bytes / 8, 64 * MIB);
}

uint64_t mount_index_memory(const struct mount *m)
{
	return MAX_OF(KV_MIN_BYTES, MIN_OF(m->o.memory_bytes / 4, 48 * MIB));
}

/* The sub-directory is another mount's, or somebody else's: the next one may do. */
static bool is_taken(int r)
{
	return r == -EBUSY || r == -ENOTDIR || r == -ELOOP || r == -EACCES || r == -EPERM;
}

/* A locked directory of this mount: the first that can be had whose name begins with `prefix`. */
static int open_cache_at(struct mount *m, const char *prefix, uint64_t bytes, struct err *e)
{
	int r = -EBUSY;

	for (unsigned i = 0; is_taken(r) && i < CACHES_AT_ONCE; i++) {
		free(m->cache_path);
		m->cache_path = util_printf("%s%s-%u", prefix, repo_id(m->repo), i);
		r = m->cache_path ? kv_open(m->cache_path, bytes, &m->kv, e) : err_nomem(e);
	}
	return r;
}

/* Where no disk can be had the index lies in memory, inside memory=; no content is kept. Its files lose their names at once: they go with the process. */
static int open_cache_in_memory(struct mount *m, struct err *e)
{
	int r = open_cache_at(m, MEMORY_PREFIX, mount_index_memory(m), e);

	if (r == 0)
		io_remove_tree(AT_FDCWD, m->cache_path);
	m->index_memory = mount_index_memory(m);
	return r;
}

/* An index whose disk fails later goes to memory too; its name is that of the cache's directory, which is locked, so no other mount has it. */
static int open_cache_on_disk(struct mount *m, struct err *e)
{
	_cleanup_free_ char *prefix = util_printf("%s/", m->o.cache_dir), *refuge = NULL;
	int r = prefix ? open_cache_at(m, prefix, MAX_OF(m->o.cache_bytes / 8, 64 * MIB), e)
		       : err_nomem(e);

	if (r < 0)
		return r;
	refuge = util_printf(MEMORY_PREFIX "%d", (int)getpid());
	if (!refuge || kv_set_refuge(m->kv, refuge, mount_index_memory(m)) < 0)
		return err_nomem(e);
	return 0;
}

int mount_open_cache(struct mount *m, struct err *e)
{
	struct err why = ERR_INIT;
	char text[2048];
	int r = io_mkdirs(AT_FDCWD, m->o.cache_dir, 0700);

	if (r == -ENOTDIR)
		return err_errno(
			e, r,
			"cannot make the cache directory %s (choose another with -o cache_dir=)",
			m->o.cache_dir);
	r = r < 0 ? err_errno(&why, r, "it cannot be made") : open_cache_on_disk(m, &why);
	if (r < 0) {
		log_write(
			m->o.log, LOG_LEVEL_WARNING, "cache",
			"the cache directory %s cannot be used: %s; this mount keeps its index in memory and no content",
			m->o.cache_dir, err_describe(&why, text, sizeof(text)));
		r = open_cache_in_memory(m, e);
	}
	if (r < 0)
		return err_wrap(e, r, "neither the cache directory %s nor memory can be used",
				m->o.cache_dir);
	if (kv_discarded(m->kv))
		log_write(m->o.log, LOG_LEVEL_INFO, "cache-discarded",
			  "the local cache is made anew: %s", kv_discarded(m->kv));
	return 0;
}
