/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "cassandra/nodetokens.h"
#include "tools/nodecheck_state.h"
#include "tools/nodecommand.h"

#define IMPORT_VERSION 4000 /* the first that has nodetool import */

static bool same_tokens(const struct record *rec, const struct facts *f)
{
	_cleanup_free_ char *its = nodetokens_join(rec->tokens, rec->token_count);
	_cleanup_free_ char *ours = nodetokens_join(f->tokens, f->token_count);

	return its && ours && nodetokens_same(its, ours);
}

static void check_version(struct nodechecking *c, const struct facts *f)
{
	const struct record *rec = c->rec;
	unsigned ours = facts_release(f->version), its = facts_release(rec->cassandra_version);

	if (ours && its && ours < its)
		nodecheck_refuse(
			c,
			"the backup was made by Cassandra %s and this node has %s, which does not read newer data: install %s",
			rec->cassandra_version, f->version, rec->cassandra_version);
	if (ours && its && ours > its && c->wish->only_count == 0)
		nodecheck_note(
			c,
			"the backup was made by Cassandra %s and this node has %s: the start is an upgrade; run nodetool upgradesstables afterwards",
			rec->cassandra_version, f->version);
	if (c->wish->only_count > 0 && ours && ours < IMPORT_VERSION)
		nodecheck_refuse(
			c,
			"Cassandra %s has no nodetool import, by which --only brings tables back: copy them in and run nodetool refresh (docs/restore.md)",
			f->version);
}

static void check_place(struct nodechecking *c, const struct facts *f)
{
	const struct record *rec = c->rec;
	bool remote = c->wish->remote;

	if (*rec->dc && *f->dc && strcmp(rec->dc, f->dc) != 0)
		nodecheck_refuse(
			c,
			"the backup's node is in data centre %s and this one in %s: %s; correct the snitch's properties, or take this node's own backup",
			rec->dc, f->dc,
			remote ? "keyspaces whose replication names the first would have no replica here"
			       : "Cassandra would not start");
	if (!*rec->rack || !*f->rack || strcmp(rec->rack, f->rack) == 0)
		return;
	if (remote)
		nodecheck_note(
			c,
			"the backup's node is in rack %s and this one in %s: replicas are where they were only where all nodes of a rack come into one rack",
			rec->rack, f->rack);
	else
		nodecheck_refuse(
			c,
			"the backup's node is in rack %s and this one in %s: Cassandra would not start; correct the snitch's properties, or take this node's own backup",
			rec->rack, f->rack);
}

/* A second node with its tokens, in the cluster that it is in. */
static void check_source_alive(struct nodechecking *c, const struct facts *f)
{
	for (size_t i = 0; i < f->member_count; i++)
		if (*c->rec->host_id && f->members[i].status == 'U' &&
		    strcasecmp(f->members[i].host_id, c->rec->host_id) == 0 &&
		    strcasecmp(f->host_id, c->rec->host_id) != 0)
			nodecheck_refuse(
				c,
				"the backup's node (%s) is up in this cluster, as %s: two nodes cannot have the same tokens; restore it there with --in-place",
				c->rec->host_id, f->members[i].address);
}

static void check_facts(struct nodechecking *c, const struct facts *f)
{
	const struct record *rec = c->rec;

	check_version(c, f);
	if (c->wish->only_count == 0)
		check_place(c, f);
	if (c->wish->remote) {
		check_source_alive(c, f);
		return;
	}
	if (rec->token_count > 0 && f->token_count > 0 && f->member_count > 1 &&
	    !same_tokens(rec, f))
		nodecheck_refuse(
			c,
			"this node has other tokens than the backup, and the cluster has %zu nodes: %s; take this node's own backup",
			f->member_count,
			c->wish->only_count > 0
				? "it would not take rows that belong to others"
				: "--in-place is for the same node, or one in its place with its tokens");
	if (f->member_count > 1)
		nodecheck_note(
			c,
			"the cluster has %zu nodes: run nodetool repair afterwards; deletions made since the backup come back if they are older than gc_grace_seconds",
			f->member_count);
}

