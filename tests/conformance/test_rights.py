"""Who may read what a run writes, and who reaches the ports that it opens."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from conftest import Engine

OF_OTHERS = 0o077


def open_to_others(folder: Path) -> set[Path]:
    """What is in the folder, or it itself, and others than its owner have some right to."""
    found = set()
    for path in (folder, *folder.rglob("*")):
        try:
            if path.lstat().st_mode & OF_OTHERS and not path.is_symlink():
                found.add(path)
        except FileNotFoundError:  # it was a draft
            continue
    return found


@pytest.mark.local("umask and rights of this machine", place="s3")
def test_results_are_their_owners_alone(engine: Engine, images: Path, tmp_path: Path) -> None:
    (images / "empty.jpg").touch()
    before = os.umask(0)
    try:
        engine.run(input=images, output=tmp_path / "new" / "results", components=2, pca="moments", chunk_size=5)
        (tmp_path / "not ours").touch()
        assert open_to_others(tmp_path / "not ours")  # this is what the umask allows
    finally:
        os.umask(before)
    if engine.mirror is not None:
        rights = engine.mirror.place.rights(str(tmp_path / "new"))  # type: ignore[attr-defined]
        assert set(rights.values()) == {"700", "600"}
        return
    assert not open_to_others(tmp_path / "new")
    assert {path.suffix for path in (tmp_path / "new").rglob("*") if path.is_file()} == {".parquet", ".csv", ".npz", ".html", ".json"}


@dataclass
class Seen:
    """Of a run on this machine: addresses listened at, and what was in the folder for temporary files, by its first name there."""

    addresses: set[str] = field(default_factory=set)
    temporary: set[str] = field(default_factory=set)
    open_to_others: set[Path] = field(default_factory=set)


def watched(folder: Path, *arguments: str | Path) -> Seen:
    """Runs the command line under the usual umask and looks at its processes and temporary files meanwhile."""
    temporary = folder / "temporary"
    temporary.mkdir(mode=0o700)
    environment = {**os.environ, "TMPDIR": str(temporary), "JAVA_TOOL_OPTIONS": f"-Djava.io.tmpdir={temporary}"}
    command = [sys.executable, "-m", "fruits", *map(str, arguments)]
    seen = Seen()
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment, umask=0o022) as process:
        while process.poll() is None:
            seen.addresses.update(listened_at(process.pid))
            seen.open_to_others |= open_to_others(temporary)
            seen.temporary.update(path.name for path in temporary.iterdir())
            time.sleep(0.1)
        assert process.returncode == 0, process.stderr.read() if process.stderr else ""
    return seen


def listened_at(pid: int) -> Iterator[str]:
    """Addresses at which a process or one below it waits for connections."""
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in processes:
        try:
            yield from (c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN)
        except psutil.Error:  # it ended meanwhile
            continue


@pytest.mark.local("looks at processes of this machine")
def test_a_run_on_this_machine_is_reached_from_it_alone(backend: str, images: Path, tmp_path: Path) -> None:
    seen = watched(tmp_path, "--backend", backend, "--input", images, "--output", tmp_path / "r", "--features-only")
    print(f"{backend}: listened at {sorted(seen.addresses)}; temporary: {sorted(seen.temporary)}")
    assert seen.addresses
    assert {address.removeprefix("::ffff:") for address in seen.addresses} <= {"127.0.0.1", "::1"}
    assert any(name.startswith({"dask": "dask-scratch-space", "spark": "blockmgr-"}[backend]) for name in seen.temporary)
    assert not seen.open_to_others
