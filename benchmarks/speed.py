"""How fast: each claim as a ratio from one run on one machine, in random order, medians over repeats, against what it is to reach."""

import json
import os
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import s3fs

from benchmarks import images, s3
from benchmarks.checks import BACKENDS
from benchmarks.core import FEATURES
from benchmarks.machine import machine
from benchmarks.memory import peaks
from benchmarks.place import Place
from benchmarks.product import Failed, Run, emptied, fruits, run, weighed
from benchmarks.report.results import read_cases
from benchmarks.session import Session

MB = 1_000_000
# Daft tells two hosts when it is imported and when it runs, Ray may tell one: a benchmark tells nobody.
SILENT = {"DO_NOT_TRACK": "true", "RAY_USAGE_STATS_ENABLED": "0"}
DELAY_SECONDS = 0.03


class NotAvailable(Exception):
    """A case that this machine cannot run, and why."""


def marginal_rate(images: tuple[int, int], seconds: tuple[float, float]) -> float:
    """Images a second by what more images cost: what a run takes once, however many they are, is in neither."""
    return (images[0] - images[1]) / (seconds[0] - seconds[1])


@dataclass(frozen=True)
class Scale:
    """How much is measured: numbers of images, but for `lines`, which are those of an inventory."""

    big: int
    small: int
    job: int
    pca: int
    s3: int
    lines: int
    starts: int


FULL = Scale(big=21_440, small=4_288, job=4_288, pca=22_688, s3=2_144, lines=10_000_000, starts=10)
QUICK = Scale(big=256, small=64, job=256, pca=256, s3=64, lines=100_000, starts=2)


@dataclass(frozen=True)
class Row:
    """A line of the table. `points`: one a repeat. `target`: None for what is only told; `most`: it is an upper bound."""

    what: str
    unit: str
    points: list[float]
    target: float | None = None
    most: bool = False
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        return statistics.median(self.points)

    @property
    def reached(self) -> bool | None:
        if self.target is None:
            return None
        return self.median <= self.target if self.most else self.median >= self.target


@dataclass
class Bench:
    """What all cases share. `peers_python`: of the environment of `requirements/peers.lock`; None leaves these out."""

    scale: Scale
    originals: Sequence[Path]
    repeats: int
    workers: int
    random: random.Random
    scratch: Path
    peers_python: Path | None
    say: Callable[[str], None]

    def folder(self, count: int) -> Path:
        """So many images; made once."""
        folder = self.scratch / f"{count}-images"
        return folder if folder.exists() else images.copies(self.originals, count, folder)

    def shuffled(self, of: Sequence[Any]) -> list[Any]:
        return self.random.sample(of, len(of))

    def fruits(self, backend: str, folder: str | Path, *options: str, **how: Any) -> Run:
        results = emptied(self.scratch / f"results-{backend}")
        done = fruits(backend, folder, results, "--workers", str(self.workers), *options, **how)
        self.say(f"{backend} {' '.join(options)}: {done.seconds:.1f} s")
        return done

    def loop(self, count: int, batch: int, processes: int | None = None) -> float:
        """Images a second of the loop without an engine."""
        command = [sys.executable, "-m", "benchmarks.core", str(self.folder(count)), str(processes or self.workers), str(batch)]
        rate = float(count / run(command).result)
        self.say(f"bare loop, batch {batch}: {rate:.0f} images/s")
        return rate

    def peer(self, name: str, folder: Path, *arguments: str, python: Path | str | None = sys.executable) -> float:
        """Seconds of a process from start to end."""
        assert python
        output = emptied(self.scratch / f"results-{name}")
        seconds = run([python, "-m", f"benchmarks.peers.{name}", folder, output, *arguments], SILENT).seconds
        self.say(f"{name} {' '.join(arguments)}: {seconds:.1f} s")
        return seconds


