/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include "fs/view_private.h"
#include "tests/unit/fs/tree_fixture.h"

#define NODE FIXTURE_CLUSTER "/nodes/" FIXTURE_NODE
#define TABLE "data/ks/t-00000000000000000000000000000001"

static const struct fixture_file monday[] = {
	{ .path = TABLE "/nb-1-big-Data.db",
	  .data = "data",
	  .len_bytes = 4,
	  .attr = { 0640, 1, 1, INT64_C(1700000000123456789) } },
	{ .path = TABLE "/nb-1-big-TOC.txt",
	  .data = "toc",
	  .len_bytes = 3,
	  .attr = { 0644, 1, 1, 5 } },
	{ .path = TABLE "/empty", .data = "", .len_bytes = 0, .attr = { 0600, 1, 1, -1 } },
	{ .path = TABLE "/.idx/nb-1-big-Data.db",
	  .data = "data",
	  .len_bytes = 4,
	  .attr = { 0640, 1, 1, 7 } },
	{ .path = "schema.cql",
	  .data = "CREATE",
	  .len_bytes = 6,
	  .attr = { 0644, 1, 1, 9 },
	  .data_dir = FORMAT_NO_DATA_DIR },
};
static const struct fixture_file tuesday[] = {
	{ .path = TABLE "/nb-1-big-Data.db",
	  .data = "data",
	  .len_bytes = 4,
	  .attr = { 0640, 1, 1, INT64_C(1700000000123456789) } },
	{ .path = TABLE "/nb-2-big-Data.db",
	  .data = "more",
	  .len_bytes = 4,
	  .attr = { 0640, 1, 1, 11 } },
};

static struct record *add_monday(struct tree_fixture *t)
{
	return fixture_backup(t->repo, "monday", monday, ARRAY_SIZE(monday), OBJECT_COMPRESS_NONE);
}

static struct record *add_tuesday(struct tree_fixture *t)
{
	return fixture_backup(t->repo, "tuesday", tuesday, ARRAY_SIZE(tuesday),
			      OBJECT_COMPRESS_NONE);
}

Test(fs, a_file_has_the_attributes_it_was_backed_up_with)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(5000);
	_cleanup_(record_freep) struct record *rec = add_monday(t);
	struct fs_entry en;

	cr_assert_eq(tree_fixture_walk(t, NODE "/monday/" TABLE "/nb-1-big-Data.db", &en), 0);
	cr_expect_eq(en.st.st_mode, S_IFREG | 0640);
	cr_expect_eq(en.st.st_size, 4);
	cr_expect_eq(en.st.st_blocks, 1);
	cr_expect_eq(en.st.st_mtim.tv_sec, 1700000000);
	cr_expect_eq(en.st.st_mtim.tv_nsec, 123456789);
	cr_expect_eq(en.st.st_nlink, 2);
	cr_assert_eq(tree_fixture_walk(t, NODE "/monday/" TABLE "/empty", &en), 0);
	cr_expect_eq(en.st.st_size, 0);
	cr_expect_eq(en.st.st_mtim.tv_sec, -1, "before 1970");
	cr_expect_eq(en.st.st_mtim.tv_nsec, 999999999);
}

Test(fs, names_that_do_not_exist_are_absent_everywhere)
{
	static const char *const paths[] = { "nothing",
					     "no such",
					     FIXTURE_CLUSTER "/x",
					     FIXTURE_CLUSTER "/nodes/n10",
					     NODE "/wednesday",
					     NODE "/monday/x",
					     NODE "/monday/data/x",
					     NODE "/monday/" TABLE "/nb-1-big-Index.db",
					     NODE "/monday/" TABLE "/nb-9-big-Data.db",
					     NODE "/objects/zz",
					     NODE "/objects/00/x",
					     FIXTURE_CLUSTER "/backups/x",
					     ".sstablefs/x" };
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(5000);
	_cleanup_(record_freep) struct record *rec = add_monday(t);
	struct fs_entry en;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		cr_expect_eq(tree_fixture_walk(t, paths[i], &en), FS_ABSENT, "%s", paths[i]);
	tree_fixture_walk(t, NODE "/monday/data/x", &en);
	cr_expect_eq(en.entry_timeout_s, FS_LONG_S,
		     "what a backup does not hold it will never hold");
	tree_fixture_walk(t, NODE "/wednesday", &en);
	cr_expect_eq(en.entry_timeout_s, 5.0, "a backup of that name may come");
}

