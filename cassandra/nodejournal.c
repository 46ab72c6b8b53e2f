/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/nodejournal.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "base/io.h"
#include "base/json.h"

#define JOURNAL "journal.json"
#define LOCK "lock"
#define SPARE "spare"
#define SPARE_BYTES ((size_t)64 * 1024)
#define LOCK_ATTEMPTS 10
#define NAME_BYTES 128
#define TOKENS_BYTES ((size_t)64 * 1024)
/* What the first version cannot do is of the second, so that it does not take one for the other. */
#define FORMAT_IN_PLACE 1
#define FORMAT_ALL 2

static const char *const step_names[] = {
	[NODEJOURNAL_FETCH] = "fetch", [NODEJOURNAL_STOP] = "stop",
	[NODEJOURNAL_OUT] = "out",     [NODEJOURNAL_EMPTY] = "empty",
	[NODEJOURNAL_COPY] = "copy",   [NODEJOURNAL_IN] = "in",
	[NODEJOURNAL_YAML] = "yaml",   [NODEJOURNAL_START] = "start",
	[NODEJOURNAL_CHECK] = "check", [NODEJOURNAL_IMPORT] = "import"
};
static const char *const mode_names[] = { "restore", "abort", "finish" };
static const char *const moved_names[] = { "in place", "partly", "aside", "removed" };

const char *nodejournal_step_name(enum nodejournal_step s)
{
	return step_names[s];
}

const char *nodejournal_mode_name(enum nodejournal_mode m)
{
	return mode_names[m];
}

bool nodejournal_has(const struct nodejournal *j, enum nodejournal_step s)
{
	bool whole = j->only_count == 0;

	switch (s) {
	case NODEJOURNAL_FETCH:
		return !j->no_stage;
	case NODEJOURNAL_OUT:
	case NODEJOURNAL_IN:
		return whole && !j->no_stage;
	case NODEJOURNAL_EMPTY:
	case NODEJOURNAL_COPY:
		return j->no_stage;
	case NODEJOURNAL_YAML:
		return *j->tokens;
	case NODEJOURNAL_IMPORT:
		return !whole;
	default:
		return whole;
	}
}

struct nodejournal *nodejournal_new(void)
{
	_cleanup_(nodejournal_freep) struct nodejournal *j = calloc(1, sizeof(*j));

	if (!j || !(j->tokens = strdup("")) || !(j->yaml = strdup("")) ||
	    !(j->importing = strdup("")) || !(j->address = strdup("")))
		return NULL;
	return steal_pointer(&j);
}

void nodejournal_free(struct nodejournal *j)
{
	if (!j)
		return;
	for (size_t i = 0; i < j->place_count; i++)
		free(j->places[i].path);
	free(j->places);
	for (size_t i = 0; i < j->only_count; i++)
		free(j->only[i]);
	free(j->only);
	free(j->tokens);
	free(j->yaml);
	free(j->importing);
	free(j->address);
	free(j->cluster);
	free(j->node);
	free(j->backup);
	free(j->host_id);
	free(j);
}

int nodejournal_add_place(struct nodejournal *j, const char *path, bool data, struct err *e)
{
	struct swap_place *more =
		realloc(j->places, (j->place_count + 1) * sizeof(struct swap_place));

	if (!more)
		return err_nomem(e);
	j->places = more;
	more[j->place_count] = (struct swap_place){ .path = strdup(path), .data = data };
	if (!more[j->place_count].path)
		return err_nomem(e);
	j->place_count++;
	return 0;
}

int nodejournal_add_only(struct nodejournal *j, const char *only, struct err *e)
{
	char **more = realloc(j->only, (j->only_count + 1) * sizeof(*more));

	if (!more)
		return err_nomem(e);
	j->only = more;
	more[j->only_count] = strdup(only);
	if (!more[j->only_count])
		return err_nomem(e);
	j->only_count++;
	return 0;
}

