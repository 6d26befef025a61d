"""The images that a file names, in place of a listing."""

import gzip
from pathlib import Path

import pytest

from conftest import Engine, rejected, report, table
from fruits.errors import BadArgument


def write_lines(file: Path, *lines: str, end: str = "\n") -> Path:
    content = "".join(line + end for line in lines).encode()
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    return file


def test_the_images_that_a_manifest_names(engine: Engine, images: Path, tmp_path: Path) -> None:
    photos = sorted(images.glob("*/*.jpg"))
    key = [photo.relative_to(images).as_posix() for photo in photos]
    (images / "notes.txt").write_text("what a manifest names is taken, whatever it is called")
    lines = [key[3], "", engine.url(photos[0]), key[5], "  ", engine.url(photos[3]), "gone/nowhere.jpg", key[3], "notes.txt", "folder/"]
    manifest = write_lines(tmp_path / "list.txt.gz", "\ufeff" + lines[0], *lines[1:], end="\r\n")
    done = engine.run(input=images, output=tmp_path / "r", manifest=manifest, features_only=True)
    assert table(tmp_path / "r", "features")["path"].tolist() == [engine.url(photos[n]) for n in (0, 3, 5)]
    rows = rejected(tmp_path / "r")
    assert dict(zip(rows["path"], rows["reason"], strict=True)) == {
        engine.url(images / "gone" / "nowhere.jpg"): "not-found",
        engine.url(images / "notes.txt"): "not-an-image",
    }
    assert (done.images.found, done.images.featurized, done.images.rejected) == (5, 3, 2)
    assert done.images.ignored == {"folder markers": 1, "named again in the manifest": 2}
    # The files decide what is reused, not how they were found: a listing goes on where the manifest stopped, and the other way round.
    grown = engine.run(input=images, output=tmp_path / "r", features_only=True)
    assert (grown.images.found, grown.images.reused, grown.images.vanished) == (14, 3, 2)
    less = engine.run(input=images, output=tmp_path / "r", manifest=write_lines(tmp_path / "13.txt", *key[1:]), features_only=True)
    assert (less.images.found, less.images.reused, less.images.vanished) == (13, 13, 1)
    assert report(tmp_path / "r")["job"]["manifest"] == engine.url(tmp_path / "13.txt")


@pytest.mark.local("links, and paths that only a local file system resolves")
def test_local_spellings(engine: Engine, images: Path, tmp_path: Path) -> None:
    first, second, third, fourth = sorted(images.glob("*/*.jpg"))[:4]
    second.unlink()
    second.symlink_to(third)
    keys = [path.relative_to(images).as_posix() for path in (first, second, third, fourth)]
    lines = [f"./{keys[0]}", keys[1], f"file://{third}", keys[3].replace("/", "//./"), first.parent.name]
    engine.run(input=images, output=tmp_path / "r", manifest=write_lines(tmp_path / "list", *lines), features_only=True)
    assert table(tmp_path / "r", "features")["path"].tolist() == [str(path) for path in (first, second, third, fourth)]
    assert rejected(tmp_path / "r")[["path", "reason"]].to_numpy().tolist() == [[str(first.parent), "not-a-file"]]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("../other/x.jpg", "has .. in it"),
        ("a/../../../etc/x.jpg", "has .. in it"),
        ("/etc/x.jpg", "is not below --input"),
        ("s3://other-bucket/x.jpg", "is not below --input"),
        ("http://host/x.jpg", "is not below --input"),
        ("{input}-2/x.jpg", "is not below --input"),
        ("{input}/../x.jpg", "has .. in it"),
        ("x\0.jpg", "has a zero byte in it"),
        ("latin \udce9.jpg", "not UTF-8"),
    ],
)
def test_a_line_that_leads_elsewhere_is_refused(engine: Engine, images: Path, tmp_path: Path, line: str, words: str) -> None:
    lines = ["", "fine.jpg", line.replace("{input}", engine.url(images)), "fine too.jpg"]
    (tmp_path / "list.txt").write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    with pytest.raises(BadArgument, match="line 3") as refused:
        engine.run(input=images, output=tmp_path / "r", manifest=tmp_path / "list.txt", features_only=True)
    assert words in refused.value.message
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("list.txt", b"\n \r\n", "names no image"),
        ("list.txt.gz", gzip.compress(b"x.jpg\n" * 9999)[:-20], "cannot be read"),
        ("list.txt.gz", b"no gzip", "cannot be read"),
        ("one.txt", b"x" * 20_000_000, "line 1: longer than"),
    ],
)
def test_a_file_that_is_no_manifest(engine: Engine, images: Path, tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadArgument) as refused:
        engine.run(input=images, output=tmp_path / "r", manifest=tmp_path / name, features_only=True)
    assert words in refused.value.message
