/* SPDX-License-Identifier: Apache-2.0 */
#include "store/creds.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "store/creds_chain.h"
#include "store/creds_policy.h"
#include "store/creds_process.h"

#define WAIT_MS 50   /* between two looks at cancel */
#define NEWS_MS 1000 /* how long a failure answers for later callers */

struct creds {
	struct creds_world world;
	struct log *log;
	pthread_mutex_t lock; /* protects what follows; not held while anything is read or asked */
	pthread_cond_t changed; /* a fetch has ended */
	bool fetching;		/* one thread is at it */
	bool from_environment;	/* what was handed out last */
	bool have;		/* there is something in `found` */
	bool refused;		/* the store does not want it any more */
	bool doubted;		/* the store may not want it any more */
	struct creds_found found;
	struct creds_policy_times times; /* of what was found */
	struct creds_file_state files;	 /* before they were read for it */
	int64_t renewed_ms; /* elapsed time of the last fetch that the store was the reason for; < 0: none */
	struct failure {
		unsigned in_a_row;
		uint64_t count;
		bool asked;    /* it was that of an endpoint or program */
		int64_t at_ms; /* elapsed time */
		struct creds_file_state files;
		struct err err;
	} failure; /* the last one */
};

static const char *process_getenv(void *ctx, const char *name)
{
	return getenv(name);
}

/* ---- life ---- */

static int copy(char **ret, const char *text)
{
	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? -ENOMEM : 0;
}

struct creds *creds_new(const struct creds_options *o)
{
	struct creds *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;

	if (!c)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
	c->log = o->log;
	c->renewed_ms = -1;
	c->world.getenv = o->getenv ? o->getenv : process_getenv;
	c->world.getenv_ctx = o->getenv_ctx;
	c->world.clock = o->clock;
	c->world.process_timeout_ms = o->process_timeout_ms ? o->process_timeout_ms
							    : CREDS_PROCESS_TIMEOUT_MS;
	if (copy(&c->world.credentials_file, o->credentials_file) < 0 ||
	    copy(&c->world.profile, o->profile) < 0 || copy(&c->world.region, o->region) < 0 ||
	    copy(&c->world.ca_file, o->ca_file) < 0) {
		creds_free(c);
		return NULL;
	}
	return c;
}

void creds_value_wipe(struct creds_value *v)
{
	explicit_bzero(v, sizeof(*v));
}

void creds_free(struct creds *c)
{
	if (!c)
		return;
	creds_value_wipe(&c->found.value);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c->world.credentials_file);
	free(c->world.profile);
	free(c->world.region);
	free(c->world.ca_file);
	free(c);
}

/* ---- what to do, with the lock held ---- */

enum need {
	NEED_NOTHING,
	NEED_FRESHER, /* what is there does for the others while one thread fetches */
	NEED_SOME,    /* nothing there can be used */
};

static int64_t since_failure_ms(const struct creds *c)
{
	return clock_elapsed_ms(c->world.clock) - c->failure.at_ms;
}

static enum need need_of(const struct creds *c, const struct creds_file_state *files)
{
	int64_t now_ns = clock_wall_ns(c->world.clock);

	if (!c->have || c->refused || now_ns >= c->times.last_ns)
		return NEED_SOME;
	if (now_ns < c->times.due_ns && !c->doubted && creds_files_same(&c->files, files))
		return NEED_NOTHING;
	if (c->failure.in_a_row && since_failure_ms(c) < creds_policy_pause_ms(c->failure.in_a_row))
		return NEED_NOTHING;
	return NEED_FRESHER;
}

/* A failure is news for a while: 64 readers do not ask a broken endpoint 64 times. */
static bool has_just_failed(const struct creds *c, const struct creds_file_state *files)
{
	return c->failure.in_a_row && c->failure.asked && since_failure_ms(c) < NEWS_MS &&
	       creds_files_same(&c->failure.files, files);
}

