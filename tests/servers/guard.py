# SPDX-License-Identifier: Apache-2.0
"""Runs a server for as long as this program's standard input stays open, then ends it and removes its directory.

    guard.py LOG DIRECTORY LITTER COMMAND...

LITTER names files, with a ':' between them, that the server leaves elsewhere; they go whenever it ends.

The parent holds the other end of the pipe: however the parent ends, the pipe closes. Where the parent wrote "keep"
before that, the server is asked to end and its directory stays; else it is killed, since its data goes too. Where the
server ends by itself, so does the guard, and the directory is the parent's to remove.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOP_SECONDS = 3


def prepare_server():
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: the guard itself may be killed


def stop(process):
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def remove(paths):
    for path in filter(None, paths):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def main():
    log, directory, litter, *command = sys.argv[1:]
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    with open(log, "ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                   preexec_fn=prepare_server)
    server_ended = os.pidfd_open(process.pid)
    said = b""
    while True:
        ready, _, _ = select.select([0, server_ended], [], [])
        if server_ended in ready:
            process.wait()
            remove(litter.split(":"))
            return 1
        data = os.read(0, 64)
        if not data:
            break
        said += data
    if said == b"keep":
        stop(process)
    else:
        process.kill()
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)
    remove(litter.split(":"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