struct names {
	char name[64][256];
	uint64_t next[64];
	uint64_t ino[64];
	size_t count, stop_after;
};

static int note(void *ctx, const char *name, const struct fs_entry *entry, uint64_t next)
{
	struct names *n = ctx;

	if (n->stop_after && n->count >= n->stop_after)
		return 1;
	cr_assert_lt(n->count, 64);
	strcpy(n->name[n->count], name);
	n->ino[n->count] = entry->st.st_ino;
	n->next[n->count++] = next;
	return 0;
}

static struct names list(struct tree_fixture *t, const char *path, bool plus, uint64_t offset)
{
	struct names n = { .count = 0 };
	struct fs_entry en = { .ino = INODE_ROOT };
	struct fs_dir *d;

	cr_assert_eq(*path ? tree_fixture_walk(t, path, &en) : 0, 0, "%s", path);
	cr_assert_eq(fs_opendir(t->fs, en.ino, WAIT, &d, NULL), 0);
	cr_assert_eq(fs_readdir(d, offset, plus, WAIT, note, &n, NULL), 0);
	fs_closedir(d);
	return n;
}

static bool has(const struct names *n, const char *name)
{
	for (size_t i = 0; i < n->count; i++)
		if (strcmp(n->name[i], name) == 0)
			return true;
	return false;
}

Test(fs, every_directory_lists_what_can_be_looked_up)
{
	static const char *const dirs[] = { "",
					    ".sstablefs",
					    FIXTURE_CLUSTER,
					    FIXTURE_CLUSTER "/nodes",
					    NODE,
					    NODE "/monday",
					    NODE "/monday/data",
					    NODE "/monday/" TABLE,
					    NODE "/monday/" TABLE "/.idx",
					    FIXTURE_CLUSTER "/backups",
					    FIXTURE_CLUSTER "/backups/monday",
					    NODE "/objects" };
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(5000);
	_cleanup_(record_freep) struct record *a = add_monday(t), *b = add_tuesday(t);
	struct fs_entry en;

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		struct names plain = list(t, dirs[i], false, 0), plus = list(t, dirs[i], true, 0);

		cr_assert_gt(plain.count, 2, "%s", dirs[i]);
		cr_assert_eq(plain.count, plus.count, "%s", dirs[i]);
		for (size_t k = 2; k < plain.count; k++) {
			_cleanup_free_ char *path = util_printf("%s/%s", dirs[i], plain.name[k]);

			cr_expect_eq(tree_fixture_walk(t, path, &en), 0, "%s", path);
			cr_expect_eq(en.ino, plain.ino[k], "LOOKUP and READDIR agree on %s", path);
			cr_expect_eq(en.ino, plus.ino[k], "%s", path);
		}
	}
}

Test(fs, a_listing_goes_on_from_any_position)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(5000);
	_cleanup_(record_freep) struct record *rec = add_monday(t);
	static const char *const dirs[] = { NODE "/monday/" TABLE, NODE "/monday", NODE };

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		struct names all = list(t, dirs[i], false, 0);

		for (size_t k = 0; k < all.count; k++) {
			struct names rest = list(t, dirs[i], true, all.next[k]);

			cr_assert_eq(rest.count, all.count - k - 1, "%s behind %s", dirs[i],
				     all.name[k]);
			for (size_t m = 0; m < rest.count; m++)
				cr_expect_str_eq(rest.name[m], all.name[k + 1 + m]);
		}
	}
}

