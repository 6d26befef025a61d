"""The right to write into a results folder: one run has it at a time, and a run that died leaves it to the next.

A lease is a file that its holder writes again every few seconds. It is judged by whether it changes while one looks, not by its times: the
clocks of two machines differ. On the holder's own machine its process is looked for. Leases are numbered, and the highest counts: to take
one over is to create the next number, which of two runs that try only one can do, on a local disk, HDFS and S3 alike.
"""

import getpass
import json
import logging
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from fruits.errors import OutputInUse, RunFailed
from fruits.report import now
from fruits.storage import WORK, Folder

RENEWAL_SECONDS = 10.0
PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 1.0
_NAME = re.compile(rf"{WORK}/lease-(\d+)\.json")
_held: set[str] = set()  # by this process

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """Who holds a lease. `machine`: where `pid` means something. `started`: tells the process from a later one of that number."""

    token: str
    user: str
    host: str
    machine: str
    pid: int
    started: str
    backend: str
    since: str
    renewals: int = 0

    def __str__(self) -> str:
        return f"a run of {self.user} on {self.host} (process {self.pid}, {self.backend}) since {self.since}"

    @property
    def known_dead(self) -> bool:
        """On another machine nothing is known."""
        if self.machine != _machine():
            return False
        if self.pid == os.getpid() and self.started == _started(self.pid):
            return self.token not in _held
        return self.started != _started(self.pid)

    @property
    def known_alive(self) -> bool:
        return self.machine == _machine() and not self.known_dead


class Lease:
    def __init__(
        self, folder: Folder, backend: str, note: Callable[[str], None], advice: str = "wait until it has ended, or give another --output"
    ) -> None:
        """`note` is told why it takes time; `advice`: what to do while another has it."""
        self._folder, self._note, self._advice = folder, note, advice
        self._holder = Holder(
            secrets.token_hex(8), _user(), socket.gethostname(), _machine(), os.getpid(), _started(os.getpid()), backend, now()
        )
        self._name = ""
        self._lost = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def acquire(self) -> None:
        """Raises `OutputInUse` when another run that lives has it. Waits where only time can tell."""
        number, content = self._newest()
        while number and not self._left_behind(number, content):
            number, content = self._newest()
        try:
            if not self._create(number + 1):
                raise self._in_use(*self._newest())
            _held.add(self._holder.token)
            for name in _names(self._folder):
                if name != self._name:
                    self._folder.remove(name)
            self._thread.start()
        except BaseException:  # Ctrl-C, too, which may come when the file is there and nothing else has been done
            self.release()
            raise

    def check(self) -> None:
        """Raises `RunFailed` when another run has taken the lease; asks the storage."""
        self._look()
        self.check_last_look()

    def check_last_look(self) -> None:
        """As `check`, by what was found at the last renewal."""
        if self._lost:
            raise RunFailed(
                f"{self._folder.url} was taken over by {self._lost}: this run was not heard of for {PATIENCE_SECONDS:g} s or more",
                "let that one end; then the same command goes on from there",
            )

    @property
    def lost(self) -> bool:
        return bool(self._lost)

    def release(self) -> None:
        """A lease that cannot be removed is known to be dead when this process has ended, or asks itself."""
        if not self._name:
            return
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(RENEWAL_SECONDS)
        if not self._lost:
            with suppress(OSError):
                if self._token(self._name) == self._holder.token:  # not where another was faster to create it
                    self._folder.remove(self._name)
        _held.discard(self._holder.token)
        self._name = ""

    def _newest(self) -> tuple[int, bytes]:
        """Number and content of the lease that counts; 0 where there is none."""
        while numbers := [int(found[1]) for name in _names(self._folder) if (found := _NAME.fullmatch(name))]:
            with suppress(FileNotFoundError):  # released meanwhile, or taken over
                return max(numbers), self._folder.read(_name_of(max(numbers)))
        return 0, b""

    def _left_behind(self, number: int, content: bytes) -> bool:
        """Whether the lease is a dead run's; raises `OutputInUse` when its run lives, or has ended while we looked."""
        holder = _parsed(content)
        who = str(holder) if holder else "a run that is not known"
        if holder and holder.known_dead:
            self._note(f"{who} is dead: going on in its place")
            return True
        if holder and holder.known_alive:
            raise self._in_use(number, content)
        self._note(f"{self._folder.url} is held by {who}: waiting up to {PATIENCE_SECONDS:g} s for a sign of life")
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)
            if (found := self._newest()) != (number, content):
                raise self._in_use(*found)
        self._note(f"no sign of life in {PATIENCE_SECONDS:g} s: going on in its place")
        return True

    def _in_use(self, number: int, content: bytes) -> OutputInUse:
        if not number:
            return OutputInUse(f"another run on {self._folder.url} has just ended", "run this again: there may be less to do")
        return OutputInUse(f"{self._folder.url} is in use by {_parsed(content) or 'another run'}", self._advice)

    def _create(self, number: int) -> bool:
        """Whether the lease of that number is ours now."""
        self._name = name = _name_of(number)
        try:
            self._folder.write_new(name, self._content())
        except FileExistsError:
            # Ours all the same, if it was only the answer to the first of two attempts that got lost.
            if self._token(name) != self._holder.token:
                return False
        if self._newest()[0] != number:  # a listing while files come and go may have missed the one that counts
            self._folder.remove(name)
            return False
        return True

    def _content(self) -> bytes:
        return json.dumps(asdict(self._holder)).encode()

    def _token(self, name: str) -> str:
        """Of the holder, or nothing."""
        try:
            holder = _parsed(self._folder.read(name))
        except FileNotFoundError:
            return ""
        return holder.token if holder else ""

    def _keep(self) -> None:
        while not self._ended.wait(RENEWAL_SECONDS):
            try:
                self._look()
                if self._lost:
                    return
                self._holder = replace(self._holder, renewals=self._holder.renewals + 1)
                if not self._ended.is_set():
                    self._folder.write(self._name, self._content())
            except OSError as failed:  # asked again soon; what it means for the run, the run's own writing will tell
                log.info("the lease was not renewed: %s", failed)

    def _look(self) -> None:
        number, content = self._newest()
        if _name_of(number) != self._name or ((holder := _parsed(content)) is not None and holder.token != self._holder.token):
            self._lost = str(_parsed(content) or "another run")


def is_lease(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _name_of(number: int) -> str:
    return f"{WORK}/lease-{number}.json"


def _names(folder: Folder) -> list[str]:
    return [name for name in folder.names(WORK) if is_lease(name)]


def _parsed(content: bytes) -> Holder | None:
    try:
        return Holder(**json.loads(content))
    except (ValueError, TypeError):  # its writer was ended, or is of another version
        return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())


@cache
def _machine() -> str:
    """The same for processes that see one another: of one boot of one kernel, and in one namespace of process numbers."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return secrets.token_hex(8)  # no other is known to be the same


def _started(pid: int) -> str:
    """When a process was started, in ticks since the boot; nothing where there is none, or one that has ended."""
    try:
        # man 5 proc: the name in parentheses may hold anything; after it come the state and, 19 further, the start.
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if state in "ZX" else rest[18]
