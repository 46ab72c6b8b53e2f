/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "cassandra/installed.h"
#include "cassandra/snitch.h"
#include "tools/nodecheck_state.h"
#include "tools/nodecommand.h"

/* The rest of a sentence; "": it is not known, of which there is a note. */
static char *find_version(struct nodechecking *c, struct facts *f)
{
	const char *program = c->ask->nodetool.program, *its = c->rec->cassandra_version;
	_cleanup_free_ char *file = nodecommand_find(program), *jar = NULL, *version = NULL;
	struct err why = ERR_INIT;
	int r = file ? installed_find(file, &version, &jar, &why)
		     : err_set(&why, ERR_NOT_FOUND, -ENOENT, "there is no %s", program);

	if (r < 0) {
		nodecheck_note(
			c,
			"the version of the Cassandra that is installed here is not compared with the backup's (%s): %s; let nodetool = under [cassandra] name the program of the installation itself",
			*its ? its : "not known", why.message);
		return strdup("");
	}
	free(f->version);
	f->version = steal_pointer(&version);
	return util_printf("; its version is, as %s (%s)", f->version, jar);
}

static char *find_place(struct nodechecking *c, struct facts *f)
{
	const struct record *rec = c->rec;
	_cleanup_free_ char *source = NULL;
	struct err why = ERR_INIT;

	if (snitch_find(c->conf->snitch, c->ask->yaml, f, &source, &why) < 0) {
		nodecheck_note(
			c,
			"the data centre and rack of this node are not compared with the backup's (%s, %s): %s",
			*rec->dc ? rec->dc : "not known", *rec->rack ? rec->rack : "not known",
			why.message);
		return strdup("");
	}
	return util_printf("; its data centre and rack are, as %s and %s (%s)", f->dc, f->rack,
			   source);
}

struct facts *nodecheck_still(struct nodechecking *c, const char *why)
{
	_cleanup_(facts_freep) struct facts *f = facts_new();
	_cleanup_free_ char *version = f ? find_version(c, f) : NULL;
	_cleanup_free_ char *place = version ? find_place(c, f) : NULL;

	if (!place)
		return NULL;
	nodecheck_note(c, "%s: %s%s%s", why,
		       c->wish->remote
			       ? "whether the backup's node is up in its cluster is not known"
			       : "its tokens are not compared with the backup's",
		       version, place);
	return steal_pointer(&f);
}
