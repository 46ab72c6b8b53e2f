/* SPDX-License-Identifier: Apache-2.0 */
/* What a run of a collector has to tell. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "catalog/collect_state.h"

bool collect_is_unreadable(int r, const struct err *e)
{
	return e->kind == ERR_CORRUPT || r == -ENOTSUP || r == -ENOENT || r == -EBADMSG;
}

/* One more in an array whose capacity is its count rounded up to a power of two. */
static void *grow(void *array, size_t count, size_t size)
{
	size_t cap = count ? count : 1;

	if ((count & (count - 1)) != 0)
		return array;
	return reallocarray(array, cap * 2, size);
}

static int add_damage(struct find_damage **list, size_t *count, const char *key, const char *reason,
		      struct err *e)
{
	struct find_damage *grown = grow(*list, *count, sizeof(**list));
	struct find_damage d = { strdup(key), strdup(reason) };

	if (grown)
		*list = grown;
	if (!grown || !d.key || !d.reason) {
		free(d.key);
		free(d.reason);
		return err_nomem(e);
	}
	(*list)[(*count)++] = d;
	return 0;
}

static bool has_damage(const struct find_damage *list, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i].key, key) == 0)
			return true;
	return false;
}

int collect_note_unreadable(struct collect *c, const char *key, bool blocks, const struct err *why,
			    struct err *e)
{
	struct collect_result *r = c->result;

	c->blocking += blocks;
	r->blocked |= blocks;
	if (has_damage(r->unreadable, r->unreadable_count, key))
		return 0;
	return add_damage(&r->unreadable, &r->unreadable_count, key, why->message, e);
}

int collect_note_undeleted(struct collect *c, const char *key, const struct store_delete_error *why,
			   struct err *e)
{
	struct collect_result *r = c->result;
	char reason[sizeof(why->code) + sizeof(why->message) + 3];

	if (r->undeleted_count == COLLECT_FOREIGN)
		return 0;
	snprintf(reason, sizeof(reason), "%s%s%s", why->code, *why->message ? ": " : "",
		 why->message);
	return add_damage(&r->undeleted, &r->undeleted_count, key, reason, e);
}

int collect_note_foreign(struct collect *c, const char *key, struct err *e)
{
	struct collect_result *r = c->result;
	char **grown;

	for (size_t i = 0; i < r->foreign_count; i++)
		if (strcmp(r->foreign[i], key) == 0)
			return 0;
	if (r->foreign_count == COLLECT_FOREIGN)
		return 0;
	grown = grow(r->foreign, r->foreign_count, sizeof(*grown));
	if (!grown)
		return err_nomem(e);
	r->foreign = grown;
	r->foreign[r->foreign_count] = strdup(key);
	if (!r->foreign[r->foreign_count])
		return err_nomem(e);
	r->foreign_count++;
	return 0;
}

int collect_note_wait(struct collect *c, const struct record_key *key, struct err *e)
{
	struct collect_result *r = c->result;
	struct collect_wait *grown, w = { .writer = key->writer };

	for (size_t i = 0; i < r->wait_count; i++)
		if (memcmp(&r->waits[i].writer, &key->writer, sizeof(key->writer)) == 0)
			return 0;
	grown = grow(r->waits, r->wait_count, sizeof(*grown));
	if (!grown)
		return err_nomem(e);
	r->waits = grown;
	w.backup = strdup(key->backup);
	if (!w.backup)
		return err_nomem(e);
	if (c->now_ns > key->modified_ns && key->modified_ns > 0)
		w.renewed_ago_s = (c->now_ns - key->modified_ns) / 1000000000;
	r->waits[r->wait_count++] = w;
	return 0;
}

static void free_damage(struct find_damage *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(list[i].key);
		free(list[i].reason);
	}
	free(list);
}

void collect_result_free(struct collect_result *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->wait_count; i++)
		free(r->waits[i].backup);
	for (size_t i = 0; i < r->foreign_count; i++)
		free(r->foreign[i]);
	free_damage(r->unreadable, r->unreadable_count);
	free_damage(r->undeleted, r->undeleted_count);
	free(r->waits);
	free(r->foreign);
	free(r);
}
