/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/backup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "catalog/assemble.h"
#include "catalog/claim.h"
#include "catalog/datasum.h"
#include "catalog/probe.h"
#include "catalog/renew.h"
#include "catalog/resume.h"
#include "catalog/sources.h"
#include "catalog/watch.h"

#define GREATEST_AGE_MS (INT64_C(7) * 24 * 3600 * 1000)
/* One that was begun longer ago is not continued where no name was asked for: who runs backups then wants one of today. */
#define YOUNG_MS (INT64_C(24) * 3600 * 1000)
#define NS_PER_MS 1000000

/* A commit that was begun is not given up at once: it would leave open whether it happened. */
#define COMMIT_LIMIT_MS 60000
#define COMMIT_CANCELLED_MS 10000
#define WITHDRAW_LIMIT_MS 10000

#define MEMORY_MIN (64 * MIB)
#define PACKS 3 /* of each kind, in memory at once */

/* How the memory is divided. */
struct memory {
	uint64_t known, small, meta;
	unsigned large_buffers;
};

struct backup {
	const struct backup_options *o;
	struct reg reg;
	struct work work;
	struct renew_options renew;
	int64_t started_ns; /* elapsed, of W1 */
	bool resumed;
	int64_t store_now_ns; /* the store's time when the record was written first or taken over; 0: not known */
	struct alive *alive;
	bool over;	       /* nothing is left to be continued */
	struct stored *stored; /* where it was resumed */
	struct memory memory;
	struct condemned *condemned;
	struct known *known;
	struct decay *decay;
	struct account *account;
	struct datasum datasum;
	struct place root;
	struct assemble_counts counts;
	uint64_t new_bytes, resumed_bytes, uploaded_objects;
};

static struct memory divide_memory(const struct backup_options *o)
{
	uint64_t names =
		o->snapshot->memory_bytes + o->snapshot->file_count * ASSEMBLE_BYTES_A_FILE;
	uint64_t all = MAX_OF(o->memory_bytes - MIN_OF(o->memory_bytes, names), MEMORY_MIN);
	bool compress = repo_compression(o->repo) != OBJECT_COMPRESS_NONE;
	uint64_t large = compress ? 2 * FORMAT_OBJECT_BYTES : FORMAT_OBJECT_BYTES;
	unsigned useful = o->jobs + o->connections + 2;
	struct memory m = { .known = all / 4, .meta = all / 4, .small = all / 16 };
	uint64_t rest = all - m.known - m.small;

	rest -= MIN_OF(rest, (PACKS + 2) * FORMAT_OBJECT_BYTES);
	m.large_buffers = (unsigned)MIN_OF(rest / large, useful);
	m.large_buffers = MAX_OF(m.large_buffers, 2u);
	return m;
}

/* ---- the probe ---- */

/* That the store cannot do enough concerns deletion only. */
static void try_store(const struct backup_options *o)
{
	const struct probe_memory memory = { o->repo, &o->record->where, o->kv, o->server };
	struct probe_result result;
	struct err e = ERR_INIT;
	char text[1200];

	if (!o->kv)
		return;
	if (probe_once(&memory, false, &result, o->cancel, &e) < 0)
		log_write(o->log, LOG_LEVEL_WARNING, "probe-failed",
			  "cannot find out whether the store is fit for deletion: %s",
			  err_describe(&e, text, sizeof(text)));
	else if (!probe_passed(&result))
		log_write(o->log, LOG_LEVEL_WARNING, "probe-refused",
			  "the store does not honour conditional writes as it must: backups can be "
			  "made and restored, but not deleted");
}

/* ---- W1, W5 and withdrawal ---- */

static int name_is_free(struct backup *b, struct err *e)
{
	const struct claim_options claim = { .repo = b->o->repo,
					     .own = b->o->record,
					     .dead_ms = b->renew.limit_ms,
					     .now_ns = b->store_now_ns,
					     .alive_dir = b->o->alive_dir,
					     .look_only = b->o->dry_run };

	return claim_name(&claim, b->o->cancel, e);
}

static void prepare_record(struct backup *b)
{
	struct record *r = b->o->record;
	const struct clock *clock = repo_clock(b->o->repo);

	r->writer = ulid_new(clock);
	r->started_ns = r->renewed_ns = clock_wall_ns(clock);
	r->finished_ns = 0;
	r->state = RECORD_OPEN;
	r->has_root = false;
	reg_init_record(&b->reg, b->o->repo, r);
}

