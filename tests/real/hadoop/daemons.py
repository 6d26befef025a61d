"""The commands that start Hadoop's daemons, and their pids."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

MAIN = {
    "namenode": "org.apache.hadoop.hdfs.server.namenode.NameNode",
    "datanode": "org.apache.hadoop.hdfs.server.datanode.DataNode",
    "resourcemanager": "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager",
    "nodemanager": "org.apache.hadoop.yarn.server.nodemanager.NodeManager",
}
# HDFS's superuser is who the NameNode runs as.
USER = {"namenode": "hdfs", "datanode": "hdfs", "resourcemanager": "yarn", "nodemanager": "yarn"}
HEAP = {"namenode": 160, "datanode": 128, "resourcemanager": 256, "nodemanager": 192}  # MB


def java_home() -> Path:
    """The home of the Java that JAVA_HOME or PATH names; FileNotFoundError without one."""
    if home := os.environ.get("JAVA_HOME"):
        return Path(home).resolve()
    if java := shutil.which("java"):
        return Path(java).resolve().parents[1]
    raise FileNotFoundError("no java on the PATH, and no JAVA_HOME")


def daemon_command(daemon: str, java: Path, conf: Path, jars: Path, scratch: Path, *arguments: str) -> list[str]:
    """The command line of a daemon; `java` is a Java home, `conf` its HADOOP_CONF_DIR, `jars` and `scratch` folders."""
    return [
        *(f"{java}/bin/java", f"-Xmx{HEAP[daemon]}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"),
        # Nobody asks the daemons to end, so nothing of theirs may lie in a shared folder.
        *("-XX:-UsePerfData", f"-Djava.io.tmpdir={scratch}"),
        # Java 17 keeps guice of the YARN daemons out of this package.
        "--add-opens=java.base/java.lang=ALL-UNNAMED",
        *("-cp", f"{conf}:{jars}/*", MAIN[daemon], *arguments),
    ]


def daemon_environment(daemon: str, java: Path, conf: Path) -> dict[str, str]:
    """All of a daemon's environment. Nothing of the driver's: containers inherit the NodeManager's."""
    folders = {"JAVA_HOME": str(java), "HADOOP_CONF_DIR": str(conf), "YARN_CONF_DIR": str(conf)}
    return folders | {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8", "HADOOP_USER_NAME": USER[daemon]}


def start_daemon(daemon: str, java: Path, conf: Path, jars: Path, scratch: Path, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Starts a daemon here; it has no terminal and appends to `log`."""
    with log.open("ab") as out:
        return subprocess.Popen(
            daemon_command(daemon, java, conf, jars, scratch, *arguments),
            env=daemon_environment(daemon, java, conf),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill(pid: int) -> None:
    """SIGKILL, to a process that may have ended."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
