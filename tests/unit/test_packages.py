"""Every command says what is not installed before it starts; the extras hold what is needed."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks import checks, speed

ROOT = Path(__file__).parents[2]
# What the words in capitals of a command stand for; another is there where it does not matter.
PLACES = {
    "SAMPLE": str(ROOT / "fruits/sample/Test"),
    "STUDY": str(ROOT / "benchmarks/results/2026-11-26"),
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# The module of each command line, and its commands with what they must be given.
FRUITS = [
    "",
    "validate R",
    "rejected R",
    "report R",
    "pack",
    "doctor",
    "similar R I",
    "identify R I",
    "export R a.tflite",
]
BOOTSTRAP = [
    "preflight",
    "plan",
    "up",
    "status",
    "down",
    "ls",
    "destroy",
    "upload F",
    "backup F",
    "logs",
    "submit",
    "benchmark",
    "smoke",
    "tunnel",
]
BENCHMARKS = ["", "report R", "speed", "profile", "identify SAMPLE", "resizing R"]
PROGRAMS = {
    "fruits": ("fruits.cli", FRUITS),
    "bootstrap": ("bootstrap.cli", BOOTSTRAP),
    "benchmarks": ("benchmarks.__main__", BENCHMARKS),
}
# What the command lines themselves are made of, as `dependencies` of the project name it.
BASE = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
DISTRIBUTIONS = packages_distributions()
# Parts of boto3, and what the peers have in an environment of their own.
ELSEWHERE = {"botocore", "s3transfer", "daft", "ray"}
# None in `sys.modules` is Python's own way to say that a module is not there.
RUN = """
import sys
sys.modules.update(dict.fromkeys({missing!r}))
from {module} import main
main({arguments!r}, prog_name="python -m {program}")
"""
EACH = """
import json, sys
sys.modules.update(dict.fromkeys({missing!r}))
from click.testing import CliRunner
from {module} import main
ended = [CliRunner().invoke(main, one, prog_name="python -m {program}") for one in {commands!r}]
answers = [[one.exit_code, one.stderr, repr(one.exception)] for one in ended]
print(json.dumps({{"commands": [*main.commands], "ended": answers}}))
"""


def words(command: str) -> list[str]:
    return [PLACES.get(word, word) for word in command.split()]


def python(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=120,
        check=False,
    )


MISSING = [
    ("matplotlib", "benchmarks", "", "bench"),
    ("scipy", "benchmarks", "", "bench"),
    ("psutil", "benchmarks", "--no-page", "bench"),
    ("ai_edge_litert", "benchmarks", "--no-page", "worker"),
    ("distributed", "benchmarks", "--no-page --backends dask", "dask"),
    ("pyspark", "benchmarks", "--no-page", "spark"),
    ("matplotlib", "benchmarks", "report STUDY", "bench"),
    ("scipy", "benchmarks", "report STUDY", "bench"),
    ("psutil", "benchmarks", "speed --only memory", "bench"),
    ("pyspark", "benchmarks", "speed --only pca", "spark"),
    ("moto", "benchmarks", "speed --only planning", "bench"),
    ("flask", "benchmarks", "speed --only start --only far", "bench"),
    ("tensorflow", "benchmarks", "speed --only job", "keras"),
    ("tensorflow", "benchmarks", "speed --only notebook", "keras"),
    ("tensorflow", "benchmarks", "speed", "keras"),
    ("openvino", "benchmarks", "speed --only precision", "openvino"),
    ("matplotlib", "benchmarks", "profile", "bench"),
    ("sklearn", "benchmarks", "identify SAMPLE", "bench"),
    ("pyarrow", "benchmarks", "resizing R", "worker"),
    ("ai_edge_litert", "fruits", "export R a.tflite", "worker"),
    ("tensorflow", "fruits", "export R a.tflite", "keras"),
    ("PIL", "fruits", "similar R I --page a.html", "worker"),
    ("botocore", "bootstrap", "tunnel", "bootstrap"),
    ("scipy", "bootstrap", "plan", "bootstrap"),
    ("distributed", "bootstrap", "up", "bootstrap"),
    ("setuptools", "bootstrap", "smoke", "bootstrap"),
    ("pyarrow", "bootstrap", "upload F", "worker"),
    ("matplotlib", "bootstrap", "benchmark", "bench"),
]


@pytest.mark.parametrize(
    ("missing", "program", "command", "extra"),
    MISSING,
    ids=[f"{program} {command} without {missing}" for missing, program, command, _ in MISSING],
)
def test_a_package_that_is_missing_is_named_with_its_extra_and_nothing_is_done(
    missing: str, program: str, command: str, extra: str, tmp_path: Path
) -> None:
    module = PROGRAMS[program][0]
    ended = python(
        RUN.format(missing=[missing], module=module, arguments=words(command), program=program),
        tmp_path,
    )
    assert ended.returncode == 2, ended.stderr
    message, *advice = ended.stderr.splitlines()
    assert re.fullmatch(rf"error: .* cannot run: the package {missing} is not installed", message)
    assert f"[{extra}]" in " ".join(advice)
    assert not list(tmp_path.iterdir())


def test_the_graph_is_not_made_without_tensorflow(tmp_path: Path) -> None:
    script = RUN.format(
        missing=["tensorflow"],
        module="fruits.graph",
        arguments=["a.tflite"],
        program="fruits.graph",
    )
    ended = python(script, tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "[keras]" in ended.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_any_extra_every_command_names_one_and_has_its_help(
    program: str,
    tmp_path: Path,
) -> None:
    module, commands = PROGRAMS[program]
    names = [command.partition(" ")[0] for command in commands]
    lines = [words(command) for command in commands]
    lines += [[*name.split(), "--help"] for name in names]
    optional = {of for extra in PROJECT["optional-dependencies"] for of in modules_of(extra)}
    script = EACH.format(missing=sorted(optional), module=module, commands=lines, program=program)
    ended = python(script, tmp_path)
    assert ended.returncode == 0, ended.stderr
    answers = json.loads(ended.stdout)
    assert set(answers["commands"]) == set(names) - {""}
    for command, (code, stderr, raised) in zip(commands, answers["ended"], strict=False):
        assert code == 2, f"{command}: {raised}"
        assert stderr.startswith(f"error: python -m {program}"), command
        assert re.search(r" cannot run: the package \w+ is not installed\n", stderr), command
    assert [code for code, *_ in answers["ended"][len(commands) :]] == [0] * len(commands)
    assert not list(tmp_path.iterdir())


def test_what_every_case_needs_is_known() -> None:
    assert list(checks.CASES) == list(speed.CASES)


def requirements_of(extra: str) -> Iterator[str]:
    """Names of the distributions of an extra and of those that it includes."""
    for text in PROJECT["optional-dependencies"][extra]:
        requirement = Requirement(text)
        if requirement.name == "fruits":
            for included in requirement.extras:
                yield from requirements_of(included)
        else:
            yield canonicalize_name(requirement.name)


def distributions_of(module: str) -> set[str]:
    return {canonicalize_name(name) for name in DISTRIBUTIONS.get(module, [])}


def modules_of(extra: str) -> set[str]:
    """The top-level modules of what it installs, that the project itself does not need."""
    names = set(requirements_of(extra)) - BASE
    return {of for of in DISTRIBUTIONS if of.isidentifier() and names & distributions_of(of)}


def imported(folder: Path) -> dict[str, str]:
    """Top-level modules that the code imports, each with a file that does.

    What only type checkers see is left out.
    """
    modules = {}
    for file in folder.rglob("*.py"):
        waiting: list[ast.AST] = [ast.parse(file.read_text())]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                continue
            waiting += ast.iter_child_nodes(node)
            names = [of.name for of in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            modules |= {name.partition(".")[0]: file.name for name in names}
    return modules


@pytest.mark.parametrize(
    ("package", "extras"),
    [
        ("benchmarks", ["bench", "dask", "spark", "keras", "openvino"]),
        ("bootstrap", ["bootstrap"]),
    ],
)
def test_the_extras_hold_what_is_imported(package: str, extras: list[str]) -> None:
    """By name, not because something else needs it too."""
    held = {name for extra in extras for name in requirements_of(extra)} | BASE
    known = sys.stdlib_module_names | {"backends", "benchmarks", "bootstrap", "fruits"} | ELSEWHERE
    modules = {of: file for of, file in imported(ROOT / package).items() if of not in known}
    assert modules
    assert {of: file for of, file in modules.items() if not held & distributions_of(of)} == {}