static int open_record(struct backup *b, struct err *e)
{
	struct record *r = b->o->record;
	int n;

	alive_take(b->o->alive_dir, &r->writer, repo_clock(b->o->repo), &b->alive);
	n = reg_create(&b->reg, b->o->cancel, e);
	if (n == REG_LOST)
		return err_set(e, ERR_CONFLICT, -ESTALE,
			       "another process changed the record that was just written");
	if (n == 0) {
		b->started_ns = b->reg.written_elapsed_ns;
		b->store_now_ns = r->store_time_ns;
	}
	return n;
}

/* ---- resume ---- */

static void say_resumed(const struct backup *b)
{
	const struct record *r = b->o->record;
	char since[CLOCK_RFC3339_BYTES];

	log_write(b->o->log, LOG_LEVEL_WARNING, "resumed",
		  "continuing backup %s, which was begun at %s and interrupted", r->backup,
		  clock_rfc3339(since, r->started_ns, 0));
}

static int take_over(struct backup *b, struct resume_found *f, struct err *e)
{
	struct record *own = b->o->record;
	int64_t age_ns = f->now_ns - f->record->store_time_ns;
	int r = resume_take_over(f, own, &b->reg, b->o->cancel, e);

	if (r == REG_LOST) {
		alive_end(steal_pointer(&f->alive)); /* not of this machine any more */
		return claim_busy(f->record, e);
	}
	if (r < 0)
		return err_wrap(e, r, "cannot continue backup %s", own->backup);
	b->resumed = true;
	b->alive = steal_pointer(&f->alive);
	b->store_now_ns = f->now_ns;
	b->renew.age_ms = MAX_OF(age_ns, 0) / NS_PER_MS;
	b->started_ns = b->reg.written_elapsed_ns - b->renew.age_ms * NS_PER_MS;
	say_resumed(b);
	return 0;
}

/* An own interrupted backup becomes this one. 0 also where there is none. */
static int resume(struct backup *b, struct err *e)
{
	const struct resume_options o = { .repo = b->o->repo,
					  .own = b->o->record,
					  .any_name = b->o->any_name,
					  .young_ms = b->o->any_name ? YOUNG_MS
								     : b->renew.greatest_age_ms,
					  .dead_ms = b->renew.limit_ms,
					  .alive_dir = b->o->alive_dir };
	_cleanup_(resume_deinit) struct resume_found found = { 0 };
	int r = resume_find(&o, &found, b->o->cancel, e);

	return r == RESUME_FOUND ? take_over(b, &found, e) : r;
}

/* Its own record to ABORTED, within a short time of its own: the user's patience is over, or something failed. */
static void withdraw(struct backup *b)
{
	struct cancel enough = { 0 };
	const struct watch_options limit = { .clock = repo_clock(b->o->repo),
					     .limit_ms = WITHDRAW_LIMIT_MS,
					     .fire = watch_set_cancel,
					     .ctx = &enough };
	_cleanup_(watch_stopp) struct watch *watch = NULL;
	struct err e = ERR_INIT;
	char text[1200];
	int r = watch_start(&limit, &watch, &e);

	if (r == 0 && !b->reg.etag[0])
		r = reg_adopt(&b->reg, &enough, &e);
	b->o->record->state = RECORD_ABORTED;
	b->o->record->has_root = false;
	b->o->record->finished_ns = clock_wall_ns(repo_clock(b->o->repo));
	if (r == 0)
		r = reg_write(&b->reg, &enough, &e);
	b->over = r >= 0;
	if (r < 0)
		log_write(b->o->log, LOG_LEVEL_WARNING, "withdraw-failed",
			  "the record of the backup that failed stays OPEN: %s",
			  err_describe(&e, text, sizeof(text)));
}

static int fill_record(struct backup *b, struct err *e)
{
	struct record *r = b->o->record;
	int n = account_finish(b->account, r, e);

	if (n < 0)
		return n;
	datasum_finish(&b->datasum, r);
	r->state = RECORD_COMMITTED;
	r->finished_ns = r->renewed_ns = clock_wall_ns(repo_clock(b->o->repo));
	r->root = b->root;
	r->has_root = true;
	r->file_count = b->counts.files;
	r->dir_count = b->counts.dirs;
	r->total_bytes = b->counts.total_bytes;
	r->new_bytes = MIN_OF(b->new_bytes + b->counts.new_inline_bytes, r->total_bytes);
	r->reused_bytes = r->total_bytes - r->new_bytes;
	return 0;
}

