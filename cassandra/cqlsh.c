/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/cqlsh.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/json.h"
#include "base/process.h"
#include "cassandra/cql.h"
#include "cassandra/nodetool.h"

#define SAID_BYTES (64 * 1024)
#define SETTING_BYTES_MAX (64 * 1024)
#define REASON_BYTES 400
#define WORDS_MAX 16
#define WORD_BYTES_MAX ((size_t)128 * 1024 - 1) /* that Linux takes (MAX_ARG_STRLEN) */
#define SAY_WHO "SHOW VERSION;\n"
#define WHO "[cqlsh "	/* what it answers begins so */
#define CONNECT_MS 1000 /* to each address that the name has */

/* Of a password that it does not know, and of one that it cannot look up, Cassandra says "Bad credentials" alike. */
int cqlsh_outcome(const char *said)
{
	if (strstr(said, "Cannot achieve consistency level") ||
	    strstr(said, "Unable to perform authentication"))
		return -EAGAIN;
	return strstr(said, "AuthenticationFailed") ? -EACCES : -EIO;
}

static int explain(const struct cqlsh *c, const struct process_options *o, int r, int status,
		   struct err *e)
{
	char reason[REASON_BYTES] = "";
	bool ended = r == 0 && WIFEXITED(status);

	r = process_explain(o, r, status, ERR_IO, e);
	if (r == 0)
		return 0;
	if (ended) {
		o->errors->max++;
		wbuf_u8(o->errors, 0);
		if (!wbuf_error(o->errors)) {
			nodetool_reason((char *)o->errors->data, "", reason, sizeof(reason));
			r = cqlsh_outcome((char *)o->errors->data);
		}
	}
	return *reason ? err_set(e, ERR_IO, r, "%s failed: %s", c->program, reason)
		       : err_wrap(e, r, "%s", c->program);
}

/* After each line of a file cqlsh looks through all that it has so far for the end of the statement: on many lines, as DESCRIBE prints a table, a long one would take hours. */
void cqlsh_put_line(const char *statement, struct wbuf *out)
{
	size_t len = strlen(statement), pos = 0, end = 0;
	struct err ignored = ERR_INIT;
	struct cql_token t;
	int r;

	while ((r = cql_next(statement, len, &pos, &t, &ignored)) == 1) {
		if (end > 0 && t.at > end)
			wbuf_u8(out, ' ');
		wbuf_put(out, statement + t.at, t.len_bytes);
		end = t.at + t.len_bytes;
	}
	if (r < 0)
		wbuf_put(out, statement + end, len - end);
	if (end == 0 || statement[end - 1] != ';')
		wbuf_u8(out, ';');
	wbuf_u8(out, '\n');
}

/*
 * For standard input, which also a cqlsh behind sudo, ssh or `docker exec -i` has, where no file of ours can be opened. Of it cqlsh runs statements as strictly as with -e (exit code 2
 * where one fails or is not whole; 4.1, 5.0), and says nothing where there are none, as behind what hands on no input: so it is asked who it is.
 */
static int put_input(const char *statement, struct wbuf *in, struct err *e)
{
	wbuf_put(in, SAY_WHO, strlen(SAY_WHO));
	cqlsh_put_line(statement, in);
	return wbuf_error(in) ? err_nomem(e) : 0;
}

static int check_read(const struct cqlsh *c, const struct wbuf *out, struct err *e)
{
	return !wbuf_error(out) && out->len > 0 && memmem(out->data, out->len, WHO, strlen(WHO))
		       ? 0
		       : err_set(e, ERR_IO, -EIO,
				 "%s does not read its standard input, on which it is given statements that are too long for a command line (docker exec wants -i)",
				 c->program);
}

