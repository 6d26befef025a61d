"""Processes that hold the lease of a results folder until they are told to let go, with short times to wait."""

import json
import os
import signal
import subprocess
import sys
from typing import Any

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


def holder(url: str, *under: str, **environment: str) -> "subprocess.Popen[str]":
    command = [*under, sys.executable, "-c", HOLDER, url]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}, start_new_session=True
    )


def stop_elsewhere(process: "subprocess.Popen[str]", files: Any, folder: str) -> None:
    """Stops a holder and has its lease say that it runs on another machine.

    `files` is the fsspec file system of the folder. A holder that is continued renews its lease,
    which names this machine again.
    """
    os.killpg(process.pid, signal.SIGSTOP)
    (lease,) = files.glob(f"{folder}/_fruits/lease-*.json")
    files.pipe(lease, json.dumps({**json.loads(files.cat(lease)), "machine": "another"}).encode())


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
