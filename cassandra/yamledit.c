/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/yamledit.h"

#include <string.h>
#include <yaml.h>
#include "base/buf.h"
#include "base/util.h"
#include "cassandra/nodeconf.h"

/* A piece of the text, in characters, as libyaml counts. */
struct span {
	size_t begin, end;
};

struct edit { /* of one change */
	bool found;
	struct span where;
	char quote; /* ' or ", 0: none */
};

struct reading {
	const char *path;
	const struct yamledit_change *changes;
	struct edit *edits;
	size_t count;
	yaml_parser_t parser;
	unsigned depth;
	bool at_value;
	struct edit *wanted; /* at_value: whose value comes */
	size_t indent;	     /* of the outermost keys */
	size_t end;	     /* of the outermost mapping */
	bool has_mapping, ended;
};

static int bad_line(const struct reading *r, size_t line, const char *why, struct err *e)
{
	return err_set(e, ERR_USAGE, -EBADMSG, "%s, line %zu: %s", r->path, line + 1, why);
}

static int bad(const struct reading *r, const yaml_event_t *event, const char *why, struct err *e)
{
	return bad_line(r, event->start_mark.line, why, e);
}

/* ---- where the values are ---- */

static bool is_scalar(const yaml_event_t *event, const char *text)
{
	size_t len = strlen(text);

	return event->type == YAML_SCALAR_EVENT && event->data.scalar.length == len &&
	       memcmp(event->data.scalar.value, text, len) == 0;
}

static int take_key(struct reading *r, const yaml_event_t *event, struct err *e)
{
	r->wanted = NULL;
	for (size_t i = 0; i < r->count; i++)
		if (is_scalar(event, r->changes[i].key))
			r->wanted = &r->edits[i];
	if (r->wanted && r->wanted->found)
		return bad(r, event, "the key is there twice", e);
	return 0;
}

static int take_value(struct reading *r, const yaml_event_t *event, struct err *e)
{
	yaml_scalar_style_t style;

	if (!r->wanted)
		return 0;
	if (event->type != YAML_SCALAR_EVENT || event->data.scalar.anchor || event->data.scalar.tag)
		return bad(r, event, "the value to be changed is not a plain word or number", e);
	style = event->data.scalar.style;
	if (event->start_mark.line != event->end_mark.line ||
	    (style != YAML_PLAIN_SCALAR_STYLE && style != YAML_SINGLE_QUOTED_SCALAR_STYLE &&
	     style != YAML_DOUBLE_QUOTED_SCALAR_STYLE))
		return bad(r, event, "the value to be changed has more than one line", e);
	r->wanted->found = true;
	r->wanted->where = (struct span){ event->start_mark.index, event->end_mark.index };
	r->wanted->quote = style == YAML_SINGLE_QUOTED_SCALAR_STYLE   ? '\''
			   : style == YAML_DOUBLE_QUOTED_SCALAR_STYLE ? '"'
								      : 0;
	return 0;
}

/* In the outermost mapping keys and values take turns. */
static int take_turn(struct reading *r, const yaml_event_t *event, struct err *e)
{
	int n;

	if (r->depth != 1)
		return 0;
	n = r->at_value ? take_value(r, event, e) : take_key(r, event, e);
	r->at_value = !r->at_value;
	return n;
}

static int open_outermost(struct reading *r, const yaml_event_t *event, struct err *e)
{
	if (r->has_mapping)
		return bad(r, event, "there is a second document", e);
	if (event->type != YAML_MAPPING_START_EVENT ||
	    event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE)
		return bad(r, event, "it is no mapping with a key on each line", e);
	r->has_mapping = true;
	r->indent = event->start_mark.column;
	return 0;
}

/* A value, or a key, that is a list or a mapping. Its turn ends when it does. */
static int open_inner(struct reading *r, const yaml_event_t *event, struct err *e)
{
	if (r->depth > 1)
		return 0;
	if (r->at_value)
		return take_value(r, event, e);
	r->wanted = NULL;
	return 0;
}

