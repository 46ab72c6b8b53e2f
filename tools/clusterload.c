/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/clusterload.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "base/io.h"
#include "tools/ownmount.h"
#include "tools/peer.h"

#define LOGS "logs"
#define DATA_END "-Data.db"
#define POLL_MS 200
#define SILENT_MS (6 * 3600 * 1000LL) /* receivers may build indexes for long, and say nothing */

struct job { /* a table of a source */
	const struct clusterplan_table *table;
	struct peer *peer; /* NULL: it does not run */
	struct loader_said said;
	bool heard; /* since `heard_ms` was set */
	int64_t heard_ms;
};

struct source {
	size_t left;	  /* jobs that are not over */
	char *mountpoint; /* NULL: not mounted */
};

struct engine {
	struct clusterload *l;
	struct job *jobs; /* source by source: few are mounted at once */
	size_t count, next;
	struct job **running; /* l->parallel; NULL: free */
	struct pollfd *fds;
	struct source *sources;
};

char *clusterload_from(const struct clusterplan *p, const struct clusterplan_table *t)
{
	const struct record *rec = p->records[t->source];
	char writer[ULID_TEXT];

	ulid_format(writer, &rec->writer);
	return util_printf("%s/%s/%s", rec->where.node, writer, t->directory);
}

/* ---- mounts ---- */

static char *mount_path(const struct loadjournal *j, const char *node)
{
	return util_printf("%s/mounts/%s", loadjournal_directory(j), node);
}

static int make_directories(const struct loadjournal *j, const char *mountpoint, struct err *e)
{
	_cleanup_free_ char *logs = util_printf("%s/" LOGS, loadjournal_directory(j));
	int r = logs ? io_mkdirs(AT_FDCWD, logs, 0700) : -ENOMEM;

	if (r == 0)
		r = io_mkdirs(AT_FDCWD, mountpoint, 0700);
	return r < 0 ? err_errno(e, r, "cannot make %s", mountpoint) : 0;
}

static int mount_source(struct engine *g, uint32_t source, struct err *e)
{
	const struct record *rec = g->l->plan->records[source];
	_cleanup_free_ char *path = mount_path(g->l->journal, rec->where.node);
	_cleanup_free_ char *log = util_printf(
		"%s/" LOGS "/%s", loadjournal_directory(g->l->journal), rec->where.node);
	_cleanup_free_ char *escaped = log ? ownmount_escaped(log) : NULL;
	_cleanup_free_ char *options = escaped ? util_printf("log=%s,cluster=%s,node=%s,pin=%s",
							     escaped, rec->where.cluster,
							     rec->where.node, rec->backup)
					       : NULL;
	int r;

	if (!options || !path)
		return err_nomem(e);
	r = make_directories(g->l->journal, path, e);
	if (r < 0)
		return r;
	r = ownmount_start(g->l->cli, g->l->url, path, options, e);
	if (r == 0)
		g->sources[source].mountpoint = steal_pointer(&path);
	return r;
}

static int unmount_source(const struct cli *cli, struct source *s, struct err *e)
{
	int r = s->mountpoint ? ownmount_end(cli, s->mountpoint, e) : 0;

	free(s->mountpoint);
	s->mountpoint = NULL;
	return r;
}

int clusterload_clear(const struct cli *cli, const struct loadjournal *j, struct err *e)
{
	_cleanup_free_ char *path = mount_path(j, "");
	DIR *dir = path ? opendir(path) : NULL;
	struct dirent *d;
	int r = 0;

	if (!path)
		return err_nomem(e);
	/* Names only: what is mounted there may hang. */
	while (dir && r == 0 && (d = readdir(dir))) {
		_cleanup_free_ char *at = util_printf("%s%s", path, d->d_name);

		if (!at)
			r = err_nomem(e);
		else if (*d->d_name != '.')
			r = ownmount_end(cli, at, e);
	}
	if (dir)
		closedir(dir);
	return r;
}

/* ---- one table ---- */

static char *directory_of(const struct engine *g, const struct clusterplan_table *t)
{
	const struct record *rec = g->l->plan->records[t->source];

	return util_printf("%s/%s/nodes/%s/%s/%s", g->sources[t->source].mountpoint,
			   rec->where.cluster, rec->where.node, rec->backup, t->directory);
}

