/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/filesplan.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include "base/digest.h"
#include "base/io.h"

#define FORMAT 1
#define PLAN "plan.json"
#define LOCK "lock"
#define BEGIN "files-"
#define BYTES_MAX (16 * MIB)
#define TEXT_MAX 4096
#define NODES_MAX 16384
#define ID_HEX 32

/* ---- the document ---- */

static json_t *node_json(const struct clusterplan *p, uint32_t target)
{
	uint32_t source = p->mapping.source_of[target];
	const struct mapping_node *t = &p->targets->nodes[target], *s = &p->sources[source];
	char writer[ULID_TEXT];

	return json_pack("{s:o, s:b, s:s, s:o, s:o, s:o, s:I, s:s, s:o}", "host",
			 json_text(t->name), "seed", t->seed, "source", s->name, "host_id",
			 json_text(s->host_id), "dc", json_text(s->dc), "rack", json_text(s->rack),
			 "tokens", (json_int_t)s->token_count, "writer",
			 ulid_format(writer, &p->records[source]->writer), "target_id",
			 json_text(t->host_id));
}

static json_t *to_json(const struct clusterplan *p, const struct filesplan_wish *w)
{
	json_t *nodes = json_array();

	for (size_t i = 0; i < p->targets->count; i++)
		json_array_append_new(nodes, node_json(p, p->mapping.order[i]));
	return json_pack("{s:i, s:o, s:s, s:s, s:s, s:b, s:b, s:o, s:b, s:b, s:o}", "format",
			 FORMAT, "url", json_text(w->url), "repository", w->repository_id,
			 "cluster", p->records[0]->where.cluster, "backup", p->records[0]->backup,
			 "remote", p->mapping.which == MAPPING_OTHER, "asked", w->asked, "whom",
			 json_text(w->whom), "no_stage", w->no_stage, "keep_auth", w->keep_auth,
			 "nodes", nodes);
}

static int text(const json_t *o, const char *key, const char **ret, struct err *e)
{
	return json_get_string(o, key, TEXT_MAX, ret, NULL) == 0
		       ? 0
		       : err_set(e, ERR_CORRUPT, -EBADMSG, "its %s is missing", key);
}

/* A plan that was begun by an sstablefs of before has it not. */
static const char *text_or_none(const json_t *o, const char *key)
{
	const char *value = json_string_value(json_object_get(o, key));

	return value ? value : "";
}

static int take_node(struct filesplan_node *n, const json_t *o, struct err *e)
{
	uint64_t tokens = 0;
	int r = text(o, "host", &n->host, e);

	if (r == 0)
		r = text(o, "source", &n->source, e);
	if (r == 0)
		r = text(o, "host_id", &n->host_id, e);
	if (r == 0)
		r = text(o, "dc", &n->dc, e);
	if (r == 0)
		r = text(o, "rack", &n->rack, e);
	if (r == 0 && json_get_u64(o, "tokens", &tokens, NULL) < 0)
		r = err_set(e, ERR_CORRUPT, -EBADMSG, "its tokens are missing");
	n->tokens = tokens;
	n->writer = text_or_none(o, "writer");
	n->target_id = text_or_none(o, "target_id");
	n->seed = json_is_true(json_object_get(o, "seed"));
	return r;
}

/* The document becomes the plan's. */
static int take(struct filesplan *p, json_t *document, struct err *e)
{
	const json_t *nodes = json_object_get(document, "nodes");
	uint64_t format = 0;
	size_t count = json_array_size(nodes);
	int r;

	p->document = document;
	if (json_get_u64(document, "format", &format, NULL) < 0 || format != FORMAT)
		return err_set(e, ERR_USAGE, -ENOTSUP, "it was written by another sstablefs");
	r = text(document, "url", &p->url, e);
	if (r == 0)
		r = text(document, "repository", &p->repository_id, e);
	if (r == 0)
		r = text(document, "cluster", &p->cluster, e);
	if (r == 0)
		r = text(document, "backup", &p->backup, e);
	if (r == 0 && (count == 0 || count > NODES_MAX))
		r = err_set(e, ERR_CORRUPT, -EBADMSG, "it names no node, or too many");
	if (r < 0)
		return r;
	p->remote = json_is_true(json_object_get(document, "remote"));
	p->asked = json_is_true(json_object_get(document, "asked"));
	p->no_stage = json_is_true(json_object_get(document, "no_stage"));
	p->keep_auth = json_is_true(json_object_get(document, "keep_auth"));
	p->whom = text_or_none(document, "whom");
	p->ending = text_or_none(document, "ending");
	p->nodes = calloc(count, sizeof(*p->nodes));
	if (!p->nodes)
		return err_nomem(e);
	for (p->count = 0; r == 0 && p->count < count; p->count++)
		r = take_node(&p->nodes[p->count], json_array_get(nodes, p->count), e);
	return r;
}