static int take_event(struct reading *r, const yaml_event_t *event, struct err *e)
{
	int n;

	switch (event->type) {
	case YAML_SCALAR_EVENT:
	case YAML_ALIAS_EVENT:
		if (r->depth == 0)
			return bad(r, event, "it is no mapping", e);
		return take_turn(r, event, e);
	case YAML_MAPPING_START_EVENT:
	case YAML_SEQUENCE_START_EVENT:
		n = r->depth == 0 ? open_outermost(r, event, e) : open_inner(r, event, e);
		if (n < 0)
			return n;
		return ++r->depth > NODECONF_DEPTH_MAX ? bad(r, event, "it is nested too deeply", e)
						       : 0;
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		if (--r->depth == 0)
			r->end = event->start_mark.index;
		else if (r->depth == 1)
			r->at_value = !r->at_value;
		return 0;
	case YAML_STREAM_END_EVENT:
		r->ended = true;
		return 0;
	default:
		return 0;
	}
}

/* The next event; its memory is the caller's. */
static int next_event(struct reading *r, yaml_event_t *event, struct err *e)
{
	if (yaml_parser_parse(&r->parser, event))
		return 0;
	if (r->parser.error == YAML_MEMORY_ERROR)
		return err_nomem(e);
	return bad_line(r, r->parser.problem_mark.line,
			r->parser.problem ? r->parser.problem : "it is no YAML", e);
}

static int start(struct reading *r, const char *text, size_t len, struct err *e)
{
	if (!yaml_parser_initialize(&r->parser))
		return err_nomem(e);
	yaml_parser_set_input_string(&r->parser, (const unsigned char *)text, len);
	yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
	return 0;
}

static int find_values(struct reading *r, const char *text, size_t len, struct err *e)
{
	int n = start(r, text, len, e);

	if (n < 0)
		return n;
	for (size_t events = 0; n == 0 && !r->ended; events++) {
		yaml_event_t event = { .type = YAML_NO_EVENT };

		n = events < NODECONF_EVENTS_MAX ? next_event(r, &event, e)
						 : bad_line(r, 0, "it holds too much", e);
		if (n == 0)
			n = take_event(r, &event, e);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&r->parser);
	if (n == 0 && !r->has_mapping)
		n = bad_line(r, 0, "it is empty", e);
	return n;
}

/* ---- the new text ---- */

/* The byte at which a character begins. libyaml has accepted the text, so it is UTF-8. */
static size_t byte_of(const char *text, size_t len, size_t character)
{
	size_t at = 0;

	for (; character > 0 && at < len; character--)
		for (at++; at < len && ((unsigned char)text[at] & 0xC0) == 0x80;)
			at++;
	return at;
}

static void put_text(struct wbuf *out, const char *text)
{
	wbuf_put(out, text, strlen(text));
}

static void put_value(struct wbuf *out, const struct edit *edit, const char *value)
{
	if (edit->where.begin == edit->where.end)
		wbuf_u8(out, ' '); /* "key:" alone */
	if (edit->quote)
		wbuf_u8(out, (uint8_t)edit->quote);
	put_text(out, value);
	if (edit->quote)
		wbuf_u8(out, (uint8_t)edit->quote);
}

/* The change whose place comes first of those at or behind `from`; `count` where there is none. */
static size_t next_edit(const struct reading *r, size_t from)
{
	size_t best = r->count;

	for (size_t i = 0; i < r->count; i++)
		if (r->edits[i].found && r->edits[i].where.begin >= from &&
		    (best == r->count || r->edits[i].where.begin < r->edits[best].where.begin))
			best = i;
	return best;
}

/* Lines end as the first one of the file does. */
static const char *line_end(const char *text, size_t len)
{
	const char *newline = memchr(text, '\n', len);

	return newline && newline > text && newline[-1] == '\r' ? "\r\n" : "\n";
}

static void add_missing(struct wbuf *out, const struct reading *r, const char *end)
{
	for (size_t i = 0; i < r->count; i++) {
		if (r->edits[i].found)
			continue;
		if (out->len > 0 && out->data[out->len - 1] != '\n')
			put_text(out, end);
		for (size_t k = 0; k < r->indent; k++)
			wbuf_u8(out, ' ');
		put_text(out, r->changes[i].key);
		put_text(out, ": ");
		put_text(out, r->changes[i].value);
		put_text(out, end);
	}
}

