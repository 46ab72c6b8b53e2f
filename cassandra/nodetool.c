/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/nodetool.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include "base/process.h"

#define GLOBAL_WORDS 10 /* the program, -h H -p P -u U -pwf F --ssl */
#define SAID_BYTES (64 * 1024)
#define OUT_BYTES_MAX (64 * 1024)
#define REASON_BYTES 320

/* ---- what it said ---- */

/* The rest of the first line that begins with the prefix; its length in *ret_len. */
static const char *line_with(const char *text, const char *prefix, size_t *ret_len)
{
	for (const char *line = text; line && *line;) {
		const char *end = strchr(line, '\n');

		if (strncmp(line, prefix, strlen(prefix)) == 0) {
			line += strlen(prefix);
			*ret_len = end ? (size_t)(end - line) : strlen(line);
			return line;
		}
		line = end ? end + 1 : NULL;
	}
	return NULL;
}

void nodetool_reason(const char *errors, const char *out, char *ret, size_t size)
{
	static const char *const prefixes[] = { "error: ", "nodetool: ", "" };
	const char *texts[] = { errors, out };
	size_t len = 0;

	*ret = '\0';
	/* What was asked for and warnings of the JVM are lines of no use: a plain line counts on standard error only. */
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		for (size_t j = 0; j < (*prefixes[i] ? ARRAY_SIZE(texts) : 1); j++) {
			const char *line = line_with(texts[j], prefixes[i], &len);

			if (!line || len == 0)
				continue;
			while (len > 0 && line[len - 1] == '.')
				len--;
			snprintf(ret, size, "%.*s", (int)MIN_OF(len, size), line);
			util_one_line(ret);
			return;
		}
	}
}

