/* SPDX-License-Identifier: Apache-2.0 */
/* Local state that is not this host's, that is damaged or in use: nothing of it is believed, and every backup is right. */
#include "tests/unit/catalog/hints_help.h"

/* ---- whose state it is ---- */

Test(hints, the_state_of_another_node_repository_host_or_selection_is_not_believed)
{
	static const struct node_name other_node = { "c1", "n2" }, other_cluster = { "c2", "n1" };
	static const struct host rows[] = {
		{ .repository_id = "0123456789abcdef0123456789abcdef" },
		{ .host_id = "h2" },
		{ .host_id = "" },
		{ .machine = "m2" },
		{ .where = &other_node },
		{ .where = &other_cluster },
		{ .second_dir = true },
		{ .only = "ks" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_rig_ struct rig rig;

		one_backup(&rig);
		cr_expect(is_read(&rig, "b2", DATA, &rows[i]), "row %zu", i);
		cr_expect_not(is_read(&rig, "b3", DATA, &rows[i]), "row %zu", i);
	}
}

Test(hints, a_selection_leaves_what_is_remembered_of_the_rest_alone)
{
	_cleanup_rig_ struct rig rig;

	one_backup(&rig);
	back_up(&rig, "b2", &(struct host){ .only = "ks" });
	cr_expect_not(is_read(&rig, "b3", DATA, NULL));
}

/* ---- damage ---- */

/* The only file of the state. */
static char *state_path(struct rig *rig)
{
	_cleanup_free_ char *dir = util_printf("%s/state", rig->tmp.path);
	char *command = util_printf("ls %s", dir), name[128];
	FILE *f = popen(command, "r");

	free(command);
	cr_assert(f && fgets(name, sizeof(name), f));
	cr_assert(!fgets(command = (char[8]){ 0 }, 8, f), "more than one file");
	pclose(f);
	name[strcspn(name, "\n")] = '\0';
	return util_printf("%s/%s", dir, name);
}

static void change_state(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC); /* on its inode */

	cr_assert(fd >= 0);
	cr_assert_eq(io_write_full(fd, data, len), 0);
	close(fd);
}

Test(hints, any_flipped_bit_and_any_cut_of_the_state_costs_reading_and_nothing_else)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ char *path = NULL, *data = NULL;
	size_t len;
	char name[64];

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	put(&rig, DATA, 1);
	rig_put_random(&rig, "nb-1-big-Filter.db", 2, 20);
	back_up(&rig, "b", NULL);
	path = state_path(&rig);
	cr_assert_eq(io_read_file(AT_FDCWD, path, MIB, &data, &len), 0);
	for (size_t i = 0; i < 2 * len; i += i < len ? 1 : 3) {
		_cleanup_(record_freep) struct record *record = NULL;
		bool flip = i < len;

		if (flip)
			data[i] ^= (char)(1 << (i % 8));
		change_state(path, data, flip ? len : i - len);
		if (flip)
			data[i] ^= (char)(1 << (i % 8));
		put(&rig, DATA, 100 + i);
		snprintf(name, sizeof(name), "b%zu", i);
		rig.options.hints = open_hints(&rig, NULL);
		rig.options.dry_run = true; /* and so the state stays as it is */
		record = rig_commit(&rig, name);
		hints_free(rig.options.hints);
		/* Read, as it is now. */
		cr_expect_geq(record->new_bytes, LEN, "%s at %zu of %zu", flip ? "flip" : "cut",
			      flip ? i : i - len, len);
	}
}

Test(hints, a_state_that_was_deleted_copied_or_made_by_another_version_is_not_believed)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ char *path = NULL, *copy = NULL, *data = NULL;
	size_t len;

	one_backup(&rig);
	path = state_path(&rig);
	copy = util_printf("%s.copy", path);
	cr_assert_eq(unlink(path), 0);
	cr_expect(is_read(&rig, "b2", DATA, NULL));
	cr_assert_eq(io_read_file(AT_FDCWD, path, MIB, &data, &len), 0);
	cr_assert_eq(io_publish_file(AT_FDCWD, copy, data, len, 0600, NULL), 0);
	cr_assert_eq(rename(copy, path), 0);
	cr_expect(is_read(&rig, "b3", DATA, NULL), "a copy");
	free(steal_pointer(&data));
	cr_assert_eq(io_read_file(AT_FDCWD, path, MIB, &data, &len), 0);
	data[8]++;
	change_state(path, data, len);
	cr_expect(is_read(&rig, "b4", DATA, NULL), "another version");
	cr_expect_not(is_read(&rig, "b5", DATA, NULL));
}

