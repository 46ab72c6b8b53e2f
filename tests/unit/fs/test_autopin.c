/* SPDX-License-Identifier: Apache-2.0 */
/* Pins that a mount takes by itself: which backup, when, and what readers see of them. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include "catalog/remove.h"
#include "fs/autopin_private.h"
#include "fs/fs_private.h"
#include "fs/view_private.h"
#include "tests/unit/fs/tree_fixture.h"

#define NODE FIXTURE_CLUSTER "/nodes/" FIXTURE_NODE
#define TABLE "data/ks/t-00000000000000000000000000000001"
#define LIMIT_MS 60000

/* "shared" is in both backups, "monday" and "tuesday" each in one; "tiny" lies in the tree itself. */
static char bytes[4][600];
static struct fixture_file files[4] = {
	{ .path = TABLE "/monday-Data.db", .data = bytes[0], .len_bytes = 600 },
	{ .path = TABLE "/shared-Data.db",
	  .data = bytes[1],
	  .len_bytes = 600,
	  .attr = { 0644, 1, 1, 5 } },
	{ .path = TABLE "/tuesday-Data.db", .data = bytes[2], .len_bytes = 600 },
	{ .path = TABLE "/tiny-TOC.txt", .data = bytes[3], .len_bytes = 6 },
};

struct setup {
	struct tree_fixture *t;
	struct record *monday, *tuesday;
	struct autopins *pins;
	struct err e;
};

/* linger_ms, max: 0 as in a mount. */
static void setup_init(struct setup *s, int64_t linger_ms, unsigned max)
{
	struct autopin_options o = {
		.linger_ms = linger_ms, .max = max, .wait_ms = LIMIT_MS, .retry_ms = 1
	};
	struct autopin_ops ops;

	for (int i = 0; i < 4; i++)
		memset(bytes[i], 'a' + i, sizeof(bytes[i]));
	*s = (struct setup){ .t = tree_fixture_new(3600 * 1000) };
	s->monday = fixture_backup(s->t->repo, "monday", files, 2, OBJECT_COMPRESS_NONE);
	s->tuesday = fixture_backup(s->t->repo, "tuesday", files + 1, 3, OBJECT_COMPRESS_NONE);
	o.repo = s->t->repo->repo;
	o.metrics = s->t->repo->metrics;
	s->pins = autopin_new(&o);
	cr_assert(s->pins);
	ops = fs_autopin_ops(s->t->fs);
	autopin_set_ops(s->pins, &ops);
	s->t->fs->o.autopins = s->pins;
}

static void end_pins(struct setup *s)
{
	autopin_free(s->pins);
	s->pins = NULL;
}

static void setup_deinit(struct setup *s)
{
	if (s->pins)
		end_pins(s);
	s->t->fs->o.autopins = NULL;
	tree_fixture_free(s->t);
	record_free(s->monday);
	record_free(s->tuesday);
}

#define _cleanup_setup_ _cleanup_(setup_deinit)

/* As the clock of the world goes on. */
#define WAIT_FOR(condition)                                                                 \
	do {                                                                                \
		for (int ms_ = 0; !(condition); ms_++) {                                    \
			cr_assert_lt(ms_, LIMIT_MS, "not so within a minute: " #condition); \
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);          \
		}                                                                           \
	} while (0)

static uint64_t ino_of(struct setup *s, const char *path)
{
	struct fs_entry en = { 0 };

	cr_assert_eq(tree_fixture_walk(s->t, path, &en), 0, "%s", path);
	return en.ino;
}

static int open_ino(struct setup *s, uint64_t ino, struct fs_file **ret)
{
	bool direct;

	return fs_open(s->t->fs, ino, O_RDONLY, WAIT, ret, &direct, &s->e);
}

static struct fs_file *open_well(struct setup *s, const char *path)
{
	struct fs_file *file = NULL;

	cr_assert_eq(open_ino(s, ino_of(s, path), &file), 0, "%s: %s", path, s->e.message);
	return file;
}

static int read_file(struct setup *s, struct fs_file *file)
{
	struct fs_read rd;
	int r = fs_read(file, 0, 600, WAIT, &rd, &s->e);

	if (r == 0)
		fs_read_done(file, &rd);
	return r;
}

