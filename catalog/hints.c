/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/hints.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/io.h"
#include "cache/kvdir.h"
#include "cassandra/component.h"

#define SCOPE_TEXT "sstablefs hints"
#define NAME_BYTES 40
#define CLOCK_SLACK_NS INT64_C(1000000000)

struct hints {
	struct log *log;
	const struct clock *clock;
	int64_t started_ns, started_elapsed_ns;
	struct id256 scope;
	char name[NAME_BYTES], new_name[NAME_BYTES + 4];
	int dir_fd, new_fd; /* -1: none */

	struct hintfile_reader *old; /* NULL: nothing is believed, or no more */
	struct hint ahead;	     /* the first that was not asked for yet */
	bool has_ahead;

	struct hintfile_writer *new; /* NULL: nothing is remembered */
};

static void say(struct hints *h, const char *what, const char *why)
{
	log_write(h->log, LOG_LEVEL_WARNING, "hints", "%s: %s", what, why);
}

/* ---- whose state it is ---- */

static void add_string(struct sha256 *sum, const char *s)
{
	sha256_update(sum, s, strlen(s) + 1);
}

/* The file system's own name of a directory, where it has one. */
static void add_path(struct sha256 *sum, const char *path)
{
	_cleanup_free_ char *real = realpath(path, NULL);

	add_string(sum, real ? real : path);
}

/* All that must be the same for the state to mean anything; what tells two states of this host apart also gives the file's name. */
static int describe_scope(struct hints *h, const struct hints_options *o)
{
	_cleanup_(sha256_freep) struct sha256 *name = sha256_new(), *all = sha256_new();
	struct id256 id;
	char hex[SHA256_HEX];

	if (!name || !all)
		return -ENOMEM;
	add_string(name, o->repository_id);
	add_string(name, o->where->cluster);
	add_string(name, o->where->node);
	for (size_t i = 0; i < o->only_count; i++)
		add_string(name, o->only[i]);
	id = sha256_final(name);
	util_hex(hex, id.b, sizeof(id.b));
	snprintf(h->name, sizeof(h->name), "%.32s", hex);
	snprintf(h->new_name, sizeof(h->new_name), "%s.new", h->name);
	add_string(all, SCOPE_TEXT);
	sha256_update(all, id.b, sizeof(id.b));
	add_string(all, o->host_id);
	add_string(all, o->machine);
	for (size_t i = 0; i < o->data_dir_count; i++)
		add_path(all, o->data_dirs[i]);
	h->scope = sha256_final(all);
	return 0;
}

/* ---- what is remembered ---- */

static void read_ahead(struct hints *h)
{
	h->has_ahead = hintfile_next(h->old, &h->ahead) == 0;
	if (!h->has_ahead && hintfile_damage(h->old))
		say(h, "what earlier backups read is believed in part only",
		    hintfile_damage(h->old));
}

