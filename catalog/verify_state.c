/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/verify_state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "base/io.h"

#define MAGIC "SSFVER1"
#define SCOPE_HEX 32 /* digits */
#define NAME_BYTES (SCOPE_HEX + 16)
#define SUSPECTS_MAX 100000
#define LOCK_TRIES \
	500 /* of 10 ms: what is done under the lock takes a moment, unless its process was stopped */
#define AHEAD_NS (INT64_C(3600) * 1000000000) /* a begin this far in the future is no begin */

struct header {
	char magic[8];
	uint32_t slices, slice;
	int64_t begun_ns;
	uint64_t check;
};

struct note {
	struct xxh128 object;
	uint64_t check;
};

struct verify_state {
	const struct verify_state_options *o; /* only while it is opened */
	int dir;
	int journal; /* -1: none */
	char scope[SCOPE_HEX + 1];
	char journal_name[NAME_BYTES];
	uint32_t slices;
	struct header header; /* of the journal */
	struct seen whole, suspects;
	pthread_mutex_t lock; /* writes to the journal */
};

uint32_t verify_state_slice_of(const struct id256 *id, uint32_t slices)
{
	uint64_t n = 0;

	for (int i = 0; i < 8; i++)
		n = n << 8 | id->b[i];
	return (uint32_t)(n % slices);
}

/* ---- what the files hold ---- */

static void header_seal(struct header *h)
{
	memcpy(h->magic, MAGIC, sizeof(h->magic));
	h->check = digest_xxh64(h, offsetof(struct header, check));
}

static bool header_fits(const struct header *h, uint32_t slices)
{
	return memcmp(h->magic, MAGIC, sizeof(h->magic)) == 0 && h->slices == slices &&
	       h->slice < slices && h->check == digest_xxh64(h, offsetof(struct header, check));
}

static bool header_read(int fd, struct header *h)
{
	return io_pread_full(fd, h, sizeof(*h), 0) == (ssize_t)sizeof(*h);
}

static uint64_t note_check(const struct header *h, const struct xxh128 *object)
{
	struct {
		struct xxh128 object;
		uint64_t header;
	} x = { *object, h->check };

	return digest_xxh64(&x, sizeof(x));
}

/* Notes that do not fit (torn, garbled) are passed over one by one. */
static int notes_load(int fd, const struct header *h, struct seen *s)
{
	struct note notes[256];
	uint64_t at = sizeof(*h);
	ssize_t got;

	while ((got = io_pread_full(fd, notes, sizeof(notes), at)) > 0) {
		for (size_t i = 0; i < (size_t)got / sizeof(*notes); i++)
			if (notes[i].check == note_check(h, &notes[i].object) &&
			    seen_add_digest(s, &notes[i].object) < 0)
				return -ENOMEM;
		at += (uint64_t)got;
	}
	return (int)got;
}

/* ---- the journal ---- */

static bool is_too_old(const struct header *h, int64_t now_ns)
{
	return now_ns == 0 || h->begun_ns == 0 || h->begun_ns > now_ns + AHEAD_NS ||
	       now_ns - h->begun_ns > VERIFY_CONTINUE_NS;
}

