"""What the documents say: links lead somewhere, commands run as they stand there, each option is described and exists."""

import ast
import contextlib
import errno
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import rich_click as click
from markdown_it import MarkdownIt
from markdown_it.token import Token

from conftest import SAMPLE
from fruits.cli import main
from fruits.decode import Reason
from fruits.report import RunReport

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCUMENTS = sorted(
    {README, ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", ROOT / "benchmarks/README.md"}
    | {*(ROOT / "docs").glob("*.md"), *(ROOT / "bootstrap").rglob("*.md")}
)
COMMAND = re.compile(r"((\.venv/bin/)?python -m (fruits|benchmarks|bootstrap)|make|pip install) ")
FOOTNOTE = re.compile(r"(^)?\[\^([\w-]+)\]", re.MULTILINE)
SHELL = {"", "sh", "bash", "shell", "console"}  # languages of code blocks whose lines are commands
SHOWN = {"text", "toml", "json", "python"}  # of those in the README that are only shown
# Whose options are read by click, and never executed here: they measure for minutes, or ask AWS.
OTHERS = {"benchmarks": "benchmarks.__main__", "bootstrap": "bootstrap.cli"}


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


def tokens_of(document: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(document.read_text(encoding="utf-8"))


def inline(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield from token.children or ()


def anchors(document: Path) -> set[str]:
    """Of the headings, as GitHub makes them: small letters, no punctuation, hyphens for spaces, a number for one that is there already."""
    found: dict[str, int] = {}
    names = set()
    tokens = tokens_of(document)
    for heading, text in pairwise(tokens):
        if heading.type != "heading_open":
            continue
        words = "".join(child.content for child in text.children or ())
        name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        names.add(f"{name}-{found[name]}" if name in found else name)
        found[name] = found.get(name, 0) + 1
    return names


def wrong_links(document: Path) -> Iterator[str]:
    for token in inline(tokens_of(document)):
        target = str(token.attrs.get("href") or token.attrs.get("src") or "")
        if not target or re.match(r"(https?|mailto):", target):
            continue
        path, _, anchor = target.partition("#")
        to = (document.parent / path).resolve() if path else document
        if not to.exists():
            yield f"{target}: there is no such file"
        elif anchor and anchor not in anchors(to):
            yield f"{target}: no heading has that anchor"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(document: Path) -> None:
    assert not list(wrong_links(document))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_footnote_has_a_text_and_every_text_is_referred_to(document: Path) -> None:
    found = list(FOOTNOTE.finditer(document.read_text(encoding="utf-8")))
    texts = [match[2] for match in found if match[1] is not None]  # these begin a line
    assert sorted(texts) == sorted({match[2] for match in found if match[1] is None})


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text(
        "# One, two\n\n| |\n|---|\n| [x](b.md) ![y](c.png) [z](#one-two) [w](#three) [v](https://d) |\n\n    [code](e.md)\n"
    )
    assert [wrong.partition(":")[0] for wrong in wrong_links(document)] == ["b.md", "c.png", "#three"]


def blocks(document: Path) -> Iterator[tuple[str, str]]:
    """Language and content of the code blocks; those that are indented have no language."""
    return ((token.info.strip(), token.content) for token in tokens_of(document) if token.type in ("fence", "code_block"))


def commands(document: Path) -> list[str]:
    """The lines of the blocks whose language is a shell's; one that ends in \\ with the next."""
    content = "".join(content for language, content in blocks(document) if language in SHELL)
    return [line for line in content.replace("\\\n", " ").splitlines() if line.strip()]


def words_of(line: str, home: Path) -> list[str]:
    """As the shell cuts it, without the comment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return [re.sub(r"^~(?=/)", str(home), word) for word in lexer]


def module_of(words: list[str]) -> str | None:
    """What is run by `python -m`, of ours."""
    ours = len(words) > 2 and words[0] in ("python", ".venv/bin/python") and words[1] == "-m" and words[2] in ("fruits", *OTHERS)
    return words[2] if ours else None


def needs_a_cluster(words: list[str]) -> bool:
    return bool({"yarn", "pack", "--environment"} & set(words)) or any("://" in word for word in words)


def parse(command: click.Command, words: list[str], parent: click.Context | None = None) -> None:
    """Raises `click.UsageError` for what the command line would refuse; runs nothing."""
    if isinstance(command, click.Group) and words and words[0] in command.commands:
        with command.make_context(command.name, [], parent=parent, resilient_parsing=True) as context:
            parse(command.commands[words[0]], words[1:], context)
        return
    assert not isinstance(command, click.Group) or not words or words[0].startswith("-"), f"there is no command {words[0]!r}"
    with contextlib.suppress(click.exceptions.Exit):  # --help was shown
        command.make_context(command.name, words, parent=parent).close()


def check_simple(line: str, words: list[str]) -> None:
    """Fails for a line that is not one command and nothing else."""
    assert words, f"not a command: {line}"
    assert not [word for word in words if set(word) <= set("();<>|&")], f"not known how to check: {line}"


def check_accepted(line: str, words: list[str]) -> None:
    """Fails for a line that cannot be right. What it would do is not done."""
    check_simple(line, words)
    if module := module_of(words):
        parse(main if module == "fruits" else import_module(OTHERS[module]).main, words[3:])
    elif words[0] == "make":
        known = set(re.findall(r"^(\w+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE))
        unknown = {word.partition("=")[0] for word in words if "=" in word} - known
        assert not unknown, f"the Makefile has no variable {unknown}: {line}"
        # The recipes are printed and not run.
        dry = subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True, env=clean(), check=False)
        assert dry.returncode == 0, f"{line}: {dry.stderr}"
    elif words[:2] == ["pip", "install"]:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        for package in words[2:]:
            name, _, extras = package.rstrip("]").partition("[")
            wheel = f"{project['name']}-{project['version']}-py3-none-any.whl"  # fruits is on no index
            assert name == wheel, f"not known how to check: {line}"
            assert set(filter(None, extras.split(","))) <= project["optional-dependencies"].keys(), line
    else:
        pytest.fail(f"not known how to check: {line}")


def clean(**more: str) -> dict[str, str]:
    """An environment with no cluster, no keys and no proxy that answers."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", **more}


def test_the_commands_of_the_readme_run_as_they_stand_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after another in a fresh folder, with the bundled sample where they say that the images are. What needs a cluster, AWS or
    minutes is parsed."""
    assert {language for language, _ in blocks(README)} <= SHELL | SHOWN
    home, folder = tmp_path / "home", tmp_path / "checkout"
    home.mkdir()
    folder.mkdir()
    (folder / ".venv").symlink_to(sys.prefix)
    monkeypatch.setenv("HOME", str(home))
    environment = clean(HOME=str(home), PATH=f"{folder}/.venv/bin:{os.environ['PATH']}", XDG_CONFIG_DIRS=str(home))
    lines = [(line, words_of(line, home)) for line in commands(README)]
    for images in {Path(words[words.index("--input") + 1]) for _, words in lines if "--input" in words}:
        if images.is_relative_to(home):
            shutil.copytree(SAMPLE, images)
    executed = []
    for line, words in lines:
        check_simple(line, words)
        if module_of(words) == "fruits" and not needs_a_cluster(words):
            ended = subprocess.run(
                ["bash", "-c", line], cwd=folder, capture_output=True, text=True, env=environment, timeout=240, check=False
            )
            assert ended.returncode == 0, f"{line}: {ended.returncode}\n{ended.stdout}{ended.stderr}"
            executed.append(line)
        else:
            check_accepted(line, words)
    assert executed, "the README shows no command that can be run"


@pytest.mark.parametrize("document", [document for document in DOCUMENTS if document != README], ids=name_of)
def test_the_commands_of_the_other_documents_are_accepted(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for line in filter(COMMAND.match, commands(document)):  # among formulas, files and what programs say
        check_accepted(line, words_of(line, tmp_path))


@pytest.mark.parametrize(
    "line",
    [
        "python -m fruits --imput Test",
        "python -m fruits --backend flink",
        "python -m fruits validate",
        "python -m fruits validat Results",
        "python -m fruits --input a | head",
        "make no-such-target",
        "make run BACKEN=dask",
        "pip install 'fruits[dask]'",
        "pip install 'fruits-0.1.0-py3-none-any.whl[no-such-extra]'",
        "curl https://example.org",
    ],
)
def test_a_command_that_is_wrong_or_unknown_is_found(line: str, tmp_path: Path) -> None:
    with pytest.raises((click.UsageError, AssertionError, pytest.fail.Exception)):
        check_accepted(line, words_of(line, tmp_path))


def first_cells(document: Path, heading: str) -> str:
    """The code in the first column of the table under that heading."""
    cells, under, column = [], "", 0
    tokens = tokens_of(document)
    for token, text in pairwise(tokens):
        if token.type == "heading_open":
            under = text.content
        column = {"tr_open": 0, "td_open": column + 1}.get(token.type, column)
        if token.type == "td_open" and column == 1 and under == heading:
            cells += [child.content for child in text.children or () if child.type == "code_inline"]
    return "\n".join(cells)


def names_of(parameters: list[Any]) -> set[str]:
    return {name for parameter in parameters for name in parameter.opts if name.startswith("--")}


def test_every_option_is_described_and_no_other() -> None:
    shown = names_of(main.get_params(click.Context(main)))
    assert set(re.findall(r"--[a-z][a-z-]*", first_cells(ROOT / "docs/options.md", "Options"))) == shown


def test_every_command_and_its_options_are_described_and_no_other() -> None:
    described = first_cells(ROOT / "docs/options.md", "Commands").splitlines()
    parsed = {line.split()[0]: set(re.findall(r"--[a-z][a-z-]*", line)) for line in described}
    assert parsed == {name: names_of(command.params) for name, command in main.commands.items()}


def test_every_field_of_the_report_and_every_reason_is_described_and_no_other() -> None:
    outputs = ROOT / "docs/outputs.md"
    assert sorted(first_cells(outputs, "report.json").splitlines()) == sorted(field.name for field in fields(RunReport))
    assert sorted(first_cells(outputs, "Reasons").splitlines()) == sorted(Reason)


def said_in_code() -> list[str]:
    """Every piece of text in the product's code: of formatted text what lies between the values."""
    files = [file for package in ("fruits", "backends") for file in sorted((ROOT / package).rglob("*.py"))]
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_messages_that_the_page_of_operations_explains_are_those_of_the_code() -> None:
    said = [os.strerror(errno.ENOSPC), *said_in_code()]
    headings = (
        "A run was refused (exit code 2)",
        "A run failed (exit code 1)",
        "On YARN",
        "Looking at results (exit code 2)",
        "Notes that are no errors",
    )
    messages = [message for heading in headings for message in first_cells(ROOT / "docs/operations.md", heading).splitlines()]
    assert len(messages) > 40
    pieces = [(message, piece) for message in messages for piece in message.split("...") if piece]
    assert not [f"{message}: {piece!r}" for message, piece in pieces if not any(piece in text for text in said)]