static char *content(struct tree_fixture *t, const char *path)
{
	struct fs_entry en;
	struct fs_file *f;
	struct fs_read rd;
	bool direct;
	char *text;

	cr_assert_eq(tree_fixture_walk(t, path, &en), 0, "%s", path);
	cr_assert_eq(fs_open(t->fs, en.ino, O_RDONLY, WAIT, &f, &direct, NULL), 0, "%s", path);
	cr_assert_eq(fs_read(f, 0, 1 * MIB, WAIT, &rd, NULL), 0);
	text = calloc(1, rd.len_bytes + 1);
	for (int i = 0, at = 0; i < rd.iov_count; at += (int)rd.iov[i++].iov_len)
		memcpy(text + at, rd.iov[i].iov_base, rd.iov[i].iov_len);
	fs_read_done(f, &rd);
	fs_close(f);
	return text;
}

Test(fs, files_are_read_and_links_lead_to_them)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(5000);
	_cleanup_(record_freep) struct record *a = add_monday(t), *b = add_tuesday(t);
	_cleanup_free_ char *data = content(t, NODE "/monday/" TABLE "/nb-1-big-Data.db"),
			    *schema = content(t, NODE "/monday/schema.cql"),
			    *status = content(t, ".sstablefs/status"),
			    *json = content(t, NODE "/tuesday/backup.json"), *latest = NULL,
			    *link = NULL;
	struct fs_entry en;

	cr_expect_str_eq(data, "data");
	cr_expect_str_eq(schema, "CREATE");
	cr_expect_str_eq(status, "state: well\n");
	cr_expect_not_null(strstr(json, "\"tuesday\""));
	cr_assert_eq(tree_fixture_walk(t, NODE "/tuesday/backup.json", &en), 0);
	cr_expect_eq((size_t)en.st.st_size, strlen(json));
	cr_assert_eq(tree_fixture_walk(t, NODE "/latest", &en), 0);
	cr_assert_eq(fs_readlink(t->fs, en.ino, &latest, NULL), 0);
	cr_expect_str_eq(latest, "tuesday");
	cr_assert_eq(tree_fixture_walk(t, FIXTURE_CLUSTER "/backups/monday/" FIXTURE_NODE, &en), 0);
	cr_assert_eq(fs_readlink(t->fs, en.ino, &link, NULL), 0);
	cr_expect_str_eq(link, "../../nodes/" FIXTURE_NODE "/monday");
}

Test(fs, a_new_backup_is_seen_at_the_next_look_and_the_kernel_is_told)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(0);
	_cleanup_(record_freep) struct record *a = add_monday(t), *b = NULL;
	struct fs_entry data, toc, link, again;

	cr_assert_eq(tree_fixture_walk(t, NODE "/monday/" TABLE "/nb-1-big-Data.db", &data), 0);
	cr_assert_eq(tree_fixture_walk(t, NODE "/monday/" TABLE "/nb-1-big-TOC.txt", &toc), 0);
	cr_assert_eq(tree_fixture_walk(t, NODE "/latest", &link), 0);
	tree_fixture_settle(t, FIXTURE_NODE);
	cr_expect_eq(data.st.st_nlink, 2);
	cr_expect_eq(data.attr_timeout_s, FS_LONG_S, "exact, so it may be kept");
	tree_fixture_forget(t);

	b = add_tuesday(t);
	cr_assert_eq(tree_fixture_walk(t, NODE "/tuesday/" TABLE "/nb-1-big-Data.db", &again), 0);
	tree_fixture_settle(t, FIXTURE_NODE);
	cr_expect_eq(again.ino, data.ino, "one inode in both backups");
	cr_expect_eq(again.st.st_nlink, 3);
	cr_expect(tree_fixture_told_inode(t, data.ino));
	cr_expect_not(tree_fixture_told_inode(t, toc.ino), "its count did not change");
	cr_expect(tree_fixture_told(t, NODE, "tuesday"),
		  "a name that was absent may be remembered");
	cr_expect(tree_fixture_told(t, NODE, "latest"));
	cr_assert_eq(tree_fixture_walk(t, NODE "/latest", &again), 0);
	cr_expect_neq(again.ino, link.ino, "latest that moved is another inode");
}

