/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/roles.h"

#include <string.h>

/* Those of Cassandra 5.0; older ones have the first of them. "permissons" is Cassandra's own. */
static bool holds_roles(const struct cql_statement *s)
{
	static const char *const names[] = {
		"roles",
		"role_members",
		"role_permissions",
		"resource_role_permissons_index",
		"network_permissions",
		"identity_to_role",
		"cidr_permissions",
		"cidr_groups",
	};

	if (s->kind != CQL_TABLE || strcmp(s->keyspace, ROLES_KEYSPACE) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(s->name, names[i]) == 0)
			return true;
	return false;
}

int roles_choose(const struct cql *q, struct schema **ret, struct err *e)
{
	_cleanup_(schema_freep) struct schema *s = calloc(1, sizeof(*s));

	if (s)
		s->items = calloc(q->statement_count + 1, sizeof(*s->items));
	if (!s || !s->items)
		return err_nomem(e);
	s->cql = q;
	for (size_t i = 0; i < q->statement_count; i++) {
		const struct cql_statement *table = &q->statements[i];

		if (holds_roles(table))
			s->items[s->item_count++] = (struct schema_item){ table, table->keyspace,
									  table->name,
									  table->table };
	}
	*ret = steal_pointer(&s);
	return 0;
}