Test(hints, what_is_in_the_way_of_the_state_is_no_obstacle)
{
	static const char *const commands[] = {
		"rm -r state; echo > state",
		"rm -r state; ln -s /tmp state",
		"chmod 777 state",
		"for f in state/*; do rm $f; mkdir $f; done",
		"for f in state/*; do mv $f $f.new; done",
		"for f in state/*; do rm $f; mkfifo $f; done",
		"for f in state/*; do ln -s $f $f.new; done",
		"for f in state/*; do mkfifo $f.new; done",
		"for f in state/*; do ln -s /dev/full $f.new; done",
	};

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		_cleanup_rig_ struct rig rig;
		_cleanup_free_ char *command = NULL;
		_cleanup_(record_freep) struct record *second = NULL;

		one_backup(&rig);
		command = util_printf("cd %s && %s", rig.tmp.path, commands[i]);
		cr_assert_eq(system(command), 0, "%s", command);
		put(&rig, "nb-2-big-Data.db", 2);
		second = commit(&rig, "b2", NULL);
		rig_expect_random(&rig, second, DATA, 1, LEN);
		rig_expect_random(&rig, second, "nb-2-big-Data.db", 2, LEN);
	}
}

/* ---- who remembers ---- */

static enum fault fail_commit(struct rig *rig, const char *method, const char *key)
{
	bool record = strcmp(method, "put") == 0 && strstr(key, "/records/");

	return record && atomic_fetch_add(&rig->calls, 1) > 0 ? FAULT_BEFORE : FAULT_NONE;
}

Test(hints, a_backup_that_was_not_committed_changes_nothing_that_is_remembered)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ char *path = NULL, *before = NULL, *after = NULL;
	size_t before_len, after_len;
	struct err e;

	one_backup(&rig);
	path = state_path(&rig);
	cr_assert_eq(io_read_file(AT_FDCWD, path, MIB, &before, &before_len), 0);
	put(&rig, "nb-2-big-Data.db", 2);
	rig.fault = fail_commit;
	rig.options.hints = open_hints(&rig, NULL);
	cr_expect_lt(rig_backup(&rig, "b2", NULL, &e), 0);
	hints_free(rig.options.hints);
	free(path);
	path = state_path(&rig);
	cr_assert_eq(io_read_file(AT_FDCWD, path, MIB, &after, &after_len), 0);
	cr_assert_eq(before_len, after_len);
	cr_expect_eq(memcmp(before, after, after_len), 0);
}

static char last_line[512];

static void keep_line(void *ctx, enum log_level level, const char *line)
{
	snprintf(last_line, sizeof(last_line), "%s", line);
}

Test(hints, of_two_backups_at_once_the_first_remembers_and_both_are_right)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(log_freep) struct log *log = NULL;
	_cleanup_(record_freep) struct record *second = NULL, *third = NULL;
	struct hints *first;

	one_backup(&rig);
	log = log_new(&rig.clock, LOG_LEVEL_WARNING, keep_line, NULL);
	first = open_hints(&rig, NULL);
	second = commit(&rig, "b2", &(struct host){ .log = log });
	cr_expect(strstr(last_line, "another backup"), "%s", last_line);
	rig.options.hints = first;
	third = rig_commit(&rig, "b3");
	hints_free(first);
	rig_expect_random(&rig, second, DATA, 1, LEN);
	rig_expect_random(&rig, third, DATA, 1, LEN);
	cr_expect_not(is_read(&rig, "b4", DATA, NULL));
}

Test(hints, files_in_two_data_directories_are_told_apart)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *second = NULL;
	const struct host two = { .second_dir = true };

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig.data_dirs = 2;
	put(&rig, DATA, 1);
	put(&rig, "d1:" DATA, 1);
	put(&rig, "nb-2-big-Data.db", 2);
	put(&rig, "d1:nb-3-big-Data.db", 3);
	back_up(&rig, "b1", &two);
	put(&rig, DATA, 4);
	put(&rig, "d1:" DATA, 5); /* both unseen: neither is read */
	put(&rig, "d1:nb-3-big-Data.db", 6);
	second = commit(&rig, "b2", &two);
	cr_expect(holds(&rig, second, DATA, 1));
	cr_expect(holds(&rig, second, "nb-2-big-Data.db", 2));
	cr_expect(holds(&rig, second, "nb-3-big-Data.db", 3));
}
