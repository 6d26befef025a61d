"""The benchmarks: the arithmetic of a row, and the command line with what the product says when it fails."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.speed import Row

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
    assert content["start"]["settings"] == {"quick": True, "repeats": 1, "workers": 2, "seed": 7, "originals": 335}
    assert {"processor", "cores", "commit", "date", "packages"} <= content["start"]["machine"].keys()
    planned = content["planning"]["rows"][0]
    assert planned["what"] == "planning of 100000 paths"
    assert planned["raw"]["chunks"] >= 100_000 / 2048
    assert [path.name for path in tmp_path.iterdir()] == ["new"]  # images and results are gone


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
