/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/asknode.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include "cassandra/cqlfacts.h"
#include "catalog/parallel.h"

#define YAML "/etc/cassandra/cassandra.yaml"
#define TIMEOUT_S 300
#define TIMEOUT_MAX_S 86400

/* ---- the configuration ---- */

static const char *setting(const struct cli *cli, const char *key)
{
	const char *value = config_get(cli->config, "cassandra", key);

	return value && *value ? value : NULL;
}

/* A file with a password: others must not be able to read it. */
static int check_secret(const char *key, const char *path, struct err *e)
{
	struct stat st;

	if (!path)
		return 0;
	if (stat(path, &st) < 0)
		return err_set(e, ERR_USAGE, -errno, "%s = %s: %s", key, path,
			       strerrordesc_np(errno));
	if (st.st_mode & S_IRWXO)
		return err_set(e, ERR_USAGE, -EPERM,
			       "%s = %s holds a password and others can read it: chmod 600 %s", key,
			       path, path);
	if (access(path, R_OK) < 0)
		return err_set(e, ERR_USAGE, -errno, "%s = %s: %s", key, path,
			       strerrordesc_np(errno));
	return 0;
}

static int yes_or_no(const char *key, const char *value, bool *ret, struct err *e)
{
	static const char *const words[][2] = { { "no", "yes" },
						{ "false", "true" },
						{ "0", "1" } };

	for (size_t i = 0; value && i < ARRAY_SIZE(words); i++) {
		for (int j = 0; j < 2; j++) {
			if (strcmp(value, words[i][j]) != 0)
				continue;
			*ret = j;
			return 0;
		}
	}
	return value ? err_set(e, ERR_USAGE, -EINVAL, "%s = %s: yes or no is wanted", key, value)
		     : 0;
}

static int init_nodetool(struct asknode *a, const struct cli *cli, int timeout_ms, struct err *e)
{
	const char *port = setting(cli, "jmx_port"), *program = setting(cli, "nodetool");
	uint64_t number;
	int r = port ? cli_number("[cassandra] jmx_port", port, 1, 65535, &number, e) : 0;

	a->nodetool = (struct nodetool){ .program = program ? program : "nodetool",
					 .host = setting(cli, "jmx_host"),
					 .port = port,
					 .username = setting(cli, "jmx_username"),
					 .password_file = setting(cli, "jmx_password_file"),
					 .timeout_ms = timeout_ms,
					 .cancel = &cli->cancel };
	if (r == 0)
		r = yes_or_no("[cassandra] jmx_ssl", setting(cli, "jmx_ssl"), &a->nodetool.ssl, e);
	if (r == 0 && !a->nodetool.username != !a->nodetool.password_file)
		r = err_set(e, ERR_USAGE, -EINVAL,
			    "[cassandra] jmx_username and jmx_password_file go together");
	/* nodetool is a shell script, which splits its arguments. */
	if (r == 0 && a->nodetool.password_file && strpbrk(a->nodetool.password_file, " \t"))
		r = err_set(
			e, ERR_USAGE, -EINVAL,
			"[cassandra] jmx_password_file = %s: a path with blanks does not reach nodetool whole",
			a->nodetool.password_file);
	return r < 0 ? r
		     : check_secret("[cassandra] jmx_password_file", a->nodetool.password_file, e);
}

/* "HOST", "HOST:PORT", "[ADDRESS]:PORT"; an address of IPv6 without brackets has more than one colon, and no port. */
static int split_address(char *text, const char **ret_host, const char **ret_port, struct err *e)
{
	char *colon = strchr(text, ':'), *end = *text == '[' ? strchr(text, ']') : NULL;
	uint64_t number;

	*ret_host = text;
	if (*text == '[') {
		if (!end || (end[1] && end[1] != ':'))
			return err_set(
				e, ERR_USAGE, -EINVAL,
				"[cassandra] cql_host = %s: [ADDRESS] or [ADDRESS]:PORT is wanted",
				text);
		*ret_host = text + 1;
		*end = '\0';
		colon = end[1] ? end + 1 : NULL;
	} else if (colon && colon != strrchr(text, ':')) {
		colon = NULL;
	}
	if (!colon)
		return 0;
	*colon = '\0';
	*ret_port = colon + 1;
	return cli_number("the port of [cassandra] cql_host", *ret_port, 1, 65535, &number, e);
}