/* W5. *ret_ours: after a failure, whether the record is there to be withdrawn: not where it was fenced, or nobody knows. */
static int commit(struct backup *b, bool *ret_ours, struct err *e)
{
	struct cancel enough = { 0 };
	const struct watch_options limit = { .clock = repo_clock(b->o->repo),
					     .from = b->o->cancel,
					     .delay_ms = COMMIT_CANCELLED_MS,
					     .limit_ms = COMMIT_LIMIT_MS,
					     .fire = watch_set_cancel,
					     .ctx = &enough };
	_cleanup_(watch_stopp) struct watch *watch = NULL;
	int r = renew_check(&b->renew, b->started_ns, e);

	if (r == 0)
		r = watch_start(&limit, &watch, e);
	if (r == 0)
		r = reg_write(&b->reg, &enough, e);
	*ret_ours = r != REG_LOST && !e->outcome_unknown;
	if (r == REG_LOST)
		return err_set(e, ERR_CONFLICT, -ESTALE,
			       "another process ended this backup: its record was changed");
	if (r < 0 && e->outcome_unknown)
		return err_wrap(e, r, "it is not known whether backup %s was committed",
				b->o->record->backup);
	return r;
}

/* ---- W2 to W3 ---- */

static int read_sources(struct backup *b, struct err *e)
{
	_cleanup_(source_freep) struct source *source =
		source_new(repo_store(b->o->repo), OBJECT_VERIFY_SHA256, NULL);
	const struct meta_options meta_options = {
		.repo = b->o->repo, .source = source, .kv = b->o->kv, .memory_bytes = b->memory.meta
	};
	_cleanup_(meta_freep) struct meta *meta = source ? meta_new(&meta_options) : NULL;
	struct sources_options sources = { .repo = b->o->repo,
					   .meta = meta,
					   .own = b->o->record,
					   .decay = b->decay,
					   .connections = b->o->connections,
					   .takeover = b->o->takeover,
					   .log = b->o->log };
	int r;

	if (!meta)
		return err_nomem(e);
	r = condemned_load(b->o->repo, &b->o->record->where, &b->condemned, &b->work.stop, e);
	sources.condemned = b->condemned;
	return r < 0 ? r : sources_load(&sources, b->known, &b->work.stop, e);
}

/* What the interrupted run stored is there as long as its record is OPEN: it was taken over, and no list concerns it. */
static int read_stored(struct backup *b, struct err *e)
{
	const struct stored_options o = { .repo = b->o->repo,
					  .where = &b->o->record->where,
					  .writer = b->o->record->writer,
					  .connections = b->o->connections,
					  .memory_bytes = b->memory.known / 2 };

	return b->resumed ? stored_load(&o, &b->stored, &b->work.stop, e) : 0;
}

/* The modules of W3, in the order in which they need one another. */
struct stage {
	struct upload *upload;
	struct packer *data, *survivors, *meta;
	struct assemble *assemble;
	struct backup *backup;
};

static void stage_deinit(struct stage *s)
{
	upload_free(s->upload); /* waits: what it sends belongs to the packers */
	packer_free(s->data);
	packer_free(s->survivors);
	packer_free(s->meta);
	assemble_free(s->assemble);
}

static struct packer *new_packer(struct backup *b, struct upload *upload, enum key_object kind,
				 unsigned builders)
{
	const struct packer_options o = { .kind = kind,
					  .compression = repo_compression(b->o->repo),
					  .writer = b->o->record->writer,
					  .upload = upload,
					  .work = &b->work,
					  .stored = b->stored,
					  .builders = builders };

	return packer_new(&o);
}

static int stage_init(struct stage *s, struct backup *b, struct err *e)
{
	const struct upload_options upload = { .store = repo_store(b->o->repo),
					       .where = &b->o->record->where,
					       .writer = b->o->record->writer,
					       .connections = b->o->connections,
					       .dry_run = b->o->dry_run,
					       .stored = b->stored,
					       .work = &b->work,
					       .progress = b->o->progress };
	struct assemble_options assemble = { .snapshot = b->o->snapshot,
					     .known = b->known,
					     .account = b->account,
					     .decay = b->decay,
					     .kv = b->o->dry_run ? NULL : b->o->kv };

	s->upload = upload_new(&upload);
	if (!s->upload)
		return err_nomem(e);
	s->data = new_packer(b, s->upload, KEY_OBJECT_DATA, PACKS);
	s->survivors = new_packer(b, s->upload, KEY_OBJECT_DATA, 1);
	s->meta = new_packer(b, s->upload, KEY_OBJECT_META, PACKS);
	if (!s->data || !s->survivors || !s->meta)
		return err_nomem(e);
	assemble.packer = s->meta;
	return assemble_new(&assemble, &s->assemble, e);
}

