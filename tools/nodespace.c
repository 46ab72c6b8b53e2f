/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/nodespace.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include "catalog/restore_walk.h"

#define RESERVE_PERCENT 5
#define RESERVE_BYTES_MAX ((uint64_t)1024 * 1024 * 1024)

struct disk { /* of a place */
	dev_t device;
	uint64_t block_bytes, free_bytes, reserve_bytes;
	uint64_t need_bytes, old_bytes;
};

struct space {
	const struct nodejournal *j;
	const struct nodespace *told;
	struct disk *disks; /* by place */
	size_t data_count;  /* of the places */
};

/* What the node, which goes on writing while the backup is staged, must find free. */
static uint64_t reserve_of(const struct statvfs *fs)
{
	return MIN_OF((uint64_t)fs->f_blocks * fs->f_frsize / 100 * RESERVE_PERCENT,
		      RESERVE_BYTES_MAX);
}

static int look_at_places(struct space *s, struct err *e)
{
	const struct nodejournal *j = s->j;

	for (size_t i = 0; i < j->place_count; i++) {
		struct statvfs fs;
		struct stat st;

		if (stat(j->places[i].path, &st) < 0 || statvfs(j->places[i].path, &fs) < 0)
			return err_errno(e, -errno, "cannot look at %s", j->places[i].path);
		s->disks[i] = (struct disk){ .device = st.st_dev,
					     .block_bytes = MAX_OF(fs.f_frsize, 1ul),
					     .free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize };
		if (!j->no_stage)
			s->disks[i].reserve_bytes = reserve_of(&fs);
		s->data_count += j->places[i].data;
	}
	return 0;
}

/* As the fetch does it: data directory I of the backup comes to data directory I, or to the first. */
static struct disk *disk_of(struct space *s, uint32_t data_dir)
{
	return &s->disks[data_dir < s->data_count ? data_dir : 0];
}

static int take_directory(void *ctx, const char *path, const struct attributes *attr, bool empty,
			  struct err *e)
{
	const struct space *s = ctx;
	const char *slash = strchr(path, '/');
	char keyspace[NAME_MAX + 1];

	if (!s->told->table || empty || !slash || strchr(slash + 1, '/') ||
	    (size_t)(slash - path) >= sizeof(keyspace))
		return 0;
	memcpy(keyspace, path, (size_t)(slash - path));
	keyspace[slash - path] = '\0';
	return s->told->table(s->told->ctx, keyspace, slash + 1, e);
}

static int take_file(void *ctx, const char *path, const struct entry *entry, uint64_t ordinal,
		     struct err *e)
{
	struct disk *d = disk_of(ctx, entry->data_dir);

	d->need_bytes += (entry->size_bytes + d->block_bytes - 1) / d->block_bytes * d->block_bytes;
	return 0;
}

/* What --no-stage removes first. */
static int count_old(struct space *s, const struct cancel *cancel, struct err *e)
{
	const struct nodejournal *j = s->j;
	const char *keep = j->keep_auth ? NODEJOURNAL_KEPT : NULL;
	int r = 0;

	for (size_t i = 0; i < j->place_count && j->no_stage && r == 0; i++)
		r = swap_usage(&j->places[i], keep, cancel, &s->disks[i].old_bytes, e);
	return r;
}

/* Each file system once: at the first place on it. */
static int tell(const struct space *s, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < s->j->place_count && r == 0; i++) {
		struct nodespace_use use = { s->j->places[i].path, 0, s->disks[i].free_bytes,
					     s->disks[i].reserve_bytes };
		bool again = false;

		for (size_t k = 0; k < s->j->place_count; k++) {
			if (s->disks[k].device != s->disks[i].device)
				continue;
			again = again || k < i;
			use.need_bytes += s->disks[k].need_bytes;
			use.free_bytes += s->disks[k].old_bytes;
		}
		if (!again && use.need_bytes > 0 && s->told->full &&
		    use.need_bytes + use.reserve_bytes > use.free_bytes)
			r = s->told->full(s->told->ctx, &use, e);
	}
	return r;
}

int nodespace_run(const struct nodejournal *j, const struct restore_options *o,
		  const struct nodespace *told, struct err *e)
{
	_cleanup_free_ struct disk *disks = calloc(j->place_count + 1, sizeof(*disks));
	struct space s = { .j = j, .told = told, .disks = disks };
	const struct restore_walk walk = { .directory = take_directory,
					   .file = take_file,
					   .ctx = &s };
	const char *except[NODEJOURNAL_EXCEPT_MAX];
	struct restore_options own = *o;
	int r = disks ? look_at_places(&s, e) : err_nomem(e);

	own.only = (const char *const *)j->only;
	own.only_count = j->only_count;
	own.except = except;
	own.except_count = nodejournal_except(j, except);
	if (r == 0)
		r = restore_walk_check(&own, e);
	if (r == 0)
		r = restore_walk_run(&own, &walk, e);
	if (r == 0)
		r = count_old(&s, o->cancel, e);
	return r < 0 ? r : tell(&s, e);
}