static int init_cqlsh(struct asknode *a, const struct cli *cli, int timeout_ms, struct err *e)
{
	const char *host = setting(cli, "cql_host"), *program = setting(cli, "cqlsh");
	int r = 0;

	a->cqlsh = (struct cqlsh){ .program = program ? program : "cqlsh",
				   .credentials_file = setting(cli, "cql_credentials_file"),
				   .rcfile = setting(cli, "cqlshrc"),
				   .timeout_ms = timeout_ms,
				   .cancel = &cli->cancel };
	if (host && !(a->cql_host = strdup(host)))
		return err_nomem(e);
	if (host)
		r = split_address(a->cql_host, &a->cqlsh.host, &a->cqlsh.port, e);
	if (r < 0)
		return r;
	if (a->cqlsh.rcfile && access(a->cqlsh.rcfile, R_OK) < 0)
		return err_set(e, ERR_USAGE, -errno, "[cassandra] cqlshrc = %s: %s",
			       a->cqlsh.rcfile, strerrordesc_np(errno));
	r = yes_or_no("[cassandra] cql_ssl", setting(cli, "cql_ssl"), &a->cqlsh.ssl, e);
	return r < 0 ? r
		     : check_secret("[cassandra] cql_credentials_file", a->cqlsh.credentials_file,
				    e);
}

static bool is_address_of(const struct ifaddrs *i, const char *name, int family)
{
	return i->ifa_addr && i->ifa_addr->sa_family == family && strcmp(i->ifa_name, name) == 0;
}

/* Cassandra takes the first of the interface's addresses that is of the wanted kind, or else the first. */
static void find_interface(struct asknode *a)
{
	const char *name = a->conf->rpc_interface;
	bool six = strcasecmp(a->conf->rpc_prefer_ipv6, "true") == 0;
	const int families[] = { six ? AF_INET6 : AF_INET, six ? AF_INET : AF_INET6 };
	struct ifaddrs *all = NULL;

	if (!*name || getifaddrs(&all) < 0)
		return;
	for (size_t k = 0; k < ARRAY_SIZE(families) && !*a->interface_address; k++) {
		socklen_t len = families[k] == AF_INET ? sizeof(struct sockaddr_in)
						       : sizeof(struct sockaddr_in6);

		for (const struct ifaddrs *i = all; i && !*a->interface_address; i = i->ifa_next)
			if (is_address_of(i, name, families[k]) &&
			    getnameinfo(i->ifa_addr, len, a->interface_address,
					sizeof(a->interface_address), NULL, 0, NI_NUMERICHOST) != 0)
				*a->interface_address = '\0';
	}
	freeifaddrs(all);
}

int asknode_init(struct asknode *a, const struct cli *cli, struct err *e)
{
	const char *timeout = setting(cli, "timeout"), *yaml = setting(cli, "yaml");
	uint64_t seconds = TIMEOUT_S;
	int r = timeout ? cli_number("[cassandra] timeout", timeout, 1, TIMEOUT_MAX_S, &seconds, e)
			: 0;

	*a = (struct asknode){ .yaml = yaml ? yaml : YAML };
	if (r == 0)
		r = init_nodetool(a, cli, (int)(seconds * 1000), e);
	if (r == 0)
		r = init_cqlsh(a, cli, (int)(seconds * 1000), e);
	if (r < 0)
		return r;
	r = nodeconf_read_file(a->yaml, &a->conf, &a->conf_error);
	/* A file that was named must be there and be right; the default one need not. */
	if (r < 0 && (yaml || r == -ENOMEM)) {
		*e = a->conf_error;
		e->kind = r == -ENOMEM ? e->kind : ERR_USAGE;
		return r;
	}
	if (a->conf)
		find_interface(a);
	return 0;
}

void asknode_deinit(struct asknode *a)
{
	if (a->conf)
		nodeconf_free(a->conf);
	free(a->cql_host);
	*a = (struct asknode){ .yaml = NULL };
}

