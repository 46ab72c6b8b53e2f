/* SPDX-License-Identifier: Apache-2.0 */
/* The composition root of the commands: URL -> stores -> repository -> source -> metadata. */
#include <ctype.h>
#include <netdb.h>
#include <string.h>
#include "store/url.h"
#include "tools/cli.h"

#define COMMAND_CACHE_BYTES (256 * MIB)

int session_url(struct cli *cli, const char **ret, struct err *e)
{
	*ret = cli->repository;
	if (!*ret || !**ret)
		*ret = getenv("SSTABLEFS_REPOSITORY");
	if (!*ret || !**ret)
		*ret = config_get(cli->config, "repository", "url");
	if (!*ret || !**ret)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"no repository was named: give -r URL, set SSTABLEFS_REPOSITORY, or write url = … under [repository] in the configuration");
	return 0;
}

static struct url_open_options store_options(struct cli *cli, const struct common *common)
{
	return (struct url_open_options){
		.connections = common->connections,
		.limit_rate = common->limit_rate,
		.credentials_file = config_get(cli->config, "repository", "credentials_file"),
		.profile = config_get(cli->config, "repository", "profile"),
		.ca = config_get(cli->config, "repository", "ca"),
		.clock = cli->clock,
		.log = common->log ? common->log : cli->log,
		.metrics = cli->metrics,
	};
}

int session_open_store(struct cli *cli, const struct common *common, bool create, struct session *s,
		       struct err *e)
{
	struct url_open_options o = store_options(cli, common);
	struct url url;
	const char *text;
	int r;

	o.create = create;
	*s = (struct session){ .store = NULL };
	r = session_url(cli, &text, e);
	if (r < 0)
		return r;
	r = url_parse(text, &url, e);
	if (r < 0)
		return r;
	r = url_open_store(&url, &o, &s->store, &s->trace, e);
	url_deinit(&url);
	if (r < 0)
		return r;
	s->url = strdup(text);
	return s->url ? 0 : err_nomem(e);
}

int session_credentials(struct cli *cli, const struct common *common,
			char ret_source[CREDS_SOURCE_MAX], struct err *e)
{
	struct url_open_options o = store_options(cli, common);
	struct url url;
	const char *text;
	int r = session_url(cli, &text, e);

	if (r < 0)
		return r;
	r = url_parse(text, &url, e);
	if (r < 0)
		return r;
	r = url_find_credentials(&url, &o, ret_source, &cli->cancel, e);
	url_deinit(&url);
	return r;
}

char *session_cache_dir(void)
{
	const char *given = getenv("SSTABLEFS_CACHE_DIR"), *home = getenv("HOME");

	if (given && *given)
		return util_printf("%s", given);
	if (geteuid() == 0 || !home || !*home)
		return util_printf("/var/cache/sstablefs");
	return util_printf("%s/.cache/sstablefs", home);
}

/* Local state only saves work: whatever is wrong with it, the command goes on without. */
static void open_cache(struct cli *cli, struct session *s)
{
	_cleanup_free_ char *base = session_cache_dir();
	_cleanup_free_ char *path = base ? util_printf("%s/%s-commands", base, repo_id(s->repo))
					 : NULL;
	struct err e = ERR_INIT;

	if (path && kv_open(path, COMMAND_CACHE_BYTES, &s->kv, &e) < 0) {
		s->kv = NULL;
		log_write(cli->log, LOG_LEVEL_DEBUG, "cache", "without local state: %s", e.message);
	}
}

int session_open(struct cli *cli, const struct session_options *o, struct session *ret,
		 struct err *e)
{
	struct meta_options mo = { .repo = NULL };
	int r = session_open_store(cli, o->common, false, ret, e);

	if (r == 0)
		r = repo_open(ret->store, o->access, cli->clock, &cli->cancel, &ret->repo, e);
	if (r == 0) {
		ret->source = source_new(ret->store, o->verify, cli->metrics);
		if (!ret->source)
			r = err_nomem(e);
	}
	if (r == 0 && !o->no_cache)
		open_cache(cli, ret);
	if (r == 0) {
		mo = (struct meta_options){ ret->repo, ret->source, ret->kv, 0 };
		ret->meta = meta_new(&mo);
		if (!ret->meta)
			r = err_nomem(e);
	}
	if (r < 0)
		session_close(ret);
	return r;
}

void session_close(struct session *s)
{
	if (s->meta)
		meta_free(s->meta);
	if (s->kv)
		kv_close(s->kv);
	if (s->source)
		source_free(s->source);
	if (s->repo)
		repo_free(s->repo);
	if (s->store)
		store_free(s->store);
	free(s->url);
	*s = (struct session){ .store = NULL };
}

char *session_default_node(struct cli *cli)
{
	const char *configured = config_get(cli->config, "cassandra", "node");
	char host[256] = "localhost", clean[FORMAT_NAME_BYTES + 1];
	struct addrinfo hints = { .ai_flags = AI_CANONNAME }, *found = NULL;

	if (configured)
		return strdup(configured);
	gethostname(host, sizeof(host) - 1);
	if (getaddrinfo(host, NULL, &hints, &found) == 0) {
		if (found->ai_canonname && strcmp(found->ai_canonname, "localhost") != 0)
			strncpy(host, found->ai_canonname, sizeof(host) - 1);
		freeaddrinfo(found);
	}
	for (char *c = host; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	keys_clean_name(clean, host);
	return strdup(clean);
}
