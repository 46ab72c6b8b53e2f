/* SPDX-License-Identifier: Apache-2.0 */
/* What hands out credentials: the answers of endpoints, programs and STS, the addresses and commands that name them. */
#include "store/creds_container.h"
#include "store/creds_json.h"
#include "store/creds_process.h"
#include "store/creds_sts.h"
#include "tests/fuzz/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A field becomes a line of a header. */
static void check_field(const char *text, size_t max)
{
	if (strlen(text) >= max)
		abort();
	for (; *text; text++) {
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			abort();
	}
}

static void read_json(enum creds_json_form form, const char *text, size_t size)
{
	struct creds_found found = { .expires_ns = 0 };
	struct err e = ERR_INIT;

	if (creds_json_read(form, text, size, &found, &e) < 0) {
		if (!e.message[0])
			abort();
		return;
	}
	check_field(found.value.access_key, sizeof(found.value.access_key));
	check_field(found.value.secret_key, sizeof(found.value.secret_key));
	check_field(found.value.session_token, sizeof(found.value.session_token));
	if (!found.value.access_key[0] || !found.value.secret_key[0])
		abort();
}

static void split(char *text, size_t size)
{
	char *words[CREDS_PROCESS_WORDS_MAX + 1];

	if (creds_process_split(text, words) < 0)
		return;
	for (size_t i = 0; words[i]; i++) {
		if (i >= CREDS_PROCESS_WORDS_MAX || words[i] < text ||
		    words[i] + strlen(words[i]) > text + size)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = text_of(size ? data + 1 : data, size ? size - 1 : 0);
	struct creds_sts_answer sts;
	int64_t ns;

	switch (size ? data[0] % 6 : 0) {
	case 0:
		read_json(CREDS_JSON_ENDPOINT, text, size - (size > 0));
		break;
	case 1:
		read_json(CREDS_JSON_PROCESS, text, size - 1);
		break;
	case 2:
		creds_sts_parse(text, size - 1, &sts);
		break;
	case 3:
		split(text, size - 1);
		break;
	case 4:
		creds_container_may_ask(text);
		break;
	default:
		creds_link_time(text, &ns);
		break;
	}
	free(text);
	return 0;
}
