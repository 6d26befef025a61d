"""From what one machine measured to what a cluster would take: time, what limits it first, and cost. A model; each assumption is named.

T(N, w) = start of the cluster + start of the engine + sum over stages of (fixed + N x marginal cost of the stage / speed-up(w)).
The fixed and marginal parts of each stage are fitted to the study's runs. Stages of the workers (featurize, fit, project) are divided
among them, those of the driver (list, export) are not. The page is no part of the fit: what it takes ends growing at `PAGE_IMAGES`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.costs import Cluster, Cost, Usage, cost_of
from benchmarks.prices import Prices
from benchmarks.scaling import Fit, NotEnough, amdahl, fit_time, spread

OF_WORKERS = ("featurize", "fit", "project")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html: GETs a second and prefix.
S3_GETS = 5500.0
# The notebook's slide shows a cluster ready after about 7 minutes; others report 8 to 20.
EMR_START_SECONDS = 420.0
EC2_START_SECONDS = 60.0  # an assumption: to boot, and to fetch what is installed
IMAGES_A_CHUNK = 2048  # fruits.plan.MAX_IMAGES, which every run of such a size reaches
FILES_A_CHUNK = 3  # features, marker, pca
DRIVER_BYTES_AN_IMAGE = 222.0  # `benchmarks speed --only planning`: of ten million paths
# Of a page with 25,000 images and 200 components, which are the most on one: 2 cores, Intel Xeon, 2026-11-26. Fewer count in proportion.
PAGE_IMAGES, PAGE_SECONDS = 25_000, 12.8
BYTES_AN_IMAGE = (1280 + 200) * 4 + 100


@dataclass(frozen=True)
class Instance:
    """`cores`: single-threaded workers that YARN gives on one, which are its vCPUs. `memory` in bytes of the primary, for the driver."""

    name: str
    cores: int
    memory: float


INSTANCES = {name: Instance(name, 4, 16 * 2**30) for name in ("m5.xlarge", "m7i.xlarge", "m6g.xlarge", "m7g.xlarge")}


@dataclass(frozen=True)
class Engine:
    """What was measured of a backend with `workers`: `start` in seconds (median, least, most), and each stage's seconds over images."""

    name: str
    workers: int
    start: tuple[float, float, float]
    stages: Mapping[str, Fit]


@dataclass(frozen=True)
class Assumptions:
    """`core`: how fast a vCPU of the instance is against a core of the machine that measured. `prefixes` of S3 over which images are
    spread. By the engine plane `serial`, the share of the workers' stages that does not get faster with more of them (Amdahl), and `tasks`,
    the scheduler's seconds for one."""

    core: float = 1.0
    prefixes: int = 1
    serial: Mapping[str, float] = field(default_factory=dict)
    tasks: Mapping[str, float] = field(default_factory=dict)
    emr_start: float = EMR_START_SECONDS
    ec2_start: float = EC2_START_SECONDS

    def __iter__(self) -> Any:
        yield f"a vCPU is {self.core:g} times as fast as a core of the machine that measured"
        yield f"an EMR cluster is ready after {self.emr_start / 60:g} minutes, a machine by itself after {self.ec2_start:g} s"
        yield f"S3 answers {S3_GETS:g} GETs a second and prefix, over {self.prefixes} of which the images are spread"
        yield f"the page of a run takes the driver {PAGE_SECONDS:g} s, for {PAGE_IMAGES:,} images or more"
        for name, share in self.serial.items():
            yield f"{share:.2%} of what {name} does on workers gets no faster with more of them"
        if not self.serial:
            yield "the workers' stages are divided among workers without loss"
        for name, seconds in self.tasks.items():
            yield f"{name}'s scheduler takes {1000 * seconds:.2g} ms for each {IMAGES_A_CHUNK:,} images, in each stage of the workers"


@dataclass(frozen=True)
class Projected:
    """`seconds` of the run without the cluster's start, and by the least and most of what was measured. `limits`: seconds that each
    resource needs by itself; the largest is what saturates first."""

    engine: str
    cluster: Cluster
    images: int
    start_seconds: float
    seconds: float
    least: float
    most: float
    limits: dict[str, float]
    driver_bytes: float
    cost: Cost

    @property
    def whole(self) -> float:
        return self.start_seconds + self.seconds

    @property
    def driver_fits(self) -> bool:
        """Whether the driver takes no more than half of the memory of its machine, which has others to serve."""
        return self.driver_bytes <= INSTANCES[self.cluster.instance].memory / 2

    @property
    def saturated(self) -> str:
        return max(self.limits, key=lambda what: self.limits[what])


