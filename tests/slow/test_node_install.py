"""The whole environment of a node, installed in a scratch root by the bootstrap script, and a run with it there."""

import json
import platform
import shutil
import time
from pathlib import Path
from typing import Literal, cast

import numpy as np
import pytest

from bootstrap.bundle import SCRIPT, make_bundle
from conftest import SAMPLE, expected_features, table, vectors
from node_root import Root, needs_root

ALONE = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")  # nothing but its own loopback


@needs_root
@pytest.mark.timeout(1800)
def test_a_whole_node_without_a_network(tmp_path: Path) -> None:
    machine = cast(Literal["x86_64", "aarch64"], platform.machine())
    folder, root = tmp_path / "bundle", Root(tmp_path / "node")
    begun = time.monotonic()
    sums = make_bundle(folder, wheels=machine)
    print(f"bundle of {_megabytes(folder)} MB made in {time.monotonic() - begun:.0f} s")
    command = ("bash", SCRIPT, "--bundle", folder, "--sums", sums)
    begun = time.monotonic()
    ended = root.run(*command, under=ALONE)
    assert ended.returncode == 0, ended.stderr
    print(f"{_megabytes(root.written)} MB installed in {time.monotonic() - begun:.0f} s")
    begun = time.monotonic()
    assert "is there already" in root.run(*command, under=ALONE).stdout
    print(f"looked at again in {time.monotonic() - begun:.1f} s")

    results = tmp_path / "results"
    job = ("/opt/fruits/bin/python", "-m", "fruits", "--cluster", "local", "--backend", "dask", "--input", SAMPLE, "--output", results)
    ran = root.run(*job, under=ALONE)
    assert ran.returncode == 0, ran.stderr
    told = json.loads((results / "report.json").read_text())
    assert (told["images"]["found"], told["images"]["featurized"]) == (335, 335)
    rows = table(results, "features")
    assert np.array_equal(vectors(results, "features")[::40], expected_features(rows["path"].to_list()[::40]))
    shutil.rmtree(tmp_path)  # pytest would keep it of three runs


def _megabytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) // 10**6
