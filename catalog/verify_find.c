/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/verify_find.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include "catalog/seen.h"

enum subject_kind { SUBJECT_OBJECT, SUBJECT_CONTENT, SUBJECT_KEY };

/* What a finding is about, compared bytewise. */
struct subject {
	uint8_t kind;
	uint8_t name[ULID_BYTES + SHA256_BYTES];
};

struct item {
	struct subject subject;
	struct verify_finding finding;
	size_t file_cap;
	bool stays; /* even where no file was noted with it */
};

struct verify_find {
	pthread_mutex_t lock; /* items, until sealed */
	struct item *items;   /* sorted by subject once sealed */
	size_t count, cap;
	struct seen known;   /* subjects of items */
	uint64_t name_bytes; /* left for names of files */
};

struct verify_find *verify_find_new(uint64_t name_bytes)
{
	struct verify_find *f = calloc(1, sizeof(*f));

	if (f) {
		pthread_mutex_init(&f->lock, NULL);
		f->name_bytes = name_bytes;
	}
	return f;
}

static void finding_deinit(struct verify_finding *x)
{
	for (size_t i = 0; i < x->file_count; i++)
		free(x->files[i]);
	free(x->files);
	free(x->key);
	free(x->reason);
	free(x->unrepaired);
}

void verify_find_free(struct verify_find *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->count; i++)
		finding_deinit(&f->items[i].finding);
	free(f->items);
	seen_deinit(&f->known);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void verify_result_free(struct verify_result *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->finding_count; i++)
		finding_deinit(&r->findings[i]);
	free(r->findings);
	free(r);
}

/* ---- subjects ---- */

static struct subject subject_of_object(const struct object_ref *ref)
{
	struct subject s = { .kind = SUBJECT_OBJECT };

	memcpy(s.name, ref->writer.b, ULID_BYTES);
	memcpy(s.name + ULID_BYTES, ref->id.b, SHA256_BYTES);
	return s;
}

static struct subject subject_of_id(enum subject_kind kind, const struct id256 *id)
{
	struct subject s = { .kind = (uint8_t)kind };

	memcpy(s.name, id->b, SHA256_BYTES);
	return s;
}

static struct subject subject_of_key(const char *key)
{
	struct id256 id = digest_sha256(key, strlen(key));

	return subject_of_id(SUBJECT_KEY, &id);
}

static int compare_subjects(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return memcmp(&x->subject, &y->subject, sizeof(x->subject));
}

/* ---- adding ---- */

static int add_locked(struct verify_find *f, struct item item, const char *key, const struct err *e)
{
	int q;

	q = seen_add(&f->known, &item.subject, sizeof(item.subject));
	if (q <= 0)
		return q;
	if (util_grow(&f->items, &f->cap, f->count + 1, sizeof(*f->items)) < 0)
		return -ENOMEM;
	item.finding.key = strdup(key);
	item.finding.reason = strdup(e->message);
	if (!item.finding.key || !item.finding.reason) {
		finding_deinit(&item.finding);
		return -ENOMEM;
	}
	f->items[f->count++] = item;
	return 0;
}

static int add(struct verify_find *f, const struct item *item, const char *key, const struct err *e)
{
	int q;

	pthread_mutex_lock(&f->lock);
	q = add_locked(f, *item, key, e);
	pthread_mutex_unlock(&f->lock);
	return q;
}

int verify_find_object(struct verify_find *f, const struct node_name *where,
		       const struct object_ref *ref, int r, const struct err *e)
{
	struct item item = { .subject = subject_of_object(ref),
			     .finding = { .missing = r == -ENOENT,
					  .is_object = true,
					  .ref = *ref,
					  .where = *where } };
	char key[KEY_BYTES];

	keys_object(key, where, KEY_OBJECT_DATA, &ref->writer, &ref->id);
	return add(f, &item, key, e);
}

int verify_find_content(struct verify_find *f, const char *key, const struct id256 *content,
			const struct err *e)
{
	struct item item = { .subject = subject_of_id(SUBJECT_CONTENT, content) };

	return add(f, &item, key, e);
}

int verify_find_key(struct verify_find *f, const char *key, int r, const struct err *e)
{
	struct item item = { .subject = subject_of_key(key), .finding.missing = r == -ENOENT };

	return add(f, &item, key, e);
}

