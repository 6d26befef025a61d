"""The guard of this folder: what tries to leave the machine fails at once, and a test that does has failed."""

import os
import socket
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest

from .guard import Guard, LeftTheMachine, cut_off

OUTSIDE = "192.0.2.1"  # TEST-NET-1 (RFC 5737): belongs to nobody


@pytest.fixture(params=["dead proxy", "no proxy", "somebody's proxy"])
def proxy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The proxy variables of the environment: as the guard set them, gone, or set to one that is elsewhere."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        if request.param == "no proxy":
            monkeypatch.delenv(name)
        elif request.param == "somebody's proxy":
            monkeypatch.setenv(name, "" if name.lower() == "no_proxy" else f"http://{OUTSIDE}:3128")
    return request.param


@pytest.mark.parametrize("service", ["s3", "emr", "cloudformation", "sts"])
def test_a_client_of_aws_fails_at_once(guard: Guard, proxy: str, service: str) -> None:
    client = boto3.client(service, region_name="eu-west-3")
    call = {"s3": "list_buckets", "emr": "list_clusters", "cloudformation": "list_stacks", "sts": "get_caller_identity"}[service]
    with pytest.raises(LeftTheMachine):
        getattr(client, call)()
    attempts = guard.take()
    assert len(attempts) == 1, "it was tried again"
    assert {"dead proxy": "127.0.0.1", "no proxy": "amazonaws.com", "somebody's proxy": OUTSIDE}[proxy] in attempts[0]


def test_whatever_the_environment_holds_is_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = tmp_path / "credentials"
    keys = "aws_access_key_id = REAL\naws_secret_access_key = REAL\n"
    real.write_text(f"[default]\n{keys}[work]\n{keys}")
    held = {
        "AWS_ACCESS_KEY_ID": "REAL",
        "AWS_SECRET_ACCESS_KEY": "REAL",
        "AWS_PROFILE": "work",
        "AWS_SHARED_CREDENTIALS_FILE": str(real),
        "AWS_ENDPOINT_URL": f"http://{OUTSIDE}",
        "AWS_EC2_METADATA_DISABLED": "false",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/",
        "HTTPS_PROXY": f"http://{OUTSIDE}:3128",
        "no_proxy": "amazonaws.com",
    }
    for name, value in held.items():
        monkeypatch.setenv(name, value)
    cut_off(monkeypatch)
    assert not [name for name, value in held.items() if os.environ.get(name) == value]
    session = boto3.Session()
    assert session.get_credentials().access_key == "testing"
    assert session.client("sts", region_name="eu-west-3").meta.endpoint_url == "https://sts.eu-west-3.amazonaws.com"


def test_urllib_fails_too(guard: Guard, proxy: str) -> None:
    with pytest.raises(LeftTheMachine):
        urllib.request.urlopen("https://checkip.amazonaws.com")
    assert len(guard.take()) == 1, proxy


def test_a_plain_socket_fails(guard: Guard) -> None:
    with socket.socket() as tcp, pytest.raises(LeftTheMachine):
        tcp.connect((OUTSIDE, 443))
    with socket.socket() as tcp, pytest.raises(LeftTheMachine):
        tcp.connect_ex((OUTSIDE, 443))
    with socket.socket(type=socket.SOCK_DGRAM) as udp, pytest.raises(LeftTheMachine):
        udp.sendto(b"", (OUTSIDE, 53))
    with socket.socket(socket.AF_INET6) as tcp, pytest.raises(LeftTheMachine):
        tcp.connect(("2001:db8::1", 443))
    with pytest.raises(LeftTheMachine):
        socket.create_connection(("sts.amazonaws.com", 443))
    assert len(guard.take()) == 5


def test_an_attempt_in_a_thread_is_seen(guard: Guard) -> None:
    with ThreadPoolExecutor(1) as pool:
        failed = pool.submit(socket.create_connection, (OUTSIDE, 443)).exception()
    assert isinstance(failed, LeftTheMachine)
    assert len(guard.take()) == 1


def test_loopback_and_unix_sockets_work(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(("localhost", server.getsockname()[1])):
        pass
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "socket"))
        server.listen()
        client.connect(str(tmp_path / "socket"))


def test_a_child_process_finds_a_dead_proxy_and_fake_keys() -> None:
    """The hook is of this process alone; what a child inherits is the environment."""
    code = "import boto3; print(boto3.client('sts', region_name='eu-west-3').get_caller_identity())"
    environment = {**os.environ, "AWS_MAX_ATTEMPTS": "1"}
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert child.returncode != 0
    assert "ProxyConnectionError" in child.stderr, child.stderr
    assert "127.0.0.1:9" in child.stderr
