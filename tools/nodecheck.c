/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "cassandra/compressors.h"
#include "cassandra/nodetokens.h"
#include "cassandra/placepath.h"
#include "catalog/wholefile.h"
#include "tools/nodecheck_state.h"
#include "tools/nodespace.h"

_printf_(2, 0) static void say(json_t *list, const char *fmt, va_list ap)
{
	_cleanup_free_ char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0) {
		text = NULL;
		return;
	}
	json_array_append_new(list, json_text(util_one_line(text)));
}

void nodecheck_refuse(struct nodechecking *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(c->k->refusals, fmt, ap);
	va_end(ap);
}

void nodecheck_note(struct nodechecking *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(c->k->notes, fmt, ap);
	va_end(ap);
}

static void check_auth(struct nodechecking *c)
{
	const struct nodejournal *j = c->k->journal;

	for (size_t i = 0; i < j->place_count && j->places[i].data; i++) {
		_cleanup_free_ char *path = util_printf("%s/system_auth", j->places[i].path);

		if (path && access(path, F_OK) == 0)
			return;
	}
	nodecheck_refuse(
		c, "--keep-auth: this node has no system_auth that could be kept; leave it out");
}

/* ---- another node's tokens ---- */

/* The file itself, where cassandra.yaml is a symbolic link to it: the link stays. Whoever else than root made it lead there must own what root then edits. */
static int check_edit(struct nodechecking *c, struct err *e)
{
	struct nodejournal *j = c->k->journal;
	struct err why = ERR_INIT;
	struct nodetokens_edit edit;
	char *real = NULL;
	struct stat st;
	int r = placepath_find(c->ask->yaml, &real, &st, &why);

	if (r == -ENOMEM)
		return err_nomem(e);
	if (r < 0) {
		nodecheck_refuse(c, "%s", r == -ENOENT ? strerrordesc_np(-r) : why.message);
		return 0;
	}
	free(j->yaml);
	j->yaml = real;
	nodetokens_edit(&edit, j->tokens);
	if (yamledit_check(j->yaml, edit.changes, ARRAY_SIZE(edit.changes), &why) < 0)
		nodecheck_refuse(c, "%s", why.message);
	return 0;
}

static int check_remote(struct nodechecking *c, struct err *e)
{
	struct nodejournal *j = c->k->journal;
	const struct record *rec = c->rec;
	int r;

	if (rec->token_count == 0) {
		nodecheck_refuse(
			c,
			"the backup does not say which tokens its node had (it was made without a running Cassandra): --remote needs them; load it with sstableloader");
		return 0;
	}
	free(j->tokens);
	j->tokens = nodetokens_join(rec->tokens, rec->token_count);
	if (!j->tokens)
		return err_nomem(e);
	r = check_edit(c, e);
	if (r < 0)
		return r;
	nodecheck_note(
		c,
		"the node gets %zu tokens of another, a host id of its own, and the schema of the backup: every node of this cluster must be restored in the same way, all must be stopped before the first starts, and seeds start first; one that is alive knows this address by another host id, and Cassandra does not start beside it",
		rec->token_count);
	if (c->wish->keep_auth)
		nodecheck_note(
			c,
			"--keep-auth: roles stay where they were while the tokens change: run nodetool repair system_auth afterwards");
	else
		nodecheck_note(
			c,
			"roles and passwords come from the backup: those of this cluster are no longer valid (--keep-auth keeps them)");
	return 0;
}

/* ---- whose password is asked for afterwards ---- */

static void note_login(struct nodechecking *c)
{
	const struct nodeconf *y = c->conf;
	const char *file = c->ask->cqlsh.credentials_file;
	const char *class = *y->authenticator ? y->authenticator : y->authenticator_class;
	bool asks = *class && !strstr(class, "AllowAllAuthenticator");

	if (c->wish->keep_auth || (!file && !asks))
		return;
	nodecheck_note(
		c,
		"roles and passwords are the backup's afterwards: %s must hold a login of the backup, else the check after the start fails",
		file ? file : "the file that cql_credentials_file under [cassandra] names");
}

