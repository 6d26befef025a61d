"""Runs a command inside a real Hadoop 3.4.2: python tests/real/hadoop/run.py [options] -- COMMAND ARGUMENTS...

HDFS (NameNode, DataNode) and YARN (ResourceManager, two NodeManagers) start in namespaces of their own, so that nothing of them is
reached from outside or reaches out, and end with the command. Its exit code is returned. It finds HADOOP_CONF_DIR, YARN_CONF_DIR, `yarn`,
`hdfs` and `hadoop`, HADOOP_USER_NAME=alice, SKEIN_CONFIG, and in FRUITS_TEST_CLUSTER the file that `cluster.py` reads. It needs Linux with
Java 17, Maven, iproute2 and util-linux, and root or a user who may make user namespaces.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from hadoop.cluster import UNSHARE
from hadoop.configuration import VCORES
from hadoop.daemons import java_home
from hadoop.jars import fetch_jars

CHECKOUT = Path(__file__).resolve().parents[3]
# Process 1 of the head reaps what the command leaves, and all ends with it.
INIT = ("--mount-proc", "bash", "-c", '"$@"; exit $?', "head")


def main() -> int:
    options = _options()
    fetch_jars(options.jars)
    root = options.root or Path(tempfile.mkdtemp(prefix="hadoop-"))
    if options.root:
        root.mkdir(parents=True, exist_ok=True)
        if any(root.iterdir()):
            sys.exit(f"{root} is not empty")
    settings = {
        "root": str(root),
        "checkout": str(CHECKOUT),
        "jars": str(options.jars),
        "java": str(java_home()),
        "node_environment": str(options.node_environment) if options.node_environment else None,
        "spark": str(options.spark) if options.spark else None,
        "vcores": options.vcores,
    }
    head = [sys.executable, Path(__file__).with_name("head.py"), json.dumps(settings), *options.command]
    try:
        return _run([*UNSHARE, *([] if os.geteuid() == 0 else ["--map-root-user"]), *INIT, *head])
    finally:
        if not options.root:
            shutil.rmtree(root)


def _run(command: list[str | Path]) -> int:
    """Waits for a command that decides itself what Ctrl-C means; on SIGTERM ends it and all below it."""
    process = subprocess.Popen(command)
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: process.kill())
    code = process.wait()
    return code if code >= 0 else 128 - code


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=_folder, help="a new folder for data and logs, which stays (default: a temporary one)")
    parser.add_argument("--node-environment", type=_folder, help="a folder that the nodes see as /mnt/environment, read-only")
    parser.add_argument("--spark", type=_folder, help="a Spark that head and nodes see as /srv/spark, as on EMR each has one")
    parser.add_argument("--vcores", type=int, default=VCORES, help="that each of the two nodes says it has, whatever there is")
    parser.add_argument("--jars", type=_folder, default=CHECKOUT / ".cluster" / "jars", help="where Hadoop's jars are, or go")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    return parser.parse_args()


def _folder(name: str) -> Path:
    return Path(name).resolve()


if __name__ == "__main__":
    sys.exit(main())
