# SPDX-License-Identifier: Apache-2.0
"""What bench/ measures with: copies are compared, rows that were not run say so, the delaying proxy changes no byte and hurries none."""

import os
import random
import socket
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path += [str(Path(__file__).parents[2] / "bench"), str(Path(__file__).parents[1] / "cassandra")]  # last: a module of the tests may have the name of one there

import bench  # noqa: E402
import cases  # noqa: E402
import data  # noqa: E402
import link  # noqa: E402
import measure  # noqa: E402
import medusa  # noqa: E402
import restores  # noqa: E402
import start  # noqa: E402
from report import Report  # noqa: E402

DELAY_MS = 40


@pytest.fixture(name="files")
def fixture_files(tmp_path):
    return data.make("small", tmp_path, Fraction(1, 1000))


def copied(files, tmp_path):
    top = tmp_path / "copy"
    measure.run(["cp", "-a", files.top, top])
    return top


def test_a_true_copy_passes(files, tmp_path):
    files.verify(copied(files, tmp_path), whole=True)


def test_another_byte_is_found(files, tmp_path):
    top = copied(files, tmp_path)
    name = files.component("-Data.db")[-1]
    content = bytearray((top / name).read_bytes())
    content[-1] ^= 1
    (top / name).write_bytes(content)
    with pytest.raises(measure.Failed, match="other bytes"):
        files.verify(top, whole=True)


def test_a_file_that_is_missing_or_too_many_or_cut_off_is_found(files, tmp_path):
    top = copied(files, tmp_path)
    name = files.component("-Data.db")[0]
    os.truncate(top / name, 1)
    with pytest.raises(measure.Failed, match="another size"):
        files.verify(top, whole=False)
    (top / name).unlink()
    with pytest.raises(measure.Failed, match="missing"):
        files.verify(top, whole=False)
    measure.run(["cp", files.top / name, top / name])
    (top / "more").touch()
    with pytest.raises(measure.Failed, match="too many"):
        files.verify(top, whole=False)


def test_a_row_says_whether_it_was_run():
    small = next(case for case in cases.all_cases() if case.name == "small")
    report = Report(cases.all_cases())
    report.add("small_local", 1, measure.Sample(10.0, 1.0, 0))
    report.add("small_cp", 1, measure.Sample(12.5, 1.0, 0))
    report.why["small_restore_restic"] = "restic is not installed"
    peers = next(case for case in cases.all_cases() if case.name == "small-peers")
    report.add("peers_local", 1, measure.Sample(10.0, 1.0, 0))
    report.late["small_cp_s3fs"] = 60.0
    lines = {row.name: report.line(row) for row in [*small.rows, *peers.rows]}
    assert lines["small_cp"][2:4] == ("met", "0.80 of the speed")
    assert lines["small_restore"][5] == "not run"
    assert lines["small_restore_restic"][5] == "not run: restic is not installed"
    assert lines["small_cp_s3fs"][3:6] == ("less than 0.17", "0", "more than 60 s")


def test_a_bar_that_is_missed_is_said_so_and_one_that_was_not_run_is_not_met():
    small = next(case for case in cases.all_cases() if case.name == "small")
    report = Report([small])
    report.add("small_local", 1, measure.Sample(10.0, 1.0, 0))
    report.add("small_cp", 1, measure.Sample(12.7, 1.0, 0))
    lines = {row.name: report.line(row) for row in small.rows}
    assert lines["small_cp"][2].startswith("NOT MET")
    assert "met" not in lines["small_restore"][2].lower().replace("not met", "")


def test_names_of_rows_are_unique_and_what_they_are_compared_with_is_there():
    for case in cases.all_cases():
        names = [row.name for row in case.rows]
        assert len(set(names)) == len(names)
        for row in case.rows:
            assert {row.against, *row.best_of} - {""} <= set(names), row.name
    every = [row.name for case in cases.all_cases() for row in case.rows]
    assert len(set(every)) == len(every)


def test_the_goals_beside_medusa_are_judged_by_the_median_of_the_rounds():
    def sample(seconds, puts):
        return measure.Sample(seconds, 1.0, 1 << 20, requests={"PutObject": puts})

    texts = {"medusa": "Medusa", "fast": "ours"}
    said = medusa.table(texts, {"medusa": [sample(30.0, 1000)] * 3, "fast": [sample(10.0, 50), sample(6.0, 100), sample(5.0, 200)]})
    assert "| ours | 6.0 | 10.0 / 6.0 / 5.0 | 3.00 / 5.00 / 6.00 | 200: 200 PutObject | 0.050 / 0.100 / 0.200 |" in said
    assert "speed: 5.00, met in" in said and "requests: 0.100, met" in said
    said = medusa.table(texts, {"medusa": [sample(30.0, 1000)], "fast": [sample(8.0, 101)]})
    assert "speed: 3.75, not met" in said and "requests: 0.101, not met" in said