static struct filesplan *plan_new(void)
{
	struct filesplan *p = calloc(1, sizeof(*p));

	if (p)
		p->lock = -1;
	return p;
}

/* A backup's own nodes, each with another one's tokens: nobody means that, and it costs the cluster that was backed up. */
static int check_others(const struct filesplan *p, struct err *e)
{
	for (size_t i = 0; p->remote && i < p->count; i++) {
		const struct filesplan_node *n = &p->nodes[i],
					    *own = filesplan_of_source(p, n->target_id);

		if (own)
			return err_set(
				e, ERR_USAGE, -EINVAL,
				"%s is node %s of the backup itself, and would become %s: each of its nodes takes its own",
				n->host, own->source, n->source);
	}
	return 0;
}

int filesplan_make(const struct clusterplan *p, const struct filesplan_wish *wish,
		   struct filesplan **ret, struct err *e)
{
	_cleanup_(filesplan_freep) struct filesplan *own = plan_new();
	json_t *document = NULL;
	int r;

	if (json_array_size(p->missing) > 0)
		return err_set(
			e, ERR_CONFLICT, -EBUSY,
			"%zu nodes are missing in this backup, %s the first: nobody could take their part of the ring over (--load loads what there is)",
			json_array_size(p->missing),
			json_string_value(
				json_object_get(json_array_get(p->missing, 0), "address")));
	if (own)
		document = to_json(p, wish);
	if (!document)
		return err_nomem(e);
	r = take(own, document, e);
	if (r == 0)
		r = check_others(own, e);
	if (r == 0)
		*ret = steal_pointer(&own);
	return r;
}

/* Under its lock, which goes after the plan, so that who takes the next one finds none. The directory may be that of the next one by then. */
static int remove_plan(const struct filesplan *p)
{
	static const char *const names[] = { PLAN, LOCK };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = util_printf("%s/%s", p->directory, names[i]);

		if (!path || (unlink(path) < 0 && errno != ENOENT))
			return path ? -errno : -ENOMEM;
	}
	(void)rmdir(p->directory);
	return 0;
}

void filesplan_free(struct filesplan *p)
{
	/* What only was to be begun leaves nothing. */
	if (p->lock >= 0 && !p->saved)
		(void)remove_plan(p);
	util_closep(&p->lock);
	json_decref(p->document);
	free(p->nodes);
	free(p->directory);
	free(p->text);
	free(p);
}

/* ---- where it lies ---- */

static int read_plan(const char *directory, struct filesplan **ret, struct err *e)
{
	_cleanup_(filesplan_freep) struct filesplan *p = plan_new();
	_cleanup_free_ char *path = util_printf("%s/" PLAN, directory);
	_cleanup_free_ char *data = NULL;
	json_t *document = NULL;
	size_t len;
	int r;

	if (!p || !path || !(p->directory = strdup(directory)))
		return err_nomem(e);
	r = io_read_file(AT_FDCWD, path, BYTES_MAX, &data, &len);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_errno(e, r, "cannot read %s", path);
	r = json_unseal(path, data, len, BYTES_MAX, &document, e);
	if (r == 0)
		r = take(p, document, e);
	if (r < 0)
		return err_wrap(e, r, "the plan %s", path);
	p->saved = true;
	p->text = steal_pointer(&data);
	*ret = steal_pointer(&p);
	return 0;
}

static bool is_of(const struct filesplan *p, const char *url, const char *cluster,
		  const char *backup)
{
	return strcmp(p->url, url) == 0 && strcmp(p->backup, backup) == 0 &&
	       (!cluster || strcmp(p->cluster, cluster) == 0);
}

