/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <errno.h>
#include <string.h>
#include "base/digest.h"

#define DEPTH_MAX 32
#define MEMORY_MAX (64 * MIB) /* of the values of a document */
#define SEAL_NAME "sha256"
#define SEAL_BEGIN "\"" SEAL_NAME "\":\""
#define SEAL_END "\"}\n"
#define SEAL_BYTES (sizeof(SEAL_BEGIN) - 1 + SHA256_HEX - 1 + sizeof(SEAL_END) - 1)

/* The seal over `body`: SEAL_BYTES and a NUL. */
static void format_seal(char out[SEAL_BYTES + 1], const char *body, size_t len_bytes)
{
	struct id256 id = digest_sha256(body, len_bytes);

	memcpy(out, SEAL_BEGIN, sizeof(SEAL_BEGIN) - 1);
	util_hex(out + sizeof(SEAL_BEGIN) - 1, id.b, sizeof(id.b));
	memcpy(out + SEAL_BYTES - (sizeof(SEAL_END) - 1), SEAL_END, sizeof(SEAL_END));
}

int json_seal(const json_t *object, char **ret_text, size_t *ret_len, struct err *e)
{
	_cleanup_free_ char *dumped = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (!json_is_object(object) || json_object_get(object, SEAL_NAME))
		return err_set(e, ERR_IO, -EINVAL,
			       "cannot seal: no object, or one with a member \"" SEAL_NAME "\"");
	dumped = json_dumps(object, JSON_INDENT(2));
	if (!dumped)
		return err_nomem(e);
	/* "{…\n}" becomes "{…,\n" and the seal; "{}" becomes "{\n" and the seal. */
	len = strlen(dumped) - 1;
	if (dumped[len - 1] == '\n')
		len--;
	text = malloc(len + 2 + SEAL_BYTES + 1);
	if (!text)
		return err_nomem(e);
	memcpy(text, dumped, len);
	if (json_object_size(object) > 0)
		text[len++] = ',';
	text[len++] = '\n';
	format_seal(text + len, text, len);
	*ret_text = steal_pointer(&text);
	*ret_len = len + SEAL_BYTES;
	return 0;
}

static int corrupt(struct err *e, const char *what, const char *why)
{
	return err_set(e, ERR_CORRUPT, -EBADMSG, "%s is damaged: %s", what, why);
}

static int check_seal(const char *what, const char *text, size_t len_bytes, struct err *e)
{
	char expected[SEAL_BYTES + 1];
	const char *seal;

	if (len_bytes <= SEAL_BYTES || text[len_bytes - SEAL_BYTES - 1] != '\n')
		return corrupt(e, what, "it does not end with its sha256");
	seal = text + len_bytes - SEAL_BYTES;
	format_seal(expected, text, len_bytes - SEAL_BYTES);
	if (memcmp(seal, SEAL_BEGIN, sizeof(SEAL_BEGIN) - 1) != 0)
		return corrupt(e, what, "it does not end with its sha256");
	if (memcmp(seal, expected, SEAL_BYTES) != 0)
		return corrupt(e, what, "its sha256 does not fit");
	return 0;
}

/* What a value costs the parser, by the character that comes with it: measured, and rounded up. */
static size_t cost_of(char c)
{
	switch (c) {
	case '{':
		return 300;
	case '[':
		return 130;
	case ':':
		return 100;
	case ',':
		return 64;
	default:
		return 0;
	}
}

/*
 * NULL, or what the parser must be spared: brackets that nest deeper than DEPTH_MAX (it recurses, and threads have small stacks), and values that take
 * more than MEMORY_MAX (a list of zeros is thirty times its text).
 */
static const char *check_shape(const char *text, size_t len_bytes)
{
	size_t memory = len_bytes;
	bool in_string = false;
	int depth = 0;

	for (size_t i = 0; i < len_bytes; i++) {
		char c = text[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		if (in_string)
			continue;
		memory += cost_of(c);
		depth += (c == '{' || c == '[') - (c == '}' || c == ']');
		if (depth > DEPTH_MAX)
			return "it is nested too deeply";
		if (memory > MEMORY_MAX)
			return "it holds too many values";
	}
	return NULL;
}

int json_parse(const char *what, const char *text, size_t len_bytes, size_t max_bytes, json_t **ret,
	       struct err *e)
{
	_cleanup_json_ json_t *object = NULL;
	const char *wrong;
	json_error_t error;

	if (len_bytes > max_bytes)
		return corrupt(e, what, "it is too large");
	wrong = check_shape(text, len_bytes);
	if (wrong)
		return corrupt(e, what, wrong);
	object = json_loadb(text, len_bytes, JSON_REJECT_DUPLICATES, &error);
	if (!object && json_error_code(&error) == json_error_out_of_memory)
		return err_nomem(e);
	if (!object)
		return err_set(e, ERR_CORRUPT, -EBADMSG, "%s is damaged: line %d is not valid JSON",
			       what, error.line);
	if (!json_is_object(object))
		return corrupt(e, what, "it is not a JSON object");
	*ret = steal_pointer(&object);
	return 0;
}

int json_unseal(const char *what, const char *text, size_t len_bytes, size_t max_bytes,
		json_t **ret, struct err *e)
{
	_cleanup_json_ json_t *object = NULL;
	int r;

	if (len_bytes > max_bytes)
		return corrupt(e, what, "it is too large");
	r = check_seal(what, text, len_bytes, e);
	if (r == 0)
		r = json_parse(what, text, len_bytes, max_bytes, &object, e);
	if (r < 0)
		return r;
	if (json_object_del(object, SEAL_NAME) < 0)
		return corrupt(e, what, "it is not a sealed JSON object");
	*ret = steal_pointer(&object);
	return 0;
}

json_t *json_text(const char *text)
{
	static const char replacement[] = "\xef\xbf\xbd";
	_cleanup_free_ char *clean = NULL;
	json_t *as_it_is = json_string(text);
	char *out;

	if (as_it_is)
		return as_it_is;
	out = clean = malloc(strlen(text) * (sizeof(replacement) - 1) + 1);
	if (!clean)
		return NULL;
	while (*text) {
		size_t len = util_utf8_length(text);

		memcpy(out, len ? text : replacement, len ?: sizeof(replacement) - 1);
		out += len ?: sizeof(replacement) - 1;
		text += len ?: 1;
	}
	*out = '\0';
	return json_string(clean);
}

int json_get_string(const json_t *o, const char *key, size_t max_bytes, const char **ret,
		    struct err *e)
{
	const json_t *value = json_object_get(o, key);

	if (!value)
		return -ENOENT;
	if (!json_is_string(value))
		return err_set(e, ERR_CORRUPT, -EBADMSG, "\"%s\" is not a string", key);
	if (json_string_length(value) > max_bytes)
		return err_set(e, ERR_CORRUPT, -EBADMSG, "\"%s\" is longer than %zu bytes", key,
			       max_bytes);
	*ret = json_string_value(value);
	return 0;
}

int json_get_u64(const json_t *o, const char *key, uint64_t *ret, struct err *e)
{
	const json_t *value = json_object_get(o, key);

	if (!value)
		return -ENOENT;
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return err_set(e, ERR_CORRUPT, -EBADMSG,
			       "\"%s\" is not a whole number of at least 0", key);
	*ret = (uint64_t)json_integer_value(value);
	return 0;
}