static int run(const struct cqlsh *c, const char *statement, struct wbuf *out, struct err *e)
{
	char *words[WORDS_MAX];
	_cleanup_wbuf_ struct wbuf errors, in;
	_cleanup_free_ char *credentials = NULL, *rcfile = NULL;
	bool by_input = strlen(statement) > WORD_BYTES_MAX;
	struct process_options o = { .words = words,
				     .timeout_ms = c->timeout_ms,
				     .cancel = c->cancel,
				     .out = out,
				     .errors = &errors,
				     .cut_errors = true };
	const char *fixed[] = { c->program, "--no-color", "--encoding=utf-8",
				"--connect-timeout=30", "--request-timeout=60" };
	size_t count = 0;
	int status = 0, r;

	wbuf_init(&errors, SAID_BYTES);
	wbuf_init(&in, 2 * CQL_TEXT_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		words[count++] = (char *)(size_t)fixed[i];
	if (by_input) {
		r = put_input(statement, &in, e);
		if (r < 0)
			return r;
		o.in = &in;
	} else {
		words[count++] = (char *)(size_t) "-e";
		words[count++] = (char *)(size_t)statement;
	}
	if (c->credentials_file) {
		credentials = util_printf("--credentials=%s", c->credentials_file);
		if (!credentials)
			return err_nomem(e);
		words[count++] = credentials;
	}
	if (c->rcfile) {
		rcfile = util_printf("--cqlshrc=%s", c->rcfile);
		if (!rcfile)
			return err_nomem(e);
		words[count++] = rcfile;
	}
	if (c->ssl)
		words[count++] = (char *)(size_t) "--ssl";
	if (c->host)
		words[count++] = (char *)(size_t)c->host;
	if (c->host && c->port)
		words[count++] = (char *)(size_t)c->port;
	words[count] = NULL;
	r = process_run(&o, &status);
	r = explain(c, &o, r, status, e);
	return r == 0 && by_input ? check_read(c, out, e) : r;
}

int cqlsh_execute(const struct cqlsh *c, const char *statement, struct err *e)
{
	_cleanup_wbuf_ struct wbuf out;

	wbuf_init(&out, SAID_BYTES);
	return run(c, statement, &out, e);
}

/* ---- whether it would find anybody ---- */

static bool connects(const struct addrinfo *a)
{
	_cleanup_close_ int fd =
		socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int error = 0;
	socklen_t len = sizeof(error);

	if (fd < 0)
		return false;
	if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
		return true;
	return errno == EINPROGRESS && poll(&p, 1, CONNECT_MS) == 1 &&
	       getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0;
}

bool cqlsh_listens(const struct cqlsh *c)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	bool listens = false;

	/* A name that is not known is told by cqlsh, better than here. */
	if (!c->host || !c->port || getaddrinfo(c->host, c->port, &hints, &found) != 0)
		return true;
	for (const struct addrinfo *a = found; a && !listens; a = a->ai_next)
		listens = connects(a);
	freeaddrinfo(found);
	return listens;
}

/* ---- the schema ---- */

/* At the first line that is a statement or a comment: what comes before are warnings, which cqlsh prints on the same output. */
const char *cqlsh_statements(const char *text)
{
	size_t len = strlen(text);

	while (len > 0 && strchr(" \n\t\r", text[len - 1]))
		len--;
	if (len == 0 || (text[len - 1] != ';' && (len < 2 || memcmp(text + len - 2, "*/", 2) != 0)))
		return NULL;
	while (*text && strncmp(text, "CREATE ", 7) != 0 && strncmp(text, "/*", 2) != 0) {
		text = strchr(text, '\n');
		if (!text)
			return NULL;
		text++;
	}
	return *text ? text : NULL;
}

int cqlsh_schema(const struct cqlsh *c, struct wbuf *out, struct err *e)
{
	_cleanup_wbuf_ struct wbuf text;
	const char *from;
	int r;

	wbuf_init(&text, CQLSH_SCHEMA_MAX);
	r = run(c, "DESCRIBE FULL SCHEMA WITH INTERNALS", &text, e);
	if (r < 0)
		return r;
	wbuf_u8(&text, 0);
	if (wbuf_error(&text))
		return err_set(e, ERR_IO, wbuf_error(&text), "the schema is larger than %zu bytes",
			       CQLSH_SCHEMA_MAX);
	from = cqlsh_statements((char *)text.data);
	if (!from)
		return err_set(e, ERR_IO, -EBADMSG,
			       "what %s printed is no schema, or not all of it", c->program);
	wbuf_put(out, from, strlen(from));
	return wbuf_error(out) ? err_nomem(e) : 0;
}

