"""Daft with the same core: `python -m benchmarks.peers.daft_udf FOLDER OUTPUT WORKERS BATCH`."""

import sys
import threading

import daft
import numpy as np

from benchmarks.core import FEATURES, Network

A_TASK = 128


def main() -> None:
    folder, output, workers, batch_size = sys.argv[1:]
    batch = int(batch_size)

    @daft.cls(max_concurrency=int(workers), use_process=True)
    class Featurizer:
        """An instance in each of Daft's processes, which may call it from several threads: a network serves one call at a time."""

        def __init__(self) -> None:
            self._networks = threading.local()

        @daft.method.batch(return_dtype=daft.DataType.embedding(daft.DataType.float32(), FEATURES), batch_size=A_TASK)  # type: ignore[untyped-decorator]
        def features(self, contents: daft.Series) -> "np.ndarray":
            if not hasattr(self._networks, "own"):
                self._networks.own = Network(batch)
            network: Network = self._networks.own
            return network.features(contents.to_pylist())

    images = daft.from_glob_path(f"{folder}/**/*.jpg").select("path")
    features = Featurizer().features(daft.col("path").download())
    images.with_column("features", features).write_parquet(output)


if __name__ == "__main__":
    main()