/* ---- cassandra.yaml and the backup ---- */

static void check_partitioner(struct nodechecking *c)
{
	const char *ours = strrchr(c->conf->partitioner, '.');
	const char *its = strrchr(c->rec->partitioner, '.');

	ours = ours ? ours + 1 : c->conf->partitioner;
	its = its ? its + 1 : c->rec->partitioner;
	if (*ours && *its && strcmp(ours, its) != 0)
		nodecheck_refuse(
			c,
			"the backup's partitioner is %s and that of %s is %s: its rows cannot be read with it",
			its, c->ask->yaml, ours);
}

/* Without num_tokens Cassandra has one token. */
static void check_token_count(struct nodechecking *c)
{
	const struct record *rec = c->rec;
	const char *ours = *c->conf->num_tokens ? c->conf->num_tokens : "1";

	if (rec->token_count > 0 && strtoul(ours, NULL, 10) != rec->token_count)
		nodecheck_refuse(
			c,
			"the backup's node has %zu tokens and num_tokens in %s is %s%s: Cassandra would not start; set num_tokens: %zu",
			rec->token_count, c->ask->yaml, ours,
			*c->conf->num_tokens ? "" : ", as it is not there", rec->token_count);
}

static bool is_true(const char *value)
{
	static const char *const words[] = { "true", "yes", "on", "y" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(value, words[i]) == 0)
			return true;
	return false;
}

/* What Cassandra 5.0 writes in no mode but UPGRADING and NONE it does not read in another either. */
static void check_formats(struct nodechecking *c)
{
	const char *mode = c->conf->compatibility_mode;
	const struct record *rec = c->rec;

	for (size_t i = 0; i < rec->sstable_version_count; i++) {
		const char *version = rec->sstable_versions[i];

		if (!strchr("od", version[0]) || (*mode && strcasecmp(mode, "CASSANDRA_4") != 0))
			continue;
		nodecheck_refuse(
			c,
			"the backup has SSTables of version %s, which Cassandra reads only with storage_compatibility_mode: %s; set it in %s",
			version, *rec->compatibility_mode ? rec->compatibility_mode : "UPGRADING",
			c->ask->yaml);
		break;
	}
	for (size_t i = 0; i < rec->id_kind_count; i++)
		if (strcmp(rec->id_kinds[i], "uuid") == 0 && !is_true(c->conf->uuid_ids))
			nodecheck_refuse(
				c,
				"the backup has SSTables whose names are UUIDs: set uuid_sstable_identifiers_enabled: true in %s, else Cassandra does not start",
				c->ask->yaml);
}

/* ---- encryption ---- */

static void check_keystore(struct nodechecking *c, const char *options, const char *path)
{
	if (path[0] == '/' && access(path, F_OK) < 0)
		nodecheck_refuse(c, "%s of %s names the keystore %s: %s; Cassandra would not start",
				 options, c->ask->yaml, path, strerrordesc_np(errno));
}

static void check_encryption(struct nodechecking *c)
{
	const struct nodeconf *y = c->conf;

	if (*y->internode_encryption && strcasecmp(y->internode_encryption, "none") != 0)
		check_keystore(c, "server_encryption_options", y->internode_keystore);
	if (is_true(y->client_tls)) {
		check_keystore(c, "client_encryption_options", y->client_keystore);
		if (!is_true(y->client_tls_optional) && !c->ask->cqlsh.ssl)
			nodecheck_note(
				c,
				"this node takes CQL by TLS alone: where cqlshrc does not say so, set cql_ssl = yes under [cassandra], else the check after its start fails");
	}
	if (is_true(y->data_encryption))
		nodecheck_note(
			c,
			"commit logs and hints of this node are encrypted: they are emptied, and the backup holds none, so that no key of the backup's time is needed; SSTables are as the backup has them");
}

/* ---- what the backup holds ---- */

