"""Faults in the middle of a run: what hangs is rejected, what fails is tried again, and what fails for good leaves all else usable."""

import os
import signal
import stat
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Engine, expected_features, rejected, report, table, vectors
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
    with pytest.raises(RunFailed, match="no file of the input can be read any more"):
        engine.execute(prepared)
    away.rename(images)
    assert engine.run(input=images, output=tmp_path / "r", features_only=True).images.featurized == 14


def chunk_names(engine: Engine, images: Path, output: Path) -> dict[str, str]:
    """The chunk of 5 that begins with a file, by that file, as an undisturbed run names it."""
    engine.run(input=images, output=output, features_only=True, chunk_size=5)
    paths = {path.stem: path for path in (output / "features").iterdir()}
    import pyarrow.parquet as pq

    return {pq.read_table(path)["path"][0].as_py(): name for name, path in paths.items()}


@pytest.mark.local("a folder where a file is to be written")
def test_a_chunk_that_fails_for_good_fails_the_run_at_its_end(engine: Engine, images: Path, tmp_path: Path) -> None:
    first = sorted(images.glob("*/*.jpg"))[0]
    name = chunk_names(engine, images, tmp_path / "undisturbed")[str(first)]
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
    name = chunk_names(engine, images, tmp_path / "undisturbed")[first]
    prepared = engine.prepare(input=images, output=tmp_path / "r", features_only=True, chunk_size=5)
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
    assert [note for note in done.notes if f"1 of 3 chunks took more than one attempt, the first of them, chunk {name}" in note]
    assert np.array_equal(vectors(tmp_path / "r", "features"), vectors(tmp_path / "undisturbed", "features"))


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