size_t nodejournal_except(const struct nodejournal *j, const char *ret[NODEJOURNAL_EXCEPT_MAX])
{
	static const char *const of_the_node[] = { "system.local", "system.peers",
						   "system.peers_v2" };
	size_t count = 0;

	if (j->keep_auth)
		ret[count++] = NODEJOURNAL_KEPT;
	for (size_t i = 0; i < ARRAY_SIZE(of_the_node) && *j->tokens; i++)
		ret[count++] = of_the_node[i];
	return count;
}

char *nodejournal_options(const struct nodejournal *j)
{
	_cleanup_free_ char *text = NULL;

	if (j->only_count == 0)
		return util_printf("%s%s%s", *j->tokens ? "--remote" : "--in-place",
				   j->no_stage ? " --no-stage" : "",
				   j->keep_auth ? " --keep-auth" : "");
	for (size_t i = 0; i < j->only_count; i++) {
		char *longer =
			util_printf("%s%s--only %s", text ? text : "", text ? " " : "", j->only[i]);

		free(text);
		text = longer;
		if (!text)
			return NULL;
	}
	return steal_pointer(&text);
}

/* ---- the lock ---- */

/* -ENOENT (no error text). */
static int open_own(const char *data_dir, bool make, int *ret_fd, struct err *e)
{
	_cleanup_free_ char *path = strdup(data_dir);
	const struct swap_place p = { .path = path, .data = true };

	return path ? swap_open_own(&p, make, ret_fd, e) : err_nomem(e);
}

/* Root's lock. An end that was killed at its last step leaves it, too, and then there is nothing to go on with. */
static int lock_of_root(int own, const char *data_dir, struct err *e)
{
	if (faccessat(own, JOURNAL, F_OK, AT_EACCESS) == 0)
		return err_set(e, ERR_USAGE, -EACCES,
			       "the restore-node in %s was begun by root: go on as root", data_dir);
	return err_set(
		e, ERR_USAGE, -EACCES,
		"%s/" SWAP_DIRECTORY
		" is root's and no restore is begun in it: unless a restore-node of root's is about to, remove it as root",
		data_dir);
}