def features(bench: Bench) -> list[Row]:
    """The features stage by what more images cost: engines and peers against the loop, which is measured before and after each."""
    big, small = bench.scale.big, bench.scale.small
    batch = max((1, 2, 4, 8), key=partial(bench.loop, min(small, 1024)))
    peers = {"spark_frames": "Spark with binaryFile and df.write"}
    if bench.peers_python:
        peers |= {"ray_data": "Ray Data", "daft_udf": "Daft"}
    else:
        bench.say("Ray Data and Daft are left out: no --peers-python")
    rates: dict[str, list[dict[str, float]]] = {name: [] for name in (*BACKENDS, *peers)}
    stages: dict[str, list[float]] = {name: [] for name in BACKENDS}
    straggling: dict[str, list[float]] = {name: [] for name in BACKENDS}
    for _ in range(bench.repeats):
        for name in bench.shuffled([*rates]):
            before = bench.loop(small, batch)
            if name in BACKENDS:
                runs = [bench.fruits(name, bench.folder(count), "--features-only") for count in (big, small)]
                seconds = runs[0].seconds, runs[1].seconds
                stage = marginal_rate((big, small), (runs[0].stage("featurize"), runs[1].stage("featurize")))
                straggling[name].append(runs[0].straggling)
            else:
                python = sys.executable if name == "spark_frames" else bench.peers_python
                settings = (str(bench.workers), str(batch))
                took = [bench.peer(name, bench.folder(count), *settings, python=python) for count in (big, small)]
                seconds = took[0], took[1]
            loop = (before + bench.loop(small, batch)) / 2
            process = marginal_rate((big, small), seconds)
            rates[name].append({"loop": loop, "seconds_big": seconds[0], "seconds_small": seconds[1], "process": process})
            if name in BACKENDS:
                stages[name].append(stage / loop)
    rows = [
        Row(
            f"features stage, marginal rate, {name} / bare loop at its best batch ({batch})",
            "",
            stages[name],
            target,
            raw={"runs": rates[name]},
        )
        for name, target in zip(BACKENDS, (0.97, 0.95), strict=True)
    ]
    for peer, title in peers.items():
        peer_rate = statistics.median(of["process"] / of["loop"] for of in rates[peer])
        target = None if peer == "spark_frames" else 1.0
        rows += [
            Row(
                f"features, marginal rate of the process, {name} / {title}",
                "",
                [of["process"] / of["loop"] / peer_rate for of in rates[name]],
                target,
            )
            for name in BACKENDS
        ]
        rows.append(
            Row(
                f"{title}, marginal rate of the process / bare loop",
                "",
                [of["process"] / of["loop"] for of in rates[peer]],
                raw={"runs": rates[peer]},
            )
        )
    rows += [Row(f"slowest worker / median worker, {name}", "", straggling[name]) for name in BACKENDS]
    return rows


def job(bench: Bench) -> list[Row]:
    """The whole job, from the start of the process to its end, against the notebook's way."""
    folder = bench.folder(bench.scale.job)
    ours = [(name, method) for name in BACKENDS for method in ("moments", "native")]
    theirs = ["as-it-was", "repaired"]
    seconds: dict[Any, list[float]] = {way: [] for way in [*ours, *theirs]}
    for _ in range(bench.repeats):
        for way in bench.shuffled([*seconds]):
            if way in theirs:
                seconds[way].append(bench.peer("notebook", folder, str(bench.workers), way))
            else:
                seconds[way].append(bench.fruits(way[0], folder, "--pca", way[1]).seconds)
    targets = {("dask", "as-it-was"): 12.0, ("spark", "as-it-was"): 10.0, ("dask", "repaired"): 4.0, ("spark", "repaired"): 3.5}
    rows = []
    for way in theirs:
        title = "the notebook's way" if way == "as-it-was" else "the notebook repaired"
        for name, method in ours:
            points = [there / here for there, here in zip(seconds[way], seconds[name, method], strict=True)]
            target = targets[name, way] if method == "moments" else None
            rows.append(Row(f"whole job, {bench.scale.job} images: {title} / {name} --pca {method}", "", points, target))
    rows += [Row(f"whole job, {way if way in theirs else ' --pca '.join(way)}", "s", points) for way, points in seconds.items()]
    return rows


def notebook(bench: Bench) -> list[Row]:
    """The features stage of the notebook's way, by what more images cost, for each worker."""
    big, small = bench.scale.job // 2, bench.scale.job // 4
    seconds = [
        [bench.peer("notebook", bench.folder(count), str(bench.workers), "features") for count in (big, small)]
        for _ in range(bench.repeats)
    ]
    rates = [marginal_rate((big, small), (took[0], took[1])) / bench.workers for took in seconds]
    return [Row("the notebook's way, features, marginal rate of a worker", "images/s", rates, raw={"seconds": seconds})]


