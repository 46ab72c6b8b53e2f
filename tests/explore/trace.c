/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/explore/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define EVENTS_MAX 4096
#define KEYS_MAX 32768
#define TEXT_BYTES ((size_t)4 * 1024 * 1024)
#define ULID_CHARS 26
#define ULID_TIME_CHARS 10

struct event {
	const struct actor *actor;
	uint64_t thread;
	enum step step;
	bool is_list, changed;
	unsigned key, key_count; /* in keys */
	uint64_t hash;
};

struct key {
	const char *text; /* a prefix, where a listing asked */
	size_t len;
	uint64_t hash;
};

struct trace {
	struct event events[EVENTS_MAX];
	struct key keys[KEYS_MAX];
	char text[TEXT_BYTES];
	unsigned count, key_count;
	size_t text_used;
	uint64_t sum;
	bool print;
	struct trace_pairs pairs;
};

const char *const step_names[STEP_COUNT] = {
	[STEP_W0_FIND] = "W0 find",	[STEP_W1] = "W1 put",
	[STEP_W1_LIST] = "W1 list",	[STEP_W1_GET] = "W1 get",
	[STEP_W2_LIST] = "W2 list",	[STEP_W2_GET] = "W2 get",
	[STEP_W2B_LIST] = "W2b list",	[STEP_W2B_GET] = "W2b get",
	[STEP_W2B_TREE] = "W2b tree",	[STEP_W3] = "W3 put",
	[STEP_W4] = "W4 renew",		[STEP_W5] = "W5 commit",
	[STEP_WX] = "withdraw",		[STEP_C1_RECORDS] = "C1 records",
	[STEP_C1_PINS] = "C1 pins",	[STEP_C1_KEYS] = "C1 keys",
	[STEP_C2] = "C2 put",		[STEP_C3_RECORDS] = "C3 records",
	[STEP_C3_WAITS] = "C3 put",	[STEP_C4_RECORDS] = "C4 records",
	[STEP_C4_PINS] = "C4 pins",	[STEP_C4_AGAIN] = "C4 again",
	[STEP_C4_DELETE] = "C4 delete", [STEP_C4_WAITS] = "C4 waits",
	[STEP_C4_LIST] = "C4 list",	[STEP_C_LISTS] = "C lists",
	[STEP_C_TREE] = "C trees",	[STEP_C_FENCE] = "C fence",
	[STEP_C_END] = "C ends",	[STEP_R_PIN] = "R pin",
	[STEP_R_CHECK] = "R check",	[STEP_R_READ] = "R read",
	[STEP_R_RENEW] = "R renew",	[STEP_R_END] = "R end",
	[STEP_D_READ] = "D read",	[STEP_D_WRITE] = "D write",
	[STEP_OTHER] = "other",
};

struct trace *trace_new(void)
{
	return calloc(1, sizeof(struct trace));
}

void trace_free(struct trace *t)
{
	free(t);
}

