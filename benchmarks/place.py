"""Where the images and the results of a study are: on this machine, or where the nodes of a cluster see them."""

import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from benchmarks import images
from benchmarks.checks import check_backends
from fruits.errors import BadArgument
from fruits.storage import Folder, check_writable, is_local, normalized

AT_A_TIME = 64  # files that are written to a cluster's storage: 166 a second to a HDFS on 2 cores, where 16 were 100


@dataclass(frozen=True)
class Place:
    """`url`: a folder of its own. `cluster`: `local` or `yarn`; `environment`: the Python of its nodes, as `python -m fruits` takes it."""

    url: str
    cluster: str = "local"
    environment: str | None = None

    @property
    def job(self) -> dict[str, Any]:
        """The parameters of `fruits.Job` that say where."""
        return {"cluster": self.cluster, "environment": self.environment, "input": f"{self.url}/input", "output": f"{self.url}/output"}

    @property
    def options(self) -> list[str]:
        """The same for the command line, without input and output."""
        return ["--cluster", self.cluster, *(["--environment", self.environment] if self.environment else [])]

    def images(self, originals: Sequence[Path], count: int) -> str:
        """A folder of so many copies, in folders by label; made once."""
        folder = f"{self.url}/{count}-images"
        if is_local(folder):
            return folder if Path(folder).exists() else str(images.copies(originals, count, Path(folder)))
        _write(folder, images.named(originals, count))
        return folder

    def blank(self, count: int) -> str:
        """A folder of so many files of a byte each; made once."""
        folder = f"{self.url}/{count}-blank"
        if is_local(folder):
            if not Path(folder).exists():
                Path(folder).mkdir(parents=True)
                for number in range(count):
                    Path(folder, f"{number}.jpg").write_bytes(b"0")
        else:
            _write(folder, ((f"{number}.jpg", None) for number in range(count)))
        return folder


def _write(url: str, names: Iterable[tuple[str, Path | None]]) -> None:
    """Files with the content of a photo, or of one byte; nothing where there is something already."""
    folder = Folder(url)
    if folder.exists() and not folder.empty():
        return

    def one(name: tuple[str, Path | None]) -> None:
        folder.write(name[0], name[1].read_bytes() if name[1] else b"0")

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(one, names))


def check_scratch(folder: Path) -> None:
    """Raises `BadArgument` where no folder can be made in it."""
    if not folder.is_dir():
        raise BadArgument(f"--scratch {folder} is no folder", "make it, or leave it out")
    check_writable(normalized(str(folder)), "give another --scratch")


@contextmanager
def opened(
    cluster: str,
    scratch: str | None,
    environment: str | None,
    backends: Iterable[str],
) -> Iterator[Place]:
    """A new folder below `scratch`, whose files are removed in the end; of HDFS some empty folders are left.

    Raises `BadArgument` for a place that the cluster does not see, and for a backend that cannot
    run there.
    """
    if cluster == "local":
        if environment:
            raise BadArgument("--environment has no effect with --cluster local", "leave it out")
        if scratch:
            check_scratch(Path(scratch))
        check_backends(backends, cluster=cluster)
        with tempfile.TemporaryDirectory(prefix="fruits-benchmark-", dir=scratch) as name:
            yield Place(name)
        return
    if scratch is None or is_local(normalized(scratch)):
        raise BadArgument(f"--cluster {cluster} needs a folder that its nodes see", "give hdfs:// or s3:// as --scratch")
    place = Place(f"{normalized(scratch)}/fruits-benchmark-{uuid.uuid4().hex[:8]}", cluster, environment)
    check_backends(backends, **place.job)
    try:
        yield place
    finally:
        folder = Folder(place.url)
        names = [name for name, _, _ in folder.walk()]
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            list(pool.map(folder.remove, names))
        for parent in sorted({str(parent) for name in names for parent in PurePosixPath(name).parents}, key=len, reverse=True):
            folder.remove_if_empty("" if parent == "." else parent)
