/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/medusawords.h"

#include <string.h>
#include "base/util.h"

static const struct word {
	const char *section, *key, *ours;
} words[] = {
	{ "cassandra", "certfile", "cqlshrc" },
	{ "cassandra", "check_running", "" },
	{ "cassandra", "config_file", "yaml" },
	{ "cassandra", "cql_k8s_secrets_path", "cql_credentials_file" },
	{ "cassandra", "cql_password", "cql_credentials_file" },
	{ "cassandra", "cql_username", "cql_credentials_file" },
	{ "cassandra", "is_ccm", "" },
	{ "cassandra", "nodetool_executable", "nodetool" },
	{ "cassandra", "nodetool_flags", "" },
	{ "cassandra", "nodetool_host", "jmx_host" },
	{ "cassandra", "nodetool_k8s_secrets_path", "jmx_password_file" },
	{ "cassandra", "nodetool_password", "jmx_password_file" },
	{ "cassandra", "nodetool_password_file_path", "jmx_password_file" },
	{ "cassandra", "nodetool_port", "jmx_port" },
	{ "cassandra", "nodetool_ssl", "jmx_ssl" },
	{ "cassandra", "nodetool_username", "jmx_username" },
	{ "cassandra", "resolve_ip_addresses", "" },
	{ "cassandra", "sstableloader_bin", "sstableloader" },
	{ "cassandra", "sstableloader_ks", "yaml" },
	{ "cassandra", "sstableloader_kspw", "yaml" },
	{ "cassandra", "sstableloader_ts", "yaml" },
	{ "cassandra", "sstableloader_tspw", "yaml" },
	{ "cassandra", "start_cmd", "start_command" },
	{ "cassandra", "stop_cmd", "stop_command" },
	{ "cassandra", "use_sudo", "" },
	{ "cassandra", "usercert", "cqlshrc" },
	{ "cassandra", "userkey", "cqlshrc" },
	{ "checks", "enable_md5_checks", "" },
	{ "checks", "health_check", "" },
	{ "checks", "md5_check_concurrency", "" },
	{ "ssh", "cert_file", "certificate_file" },
	{ "ssh", "keepalive_seconds", "keepalive" },
	{ "ssh", "key_file", "identity_file" },
	{ "ssh", "login_shell", "" },
	{ "ssh", "use_pty", "" },
	{ "ssh", "username", "user" },
};

const char *medusawords_key(const char *section, const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i].section, section) == 0 && strcmp(words[i].key, key) == 0)
			return words[i].ours;
	return NULL;
}

bool medusawords_is_section(const char *name)
{
	static const char *const sections[] = { "storage", "monitoring", "logging", "grpc",
						"kubernetes" };

	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (strcmp(sections[i], name) == 0)
			return true;
	return false;
}
