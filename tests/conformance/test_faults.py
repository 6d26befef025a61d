"""Faults in the middle of a run: what hangs is rejected, what fails is tried again, and what fails for good leaves all else usable."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from conftest import SAMPLE, WITHOUT_OVERRIDE, Engine, cli, expected_features, rejected, report, table, vectors
from fruits import Job, run
from fruits import backend as backends
from fruits.backend import GaveUp, Settings, Workers
from fruits.errors import RunFailed


@pytest.mark.local("pipes are local")
def test_a_file_that_hangs_is_rejected(engine: Engine, images: Path, tmp_path: Path) -> None:
    """Reading a pipe that nobody writes to never ends."""
    prepared = engine.prepare(input=images, output=tmp_path / "r", features_only=True, chunk_size=5, chunk_timeout=2)
    photos = sorted(images.glob("*/*.jpg"))
    for hung in photos[1:3]:
        hung.unlink()
        os.mkfifo(hung)
    started = time.monotonic()
    engine.execute(prepared)
    assert stat.S_ISFIFO(photos[2].stat().st_mode)
    print(f"{engine.name}: two pipes held a chunk; the run ended after {time.monotonic() - started:.1f} s")
    assert time.monotonic() - started > 3 * 2
    rows = rejected(tmp_path / "r")
    assert rows[["path", "reason", "detail"]].to_numpy().tolist() == [[str(hung), "timeout", "not read within 2 s"] for hung in photos[1:3]]
    good = [str(photo) for photo in photos if photo not in photos[1:3]]
    assert table(tmp_path / "r", "features")["path"].tolist() == good
    assert np.array_equal(vectors(tmp_path / "r", "features"), expected_features(good))
    assert report(tmp_path / "r")["rejected_by_reason"] == {"timeout": 2}


@pytest.mark.local("pipes are local")
def test_an_input_that_hangs_as_a_whole_is_no_fault_of_its_files(engine: Engine, images: Path, tmp_path: Path) -> None:
    prepared = engine.prepare(input=images, output=tmp_path / "r", features_only=True, chunk_timeout=0.5)
    for photo in images.glob("*/*.jpg"):
        photo.unlink()
        os.mkfifo(photo)
    with pytest.raises(RunFailed, match=r"1 of 1 chunks failed, 0 were done; .* no file of the input was read within 0\.5 s"):
        engine.execute(prepared)
    assert not (tmp_path / "r").exists()


@pytest.mark.local("moves a folder away")
def test_an_input_that_is_gone_as_a_whole_is_no_fault_of_its_files(engine: Engine, images: Path, tmp_path: Path) -> None:
    """As a disk that is no longer mounted: nothing is rejected, and the next run has it all."""
    prepared = engine.prepare(input=images, output=tmp_path / "r", features_only=True)
    away = images.rename(tmp_path / "away")
    with pytest.raises(RunFailed, match="no file of the input can be read: No such file"):
        engine.execute(prepared)
    away.rename(images)
    assert engine.run(input=images, output=tmp_path / "r", features_only=True).images.featurized == 14


@contextmanager
def disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.local("a full disk of this machine")
@pytest.mark.root("mounts a small disk")
def test_a_full_disk(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with disk(tmp_path / "disk", "1m"):
        results = tmp_path / "disk" / "r"
        ended = cli("--backend", backend, "--output", results, "--chunk-size", "16", "--features-only")
        committed = len(list(results.glob("_fruits/markers/*")))
        free = shutil.disk_usage(results).free
        print(f"{backend}: {committed} of 21 chunks before the disk was full, {free} bytes are free: {ended.stderr}")
        assert free < 100_000
        assert ended.returncode == 1
        assert "No space left on device" in ended.stderr
        assert "make room there; the same command goes on where this run stopped" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert 0 < committed < 21
        subprocess.run(["mount", "-o", "remount,size=16m", tmp_path / "disk"], check=True)
        assert_goes_on(request.getfixturevalue(backend), SAMPLE, results)


@pytest.mark.local("local permissions")
@pytest.mark.parametrize("lost", ["output", "input"])
def test_a_right_that_is_lost_in_mid_run(backend: str, lost: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    images, results = tmp_path / "images", tmp_path / "r"
    shutil.copytree(SAMPLE, images)
    markers = results / "_fruits" / "markers"
    locked = [markers, results / "features"] if lost == "output" else [images]
    arguments = ["--backend", backend, "--input", images, "--output", results, "--chunk-size", "16", "--features-only"]
    command = [*WITHOUT_OVERRIDE, sys.executable, "-m", "fruits", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        wait_for_a_marker(markers, process)
        for folder in locked:
            folder.chmod(0o555 if lost == "output" else 0)
        said, _ = process.communicate(timeout=120)
    probe = subprocess.run([*WITHOUT_OVERRIDE, "touch", str(locked[0] / "x")], capture_output=True, text=True, check=False)
    assert "Permission denied" in probe.stderr  # the fault is there
    for folder in locked:
        folder.chmod(0o755)
    print(f"{backend}: {len(list(markers.iterdir()))} of 21 chunks before the right was lost: {said}")
    assert process.returncode == 1
    assert "Permission denied" in said
    assert "ask for the right to it; the same command goes on where this run stopped" in said
    assert "all others would fail too" in said
    assert "Traceback" not in said
    assert not list((results / "_fruits" / "rejects").glob("*"))
    assert_goes_on(request.getfixturevalue(backend), images, results)


def wait_for_a_marker(markers: Path, process: "subprocess.Popen[str]") -> None:
    patience = time.monotonic() + 150
    while not list(markers.glob("*.json")):
        assert process.poll() is None, "the run ended before its first chunk was committed"
        assert time.monotonic() < patience
        time.sleep(0.01)


def assert_goes_on(session: Any, images: Path, results: Path) -> None:
    """The same job reuses what is committed, and nothing is missing, doubled or rejected."""
    committed = len(list(results.glob("_fruits/markers/*")))
    again = run(Job(input=str(images), output=str(results), features_only=True, chunk_size=16), session=session)
    assert again.images.reused > 16 * (committed - 2)
    photos = sorted(str(photo) for photo in images.glob("*/*.jpg"))
    assert table(results, "features")["path"].tolist() == photos
    assert np.array_equal(vectors(results, "features"), expected_features(photos))


def chunk_names(engine: Engine, images: Path, output: Path, size: int) -> dict[str, str]:
    """The chunk that begins with a file, by that file, as an undisturbed run names it."""
    engine.run(input=images, output=output, features_only=True, chunk_size=size)
    paths = {path.stem: path for path in (output / "features").iterdir()}
    return {pq.read_table(path)["path"][0].as_py(): name for name, path in paths.items()}


@pytest.mark.short
@pytest.mark.local("a folder where a file is to be written")
def test_a_chunk_that_fails_for_good_fails_the_run_at_its_end(engine: Engine, images: Path, tmp_path: Path) -> None:
    first = sorted(images.glob("*/*.jpg"))[0]
    name = chunk_names(engine, images, tmp_path / "undisturbed", 5)[str(first)]
    obstacle = tmp_path / "r" / "features" / f"{name}.parquet"
    prepared = engine.prepare(input=images, output=tmp_path / "r", features_only=True, chunk_size=5)
    obstacle.mkdir(parents=True)
    with pytest.raises(RunFailed) as failed:
        engine.execute(prepared)
    print(f"{engine.name}: {failed.value.message}")
    key = first.relative_to(images)
    assert f"1 of 3 chunks failed, 2 were done; chunk {name} (from {key}) failed 3 times: Is a directory" in failed.value.message
    assert "the same command does only what failed" in failed.value.advice
    assert len(list((tmp_path / "r" / "_fruits" / "markers").iterdir())) == 2
    assert not (tmp_path / "r" / "report.json").exists()
    obstacle.rmdir()
    again = engine.run(input=images, output=tmp_path / "r", features_only=True, chunk_size=5)
    assert (again.images.reused, again.images.featurized) == (9, 14)
    assert np.array_equal(vectors(tmp_path / "r", "features"), vectors(tmp_path / "undisturbed", "features"))


@pytest.mark.local("a folder where a file is to be written")
def test_a_fault_that_passes(engine: Engine, images: Path, tmp_path: Path) -> None:
    first = str(sorted(images.glob("*/*.jpg"))[0])
    name = chunk_names(engine, images, tmp_path / "undisturbed", 14)[first]
    prepared = engine.prepare(input=images, output=tmp_path / "r", features_only=True, chunk_size=14)
    obstacle = tmp_path / "r" / "features" / f"{name}.parquet"
    obstacle.mkdir(parents=True)
    before = obstacle.parent.stat().st_mtime_ns

    def mend() -> None:
        """Takes the obstacle away when the file that cannot take its place has been there, and has gone."""
        while obstacle.parent.stat().st_mtime_ns == before or list(obstacle.parent.glob(f".{name}.parquet.*.tmp")):
            time.sleep(0.01)
        time.sleep(0.3)
        obstacle.rmdir()

    mending = threading.Thread(target=mend)
    mending.start()
    done = engine.execute(prepared)
    mending.join()
    assert done.images.featurized == 14
    assert [note for note in done.notes if f"1 of 1 chunks took more than one attempt, the first of them, chunk {name}" in note]
    assert np.array_equal(vectors(tmp_path / "r", "features"), vectors(tmp_path / "undisturbed", "features"))


@pytest.mark.short
@pytest.mark.local("ends workers of this machine")
def test_an_item_that_ends_its_worker_is_given_up_and_the_others_are_done(backend: str, request: pytest.FixtureRequest) -> None:
    settings = Settings(workers=Workers(2, 2)) if backend == "dask" else Settings(session=request.getfixturevalue("spark"))

    def negative(number: int) -> Any:
        if number == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 7:
            raise MemoryError("for a test")
        return -number

    with backends.load(backend)(settings) as opened:
        outcomes = list(opened.map(negative, range(12)))
    given_up = {outcome.item: outcome.cause for outcome in outcomes if isinstance(outcome, GaveUp)}
    print(backend, given_up)
    assert sorted(given_up) == [5, 7]
    assert given_up[5] == "workers died 4 times at the same task: most often they ran out of memory"
    assert "MemoryError: for a test" in given_up[7]
    assert sorted(outcome for outcome in outcomes if not isinstance(outcome, GaveUp)) == [-11, -10, -9, -8, -6, -4, -3, -2, -1, 0]
