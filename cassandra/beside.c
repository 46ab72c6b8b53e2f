/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/beside.h"

#include <string.h>
#include <sys/stat.h>
#include "base/clock.h"
#include "base/util.h"

#define NO_DATA_DIR 65535
#define SHOWN_MODE \
	0644 /* the schema is for whoever may see the backup; the file that it is read from is ours alone */

static struct snapshot_place *add_place(struct snapshot *s, const char *directory)
{
	struct snapshot_place *place = calloc(1, sizeof(*place));
	size_t cap = s->place_count;

	if (!place || util_grow(&s->places, &cap, s->place_count + 1, sizeof(*s->places)) < 0) {
		free(place);
		return NULL;
	}
	s->places[s->place_count++] = place;
	place->shown = strdup("");
	place->source = strdup(directory);
	return place->shown && place->source ? place : NULL;
}

static const char *keep_name(struct snapshot *s, const char *name)
{
	size_t cap = s->name_block_count;

	if (util_grow(&s->names, &cap, s->name_block_count + 1, sizeof(*s->names)) < 0)
		return NULL;
	s->names[s->name_block_count] = strdup(name);
	return s->names[s->name_block_count] ? s->names[s->name_block_count++] : NULL;
}

static int describe(struct snapshot *s, const struct snapshot_place *place, const char *name,
		    struct snapshot_file *ret, struct err *e)
{
	_cleanup_free_ char *path = util_printf("%s/%s", place->source, name);
	const char *kept = keep_name(s, name);
	struct stat st;

	if (!path || !kept)
		return err_nomem(e);
	if (lstat(path, &st) < 0)
		return err_errno(e, -errno, "cannot stat %s", path);
	*ret = (struct snapshot_file){ .place = place,
				       .name = kept,
				       .data_dir = NO_DATA_DIR,
				       .mode = SHOWN_MODE,
				       .uid = st.st_uid,
				       .gid = st.st_gid,
				       .mtime_ns = clock_timespec_ns(st.st_mtim),
				       .size_bytes = (uint64_t)st.st_size,
				       .ino = st.st_ino };
	return 0;
}

/* The outermost directory's files come before all others. */
int beside_add(struct snapshot *s, const char *directory, const char *const *names, size_t count,
	       struct err *e)
{
	const struct snapshot_place *place = add_place(s, directory);
	size_t cap = s->file_count;

	if (!place || util_grow(&s->files, &cap, s->file_count + count, sizeof(*s->files)) < 0)
		return err_nomem(e);
	memmove(s->files + count, s->files, s->file_count * sizeof(*s->files));
	memset(s->files, 0, count * sizeof(*s->files));
	s->file_count += count;
	for (size_t i = 0; i < count; i++) {
		int r = describe(s, place, names[i], &s->files[i], e);

		if (r < 0)
			return r;
		s->total_bytes += s->files[i].size_bytes;
	}
	s->memory_bytes += count * sizeof(*s->files);
	return 0;
}
