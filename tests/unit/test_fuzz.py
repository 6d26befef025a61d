"""A sample of the mutants of `tests/slow`, and proof that a failing decoder would be seen."""

import sys
from pathlib import Path

import pytest
from mutants import each_has_an_outcome, outcomes

import fuzz


@pytest.mark.parametrize(("what", "images"), [("decode", 2_000), ("run", 100)])
def test_each_mutant_is_a_row_or_has_a_reason(what: str, images: int, tmp_path: Path) -> None:
    each_has_an_outcome(what, images, tmp_path)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended by SIGSEGV at seed 7"),
        ("import time; time.sleep(60)", "hangs for 0.5 s at seed 7"),
        ("raise ValueError('of the decoder')", "exit code 1 at seed 7"),
    ],
)
def test_a_decoder_that_crashes_would_be_told(script: str, words: str, tmp_path: Path) -> None:
    crash = f"import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('7'); {script}"
    with pytest.raises(pytest.fail.Exception, match=words):
        outcomes(tmp_path, [[sys.executable, "-c", crash]], 0.5)
    assert (tmp_path / "mutant-7").read_bytes() == fuzz.mutant(7)
