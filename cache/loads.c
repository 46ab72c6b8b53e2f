/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/loads.h"

#include <errno.h>

_Static_assert(RING_SLOT_BYTES == BLOCKS_BLOCK_BYTES, "a slot of the ring holds a block");

struct job { /* a run of blocks, side by side; holds a pin of its slot */
	struct job *next;
	struct slot *slot;
	uint64_t blocks;
	enum loads_urgency urgency;
	bool passing;
};

/* The lowest run of set bits. */
static uint64_t first_run(uint64_t blocks)
{
	uint64_t low = blocks & -blocks;
	uint64_t carried = blocks + low; /* the run becomes zeros, unless it ends at the top */

	return blocks & ~carried;
}

static uint32_t run_offset(uint64_t run)
{
	return (uint32_t)((unsigned)__builtin_ctzll(run) * BLOCKS_BLOCK_BYTES);
}

static uint32_t run_length(const struct slot *slot, uint64_t run)
{
	uint32_t offset = run_offset(run);
	uint32_t bytes = (uint32_t)((unsigned)__builtin_popcountll(run) * BLOCKS_BLOCK_BYTES);

	return MIN_OF(bytes, slot->object.plain_bytes - offset);
}

/* ---- the queues ---- */

static void queue_add(struct job_queue *q, struct job *job)
{
	job->next = NULL;
	if (!q->first)
		q->end = &q->first;
	*q->end = job;
	q->end = &job->next;
}

static struct job *queue_take(struct job_queue *q)
{
	struct job *job = q->first;

	if (job)
		q->first = job->next;
	return job;
}

/* What is fetched ahead leaves one thread to those who wait. */
static struct job *next_job(struct blocks *b)
{
	struct job *job = queue_take(&b->demanded);

	if (!job && b->running_ahead < MAX_OF(b->threads - 1, 1U))
		job = queue_take(&b->ahead);
	if (job) {
		b->running++;
		b->running_ahead += job->urgency != LOADS_DEMANDED;
	}
	return job;
}

/* Takes the jobs for `blocks` of the slot out of what is fetched ahead. */
static struct job *take_ahead(struct blocks *b, const struct slot *slot, uint64_t blocks)
{
	struct job_queue taken = { 0 };
	struct job *job = b->ahead.first, *next;

	b->ahead.first = NULL;
	for (; job; job = next) {
		next = job->next;
		queue_add(job->slot == slot && (job->blocks & blocks) ? &taken : &b->ahead, job);
	}
	return taken.first;
}

void loads_promote(struct blocks *b, const struct slot *slot, uint64_t blocks)
{
	struct job *job, *next;

	if (!(slot->loading & blocks))
		return;
	for (job = take_ahead(b, slot, blocks); job; job = next) {
		next = job->next;
		job->urgency = LOADS_DEMANDED;
		queue_add(&b->demanded, job);
	}
}

/* ---- the results ---- */

static void note_memory(struct blocks *b)
{
	metric_set(b->memory, b->slots.charged_bytes);
	metric_set(b->unread_bytes, b->slots.dropped_unread);
}

void loads_unpin(struct blocks *b, struct slot *slot)
{
	if (slots_unpin(&b->slots, slot))
		waiters_done(&b->memory_waiters, 0);
}

/* Who waited for one of them would have had it promoted: nobody is told. */
void loads_drop(struct blocks *b, struct slot *slot)
{
	struct job *job = take_ahead(b, slot, slot->loading), *next;

	for (; job; job = next) {
		next = job->next;
		slots_failed(&b->slots, slot, job->blocks);
		loads_unpin(b, slot);
		free(job);
	}
	note_memory(b);
}

static void publish(struct blocks *b, struct slot *slot, uint64_t blocks)
{
	if (!blocks)
		return;
	pthread_mutex_lock(&b->lock);
	slots_loaded(&b->slots, slot, blocks);
	waiters_done(&slot->waiters, slot->present);
	pthread_mutex_unlock(&b->lock);
}

static void fail_locked(struct blocks *b, struct slot *slot, uint64_t blocks, int code,
			const struct err *e)
{
	slots_failed(&b->slots, slot, blocks);
	waiters_failed(&slot->waiters, blocks, code, e);
	waiters_done(&b->memory_waiters, 0);
}

static void finish(struct blocks *b, struct job *job)
{
	b->running--;
	b->running_ahead -= job->urgency != LOADS_DEMANDED;
	loads_unpin(b, job->slot);
	note_memory(b);
	free(job);
}

/* ---- a load, without the lock ---- */

static bool verify(struct blocks *b, const struct slot *slot, uint64_t run)
{
	uint32_t offset = run_offset(run);

	return b->loader.verify(b->loader.ctx, &slot->object, offset, run_length(slot, run),
				slot->base, NULL) == 0;
}