def pca(bench: Bench) -> list[Row]:
    """The fit alone, in sessions that have featurized the images before, and whether it is right."""
    folder, rows = str(bench.folder(bench.scale.pca)), []
    seconds: dict[tuple[str, str], list[float]] = {(name, method): [] for name in BACKENDS for method in ("moments", "native")}
    off: dict[tuple[str, str], list[tuple[float, float]]] = {way: [] for way in seconds}
    with ExitStack() as stack:
        sessions = {name: stack.enter_context(Session(name, bench.workers, Place(str(bench.scratch)))) for name in BACKENDS}
        results = {name: emptied(bench.scratch / f"results-{name}") for name in BACKENDS}

        def done(name: str, **job: Any) -> dict[str, Any]:
            answer = sessions[name].run(input=folder, output=str(results[name]), **job)
            if why := answer.get("failed"):
                raise Failed(f"{name} {job}: {why}")
            return answer

        for name in BACKENDS:
            done(name, features_only=True)
        features = [_features(file) for file in sorted((results[BACKENDS[0]] / "features").iterdir())]
        expected = _principal(np.concatenate(features))
        for _ in range(bench.repeats):
            for name, method in bench.shuffled([*seconds]):
                took = done(name, components=min(200, bench.scale.pca), pca=method)["stages"]["fit"]
                seconds[name, method].append(took)
                off[name, method].append(_apart(results[name] / "projection.npz", expected))
                done(name, features_only=True)  # takes the PCA away: one that is there would not be fitted again
                bench.say(f"fit by {name} --pca {method}: {took:.1f} s")
    for (name, method), points in seconds.items():
        target = 3.0 if method == "moments" else None
        rows.append(Row(f"PCA fit, k=200, {bench.scale.pca} x {FEATURES}, {name} --pca {method}", "s", points, target, most=True))
    for (name, method), each in off.items():
        told = method == "moments"
        variance, cosine = map(max, zip(*each, strict=True))  # not the median: it is to be right each time
        rows.append(Row(f"explained variance off by, {name} --pca {method}", "", [variance], 1e-8 if told else None, most=True))
        rows.append(Row(f"1 - |cosine| of components, {name} --pca {method}", "", [cosine], 1e-6 if told else None, most=True))
    return rows


def _features(file: Path) -> "np.ndarray":
    column = pq.read_table(file, columns=["features"])["features"].combine_chunks()
    features: np.ndarray = column.flatten().to_numpy().reshape(-1, FEATURES).astype(np.float64)
    return features


def _principal(matrix: "np.ndarray") -> tuple["np.ndarray", "np.ndarray"]:
    """Shares of variance, and axes, all of them, by falling variance: numpy's SVD."""
    _, values, axes = np.linalg.svd(matrix - matrix.mean(axis=0), full_matrices=False)
    return values**2 / (values**2).sum(), axes


def _apart(projection: Path, expected: tuple["np.ndarray", "np.ndarray"]) -> tuple[float, float]:
    """How far the shares of variance are off at most, and the axes where their variances are apart from their neighbours' by 1e-4."""
    with np.load(projection, allow_pickle=False) as found:
        shares, axes = found["explained_variance_ratio"], found["components"]
    k = len(shares)
    gaps = np.abs(np.diff(expected[0][: k + 1])) / expected[0][:k]
    apart = np.minimum(gaps, np.concatenate([[np.inf], gaps[:-1]])) > 1e-4
    cosines = np.abs((axes * expected[1][:k]).sum(axis=1))[apart]
    return float(np.abs(shares - expected[0][:k]).max()), float(1 - cosines.min())


def keras(bench: Bench) -> list[Row]:
    """What the network costs without any engine, against how the notebook called it."""
    cores, count = os.cpu_count() or 1, min(bench.scale.small, 2_144)
    points = []
    for _ in range(bench.repeats):
        predict = count / run([sys.executable, "-m", "benchmarks.peers.keras_predict", bench.folder(count)]).result
        bench.say(f"Keras predict on all cores: {predict:.0f} images/s")
        points.append(bench.loop(count, 2, cores) / predict)
    return [Row("bare loop on all cores / Keras predict on all cores, batches of 256", "", points, 4.0)]


