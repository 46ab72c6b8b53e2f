/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "base/io.h"
#include "cassandra/facts.h"
#include "tools/clone_advice.h"
#include "tools/clone_mount.h"
#include "tools/commands.h"
#include "tools/names.h"

enum { OPT_UNDO = OPT_COMMAND };

struct arguments {
	struct common common;
	const char *backup, *directory, *options;
	bool undo;
};

struct work {
	struct cli *cli;
	const struct arguments *a;
	struct clone_place place;
	struct record *record;
	char *url;
	bool again; /* it was a clone of this backup before: upper is kept */
	int64_t begun_ms;
};

static int parse(struct cli *cli, int argc, char **argv, struct arguments *a, struct err *e)
{
	static const struct option options[] = { { "undo", no_argument, NULL, OPT_UNDO },
						 COMMON_NAMES,
						 COMMON_HELP,
						 { NULL, 0, NULL, 0 } };
	int c, r = common_init(&a->common, cli, "restore", 16, e);

	a->options = "";
	opterr = 0;
	while (r == 0 && (c = getopt_long(argc, argv, ":o:", options, NULL)) >= 0) {
		if (c == OPT_UNDO)
			a->undo = true;
		else if (c == 'o')
			a->options = optarg;
		else if (c == ':' || c == '?')
			r = err_set(e, ERR_USAGE, -EINVAL,
				    c == ':' ? "option '%s' needs a value" : "unknown option '%s'",
				    argv[optind - 1]);
		else
			r = common_option(&a->common, c, optarg, e);
	}
	if (r == 0 && argc - optind != (a->undo ? 1 : 2))
		return err_set(e, ERR_USAGE, -EINVAL,
			       a->undo ? "clone --undo needs one directory"
				       : "clone needs a backup and a directory");
	if (r == 0) {
		a->directory = argv[argc - 1];
		a->backup = argv[optind];
	}
	return r;
}

static int check_root(struct err *e)
{
	return geteuid() == 0 ? 0
			      : err_set(e, ERR_IO, -EPERM,
					"a clone takes root: overlayfs is mounted, which needs "
					"CAP_SYS_ADMIN");
}

/* ---- making one ---- */

static int find(struct work *w, struct err *e)
{
	struct session_options open = { .access = REPO_READ, .common = &w->a->common };
	struct session s = { .store = NULL };
	int r = session_open(w->cli, &open, &s, e);

	if (r == 0)
		r = names_find_one(w->cli, &s, &w->a->common, w->a->backup, &w->record, e);
	if (r == 0) {
		w->url = strdup(s.url);
		r = w->url ? 0 : err_nomem(e);
	}
	session_close(&s);
	return r;
}

static int stopped(const struct work *w, struct err *e)
{
	return cancel_is_set(&w->cli->cancel) ? err_set(e, ERR_IO, -ECANCELED, "stopped") : 0;
}

/* Another backup's clone is not touched; a broken one of this backup is taken down, to be put up again over the same upper directory. */
static int look(struct work *w, enum clone_state *ret, struct err *e)
{
	int r = clone_place_open(&w->place, e);

	if (r == 0)
		r = clone_mount_state(&w->place, ret, e);
	if (r < 0)
		return r;
	w->again = w->place.noted;
	if (w->again && !clone_place_is_of(&w->place, w->record))
		return err_set(
			e, ERR_CONFLICT, -EEXIST,
			"%s is a clone of backup %s of %s/%s already (sstablefs clone --undo %s removes it)",
			w->place.directory, w->place.backup, w->place.where.cluster,
			w->place.where.node, w->place.directory);
	if (!w->again && w->place.fd >= 0 && clone_place_is_empty(w->place.state) != 1)
		return err_set(e, ERR_CONFLICT, -EEXIST,
			       "%s exists and was not made by clone: remove it, or choose another "
			       "directory",
			       w->place.state);
	if (*ret == CLONE_UP)
		return 0;
	if (*ret == CLONE_BROKEN)
		r = clone_mount_end(&w->place, e);
	return r == 0 ? clone_place_check_empty(&w->place, e) : r;
}

