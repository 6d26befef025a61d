"""The benchmarks: the arithmetic of a row, and the command line with what the product says when it fails."""

import http.client
import http.server
import json
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import made_results
import numpy as np
import pytest
from click.testing import CliRunner

import benchmarks.speed
from benchmarks import s3
from benchmarks.__main__ import main
from benchmarks.product import Failed, weighed
from benchmarks.speed import NotAvailable, Row, marginal_rate, measure
from benchmarks.table import markdown
from conftest import WITHOUT_OVERRIDE
from made_up import plane, study

ROOT = Path(__file__).parents[2]


def speed(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", "speed", "--quick", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("points", "target", "most", "median", "reached"),
    [
        ([0.9, 1.2, 1.0], 0.97, False, 1.0, True),  # one bad repeat of three is none
        ([0.9, 0.96, 1.2], 0.97, False, 0.96, False),
        ([2.0, 4.0], 3.0, True, 3.0, True),
        ([5.0], 3.0, True, 5.0, False),
        ([5.0], None, True, 5.0, None),
    ],
)
def test_a_row_is_its_median(points: list[float], target: float | None, most: bool, median: float, reached: bool | None) -> None:
    row = Row("what", "s", points, target, most)
    assert (row.median, row.reached) == (median, reached)


def test_a_marginal_rate_knows_nothing_of_the_start() -> None:
    for start in (0.0, 7.0, 60.0):  # 400 images a second, after that
        assert marginal_rate((21_440, 4_288), (start + 53.6, start + 10.72)) == pytest.approx(400.0)


