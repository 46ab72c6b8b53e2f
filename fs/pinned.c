/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/pinned.h"

#include <string.h>
#include "catalog/find.h"

struct pinned {
	struct node_name where;
	struct ulid writer;
	char backup[FORMAT_NAME_BYTES + 1];
	struct hold *hold; /* NULL: we may not write */
};

static int hold_it(struct pinned *p, const struct pinned_options *o, const struct record *record,
		   struct err *e)
{
	const struct hold_options ho = { .repo = o->repo,
					 .record = record,
					 .purpose = "mount",
					 .renew_ms = o->renew_ms,
					 .log = o->log };
	struct err why = ERR_INIT;
	char text[1200];
	int r = hold_begin(&ho, &p->hold, NULL, &why);

	if (r < 0) {
		*e = why;
		return err_wrap(e, r, "cannot pin backup %s", record->backup);
	}
	if (r == HOLD_READ_ONLY)
		log_write(
			o->log, LOG_LEVEL_WARNING, "no-pin",
			"backup %s is not pinned, because this mount may not write to the repository; once somebody deletes the backup, reads of it may fail: %s",
			record->backup, err_describe(&why, text, sizeof(text)));
	return 0;
}

int pinned_begin(const struct pinned_options *o, struct pinned **ret, struct err *e)
{
	_cleanup_(record_freep) struct record *record = NULL;
	_cleanup_free_ struct pinned *p = calloc(1, sizeof(*p));
	int r = p ? find_one(o->meta, o->repo, o->cluster, o->node, o->backup, o->default_node,
			     &record, NULL, e)
		  : err_nomem(e);

	if (r == 0)
		r = hold_it(p, o, record, e);
	if (r < 0)
		return r;
	p->where = record->where;
	p->writer = record->writer;
	strcpy(p->backup, record->backup);
	*ret = steal_pointer(&p);
	return 0;
}

void pinned_end(struct pinned *p)
{
	if (!p)
		return;
	hold_end(p->hold);
	free(p);
}

bool pinned_is(const struct pinned *p, const struct node_name *n, const struct ulid *writer)
{
	return p && keys_node_equal(n, &p->where) &&
	       (!writer || memcmp(writer, &p->writer, sizeof(*writer)) == 0);
}

bool pinned_keeps(const struct pinned *p, const struct node_name *n, const struct ulid *writer)
{
	return pinned_is(p, n, writer) && p->hold;
}

const struct ulid *pinned_writer(const struct pinned *p)
{
	return &p->writer;
}

int pinned_check(struct pinned *p, struct err *e)
{
	return p ? hold_check(p->hold, e) : 0;
}

void pinned_describe(struct pinned *p, struct wbuf *out)
{
	_cleanup_free_ char *state = NULL, *line = NULL;
	struct err e = ERR_INIT;

	if (!p->hold)
		state = util_printf("no pin: the repository cannot be written");
	else if (hold_check(p->hold, &e) < 0)
		state = util_printf("lost: %s", e.message);
	else
		state = util_printf("held, renewed %lld s ago", (long long)hold_age_s(p->hold));
	if (state)
		line = util_printf("pin: %s/%s/%s %s\n", p->where.cluster, p->where.node, p->backup,
				   util_one_line(state));
	if (line)
		wbuf_put(out, line, strlen(line));
}
