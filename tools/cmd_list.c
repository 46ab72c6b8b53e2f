/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "base/io.h"
#include "tools/commands.h"
#include "tools/names.h"

enum { OPT_CACHED = OPT_COMMAND };

/* One backup of a cluster, over its nodes. */
struct summary {
	const char *cluster, *name;
	size_t first, count; /* in the sorted records */
	size_t finished, expected;
	bool topology;
	int64_t started_ns, finished_ns;
	struct ulid writer; /* the greatest: decides where the store's times are equal */
	uint64_t total_bytes, new_bytes;
};

static int by_name(const void *a, const void *b)
{
	const struct record *x = *(struct record *const *)a, *y = *(struct record *const *)b;
	int r = strcmp(x->where.cluster, y->where.cluster);

	if (r == 0)
		r = strcmp(x->backup, y->backup);
	return r ? r : strcmp(x->where.node, y->where.node);
}

static int newest_first(const void *a, const void *b)
{
	const struct summary *x = a, *y = b;

	if (x->started_ns != y->started_ns)
		return x->started_ns < y->started_ns ? 1 : -1;
	return memcmp(y->writer.b, x->writer.b, sizeof(x->writer.b));
}

static void add_record(struct summary *s, const struct record *rec)
{
	int64_t started = rec->store_time_ns ? rec->store_time_ns : rec->started_ns;

	s->count++;
	if (rec->state == RECORD_COMMITTED)
		s->finished++;
	if (rec->peers_known) {
		s->topology = true;
		s->expected = MAX_OF(s->expected, rec->peer_count);
	}
	if (s->started_ns == 0 || started < s->started_ns)
		s->started_ns = started;
	s->finished_ns = MAX_OF(s->finished_ns, rec->finished_ns);
	if (memcmp(rec->writer.b, s->writer.b, sizeof(s->writer.b)) > 0)
		s->writer = rec->writer;
	s->total_bytes += rec->total_bytes;
	s->new_bytes += rec->new_bytes;
}

static bool complete(const struct summary *s)
{
	return s->finished == s->count && (!s->topology || s->finished >= s->expected);
}

/* Sorted newest first; newly allocated. NULL: out of memory. */
static struct summary *summarize(struct found *f, size_t *ret_count)
{
	struct summary *list = calloc(f->count + 1, sizeof(*list));
	size_t n = 0;

	if (!list)
		return NULL;
	if (f->count > 0)
		qsort(f->records, f->count, sizeof(struct record *), by_name);
	for (size_t i = 0; i < f->count; i++) {
		const struct record *rec = f->records[i];

		if (n == 0 || strcmp(list[n - 1].cluster, rec->where.cluster) != 0 ||
		    strcmp(list[n - 1].name, rec->backup) != 0)
			list[n++] = (struct summary){ .cluster = rec->where.cluster,
						      .name = rec->backup,
						      .first = i };
		add_record(&list[n - 1], rec);
	}
	if (n > 0)
		qsort(list, n, sizeof(*list), newest_first);
	*ret_count = n;
	return list;
}

static json_t *node_json(const struct record *rec)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:I, s:I, s:I}", "node", rec->where.node, "state",
			 names_state(rec->state), "started", names_json_time(rec->started_ns),
			 "finished", names_json_time(rec->finished_ns), "files",
			 (json_int_t)rec->file_count, "total_bytes", (json_int_t)rec->total_bytes,
			 "new_bytes", (json_int_t)rec->new_bytes);
}