/* Whoever looks a name up holds the lock of its directory until the answer comes: the kernel takes no invalidation for it meanwhile. */
Test(fs, a_look_needs_no_thread_that_waits_for_the_lock_of_a_directory, .timeout = 60)
{
	enum { NODES = 12 }; /* more than threads that refresh */
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(0);
	_cleanup_(view_names_freep) struct view_names *names = NULL;
	struct view_node *n;
	char name[8];
	int r = 0;

	for (int i = 0; i < NODES; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		record_free(fixture_backup_of(t->repo, FIXTURE_CLUSTER, name, "monday",
					      RECORD_COMMITTED, monday, 1, OBJECT_COMPRESS_NONE));
	}
	pthread_mutex_lock(&t->directory);
	for (int i = 0; r == 0 && i < NODES; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		r = view_look(t->view, FIXTURE_CLUSTER, name, WAIT, &n, NULL);
	}
	if (r == 0)
		r = view_cluster_backups(t->view, FIXTURE_CLUSTER, WAIT, &names, NULL);
	pthread_mutex_unlock(&t->directory);
	cr_assert_eq(r, 0);
	cr_expect_eq(names->count, 1);
}

/* A look that began long ago, of which only a part is known. */
static void be_slow(struct tree_fixture *t, struct view_node *n, bool slow)
{
	pthread_mutex_lock(&t->view->looker.lock);
	n->indexed = !slow;
	n->look.running = slow;
	n->look.settled = !slow;
	n->look.begun_ms = clock_elapsed_ms(clock_system()) - 3600000;
	pthread_mutex_unlock(&t->view->looker.lock);
}

Test(fs, who_waits_for_the_objects_of_a_slow_node_can_be_interrupted, .timeout = 60)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(0);
	_cleanup_(record_freep) struct record *rec = add_monday(t);
	struct cancel cancel = { 0 };
	struct view_node *n;
	struct fs_entry en;

	cr_assert_eq(tree_fixture_walk(t, NODE "/monday/" TABLE, &en), 0);
	tree_fixture_settle(t, FIXTURE_NODE);
	n = view_known(t->view, FIXTURE_CLUSTER, FIXTURE_NODE);
	be_slow(t, n, true);
	cr_expect_eq(view_node_wait_indexed(n, DONT_WAIT, NULL), VIEW_WOULD_BLOCK);
	cancel_set(&cancel, 1);
	cr_expect_eq(view_node_wait_indexed(n, (struct view_wait){ true, &cancel }, NULL), -EINTR,
		     "and does not turn in circles with the lock held");
	be_slow(t, n, false);
	cr_expect_eq(view_node_wait_indexed(n, WAIT, NULL), 0);
}

static void remove_backup(struct tree_fixture *t, struct record *rec)
{
	_cleanup_free_ char *text = NULL;
	char key[KEY_BYTES];
	size_t len;

	rec->state = RECORD_DELETED;
	rec->sequence++;
	cr_assert_eq(record_encode(rec, &text, &len, NULL), 0);
	cr_assert_eq(store_put_bytes(t->repo->store,
				     keys_record(key, &rec->where, rec->backup, &rec->writer), text,
				     len, STORE_ALWAYS, NULL, NULL, NULL, NULL),
		     0);
}

#define LOOKERS 8

struct looking {
	struct tree_fixture *t;
	pthread_barrier_t *start;
	struct view_node *found;
};

static void *look_first(void *arg)
{
	struct looking *k = arg;

	pthread_barrier_wait(k->start);
	cr_assert_eq(view_look(k->t->view, FIXTURE_CLUSTER, FIXTURE_NODE, WAIT, &k->found, NULL),
		     0);
	return NULL;
}

