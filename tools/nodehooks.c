/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/nodehooks.h"

#include <stdio.h>
#include <string.h>
#include "tools/hooks.h"

const char *nodehooks_phase(enum nodejournal_step s)
{
	switch (s) {
	case NODEJOURNAL_FETCH:
		return "fetch";
	case NODEJOURNAL_CHECK:
		return "check";
	case NODEJOURNAL_IMPORT:
		return "load";
	default:
		return "exchange";
	}
}

static struct hooks_about about(const struct nodehooks *h)
{
	return (struct hooks_about){ h->phase, h->journal->cluster, h->journal->node,
				     h->journal->backup };
}

int nodehooks_before(struct nodehooks *h, enum nodejournal_step s, struct err *e)
{
	struct hooks_about a;
	int r;

	if (h->phase && strcmp(h->phase, nodehooks_phase(s)) == 0)
		return 0;
	h->phase = nodehooks_phase(s);
	a = about(h);
	r = hooks_before(h->cli, &a, e);
	if (r < 0)
		h->phase = NULL;
	return r;
}

/* The step after it that this restore has; NODEJOURNAL_STEPS: none. */
static unsigned next_step(const struct nodejournal *j, unsigned s)
{
	do
		s++;
	while (s < NODEJOURNAL_STEPS && !nodejournal_has(j, s));
	return s;
}

int nodehooks_after(struct nodehooks *h, enum nodejournal_step s, int r, struct err *e)
{
	const struct hooks_about a = about(h);
	unsigned next = next_step(h->journal, s);
	struct err why = ERR_INIT;
	int ended;

	if (!h->phase)
		return r;
	if (r == 0 && next < NODEJOURNAL_STEPS && strcmp(nodehooks_phase(next), h->phase) == 0)
		return 0;
	h->phase = NULL;
	if (r < 0)
		return hooks_after(h->cli, &a, r, e);
	ended = hooks_after(h->cli, &a, r, &why);
	if (ended < 0 && next < NODEJOURNAL_STEPS) {
		*e = why;
		return ended;
	}
	if (ended < 0) {
		h->warned = true;
		fprintf(stderr, "sstablefs: %s: the restore is done, but %s\n", h->cli->command,
			why.message);
	}
	return 0;
}
