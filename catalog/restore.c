/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/restore.h"

#include <errno.h>
#include "catalog/restore_check.h"
#include "catalog/restore_walk.h"
#include "catalog/restore_write.h"

#define MEMORY_BYTES (192 * MIB)
/* For the paths of directories: one part in so many of the memory, and never less than this. */
#define DIRS_SHARE 4
#define DIRS_BYTES_MIN (8 * MIB)

static int check_options(const struct restore_options *o, struct err *e)
{
	if (!o->record->has_root)
		return err_set(e, ERR_NOT_FOUND, -ENOENT, "backup %s of node %s is not finished",
			       o->record->backup, o->record->where.node);
	for (size_t i = 0; i < o->map_count; i++) {
		if (o->maps[i].data_dir >= FORMAT_DATA_DIRS)
			return err_set(e, ERR_USAGE, -EINVAL,
				       "data directories are numbered from 0 to %d: there is no %u",
				       FORMAT_DATA_DIRS - 1, o->maps[i].data_dir);
		for (size_t k = 0; k < i; k++)
			if (o->maps[k].data_dir == o->maps[i].data_dir)
				return err_set(e, ERR_USAGE, -EINVAL,
					       "data directory %u is mapped twice",
					       o->maps[i].data_dir);
	}
	return restore_walk_check(o, e);
}

static int write_files(const struct restore_options *o, const struct restore_attr *a,
		       struct restore_target *t, const struct restore_check *k,
		       struct restore_result *result, struct err *e)
{
	_cleanup_(restore_dirs_freep) struct restore_dirs *dirs = restore_dirs_new(
		t, a, MAX_OF(o->memory_bytes / DIRS_SHARE, (uint64_t)DIRS_BYTES_MIN));
	int r = dirs ? restore_write_run(o, a, t, dirs, k, result, e) : err_nomem(e);

	if (r == 0)
		r = restore_dirs_finish(dirs, e);
	return r < 0 ? r : restore_target_sync(t, e);
}

static int run(const struct restore_options *o, const struct restore_attr *a,
	       struct restore_check *k, struct restore_result *result, struct err *e)
{
	_cleanup_(restore_target_freep) struct restore_target *t = NULL;
	int r = restore_target_new(o, &t, e);

	if (r == 0)
		r = restore_check_run(o, t, k, e);
	if (r == 0)
		r = restore_target_begin(t, k->use, e);
	if (r == 0)
		r = restore_target_check_space(t, k->need_bytes, e);
	return r < 0 ? r : write_files(o, a, t, k, result, e);
}

int restore_run(const struct restore_options *options, struct restore_result *ret, struct err *e)
{
	_cleanup_(restore_attr_freep) struct restore_attr *a = NULL;
	_cleanup_(restore_check_deinit) struct restore_check k = { 0 };
	struct restore_options o = *options;
	struct restore_result result = { 0 };
	struct err mine = ERR_INIT;
	int r;

	o.jobs = MAX_OF(o.jobs, 1u);
	o.connections = MAX_OF(o.connections, 1u);
	if (o.memory_bytes == 0)
		o.memory_bytes = MEMORY_BYTES;
	r = check_options(&o, &mine);
	if (r == 0)
		r = restore_attr_new(&o, &a, &mine);
	if (r == 0)
		r = run(&o, a, &k, &result, &mine);
	if (r < 0) {
		if (e)
			*e = mine;
		return r;
	}
	result.files_kept = k.kept_files;
	result.bytes_kept = k.kept_bytes;
	*ret = result;
	return 0;
}
