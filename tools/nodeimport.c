/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/nodeimport.h"

#include <dirent.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>
#include "base/io.h"

#define DATA "-Data.db"

struct importing {
	const struct nodetool *nodetool;
	nodeimport_fn *done;
	void *ctx;
};

/* nodetool import of a directory without SSTables is a JVM for nothing. */
static int has_sstables(const char *path, struct err *e)
{
	DIR *dir = opendir(path);
	struct dirent *d;
	int found = 0;

	if (!dir)
		return err_errno(e, -errno, "cannot read %s", path);
	while (!found && (d = readdir(dir))) {
		size_t len = strlen(d->d_name);

		found = len > strlen(DATA) && strcmp(d->d_name + len - strlen(DATA), DATA) == 0;
	}
	closedir(dir);
	return found;
}

/* -l, -r: level and repaired state as in the backup. -v: each byte was checked when it was fetched; whether the node owns the rows is looked at all the same. */
static int import(const struct importing *m, const char *keyspace, const char *table,
		  const char *path, struct err *e)
{
	const char *words[] = { "import", "-l", "-r", "-v", keyspace, table, path };
	int r = nodetool_run(m->nodetool, words, ARRAY_SIZE(words), NULL, e);

	if (r < 0)
		return err_wrap(e, r, "%s.%s", keyspace, table);
	return m->done ? m->done(m->ctx, keyspace, table, e) : 0;
}

static int take_table(const struct importing *m, const FTSENT *f, struct err *e)
{
	_cleanup_free_ char *table = strdup(f->fts_name);
	char *dash = table ? strrchr(table, '-') : NULL;
	int r;

	if (!table)
		return err_nomem(e);
	if (dash)
		*dash = '\0';
	r = has_sstables(f->fts_accpath, e);
	if (r > 0)
		r = import(m, f->fts_parent->fts_name, table, f->fts_path, e);
	if (r < 0)
		return r;
	r = io_remove_tree(AT_FDCWD, f->fts_accpath);
	return r < 0 ? err_errno(e, r, "cannot remove %s", f->fts_path) : 0;
}

int nodeimport_run(const struct nodetool *nodetool, const char *directory, nodeimport_fn *done,
		   void *ctx, struct err *e)
{
	const struct importing m = { nodetool, done, ctx };
	char *roots[] = { (char *)(size_t)directory, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *f;
	int r = 0;

	if (!fts)
		return err_errno(e, -errno, "cannot read %s", directory);
	while (r == 0 && (errno = 0, f = fts_read(fts))) {
		if (f->fts_info == FTS_DNR || f->fts_info == FTS_ERR || f->fts_info == FTS_NS) {
			r = err_errno(e, -f->fts_errno, "cannot read %s", f->fts_path);
		} else if (f->fts_info == FTS_D && f->fts_level == 2) {
			fts_set(fts, f, FTS_SKIP);
			r = take_table(&m, f, e);
		}
	}
	if (r == 0 && errno != 0)
		r = err_errno(e, -errno, "cannot read %s", directory);
	fts_close(fts);
	return r;
}
