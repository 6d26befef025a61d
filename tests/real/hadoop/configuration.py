"""The configuration files of the daemons and of their clients."""

from pathlib import Path
from xml.sax.saxutils import escape

from hadoop.network import HEAD, NODES

WEBHDFS = f"http://{HEAD}:9870"
RESOURCEMANAGER = f"http://{HEAD}:8088"

VCORES = 4  # of a node
MEMORY = 1536  # MB of a node for each of them

# Where a node sees what was bound into it; the same on every node, and nowhere on the head.
NODE_FOLDER = Path("/mnt")
NODE_HADOOP = NODE_FOLDER / "hadoop"
NODE_ENVIRONMENT = NODE_FOLDER / "environment"

LOG4J = """\
log4j.rootLogger=INFO,console
log4j.logger.http.requests=WARN
log4j.logger.org.apache.hadoop.hdfs.server.namenode.FSNamesystem.audit=WARN
log4j.logger.org.apache.hadoop.hdfs.server.datanode.fsdataset=WARN
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{2}: %m%n
"""

Properties = dict[str, object]


def write_configuration(folder: Path, root: Path, vcores: int, node_address: str | None = None) -> None:
    """Writes a HADOOP_CONF_DIR: that of the head and of clients, or of the node with this address. `root` is where the head's data goes,
    and `vcores` what each node says it has."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "core-site.xml", _core())
    _write(folder / "hdfs-site.xml", _hdfs(root / "hdfs"))
    _write(folder / "yarn-site.xml", _yarn(root, vcores) | (_node(node_address, vcores) if node_address else {}))
    write_queues(folder)
    (folder / "log4j.properties").write_text(LOG4J)
    # Maven's hadoop-hdfs jar lacks these folders, without which the web servers (and so webhdfs) do not start.
    for daemon in ("hdfs", "datanode"):
        (folder / "webapps" / daemon).mkdir(parents=True, exist_ok=True)


def write_queues(folder: Path, label: str | None = None) -> None:
    """Writes the scheduler's file; with a label, to the nodes of which the queue `default` has access."""
    _write(folder / "capacity-scheduler.xml", _queues() | (_labelled(label) if label else {}))


def _core() -> Properties:
    return {
        "fs.defaultFS": f"hdfs://{HEAD}:8020",
        # These users exist in no /etc/passwd.
        "hadoop.user.group.static.mapping.overrides": "dr.who=;hdfs=supergroup;yarn=hadoop;alice=users",
        "ipc.client.connect.retry.interval": 300,
    }


def _hdfs(folder: Path) -> Properties:
    return {
        "dfs.replication": 1,
        "dfs.permissions.enabled": "true",
        "dfs.webhdfs.enabled": "true",
        "dfs.namenode.name.dir": (folder / "names").as_uri(),
        "dfs.datanode.data.dir": (folder / "blocks").as_uri(),
        "dfs.namenode.http-address": f"{HEAD}:9870",
        "dfs.namenode.rpc-bind-host": HEAD,
        "dfs.datanode.hostname": HEAD,
        "dfs.datanode.address": f"{HEAD}:9866",
        "dfs.datanode.http.address": f"{HEAD}:9864",
        "dfs.datanode.ipc.address": f"{HEAD}:9867",
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        "dfs.namenode.safemode.extension": 0,
        "dfs.namenode.edits.noeditlogchannelflush": "true",
        # The wait when a file is closed before the NameNode has heard of its block, which on one machine it nearly always is.
        "dfs.client.block.write.locateFollowingBlock.initial.delay.ms": 10,
    }


