/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/meta.h"

#include <errno.h>
#include <string.h>

struct walk {
	struct meta *m;
	const struct node_name *n;
	const struct meta_walk *w;
	const struct cancel *c;
	struct err *e;
	size_t path_len;
	char path[FORMAT_PATH_BYTES + 1];
};

static int corrupt(struct walk *k, const struct place *p, const char *why)
{
	char key[KEY_BYTES];

	err_set(k->e, ERR_CORRUPT, -EBADMSG, "directory \"%s\" is damaged: %s", k->path, why);
	err_key(k->e, keys_object(key, k->n, KEY_OBJECT_META, &p->extent.object.writer,
				  &p->extent.object.id));
	return -EBADMSG;
}

/* Asks the caller whether to go on without what cannot be read. */
static int tolerate(struct walk *k, const struct run_ref *ref, int r)
{
	if ((r != -ENOENT && r != -EBADMSG) || !k->w->damaged)
		return r;
	return k->w->damaged(k->w->ctx, k->path, ref, r, k->e);
}

/* What a run must be as seen from its directory. `last`: the name that came before it there. */
static const char *check_run(const struct tree *t, const struct run_ref *ref, const struct run *run,
			     const char *last)
{
	if (run->entry_count != ref->entry_count || strcmp(run->entries[0].name, ref->first) != 0)
		return "a run is not the one that the directory says";
	if (*last && tree_compare_names(last, ref->first) >= 0)
		return "its runs are not in order";
	for (uint32_t i = 0; i < run->entry_count; i++)
		if (tree_find_child(t, run->entries[i].name))
			return "a file and a directory have the same name";
	return NULL;
}

static int each_entry(struct walk *k, const struct run *run)
{
	int r = 0;

	for (uint32_t i = 0; i < run->entry_count && r >= 0; i++)
		r = k->w->entry(k->w->ctx, k->path, &run->entries[i], k->e);
	return MIN_OF(r, 0);
}

static int walk_run(struct walk *k, const struct tree *t, const struct run_ref *ref, char *last)
{
	_cleanup_(run_freep) struct run *run = NULL;
	const char *wrong;
	int r = 0;

	if (cancel_is_set(k->c))
		return err_set(k->e, ERR_IO, -ECANCELED, "interrupted");
	if (k->w->run)
		r = k->w->run(k->w->ctx, k->path, ref, k->e);
	if (r != 0)
		return MIN_OF(r, 0);
	r = meta_run(k->m, k->n, &ref->place, &run, k->c, k->e);
	if (r < 0)
		return tolerate(k, ref, r);
	wrong = check_run(t, ref, run, last);
	if (wrong)
		return tolerate(k, ref, corrupt(k, &ref->place, wrong));
	memcpy(last, run->entries[run->entry_count - 1].name,
	       strlen(run->entries[run->entry_count - 1].name) + 1);
	return k->w->entry ? each_entry(k, run) : 0;
}

static int walk_tree(struct walk *k, const struct place *p, const struct child *self,
		     struct tree_room *room, unsigned depth);

/* Appends a name to the path. 0, or -EBADMSG where it becomes too long or too deep. */
static int path_push(struct walk *k, const struct place *p, const char *name, unsigned depth)
{
	size_t len = strlen(name), slash = k->path_len > 0;

	if (depth >= FORMAT_DEPTH)
		return corrupt(k, p, "it lies too deep");
	if (k->path_len + slash + len > FORMAT_PATH_BYTES)
		return corrupt(k, p, "its path is too long");
	if (slash)
		k->path[k->path_len++] = '/';
	memcpy(k->path + k->path_len, name, len + 1);
	k->path_len += len;
	return 0;
}

static int walk_child(struct walk *k, const struct place *parent, const struct child *child,
		      struct tree_room *room, unsigned depth)
{
	size_t before = k->path_len;
	int r = path_push(k, parent, child->name, depth);

	if (r < 0)
		return tolerate(k, NULL, r);
	if (k->w->enter)
		r = k->w->enter(k->w->ctx, k->path, child, k->e);
	if (r == 0)
		r = walk_tree(k, &child->place, child, room, depth + 1);
	k->path_len = before;
	k->path[before] = '\0';
	return MIN_OF(r, 0);
}

static int walk_tree(struct walk *k, const struct place *p, const struct child *self,
		     struct tree_room *parent, unsigned depth)
{
	_cleanup_(tree_freep) struct tree *t = NULL;
	char last[FORMAT_FILE_NAME_BYTES + 1] = "";
	struct tree_room room;
	int r = cancel_is_set(k->c) ? err_set(k->e, ERR_IO, -ECANCELED, "interrupted")
				    : meta_tree(k->m, k->n, p, &t, k->c, k->e);

	if (r == 0 && parent && !tree_room_take(parent, t))
		r = corrupt(k, p, "it holds more than the directories above it say");
	if (r < 0)
		return tolerate(k, NULL, r);
	room = tree_room(t);
	if (k->w->directory)
		r = k->w->directory(k->w->ctx, k->path, self, t, k->e);
	for (uint32_t i = 0; i < t->run_count && r >= 0 && (k->w->run || k->w->entry); i++)
		r = walk_run(k, t, &t->runs[i], last);
	for (uint32_t i = 0; i < t->child_count && r >= 0; i++)
		r = walk_child(k, p, &t->children[i], &room, depth);
	return MIN_OF(r, 0);
}

int meta_walk(struct meta *m, const struct node_name *n, const struct place *root,
	      const struct meta_walk *w, const struct cancel *c, struct err *e)
{
	struct err mine = ERR_INIT;
	struct walk k = { .m = m, .n = n, .w = w, .c = c, .e = e ? e : &mine };

	return walk_tree(&k, root, NULL, NULL, 0);
}