static int start(struct engine *g, struct job *job, struct err *e)
{
	const struct clusterplan_table *t = job->table;
	struct loader loader = *g->l->loader;
	struct loader_words words;
	_cleanup_free_ char *directory = NULL;
	int r = g->sources[t->source].mountpoint ? 0 : mount_source(g, t->source, e);

	if (r < 0)
		return r;
	directory = directory_of(g, t);
	if (!directory)
		return err_nomem(e);
	loader.directory = directory;
	loader.keyspace = strcmp(t->keyspace, t->to_keyspace) != 0 ? t->to_keyspace : NULL;
	loader.table = strcmp(t->table, t->to_table) != 0 ? t->to_table : NULL;
	loader_words(&loader, &words);
	job->heard_ms = clock_elapsed_ms(g->l->cli->clock);
	/* Nobody writes to the words. */
	r = peer_start((char *const *)(size_t)words.words, &job->peer, e);
	/* It names all SSTables in one line. */
	if (r == 0)
		peer_take_pieces(job->peer);
	return r;
}

static void hear(void *ctx, bool errors, char *line)
{
	struct job *job = ctx;

	(void)errors;
	job->heard = true;
	loader_hear(&job->said, line);
}

/* Said at once, and the others go on. */
static int fail(struct engine *g, const struct job *job, const struct err *why, struct err *e)
{
	const struct clusterplan_table *t = job->table;
	const char *source = g->l->plan->sources[t->source].name;

	log_write(g->l->cli->log, LOG_LEVEL_WARNING, "load-failed", "%s.%s of node %s: %s",
		  t->keyspace, t->table, source, why->message);
	return json_array_append_new(g->l->failed,
				     json_pack("{s:s, s:o, s:o, s:o}", "source", source, "keyspace",
					       json_text(t->keyspace), "table", json_text(t->table),
					       "reason", json_text(why->message))) == 0
		       ? 0
		       : err_nomem(e);
}

static int succeed(struct engine *g, const struct job *job, struct err *e)
{
	const struct clusterplan_table *t = job->table;
	_cleanup_free_ char *name = util_printf("%s.%s", t->to_keyspace, t->to_table);
	_cleanup_free_ char *from = clusterload_from(g->l->plan, t);
	int r = name && from ? loadjournal_add(g->l->journal, name, from, e) : err_nomem(e);

	if (r < 0)
		return r;
	g->l->loaded++;
	g->l->loaded_bytes += t->bytes;
	atomic_fetch_add(&g->l->progress.bytes_done, t->bytes);
	atomic_fetch_add(&g->l->progress.files_done, t->files);
	return 0;
}

static int count_sstables(const char *path, uint64_t *ret, struct err *e)
{
	DIR *dir = opendir(path);
	struct dirent *d;
	int r;

	errno = dir ? 0 : errno;
	while (dir && (d = readdir(dir))) {
		size_t len = strlen(d->d_name);

		*ret += len > strlen(DATA_END) &&
			strcmp(d->d_name + len - strlen(DATA_END), DATA_END) == 0;
		errno = 0;
	}
	r = -errno;
	if (dir)
		closedir(dir);
	return r < 0 ? err_errno(e, r, "cannot list %s", path) : 0;
}

/* Its directory was just listed, and is in the mount's memory. */
static int judge(const struct engine *g, const struct job *job, int status, struct err *e)
{
	_cleanup_free_ char *path = directory_of(g, job->table);
	uint64_t sstables = 0;
	int r = path ? count_sstables(path, &sstables, e) : err_nomem(e);

	return r < 0 ? r : loader_judge(&job->said, sstables, status, e);
}

/* Its end, and of its source's mount where that was its last table. */
static int end(struct engine *g, struct job *job, int verdict, const struct err *why, struct err *e)
{
	struct source *s = &g->sources[job->table->source];
	int r = verdict == 0 ? succeed(g, job, e) : fail(g, job, why, e);

	peer_free(job->peer);
	job->peer = NULL;
	if (--s->left == 0 && r == 0)
		r = unmount_source(g->l->cli, s, e);
	return r;
}

/* ---- all of them ---- */

static int look(struct engine *g, struct job *job, bool *ret_over, struct err *e)
{
	int64_t now = clock_elapsed_ms(g->l->cli->clock);
	struct err why = ERR_INIT;
	int status = 0, r = peer_read(job->peer, hear, job);

	if (job->heard)
		job->heard_ms = now;
	job->heard = false;
	*ret_over = true;
	if (r < 0)
		return end(g, job, err_errno(&why, r, "what sstableloader says"), &why, e);
	if (peer_ended(job->peer, &status, hear, job))
		return end(g, job, judge(g, job, status, &why), &why, e);
	if (now - job->heard_ms > SILENT_MS)
		return end(g, job,
			   err_set(&why, ERR_IO, -ETIMEDOUT,
				   "sstableloader said nothing for %lld hours and was killed",
				   SILENT_MS / 3600000),
			   &why, e);
	*ret_over = false;
	return 0;
}

