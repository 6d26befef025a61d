"""The study that the report is made of, on real sessions of both engines with a few images."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.place import Place
from benchmarks.product import Failed
from benchmarks.session import Session
from benchmarks.study import in_rounds

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "fruits" / "sample" / "Test"


def test_a_session_goes_on_after_a_job_that_failed(tmp_path: Path) -> None:
    with Session("dask", 1, Place(str(tmp_path))) as session:
        failed = session.run(input=str(tmp_path / "nowhere"), output=str(tmp_path / "r"))
        done = session.run(input=str(SAMPLE), output=str(tmp_path / "r"), patterns=["0_100.jpg"], components=2)
    assert "there is no folder" in failed["failed"]
    there = len(list(SAMPLE.rglob("0_100.jpg")))
    assert there > 2
    assert (done["images"], done["rejected"]) == (there, 0)
    assert set(done["stages"]) == {"list", "featurize", "fit", "project", "export", "page"}
    assert 0 < sum(done["stages"].values()) < done["seconds"]
    assert 50e6 < done["memory"]["worker"] < 1e9
    assert 50e6 < done["memory"]["driver"] < 1e9


def test_a_session_that_does_not_open_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"the session of duck with 1 workers ended, with exit code 1\n(.*\n)*.*there is no backend 'duck'"):
        Session("duck", 1, Place(str(tmp_path)))


def test_both_engines_are_measured_and_the_page_is_written(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "--sizes",
        "12,4,8",
        "--workers",
        "1",
        "--repeats",
        "1",
        "--seed",
        "5",
        "--output",
        tmp_path / "r",
    ]
    command += ["--pca", "moments"]  # ml.PCA of so few images is asked again and again
    done = subprocess.run([*command, "--volume", "1e5"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "r" / "study.json").read_text())
    assert content["plan"]["seed"] == 5
    runs = content["runs"]
    assert sorted((run["backend"], run["images"]) for run in runs) == [
        (backend, size) for backend in ("dask", "spark") for size in (4, 8, 12)
    ]
    assert [run["order"] for run in runs] == [*range(6)]
    assert [run["backend"] for run in runs] != sorted(run["backend"] for run in runs)  # in random order
    assert sorted(start["backend"] for start in content["starts"]) == ["dask", "spark"]
    assert sorted((one["backend"], one["engine"], one["images"]) for one in content["isolated"]) == [
        (backend, engine, 12) for backend in ("dask", "spark") for engine in ("read", "sleep:0")
    ]
    parity = content["parity"]
    assert (parity["images"], parity["features"], parity["same_images"], parity["same_rejects"]) == (12, 0.0, True, True)
    assert parity["explained_variance"] < 1e-8
    assert parity["pca_features"] < 1e-4
    html = (tmp_path / "r" / "report.html").read_text()
    assert "For 100,000 images" in html
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_each_round_has_every_item_in_an_order_of_its_own() -> None:
    ordered = in_rounds("abcdef", 50, random.Random(5))  # noqa: S311 - an order
    orders = ["".join(item for item, of in ordered if of == number) for number in range(50)]
    assert [number for _, number in ordered] == sorted(6 * [*range(50)])
    assert {"".join(sorted(order)) for order in orders} == {"abcdef"}
    assert len(set(orders)) > 40


def test_workers_that_sleep(tmp_path: Path) -> None:
    """As if each had a core, whatever there is; over so few images a sleeper may take 30 % less than it was told."""
    command = [sys.executable, "-m", "benchmarks", "--core", "sleep", "--quick", "--workers", "1,4", "--output", tmp_path / "r"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "r" / "plane.json").read_text())
    assert sorted((p["backend"], p["workers"], p["images"]) for p in content["points"]) == [
        (backend, workers, [32 * workers, 64 * workers]) for backend in ("dask", "spark") for workers in (1, 4)
    ]
    for point in content["points"]:
        assert point["seconds"][1] >= 0.7 * 64 * 0.01
        assert 0 <= point["idle"] <= 1
    assert sorted((t["backend"], t["workers"]) for t in content["tasks"]) == [(b, w) for b in ("dask", "spark") for w in (1, 4)]
    assert not (tmp_path / "r" / "report.html").exists()  # there is no study to decide by


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--core", "sleep", "--sizes", "10"], "--sizes has no effect with --core sleep"),
        (["--core", "sleep", "--peers"], "--peers computes, on this machine"),
        (["--cluster", "yarn"], "needs a folder that its nodes see"),
        (["--cluster", "yarn", "--scratch", "here"], "needs a folder that its nodes see"),
        (["--environment", "x.tar.gz"], "has no effect with --cluster local"),
        (["--scratch", "nowhere"], "--scratch nowhere is no folder"),
        (["--backends", "dask,duck"], "duck is none of dask, spark"),
        (["--workers", "1,none"], "none is no number"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(tmp_path: Path, options: list[str], what: str) -> None:
    done = CliRunner().invoke(main, [*options, "--output", str(tmp_path / "r")])
    assert done.exit_code == 2
    assert what in done.output
    assert not (tmp_path / "r").exists()
