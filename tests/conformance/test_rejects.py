"""A bad image is a row with a reason, on every engine, and the run goes on."""

import json
import os
import shutil
import socket
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from PIL import Image
from typed import Type

from conftest import DATA, WITHOUT_OVERRIDE, Engine, asked, cli, rejected, report, table
from fruits.errors import RunFailed


def png_that_declares(width: int, height: int, data: bytes = zlib.compress(bytes(100))) -> bytes:
    """A PNG with a right header and little or wrong data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.fixture
def hostile(engine: Engine, images: Path) -> tuple[Path, dict[str, str]]:
    """The 14 photos and, in a folder of their own, files that are none; with the reason that each must get."""
    photo = next(images.glob("*/*.jpg")).read_bytes()
    bad = images / "bad ones"
    bad.mkdir()
    (bad / "empty.jpg").write_bytes(b"")
    (bad / "half.jpg").write_bytes(photo[: len(photo) // 2])
    shutil.copy(DATA / "awkward" / "truncated_jpeg.jpg", bad)
    (bad / "text.jpg").write_text("this is no image\n")
    (bad / "cut.png.jpg").write_bytes(b"\x89PNG\r\n\x1a\n" + b"garbage" * 40)  # its first chunk would be longer than the file
    (bad / "garbage.jpg").write_bytes(png_that_declares(100, 100, b"garbage" * 99))
    (bad / "no data.jpg").write_bytes(png_that_declares(100, 100))
    (bad / "bomb.jpg").write_bytes(png_that_declares(50_000, 50_000))
    (bad / "line.jpg").write_bytes(png_that_declares(1, 60_000_000))
    (bad / "tiff.jpg").write_bytes(b"II*\0" + b"\0" * 100)
    (bad / "large.jpg").write_bytes(photo + b"\0" * 200_000)
    expected = {
        "empty.jpg": "empty",
        "half.jpg": "truncated",
        "truncated_jpeg.jpg": "truncated",
        "text.jpg": "not-an-image",
        "cut.png.jpg": "truncated",
        "garbage.jpg": "corrupt",
        "no data.jpg": "truncated",
        "bomb.jpg": "too-many-pixels",
        "line.jpg": "too-many-pixels",
        "tiff.jpg": "not-an-image",
        "large.jpg": "too-large",
    }
    if engine.place == "local":
        expected |= _no_files(bad, photo)
    return images, expected


def _no_files(bad: Path, photo: bytes) -> dict[str, str]:
    """What only a local folder can hold."""
    (bad / "nowhere.jpg").symlink_to("does not exist")
    (bad / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(bad / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(bad / "s.jpg"))
    with open(os.fsencode(bad) + b"/latin-\xe9.jpg", "wb") as latin:
        latin.write(photo)
    return {
        "nowhere.jpg": "not-found",
        "loop.jpg": "not-found",
        "pipe.jpg": "not-a-file",
        "s.jpg": "not-a-file",
        "latin-\\xe9.jpg": "bad-name",
    }


@pytest.mark.short
def test_each_fault_is_a_row_with_its_reason(engine: Engine, hostile: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    images, expected = hostile
    engine.run(input=images, output=tmp_path / "r", components=2, pca="moments", max_file_bytes=100_000, chunk_size=5)
    rows = rejected(tmp_path / "r")
    found = {path.rpartition("/")[2]: reason for path, reason in zip(rows["path"], rows["reason"], strict=True)}
    assert found == expected
    assert set(rows["label"]) == {"bad ones"}
    assert rows["path"].tolist() == sorted(engine.url(f"{images}/bad ones/{name}") for name in expected)
    assert rows["detail"].str.len().min() > 0
    assert len(table(tmp_path / "r", "features")) == len(table(tmp_path / "r", "pca")) == 14
    counts = report(tmp_path / "r")["images"]
    assert len(expected) == (16 if engine.place == "local" else 11)
    assert (counts["found"], counts["featurized"], counts["rejected"]) == (14 + len(expected), 14, len(expected))


def test_png_content_under_a_jpg_name_is_fine(engine: Engine, images: Path, tmp_path: Path) -> None:
    Image.open(next(images.glob("*/*.jpg"))).save(images / "really a png.jpg", format="PNG")
    engine.run(input=images, output=tmp_path / "r", features_only=True)
    assert engine.url(images / "really a png.jpg") in set(table(tmp_path / "r", "features")["path"])
    assert len(rejected(tmp_path / "r")) == 0


def test_a_file_that_vanishes_after_the_listing(engine: Engine, images: Path, tmp_path: Path) -> None:
    prepared = engine.prepare(input=images, output=tmp_path / "r", features_only=True)
    gone, folder_now = sorted(images.glob("*/*.jpg"))[3:5]
    gone.unlink()
    folder_now.unlink()
    folder_now.mkdir()
    engine.execute(prepared)
    rows = rejected(tmp_path / "r")
    of_folder = "not-found" if engine.place == "s3" else "not-a-file"  # folders on S3 are only names
    assert dict(zip(rows["path"], rows["reason"], strict=True)) == {engine.url(gone): "not-found", engine.url(folder_now): of_folder}
    assert len(table(tmp_path / "r", "features")) == 12


def test_too_many_rejected(engine: Engine, hostile: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    images, expected = hostile
    share = len(expected) / (14 + len(expected))
    with pytest.raises(RunFailed, match="more than --max-rejected"):
        engine.run(input=images, output=tmp_path / "r", max_file_bytes=100_000, features_only=True, max_rejected=share - 0.01)
    assert not (tmp_path / "r" / "report.json").exists()
    # What was featurized is kept: the same job with a higher limit goes on from there.
    again = engine.run(input=images, output=tmp_path / "r", max_file_bytes=100_000, features_only=True, max_rejected=share + 0.01)
    assert again.images.reused == again.images.found == 14 + len(expected)


def test_nothing_featurized_is_a_failed_run(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "images" / name).write_text("no image")
    with pytest.raises(RunFailed, match=r"none of 2 images could be featurized \(not-an-image: 2\)"):
        engine.run(input=tmp_path / "images", output=tmp_path / "r")
    assert not (tmp_path / "r" / "report.json").exists()


def test_what_is_no_image_is_counted_as_ignored(engine: Engine, images: Path, tmp_path: Path) -> None:
    for name in (".DS_Store", "._x.jpg", "notes.txt", "picture.png"):
        (images / name).write_bytes(b"x")
    if engine.place == "local":
        (images / "linked folder").symlink_to(images)
    (images / "folder.jpg").mkdir()
    counts = engine.run(input=images, output=tmp_path / "r", features_only=True)
    assert counts.images.found == 14
    assert counts.images.ignored == {"left behind by file systems": 2, "of other names": 2}
    assert counts.linked_folders == ([str(images / "linked folder")] if engine.place == "local" else [])


@pytest.mark.local("the command reads where the test's folder is")
def test_the_list_of_rejected_images(engine: Engine, hostile: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    images, expected = hostile
    many = [images / f"many{number:02d}.jpg" for number in range(12)]
    for file in many:
        file.touch()
    (images / "escape \x1b[31m.jpg").touch()
    job = {"input": images, "output": tmp_path / "r", "max_file_bytes": 100_000, "features_only": True, "chunk_size": 5}
    with pytest.raises(RunFailed, match="more than --max-rejected"):
        engine.run(**job, max_rejected=0.1)
    unfinished = json.loads(asked("rejected", tmp_path / "r", "--json").stdout)
    engine.run(**job)
    listed = json.loads(asked("rejected", tmp_path / "r", "--json").stdout)
    assert listed == unfinished
    assert {row["path"].rpartition("/")[2]: row["reason"] for row in listed if "bad ones" in row["path"]} == expected
    assert [(row["reason"], row["path"]) for row in listed] == sorted((row["reason"], row["path"]) for row in listed)
    assert set(listed[0]) == {"path", "label", "reason", "detail"}
    shown = asked("rejected", tmp_path / "r").stdout
    assert f"{tmp_path / 'r'}: {len(expected) + 13} images rejected" in shown
    assert "\nempty: 14\n" in shown
    assert "  and 4 more: --paths or --json has all" in shown
    assert "\x1b" not in shown
    assert "--retry-rejected" in shown
    paths = asked("rejected", tmp_path / "r", "--reason", "too-many-pixels", "--reason", "too-large", "--paths").stdout.splitlines()
    assert [path.rpartition("/")[2] for path in paths] == ["large.jpg", "bomb.jpg", "line.jpg"]
    unknown = asked("rejected", tmp_path / "r", "--reason", "ugly")
    assert (unknown.returncode, "the reasons are: empty, too-large" in unknown.stderr) == (2, True)
    nothing = asked("rejected", images)
    assert (nothing.returncode, "no run has got anywhere there" in nothing.stderr) == (2, True)


@pytest.mark.local("local permissions")
def test_files_without_read_permission_and_a_right_that_is_given_back(typed: Type, backend: str, images: Path, tmp_path: Path) -> None:
    """Neither size nor modification time tells that a file can be read again: it takes --retry-rejected."""
    locked = sorted(images.glob("*/*.jpg"))[:2]
    for file in locked:
        file.chmod(0)
    probe = subprocess.run([*WITHOUT_OVERRIDE, "cat", str(locked[0])], capture_output=True, text=True, check=False)
    assert "Permission denied" in probe.stderr  # the fault is there
    job = ("--backend", backend, "--input", images, "--output", tmp_path / "r", "--features-only", "--json")
    first = cli(*job, cwd=tmp_path, under=WITHOUT_OVERRIDE)
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["rejected_by_reason"] == {"access-denied": 2}
    assert rejected(tmp_path / "r")[["path", "reason"]].to_numpy().tolist() == [[str(file), "access-denied"] for file in locked]
    assert len(table(tmp_path / "r", "features")) == 12
    for file in locked:
        file.chmod(0o600)
    again = typed(*job, cwd=tmp_path)
    assert json.loads(again.stdout)["finished"] == json.loads(first.stdout)["finished"]  # nothing to do
    retried = json.loads(cli(*job, "--retry-rejected", cwd=tmp_path, under=WITHOUT_OVERRIDE).stdout)
    assert (retried["images"]["rejected"], retried["images"]["to_do"], retried["images"]["reused"]) == (0, {"rejected before": 2}, 12)