int filesplan_find(const char *cache_dir, const char *url, const char *cluster, const char *backup,
		   struct filesplan **ret, struct err *e)
{
	_cleanup_free_ char *top = util_printf("%s/restore-cluster", cache_dir);
	_cleanup_(filesplan_freep) struct filesplan *found = NULL;
	DIR *dir = top ? opendir(top) : NULL;
	struct dirent *d;
	int r = 0;

	*ret = NULL;
	if (!dir)
		return top ? 0 : err_nomem(e);
	while (r == 0 && (d = readdir(dir))) {
		_cleanup_(filesplan_freep) struct filesplan *p = NULL;
		_cleanup_free_ char *path = util_printf("%s/%s", top, d->d_name);

		if (strncmp(d->d_name, BEGIN, strlen(BEGIN)) != 0)
			continue;
		r = path ? read_plan(path, &p, e) : err_nomem(e);
		if (r < 0 || !p || !is_of(p, url, cluster, backup))
			continue;
		if (found)
			r = err_set(
				e, ERR_USAGE, -EINVAL,
				"backup %s of clusters %s and %s is being restored: name one with --cluster",
				backup, found->cluster, p->cluster);
		else
			found = steal_pointer(&p);
	}
	closedir(dir);
	if (r == 0)
		*ret = steal_pointer(&found);
	return r;
}

/* One for each repository, cluster and backup. */
static char *make_directory(const struct filesplan *p, const char *cache_dir)
{
	_cleanup_(sha256_freep) struct sha256 *h = sha256_new();
	const char *texts[] = { p->url, p->cluster, p->backup };
	char hex[2 * SHA256_BYTES + 1];
	struct id256 id;

	if (!h)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		sha256_update(h, texts[i], strlen(texts[i]) + 1);
	id = sha256_final(h);
	util_hex(hex, id.b, SHA256_BYTES);
	hex[ID_HEX] = '\0';
	return util_printf("%s/restore-cluster/" BEGIN "%s", cache_dir, hex);
}

/* What is said where the plan is not as it was read: before a lock is held another process may begin, go on and end. */
static int changed_meanwhile(const struct filesplan *p, struct err *e)
{
	return err_set(
		e, ERR_CONFLICT, -EBUSY,
		"another restore-cluster has begun, changed or ended the restore of backup %s meanwhile: look at it with sstablefs restore-cluster %s --cluster %s --plan, then say again what is to be done",
		p->backup, p->backup, p->cluster);
}

/* Who ends a restore removes the lock: one that nobody else can find is none. */
static bool is_found(int fd, const char *path)
{
	struct stat mine, there;

	return fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_dev == there.st_dev &&
	       mine.st_ino == there.st_ino;
}

