"""Dask: a task an item on a distributed scheduler, dask-ml's PCA."""

import ast
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import dask
import dask.array as da
import numpy as np
import yaml
from dask.delayed import delayed
from distributed import CancelledError, Client, Future, LocalCluster, as_completed
from distributed.scheduler import KilledWorker

from fruits.backend import GaveUp, Item, Result, Settings, task_name
from fruits.errors import BadArgument, MissingPackage, RunFailed
from fruits.features import grouped, read_features
from fruits.machine import cores
from fruits.model import FEATURES
from fruits.pca import FittedAxes, unit_scale

if TYPE_CHECKING:
    from backends.yarn import YarnLauncher

log = logging.getLogger(__name__)

RETRIES = 3
CONNECT_SECONDS = 10
# tsqr stacks the R of each block, 1280 rows of it: blocks with fewer rows than some times that would not get smaller.
BLOCK_ROWS = 8192
# The statistical profiler of the workers interrupts them every 10 ms, for a page that nobody looks at.
# What looks at itself in each process does so less often: by default that took 6 % of a core on a machine with two workers, and so 2 %.
# A worker holds the task that it runs and no other: one that waited there would be blamed for each death of the worker, and given up.
CONFIGURATION: dict[str, Any] = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.tick.interval": "1s",
    "distributed.worker.memory.monitor-interval": "1s",
    "distributed.scheduler.worker-saturation": 1.0,
    # Else glibc asks the system for the memory of each picture and gives it back: decoding one took 1.03 ms in place of 0.87.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
}
# YARN alone watches the memory of its containers, and says so when one has too much: a worker that paused instead would wait for ever.
ON_YARN: dict[str, Any] = {"distributed.worker.memory.pause": False, "distributed.worker.memory.terminate": False}
# Ctrl-C in a terminal reaches the workers too; the driver ends them.
WITHOUT_INTERRUPTS = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"


