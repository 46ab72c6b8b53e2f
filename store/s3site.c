/* SPDX-License-Identifier: Apache-2.0 */
#include "store/s3site.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_S 1000000000LL

struct s3site {
	char *bucket, *endpoint;
	enum s3_addressing addressing;
	const struct clock *clock;
	struct log *log;
	_Atomic int64_t ahead_ns; /* the server's clock before ours */
	atomic_int trust;	  /* enum s3sum_trust */
	pthread_mutex_t lock;	  /* protects count, and places while they are added */
	size_t count;
	struct s3place places[S3SITE_PLACES_MAX]; /* never changed once added; the last counts */
};

/* With the lock held, or before anybody else knows of it. */
static int add_place(struct s3site *s, const char *endpoint, const char *region, struct err *e)
{
	struct s3place *p = &s->places[s->count];
	int r = s3addr_init(&p->addr, s->bucket, endpoint, region, s->addressing, e);

	if (r < 0)
		return r;
	snprintf(p->region, sizeof(p->region), "%s", region);
	s->count++;
	return 0;
}

int s3site_new(const struct s3site_options *o, struct s3site **ret, struct err *e)
{
	_cleanup_(s3site_freep) struct s3site *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_nomem(e);
	pthread_mutex_init(&s->lock, NULL);
	s->addressing = o->addressing;
	s->clock = o->clock;
	s->log = o->log;
	s->bucket = strdup(o->bucket);
	s->endpoint = o->endpoint ? strdup(o->endpoint) : NULL;
	if (!s->bucket || (o->endpoint && !s->endpoint))
		return err_nomem(e);
	r = add_place(s, s->endpoint, o->region, e);
	if (r < 0)
		return r;
	*ret = steal_pointer(&s);
	return 0;
}

void s3site_free(struct s3site *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++)
		s3addr_deinit(&s->places[i].addr);
	pthread_mutex_destroy(&s->lock);
	free(s->bucket);
	free(s->endpoint);
	free(s);
}

const struct s3place *s3site_place(struct s3site *s)
{
	const struct s3place *p;

	pthread_mutex_lock(&s->lock);
	p = &s->places[s->count - 1];
	pthread_mutex_unlock(&s->lock);
	return p;
}

bool s3site_learn_region(struct s3site *s, const struct s3place *was, const char *region)
{
	_cleanup_free_ char *endpoint = NULL;
	bool other, added = false;

	if (!s3addr_is_region(region) || s3addr_for_region(s->endpoint, region, &endpoint) < 0)
		return false;
	pthread_mutex_lock(&s->lock);
	other = was != &s->places[s->count - 1];
	if (!other && strcmp(was->region, region) != 0 && s->count < S3SITE_PLACES_MAX)
		added = add_place(s, endpoint, region, NULL) == 0;
	pthread_mutex_unlock(&s->lock);
	if (added)
		log_write(
			s->log, LOG_LEVEL_WARNING, "region",
			"the bucket '%s' lies in region %s, not in %s: put region=%s into the URL, which saves a request",
			s->bucket, region, was->region, region);
	return other || added;
}

int64_t s3site_wall_ns(struct s3site *s)
{
	return clock_wall_ns(s->clock) + atomic_load(&s->ahead_ns);
}

void s3site_learn_clock(struct s3site *s, int64_t server_ns)
{
	int64_t ahead_ns = server_ns - clock_wall_ns(s->clock);
	int64_t ahead_s = ahead_ns / NS_PER_S;

	atomic_store(&s->ahead_ns, ahead_ns);
	log_write(
		s->log, LOG_LEVEL_WARNING, "clock",
		"this host's clock is %" PRId64
		" s %s the store's: requests are signed with the store's time; set the clock (NTP)",
		ahead_s < 0 ? -ahead_s : ahead_s, ahead_s < 0 ? "ahead of" : "behind");
}

enum s3sum_trust s3site_trust(struct s3site *s)
{
	return (enum s3sum_trust)atomic_load(&s->trust);
}

void s3site_learn_trust(struct s3site *s, enum s3sum_trust trust)
{
	int known = S3SUM_UNKNOWN;

	if (trust == S3SUM_REFUSES)
		atomic_store(&s->trust, (int)trust);
	else
		atomic_compare_exchange_strong(&s->trust, &known, (int)trust);
}