def test_the_long_way_is_as_long_for_a_large_body() -> None:
    class Server(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            size = len(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(str(size).encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((s3.LOOPBACK, 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with s3.delayed(server.server_port, 0.2) as port:
            for size in (1, 4_000_000):  # the larger is 62 parts of 64 KB, which one after the other would take 12 s
                with closing(http.client.HTTPConnection(s3.LOOPBACK, port)) as connection:
                    started = time.monotonic()
                    connection.request("PUT", "/", b"x" * size)
                    assert int(connection.getresponse().read()) == size
                    assert 0.2 <= time.monotonic() - started < 6
        server.shutdown()


def test_what_is_weighed_is_not_this_process() -> None:
    held = b"x" * 300_000_000
    ended, small = weighed([sys.executable, "-c", "print('here')"])
    _, large = weighed([sys.executable, "-c", "held = b'x' * 200_000_000"])
    assert ended.output == "here\n"
    assert small < 100_000_000 < 200_000_000 < large < len(held)
    with pytest.raises(Failed, match="its last words"):
        weighed([sys.executable, "-c", "import sys; sys.exit('its last words')"])


def test_a_case_that_cannot_run_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: object) -> list[Row]:
        raise NotAvailable("no such processor")

    monkeypatch.setitem(benchmarks.speed.CASES, "precision", absent)
    said: list[str] = []
    bench = benchmarks.speed.Bench(benchmarks.speed.QUICK, [], 1, 2, random.Random(7), tmp_path, None, said.append)  # noqa: S311 - an order
    assert measure(bench, ["precision"], tmp_path / "speed.json", {})["cases"]["precision"]["rows"] == []
    assert json.loads((tmp_path / "speed.json").read_text())["cases"]["precision"]["not_available"] == "no such processor"
    assert said[-1] == "case precision: not available, no such processor"


def test_it_runs_and_writes_what_it_measured(tmp_path: Path) -> None:
    """Beside the cases that are there. CI runs others, on both engines, with `make benchmark-quick`."""
    output = tmp_path / "new" / "speed.json"
    output.parent.mkdir()
    newest = max((ROOT / "benchmarks" / "results").glob("*/speed.json"))
    before = json.loads(newest.read_text())
    del before["cases"]["planning"]
    output.write_text(json.dumps(before))
    done = speed("--only", "planning", "--seed", 7, "--output", output, "--scratch", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "these figures mean nothing" in done.stderr
    content = json.loads(output.read_text())["cases"]
    measured = content.pop("planning")
    assert content == before["cases"]
    assert measured["settings"] == {
        "quick": True,
        "repeats": 1,
        "workers": 2,
        "seed": 7,
        "originals": 335,
        "peers": False,
    }
    assert {"processor", "cores", "commit", "date", "packages"} <= measured["machine"].keys()
    planned = measured["rows"][0]
    assert planned["what"] == "planning of 100000 paths"
    assert planned["median"] > 0
    assert planned["target"] is not None
    assert planned["reached"] in (True, False)
    assert planned["raw"]["chunks"] >= 100_000 / 2048
    assert [path.name for path in tmp_path.iterdir()] == ["new"]  # images and results are gone


def test_the_documents_have_the_figures_that_were_measured() -> None:
    """The newest result that is committed, row by row, as the table of benchmarks/README.md."""
    newest = max((ROOT / "benchmarks" / "results").glob("*/speed.json"))
    assert markdown(json.loads(newest.read_text())) in (ROOT / "benchmarks" / "README.md").read_text()


def test_a_run_that_fails_is_told(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(3):
        (tmp_path / "images" / f"{number}.jpg").write_bytes(b"no image")
    done = speed("--only", "start", "--images", tmp_path / "images", "--output", tmp_path / "speed.json")
    assert done.returncode == 1
    assert "error: exit code 1 of " in done.stderr
    assert "none of 8 images could be featurized (not-an-image: 8)" in done.stderr
    assert not (tmp_path / "speed.json").exists()


def test_bad_arguments(tmp_path: Path) -> None:
    done = speed("--images", tmp_path, "--output", tmp_path / "speed.json")
    assert (done.returncode, "there is no JPEG below" in done.stderr) == (2, True)
    assert speed("--only", "nonsense").returncode == 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Places of inputs and outputs that are as they must not be."""
    for name in ("empty", "other", "two-planes", "other-images"):
        (tmp_path / name).mkdir()
    for name in ("series/a", "series/b", "series/c"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "damaged.json").write_text('{"cases": ')
    (tmp_path / "study.json").write_text(json.dumps(study()))
    (tmp_path / "other" / "notes.json").write_text("{}")
    (tmp_path / "two-planes" / "study.json").write_text(json.dumps(study()))
    (tmp_path / "two-planes" / "before.json").write_text(json.dumps(plane()))
    (tmp_path / "other-images" / "before.json").write_text(json.dumps(study()))
    for label in (tmp_path / "series").iterdir():
        (label / "1.jpg").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("--images empty", "there is no JPEG below empty"),
        ("--output file/r", "file is not a folder"),
        ("--output other", "notes.json is no result of python -m benchmarks"),
        ("--output other-images", "are of different images"),
        ("--core sleep --output two-planes", "is a second result of its kind, plane"),
        ("report study.json --output study.json", "study.json does not end in .html"),
        ("report study.json --output file/r.html", "file is not a folder"),
        ("report empty", "no result in empty"),
        ("speed --only start --output file/r.json", "file is not a folder"),
        ("speed --only start --output speed.html", "speed.html does not end in .json"),
        ("speed --only start --output damaged.json", "damaged.json is no JSON"),
        ("speed --only start --output study.json", "no result of python -m benchmarks speed"),
        ("speed --only features --peers-python PYTHON", "has no daft, ray"),
        ("speed --only features --peers-python file", "file does not run: "),
        ("profile --output profile.jpg", "profile.jpg does not end in .png"),
        ("profile --output file/profile.png", "file is not a folder"),
        ("identify empty", "empty has photos of 0 labels, and 3 are needed"),
        ("identify series", "no label in"),
        ("identify series --output series.txt", "series.txt does not end in .json"),
        ("resizing empty", "no run has been completed there"),
    ],
)
def test_what_cannot_be_read_or_written_is_refused_before_anything_is_measured(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, message: str
) -> None:
    before = sorted(folder.rglob("*"))
    monkeypatch.chdir(folder)
    words = [sys.executable if word == "PYTHON" else word for word in command.split()]
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr.splitlines()[0]
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("command", ["--output locked/r", "speed --scratch locked --only start"])
def test_a_place_without_the_right_to_write_is_refused(tmp_path: Path, command: str) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    done = subprocess.run(
        [*WITHOUT_OVERRIDE, sys.executable, "-m", "benchmarks", *command.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "locked cannot be written: access denied" in done.stderr


def test_images_of_the_results_that_are_gone_are_named(tmp_path: Path) -> None:
    results = made_results.write(tmp_path / "r", ["/in/a/1.jpg"], ["a"], np.zeros((1, 2)))
    np.savez(
        results / "projection.npz",
        mean=np.zeros(1280),
        scale=np.ones(1280),
        components=np.eye(2, 1280),
        explained_variance_ratio=np.ones(2) / 2,
        fitted_on="{}",
    )
    done = CliRunner().invoke(main, ["resizing", str(results)])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "/in/a/1.jpg cannot be opened: " in done.stderr


def test_a_machine_without_spark_has_no_version_of_it() -> None:
    script = """
import sys
sys.modules["pyspark"] = None
from benchmarks.machine import machine
print(machine()["packages"])
"""
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "'pyspark': None" in ended.stdout
