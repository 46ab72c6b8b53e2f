/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/hostlist.h"

#include <string.h>
#include "tools/asknode.h"
#include "tools/hostfile.h"

static int add(struct hostlist *l, const char *host, struct err *e)
{
	int r = sshconf_check_host(host, e);

	if (r < 0)
		return r;
	if (l->count == HOSTLIST_MAX)
		return err_set(e, ERR_USAGE, -E2BIG, "more than %d hosts", HOSTLIST_MAX);
	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->nodes[i].host, host) == 0)
			return err_set(e, ERR_USAGE, -EINVAL, "%s is there twice", host);
	if (util_grow(&l->nodes, &l->cap, l->count + 1, sizeof(*l->nodes)) < 0)
		return err_nomem(e);
	l->nodes[l->count] = (struct lead_host)LEAD_HOST_INIT;
	l->nodes[l->count].host = strdup(host);
	return l->nodes[l->count++].host ? 0 : err_nomem(e);
}

static int add_entry(void *ctx, char *entry, struct err *e)
{
	return add(ctx, entry, e);
}

int hostlist_read(struct hostlist *l, const char *path, struct err *e)
{
	return hostfile_read(path, add_entry, l, e);
}

int hostlist_ask(struct hostlist *l, struct cli *cli, struct err *e)
{
	_cleanup_(facts_freep) struct facts *f = NULL;
	struct asknode ask;
	int r = asknode_init(&ask, cli, e);

	if (r == 0)
		r = asknode_facts(&ask, false, &f, e);
	for (size_t i = 0; r == 0 && i < f->member_count; i++)
		if (f->members[i].state != 'J')
			r = add(l, f->members[i].address, e);
	asknode_deinit(&ask);
	if (r < 0 && r != -ECANCELED)
		return err_wrap(
			e, r,
			"the hosts of the cluster are not known (name them with --host-list)");
	return r;
}

void hostlist_deinit(struct hostlist *l)
{
	lead_free_hosts(l->nodes, l->count);
	*l = (struct hostlist){ .nodes = NULL };
}
