"""The running test cluster, as the tests inside it see and disturb it."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import requests

from hadoop import network
from hadoop.configuration import write_queues
from hadoop.daemons import SYSTEM_PATH, is_alive, kill

VARIABLE = "FRUITS_TEST_CLUSTER"
# Without an option for a user: who is not root becomes it in the namespaces of the head.
UNSHARE = ("unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child")


@dataclass(frozen=True)
class Node:
    """A node; its pids are those that the head sees."""

    name: str
    address: str
    pid: int  # of its NodeManager
    init: int  # of its process 1: to enter its namespaces; everything on the node ends with it
    local_dir: Path  # as the head sees it; on the node /mnt/hadoop/local
    log_dir: Path  # containers' logs while their application runs; on the node /mnt/hadoop/logs
    environment: str | None  # path on the node of --node-environment


@dataclass(frozen=True)
class Process:
    """A process of a container."""

    pid: int  # on the head
    node: str
    container: str
    command: list[str]


class Cluster:
    """What FRUITS_TEST_CLUSTER describes. The file is read anew for each question: another process may have restarted a node."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @classmethod
    def from_environment(cls) -> Self:
        """The cluster that this process runs in; KeyError outside of `run.py`."""
        return cls(Path(os.environ[VARIABLE]))

    @property
    def state(self) -> dict[str, Any]:
        """The whole description: URLs (webhdfs, resourcemanager, hdfs), folders (root, logs, ...), daemons (pids by name), nodes."""
        return dict(json.loads(self.file.read_text()))

    @property
    def nodes(self) -> list[Node]:
        """All nodes, those that were killed included."""
        return [Node(**node | {"local_dir": Path(node["local_dir"]), "log_dir": Path(node["log_dir"])}) for node in self.state["nodes"]]

    def node(self, name: str) -> Node:
        """A node by name or address; KeyError for another."""
        for node in self.nodes:
            if name in (node.name, node.address):
                return node
        raise KeyError(name)

    def enter(self, name: str, *command: str) -> list[str]:
        """The command line that runs `command` on a node, in all of its namespaces, with the environment of the caller."""
        return ["nsenter", "--target", str(self.node(name).init), "--net", "--mount", "--uts", "--pid", "--wd=/", "--", *command]

    def processes(self, name: str | None = None) -> list[Process]:
        """The processes of containers, on one node or on all."""
        nodes = [self.node(name)] if name else self.nodes
        found = []
        for node in nodes:
            for pid in self._pids(node):
                try:
                    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                    command = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                except (FileNotFoundError, ProcessLookupError):
                    continue  # it has ended meanwhile
                for entry in environment:
                    if entry.startswith(b"CONTAINER_ID="):
                        container = entry.partition(b"=")[2].decode()
                        found.append(Process(pid, node.name, container, [part.decode(errors="replace") for part in command]))
        return found

    def kill_container(self, container: str) -> None:
        """SIGKILL to every process of a container, by its id; LookupError where there is none."""
        processes = [process for process in self.processes() if process.container == container]
        if not processes:
            raise LookupError(f"no process of container {container}")
        for process in processes:
            kill(process.pid)

    def kill_node(self, name: str, timeout: float = 10) -> None:
        """Ends the NodeManager and everything it started, without a farewell; returns when nothing is left. TimeoutError otherwise.

        YARN takes 20 s to notice (`wait_for_state(name, "LOST")`).
        """
        node = self.node(name)
        pids = self._pids(node)
        kill(node.init)
        _wait(lambda: not any(map(is_alive, [node.init, *pids])), timeout, f"{name} has processes left")
        network.unplug(name)

    def start_node(self, name: str, timeout: float = 60) -> None:
        """Starts a node that was killed, as a machine that boots; returns when YARN says RUNNING."""
        if is_alive(self.node(name).init):
            raise RuntimeError(f"{name} is running")
        self.boot_node(name)
        _wait(lambda: self._node_answers(name), timeout, f"the NodeManager of {name} does not answer")
        self.wait_for_state(name, "RUNNING", timeout)

    def boot_node(self, name: str) -> None:
        """Starts a node and waits for its process 1 only."""
        state = self.state
        folder = Path(state["root"], "nodes", name)
        entry = next(node for node in state["nodes"] if node["name"] == name)
        with Path(state["logs"], f"nodemanager-{name}.log").open("ab") as log:
            process = subprocess.Popen(
                ["setsid", "--fork", *UNSHARE, sys.executable, Path(__file__).with_name("node.py"), folder, self.file],
                env={"PATH": SYSTEM_PATH},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        process.wait()  # the node goes on as a child of the head's process 1
        assert process.stdin
        assert process.stdout
        if not (line := process.stdout.readline()):
            raise RuntimeError(f"{name} did not start, see its log in {state['logs']}")
        entry["init"] = int(line)
        network.plug_in(name, entry["init"])
        process.stdin.write(b"\n")
        process.stdin.close()
        process.stdout.close()
        _wait(lambda: self._nodemanager(entry["init"]) is not None, 20, f"{name} does not start, see its log in {state['logs']}")
        entry["pid"] = self._nodemanager(entry["init"])
        self.write(state)

    def set_link(self, name: str, up: bool) -> None:
        """Pulls or puts back the network cable of a node; its processes go on, and no connection is closed."""
        network.set_link(name, "up" if up else "down")

    def node_states(self) -> dict[str, str]:
        """YARN's state of each node that it knows by name: RUNNING, LOST and so on."""
        answer = self.yarn("nodes?states=new,running,unhealthy,decommissioned,lost,rebooted,shutdown")
        names = {node.address: node.name for node in self.nodes}
        return {names[node["nodeHostName"]]: node["state"] for node in (answer["nodes"] or {}).get("node", [])}

    def wait_for_state(self, name: str, state: str, timeout: float = 60) -> None:
        """Waits until YARN says so of a node; TimeoutError."""
        _wait(lambda: self.node_states().get(name) == state, timeout, f"{name} is not {state}")

    def yarn(self, path: str) -> dict[str, Any]:
        """What the ResourceManager's REST interface answers below /ws/v1/cluster/; requests.HTTPError."""
        return dict(_http("GET", f"{self.state['resourcemanager']}/ws/v1/cluster/{path}").json())

    def applications(self) -> list[dict[str, Any]]:
        """All applications as YARN's REST interface shows them, the newest last."""
        return sorted((self.yarn("apps")["apps"] or {}).get("app", []), key=lambda application: application["startedTime"])

    def set_label(self, name: str, label: str | None) -> None:
        """Gives a node a non-exclusive node label, to which the queue `default` has access, or takes it away; needs about 3 s.

        While the node has it, application masters without a label do not run there, other containers do where it is idle.
        """
        administrator = {"user.name": "yarn"}
        url = f"{self.state['resourcemanager']}/ws/v1/cluster"
        if label:
            _http("POST", f"{url}/add-node-labels", params=administrator, json={"nodeLabelInfo": [{"name": label, "exclusivity": False}]})
            write_queues(Path(self.state["root"], "conf"), label)
            refresh = [f"{self.state['root']}/bin/yarn", "rmadmin", "-refreshQueues"]
            subprocess.run(refresh, env={**os.environ, "HADOOP_USER_NAME": "yarn"}, check=True, capture_output=True)
        node = f"{self.node(name).address}:8041"
        _http("POST", f"{url}/nodes/{node}/replace-labels", params={**administrator, "labels": label or ""})

    def labels(self, name: str) -> list[str]:
        """What YARN says of a node's labels."""
        nodes = self.yarn("nodes")["nodes"]["node"]
        found = next(node.get("nodeLabels", []) for node in nodes if node["nodeHostName"] == self.node(name).address)
        return [label for label in found if label]  # one that was taken away leaves an empty one

    def hdfs(self, method: str, path: str, operation: str, user: str = "hdfs", data: bytes | None = None, **parameters: str) -> Any:
        """An operation of webhdfs as `user`; its JSON, or bytes for OPEN. requests.HTTPError where it is refused."""
        query = {"op": operation, "user.name": user, **parameters}
        response = _http(method, f"{self.state['webhdfs']}/webhdfs/v1{path}", params=query, data=data)
        if operation == "OPEN":
            return response.content
        return response.json() if response.content else None

    def write(self, state: dict[str, Any]) -> None:
        """Replaces the description."""
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(state, indent=2))
        new.replace(self.file)

    def _pids(self, node: Node) -> list[int]:
        """All processes of a node, as the head numbers them."""
        try:
            namespace = os.readlink(f"/proc/{node.init}/ns/pid")
        except FileNotFoundError:
            return []  # the node was killed
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(entry / "ns/pid") == namespace:
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
        return found

    def _nodemanager(self, init: int) -> int | None:
        """The pid of the NodeManager below a node's process 1, if that has come so far."""
        if not is_alive(init):
            raise RuntimeError("a node ended while it started, see the logs of the NodeManagers")
        if Path(f"/proc/{init}/comm").read_text().strip() != "bash":
            return None
        children = Path(f"/proc/{init}/task/{init}/children").read_text().split()
        return int(children[0]) if children else None

    def _node_answers(self, name: str) -> bool:
        # YARN calls a node that was away for less than 20 s RUNNING all the time.
        try:
            return _http("GET", f"http://{self.node(name).address}:8042/ws/v1/node/info").ok
        except requests.ConnectionError:
            return False


def _http(method: str, url: str, **arguments: Any) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False  # no proxy is reached from here
        response = session.request(method, url, timeout=30, **arguments)
    response.raise_for_status()
    return response


def _wait(condition: Any, timeout: float, otherwise: str) -> None:
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{otherwise} after {timeout:g} s")
        time.sleep(0.1)