class DaskBackend:
    name = "dask"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._client: Client | None = None
        self._yarn: YarnLauncher | None = None
        # What others opened has its own.
        self._configuration: dict[str, Any] = {}
        if settings.session is not None:
            if getattr(settings.session, "asynchronous", False):
                raise BadArgument("an asynchronous Client cannot be waited for", "pass one made with asynchronous=False")
            self._client = settings.session
        elif settings.cluster == "yarn":
            try:
                from backends.yarn import launcher
            except ModuleNotFoundError as missing:
                raise MissingPackage(f"--cluster yarn with --backend dask cannot run: the package {missing.name}", "yarn") from missing
            self._configuration = {**CONFIGURATION, **ON_YARN, **_parsed(settings.options)}
            with dask.config.set(self._configuration):
                # Dask itself would take the scheduler's host for the dashboard's.
                host = dask.config.get("yarn.dashboard-address").rpartition(":")[0]
                self._configuration = {"distributed.dashboard.link": f"http://{host}:{{port}}/status", **self._configuration}
                self._yarn = launcher(settings)
        elif settings.cluster != "local":
            if settings.workers is not None:
                raise BadArgument(
                    f"--workers: the scheduler at {settings.cluster} has its own workers", "leave it out, or use --cluster local"
                )
            if settings.options:
                raise BadArgument(
                    f"--set: the scheduler at {settings.cluster} and its workers read their own configuration",
                    "set it where they are started",
                )
            if settings.cluster.partition("://")[0] not in ("tcp", "tls", "ucx", "ws", "wss"):
                raise BadArgument(f"{settings.cluster} is no address of a Dask scheduler", "it looks like tcp://host:8786")
        else:
            _check_main_can_be_imported()
            self._configuration = {**CONFIGURATION, **_parsed(settings.options)}

    def __enter__(self) -> Self:
        try:
            if self._client is None:
                self._client = self._opened()
            threads = self._client.nthreads()
            if not threads:
                raise RunFailed(f"the scheduler at {self._address} has no workers", "start some, then run this again")
        except BaseException:
            self._stack.close()
            raise
        if max(threads.values()) > 1:
            log.warning("workers have up to %d threads, of which one at a time infers: use --nthreads 1", max(threads.values()))
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def _opened(self) -> Client:
        if self._yarn is not None:
            self._stack.enter_context(dask.config.set(self._configuration))
            return self._stack.enter_context(self._yarn).client
        return self._local() if self._settings.cluster == "local" else self._connected()

    def _local(self) -> Client:
        self._stack.enter_context(dask.config.set(self._configuration))
        # Loopback only: neither the scheduler nor its dashboard asks for a password.
        try:
            cluster = self._local_cluster()
        except RuntimeError as failed:  # distributed's own "Cluster failed to start"
            advice = "see what they say with --log-level info"
            raise RunFailed(f"Dask's workers did not start: {failed}", advice) from failed
        self._stack.enter_context(cluster)
        client: Client = self._stack.enter_context(Client(cluster))
        return client

    def _local_cluster(self) -> LocalCluster:
        return LocalCluster(
            n_workers=self.workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            preload=[WITHOUT_INTERRUPTS],
            # What fails in a task comes back as an exception, and is told once, by us.
            silence_logs=log.getEffectiveLevel() if log.isEnabledFor(logging.INFO) else logging.CRITICAL,
        )

    def _connected(self) -> Client:
        try:
            client: Client = self._stack.enter_context(Client(self._settings.cluster, timeout=CONNECT_SECONDS))
        except (OSError, ValueError) as failed:
            raise RunFailed(f"no Dask scheduler answers at {self._settings.cluster}: {failed}", "check the address") from failed
        return client

    @property
    def workers(self) -> int:
        if self._client is not None:
            return max(1, int(sum(self._client.nthreads().values())))
        if self._yarn is not None:
            return self._yarn.workers.most
        return self._settings.workers.most if self._settings.workers else cores()

    @property
    def remote(self) -> bool:
        return self._settings.session is None and self._settings.cluster != "local"

    @property
    def client(self) -> Client:
        assert self._client is not None, "the session is not open"
        return self._client

    @property
    def _address(self) -> str:
        return str(self.client.scheduler_info(n_workers=0)["address"])

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result | GaveUp[Item]]:
        futures = self.client.map(function, items, pure=False, retries=RETRIES, key=f"fruits-{task_name(function)}")
        item_of = dict(zip((future.key for future in futures), items, strict=True))
        try:
            for future in as_completed(futures):
                yield self._outcome(item_of[future.key], future)
                future.release()
        finally:
            self.client.cancel(futures)

    def fit(self, features: Sequence[tuple[str, int]], k: int, standardize: bool) -> FittedAxes:
        from dask_ml.decomposition import PCA

        x = da.concatenate([self._block(files) for files in grouped(features, BLOCK_ROWS)])
        # An exact solver: "auto" would take the randomized one without power iterations.
        pca = PCA(n_components=k, svd_solver="tsqr")
        try:
            with self.client.as_current():
                if standardize:
                    mean, deviation = dask.base.compute(x.mean(axis=0), x.std(axis=0, ddof=1))
                    scale = unit_scale(mean, deviation)
                    pca.fit(x * scale)
                else:
                    pca.fit(x)
                    mean, scale = np.asarray(pca.mean_), np.ones(FEATURES)
                return FittedAxes(mean, scale, np.asarray(pca.components_), np.asarray(pca.explained_variance_ratio_))
        except (KilledWorker, MemoryError, OSError, ValueError, CancelledError) as failed:
            what, _ = _why(failed)
            advice = "the same command goes on where this run stopped"
            if isinstance(failed, KilledWorker | MemoryError):
                advice = "use --pca moments, which needs little memory; what is featurized is reused"
            raise self._lost() or RunFailed(f"dask-ml's PCA: {what}", advice) from failed

    def _outcome(self, item: Item, future: "Future[Any]") -> Any:
        """What came of an item. Waits again where its result was lost with the worker that had it, and another does it anew.

        Raises `RunFailed` where the whole cluster is gone.
        """
        if (cause := future.exception()) is None:
            try:
                return future.result()
            except (KilledWorker, CancelledError) as lost:
                cause = lost
        if isinstance(cause, CancelledError):
            raise self._lost() or RunFailed("the scheduler cancelled the work", "the same command goes on where this run stopped")
        if isinstance(cause, KilledWorker) and (ended := self._lost()):
            raise ended from cause
        return GaveUp(item, *_why(cause))

    def _lost(self) -> RunFailed | None:
        """Why the cluster has ended under the work, where it has."""
        return self._yarn.failure or self._yarn.exceeded() if self._yarn is not None else None

    def _block(self, files: Sequence[tuple[str, int]]) -> da.Array:
        rows = sum(count for _, count in files)
        block = delayed(read_features, pure=True)([url for url, _ in files])
        array: da.Array = da.from_delayed(block, shape=(rows, FEATURES), dtype=np.float64)
        return array

    def describe(self) -> dict[str, Any]:
        described: dict[str, Any] = {
            "name": self.name,
            "cluster": "the caller's session" if self._settings.session is not None else self._settings.cluster,
            "workers": self.workers,
            "versions": {package: version(package) for package in ("dask", "distributed", "dask-ml")},
            "configuration": self._configuration,
        }
        if self._client is not None:
            described["scheduler"] = self._address
            described["dashboard"] = self._client.dashboard_link
            described["threads"] = sum(self._client.nthreads().values())
        if self._yarn is not None:
            described["yarn"] = self._yarn.describe()
        return described


def _check_main_can_be_imported() -> None:
    """Raises `BadArgument` for a script without a guard: each worker imports it as it starts.

    That is how multiprocessing starts a process. distributed's SubprocessCluster does not need it, and
    is not used because it starts more slowly (docs/decisions.md).
    """
    main = sys.modules["__main__"]
    script = getattr(main, "__file__", None)
    if script is None or getattr(main, "__spec__", None) is not None:  # a notebook, `python -c`, `python -m`
        return
    try:
        tree = ast.parse(Path(script).read_bytes())
    except (OSError, SyntaxError):  # a zip, or compiled: of these nothing is known
        return
    if any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(tree)):
        return
    guard = 'if __name__ == "__main__":'
    raise BadArgument(
        f"{script} has no `{guard}`, and each of Dask's workers would run all of it again",
        "put what it does below that line, or pass a session of your own: run(job, session=client)",
    )


def _parsed(options: Any) -> dict[str, Any]:
    """`--set` for Dask: keys that its configuration knows, values as YAML, as in its configuration files."""
    for key in options:
        try:
            dask.config.get(key)
        except KeyError as unknown:
            raise BadArgument(
                f"--set {key}: Dask's configuration has no such key", "its keys are like distributed.worker.memory.target"
            ) from unknown
    return {key: yaml.safe_load(value) for key, value in options.items()}


def _why(cause: BaseException) -> tuple[str, str]:
    """What happened, and what to do about it."""
    if isinstance(cause, KilledWorker):
        return f"workers died {RETRIES + 1} times at the same task: most often they ran out of memory", "use fewer --workers"
    return f"a task failed {RETRIES + 1} times: {type(cause).__name__}: {cause}", ""