def test_a_restore_beside_medusa_is_judged_by_all_that_is_not_cassandras_own():
    watch = SimpleNamespace(answered=30.0, disk=5 << 20, disk_before=1 << 20, memory=3 << 20)
    events = [("stop", 10.0, 12.0), ("start", 15.0, 40.0)]
    more = restores.parts(measure.Sample(60.0, 1.0, 0), events, watch, 4.0)
    assert more == {"down": 20.0, "own": 17.0, "rest": 43.0, "gap": 3.0, "before": 6.0, "between": 3.0, "after": 34.0, "disk": 4 << 20, "memory": 3 << 20}
    with pytest.raises(measure.Failed, match="not seen to come back"):
        restores.parts(measure.Sample(60.0, 1.0, 0), events, SimpleNamespace(answered=14.0), 4.0)

    def sample(rest, gap, gets):
        return measure.Sample(17.0 + rest, 1.0, 9 << 20, requests={"GetObject": gets}, more={**more, "rest": rest, "down": 17.0 + gap, "gap": gap, "finish": 0.5})

    texts = {"medusa": "Medusa", "fast": "ours"}
    said = restores.table(texts, {"medusa": [sample(30.0, 8.0, 1000)] * 3, "fast": [sample(10.0, 2.0, 50), sample(6.0, 1.0, 100), sample(5.0, 3.0, 200)]}, 8 << 20)
    assert "| ours | 23.0 | 27.0 / 23.0 / 22.0 | 19.0 | 17.0 | 6.0 | 6.0, 3.0, 34.0 | 5.0 | 2.0 | 100: 200 GetObject | 0.100 | 3 (9) | 4, 0.50 | 0.0 / 0.0 / 0.0 |" in said
    assert "as fast: 5.00, met in" in said and "beyond them: 2.00, met" in said and "requests: 0.100, met" in said
    said = restores.table(texts, {"medusa": [sample(30.0, 8.0, 1000)], "fast": [sample(6.1, 2.1, 101)]}, 8 << 20)
    assert "as fast: 4.92, not met in" in said and "beyond them: 2.10, not met" in said and "requests: 0.101, not met" in said


def test_a_start_on_a_clone_is_compared_with_that_of_the_same_round():
    disk = [{"seconds": seconds, "foreign": 0.5, "cpu": 20.0} for seconds in (10.0, 20.0, 10.0)]
    clone = [{"seconds": seconds, "foreign": 0.5, "cpu": 21.0, "mount_cpu": 0.5, "fetched": 3 << 20, "clone": 1.0} for seconds in (11.0, 20.0, 12.0)]
    said = start.table({"disk": disk, "clone": clone})
    assert "| 12.0 | 11.0 / 20.0 / 12.0 | 1.10 / 1.00 / 1.20 | 1.20 / 1.05 / 1.30 | 3.0 / 3.0 / 3.0 | 21.0 + 0.5 | 0.5 / 0.5 / 0.5 |" in said
    assert "Median 1.10: met" in said
    assert "Median 1.20: not met" in start.table({"disk": disk[:1], "clone": [dict(clone[0], seconds=12.0)]})


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path):
    with pytest.raises(measure.TooSlow):
        measure.run(["sh", "-c", 'sleep 600 & echo $! >"$0"; wait', tmp_path / "pid"], timeout=0.5)
    assert measure.cpu_of(int((tmp_path / "pid").read_text())) == 0 or not is_running(int((tmp_path / "pid").read_text()))


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def echo(listener):
    """Sends back what comes on one connection, to its end."""
    connection, _ = listener.accept()
    with connection:
        while part := connection.recv(1 << 16):
            connection.sendall(part)


def test_the_proxy_delays_each_byte_and_changes_none(tmp_path):
    proxy = Path(os.environ["SSTABLEFS_BINARY"]).parent.parent / "bench/bench_delay"
    content, came = random.Random(1).randbytes(24 << 20), tmp_path / "came"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=echo, args=(listener,))
        thread.start()
        client = ('import socket, sys, threading, time\nbegun = time.monotonic()\ns = socket.create_connection(("127.0.0.1", int(sys.argv[1])))\n'
                  'def send():\n    s.sendall(open(sys.argv[2], "rb").read())\n    s.shutdown(socket.SHUT_WR)\n'
                  'threading.Thread(target=send).start()\nf = open(sys.argv[3], "wb")\nfirst = None\n'
                  'while part := s.recv(1 << 16):\n    first = first or time.monotonic() - begun\n    f.write(part)\nprint(first)\n')
        (tmp_path / "sent").write_bytes(content)
        with link.made("none", DELAY_MS, port, str(proxy)) as made:
            words = [*made.prefix, sys.executable, "-c", client, str(port), tmp_path / "sent", came]
            begun = time.monotonic()
            _, out = measure.run(words, timeout=60)
            assert time.monotonic() - begun >= 4 * DELAY_MS / 1000
        thread.join(10)
    assert came.read_bytes() == content
    # The handshake takes a round trip, and the bytes another.
    assert float(out) >= 4 * DELAY_MS / 1000


def test_the_arguments_know_the_cases(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench/run", "--case", "large,link-1", "--delay", "5"])
    chosen = bench.chosen(bench.parse_arguments())
    assert [(case.name, case.rate, case.delay) for case in chosen] == [("large", "none", 5), ("link-1", "2500mbit", 5)]
