"""From this machine to the pages of a cluster's primary node: by AWS Systems Manager, or by ssh. Nothing listens but on loopback."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bootstrap.aws import Account
from bootstrap.cluster import Cluster
from bootstrap.settings import Access
from bootstrap.signals import as_ctrl_c
from bootstrap.uis import Page
from fruits.errors import BadArgument, RunFailed

LOOPBACK = "127.0.0.1"
SOCKS = 5555  # the notebook's
OPEN_SECONDS = 60.0  # until a child forwards
END_SECONDS = 5.0  # for a child to end by itself, and tell AWS
_LOOK_SECONDS = 0.2
LAST_LINES = 20
WHERE = {
    "aws": "https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html",
    "session-manager-plugin": "https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html",
    "ssh": "the package openssh-client of your system",
}
# https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-sessions-start.html
TO_INSTANCE, TO_HOST = "AWS-StartPortForwardingSession", "AWS-StartPortForwardingSessionToRemoteHost"


@dataclass(frozen=True)
class Primary:
    """The node to which the tunnel leads. `address`: within its network, on which its pages listen; `host`: its name, for ssh."""

    instance: str
    address: str
    host: str


@dataclass(frozen=True)
class Forward:
    """A page of the primary's, and the port on this machine's loopback address on which it is to be found."""

    page: Page
    port: int

    @property
    def url(self) -> str:
        return f"{self.page.scheme}://{LOOPBACK}:{self.port}"

    def seen_from(self, primary: Primary) -> str:
        """The page's address as the primary itself opens it."""
        return LOOPBACK if self.page.loopback else primary.address


@dataclass(frozen=True)
class Program:
    """`ports`: on which it listens as soon as it forwards."""

    name: str
    command: Sequence[str]
    ports: Sequence[int]


@dataclass(frozen=True)
class Running:
    program: Program
    process: "subprocess.Popen[bytes]"
    said: Path

    def check(self) -> None:
        """Raises `RunFailed`, with what it said, where it has ended."""
        code = self.process.poll()
        if code is not None:
            said = self.said.read_text(errors="replace").strip().splitlines()[-LAST_LINES:]
            words = "\n".join(f"  {line}" for line in said) or "  without a word"
            raise RunFailed(f"{self.program.name} has ended with exit code {code}:\n{words}", _advice(self.program))

    def listens(self) -> bool:
        return all(_answers(port) for port in self.program.ports)


def _advice(program: Program) -> str:
    if program.command[0] == "ssh":
        return "it gets in from the address and by the key pair that `up` had; a key with a passphrase goes to the agent first: ssh-add"
    return "a node is reached when its SSM agent runs, some minutes after it has started; you need the right ssm:StartSession"


def primary_of(account: Account, cluster: Cluster) -> Primary:
    pages = account.emr.get_paginator("list_instances").paginate(
        ClusterId=cluster.id, InstanceGroupTypes=["MASTER"], InstanceStates=["RUNNING"]
    )
    for one in (one for page in pages for one in page["Instances"]):
        return Primary(one["Ec2InstanceId"], one["PrivateIpAddress"], cluster.host)
    raise RunFailed(f"EMR names no running primary node of {cluster.id}", "wait until it runs: `status` shows it")


