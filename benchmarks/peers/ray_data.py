"""Ray Data with the same core: `python -m benchmarks.peers.ray_data FOLDER OUTPUT WORKERS BATCH`."""

import sys
from typing import Any

import ray

from benchmarks.core import FEATURES, files_below, network

A_TASK = 128


class Featurizer:
    """An actor: the network is loaded once in each."""

    def __init__(self, batch: int) -> None:
        self._network = network(batch)

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        contents = []
        for path in rows["path"]:
            with open(path, "rb") as file:
                contents.append(file.read())
        return {"path": rows["path"], "features": self._network.features(contents).reshape(-1, FEATURES)}


def main() -> None:
    folder, output, workers, batch = sys.argv[1:]
    # One processor more than workers, on paper: with none left for the tasks that read and write Ray Data would wait for ever.
    ray.init(num_cpus=int(workers) + 1, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    paths = files_below(folder)
    images = ray.data.from_items([{"path": path} for path in paths], override_num_blocks=max(1, len(paths) // A_TASK))
    images.map_batches(
        Featurizer, fn_constructor_args=[int(batch)], batch_size=A_TASK, compute=ray.data.ActorPoolStrategy(size=int(workers)), num_cpus=1
    ).write_parquet(output)


if __name__ == "__main__":
    main()
