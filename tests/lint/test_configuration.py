# SPDX-License-Identifier: Apache-2.0
"""Every key of the configuration is in its manual page and in the example file, and these name no other; and every key is read by what the section is for."""

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2]
CODE = (SOURCE / "tools/config.c").read_text()


def words(text):
    return re.findall(r'"((?:[^"\\]|\\.)*)"', text)


def sections():
    """{section: keys} of tools/config.c, without the options of mounts."""
    arrays = {name: words(body) for name, body in re.findall(r"static const char \*const (\w+)\[\] = \{(.*?)\};", CODE, re.S)}
    table = re.search(r"\} sections\[\] = \{(.*?)\n\};", CODE, re.S)[1]
    return {section: set(arrays[array]) for section, array in re.findall(r'\{ "(\w+)", (\w+) \}', table) if array != "NULL"}


def manual():
    """{section: keys} of the manual page."""
    found = {}
    for title, body in re.findall(r"^\.SH (\[.*?\])\n(.*?)(?=^\.SH )", (SOURCE / "man/sstablefs.conf.5").read_text(), re.S | re.M):
        keys = set(re.findall(r"^\.T[PQ]\n\.B (\w+)$", body, re.M))
        for section in re.findall(r"\w+", title):
            found[section] = keys
    return found


def example():
    found, section = {}, None
    for line in (SOURCE / "packaging/sstablefs.conf").read_text().splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = found.setdefault(match[1], set())
        elif match := re.match(r"#(\w+) = ", line):
            section.add(match[1])
    return found


def test_there_are_sections():
    assert {"repository", "cassandra", "backup", "ssh", "hooks"} <= sections().keys()


@pytest.mark.parametrize("section", sections())
def test_every_key_is_documented(section):
    assert manual()[section] == sections()[section]


@pytest.mark.parametrize("section", sections())
def test_every_key_is_in_the_example(section):
    assert example()[section] == sections()[section]


def test_options_of_mounts_are_documented():
    names = set(words(re.search(r"static const char \*const names\[\] = \{(.*?)\};", (SOURCE / "tools/mountopt.c").read_text(), re.S)[1]))
    assert manual()["mount"] == names - {"config"}


# What reads keys of a section that its caller names, and what the caller looks like; hooks are put together from what follows "before_" and "after_".
READERS = {"tools/cli.c": r'common_init\([^;]*"{}"', "tools/priority.c": r'priority_\w+\([^;]*"{}"'}


@pytest.mark.parametrize("section", sections())
def test_every_key_is_read(section):
    """By a file that asks for values of this section, or by one that is told it: no key is accepted and without effect."""
    sources = {path: path.read_text() for path in (SOURCE / "tools").glob("*.c") if path.name not in ("config.c", "medusawords.c", "doctorconf.c")}
    direct = [text for text in sources.values() if re.search(rf'config_get\([^;]*"{section}"', text)]
    told = [(SOURCE / path).read_text() for path, caller in READERS.items() if any(re.search(caller.format(section), text) for text in sources.values())]
    read = {word for text in direct + told for word in words(text)}
    read |= {f"{when}_{word}" for when in ("before", "after") for word in read}
    assert sections()[section] - read == set()


def test_no_section_is_made_up():
    assert manual().keys() - {"mount"} == sections().keys() == example().keys() - {"mount"}


# ---- docs/from-medusa.md ----

