/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "cassandra/placepath.h"
#include "tools/nodecheck_state.h"

static bool below(const char *path, const char *directory)
{
	size_t len = strlen(directory);

	return strncmp(path, directory, len) == 0 && (path[len] == '/' || !path[len]);
}

/* One directory must be exchanged without another going along. */
static bool is_apart(struct nodechecking *c, const char *path)
{
	const struct nodejournal *j = c->k->journal;

	for (size_t i = 0; i < j->place_count; i++) {
		if (!below(path, j->places[i].path) && !below(j->places[i].path, path))
			continue;
		nodecheck_refuse(
			c,
			"%s and %s lie within each other: give each a directory of its own in %s",
			path, j->places[i].path, c->ask->yaml);
		return false;
	}
	return true;
}

/* Who has no more than the directories themselves may do with them what the file says, whoever wrote it. */
static void refuse_yaml(struct nodechecking *c, const char *path, uid_t owner)
{
	_cleanup_free_ char *user =
		owner == 0 ? strdup("")
			   : util_printf(", or run restore-node as user %u", (unsigned)owner);

	nodecheck_refuse(
		c,
		"%s belongs to user %u, and others than that user and root can write %s, which names it, or put another one there: give both to Cassandra's user, or the file and its directories to root alone%s",
		path, (unsigned)owner, c->ask->yaml, user ? user : "");
}

/*
 * Root exchanges all that is in a directory. So all of them are of one user, and who else than root can write cassandra.yaml names nobody's directories but his own.
 */
static void check_owner(struct nodechecking *c, const char *path, const struct stat *st)
{
	const struct nodejournal *j = c->k->journal;
	struct stat first;

	if (geteuid() != 0 && geteuid() != st->st_uid)
		nodecheck_refuse(
			c, "%s belongs to another user: run restore-node as root or as that user",
			path);
	else if (geteuid() == 0 && !c->yaml_is_roots &&
		 (st->st_uid == 0 || (c->yaml_owner != 0 && c->yaml_owner != st->st_uid)))
		refuse_yaml(c, path, st->st_uid);
	else if (j->place_count > 0 && stat(j->places[0].path, &first) == 0 &&
		 first.st_uid != st->st_uid)
		nodecheck_refuse(
			c, "%s and %s belong to different users: give both to Cassandra's user",
			j->places[0].path, path);
}

/* Who owns the file, or a directory or symbolic link on the way to it, says what is in it. */
static int look_at_yaml(struct nodechecking *c, struct err *e)
{
	const struct stat *st = &c->conf->st;
	struct err why = ERR_INIT;
	struct placepath way;
	int r = placepath_look(c->ask->yaml, &way, &why);

	if (r == -ENOMEM)
		return err_nomem(e);
	c->yaml_owner = st->st_uid;
	if (r < 0) {
		nodecheck_refuse(c, "cassandra.yaml: %s",
				 r == -ENOENT ? strerrordesc_np(-r) : why.message);
		return 0;
	}
	free(way.real);
	c->yaml_is_roots = st->st_uid == 0 && !(st->st_mode & (S_IWGRP | S_IWOTH)) && !way.led &&
			   !way.by_a_group;
	if (way.by_several || (way.led && st->st_uid != 0 && st->st_uid != way.by))
		c->yaml_owner = (uid_t)-1;
	else if (way.led)
		c->yaml_owner = way.by;
	return 0;
}

static int add_place(struct nodechecking *c, const char *key, const char *path, bool data,
		     struct err *e)
{
	_cleanup_free_ char *real = NULL;
	struct err why = ERR_INIT;
	struct swap_place *place;
	struct stat st;
	int r = placepath_find(path, &real, &st, &why);

	if (r == -ENOMEM)
		return err_nomem(e);
	if (r == -ENOENT && data)
		nodecheck_refuse(c, "%s (%s) is missing: make it a directory of Cassandra's user",
				 path, key);
	else if (r < 0 && r != -ENOENT)
		nodecheck_refuse(c, "%s: %s", key, why.message);
	if (r < 0)
		return 0;
	if (!S_ISDIR(st.st_mode)) {
		nodecheck_refuse(c, "%s (%s) is no directory", path, key);
		return 0;
	}
	check_owner(c, path, &st);
	if (!is_apart(c, real))
		return 0;
	r = nodejournal_add_place(c->k->journal, real, data, e);
	if (r < 0)
		return r;
	place = &c->k->journal->places[c->k->journal->place_count - 1];
	place->owned = true;
	place->owner = st.st_uid;
	place->device = st.st_dev;
	place->inode = st.st_ino;
	if (swap_check(place, &why) < 0)
		nodecheck_refuse(c, "%s", why.message);
	if (swap_check_parts(place, &why) < 0)
		nodecheck_refuse(c, "%s", why.message);
	return 0;
}

int nodecheck_places(struct nodechecking *c, struct err *e)
{
	const struct {
		const char *key, *path;
		bool optional;
	} others[] = {
		{ "commitlog_directory", c->conf->commitlog_dir, false },
		{ "hints_directory", c->conf->hints_dir, false },
		{ "saved_caches_directory", c->conf->saved_caches_dir, false },
		{ "cdc_raw_directory", c->conf->cdc_dir, true },
	};
	int r = look_at_yaml(c, e);

	if (c->conf->data_dir_count == 0)
		nodecheck_refuse(
			c, "%s does not name data_file_directories: write them there, as they are",
			c->ask->yaml);
	if (*c->conf->local_system_dir)
		nodecheck_refuse(
			c,
			"%s sets local_system_data_file_directory, which restore-node cannot fill: use sstablefs restore --map-data-dir",
			c->ask->yaml);
	for (size_t i = 0; i < c->conf->data_dir_count && r == 0; i++)
		r = add_place(c, "data_file_directories", c->conf->data_dirs[i], true, e);
	for (size_t i = 0; i < ARRAY_SIZE(others) && c->wish->only_count == 0 && r == 0; i++) {
		if (*others[i].path)
			r = add_place(c, others[i].key, others[i].path, false, e);
		else if (!others[i].optional)
			nodecheck_refuse(
				c,
				"%s does not say %s, so it is not known where it is: write it there",
				c->ask->yaml, others[i].key);
	}
	return r;
}
