# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Child processes: what they cost, and how they are ended together."""
import fcntl
import os
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Mapping, Sequence, Set

# What a child that is told to end has for it, in seconds.
PATIENCE = 10


class Stopped(Exception):
    """The suite is being ended."""


class InUse(Exception):
    """Another process works on the cell."""


@dataclass(frozen=True)
class Usage:
    """How a child ended, and what it needed.

    Args:
        code (int): Its exit status, negative if a signal ended it.
        wall (float): Seconds that it ran.
        cpu (float): CPU seconds of it and of the processes that it started.
    """
    code: int
    wall: float
    cpu: float


class Children:
    """Runs children, from several threads, and ends them all at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Set[int] = set()
        self._stopped = False

    def run(self, command: Sequence[str], log: Path,
            env: Mapping[str, str], keep: Sequence[int] = ()) -> Usage:
        """Run a command and wait for it.

        Args:
            command (Sequence[str]): Program and arguments.
            log (Path): The file to which its output is added.
            env (dict[str, str]): Its environment.
            keep (Sequence[int]): Open files that it inherits.

        Raises:
            Stopped: If :meth:`stop` was called before it was started.
        """
        with open(log, 'ab') as out:
            with self._lock:
                if self._stopped:
                    raise Stopped
                began = time.monotonic()
                # A session of its own: Ctrl-C reaches this process alone,
                # which then ends the child with all that it has started.
                process = subprocess.Popen(
                    list(command), stdin=subprocess.DEVNULL, stdout=out,
                    stderr=subprocess.STDOUT, env=dict(env), pass_fds=keep,
                    start_new_session=True)
                self._running.add(process.pid)
        _, status, used = os.wait4(process.pid, 0)
        with self._lock:
            self._running.discard(process.pid)
        process.returncode = os.waitstatus_to_exitcode(status)
        return Usage(process.returncode, time.monotonic() - began,
                     used.ru_utime + used.ru_stime)

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped

    def stop(self) -> None:
        """End all children, and start no more."""
        with self._lock:
            self._stopped = True
        self._signal(signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        while self._running and time.monotonic() < until:
            time.sleep(0.05)
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with self._lock:
            for pid in self._running:
                # It may have ended, and not been taken off the list yet.
                with suppress(ProcessLookupError):
                    os.killpg(pid, number)


@contextmanager
def lock(path: Path) -> Iterator[int]:
    """Keep other processes out, as long as this one or a child lives.

    Args:
        path (Path): The file that is locked; its folder must exist.

    Yields:
        int: The open file, for children to inherit: if this process is
        killed, its child still keeps others out.

    Raises:
        InUse: If another one has the lock.
    """
    with open(path, 'a+') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUse(
                f'another process works on it, or what is left of one that '
                f'was killed ({path} is locked): wait for it, or end it'
            ) from None
        yield file.fileno()