Test(fs, a_node_that_many_look_at_first_is_one_node)
{
	for (int turn = 0; turn < 20; turn++) {
		_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(0);
		struct looking k[LOOKERS];
		pthread_t threads[LOOKERS];
		pthread_barrier_t start;

		record_free(add_monday(t));
		pthread_barrier_init(&start, NULL, LOOKERS);
		for (int i = 0; i < LOOKERS; i++) {
			k[i] = (struct looking){ t, &start, NULL };
			cr_assert_eq(pthread_create(&threads[i], NULL, look_first, &k[i]), 0);
		}
		for (int i = 0; i < LOOKERS; i++)
			pthread_join(threads[i], NULL);
		pthread_barrier_destroy(&start);
		for (int i = 1; i < LOOKERS; i++)
			cr_expect_eq(k[i].found, k[0].found, "turn %d", turn);
		tree_fixture_settle(t, FIXTURE_NODE);
	}
}

Test(fs, a_removed_backup_vanishes_and_counts_go_down)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(0);
	_cleanup_(record_freep) struct record *a = add_monday(t), *b = add_tuesday(t);
	struct fs_entry data, dir, gone;
	double timeout;
	struct stat st;

	cr_assert_eq(tree_fixture_walk(t, NODE "/tuesday/" TABLE "/nb-1-big-Data.db", &data), 0);
	cr_assert_eq(tree_fixture_walk(t, NODE "/monday/data", &dir), 0);
	tree_fixture_settle(t, FIXTURE_NODE);
	cr_expect_eq(data.st.st_nlink, 3);
	tree_fixture_forget(t);

	remove_backup(t, a);
	cr_expect_eq(tree_fixture_walk(t, NODE "/monday", &gone), FS_ABSENT);
	tree_fixture_settle(t, FIXTURE_NODE);
	cr_expect(tree_fixture_told(t, NODE, "monday"));
	cr_expect(tree_fixture_told_inode(t, data.ino));
	cr_assert_eq(fs_getattr(t->fs, data.ino, WAIT, &st, &timeout, NULL), 0);
	cr_expect_eq(st.st_nlink, 2);
	cr_expect_eq(fs_getattr(t->fs, dir.ino, WAIT, &st, &timeout, NULL), -ESTALE,
		     "a directory of a removed backup");
}

/* Its request waited for the store meanwhile. */
Test(fs, a_change_that_comes_after_its_backup_was_removed_is_forgotten)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(0);
	_cleanup_(record_freep) struct record *a = add_monday(t), *b = add_tuesday(t);
	struct fs_entry data, dir, gone, made;
	struct fs_name hidden, new;
	struct timespec changed;

	cr_assert_eq(tree_fixture_walk(t, NODE "/tuesday/" TABLE "/nb-1-big-Data.db", &data), 0);
	cr_assert_eq(tree_fixture_walk(t, NODE "/monday/" TABLE, &dir), 0);
	tree_fixture_settle(t, FIXTURE_NODE);
	cr_assert_eq(fs_name(t->fs, dir.ino, "nb-1-big-Data.db", false, WAIT, &hidden, NULL), 0);
	cr_assert_eq(fs_name(t->fs, dir.ino, "new", false, WAIT, &new, NULL), 0);
	remove_backup(t, a);
	cr_expect_eq(tree_fixture_walk(t, NODE "/monday", &gone), FS_ABSENT);
	tree_fixture_settle(t, FIXTURE_NODE);

	cr_expect_eq(fs_unlink(t->fs, &hidden), 0);
	cr_expect_eq(fs_make(t->fs, &new, S_IFDIR | 0755, 0, 0, NULL, &made), 0);
	cr_expect_eq(overlay_usage(t->overlay).hidden, 0);
	cr_expect_eq(overlay_links(t->overlay, data.ino), 0, "tuesday's file has its links");
	cr_expect_not(overlay_has_changed(t->overlay, hidden.at.dir, &changed));
	fs_lookup_undo(t->fs, &made);
	cr_expect_eq(overlay_usage(t->overlay).inodes, 0);
}