static void write_text(struct wbuf *out, const struct reading *r, const char *text, size_t len)
{
	size_t done = 0, end = byte_of(text, len, r->end);
	size_t i = next_edit(r, 0);

	while (i < r->count) {
		size_t begin = byte_of(text, len, r->edits[i].where.begin);

		wbuf_put(out, text + done, begin - done);
		put_value(out, &r->edits[i], r->changes[i].value);
		done = byte_of(text, len, r->edits[i].where.end);
		i = next_edit(r, r->edits[i].where.begin + 1);
	}
	wbuf_put(out, text + done, MAX_OF(end, done) - done);
	add_missing(out, r, line_end(text, len));
	done = MAX_OF(end, done);
	wbuf_put(out, text + done, len - done);
}

/* ---- the proof ---- */

static bool same_text(const void *a, const void *b)
{
	return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

/* But for where they stand. */
static bool same_event(const yaml_event_t *a, const yaml_event_t *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case YAML_SCALAR_EVENT:
		return a->data.scalar.length == b->data.scalar.length &&
		       memcmp(a->data.scalar.value, b->data.scalar.value, a->data.scalar.length) ==
			       0 &&
		       a->data.scalar.style == b->data.scalar.style &&
		       same_text(a->data.scalar.anchor, b->data.scalar.anchor) &&
		       same_text(a->data.scalar.tag, b->data.scalar.tag);
	case YAML_ALIAS_EVENT:
		return same_text(a->data.alias.anchor, b->data.alias.anchor);
	case YAML_MAPPING_START_EVENT:
		return same_text(a->data.mapping_start.anchor, b->data.mapping_start.anchor) &&
		       same_text(a->data.mapping_start.tag, b->data.mapping_start.tag);
	case YAML_SEQUENCE_START_EVENT:
		return same_text(a->data.sequence_start.anchor, b->data.sequence_start.anchor) &&
		       same_text(a->data.sequence_start.tag, b->data.sequence_start.tag);
	default:
		return true;
	}
}

/* The events of the old text and of the new one, side by side. */
struct proof {
	struct reading old, new;
	yaml_event_t a, b;
	unsigned depth;
	bool at_value;
	size_t wanted; /* at_value: whose value comes; count: nobody's */
	size_t added;  /* how many of the missing keys came */
};

static int step(struct reading *r, yaml_event_t *event, struct err *e)
{
	yaml_event_delete(event);
	*event = (yaml_event_t){ .type = YAML_NO_EVENT };
	return next_event(r, event, e);
}

/* At the end of the old mapping the new one goes on with what was missing. */
static int skip_added(struct proof *p, const struct reading *r, struct err *e)
{
	int n = 0;

	for (size_t i = 0; i < r->count && n == 0; i++) {
		if (r->edits[i].found)
			continue;
		if (!is_scalar(&p->b, r->changes[i].key))
			return -EBADMSG;
		n = step(&p->new, &p->b, e);
		if (n == 0 && !is_scalar(&p->b, r->changes[i].value))
			return -EBADMSG;
		if (n == 0)
			n = step(&p->new, &p->b, e);
	}
	return n;
}

static size_t change_of(const struct reading *r, const yaml_event_t *key)
{
	for (size_t i = 0; i < r->count; i++)
		if (is_scalar(key, r->changes[i].key))
			return i;
	return r->count;
}

/* Compares the pair and says what the next one is. */
static int compare(struct proof *p, const struct reading *r)
{
	bool opens = p->a.type == YAML_MAPPING_START_EVENT ||
		     p->a.type == YAML_SEQUENCE_START_EVENT;
	bool closes = p->a.type == YAML_MAPPING_END_EVENT || p->a.type == YAML_SEQUENCE_END_EVENT;
	bool is_content = opens || p->a.type == YAML_SCALAR_EVENT || p->a.type == YAML_ALIAS_EVENT;

	if (p->depth == 1 && p->at_value && p->wanted < r->count) {
		if (!is_scalar(&p->b, r->changes[p->wanted].value))
			return -EBADMSG;
	} else if (!same_event(&p->a, &p->b)) {
		return -EBADMSG;
	}
	if (p->depth == 1 && is_content && !p->at_value)
		p->wanted = change_of(r, &p->a);
	if (p->depth == 1 && is_content && !opens)
		p->at_value = !p->at_value;
	p->depth += opens;
	p->depth -= closes;
	if (closes && p->depth == 1)
		p->at_value = !p->at_value;
	return 0;
}

