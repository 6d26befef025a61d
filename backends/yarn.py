"""Dask workers as YARN containers, started and replaced through skein. dask-yarn's way, on current Dask (docs/decisions.md says why)."""

import logging
import re
import shlex
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any, Protocol, Self

import dask
import skein
import skein.model
from dask.utils import parse_bytes
from distributed import Client, Future, Scheduler, SpecCluster
from distributed.security import Security

from backends import sizing, staging
from backends.diagnostics import all_logs, application_ended, in_one_line, last_lines
from backends.environment import Environment
from backends.resourcemanager import ResourceManager
from fruits.backend import Settings, Workers
from fruits.errors import RunFailed

log = logging.getLogger(__name__)

SERVICE = "dask.worker"  # dask-yarn's name for it
POLL_SECONDS = 1.0
GRANT_SECONDS = 40  # for YARN to give the first container: what it has not given by then it has no room for
CONNECT_SECONDS = 300  # for a container to unpack its environment and its worker to connect
HEARTBEAT_SECONDS = 5
# Applications in a row that may die, with the node of their master, before the run does; yarn.resourcemanager.am.max-attempts is 2 too.
APPLICATIONS = 3
EARLY_FAILURES = 3  # containers that may end before any worker has come: another try would not help
MEMORY = re.compile(r"physical memory used|beyond the '?PHYSICAL'? memory limit", re.IGNORECASE)  # as YARN says it, by its version

# dask-yarn's configuration, as far as it says something to this launcher; --set and Dask's own files change it. The dashboard asks for no
# password, and no node needs it: it listens on this machine alone.
dask.config.update_defaults(
    {
        "yarn": {
            "name": "fruits",
            "queue": "default",
            "environment": None,
            "dashboard-address": "127.0.0.1:0",
            "worker": {"count": None, "vcores": 1, "memory": None, "env": {}},
        }
    }
)

# Where skein puts its credentials in a container.
CERTIFICATE, KEY = ".skein.crt", ".skein.pem"

# The application master's own process: it lives as long as the driver's heartbeat does, so that nothing is left of a driver that was
# killed. /dev/tcp is bash's, and every node has that.
MASTER_SCRIPT = (
    "exec bash -c 'exec 3<>/dev/tcp/{host}/{port} && while read -r -t {silence} -u 3; do :; done; echo the driver is gone; exit 1'"
)


class YarnLauncher(Protocol):
    """What starts Dask's workers on YARN. `failure`: why it has given up, while work was waiting."""

    workers: Workers
    client: Client
    failure: RunFailed | None

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...
    def exceeded(self) -> RunFailed | None: ...
    def describe(self) -> dict[str, Any]: ...


def launcher(settings: Settings) -> YarnLauncher:
    """Raises `BadArgument` for what this YARN cluster cannot honour."""
    asked, configured = settings.yarn, dask.config.get
    dashboard = configured("yarn.dashboard-address")  # before dask-yarn is imported, which has a default of its own
    kind = YarnCluster
    if asked.launcher == "dask-yarn":
        from backends.dask_yarn import DaskYarnCluster, check_usable  # it builds on this module

        check_usable()
        kind = DaskYarnCluster
    vcores = int(configured("yarn.worker.vcores"))
    memory = configured("yarn.worker.memory")
    queue = asked.queue or configured("yarn.queue")
    manager = ResourceManager()
    plan = sizing.plan(
        manager,
        queue,
        settings.workers or _count(configured("yarn.worker.count")),
        asked.container_cores or vcores,
        asked.container_memory or (parse_bytes(memory) // 2**20 if memory else None),
        jvm=False,
    )
    environment = Environment.parse(asked.environment or configured("yarn.environment"))
    return kind(
        environment,
        plan.workers,
        plan.size.memory,
        manager=manager,
        queue=queue,
        name=configured("yarn.name"),
        worker_env={**configured("yarn.worker.env"), **asked.worker_environment},
        dashboard_address=dashboard,
    )


def _count(configured: int | None) -> Workers | None:
    return Workers(configured, configured) if configured else None


class Heartbeat:
    """A line every few seconds to whoever connects, for as long as this process lives."""

    def __init__(self, host: str) -> None:
        self._server = socket.create_server((host, 0))
        self._connections: list[socket.socket] = []
        self._ended = threading.Event()
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, name="heartbeat", daemon=True).start()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._server.accept()
            except OSError:  # closed
                return
            self._connections.append(connection)

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            for connection in list(self._connections):
                try:
                    connection.sendall(b"\n")
                except OSError:  # that master has ended
                    self._connections.remove(connection)

    def close(self) -> None:
        self._ended.set()
        self._server.close()
        for connection in self._connections:
            connection.close()