/* > 0: its holder has removed it meanwhile, so that it locks nothing: once more. */
static int take_lock(int own, const char *data_dir, int *ret_fd, struct err *e)
{
	_cleanup_close_ int fd = openat(own, LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat mine, there;

	if (fd < 0 && errno == ENOENT)
		return 1;
	if (fd < 0 && errno == EACCES)
		return lock_of_root(own, data_dir, e);
	if (fd < 0)
		return err_errno(e, -errno, "cannot open the lock in %s/" SWAP_DIRECTORY, data_dir);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? err_set(e, ERR_CONFLICT, -EBUSY,
					 "another restore-node is at work in %s", data_dir)
			       : err_errno(e, -errno, "cannot lock %s/" SWAP_DIRECTORY, data_dir);
	if (fstat(fd, &mine) < 0 || fstatat(own, LOCK, &there, AT_SYMLINK_NOFOLLOW) < 0 ||
	    mine.st_ino != there.st_ino || mine.st_dev != there.st_dev)
		return 1;
	*ret_fd = steal_fd(&fd);
	return 0;
}

int nodejournal_lock(const char *data_dir, bool make, int *ret_fd, struct err *e)
{
	int r = 1;

	for (unsigned i = 0; r > 0 && i < LOCK_ATTEMPTS; i++) {
		_cleanup_close_ int own = -1;

		r = open_own(data_dir, make, &own, e);
		if (r == -ENOENT && make)
			r = 1; /* removed since it was made */
		else if (r == -ENOENT)
			return err_set(e, ERR_NOT_FOUND, r, "no restore-node was begun in %s",
				       data_dir);
		else if (r == 0)
			r = take_lock(own, data_dir, ret_fd, e);
	}
	return r > 0 ? err_set(e, ERR_CONFLICT, -EBUSY, "another restore-node is at work in %s",
			       data_dir)
		     : r;
}

/* ---- reading ---- */

static int word(const json_t *o, const char *key, const char *const *words, size_t count,
		unsigned *ret, struct err *e)
{
	const char *text = "";
	int r = json_get_string(o, key, NAME_BYTES, &text, e);

	for (size_t i = 0; r == 0 && i < count; i++) {
		if (strcmp(text, words[i]) == 0) {
			*ret = (unsigned)i;
			return 0;
		}
	}
	return err_set(e, ERR_CORRUPT, -EBADMSG, "its %s is unknown", key);
}

static int copy(const json_t *o, const char *key, size_t max_bytes, char **ret, struct err *e)
{
	const char *text = "";
	int r = json_get_string(o, key, max_bytes, &text, e);

	if (r < 0)
		return err_set(e, ERR_CORRUPT, -EBADMSG, "its %s is missing", key);
	free(*ret);
	*ret = strdup(text);
	return *ret ? 0 : err_nomem(e);
}

/* What only some restores have. */
static int take_case(struct nodejournal *j, const json_t *o, struct err *e)
{
	const json_t *only = json_object_get(o, "only");
	int r = 0;

	j->keep_auth = json_is_true(json_object_get(o, "keep_auth"));
	j->no_stage = json_is_true(json_object_get(o, "no_stage"));
	if (json_object_get(o, "tokens")) {
		r = copy(o, "tokens", TOKENS_BYTES, &j->tokens, e);
		if (r == 0)
			r = copy(o, "yaml", PATH_MAX - 1, &j->yaml, e);
	}
	if (json_array_size(only) > NODEJOURNAL_ONLY_MAX)
		return err_set(e, ERR_CORRUPT, -EBADMSG, "it names too many tables");
	for (size_t i = 0; i < json_array_size(only) && r == 0; i++) {
		const char *name = json_string_value(json_array_get(only, i));

		r = name ? nodejournal_add_only(j, name, e)
			 : err_set(e, ERR_CORRUPT, -EBADMSG, "table %zu is none", i);
	}
	if (r == 0 && json_object_get(o, "importing"))
		r = copy(o, "importing", 2 * NAME_BYTES, &j->importing, e);
	if (r == 0 && json_object_get(o, "address"))
		r = copy(o, "address", NAME_BYTES, &j->address, e);
	if (r == 0 && j->only_count > 0 && (j->no_stage || *j->tokens))
		r = err_set(e, ERR_CORRUPT, -EBADMSG, "what it is to do contradicts itself");
	return r;
}

/* One that an sstablefs of before wrote does not say it. */
static void take_owner(struct swap_place *p, const json_t *o)
{
	uint64_t owner;

	p->owned = json_get_u64(o, "owner", &owner, NULL) == 0;
	p->owner = p->owned ? (uid_t)owner : 0;
}

/* The first is a data directory, and no data directory comes after another place. */
static int take_places(struct nodejournal *j, const json_t *list, struct err *e)
{
	bool others = false;
	size_t i;
	json_t *o;

	if (json_array_size(list) == 0 || json_array_size(list) > NODEJOURNAL_PLACES_MAX)
		return err_set(e, ERR_CORRUPT, -EBADMSG, "it names no place, or too many");
	json_array_foreach(list, i, o) {
		bool data = json_is_true(json_object_get(o, "data"));
		const char *path = "";
		int r = json_get_string(o, "path", PATH_MAX - 1, &path, e);

		if (r < 0 || path[0] != '/' || (data && others) || (i == 0 && !data))
			return err_set(e, ERR_CORRUPT, -EBADMSG, "place %zu is none", i);
		others = !data;
		r = nodejournal_add_place(j, path, data, e);
		if (r < 0)
			return r;
		take_owner(&j->places[i], o);
	}
	return 0;
}

static int take(struct nodejournal *j, const json_t *o, struct err *e)
{
	unsigned mode = 0, step = 0, moved = 0;
	const char *writer = "";
	struct ulid id;
	int r = word(o, "mode", mode_names, ARRAY_SIZE(mode_names), &mode, e);

	if (r == 0)
		r = word(o, "step", step_names, ARRAY_SIZE(step_names), &step, e);
	if (r == 0)
		r = word(o, "old_data", moved_names, ARRAY_SIZE(moved_names), &moved, e);
	if (r == 0)
		r = copy(o, "cluster", NAME_BYTES, &j->cluster, e);
	if (r == 0)
		r = copy(o, "node", NAME_BYTES, &j->node, e);
	if (r == 0)
		r = copy(o, "backup", NAME_BYTES, &j->backup, e);
	if (r == 0)
		r = copy(o, "host_id", NAME_BYTES, &j->host_id, e);
	if (r == 0)
		r = take_case(j, o, e);
	if (r < 0)
		return r;
	if (json_get_string(o, "writer", ULID_TEXT - 1, &writer, NULL) < 0 ||
	    ulid_parse(&id, writer) < 0)
		return err_set(e, ERR_CORRUPT, -EBADMSG, "its writer is none");
	memcpy(j->writer, writer, ULID_TEXT);
	j->mode = mode;
	j->step = step;
	j->moved = moved;
	j->done = json_is_true(json_object_get(o, "done"));
	j->was_running = json_is_true(json_object_get(o, "was_running"));
	/* An older program did not say so, and had made them before it moved anything. */
	j->made = json_object_get(o, "made") ? json_is_true(json_object_get(o, "made"))
					     : moved != NODEJOURNAL_IN_PLACE;
	return take_places(j, json_object_get(o, "places"), e);
}

static int parse(const char *path, const char *text, size_t len, struct nodejournal *j,
		 struct err *e)
{
	_cleanup_json_ json_t *o = NULL;
	uint64_t format = 0;
	int r = json_unseal(path, text, len, NODEJOURNAL_BYTES_MAX, &o, e);

	if (r == 0 && (json_get_u64(o, "format", &format, NULL) < 0 || format < FORMAT_IN_PLACE ||
		       format > FORMAT_ALL))
		r = err_set(
			e, ERR_USAGE, -ENOTSUP,
			"it was written by a newer sstablefs: go on, abort or finish with that one");
	return r < 0 ? r : take(j, o, e);
}

/* Root does what it says. */
static int check_owner(const char *path, const struct stat *st, struct err *e)
{
	if (S_ISREG(st->st_mode) && (st->st_uid == geteuid() || st->st_uid == 0) &&
	    !(st->st_mode & (S_IWGRP | S_IWOTH)))
		return 0;
	return err_set(
		e, ERR_CONFLICT, -EPERM,
		"%s is not believed, as it belongs to user %u, or others may write to it: run restore-node as who began it (where that was root, and a chown -R came since, chown root it)",
		path, (unsigned)st->st_uid);
}

int nodejournal_read(const char *data_dir, struct nodejournal **ret, struct err *e)
{
	_cleanup_(nodejournal_freep) struct nodejournal *j = nodejournal_new();
	_cleanup_free_ char *path = util_printf("%s/" SWAP_DIRECTORY "/" JOURNAL, data_dir);
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int own = -1;
	struct stat st;
	size_t len;
	int r;

	if (!j || !path)
		return err_nomem(e);
	*ret = NULL;
	r = open_own(data_dir, false, &own, e);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = io_read_stat(own, JOURNAL, O_NOFOLLOW, NODEJOURNAL_BYTES_MAX, &text, &len, &st);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_errno(e, r, "cannot read %s", path);
	r = check_owner(path, &st, e);
	if (r < 0)
		return r;
	r = parse(path, text, len, j, e);
	if (r < 0)
		return err_wrap(e, r, "journal %s", path);
	*ret = steal_pointer(&j);
	return 0;
}

/* ---- writing ---- */

static bool put_case(json_t *o, const struct nodejournal *j)
{
	bool good = !j->no_stage || json_object_set_new(o, "no_stage", json_true()) == 0;

	good = good && json_object_set_new(o, "made", json_boolean(j->made)) == 0;
	if (*j->tokens)
		good = good && json_object_set_new(o, "tokens", json_string(j->tokens)) == 0 &&
		       json_object_set_new(o, "yaml", json_text(j->yaml)) == 0;
	if (*j->importing)
		good = good && json_object_set_new(o, "importing", json_text(j->importing)) == 0;
	if (*j->address)
		good = good && json_object_set_new(o, "address", json_text(j->address)) == 0;
	if (j->only_count > 0)
		good = good && json_object_set_new(o, "only", json_array()) == 0;
	for (size_t i = 0; i < j->only_count && good; i++)
		good = json_array_append_new(json_object_get(o, "only"), json_text(j->only[i])) ==
		       0;
	return good;
}

static json_t *place_json(const struct swap_place *p)
{
	json_t *o = json_pack("{s:s, s:b}", "path", p->path, "data", p->data);

	if (p->owned && json_object_set_new(o, "owner", json_integer(p->owner)) < 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *to_json(const struct nodejournal *j)
{
	bool plain = !j->no_stage && !*j->tokens && j->only_count == 0;
	json_t *places = json_array();
	json_t *o = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:b, s:b}",
			      "format", plain ? FORMAT_IN_PLACE : FORMAT_ALL, "cluster", j->cluster,
			      "node", j->node, "backup", j->backup, "host_id", j->host_id, "writer",
			      j->writer, "mode", mode_names[j->mode], "step", step_names[j->step],
			      "done", j->done, "old_data", moved_names[j->moved], "keep_auth",
			      j->keep_auth, "was_running", j->was_running);

	for (size_t i = 0; i < j->place_count; i++)
		json_array_append_new(places, place_json(&j->places[i]));
	if (!o || !put_case(o, j) || json_array_size(places) != j->place_count ||
	    json_object_set_new(o, "places", json_incref(places)) < 0) {
		json_decref(o);
		o = NULL;
	}
	json_decref(places);
	return o;
}

static bool is_full(int r)
{
	return r == -ENOSPC || r == -EDQUOT;
}

/* Room for the journal where the disk is full later: --abort and --finish, which make room, have to be noted before they remove anything. Where there is none for it now there is no harm. */
static void keep_spare(int own)
{
	_cleanup_close_ int fd = -1;
	char *zeros;

	if (faccessat(own, SPARE, F_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) == 0)
		return;
	zeros = calloc(1, SPARE_BYTES);
	fd = openat(own, SPARE, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && (!zeros || io_write_full(fd, zeros, SPARE_BYTES) < 0 || fsync(fd) < 0))
		unlinkat(own, SPARE, 0);
	free(zeros);
}

int nodejournal_write(const struct nodejournal *j, struct err *e)
{
	_cleanup_json_ json_t *o = to_json(j);
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int own = -1;
	size_t len;
	int r = o ? json_seal(o, &text, &len, e) : err_nomem(e);

	if (r == 0)
		r = swap_open_own(&j->places[0], false, &own, e);
	if (r == -ENOENT)
		return err_set(e, ERR_IO, r, "%s/" SWAP_DIRECTORY " is gone", j->places[0].path);
	if (r == 0)
		r = io_publish_file(own, JOURNAL, text, len, 0644, e);
	if (is_full(r) && unlinkat(own, SPARE, 0) == 0)
		r = io_publish_file(own, JOURNAL, text, len, 0644, e);
	else if (r == 0)
		keep_spare(own);
	return r < 0 ? err_wrap(e, r, "%s/" SWAP_DIRECTORY, j->places[0].path) : 0;
}

/* ---- the end ---- */

/* While there is anything below backups/ the journal stays: it says whose that is. The lock is held to the end: until it is gone nobody else begins. */
int nodejournal_end(const struct nodejournal *j, const struct cancel *cancel, struct err *e)
{
	int r = 0;

	for (size_t i = j->place_count; i-- > 1 && r == 0;)
		r = swap_end(&j->places[i], NULL, cancel, e);
	if (r == 0)
		r = swap_remove(&j->places[0], cancel, e);
	/* Without its journal nobody would know what was interrupted. */
	return r < 0 ? r : swap_end(&j->places[0], LOCK, NULL, e);
}