static int prove_events(struct proof *p, const struct reading *r, struct err *e)
{
	int n = 0;

	for (bool last = false; n == 0 && !last;) {
		n = step(&p->old, &p->a, e);
		if (n == 0)
			n = step(&p->new, &p->b, e);
		if (n == 0 && p->depth == 1 && p->a.type == YAML_MAPPING_END_EVENT)
			n = skip_added(p, r, e);
		if (n == 0)
			n = compare(p, r);
		last = p->a.type == YAML_STREAM_END_EVENT;
	}
	return n;
}

static int prove(const struct reading *r, const char *text, size_t len, const struct wbuf *out,
		 struct err *e)
{
	struct proof p = { .old = { .path = r->path }, .new = { .path = r->path } };
	int n = start(&p.old, text, len, e);

	if (n < 0)
		return n;
	n = start(&p.new, (const char *)out->data, out->len, e);
	if (n == 0) {
		n = prove_events(&p, r, e);
		yaml_event_delete(&p.a);
		yaml_event_delete(&p.b);
		yaml_parser_delete(&p.new.parser);
	}
	yaml_parser_delete(&p.old.parser);
	if (n < 0 && n != -ENOMEM)
		return err_set(
			e, ERR_USAGE, -EBADMSG,
			"%s cannot be edited without changing more than was asked for: write %s: %s there by hand",
			r->path, r->changes[0].key, r->changes[0].value);
	return n;
}

/* ---- all of it ---- */

static bool is_made_of(const char *text, const char *characters)
{
	return *text && text[strspn(text, characters)] == '\0';
}

static int check_changes(const struct yamledit_change *changes, size_t count, struct err *e)
{
	for (size_t i = 0; i < count; i++) {
		bool good =
			is_made_of(changes[i].key, "abcdefghijklmnopqrstuvwxyz_") &&
			is_made_of(
				changes[i].value,
				"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.,-") &&
			strlen(changes[i].value) <= YAMLEDIT_VALUE_BYTES_MAX &&
			strspn(changes[i].value, ".,-") != strlen(changes[i].value) &&
			changes[i].value[0] != ',';

		for (size_t k = 0; k < i; k++)
			good = good && strcmp(changes[i].key, changes[k].key) != 0;
		if (!good)
			return err_set(e, ERR_USAGE, -EINVAL, "'%s: %.40s' cannot be written",
				       changes[i].key, changes[i].value);
	}
	return count > 0 && count <= YAMLEDIT_CHANGES_MAX
		       ? 0
		       : err_set(e, ERR_USAGE, -EINVAL, "nothing, or too much, is to be changed");
}

int yamledit_text(const char *path, const char *text, size_t len,
		  const struct yamledit_change *changes, size_t count, char **ret_text,
		  size_t *ret_len, struct err *e)
{
	struct edit edits[YAMLEDIT_CHANGES_MAX] = { { .found = false } };
	struct reading r = { .path = path, .changes = changes, .edits = edits, .count = count };
	_cleanup_wbuf_ struct wbuf out;
	int n = check_changes(changes, count, e);

	wbuf_init(&out, NODECONF_BYTES_MAX + YAMLEDIT_CHANGES_MAX * 2 * YAMLEDIT_VALUE_BYTES_MAX);
	if (n == 0 && len > NODECONF_BYTES_MAX)
		n = err_set(e, ERR_USAGE, -EFBIG, "%s is too large", path);
	if (n == 0)
		n = find_values(&r, text, len, e);
	if (n < 0)
		return n;
	write_text(&out, &r, text, len);
	if (wbuf_error(&out))
		return err_nomem(e);
	n = prove(&r, text, len, &out, e);
	if (n < 0)
		return n;
	*ret_len = out.len;
	wbuf_u8(&out, 0);
	if (wbuf_error(&out))
		return err_nomem(e);
	*ret_text = (char *)steal_pointer(&out.data);
	return 0;
}
