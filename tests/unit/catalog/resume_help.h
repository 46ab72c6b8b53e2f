/* SPDX-License-Identifier: Apache-2.0 */
/* A backup that is killed: from one of its requests on nothing reaches the store any more, so it cannot even withdraw. Then it is run again. */
#ifndef SSTABLEFS_TESTS_RESUME_HELP_H
#define SSTABLEFS_TESTS_RESUME_HELP_H

#include "catalog/register.h"
#include "tests/unit/catalog/rig.h"

#define RESUME_LARGE (8 * MIB + 1100000)
#define RESUME_SMALL_FILES 40

/* ---- a node, and a process that is killed ---- */

struct resume_crash { /* protected by lock */
	pthread_mutex_t lock;
	const char *what; /* "put /objects/" */
	int at; /* the request of that kind (from 1) after which nothing comes any more; 0: never */
	bool carried_out; /* that one */
	int seen;
	bool dead;
	uint64_t requests;
};

static struct resume_crash resume_crash = { .lock = PTHREAD_MUTEX_INITIALIZER };

static inline bool resume_is_kind(const char *what, const char *method, const char *key)
{
	size_t len = strcspn(what, " ");

	return strlen(method) == len && strncmp(what, method, len) == 0 &&
	       (!what[len] || strstr(key, what + len + 1));
}

static inline enum fault resume_crash_there(struct rig *rig, const char *method, const char *key)
{
	enum fault fault = FAULT_NONE;

	pthread_mutex_lock(&resume_crash.lock);
	resume_crash.requests++;
	if (resume_crash.dead) {
		fault = FAULT_BEFORE;
	} else if (resume_crash.at && resume_is_kind(resume_crash.what, method, key) &&
		   ++resume_crash.seen == resume_crash.at) {
		resume_crash.dead = true;
		fault = resume_crash.carried_out ? FAULT_AFTER : FAULT_BEFORE;
	}
	pthread_mutex_unlock(&resume_crash.lock);
	return fault;
}

static inline void resume_arm(struct rig *rig, const char *what, int at, bool carried_out)
{
	resume_crash.what = what;
	resume_crash.at = at;
	resume_crash.carried_out = carried_out;
	resume_crash.seen = 0;
	resume_crash.dead = false;
	rig->fault = resume_crash_there;
}

/* Whether it came so far. */
static inline bool resume_disarm(struct rig *rig)
{
	rig->fault = NULL;
	return resume_crash.dead;
}

static inline void resume_small_files(struct rig *rig, int from, int to)
{
	for (int i = from; i < to; i++) {
		char name[64];

		snprintf(name, sizeof(name), "nb-%03d-big-Index.db", i);
		rig_put_random(rig, name, (uint64_t)(1000 + i), (size_t)(20000 + 11000 * i));
	}
}

static inline char *resume_alive_dir(struct rig *rig)
{
	return util_printf("%s/alive", rig->tmp.path);
}

static inline void resume_fill(struct rig *rig)
{
	rig_put_random(rig, "nb-0-big-Data.db", 1, RESUME_LARGE);
	resume_small_files(rig, 0, RESUME_SMALL_FILES);
	rig_settle(rig);
}

static inline void resume_expect_all(struct rig *rig, const struct record *record)
{
	rig_expect_random(rig, record, "nb-0-big-Data.db", 1, RESUME_LARGE);
	for (int i = 0; i < RESUME_SMALL_FILES; i++) {
		char name[64];

		snprintf(name, sizeof(name), "nb-%03d-big-Index.db", i);
		rig_expect_random(rig, record, name, (uint64_t)(1000 + i),
				  (size_t)(20000 + 11000 * i));
	}
}

/* A rig whose backups are known to this machine. */
static inline void resume_init(struct rig *rig, char **ret_alive_dir)
{
	rig_init(rig, OBJECT_COMPRESS_NONE);
	rig->options.alive_dir = *ret_alive_dir = resume_alive_dir(rig);
	resume_fill(rig);
}

static inline void resume_kill(struct rig *rig, const char *name, const char *what, int at,
			       bool carried_out)
{
	struct err e;

	resume_arm(rig, what, at, carried_out);
	cr_assert_lt(rig_backup(rig, name, NULL, &e), 0);
	cr_assert(resume_disarm(rig));
}

static struct backup_result resume_last; /* without its record */

static inline int resume_run(struct rig *rig, const char *name, struct record **ret, struct err *e)
{
	_cleanup_(snapshot_freep) struct snapshot *s = rig_scan(rig);
	_cleanup_(record_freep) struct record *record = rig_record(rig, name);
	struct backup_options o = rig->options;
	int r;

	o.record = record;
	o.snapshot = s;
	*e = ERR_INIT;
	resume_last = (struct backup_result){ 0 };
	r = backup_run(&o, &resume_last, e);
	*ret = resume_last.record;
	resume_last.record = NULL;
	return r;
}

static inline struct record *resume_commit(struct rig *rig, const char *name)
{
	struct record *record = NULL;
	struct err e;

	cr_assert_eq(resume_run(rig, name, &record, &e), 0, "%s", e.message);
	return record;
}

#endif
