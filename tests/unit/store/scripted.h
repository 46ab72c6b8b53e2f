/* SPDX-License-Identifier: Apache-2.0 */
/* A store whose answers a test writes down beforehand, and that counts what it is asked. */
#ifndef SSTABLEFS_TESTS_SCRIPTED_H
#define SSTABLEFS_TESTS_SCRIPTED_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "store/store.h"

struct step {
	int r;
	struct err err;		/* where r < 0 */
	const char *entries[8]; /* for list: handed out before r is returned */
};

struct scripted {
	struct store store;
	const struct step *steps; /* one for each request; the last is repeated */
	size_t count, asked;
	const char *start_after[8]; /* of each list, copied */
	bool freed, *ret_freed;
};

static inline const struct step *scripted_next(struct store *s, struct err *e)
{
	struct scripted *t = (struct scripted *)s;
	const struct step *step = &t->steps[MIN_OF(t->asked, t->count - 1)];

	t->asked++;
	if (step->r < 0 && e) {
		*e = step->err;
		e->code = step->r;
	}
	return step;
}

static inline int scripted_put(struct store *s, const struct store_put *req, struct store_meta *ret,
			       const struct cancel *c, struct err *e)
{
	return scripted_next(s, e)->r;
}

static inline int scripted_get(struct store *s, const struct store_get *req, struct store_meta *ret,
			       const struct cancel *c, struct err *e)
{
	/* The buffer is the backend's to use; half of it is the object. */
	if (req->cap_bytes > 0)
		memset(req->dst, 'x', req->cap_bytes);
	ret->size_bytes = req->cap_bytes / 2;
	return scripted_next(s, e)->r;
}

static inline int scripted_head(struct store *s, const char *key, struct store_meta *ret,
				const struct cancel *c, struct err *e)
{
	return scripted_next(s, e)->r;
}

static inline int scripted_list(struct store *s, const struct store_list *req,
				const struct cancel *c, struct err *e)
{
	struct scripted *t = (struct scripted *)s;
	size_t at = t->asked;
	struct err step_err = ERR_INIT;
	const struct step *step = scripted_next(s, &step_err);

	if (at < ARRAY_SIZE(t->start_after))
		t->start_after[at] = req->start_after ? strdup(req->start_after) : NULL;
	for (size_t i = 0; i < ARRAY_SIZE(step->entries) && step->entries[i]; i++) {
		size_t len = strlen(step->entries[i]);
		struct store_entry entry = {
			.key = step->entries[i],
			.is_prefix = step->entries[i][len - 1] == '/',
			.etag = "",
		};
		int r = req->entry(req->ctx, &entry, e);

		if (r)
			return r < 0 ? r : 0;
	}
	if (step->r < 0 && e)
		*e = step_err;
	return step->r;
}

static inline int scripted_delete_many(struct store *s, const char *const *keys, size_t count,
				       struct store_delete_error *errors, size_t *ret_error_count,
				       const struct cancel *c, struct err *e)
{
	*ret_error_count = 0;
	return scripted_next(s, e)->r;
}

static inline unsigned scripted_caps(struct store *s)
{
	return STORE_CAP_IF_ABSENT;
}

static inline void scripted_free(struct store *s)
{
	struct scripted *t = (struct scripted *)s;

	for (size_t i = 0; i < ARRAY_SIZE(t->start_after); i++)
		free((void *)(uintptr_t)t->start_after[i]);
	if (t->ret_freed)
		*t->ret_freed = true;
}

static const struct store_ops scripted_ops = {
	.name = "scripted",
	.put = scripted_put,
	.get = scripted_get,
	.head = scripted_head,
	.list = scripted_list,
	.delete_many = scripted_delete_many,
	.caps = scripted_caps,
	.free = scripted_free,
};

#define SCRIPTED(array)     \
	((struct scripted){ \
		.store = { .ops = &scripted_ops }, .steps = (array), .count = ARRAY_SIZE(array) })

#endif
