/* SPDX-License-Identifier: Apache-2.0 */
#include "store/creds_process.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include "base/process.h"
#include "store/creds_json.h"

/* Takes one word at *in, without its quotes, to *out. -EINVAL: a quote stays open. */
static int take_word(char **in, char **out)
{
	char *from = *in, *to = *out, quote = 0;

	for (; *from && (quote || !strchr(" \t", *from)); from++) {
		if (*from == quote) {
			quote = 0;
		} else if (!quote && (*from == '\'' || *from == '"')) {
			quote = *from;
		} else if (*from == '\\' && quote != '\'') {
			if (!from[1])
				return -EINVAL;
			if (quote && !strchr("$`\"\\", from[1]))
				*to++ = *from;
			*to++ = *++from;
		} else {
			*to++ = *from;
		}
	}
	*in = *from ? from + 1 : from;
	*to++ = 0;
	*out = to;
	return quote ? -EINVAL : 0;
}

int creds_process_split(char *command, char *words[CREDS_PROCESS_WORDS_MAX + 1])
{
	char *in = command + strspn(command, " \t"), *out = command;
	size_t count = 0;

	while (*in) {
		if (count == CREDS_PROCESS_WORDS_MAX)
			return -EINVAL;
		words[count++] = out;
		if (take_word(&in, &out) < 0)
			return -EINVAL;
		in += strspn(in, " \t");
	}
	words[count] = NULL;
	return count && *words[0] ? 0 : -EINVAL;
}

static int run(struct creds_attempt *a, char **words, struct wbuf *text, struct err *e)
{
	/* A program of AWS's: it may go by any of its variables. */
	const struct process_options o = { .words = words,
					   .environment = environ,
					   .timeout_ms = a->world->process_timeout_ms,
					   .cancel = a->cancel,
					   .out = text };
	int status = 0, r;

	a->asked = true;
	r = process_run(&o, &status);
	r = process_explain(&o, r, status, ERR_CREDENTIALS, e);
	if (r < 0 && WIFEXITED(status) && WEXITSTATUS(status) != 0)
		return err_set(e, ERR_CREDENTIALS, r,
			       "it ended with exit code %d: run it by hand to see why",
			       WEXITSTATUS(status));
	return r;
}

int creds_process_fetch(struct creds_attempt *a, const char *command, struct creds_found *ret,
			struct err *e)
{
	_cleanup_free_ char *copy = strdup(command);
	char *words[CREDS_PROCESS_WORDS_MAX + 1];
	struct wbuf text;
	int r;

	if (!copy)
		return err_nomem(e);
	if (creds_process_split(copy, words) < 0)
		return err_set(e, ERR_CREDENTIALS, -EINVAL,
			       "its value is no command: an open quote, no word, or more than %d",
			       CREDS_PROCESS_WORDS_MAX);
	wbuf_init(&text, CREDS_JSON_MAX);
	r = run(a, words, &text, e);
	if (r == 0)
		r = creds_json_read(CREDS_JSON_PROCESS, (const char *)text.data, text.len, ret, e);
	if (text.data)
		explicit_bzero(text.data, text.len);
	wbuf_deinit(&text);
	return r;
}
