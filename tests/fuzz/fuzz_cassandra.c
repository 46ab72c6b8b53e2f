/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as cassandra.yaml, as cassandra-rackdc.properties, and as what nodetool and cqlsh print: the first byte says which. */
#include "base/util.h"
#include "cassandra/cqlfacts.h"
#include "cassandra/cqlsh.h"
#include "cassandra/facts.h"
#include "cassandra/nodeconf.h"
#include "cassandra/nodetool.h"
#include "cassandra/snitch.h"
#include "cassandra/topology.h"
#include "tests/fuzz/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_yaml(const char *text, size_t len)
{
	struct nodeconf *y = NULL;
	struct err e = ERR_INIT;

	if (nodeconf_read("it", text, len, &y, &e) < 0)
		return;
	for (size_t i = 0; i < y->data_dir_count; i++)
		if (strlen(y->data_dirs[i]) > FACTS_WORD_MAX)
			abort();
	nodeconf_free(y);
}

static void read_properties(const char *text, size_t len)
{
	_cleanup_(facts_freep) struct facts *f = facts_new();
	struct err e = ERR_INIT;
	int r;

	if (!f)
		abort();
	r = snitch_read("it", text, len, f, &e);
	if ((r == 0) != (*f->dc && *f->rack) || strlen(f->dc) > FACTS_WORD_MAX ||
	    strpbrk(f->dc, "\r\n\\"))
		abort();
}

static void read_facts(char kind, const char *text)
{
	_cleanup_(facts_freep) struct facts *f = facts_new();
	_cleanup_free_ char *topology = NULL;
	struct err e = ERR_INIT;

	if (!f)
		abort();
	if (kind == 'i')
		(void)facts_read_info(f, text, &e);
	if (kind == 's' && facts_read_status(f, text, &e) == 0 && f->member_count == 0)
		abort();
	if (kind == 'c' && facts_read_describecluster(f, text, &e) == 0 && !*f->cluster)
		abort();
	if (kind == 'd' && facts_read_datapaths(f, text, &e) == 0 && f->data_dir_count == 0)
		abort();
	if (kind == 'r' && cqlfacts_read(f, text, &e) == 0 && f->member_count == 0)
		abort();
	(void)facts_has_table(f, text);
	(void)facts_complete(f, &e);
	topology = topology_text(f);
	if (!topology)
		abort();
}

static void read_cqlsh(const char *text)
{
	const char *statements = cqlsh_statements(text);
	_cleanup_free_ char *value = cqlsh_json_value(text);
	uint64_t rows = 0;
	char reason[100];

	if (cqlsh_row_count(text, &rows) == 0 && !strstr(text, " rows)"))
		abort();
	if (!value || (statements && (statements < text || statements > text + strlen(text))))
		abort();
	nodetool_reason(text, text, reason, sizeof(reason));
	if (strlen(reason) >= sizeof(reason) || strchr(reason, '\n'))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = size ? text_of(data + 1, size - 1) : NULL;

	if (!text)
		return 0;
	if (*data == 'y')
		read_yaml(text, size - 1);
	else if (*data == 'p')
		read_properties(text, size - 1);
	else if (*data == 'q')
		read_cqlsh(text);
	else
		read_facts((char)*data, text);
	return 0;
}
