"""A folder that grows and changes: only what is new or changed is done, and what was done stays the same bits."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from typed import Type

from conftest import (
    SAMPLE,
    Engine,
    asked,
    cli,
    expected_features,
    rejected,
    report,
    table,
    vectors,
)

OTHERS = sorted((SAMPLE / "Tomato 1").iterdir())


def garble(files: list[Path]) -> None:
    """Ruins the content and keeps size and modification time: to a listing these are the same files, to a decoder they are none.

    Whoever reads them again must reject them.
    """
    for file in files:
        replace_in_place(file, b"\0" * file.stat().st_size)


def replace_in_place(file: Path, content: bytes) -> None:
    """Other content of the same length under the same modification time."""
    before = file.stat()
    assert len(content) == before.st_size
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def change(images: Path) -> tuple[Path, Path, Path, list[Path]]:
    """One image vanishes, one changes, one is new; returns these and the others."""
    photos = sorted(images.glob("*/*.jpg"))
    gone, changed, new = photos[2], photos[9], images / "new" / OTHERS[0].name
    gone.unlink()
    shutil.copy(OTHERS[1], changed)
    new.parent.mkdir()
    shutil.copy(OTHERS[0], new)
    return gone, changed, new, [photo for photo in photos if photo not in (gone, changed)]


def of_features(results: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (results / "features").iterdir()}


@pytest.mark.local("files that keep their version with other content")
def test_a_chunk_keeps_the_rows_that_are_right(engine: Engine, images: Path, tmp_path: Path) -> None:
    engine.run(input=images, output=tmp_path / "r", components=3, pca="moments", chunk_size=14)
    gone, changed, new, others = change(images)
    engine.run(input=images, output=tmp_path / "fresh", components=3, pca="moments", chunk_size=14)
    garble(others)
    done = engine.run(input=images, output=tmp_path / "r", components=3, pca="moments", chunk_size=14)
    print(f"{engine.name}: of one chunk of 14 images {done.images.reused} kept, {done.images.to_do}, {done.images.vanished} vanished")
    assert (done.images.found, done.images.featurized, done.images.reused, done.images.vanished) == (14, 14, 12, 1)
    assert done.images.to_do == {"new": 1, "changed": 1}
    assert {stage.name: stage.images for stage in done.stages}["featurize"] == 2
    assert [note for note in done.notes if "vanished" in note] == [
        f"1 images vanished since an earlier run, and leave the results: {gone.relative_to(images)}"
    ]
    assert [note for note in done.notes if "changed" in note] == [
        f"1 images changed since an earlier run, and are done again: {changed.relative_to(images)}"
    ]
    for part in ("features", "pca"):
        assert table(tmp_path / "r", part)["path"].tolist() == table(tmp_path / "fresh", part)["path"].tolist()
        assert str(new) in table(tmp_path / "r", part)["path"].tolist()
    assert np.array_equal(vectors(tmp_path / "r", "features"), vectors(tmp_path / "fresh", "features"))
    assert len(rejected(tmp_path / "r")) == 0
    assert asked("validate", tmp_path / "r").returncode == 0


@pytest.mark.local("needs no engine")
def test_chunks_whose_files_all_changed(inprocess: object, images: Path, tmp_path: Path) -> None:
    """Each photo takes the next one's name: the chunks are of the same names, and not the same chunks."""
    photos = sorted(images.glob("*/*.jpg"))
    job = {"input": images, "output": tmp_path / "r", "features_only": True, "chunk_size": 5}
    Engine("inprocess", inprocess).run(**job)
    contents = [photo.read_bytes() for photo in photos]
    for photo, content in zip(photos, [*contents[1:], contents[0]], strict=True):
        photo.write_bytes(content)
    done = Engine("inprocess", inprocess).run(**job)
    assert (done.images.reused, done.images.to_do) == (0, {"changed": 14})
    expected = expected_features([str(photo) for photo in photos])
    assert np.array_equal(vectors(tmp_path / "r", "features"), expected)


@pytest.mark.local("files that keep their version with other content")
def test_a_fresh_run_reads_every_image_again(inprocess: object, images: Path, tmp_path: Path) -> None:
    job = {"input": images, "output": tmp_path / "r", "features_only": True, "chunk_size": 5}
    assert Engine("inprocess", inprocess).run(**job).images.rejected == 0
    garbled = sorted(images.glob("*/*.jpg"))[2:4]
    garble(garbled)
    done = Engine("inprocess", inprocess).run(**job, fresh=True)
    assert (done.images.reused, done.images.featurized) == (0, 12)
    assert rejected(tmp_path / "r")["path"].tolist() == list(map(str, garbled))


@pytest.mark.local("files that keep their version with other content")
def test_what_a_killed_run_left_beside_what_it_replaces(engine: Engine, images: Path, tmp_path: Path) -> None:
    """As after a kill between the last chunk and the report: the old chunk and what replaces it are both there."""
    engine.run(input=images, output=tmp_path / "r", features_only=True, chunk_size=14)
    shutil.copytree(tmp_path / "r", tmp_path / "before")
    *_, others = change(images)
    engine.run(input=images, output=tmp_path / "r", features_only=True, chunk_size=14)
    garble(sorted(images.glob("*/*.jpg")))
    expected = vectors(tmp_path / "r", "features")
    shutil.copytree(tmp_path / "before", tmp_path / "r", dirs_exist_ok=True)  # its report, too: the other was not written
    assert len(list((tmp_path / "r" / "_fruits" / "markers").iterdir())) == 3
    done = engine.run(input=images, output=tmp_path / "r", features_only=True, chunk_size=14)
    assert (done.images.found, done.images.reused, done.images.to_do) == (14, 14, {})
    assert len(others) == 12
    assert np.array_equal(vectors(tmp_path / "r", "features"), expected)
    assert asked("validate", tmp_path / "r").returncode == 0