static int take_table(void *ctx, const char *keyspace, const char *directory, struct err *e)
{
	struct nodechecking *c = ctx;
	const char *dash = strrchr(directory, '-');
	size_t len = dash ? (size_t)(dash - directory) : strlen(directory);
	_cleanup_free_ char *name = util_printf("%s.%.*s", keyspace, (int)len, directory);

	if (!name)
		return err_nomem(e);
	c->has_local |= strcmp(name, "system.local") == 0;
	c->has_tables |= strcmp(name, "system_schema.tables") == 0;
	if (c->wish->only_count > 0 && c->k->facts && !facts_has_table(c->k->facts, name))
		nodecheck_refuse(
			c,
			"this node has no table %s: make it first (sstablefs schema %s --only %s | cqlsh)",
			name, c->rec->backup, name);
	return 0;
}

static int take_full(void *ctx, const struct nodespace_use *use, struct err *e)
{
	struct nodechecking *c = ctx;
	char need[32], have[32], kept[32];
	_cleanup_free_ char *reserve =
		use->reserve_bytes == 0 ? strdup("")
					: util_printf(", of which %s must stay free for Cassandra",
						      util_format_bytes(kept, use->reserve_bytes));

	if (!reserve)
		return err_nomem(e);

	nodecheck_refuse(
		c, "%s of the backup come to the file system of %s, which has %s %s%s; %s",
		util_format_bytes(need, use->need_bytes), use->path,
		util_format_bytes(have, use->free_bytes),
		c->wish->no_stage ? "even without what is there now" : "free", reserve,
		c->wish->no_stage || c->wish->only_count > 0
			? "free some space"
			: "what is there now stays until restore-node --finish, so both must fit: free some space, or see --no-stage");
	return 0;
}

static int check_contents(struct nodechecking *c, struct session *s, struct err *e)
{
	const struct nodespace told = { take_table, take_full, c };
	const struct restore_options o = { .repo = s->repo,
					   .source = s->source,
					   .meta = s->meta,
					   .record = c->rec,
					   .cancel = &c->cli->cancel };
	int r = c->k->journal->place_count > 0 ? nodespace_run(c->k->journal, &o, &told, e) : 0;

	if (r == 0 && c->wish->only_count == 0 && c->k->journal->place_count > 0 &&
	    (!c->has_tables || (!c->has_local && !c->wish->remote)))
		nodecheck_refuse(
			c,
			"the backup does not hold the node's own system tables (it was made with --only?): a whole node cannot be made of it; bring its tables back with --only");
	return r;
}

/* ---- compressors ---- */

struct naming {
	struct nodechecking *c;
	char told[COMPRESSORS_CLASS_MAX +
		  1]; /* the class that was named last: not for each table again */
};

static bool is_wished(const struct nodechecking *c, const struct cql_statement *t)
{
	size_t len = strlen(t->keyspace);

	for (size_t i = 0; i < c->wish->only_count; i++) {
		const char *only = c->wish->only[i];

		if (strncmp(only, t->keyspace, len) == 0 &&
		    (!only[len] || (only[len] == '.' && strcmp(only + len + 1, t->name) == 0)))
			return true;
	}
	return c->wish->only_count == 0;
}

static int name_compressor(void *ctx, const struct cql_statement *t, const char *class_name,
			   struct err *e)
{
	struct naming *n = ctx;

	if (!is_wished(n->c, t) || strcmp(n->told, class_name) == 0)
		return 0;
	snprintf(n->told, sizeof(n->told), "%s", class_name);
	nodecheck_note(
		n->c,
		"%s.%s is compressed by %s, which is none of Cassandra's own: where this node has not its class, it cannot read the SSTables; install it first",
		t->keyspace, t->name, class_name);
	return 0;
}

/* By the schema that the backup holds, as the SSTables say it only in files of their own. A backup without one, or with one that is not understood, is none the worse. */
static int check_compressors(struct nodechecking *c, struct session *s, struct err *e)
{
	_cleanup_(cql_freep) struct cql *q = NULL;
	_cleanup_free_ char *text = NULL;
	struct naming n = { .c = c };
	struct err why = ERR_INIT;
	size_t len;
	int r = wholefile_read(s->meta, s->source, c->rec, "schema.cql", CQL_TEXT_MAX, &text, &len,
			       &c->cli->cancel, &why);

	if (r == 0)
		r = cql_read(text, len, &q, &why);
	if (r < 0)
		nodecheck_note(c, "the backup's schema cannot be read: %s", why.message);
	return r == 0 ? compressors_foreign(q, name_compressor, &n, e) : 0;
}