static void open_old(struct hints *h)
{
	int fd = openat(h->dir_fd, h->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	const char *why = "out of memory";

	if (fd < 0) {
		if (errno != ENOENT)
			say(h, "what earlier backups read cannot be opened", strerror(errno));
		return;
	}
	if (hintfile_open(fd, &h->scope, &h->old, &why) != 0) {
		say(h, "what earlier backups read is not believed", why);
		return;
	}
	if (hintfile_started_ns(h->old) > h->started_ns) {
		say(h, "what earlier backups read is not believed", "the clock was set back since");
		hintfile_close(steal_pointer(&h->old));
		return;
	}
	read_ahead(h);
}

/* Negative: the remembered file comes before f in the snapshot's order. */
static int compare_ahead(struct hints *h, const struct snapshot_file *f)
{
	struct snapshot_place place = { .shown = (char *)(uintptr_t)h->ahead.dir };
	struct snapshot_file remembered = { .place = &place,
					    .name = h->ahead.name,
					    .data_dir = h->ahead.data_dir };

	return snapshot_compare(&remembered, f);
}

/* Whether a hint may ever stand for the reading of such a file. */
static bool may_be_remembered(const struct snapshot_file *f)
{
	if (f->data_dir == FORMAT_NO_DATA_DIR)
		return false; /* made anew with each snapshot */
	return !component_is_mutable(f->name) || f->size_bytes > HINTS_MUTABLE_BYTES;
}

bool hints_find(struct hints *h, const struct snapshot_file *f, struct hint *ret)
{
	const struct hint *a;
	int order = 0;

	if (!h || !h->old || !may_be_remembered(f))
		return false;
	while (h->has_ahead && (order = compare_ahead(h, f)) < 0)
		read_ahead(h);
	a = &h->ahead;
	if (!h->has_ahead || order != 0)
		return false;
	if (a->ino != f->ino || a->size_bytes != f->size_bytes || a->mtime_ns != f->mtime_ns ||
	    a->btime_ns != f->btime_ns)
		return false;
	*ret = *a;
	return true;
}

/* ---- what is to be remembered ---- */

static void give_up(struct hints *h, int r)
{
	say(h, "what this backup reads is not remembered", strerror(-r));
	hintfile_free(steal_pointer(&h->new));
	unlinkat(h->dir_fd, h->new_name, 0);
}

/* The file that will take the old one's place, empty, and locked against other backups. 0 or -errno. */
static int create_new(struct hints *h)
{
	struct stat st, named;

	h->new_fd = openat(h->dir_fd, h->new_name,
			   O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (h->new_fd < 0)
		return -errno;
	if (flock(h->new_fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	/* Another backup may have published it between our open and our lock. */
	if (fstat(h->new_fd, &st) < 0 ||
	    fstatat(h->dir_fd, h->new_name, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_ino != named.st_ino || !S_ISREG(st.st_mode) || st.st_nlink != 1)
		return -EBUSY;
	if (ftruncate(h->new_fd, 0) < 0)
		return -errno;
	return hintfile_create(h->new_fd, &h->scope, h->started_ns, &h->new);
}

void hints_note(struct hints *h, const struct snapshot_file *f, const struct ingest_file *file)
{
	const struct stamp *s = &file->stamp;
	struct hint hint = { .dir = f->place->shown,
			     .name = f->name,
			     .data_dir = f->data_dir,
			     .ino = s->ino,
			     .size_bytes = s->size_bytes,
			     .mtime_ns = s->mtime_ns,
			     .btime_ns = f->btime_ns,
			     .crc = file->crc,
			     .id = file->id,
			     .inline_data = file->inline_data };
	int r;

	if (!h || !h->new || !may_be_remembered(f) ||
	    s->mtime_ns > h->started_ns - HINTS_SETTLED_NS)
		return;
	if (s->ino != f->ino || s->size_bytes != f->size_bytes || s->mtime_ns != f->mtime_ns)
		return; /* it changed since it was found: its birth time is not known */
	r = hintfile_add(h->new, &hint);
	if (r < 0)
		give_up(h, r);
}

static bool clock_was_set_back(const struct hints *h)
{
	int64_t wall = clock_wall_ns(h->clock) - h->started_ns;
	int64_t elapsed = clock_elapsed_ns(h->clock) - h->started_elapsed_ns;

	return wall < elapsed - CLOCK_SLACK_NS;
}

void hints_commit(struct hints *h)
{
	int r;

	if (!h || !h->new)
		return;
	r = hintfile_finish(h->new);
	if (r == 0 && clock_was_set_back(h)) {
		say(h, "what this backup read is not remembered",
		    "the clock was set back while it ran");
		return;
	}
	if (r == 0 && renameat(h->dir_fd, h->new_name, h->dir_fd, h->name) < 0)
		r = -errno;
	if (r < 0) {
		give_up(h, r);
		return;
	}
	hintfile_free(steal_pointer(&h->new));
}

/* ---- all of it ---- */

static int open_state(struct hints *h, const struct hints_options *o, struct err *e)
{
	int r = describe_scope(h, o);

	if (r < 0)
		return err_nomem(e);
	r = kvdir_open_unlocked(o->directory, &h->dir_fd, e);
	if (r < 0)
		return r;
	if (!o->reread)
		open_old(h);
	r = create_new(h);
	if (r == -EBUSY)
		return err_set(e, ERR_CONFLICT, r,
			       "another backup of the same files runs at the same time");
	return r < 0 ? err_errno(e, r, "%s", h->new_name) : 0;
}

struct hints *hints_new(const struct hints_options *o)
{
	struct hints *h = calloc(1, sizeof(*h));
	struct err e = ERR_INIT;

	if (!h)
		return NULL;
	h->log = o->log;
	h->clock = o->clock;
	h->dir_fd = h->new_fd = -1;
	h->started_ns = clock_wall_ns(o->clock);
	h->started_elapsed_ns = clock_elapsed_ns(o->clock);
	if (open_state(h, o, &e) < 0)
		say(h, "what this backup reads is not remembered", e.message);
	return h;
}

void hints_free(struct hints *h)
{
	if (!h)
		return;
	if (h->new) /* locked, and not published: nobody else's */
		unlinkat(h->dir_fd, h->new_name, 0);
	hintfile_free(h->new);
	hintfile_close(h->old);
	util_closep(&h->new_fd);
	util_closep(&h->dir_fd);
	free(h);
}
