"""An S3 server on loopback (moto), and a proxy before it that answers as S3 does on a bad day."""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import s3fs

LOOPBACK = "127.0.0.1"
KEYS = {"aws_access_key_id": "AKIDOFTHETESTS", "aws_secret_access_key": "secret-of-the-tests"}
SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_PASSED_BACK = ("content-type", "etag", "last-modified", "content-range", "accept-ranges", "x-amz-request-id")


@contextmanager
def moto_server(log: Path, host: str = LOOPBACK) -> Iterator[str]:
    """The address of a server of its own, which ends with the block."""
    with socket.socket() as free:
        free.bind((host, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", host, "-p", str(port)]
    with log.open("w") as file, subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT) as process:
        try:
            patience = time.monotonic() + 60
            while True:
                try:
                    socket.create_connection((host, port), timeout=1).close()
                    break
                except OSError:
                    assert process.poll() is None, log.read_text()
                    assert time.monotonic() < patience
                    time.sleep(0.1)
            yield f"http://{host}:{port}"
        finally:
            process.terminate()


def environment(address: str, folder: Path, keys: dict[str, str]) -> dict[str, str]:
    """No call can leave the machine: the endpoint is given, and every other address goes to a proxy that is not there."""
    file = folder / "credentials"
    file.write_text(credentials(keys))
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_SHARED_CREDENTIALS_FILE": str(file),
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1",
    }


def credentials(keys: dict[str, str]) -> str:
    """What stands in the file of that name of the AWS tools."""
    return "[default]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())


def filesystem(address: str, keys: dict[str, str] = KEYS) -> s3fs.S3FileSystem:
    return s3fs.S3FileSystem(
        key=keys["aws_access_key_id"], secret=keys["aws_secret_access_key"], endpoint_url=address, use_listings_cache=False
    )


def allowed(address: str, *actions: str) -> dict[str, str]:
    """Keys of a new user who may do this and nothing else. From now on the server checks signatures and rights."""
    import boto3  # not in the environment of dask-yarn, whose tests are on HDFS

    iam = boto3.client("iam", region_name="us-east-1", endpoint_url=address, **KEYS)
    iam.create_user(UserName="tester")
    iam.put_user_policy(UserName="tester", PolicyName="all", PolicyDocument=_policy(actions))
    made = iam.create_access_key(UserName="tester")["AccessKey"]
    # Of moto: so many more requests go unchecked.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(urllib.request.Request(f"{address}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})).close()  # noqa: S310
    return {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}


def role(address: str, *actions: str) -> str:
    """The ARN of a new role that may do this and nothing else; to be made before the server checks rights."""
    import boto3

    iam = boto3.client("iam", region_name="us-east-1", endpoint_url=address, **KEYS)
    anybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [anybody]})
    arn = str(iam.create_role(RoleName="reader", AssumeRolePolicyDocument=trust)["Role"]["Arn"])
    iam.put_role_policy(RoleName="reader", PolicyName="all", PolicyDocument=_policy(actions))
    return arn


def _policy(actions: Sequence[str]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]})


@contextmanager
def faulty_proxy(behind: str, host: str = LOOPBACK, hung: str = "") -> Iterator[tuple[str, Counter[str]]]:
    """The address of a proxy, and how often it did what. Some GET are throttled or cut, some PUT not answered.

    `throttled`: 503 SlowDown. `cut`: reset within the body of an answer. `unanswered`: reset when the request had been done. `hung`: the
    request of the key with that end was taken, and nothing said to it.
    """
    over = threading.Event()
    counts: Counter[str] = Counter()
    lock = threading.Lock()
    target = urlsplit(behind)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with lock:
                counts["requests"] += 1
                counts[self.command] += 1
                fault = ""
                if self.command == "GET" and counts["GET"] % 10 == 0:
                    fault = "throttled"
                elif self.command == "GET" and counts["GET"] % 25 == 0:
                    fault = "cut"
                elif self.command == "PUT" and counts["PUT"] % 8 == 0:
                    fault = "unanswered"
                if hung and self.command == "GET" and urlsplit(self.path).path.endswith(hung):
                    fault = "hung"
                counts[fault] += 1
            if fault == "hung":
                over.wait()
                return
            if fault == "throttled":
                self._answer(503, {"Content-Type": "application/xml"}, SLOW_DOWN)
                return
            assert target.hostname
            upstream = HTTPConnection(target.hostname, target.port, timeout=30)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in ("expect", "connection")}
            upstream.request(self.command, self.path, body=body, headers=headers)
            answer = upstream.getresponse()
            content = answer.read()
            passed = {name: value for name, value in answer.getheaders() if name.lower() in _PASSED_BACK}
            if self.command == "HEAD":
                passed["Content-Length"] = answer.getheader("Content-Length", "0")
            upstream.close()
            if fault == "unanswered":
                self._reset()
            elif fault == "cut":
                self._answer(answer.status, {**passed, "Content-Length": str(len(content))}, content[: len(content) // 2])
                self._reset()
            else:
                self._answer(answer.status, passed, content)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815

        def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def _reset(self) -> None:
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing it sends RST
            os.close(self.connection.detach())  # close() of the socket would wait for the files that were made of it

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{host}:{server.server_port}", counts
        finally:
            over.set()
            server.shutdown()
            thread.join()