Test(fs, an_unchanged_record_is_not_fetched_twice)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(0);
	_cleanup_(record_freep) struct record *rec = add_monday(t);
	struct fs_entry en;
	unsigned gets;

	cr_assert_eq(tree_fixture_walk(t, NODE "/monday/" TABLE, &en), 0);
	tree_fixture_settle(t, FIXTURE_NODE);
	gets = atomic_load(&t->repo->wire->gets);
	for (int i = 0; i < 5; i++) {
		cr_assert_eq(tree_fixture_walk(t, NODE "/monday/" TABLE, &en), 0);
		tree_fixture_settle(t, FIXTURE_NODE);
	}
	cr_expect_eq(atomic_load(&t->repo->wire->gets), gets);
}

/* The requests of the first look at a node whose record has so many tokens. */
static unsigned gets_of_first_look(size_t token_count)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(0);
	_cleanup_(record_freep) struct record *rec = add_monday(t);
	_cleanup_free_ char *text = NULL;
	char key[KEY_BYTES], token[] = "-9000000000000000000";
	char **own = rec->tokens, *many[FORMAT_TOKENS];
	size_t len, own_count = rec->token_count;
	struct fs_entry en;
	unsigned before;

	for (size_t i = 0; i < token_count; i++)
		many[i] = token;
	rec->tokens = many;
	rec->token_count = token_count;
	cr_assert_eq(record_encode(rec, &text, &len, NULL), 0);
	rec->tokens = own;
	rec->token_count = own_count;
	cr_assert_eq(store_put_bytes(t->repo->store,
				     keys_record(key, &rec->where, rec->backup, &rec->writer), text,
				     len, STORE_ALWAYS, NULL, NULL, NULL, NULL),
		     0);
	before = atomic_load(&t->repo->wire->gets);
	cr_assert_eq(tree_fixture_walk(t, NODE "/monday", &en), 0);
	tree_fixture_settle(t, FIXTURE_NODE);
	return atomic_load(&t->repo->wire->gets) - before;
}

Test(fs, a_long_record_is_one_request_as_a_short_one_is)
{
	cr_expect_eq(gets_of_first_look(FORMAT_TOKENS), gets_of_first_look(1));
}

Test(fs, within_the_refresh_time_nothing_is_asked_at_all)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(3600000);
	_cleanup_(record_freep) struct record *rec = add_monday(t);
	struct fs_entry en;
	unsigned lists;

	cr_assert_eq(tree_fixture_walk(t, NODE "/monday/" TABLE "/empty", &en), 0);
	tree_fixture_settle(t, FIXTURE_NODE);
	lists = atomic_load(&t->repo->wire->lists);
	cr_assert_eq(tree_fixture_walk(t, NODE "/monday/" TABLE "/empty", &en), 0);
	cr_expect_eq(atomic_load(&t->repo->wire->lists), lists);
	cr_expect_eq(fs_getattr(t->fs, en.ino, DONT_WAIT, &en.st, &en.attr_timeout_s, NULL), 0,
		     "and nobody waits");
}

Test(fs, what_needs_the_store_says_so_instead_of_waiting)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(5000);
	_cleanup_(record_freep) struct record *rec = add_monday(t);
	unsigned lists = atomic_load(&t->repo->wire->lists);
	struct fs_dir *d;
	struct fs_entry en;

	cr_expect_eq(fs_lookup(t->fs, INODE_ROOT, FIXTURE_CLUSTER, DONT_WAIT, &en, NULL),
		     FS_WOULD_BLOCK);
	cr_expect_eq(fs_opendir(t->fs, INODE_ROOT, DONT_WAIT, &d, NULL), FS_WOULD_BLOCK);
	cr_expect_eq(atomic_load(&t->repo->wire->lists), lists);
}