/* Of a file of the directory: its descriptor, locked by us; -1: it is in use, or gone. */
static int lock_file(int dir, const char *name, int flags)
{
	int fd = openat(dir, name, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags,
			0600);
	struct stat st;

	if (fd >= 0 &&
	    (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* A torn note at the end would shift those that follow it. */
static int cut_torn(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	st.st_size -= (st.st_size - (off_t)sizeof(struct header)) % (off_t)sizeof(struct note);
	return ftruncate(fd, st.st_size) < 0 ? -errno : 0;
}

/* Takes the journal over where it is of a run that can be continued. True: taken. */
static bool take_over(struct verify_state *s, const char *name, struct verify_begin *b)
{
	int fd = lock_file(s->dir, name, 0);
	struct header h;
	bool fits;

	if (fd < 0)
		return false;
	fits = header_read(fd, &h) && header_fits(&h, s->slices);
	if (fits && !is_too_old(&h, s->o->now_ns) && cut_torn(fd) == 0 &&
	    notes_load(fd, &h, &s->whole) == 0) {
		s->journal = fd;
		s->header = h;
		snprintf(s->journal_name, sizeof(s->journal_name), "%.*s",
			 (int)sizeof(s->journal_name) - 1, name);
		*b = (struct verify_begin){ .slice = h.slice,
					    .continued = true,
					    .begun_ns = h.begun_ns,
					    .objects = s->whole.count };
		return true;
	}
	seen_deinit(&s->whole);
	b->too_old |= fits;
	b->damaged |= !fits;
	unlinkat(s->dir, name, 0);
	close(fd);
	return false;
}

/* Those of other scopes that nobody will continue would stay for ever. */
static void clear_old(struct verify_state *s, const char *name)
{
	int fd = lock_file(s->dir, name, 0);
	struct header h;

	if (fd < 0)
		return;
	if (!header_read(fd, &h) || !header_fits(&h, h.slices) ||
	    (s->o->now_ns != 0 && is_too_old(&h, s->o->now_ns)))
		unlinkat(s->dir, name, 0);
	close(fd);
}

static bool is_journal(const char *name)
{
	return strspn(name, "0123456789abcdef") == SCOPE_HEX && name[SCOPE_HEX] == '.' &&
	       name[SCOPE_HEX + 1] &&
	       strspn(name + SCOPE_HEX + 1, "0123456789") == strlen(name + SCOPE_HEX + 1);
}

static int find_journal(struct verify_state *s, struct verify_begin *b, struct err *e)
{
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *x;

	if (!d) {
		util_closep(&fd);
		return err_errno(e, -errno, "cannot read what verify remembers");
	}
	while (s->journal < 0 && (x = readdir(d))) {
		if (!is_journal(x->d_name))
			continue;
		if (strncmp(x->d_name, s->scope, SCOPE_HEX) == 0)
			take_over(s, x->d_name, b);
		else
			clear_old(s, x->d_name);
	}
	closedir(d);
	return 0;
}

static char *name_of(const struct verify_state *s, const char *kind, char out[NAME_BYTES])
{
	snprintf(out, NAME_BYTES, "%s.%.14s", s->scope, kind);
	return out;
}

/* ---- which slice ---- */

static uint32_t next_slice(const struct verify_state *s, struct verify_begin *b)
{
	_cleanup_free_ char *data = NULL;
	char name[NAME_BYTES];
	struct header h;
	size_t len;
	int r = io_read_file(s->dir, name_of(s, "next", name), sizeof(h), &data, &len);

	if (r == 0 && len == sizeof(h)) {
		memcpy(&h, data, sizeof(h));
		if (header_fits(&h, s->slices))
			return h.slice;
	}
	b->damaged |= r != -ENOENT;
	clock_random(s->o->clock, &h.check, sizeof(h.check));
	return (uint32_t)(h.check % s->slices);
}

/* The first from `slice` on that no other run is reading. */
static void make_journal(struct verify_state *s, uint32_t slice, struct verify_begin *b)
{
	char number[16];

	b->slice = slice;
	for (uint32_t i = 0; i < s->slices && s->journal < 0; i++) {
		b->slice = (slice + i) % s->slices;
		snprintf(number, sizeof(number), "%u", b->slice);
		s->journal = lock_file(s->dir, name_of(s, number, s->journal_name), O_CREAT);
	}
	b->unremembered = s->journal < 0;
}

static int begin_slice(struct verify_state *s, struct verify_begin *b, struct err *e)
{
	struct header next = { .slices = s->slices };
	char name[NAME_BYTES];
	int r;

	make_journal(s, s->slices > 1 ? next_slice(s, b) : 0, b);
	next.slice = (b->slice + 1) % s->slices;
	header_seal(&next);
	if (s->slices > 1) {
		r = io_publish_file(s->dir, name_of(s, "next", name), &next, sizeof(next), 0600, e);
		if (r < 0)
			return r;
	}
	if (s->journal < 0)
		return 0;
	s->header =
		(struct header){ .slices = s->slices, .slice = b->slice, .begun_ns = s->o->now_ns };
	header_seal(&s->header);
	r = ftruncate(s->journal, 0) < 0 ? -errno
					 : io_write_full(s->journal, &s->header, sizeof(s->header));
	return r < 0 ? err_errno(e, r, "cannot write what verify remembers") : 0;
}

/* ---- what was found damaged ---- */

static int read_suspects(const struct verify_state *s, struct seen *ret)
{
	char name[NAME_BYTES];
	int fd = openat(s->dir, name_of(s, "damaged", name),
			O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct header h;
	int r = 0;

	if (fd < 0)
		return 0;
	if (header_read(fd, &h) && header_fits(&h, s->slices))
		r = notes_load(fd, &h, ret);
	close(fd);
	return r;
}

static void put_suspect(struct note *notes, size_t *count, const struct header *h,
			const struct xxh128 *object)
{
	if (*count == SUSPECTS_MAX)
		return;
	notes[*count] = (struct note){ *object, note_check(h, object) };
	++*count;
}

/* Those of this run, and those that other runs found meanwhile. */
static void write_suspects(struct verify_state *s, const struct xxh128 *damaged, size_t count)
{
	_cleanup_(seen_deinit) struct seen there = { 0 };
	_cleanup_free_ struct header *h = NULL;
	struct note *notes;
	char name[NAME_BYTES];
	size_t n = 0;

	if (read_suspects(s, &there) < 0)
		return;
	h = calloc(1, sizeof(*h) + SUSPECTS_MAX * sizeof(*notes));
	if (!h)
		return;
	notes = (struct note *)(h + 1);
	h->slices = s->slices;
	header_seal(h);
	for (size_t i = 0; i < count; i++)
		put_suspect(notes, &n, h, &damaged[i]);
	for (size_t i = 0; i < there.cap; i++)
		if (seen_slot(&there, i) && !seen_has_digest(&s->suspects, &there.slots[i]))
			put_suspect(notes, &n, h, &there.slots[i]);
	name_of(s, "damaged", name);
	if (n == 0)
		unlinkat(s->dir, name, 0);
	else
		io_publish_file(s->dir, name, h, sizeof(*h) + n * sizeof(*notes), 0600, NULL);
}

/* ---- all of it ---- */

static int lock_dir(int dir)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(dir, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		nanosleep(&pause, NULL);
	}
	return -EBUSY;
}

/* Who else could write here could make us believe that objects were read. */
static int open_dir(const char *path, int *ret, struct err *e)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r = io_mkdirs(AT_FDCWD, path, 0700);

	if (r < 0)
		return err_errno(e, r, "cannot make %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, -errno, "cannot open %s", path);
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return err_set(e, ERR_CONFLICT, -EPERM,
			       "%s is another user's, or others may write to it", path);
	*ret = steal_fd(&fd);
	return 0;
}

static struct verify_state *state_new(const struct verify_state_options *o)
{
	struct verify_state *s = calloc(1, sizeof(*s));
	struct id256 scope;

	if (!s)
		return NULL;
	scope = digest_sha256_2(o->scope.b, sizeof(o->scope.b), &o->slices, sizeof(o->slices));
	util_hex(s->scope, scope.b, SCOPE_HEX / 2);
	pthread_mutex_init(&s->lock, NULL);
	s->o = o;
	s->dir = s->journal = -1;
	s->slices = o->slices;
	return s;
}

int verify_state_open(const struct verify_state_options *o, struct verify_state **ret,
		      struct verify_begin *ret_begin, struct err *e)
{
	_cleanup_(verify_state_freep) struct verify_state *s = state_new(o);
	struct verify_begin b = { .slice = 0 };
	int r = s ? open_dir(o->dir, &s->dir, e) : err_nomem(e);

	if (r < 0)
		return r;
	r = lock_dir(s->dir);
	if (r < 0)
		return err_errno(e, r, "cannot lock %s", o->dir);
	r = find_journal(s, &b, e);
	if (r == 0 && s->journal < 0)
		r = begin_slice(s, &b, e);
	if (r == 0 && s->slices > 1 && read_suspects(s, &s->suspects) < 0)
		r = err_nomem(e);
	flock(s->dir, LOCK_UN);
	if (r < 0)
		return r;
	s->o = NULL;
	*ret_begin = b;
	*ret = steal_pointer(&s);
	return 0;
}

void verify_state_free(struct verify_state *s)
{
	if (!s)
		return;
	util_closep(&s->journal);
	util_closep(&s->dir);
	seen_deinit(&s->whole);
	seen_deinit(&s->suspects);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

bool verify_state_is_whole(const struct verify_state *s, const struct object_ref *ref)
{
	return s && seen_has_object(&s->whole, ref);
}

bool verify_state_is_suspect(const struct verify_state *s, const struct object_ref *ref)
{
	return s && seen_has_object(&s->suspects, ref);
}

void verify_state_whole(struct verify_state *s, const struct object_ref *ref)
{
	struct note note;

	if (!s)
		return;
	note.object = seen_object_digest(ref);
	note.check = note_check(&s->header, &note.object);
	pthread_mutex_lock(&s->lock);
	/* After a write cut short the rest would be out of step. */
	if (s->journal >= 0 && io_write_full(s->journal, &note, sizeof(note)) < 0)
		util_closep(&s->journal), s->journal = -1;
	pthread_mutex_unlock(&s->lock);
}

void verify_state_finish(struct verify_state *s, const struct xxh128 *damaged, size_t count)
{
	if (!s || lock_dir(s->dir) < 0)
		return;
	if (s->slices > 1)
		write_suspects(s, damaged, count);
	if (*s->journal_name && s->journal >= 0)
		unlinkat(s->dir, s->journal_name, 0);
	util_closep(&s->journal);
	s->journal = -1;
	flock(s->dir, LOCK_UN);
}
