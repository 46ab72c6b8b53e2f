/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/waits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "catalog/docget.h"
#include "catalog/sealtext.h"

#define RECORDS "records/"

static const struct sealtext form = { "waits", "the list of backups that are waited for",
				      WAITS_BYTES, FORMAT_LISTED };

void waits_deinit(struct waits *w)
{
	free(w->list);
	*w = (struct waits){ .list = NULL };
}

int waits_add(struct waits *w, const char *backup, const struct ulid *writer)
{
	struct waits_for *f;

	if (util_grow(&w->list, &w->cap, w->count + 1, sizeof(*w->list)) < 0)
		return -ENOMEM;
	f = &w->list[w->count++];
	snprintf(f->backup, sizeof(f->backup), "%s", backup);
	f->writer = *writer;
	return 0;
}

/* ---- text ---- */

#define LINE_BYTES (sizeof(RECORDS) + FORMAT_NAME_BYTES + 1 + ULID_TEXT + sizeof(".json"))

static void line_of(char out[LINE_BYTES], const struct waits_for *f)
{
	char writer[ULID_TEXT];

	snprintf(out, LINE_BYTES, RECORDS "%s/%s.json", f->backup, ulid_format(writer, &f->writer));
}

/* As the lines compare. */
static int compare(const void *pa, const void *pb)
{
	char a[LINE_BYTES], b[LINE_BYTES];

	line_of(a, pa);
	line_of(b, pb);
	return strcmp(a, b);
}

int waits_encode(struct waits *w, uint8_t **ret_text, size_t *ret_len, struct err *e)
{
	struct wbuf out;
	int r;

	wbuf_init(&out, WAITS_BYTES);
	if (w->count > 0)
		qsort(w->list, w->count, sizeof(*w->list), compare);
	sealtext_begin(&form, &out);
	for (size_t i = 0; i < w->count; i++) {
		char line[LINE_BYTES];

		line_of(line, &w->list[i]);
		sealtext_line(&out, line);
	}
	sealtext_end(&out);
	r = wbuf_error(&out);
	if (r < 0) {
		wbuf_deinit(&out);
		return err_set(e, ERR_IO, r, "cannot write down which backups are waited for");
	}
	*ret_text = out.data;
	*ret_len = out.len;
	return 0;
}

/* As sealtext_line_fn. */
static int take_line(void *ctx, const char *line, size_t len, struct err *e)
{
	struct waits *w = ctx;
	char text[SEALTEXT_LINE_BYTES + 1];
	struct waits_for f;

	memcpy(text, line, len);
	text[len] = '\0';
	if (strncmp(text, RECORDS, strlen(RECORDS)) != 0 ||
	    keys_parse_record(text + strlen(RECORDS), f.backup, &f.writer) < 0)
		return err_set(e, ERR_CORRUPT, -EBADMSG, "%s is damaged: a line names no record",
			       form.what);
	if (w->count > 0 && compare(&w->list[w->count - 1], &f) >= 0)
		return err_set(e, ERR_CORRUPT, -EBADMSG, "%s is damaged: it is not in order",
			       form.what);
	return waits_add(w, f.backup, &f.writer) < 0 ? err_nomem(e) : 0;
}

int waits_decode(const char *text, size_t len_bytes, struct waits *ret, struct err *e)
{
	struct waits w = { .list = NULL };
	int r = sealtext_read(&form, text, len_bytes, take_line, &w, e);

	if (r < 0)
		waits_deinit(&w);
	else
		*ret = w;
	return r;
}

/* ---- in the store ---- */

static void key_of(char *key, const struct node_name *n, const struct ulid *list)
{
	char prefix[KEY_BYTES], name[ULID_TEXT];

	snprintf(key, KEY_BYTES + ULID_TEXT + sizeof(WAITS_SUFFIX), "%s%s" WAITS_SUFFIX,
		 keys_condemned_prefix(prefix, n), ulid_format(name, list));
}

/* As docget_fn. */
static int read_waits(void *ctx, const char *text, size_t len, const struct store_meta *meta,
		      struct err *e)
{
	return waits_decode(text, len, ctx, e);
}

int waits_get(struct repo *repo, const struct node_name *n, const struct ulid *list,
	      struct waits *ret, const struct cancel *c, struct err *e)
{
	char key[KEY_BYTES + ULID_TEXT + sizeof(WAITS_SUFFIX)];
	int r;

	key_of(key, n, list);
	r = docget(repo_store(repo), key, WAITS_BYTES, read_waits, ret, c, e);
	if (r < 0)
		err_key(e, key);
	return r;
}

int waits_put(struct repo *repo, const struct node_name *n, const struct ulid *list,
	      struct waits *w, const struct cancel *c, struct err *e)
{
	char key[KEY_BYTES + ULID_TEXT + sizeof(WAITS_SUFFIX)];
	_cleanup_free_ uint8_t *text = NULL;
	size_t len;
	int r = waits_encode(w, &text, &len, e);

	if (r < 0)
		return r;
	key_of(key, n, list);
	return store_put_bytes(repo_store(repo), key, text, len, STORE_IF_ABSENT, NULL, NULL, c, e);
}