/* It is no longer among the pins, and the store has not said yet that it is gone. */
static bool is_ending(struct setup *s)
{
	bool ending;

	pthread_mutex_lock(&s->pins->lock);
	ending = !s->pins->first && pool_pending(s->pins->pool) > 0;
	pthread_mutex_unlock(&s->pins->lock);
	return ending;
}

static size_t pin_count(struct setup *s)
{
	return fixture_count(s->t->repo, "/pins/");
}

/* The backups that are pinned, as status names them. */
static bool is_pinned(struct setup *s, const char *backup)
{
	_cleanup_free_ char *want =
		util_printf("pinned %s/%s/%s: held", FIXTURE_CLUSTER, FIXTURE_NODE, backup);
	struct wbuf out;
	bool found;

	wbuf_init(&out, 65536);
	autopin_describe(s->pins, &out);
	wbuf_put(&out, "", 1);
	found = strstr((char *)out.data, want) != NULL;
	wbuf_deinit(&out);
	return found;
}

static void remove_backup_of(struct setup *s, const struct record *r)
{
	_cleanup_(record_freep) struct record *now = NULL;
	char etag[STORE_ETAG_MAX];

	cr_assert_eq(repo_get_record(s->t->repo->repo, &r->where, r->backup, &r->writer, &now, etag,
				     NULL, &s->e),
		     0, "%s", s->e.message);
	cr_assert_eq(remove_backup(s->t->repo->repo, now, etag, NULL, &s->e), 0, "%s",
		     s->e.message);
}

static void take_pins_away(struct setup *s)
{
	char key[KEY_BYTES];

	while (pin_count(s) > 0) {
		fixture_key(s->t->repo, "/pins/", 0, key);
		fixture_delete(s->t->repo, key);
	}
}

/* Until the thread that ends unused pins has looked at all of them: another one, which need not stay, is gone then. */
static void see_what_is_due(struct setup *s)
{
	bool there = true;

	fs_close(open_well(s, NODE "/tuesday/" TABLE "/tuesday-Data.db"));
	pthread_mutex_lock(&s->pins->lock);
	for (struct autopin *p = s->pins->first; p; p = p->next)
		if (strcmp(p->backup, "tuesday") == 0)
			p->state = PIN_IS_GONE;
	pthread_mutex_unlock(&s->pins->lock);
	for (int ms = 0; there; ms++) {
		cr_assert_lt(ms, LIMIT_MS);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		pthread_mutex_lock(&s->pins->lock);
		there = s->pins->first && s->pins->first->next;
		pthread_mutex_unlock(&s->pins->lock);
	}
}

Test(autopin, a_backup_has_one_pin_however_many_of_its_files_are_open)
{
	_cleanup_setup_ struct setup s;
	struct fs_file *open[3];

	setup_init(&s, 0, 0);
	ino_of(&s, NODE "/monday/" TABLE);
	tree_fixture_settle(s.t, FIXTURE_NODE);
	cr_expect_eq(pin_count(&s), 0, "nothing is pinned that is only looked at");
	open[0] = open_well(&s, NODE "/monday/" TABLE "/monday-Data.db");
	open[1] = open_well(&s, NODE "/monday/" TABLE "/shared-Data.db");
	open[2] = open_well(&s, NODE "/monday/" TABLE "/monday-Data.db");
	cr_expect_eq(pin_count(&s), 1);
	cr_expect(is_pinned(&s, "monday"));
	for (int i = 0; i < 3; i++)
		fs_close(open[i]);
	see_what_is_due(&s);
	cr_expect(is_pinned(&s, "monday"), "it stays for a while");
	end_pins(&s);
	cr_expect_eq(pin_count(&s), 0, "the end of a mount ends its pins");
}

Test(autopin, a_thread_that_must_not_wait_leaves_a_pin_that_is_not_there_to_one_that_may)
{
	_cleanup_setup_ struct setup s;
	struct fs_file *file, *again = NULL;
	bool direct;
	uint64_t ino;

	setup_init(&s, 0, 0);
	ino = ino_of(&s, NODE "/monday/" TABLE "/monday-Data.db");
	tree_fixture_settle(s.t, FIXTURE_NODE);
	cr_expect_eq(fs_open(s.t->fs, ino, O_RDONLY, DONT_WAIT, &again, &direct, &s.e),
		     FS_WOULD_BLOCK);
	cr_expect_eq(pin_count(&s), 0);
	cr_assert_eq(open_ino(&s, ino, &file), 0);
	cr_assert_eq(fs_open(s.t->fs, ino, O_RDONLY, DONT_WAIT, &again, &direct, &s.e), 0);
	fs_close(file);
	fs_close(again);
}

