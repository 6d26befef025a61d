"""The marker `root`: without root's rights its tests are left out, and counted."""

import os
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from conftest import without

TESTS = """
import pytest

@pytest.mark.root("mounts a disk")
@pytest.mark.parametrize("number", range(2))
def test_on_a_disk(number):
    pass

@pytest.mark.root("makes a namespace")
def test_in_a_namespace():
    pass

def test_of_any_user():
    pass
"""
WITHOUT_MOUNTING = without("sys_admin")


def run(folder: Path, *arguments: str, under: tuple[str, ...] = ()) -> "CompletedProcess[str]":
    """pytest with this suite's conftest, on the tests above."""
    (folder / "test_rights.py").write_text(TESTS)
    tests = Path(__file__).parents[1]
    pytest_ = (sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider")
    return subprocess.run(
        [*under, *pytest_, *arguments, folder],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"},
        check=False,
    )


def counts(ended: "CompletedProcess[str]") -> list[str]:
    lines = ended.stdout.splitlines()
    return [line for line in lines if line.startswith(("marked root", "left out"))]


@pytest.mark.parametrize("processes", ["0", "2"])
def test_without_the_rights_they_are_counted_by_reason(processes: str, tmp_path: Path) -> None:
    ended = run(tmp_path, "-n", processes, under=WITHOUT_MOUNTING)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert counts(ended) == [
        "marked root: 0 tests passed",
        "left out: 2 tests: needs root: mounts a disk",
        "left out: 1 tests: needs root: makes a namespace",
    ]
    assert "1 passed" in ended.stdout


def test_only_what_was_chosen_is_counted_and_nothing_run_is_no_success(tmp_path: Path) -> None:
    ended = run(tmp_path, "-m", "root", "-k", "disk", under=WITHOUT_MOUNTING)
    assert ended.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, ended.stdout + ended.stderr
    assert counts(ended)[1:] == ["left out: 2 tests: needs root: mounts a disk"]


@pytest.mark.root("runs tests that are marked root")
@pytest.mark.parametrize("processes", ["0", "2"])
def test_with_the_rights_they_are_run(processes: str, tmp_path: Path) -> None:
    ended = run(tmp_path, "-n", processes, "-m", "root")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert counts(ended) == ["marked root: 3 tests passed"]
