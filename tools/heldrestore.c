/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/heldrestore.h"

#include "catalog/hold.h"
#include "catalog/watch.h"

struct heldrestore {
	struct hold *hold; /* NULL: there is none */
	struct watch *watch;
};

/* Where no pin can be had, for want of rights or because the store is full, the restore goes on without one: it fails only where somebody deletes the backup in the meantime. */
static int hold(struct cli *cli, const struct restore_options *o, bool must, struct hold **ret,
		struct err *e)
{
	const struct hold_options ho = {
		.repo = o->repo, .record = o->record, .purpose = "restore", .log = cli->log
	};
	struct err why = ERR_INIT;
	char text[1200];
	int r = hold_begin(&ho, ret, &cli->cancel, &why);

	if (r == -ENOENT || (r < 0 && must) || cancel_is_set(&cli->cancel)) {
		*e = why;
		return r;
	}
	if (r != 0)
		log_write(cli->log, LOG_LEVEL_WARNING, "no-pin",
			  "backup %s is not pinned while it is restored: %s", o->record->backup,
			  err_describe(&why, text, sizeof(text)));
	return 0;
}

static void stop_restore(void *ctx)
{
	struct cancel *c = ctx;

	if (!cancel_is_set(c))
		cancel_set(c, -1);
}

int heldrestore_begin(struct cli *cli, const struct restore_options *o, bool must,
		      struct heldrestore **ret, struct err *e)
{
	_cleanup_(heldrestore_endp) struct heldrestore *h = calloc(1, sizeof(*h));
	struct watch_options wo = { .clock = cli->clock,
				    .fire = stop_restore,
				    .ctx = &cli->cancel };
	int r = h ? hold(cli, o, must, &h->hold, e) : err_nomem(e);

	if (r < 0)
		return r;
	wo.from = h->hold ? hold_lost(h->hold) : NULL;
	if (h->hold)
		r = watch_start(&wo, &h->watch, e);
	if (r == 0)
		*ret = steal_pointer(&h);
	return r;
}

int heldrestore_explain(struct heldrestore *h, int r, struct err *e)
{
	return r < 0 && h && hold_check(h->hold, e) < 0 ? -EIO : r;
}

void heldrestore_end(struct heldrestore *h)
{
	if (!h)
		return;
	if (h->watch)
		watch_stop(h->watch);
	hold_end(h->hold);
	free(h);
}
