"""An archive of this Python for the nodes of a YARN cluster: fruits, and what its workers import.

Neither venv-pack nor conda-pack: they refuse editable installs, and cannot leave out what workers never import (jars, TensorFlow).

Spark brings pyspark and py4j into its executors itself (pyspark/python/lib/*.zip), so they are never in the archive.
"""

import gzip
import io
import json
import os
import platform
import secrets
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fruits
from backends.environment import SUFFIX
from fruits.errors import BadArgument, RunFailed
from fruits.model import ENGINES, Engine
from fruits.storage import private

MANIFEST = "fruits-environment.json"
# What the workers of a backend import besides fruits[worker]; versions are those that are installed.
WORKERS: dict[str, tuple[str, ...]] = {
    "dask": ("distributed", "dask[array]", "dask-ml", "scikit-learn"),
    "spark": ("pandas", "pyarrow"),
}
LAUNCHER = "dask-yarn"  # its workers start by it; where it is installed, this environment is for it
LEVEL = 1  # of gzip: 6 makes it a tenth smaller in more than twice the time
MTIME = 315532800  # 1980-01-01, the first that zip knows: some tools refuse earlier ones
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
SITE = PurePosixPath("lib", PYTHON, "site-packages")


@dataclass(frozen=True)
class PackedEnvironment:
    """`base_python`: the interpreter that every node must have, at this path. `packages`: name to version, fruits among them.

    `files`: how many, without links. `size` of the archive in bytes.
    """

    path: Path
    base_python: str
    packages: dict[str, str]
    files: int
    size: int


def pack(target: Path, engine: Engine, backends: Sequence[str]) -> PackedEnvironment:
    """Writes a relocatable virtual environment for the workers of these backends to `target`, a local `*.tar.gz`; replaces what is there.

    Its `bin/python` links to the base interpreter of this one. `fruits-environment.json` at its root says what it is made of. The same
    installation gives the same bytes. Console scripts are left out: they name the path of this environment.

    Raises `BadArgument` where the target is no place for it, a package is missing, or one is installed in a way that cannot be copied;
    `RunFailed` where writing failed, the disk being full: what was there before stays.
    """
    _check(target, engine, backends)
    roots = [f"fruits[{ENGINES[engine].extra}]", "fruits[worker]", *(name for backend in backends for name in WORKERS[backend])]
    if "dask" in backends and any(distributions(name=LAUNCHER)):
        roots.append(LAUNCHER)
    needed = closure(roots)
    base = str(Path(sys._base_executable).resolve())  # type: ignore[attr-defined]  # private, and what venv itself takes
    packages = {name: found.version for name, found in sorted(needed.items())}
    manifest = {
        "python": platform.python_version(),
        "base_python": base,
        "platform": sysconfig.get_platform(),
        "libc": " ".join(platform.libc_ver()),
        "fruits": packages["fruits"],
        "engine": engine,
        "backends": sorted(set(backends)),
        "packages": packages,
    }
    configuration = f"home = {os.path.dirname(base)}\ninclude-system-site-packages = false\nversion = {platform.python_version()}\n"
    texts = {MANIFEST: json.dumps(manifest, indent=1) + "\n", "pyvenv.cfg": configuration}
    # lib64: some Linux distributions look for compiled packages there, as in any virtual environment.
    links = {"bin/python": base, "bin/python3": "python", f"bin/{PYTHON}": "python", "lib64": "lib"}
    files: dict[str, Path] = {}
    for name, found in needed.items():
        files.update(_of_fruits(found) if name == "fruits" else _of_distribution(found))
    _write(target, texts, links, files)
    return PackedEnvironment(target, base, packages, len(files), target.stat().st_size)


def closure(requirements: Iterable[str]) -> dict[str, Distribution]:
    """The installed distributions that these requirements need, by their normalized names.

    Raises `BadArgument` where one is missing, or is installed in a way that does not list its files.
    """
    found: dict[str, Distribution] = {}
    done: set[tuple[str, str]] = set()
    waiting = [(Requirement(text), "this archive") for text in requirements]
    while waiting:
        requirement, wanted_by = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name not in found:
            found[name] = _installed(name, wanted_by)
        for extra in ("", *requirement.extras):
            if (name, extra) not in done:
                done.add((name, extra))
                for text in found[name].requires or ():
                    needed = Requirement(text)
                    if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                        waiting.append((needed, name))
    return found


