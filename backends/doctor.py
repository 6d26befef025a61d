"""What a job would need, looked at before there is one: each check says what it found, or what to do."""

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import metadata, version

from packaging.specifiers import SpecifierSet

import fruits
from backends.java import java_environment
from backends.spark_versions import SPARK_3_5, SPARK_4, spark_version
from fruits import backend as registry
from fruits.backend import Settings, Workers, YarnSettings
from fruits.cluster import place, worker_environment
from fruits.errors import BadArgument, FruitsError
from fruits.job import Job, check_seen_by_nodes
from fruits.machine import cores, memory
from fruits.manifest import find_images
from fruits.model import ENGINES, GRAPH, WEIGHTS, check_installed, check_processor
from fruits.results import Results
from fruits.versions import check_nodes

WORKER_BYTES = 600 * 10**6  # at most, on any input (tests/conformance/test_memory.py)


@dataclass(frozen=True)
class Check:
    """`advice` is None where all is well."""

    name: str
    found: str
    advice: str | None = None


def examine(job: Job) -> Iterator[Check]:
    """Every check that the job's backend, cluster, input and output call for; none stops the others."""
    cluster, why = place(job)
    name = job.backend or registry.DEFAULT
    checks: list[tuple[str, Callable[[], str]]] = [
        ("python", _python),
        ("model", lambda: _model(job, cluster)),
        (f"backend {name}", lambda: _backend(name)),
    ]
    if name == "spark" or cluster == "yarn":
        checks.append(("java", lambda: _java(name)))
    checks.append(("cluster", lambda: f"{cluster}{f' ({why})' if why else ''}"))
    if cluster == "yarn":
        checks += [("folders", lambda: _folders(job)), ("yarn", _yarn), ("queue", lambda: _queue(job))]
    elif cluster == "local":
        checks.append(("memory", lambda: _memory(job)))
    checks += [("input", lambda: _input(job)), ("output", lambda: _output(job)), ("a worker", lambda: _worker(job, cluster))]
    for title, check in checks:
        try:
            yield Check(title, check())
        except FruitsError as failed:
            yield Check(title, failed.message, failed.advice or "see above")


def _python() -> str:
    supported = metadata("fruits")["Requires-Python"]
    if not SpecifierSet(supported).contains(platform.python_version(), prereleases=True):
        raise BadArgument(f"this is Python {platform.python_version()}", f"fruits needs {supported}")
    return f"{platform.python_version()}, fruits {fruits.__version__}"


def _model(job: Job, cluster: str) -> str:
    check_installed(job.engine)
    if cluster == "local":
        check_processor(job.precision)
    for asset in (WEIGHTS, GRAPH):
        asset.checked()
    return f"weights and graph are what was shipped; engine {job.engine}, {version(ENGINES[job.engine].module.replace('_', '-'))}"


def _backend(name: str) -> str:
    registry.load(name)
    packages = {"dask": ("dask", "distributed", "dask-ml"), "spark": ("pyspark",)}[name]
    return ", ".join(f"{package} {version(package)}" for package in packages)


def _java(name: str) -> str:
    versions = (*SPARK_3_5.java, *SPARK_4.java)  # skein runs on any of them
    if name == "spark":
        import pyspark

        versions = spark_version(pyspark.__version__).java
    return java_environment(versions)["FRUITS_JAVA"]


def _memory(job: Job) -> str:
    workers = job.workers_range() or Workers(cores(), cores())
    if workers.most * WORKER_BYTES > memory():
        raise BadArgument(
            f"{workers.most} workers may need {workers.most * WORKER_BYTES / 1e9:.1f} GB, the machine has {memory() / 1e9:.1f} GB",
            "use fewer --workers",
        )
    return f"{memory() / 1e9:.1f} GB for {workers.most} workers of at most {WORKER_BYTES / 1e9:.1f} GB"


def _folders(job: Job) -> str:
    check_seen_by_nodes(job.input, job.output)
    return "input and output are where the nodes see them"


def _yarn() -> str:
    from backends.resourcemanager import ResourceManager

    manager = ResourceManager()
    nodes = manager.nodes()
    if not nodes:
        raise BadArgument(f"the ResourceManager at {manager.address} has no running node", "start a NodeManager")
    what = f"{sum(node.vcores for node in nodes)} vcores and {sum(node.memory for node in nodes)} MiB"
    return f"Hadoop {manager.cluster['hadoopVersion']} at {manager.address}, {len(nodes)} nodes with {what}"


def _queue(job: Job) -> str:
    from backends import sizing
    from backends.resourcemanager import ResourceManager

    name = job.queue or "default"
    jvm = job.backend == "spark"
    plan = sizing.plan(ResourceManager(), name, job.workers_range(), job.container_cores, job.container_memory, jvm=jvm)
    size = plan.size
    return (
        f"{name} takes applications; {plan.workers} workers would be {plan.containers(plan.workers.most)} containers"
        f" of {size.memory} MiB and {size.cores} vcores"
    )


def _input(job: Job) -> str:
    listing = find_images(job)
    return f"{len(listing)} images in {job.input}, {listing.bytes / 1e6:.1f} MB"


def _output(job: Job) -> str:
    results = Results(job)
    results.admit()
    before = results.earlier() is not None
    results.probe()
    return f"{job.output} can be written" + (", and holds a result" if before else "")


def _worker(job: Job, cluster: str) -> str:
    """Starts one for real, as a run would."""
    yarn = YarnSettings(
        job.queue,
        job.environment,
        job.container_cores,
        job.container_memory,
        job.launcher or "fruits",
        worker_environment(job) if cluster == "yarn" else {},
    )
    given = Workers(1, 1) if cluster in ("local", "yarn") else None
    with registry.load(job.backend or registry.DEFAULT)(Settings(cluster, given, job.options, yarn=yarn)) as backend:
        check_nodes(backend, job.engine, job.precision)
        return f"started on {cluster}, with the same Python and the same packages"
