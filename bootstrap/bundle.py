"""What a node installs, as a folder for the bucket: its script, the locks, this checkout as a wheel, and on demand all other wheels.

Its id is the SHA-256 of its SHA256SUMS, which tells of every file: who starts a node gives it, and the node trusts nothing else. The same
checkout gives the same id.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Literal

from fruits.errors import BadArgument, RunFailed

Machine = Literal["x86_64", "aarch64"]  # as `uname -m` has it

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "requirements"
NODE, KERAS = "node.lock", "node-keras.lock"
SCRIPT = Path(__file__).parent / "node" / "install.sh"
SUMS, MODELS, WHEELS = "SHA256SUMS", "models.sha256", "wheels"
_GLIBC = 34  # 2.34: Amazon Linux 2023
_PYTHON = "3.11"  # of the nodes, whatever this one is
_EPOCH = "315532800"  # 1980-01-01, the first that zip knows


def make_bundle(folder: Path, locks: Path = LOCKS, *, wheels: Machine | None = None, tensorflow: bool = False) -> str:
    """Fills an empty or new folder; gives the id. `locks`: a folder with node.lock and node-keras.lock.

    `wheels`: with everything that such a machine needs, some hundreds of megabytes from the registry that pip is configured for, so that
    nodes need no other than the bucket; `tensorflow`: with TensorFlow among it. Raises `BadArgument` where the folder holds something,
    `RunFailed` where something could not be built or downloaded, or a model file is not what was shipped.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadArgument(f"{folder} is no empty folder", "give a new one")
    folder.mkdir(parents=True, exist_ok=True)
    for file in (SCRIPT, *(locks / name for name in (NODE, KERAS))):
        shutil.copyfile(file, folder / file.name)
    (folder / MODELS).write_text(_models())
    _build(folder)
    if wheels:
        _download(folder / (KERAS if tensorflow else NODE), wheels, folder / WHEELS)
    return _sum_up(folder)


def _models() -> str:
    """Lines of sha256sum, from site-packages; of what the checkout says that they are, which must be so."""
    from fruits.model import GRAPH, WEIGHTS

    return "".join(f"{asset.sha256}  fruits/weights/{asset.checked().name}\n" for asset in (GRAPH, WEIGHTS))


def _build(into: Path) -> None:
    """The wheel of this checkout. From a copy: setuptools would take up what an earlier build left in the checkout."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names = [
        *sorted({name.partition(".")[0] for name in project["tool"]["setuptools"]["packages"]}),
        *project["project"]["license-files"],
        project["project"]["readme"],
        "pyproject.toml",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            source, copy = ROOT / name, Path(folder, name)
            if source.is_dir():
                shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(source, copy)
        for path in Path(folder).rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)  # which the wheel keeps
        _pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(into), folder, SOURCE_DATE_EPOCH=_EPOCH)


def _download(lock: Path, machine: Machine, into: Path) -> None:
    # pip takes each of them for that one alone.
    platforms = [*(f"manylinux_2_{minor}_{machine}" for minor in range(_GLIBC, 4, -1)), f"manylinux2014_{machine}", f"linux_{machine}"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(_requirements(lock.read_text(), machine))
        file.flush()
        _pip(
            *("download", "--no-deps", "--require-hashes", "--only-binary", ":all:"),
            *("--implementation", "cp", "--python-version", _PYTHON, *(f"--platform={name}" for name in platforms)),
            *("--dest", str(into), "--requirement", file.name),
        )


def _requirements(lock: str, machine: Machine) -> str:
    """The lines of a lock that are for such a machine. Without their markers: pip would ask them of this one."""
    from packaging.requirements import Requirement

    lines = []
    for line in lock.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        text, hashes = line.split("--hash", 1)
        requirement = Requirement(text)
        node = {"platform_machine": machine, "sys_platform": "linux", "python_version": _PYTHON, "python_full_version": f"{_PYTHON}.0"}
        if requirement.marker is None or requirement.marker.evaluate(node):
            requirement.marker = None
            lines.append(f"{requirement} --hash{hashes}\n")
    return "".join(lines)


def _pip(*arguments: str, **environment: str) -> None:
    command = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, umask=0o022, check=False)  # noqa: S603
    if ended.returncode:
        said = "\n".join(line for line in ended.stderr.splitlines() if line.strip())
        raise RunFailed(
            f"`pip {arguments[0]}` failed: {said or ended.stdout[-2000:]}", "mend that, and try again; `make run` installs what pip needs"
        )


def _sum_up(folder: Path) -> str:
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    lines = []
    for name in files:
        with (folder / name).open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    (folder / SUMS).write_text("".join(lines))
    return hashlib.sha256((folder / SUMS).read_bytes()).hexdigest()
