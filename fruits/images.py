"""An image of the input as pixels, or the reason why not: told apart are faults of one file and those of the whole input."""

import errno
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from fruits.ahead import ahead
from fruits.decode import Reason, Rejected, decode
from fruits.errors import BadArgument
from fruits.listing import Entry
from fruits.storage import Folder

if TYPE_CHECKING:
    from fruits.model import Pixels


@dataclass(frozen=True)
class Input:
    """Where images are and what is too much. `witnesses`: keys of some images, to find out whether the folder answers at all."""

    url: str
    max_pixels: int
    max_file_bytes: int
    witnesses: tuple[str, ...]


class Images:
    def __init__(self, where: Input) -> None:
        self._where = where
        self._folder = Folder(where.url)
        self._good: str | None = None  # the last that was read

    def connect(self) -> None:
        """Does now what would else take its time with the first image; what fails here fails there again."""
        with suppress(BadArgument, OSError):
            self._folder.exists()

    def decoded(self, entries: Sequence[Entry]) -> Iterator["Pixels | Rejected"]:
        """Of each in its order RGB bytes [224, 224, 3], or why not. Raises as `read` does, but for `Rejected`.

        From a disk of this machine one is read after another: threads would cost more than they save.
        """
        reads = (partial(self.read, entry) for entry in entries) if self._folder.local else ahead(self.read, entries)
        for data in reads:
            try:
                yield decode(data(), self._where.max_pixels)
            except Rejected as rejected:
                yield rejected

    def read(self, entry: Entry) -> bytes:
        """A fault of this one file raises `Rejected`, any other `OSError`, which is the chunk's."""
        key, size, _, fault = entry
        if fault:
            raise Rejected(Reason(fault), "seen in the listing")
        if size > self._where.max_file_bytes:
            raise Rejected(Reason.TOO_LARGE, f"{size} bytes, the limit is {self._where.max_file_bytes}")
        try:
            data = self._folder.read(key)
        except FileNotFoundError as missing:
            self._check_answers(key, missing)
            raise Rejected(Reason.NOT_FOUND, "it was there when the folder was listed") from missing
        except PermissionError as denied:
            self._check_answers(key, denied)
            raise Rejected(Reason.ACCESS_DENIED, "no right to read it") from denied
        except IsADirectoryError as folder_now:
            raise Rejected(Reason.NOT_A_FILE, "it is a folder now") from folder_now
        self._good = key
        return data

    def _check_answers(self, key: str, fault: OSError) -> None:
        """Raises the fault as one of the whole input, unless a file that is known to be good, or one of the witnesses, can be read now.

        A right that was taken away and a disk that is no longer mounted would else reject every image that is left.
        """
        for other in known(key, self._good, self._where.witnesses):
            try:
                self._folder.read(other)
            except (FileNotFoundError, PermissionError, IsADirectoryError):
                continue
            return
        raise OSError(fault.errno or errno.EIO, f"no file of the input can be read: {fault.strerror or fault}", key) from fault


def known(but: str, good: str | None, witnesses: Iterable[str]) -> list[str]:
    """The keys to ask for in turn."""
    return [key for key in dict.fromkeys([good, *witnesses]) if key is not None and key != but]
