"""NOTICE names every package that a run installs, and the check of vulnerabilities says what it found, or that it could not look."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements" / "run.lock"

pytestmark = pytest.mark.local("needs no engine")


def test_notice_has_the_licence_of_each_package_of_a_run() -> None:
    packages = list(dict.fromkeys(re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[.*\])?==", LOCK.read_text(), re.MULTILINE)))
    section = (ROOT / "NOTICE").read_text().partition("(requirements/run.lock)")[2]
    listed = dict(re.findall(r"^    ([a-z0-9._-]+): (\S.*)$", section, re.MULTILINE))
    assert len(packages) > 50
    assert sorted(listed) == sorted(packages), "out of date: make notice"
    assert not [name for name, licence in listed.items() if licence in ("not installed here", "none named")]


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ({"dependencies": [{"name": "a", "version": "1", "vulns": []}]}, 0, "1 packages looked up"),
        (
            {"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}]},
            1,
            "a 1: CVE-1, mended in 2",
        ),
        ({"dependencies": [{"name": "a", "skip_reason": "not found"}]}, 0, "NOT AUDITED"),
        (
            {"dependencies": [{"name": "a", "skip_reason": "not found"}, {"name": "b", "version": "1", "vulns": []}]},
            0,
            "1 packages looked up; NOT LOOKED UP: a",
        ),
        ("requests.exceptions.ConnectionError: Connection refused", 0, "NOT AUDITED"),
        ("ValueError: no such option", 1, "pip-audit failed"),
    ],
)
def test_the_audit_fails_on_findings_and_tells_that_it_could_not_look(said: object, code: int, words: str, tmp_path: Path) -> None:
    """What pip-audit says is made up here; whether its database can be reached is another matter."""
    stands_in = tmp_path / "pip_audit.py"
    text = f"print({json.dumps(said)!r})" if isinstance(said, dict) else f"import sys; sys.exit({said!r})"
    stands_in.write_text(text)
    command = [sys.executable, ROOT / "requirements" / "audit.py", LOCK]
    ended = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)}, check=False)
    assert ended.returncode == code
    assert words in ended.stdout + ended.stderr