static int put_up(struct work *w, struct err *e)
{
	int r = clone_place_make(&w->place, w->record, e);

	if (r == 0)
		r = clone_mount_probe(&w->place, e);
	if (r == 0)
		r = stopped(w, e);
	if (r == 0)
		r = clone_mount_backup(w->cli, &w->place, w->record, w->url, w->a->options, e);
	if (r == 0)
		r = stopped(w, e);
	if (r == 0)
		r = clone_mount_overlay(&w->place, w->record, e);
	return r;
}

/* What was there before stays: upper of an earlier clone. */
static void take_down(struct work *w)
{
	struct err e = ERR_INIT;
	char text[1200];
	int r;

	if (w->place.fd < 0)
		return; /* nothing was begun; what is there is another process's */
	r = clone_mount_end(&w->place, &e);
	if (r == 0 && !w->again)
		r = clone_place_remove(&w->place, &e);
	if (r < 0)
		log_write(w->cli->log, LOG_LEVEL_WARNING, "clone-stays",
			  "what was begun could not be undone (sstablefs clone --undo %s): %s",
			  w->place.directory, err_describe(&e, text, sizeof(text)));
}

/* ---- telling of it ---- */

static bool has_system(const char *lower)
{
	_cleanup_free_ char *path = util_printf("%s/system", lower);
	DIR *dir = path ? opendir(path) : NULL;
	struct dirent *d;
	bool found = false;

	while (dir && !found && (d = readdir(dir)))
		found = strncmp(d->d_name, "local-", 6) == 0;
	if (dir)
		closedir(dir);
	return found;
}

static bool is_pinned(const struct clone_place *p)
{
	_cleanup_free_ char *path = util_printf("%s/.sstablefs/status", p->mountpoint);
	_cleanup_free_ char *text = NULL;
	const char *pin;
	size_t len;

	if (!path || io_read_file(AT_FDCWD, path, 1 * MIB, &text, &len) < 0)
		return false;
	pin = strstr(text, "\npin: ");
	return pin && strstr(pin, " held, ") && strstr(pin, " held, ") < strchr(pin + 1, '\n');
}

static void print_text(const struct work *w, const char *state, const char *lower, bool pinned,
		       const json_t *yaml, const json_t *steps)
{
	_cleanup_free_ char *lines = clone_advice_lines(yaml);
	const struct clone_place *p = &w->place;

	printf("%s %s of %s/%s at %s in %.1f s\n\n", state, w->record->backup,
	       w->record->where.cluster, w->record->where.node, p->directory,
	       (double)(clock_elapsed_ms(w->cli->clock) - w->begun_ms) / 1000);
	printf("  read from     %s (read-only, %s)\n", lower,
	       pinned ? "pinned as long as it is mounted"
		      : "NOT pinned: the repository cannot be written");
	printf("  written to    %s (all that changes; the backup never does)\n", p->upper);
	printf("  overlayfs     lowerdir=the first,upperdir=the second,workdir=%s/work,metacopy=on\n",
	       p->state);
	printf("  log           %s/mount.log\n\ncassandra.yaml:\n%s\n", p->state,
	       lines ? lines : "");
	for (size_t i = 0; i < json_array_size(steps); i++)
		printf("%zu. %s\n", i + 1, json_string_value(json_array_get(steps, i)));
	printf("\nAfter a reboot run the same command again: what was written is kept.\n"
	       "To remove the clone with all that was written to it: sstablefs clone --undo '%s'\n",
	       p->directory);
}

/* The record has the name that --cluster gave, if it did; what the cluster calls itself is in the topology. "": not known. */
static int learn_cluster(struct record *record, const char *lower)
{
	_cleanup_free_ char *path = util_printf("%s/../topology.json", lower);
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *o = NULL;
	const char *name = "";
	char *copy;
	size_t len;

	if (path && io_read_file(AT_FDCWD, path, FACTS_TEXT_MAX, &text, &len) == 0 &&
	    json_parse("topology.json", text, len, FACTS_TEXT_MAX, &o, NULL) == 0)
		(void)json_get_string(o, "cluster", FACTS_WORD_MAX, &name, NULL);
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	free(record->cluster_original);
	record->cluster_original = copy;
	return 0;
}