/* ingest_file_fn */
static int on_file(void *ctx, size_t index, const struct ingest_file *file, struct err *e)
{
	struct stage *s = ctx;

	if (datasum_file(&s->backup->datasum, &s->backup->o->snapshot->files[index], file) < 0)
		return err_nomem(e);
	hints_note(s->backup->o->hints, &s->backup->o->snapshot->files[index], file);
	return assemble_file(s->assemble, index, file, e);
}

static int run_stage(struct stage *s, struct backup *b, struct err *e)
{
	const struct ingest_options ingest = { .snapshot = b->o->snapshot,
					       .known = b->known,
					       .hints = b->o->hints,
					       .decay = b->decay,
					       .packer = s->data,
					       .survivors = s->survivors,
					       .upload = s->upload,
					       .work = &b->work,
					       .writer = b->o->record->writer,
					       .compression = repo_compression(b->o->repo),
					       .jobs = b->o->jobs,
					       .large_buffers = b->memory.large_buffers,
					       .small_bytes = b->memory.small,
					       .progress = b->o->progress,
					       .file = on_file,
					       .ctx = s };
	uint64_t stored;
	int r = ingest_run(&ingest, e);

	if (r == 0)
		r = packer_close(s->data, e);
	if (r == 0)
		r = packer_close(s->survivors, e);
	if (r == 0)
		r = assemble_finish(s->assemble, &b->root, &b->counts, e);
	upload_drain(s->upload);
	stored = packer_stored_bytes(s->data) + packer_stored_bytes(s->survivors);
	b->new_bytes = upload_data_bytes(s->upload) + stored;
	b->resumed_bytes = upload_stored_bytes(s->upload) + stored;
	b->uploaded_objects = upload_object_count(s->upload);
	return r < 0 ? r : work_failed(&b->work, e);
}

static int store_files(struct backup *b, struct err *e)
{
	_cleanup_(stage_deinit) struct stage s = { .backup = b };
	int r = stage_init(&s, b, e);

	return r < 0 ? r : run_stage(&s, b, e);
}

static void on_cancel(void *ctx)
{
	struct err e = ERR_INIT;
	int r = err_set(&e, ERR_IO, -ECANCELED, "interrupted");

	work_fail(ctx, r, &e);
}

/* W2, W2b, W3, while W4 goes on beside it. */
static int make(struct backup *b, struct err *e)
{
	const struct watch_options cancelled = { .clock = repo_clock(b->o->repo),
						 .from = b->o->cancel,
						 .fire = on_cancel,
						 .ctx = &b->work };
	_cleanup_(renew_stopp) struct renew *renew = NULL;
	_cleanup_(watch_stopp) struct watch *watch = NULL;
	int r = watch_start(&cancelled, &watch, e);

	b->known = known_new(b->memory.known / (b->resumed ? 2 : 1));
	b->decay = decay_new(b->o->copy_forward_bytes, b->memory.known / 4);
	if (r == 0 && (!b->known || !b->decay))
		r = err_nomem(e);
	if (r == 0 && !b->o->dry_run)
		r = renew_start(&b->renew, &renew, e);
	if (r == 0)
		r = read_sources(b, e);
	if (r == 0)
		r = read_stored(b, e);
	if (r == 0)
		r = store_files(b, e);
	if (r == 0 && cancel_is_set(b->o->cancel))
		on_cancel(&b->work); /* the watch has not looked since */
	if (r < 0)		     /* the first failure tells more than what it led to */
		work_fail(&b->work, r, e);
	return work_failed(&b->work, e);
}

/* ---- all of it ---- */

static int run_dry(struct backup *b, struct err *e)
{
	int r = name_is_free(b, e);

	b->o->record->sequence = 1;
	if (r == 0)
		r = make(b, e);
	return r == 0 ? fill_record(b, e) : r;
}

