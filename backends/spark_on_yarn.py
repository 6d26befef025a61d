"""Spark executors as YARN containers: what Spark is configured with there, and waiting for the first of them."""

import os
import re
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyspark

from backends import sizing, staging
from backends.diagnostics import all_logs, application_ended, in_one_line, last_lines
from backends.environment import Environment
from backends.resourcemanager import Application, ResourceManager
from fruits.backend import Settings, Workers
from fruits.errors import RunFailed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

GRANT_SECONDS = 40  # for YARN to give a container: what it has not given by then it has no room for
UNPACK_SECONDS = 300  # for a container to fetch Spark's jars and its Python
POLL_SECONDS = 0.5
STABLE_NODES = "CORE"  # EMR's label of the nodes that are not Spot
# On YARN's side of a lost executor: what it says of a container that had too much.
MEMORY = re.compile(r"Container killed by YARN for exceeding physical memory limits[^.]*\.[^.]*\.[^.]*memory used")
# The same of one that ended by itself or was killed (YarnAllocator.processCompletedContainers).
EXECUTOR = re.compile(
    r"Container (?:from a bad node|marked as failed): (?P<container>container_\w+) on host: (?P<host>\S+)\. Exit status: [^.]*\."
)


class SparkOnYarn:
    """Raises `BadArgument` for what this YARN cluster cannot honour."""

    def __init__(self, settings: Settings) -> None:
        asked = settings.yarn
        self._manager = ResourceManager()
        self._queue = asked.queue or settings.options.get("spark.yarn.queue", "default")
        self._plan = sizing.plan(self._manager, self._queue, settings.workers, asked.container_cores, asked.container_memory, jvm=True)
        self._environment = Environment.parse(asked.environment)
        self._environment_is_own = asked.environment is None
        self._worker_environment = asked.worker_environment
        self._options = settings.options
        self._tag = f"fruits-{uuid.uuid4().hex[:12]}"
        self._last_lost = ("", "")  # what YARN said of the last executor that took a task with it for good, and the end of its log
        self.host = self._manager.address_towards()

    @property
    def workers(self) -> Workers:
        return self._plan.workers

    @property
    def python(self) -> str:
        return self._environment.python

    def configuration(self) -> dict[str, str]:
        """Spark's, for a driver in this process."""
        size, containers = self._plan.size, self._plan.containers
        least, most = containers(self.workers.least), containers(self.workers.most)
        configuration = {
            "spark.master": "yarn",
            "spark.submit.deployMode": "client",
            "spark.yarn.queue": self._queue,
            "spark.yarn.tags": f"fruits,{self._tag}",
            "spark.executor.cores": str(size.cores),
            "spark.executor.memory": f"{size.spark_heap}m",
            # YARN counts the Python workers, which the JVM does not know of.
            "spark.executor.memoryOverhead": f"{size.spark_overhead}m",
            "spark.yarn.am.memory": f"{sizing.MASTER}m",
            "spark.executor.instances": str(most),
            "spark.task.maxFailures": "4",
            # By default a few executors that are lost in all, over however many hours, end the application.
            "spark.yarn.max.executor.failures": str(sizing.FAILURES * most),
            "spark.yarn.executor.failuresValidityInterval": f"{sizing.FAILURES_WITHIN}s",
            # Nodes must reach the driver; its RPC and its files ask for a secret that YARN hands to the containers.
            "spark.driver.host": self.host,
            "spark.driver.bindAddress": self.host,
            "spark.authenticate": "true",
            **{f"spark.executorEnv.{name}": value for name, value in self._worker_environment.items()},
        }
        if least != most:
            configuration |= {
                "spark.dynamicAllocation.enabled": "true",
                "spark.dynamicAllocation.shuffleTracking.enabled": "true",  # without the shuffle service of the nodes
                "spark.dynamicAllocation.minExecutors": str(least),
                "spark.dynamicAllocation.maxExecutors": str(most),
                "spark.dynamicAllocation.initialExecutors": str(least),
            }
            del configuration["spark.executor.instances"]
        if self._manager.has_label(STABLE_NODES, self._queue):
            configuration["spark.yarn.am.nodeLabelExpression"] = STABLE_NODES
        if archive := self._environment.archive:
            configuration["spark.yarn.dist.archives"] = f"{staging.of_nodes(archive)}#environment"
        if not {"spark.yarn.jars", "spark.yarn.archive"} & self._options.keys():
            configuration |= self._jars()
        return configuration

    def _jars(self) -> dict[str, str]:
        """The nodes' own where they have some, else such as are on HDFS since the first run: 460 MB are not uploaded twice."""
        if home := os.environ.get("SPARK_HOME"):
            return {"spark.yarn.jars": f"local:{home}/jars/*"}
        package = Path(pyspark.__file__).parent
        if self._environment_is_own or not staging.on_hdfs():
            return {"spark.yarn.jars": f"local:{package}/jars/*"}
        return {"spark.yarn.archive": staging.staged_jars(package / "jars", pyspark.__version__)}

    def start(self, open_session: Callable[[], "SparkSession"], kill: Callable[[str], None]) -> "SparkSession":
        """Opens a session; raises `RunFailed` with YARN's reason when the application or its first executor does not start in time."""
        opened: list[SparkSession] = []
        failure: list[BaseException] = []

        def work() -> None:
            try:
                opened.append(open_session())
            except BaseException as failed:  # noqa: BLE001 - raised again in the caller's thread
                failure.append(failed)

        thread = threading.Thread(target=work, name="spark", daemon=True)
        thread.start()
        refused: RunFailed | None = None
        submitted = 0.0  # when YARN was first seen to have the application
        while thread.is_alive():
            thread.join(POLL_SECONDS)
            name = self._manager.tagged(self._tag)
            if name is None or refused:
                continue
            submitted = submitted or time.monotonic()
            application = self._manager.application(name)
            seconds = UNPACK_SECONDS if application.containers else GRANT_SECONDS
            if application.state in ("NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED") and time.monotonic() - submitted > seconds:
                refused = self._no_room(application, f"did not start in {seconds} s")
                kill(name)
        if failure:
            name = self._manager.tagged(self._tag)
            if refused is None and name is not None and (ended := self._manager.application(name)).final and ended.diagnostics:
                refused = application_ended(name, ended.state, ended.diagnostics)
            raise refused or failure[0] from failure[0]
        return opened[0]

    def wait_for_executor(self, spark: "SparkSession", executors: Callable[[], int]) -> None:
        """Raises `RunFailed` with YARN's reason when none comes in time."""
        name = str(spark.sparkContext.applicationId)
        started = time.monotonic()  # the master runs by now, and asks for them
        while not executors():
            application = self._manager.application(name)
            if application.final:
                raise application_ended(name, application.state, application.diagnostics)
            seconds = UNPACK_SECONDS if application.containers > 1 else GRANT_SECONDS
            if time.monotonic() - started > seconds:
                raise self._no_room(application, f"had no executor in {seconds} s")
            time.sleep(POLL_SECONDS)

    def _no_room(self, application: Application, what: str) -> RunFailed:
        why = f"{in_one_line(application.diagnostics)} {self._manager.why_waiting(application.id)}".strip()
        return RunFailed(f"the YARN application {application.id} {what}: its state is {application.state}. {why}", sizing.NO_ROOM)

    def describe(self) -> dict[str, Any]:
        return {
            "queue": self._queue,
            "container_cores": self._plan.size.cores,
            "container_memory": self._plan.size.memory,
            "environment": self._environment.description,
        }

    def ended(self, said: str) -> RunFailed | None:
        """Why Spark's work cannot go on, if YARN ended it: `said` is Spark's message of a job that failed, with YARN's words in it."""
        if memory := MEMORY.search(said):
            return RunFailed(
                f"a container of {self._plan.size.memory} MiB exceeded its memory: {in_one_line(memory[0])}",
                f"raise --container-memory above {self._plan.size.memory}",
            )
        name = self._manager.tagged(self._tag)
        if name and (application := self._manager.application(name)).final:
            why, log = self._executor_lost(said) or self._last_lost  # which YARN counts, and does not tell of
            return application_ended(name, application.state, f"{application.diagnostics} {why}", log)
        return None

    def executor_lost(self, said: str) -> tuple[str, str] | None:
        """What happened to the last executor with a task that failed, and what to do, if it was that: with the end of its log."""
        if (lost := self._executor_lost(said)) is None:
            return None
        why, log = self._last_lost = lost
        return (
            f"its executor was lost each time, the last one because: {why}{last_lines(log)}",
            all_logs(str(self._manager.tagged(self._tag))),
        )

    def _executor_lost(self, said: str) -> tuple[str, str] | None:
        found = EXECUTOR.search(said)
        return found and (in_one_line(found[0]), self._manager.log_of(self._web_address(found["host"]), found["container"], "stderr"))

    def _web_address(self, host: str) -> str:
        """Of the NodeManager on a host."""
        return next((node.address for node in self._manager.nodes() if node.address.partition(":")[0] == host), f"{host}:8042")
