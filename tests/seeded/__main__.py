"""Whether the tests catch what they are for: each fault is seeded into a copy of the tree, and its tests must fail.

`make test-seeded`, or `python -m tests.seeded NAME...` for some of the faults.
"""

import os
import queue
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from .faults import FAULTS, Fault

ROOT = Path(__file__).parents[2]
PACKAGES = ("fruits", "backends")
AT_A_TIME = 2
PASSED, FAILED = 0, 1  # pytest's exit codes


def copy_tree(folder: Path) -> None:
    """Copies what git has or would add."""
    listing = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def file_with(root: Path, text: str) -> Path:
    """The one file of the packages that has the text, once; exits where that is not so."""
    files = [file for package in PACKAGES for file in (root / package).rglob("*.py")]
    holding = [(file, count) for file in files if (count := file.read_text().count(text))]
    if [count for _, count in holding] != [1]:
        where = ", ".join(f"{count} times in {file.relative_to(root)}" for file, count in holding)
        sys.exit(f"{text!r} must occur once below {' or '.join(PACKAGES)}, and occurs {where or 'nowhere'}")
    return holding[0][0]


@contextmanager
def seeded(root: Path, fault: Fault) -> Iterator[None]:
    file = file_with(root, fault.text)
    whole = file.read_text()
    file.write_text(whole.replace(fault.text, fault.seeded))
    try:
        yield
    finally:
        file.write_text(whole)


def pytest(root: Path, tests: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "--timeout",
        "120",
        *tests,
    ]
    # Before what is installed, which may be the checkout.
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def outcome(trees: "queue.Queue[Path]", fault: Fault) -> bool:
    """Whether a test failed that passes without the fault. Exits where pytest ran none."""
    root = trees.get()
    try:
        with seeded(root, fault):
            ended = pytest(root, fault.tests)
    finally:
        trees.put(root)
    if ended.returncode not in (PASSED, FAILED):
        sys.exit(f"{fault.name}: pytest ended with exit code {ended.returncode}\n{ended.stdout[-3000:]}{ended.stderr[-3000:]}")
    failed = [line.partition(" - ")[0].removeprefix("FAILED ") for line in ended.stdout.splitlines() if line.startswith("FAILED ")]
    print(f"{'caught' if failed else 'missed':7} {fault.name:40} {', '.join(failed)}", flush=True)
    return bool(failed)


def main(names: Sequence[str]) -> None:
    if unknown := set(names) - {fault.name for fault in FAULTS}:
        sys.exit(f"there is no fault {', '.join(sorted(unknown))}")
    faults = [fault for fault in FAULTS if not names or fault.name in names]
    with tempfile.TemporaryDirectory(prefix="seeded-") as folder:
        trees: queue.Queue[Path] = queue.Queue()
        for number in range(AT_A_TIME):
            root = Path(folder, str(number))
            copy_tree(root)
            trees.put(root)
        for fault in faults:
            file_with(root, fault.text)
        tests = sorted({test for fault in faults for test in fault.tests})
        before = pytest(root, tests)
        if before.returncode != PASSED:
            sys.exit(f"without a fault the tests must pass:\n{before.stdout[-3000:]}{before.stderr[-3000:]}")
        print(f"{len(tests)} tests pass without a fault", flush=True)
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            caught = sum(pool.map(partial(outcome, trees), faults))
    print(f"{caught} of {len(faults)} faults caught")
    sys.exit(caught < len(faults))


main(sys.argv[1:])