/* ---- all ---- */

static int begin(struct nodecheck *k, const struct record *rec, const struct nodecheck_wish *wish)
{
	struct nodejournal *j = nodejournal_new();
	int r = 0;

	*k = (struct nodecheck){ .refusals = json_array(), .notes = json_array(), .journal = j };
	if (!j || !k->refusals || !k->notes)
		return -ENOMEM;
	j->cluster = strdup(rec->where.cluster);
	j->node = strdup(rec->where.node);
	j->backup = strdup(rec->backup);
	j->host_id = strdup(wish->remote ? "" : rec->host_id);
	ulid_format(j->writer, &rec->writer);
	j->keep_auth = wish->keep_auth;
	j->no_stage = wish->no_stage;
	for (size_t i = 0; i < wish->only_count && r == 0; i++)
		r = nodejournal_add_only(j, wish->only[i], NULL);
	return r == 0 && j->cluster && j->node && j->backup && j->host_id ? 0 : -ENOMEM;
}

/* What concerns the whole node alone. */
static int check_whole(struct nodechecking *c, struct err *e)
{
	int r = c->wish->remote ? check_remote(c, e) : 0;

	if (c->wish->no_stage)
		nodecheck_note(
			c,
			"--no-stage: the node is down while the backup is fetched, and once its data are removed there is no way back but to end the restore");
	if (c->wish->keep_auth)
		check_auth(c);
	if (!c->wish->remote)
		check_token_count(c);
	check_encryption(c);
	note_login(c);
	nodecheck_node(c);
	return r;
}

static void check_only(struct nodechecking *c)
{
	for (size_t i = 0; i < c->wish->only_count; i++) {
		const char *name = c->wish->only[i];
		size_t len = strcspn(name, ".");

		if ((len == 6 && memcmp(name, "system", len) == 0) ||
		    (len == 13 && memcmp(name, "system_schema", len) == 0))
			nodecheck_refuse(
				c,
				"--only %s: Cassandra's own %.*s cannot be replaced while it runs; restore the whole node",
				name, (int)len, name);
	}
	nodecheck_note(
		c,
		"what the tables hold now stays, and the backup's rows come beside it: where they are to be exactly as they were, TRUNCATE them first");
	nodecheck_importer(c);
}

static int run(struct nodechecking *c, struct session *s, struct err *e)
{
	int r = nodecheck_places(c, e);

	if (r < 0)
		return r;
	nodecheck_cluster(c, s);
	check_partitioner(c);
	check_formats(c);
	if (c->wish->only_count > 0)
		check_only(c);
	else
		r = check_whole(c, e);
	if (r == 0)
		r = check_contents(c, s, e);
	return r < 0 ? r : check_compressors(c, s, e);
}

int nodecheck_run(struct cli *cli, const struct asknode *ask, struct session *s,
		  const struct record *rec, const struct nodecheck_wish *wish,
		  struct nodecheck *ret, struct err *e)
{
	struct nodechecking c = {
		.cli = cli, .ask = ask, .conf = ask->conf, .rec = rec, .wish = wish, .k = ret
	};
	int r = begin(ret, rec, wish);

	if (r < 0)
		return err_nomem(e);
	if (!ask->conf) {
		nodecheck_refuse(&c, "%s: name cassandra.yaml with yaml = under [cassandra]",
				 ask->conf_error.message);
		return 0;
	}
	if (ask->conf->unfollowed) {
		nodecheck_refuse(&c, "%s", ask->conf->unfollowed);
		return 0;
	}
	return run(&c, s, e);
}

void nodecheck_deinit(struct nodecheck *k)
{
	json_decref(k->refusals);
	json_decref(k->notes);
	nodejournal_free(k->journal);
	if (k->facts)
		facts_free(k->facts);
	*k = (struct nodecheck){ .journal = NULL };
}
