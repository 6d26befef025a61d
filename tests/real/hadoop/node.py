"""Process 1 of a node, started in new namespaces: hides the head's files, then becomes the parent of a NodeManager.

Called by `cluster.py`, which gives the folder of the node and waits for its pid on standard output; a line on standard input says that the
network cable is there.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from hadoop import network
from hadoop.configuration import NODE_ENVIRONMENT, NODE_FOLDER, NODE_HADOOP
from hadoop.daemons import daemon_command, daemon_environment

# It reaps what containers leave, and ends when the NodeManager does, which ends every process of the node.
INIT = ("bash", "-c", '"$@"; exit $?', "node")


def main(folder: Path, settings: Path) -> None:
    given = json.loads(settings.read_text())
    print(os.readlink("/proc/self"), flush=True)  # /proc is still the head's, and so is the number
    sys.stdin.readline()
    network.set_up_node(folder.name)
    _mount("-t", "proc", "proc", "/proc")
    bound = {
        NODE_HADOOP / "jars": given["jars"],
        NODE_HADOOP / "java": given["java"],
        NODE_HADOOP / "conf": folder / "conf",
        NODE_HADOOP / "local": folder / "local",
        NODE_HADOOP / "logs": folder / "logs",
    }
    if given["node_environment"]:
        bound[NODE_ENVIRONMENT] = given["node_environment"]
    _rearrange(folder / "stage", bound, writable={NODE_HADOOP / "local", NODE_HADOOP / "logs"}, hidden=[given["checkout"], given["root"]])
    java, conf, jars = (NODE_HADOOP / part for part in ("java", "conf", "jars"))
    os.chdir("/")
    command = [*INIT, *daemon_command("nodemanager", java, conf, jars, Path("/tmp"))]  # noqa: S108
    os.execvpe(command[0], command, daemon_environment("nodemanager", java, conf))  # noqa: S606


def _rearrange(stage: Path, bound: dict[Path, str | Path], writable: set[Path], hidden: list[str]) -> None:
    """Only `bound` is left of what is hidden; whatever else this machine's disks hold can be read and not written."""
    # Put together aside, because what is bound may itself lie below /mnt or /tmp.
    stage.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", stage)
    for target, source in bound.items():
        at = stage / target.relative_to(NODE_FOLDER)
        at.mkdir(parents=True)
        _mount("--bind", source, at)
        if target not in writable:
            _mount("-o", "remount,bind,ro", at)
    _mount("--move", stage, NODE_FOLDER)
    for shared in ("/tmp", "/var/tmp", "/dev/shm"):  # noqa: S108
        _mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", shared)
    for folder in hidden:
        if Path(folder).exists():  # not where an ancestor is hidden already
            _mount("-t", "tmpfs", "-o", "ro", "tmpfs", folder)
    _mount("-o", "remount,bind,ro", "/")


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
