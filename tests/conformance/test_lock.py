"""Two runs on one output: the second is refused with who has it; a dead run's place is taken; one that was given up for dead stops."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem
from typed import Type

from conftest import Engine, asked
from fruits.errors import OutputInUse, RunFailed
from fruits.lease import Lease
from fruits.storage import Folder
from leases import holder, let_go, one_of_many, stop_elsewhere, told


@pytest.mark.local("a driver of its own, which opens a session of its own")
def test_the_second_run_is_refused_with_who_has_the_output(typed: Type, backend: str, tmp_path: Path) -> None:
    arguments = ["--backend", backend, "--chunk-size", "8", "--features-only", "--output", str(tmp_path / "r")]
    command = [sys.executable, "-m", "fruits", *arguments]
    alice = {**os.environ, "LOGNAME": "alice"}
    with subprocess.Popen(command, env=alice, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as first:
        patience = time.monotonic() + 150
        while not list((tmp_path / "r").glob("_fruits/markers/*.json")):
            assert first.poll() is None
            assert time.monotonic() < patience
            time.sleep(0.01)
        first.send_signal(signal.SIGSTOP)  # it lives, and stays
        second = typed(*arguments)
        assert second.returncode == 2
        user = f"alice on {socket.gethostname()} (process {first.pid}, {backend}) since 20"
        assert f"is in use by a run of {user}" in second.stderr
        assert "Traceback" not in second.stderr
        assert typed(*arguments, "--fresh").returncode == 2
        assert typed(*arguments, "--dry-run").returncode == 0  # which only looks
        first.send_signal(signal.SIGCONT)
        _, said = first.communicate(timeout=120)
    assert first.returncode == 0, said
    assert asked("validate", tmp_path / "r").returncode == 0
    assert not list((tmp_path / "r" / "_fruits").glob("lease*"))


@pytest.mark.local("watches a local folder")
def test_a_lease_that_is_lost_in_mid_run(engine: Engine, images: Path, tmp_path: Path) -> None:
    prepared = engine.prepare(input=images, output=tmp_path / "r", features_only=True, chunk_size=5)
    own = tmp_path / "r" / "_fruits" / "lease-1.json"

    def take() -> None:
        while not own.exists() or not own.read_bytes():
            time.sleep(0.002)
        taken = {**json.loads(own.read_bytes()), "token": "another", "user": "bob", "host": "elsewhere", "machine": "another"}
        own.with_name("lease-2.json").write_text(json.dumps(taken))

    taking = threading.Thread(target=take)
    taking.start()
    with pytest.raises(RunFailed, match="was taken over by a run of bob on elsewhere"):
        engine.execute(prepared)
    taking.join()
    assert not (tmp_path / "r" / "report.json").exists()
    assert own.with_name("lease-2.json").exists()


@pytest.mark.local("needs no engine")
def test_a_lease_of_another_machine_that_changes_is_alive(tmp_path: Path) -> None:
    with holder(str(tmp_path), LOGNAME="alice") as there:
        assert told(there) == "held\n"
        stop_elsewhere(there, LocalFileSystem(), str(tmp_path))
        with holder(str(tmp_path)) as here:
            assert "waiting up to 2 s for a sign of life" in told(here)
            os.killpg(there.pid, signal.SIGCONT)
            assert f"OutputInUse {tmp_path} is in use by a run of alice" in told(here)
        assert let_go(there) == "released\n"
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.local("needs no engine")
@pytest.mark.root("makes a namespace of process numbers")
def test_a_lease_of_another_container_is_not_judged_by_its_process(tmp_path: Path) -> None:
    """Its number is another process's here, or nobody's."""
    container = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    with holder(str(tmp_path), *container) as there:
        assert told(there) == "held\n"
        with holder(str(tmp_path)) as here:
            assert "waiting up to 2 s for a sign of life" in told(here)
            assert told(here).startswith(f"OutputInUse {tmp_path} is in use by a run of ")
        assert let_go(there) == "released\n"


@pytest.mark.local("needs no engine")
def test_a_lease_of_another_machine_that_does_not_change_is_taken_over(tmp_path: Path) -> None:
    """Its holder is only stopped: when it goes on it finds that out."""
    with holder(str(tmp_path)) as there:
        assert told(there) == "held\n"
        stop_elsewhere(there, LocalFileSystem(), str(tmp_path))
        started = time.monotonic()
        with holder(str(tmp_path), LOGNAME="bob") as here:
            assert "waiting up to 2 s for a sign of life" in told(here)
            assert told(here) == "note: no sign of life in 2 s: going on in its place\n"
            assert told(here) == "held\n"
            assert time.monotonic() - started > 2
            os.killpg(there.pid, signal.SIGCONT)
            assert let_go(there).startswith(f"RunFailed {tmp_path} was taken over by a run of bob")
            assert let_go(here) == "released\n"


@pytest.mark.local("needs no engine")
def test_a_dead_process_is_known_at_once(tmp_path: Path) -> None:
    with holder(str(tmp_path)) as killed:
        assert told(killed) == "held\n"
        killed.kill()
        killed.wait()
        with holder(str(tmp_path)) as here:
            assert f"(process {killed.pid}, dask)" in told(here)
            assert told(here) == "held\n"
            let_go(here)


@pytest.mark.local("needs no engine")
def test_of_many_that_try_at_once_one_gets_it(tmp_path: Path) -> None:
    """On a folder that a dead run held."""
    with holder(str(tmp_path)) as killed:
        told(killed)
        killed.kill()
    one_of_many(str(tmp_path))


@pytest.mark.local("needs no engine")
def test_who_is_overtaken_between_looking_and_creating_does_not_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The race itself, which processes that start at once run only by chance."""
    rival, late = (Lease(Folder(str(tmp_path / "r")), name, print) for name in ("dask", "spark"))
    write_new = Folder.write_new

    def overtaken(folder: Folder, name: str, data: bytes) -> None:
        monkeypatch.setattr(Folder, "write_new", write_new)
        rival.acquire()
        write_new(folder, name, data)

    monkeypatch.setattr(Folder, "write_new", overtaken)
    with pytest.raises(OutputInUse, match=rf"\(process {os.getpid()}, dask\)"):
        late.acquire()
    rival.check()
    rival.release()
    assert not list(tmp_path.rglob("lease*"))


@pytest.mark.local("needs no engine")
def test_the_lease_of_this_process_itself(tmp_path: Path) -> None:
    one = Lease(Folder(str(tmp_path / "r")), "dask", print)
    one.acquire()
    with pytest.raises(OutputInUse):
        Lease(Folder(str(tmp_path / "r")), "dask", print).acquire()
    one.release()
    two = Lease(Folder(str(tmp_path / "r")), "dask", print)
    two.acquire()
    two.release()
