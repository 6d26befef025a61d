"""`--launcher dask-yarn`: dask-yarn 0.9 as it is, where `backends.yarn` does the same on current Dask.

It runs in an environment of its own (requirements/dask-yarn.lock). What is ours around it: sizes, the nodes' environment, the heartbeat
that ends the application of a killed driver, bounds on waiting and on restarts, and what YARN says when something fails.
"""

import base64
import json
import logging
import shlex
import time
import warnings
from contextlib import ExitStack, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import dask
import skein
from distributed import Client
from distributed.utils import LoopRunner, silence_logging_cmgr

from backends import sizing
from backends.yarn import GRANT_SECONDS, POLL_SECONDS, YarnCluster
from fruits.errors import BadArgument, RunFailed

log = logging.getLogger(__name__)

LOCK = "requirements/dask-yarn.lock"
# Without a nanny: YARN alone watches the memory, and skein replaces what ends. `nthreads` and the memory come from the container.
WORKER_CLASS = "dask.distributed.Worker"
WORKER_OPTIONS = {"death_timeout": 60, "local_directory": ".", "dashboard": False}


def check_usable() -> None:
    """Raises `BadArgument` where dask-yarn is not installed, or is beside a Dask that it does not run with."""
    _package()


def _package() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is of 2021; what it imports has been renamed since
            import dask_yarn  # type: ignore[import-not-found, unused-ignore]
    except ImportError as failed:
        raise BadArgument(
            f"--launcher dask-yarn cannot run here: {_why(failed)}",
            "it needs an environment of its own, made in a checkout: python3.11 -m venv dask-yarn; "
            f"dask-yarn/bin/pip install --require-hashes -r {LOCK}; dask-yarn/bin/pip install --no-deps . "
            "Or leave --launcher out: the default one does the same on this Dask",
        ) from failed
    # It does not await what its Dask has made a coroutine; the connection closes all the same. It is said late, by another thread.
    warnings.filterwarnings("ignore", "coroutine 'rpc.close_rpc' was never awaited", RuntimeWarning)
    return dask_yarn


def _why(failed: ImportError) -> str:
    try:
        installed = version("dask-yarn")
    except PackageNotFoundError:
        return "the package dask-yarn is not installed"
    return f"dask-yarn {installed} does not run with distributed {version('distributed')} ({failed})"


@cache
def _loop() -> Any:
    """An event loop in a thread, which stays: dask-yarn's cluster looks for its loop when it is collected, long after it was closed."""
    runner = LoopRunner()
    runner.start()
    return runner.loop


class DaskYarnCluster(YarnCluster):
    """Dask's scheduler and workers as dask-yarn starts them. An application that has ended is not submitted again: dask-yarn has one."""

    def _open(self, stack: ExitStack) -> None:
        # Its scheduler says on standard error what Client and workers say anyway.
        stack.enter_context(silence_logging_cmgr(log.getEffectiveLevel() if log.isEnabledFor(logging.INFO) else logging.CRITICAL))
        self._skein = stack.enter_context(self._driver())
        stack.callback(self._shutdown)
        started = self._started()
        stack.callback(self._close, started)
        self._app = started.application_client
        self.client = stack.enter_context(Client(started.scheduler_address))
        # Where both are the same number too: a worker that ended without a fault is replaced by this alone.
        started.adapt(minimum=self.workers.least, maximum=self.workers.most)

    def _started(self) -> Any:
        """dask-yarn's cluster, as soon as YARN runs the application's master."""
        addresses = {"yarn.host": self._host, "yarn.port": 0, "yarn.dashboard-address": self._dashboard}
        with dask.config.set(addresses):
            return _package().YarnCluster.from_specification(self._specification(), skein_client=_Submission(self), loop=_loop())

    def _close(self, started: Any) -> None:
        # dask-yarn's own way of ending the application raises, then and once more at exit, where it has ended already.
        started._finalizer.detach()
        self._shutdown()
        started.close()

    @property
    def address(self) -> str:
        return str(self.client.scheduler_info(n_workers=0)["address"])

    def _service(self) -> skein.Service:
        container = self._container()
        options = base64.b64encode(json.dumps(WORKER_OPTIONS).encode()).decode()
        container["env"] |= {"worker_class": WORKER_CLASS, "worker_options": options}
        command = shlex.join([self._environment.python, "-m", "dask_yarn.cli", "services", "worker"])
        # Restarts without end: the watcher counts them, and says why they were needed.
        return skein.Service(instances=self.workers.least, max_restarts=-1, script=f"exec {command}", **container)

    def _step(self) -> None:
        report = self._skein.application_report(self.application)
        if str(report.state) in ("FINISHED", "FAILED", "KILLED"):
            raise self._gone(report)
        for container in self._containers("failed"):
            if container.yarn_container_id not in self._finished:
                self._ended_container(container)

    def _await_master(self) -> None:
        """Returns when the application runs; raises `RunFailed` with YARN's reason when it does not in time."""
        started = time.monotonic()
        while str((report := self._skein.application_report(self.application)).state) != "RUNNING":
            if str(report.state) in ("FINISHED", "FAILED", "KILLED"):
                raise self._gone(report)
            if time.monotonic() - started > GRANT_SECONDS:
                raise RunFailed(f"YARN did not start {self.application} in {GRANT_SECONDS} s: {self._reason()}", sizing.NO_ROOM)
            time.sleep(POLL_SECONDS / 4)

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "launcher": f"dask-yarn {version('dask-yarn')}"}


class _Submission:
    """What dask-yarn takes for skein's client. Its submission is noted, so that it can be ended, and its waiting has a bound."""

    def __init__(self, cluster: DaskYarnCluster) -> None:
        self._cluster = cluster

    def submit(self, specification: skein.ApplicationSpec) -> str:
        self._cluster._submit(specification)
        return self._cluster.application

    def connect(self, application: str, security: skein.Security | None = None) -> skein.ApplicationClient:
        self._cluster._await_master()
        return self._cluster._skein.connect(application, wait=False, security=security)

    def kill_application(self, application: str) -> None:
        with suppress(skein.SkeinError):
            self._cluster._skein.kill_application(application)
