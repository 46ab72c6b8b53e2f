/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/remove.h"

#include <errno.h>
#include <string.h>
#include "catalog/register.h"

#define ATTEMPTS 5 /* a COMMITTED record is hardly ever rewritten */

/* One compare-and-swap. The copy borrows the lists of the record; only numbers and words within it change. */
static int try_once(struct repo *repo, const struct record *record, const char *etag,
		    const struct cancel *c, struct err *e)
{
	struct record deleted = *record;
	struct reg g;

	reg_init_record(&g, repo, &deleted);
	memcpy(g.etag, etag, sizeof(g.etag));
	deleted.state = RECORD_DELETED;
	return reg_write(&g, c, e);
}

/* What is there now: 0 still COMMITTED, REMOVE_GONE, < 0. */
static int read_again(struct repo *repo, const struct record *record, struct record **ret,
		      char *etag, const struct cancel *c, struct err *e)
{
	_cleanup_(record_freep) struct record *now = NULL;
	int r = repo_get_record(repo, &record->where, record->backup, &record->writer, &now, etag,
				c, e);

	if (r < 0)
		return r;
	if (r > 0 || now->state != RECORD_COMMITTED)
		return REMOVE_GONE;
	record_free(*ret);
	*ret = steal_pointer(&now);
	return 0;
}

int remove_backup(struct repo *repo, const struct record *record, const char *etag,
		  const struct cancel *c, struct err *e)
{
	_cleanup_(record_freep) struct record *now = NULL;
	char seen[STORE_ETAG_MAX];

	if (record->state != RECORD_COMMITTED)
		return REMOVE_GONE;
	memcpy(seen, etag, sizeof(seen));
	for (int i = 0; i < ATTEMPTS; i++) {
		int r = try_once(repo, now ? now : record, seen, c, e);

		if (r != REG_LOST)
			return r;
		r = read_again(repo, record, &now, seen, c, e);
		if (r != 0)
			return r;
	}
	return err_set(e, ERR_CONFLICT, -EBUSY,
		       "its record was changed by others %d times meanwhile: try again", ATTEMPTS);
}
