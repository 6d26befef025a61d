"""Images read and decoded in a process of their own, which can be ended when one of them hangs: `python -m fruits.one_by_one`.

A thread that waits for a disk or loops in a decoder cannot be ended, a process can. It takes a line of JSON an image on its standard
input; it answers with frames, each a letter and a length before its content. It ends with its standard input, and by itself when it
hangs and nobody is left who would end it.
"""

import errno
import faulthandler
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import numpy as np

from fruits.decode import Reason, Rejected, decode
from fruits.images import Images, Input, known
from fruits.listing import Entry
from fruits.model import SIDE
from fruits.timelimit import TookTooLong

if TYPE_CHECKING:
    from fruits.model import Pixels

_START_SECONDS = 120.0  # for Python and its packages, which may come from a network's disk
_ORPHAN_SECONDS = 10.0  # more than the limit: by then whoever waits has ended the process
_WITNESSES = 3  # each may take as long as the limit
_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT}
_HEADER = struct.Struct("<cI")
READY, READ, PIXELS, REJECTED, FAULT = b"+", b"r", b"p", b"x", b"f"


class OneByOne:
    """The side that asks. `seconds`: the limit of each image."""

    def __init__(self, where: Input, seconds: float) -> None:
        self._where, self._seconds = where, seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = bytearray()
        self._good: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._end()

    def decoded(self, entries: Sequence[Entry]) -> Iterator["Pixels | Rejected"]:
        """As `Images.decoded`; an image that takes too long, or ends the process that decodes it, is rejected too."""
        for entry in entries:
            try:
                yield self._pixels(entry)
            except Rejected as rejected:
                yield rejected

    def _pixels(self, entry: Entry) -> "Pixels":
        key = entry[0]
        self._send(["pixels", *entry])
        doing = "read"
        try:
            kind, content = self._receive()
            if kind == READ:
                doing, self._good = "decoded", key
                kind, content = self._receive()
        except TookTooLong:
            self._end()
            if doing == "read":
                self._check_answers(key)
            raise Rejected(Reason.TIMEOUT, f"not {doing} within {self._seconds:g} s") from None
        except EOFError:
            raise self._crashed(key) from None
        if kind == PIXELS:
            return np.frombuffer(content, np.uint8).reshape(SIDE, SIDE, 3)
        raise _raised(kind, content)

    def _check_answers(self, key: str) -> None:
        """Raises `OSError` unless another image can be read within the limit: else the whole input hangs, and not this one file."""
        for other in known(key, self._good, self._where.witnesses)[:_WITNESSES]:
            self._send(["read", other, 0, "", ""])
            try:
                if self._receive()[0] == READ:
                    return
            except (TookTooLong, EOFError):
                self._end()
        raise OSError(errno.ETIMEDOUT, f"no file of the input was read within {self._seconds:g} s", key)

    def _send(self, request: list[Any]) -> None:
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            raise self._crashed("none") from None

    def _start(self) -> None:
        # What this process can import, however it was told to.
        path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fruits.one_by_one"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._send([asdict(self._where), self._seconds])
        try:
            self._receive(_START_SECONDS)
        except TookTooLong:
            raise OSError(errno.ETIMEDOUT, f"a Python process did not start within {_START_SECONDS:g} s") from None
        except EOFError:
            raise self._crashed("none") from None

    def _receive(self, seconds: float | None = None) -> tuple[bytes, bytes]:
        """A frame. Raises `TookTooLong`, and `EOFError` when the process has ended."""
        end = time.monotonic() + (seconds or self._seconds)
        kind, length = _HEADER.unpack(self._bytes(_HEADER.size, end))
        return kind, self._bytes(length, end)

    def _bytes(self, count: int, end: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while len(self._buffer) < count:
            if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
                raise TookTooLong
            if not (more := os.read(descriptor, 1 << 18)):
                raise EOFError
            self._buffer += more
        found = bytes(self._buffer[:count])
        del self._buffer[:count]
        return found

    def _crashed(self, key: str) -> Exception:
        """What it means that the process has ended by itself."""
        code = self._end(patience=_ORPHAN_SECONDS)
        if code is not None and -code in _CRASHES:
            return Rejected(Reason.CORRUPT, f"its decoder crashed: {signal.Signals(-code).name}")
        return OSError(errno.EIO, f"the process that reads images has ended with {code}", key)

    def _end(self, patience: float = 0) -> int | None:
        """Ends the process, or lets it end by itself for so many seconds; returns its exit code, or less a signal's number."""
        process, self._process = self._process, None
        self._buffer.clear()
        if process is None:
            return None
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # it waits for a disk that nothing can interrupt: what is left is a process
            process.wait(_ORPHAN_SECONDS)
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        return process.returncode


def _raised(kind: bytes, content: bytes) -> Exception:
    told = json.loads(content)
    if kind == REJECTED:
        return Rejected(Reason(told[0]), told[1])
    if kind == FAULT:
        return OSError(*told)
    return OSError(errno.EIO, f"the process that reads images answered {kind!r}")


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """The side that is asked."""

    def answer(kind: bytes, content: bytes = b"") -> None:
        answers.write(_HEADER.pack(kind, len(content)) + content)
        answers.flush()

    where, seconds = json.loads(requests.readline())
    where = Input(**{**where, "witnesses": tuple(where["witnesses"])})
    images = Images(where)
    images.connect()
    answer(READY)
    for line in requests:
        what, *row = json.loads(line)
        faulthandler.dump_traceback_later(seconds + _ORPHAN_SECONDS, exit=True)
        try:
            data = images.read((row[0], row[1], row[2], row[3]))
            answer(READ)
            if what == "pixels":
                answer(PIXELS, decode(data, where.max_pixels).tobytes())
        except Rejected as rejected:
            answer(REJECTED, json.dumps([str(rejected.reason), rejected.detail]).encode())
        except OSError as fault:
            answer(FAULT, json.dumps([fault.errno, fault.strerror or str(fault), fault.filename]).encode())
        faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal: the worker ends it
    with os.fdopen(os.dup(1), "wb") as own:
        os.dup2(2, 1)  # what a library prints is not an answer
        serve(sys.stdin.buffer, own)
