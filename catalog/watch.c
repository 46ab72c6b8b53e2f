/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/watch.h"

#include <pthread.h>

#include "catalog/ticker.h"

struct watch {
	struct watch_options o;
	struct ticker *ticker;
	int64_t started_ms, asked_ms; /* asked_ms < 0: not yet. The thread's own */
	bool fired;
};

static void on_tick(void *ctx)
{
	struct watch *w = ctx;
	int64_t now = clock_elapsed_ms(w->o.clock);

	if (w->fired)
		return;
	if (w->asked_ms < 0 && cancel_is_set(w->o.from))
		w->asked_ms = now;
	if ((w->asked_ms >= 0 && now - w->asked_ms >= w->o.delay_ms) ||
	    (w->o.limit_ms > 0 && now - w->started_ms >= w->o.limit_ms)) {
		w->fired = true;
		w->o.fire(w->o.ctx);
	}
}

int watch_start(const struct watch_options *o, struct watch **ret, struct err *e)
{
	struct watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return err_nomem(e);
	w->o = *o;
	w->started_ms = clock_elapsed_ms(o->clock);
	w->asked_ms = -1;
	r = ticker_start("watch", on_tick, w, &w->ticker, e);
	if (r < 0) {
		free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void watch_stop(struct watch *w)
{
	if (!w)
		return;
	ticker_stop(w->ticker);
	free(w);
}

void watch_set_cancel(void *ctx)
{
	cancel_set(ctx, 1);
}
