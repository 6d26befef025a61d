"""The memory of a Python worker: bounded on ordinary photos, and on the worst that passes the limits."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from conftest import SAMPLE, rejected, table

pytestmark = pytest.mark.local("looks at processes of this machine; YARN watches the memory of its containers")

MB = 1_000_000
ORDINARY = 450
ANY = 640 * 2**20 / MB  # the part of its container that a worker has on YARN, 671 MB


def peak_of_workers(*arguments: str | Path) -> float:
    """Runs the command line, and returns the largest peak, in MB, that one of its Python processes had."""
    command = [sys.executable, "-m", "fruits", *map(str, arguments)]
    peaks: dict[int, float] = {}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                try:
                    if "java" not in child.name():
                        status = Path(f"/proc/{child.pid}/status").read_text()
                        peaks[child.pid] = int(status.partition("VmHWM:")[2].split()[0]) * 1024 / MB
                except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError, IndexError):
                    continue  # it ended meanwhile
            time.sleep(0.05)
        assert process.returncode == 0, process.stderr.read() if process.stderr else ""
    assert len(peaks) >= 2  # there were workers to look at
    return max(peaks.values())


@pytest.fixture(scope="session")
def worst_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What needs most memory of the formats, just below the limits, and three that are above them."""
    folder = tmp_path_factory.mktemp("large")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8))
    full = noise.resize((6300, 6300))  # 39.7 million pixels
    full.save(folder / "baseline.jpg")
    full.convert("RGBA").save(folder / "rgba.png", compress_level=1)
    full.convert("P").save(folder / "palette.png", compress_level=1)
    full.convert("CMYK").save(folder / "cmyk.jpg")
    noise.resize((5650, 5650)).save(folder / "progressive.jpg", progressive=True, subsampling=0)  # 31.9 million, of at most 32
    noise.resize((5160, 5160)).convert("CMYK").save(folder / "progressive cmyk.jpg", progressive=True)  # 26.6 of at most 26.7
    full.save(folder / "too large progressive.jpg", progressive=True)
    noise.resize((6400, 6400)).save(folder / "too large.jpg")  # 41 million
    full.save(folder / "webp.jpg", format="WEBP", method=0)
    return folder


def test_ordinary_photos(backend: str, tmp_path: Path) -> None:
    # ml.PCA computes in the JVM, whose memory Spark bounds.
    method = {"dask": "native", "spark": "moments"}[backend]
    peak = peak_of_workers("--backend", backend, "--output", tmp_path / "r", "--components", "50", "--pca", method)
    print(f"{backend}: a worker took up to {peak:.0f} MB on {len(list(SAMPLE.glob('*/*')))} photos, with the PCA")
    assert peak < ORDINARY


def test_the_worst_that_passes_the_limits(backend: str, worst_photos: Path, tmp_path: Path) -> None:
    arguments = ("--backend", backend, "--input", worst_photos, "--pattern", "*.jpg", "--pattern", "*.png", "--features-only")
    peak = peak_of_workers(*arguments, "--output", tmp_path / "r")
    print(f"{backend}: a worker took up to {peak:.0f} MB")
    assert len(table(tmp_path / "r", "features")) == 6
    assert sorted(rejected(tmp_path / "r")["reason"]) == ["not-an-image", "too-many-pixels", "too-many-pixels"]
    assert peak < ANY
