# SPDX-License-Identifier: Apache-2.0
"""Random reads of an Index.db from the mount, and what the network alone takes for the same: two ranged GETs of 128 KiB made at once."""

import contextlib
import os
import random
import socket
import time
from statistics import median, quantiles
from urllib.parse import urlsplit

import measure
import tools

READS = 200
GET_BYTES = 128 << 10
ANSWER_BYTES = 1 << 16
SEED = 7


def offsets(size, unit):
    """Places that lie in different units of the file, or as many as it has."""
    places = range(max(1, size // unit))
    return [unit * place for place in random.Random(SEED).sample(places, min(READS, len(places)))]


def summary(times, sample, suffix=""):
    """Rows of the median and of the 99th percentile, in milliseconds."""
    p99 = quantiles(times, n=100, method="inclusive")[98] if len(times) > 1 else times[0]
    return {f"{suffix}": measure.Sample(**{**vars(sample), "seconds": 1000 * median(times)}),
            f"{suffix}_p99": measure.Sample(**{**vars(sample), "seconds": 1000 * p99})}


def timed(function, places):
    times = []
    for place in places:
        begun = time.perf_counter()
        function(place)
        times.append(time.perf_counter() - begun)
    return times


def observed(world, mount, function, places):
    """Times of calls, and a Sample of what they cost."""
    requests = world.server.requests()
    before = {pid: measure.cpu_of(pid) for pid in (world.server_pid, mount) if pid}
    times = timed(function, places)
    others = {name: measure.cpu_of(pid) - before[pid] for name, pid in (("server", world.server_pid), ("mount", mount)) if pid}
    now = world.server.requests()
    return times, measure.Sample(sum(times), 0.0, 0, others, {"mount": measure.memory_of(mount)} if mount else {},
                                 {k: n - requests.get(k, 0) for k, n in now.items() if n > requests.get(k, 0)})


def reads(world, set_name, size):
    """Cold from a fresh mount, and then the same places again."""
    files = world.set(set_name)
    name = files.component("-Index.db")[0]
    with tools.Sstablefs(world).mount(files) as (top, pid):
        handle = os.open(top / name, os.O_RDONLY)
        try:
            if world.cold and not measure.drop_caches():
                world.caches_dropped = False
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_RANDOM)
            places = offsets(files.files[name][1], GET_BYTES)

            def read(place):
                if len(os.pread(handle, size, place)) != size:
                    raise measure.Failed("a read came back short")

            cold = summary(*observed(world, pid, read, places))
            again = summary(*observed(world, pid, read, places), suffix="_again")
        finally:
            os.close(handle)
    return cold | {"_again": again["_again"]}


def receive(connection):
    """One answer, to its end."""
    got = b""
    while b"\r\n\r\n" not in got:
        part = connection.recv(ANSWER_BYTES)
        if not part:
            raise measure.Failed("the server closed a connection")
        got += part
    head, _, body = got.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 206"):
        raise measure.Failed(f"a ranged GET was answered {head[:60]!r}")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    left = length - len(body)
    while left:
        part = connection.recv(min(left, 1 << 20))
        if not part:
            raise measure.Failed("the server closed a connection")
        left -= len(part)


def gets(world, set_name):
    """Pairs of GETs on two connections that stay open, each of a place of its own in some object."""
    files, tool = world.set(set_name), tools.Sstablefs(world)
    bucket = tool.store(files)["bucket"]
    objects, _ = tool.objects(files)
    places = [(key, at) for key, size in sorted(objects.items()) for at in range(0, size - 2 * GET_BYTES, 2 * GET_BYTES)]
    places = random.Random(SEED).sample(places, min(READS, len(places))) or [(max(objects, key=objects.get), 0)]
    urls = {key: urlsplit(world.server.client().generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}))
            for key in {key for key, _ in places}}

    if world.cold and not measure.drop_caches():
        world.caches_dropped = False
    with contextlib.ExitStack() as stack:
        url = urls[places[0][0]]
        pair = [stack.enter_context(socket.create_connection((url.hostname, url.port))) for _ in range(2)]

        def get(place):
            key, start = place
            for number, connection in enumerate(pair):
                at = min(start + number * GET_BYTES, max(0, objects[key] - GET_BYTES))
                connection.sendall(f"GET {urls[key].path}?{urls[key].query} HTTP/1.1\r\nHost: {urls[key].netloc}\r\n"
                                   f"Range: bytes={at}-{at + GET_BYTES - 1}\r\n\r\n".encode())
            for connection in pair:
                receive(connection)

        get(places[0])
        return summary(*observed(world, None, get, places))
