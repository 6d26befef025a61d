"""Names and trees that were made to do harm: they are data, on every engine."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import SAMPLE, Engine, asked, cli, rejected, report, table

PHOTO = sorted((SAMPLE / "Tomato 1").iterdir())[0]
FORMULAS = ["=cmd|' !A1", "+1+1", "-2", "@SUM(1)", "a;=1+1", "\uff1d1+1"]  # the last in full width
CONTROLS = ["\t=1", "\r=1", "\n=1"]  # XML and WebHDFS do not give these back as they were
OPTIONS = ["--fresh", "-h", "--output=x", "--"]
ODD = ["a,b", 'a"b', "'a", "é 🍎", "<script>alert(1)</script>", "%2e%2e", "$(touch x)"]


def as_written(name: str) -> str:
    """How results.csv has a name, written here without `fruits`: an apostrophe before the signs that OWASP lists."""
    signs = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
    return ";".join(f"'{part}" if part.startswith(signs) else part for part in name.split(";"))


@pytest.mark.local("a name with a slash or a colon in it cannot be mirrored to HDFS", place="hdfs")
def test_names_that_a_spreadsheet_or_a_shell_would_run(engine: Engine, tmp_path: Path) -> None:
    labels = [*FORMULAS, *OPTIONS, *(ODD if engine.place == "local" else []), *(CONTROLS if engine.place == "local" else [])]
    labels = [label.replace("/", "\N{DIVISION SLASH}") for label in labels]
    for label in labels:
        (tmp_path / "images" / label).mkdir(parents=True)
        (tmp_path / "images" / label / "--output.jpg").write_bytes(PHOTO.read_bytes())
    engine.run(input=tmp_path / "images", output=tmp_path / "r", components=2, pca="moments")
    rows = table(tmp_path / "r", "pca")
    assert sorted(rows["label"]) == sorted(labels)  # Parquet has them as they are
    assert set(report(tmp_path / "r")["labels"]) == set(labels)
    with (tmp_path / "r" / "results.csv").open(newline="") as file:
        cells = {row["path"]: row["label"] for row in csv.DictReader(file)}
    assert cells == {as_written(path): as_written(label) for path, label in zip(rows["path"], rows["label"], strict=True)}
    dangerous = [cell for pair in cells.items() for cell in pair if re.match("[=+@\t\r\n-]", cell) or re.search(";[=+@-]", cell)]
    assert not dangerous
    print(f"{engine.name}: {sum(cell.startswith(chr(39)) for cell in cells.values())} of {len(labels)} labels made harmless")
    assert asked("validate", tmp_path / "r").stdout == f"{tmp_path / 'r'}: valid\n"


@pytest.mark.local("links")
def test_a_deep_tree_with_loops(engine: Engine, tmp_path: Path) -> None:
    deep = tmp_path / "images"
    for level in range(100):
        deep = deep / f"{level}"
    deep.mkdir(parents=True)
    (deep / "photo.jpg").write_bytes(PHOTO.read_bytes())
    (deep / "up").symlink_to(tmp_path / "images")  # a loop of 100 levels
    (tmp_path / "images" / "self").symlink_to("self")
    (tmp_path / "images" / "a").symlink_to("b")
    (tmp_path / "images" / "b").symlink_to("a")
    (tmp_path / "images" / "loop.jpg").symlink_to("loop.jpg")
    done = engine.run(input=tmp_path / "images", output=tmp_path / "r", features_only=True)
    assert table(tmp_path / "r", "features")[["path", "label"]].to_numpy().tolist() == [[str(deep / "photo.jpg"), "99"]]
    assert done.linked_folders == [str(deep / "up")]
    assert rejected(tmp_path / "r")[["path", "reason"]].to_numpy().tolist() == [[str(tmp_path / "images" / "loop.jpg"), "not-found"]]


@pytest.mark.local("the command line opens a session of its own")
def test_paths_with_dots_and_names_that_look_like_options(backend: str, images: Path, tmp_path: Path) -> None:
    os.rename(images, tmp_path / "--images")
    (tmp_path / "sub").mkdir()
    ended = cli("--backend", backend, "--input=sub/.././--images", "--output", "sub/../-r", "--features-only", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert report(tmp_path / "-r")["job"]["input"] == str(tmp_path / "--images")
    assert all(path.startswith(f"{tmp_path}/--images/") for path in table(tmp_path / "-r", "features")["path"])
    assert cli("validate", "--", "-r", cwd=tmp_path).returncode == 0


@pytest.mark.local("a tree that no path reaches")
def test_a_tree_deeper_than_a_path_may_be_long(backend: str, tmp_path: Path) -> None:
    """100 folders of 200 letters: the system takes 4096 bytes in a path."""
    script = "import os\nfor _ in range(100):\n    os.mkdir('x' * 200)\n    os.chdir('x' * 200)\nopen('photo.jpg', 'w').close()\n"
    (tmp_path / "images").mkdir()
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path / "images", check=True)
    ended = cli("--backend", backend, "--input", tmp_path / "images", "--output", tmp_path / "r")
    assert ended.returncode == 2
    assert "cannot be listed: File name too long" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "r").exists()
    subprocess.run(["rm", "-r", str(tmp_path / "images")], check=True)
