"""The tunnel with child processes that forward for real: AWS's own command line with a plugin of the tests, and an ssh of the tests."""

import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result

import s3
from bootstrap.commands.access import tunnel

from .loopback import Handler, served, wait_for

REGION = "us-east-1"  # where moto's server files every cluster
PAGE = b"the page of the cluster"
# Forwards a port of loopback to the one port on which the tests serve a page, and writes down what it was given.
FORWARD = """
import json, os, signal, socket, sys, threading, time

def noted(**what):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(json.dumps({"pid": os.getpid(), **what}) + "\\n")

def pump(one, other):
    while data := one.recv(65536):
        other.sendall(data)
    other.shutdown(socket.SHUT_WR)

def joined(client):
    page = socket.create_connection(("127.0.0.1", int(os.environ["PAGE_PORT"])))
    threading.Thread(target=pump, args=(page, client), daemon=True).start()
    pump(client, page)

def socks(client):
    client.recv(2 + client.recv(2, socket.MSG_PEEK)[1])
    client.sendall(b"\\x05\\x00")
    request = client.recv(4)
    name = client.recv(client.recv(1)[0]) if request[3] == 3 else client.recv(4)
    noted(socks=[name.decode(), int.from_bytes(client.recv(2))])
    client.sendall(b"\\x05\\x00\\x00\\x01" + bytes(6))
    joined(client)

def listen(port, serve=joined):
    server = socket.create_server(("127.0.0.1", port))
    def accept():
        while True:
            threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()

def interrupted(*_):
    noted(interrupted=True)
    time.sleep(float(os.environ.get("SECONDS_TO_END", 0)))
    noted(ended=True)
    sys.exit(0)

signal.signal(signal.SIGINT, interrupted)
"""
PLUGIN = """
if sys.argv[1] == "--version":
    print("1.2.804.0")
    sys.exit()
answer = json.loads(os.environ[sys.argv[1]])
request = json.loads(sys.argv[5])
noted(plugin=request, session=answer["SessionId"], region=sys.argv[2])
listen(int(request["Parameters"]["localPortNumber"][0]))
print("Waiting for connections...", flush=True)
signal.pause()
"""
SSH = """
noted(ssh=sys.argv[1:])
if "REFUSED" in os.environ:
    sys.exit("hadoop@ec2: Permission denied (publickey).")
for option, value in zip(sys.argv, sys.argv[1:]):
    if option == "-D":
        listen(int(value.rpartition(":")[2]), socks)
    if option == "-L":
        listen(int(value.split(":")[1]))
signal.pause()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3.moto_server(tmp_path_factory.mktemp("moto") / "log") as address:
        yield address


@dataclass
class Place:
    """`bin`: the PATH of the command. `cluster`, `host`: its id, and the name of its primary node. `sessions`: what was asked of SSM."""

    bin: Path
    notes: Path
    cluster: str
    host: str
    primary: dict[str, str]
    sessions: list[dict[str, Any]]

    def noted(self, what: str) -> list[Any]:
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [note[what] for note in map(json.loads, lines) if what in note]

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(f"#!{sys.executable}\n{FORWARD}{text}")
        path.chmod(0o755)

    def installed(self, name: str) -> None:
        (self.bin / name).symlink_to(shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") or name)


@pytest.fixture
def place(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A cluster at moto's server, a page, an SSM that begins every session, and an empty PATH."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    emr = boto3.client("emr")
    made = made_cluster("fruits", "Hadoop", "Spark", "JupyterHub")
    group = next(one["Id"] for one in emr.list_instance_groups(ClusterId=made)["InstanceGroups"] if one["InstanceGroupType"] == "MASTER")
    primary = emr.list_instances(ClusterId=made, InstanceGroupId=group)["Instances"][0]
    host = emr.describe_cluster(ClusterId=made)["Cluster"]["MasterPublicDnsName"]
    found = Place(tmp_path / "bin", tmp_path / "notes", made, host, primary, [])
    found.bin.mkdir()

    class Page(Handler):
        def do_GET(self) -> None:  # noqa: N802
            self.answer(200, {"Content-Type": "text/html"}, PAGE)

    class Ssm(Handler):
        def do_POST(self) -> None:  # noqa: N802
            found.sessions.append(json.loads(self.body()))
            if "REFUSED" in os.environ:
                content, status = {"__type": "TargetNotConnected", "message": "i-1 is not connected."}, 400
            else:
                content, status = {"SessionId": f"session-{len(found.sessions)}", "TokenValue": "t", "StreamUrl": "wss://127.0.0.1/"}, 200
            self.answer(status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(content).encode())

    with served(Page) as page, served(Ssm) as ssm:
        for name, value in {"PATH": str(found.bin), "NOTES": str(found.notes), "PAGE_PORT": page.rpartition(":")[2]}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", ssm)
        yield found
    emr.terminate_job_flows(JobFlowIds=[made])


def made_cluster(name: str, *applications: str) -> str:
    one: Any = {"InstanceType": "m5.xlarge", "InstanceCount": 1}
    groups = [one | {"InstanceRole": role} for role in ("CORE", "MASTER")]
    tags = {"Project": "fruits", "ManagedBy": "fruits-bootstrap"}
    made = boto3.client("emr").run_job_flow(
        Name=name,
        Applications=[{"Name": application} for application in applications],
        Instances={"InstanceGroups": groups, "KeepJobFlowAliveWhenNoSteps": True},
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )
    return str(made["JobFlowId"])


@contextmanager
def opened(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The command when it is open, and the addresses that it shows, by name. Ended with the block, if it has not ended then."""
    command = [sys.executable, "-m", "bootstrap", "tunnel", "--region", REGION, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stderr
            said: list[str] = []
            for line in process.stdout:
                said.append(line.strip())
                if line.startswith("open until"):
                    break
            else:
                pytest.fail(process.stderr.read())
            yield process, dict(line.split(": ", 1) for line in said if ": " in line)
        finally:
            process.kill() if process.poll() is None else None


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code and all that it said since it was open."""
    out, err = process.communicate(timeout=30)
    return process.returncode, out + err


def read(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=20) as answer:
        return bytes(answer.read())


def is_free(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex((s3.LOOPBACK, port)) != 0


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def run(*arguments: str) -> Result:
    return CliRunner().invoke(tunnel, ["--region", REGION, *arguments])


def test_each_page_opens_through_a_session_of_ssm_and_all_end_with_it(place: Place) -> None:
    place.installed("aws")
    place.program("session-manager-plugin", PLUGIN)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # another has it already, as a Hadoop on this machine may
            taken.bind((s3.LOOPBACK, 9870))
            taken.listen()
        own = is_free(9443)
        with opened() as (process, shown):
            assert [name for name in shown if name in NAMES] == NAMES
            assert (shown["JupyterHub"] == "https://127.0.0.1:9443") == own
            assert shown["HDFS"] != "http://127.0.0.1:9870"
            for name in NAMES:
                assert read(shown[name].replace("https", "http")) == PAGE
            process.send_signal(signal.SIGINT)
            assert ended(process) == (0, "closed\n")
    asked = {(one["DocumentName"], one["Parameters"]["portNumber"][0]): one for one in place.sessions}
    to_host, to_instance = "AWS-StartPortForwardingSessionToRemoteHost", "AWS-StartPortForwardingSession"
    assert set(asked) == {(to_host, "8088"), (to_host, "9870"), (to_host, "18080"), (to_host, "9443"), (to_instance, "8787")}
    assert {one["Target"] for one in place.sessions} == {place.primary["Ec2InstanceId"]}
    assert {one["Parameters"].get("host", ["none"])[0] for one in place.sessions} == {place.primary["PrivateIpAddress"], "none"}
    # The plugin was told by SIGINT, on which the real one ends its session at AWS; none is left.
    assert place.noted("interrupted") == [True] * 5
    assert all(gone(pid) for pid in place.noted("pid"))


NAMES = ["ResourceManager", "HDFS", "Spark history", "JupyterHub", "Dask dashboard"]


def test_what_the_aws_command_says_ends_the_tunnel(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.installed("aws")
    place.program("session-manager-plugin", PLUGIN)
    monkeypatch.setenv("REFUSED", "1")
    refused = run()
    assert refused.exit_code == 1
    assert re.search(r"error: aws ssm start-session \(.*\) has ended with exit code \d+:\n", refused.stderr)
    assert "TargetNotConnected" in refused.stderr
    assert place.sessions


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_each_page_opens_through_ssh_until_a_signal(number: signal.Signals, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.program("ssh", SSH)
    monkeypatch.setenv("SECONDS_TO_END", "2")
    with opened("--set", "access.way=ssh") as (process, shown):
        for name in NAMES:
            assert read(shown[name].replace("https", "http")) == PAGE
        process.send_signal(number)
        wait_for(lambda: place.noted("interrupted"))
        process.send_signal(number)  # a second one hurries nothing
        assert ended(process) == (0, "closed\n")
    assert place.noted("ended") == [True]
    assert all(gone(pid) for pid in place.noted("pid"))


def test_a_cluster_without_jupyterhub_has_no_page_of_it(place: Place) -> None:
    place.program("ssh", SSH)
    made = made_cluster("without", "Spark")
    with opened("--set", "access.way=ssh", "--name", "without") as (process, shown):
        pages = [name for name in shown if name in NAMES]
        assert pages == ["ResourceManager", "HDFS", "Spark history", "Dask dashboard"]
        assert shown["JupyterHub is not on this cluster"] == "`submit` runs jobs without a notebook"
        assert read(shown["Spark history"]) == PAGE
        process.send_signal(signal.SIGINT)
        assert ended(process)[0] == 0
    assert not [argument for argument in place.noted("ssh")[0] if argument.endswith(":9443")]
    boto3.client("emr").terminate_job_flows(JobFlowIds=[made])


def test_an_ssh_that_dies_ends_the_tunnel_with_what_it_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.program("ssh", SSH)
    with opened("--set", "access.way=ssh") as (process, _):
        os.kill(place.noted("pid")[0], signal.SIGKILL)
        code, said = ended(process)
    assert (code, "error: ssh has ended with exit code -9" in said) == (1, True)
    monkeypatch.setenv("REFUSED", "1")
    refused = run("--set", "access.way=ssh")
    assert refused.exit_code == 1
    assert "ssh has ended with exit code 1:\n  hadoop@ec2: Permission denied (publickey)." in refused.stderr


def test_the_real_ssh_takes_what_it_is_given(place: Place, tmp_path: Path) -> None:
    real = shutil.which("ssh", path=os.defpath)
    if real is None:
        pytest.skip("no ssh")
    place.program("ssh", SSH)
    key = tmp_path / "key.pem"
    key.touch()
    with socket.create_server((s3.LOOPBACK, 0)) as free:
        socks = free.getsockname()[1]
    with opened("--set", "access.way=ssh", "--set", f"access.key_file={key}", "--socks", str(socks)) as (process, shown):
        process.send_signal(signal.SIGHUP)  # the terminal was closed
        assert ended(process)[0] == 0
    # -G: what it would do, without doing it.
    told = subprocess.run([real, "-G", *place.noted("ssh")[0]], capture_output=True, text=True, check=True).stdout.splitlines()
    address = place.primary["PrivateIpAddress"]
    ports = {name: shown[name].rpartition(":")[2] for name in NAMES}
    home = pwd.getpwuid(os.getuid()).pw_dir  # ssh's ~ is this one, whatever HOME says
    assert {line for line in told if "forward " in line} == {
        f"localforward [127.0.0.1]:{ports['ResourceManager']} [{address}]:8088",
        f"localforward [127.0.0.1]:{ports['HDFS']} [{address}]:9870",
        f"localforward [127.0.0.1]:{ports['Spark history']} [{address}]:18080",
        f"localforward [127.0.0.1]:{ports['JupyterHub']} [{address}]:9443",
        f"localforward [127.0.0.1]:{ports['Dask dashboard']} [127.0.0.1]:8787",
        f"dynamicforward [127.0.0.1]:{socks}",
    }
    for line in (
        "user hadoop",
        f"hostname {place.host}",
        f"identityfile {key}",
        f"hostkeyalias {place.cluster.lower()}",
        f"userknownhostsfile {home}/.ssh/known_hosts.fruits",
        "stricthostkeychecking accept-new",
        "exitonforwardfailure yes",
        "batchmode yes",
        "identitiesonly yes",
    ):
        assert line in told


def test_a_browser_with_the_pac_file_reaches_the_nodes_by_name_through_the_proxy_and_all_else_without(place: Place, tmp_path: Path) -> None:
    chromium = shutil.which("chromium", path=os.defpath)
    if chromium is None:
        pytest.skip("no chromium")
    place.program("ssh", SSH)
    file = tmp_path / "fruits.pac"
    with opened("--set", "access.way=ssh", "--pac", str(file)) as (process, shown):
        assert shown["PAC file"] == file.as_uri()

        class Pac(Handler):
            def do_GET(self) -> None:  # noqa: N802
                self.answer(200, {"Content-Type": "application/x-ns-proxy-autoconfig"}, file.read_bytes())

        with served(Pac) as address:
            for url, found in (
                ("http://ip-10-0-0-1.eu-west-3.compute.internal:8042/node", True),
                ("http://example.org/", False),
            ):
                browser = subprocess.run(
                    [
                        chromium,
                        "--headless",
                        "--no-sandbox",
                        "--disable-background-networking",
                        f"--user-data-dir={tmp_path}/profile",
                        f"--proxy-pac-url={address}/fruits.pac",
                        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                        "--dump-dom",
                        url,
                    ],
                    env={**os.environ, "PATH": os.defpath},
                    capture_output=True,
                    timeout=60,
                    check=False,
                )
                assert (PAGE in browser.stdout) == found
        process.send_signal(signal.SIGINT)
        assert ended(process)[0] == 0
    assert ["ip-10-0-0-1.eu-west-3.compute.internal", 8042] in place.noted("socks")
    assert not [name for name, _ in place.noted("socks") if not name.endswith("compute.internal")]


@pytest.mark.parametrize(
    ("programs", "arguments", "said"),
    [
        ((), (), "not installed: aws, session-manager-plugin"),
        (("aws",), (), "session-manager-working-with-install-plugin.html"),
        ((), ("--set", "access.way=ssh"), "not installed: ssh"),
        (("aws", "session-manager-plugin"), ("--socks", "5555"), "--socks is of ssh"),
        (("aws", "session-manager-plugin"), ("--pac", "file"), "--pac is of ssh"),
        (("ssh",), ("--set", "access.way=ssh", "--set", "access.key_file=/missing.pem"), "'/missing.pem' is not there"),
        (("ssh",), ("--set", "access.way=ssh", "--pac", "/missing/file"), "--pac /missing/file cannot be written"),
        (("ssh",), ("--set", "access.way=ssh", "--name", "another"), "no cluster named another runs in us-east-1"),
    ],
)
def test_what_cannot_be_opened_is_refused(programs: tuple[str, ...], arguments: tuple[str, ...], said: str, place: Place) -> None:
    for program in programs:
        place.program(program, "noted(started=True)")
    refused = run(*arguments)
    assert (refused.exit_code, said in refused.stderr) == (2, True), refused.output
    assert not place.noted("started")


def test_a_socks_port_that_is_taken_is_refused(place: Place) -> None:
    place.program("ssh", "noted(started=True)")
    with socket.create_server((s3.LOOPBACK, 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = run("--set", "access.way=ssh", "--socks", port)
    assert (refused.exit_code, f"--socks {port}: the port is taken" in refused.stderr) == (2, True)
    assert not place.noted("started")
