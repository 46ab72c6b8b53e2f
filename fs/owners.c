/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/owners.h"

#include <grp.h>
#include <pwd.h>

static uint32_t local_user(const struct record_owner *o)
{
	struct passwd pw, *found = NULL;
	char buf[4096];

	if (*o->name && getpwnam_r(o->name, &pw, buf, sizeof(buf), &found) == 0 && found)
		return found->pw_uid;
	return o->id;
}

static uint32_t local_group(const struct record_owner *o)
{
	struct group gr, *found = NULL;
	char buf[16384];

	if (*o->name && getgrnam_r(o->name, &gr, buf, sizeof(buf), &found) == 0 && found)
		return found->gr_gid;
	return o->id;
}

static uint32_t translate(const struct owner_pair *pairs, size_t count, uint32_t recorded,
			  bool *ret_known)
{
	for (size_t i = 0; i < count; i++) {
		if (pairs[i].recorded != recorded)
			continue;
		*ret_known = true;
		return pairs[i].local;
	}
	*ret_known = false;
	return recorded;
}

static int add(struct owner_pair **pairs, size_t *count, size_t *cap,
	       const struct record_owner *owners, size_t owner_count,
	       uint32_t (*local)(const struct record_owner *))
{
	for (size_t i = 0; i < owner_count; i++) {
		bool known;
		int r;

		translate(*pairs, *count, owners[i].id, &known);
		if (known)
			continue;
		r = util_grow(pairs, cap, *count + 1, sizeof(**pairs));
		if (r < 0)
			return r;
		(*pairs)[(*count)++] = (struct owner_pair){ owners[i].id, local(&owners[i]) };
	}
	return 0;
}

int owners_add(struct owner_map *m, const struct record *r)
{
	int rc = add(&m->users, &m->user_count, &m->user_cap, r->users, r->user_count, local_user);

	return rc < 0 ? rc
		      : add(&m->groups, &m->group_count, &m->group_cap, r->groups, r->group_count,
			    local_group);
}

void owners_deinit(struct owner_map *m)
{
	free(m->users);
	free(m->groups);
	*m = (struct owner_map){ 0 };
}

uint32_t owners_user(const struct owner_map *m, uint32_t recorded)
{
	bool known;

	return translate(m->users, m->user_count, recorded, &known);
}

uint32_t owners_group(const struct owner_map *m, uint32_t recorded)
{
	bool known;

	return translate(m->groups, m->group_count, recorded, &known);
}
