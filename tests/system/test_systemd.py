# SPDX-License-Identifier: Apache-2.0
"""The units in systemd/: systemd takes them without a word, and the very line that it would run makes the backups that it promises."""

import os
import re
import shlex
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import pytest

from harness import CLUSTER, DONE, FAILED, FOUND, NODE, USAGE
from sshstandin import Hosts
from trees import flip

SOURCE = Path(__file__).parents[2]
UNITS = SOURCE / "systemd"
PERIODS = {"hourly": 3600, "daily": 24 * 3600, "weekly": 7 * 24 * 3600}
GENERATOR = "systemd/system-generators/systemd-fstab-generator"
INSTANCES = [f"sstablefs-backup@{period}.{kind}" for period in PERIODS for kind in ("service", "timer")]


def settings(path):
    """[(key, value)] of a unit file."""
    return [tuple(line.split("=", 1)) for line in path.read_text().splitlines() if re.match(r"[A-Z]\w+=", line)]


def setting(path, key):
    (value,) = [value for name, value in settings(path) if name == key]
    return value


@pytest.fixture
def units(tmp_path, binary):
    """All units in a directory, each instance by its name, with the program where it lies here."""
    directory = tmp_path / "units"
    directory.mkdir()
    for path in UNITS.iterdir():
        text = path.read_text().replace("/usr/bin/sstablefs", str(binary))
        for name in [path.name] if "@" not in path.name else [n for n in INSTANCES if n.endswith(path.suffix)]:
            (directory / name).write_text(text)
    return directory