Test(autopin, what_is_in_memory_once_it_is_open_needs_no_pin)
{
	_cleanup_setup_ struct setup s;
	struct fs_file *file;

	setup_init(&s, 0, 0);
	file = open_well(&s, NODE "/tuesday/" TABLE "/tiny-TOC.txt");
	cr_expect_eq(pin_count(&s), 0);
	fs_close(file);
}

Test(autopin, a_pin_ends_a_while_after_its_last_file_was_closed)
{
	_cleanup_setup_ struct setup s;
	struct fs_file *file;

	setup_init(&s, 1, 0);
	file = open_well(&s, NODE "/monday/" TABLE "/monday-Data.db");
	cr_expect_eq(pin_count(&s), 1);
	fs_close(file);
	WAIT_FOR(pin_count(&s) == 0);
}

Test(autopin, pins_that_were_ending_when_the_store_went_away_do_not_hold_up_the_end, .timeout = 120)
{
	_cleanup_setup_ struct setup s;
	struct fs_file *file;

	setup_init(&s, 1, 0);
	s.pins->o.end_ms = 200;
	s.t->repo->wire->deletes_hang = true;
	file = open_well(&s, NODE "/monday/" TABLE "/monday-Data.db");
	fs_close(file);
	WAIT_FOR(is_ending(&s));
	autopin_stop(s.pins);
	end_pins(&s);
	s.t->repo->wire->deletes_hang = false;
	cr_expect_eq(pin_count(&s), 1, "it is the collectors' now");
}

Test(autopin, what_was_walked_last_is_pinned_and_without_that_the_newest)
{
	_cleanup_setup_ struct setup s;
	struct fs_file *file;
	uint64_t shared;

	setup_init(&s, 0, 0);
	shared = ino_of(&s, NODE "/monday/" TABLE "/shared-Data.db");
	tree_fixture_settle(s.t, FIXTURE_NODE);
	cr_assert_eq(open_ino(&s, shared, &file), 0);
	cr_expect(is_pinned(&s, "monday"));
	fs_close(file);
	end_pins(&s);
	s.t->fs->o.autopins = NULL;
	setup_deinit(&s);

	setup_init(&s, 0, 0);
	shared = ino_of(&s, NODE "/monday/" TABLE "/shared-Data.db");
	tree_fixture_settle(s.t, FIXTURE_NODE);
	view_node_note_walked(view_known(s.t->view, FIXTURE_CLUSTER, FIXTURE_NODE),
			      &(struct view_backup){ .name = "" });
	cr_assert_eq(open_ino(&s, shared, &file), 0);
	cr_expect(is_pinned(&s, "tuesday"));
	fs_close(file);
}

Test(autopin, a_guess_that_was_wrong_is_made_good_when_the_backups_are_counted)
{
	_cleanup_setup_ struct setup s;
	const struct record *monday;
	struct view_backup walked;
	struct view_node *n;
	struct fs_file *file;

	setup_init(&s, 0, 0);
	ino_of(&s, NODE "/monday/" TABLE "/monday-Data.db");
	tree_fixture_settle(s.t, FIXTURE_NODE);
	n = view_known(s.t->view, FIXTURE_CLUSTER, FIXTURE_NODE);
	/* As while it is indexed: nothing is known of either, and another reader walks tuesday. */
	monday = s.monday;
	cr_assert_eq(tree_fixture_count(s.t, view_node_number(n), 1, &monday, NULL), 0);
	n->indexed = false;
	{
		uint64_t ino = ino_of(&s, NODE "/monday/" TABLE "/monday-Data.db");

		cr_assert_eq(tree_fixture_count(s.t, view_node_number(n), 0, NULL, NULL), 0);
		cr_assert_eq(ino_of(&s, NODE "/monday/" TABLE "/monday-Data.db"), ino);
		cr_assert(view_node_find(n, "tuesday", &walked));
		view_node_note_walked(n, &walked);
		cr_assert_eq(open_ino(&s, ino, &file), 0);
	}
	cr_expect(is_pinned(&s, "tuesday") && !is_pinned(&s, "monday"));
	cr_assert_eq(tree_fixture_count(s.t, view_node_number(n), 1, &monday, NULL), 0);
	n->indexed = true;
	cr_expect_eq(read_file(&s, file), 0);
	cr_expect(is_pinned(&s, "monday"));
	fs_close(file);
}

