"""What a client of the cluster finds in its environment."""

import os
from pathlib import Path

# Stands in for $HADOOP_HOME/bin/yarn, hadoop and hdfs.
COMMAND = """\
#!/bin/sh
conf=${{HADOOP_CONF_DIR:-{conf}}}
verb=$1
[ $# -gt 0 ] && shift
case "$verb" in
    classpath)
        if [ "$1" = --glob ]; then
            printf %s "$conf"
            printf :%s {jars}/*.jar
            echo
        else
            echo "$conf:{jars}/*"
        fi
        exit ;;
    application|app) class=org.apache.hadoop.yarn.client.cli.ApplicationCLI; set -- application "$@" ;;
    applicationattempt|container) class=org.apache.hadoop.yarn.client.cli.ApplicationCLI; set -- "$verb" "$@" ;;
    logs) class=org.apache.hadoop.yarn.client.cli.LogsCLI ;;
    node) class=org.apache.hadoop.yarn.client.cli.NodeCLI ;;
    rmadmin) class=org.apache.hadoop.yarn.client.cli.RMAdminCLI ;;
    fs|dfs) class=org.apache.hadoop.fs.FsShell ;;
    dfsadmin) class=org.apache.hadoop.hdfs.tools.DFSAdmin ;;
    version) class=org.apache.hadoop.util.VersionInfo ;;
    *) echo "$0: '$verb' is not among the commands of the test cluster" >&2; exit 2 ;;
esac
exec {java}/bin/java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -cp "$conf:{jars}/*" $class "$@"
"""


def write_commands(folder: Path, conf: Path, java: Path, jars: Path) -> None:
    """Writes `yarn`, `hadoop` and `hdfs`, which know what tests use of the real ones."""
    folder.mkdir()
    for name in ("yarn", "hadoop", "hdfs"):
        (folder / name).write_text(COMMAND.format(conf=conf, jars=jars, java=java))
        (folder / name).chmod(0o755)


def client_environment(root: Path) -> dict[str, str]:
    """The caller's environment, as alice's on the cluster at `root`."""
    # No proxy is reached from the cluster's network.
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return environment | {
        "HADOOP_CONF_DIR": f"{root}/conf",
        "YARN_CONF_DIR": f"{root}/conf",
        "HADOOP_USER_NAME": "alice",
        "SKEIN_CONFIG": f"{root}/skein",
        "PATH": f"{root}/bin{os.pathsep}{os.environ['PATH']}",
    }
