"""A whole run through a proxy that throttles, cuts answers short and drops connections: nothing is lost, doubled or rejected."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import s3
from conftest import SAMPLE, cli, report, table, vectors
from fruits import Job
from fruits import run as smoothly


def test_a_run_through_faults(backend: str, inprocess: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "Test"
    with s3.moto_server(tmp_path / "log") as address, s3.faulty_proxy(address) as (proxy, faults):
        fs = s3.filesystem(address)
        fs.mkdir("rough")
        for photo in [photo for label in sorted(SAMPLE.iterdir()) for photo in sorted(label.glob("*.jpg"))[:14]][:80]:
            name = f"{photo.parent.name}/{photo.name}"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(photo.read_bytes())
            fs.pipe(f"rough/Test/{name}", photo.read_bytes())
        ended = cli(
            *("--backend", backend, "--workers", "2", "--chunk-size", "10", "--components", "5"),
            *("--input", "s3://rough/Test", "--output", "s3://rough/Results"),
            cwd=tmp_path,
            **s3.environment(proxy, tmp_path, s3.KEYS),
        )
        assert ended.returncode == 0, ended.stderr
        assert min(faults["throttled"], faults["cut"], faults["unanswered"]) > 0, faults
        fetched = tmp_path / "fetched"
        fs.get("rough/Results/", str(fetched), recursive=True)
        told = json.loads(fs.cat("rough/Results/report.json"))
    smoothly(Job(input=str(folder), output=str(tmp_path / "results"), components=5), session=inprocess)
    rough, smooth = table(fetched, "features"), table(tmp_path / "results", "features")
    assert rough["path"].to_list() == [path.replace(str(folder), "s3://rough/Test") for path in smooth["path"]]
    assert np.array_equal(vectors(fetched, "features"), vectors(tmp_path / "results", "features"))
    assert np.abs(vectors(fetched, "pca") - vectors(tmp_path / "results", "pca")).max() < 1e-4
    assert pq.read_table(fetched / "rejected.parquet").num_rows == 0
    assert told["images"]["found"] == report(tmp_path / "results")["images"]["found"] == len(rough) == 80
