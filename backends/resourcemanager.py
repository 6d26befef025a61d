"""YARN's ResourceManager, asked over its REST interface: nodes, queues, applications.

https://hadoop.apache.org/docs/stable/hadoop-yarn/hadoop-yarn-site/ResourceManagerRest.html
"""

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from fruits import hadoop
from fruits.errors import BadArgument

SECONDS = 10
ACTIVITY_TRIES = 4
LOG_BYTES = 4000
DEFAULT_HOST = "0.0.0.0"  # noqa: S104 - yarn-default.xml's; it means that none was configured
DEFAULT_PORT = 8088


@dataclass(frozen=True)
class Node:
    """A running NodeManager and all that it may give away."""

    address: str
    vcores: int
    memory: int  # MiB
    labels: frozenset[str]


@dataclass(frozen=True)
class Queue:
    """`share`: of the cluster, in per cent, that its applications may have at most. `labels`: of the nodes that it may use; `*` is all."""

    name: str
    running: bool
    share: float
    labels: frozenset[str]


@dataclass(frozen=True)
class Application:
    """`diagnostics`: YARN's own words. `containers` that it has now, its master's among them."""

    id: str
    state: str
    diagnostics: str
    containers: int

    @property
    def final(self) -> bool:
        """YARN will not change it any more."""
        return self.state in ("FINISHED", "FAILED", "KILLED")


class ResourceManager:
    """Raises `BadArgument` where no configuration of YARN is found, and when no ResourceManager answers."""

    def __init__(self) -> None:
        properties = hadoop.properties()
        if properties is None:
            raise BadArgument(
                "--cluster yarn: there is no configuration of a cluster",
                "set HADOOP_CONF_DIR to the folder that holds its core-site.xml and yarn-site.xml",
            )
        self.properties = properties
        self._addresses = _web_addresses(properties)
        if not self._addresses:
            raise BadArgument(
                "--cluster yarn: yarn-site.xml names no ResourceManager",
                "set yarn.resourcemanager.hostname there, or check HADOOP_CONF_DIR",
            )
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy of the office does not know the cluster
        self.cluster: dict[str, Any] = self._get("info")["clusterInfo"]

    @property
    def address(self) -> str:
        """Of the one that answered."""
        return self._addresses[0]

    @property
    def host(self) -> str:
        return str(urlsplit(self.address).hostname)

    def nodes(self) -> list[Node]:
        found = (self._get("nodes?states=RUNNING")["nodes"] or {}).get("node", [])
        return [
            Node(
                n["nodeHTTPAddress"],
                n["usedVirtualCores"] + n["availableVirtualCores"],
                n["usedMemoryMB"] + n["availMemoryMB"],
                frozenset(n.get("nodeLabels") or ()),
            )
            for n in found
        ]

    def queues(self) -> dict[str, Queue]:
        """The queues that take applications, by name. Schedulers without such a list give none."""
        info = self._get("scheduler")["scheduler"]["schedulerInfo"]
        found: dict[str, Queue] = {}
        self._leaves(info, found)
        return found

    def _leaves(self, info: Mapping[str, Any], found: dict[str, Queue]) -> None:
        children = (info.get("queues") or {}).get("queue", [])
        for child in children:
            self._leaves(child, found)
        if not children and "queueName" in info:
            name = info["queueName"]
            running = info.get("state", "RUNNING") == "RUNNING"
            found[name] = Queue(name, running, float(info.get("absoluteMaxCapacity", 100)), frozenset(info.get("nodeLabels") or ()))

    def has_label(self, label: str, queue: str) -> bool:
        """Whether running nodes have this label, and the queue has access to them."""
        found = self.queues().get(queue.rpartition(".")[2])
        return found is not None and bool({label, "*"} & found.labels) and any(label in node.labels for node in self.nodes())

    def application(self, name: str) -> Application:
        app = self._get(f"apps/{name}")["app"]
        # -1 where there are none yet. The count lags behind the master, which has a log as soon as it has a container.
        containers = max(app["runningContainers"], 1 if app.get("amContainerLogs") else 0)
        return Application(name, app["state"], app["diagnostics"], containers)

    def why_waiting(self, name: str) -> str:
        """Why the scheduler gives an application no container, in its own words; empty where it tells nothing.

        https://hadoop.apache.org/docs/stable/hadoop-yarn/hadoop-yarn-site/CapacityScheduler.html#Activities
        """
        said: dict[str, None] = {}  # in order, each once
        for _ in range(ACTIVITY_TRIES):  # the first question only makes it listen
            try:
                answer = self._get(f"scheduler/app-activities/{name}")["appActivities"]
            except BadArgument:  # another scheduler than the CapacityScheduler
                return ""
            for node in answer.get("allocations", []):
                for part in (node, *node.get("children", [])):
                    if words := part.get("diagnostic"):
                        said[words] = None
            if said:
                break
            time.sleep(1)
        return "; ".join(said)

    def log_of(self, node: str, container: str, file: str) -> str:
        """The end of a file that a container wrote, as long as its application goes on; `node` as host:port of its web interface."""
        url = f"http://{node}/ws/v1/node/containers/{container}/logs/{file}?size=-{LOG_BYTES}"
        try:
            answer = self._http.get(url, timeout=SECONDS)
            answer.raise_for_status()
        except requests.RequestException as failed:
            return f"(no log of {container}: {type(failed).__name__})"
        # Between a head and a foot that say whose it is.
        return answer.text.partition("LogContents:")[2].partition("End of LogType:")[0].strip() or answer.text

    def tagged(self, tag: str) -> str | None:
        """The id of the newest application with this tag."""
        found = (self._get(f"apps?applicationTags={tag}")["apps"] or {}).get("app", [])
        return max((app["id"] for app in found), default=None)

    def address_towards(self) -> str:
        """The address of this machine that the ResourceManager, and so the nodes, see."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((self.host, 9))  # sends nothing: it only asks the routing table
            return str(probe.getsockname()[0])

    def _get(self, path: str) -> Any:
        failures = []
        for address in list(self._addresses):
            try:
                answer = self._http.get(f"{address}/ws/v1/cluster/{path}", timeout=SECONDS, headers={"Accept": "application/json"})
                answer.raise_for_status()
                content = answer.json()
            except (requests.RequestException, ValueError) as failed:
                failures.append(f"{address}: {type(failed).__name__}")
                continue
            self._addresses.remove(address)
            self._addresses.insert(0, address)
            return content
        raise BadArgument(
            f"no ResourceManager of YARN answers ({'; '.join(failures)})",
            "check that it runs, that this machine reaches it, and yarn-site.xml in HADOOP_CONF_DIR",
        )


def _web_addresses(properties: Mapping[str, str]) -> list[str]:
    secure = properties.get("yarn.http.policy") == "HTTPS_ONLY"
    scheme, key, port = ("https", "webapp.https.address", 8090) if secure else ("http", "webapp.address", DEFAULT_PORT)
    ids = [f".{name.strip()}" for name in properties.get("yarn.resourcemanager.ha.rm-ids", "").split(",") if name.strip()] or [""]
    addresses = []
    for suffix in ids:
        host = properties.get(f"yarn.resourcemanager.hostname{suffix}", DEFAULT_HOST)
        given = properties.get(f"yarn.resourcemanager.{key}{suffix}", f"{host}:{port}")
        given = given.replace("${yarn.resourcemanager.hostname}", host)
        if not given.startswith(f"{DEFAULT_HOST}:"):
            addresses.append(f"{scheme}://{given}")
    return addresses