/* By which the restored node is to be checked. One that is out of order may be the reason for the restore. */
static void check_cqlsh(struct nodechecking *c, const struct facts *f)
{
	const struct cqlsh cqlsh = asknode_cqlsh(c->ask, f->address);
	_cleanup_free_ char *id = NULL;
	struct err why = ERR_INIT;

	if (cqlsh_value(&cqlsh, "SELECT JSON host_id AS value FROM system.local", &id, &why) < 0)
		nodecheck_note(
			c,
			"the running Cassandra does not answer CQL; where that is not its fault, the check after its start will fail (see cql_host and cql_credentials_file under [cassandra]): %s",
			why.message);
}

static void check_programs(struct nodechecking *c)
{
	struct err why = ERR_INIT;

	if (nodecommand_check(c->cli, NODECOMMAND_STOP, &why) < 0)
		nodecheck_refuse(c, "%s", why.message);
	if (nodecommand_check(c->cli, NODECOMMAND_START, &why) < 0)
		nodecheck_refuse(c, "%s", why.message);
	if (!nodecommand_exists(c->ask->cqlsh.program))
		nodecheck_refuse(
			c,
			"there is no %s, by which the restored node is checked: name it with cqlsh = under [cassandra] of the configuration",
			c->ask->cqlsh.program);
}

/* One cqlsh tells what is compared, and that the check at the end will be answered; but not who of the others is up, which --remote wants to know. */
static bool knows_by_cql(struct nodechecking *c)
{
	struct err ignored = ERR_INIT;

	return c->k->running && !c->wish->remote &&
	       asknode_facts_by_cql(c->ask, false, &c->k->facts, &ignored) == 0;
}

static void check_own_directory(struct nodechecking *c)
{
	struct err why = ERR_INIT;

	if (nodecommand_check_own(c->k->journal, &why) < 0)
		nodecheck_refuse(c, "%s", why.message);
}

/* What would be refused of a node that answers is refused here as well, as far as its disk tells it. */
static void check_still(struct nodechecking *c, const char *users, const char *reason)
{
	_cleanup_free_ char *why =
		*users ? util_printf("the running Cassandra (%s) cannot be asked (%s)", users,
				     reason)
		       : util_printf("Cassandra does not run here (%s)", reason);
	_cleanup_(facts_freep) struct facts *f = why ? nodecheck_still(c, why) : NULL;

	if (f)
		check_facts(c, f);
}

void nodecheck_node(struct nodechecking *c)
{
	char users[NODECOMMAND_USERS_BYTES];
	struct err why = ERR_INIT;
	bool by_cql;
	int r;

	nodecommand_users(c->k->journal, users);
	c->k->running = *users;
	check_programs(c);
	check_own_directory(c);
	by_cql = knows_by_cql(c);
	r = by_cql ? 0 : asknode_facts(c->ask, false, &c->k->facts, &why);
	if (!c->k->running && r == 0)
		nodecheck_refuse(
			c,
			"a Cassandra answers nodetool, but no process is seen that uses this node's directories: run restore-node on the machine it runs on, where its processes are seen, or see jmx_host and yaml under [cassandra]");
	else if (r < 0)
		check_still(c, users, why.message);
	else
		check_facts(c, c->k->facts);
	if (c->k->running && r == 0 && !by_cql)
		check_cqlsh(c, c->k->facts);
}

/* --only: the node that is to take the tables. */
void nodecheck_importer(struct nodechecking *c)
{
	struct err why = ERR_INIT;
	char users[NODECOMMAND_USERS_BYTES];
	bool here = nodecommand_users(c->k->journal, users);

	c->k->running = *users;
	if (asknode_facts(c->ask, true, &c->k->facts, &why) < 0)
		nodecheck_refuse(
			c, "--only hands tables to a node that runs, and it cannot be asked: %s",
			why.message);
	else if (!c->k->running)
		nodecheck_refuse(
			c,
			"a Cassandra answers nodetool, but no process is seen that uses this node's directories: run restore-node on the machine it runs on, where its processes are seen, or see jmx_host and yaml under [cassandra]");
	else if (!here)
		nodecheck_refuse(
			c,
			"Cassandra (%s) has this node's directories at other paths, as in a container, and could not find what it is to import: run restore-node --only where it runs",
			users);
	else
		check_facts(c, c->k->facts);
}
