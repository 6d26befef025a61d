"""What is to be done: a job's parameters, checked, and the two fingerprints by which results are recognised."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fruits import storage
from fruits.backend import REGISTRY, Workers
from fruits.errors import BadArgument
from fruits.model import ENGINES, FEATURES, GRAPH, MODEL_NAME, PRECISIONS, PREPROCESSING, WEIGHTS, Engine, Precision, needs

SAMPLE = str(Path(__file__).parent / "sample" / "Test")
DEFAULT_COMPONENTS = 200
# Pillow refuses to open a picture above this size, whatever its caller allows (twice PIL.Image.MAX_IMAGE_PIXELS).
PILLOW_MAX_PIXELS = 178_956_970
DEFAULT_PATTERNS = ("*.jpg", "*.jpeg")
LAUNCHERS = ("fruits", "dask-yarn")
PCA_METHODS = ("native", "moments")
MAX_CHUNK_SIZE = 16_384  # 84 MB of features
MAX_SECONDS = 604_800


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job's parameters. Raises `BadArgument` when one, or a combination, cannot be honoured.

    `components`: a whole number is a count, a float between 0 and 1 the share of variance to explain; None stands for 200, or as many as
    the images allow. `batch_size`, `chunk_size`, `workers`: None lets the engine, the number of images and the machine decide.
    `engine`: one of `model.ENGINES`, or of `fruits.dummies`. `precision`: what it computes in, of what it can. `manifest`:
    a file that names the images below `input` (`fruits.manifest`). `retry_rejected`: nothing that was rejected is reused.
    `chunk_timeout`: seconds, after which a chunk is done again file by file, each with a limit (`FeaturizeTask.file_seconds`). `cluster`:
    `local`, `yarn`, an address, or `auto` (None), which is YARN where a configuration of it is found and the nodes can read the input.
    `workers`: a count, or on YARN a range such as "2..20". `queue`, `environment`, `container_cores`, `container_memory` (MiB) and
    `launcher` (of Dask's workers) are YARN's. `pca`: `native` is the engine's own (ml.PCA, dask-ml's), `moments` that of `fruits.moments`.
    `options` go raw into the configuration of the engine that distributes the work.
    """

    input: str = SAMPLE
    output: str = "results"
    backend: str | None = None
    cluster: str | None = None
    workers: int | str | None = None
    queue: str | None = None
    environment: str | None = None
    container_cores: int | None = None
    container_memory: int | None = None
    launcher: str | None = None
    patterns: tuple[str, ...] = DEFAULT_PATTERNS
    manifest: str | None = None
    engine: Engine = "litert"
    precision: Precision = "float32"
    batch_size: int | None = None
    chunk_size: int | None = None
    chunk_timeout: float = 300.0
    max_pixels: int = 40_000_000
    max_file_bytes: int = 64_000_000
    max_rejected: float = 1.0
    pca: str = PCA_METHODS[0]
    components: int | float | None = None
    standardize: bool = False
    uncentred: bool = False
    features_only: bool = False
    projection: str | None = None
    fresh: bool = False
    retry_rejected: bool = False
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("input", "output", "manifest", "projection"):
            if (url := getattr(self, name)) is not None:
                object.__setattr__(self, name, storage.normalized(str(url)))
        object.__setattr__(self, "patterns", tuple(self.patterns))
        object.__setattr__(self, "options", dict(self.options))
        self._check_names()
        self._check_numbers()
        self._check_combinations()

    def _check_names(self) -> None:
        if self.backend is not None and self.backend not in REGISTRY:
            raise BadArgument(f"there is no backend {self.backend!r}", f"choose one of: {', '.join(REGISTRY)}")
        needs(self.engine)
        if self.pca not in PCA_METHODS:
            raise BadArgument(f"there is no PCA {self.pca!r}", f"choose one of: {', '.join(PCA_METHODS)}")
        if self.precision not in PRECISIONS:
            raise BadArgument(f"there is no precision {self.precision!r}", f"choose one of: {', '.join(PRECISIONS)}")
        if self.launcher is not None and self.launcher not in LAUNCHERS:
            raise BadArgument(f"there is no launcher {self.launcher!r}", f"choose one of: {', '.join(LAUNCHERS)}")
        if self.cluster not in (None, "auto", "local", "yarn") and "://" not in str(self.cluster):
            raise BadArgument(
                f"{self.cluster!r} is neither auto, local, yarn nor an address",
                "an address looks like spark://host:7077 for Spark, tcp://host:8786 for Dask",
            )
        if not self.patterns or not all(self.patterns):
            raise BadArgument("an empty pattern matches no file", "give for example --pattern '*.jpg'")
        for pattern in self.patterns:
            if "/" in pattern:
                raise BadArgument(f"the pattern {pattern!r} has a slash: patterns match file names", "give the folder as --input")
        for key in self.options:
            if any(word in key.lower() for word in ("secret", "password", "token", "credential", "access.key")):
                raise BadArgument(
                    f"--set {key}: engines show their configuration in process lists and on web pages",
                    "leave credentials to the environment, as the AWS tools take them",
                )

    def _check_numbers(self) -> None:
        for name in ("container_cores", "container_memory", "batch_size", "chunk_size", "max_pixels", "max_file_bytes"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise BadArgument(f"{option(name)} {value!r} is not a whole number above 0", "give 1 or more")
        if self.chunk_size is not None and self.chunk_size > MAX_CHUNK_SIZE:
            raise BadArgument(
                f"--chunk-size {self.chunk_size} is too much: a worker holds the features of a chunk in memory",
                f"give at most {MAX_CHUNK_SIZE}",
            )
        if self.max_pixels > PILLOW_MAX_PIXELS:
            raise BadArgument(f"--max-pixels {self.max_pixels} is more than Pillow itself opens", f"give at most {PILLOW_MAX_PIXELS}")
        seconds = self.chunk_timeout
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= MAX_SECONDS:
            raise BadArgument(f"--chunk-timeout {seconds!r} is no number of seconds above 0", f"give at most {MAX_SECONDS}: a week")
        if not 0 <= self.max_rejected <= 1:
            raise BadArgument(f"--max-rejected {self.max_rejected!r} is not a share", "give a number from 0 to 1")
        if self.components is None:
            return
        if isinstance(self.components, bool) or not isinstance(self.components, int | float):
            raise BadArgument(f"--components {self.components!r} is not a number", "give a count such as 200 or a share such as 0.95")
        if isinstance(self.components, float) and not 0 < self.components <= 1:
            raise BadArgument(
                f"--components {self.components!r} is not a share of variance above 0 and up to 1",
                "a number with a point is a share (0.95); for a count leave the point out (200)",
            )
        if isinstance(self.components, int) and not 1 <= self.components <= FEATURES:
            raise BadArgument(
                f"--components {self.components}: there are {FEATURES} features, so from 1 to {FEATURES} components",
                "give a count such as 200 or a share such as 0.95",
            )

    def workers_range(self) -> Workers | None:
        """`workers` as what is wanted at least and at most."""
        if self.workers is None:
            return None
        least, dots, most = str(self.workers).partition("..")
        if isinstance(self.workers, bool) or not least.isdecimal() or not (most if dots else least).isdecimal():
            raise BadArgument(f"--workers {self.workers!r} is neither a whole number nor a range", "give for example 4, or 2..20 on YARN")
        found = Workers(int(least), int(most or least))
        if found.least < 1 or found.most < found.least:
            raise BadArgument(f"--workers {self.workers} is not above 0, or ends below its beginning", "give for example 4, or 2..20")
        return found

    def yarn_options(self) -> dict[str, Any]:
        """The options that are YARN's alone, as far as they were given, by the name under which they are typed."""
        names = ("queue", "environment", "container_cores", "container_memory", "launcher")
        return {option(name): getattr(self, name) for name in names if getattr(self, name) is not None}

    def _check_combinations(self) -> None:
        workers = self.workers_range()
        if self.cluster not in (None, "auto", "yarn"):
            for name, value in self.yarn_options().items():
                raise BadArgument(f"{name} {value} has no effect on --cluster {self.cluster}: it is YARN's", f"leave out {name}")
            if workers and workers.least != workers.most:
                raise BadArgument(f"--workers {workers}: only YARN gives and takes workers while a run goes on", "give one number")
        if self.launcher is not None and self.backend == "spark":
            raise BadArgument("--launcher has no effect with --backend spark: it starts Dask's workers", "leave it out")
        if self.precision not in needs(self.engine).precisions:
            able = ", ".join(f"--engine {name}" for name, of in ENGINES.items() if self.precision in of.precisions)
            raise BadArgument(f"the engine {self.engine} does not compute in {self.precision}", f"leave out --precision, or use {able}")
        if self.cluster == "yarn":
            check_seen_by_nodes(self.input, self.output)
        fitting = {
            "--pca": self.pca != PCA_METHODS[0],
            "--components": self.components is not None,
            "--standardize": self.standardize,
        }
        if self.projection is not None:
            _refuse(fitting, "--projection", "the projection in the file was fitted with its own")
        if self.features_only:
            pca = {**fitting, "--uncentred": self.uncentred, "--projection": self.projection is not None}
            _refuse(pca, "--features-only", "no PCA is computed")
        if self.manifest is not None:
            _refuse({"--pattern": self.patterns != DEFAULT_PATTERNS}, "--manifest", "it names exactly its files")
        if self.fresh:
            _refuse({"--retry-rejected": self.retry_rejected}, "--fresh", "it does all images again")
        if storage.holds(self.input, self.output):
            raise BadArgument(
                f"the output {self.output} lies in the input {self.input}: its files would be the next run's images",
                "give an --output outside the input folder",
            )

    @property
    def effective_batch_size(self) -> int:
        return self.batch_size or needs(self.engine).batch_size

    def parameters(self) -> dict[str, Any]:
        """Every parameter, as JSON holds it."""
        return {**asdict(self), "patterns": list(self.patterns), "options": dict(self.options)}

    def features_identity(self) -> dict[str, Any]:
        """What decides an image's features. Not in it: backend, cluster, workers, batch, and which files there are."""
        return {
            "input": self.input,
            "patterns": sorted(self.patterns),
            "model": MODEL_NAME,
            "weights": WEIGHTS.sha256 if needs(self.engine).infers else None,
            "graph": GRAPH.sha256 if needs(self.engine).infers and self.engine != "keras" else None,
            "preprocessing": PREPROCESSING,
            "precision": self.precision,
            "engine": self.engine,
            "max_pixels": self.max_pixels,
            "max_file_bytes": self.max_file_bytes,
        }

    def projection_identity(self, projection_sha256: str | None) -> dict[str, Any]:
        """What decides pca_features, given the features: K, scaling, centring, method, or the file that holds a projection."""
        return {
            "features": fingerprint(self.features_identity()),
            "features_only": self.features_only,
            "components": (self.components or DEFAULT_COMPONENTS) if self.projection is None else None,
            "standardize": self.standardize,
            "uncentred": self.uncentred,
            "method": self.pca if self.projection is None else None,
            "projection": projection_sha256,
        }


def fingerprint(identity: Mapping[str, Any]) -> str:
    """SHA-256 of the identity's canonical JSON, in hexadecimal."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def seen_by_nodes(*urls: str) -> bool:
    return not any(storage.is_local(url) for url in urls)


def check_seen_by_nodes(job_input: str, output: str) -> None:
    """Raises `BadArgument` for folders of this machine, which the nodes of a cluster do not have."""
    for name, url in (("--input", job_input), ("--output", output)):
        if not seen_by_nodes(url):
            raise BadArgument(
                f"{name} {url} is a folder of this machine, which the nodes of the YARN cluster do not see",
                f"give hdfs:// or s3:// as {name}, or use --cluster local",
            )


def option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _refuse(given: Mapping[str, bool], because: str, why: str) -> None:
    for option, present in given.items():
        if present:
            raise BadArgument(f"{option} has no effect with {because}: {why}", f"leave out {option} or {because}")