/* Which blocks of the run fit: all at once, else one by one. */
static uint64_t verify_run(struct blocks *b, const struct slot *slot, uint64_t run)
{
	uint64_t good = 0;

	if (verify(b, slot, run))
		return run;
	if (slot->object.whole)
		return 0;
	for (uint64_t left = run, block; left; left &= ~block) {
		block = left & -left;
		if (verify(b, slot, block))
			good |= block;
	}
	return good;
}

/* A part is read from where the ring has the whole. */
static uint64_t part_from_ring(struct blocks *b, const struct job *job)
{
	const struct block_object *o = &job->slot->object;
	uint64_t span = slots_span(o->of.offset, o->plain_bytes);

	if (!ring_read_range(b->ring, &o->of.id, o->of.plain_bytes, o->of.offset, o->plain_bytes,
			     job->slot->base))
		return 0;
	if (!verify(b, job->slot, job->blocks)) {
		ring_forget(b->ring, &o->of.id, span);
		metric_add(b->disk_damaged, (uint64_t)__builtin_popcountll(span));
		return 0;
	}
	metric_add(b->disk_bytes, o->plain_bytes);
	return job->blocks;
}

/* The blocks of the job that the ring holds and that fit. */
static uint64_t load_from_ring(struct blocks *b, const struct job *job)
{
	struct slot *slot = job->slot;
	uint64_t found, good = 0;

	if (!b->ring)
		return 0;
	if (slot->object.of.plain_bytes)
		return part_from_ring(b, job);
	found = ring_read(b->ring, &slot->object.id, slot->object.plain_bytes, job->blocks,
			  slot->base);
	if (slot->object.whole && found != job->blocks)
		return 0;
	for (uint64_t left = found, run; left; left &= ~run) {
		run = first_run(left);
		good |= verify_run(b, slot, run);
	}
	if (good != found) {
		ring_forget(b->ring, &slot->object.id, found & ~good);
		metric_add(b->disk_damaged, (uint64_t)__builtin_popcountll(found & ~good));
	}
	metric_add(b->disk_bytes, (uint64_t)__builtin_popcountll(good) * BLOCKS_BLOCK_BYTES);
	return good;
}

/* A run that is being loaded. */
struct arrival {
	struct blocks *b;
	struct slot *slot;
	uint64_t left; /* that have not arrived */
};

/* The blocks of the object that end at `end` or before. */
static uint64_t blocks_before(const struct block_object *o, uint32_t end)
{
	uint32_t whole_bytes = end - end % (uint32_t)BLOCKS_BLOCK_BYTES;

	if (end >= o->plain_bytes)
		return slots_all_of(o);
	return whole_bytes ? slots_span(0, whole_bytes) : 0;
}

/* Of an object that is whole the parts are of no use. */
static void arrived(void *ctx, uint32_t end_bytes)
{
	struct arrival *a = ctx;
	const struct block_object *o = &a->slot->object;
	uint64_t blocks = a->left & blocks_before(o, end_bytes);

	if (!blocks || (o->whole && end_bytes < o->plain_bytes))
		return;
	metric_add(a->b->loaded_bytes, run_length(a->slot, blocks));
	publish(a->b, a->slot, blocks);
	a->left &= ~blocks;
}

/* The blocks of the run that are there now. */
static uint64_t load_run(struct blocks *b, struct slot *slot, uint64_t run)
{
	struct arrival a = { b, slot, run };
	struct block_arrivals arrivals = { arrived, &a };
	uint32_t offset = run_offset(run), len = run_length(slot, run);
	struct err e = ERR_INIT;
	int r;

	r = b->loader.load(b->loader.ctx, &slot->object, offset, len, slot->base, &arrivals,
			   &b->stop, &e);
	if (r == 0) {
		arrived(&a, offset + len);
	} else {
		pthread_mutex_lock(&b->lock);
		fail_locked(b, slot, a.left, r, &e);
		pthread_mutex_unlock(&b->lock);
	}
	return run & ~a.left;
}

/* Of what was loaded from the store, what is worth a place in the ring; of an object that is whole all or nothing. Half of the threads at most write at once: a slow disk must not hold up the loads. */
static uint64_t admit(struct blocks *b, const struct job *job, uint64_t loaded)
{
	uint64_t again;

	pthread_mutex_lock(&b->lock);
	again = ghost_note(b->ghost, &job->slot->object.id, loaded);
	if (!job->passing)
		again = loaded;
	if (b->writing >= (b->threads + 1) / 2)
		again = 0;
	b->writing += again != 0;
	pthread_mutex_unlock(&b->lock);
	return again;
}

