"""Measurements that nobody made, of which all times are known: what a study of the benchmarks would have written."""

import random
from typing import Any


def study(sizes: tuple[int, ...] = (335, 1005, 2010), repeats: int = 3, noise: float = 0.0, bend: float = 0.0) -> dict[str, Any]:
    """Two backends of which the times are known: seconds = fixed + images x marginal / workers, and `bend` more for each image squared."""
    order = random.Random(3)  # noqa: S311
    marginal = {"dask": 0.0068, "spark": 0.0070}
    runs = []
    for backend in ("dask", "spark"):
        for workers in (1, 2):
            for size in sizes:
                for repeat in range(repeats):
                    computing = (size * marginal[backend] + bend * size**2) / workers
                    stages = {"list": 0.1, "featurize": 0.5 + computing, "fit": 1.0, "project": 0.2, "export": 0.1 + size * 1e-4}
                    stages = {name: seconds * (1 + noise * order.uniform(-1, 1)) for name, seconds in stages.items()}
                    runs.append(
                        {
                            "backend": backend,
                            "workers": workers,
                            "asked": size,
                            "repeat": repeat,
                            "order": len(runs),
                            "seconds": sum(stages.values()),
                            "stages": stages,
                            "images": size,
                            "rejected": 0,
                            "memory": {"driver": 300_000_000, "worker": 250_000_000 + size},
                        }
                    )
    begin = {"dask": 2.0, "spark": 8.0}
    return {
        "schema_version": 1,
        "kind": "study",
        "plan": {
            "backends": ["dask", "spark"],
            "sizes": [*sizes],
            "workers": [1, 2],
            "repeats": repeats,
            "seed": 3,
            "pca": "native",
            "components": 200,
            "images": "copies of <335> photos & more",
            "originals": 335,
            "warm_up": min(sizes),
        },
        "machine": {
            "processor": "A processor",
            "cores": 2,
            "memory_bytes": 24 * 2**30,
            "date": "2026-11-26",
            "packages": {"dask": "1", "pyspark": "2"},
        },
        "starts": [
            {"backend": name, "workers": 2, "repeat": r, "seconds": s + r / 10} for name, s in begin.items() for r in range(repeats)
        ],
        "runs": runs,
        "isolated": [
            {"backend": name, "workers": 2, "engine": engine, "repeat": r, "seconds": seconds, "images": max(sizes), "idle": 0.1}
            for name in ("dask", "spark")
            for engine, seconds in (("read", 1.5), ("sleep:0", 0.4))
            for r in range(repeats)
        ],
        "parity": {
            "images": 2010,
            "backends": ["dask", "spark"],
            "features": 0.0,
            "explained_variance": 4e-16,
            "pca_features": 8e-9,
            "same_images": True,
            "same_rejects": True,
        },
    }


def plane(contention: float = 0.002, coherency: float = 1e-6, bend: float = 1.0) -> dict[str, Any]:
    """Workers that sleep, by the universal scalability law exactly; at 64 of them `bend` times that. Spark's 64 leave no processor idle."""
    points = []
    for backend in ("dask", "spark"):
        for workers in (1, 2, 4, 8, 16, 32, 64):
            speed_up = workers / (1 + contention * (workers - 1) + coherency * workers * (workers - 1))
            rate = 150 * speed_up * (bend if workers == 64 else 1.0)
            for repeat in range(3):
                images = [2048 * workers, 4096 * workers]
                seconds = [1 + number / rate for number in images]
                idle = 0.1 if (backend, workers) == ("spark", 64) else 0.9 - workers / 100
                measured = {"images": images, "seconds": seconds, "rate": rate * (1 + (repeat - 1) * 1e-4), "idle": idle}
                points.append({"backend": backend, "workers": workers, "repeat": repeat, **measured})
    return {
        "schema_version": 1,
        "kind": "plane",
        "plan": {
            "backends": ["dask", "spark"],
            "workers": [1, 2, 4, 8, 16, 32, 64],
            "repeats": 3,
            "seed": 3,
            "image_seconds": 1 / 150,
            "chunks_a_worker": [2, 4],
            "chunk_size": 1024,
            "cluster": "local",
        },
        "machine": {"processor": "A processor", "cores": 2},
        "points": points,
        "tasks": [
            {"backend": backend, "workers": workers, "tasks": 1000, "seconds": seconds / workers}
            for backend, seconds in (("dask", 16.0), ("spark", 64.0))
            for workers in (1, 16)
        ],
    }