def engines(study: Mapping[str, Any]) -> list[Engine]:
    """What a study says of its backends at most workers; raises `scaling.NotEnough` where its sizes do not determine a fit."""
    workers = max(study["plan"]["workers"])
    found = []
    for name in study["plan"]["backends"]:
        runs = [run for run in study["runs"] if (run["backend"], run["workers"]) == (name, workers) and "failed" not in run]
        start = spread([start["seconds"] for start in study["starts"] if start["backend"] == name])
        if not runs:
            raise NotEnough(f"every run of {name} with {workers} workers failed")
        images = [run["images"] for run in runs]
        stages = {stage: fit_time(images, [run["stages"][stage] for run in runs]) for stage in runs[0]["stages"] if stage != "page"}
        found.append(Engine(name, workers, (start.median, start.low, start.high), stages))
    return found


def projected(engine: Engine, cluster: Cluster, images: int, prices: Prices, region: str, assume: Assumptions) -> Projected:
    instance = INSTANCES[cluster.instance]
    workers = cluster.nodes * instance.cores
    seconds = least = most = PAGE_SECONDS * min(1.0, images / PAGE_IMAGES) / assume.core
    limits: dict[str, float] = {"computing": 0.0, "the driver's own stages": seconds}
    for stage, fit in engine.stages.items():
        shared = stage in OF_WORKERS
        factor = _shared(engine, workers, assume) if shared else 1.0
        fixed, image = fit["fixed"], fit["image"]
        seconds += (max(fixed.value, 0.0) + images * image.value * factor) / assume.core
        least += (max(fixed.low, 0.0) + images * max(image.low, 0.0) * factor) / assume.core
        most += (max(fixed.high, 0.0) + images * image.high * factor) / assume.core
        limits["computing" if shared else "the driver's own stages"] += images * image.value * factor / assume.core
    limits["requests to S3"] = images / (S3_GETS * assume.prefixes)
    if engine.name in assume.tasks:
        limits["the scheduler"] = len(OF_WORKERS) * -(-images // IMAGES_A_CHUNK) * assume.tasks[engine.name] / assume.core
    # What is read at the rate that S3 allows, or handed out by the scheduler, cannot be computed faster.
    waiting = max(limits["requests to S3"] - limits["computing"], limits.get("the scheduler", 0.0) - limits["computing"], 0.0)
    seconds, least, most = seconds + waiting, least + waiting, most + waiting
    start = assume.emr_start if cluster.emr else assume.ec2_start
    run, least, most = (a + b / assume.core for a, b in zip((seconds, least, most), engine.start, strict=True))
    usage = Usage(start, run, images, FILES_A_CHUNK * -(-images // IMAGES_A_CHUNK), images * BYTES_AN_IMAGE)
    cost = cost_of(prices, region, cluster, usage)
    return Projected(engine.name, cluster, images, start, run, least, most, limits, images * DRIVER_BYTES_AN_IMAGE, cost)


def _shared(engine: Engine, workers: int, assume: Assumptions) -> float:
    """Of the seconds that the measured number of workers took, the share that so many take."""
    serial = assume.serial.get(engine.name, 0.0)
    return float(amdahl(engine.workers, serial) / amdahl(workers, serial))


NODES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 32, 40, 50, 64, 80, 100, 128, 160, 200, 250, 320, 400, 500, 640, 800, 1000)


@dataclass(frozen=True)
class Decision:
    """`best`: the cheapest that is done in time and within the budget, or None. `fastest`: of those whose driver fits its machine, or of
    all. `considered`: what there was."""

    best: Projected | None
    fastest: Projected
    considered: Sequence[Projected]


def decide(
    of: Sequence[Engine],
    images: int,
    prices: Prices,
    region: str,
    assume: Assumptions,
    deadline: float | None = None,
    budget: float | None = None,
    spot: bool = False,
) -> Decision:
    """Over both engines, all instances with a price, one machine alone and clusters of 1 to 1,000 nodes. `deadline` in seconds."""
    clusters = [
        Cluster(name, nodes, emr, spot and emr)
        for name in INSTANCES
        if prices.find(region, name)
        for nodes, emr in [(1, False), *((nodes, True) for nodes in NODES)]
    ]
    considered = [projected(engine, cluster, images, prices, region, assume) for engine in of for cluster in clusters]
    # A part of the cost that is not known is no reason to prefer what has it, and may go beyond any budget.
    fitting = [
        one
        for one in considered
        if one.driver_fits
        and (deadline is None or one.whole <= deadline)
        and (budget is None or (not one.cost.unknown and one.cost.total <= budget))
    ]
    best = min(fitting, key=lambda one: (len(one.cost.unknown), one.cost.total, one.whole), default=None)
    return Decision(best, min(considered, key=lambda one: (not one.driver_fits, one.whole)), considered)


def break_even(first: Engine, other: Engine) -> float | None:
    """The number of images from which the other is faster on the machine that measured; None where one is faster at any number."""
    fixed = [each.start[0] + sum(max(fit["fixed"].value, 0.0) for fit in each.stages.values()) for each in (first, other)]
    image = [sum(fit["image"].value for fit in each.stages.values()) for each in (first, other)]
    if image[0] == image[1] or (at := (fixed[1] - fixed[0]) / (image[0] - image[1])) <= 0:
        return None
    return at