# What Medusa 0.31 has: sections and keys of its configuration, variables of the environment, commands and options.
MEDUSA = {
    "storage": "bucket_name key_file prefix fqdn host_file_separator storage_provider storage_class base_path max_backup_age max_backup_count api_profile "
               "transfer_max_bandwidth concurrent_transfers multi_part_upload_threshold multipart_chunksize multipart_max_concurrency host region port secure "
               "ssl_verify aws_cli_path kms_id sse_c_key backup_grace_period_in_days use_sudo_for_restore k8s_mode read_timeout s3_addressing_style",
    "cassandra": "start_cmd stop_cmd config_file cql_username cql_password check_running is_ccm sstableloader_bin nodetool_username nodetool_password "
                 "nodetool_password_file_path nodetool_host nodetool_executable nodetool_port certfile usercert userkey sstableloader_ts sstableloader_tspw "
                 "sstableloader_ks sstableloader_kspw nodetool_ssl resolve_ip_addresses use_sudo nodetool_flags cql_k8s_secrets_path nodetool_k8s_secrets_path",
    "ssh": "username key_file port cert_file use_pty keepalive_seconds login_shell",
    "checks": "health_check query expected_rows expected_result enable_md5_checks md5_check_concurrency",
    "monitoring": "monitoring_provider send_backup_name_tag",
    "logging": "enabled file format level maxBytes backupCount",
    "grpc": "enabled max_send_message_length max_receive_message_length port ca_cert tls_cert tls_key",
    "kubernetes": "enabled cassandra_url use_mgmt_api ca_cert tls_cert tls_key",
}
VARIABLES = ("MEDUSA_CQL_USERNAME MEDUSA_CQL_PASSWORD CQL_USERNAME CQL_PASSWORD MEDUSA_NODETOOL_USERNAME MEDUSA_NODETOOL_PASSWORD MEDUSA_SSTABLELOADER_TSPW "
             "MEDUSA_SSTABLELOADER_KSPW MEDUSA_RESOLVE_IP_ADDRESSES MEDUSA_CQL_K8S_SECRETS_PATH MEDUSA_NODETOOL_K8S_SECRETS_PATH MEDUSA_TMP_DIR POD_IP POD_NAME "
             "RESTORE_MAPPING BACKUP_NAME AZURE_STORAGE_ACCOUNT")
BACKUP = "--backup-name --stagger --enable-md5-checks --mode --keep-snapshot --use-existing-snapshot"
COMMANDS = {  # a word that its table must have: the table's options, and commands
    "-v": "--verbosity --without-log-timestamp --config-file --bucket-name --key-file --prefix --fqdn --backup-grace-period-in-days --ssh-username --ssh-key-file",
    "backup-cluster": f"backup backup-node {BACKUP} --seed-target --temp-dir --parallel-snapshots -ps --parallel-uploads -pu",
    "list-backups": "fetch-tokenmap --show-all --no-show-all --output -o download --download-destination --keyspace --table --ignore-system-keyspaces status verify "
                    "--enable-md5-checks report-last-backup --push-metrics get-last-complete-cluster-backup build-index --noop purge purge-decommissioned "
                    "delete-backup --backup-name -a --all-nodes -c --current-node",
    "restore-node": "--temp-dir --backup-name --in-place --remote --keep-auth --seeds --verify --no-verify --keyspace --table --use-sstableloader --version-target",
    "restore-cluster": "--backup-name --seed-target --temp-dir --host-list --keep-auth -y --bypass-checks --verify --no-verify --keyspace --table --use-sstableloader "
                       "--parallel-restores -pr --version-target --ignore-racks",
}


def tables():
    """Of each table of docs/from-medusa.md: its title, and the words of its left column."""
    for table in re.findall(r"(?:^\|.*\n)+", (SOURCE / "docs/from-medusa.md").read_text(), re.M):
        rows = [line.split(" | ", 1)[0] for line in table.splitlines()]
        yield rows[0], {word for row in rows for span in re.findall(r"`([^`]*)`", row) for word in re.split(r"[ =]", span)}


@pytest.mark.parametrize("section", MEDUSA)
def test_every_key_of_medusa_has_a_counterpart_or_is_said_to_have_none(section):
    found = [words for title, words in tables() if f"[{section}]" in words or f"`[{section}]`" in title]
    assert found and set(MEDUSA[section].split()) - set().union(*found) == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_medusa_is_named(command):
    assert any(command in words and not set(COMMANDS[command].split()) - words for _, words in tables())


def test_every_variable_of_medusa_is_named():
    assert any(set(VARIABLES.split()) <= words for title, words in tables() if "environment" in title)


def test_hints_for_keys_of_medusa_are_keys_of_ours():
    """tools/medusawords.c: every key that both do not call the same, and nothing else."""
    rows = re.findall(r'\{ "(\w+)", "(\w+)", "(\w*)" \}', (SOURCE / "tools/medusawords.c").read_text())
    for section in ("cassandra", "ssh", "checks"):
        hints = {key: ours for name, key, ours in rows if name == section}
        assert hints.keys() == set(MEDUSA[section].split()) - sections()[section]
        assert set(hints.values()) - {""} <= sections()[section]
    assert {name for name, _, _ in rows} == {"cassandra", "ssh", "checks"}
    assert set(words(re.search(r"sections\[\] = \{(.*?)\};", (SOURCE / "tools/medusawords.c").read_text(), re.S)[1])) == MEDUSA.keys() - sections().keys()
