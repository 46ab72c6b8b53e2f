/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/restore_attr.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include "base/clock.h"

#define LOOKUP_BYTES (64 * KIB) /* for the strings of one entry of passwd or group */
#define SET_ID_BITS 06000u
#define NS_PER_S 1000000000LL

struct mapping {
	uint32_t there, here;
};

struct restore_attr {
	bool set_owner;
	const struct restore_owner *owner; /* NULL: by `users` and `groups` */
	uint32_t euid;
	struct mapping *users, *groups; /* sorted by `there` */
	size_t user_count, group_count;
};

static bool user_here(const char *name, char *buffer, uint32_t *ret)
{
	struct passwd entry, *found = NULL;

	if (getpwnam_r(name, &entry, buffer, LOOKUP_BYTES, &found) != 0 || !found)
		return false;
	*ret = entry.pw_uid;
	return true;
}

static bool group_here(const char *name, char *buffer, uint32_t *ret)
{
	struct group entry, *found = NULL;

	if (getgrnam_r(name, &entry, buffer, LOOKUP_BYTES, &found) != 0 || !found)
		return false;
	*ret = entry.gr_gid;
	return true;
}

static int compare_mappings(const void *a, const void *b)
{
	const struct mapping *x = a, *y = b;

	return (x->there > y->there) - (x->there < y->there);
}

/* Those owners whose name is known here; the others keep their number. */
static int map_owners(const struct record_owner *owners, size_t count,
		      bool (*here)(const char *name, char *buffer, uint32_t *ret),
		      struct mapping **ret, size_t *ret_count, struct err *e)
{
	_cleanup_free_ char *buffer = malloc(LOOKUP_BYTES);
	struct mapping *m = calloc(count + 1, sizeof(*m));
	size_t n = 0;

	*ret = m;
	if (!buffer || !m)
		return err_nomem(e);
	for (size_t i = 0; i < count; i++) {
		m[n].there = owners[i].id;
		if (*owners[i].name && here(owners[i].name, buffer, &m[n].here))
			n++;
	}
	if (n > 0)
		qsort(m, n, sizeof(*m), compare_mappings);
	*ret_count = n;
	return 0;
}

int restore_attr_new(const struct restore_options *o, struct restore_attr **ret, struct err *e)
{
	const struct record *record = o->record;
	_cleanup_(restore_attr_freep) struct restore_attr *a = calloc(1, sizeof(*a));
	bool by_name;
	int r = 0;

	if (!a)
		return err_nomem(e);
	a->euid = geteuid();
	a->set_owner = a->euid == 0;
	a->owner = o->owner;
	by_name = a->set_owner && !o->numeric_ids && !o->owner;
	if (by_name)
		r = map_owners(record->users, record->user_count, user_here, &a->users,
			       &a->user_count, e);
	if (r == 0 && by_name)
		r = map_owners(record->groups, record->group_count, group_here, &a->groups,
			       &a->group_count, e);
	if (r < 0)
		return r;
	*ret = steal_pointer(&a);
	return 0;
}

void restore_attr_free(struct restore_attr *a)
{
	if (!a)
		return;
	free(a->users);
	free(a->groups);
	free(a);
}

static uint32_t local_id(const struct mapping *m, size_t count, uint32_t id)
{
	struct mapping key = { .there = id };
	const struct mapping *found = count ? bsearch(&key, m, count, sizeof(*m), compare_mappings)
					    : NULL;

	return found ? found->here : id;
}

static uint32_t uid_here(const struct restore_attr *a, const struct attributes *attr)
{
	return a->owner ? a->owner->uid : local_id(a->users, a->user_count, attr->uid);
}

static uint32_t gid_here(const struct restore_attr *a, const struct attributes *attr)
{
	return a->owner ? a->owner->gid : local_id(a->groups, a->group_count, attr->gid);
}

static mode_t local_mode(const struct restore_attr *a, const struct attributes *attr)
{
	return a->set_owner ? attr->mode : attr->mode & ~SET_ID_BITS;
}

struct attributes restore_attr_of_file(const struct attributes *attr)
{
	struct attributes a = *attr;

	a.mode &= ~SET_ID_BITS;
	return a;
}

int restore_attr_own(const struct restore_attr *a, int fd, const struct attributes *attr)
{
	/* The owner first: changing it clears set-id bits. */
	if (a->set_owner && fchown(fd, uid_here(a, attr), gid_here(a, attr)) < 0)
		return -errno;
	return fchmod(fd, local_mode(a, attr)) < 0 ? -errno : 0;
}

int restore_attr_apply(const struct restore_attr *a, int fd, const struct attributes *attr)
{
	int64_t seconds = attr->mtime_ns / NS_PER_S, ns = attr->mtime_ns % NS_PER_S;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	int r = restore_attr_own(a, fd, attr);

	if (r < 0)
		return r;
	times[1].tv_sec = (time_t)(ns < 0 ? seconds - 1 : seconds);
	times[1].tv_nsec = (long)(ns < 0 ? ns + NS_PER_S : ns);
	return futimens(fd, times) < 0 ? -errno : 0;
}

bool restore_attr_owned(const struct restore_attr *a, const struct stat *st,
			const struct attributes *attr)
{
	if ((st->st_mode & 07777) != local_mode(a, attr))
		return false;
	if (!a->set_owner)
		return st->st_uid == a->euid;
	return st->st_uid == uid_here(a, attr) && st->st_gid == gid_here(a, attr);
}

bool restore_attr_equal(const struct restore_attr *a, const struct stat *st,
			const struct attributes *attr)
{
	return clock_timespec_ns(st->st_mtim) == attr->mtime_ns && restore_attr_owned(a, st, attr);
}