/*
 * What was interrupted before is not thrown away because an option was forgotten this time; nor what was stored until the store failed, or its credentials ran out:
 * another run goes on from there.
 */
static bool may_be_continued(const struct backup *b, const struct err *e)
{
	if (e->kind == ERR_STORE || e->kind == ERR_CREDENTIALS)
		return b->resumed || b->uploaded_objects > 0;
	return b->resumed && e->kind == ERR_USAGE;
}

static int run(struct backup *b, struct err *e)
{
	int r = resume(b, e);
	bool ours; /* the record is there, or may be */

	if (r < 0)
		return r;
	if (!b->resumed)
		r = open_record(b, e);
	ours = r == 0 || e->outcome_unknown;
	b->over = !ours;
	if (r == 0)
		r = name_is_free(b, e);
	if (r == 0)
		r = make(b, e);
	if (r == 0)
		r = fill_record(b, e);
	if (r == 0)
		r = commit(b, &ours, e);
	b->over = b->over || r == 0 || (!ours && !e->outcome_unknown);
	if (r == 0)
		hints_commit(b->o->hints);
	if (r < 0 && ours && !may_be_continued(b, e))
		withdraw(b);
	else if (r < 0 && ours)
		log_write(b->o->log, LOG_LEVEL_WARNING, "kept",
			  "what backup %s has stored is kept for a day: run it again, and it is "
			  "continued",
			  b->o->record->backup);
	return r;
}

/* ---- the run ---- */

/* A copy of the record, by way of its text. */
static int copy_record(const struct record *r, struct record **ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int n = record_encode(r, &text, &len, e);

	return n < 0 ? n : record_decode(NULL, text, len, NULL, NULL, NULL, ret, e);
}

/* What could not be read back is not begun. */
static int check_size(const struct snapshot *s, struct err *e)
{
	if (s->file_count <= FORMAT_FILES && s->dir_count < FORMAT_DIRECTORIES)
		return 0;
	return err_set(e, ERR_USAGE, -EFBIG,
		       "the snapshot has %zu files in %zu directories, and a backup holds at most "
		       "%d and %d: back up some keyspaces at a time (--only)",
		       s->file_count, s->dir_count, FORMAT_FILES, FORMAT_DIRECTORIES);
}

static void start_progress(const struct backup_options *o)
{
	if (!o->progress)
		return;
	atomic_store(&o->progress->files_total, o->snapshot->file_count);
	atomic_store(&o->progress->bytes_total, o->snapshot->total_bytes);
}

static int backup_init(struct backup *b, const struct backup_options *o, struct err *e)
{
	*b = (struct backup){ .o = o, .memory = divide_memory(o) };
	b->renew = (struct renew_options){
		.reg = &b->reg,
		.work = &b->work,
		.renew_ms = o->renew_ms ? o->renew_ms : RENEW_MS,
		.limit_ms = o->renew_limit_ms ? o->renew_limit_ms : RENEW_LIMIT_MS,
		.greatest_age_ms = o->greatest_age_ms ? o->greatest_age_ms : GREATEST_AGE_MS,
		.log = o->log,
	};
	work_init(&b->work);
	b->account = account_new();
	return b->account ? 0 : err_nomem(e);
}

static void backup_deinit(struct backup *b)
{
	if (b->over)
		alive_end(b->alive);
	else
		alive_leave(b->alive);
	stored_free(b->stored);
	condemned_free(b->condemned);
	known_free(b->known);
	decay_free(b->decay);
	account_free(b->account);
	datasum_deinit(&b->datasum);
	work_deinit(&b->work);
}

int backup_run(const struct backup_options *o, struct backup_result *ret, struct err *e)
{
	_cleanup_(backup_deinit) struct backup b;
	struct err mine = ERR_INIT;
	int r = backup_init(&b, o, &mine);

	if (r == 0)
		r = check_size(o->snapshot, &mine);
	if (r == 0) {
		start_progress(o);
		if (!o->dry_run)
			try_store(o);
		prepare_record(&b);
		r = o->dry_run ? run_dry(&b, &mine) : run(&b, &mine);
	}
	if (r == 0)
		r = copy_record(o->record, &ret->record, &mine);
	if (r == 0)
		*ret = (struct backup_result){ ret->record, b.uploaded_objects, b.resumed,
					       b.resumed_bytes };
	else if (e)
		*e = mine;
	return r;
}
