"""Whether results that were made with other packages have the same features: `make test-cells`.

    python tests/cells.py RESULTS RESULTS ...

Says for each how far its features are from the first's, and which packages differ. Fails where a vector is less alike
than the engines' own features are to those of the EMR run (4.2e-5), or an image is missing.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

TOLERANCE = 4.2e-5


def features(results: Path) -> tuple[list[str], np.ndarray]:
    table = pq.read_table(results / "features", partitioning=None).sort_by("path")
    return table["path"].to_pylist(), np.stack(table["features"].to_numpy())


def packages(results: Path) -> dict[str, str]:
    report = json.loads((results / "report.json").read_text())
    return {**report["versions"], **report["backend"]["versions"]}


def main(first: Path, *others: Path) -> int:
    paths, expected = features(first)
    failed = False
    print(f"{first}: {len(paths)} images, {packages(first)}")
    for results in others:
        other_paths, vectors = features(results)
        if other_paths != paths:
            print(f"{results}: other images")
            failed = True
            continue
        changed = {name: version for name, version in packages(results).items() if version != packages(first).get(name)}
        if vectors.tobytes() == expected.tobytes():
            print(f"{results}: the same features bit for bit, with {changed}")
            continue
        distance = float(np.abs(vectors - expected).max())
        print(f"{results}: features differ by {distance:.2g} at most, with {changed}")
        failed |= distance > TOLERANCE
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