static void keep_on_disk(struct blocks *b, struct slot *slot, uint64_t blocks)
{
	ring_write(b->ring, &slot->object.id, slot->object.plain_bytes, blocks, slot->base);
	if (b->loader.kept)
		b->loader.kept(b->loader.ctx, &slot->object, &b->stop);
	pthread_mutex_lock(&b->lock);
	b->writing--;
	pthread_mutex_unlock(&b->lock);
}

static void run_job(struct blocks *b, struct job *job)
{
	uint64_t from_ring = load_from_ring(b, job), loaded = 0, run;

	publish(b, job->slot, from_ring);
	for (uint64_t left = job->blocks & ~from_ring; left; left &= ~run) {
		run = first_run(left);
		loaded |= load_run(b, job->slot, run);
	}
	if (!loaded || !b->ring || job->slot->object.of.plain_bytes)
		return;
	loaded = admit(b, job, loaded);
	if (loaded)
		keep_on_disk(b, job->slot, loaded);
}

/* One for each job is given to the pool; each works until nothing is left that may be begun. */
static void work(void *arg)
{
	struct blocks *b = arg;
	struct job *job;

	pthread_mutex_lock(&b->lock);
	while ((job = next_job(b)) != NULL) {
		pthread_mutex_unlock(&b->lock);
		run_job(b, job);
		pthread_mutex_lock(&b->lock);
		finish(b, job);
	}
	pthread_mutex_unlock(&b->lock);
}

/* ---- starting and stopping ---- */

static void free_jobs(struct job *jobs)
{
	while (jobs) {
		struct job *job = jobs;

		jobs = job->next;
		free(job);
	}
}

/* One for each run of the blocks, or NULL: out of memory. */
static struct job *new_jobs(uint64_t blocks, enum loads_urgency urgency, bool passing)
{
	struct job *jobs = NULL;

	for (uint64_t left = blocks, run; left; left &= ~run) {
		struct job *job = malloc(sizeof(*job));

		if (!job) {
			free_jobs(jobs);
			return NULL;
		}
		run = first_run(left);
		*job = (struct job){ jobs, NULL, run, urgency, passing };
		jobs = job;
	}
	return jobs;
}

/* Whether somebody will carry out the jobs: a thread that works now looks again before it ends. */
static bool get_workers(struct blocks *b, const struct job *jobs)
{
	bool found = b->running > 0;

	for (; jobs; jobs = jobs->next)
		found |= pool_submit(b->pool, work, b) == 0;
	return found;
}

int loads_start(struct blocks *b, const struct block_object *o, uint64_t blocks,
		enum loads_urgency urgency, bool passing, struct slot **ret)
{
	static const enum slots_effort efforts[] = { [LOADS_GUESSED] = SLOTS_READ_ONLY,
						     [LOADS_SPARING] = SLOTS_READ_ONLY,
						     [LOADS_AHEAD] = SLOTS_GUESSED,
						     [LOADS_DEMANDED] = SLOTS_ANY };
	struct job *jobs = new_jobs(blocks, urgency, passing);
	struct slot *slot = slots_find(&b->slots, &o->id);
	bool guessed;

	if (!jobs)
		return -ENOMEM;
	guessed = urgency == LOADS_GUESSED && (!slot || slot->guessed);
	slot = slots_reserve(&b->slots, o, blocks, blocks == slots_all_of(o) && !o->of.plain_bytes,
			     efforts[urgency]);
	if (!slot) {
		free_jobs(jobs);
		return -EAGAIN;
	}
	slots_pin(slot);
	slot->guessed = guessed;
	if (!get_workers(b, jobs)) {
		slots_failed(&b->slots, slot, blocks);
		slots_unpin(&b->slots, slot);
		free_jobs(jobs);
		return -ENOMEM;
	}
	while (jobs) {
		struct job *job = jobs;

		jobs = job->next;
		job->slot = slot;
		slots_pin(slot);
		queue_add(urgency == LOADS_DEMANDED ? &b->demanded : &b->ahead, job);
	}
	slots_unpin(&b->slots, slot);
	note_memory(b);
	*ret = slot;
	return 0;
}

void loads_stop(struct blocks *b)
{
	struct err e = ERR_INIT;
	struct job *job;

	err_set(&e, ERR_IO, -ECANCELED, "the cache is closed");
	cancel_set(&b->stop, 1);
	pthread_mutex_lock(&b->lock);
	while ((job = queue_take(&b->demanded)) || (job = queue_take(&b->ahead))) {
		fail_locked(b, job->slot, job->blocks, -ECANCELED, &e);
		slots_unpin(&b->slots, job->slot);
		free(job);
	}
	pthread_mutex_unlock(&b->lock);
	pool_free(steal_pointer(&b->pool));
}