void trace_reset(struct trace *t, bool print)
{
	t->count = t->key_count = 0;
	t->text_used = 0;
	t->sum = 0;
	t->print = print;
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* Of a key without the times in its ULIDs: what is left of these depends on who drew them and as which of his only. */
static uint64_t hash_key(const char *text)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	while (*text) {
		size_t len = strcspn(text, "/.");

		if (len == ULID_CHARS) {
			text += ULID_TIME_CHARS;
			len -= ULID_TIME_CHARS;
		}
		len += text[len] != '\0';
		for (size_t i = 0; i < len; i++)
			h = (h ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
		text += len;
	}
	return mix(h);
}

static void add_key(struct trace *t, const char *text)
{
	size_t len = strlen(text);

	if (t->key_count == KEYS_MAX || t->text_used + len + 1 > TEXT_BYTES)
		return;
	memcpy(t->text + t->text_used, text, len + 1);
	t->keys[t->key_count++] = (struct key){ t->text + t->text_used, len, hash_key(text) };
	t->text_used += len + 1;
}

static bool share_key(const struct trace *t, const struct event *a, const struct event *b)
{
	if (a->is_list && b->is_list)
		return false;
	if (a->is_list)
		return share_key(t, b, a);
	for (unsigned i = a->key; i < a->key + a->key_count; i++) {
		for (unsigned j = b->key; j < b->key + b->key_count; j++) {
			if (b->is_list
				    ? strncmp(t->keys[i].text, t->keys[j].text, t->keys[j].len) == 0
				    : t->keys[i].hash == t->keys[j].hash)
				return true;
		}
	}
	return false;
}

/* Both reading: their order makes no difference. */
static bool depend(const struct trace *t, const struct event *a, const struct event *b)
{
	return (a->changed || b->changed) && share_key(t, a, b);
}

static void note_pair(struct trace *t, const struct event *now)
{
	enum role other = now->actor->role == ROLE_BACKUP ? ROLE_COLLECT : ROLE_BACKUP;

	if (now->actor->role != ROLE_BACKUP && now->actor->role != ROLE_COLLECT)
		return;
	for (unsigned i = t->count; i-- > 0;) {
		const struct event *was = &t->events[i];

		if (was->actor->role != other || !depend(t, was, now))
			continue;
		if (other == ROLE_COLLECT)
			t->pairs.count[1][now->step][was->step]++;
		else
			t->pairs.count[0][was->step][now->step]++;
		return;
	}
}

static void print_event(const struct trace *t, const struct request *q)
{
	const char *key = strstr(q->keys[0], "/n1/");

	if (!t->print)
		return;
	printf("%4u  %-9s %-10s %-6s %s", t->count, q->actor->name, step_names[q->step],
	       (const char *const[]){ "PUT", "GET", "HEAD", "LIST", "DELETE" }[q->op],
	       key ? key + 4 : q->keys[0]);
	if (q->key_count > 1)
		printf(" and %zu more", q->key_count - 1);
	printf("  %s\n", q->outcome);
	for (size_t i = 1; i < q->key_count; i++)
		printf("%42s%s\n", "", strstr(q->keys[i], "/n1/") + 4);
}

void trace_add(struct trace *t, const struct request *q)
{
	struct event *n = &t->events[t->count];
	uint64_t before = 0, h;

	print_event(t, q);
	if (t->count == EVENTS_MAX)
		return;
	*n = (struct event){ .actor = q->actor,
			     .thread = green_serial(q->thread),
			     .step = q->step,
			     .is_list = q->op == OP_LIST,
			     .changed = q->changed,
			     .key = t->key_count };
	for (size_t i = 0; i < q->key_count; i++)
		add_key(t, q->keys[i]);
	n->key_count = t->key_count - n->key;
	note_pair(t, n);
	h = mix((uint64_t)(n->actor->group + 1) << 32 | (uint64_t)n->step << 16 |
		(uint64_t)q->op << 8 | (uint64_t)q->verdict << 4 | (uint64_t)n->changed);
	for (unsigned i = n->key; i < t->key_count; i++)
		h += t->keys[i].hash;
	for (unsigned i = t->count; i-- > 0;) {
		const struct event *was = &t->events[i];

		if (was->actor == n->actor ? was->thread == n->thread : depend(t, was, n))
			before += mix(was->hash);
	}
	n->hash = mix(h ^ mix(before));
	t->sum += n->hash;
	t->count++;
}

void trace_note(struct trace *t, const char *fmt, ...)
{
	va_list args;

	if (!t->print)
		return;
	va_start(args, fmt);
	printf("      ");
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
}

uint64_t trace_hash(const struct trace *t)
{
	return t->sum;
}

size_t trace_length(const struct trace *t)
{
	return t->count;
}

/* ---- the table ---- */

const struct trace_pairs *trace_pairs(const struct trace *t)
{
	return &t->pairs;
}

static bool is_used(const struct trace_pairs *p, int column)
{
	for (int row = 0; row < STEP_COUNT; row++)
		if (p->count[0][row][column] || p->count[1][row][column])
			return true;
	return false;
}

static void print_row(const struct trace_pairs *p, int row)
{
	for (int before = 0; before < 2; before++) {
		bool any = false;

		for (int c = 0; c < STEP_COUNT; c++)
			any = any || p->count[before][row][c];
		if (!any)
			continue;
		printf("%-10s %-6s", step_names[row], before ? "after" : "before");
		for (int c = 0; c < STEP_COUNT; c++)
			if (is_used(p, c))
				printf(" %10u", p->count[before][row][c]);
		printf("\n");
	}
}

void trace_print_pairs(const struct trace_pairs *p)
{
	printf("%-17s", "");
	for (int c = 0; c < STEP_COUNT; c++)
		if (is_used(p, c))
			printf(" %10s", step_names[c]);
	printf("\n");
	for (int row = 0; row < STEP_COUNT; row++)
		print_row(p, row);
}
