"""How many containers of what size a YARN cluster is asked for, worked out from its nodes."""

from collections.abc import Sequence
from dataclasses import dataclass

from backends.resourcemanager import Node, ResourceManager
from fruits.backend import Workers
from fruits.errors import BadArgument

# MiB. A worker's Python process stays under 640 MiB on any input (617 MB were measured: tests/conformance/test_memory.py); the rest is
# the engine's, and a reserve for the blocks of a PCA.
PYTHON_PROCESS = 640
DASK_CONTAINER = 2048
SPARK_HEAP = 1024
SPARK_OVERHEAD = 384  # the JVM's own beside its heap, as spark.executor.memoryOverhead has it at least
EXECUTOR_CORES = 2
MASTER = 512  # an application master: 1 vcore and so much
# Containers that may be lost, for each that is wanted, within so many seconds: more than nodes that are reclaimed now and then take.
FAILURES, FAILURES_WITHIN = 6, 3600

NO_ROOM = "use another --queue, ask for less (--workers, --container-memory), or wait until other applications have ended"


@dataclass(frozen=True)
class Size:
    """Of a container: `memory` in MiB is all that YARN counts; `cores` single-threaded workers run in it."""

    cores: int
    memory: int

    @property
    def spark_heap(self) -> int:
        """MiB of the JVM, once the Python workers have theirs."""
        return self.memory - self.spark_overhead

    @property
    def spark_overhead(self) -> int:
        return SPARK_OVERHEAD + self.cores * PYTHON_PROCESS


@dataclass(frozen=True)
class Plan:
    """`workers`: single-threaded model processes in all; `size` of each container."""

    workers: Workers
    size: Size

    def containers(self, workers: int) -> int:
        return -(-workers // self.size.cores)


def plan(manager: ResourceManager, queue: str, workers: Workers | None, cores: int | None, memory: int | None, *, jvm: bool) -> Plan:
    """What to ask for, where `workers`, `cores` and `memory` (MiB) of a container are given or None.

    For Spark (`jvm`) a container is an executor with its Python workers, for Dask one Python process.

    Raises `BadArgument` for a queue that does not exist or is stopped, and for containers larger than any node.
    """
    nodes = manager.nodes()
    if not nodes:
        raise BadArgument("the YARN cluster has no running node", "start a NodeManager, or wait until the cluster has one")
    share = _share(manager, queue)
    cores = cores or (_cores(nodes, workers) if jvm else 1)
    if not jvm and cores > 1:
        raise BadArgument("--container-cores: Dask's containers are one worker on one core", "leave it out, and give more --workers")
    least = SPARK_OVERHEAD + cores * PYTHON_PROCESS + 512 if jvm else PYTHON_PROCESS // 2
    default = SPARK_OVERHEAD + cores * PYTHON_PROCESS + SPARK_HEAP if jvm else DASK_CONTAINER
    size = Size(cores, memory or default)
    if size.memory < least:
        raise BadArgument(f"--container-memory {size.memory} MiB is too little for {cores} workers", f"give {least} MiB or more")
    fits = [min(node.vcores // size.cores, node.memory // size.memory) for node in nodes]
    if not any(fits):
        largest = max(nodes, key=lambda node: (node.memory, node.vcores))
        raise BadArgument(
            f"no node has room for a container of {size.memory} MiB and {size.cores} vcores"
            f" (the largest has {largest.memory} MiB and {largest.vcores} vcores)",
            "lower --container-memory or --container-cores",
        )
    if workers is None:
        # CapacityScheduler's default calculator would look at the memory alone; a model process needs a core.
        # One container's room is left for the application master.
        most = max(1, int(sum(fits) * share / 100) - 1) * size.cores
        workers = Workers(most, most)
    return Plan(workers, size)


def _cores(nodes: Sequence[Node], workers: Workers | None) -> int:
    """Of an executor: few, so that work spreads over all nodes, also over one of whose cores an application master has taken one."""
    most = min(EXECUTOR_CORES, *(node.vcores for node in nodes))
    return most if workers is None else max(1, min(most, -(-workers.most // len(nodes))))


def _share(manager: ResourceManager, name: str) -> float:
    queues = manager.queues()
    if not queues:
        return 100.0
    queue = queues.get(name.rpartition(".")[2])
    if queue is None:
        raise BadArgument(f"--queue {name}: YARN has no such queue", f"choose one of: {', '.join(sorted(queues))}")
    if not queue.running:
        raise BadArgument(f"--queue {name}: it is stopped, and takes no applications", "choose another, or have it started")
    return queue.share