def check_installed(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise BadArgument(f"not installed: {', '.join(missing)}", "; ".join(WHERE[program] for program in missing))


def forwards(pages: Sequence[Page], socks: int | None = None) -> tuple[list[Forward], int]:
    """For each page a port that is free: its own where it is. And one for the SOCKS proxy. Raises `BadArgument` where `socks` is taken."""
    with ExitStack() as held:  # all at once, so that no two get the same
        forwarded = [Forward(page, _free(held, page.port)) for page in pages]
        proxy = _free(held, socks or SOCKS)
        if socks and proxy != socks:
            raise BadArgument(f"--socks {socks}: the port is taken on this machine", f"leave it out, or give another such as {proxy}")
        return forwarded, proxy


def _free(held: ExitStack, wanted: int) -> int:
    for port in (wanted, 0):
        one = held.enter_context(socket.socket())
        if port:  # as the programs themselves do: connections of a tunnel that has just been closed are no hindrance
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            one.bind((LOOPBACK, port))
            return int(one.getsockname()[1])
    raise RunFailed("no port is free on this machine", "end what listens on it")


def by_ssm(account: Account, primary: Primary, to: Sequence[Forward]) -> list[Program]:
    """A session for each page: SSM forwards one port in one."""
    return [
        Program(
            f"aws ssm start-session ({forward.page.name})",
            ["aws", "ssm", "start-session", "--region", account.region, "--target", primary.instance, *_document(primary, forward)],
            [forward.port],
        )
        for forward in to
    ]


def _document(primary: Primary, forward: Forward) -> list[str]:
    """The plain one reaches what listens on the primary's loopback address, the other what listens on its own."""
    parameters = {"portNumber": [str(forward.page.port)], "localPortNumber": [str(forward.port)]}
    if forward.page.loopback:
        return ["--document-name", TO_INSTANCE, "--parameters", json.dumps(parameters)]
    return ["--document-name", TO_HOST, "--parameters", json.dumps({"host": [primary.address], **parameters})]


def by_ssh(cluster: Cluster, primary: Primary, access: Access, to: Sequence[Forward], socks: int) -> Program:
    """Raises `BadArgument` where the key is not there."""
    key = Path(access.key_file).expanduser()
    if access.key_file and not key.is_file():
        raise BadArgument(f"[access] key_file = {access.key_file!r} is not there", "give the private half of the key pair")
    options = {
        # A machine that lives an hour has a host key that nobody knows beforehand, and its address is another's tomorrow: the key that it
        # shows first is kept under the cluster's id, which is never given again, apart from the user's own known hosts.
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": "~/.ssh/known_hosts.fruits",
        "HostKeyAlias": cluster.id,
        "BatchMode": "yes",
        "ConnectTimeout": "20",
        "ServerAliveInterval": "30",
        "ExitOnForwardFailure": "yes",
    }
    command = ["ssh", "-N", "-D", f"{LOOPBACK}:{socks}"]
    for forward in to:
        command += ["-L", f"{LOOPBACK}:{forward.port}:{forward.seen_from(primary)}:{forward.page.port}"]
    for name, value in options.items():
        command += ["-o", f"{name}={value}"]
    if access.key_file:
        command += ["-i", str(key), "-o", "IdentitiesOnly=yes"]
    # Its listeners begin together, when it is let in.
    return Program("ssh", [*command, f"hadoop@{primary.host}"], [socks])


@contextmanager
def running(programs: Sequence[Program]) -> Iterator[list[Running]]:
    """Started, and forwarding when the block begins; ended with it. Raises `RunFailed` for one that does not get so far."""
    with tempfile.TemporaryDirectory() as folder:
        started: list[Running] = []
        try:
            for number, program in enumerate(programs):
                said = Path(folder, str(number))
                with said.open("wb") as output:
                    # A group of its own: Ctrl-C is ours alone, and `aws` is ended together with the plugin that it runs.
                    process = subprocess.Popen(  # noqa: S603
                        program.command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, process_group=0
                    )
                started.append(Running(program, process, said))
            _await(started)
            yield started
        finally:
            _end([one.process for one in started])


def _await(started: Sequence[Running]) -> None:
    patience = time.monotonic() + OPEN_SECONDS
    waiting = list(started)
    while waiting := [one for one in waiting if not one.listens()]:
        for one in started:
            one.check()
        if time.monotonic() > patience:
            raise RunFailed(f"{waiting[0].program.name} does not forward after {OPEN_SECONDS:.0f} s", _advice(waiting[0].program))
        time.sleep(_LOOK_SECONDS)


def _answers(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def watch(started: Sequence[Running]) -> None:
    """Raises `RunFailed` as soon as one ends."""
    while True:
        for one in started:
            one.check()
        time.sleep(_LOOK_SECONDS)


def _end(processes: "Sequence[subprocess.Popen[bytes]]") -> None:
    """With all that they started. On SIGINT the plugin tells AWS that its session ends, on SIGTERM it does not."""
    left = list(processes)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        for process in left:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        patience = time.monotonic() + END_SECONDS
        while left and time.monotonic() < patience:
            left = [process for process in left if _lives(process)]
            time.sleep(0.05)


def _lives(process: "subprocess.Popen[bytes]") -> bool:
    """Whether anything of its group is left."""
    process.poll()  # else it stays as a zombie, and counts
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def until_stopped() -> Iterator[None]:
    """Ends well by Ctrl-C, by SIGTERM and by the end of the terminal; a second one does not stop the ending, so that no child is left."""
    with as_ctrl_c(once=True), suppress(KeyboardInterrupt):
        yield