static int report(const struct work *w, const char *state)
{
	const struct clone_place *p = &w->place;
	_cleanup_free_ char *lower = clone_mount_lower(p, w->record);
	_cleanup_free_ char *work_dir = util_printf("%s/work", p->state);
	bool learnt = lower && learn_cluster(w->record, lower) == 0;
	_cleanup_json_ json_t *yaml = clone_advice_yaml(w->record, p->directory);
	_cleanup_json_ json_t *steps =
		learnt ? clone_advice_steps(w->record, p->directory, has_system(lower)) : NULL;
	bool pinned = is_pinned(p);
	struct err e = ERR_INIT;

	if (!lower || !work_dir || !yaml || !steps) {
		err_nomem(&e);
		return cli_fail(w->cli, &e);
	}
	if (!w->cli->json) {
		if (!w->cli->quiet)
			print_text(w, state, lower, pinned, yaml, steps);
		return EXIT_DONE;
	}
	return cli_print_json(
		w->cli,
		json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:b, s:O, s:O, s:s, s:f}",
			  "cluster", w->record->where.cluster, "node", w->record->where.node,
			  "name", w->record->backup, "state", state, "directory",
			  json_text(p->directory), "lower", json_text(lower), "upper",
			  json_text(p->upper), "work", json_text(work_dir), "pinned", pinned,
			  "yaml", yaml, "steps", steps, "cassandra_version",
			  w->record->cassandra_version, "duration_seconds",
			  (double)(clock_elapsed_ms(w->cli->clock) - w->begun_ms) / 1000));
}

static int make(struct work *w, struct err *e)
{
	enum clone_state state = CLONE_DOWN;
	int r = find(w, e);

	if (r == 0)
		r = clone_place_init(&w->place, w->a->directory, e);
	if (r == 0)
		r = look(w, &state, e);
	if (r < 0)
		return r;
	if (state == CLONE_UP)
		return report(w, "already cloned");
	r = put_up(w, e);
	if (r < 0) {
		take_down(w);
		return r;
	}
	return report(w, w->again ? "cloned again" : "cloned");
}

/* ---- undoing it ---- */

static int report_undo(const struct work *w, bool undone)
{
	if (w->cli->json)
		return cli_print_json(w->cli,
				      json_pack("{s:o, s:b}", "directory",
						json_text(w->place.directory), "undone", undone));
	if (!w->cli->quiet)
		printf(undone ? "the clone at %s is gone, with all that was written to it\n"
			      : "there is no clone at %s: nothing to undo\n",
		       w->place.directory);
	return EXIT_DONE;
}

static int undo(struct work *w, struct err *e)
{
	enum clone_state state;
	int r = clone_place_init(&w->place, w->a->directory, e);

	if (r == 0)
		r = clone_place_open(&w->place, e);
	if (r == 0)
		r = clone_mount_state(&w->place, &state, e);
	if (r < 0)
		return r;
	if (w->place.fd < 0)
		return report_undo(w, false);
	if (!w->place.noted && clone_place_is_empty(w->place.state) != 1)
		return err_set(e, ERR_CONFLICT, -EEXIST,
			       "%s was not made by clone: nothing was removed", w->place.state);
	r = clone_mount_end(&w->place, e);
	if (r == 0)
		r = clone_place_remove(&w->place, e);
	return r < 0 ? r : report_undo(w, true);
}

int cmd_clone(struct cli *cli, int argc, char **argv)
{
	struct arguments a = { .undo = false };
	struct work w = {
		.cli = cli, .a = &a, .place = { .fd = -1 }, .begun_ms = clock_elapsed_ms(cli->clock)
	};
	struct err e = ERR_INIT;
	int r = parse(cli, argc, argv, &a, &e);

	if (r == 0)
		r = check_root(&e);
	if (r == 0)
		r = a.undo ? undo(&w, &e) : make(&w, &e);
	if (r < 0)
		r = cli_fail(cli, &e);
	clone_place_deinit(&w.place);
	record_free(w.record);
	free(w.url);
	return r;
}
