"""What the daemons and containers said last, for a command that failed."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import requests

from hadoop.client import client_environment
from hadoop.cluster import Cluster

DAEMON_LINES = 15
CONTAINER_LINES = 40
WIDTH = 300
# YARN's own scripts and listings lie beside these.
PATTERN = r"stdout|stderr|prelaunch\.err|.*\.log"
FILES = 6
APPLICATIONS = 2


def print_logs(cluster: Cluster) -> None:
    """Prints the ends of the daemons' logs and of the newest containers' to standard error."""
    if not cluster.file.exists():
        return
    state = cluster.state
    for log in sorted(Path(state["logs"]).glob("*.log")):
        _print(log.name, log.read_text(errors="replace").splitlines()[-DAEMON_LINES:])
    running = [file for node in cluster.nodes for file in node.log_dir.glob("*/*/*") if _is_log(file)]
    for file in sorted(running, key=lambda file: file.stat().st_mtime)[-FILES:]:
        _print("/".join(file.parts[-4:]), file.read_text(errors="replace").splitlines()[-CONTAINER_LINES:])
    try:
        newest = cluster.applications()[-APPLICATIONS:]
    except requests.RequestException:
        return  # no ResourceManager: its log is above
    for application in newest:
        outcome = f"{application['id']} {application['name']} {application['state']} {application['finalStatus']}"
        _print(outcome, application["diagnostics"].splitlines()[-CONTAINER_LINES:])
        if application["finishedTime"]:
            _print_aggregated(Path(state["root"]), application["id"])


def _print_aggregated(root: Path, application: str) -> None:
    """The logs of an application that has ended, which YARN moved into HDFS."""
    logs = subprocess.run(
        [root / "bin" / "yarn", "logs", "-applicationId", application, "-size", "-4000", "-log_files_pattern", PATTERN],
        env=client_environment(root),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
        check=False,
    )
    _print(f"logs of {application}", logs.stdout.splitlines()[-4 * CONTAINER_LINES :])


def _is_log(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0 and re.fullmatch(PATTERN, file.name) is not None


def _print(title: str, lines: Sequence[str]) -> None:
    print(f"----- {title}", *(line[:WIDTH] for line in lines), sep="\n", file=sys.stderr)