Test(autopin, a_backup_that_was_deleted_before_the_open_is_not_there)
{
	_cleanup_setup_ struct setup s;
	struct fs_file *file = NULL;
	struct fs_entry en;
	uint64_t ino;

	setup_init(&s, 0, 0);
	ino = ino_of(&s, NODE "/monday/" TABLE "/monday-Data.db");
	tree_fixture_settle(s.t, FIXTURE_NODE);
	remove_backup_of(&s, s.monday);
	cr_expect_eq(open_ino(&s, ino, &file), -ESTALE);
	cr_expect_eq(pin_count(&s), 0, "the pin is withdrawn");
	cr_expect_eq(tree_fixture_walk(s.t, NODE "/monday", &en), FS_ABSENT,
		     "the look that follows asks, although refresh= has not passed");
}

Test(autopin, what_another_backup_holds_is_read_from_there)
{
	_cleanup_setup_ struct setup s;
	struct fs_file *file;
	uint64_t ino;

	setup_init(&s, 0, 0);
	ino = ino_of(&s, NODE "/monday/" TABLE "/shared-Data.db");
	tree_fixture_settle(s.t, FIXTURE_NODE);
	remove_backup_of(&s, s.monday);
	cr_assert_eq(open_ino(&s, ino, &file), 0, "%s", s.e.message);
	cr_expect(is_pinned(&s, "tuesday") && !is_pinned(&s, "monday"));
	cr_expect_eq(read_file(&s, file), 0);
	fs_close(file);
}

/* Its renewal finds it gone: as after a collector's fence. */
static void lose_pins(struct setup *s)
{
	take_pins_away(s);
	pthread_mutex_lock(&s->pins->lock);
	for (struct autopin *p = s->pins->first; p; p = p->next)
		autopin_lose(s->pins, p);
	pthread_mutex_unlock(&s->pins->lock);
}

Test(autopin, a_pin_that_is_lost_is_taken_again_while_the_backup_is_there)
{
	_cleanup_setup_ struct setup s;
	struct fs_file *file;

	setup_init(&s, 0, 0);
	file = open_well(&s, NODE "/monday/" TABLE "/monday-Data.db");
	lose_pins(&s);
	cr_expect_eq(read_file(&s, file), 0, "%s", s.e.message);
	cr_expect_eq(pin_count(&s), 1);
	cr_expect_eq(metric_get(metrics_counter(s.t->repo->metrics, "pins_lost_total", NULL)), 1);
	fs_close(file);
}

/* A renewal that found the pin gone, and has not ended yet. */
static void *end_renewal(void *arg)
{
	struct setup *s = arg;

	nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	pthread_mutex_lock(&s->pins->lock);
	s->pins->first->busy = false;
	pthread_cond_broadcast(&s->pins->changed);
	pthread_mutex_unlock(&s->pins->lock);
	return NULL;
}

Test(autopin, a_read_waits_for_the_end_of_the_renewal_that_lost_the_pin_and_for_another_pin)
{
	_cleanup_setup_ struct setup s;
	struct fs_file *file;
	pthread_t renewal;

	setup_init(&s, 0, 0);
	file = open_well(&s, NODE "/monday/" TABLE "/monday-Data.db");
	take_pins_away(&s);
	pthread_mutex_lock(&s.pins->lock);
	cr_assert_not(s.pins->first->busy);
	s.pins->first->busy = true;
	/* The attempt that readers would wait for was long ago. */
	s.pins->first->begun_ms = clock_elapsed_ms(s.pins->clock) - 2 * LIMIT_MS;
	autopin_lose(s.pins, s.pins->first);
	pthread_mutex_unlock(&s.pins->lock);
	cr_assert_eq(pthread_create(&renewal, NULL, end_renewal, &s), 0);
	cr_expect_eq(read_file(&s, file), 0, "%s", s.e.message);
	pthread_join(renewal, NULL);
	cr_expect_eq(pin_count(&s), 1);
	fs_close(file);
}