static int take_lock(const struct filesplan *p, int *ret_fd, struct err *e)
{
	_cleanup_free_ char *path = util_printf("%s/" LOCK, p->directory);
	_cleanup_close_ int fd = -1;
	int r = path ? io_mkdirs(AT_FDCWD, p->directory, 0700) : -ENOMEM;

	if (r < 0)
		return err_errno(e, r, "cannot make %s", p->directory);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == ENOENT ? changed_meanwhile(p, e)
				       : err_errno(e, -errno, "cannot open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? err_set(e, ERR_CONFLICT, -EBUSY,
					 "another restore-cluster is at work on backup %s",
					 p->backup)
			       : err_errno(e, -errno, "cannot lock %s", path);
	if (!is_found(fd, path))
		return changed_meanwhile(p, e);
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* Locked by now. What another one began stays, what it ended does not come again. */
static int check_unchanged(const struct filesplan *p, struct err *e)
{
	_cleanup_(filesplan_freep) struct filesplan *now = NULL;
	int r = read_plan(p->directory, &now, e);

	if (r < 0 || (p->saved ? now && strcmp(now->text, p->text) == 0 : !now))
		return r;
	if (!now)
		(void)remove_plan(p);
	return changed_meanwhile(p, e);
}

int filesplan_lock(struct filesplan *p, const char *cache_dir, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (!p->directory)
		p->directory = make_directory(p, cache_dir);
	if (!p->directory)
		return err_nomem(e);
	r = take_lock(p, &fd, e);
	if (r == 0)
		r = check_unchanged(p, e);
	if (r == 0)
		p->lock = steal_fd(&fd);
	return r;
}

static int write_plan(struct filesplan *p, struct err *e)
{
	_cleanup_free_ char *path = util_printf("%s/" PLAN, p->directory);
	_cleanup_free_ char *data = NULL;
	size_t len;
	int r = path ? json_seal(p->document, &data, &len, e) : err_nomem(e);

	if (r == 0)
		r = io_publish_file(AT_FDCWD, path, data, len, 0600, e);
	p->saved = p->saved || r == 0;
	p->changed = p->changed && r < 0;
	return r;
}

int filesplan_save(struct filesplan *p, struct err *e)
{
	return p->saved && !p->changed ? 0 : write_plan(p, e);
}

int filesplan_mark(struct filesplan *p, const char *ending, struct err *e)
{
	if (*p->ending)
		return 0;
	if (json_object_set_new(p->document, "ending", json_string(ending)) < 0)
		return err_nomem(e);
	p->ending = json_string_value(json_object_get(p->document, "ending"));
	p->changed = true;
	return filesplan_save(p, e);
}

int filesplan_end(struct filesplan *p, struct err *e)
{
	int r = remove_plan(p);

	return r < 0 ? err_errno(e, r, "cannot remove %s", p->directory) : 0;
}

/* ---- what it says ---- */

char *filesplan_options(const struct filesplan *p)
{
	return util_printf("%s%s%s", p->remote ? "--remote" : "--in-place",
			   p->no_stage ? " --no-stage" : "", p->keep_auth ? " --keep-auth" : "");
}

char *filesplan_command(const struct filesplan *p, const struct filesplan_node *n)
{
	_cleanup_free_ char *options = filesplan_options(p);

	return options ? util_printf("sstablefs restore-node %s --cluster %s --node %s %s --yes",
				     p->backup, p->cluster, n->source, options)
		       : NULL;
}

int filesplan_note_target(struct filesplan *p, size_t which, const char *host_id, struct err *e)
{
	json_t *o = json_array_get(json_object_get(p->document, "nodes"), which);

	if (p->saved || *p->nodes[which].target_id || !*host_id)
		return 0;
	if (json_object_set_new(o, "target_id", json_text(host_id)) < 0)
		return err_nomem(e);
	p->nodes[which].target_id = text_or_none(o, "target_id");
	return 0;
}

int filesplan_set_seed(struct filesplan *p, size_t which, bool seed, struct err *e)
{
	json_t *o = json_array_get(json_object_get(p->document, "nodes"), which);

	if (p->nodes[which].seed == seed)
		return 0;
	if (json_object_set_new(o, "seed", json_boolean(seed)) < 0)
		return err_nomem(e);
	p->nodes[which].seed = seed;
	p->changed = true;
	return 0;
}

const struct filesplan_node *filesplan_of_source(const struct filesplan *p, const char *host_id)
{
	for (size_t i = 0; *host_id && i < p->count; i++)
		if (strcmp(p->nodes[i].host_id, host_id) == 0)
			return &p->nodes[i];
	return NULL;
}

const struct filesplan_node *filesplan_node(const struct filesplan *p, const char *host)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->nodes[i].host, host) == 0)
			return &p->nodes[i];
	return NULL;
}

int filesplan_leave_out(struct filesplan *p, const char *host, struct err *e)
{
	size_t left = 0;
	bool found = false;

	if (!p->saved)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"--without %s: no restore of %s was begun that the host could be left out of",
			host, p->backup);
	for (size_t i = 0; i < p->count; i++) {
		struct filesplan_node *n = &p->nodes[i];
		bool is = strcmp(n->host, host) == 0;

		found = found || is;
		n->without = n->without || is;
		left += !n->without;
	}
	if (!found)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"--without %s: that is no host of this restore, as --plan names them",
			host);
	return left > 0
		       ? 0
		       : err_set(e, ERR_USAGE, -EINVAL,
				 "--without %s: no host would be left (restore-node --abort or --finish is for each alone)",
				 host);
}
