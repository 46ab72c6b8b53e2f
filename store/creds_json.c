/* SPDX-License-Identifier: Apache-2.0 */
#include "store/creds_json.h"

#include <errno.h>
#include <string.h>
#include "base/json.h"

/* 0, -ENOENT, or < 0 with e filled. */
static int take(const json_t *o, const char *key, char *out, size_t size, struct err *e)
{
	const char *text;
	int r = json_get_string(o, key, size - 1, &text, e);

	return r < 0 ? r : creds_link_keep(out, size, text, key, e);
}

static int need(const json_t *o, const char *key, char *out, size_t size, struct err *e)
{
	int r = take(o, key, out, size, e);

	if (r == -ENOENT || (r == 0 && !*out))
		return err_set(e, ERR_CREDENTIALS, -EINVAL, "the answer has no %s", key);
	return r;
}

static int take_expiration(const json_t *o, int64_t *ret_ns, struct err *e)
{
	char text[64];
	int r = take(o, "Expiration", text, sizeof(text), e);

	*ret_ns = 0;
	if (r == -ENOENT || json_is_null(json_object_get(o, "Expiration")))
		return 0;
	if (r == 0 && creds_link_time(text, ret_ns) < 0)
		return err_set(e, ERR_CREDENTIALS, -EINVAL,
			       "the Expiration in the answer is no time of RFC 3339");
	return r;
}

static int check_form(enum creds_json_form form, const json_t *o, struct err *e)
{
	const json_t *code = json_object_get(o, "Code");
	uint64_t version;

	if (form == CREDS_JSON_PROCESS)
		return json_get_u64(o, "Version", &version, e) == 0 && version == 1
			       ? 0
			       : err_set(e, ERR_CREDENTIALS, -EINVAL,
					 "the answer does not say \"Version\": 1");
	if (code && (!json_is_string(code) || strcmp(json_string_value(code), "Success") != 0))
		return err_set(e, ERR_CREDENTIALS, -EINVAL,
			       "the answer's Code is not \"Success\": no credentials can be had");
	return 0;
}

static int read_members(enum creds_json_form form, const json_t *o, struct creds_found *f,
			struct err *e)
{
	const char *token = form == CREDS_JSON_PROCESS ? "SessionToken" : "Token";
	struct creds_value *v = &f->value;
	int r = check_form(form, o, e);

	v->session_token[0] = 0;
	if (r == 0)
		r = need(o, "AccessKeyId", v->access_key, sizeof(v->access_key), e);
	if (r == 0)
		r = need(o, "SecretAccessKey", v->secret_key, sizeof(v->secret_key), e);
	if (r == 0 && !json_is_null(json_object_get(o, token)))
		r = take(o, token, v->session_token, sizeof(v->session_token), e);
	if (r == 0 || r == -ENOENT)
		r = take_expiration(o, &f->expires_ns, e);
	return r;
}

/* The library does not wipe what it frees. */
static void wipe_strings(json_t *o)
{
	const char *key;
	json_t *value;

	json_object_foreach(o, key, value) {
		if (json_is_string(value))
			explicit_bzero((void *)(uintptr_t)json_string_value(value),
				       json_string_length(value));
	}
}

int creds_json_read(enum creds_json_form form, const char *text, size_t len_bytes,
		    struct creds_found *ret, struct err *e)
{
	_cleanup_json_ json_t *o = NULL;
	int r = json_parse("the answer", text, len_bytes, CREDS_JSON_MAX, &o, e);

	if (r == 0)
		r = read_members(form, o, ret, e);
	if (r < 0 && r != -ENOMEM && e)
		e->kind = ERR_CREDENTIALS;
	if (o)
		wipe_strings(o);
	return r;
}