char *asknode_whom(const struct asknode *a)
{
	const struct nodetool *n = &a->nodetool;

	return util_printf("%s %s %s", n->program, n->host ? n->host : "", n->port ? n->port : "");
}

/* ---- facts ---- */

/* One call of nodetool, and what it said. */
struct question {
	const char *words[3];
	size_t count;
	struct wbuf out;
	int result;
	struct err error;
};
enum { INFO, STATUS, CLUSTER, DATAPATHS, QUESTIONS };
#define AT_ONCE 2

struct asking {
	const struct asknode *node;
	struct question *questions;
};

/* Its failure does not end the others: which of them is told does not depend on which JVM is the quickest. */
static int ask_one(void *ctx, size_t i, unsigned worker, struct err *e)
{
	const struct asking *a = ctx;
	struct question *q = &a->questions[i];

	(void)worker, (void)e;
	wbuf_init(&q->out, FACTS_TEXT_MAX);
	q->result = nodetool_run(&a->node->nodetool, q->words, q->count, &q->out, &q->error);
	return 0;
}

/* Two at the same time: a JVM starts on one core and mostly waits for others; each takes some 75 MiB, on a host whose memory is Cassandra's. */
static int ask_all(const struct asknode *a, struct question *questions, size_t count, struct err *e)
{
	struct asking asking = { a, questions };

	return parallel_run("nodetool", AT_ONCE, count, ask_one, &asking, e);
}

typedef int reader(struct facts *f, const char *text, struct err *e);

static int take(struct question *q, reader *read, struct facts *f, struct err *e)
{
	if (q->result < 0) {
		*e = q->error;
		return q->result;
	}
	q->out.max++;
	wbuf_u8(&q->out, 0);
	return wbuf_error(&q->out) ? err_nomem(e) : read(f, (char *)q->out.data, e);
}

/* All data directories that cassandra.yaml names. -ENOENT: none. */
static int take_yaml_dirs(const struct asknode *a, struct facts *f, struct err *e)
{
	const struct nodeconf *conf = a->conf;
	int r = 0;

	if (conf && conf->unfollowed_dirs)
		return err_set(e, ERR_USAGE, -EBADMSG,
			       "%s, or name the node's data directories with --data-dir",
			       conf->unfollowed);
	for (size_t i = 0; conf && i < conf->data_dir_count && r == 0; i++)
		r = facts_add_data_dir(f, conf->data_dirs[i], strlen(conf->data_dirs[i]), e);
	if (r == 0 && conf && f->data_dir_count > 0 && *conf->local_system_dir)
		r = facts_add_data_dir(f, conf->local_system_dir, strlen(conf->local_system_dir),
				       e);
	if (r == 0 && f->data_dir_count == 0)
		return err_set(
			e, ERR_USAGE, -ENOENT,
			"%s names no data_file_directories: name the node's data directories with --data-dir",
			a->yaml);
	return r;
}

static int take_data_dirs(const struct asknode *a, struct question *q, struct facts *f,
			  struct err *e)
{
	struct err why = ERR_INIT;
	int r = take(q, facts_read_datapaths, f, e);

	if (r == 0 || r == -ECANCELED || r == -ENOMEM)
		return r;
	/* Cassandra before 4.1 has no datapaths. */
	why = *e;
	r = a->conf ? take_yaml_dirs(a, f, e) : -ENOENT;
	if (r == -ENOENT)
		return err_set(
			e, ERR_IO, r,
			"cannot find out where the node's data are (name them with --data-dir): %s",
			why.message);
	return r;
}

static int take_all(const struct asknode *a, struct question *questions, bool data_dirs,
		    struct facts *f, struct err *e)
{
	int r = take(&questions[INFO], facts_read_info, f, e);

	if (r == 0)
		r = take(&questions[STATUS], facts_read_status, f, e);
	if (r == 0)
		r = facts_complete(f, e);
	if (r == 0)
		r = take(&questions[CLUSTER], facts_read_describecluster, f, e);
	if (r == 0 && data_dirs)
		r = take_data_dirs(a, &questions[DATAPATHS], f, e);
	return r;
}

