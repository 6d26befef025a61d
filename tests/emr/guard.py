"""No call may leave the machine, whatever its environment holds.

Names and addresses other than loopback's are refused where Python asks the system for them: by an audit hook, which sees all sockets, also
those of libraries that were imported before. What Rust and C open by themselves, and child processes, find fake keys and a dead proxy.
"""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import pytest

DEAD_PROXY = ("127.0.0.1", 9)  # the discard port, on which nothing listens
KEPT_LOCAL = "127.0.0.1,localhost,::1"


class LeftTheMachine(BaseException):
    """Not an `Exception`: nobody may take it for a network that is down, and try again or say so."""


class Guard:
    """`attempts`: what was refused; a test that ends with one has failed, even if the refusal was lost in a thread."""

    def __init__(self) -> None:
        self.attempts: list[str] = []
        self._on = False
        sys.addaudithook(self._hook)

    @contextmanager
    def on(self) -> Iterator["Guard"]:
        self._on = True
        try:
            yield self
        finally:
            self._on = False

    def take(self) -> list[str]:
        taken, self.attempts = self.attempts, []
        return taken

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on or not event.startswith("socket."):
            return
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            connection, address = arguments
            if connection.family not in (socket.AF_INET, socket.AF_INET6) or address is None:
                return
            if _loopback(address[0]) and address[:2] != DEAD_PROXY:
                return
        elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
            address = arguments[0]
            if _loopback(address):
                return
        else:
            return
        self.attempts.append(f"{event} {address}")
        raise LeftTheMachine(self.attempts[-1])


def _loopback(host: Any) -> bool:
    name = host.decode() if isinstance(host, bytes | bytearray) else host
    if name in (None, "", "localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def cut_off(patch: pytest.MonkeyPatch) -> None:
    """The environment of somebody who has fake keys, no files of AWS, no metadata service and a proxy that is dead."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "BOTO_")) or name.lower().endswith("_proxy"):
            patch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        patch.setenv(name, os.devnull)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        patch.setenv(name, "testing")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        for written in (name, name.lower()):
            patch.setenv(written, "http://{}:{}".format(*DEAD_PROXY))
    for written in ("NO_PROXY", "no_proxy"):
        patch.setenv(written, KEPT_LOCAL)