/* Another attempt asks the endpoint once the failure is no news any more: those before it would be told the same. */
static void tell_failure(const struct creds *c, struct err *e)
{
	if (!e)
		return;
	*e = c->failure.err;
	if (e->retryable && c->failure.asked)
		e->retry_after_ms = (int)MAX_OF(NEWS_MS - since_failure_ms(c), 0);
}

static void wait_for_fetch(struct creds *c)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += WAIT_MS * 1000000L;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&c->changed, &c->lock, &t);
}

/* ---- a fetch ---- */

static void keep_success(struct creds *c, const struct creds_found *found,
			 const struct creds_file_state *files)
{
	int64_t now_ns = clock_wall_ns(c->world.clock);
	uint32_t random;

	clock_random(c->world.clock, &random, sizeof(random));
	c->found = *found;
	c->files = *files;
	c->times = creds_policy_times(now_ns, found->expires_ns, random);
	c->have = true;
	c->refused = c->doubted = false;
	c->failure.in_a_row = 0;
}

static void keep_failure(struct creds *c, const struct creds_attempt *a,
			 const struct creds_file_state *files, const struct err *e)
{
	c->failure = (struct failure){
		.in_a_row = c->failure.in_a_row + 1,
		.count = c->failure.count + 1,
		.asked = a->asked,
		.at_ms = clock_elapsed_ms(c->world.clock),
		.files = *files,
		.err = *e,
	};
	c->doubted = false;
}

static void say_success(const struct creds *c, const struct creds_found *found)
{
	char until[CLOCK_RFC3339_BYTES];

	if (found->expires_ns == 0)
		log_write(c->log, LOG_LEVEL_INFO, "credentials", "credentials: from %s",
			  found->source);
	else if (found->expires_ns <= clock_wall_ns(c->world.clock))
		log_write(
			c->log, LOG_LEVEL_WARNING, "credentials",
			"credentials: from %s, expired at %s already: this host's clock is wrong, or their source cannot renew them",
			found->source, clock_rfc3339(until, found->expires_ns, 0));
	else
		log_write(c->log, LOG_LEVEL_INFO, "credentials", "credentials: from %s, until %s",
			  found->source, clock_rfc3339(until, found->expires_ns, 0));
}

/* With the lock held, which is let go meanwhile; no other thread is at it. */
static int fetch(struct creds *c, struct creds_attempt *a, const struct creds_files *files,
		 const struct creds_file_state *state, struct err *e)
{
	struct creds_found found = { .expires_ns = 0 };
	struct err why = ERR_INIT;
	bool usable;
	int r;

	c->fetching = true;
	a->had_some = c->have;
	pthread_mutex_unlock(&c->lock);
	r = creds_chain_fetch(a, files, &found, &why);
	if (r == 0)
		say_success(c, &found);
	pthread_mutex_lock(&c->lock);
	c->fetching = false;
	if (r == 0)
		keep_success(c, &found, state);
	else if (r != -ECANCELED)
		keep_failure(c, a, state, &why);
	creds_value_wipe(&found.value);
	pthread_cond_broadcast(&c->changed);
	usable = need_of(c, state) != NEED_SOME;
	if (r < 0 && r != -ECANCELED && usable)
		log_write(
			c->log, LOG_LEVEL_WARNING, "credentials-refresh",
			"the credentials could not be fetched again, those at hand stay in use: %s",
			why.message);
	if (r == -ECANCELED && e)
		*e = why;
	else if (r < 0)
		tell_failure(c, e);
	return r < 0 && r != -ECANCELED && usable ? 0 : r;
}

/* ---- callers ---- */

/* With the lock held, which is let go meanwhile. */
static struct creds_file_state look(struct creds *c, const struct creds_files *files)
{
	struct creds_file_state state;

	pthread_mutex_unlock(&c->lock);
	state = creds_files_look(files);
	pthread_mutex_lock(&c->lock);
	return state;
}

/* With the lock held: makes c->found what is to be used now. */
static int make_current(struct creds *c, struct creds_attempt *a, const struct creds_files *files,
			struct err *e)
{
	uint64_t failures = c->failure.count;