int asknode_facts(const struct asknode *a, bool data_dirs, struct facts **ret, struct err *e)
{
	struct question questions[QUESTIONS] = {
		[INFO] = { .words = { "info", "-T" }, .count = 2 },
		[STATUS] = { .words = { "status" }, .count = 1 },
		[CLUSTER] = { .words = { "describecluster" }, .count = 1 },
		[DATAPATHS] = { .words = { "datapaths", "-F", "json" }, .count = 3 },
	};
	_cleanup_(facts_freep) struct facts *f = facts_new();
	size_t count = data_dirs ? QUESTIONS : DATAPATHS;
	int r = f ? ask_all(a, questions, count, e) : err_nomem(e);

	if (r == 0)
		r = take_all(a, questions, data_dirs, f, e);
	for (size_t i = 0; i < count; i++)
		wbuf_deinit(&questions[i].out);
	if (r == 0)
		*ret = steal_pointer(&f);
	return r;
}

int asknode_facts_of_yaml(const struct asknode *a, struct facts **ret, struct err *e)
{
	_cleanup_(facts_freep) struct facts *f = facts_new();
	int r;

	if (!f)
		return err_nomem(e);
	if (!a->conf)
		return err_set(e, ERR_USAGE, -ENOENT, "%s", a->conf_error.message);
	r = facts_set(&f->cluster, a->conf->cluster, strlen(a->conf->cluster), e);
	if (r == 0)
		r = facts_set(&f->partitioner, a->conf->partitioner, strlen(a->conf->partitioner),
			      e);
	if (r == 0)
		r = take_yaml_dirs(a, f, e);
	if (r == 0)
		*ret = steal_pointer(&f);
	return r;
}

/* ---- CQL ---- */

struct cqlsh asknode_cqlsh(const struct asknode *a, const char *address)
{
	struct cqlsh c = a->cqlsh;
	const char *rpc = a->conf ? a->conf->rpc_address : "";
	bool any = strcmp(rpc, "0.0.0.0") == 0 || strcmp(rpc, "::") == 0;

	/* The port is the cluster's, wherever it is asked. */
	if (!c.port && a->conf && *a->conf->native_port)
		c.port = a->conf->native_port;
	if (!c.host)
		c.host = any			 ? "127.0.0.1"
			 : *rpc			 ? rpc
			 : *a->interface_address ? a->interface_address
						 : address;
	return c;
}

int asknode_facts_by_cql(const struct asknode *a, bool tables, struct facts **ret, struct err *e)
{
	_cleanup_(facts_freep) struct facts *f = facts_new();
	_cleanup_wbuf_ struct wbuf text;
	struct cqlsh c;
	int r;

	wbuf_init(&text, FACTS_TEXT_MAX);
	if (!f)
		return err_nomem(e);
	c = asknode_cqlsh(a, "");
	if (!*c.host || !cqlsh_listens(&c))
		return err_set(e, ERR_USAGE, -ENOENT,
			       "nobody takes CQL at the rpc_address that %s names", a->yaml);
	r = cqlsh_ask(&c, tables ? CQLFACTS_QUERY_TABLES : CQLFACTS_QUERY, &text, e);
	if (r == 0)
		r = cqlfacts_read(f, (char *)text.data, e);
	if (r == 0)
		*ret = steal_pointer(&f);
	return r;
}

int asknode_mode(const struct asknode *a, bool cql, struct facts *f, struct err *e)
{
	struct cqlsh c = asknode_cqlsh(a, f->address);
	_cleanup_free_ char *value = NULL;
	struct err ignored = ERR_INIT;

	if (atoi(f->version) < 5 || *f->compatibility_mode)
		return 0;
	if (!cql || cqlsh_setting(&c, "storage_compatibility_mode", &value, &ignored) < 0 ||
	    !*value) {
		free(value);
		value = strdup(a->conf ? a->conf->compatibility_mode : "");
	}
	return value ? facts_set(&f->compatibility_mode, value, strlen(value), e) : err_nomem(e);
}
