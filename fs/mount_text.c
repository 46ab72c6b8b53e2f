/* SPDX-License-Identifier: Apache-2.0 */
/* What .sstablefs/status and .sstablefs/metrics say. */
#include <string.h>
#include "fs/mount_private.h"

static void add_line(struct wbuf *out, const char *name, const char *value)
{
	size_t begin;

	wbuf_put(out, name, strlen(name));
	wbuf_put(out, ": ", 2);
	begin = out->len;
	wbuf_put(out, value, strlen(value) + 1);
	if (wbuf_error(out) < 0)
		return;
	util_one_line((char *)out->data + begin); /* a path may hold a newline */
	out->data[out->len - 1] = '\n';
}

static void add_bytes(struct wbuf *out, const char *name, uint64_t used, uint64_t limit)
{
	_cleanup_free_ char *line = util_printf("%llu of %llu bytes", (unsigned long long)used,
						(unsigned long long)limit);

	if (line)
		add_line(out, name, line);
}

void mount_status_text(void *ctx, struct wbuf *out)
{
	struct mount *m = ctx;
	_cleanup_free_ char *uptime = util_printf(
		"%lld s", (long long)(clock_elapsed_ms(m->o.clock) - m->begun_ms) / 1000);
	_cleanup_free_ char *pid = util_printf("%d", (int)getpid());

	add_line(out, "repository", m->o.fsname);
	add_line(out, "repository_id", repo_id(m->repo));
	add_line(out, "mountpoint", m->mountpoint);
	add_line(out, "pid", pid ? pid : "");
	add_line(out, "uptime", uptime ? uptime : "");
	add_line(out, "cache", m->cache_path);
	add_bytes(out, "memory_content", reader_memory(m->reader), m->o.memory_bytes);
	add_bytes(out, "memory_trees", treecache_bytes(m->trees), m->o.memory_bytes);
	add_bytes(out, "index", kv_used_bytes(m->kv) + index_link_bytes(m->index),
		  m->o.cache_bytes);
	if (m->pinned)
		pinned_describe(m->pinned, out);
	autopin_describe(m->autopins, out);
	overlay_describe(m->overlay, out);
	view_describe(m->view, out);
}

void mount_metrics_text(void *ctx, struct wbuf *out)
{
	struct mount *m = ctx;

	metric_set(metrics_counter(m->o.metrics, "memory_content_bytes",
				   "verified content in memory"),
		   reader_memory(m->reader));
	metric_set(metrics_counter(m->o.metrics, "memory_tree_bytes",
				   "parsed directories in memory"),
		   treecache_bytes(m->trees));
	metric_set(metrics_counter(m->o.metrics, "index_bytes",
				   "local index, mapped from the cache directory"),
		   kv_used_bytes(m->kv) + index_link_bytes(m->index));
	view_count(m->view, m->o.metrics);
	autopin_count(m->autopins, m->o.metrics);
	overlay_count(m->overlay, m->o.metrics);
	metrics_format(m->o.metrics, out);
}