	for (;;) {
		struct creds_file_state state = look(c, files);
		enum need need = need_of(c, &state);

		if (need == NEED_NOTHING || (need == NEED_FRESHER && c->fetching))
			return 0;
		if (cancel_is_set(a->cancel))
			return err_set(e, ERR_IO, -ECANCELED, "interrupted");
		if (c->fetching) {
			wait_for_fetch(c);
			continue;
		}
		if (need == NEED_FRESHER ||
		    (c->failure.count == failures && !has_just_failed(c, &state)))
			return fetch(c, a, files, &state, e);
		tell_failure(c, e);
		return c->failure.err.code;
	}
}

static int from_chain(struct creds *c, struct creds_attempt *a, struct creds_value *ret,
		      struct err *e)
{
	_cleanup_(creds_files_deinit) struct creds_files files = { NULL, NULL };
	int r = creds_files_init(&files, &c->world);

	if (r < 0)
		return err_nomem(e);
	pthread_mutex_lock(&c->lock);
	r = make_current(c, a, &files, e);
	if (r == 0) {
		*ret = c->found.value;
		c->from_environment = false;
	}
	pthread_mutex_unlock(&c->lock);
	return r;
}

int creds_get(struct creds *c, struct creds_value *ret, const struct cancel *cancel, struct err *e)
{
	struct creds_attempt a = { .world = &c->world, .cancel = cancel };
	struct creds_found found = { .expires_ns = 0 };
	int r = CREDS_LINK_ABSENT;

	if (creds_chain_uses_environment(&c->world))
		r = creds_chain_environment(&a, &found, e);
	if (r > 0)
		return from_chain(c, &a, ret, e);
	if (r == 0) {
		*ret = found.value;
		pthread_mutex_lock(&c->lock);
		c->from_environment = true;
		pthread_mutex_unlock(&c->lock);
	}
	creds_value_wipe(&found.value);
	return r;
}

static bool same_value(const struct creds_value *a, const struct creds_value *b)
{
	return strcmp(a->access_key, b->access_key) == 0 &&
	       strcmp(a->secret_key, b->secret_key) == 0 &&
	       strcmp(a->session_token, b->session_token) == 0;
}

/* Where a fetch is under way already, whoever was refused waits for it. */
static void mark(struct creds *c, const struct creds_value *refused, bool sure)
{
	int64_t now_ms = clock_elapsed_ms(c->world.clock);

	pthread_mutex_lock(&c->lock);
	if (c->have && same_value(&c->found.value, refused) && !c->refused && !c->doubted &&
	    (c->fetching || c->renewed_ms < 0 || now_ms - c->renewed_ms >= CREDS_RENEW_MIN_MS)) {
		c->refused = sure;
		c->doubted = !sure;
		c->renewed_ms = c->fetching ? c->renewed_ms : now_ms;
	}
	pthread_mutex_unlock(&c->lock);
}

int creds_renew(struct creds *c, const struct creds_value *refused, bool sure,
		const struct cancel *cancel, struct err *e)
{
	struct creds_value now = { .access_key = "" };
	int r;

	mark(c, refused, sure);
	r = creds_get(c, &now, cancel, e);
	if (r == 0 && same_value(&now, refused))
		r = CREDS_SAME;
	creds_value_wipe(&now);
	return r;
}

char *creds_describe(struct creds *c, char out[CREDS_SOURCE_MAX])
{
	char until[CLOCK_RFC3339_BYTES];

	pthread_mutex_lock(&c->lock);
	if (c->from_environment || !c->have)
		snprintf(out, CREDS_SOURCE_MAX, "the environment");
	else if (c->found.expires_ns)
		snprintf(out, CREDS_SOURCE_MAX, "%.460s, until %s", c->found.source,
			 clock_rfc3339(until, c->found.expires_ns, 0));
	else
		snprintf(out, CREDS_SOURCE_MAX, "%s", c->found.source);
	pthread_mutex_unlock(&c->lock);
	return out;
}
