/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "cassandra/component.h"
#include "catalog/idmap.h"

#define NAME_BUFFER_BYTES (64 * KIB)

struct ids {
	uint32_t *ids; /* sorted */
	size_t count, cap;
};

struct strings {
	char **s; /* sorted */
	size_t count, cap;
};

struct pack {
	struct id256
		id; /* of the object, mixed with its writer: two writers may have equal objects */
	struct record_pack pack;
};

struct account {
	struct ids users, groups;
	struct strings versions, id_kinds;
	struct idmap by_id;
	struct pack **packs;
	size_t pack_count, pack_cap;
};

struct account *account_new(void)
{
	struct account *a = calloc(1, sizeof(*a));

	if (a)
		a->by_id = IDMAP_OF(struct pack, id);
	return a;
}

static void strings_deinit(struct strings *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->s[i]);
	free(s->s);
	*s = (struct strings){ 0 };
}

void account_free(struct account *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->pack_count; i++)
		free(a->packs[i]);
	free(a->packs);
	free(a->users.ids);
	free(a->groups.ids);
	strings_deinit(&a->versions);
	strings_deinit(&a->id_kinds);
	idmap_deinit(&a->by_id);
	free(a);
}

static int add_id(struct ids *l, uint32_t id)
{
	size_t at = l->count;

	while (at > 0 && l->ids[at - 1] > id)
		at--;
	if (at > 0 && l->ids[at - 1] == id)
		return 0;
	if (util_grow(&l->ids, &l->cap, l->count + 1, sizeof(*l->ids)) < 0)
		return -ENOMEM;
	memmove(l->ids + at + 1, l->ids + at, (l->count - at) * sizeof(*l->ids));
	l->ids[at] = id;
	l->count++;
	return 0;
}

static int add_string(struct strings *l, const char *s)
{
	size_t at = l->count;
	char *copy;

	while (at > 0 && strcmp(l->s[at - 1], s) > 0)
		at--;
	if ((at > 0 && strcmp(l->s[at - 1], s) == 0) || l->count >= FORMAT_VERSIONS)
		return 0;
	copy = strdup(s);
	if (!copy || util_grow(&l->s, &l->cap, l->count + 1, sizeof(*l->s)) < 0) {
		free(copy);
		return -ENOMEM;
	}
	memmove(l->s + at + 1, l->s + at, (l->count - at) * sizeof(*l->s));
	l->s[at] = copy;
	l->count++;
	return 0;
}

int account_owner(struct account *a, uint32_t uid, uint32_t gid)
{
	int r = add_id(&a->users, uid);

	return r < 0 ? r : add_id(&a->groups, gid);
}

int account_file_name(struct account *a, const char *name)
{
	struct component c;
	int r;

	if (!component_parse(name, &c))
		return 0;
	r = add_string(&a->versions, c.version);
	if (r < 0)
		return r;
	return add_string(&a->id_kinds, c.id_kind == COMPONENT_ID_UUID ? "uuid" : "generation");
}

static struct pack *find_pack(struct account *a, const struct object_ref *ref)
{
	struct id256 id = ref->id;
	struct pack *p;

	for (size_t i = 0; i < ULID_BYTES; i++)
		id.b[i] ^= ref->writer.b[i];
	p = idmap_find(&a->by_id, &id);
	if (p)
		return p;
	if (util_grow(&a->packs, &a->pack_cap, a->pack_count + 1, sizeof(*a->packs)) < 0)
		return NULL;
	p = malloc(sizeof(*p));
	if (!p)
		return NULL;
	*p = (struct pack){
		.id = id,
		.pack = { .writer = ref->writer, .id = ref->id, .plain_bytes = ref->plain_bytes }
	};
	if (idmap_add(&a->by_id, p) < 0) {
		free(p);
		return NULL;
	}
	a->packs[a->pack_count++] = p;
	return p;
}

int account_content(struct account *a, struct content *c)
{
	if (c->accounted)
		return 0;
	c->accounted = true;
	for (uint32_t i = 0; i < c->extent_count; i++) {
		const struct extent *x = &c->extents[i];
		struct pack *p;

		if (x->len_bytes == x->object.plain_bytes)
			continue;
		p = find_pack(a, &x->object);
		if (!p)
			return -ENOMEM;
		/* More than all of it: a content that was too much to remember, and came twice. */
		p->pack.used_bytes = MIN_OF(p->pack.used_bytes + x->len_bytes, p->pack.plain_bytes);
	}
	return 0;
}

/* ---- into the record ---- */

static const char *user_name(uint32_t id, char *buffer)
{
	struct passwd entry, *found = NULL;

	return getpwuid_r(id, &entry, buffer, NAME_BUFFER_BYTES, &found) == 0 && found
		       ? found->pw_name
		       : "";
}

static const char *group_name(uint32_t id, char *buffer)
{
	struct group entry, *found = NULL;

	return getgrgid_r(id, &entry, buffer, NAME_BUFFER_BYTES, &found) == 0 && found
		       ? found->gr_name
		       : "";
}

static int finish_owners(const struct ids *ids, const char *(*name)(uint32_t id, char *buffer),
			 struct record_owner **ret, size_t *ret_count)
{
	_cleanup_free_ char *buffer = malloc(NAME_BUFFER_BYTES);
	size_t count = MIN_OF(ids->count, (size_t)FORMAT_OWNERS);

	for (size_t i = 0; i < *ret_count; i++)
		free((*ret)[i].name);
	free(*ret);
	*ret_count = 0;
	*ret = calloc(count + 1, sizeof(**ret));
	if (!*ret || !buffer)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		(*ret)[i].id = ids->ids[i];
		(*ret)[i].name = strdup(name(ids->ids[i], buffer));
		if (!(*ret)[i].name)
			return -ENOMEM;
		(*ret_count)++;
	}
	return 0;
}

static void finish_strings(struct strings *from, char ***ret, size_t *ret_count)
{
	struct strings old = { .s = *ret, .count = *ret_count };

	strings_deinit(&old);
	*ret = from->s;
	*ret_count = from->count;
	*from = (struct strings){ 0 };
}

static int finish_packs(const struct account *a, struct record *r, struct err *e)
{
	if (a->pack_count > FORMAT_PACKS)
		return err_set(e, ERR_IO, -E2BIG,
			       "the backup uses %zu packs, more than the %d that "
			       "a record can account for",
			       a->pack_count, FORMAT_PACKS);
	free(r->packs);
	r->pack_count = 0;
	r->packs = calloc(a->pack_count + 1, sizeof(*r->packs));
	if (!r->packs)
		return err_nomem(e);
	for (size_t i = 0; i < a->pack_count; i++)
		r->packs[r->pack_count++] = a->packs[i]->pack;
	return 0;
}

int account_finish(struct account *a, struct record *r, struct err *e)
{
	if (finish_owners(&a->users, user_name, &r->users, &r->user_count) < 0 ||
	    finish_owners(&a->groups, group_name, &r->groups, &r->group_count) < 0)
		return err_nomem(e);
	finish_strings(&a->versions, &r->sstable_versions, &r->sstable_version_count);
	finish_strings(&a->id_kinds, &r->id_kinds, &r->id_kind_count);
	return finish_packs(a, r, e);
}