static int fill(struct engine *g, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < g->l->parallel && g->next < g->count; i++) {
		if (g->running[i])
			continue;
		g->running[i] = &g->jobs[g->next++];
		r = start(g, g->running[i], e);
	}
	return r;
}

static void wait_a_little(struct engine *g)
{
	size_t count = 0;

	for (unsigned i = 0; i < g->l->parallel; i++)
		if (g->running[i])
			peer_fds(g->running[i]->peer, &g->fds[2 * count++]);
	if (count > 0)
		(void)poll(g->fds, 2 * count, POLL_MS);
}

static int turn(struct engine *g, struct err *e)
{
	int r = fill(g, e);

	if (r == 0)
		wait_a_little(g);
	for (unsigned i = 0; r == 0 && i < g->l->parallel; i++) {
		bool over = false;

		if (g->running[i])
			r = look(g, g->running[i], &over, e);
		if (over)
			g->running[i] = NULL;
	}
	return r;
}

static bool is_over(const struct engine *g)
{
	for (unsigned i = 0; i < g->l->parallel; i++)
		if (g->running[i])
			return false;
	return g->next == g->count;
}

/* ---- the list ---- */

static int by_source(const void *a, const void *b)
{
	const struct job *x = a, *y = b;

	if (x->table->source != y->table->source)
		return x->table->source < y->table->source ? -1 : 1;
	return (x->table > y->table) - (x->table < y->table);
}

static enum clusterload_part part_of(const struct clusterplan_table *t)
{
	return !clusterplan_is_roles(t)		    ? CLUSTERLOAD_ROWS
	       : strcmp(t->table, ROLES_TABLE) != 0 ? CLUSTERLOAD_PERMISSIONS
						    : CLUSTERLOAD_LOGINS;
}

static int list_job(struct engine *g, const struct clusterplan_table *t, struct err *e)
{
	_cleanup_free_ char *name = util_printf("%s.%s", t->to_keyspace, t->to_table);
	_cleanup_free_ char *from = clusterload_from(g->l->plan, t);

	if (!name || !from)
		return err_nomem(e);
	if (loadjournal_has(g->l->journal, name, from)) {
		g->l->kept++;
		return 0;
	}
	g->jobs[g->count++] = (struct job){ .table = t };
	g->sources[t->source].left++;
	atomic_fetch_add(&g->l->progress.bytes_total, t->bytes);
	atomic_fetch_add(&g->l->progress.files_total, t->files);
	return 0;
}

static int prepare(struct engine *g, struct err *e)
{
	const struct clusterplan *p = g->l->plan;
	int r = 0;

	g->jobs = calloc(p->table_count + 1, sizeof(*g->jobs));
	g->sources = calloc(p->source_count + 1, sizeof(*g->sources));
	g->running = calloc(g->l->parallel, sizeof(struct job *));
	g->fds = calloc((size_t)2 * g->l->parallel, sizeof(*g->fds));
	if (!g->l->failed)
		g->l->failed = json_array();
	if (!g->jobs || !g->sources || !g->running || !g->fds || !g->l->failed)
		return err_nomem(e);
	for (size_t i = 0; r == 0 && i < p->table_count; i++)
		if (part_of(&p->tables[i]) == g->l->part)
			r = list_job(g, &p->tables[i], e);
	if (g->count > 1)
		qsort(g->jobs, g->count, sizeof(*g->jobs), by_source);
	return r;
}

static void release(struct engine *g)
{
	struct err ignored = ERR_INIT;

	for (unsigned i = 0; g->running && i < g->l->parallel; i++)
		if (g->running[i] && g->running[i]->peer)
			peer_free(g->running[i]->peer);
	for (size_t i = 0; g->sources && i < g->l->plan->source_count; i++)
		if (unmount_source(g->l->cli, &g->sources[i], &ignored) < 0)
			log_write(g->l->cli->log, LOG_LEVEL_WARNING, "mount-stays", "%s",
				  ignored.message);
	free(g->jobs);
	free(g->sources);
	free(g->running);
	free(g->fds);
}

int clusterload_run(struct clusterload *l, struct err *e)
{
	struct engine g = { .l = l };
	struct progress_view *view = NULL;
	int r = prepare(&g, e);

	if (r == 0)
		view = progress_view_start(l->cli, "loaded", &l->progress);
	while (r == 0 && !is_over(&g))
		r = cancel_is_set(&l->cli->cancel) ? err_set(e, ERR_IO, -ECANCELED, "stopped")
						   : turn(&g, e);
	progress_view_stop(view);
	release(&g);
	return r;
}

void clusterload_deinit(struct clusterload *l)
{
	json_decref(l->failed);
	l->failed = NULL;
}
