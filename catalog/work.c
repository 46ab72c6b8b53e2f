/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/work.h"

void work_init(struct work *w)
{
	*w = (struct work){ .code = 0 };
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->bell, NULL);
}

void work_deinit(struct work *w)
{
	pthread_cond_destroy(&w->bell);
	pthread_mutex_destroy(&w->lock);
}

void work_fail(struct work *w, int code, const struct err *err)
{
	pthread_mutex_lock(&w->lock);
	if (w->code == 0) {
		w->code = code;
		w->err = *err;
	}
	cancel_set(&w->stop, 1);
	work_ring(w);
	pthread_mutex_unlock(&w->lock);
}

int work_failed(struct work *w, struct err *e)
{
	int code;

	pthread_mutex_lock(&w->lock);
	code = w->code;
	if (code < 0 && e)
		*e = w->err;
	pthread_mutex_unlock(&w->lock);
	return code;
}

void work_ring(struct work *w)
{
	pthread_cond_broadcast(&w->bell);
}

void work_wait(struct work *w)
{
	pthread_cond_wait(&w->bell, &w->lock);
}