class YarnCluster:
    """A Dask scheduler in this process, and its workers in containers of a YARN application.

    `n_workers`: how many containers; between `least` and `most` as the scheduler needs them. `worker_memory`: of a container in MiB.
    The names are dask-yarn's. A container that ends is replaced, an application whose master's node is lost is submitted again, both a
    bounded number of times; then `failure` says why, and what waits for workers is cancelled.
    """

    def __init__(
        self,
        environment: Environment,
        n_workers: Workers,
        worker_memory: int,
        *,
        manager: ResourceManager,
        queue: str = "default",
        name: str = "fruits",
        worker_env: Mapping[str, str] | None = None,
        dashboard_address: str = "127.0.0.1:0",
    ) -> None:
        self.workers = n_workers
        self._manager, self._environment, self._memory = manager, environment, worker_memory
        self._host = manager.address_towards()  # what the nodes see of this machine
        self._queue, self._name, self._env = queue, name, dict(worker_env or {})
        self._dashboard = dashboard_address
        # Of this run alone: skein would keep some in the home folder. Containers get them as files; Dask's connections ask for them too.
        self._credentials = skein.Security.new_credentials()
        self._stack = ExitStack()
        self._ended = threading.Event()
        self._applications = 0
        self._finished: set[str] = set()  # containers whose end was noted
        self._lost: dict[str, str] = {}  # those of them that nobody had ended: what YARN said
        self._lost_at: list[float] = []
        self._connected = False
        self._app: skein.ApplicationClient | None = None
        self.application = ""
        self.failure: RunFailed | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._heartbeat = Heartbeat(self._host)
            stack.callback(self._heartbeat.close)
            self._open(stack)
            watcher = threading.Thread(target=self._watch, name="yarn", daemon=True)
            watcher.start()
            stack.callback(watcher.join)
            stack.callback(self._ended.set)
            self._wait()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def _open(self, stack: ExitStack) -> None:
        """The scheduler, a client of it, and the application, which `stack` is to end."""
        security = _security(self._credentials)
        options = {"host": self._host, "port": 0, "protocol": "tls://", "security": security, "dashboard_address": self._dashboard}
        scheduler = {"cls": Scheduler, "options": options}
        self._cluster = stack.enter_context(SpecCluster(workers={}, scheduler=scheduler, name=self._name, security=security))
        self.client = stack.enter_context(Client(self._cluster))
        self._skein = stack.enter_context(self._driver())
        stack.callback(self._shutdown)
        self._submit(self._specification())

    @property
    def address(self) -> str:
        return str(self._cluster.scheduler_address)

    def _driver(self) -> skein.Client:
        try:
            return skein.Client(security=self._credentials, log=None if log.isEnabledFor(logging.DEBUG) else False)
        except skein.SkeinError as failed:
            raise RunFailed(
                f"skein's client did not start: {failed}",
                "it needs Java and the `yarn` command on the PATH; --log-level debug shows what it says",
            ) from failed

    def _service(self) -> skein.Service:
        command = [
            *(self._environment.python, "-m", "distributed.cli.dask_worker", self.address),
            *("--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", f"{self._memory}MiB", "--death-timeout", "60"),
            *("--tls-ca-file", CERTIFICATE, "--tls-cert", CERTIFICATE, "--tls-key", KEY),
        ]
        return skein.Service(
            instances=0,  # the watcher adds them, and it alone
            max_restarts=0,
            allow_failures=True,
            script=f'exec {shlex.join(command)} --name "$CONTAINER_ID" --local-directory "$PWD"',
            **self._container(),
        )

    def _container(self) -> dict[str, Any]:
        """What any service of workers has."""
        archive = self._environment.archive
        return {
            "resources": skein.Resources(memory=self._memory, vcores=1),
            "files": {"environment": staging.of_nodes(archive)} if archive else {},
            "env": {**self._env, "DASK_INTERNAL_INHERIT_CONFIG": dask.config.serialize(dask.config.global_config)},
        }

    def _specification(self) -> skein.ApplicationSpec:
        script = MASTER_SCRIPT.format(host=self._host, port=self._heartbeat.port, silence=10 * HEARTBEAT_SECONDS)
        return skein.ApplicationSpec(
            name=self._name,
            queue=self._queue,
            tags={"fruits", "dask"},
            services={SERVICE: self._service()},
            master=skein.Master(resources=skein.Resources(memory=sizing.MASTER, vcores=1), script=script),
        )

    def _submit(self, specification: skein.ApplicationSpec) -> None:
        self._applications += 1
        try:
            self.application = self._skein.submit(specification)
        except skein.SkeinError as refused:
            raise RunFailed(f"YARN refused the application: {_first_line(refused)}", "check --queue, and its limits") from refused
        log.info("YARN application %s submitted", self.application)

    def _wait(self) -> None:
        """Returns when the first worker is there; raises `RunFailed` with YARN's reason when there will be none."""
        asked = granted = time.monotonic()
        master = False
        while not self.client.scheduler_info(n_workers=-1)["workers"]:
            if self.failure:
                raise self.failure
            now = time.monotonic()
            if self._app is not None and not master:  # from now on it asks for the workers' containers
                master, asked = True, now
            if not self._containers("running", "succeeded", "failed", "killed"):
                granted = now
                if now - asked > GRANT_SECONDS:
                    raise RunFailed(
                        f"YARN gave {self.application} no container in {GRANT_SECONDS} s: {self._reason()}",
                        sizing.NO_ROOM,
                    )
            elif now - granted > CONNECT_SECONDS:
                raise RunFailed(
                    f"no worker of {self.application} connected to {self.address} in {CONNECT_SECONDS} s",
                    "check that the nodes reach this machine: its firewall, and its address",
                )
            time.sleep(POLL_SECONDS / 4)
        self._connected = True

    def _containers(self, *states: str) -> list[skein.model.Container]:
        if self._app is None:
            return []
        try:
            return list(self._app.get_containers(services=[SERVICE], states=states))
        except skein.SkeinError:  # the master has ended, or is about to: the application's state will tell
            return []

    def _watch(self) -> None:
        """The one place that adds, replaces and removes containers."""
        try:
            while not self._ended.wait(POLL_SECONDS):
                try:
                    self._step()
                except skein.SkeinError as failed:
                    log.info("skein: %s", _first_line(failed))  # asked again in a second
        except RunFailed as failed:
            self.failure = failed
        finally:
            if not self._ended.is_set():
                self.failure = self.failure or RunFailed(
                    "what watches the YARN application has ended", "please report it: a fault of fruits"
                )
                self._cancel_all()

    def _cancel_all(self) -> None:
        """Until the end: a run that is between two stages submits only later what nobody would work on."""
        while True:
            self.client.cancel([Future(key, self.client) for key in list(self.client.futures)], force=True)
            if self._ended.wait(POLL_SECONDS):
                return

    def _step(self) -> None:
        report = self._skein.application_report(self.application)
        if str(report.state) in ("FINISHED", "FAILED", "KILLED"):
            self._again(report)
            return
        if str(report.state) != "RUNNING":
            return
        if self._app is None:
            self._app = self._skein.connect(self.application, wait=False)
        for container in self._containers("succeeded", "failed", "killed"):
            if container.yarn_container_id not in self._finished:
                self._ended_container(container)
        alive = self._containers("waiting", "requested", "running")
        wanted = self._wanted()
        for _ in range(wanted - len(alive)):
            self._app.add_container(SERVICE)
        if wanted < len(alive):
            self._retire(alive, len(alive) - wanted)

    def _again(self, report: skein.model.ApplicationReport) -> None:
        """The application has ended, and not by us: with its master's node, because it could not live, or because somebody killed it."""
        self._app = None
        if not self._connected or self._applications == APPLICATIONS or str(report.state) == "KILLED":
            raise self._gone(report)
        log.warning("the YARN application %s has ended (%s): submitting another", self.application, in_one_line(report.diagnostics))
        self._submit(self._specification())

    def _gone(self, report: skein.model.ApplicationReport) -> RunFailed:
        return application_ended(self.application, str(report.state), report.diagnostics, self._log())

    def _ended_container(self, container: skein.model.Container) -> None:
        """Notes a container that has ended; raises `RunFailed` when too many were lost, which those that were retired are not."""
        self._finished.add(container.yarn_container_id)
        if self._ended.is_set() or str(container.state) != "FAILED":
            return
        said = self._lost[container.yarn_container_id] = in_one_line(container.exit_message or "")
        log.warning("container %s ended: %s", container.yarn_container_id, said)
        now = time.monotonic()
        self._lost_at = [*(at for at in self._lost_at if now - at < sizing.FAILURES_WITHIN), now]
        tries = EARLY_FAILURES if not self._connected else sizing.FAILURES * self.workers.most
        if sum(bool(MEMORY.search(text)) for text in self._lost.values()) >= EARLY_FAILURES and (exceeded := self.exceeded()):
            raise exceeded
        if len(self._lost_at) >= tries:
            raise RunFailed(
                f"{len(self._lost_at)} containers have ended, the last one ({container.yarn_container_id}) with: {said}"
                + last_lines(self._manager.log_of(container.yarn_node_http_address, container.yarn_container_id, f"{SERVICE}.log")),
                f"check --environment ({self._environment.description}); {all_logs(self.application)}",
            )

    def exceeded(self) -> RunFailed | None:
        """What YARN said of containers with too much memory, if there were any."""
        over = [text for text in self._lost.values() if MEMORY.search(text)]
        if not over:
            return None
        return RunFailed(
            f"{len(over)} containers of {self._memory} MiB exceeded their memory; YARN says of the last: {over[-1]}",
            f"raise --container-memory above {self._memory}",
        )

    def _wanted(self) -> int:
        if self.workers.least == self.workers.most:
            return self.workers.most
        target = self.client.sync(self.client.scheduler.adaptive_target)
        return min(max(int(target), self.workers.least), self.workers.most)

    def _retire(self, alive: list[skein.model.Container], surplus: int) -> None:
        """Ends containers: first such as YARN has not given yet, then workers, whose results are moved away before."""
        assert self._app is not None
        waiting = [container for container in alive if str(container.state) != "RUNNING"][:surplus]
        for container in waiting:
            self._app.kill_container(container.id)
        if surplus == len(waiting):
            return
        closing = list(self.client.sync(self.client.scheduler.workers_to_close, n=surplus - len(waiting)))
        log.info("retiring %s", closing)
        self.client.retire_workers(workers=closing)

    def _reason(self) -> str:
        try:
            report = self._skein.application_report(self.application)
        except skein.SkeinError as failed:
            return _first_line(failed)
        why = self._manager.why_waiting(self.application) if str(report.state) in ("ACCEPTED", "RUNNING") else ""
        return f"its state is {report.state}. {in_one_line(report.diagnostics)} {why}".strip()

    def _log(self) -> str:
        """What containers of an ended application wrote, as YARN collected it."""
        with suppress(skein.SkeinError, ValueError):  # the latter until YARN has collected it
            logs: Mapping[str, str] = self._skein.application_logs(self.application)
            return "\n".join(logs.values())
        return ""

    def _shutdown(self) -> None:
        """Ends the application; one that is not running yet is killed."""
        if not self.application:
            return
        with suppress(skein.SkeinError):
            if self._app is not None and self._connected and self.failure is None:
                self._app.shutdown("SUCCEEDED")
            else:
                self._skein.kill_application(self.application)

    def describe(self) -> dict[str, Any]:
        return {
            "application": self.application,
            "applications": self._applications,
            "queue": self._queue,
            "container_memory": self._memory,
            "containers_lost": self._lost,
            "environment": self._environment.description,
        }


def _security(credentials: skein.Security) -> Security:
    """Connections of Dask are encrypted, and made with those alone who have the credentials."""
    certificate, key = credentials.cert_bytes.decode(), credentials.key_bytes.decode()
    roles = {
        f"tls_{role}_{what}": text for role in ("client", "scheduler", "worker") for what, text in (("cert", certificate), ("key", key))
    }
    return Security(require_encryption=True, tls_ca_file=certificate, **roles)


def _first_line(failed: Exception) -> str:
    return (str(failed).strip().splitlines() or [type(failed).__name__])[0]
