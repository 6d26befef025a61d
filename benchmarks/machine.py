"""The machine and the software that figures are of."""

import os
import platform
import subprocess
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from backends import spark_home
from benchmarks.product import ROOT
from fruits.machine import memory

PACKAGES = (
    "ai-edge-litert",
    "dask",
    "dask-ml",
    "distributed",
    "numpy",
    "obstore",
    "pillow",
    "pyarrow",
    "pyspark",
    "s3fs",
    "tensorflow-cpu",
)
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile")

COMMIT = "COMMIT"  # beside the package, in a copy of it that is no checkout


def commit() -> str:
    """Of the checkout, or what its copy says; empty where neither is known."""
    if (ROOT / COMMIT).is_file():
        return (ROOT / COMMIT).read_text().strip()
    try:
        return subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""


def _version(package: str) -> str | None:
    """None for what is not there. Of Spark that of SPARK_HOME, which pip does not know and which is used before pip's."""
    if package == "pyspark":
        spark_home.prefer()
        if find_spec("pyspark") is None:
            return None
        import pyspark

        return pyspark.__version__
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    told: dict[str, str] = {}
    for name, _, value in (line.partition(":") for line in lines):
        told[name.strip()] = value.strip()
    flags = set(told.get("flags", "").split())
    return {
        "processor": told.get("model name", platform.machine()),
        "cores": os.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "memory_bytes": memory(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {package: _version(package) for package in PACKAGES},
        "commit": commit(),
        "date": f"{datetime.now().astimezone():%Y-%m-%d %H:%M %z}",
        "load": os.getloadavg(),
    }
