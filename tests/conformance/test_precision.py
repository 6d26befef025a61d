"""bfloat16: what it does to features, that its results are others, and where it is refused."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from conftest import Engine, asked, cli, report, vectors, without_bfloat16
from fruits.errors import BadArgument, OutputInUse

HAS_BFLOAT16 = re.search(r"^flags\b.*\b(avx512_bf16|amx_bf16)\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
needs_bfloat16 = pytest.mark.skipif(not HAS_BFLOAT16, reason="the processor has neither AVX512-BF16 nor AMX")
BFLOAT16 = {"engine": "openvino", "precision": "bfloat16"}


@needs_bfloat16
@pytest.mark.local("the nodes have no OpenVINO")
def test_features_in_bfloat16(engine: Engine, images: Path, tmp_path: Path) -> None:
    """Measured on the 335 photos of the sample (AVX512-BF16, 2026-11-25): cosines with float32 from 0.945, median 0.978; features off by
    0.073 on average, and by 2.2 at most. Rounding the weights alone does most of that."""
    engine.run(input=images, output=tmp_path / "float32", engine="openvino", components=3, pca="moments")
    engine.run(input=images, output=tmp_path / "bfloat16", components=3, batch_size=5, pca="moments", **BFLOAT16)
    exact, rounded = vectors(tmp_path / "float32", "features"), vectors(tmp_path / "bfloat16", "features")
    cosines = (exact * rounded).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rounded, axis=1)
    print(f"cosines from {cosines.min():.4f}, median {np.median(cosines):.4f}; off by {np.abs(exact - rounded).mean():.4f} on average")
    assert cosines.min() > 0.93
    assert np.median(cosines) > 0.96
    assert np.abs(exact - rounded).mean() > 0.01  # it was not float32 under another name
    # The same bits for another batch, in another process.
    engine.run(input=images, output=tmp_path / "again", features_only=True, batch_size=2, **BFLOAT16)
    assert np.array_equal(vectors(tmp_path / "again", "features"), rounded)

    reports = report(tmp_path / "float32"), report(tmp_path / "bfloat16")
    assert [made["model"]["precision"] for made in reports] == ["float32", "bfloat16"]
    assert reports[0]["fingerprint"]["features"] != reports[1]["fingerprint"]["features"]
    with pytest.raises(OutputInUse, match="precision: 'bfloat16' there, 'float32' asked"):
        engine.run(input=images, output=tmp_path / "bfloat16", engine="openvino", components=3)
    with pytest.raises(BadArgument, match="another precision: 'float32', not 'bfloat16'"):
        engine.run(input=images, output=tmp_path / "r", projection=tmp_path / "float32" / "projection.npz", **BFLOAT16)
    assert not (tmp_path / "r").exists()
    assert asked("validate", tmp_path / "bfloat16").returncode == 0


@pytest.mark.local("the command line opens a session of its own")
@pytest.mark.root("mounts another /proc/cpuinfo")
def test_a_processor_without_bfloat16_is_refused_before_anything_starts(backend: str, images: Path, tmp_path: Path) -> None:
    job = ("--backend", backend, "--cluster", "local", "--input", images, "--output", tmp_path / "r", "--engine", "openvino")
    ended = cli(*job, "--precision", "bfloat16", under=without_bfloat16(tmp_path))
    assert ended.returncode == 2, ended.stderr
    assert "--precision bfloat16: the processor of this machine has neither AVX512-BF16 nor AMX" in ended.stderr
    assert "leave out --precision" in ended.stderr
    assert not (tmp_path / "r").exists()


@pytest.mark.local("the command line opens a session of its own")
@pytest.mark.root("mounts another /proc/cpuinfo")
def test_doctor_tells(images: Path, tmp_path: Path) -> None:
    (tmp_path / "fruits.toml").write_text('engine = "openvino"\nprecision = "bfloat16"\n')
    under = without_bfloat16(tmp_path)
    ended = cli("doctor", "--backend", "dask", "--input", images, "--workers", "1", cwd=tmp_path, under=under)
    assert ended.returncode == 1
    assert "FAIL model: --precision bfloat16: the processor of this machine has neither" in ended.stdout


@pytest.mark.local("the command line opens a session of its own")
def test_openvino_says_nothing_and_leaves_nothing(backend: str, images: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    shutil.copytree(images, tmp_path / "in")
    before = sorted((tmp_path / "in").rglob("*"))
    job = ("--backend", backend, "--input", tmp_path / "in", "--output", tmp_path / "r", "--engine", "openvino", "--features-only")
    ended = cli(*job, cwd=tmp_path, HOME=str(tmp_path / "home"))
    assert ended.returncode == 0, ended.stderr
    ours = {backend, "note:", "start", "list", "featurize", "featurize:", "export", "export:", "page", "page:"}
    assert {line.split()[0] for line in ended.stderr.splitlines()} <= ours
    assert not list((tmp_path / "home").iterdir())
    assert sorted((tmp_path / "in").rglob("*")) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "images", "in", "r"]
