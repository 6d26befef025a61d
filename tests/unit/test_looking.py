"""What is common to the commands that look at results: refusals with advice, exit codes, colours, Ctrl-C."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import SAMPLE, WITHOUT_OVERRIDE, Engine, asked, cli, report

PHOTO = str(sorted(SAMPLE.glob("*/*.jpg"))[0])
OF_PROJECTION = {"similar": [PHOTO], "identify": [PHOTO], "export": ["app.tflite"]}  # they read projection.npz, so features alone won't do
COMMANDS = {**OF_PROJECTION, "report": []}


def emptied(results: Path) -> None:
    shutil.rmtree(results)
    results.mkdir()


def of_another_schema(results: Path) -> None:
    (results / "report.json").write_text(json.dumps({**report(results), "schema_version": 7}))


def without(name: str) -> Callable[[Path], None]:
    return lambda results: next(results.glob(name)).unlink()


def cut(name: str) -> Callable[[Path], None]:
    def cutting(results: Path) -> None:
        file = next(results.glob(name))
        file.write_bytes(file.read_bytes()[:100])

    return cutting


def listed(folder: Path) -> dict[Path, int]:
    """Everything there, with the times of its last change."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


# What happened to the results, what is said of it, and what to do.
BROKEN: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "no folder": (shutil.rmtree, "there is no folder {results}", "give the folder that was the --output of a run"),
    "an empty folder": (emptied, "no run has been completed there", "give the folder that was the --output"),
    "half a run": (without("report.json"), "a run has begun there and has not come to its end", "the same command as before goes on"),
    "another schema": (of_another_schema, "no report of schema 1, which this fruits reads: it is of schema 7", "run again with --fresh"),
    "no JSON": (cut("report.json"), "report.json is no report of schema 1", "run again with --fresh"),
    "no projection": (without("projection.npz"), "projection.npz cannot be read: No such file", "`python -m fruits validate` names all"),
    "half a projection": (cut("projection.npz"), "projection.npz is no projection", "give the projection.npz"),
    "a file is missing": (without("pca/*.parquet"), ".parquet cannot be used: ", "`python -m fruits validate` names all"),
    "half a file": (cut("pca/*.parquet"), ".parquet cannot be used: ", "`python -m fruits validate` names all"),
}


