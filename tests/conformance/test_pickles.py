"""What is read from a results folder, or given by hand, is data: code that somebody hid in it does not run."""

import json
import pickle
from base64 import b64decode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import Engine, asked, cli, report

pytestmark = pytest.mark.local("reads a folder, whoever wrote it")


class Payload:
    """Its pickle makes a file when it is loaded."""

    def __init__(self, made: Path) -> None:
        self._made = made

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return open, (str(self._made), "w")


@pytest.fixture
def results(images: Path, tmp_path: Path, inprocess: object) -> Path:
    Engine("inprocess", inprocess).run(input=images, output=tmp_path / "r", components=3)
    return tmp_path / "r"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return tmp_path / "made by the payload"


def signed(results: Path, name: str) -> None:
    """Makes the report agree with the file, so that it is looked into."""
    content, data = report(results), (results / name).read_bytes()
    for file in content["files"]:
        if file["name"] == name:
            file.update(bytes=len(data), sha256=sha256(data).hexdigest())
    (results / "report.json").write_text(json.dumps(content))


def with_pickle(npz: Path, member: str, made: Path) -> None:
    """Puts the payload in place of one of the arrays; asserts that it works where pickles are loaded."""
    content = dict(np.load(npz))
    content[member] = np.array([Payload(made)], dtype=object)
    np.savez(npz, **content)
    with np.load(npz, allow_pickle=True) as stored:
        stored[member][0].close()
    assert made.exists()
    made.unlink()


@pytest.mark.parametrize("member", ["mean", "fitted_on"])
def test_a_projection_with_a_pickle_is_refused(results: Path, made: Path, tmp_path: Path, member: str) -> None:
    with_pickle(results / "projection.npz", member, made)
    again = ("--input", results.parent / "images", "--output", tmp_path / "again", "--projection", results / "projection.npz")
    ended = cli(*again)
    assert ended.returncode == 2, ended.stderr
    assert "is no projection" in ended.stderr
    assert "Traceback" not in ended.stderr
    signed(results, "projection.npz")
    ended = asked("validate", results)
    assert ended.returncode in (1, 2)
    assert "is no projection" in ended.stderr
    assert not made.exists()
    assert not (tmp_path / "again").exists()


def test_a_file_that_is_a_pickle(results: Path, made: Path, tmp_path: Path) -> None:
    (results / "projection.npz").write_bytes(pickle.dumps(Payload(made)))
    ended = cli("--output", tmp_path / "again", "--projection", results / "projection.npz")
    assert (ended.returncode, made.exists()) == (2, False)
    for name in ("report.json", "_fruits/run.json"):
        (results / name).write_bytes(pickle.dumps(Payload(made)))
    assert asked("validate", results).returncode == 2
    assert cli("--input", results.parent / "images", "--output", results).returncode == 2
    assert not made.exists()


def test_parquet_with_a_pickled_type(results: Path, made: Path) -> None:
    """Arrow before version 14 loaded such types from any file (CVE-2023-47248)."""
    file = next((results / "features").iterdir())
    rows = pq.read_table(file)
    kind = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": pickle.dumps(Payload(made))}
    schema = pa.schema([field.with_metadata(kind) for field in rows.schema], rows.schema.metadata)
    pq.write_table(rows.cast(schema), file)
    stored = b64decode(pq.read_metadata(file).metadata[b"ARROW:schema"])
    assert b"arrow.py_extension_type" in stored  # the type is there, in the schema that Arrow looks for
    assert made.name.encode() in stored
    signed(results, f"features/{file.name}")
    asked("validate", results)
    assert not made.exists()