def _installed(name: str, wanted_by: str) -> Distribution:
    candidates = list(distributions(name=name))
    if not candidates:
        raise BadArgument(
            f"{name} is not installed, which {wanted_by} needs",
            "install fruits with the extras of the engine and of each backend that is packed",
        )
    # In a checkout a build may have left an egg-info, which is found first and is no installation.
    recorded = (candidate for candidate in candidates if candidate.read_text("RECORD") is not None)
    found = next(recorded, None)
    if found is None:
        raise BadArgument(f"the installation of {name} does not list its files", "install it by pip, in a virtual environment")
    if name != "fruits" and json.loads(found.read_text("direct_url.json") or "{}").get("dir_info", {}).get("editable"):
        raise BadArgument(f"{name} is installed in editable mode: its files are not listed", "install it by pip without -e")
    if name == "fruits" and found.version != fruits.__version__:
        raise BadArgument(
            f"fruits {fruits.__version__} runs from {Path(fruits.__file__).parent}, and {found.version} is installed",
            "install it again by pip",
        )
    return found


def _check(target: Path, engine: str, backends: Sequence[str]) -> None:
    if ":/" in str(target) or not target.name.endswith(SUFFIX):
        raise BadArgument(f"{target}: not a local file that ends in {SUFFIX}", "`hdfs dfs -put` takes it to HDFS afterwards")
    if not target.parent.is_dir() or not os.access(target.parent, os.W_OK) or target.is_dir():
        raise BadArgument(f"{target} cannot be written", "name a file in a folder that exists and that you may write to")
    if engine not in ENGINES:
        raise BadArgument(f"there is no engine {engine}", f"choose of {', '.join(ENGINES)}")
    if not backends or not set(backends) <= WORKERS.keys():
        raise BadArgument(f"no archive is made for the backends {', '.join(backends) or '(none)'}", f"choose of {', '.join(WORKERS)}")


def _of_fruits(found: Distribution) -> Iterator[tuple[str, Path]]:
    """From where it is imported, since an editable install lists no files. `backends` is the driver's and stays with it."""
    package = Path(fruits.__file__).parent
    for path in package.rglob("*"):
        inside = path.relative_to(package)
        if path.is_file() and inside.parts[0] != "sample" and "__pycache__" not in inside.parts:
            yield f"{SITE / 'fruits' / inside.as_posix()}", path
    # Of its metadata the version and the licences, not the list of files, nor where it was installed from.
    metadata = SITE / f"fruits-{found.version}.dist-info"
    for file in found.files or ():
        if file.parent.name.endswith(".dist-info") and file.name == "METADATA":
            yield str(metadata / "METADATA"), Path(str(file.locate()))
        elif file.parent.name == "licenses":
            yield str(metadata / "licenses" / file.name), Path(str(file.locate()))


def _of_distribution(found: Distribution) -> Iterator[tuple[str, Path]]:
    """Its files below site-packages: no scripts, no manual pages. What is listed and not there, the driver does without too."""
    for file in found.files or ():
        path = Path(str(file.locate()))
        if "__pycache__" not in file.parts and ".." not in file.parts and not file.is_absolute() and path.is_file():
            yield str(SITE / file), path


def _write(target: Path, texts: dict[str, str], links: dict[str, str], files: dict[str, Path]) -> None:
    """Sorted, without times and owners; complete or not at all."""
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with open(unfinished, "xb", opener=private) as raw:  # not through a link that somebody put there
            with (
                gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as compressed,
                tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
            ):
                for name, link in sorted(links.items()):
                    archive.addfile(_entry(name, tarfile.SYMTYPE, 0o777, link=link))
                for name, text in sorted(texts.items()):
                    content = text.encode()
                    archive.addfile(_entry(name, tarfile.REGTYPE, 0o644, size=len(content)), io.BytesIO(content))
                for name, path in sorted(files.items()):
                    status = path.stat()
                    mode = 0o755 if status.st_mode & 0o100 else 0o644
                    with path.open("rb") as content_of:
                        archive.addfile(_entry(name, tarfile.REGTYPE, mode, size=status.st_size), content_of)
            raw.flush()
            os.fsync(raw.fileno())
        unfinished.replace(target)
    except OSError as failed:
        raise RunFailed(f"{target} could not be written: {failed}", "free some space there, or name another folder") from failed
    finally:
        unfinished.unlink(missing_ok=True)


def _entry(name: str, kind: bytes, mode: int, size: int = 0, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size, entry.linkname, entry.mtime = kind, mode, size, link, MTIME
    return entry