/* ---- settings ---- */

static char *join(const json_t *list)
{
	_cleanup_wbuf_ struct wbuf out;

	wbuf_init(&out, SETTING_BYTES_MAX);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (i > 0)
			wbuf_u8(&out, ',');
		if (text)
			wbuf_put(&out, text, strlen(text));
	}
	wbuf_u8(&out, 0);
	return wbuf_error(&out) ? NULL : (char *)steal_pointer(&out.data);
}

char *cqlsh_json_value(const char *text)
{
	const char *row = strstr(text, "\n {");
	size_t len = row ? strcspn(row + 2, "\n") : 0;
	_cleanup_json_ json_t *o = NULL;
	const json_t *value;

	if (!row || json_parse("it", row + 2, len, SETTING_BYTES_MAX, &o, NULL) < 0)
		return strdup("");
	value = json_object_get(o, "value");
	if (json_is_array(value))
		return join(value);
	return strdup(json_is_string(value) ? json_string_value(value) : "");
}

int cqlsh_ask(const struct cqlsh *c, const char *statement, struct wbuf *text, struct err *e)
{
	int r = run(c, statement, text, e);

	if (r < 0)
		return r;
	text->max++;
	wbuf_u8(text, 0);
	return wbuf_error(text) ? err_nomem(e) : 0;
}

int cqlsh_value(const struct cqlsh *c, const char *statement, char **ret, struct err *e)
{
	_cleanup_wbuf_ struct wbuf text;
	int r;

	wbuf_init(&text, SETTING_BYTES_MAX);
	r = cqlsh_ask(c, statement, &text, e);
	if (r < 0)
		return r;
	*ret = cqlsh_json_value((char *)text.data);
	return *ret ? 0 : err_nomem(e);
}

int cqlsh_setting(const struct cqlsh *c, const char *name, char **ret, struct err *e)
{
	_cleanup_free_ char *statement = util_printf(
		"SELECT JSON name, value FROM system_views.settings WHERE name = '%s'", name);

	return statement ? cqlsh_value(c, statement, ret, e) : err_nomem(e);
}

int cqlsh_row_count(const char *text, uint64_t *ret)
{
	const char *at = text, *last = NULL;
	unsigned long long count;
	int end = 0;

	while ((at = strstr(at, "\n(")))
		last = at++;
	/* A blank in the format would stand for none as well. */
	if (!last || sscanf(last, "\n(%llu%n", &count, &end) != 1 ||
	    strncmp(last + end, " rows)", 6) != 0)
		return -EBADMSG;
	*ret = count;
	return 0;
}

/* The line after the one below the names of columns; "a | b" as "a,b". */
char *cqlsh_first_row(const char *text)
{
	const char *line = text;
	char *row;

	while (*line && (*line != '-' || line[strspn(line, "-+")] != '\n')) {
		line += strcspn(line, "\n");
		line += *line ? 1 : 0;
	}
	line += strcspn(line, "\n");
	line += *line ? 1 : 0;
	line += strspn(line, " ");
	row = strndup(line, strcspn(line, "\n"));
	for (char *bar = row; bar && (bar = strchr(bar, '|'));)
		*bar = ',';
	return row;
}

int cqlsh_answer(const struct cqlsh *c, const char *statement, uint64_t *ret_rows, char **ret_first,
		 struct err *e)
{
	_cleanup_wbuf_ struct wbuf text;
	int r;

	wbuf_init(&text, CQLSH_SCHEMA_MAX);
	r = cqlsh_ask(c, statement, &text, e);
	if (r < 0)
		return r;
	r = cqlsh_row_count((char *)text.data, ret_rows);
	if (r < 0)
		return err_set(e, ERR_IO, r, "what %s printed says no number of rows", c->program);
	*ret_first = cqlsh_first_row((char *)text.data);
	return *ret_first ? 0 : err_nomem(e);
}

int cqlsh_rows(const struct cqlsh *c, const char *statement, uint64_t *ret, struct err *e)
{
	_cleanup_free_ char *first = NULL;

	return cqlsh_answer(c, statement, ret, &first, e);
}
