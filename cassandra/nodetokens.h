/* SPDX-License-Identifier: Apache-2.0 */
/* A node's tokens as cassandra.yaml has them: parted by commas. All pure. */
#ifndef SSTABLEFS_CASSANDRA_NODETOKENS_H
#define SSTABLEFS_CASSANDRA_NODETOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include "cassandra/yamledit.h"

/* A new string; NULL: out of memory. */
char *nodetokens_join(char *const *tokens, size_t count);
/* Whether they are the same, in whatever order. */
bool nodetokens_same(const char *a, const char *b);

struct nodetokens_edit {
	struct yamledit_change changes[3];
	char number[24]; /* a change points at it */
};
/* What a node that takes these tokens over has in cassandra.yaml: initial_token, num_tokens, auto_bootstrap. `tokens` is borrowed. */
void nodetokens_edit(struct nodetokens_edit *ret, const char *tokens);

#endif
