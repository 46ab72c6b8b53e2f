/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/targets.h"

#include <string.h>
#include <strings.h>
#include "tools/asknode.h"
#include "tools/hostfile.h"
#include "tools/sshconf.h"

/* Makes of *text a copy that lives as long as `t`. False: out of memory. */
static bool keep(struct targets *t, const char **text)
{
	char *copy = strdup(*text);

	if (!copy ||
	    util_grow(&t->strings, &t->string_cap, t->string_count + 1, sizeof(*t->strings)) < 0) {
		free(copy);
		return false;
	}
	t->strings[t->string_count++] = copy;
	*text = copy;
	return true;
}

static int add(struct targets *t, struct mapping_node n, struct err *e)
{
	int r = sshconf_check_host(n.name, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->nodes[i].name, n.name) == 0)
			return err_set(e, ERR_USAGE, -EINVAL, "%s is there twice", n.name);
	if (!keep(t, &n.name) || !keep(t, &n.host_id) || !keep(t, &n.dc) || !keep(t, &n.rack) ||
	    (n.source && !keep(t, &n.source)) ||
	    util_grow(&t->nodes, &t->cap, t->count + 1, sizeof(*t->nodes)) < 0)
		return err_nomem(e);
	t->nodes[t->count++] = n;
	return 0;
}

int targets_add(struct targets *t, const char *host, struct err *e)
{
	return add(t, (struct mapping_node){ .name = host, .host_id = "", .dc = "", .rack = "" },
		   e);
}

/* ---- the running cluster ---- */

static int add_member(struct targets *t, const struct facts_member *m, struct err *e)
{
	if (m->status != 'U' || m->state != 'N')
		return err_set(
			e, ERR_CONFLICT, -EBUSY,
			"node %s of the cluster is %s: all have to be up and to stay (--host-list names the hosts where they are not)",
			m->address, m->status != 'U' ? "not up" : "joining, leaving or moving");
	return add(t,
		   (struct mapping_node){ .name = m->address,
					  .host_id = m->host_id,
					  .dc = m->dc,
					  .rack = m->rack,
					  .token_count = m->token_count },
		   e);
}

int targets_ask(struct targets *t, struct cli *cli, struct err *e)
{
	_cleanup_(facts_freep) struct facts *f = NULL;
	struct asknode ask;
	int r = asknode_init(&ask, cli, e);

	if (r == 0)
		r = asknode_facts(&ask, false, &f, e);
	for (size_t i = 0; r == 0 && i < f->member_count; i++)
		r = add_member(t, &f->members[i], e);
	if (r == 0) {
		t->cluster = strdup(f->cluster);
		t->version = strdup(f->version);
		t->partitioner = strdup(f->partitioner);
		t->address = strdup(f->address);
		if (!t->cluster || !t->version || !t->partitioner || !t->address)
			r = err_nomem(e);
	}
	asknode_deinit(&ask);
	return r;
}

/* ---- a host list ---- */

static int read_seed(const char *word, bool *ret)
{
	static const char *const words[] = { "false", "true", "0", "1", "no", "yes" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(word, words[i]) == 0) {
			*ret = i % 2;
			return 0;
		}
	return -EINVAL;
}

static int add_entry(void *ctx, char *entry, struct err *e)
{
	char *seed = strsep(&entry, ","), *target = strsep(&entry, ","),
	     *source = strsep(&entry, ",");
	struct mapping_node n = { .host_id = "", .dc = "", .rack = "" };

	if (!source || entry || read_seed(hostfile_strip(seed), &n.seed) < 0)
		return err_set(e, ERR_USAGE, -EINVAL, "is_seed,target,source is wanted");
	n.name = hostfile_strip(target);
	n.source = hostfile_strip(source);
	return add(ctx, n, e);
}

int targets_read(struct targets *t, const char *path, struct err *e)
{
	int r = hostfile_read(path, add_entry, t, e);

	if (r < 0)
		return r;
	t->cluster = strdup("");
	t->version = strdup("");
	t->partitioner = strdup("");
	t->address = strdup("");
	return t->cluster && t->version && t->partitioner && t->address ? 0 : err_nomem(e);
}

void targets_deinit(struct targets *t)
{
	for (size_t i = 0; i < t->string_count; i++)
		free(t->strings[i]);
	free(t->strings);
	free(t->nodes);
	free(t->cluster);
	free(t->version);
	free(t->partitioner);
	free(t->address);
	*t = (struct targets){ .nodes = NULL };
}