/* What to look at, for the failures that people meet. */
static const char *hint(const char *reason)
{
	static const struct {
		const char *part, *hint;
	} hints[] = {
		{ "redentials required",
		  ": name jmx_username and jmx_password_file in the configuration" },
		{ "nvalid username or password",
		  ": jmx_username and jmx_password_file of the configuration are refused" },
		{ "non-JRMP server",
		  ": JMX may want TLS (jmx_ssl = yes), or jmx_port is another service's" },
		{ "SSL", ": see jmx_ssl and ~/.cassandra/nodetool-ssl.properties" },
		{ "Failed to connect",
		  ": is Cassandra running, and are jmx_host and jmx_port of the configuration its own?" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
		if (strstr(reason, hints[i].part))
			return hints[i].hint;
	return "";
}

static int explain(const struct nodetool *n, const char *command, const struct process_options *o,
		   int r, int status, struct err *e)
{
	char reason[REASON_BYTES] = "";
	bool ended = r == 0 && WIFEXITED(status);

	if (r == -ENOENT || r == -EACCES)
		return err_set(
			e, ERR_USAGE, r,
			"%s cannot be run: %s; name it with nodetool = under [cassandra] of the configuration",
			n->program, strerrordesc_np(-r));
	r = process_explain(o, r, status, ERR_IO, e);
	if (r == 0 || !ended)
		return r == 0 ? 0 : err_wrap(e, r, "nodetool %s", command);
	wbuf_u8(o->errors, 0);
	wbuf_u8(o->out, 0);
	if (!wbuf_error(o->errors) && !wbuf_error(o->out))
		nodetool_reason((char *)o->errors->data, (char *)o->out->data, reason,
				sizeof(reason));
	if (!*reason)
		return err_wrap(e, r, "nodetool %s", command);
	if (strstr(reason, "already exists"))
		return err_set(e, ERR_CONFLICT, -EEXIST, "nodetool %s failed: %s", command, reason);
	return err_set(e, ERR_IO, -EIO, "nodetool %s failed: %s%s", command, reason, hint(reason));
}

/* ---- a call ---- */

static size_t put_option(char **words, size_t count, const char *name, const char *value)
{
	if (!value)
		return count;
	words[count++] = (char *)(size_t)name;
	words[count++] = (char *)(size_t)value;
	return count;
}

static size_t put_globals(const struct nodetool *n, char **words)
{
	size_t count = 0;

	words[count++] = (char *)(size_t)n->program;
	count = put_option(words, count, "-h", n->host);
	count = put_option(words, count, "-p", n->port);
	count = put_option(words, count, "-u", n->username);
	count = put_option(words, count, "-pwf", n->password_file);
	if (n->ssl)
		words[count++] = (char *)(size_t) "--ssl";
	return count;
}

int nodetool_run(const struct nodetool *n, const char *const *arguments, size_t count,
		 struct wbuf *out, struct err *e)
{
	_cleanup_free_ char **words = calloc(GLOBAL_WORDS + count + 1, sizeof(*words));
	_cleanup_wbuf_ struct wbuf errors, ignored;
	struct process_options o = { .words = words,
				     .timeout_ms = n->timeout_ms,
				     .cancel = n->cancel,
				     .out = out ? out : &ignored,
				     .errors = &errors,
				     .cut_errors = true };
	int status = 0, r;
	size_t used;

	wbuf_init(&errors, SAID_BYTES);
	wbuf_init(&ignored, OUT_BYTES_MAX);
	if (!words)
		return err_nomem(e);
	used = put_globals(n, words);
	for (size_t i = 0; i < count; i++)
		words[used++] = (char *)(size_t)arguments[i];
	r = process_run(&o, &status);
	errors.max++; /* for the NUL that explain() adds */
	return explain(n, arguments[0], &o, r, status, e);
}

/* ---- snapshots ---- */

/* Whether another word of the list names the whole keyspace of this table. */
static bool is_covered(const char *word, const char *const *only, size_t count)
{
	size_t keyspace = strcspn(word, ".");

	for (size_t i = 0; i < count; i++)
		if (strlen(only[i]) == keyspace && strncmp(only[i], word, keyspace) == 0)
			return true;
	return false;
}

/* "ks.t,ks.u": the tables whose keyspace is not named too. NULL: none, or no memory. */
static char *join_tables(const char *const *only, size_t count)
{
	char *list = NULL;

	for (size_t i = 0; i < count; i++) {
		char *longer;

		if (!strchr(only[i], '.') || is_covered(only[i], only, count))
			continue;
		longer = util_printf("%s%s%s", list ? list : "", list ? "," : "", only[i]);
		free(list);
		list = longer;
		if (!list)
			return NULL;
	}
	return list;
}

/* nodetool takes keyspaces or tables, not both at once: two calls with one name, of keyspaces that differ. */
int nodetool_snapshot(const struct nodetool *n, const char *tag, const char *const *only,
		      size_t only_count, struct err *e)
{
	_cleanup_free_ const char **words = calloc(only_count + 3, sizeof(*words));
	_cleanup_free_ char *tables = join_tables(only, only_count);
	size_t count = 0;
	int r = 0;

	if (!words)
		return err_nomem(e);
	words[count++] = "snapshot";
	words[count++] = "-t";
	words[count++] = tag;
	for (size_t i = 0; i < only_count; i++)
		if (!strchr(only[i], '.'))
			words[count++] = only[i];
	if (only_count == 0 || count > 3)
		r = nodetool_run(n, words, count, NULL, e);
	if (r == 0 && tables) {
		const char *of_tables[] = { "snapshot", "-t", tag, "-kt", tables };

		r = nodetool_run(n, of_tables, ARRAY_SIZE(of_tables), NULL, e);
		if (r == -EEXIST && count > 3)
			r = -EIO; /* the first call did it: the name is ours */
	}
	return r;
}

int nodetool_clear(const struct nodetool *n, const char *tag, struct err *e)
{
	const char *words[] = { "clearsnapshot", "-t", tag };

	return nodetool_run(n, words, ARRAY_SIZE(words), NULL, e);
}