def verify(*paths):
    # Manual pages are looked for below: on a machine where sstablefs is not installed man(1) finds none.
    command = ["systemd-analyze", "verify", "--man=no", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("unit", [*INSTANCES, "sstablefs-mount.service", "mnt-sstablefs.mount", "sstablefs-purge.service", "sstablefs-purge.timer"])
def test_systemd_has_nothing_to_say_about_a_unit(units, unit):
    verify(units / unit)


def test_every_unit_names_a_manual_page_that_there_is():
    for path in UNITS.iterdir():
        for page, section in re.findall(r"man:([\w.]+)\((\d)\)", path.read_text()):
            assert (SOURCE / f"man/{page}.{section}").exists()
        assert "man:" in path.read_text() or path.suffix == ".example"


def test_fstab_becomes_a_mount_unit_that_waits_for_the_network(tmp_path):
    generator = next(p for p in (Path("/usr/lib"), Path("/lib")) if (p / GENERATOR).exists()) / GENERATOR
    out = [tmp_path / name for name in ("normal", "early", "late")]
    for directory in out:
        directory.mkdir()
    done = subprocess.run([generator, *out], capture_output=True, text=True,
                          env={**os.environ, "SYSTEMD_FSTAB": str(UNITS / "fstab.example")}, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    unit = out[0] / "mnt-sstablefs.mount"
    assert setting(unit, "What").startswith("s3://") and setting(unit, "Type") == "fuse.sstablefs"
    assert "_netdev" in setting(unit, "Options").split(",")
    assert (out[0] / "mnt-sstablefs.automount").exists()
    assert (out[0] / "remote-fs.target.wants/mnt-sstablefs.automount").is_symlink()
    verify(unit, out[0] / "mnt-sstablefs.automount")


@pytest.mark.parametrize("period", PERIODS)
def test_a_timer_elapses_at_the_begin_of_its_period_and_its_delay_is_shorter(period):
    timer = UNITS / "sstablefs-backup@.timer"
    calendar = setting(timer, "OnCalendar").replace("%i", period)
    done = subprocess.run(["systemd-analyze", "calendar", "--iterations=2", "--base-time=2026-11-22 17:30:00 UTC", calendar], capture_output=True,
                          text=True, check=True, env={**os.environ, "TZ": "America/St_Johns"}, timeout=60)
    times = [datetime.strptime(t, "%Y-%m-%d %H:%M:%S") for t in re.findall(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", done.stdout)]
    assert len(times) == 2 and (times[1] - times[0]).total_seconds() == PERIODS[period]
    assert {"hourly": (times[0].minute, times[0].second) == (0, 0), "daily": times[0].hour == 0,
            "weekly": (times[0].weekday(), times[0].hour) == (0, 0)}[period]
    delay = subprocess.run(["systemd-analyze", "timespan", setting(timer, "RandomizedDelaySec")], capture_output=True, text=True, check=True)
    assert int(re.search(r"[uμ]s: (\d+)", delay.stdout)[1]) / 1e6 < PERIODS[period]


def test_stopping_a_backup_does_not_end_the_nodetool_that_clears_its_snapshot():
    """By default systemd sends SIGTERM to every process of the unit at once."""
    assert setting(UNITS / "sstablefs-backup@.service", "KillMode") == "mixed"


# ---- the line itself ----

def exec_start(instance):
    """The words that systemd makes of ExecStart=: specifiers, quotes, and $$ (systemd.service(5), "Command lines")."""
    line = setting(UNITS / "sstablefs-backup@.service", "ExecStart")
    specifiers = {"%%": "%", "%i": instance}
    words = shlex.split(re.sub(r"%.", lambda m: specifiers[m[0]], line))
    assert not re.search(r"(?<!\$)\$(?!\$)", line) and "\\" not in line, "nothing that systemd itself would replace"
    return [word.replace("$$", "$") for word in words]


class Service:
    """Runs the line as systemd would: nothing in the environment but what the unit and an operator's drop-in say."""

    def __init__(self, program, binary, tmp_path, url, node_directory, metrics):
        self.bin = tmp_path / "bin"
        self.bin.mkdir()
        (self.bin / "sstablefs").symlink_to(binary)
        self.options = f"--metrics-file {metrics} --cluster {CLUSTER} --node {NODE} --snapshot monday --data-dir {node_directory}"
        self.environment = {**program.environment, "SSTABLEFS_REPOSITORY": str(url)}

    def at(self, seconds):
        """From now on date(1) tells this time."""
        date = self.bin / "date"
        date.unlink(missing_ok=True)
        date.write_text(f'#!/bin/sh\nexec {shutil.which("date")} -d @{seconds} "$@"\n')
        date.chmod(0o755)

    def __call__(self, instance, options=None):
        environment = {**self.environment, "PATH": f"{self.bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                       "BACKUP_OPTIONS": self.options if options is None else options}
        return subprocess.run(exec_start(instance), env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)


@pytest.fixture
def service(program, binary, tmp_path, repository, node_directory):
    return Service(program, binary, tmp_path, repository.url, node_directory, tmp_path / "backup.prom")


def at(*when):
    return int(datetime(*when, tzinfo=timezone.utc).timestamp())


@pytest.mark.parametrize("instance, when, name", [
    ("hourly", at(2026, 11, 22, 17, 59, 59), "hourly-20261122T17Z"), ("hourly", at(2026, 11, 22, 18), "hourly-20261122T18Z"),
    ("daily", at(2026, 12, 31, 23, 59, 59), "daily-20261231"), ("daily", at(2027, 1, 1), "daily-20270101"),
    ("weekly", at(2026, 11, 22, 23, 59, 59), "weekly-2026-W47"), ("weekly", at(2026, 11, 23), "weekly-2026-W48"),
    ("weekly", at(2027, 1, 3), "weekly-2026-W53"), ("weekly", at(2027, 1, 4), "weekly-2027-W01")])
def test_a_backup_is_named_after_its_period(repository, service, instance, when, name):
    service.at(when)
    done = service(instance)
    assert (done.returncode, done.stderr) == (DONE, ""), done
    assert [b["name"] for b in repository.json("list")["backups"]] == [name]


def test_a_second_run_in_the_period_is_no_failure_and_makes_nothing(repository, service):
    for hour, code in ((0, DONE), (23, DONE)):
        service.at(at(2026, 11, 22, hour))
        done = service("daily")
        assert done.returncode == code, done
    assert "is there already" in done.stdout
    service.at(at(2026, 11, 23))
    assert service("daily").returncode == DONE
    assert {b["name"] for b in repository.json("list")["backups"]} == {"daily-20261122", "daily-20261123"}


def test_a_run_that_failed_is_made_again_under_the_same_name(repository, service):
    service.at(at(2026, 11, 22))
    aside = repository.path.rename(repository.path.with_name("aside"))
    assert service("daily").returncode not in (DONE, FOUND)
    aside.rename(repository.path)
    assert service("daily").returncode == DONE
    assert [b["name"] for b in repository.json("list")["backups"]] == ["daily-20261122"]


def test_systemd_tries_again_what_may_succeed_and_nothing_else(repository, service, node_directory):
    never = set(map(int, setting(UNITS / "sstablefs-backup@.service", "RestartPreventExitStatus").split()))
    again = service("daily", service.options.replace("monday", "monday --no-such-option"))
    assert again.returncode == USAGE and USAGE in never
    again = service("yearly")
    assert again.returncode == USAGE and "yearly" in again.stderr
    flip(sorted(node_directory.rglob("snapshots/monday/*-Data.db"))[0], 0)
    assert service("daily").returncode == FOUND and FOUND in never
    assert FAILED not in never
    assert {b["name"].split("-")[0] for b in repository.json("list")["backups"]} == {"daily"}


def test_the_purge_unit_goes_by_the_configuration(repository, small_node, program):
    for day in range(1, 5):
        repository.backup(small_node.data, "t1", f"b{day}")
    configuration = program.directory / "purge.conf"
    configuration.write_text(f"[repository]\nurl = {repository.url}\n[purge]\nkeep_last = 2\n")
    program, *words = shlex.split(setting(UNITS / "sstablefs-purge.service", "ExecStart").replace("$PURGE_OPTIONS", ""))
    assert program == "/usr/bin/sstablefs"
    repository.program("--config", configuration, *words)
    assert [b["name"] for b in repository.json("list")["backups"]] == ["b4", "b3"]


def test_the_nodes_of_a_cluster_meet_under_one_name_without_a_coordinator(program, repository, service):
    """Each at its own moment of the day; one of them a second time."""
    hosts = Hosts(program)
    moments = [at(2026, 11, 22, 0, 3), at(2026, 11, 22, 0, 29, 59), at(2026, 11, 22, 23, 59, 59), at(2026, 11, 22, 12)]
    for number, moment in enumerate(moments):
        service.environment.update(hosts.environments[hosts.names[number % 3]])
        service.at(moment)
        assert service("daily", options="").returncode == 0
        (backup,) = repository.json("list")["backups"]
        done = min(number + 1, 3)
        assert (backup["name"], backup["nodes_finished"], backup["nodes_expected"], backup["complete"]) == ("daily-20261122", done, 3, done == 3)
    assert [node["node"] for node in backup["nodes"]] == ["n1", "n2", "n3"]
    assert hosts.snapshots() == {}