def _yarn(root: Path, vcores: int) -> Properties:
    return {
        "yarn.resourcemanager.hostname": HEAD,
        "yarn.resourcemanager.bind-host": HEAD,
        "yarn.resourcemanager.webapp.address": f"{HEAD}:8088",
        "yarn.resourcemanager.scheduler.class": "org.apache.hadoop.yarn.server.resourcemanager.scheduler.capacity.CapacityScheduler",
        "yarn.resourcemanager.am.max-attempts": 2,
        "yarn.resourcemanager.nodemanagers.heartbeat-interval-ms": 200,
        "yarn.resourcemanager.connect.retry-interval.ms": 300,
        "yarn.nm.liveness-monitor.expiry-interval-ms": 20_000,
        "yarn.am.liveness-monitor.expiry-interval-ms": 180_000,
        "yarn.scheduler.minimum-allocation-mb": 128,
        "yarn.scheduler.maximum-allocation-mb": MEMORY * vcores,
        "yarn.scheduler.maximum-allocation-vcores": vcores,
        "yarn.admin.acl": "yarn",
        "yarn.node-labels.enabled": "true",
        "yarn.node-labels.fs-store.root-dir": (root / "labels").as_uri(),
        "yarn.log-aggregation-enable": "true",
        "yarn.nodemanager.remote-app-log-dir": "/yarn-logs",
        # What an application master finds on its node.
        "yarn.application.classpath": f"{NODE_HADOOP}/conf,{NODE_HADOOP}/jars/*",
    }


def _node(address: str, vcores: int) -> Properties:
    return {
        "yarn.nodemanager.hostname": address,
        "yarn.nodemanager.bind-host": address,
        "yarn.nodemanager.address": f"{address}:8041",
        "yarn.nodemanager.webapp.address": f"{address}:8042",
        "yarn.nodemanager.local-dirs": NODE_HADOOP / "local",
        "yarn.nodemanager.log-dirs": NODE_HADOOP / "logs",
        "yarn.nodemanager.resource.memory-mb": MEMORY * vcores,
        "yarn.nodemanager.resource.cpu-vcores": vcores,
        # As on EMR: a container that uses more memory than it asked for is killed. Virtual memory says nothing.
        "yarn.nodemanager.pmem-check-enabled": "true",
        # Else YARN leaves the killing to cgroups, which are not in use here.
        "yarn.nodemanager.resource.memory.enforced": "false",
        "yarn.nodemanager.vmem-check-enabled": "false",
        "yarn.nodemanager.container-monitor.interval-ms": 1000,
        "yarn.nodemanager.sleep-delay-before-sigkill.ms": 250,
        "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": 99.5,
    }


def _queues() -> Properties:
    capacity = "yarn.scheduler.capacity"
    return {
        f"{capacity}.resource-calculator": "org.apache.hadoop.yarn.util.resource.DominantResourceCalculator",
        f"{capacity}.maximum-am-resource-percent": 0.6,
        f"{capacity}.node-locality-delay": -1,
        f"{capacity}.root.queues": "default,small,closed",
        f"{capacity}.root.default.capacity": 98,
        f"{capacity}.root.default.maximum-capacity": 100,
        # One of the eight cores: an application master runs, and no worker beside it.
        f"{capacity}.root.small.capacity": 1,
        f"{capacity}.root.small.maximum-capacity": 100 / (VCORES * len(NODES)),
        f"{capacity}.root.small.user-limit-factor": 100,
        f"{capacity}.root.closed.capacity": 1,
        f"{capacity}.root.closed.maximum-capacity": 100,
        f"{capacity}.root.closed.state": "STOPPED",
    }


def _labelled(label: str) -> Properties:
    root = "yarn.scheduler.capacity.root"
    return {
        f"{root}.accessible-node-labels": label,
        f"{root}.accessible-node-labels.{label}.capacity": 100,
        f"{root}.default.accessible-node-labels": label,
        f"{root}.default.accessible-node-labels.{label}.capacity": 100,
        # A space is none; a queue that says nothing inherits them.
        f"{root}.small.accessible-node-labels": " ",
        f"{root}.closed.accessible-node-labels": " ",
    }


def _write(file: Path, properties: Properties) -> None:
    lines = [f"  <property><name>{escape(name)}</name><value>{escape(str(value))}</value></property>" for name, value in properties.items()]
    file.write_text("\n".join(['<?xml version="1.0"?>', "<configuration>", *lines, "</configuration>", ""]))
