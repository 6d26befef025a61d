"""The rows of pca_features that a page shows where there are too many for it."""

from collections import Counter
from pathlib import Path

import made_results
import numpy as np
import pytest

from fruits import sampled as sampling
from fruits.report import read_report
from fruits.sampled import sampled
from fruits.storage import Folder


def test_a_sample_has_its_share_of_every_file(tmp_path: Path) -> None:
    paths = [f"/in/{number:04}.jpg" for number in range(1000)]
    made_results.write(tmp_path / "r", paths, ["A"] * 1000, np.arange(1000.0)[:, None], rows=128)
    folder, report = Folder(str(tmp_path / "r")), read_report(str(tmp_path / "r"))
    found = sampled(folder, report, 250)
    assert (len(found), found.of, found.read, found.files) == (250, 1000, 8, 8)
    assert found.paths == sorted(set(found.paths))
    assert [paths[int(value)] for value in found.vectors[:, 0]] == found.paths  # a row stays a row
    assert set(Counter(int(path[-8:-4]) // 128 for path in found.paths).values()) <= {26, 31, 32, 33}
    assert sampled(folder, report, 250).paths == found.paths
    assert sampled(folder, report, 1000).paths == paths


def test_of_more_than_can_be_read_some_files_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [f"/in/{number:04}.jpg" for number in range(1000)]
    made_results.write(tmp_path / "r", paths, ["A"] * 1000, np.arange(1000.0)[:, None], rows=100)
    folder, report = Folder(str(tmp_path / "r")), read_report(str(tmp_path / "r"))
    monkeypatch.setattr(sampling, "MOST_BYTES", sum(file.bytes for file in report.files) * 4 // 10)
    found = sampled(folder, report, 200)
    assert (found.of, found.read, found.files) == (1000, 4, 10)
    assert 195 <= len(found) <= 200
    assert {path[4:6] for path in found.paths} == {"00", "02", "05", "07"}