Test(autopin, a_pin_that_is_lost_with_its_backup_ends_the_reading_of_what_no_other_has)
{
	_cleanup_setup_ struct setup s;
	struct fs_file *file, *shared;

	setup_init(&s, 0, 0);
	file = open_well(&s, NODE "/monday/" TABLE "/monday-Data.db");
	shared = open_well(&s, NODE "/monday/" TABLE "/shared-Data.db");
	tree_fixture_settle(s.t, FIXTURE_NODE);
	remove_backup_of(&s, s.monday);
	cr_expect_eq(read_file(&s, file), 0, "the pin holds it");
	lose_pins(&s);
	cr_expect_eq(read_file(&s, file), -EIO);
	cr_expect(strstr(s.e.message, "monday") && strstr(s.e.message, "not read any more"), "%s",
		  s.e.message);
	cr_expect_eq(read_file(&s, shared), 0, "%s", s.e.message);
	cr_expect(is_pinned(&s, "tuesday"));
	fs_close(file);
	fs_close(shared);
}

Test(autopin, a_pin_that_is_lost_with_several_backups_is_taken_of_one_that_is_there)
{
	_cleanup_setup_ struct setup s;
	_cleanup_(record_freep) struct record *wednesday = NULL;
	struct fs_file *shared;

	setup_init(&s, 0, 0);
	wednesday = fixture_backup(s.t->repo, "wednesday", files + 1, 1, OBJECT_COMPRESS_NONE);
	shared = open_well(&s, NODE "/monday/" TABLE "/shared-Data.db");
	tree_fixture_settle(s.t, FIXTURE_NODE);
	cr_expect(is_pinned(&s, "monday"));
	remove_backup_of(&s, s.monday);
	remove_backup_of(&s, wednesday);
	lose_pins(&s);
	cr_expect_eq(read_file(&s, shared), 0, "%s", s.e.message);
	cr_expect(is_pinned(&s, "tuesday"));
	fs_close(shared);
}

Test(autopin, beyond_the_bound_an_unused_pin_makes_room_and_else_it_is_read_without)
{
	_cleanup_setup_ struct setup s;
	struct fs_file *monday, *tuesday;

	setup_init(&s, 0, 1);
	monday = open_well(&s, NODE "/monday/" TABLE "/monday-Data.db");
	tuesday = open_well(&s, NODE "/tuesday/" TABLE "/tuesday-Data.db");
	cr_expect(is_pinned(&s, "monday") && !is_pinned(&s, "tuesday"));
	cr_expect_eq(read_file(&s, tuesday), 0);
	cr_expect_eq(metric_get(metrics_counter(s.t->repo->metrics, "pins_refused_total", NULL)),
		     1);
	fs_close(tuesday);
	fs_close(monday);
	tuesday = open_well(&s, NODE "/tuesday/" TABLE "/tuesday-Data.db");
	cr_expect(is_pinned(&s, "tuesday") && !is_pinned(&s, "monday"));
	WAIT_FOR(pin_count(&s) == 1);
	fs_close(tuesday);
}

Test(autopin, the_backup_of_a_mount_with_pin_is_not_pinned_twice)
{
	_cleanup_setup_ struct setup s;
	struct pinned_options o = { .backup = "monday", .default_node = "elsewhere" };
	struct pinned *pinned;
	struct fs_file *file;

	setup_init(&s, 0, 0);
	o.repo = s.t->repo->repo;
	o.meta = s.t->repo->meta;
	cr_assert_eq(pinned_begin(&o, &pinned, &s.e), 0, "%s", s.e.message);
	s.t->fs->o.pinned = pinned;
	file = open_well(&s, NODE "/monday/" TABLE "/shared-Data.db");
	cr_expect_eq(pin_count(&s), 1);
	fs_close(file);
	file = open_well(&s, NODE "/tuesday/" TABLE "/tuesday-Data.db");
	cr_expect_eq(pin_count(&s), 2);
	fs_close(file);
	end_pins(&s);
	s.t->fs->o.autopins = NULL;
	s.t->fs->o.pinned = NULL;
	pinned_end(pinned);
}
