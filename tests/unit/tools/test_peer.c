/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of a program beside us that are longer than any may be: refused, or passed on in pieces that cut no word. */
#include <criterion/criterion.h>
#include "cassandra/loader.h"
#include "tools/peer.h"

#define NAMES 60000
#define LIST                                                                                            \
	"printf 'before\\nStreaming relevant part of '; "                                               \
	"seq -f '/mounts/n1/cluster/nodes/n1/b/data/ks/t-1/nb-%.0f-big-Data.db' 60000 | tr '\\n' ' '; " \
	"echo 'to [/127.0.0.1:7000]'; echo '   Total files transferred : 8'"

struct heard {
	struct loader_said said;
	unsigned lines;
};

static void hear(void *ctx, bool errors, char *line)
{
	struct heard *h = ctx;

	(void)errors;
	h->lines++;
	loader_hear(&h->said, line);
}

/* What peer_read says at last. */
static int run(bool pieces, struct heard *ret)
{
	static const char *const words[] = { "sh", "-c", LIST, NULL };
	_cleanup_(peer_freep) struct peer *p = NULL;
	struct pollfd fds[2];
	struct err e = ERR_INIT;
	int status, r = peer_start((char *const *)(size_t)words, &p, &e);

	cr_assert_eq(r, 0, "%s", e.message);
	if (pieces)
		peer_take_pieces(p);
	while (r == 0 && !peer_ended(p, &status, hear, ret)) {
		peer_fds(p, fds);
		(void)poll(fds, 2, 20);
		r = peer_read(p, hear, ret);
	}
	return r;
}

Test(peer, too_long_a_line_is_refused)
{
	struct heard heard = { .lines = 0 };

	cr_expect_eq(run(false, &heard), -E2BIG);
}

Test(peer, too_long_a_line_is_passed_on_in_pieces_that_cut_no_word)
{
	struct heard heard = { .lines = 0 };

	cr_expect_eq(run(true, &heard), 0);
	cr_expect_gt(heard.lines, 3);
	cr_expect_eq(heard.said.named, NAMES, "%llu", (unsigned long long)heard.said.named);
	cr_expect(!heard.said.listing);
	cr_expect(heard.said.summed_up);
}
