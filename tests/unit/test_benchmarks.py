"""The benchmarks: the arithmetic of a row, and the command line with what the product says when it fails."""

import http.client
import http.server
import json
import random
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

import benchmarks.speed
from benchmarks import s3
from benchmarks.product import Failed, weighed
from benchmarks.speed import NotAvailable, Row, marginal_rate, measure
from benchmarks.table import markdown

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
    output = tmp_path / "new" / "speed.json"
    for case in ("start", "planning"):
        done = speed("--only", case, "--seed", 7, "--output", output, "--scratch", tmp_path)
        assert done.returncode == 0, done.stderr
        assert "these figures mean nothing" in done.stderr
    content = json.loads(output.read_text())["cases"]
    assert list(content) == ["start", "planning"]  # a case is added to those that are there
    start = {row["what"]: row for row in content["start"]["rows"]}
    assert len(start) == 3
    assert (
        0
        < start["python -m fruits --help"]["median"]
        < start["start of the process to the first image committed, dask, warm disk"]["median"]
    )
    assert all(row["target"] is not None and row["reached"] in (True, False) for row in start.values())
    assert content["start"]["settings"] == {"quick": True, "repeats": 1, "workers": 2, "seed": 7, "originals": 335, "peers": False}
    assert {"processor", "cores", "commit", "date", "packages"} <= content["start"]["machine"].keys()
    planned = content["planning"]["rows"][0]
    assert planned["what"] == "planning of 100000 paths"
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