def precision(bench: Bench) -> list[Row]:
    """bfloat16 against float32, through the product: what more images cost, and how far the results are apart."""
    if not {"avx512_bf16", "amx_bf16"} & {*machine()["flags"]}:
        raise NotAvailable("the processor has neither AVX512-BF16 nor AMX")
    big, small = bench.scale.job, bench.scale.job // 4
    ways = {"litert": (), "openvino bfloat16": ("--engine", "openvino", "--precision", "bfloat16")}
    rates: dict[str, list[float]] = {way: [] for way in ways}
    found: dict[str, tuple[Any, float]] = {}
    for _ in range(bench.repeats):
        for way in bench.shuffled([*ways]):
            seconds = [bench.fruits("dask", bench.folder(n), "--pca", "moments", *ways[way]) for n in (small, big)]
            rates[way].append(marginal_rate((big, small), (seconds[1].stage("featurize"), seconds[0].stage("featurize"))))
            vectors: dict[str, Any] = {}
            for file in (bench.scratch / "results-dask" / "features").iterdir():
                paths = pq.read_table(file, columns=["path"])["path"].to_pylist()
                vectors |= zip(paths, _features(file), strict=True)
            found[way] = (np.stack([vectors[path] for path in sorted(vectors)]), seconds[1].report["explained_variance"][-1])
    exact, rough = found["litert"][0], found["openvino bfloat16"][0]
    cosine = (exact * rough).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rough, axis=1)
    points = [fast / slow for fast, slow in zip(rates["openvino bfloat16"], rates["litert"], strict=True)]
    return [
        Row("features, marginal rate, --engine openvino --precision bfloat16 / litert float32", "", points, 1.5, raw=rates),
        Row("lowest cosine of an image's features at bfloat16 and float32", "", [float(cosine.min())]),
        Row("mean absolute difference of features at bfloat16", "", [float(np.abs(exact - rough).mean())]),
        Row("explained variance at bfloat16 less that at float32", "", [found["openvino bfloat16"][1] - found["litert"][1]]),
    ]


def start(bench: Bench) -> list[Row]:
    """To the first image that is committed, by the marker's own time, and to the help."""
    folder = bench.folder(8)
    seconds: dict[str, list[float]] = {name: [] for name in BACKENDS}
    for repeat in range(bench.repeats + 1):
        for name in bench.shuffled(BACKENDS):
            done = bench.fruits(name, folder, "--features-only", "--chunk-size", "1")
            markers = (bench.scratch / f"results-{name}" / "_fruits" / "markers").iterdir()
            first = min(marker.stat().st_mtime for marker in markers)
            last = (bench.scratch / f"results-{name}" / "report.json").stat().st_mtime
            if repeat:  # the first warms the disk
                seconds[name].append(done.seconds - (last - first))  # the end of the process comes after the report: an upper bound
    helps = [run([sys.executable, "-m", "fruits", "--help"]).seconds for _ in range(bench.scale.starts)]
    rows = [
        Row(f"start of the process to the first image committed, {name}, warm disk", "s", seconds[name], target, most=True)
        for name, target in zip(BACKENDS, (5.0, 10.0), strict=True)
    ]
    return [*rows, Row("python -m fruits --help", "s", helps, 0.3, most=True)]


def memory(bench: Bench) -> list[Row]:
    """Of a worker at work."""
    rows = []
    for name in BACKENDS:
        points = []
        for _ in range(bench.repeats):
            with peaks() as peak:
                bench.fruits(name, bench.folder(bench.scale.job), "--pca", "moments")
            points.append(peak["worker"] / MB)
        rows.append(Row(f"largest Python worker, {name}", "MB", points, 450.0, most=True))
    return rows


def planning(bench: Bench) -> list[Row]:
    """Millions of paths from an S3 inventory: read, compared, cut; nothing is featurized. `--dry-run`, on both backends the same."""
    lines, few = bench.scale.lines, bench.scale.lines // 10
    with s3.server(bench.scratch / "s3.log") as port:
        there = s3.environment(port)
        _s3_files(there).touch("bucket/Test/first.jpg")
        ended = {count: weighed(_dry_run(bench, count), there) for count in (1_000, few, lines)}
    per_million = (ended[lines][1] - ended[1_000][1]) / (lines - 1_000) * 1_000_000 / MB
    planned, peak = ended[lines]
    plan = json.loads(planned.output)
    return [
        Row(f"planning of {lines} paths", "s", [planned.seconds], 120.0, most=True, raw={"chunks": plan["chunks"]}),
        Row(f"memory of planning {lines} paths", "MB", [peak / MB], 3_000.0, most=True),
        Row(f"memory of the driver for each million of {lines} paths", "MB", [per_million], 300.0, most=True),
        Row(f"memory of planning {few} paths", "MB", [ended[few][1] / MB]),
    ]


