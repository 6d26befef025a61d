"""Inside the head's namespaces: starts the daemons, waits until the cluster can work, runs the command, shows logs if it fails.

Called by `run.py` with its settings as JSON, then the command.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import requests

from hadoop import network
from hadoop.client import client_environment, write_commands
from hadoop.cluster import VARIABLE, Cluster
from hadoop.configuration import RESOURCEMANAGER, WEBHDFS, write_configuration
from hadoop.daemons import is_alive, kill, start_daemon
from hadoop.logs import print_logs

SPARK = Path("/srv/spark")
PATIENCE = 90  # seconds for the cluster to start

# Path, owner and mode in HDFS.
FOLDERS = (
    ("/tmp", "hdfs", "1777"),  # noqa: S108
    ("/user", "hdfs", "755"),
    ("/user/alice", "alice", "700"),
    ("/Forbidden", "hdfs", "700"),
    ("/yarn-logs", "yarn", "1777"),
)


def main(settings: dict[str, Any], command: list[str]) -> int:
    network.set_up_head()
    root = Path(settings["root"])
    network.resolve_names(root)
    cluster = Cluster(root / "cluster.json")
    started = time.monotonic()
    try:
        _start(cluster, settings)
        print(f"hadoop: ready in {time.monotonic() - started:.1f} s, {cluster.file}", file=sys.stderr)
        code = _run(command, cluster)
    except BaseException:
        print_logs(cluster)
        raise
    else:
        if code:
            print_logs(cluster)
    finally:
        _stop(cluster)
    return code


def _start(cluster: Cluster, settings: dict[str, Any]) -> None:
    root, java, jars = Path(settings["root"]), Path(settings["java"]), Path(settings["jars"])
    conf, logs, scratch = (root / name for name in ("conf", "logs", "scratch"))
    logs.mkdir()
    scratch.mkdir()
    if settings["spark"]:
        _share_spark(settings["spark"])
    write_configuration(conf, root, settings["vcores"])
    write_commands(root / "bin", conf, java, jars)
    nodes = [_new_node(root, name, address, settings) for name, address in network.NODES.items()]
    state = settings | {"webhdfs": WEBHDFS, "resourcemanager": RESOURCEMANAGER, "hdfs": f"hdfs://{network.HEAD}:8020"}
    cluster.write(state | {"logs": str(logs), "daemons": {}, "nodes": nodes})

    def start(daemon: str) -> None:
        state = cluster.state
        state["daemons"][daemon] = start_daemon(daemon, java, conf, jars, scratch, logs / f"{daemon}.log").pid
        cluster.write(state)

    start("resourcemanager")
    if start_daemon("namenode", java, conf, jars, scratch, logs / "format.log", "-format", "-nonInteractive").wait():
        raise RuntimeError(f"the NameNode could not be formatted, see {logs}/format.log")
    start("namenode")
    for name in network.NODES:
        cluster.boot_node(name)
    start("datanode")
    _wait_until_ready(cluster)


def _share_spark(folder: str) -> None:
    """Nodes start with what is mounted on the head."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", SPARK.parent], check=True)
    SPARK.mkdir()
    subprocess.run(["mount", "--bind", folder, SPARK], check=True)


def _new_node(root: Path, name: str, address: str, settings: dict[str, Any]) -> dict[str, Any]:
    folder = root / "nodes" / name
    for part in ("local", "logs"):
        (folder / part).mkdir(parents=True)
    write_configuration(folder / "conf", root, settings["vcores"], address)
    environment = "/mnt/environment" if settings["node_environment"] else None
    paths = {"local_dir": str(folder / "local"), "log_dir": str(folder / "logs"), "environment": environment}
    return {"name": name, "address": address, "pid": 0, "init": 0, **paths}


def _wait_until_ready(cluster: Cluster) -> None:
    end = time.monotonic() + PATIENCE
    waiting = [_hdfs_is_writable, _nodes_are_running]
    while waiting:
        state = cluster.state
        for name, pid in {**state["daemons"], **{node["name"]: node["pid"] for node in state["nodes"]}}.items():
            if not is_alive(pid):
                raise RuntimeError(f"{name} has ended")
        try:
            while waiting and waiting[0](cluster):
                del waiting[0]
        except requests.ConnectionError:
            pass  # its server is not up yet
        if time.monotonic() > end:
            raise TimeoutError(f"the cluster is not ready after {PATIENCE} s")
        time.sleep(0.1)
    for path, owner, mode in FOLDERS:
        cluster.hdfs("PUT", path, "MKDIRS", permission=mode)
        cluster.hdfs("PUT", path, "SETOWNER", owner=owner)


def _hdfs_is_writable(cluster: Cluster) -> bool:
    name_system = requests.get(f"{cluster.state['webhdfs']}/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState", timeout=10).json()
    return any(bean["FSState"] == "Operational" and bean["NumLiveDataNodes"] == 1 for bean in name_system["beans"])


def _nodes_are_running(cluster: Cluster) -> bool:
    return cluster.node_states() == dict.fromkeys(network.NODES, "RUNNING")


def _run(command: list[str], cluster: Cluster) -> int:
    """The exit code of the command, which decides itself what Ctrl-C means."""
    environment = client_environment(Path(cluster.state["root"])) | {VARIABLE: str(cluster.file)}
    try:
        process = subprocess.Popen(command, env=environment)
    except FileNotFoundError as missing:
        print(missing, file=sys.stderr)
        return 127
    signal.signal(signal.SIGINT, lambda *_: None)
    code = process.wait()
    return code if code >= 0 else 128 - code


def _stop(cluster: Cluster) -> None:
    """Nothing is to be kept, so nothing is asked to end. What else runs in this pid namespace ends with its process 1."""
    if cluster.file.exists():
        state = cluster.state
        for pid in [*(node["init"] for node in state["nodes"]), *state["daemons"].values()]:
            if pid:
                kill(pid)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
