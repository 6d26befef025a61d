"""`fruits.toml`: which file wins, and that nothing in one is ignored."""

import json
from pathlib import Path

import pytest

from conftest import cli


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """The folders that are looked in, the least specific first."""
    found = {name: tmp_path / name for name in ("system", "user", "working")}
    for name, folder in found.items():
        (folder if name == "working" else folder / "fruits").mkdir(parents=True)
    return found


def write(folders: dict[str, Path], name: str, text: str) -> Path:
    file = folders[name] / ("fruits.toml" if name == "working" else "fruits/fruits.toml")
    file.write_text(text)
    return file


def planned(folders: dict[str, Path], images: Path, *typed: str) -> dict[str, str]:
    environment = {"XDG_CONFIG_DIRS": str(folders["system"]), "XDG_CONFIG_HOME": str(folders["user"])}
    ended = cli("--input", str(images), "--dry-run", "--json", *typed, cwd=folders["working"], **environment)
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout)["job"])


def test_the_most_specific_wins(folders: dict[str, Path], images: Path) -> None:
    write(folders, "system", 'chunk-size = 3\nbatch-size = 3\ncomponents = 3\nmax-rejected = 0.3\nbackend = "spark"\n')
    write(folders, "user", 'chunk-size = 4\nbatch-size = 4\ncomponents = 4\nbackend = "dask"\n')
    write(folders, "working", 'chunk-size = 5\nbatch-size = 5\n\n[set]\n"distributed.worker.memory.target" = "0.5"\n')
    job = planned(folders, images, "--batch-size", "6")
    chosen = {name: job[name] for name in ("batch_size", "chunk_size", "components", "max_rejected", "backend", "options")}
    assert chosen == {
        "batch_size": 6,  # as typed
        "chunk_size": 5,
        "components": 4,
        "max_rejected": 0.3,
        "backend": "dask",
        "options": {"distributed.worker.memory.target": "0.5"},
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wrokers = 2\n", "there is no option 'wrokers'"),
        ('batch-size = "many"\n', "batch-size = 'many'"),
        ("batch-size = \n", "cannot be read"),
        ('precision = "bfloat16"\n', "the engine litert does not compute in bfloat16"),
        ('environment = "venv:///x"\n', "--environment venv:///x has no effect on --cluster local"),
    ],
)
def test_what_is_wrong_in_a_file_is_refused(folders: dict[str, Path], images: Path, text: str, words: str) -> None:
    write(folders, "user", text)
    environment = {"XDG_CONFIG_DIRS": str(folders["system"]), "XDG_CONFIG_HOME": str(folders["user"])}
    ended = cli("--input", str(images), cwd=folders["working"], **environment)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(folders["working"].iterdir())