size_t verify_find_count(const struct verify_find *f)
{
	return f->count;
}

/* ---- files ---- */

void verify_find_seal(struct verify_find *f)
{
	if (f->count > 0)
		qsort(f->items, f->count, sizeof(*f->items), compare_subjects);
}

static int add_file(struct verify_find *f, struct item *item, const char *path)
{
	struct verify_finding *x = &item->finding;
	size_t size = strlen(path) + sizeof(char *);

	if (size > f->name_bytes && x->file_count > 0) {
		x->files_more++;
		return 0;
	}
	f->name_bytes -= MIN_OF(size, f->name_bytes);
	if (util_grow(&x->files, &item->file_cap, x->file_count + 1, sizeof(*x->files)) < 0)
		return -ENOMEM;
	x->files[x->file_count] = strdup(path);
	if (!x->files[x->file_count])
		return -ENOMEM;
	x->file_count++;
	return 0;
}

static int note(struct verify_find *f, const struct subject *s, const char *path, size_t more)
{
	struct item key = { .subject = *s }, *item;
	struct verify_finding *x;

	item = f->count ? bsearch(&key, f->items, f->count, sizeof(*item), compare_subjects) : NULL;
	if (!item)
		return 0;
	x = &item->finding;
	if (x->file_count > 0 && strcmp(x->files[x->file_count - 1], path) == 0)
		return 0; /* several extents of one file */
	x->files_more += more;
	return add_file(f, item, path);
}

int verify_find_document(struct verify_find *f, const char *key, const char *path,
			 const struct err *e)
{
	struct item item = { .subject = subject_of_key(key), .stays = true };
	size_t before = f->count;
	int r = add(f, &item, key, e);

	return r == 0 && path && f->count > before ? add_file(f, &f->items[before], path) : r;
}

int verify_find_note_entry(struct verify_find *f, const char *path, const struct entry *entry)
{
	struct subject s = subject_of_id(SUBJECT_CONTENT, &entry->content);
	int r = note(f, &s, path, 0);

	for (uint32_t i = 0; i < entry->extent_count && r == 0; i++) {
		s = subject_of_object(&entry->extents[i].object);
		r = note(f, &s, path, 0);
	}
	return r;
}

bool verify_find_has_key(const struct verify_find *f, const char *key)
{
	struct item x = { .subject = subject_of_key(key) };

	return f->count > 0 && bsearch(&x, f->items, f->count, sizeof(x), compare_subjects) != NULL;
}

int verify_find_note_key(struct verify_find *f, const char *key, const char *path, size_t more)
{
	struct subject s = subject_of_key(key);

	return note(f, &s, path, more);
}

/* ---- the result ---- */

void verify_find_drop_unused(struct verify_find *f)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->count; i++) {
		if (f->items[i].stays || f->items[i].finding.file_count > 0)
			f->items[kept++] = f->items[i];
		else
			finding_deinit(&f->items[i].finding);
	}
	f->count = kept;
}

int verify_find_remember(const struct verify_find *f, struct verify_state *state)
{
	_cleanup_free_ struct xxh128 *damaged = calloc(f->count + 1, sizeof(*damaged));
	size_t count = 0;

	if (!damaged)
		return -ENOMEM;
	for (size_t i = 0; i < f->count; i++)
		if (f->items[i].finding.is_object)
			damaged[count++] = seen_object_digest(&f->items[i].finding.ref);
	verify_state_finish(state, damaged, count);
	return 0;
}

static int compare_findings(const void *a, const void *b)
{
	const struct verify_finding *x = a, *y = b;

	return strcmp(x->key, y->key);
}

int verify_find_result(struct verify_find *f, struct verify_result *ret)
{
	ret->findings = calloc(f->count + 1, sizeof(*ret->findings));
	if (!ret->findings)
		return -ENOMEM;
	for (size_t i = 0; i < f->count; i++)
		ret->findings[i] = f->items[i].finding;
	ret->finding_count = f->count;
	f->count = 0;
	if (ret->finding_count > 0)
		qsort(ret->findings, ret->finding_count, sizeof(*ret->findings), compare_findings);
	return 0;
}
