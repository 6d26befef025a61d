"""Processes that hold the lease of a results folder until they are told to let go, with short times to wait."""

import os
import subprocess
import sys

HOLDER = """
import sys
from fruits import lease
from fruits.errors import FruitsError
from fruits.storage import Folder
lease.RENEWAL_SECONDS, lease.PATIENCE_SECONDS, lease._LOOK_SECONDS = 0.2, 2.0, 0.1
held = lease.Lease(Folder(sys.argv[1]), "dask", lambda text: print("note:", text, flush=True))
try:
    held.acquire()
    print("held", flush=True)
    sys.stdin.readline()
    held.check()
    held.release()
    print("released", flush=True)
except FruitsError as error:
    print(type(error).__name__, error.message, flush=True)
"""
ELSEWHERE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")  # where numbers of processes mean nothing here


def holder(url: str, *under: str, **environment: str) -> "subprocess.Popen[str]":
    command = [*under, sys.executable, "-c", HOLDER, url]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}, start_new_session=True
    )


def told(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def let_go(process: "subprocess.Popen[str]") -> str:
    return process.communicate("\n", timeout=60)[0]


def one_of_many(url: str, **environment: str) -> None:
    """Six try at once, and one gets it."""
    trying = [holder(url, **environment) for _ in range(6)]
    said = []
    for process in trying:
        while (line := told(process)).startswith("note"):
            pass
        said.append(line.split()[0])
    assert sorted(said) == ["OutputInUse"] * 5 + ["held"]
    for process in trying:
        let_go(process)
