"""A network with no way out: a bridge in the head's network namespace and a cable to each node's."""

import socket
import subprocess
from pathlib import Path

HEAD = "10.77.0.1"
NODES = {"node1": "10.77.0.11", "node2": "10.77.0.12"}
BRIDGE = "hadoop"
# An address resolves to itself, so that Hadoop's daemons know each other by address; the host names resolve too.
HOSTS = "\n".join(["127.0.0.1 localhost", *(f"{address} {address} {name}" for name, address in {"head": HEAD, **NODES}.items()), ""])


def set_up_head() -> None:
    """The bridge, whose address the head has. Its default route leads nowhere; without one, programs cannot tell their own address."""
    socket.sethostname("head")
    _ip("link", "set", "lo", "up")
    _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("address", "add", f"{HEAD}/24", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")
    _ip("route", "add", "default", "dev", BRIDGE)


def set_up_node(name: str) -> None:
    """Called in the node's namespaces, when its cable is there."""
    socket.sethostname(name)
    _ip("link", "set", "lo", "up")
    _ip("address", "add", f"{NODES[name]}/24", "dev", "eth0")
    _ip("link", "set", "eth0", "up")
    _ip("route", "add", "default", "dev", "eth0")


def plug_in(name: str, pid: int) -> None:
    """Called on the head: a cable from the bridge to eth0 of the network namespace of process `pid`."""
    _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    _ip("link", "set", name, "master", BRIDGE, "up")


def unplug(name: str) -> None:
    """Called on the head. A cable also goes with its node's namespace, but some time after the last process."""
    if name in subprocess.run(["ip", "-brief", "link"], check=True, capture_output=True, text=True).stdout:
        subprocess.run(["ip", "link", "delete", name], check=False, capture_output=True)  # it may go by itself meanwhile


def set_link(name: str, state: str) -> None:
    """`down` pulls a node's cable without a word to either side, `up` puts it back."""
    _ip("link", "set", name, state)


def resolve_names(folder: Path) -> None:
    """Name resolution that asks nobody, in this mount namespace and those made from it; `folder` keeps the files."""
    for file, text in {"hosts": HOSTS, "resolv.conf": ""}.items():
        ours = folder / file
        ours.write_text(text)
        theirs = Path("/etc", file).resolve()
        if theirs.exists():
            subprocess.run(["mount", "--bind", ours, theirs], check=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
