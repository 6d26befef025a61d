"""The wheel that `make wheel` makes, installed without an index and without a checkout, and a run of each engine with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT, SAMPLE, expected_features, report, table, vectors

LOCK = ROOT / "requirements" / ("run.lock" if sys.version_info < (3, 12) else "run-spark4.lock")
MEGABYTES = 20


def shell(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Standard output. Without what would let the checkout be found."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "JAVA_HOME")}
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**kept, **environment}, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.timeout(1800)
def test_a_wheel_without_an_index_and_without_a_checkout(tmp_path: Path) -> None:
    copy, wheels, venv, empty = (tmp_path / name for name in ("copy", "wheels", "venv", "empty"))
    empty.mkdir()
    shell("git", "-c", f"safe.directory={ROOT}", "clone", "--quiet", ROOT, copy, cwd=empty)
    shell("make", "wheel", f"VENV={sys.prefix}", cwd=copy)
    (wheel,) = (copy / "dist").iterdir()
    assert wheel.stat().st_size < MEGABYTES * 10**6
    # Downloads as locked, and the wheels of what is a source alone, pyspark above all.
    options = ("--quiet", "--require-hashes", "--no-deps", "--no-build-isolation")
    shell(sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", wheels, "--requirement", LOCK, cwd=empty)

    shell(sys.executable, "-m", "venv", venv, cwd=empty)
    offline = ("--quiet", "--no-index", "--find-links", wheels)
    shell(venv / "bin" / "python", "-m", "pip", "install", *offline, f"{wheel}[dask,spark]", cwd=empty, PIP_FIND_LINKS="")
    for backend in ("dask", "spark"):
        shell(venv / "bin" / "fruits", "--backend", backend, "--components", "3", "--pca", "moments", "--output", backend, cwd=empty)
        assert report(empty / backend)["images"]["featurized"] == 335
        assert "<canvas" in (empty / backend / "report.html").read_text()
        assert shell(venv / "bin" / "fruits", "validate", backend, cwd=empty).strip().endswith("valid")
    rows = table(empty / "dask", "features")
    assert all("site-packages/fruits/sample" in path for path in rows["path"])
    same = [str(SAMPLE / Path(path).parent.name / Path(path).name) for path in rows["path"]]
    assert vectors(empty / "dask", "features")[::40].tobytes() == expected_features(same[::40]).tobytes()
    # What is missing is named with a line that installs it from this wheel.
    missing = subprocess.run([venv / "bin" / "fruits", "--engine", "keras"], cwd=empty, capture_output=True, text=True, check=False)
    assert missing.returncode == 2
    assert f"-m pip install '{wheel}[keras]'" in missing.stderr
