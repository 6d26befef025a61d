"""The lines of a text file that may have millions, as Arrow's arrays: Python's objects are made for one block of them at a time."""

import gzip
import zlib
from collections.abc import Iterator

import pyarrow as pa

from fruits.errors import BadArgument
from fruits.storage import Folder

_BLOCK = 2 << 20  # bytes that are read at a time
_MARK = b"\xef\xbb\xbf"  # with which some editors begin a text in UTF-8


class Lines:
    """Some lines of a file that are not blank: `text`, and at which `numbers` they are. `url`: of the file."""

    def __init__(self, url: str, numbers: pa.Array, text: pa.Array) -> None:
        self.url, self.numbers, self.text = url, numbers, text

    def filter(self, mask: pa.Array) -> "Lines":
        return Lines(self.url, self.numbers.filter(mask), self.text.filter(mask))

    def refuse(self, mask: pa.Array, why: str, advice: str) -> None:
        """Raises `BadArgument` with the first line for which the mask is set."""
        if (refused := self.filter(mask)).numbers:
            raise BadArgument(f"{self.url}, line {refused.numbers[0]}: {refused.text[0].as_py()!r} {why}", advice)

    def refuse_outside(self, mask: pa.Array, input_url: str) -> None:
        """Raises `BadArgument` with the first line whose path is not below the input folder."""
        self.refuse(mask, f"is not below --input {input_url}", "take the line out, or give the folder that holds all images as --input")


def read_lines(url: str) -> Iterator[Lines]:
    """Raises `BadArgument` for a file that cannot be read or is not UTF-8."""
    for number, block in blocks(url):
        try:
            text = block.decode()
        except UnicodeDecodeError as fault:
            line = number + block.count(b"\n", 0, fault.start)
            raise BadArgument(f"{url}, line {line}: not UTF-8", "write the manifest in UTF-8") from fault
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        numbers = [at for at, line in enumerate(lines, number) if line and not line.isspace()]
        if numbers:
            yield Lines(url, pa.array(numbers), pa.array([lines[at - number] for at in numbers], pa.string()))


def blocks(url: str) -> Iterator[tuple[int, bytes]]:
    """Whole lines, some megabytes at a time, with the number of the first; raises `BadArgument` where they cannot be read."""
    parent, _, name = url.rpartition("/")
    try:
        with Folder(parent or "/").open(name) as raw, gzip.GzipFile(fileobj=raw) if name.endswith(".gz") else raw as file:
            number, rest = 1, b""
            while data := file.read(_BLOCK):
                whole, newline, tail = data.rpartition(b"\n")
                if not newline and len(rest) > _BLOCK:
                    raise BadArgument(f"{url}, line {number}: longer than {_BLOCK} bytes", "give a text file with one path a line")
                if not newline:
                    rest += data
                    continue
                block, rest = rest + whole, tail
                yield number, block.removeprefix(_MARK) if number == 1 else block
                number += block.count(b"\n") + 1
            if rest:
                yield number, rest.removeprefix(_MARK) if number == 1 else rest
    except (FileNotFoundError, IsADirectoryError) as missing:
        raise BadArgument(f"there is no file {url}", "check the path given as --manifest") from missing
    except PermissionError as denied:
        raise BadArgument(f"{url} cannot be read: access denied", "ask for the right to read it") from denied
    except (OSError, EOFError, zlib.error) as failed:  # the last two of gzip
        raise BadArgument(
            f"{url} cannot be read: {getattr(failed, 'strerror', None) or failed}", "check the file and the network"
        ) from failed