@pytest.mark.local("files that keep their version with other content")
def test_rejected_images_are_done_again_on_demand(engine: Engine, images: Path, tmp_path: Path) -> None:
    photos = sorted(images.glob("*/*.jpg"))
    bad = photos[1], photos[6], photos[11]
    content = {file: file.read_bytes() for file in bad}
    garble(list(bad))
    job = {"input": images, "output": tmp_path / "r", "features_only": True}
    assert engine.run(**job, chunk_size=7).rejected_by_reason == {"not-an-image": 3}
    before = of_features(tmp_path / "r")
    for file in bad[:2]:
        replace_in_place(file, content[file])
    garble([photo for photo in photos if photo not in bad])
    assert engine.run(**job).images.rejected == 3  # nobody can tell that they were mended
    done = engine.run(**job, retry_rejected=True)
    print(f"{engine.name}: {done.images.to_do}, {done.images.reused} kept")
    assert (done.images.to_do, done.images.reused, done.images.featurized, done.images.rejected) == ({"rejected before": 3}, 11, 13, 1)
    assert before.items() <= of_features(tmp_path / "r").items()  # not even written again
    assert rejected(tmp_path / "r")["path"].tolist() == [str(bad[2])]
    again = engine.run(**job, retry_rejected=True)
    assert (again.images.to_do, again.images.rejected) == ({"rejected before": 1}, 1)
    replace_in_place(bad[2], content[bad[2]])
    assert engine.run(**job, retry_rejected=True).images.rejected == 0
    finished = report(tmp_path / "r")["finished"]
    assert engine.run(**job, retry_rejected=True).finished == finished  # nothing left to do
    for photo in photos:
        if photo not in bad:
            shutil.copy(SAMPLE / photo.relative_to(images), photo)
    engine.run(input=images, output=tmp_path / "fresh", features_only=True)
    assert np.array_equal(vectors(tmp_path / "r", "features"), vectors(tmp_path / "fresh", "features"))
    assert asked("validate", tmp_path / "r").returncode == 0


@pytest.mark.local("files that keep their version with other content")
def test_what_a_killed_retry_left_counts(inprocess: object, images: Path, tmp_path: Path) -> None:
    """As after a kill between the last chunk and the report: the rejected rows and what came of them are both there."""
    engine, results = Engine("inprocess", inprocess), tmp_path / "r"
    job = {"input": images, "output": results, "features_only": True, "chunk_size": 7}
    bad = sorted(images.glob("*/*.jpg"))[1:7:3]
    content = {file: file.read_bytes() for file in bad}
    garble(list(bad))
    assert engine.run(**job).images.rejected == len(bad) == 2
    shutil.copytree(results, tmp_path / "before")
    for file in bad:
        replace_in_place(file, content[file])
    assert engine.run(**job, retry_rejected=True).images.rejected == 0
    expected = vectors(results, "features")
    shutil.copytree(tmp_path / "before", results, dirs_exist_ok=True)
    (results / "report.json").unlink()
    assert json.loads(asked("rejected", results, "--json").stdout) == []
    done = engine.run(**job)
    assert (done.images.reused, done.images.featurized, done.images.rejected) == (14, 14, 0)
    assert np.array_equal(vectors(results, "features"), expected)
    assert asked("validate", results).returncode == 0


@pytest.mark.local("the command line opens a session of its own")
def test_the_first_line_and_the_dry_run_say_what_is_reused_and_why_the_rest_is_not(
    typed: Type, backend: str, images: Path, tmp_path: Path
) -> None:
    (images / "bad.jpg").write_text("no image")
    job = ("--backend", backend, "--input", images, "--output", tmp_path / "r", "--workers", "1", "--chunk-size", "5", "--pca", "moments")
    first = cli(*job, "--components", "3")
    assert first.returncode == 0, first.stderr
    assert re.match(rf"{backend} on local.*, 1 workers: 15 images of {images} to {tmp_path / 'r'}; PCA fitted\n", first.stderr)
    assert "another projection is asked" in typed(*job, "--components", "4", "--dry-run", COLUMNS="300").stdout
    gone, changed, _, _ = change(images)
    damaged = sorted((tmp_path / "r" / "_fruits" / "markers").iterdir(), key=lambda path: json.loads(path.read_bytes())["done"]["first"])[1]
    damaged.write_bytes(damaged.read_bytes()[:-9])
    planned = json.loads(typed(*job, "--components", "3", "--dry-run", "--json").stdout)
    # Chunks of 5: the second, with `changed` in it, has lost its marker, and its images are new to this run.
    assert (planned["reused"], planned["to_featurize"], planned["damaged_markers"]) == (9, 6, 1)
    assert (planned["why"], planned["vanished"], planned["vanished_names"]) == ({"new": 6}, 1, [str(gone.relative_to(images))])
    shown = re.sub(r"\s+", " ", typed(*job, "--components", "3", "--dry-run", COLUMNS="300").stdout)
    assert "9 by an earlier run, 6 to featurize (6 new)" in shown
    assert f"vanished 1: {gone.relative_to(images)}" in shown
    again = cli(*job, "--components", "3", "--retry-rejected")
    first_line = again.stderr.splitlines()[0]
    print(first_line)
    said = "an earlier run has done 8 of them, 7 are left (6 new, 1 rejected before), 1 have vanished, 1 damaged markers; PCA fitted anew"
    assert said in first_line
    assert "since then 6 new, 1 rejected before, 1 vanished" in re.sub(r"\s+", " ", again.stdout)
    assert changed.exists()