/* NULL: out of memory. */
static json_t *summary_json(const struct found *f, const struct summary *s)
{
	json_t *nodes = json_array();

	for (size_t i = s->first; i < s->first + s->count; i++) {
		if (json_array_append_new(nodes, node_json(f->records[i])) < 0) {
			json_decref(nodes);
			return NULL;
		}
	}
	return json_pack("{s:s, s:s, s:I, s:o, s:b, s:o, s:o, s:I, s:I, s:o}", "cluster",
			 s->cluster, "name", s->name, "nodes_finished", (json_int_t)s->finished,
			 "nodes_expected",
			 s->topology ? json_integer((json_int_t)s->expected) : json_null(),
			 "complete", complete(s), "started", names_json_time(s->started_ns),
			 "finished", names_json_time(complete(s) ? s->finished_ns : 0),
			 "total_bytes", (json_int_t)s->total_bytes, "new_bytes",
			 (json_int_t)s->new_bytes, "nodes", nodes);
}

static const char *text_of(json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "-";
}

static uint64_t number_of(json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

static void print_backup(json_t *o, int width, int cluster_width)
{
	char nodes[48], total[32], fresh[32];
	uint64_t finished = number_of(o, "nodes_finished"),
		 known = json_array_size(json_object_get(o, "nodes"));
	bool complete = json_is_true(json_object_get(o, "complete"));

	if (json_is_integer(json_object_get(o, "nodes_expected")))
		known = number_of(o, "nodes_expected");
	if (finished == known && complete)
		snprintf(nodes, sizeof(nodes), "%llu", (unsigned long long)finished);
	else
		snprintf(nodes, sizeof(nodes), "%llu of %llu", (unsigned long long)finished,
			 (unsigned long long)known);
	printf("%-*s  %-*s  %-24s  %-9s  %10s  %10s%s\n", width, text_of(o, "name"), cluster_width,
	       text_of(o, "cluster"), text_of(o, "started"), nodes,
	       util_format_bytes(total, number_of(o, "total_bytes")),
	       util_format_bytes(fresh, number_of(o, "new_bytes")), complete ? "" : "  incomplete");
}

static void print_table(struct cli *cli, json_t *backups)
{
	size_t width = 6, cluster_width = 7, i;
	json_t *o;

	json_array_foreach(backups, i, o) {
		width = MAX_OF(width, strlen(text_of(o, "name")));
		cluster_width = MAX_OF(cluster_width, strlen(text_of(o, "cluster")));
	}
	if (json_array_size(backups) > 0 && !cli->quiet)
		printf("%-*s  %-*s  %-24s  %-9s  %10s  %10s\n", (int)width, "BACKUP",
		       (int)cluster_width, "CLUSTER", "STARTED", "NODES", "SIZE", "NEW");
	json_array_foreach(backups, i, o)
		print_backup(o, (int)width, (int)cluster_width);
	if (json_array_size(backups) == 0 && !cli->quiet)
		printf("no backups\n");
}

/* {"backups": […]}; NULL: out of memory. */
static json_t *document(struct found *f)
{
	size_t count;
	_cleanup_free_ struct summary *list = summarize(f, &count);
	json_t *backups = json_array();

	if (!list || !backups) {
		json_decref(backups);
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		if (json_array_append_new(backups, summary_json(f, &list[i])) < 0) {
			json_decref(backups);
			return NULL;
		}
	}
	return json_pack("{s:o}", "backups", backups);
}

static int report(struct cli *cli, json_t *list)
{
	if (cli->json)
		return cli_print_json(cli, json_incref(list));
	print_table(cli, json_object_get(list, "backups"));
	return EXIT_DONE;
}

/* ---- the local view: what the last whole list said ---- */

/* <cache>/list-<hash of the URL>.json. New string. */
static char *cached_path(struct cli *cli, struct err *e)
{
	_cleanup_free_ char *dir = session_cache_dir();
	const char *url;
	struct id256 digest;
	char hex[SHA256_HEX];

	if (session_url(cli, &url, e) < 0)
		return NULL;
	digest = digest_sha256(url, strlen(url));
	util_hex(hex, digest.b, sizeof(digest.b));
	return dir ? util_printf("%s/list-%s.json", dir, hex) : NULL;
}

/* Only a convenience: where it cannot be written, list --cached will say that there is nothing. */
static void keep(struct cli *cli, json_t *list)
{
	struct err e = ERR_INIT;
	_cleanup_free_ char *path = cached_path(cli, &e), *text = NULL;
	char now[CLOCK_RFC3339_BYTES];
	json_t *kept = json_deep_copy(list);

	json_object_set_new(kept, "as_of",
			    json_string(clock_rfc3339(now, clock_wall_ns(cli->clock), 0)));
	text = json_dumps(kept, JSON_COMPACT);
	json_decref(kept);
	if (path && text)
		(void)io_publish_file(AT_FDCWD, path, text, strlen(text), 0600, NULL);
}

static int show_cached(struct cli *cli, const struct common *common, struct err *e)
{
	_cleanup_free_ char *path = cached_path(cli, e);
	_cleanup_json_ json_t *list = path ? json_load_file(path, 0, NULL) : NULL;
	json_t *backups = json_object_get(list, "backups");
	int64_t as_of_ns;

	if (common->node)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "--cached shows whole clusters: leave --node out");
	if (!json_is_array(backups) || clock_parse_rfc3339(text_of(list, "as_of"), &as_of_ns) < 0)
		return err_set(e, ERR_NOT_FOUND, -ENOENT,
			       "there is no local view yet: run list once without --cached");
	for (size_t i = json_array_size(backups); common->cluster && i > 0; i--)
		if (strcmp(text_of(json_array_get(backups, i - 1), "cluster"), common->cluster) !=
		    0)
			json_array_remove(backups, i - 1);
	if (!cli->json)
		printf("as of %s, %lld s ago\n", text_of(list, "as_of"),
		       (long long)((clock_wall_ns(cli->clock) - as_of_ns) / 1000000000));
	return report(cli, list);
}

