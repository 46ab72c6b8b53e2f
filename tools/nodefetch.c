/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/nodefetch.h"

#include <string.h>
#include <sys/stat.h>
#include "tools/priority.h"

/* Where the fetch writes: the data directories themselves (in_place), or what is staged in each. By descriptors, as the names are Cassandra's user's to exchange. */
struct targets {
	struct restore_map *maps; /* by data directory, the first included */
	size_t count;
	struct restore_owner owner; /* that the data directories have */
};

static void targets_deinit(struct targets *t)
{
	for (size_t i = 0; i < t->count; i++) {
		free((char *)(size_t)t->maps[i].directory);
		if (t->maps[i].fd >= 0)
			close(t->maps[i].fd);
	}
	free(t->maps);
}

static int add_target(struct targets *t, const struct swap_place *p, bool in_place, struct err *e)
{
	struct restore_map *m = &t->maps[t->count];
	int r;

	*m = (struct restore_map){ .data_dir = (uint32_t)t->count, .fd = -1 };
	m->directory = in_place ? strdup(p->path) : swap_path(p, SWAP_NEW);
	t->count++;
	if (!m->directory)
		return err_nomem(e);
	r = in_place ? swap_open_place(p, &m->fd, e) : swap_open_part(p, SWAP_NEW, &m->fd, e);
	return r == -ENOENT && !in_place ? err_errno(e, r, "cannot open %s", m->directory) : r;
}

static int take_owner(struct targets *t, const struct swap_place *p, struct err *e)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r = swap_open_place(p, &fd, e);

	if (r == 0 && fstat(fd, &st) < 0)
		r = err_errno(e, -errno, "cannot look at %s", p->path);
	if (r == 0)
		t->owner = (struct restore_owner){ st.st_uid, st.st_gid };
	return r;
}

static int find_targets(struct targets *t, const struct nodejournal *j, bool in_place,
			struct err *e)
{
	int r = 0;

	t->maps = calloc(j->place_count, sizeof(*t->maps));
	if (!t->maps)
		return err_nomem(e);
	for (size_t i = 0; i < j->place_count && j->places[i].data && r == 0; i++)
		r = add_target(t, &j->places[i], in_place, e);
	return r < 0 ? r : take_owner(t, &j->places[0], e);
}

struct fetch {
	const struct restore_options *options;
	struct restore_result *ret;
};

static int fetch(void *ctx, struct err *e)
{
	struct fetch *f = ctx;

	return restore_run(f->options, f->ret, e);
}

int nodefetch_run(struct cli *cli, const struct session *s, const struct record *rec,
		  const struct common *common, const struct nodejournal *j, bool in_place,
		  struct restore_result *ret, struct err *e)
{
	const char *except[NODEJOURNAL_EXCEPT_MAX];
	_cleanup_(targets_deinit) struct targets t = { .count = 0 };
	struct progress progress = { 0 };
	struct restore_options ro = { .repo = s->repo,
				      .source = s->source,
				      .meta = s->meta,
				      .record = rec,
				      .opened = true,
				      .maps_may_be_unused = true,
				      .only = (const char *const *)j->only,
				      .only_count = j->only_count,
				      .except = except,
				      .except_count = nodejournal_except(j, except),
				      .overwrite = true,
				      .owner = &t.owner,
				      .jobs = common->jobs,
				      .connections = common->connections,
				      .memory_bytes = common->memory_bytes,
				      .progress = &progress,
				      .log = cli->log,
				      .cancel = &cli->cancel };
	struct progress_view *view;
	int r = find_targets(&t, j, in_place, e);

	if (r < 0)
		return r;
	ro.directory = t.maps[0].directory;
	ro.directory_fd = t.maps[0].fd;
	ro.maps = t.maps;
	ro.map_count = t.count;
	view = progress_view_start(cli, "fetch", &progress);
	/* Cassandra, which is started later, shall not have the priority of this. */
	r = priority_aside(cli, "restore", fetch, &(struct fetch){ &ro, ret }, e);
	progress_view_stop(view);
	return r;
}
