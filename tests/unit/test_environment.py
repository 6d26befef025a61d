"""What --environment may say, and what becomes of it."""

import gzip
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from backends.environment import Environment
from fruits.errors import BadArgument


def archive(path: Path) -> Path:
    with tarfile.open(path, "w:gz") as made:
        content = b"home = /usr/bin\n"
        entry = tarfile.TarInfo("pyvenv.cfg")
        entry.size = len(content)
        made.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("text", "python", "packed"),
    [
        ("venv:///opt/env", "/opt/env/bin/python", None),
        ("venv:///opt/env/", "/opt/env/bin/python", None),
        ("python:///usr/bin/python3.11", "/usr/bin/python3.11", None),
        ("hdfs:///user/me/env.tar.gz", "environment/bin/python", "hdfs:///user/me/env.tar.gz"),
        ("hdfs://namenode:8020/env.tar.gz", "environment/bin/python", "hdfs://namenode:8020/env.tar.gz"),
    ],
)
def test_forms(text: str, python: str, packed: str | None) -> None:
    environment = Environment.parse(text)
    assert (environment.python, environment.archive) == (python, packed)


@pytest.mark.parametrize("form", ["{absolute}", "file://{absolute}", "environment.tar.gz", "./environment.tar.gz"])
def test_a_local_archive_becomes_an_absolute_path(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = archive(tmp_path / "environment.tar.gz")
    monkeypatch.chdir(tmp_path)
    environment = Environment.parse(form.format(absolute=made))
    assert (environment.python, environment.archive) == ("environment/bin/python", str(made))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "venv://",
        "venv:///",
        "venv://relative/env",
        "venv:/opt/env",
        "python://bin/python",
        "conda:///opt/conda/envs/fruits",
        "conda://fruits",
        "s3://bucket/env.tar.gz",
        "hdfs://namenode:8020",
        "hdfs://namenode:8020/env.zip",
        "hdfs:///env.tar.gz#environment",
        "/opt/env",
        "/opt/env.zip",
        "/does/not/exist.tar.gz",
        "file://exist.tar.gz",
    ],
)
def test_anything_else_is_refused_by_name_and_with_advice(text: str) -> None:
    with pytest.raises(BadArgument) as refused:
        Environment.parse(text)
    assert text in refused.value.message
    assert refused.value.advice


def test_conda_is_told_what_to_write() -> None:
    with pytest.raises(BadArgument, match="python:///"):
        Environment.parse("conda:///opt/conda/envs/fruits")


@pytest.mark.parametrize("kind", ["empty", "no gzip", "no tar", "cut", "corrupt", "folder"])
def test_a_file_that_is_no_archive_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "environment.tar.gz"
    whole = archive(tmp_path / "whole.tar.gz").read_bytes()
    if kind == "folder":
        path.mkdir()
    else:
        damaged = whole[:20] + b"\xff" * 40 + whole[60:]
        path.write_bytes(
            {"empty": b"", "no gzip": b"PK" * 500, "no tar": gzip.compress(b"x" * 2000), "cut": whole[:40], "corrupt": damaged}[kind]
        )
    with pytest.raises(BadArgument, match=r"environment\.tar\.gz"):
        Environment.parse(str(path))


def test_without_one_the_nodes_have_what_the_driver_has(tmp_path: Path) -> None:
    """Told by Pythons in a virtual environment and outside of any, both with the same packages."""
    script = f"import sys; sys.path[:0] = {sys.path!r}; from backends.environment import Environment; print(Environment.parse(None))"
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    subprocess.run([base, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    for python, expected in ((tmp_path / "env" / "bin" / "python", tmp_path / "env" / "bin" / "python"), (base, base)):
        said = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
        assert f"python='{expected}', archive=None" in said