static int parse(struct cli *cli, int argc, char **argv, struct common *common, bool *ret_cached,
		 struct err *e)
{
	static const struct option options[] = { { "cached", no_argument, NULL, OPT_CACHED },
						 COMMON_NAMES,
						 COMMON_HELP,
						 { NULL, 0, NULL, 0 } };
	int c, r = common_init(common, cli, NULL, 16, e);

	while (r == 0 && (c = cli_getopt(argc, argv, options, e)) >= 0) {
		if (c == '?')
			return e->code;
		if (c == OPT_CACHED)
			*ret_cached = true;
		else
			r = common_option(common, c, optarg, e);
	}
	if (r == 0 && optind < argc)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "list takes no argument: '%s' (show BACKUP shows one)",
			       argv[optind]);
	return r;
}

static int run(struct cli *cli, const struct common *common, struct session *s, struct err *e)
{
	_cleanup_(found_freep) struct found *f = NULL;
	_cleanup_json_ json_t *list = NULL;
	struct session_options open = { .access = REPO_READ, .common = common };
	struct find_options fo = { .cluster = common->cluster,
				   .node = common->node,
				   .keep_damaged = true };
	int r = session_open(cli, &open, s, e);

	if (r == 0)
		r = find_records(s->meta, s->repo, &fo, &f, &cli->cancel, e);
	if (r < 0)
		return r;
	list = document(f);
	if (!list)
		return err_nomem(e);
	if (!common->cluster && !common->node)
		keep(cli, list);
	r = report(cli, list);
	for (size_t i = 0; i < f->damaged_count; i++)
		fprintf(stderr, "sstablefs: list: a record cannot be read: %s: %s\n",
			f->damaged[i].key, f->damaged[i].reason);
	return r == EXIT_DONE && f->damaged_count > 0 ? EXIT_FOUND : r;
}

int cmd_list(struct cli *cli, int argc, char **argv)
{
	struct session s = { .store = NULL };
	struct err e = ERR_INIT;
	struct common common;
	bool cached = false;
	int r = parse(cli, argc, argv, &common, &cached, &e);

	if (r == 0)
		r = cached ? show_cached(cli, &common, &e) : run(cli, &common, &s, &e);
	if (r < 0)
		r = cli_fail(cli, &e);
	session_close(&s);
	return r;
}