@pytest.fixture(scope="module")
def whole(inprocess: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two labels, to be copied."""
    folder = tmp_path_factory.mktemp("whole")
    for label in sorted(SAMPLE.iterdir())[:2]:
        shutil.copytree(label, folder / "images" / label.name)
    Engine("inprocess", inprocess).run(input=folder / "images", output=folder / "r", components=3)
    Engine("inprocess", inprocess).run(input=folder / "images", output=folder / "features", features_only=True)
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", BROKEN)
def test_results_that_cannot_be_looked_at(case: str, whole: Path, here: Path) -> None:
    happen, words, advice = BROKEN[case]
    results = Path(shutil.copytree(whole / "r", here / "results"))
    happen(results)
    for command, arguments in (OF_PROJECTION if "projection" in case else COMMANDS).items():
        before = listed(results)
        ended = asked(command, "results", *arguments)
        assert ended.returncode == 2, ended.stdout
        assert listed(results) == before
        what, do = ended.stderr.splitlines()
        assert words.format(results=results) in what
        assert str(results) in what
        assert advice in do
    assert not (here / "app.tflite").exists()


def test_a_page_on_results_where_nobody_may_write_is_refused(whole: Path, here: Path) -> None:
    """And a copy without `_fruits/` has no empty one afterwards."""
    shutil.copytree(whole / "r", here / "results", ignore=shutil.ignore_patterns("_fruits"))
    assert asked("report", "results").returncode == 0
    assert not (here / "results" / "_fruits").exists()
    before = listed(here / "results")
    for path in (here / "results", *(here / "results").rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    ended = cli("report", here / "results", under=WITHOUT_OVERRIDE)
    assert ended.returncode == 2, ended.stderr
    what, do = ended.stderr.splitlines()
    assert str(here / "results") in what
    assert "cannot be written: Permission denied" in what
    assert "copy the results to where you may write" in do
    assert listed(here / "results") == before


@pytest.mark.parametrize("command", OF_PROJECTION)
def test_features_alone_are_refused_with_what_to_do(command: str, whole: Path, here: Path) -> None:
    ended = asked(command, whole / "features", *COMMANDS[command])
    assert ended.returncode == 2
    assert "holds features only" in ended.stderr
    assert "run the same command without --features-only: the features are reused" in ended.stderr
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["similar", "r", PHOTO, "--count", "0"], "0 is not in the range"),
        (["similar", "r", PHOTO, "--page", "photo.jpg"], "photo.jpg does not end in .html"),
        (["similar", "r", PHOTO, "--page", "file/page.html"], "file is not a folder"),
        (["similar", "r"], "Missing argument 'IMAGE'"),
        (["similar", "file", PHOTO], "there is no folder"),
        (["identify", "r"], "Missing argument 'PHOTO...'"),
        (["identify", "r", PHOTO, "--threshold", "7"], "7.0 is not in the range 0<=x<=1"),
        (["export", "r", "photo.jpg"], "photo.jpg does not end in .tflite"),
        (["export", "r", "folder.tflite"], "is a folder"),
        (["export", "r", ".tflite"], "does not end in .tflite"),
        (["export", "r", "s3://app.tflite"], "s3://app.tflite names no file in a bucket"),
        (["--workers", "2", "similar", "r", PHOTO], "have no effect on the command similar"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_arguments_are_refused(arguments: list[str], words: str, here: Path) -> None:
    (here / "file").touch()
    (here / "folder.tflite").mkdir()
    (here / "photo.jpg").write_text("a photo")
    ended = asked(*arguments)
    assert ended.returncode == 2, ended.stdout
    assert words in re.sub(r"[│\s]+", " ", ended.stderr)
    assert sorted(path.name for path in here.iterdir()) == ["file", "folder.tflite", "photo.jpg"]
    assert (here / "photo.jpg").read_text() == "a photo"


def test_the_help_has_the_exit_codes_and_imports_no_numpy() -> None:
    started = [sys.executable, "-X", "importtime", "-m", "fruits", "identify", "--help"]
    shown = subprocess.run(started, capture_output=True, text=True, check=True)
    assert "RESULTS" in shown.stdout
    assert "numpy" not in shown.stderr
    told = re.sub(r"[│\s]+", " ", asked("--help").stdout)
    assert "Exit codes: 0 done, 1 the run or the validation failed or a photo could not be read, 2 an argument was refused" in told
    assert "130 interrupted" in told


def test_no_color_is_respected_on_a_terminal(sample_results: Path) -> None:
    """Under a real pseudo terminal, of `script`. The answers have styles and no colours anyway, the help has both."""
    colour = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")
    for arguments in (["similar", str(sample_results), PHOTO], ["--help"]):
        command = " ".join(f"'{part}'" for part in (sys.executable, "-m", "fruits", *arguments))
        environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
        shown = [
            subprocess.run(
                ["script", "-qec", command, "/dev/null"], capture_output=True, text=True, timeout=60, check=False, env=env
            ).stdout
            for env in ({**environment, "TERM": "xterm-256color"}, {**environment, "TERM": "xterm-256color", "NO_COLOR": "1"})
        ]
        assert "\x1b[" in shown[0]  # styles, of which colours are some
        assert bool(colour.search(shown[0])) == (arguments == ["--help"])  # with NO_COLOR the help could not be right by chance
        assert not colour.search(shown[1])


@pytest.mark.parametrize(("command", "loaded"), [("similar", "litert"), ("identify", "litert"), ("export", "libtensorflow_cc")])
def test_ctrl_c_ends_it_with_130_and_leaves_nothing(command: str, loaded: str, sample_results: Path, tmp_path: Path) -> None:
    """While it reads results that name their file 5000 times, or is in TensorFlow: it has loaded that library then."""
    results = tmp_path / "results"
    shutil.copytree(sample_results, results)
    content = report(results)
    if command != "export":
        content["files"] += 5000 * [file for file in content["files"] if file["name"].startswith("pca/")]
        (results / "report.json").write_text(json.dumps(content))
    # Where this process was started in the background, SIGINT is ignored by all that it starts.
    arguments = ["env", "--default-signal=INT", sys.executable, "-m", "fruits", command, str(results), *COMMANDS[command]]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as started:
        while loaded not in Path(f"/proc/{started.pid}/maps").read_text():
            assert started.poll() is None
            time.sleep(0.05)
        # A library that is in the middle of its own import may take an interruption for a part of it that is missing, and go on.
        time.sleep(2)
        started.send_signal(signal.SIGINT)
        stdout, stderr = started.communicate(timeout=60)
    assert started.returncode == 130, stderr
    assert stderr.splitlines()[-1] == "interrupted: nothing was changed; the same command starts again"
    assert "Traceback" not in stderr
    assert stdout == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results"]


def test_ctrl_c_leaves_the_page_that_was_there_and_no_lease(whole: Path, tmp_path: Path) -> None:
    """While it reads results that name their files 3000 times."""
    results = tmp_path / "results"
    shutil.copytree(whole / "r", results)
    content = report(results)
    content["files"] += 3000 * [file for file in content["files"] if file["name"].startswith("pca/")]
    (results / "report.json").write_text(json.dumps(content))
    before = listed(results)
    arguments = ["env", "--default-signal=INT", sys.executable, "-m", "fruits", "report", str(results)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        while not list(results.glob("_fruits/lease-*.json")):
            assert started.poll() is None
            time.sleep(0.01)
        started.send_signal(signal.SIGINT)
        stdout, stderr = started.communicate(timeout=60)
    assert started.returncode == 130, stderr
    assert stderr == "interrupted: the same command makes the page again\n"
    assert stdout == ""
    assert listed(results) == before
