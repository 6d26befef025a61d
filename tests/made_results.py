"""A results folder that no run wrote, by the public layout (docs/outputs.md), without `fruits`."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

VECTOR = pa.list_(pa.field("element", pa.float32(), nullable=False))
COLUMNS = {"path": pa.string(), "label": pa.string(), "pca_features": VECTOR}
SCHEMA = pa.schema([pa.field(name, kind, nullable=False) for name, kind in COLUMNS.items()])


def write(folder: Path, paths: Sequence[str], labels: Sequence[str], vectors: np.ndarray, rows: int = 5000, **more: Any) -> Path:
    """Results of these pca_features [n, k] of images below `/in`, so many rows a file; `more` goes into the report."""
    files = []
    (folder / "pca").mkdir(parents=True)
    for part, start in enumerate(range(0, len(paths), rows)):
        columns = [pa.array(values[start : start + rows]) for values in (list(paths), list(labels))]
        vector = pa.array(list(vectors[start : start + rows].astype(np.float32)), VECTOR)
        file = folder / "pca" / f"{part:03}.parquet"
        pq.write_table(pa.table([*columns, vector], schema=SCHEMA), file)
        data = file.read_bytes()
        files.append({"name": f"pca/{file.name}", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    k = vectors.shape[1]
    report = {
        "job": {
            "input": "/in", "output": str(folder), "features_only": False, "projection": None, "uncentred": False,
            "max_pixels": 40_000_000, "max_file_bytes": 64_000_000, "components": k,
        },
        "fingerprint": {"features": "f" * 64, "projection": "p" * 64, "images": "i" * 64},
        "model": {
            "name": "MobileNetV2", "weights_sha256": "w" * 64, "graph_sha256": "g" * 64,
            "engine": "litert", "preprocessing": "bicubic", "precision": "float32",
        },
        "backend": {"name": "dask", "cluster": "local", "workers": 2, "versions": {"dask": "1.2"}, "configuration": {}},
        "stages": [
            {"name": name, "seconds": seconds, "images": len(paths)} for name, seconds in (("list", 0.5), ("featurize", 10.0), ("fit", 2.0))
        ],
        "images": {"found": len(paths), "featurized": len(paths), "rejected": 0, "reused": 0, "bytes": 1, "ignored": {}},
        "rejected_by_reason": {},
        "labels": dict(Counter(labels)),
        "explained_variance": np.linspace(0.5, 0.97, k).tolist() if k > 1 else [0.5],
        "workers": [{"worker": "1", "node": "here", "container": None, "chunks": 1, "images": len(paths), "seconds": 9.0}],
        "started": "2026-11-26T10:00:00.000+00:00",
        "finished": "2026-11-26T10:01:00.000+00:00",
        "files": files,
        "notes": [],
        "linked_folders": [],
        "captured": None,
        "versions": {"fruits": "0.1.0", "python": "3.11"},
        "schema_version": 1,
        **more,
    }  # fmt: skip
    (folder / "report.json").write_text(json.dumps(report))
    return folder
