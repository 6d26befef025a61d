"""What the command line imports before it knows what to do: each start waits for it."""

import subprocess
import sys


def test_help_imports_no_numpy() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "fruits", "--help"]
    imported = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert " fruits.cli" in imported
    assert "numpy" not in imported
