"""What AWS refuses: every command that asks it says so in words, and has done nothing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import bootstrap.aws
from bootstrap.cli import main

from .loopback import Handler, served

COMMANDS = {
    "upload": ["--yes"],
    "backup": ["--yes"],
    "logs": [],
    "tunnel": [],
    "preflight": [],
    "up": ["--yes"],
    "status": [],
    "down": [],
    "ls": [],
    "ls --all-regions": [],
    "destroy": ["--yes"],
    "submit": ["--yes"],
    "benchmark": ["--yes"],
    "smoke": ["--yes"],
}
# The names of an error in S3's protocol, in that of EMR (JSON), and in the older one of STS and EC2 (query).
S3, JSON, QUERY = range(3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With an image, and a PATH on which the tunnel finds what it needs, which does nothing."""
    for name in ("aws", "session-manager-plugin"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.jpg").write_bytes(b"1")
    return images


def run(name: str, folder: Path, *more: str) -> Result:
    given = [*COMMANDS[name], *([str(folder)] if name in ("upload", "backup") else [])]
    return CliRunner().invoke(main, [*name.split(), *more, *given])


@contextmanager
def always(status: int, codes: tuple[str, str, str]) -> Iterator[tuple[str, list[str]]]:
    """The address of a server with one answer, in the form in which it is asked, and what it was asked."""
    asked: list[str] = []

    class Refusing(Handler):
        def do_GET(self) -> None:  # noqa: N802
            body = self.body()
            target = self.headers.get("X-Amz-Target", "")
            asked.append(target or self.path)
            if target:
                content = json.dumps({"__type": codes[JSON], "message": "said"})
            elif body.startswith(b"Action="):
                error = f"<Error><Code>{codes[QUERY]}</Code><Message>said</Message></Error>"
                of_ec2 = b"Version=2016-11-15" in body
                content = f"<Response><Errors>{error}</Errors></Response>" if of_ec2 else f"<ErrorResponse>{error}</ErrorResponse>"
            else:
                content = f"<Error><Code>{codes[S3]}</Code></Error>"
            self.answer(status, {"Content-Type": "application/x-amz-json-1.1" if target else "application/xml"}, content.encode())

        do_POST = do_GET  # noqa: N815

    with served(Refusing) as address:
        yield address, asked


@pytest.mark.parametrize(
    ("status", "codes", "exit_code", "said"),
    [
        (400, ("ExpiredToken", "ExpiredTokenException", "ExpiredToken"), 2, "the credentials have expired"),
        (403, ("InvalidAccessKeyId", "UnrecognizedClientException", "InvalidClientTokenId"), 2, "AWS does not know these credentials"),
        (403, ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation"), 2, ": access denied"),
        (503, ("SlowDown", "ThrottlingException", "RequestLimitExceeded"), 1, "AWS takes no more requests"),
    ],
)
@pytest.mark.parametrize("name", COMMANDS)
def test_it_is_told_in_words(
    name: str, status: int, codes: tuple[str, str, str], exit_code: int, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.aws, "ATTEMPTS", 2)  # eight would take two minutes
    with always(status, codes) as (address, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        ended = run(name, folder, "--bucket", "fruits-of-the-tests")
    assert len(asked) == (2 if status == 503 else 1)
    assert (ended.exit_code, said in ended.stderr) == (exit_code, True), ended.output
    assert [path.name for path in folder.iterdir()] == ["a.jpg"]


@pytest.mark.parametrize("name", COMMANDS)
def test_without_credentials_it_is_said_how_to_sign_in(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(variable)
    ended = run(name, folder)
    assert ended.exit_code == 2
    assert "there are no credentials for AWS" in ended.stderr
    assert "aws sso login" in ended.stderr