def _dry_run(bench: Bench, count: int) -> list[str | Path]:
    inventory = bench.scratch / f"{count}.csv"
    with inventory.open("w") as file:
        for number in range(count):
            file.write(f'"bucket","Test/Label {number % 131}/{number:08}_100.jpg","{4000 + number % 3000}","{number:032x}"\n')
    command: list[str | Path] = [
        "--input",
        "s3://bucket/Test",
        "--manifest",
        inventory,
        "--output",
        bench.scratch / "planned",
        "--cluster",
        "local",
    ]
    return [sys.executable, "-m", "fruits", *command, "--dry-run", "--json"]


def _s3_files(environment: dict[str, str]) -> "s3fs.S3FileSystem":
    """A client of the server of the benchmark, on which there are its buckets."""
    key, secret, endpoint = (environment[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "ENDPOINT_URL"))
    files = s3fs.S3FileSystem(key=key, secret=secret, endpoint_url=endpoint, skip_instance_cache=True)
    for bucket in ("bucket", "benchmark"):
        files.mkdir(bucket)
    return files


def far(bench: Bench) -> list[Row]:
    """S3 with 30 ms added to every request against S3 without, by the features stage; and what clients cost that read it."""
    count, rows = bench.scale.s3, []
    names = [f"Test/{file.parent.name}/{file.name}" for file in images.photos(bench.folder(count))]
    with s3.server(bench.scratch / "s3.log") as port:
        near = s3.environment(port)
        files = _s3_files(near)
        files.put(f"{bench.folder(count)}/", "benchmark/Test/", recursive=True)
        with s3.delayed(port, 0.0) as straight, s3.delayed(port, DELAY_SECONDS) as slow:
            rates: dict[tuple[str, int], list[float]] = {(name, at): [] for name in BACKENDS for at in (straight, slow)}
            for _ in range(bench.repeats):
                for name, at in bench.shuffled([*rates]):
                    options = ("--features-only", "--chunk-size", str(max(16, count // (4 * bench.workers))))
                    done = bench.fruits(name, "s3://benchmark/Test", *options, environment=s3.environment(at))
                    rates[name, at].append(count / done.stage("featurize"))
            for name in BACKENDS:
                points = [a / b for a, b in zip(rates[name, slow], rates[name, straight], strict=True)]
                rows.append(Row(f"S3 with {DELAY_SECONDS * 1000:.0f} ms more a request / without, {name}", "", points, 0.9))
        for client in ("s3fs", "pyarrow.fs", "obstore"):
            command = [sys.executable, "-m", "benchmarks.s3_get", client, "benchmark", *names[:400]]
            points = [run(command, near).result for _ in range(bench.repeats)]
            rows.append(Row(f"processor time of a GET, {client}{' (used)' if client == 'obstore' else ''}", "ms", points))
    return rows


def chunks(bench: Bench) -> list[Row]:
    """What a chunk costs beside its images (engine, plan, Parquet, marker): the time that many small ones take more than few large."""
    count, small, large, rows = bench.scale.job, 16, 512, []
    for name in BACKENDS:
        points = []
        for _ in range(bench.repeats):
            seconds = {
                size: bench.fruits(name, bench.folder(count), "--features-only", "--chunk-size", str(size)).stage("featurize")
                for size in bench.shuffled((small, large))
            }
            more = -(-count // small) - -(-count // large)
            points.append((seconds[small] - seconds[large]) * bench.workers / max(more, 1) * 1000)
        rows.append(Row(f"a chunk beside its images, {name}", "ms of a worker", points))
    return rows


CASES: dict[str, Callable[[Bench], list[Row]]] = {
    "start": start,
    "planning": planning,
    "features": features,
    "job": job,
    "notebook": notebook,
    "pca": pca,
    "keras": keras,
    "precision": precision,
    "memory": memory,
    "far": far,
    "chunks": chunks,
}


def measure(bench: Bench, cases: Sequence[str], output: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Runs the cases and writes each into the JSON file as soon as it is done, beside what others that file has; returns its content."""
    content = read_cases(output)
    for name in cases:
        bench.say(f"case {name}")
        of_machine, started = machine(), monotonic()
        found: list[Row] = []
        reason = None
        try:
            found = CASES[name](bench)
        except NotAvailable as absent:
            reason = str(absent)
            bench.say(f"case {name}: not available, {reason}")
        content["cases"][name] = {
            "machine": of_machine,
            "settings": settings,
            "seconds": monotonic() - started,
            "not_available": reason,
            "rows": [{**asdict(row), "median": row.median, "reached": row.reached} for row in found],
        }
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(content, indent=1) + "\n")
    return content
