# SPDX-License-Identifier: Apache-2.0
"""What must exist: each backup that was begun, what is known of it, and the bytes that were backed up. Any thread."""

import contextlib
import threading
from dataclasses import dataclass

# Of a backup. MAYBE: what was done to it was killed or failed: it may be there or not, but never in part.
RUNNING, COMMITTED, MAYBE, DELETED = "running", "committed", "maybe", "deleted"


@dataclass(eq=False)
class Backup:
    node: str
    name: str
    content: dict  # path below data/ -> description of the file
    state: str = RUNNING
    removers: int = 0  # who may remove it now
    attempts: int = 0  # commands that back it up: one after the other, under the same name
    running: bool = False  # one of them now


class Model:
    def __init__(self):
        self.lock = threading.Lock()
        self.backups = []  # in the order in which they were begun

    def begin(self, node, name, content):
        backup = Backup(node, name, content)
        with self.lock:
            self.backups.append(backup)
        return backup

    def started(self, backup):
        """A command that backs it up begins. What was killed may be there, and be removed, before the next one makes it anew under its name."""
        with self.lock:
            backup.attempts += 1
            backup.running = True
            if backup.state == DELETED:
                backup.state = RUNNING

    def ended(self, backup, committed):
        """It has ended. Whoever says meanwhile that it was removed may mean what an earlier one had made."""
        with self.lock:
            backup.running = False
            if backup.state != DELETED:
                backup.state = COMMITTED if committed else MAYBE
            elif backup.attempts > 1:
                backup.state = MAYBE

    def of(self, *states, node=None):
        """Those that are in one of these states, and that nobody is about to remove."""
        with self.lock:
            return [b for b in self.backups if b.state in states and node in (None, b.node) and not b.removers
                    and not (b.running and b.state == DELETED)]

    def gone(self):
        """Those that are not there, each with the number of attempts that it had: with another number it may be there again."""
        return {(b.node, b.name, b.attempts) for b in self.of(DELETED)}

    def is_required(self, backup):
        with self.lock:
            return backup.state == COMMITTED and not backup.removers

    def find(self, node, name):
        with self.lock:
            return next((b for b in self.backups if (b.node, b.name) == (node, name)), None)

    @contextlib.contextmanager
    def removal(self, backups):
        """While it lasts these may go. Into the set that it gives goes what is known to be removed; the others are there as before where `known` is in it, else nobody knows."""
        outcome = set()
        with self.lock:
            before = {backup: (backup.attempts, backup.running) for backup in backups}
            for backup in backups:
                backup.removers += 1
        try:
            yield outcome
        finally:
            with self.lock:
                for backup in outcome - {"known"}:
                    same = backup.attempts == 1 or before.get(backup) == (backup.attempts, False) and not backup.running
                    backup.state = DELETED if same else MAYBE
                for backup in backups:
                    backup.removers -= 1
                    if "known" not in outcome and backup.state == COMMITTED:
                        backup.state = MAYBE
