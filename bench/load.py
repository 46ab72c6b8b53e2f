# SPDX-License-Identifier: Apache-2.0
"""What a backup costs a Cassandra node that is written to at full speed.

One node of Cassandra, MinIO, the writer and sstablefs share this machine. A round is: writes alone, writes beside a backup as shipped, writes beside a backup with
--limit-rate; each backup stores everything anew, in a repository of its own. Only the time in which the backup runs counts; the snapshot is taken before.
"""

import itertools
import multiprocessing
import os
import random
import sys
import threading
import time
from statistics import median

import measure
import real
from cassandra.cluster import EXEC_PROFILE_DEFAULT, ExecutionProfile
from cassandra.cluster import Cluster as Driver
from cassandra.policies import WhiteListRoundRobinPolicy
from real import MIB

TABLE = "load.rows"
SETTLE_SECONDS = 3


def write(address, in_flight, row_bytes, connection):
    """The writer, a process of its own: keeps so many INSERTs under way until told to end; sends back (time of the answer, seconds) of each."""
    pool = random.Random(os.getpid()).randbytes(16 * MIB)
    profile = ExecutionProfile(load_balancing_policy=WhiteListRoundRobinPolicy([address]), request_timeout=60)
    driver = Driver([address], protocol_version=5, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
    session = driver.connect()
    insert = session.prepare(f"INSERT INTO {TABLE} (id, v) VALUES (?, ?)")
    numbers, over, room, done, failed = itertools.count(), threading.Event(), threading.Semaphore(in_flight), [], []

    def answered(_, begun):
        now = time.monotonic()
        done.append((now, now - begun))
        room.release()

    def failure(error, begun):
        failed.append((time.monotonic(), str(error)))
        room.release()

    connection.send("ready")
    threading.Thread(target=lambda: (connection.recv(), over.set()), daemon=True).start()
    while not over.is_set():
        room.acquire()
        at = random.randrange(len(pool) - row_bytes)
        begun = time.monotonic()
        session.execute_async(insert, (os.getpid() << 32 | next(numbers), pool[at:at + row_bytes])).add_callbacks(
            answered, failure, callback_args=(begun,), errback_args=(begun,))
    for _ in range(in_flight):
        room.acquire()
    driver.shutdown()
    connection.send((done, failed))


class Writer:
    def __init__(self, address, arguments):
        here, there = multiprocessing.Pipe()
        self.connection = here
        self.process = multiprocessing.Process(target=write, args=(address, arguments.in_flight, arguments.row_bytes, there), daemon=True)
        self.process.start()
        assert here.recv() == "ready"

    def end(self):
        self.connection.send("end")
        done, failed = self.connection.recv()
        self.process.join()
        return done, failed


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def preload(node, arguments):
    writer = Writer(node.address, arguments)
    while sum(path.stat().st_size for path in node.table_directories("load", "rows")[0].glob("*-Data.db")) < arguments.mib * MIB:
        time.sleep(5)
        node.nodetool("flush", "load")
    writer.end()


class Bench:
    def __init__(self, site):
        self.site, self.node, self.arguments = site, site.node, site.arguments
        self.rows = {}

    def backup(self, options):
        """A first backup of the snapshot `load`, into a repository of its own. (begin, end, bytes)."""
        repository = self.site.repository()
        begun = time.monotonic()
        result = repository.backup(self.node.data_directories, "load", "b", "--only", "load", *options, timeout=3600)
        return begun, time.monotonic(), result["total_bytes"]

    def phase(self, name, number, options=None):
        writer = Writer(self.node.address, self.arguments)
        time.sleep(SETTLE_SECONDS)
        machine = measure.cpu_of_machine()
        if options is None:
            begun = time.monotonic()
            time.sleep(self.arguments.seconds)
            ended, size = time.monotonic(), 0
        else:
            begun, ended, size = self.backup(options)
        busy = (measure.cpu_of_machine() - machine) / (ended - begun)
        done, failed = writer.end()
        latencies = [seconds for at, seconds in done if begun <= at < ended]
        row = {"seconds": ended - begun, "writes": len(latencies) / (ended - begun), "p50": percentile(latencies, 0.5) * 1e3,
               "p99": percentile(latencies, 0.99) * 1e3, "p999": percentile(latencies, 0.999) * 1e3,
               "mib_s": size / MIB / (ended - begun), "failed": sum(begun <= at < ended for at, _ in failed), "busy": busy}
        self.rows.setdefault(name, {})[number] = row
        print(f"round {number}: {name}: " + ", ".join(f"{key} {value:.1f}" for key, value in row.items()), file=sys.stderr, flush=True)

    def round(self, number):
        for name, options in (("alone", None), ("backup", ()), ("limited", ("--limit-rate", self.arguments.limit_rate))):
            self.phase(name, number, options)

    def table(self):
        names = {"alone": "no backup", "backup": "backup, as shipped", "limited": f"backup, --limit-rate {self.arguments.limit_rate}"}
        lines = ["| beside the writes | backup MiB/s | writes/s | of no backup | p50 ms | p99 ms | of no backup | p99.9 ms | failed |", "|---" * 9 + "|"]
        for name, rounds in self.rows.items():
            def middle(key, rounds=rounds):
                return median(row[key] for row in rounds.values())

            def against(key, rounds=rounds):
                return " / ".join(f"{v:.2f}" for v in sorted(row[key] / self.rows["alone"][n][key] for n, row in rounds.items()))
            lines.append(f"| {names[name]} | {middle('mib_s'):.1f} | {middle('writes'):.0f} | {against('writes')} | {middle('p50'):.1f} | "
                         f"{middle('p99'):.1f} | {against('p99')} | {middle('p999'):.0f} | {sum(r['failed'] for r in rounds.values())} |")
        return "\n".join(lines)


def parse_arguments():
    parser = real.parser("load", __doc__, mib=512)
    parser.add_argument("--seconds", type=float, default=20, help="of a phase without a backup (default 20)")
    parser.add_argument("--limit-rate", default="16M", help="of the limited backup (default 16M)")
    parser.add_argument("--in-flight", type=int, default=32, help="INSERTs under way at once (default 32)")
    parser.add_argument("--row-bytes", type=int, default=4000, help="(default 4000)")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    with real.site("load", arguments) as site:
        site.node.cql("CREATE KEYSPACE load WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
        site.node.cql(f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, v blob)")
        preload(site.node, arguments)
        site.node.nodetool("snapshot", "-t", "load", "load")
        bench = Bench(site)
        for number in range(1, arguments.rounds + 1):
            bench.round(number)
        print(bench.table())
    print(f"\n{arguments.rounds} rounds, {arguments.mib} MiB. {site.about('the node, MinIO, the writer and the backup')}")


if __name__ == "__main__":
    real.run("load", main)