Test(fs, a_store_that_fails_is_an_error_and_later_all_is_well)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(0);
	_cleanup_(record_freep) struct record *rec = add_monday(t);
	struct fs_entry en;

	cr_assert_eq(tree_fixture_walk(t, FIXTURE_CLUSTER "/nodes", &en), 0);
	atomic_store(&t->repo->wire->fail, -EIO);
	cr_expect_lt(tree_fixture_walk(t, NODE "/monday", &en), 0);
	atomic_store(&t->repo->wire->fail, 0);
	cr_expect_eq(tree_fixture_walk(t, NODE "/monday/" TABLE "/empty", &en), 0);
}

Test(fs, only_the_cluster_and_node_that_were_asked_for_are_shown)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(5000);
	_cleanup_(record_freep) struct record *a = add_monday(t);
	_cleanup_(record_freep) struct record *b =
		fixture_backup_of(t->repo, FIXTURE_CLUSTER, "n2", "monday", RECORD_COMMITTED,
				  tuesday, 2, OBJECT_COMPRESS_NONE);
	struct names nodes;

	nodes = list(t, FIXTURE_CLUSTER "/nodes", false, 0);
	cr_expect(has(&nodes, "n1") && has(&nodes, "n2"));
	nodes = list(t, FIXTURE_CLUSTER "/backups/monday", false, 0);
	cr_expect(has(&nodes, "n1") && has(&nodes, "n2"));
}

Test(fs, a_listing_that_is_full_goes_on_where_it_stopped)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(5000);
	_cleanup_(record_freep) struct record *rec = add_monday(t);
	struct names all = list(t, NODE "/monday/" TABLE, true, 0), part = { .stop_after = 3 };
	struct fs_entry en;
	struct fs_dir *d;

	cr_assert_eq(tree_fixture_walk(t, NODE "/monday/" TABLE, &en), 0);
	cr_assert_eq(fs_opendir(t->fs, en.ino, WAIT, &d, NULL), 0);
	cr_assert_eq(fs_readdir(d, 0, true, WAIT, note, &part, NULL), 0);
	cr_expect_eq(part.count, 3);
	cr_expect_str_eq(part.name[2], all.name[2]);
	cr_expect(fs_dir_is_fixed(d));
	fs_closedir(d);
}

Test(fs, a_read_across_two_objects_is_whole_also_when_neither_is_here)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(5000);
	size_t size = 9 * MIB, at = 8 * MIB - 300000, len = 600000, done = 0;
	_cleanup_free_ uint8_t *data = fixture_random(7, size), *got = malloc(len);
	const struct fixture_file large = { .path = TABLE "/nb-3-big-Data.db",
					    .data = data,
					    .len_bytes = size };
	_cleanup_(record_freep) struct record *rec =
		fixture_backup(t->repo, "large", &large, 1, OBJECT_COMPRESS_NONE);
	struct fs_entry en;
	struct fs_file *f;
	struct fs_read rd;
	bool direct;

	cr_assert_eq(tree_fixture_walk(t, NODE "/large/" TABLE "/nb-3-big-Data.db", &en), 0);
	cr_assert_eq(fs_open(t->fs, en.ino, O_RDONLY, WAIT, &f, &direct, NULL), 0);
	cr_expect_eq(fs_read(f, at, len, DONT_WAIT, &rd, NULL), FS_WOULD_BLOCK);
	cr_assert_eq(fs_read(f, at, len, WAIT, &rd, NULL), 0);
	cr_assert_eq(rd.len_bytes, len, "a short answer would mean the end of the file");
	for (int i = 0; i < rd.iov_count; done += rd.iov[i++].iov_len)
		memcpy(got + done, rd.iov[i].iov_base, rd.iov[i].iov_len);
	cr_expect_eq(memcmp(got, data + at, len), 0);
	fs_read_done(f, &rd);
	fs_close(f);
}
