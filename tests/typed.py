"""Commands that start no engine share one process, apart from pytest's.

Half the time of such a command is the start of Python.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

# Answers go to what was its standard output: what else is written there would be taken for one.
SERVER = """
import json, os, sys
from click.testing import CliRunner
from fruits.cli import main
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for line in sys.stdin:
    folder, arguments, environment = json.loads(line)
    os.chdir(folder)
    answer = CliRunner(env=environment).invoke(main, arguments)
    print(json.dumps([answer.exit_code, answer.stdout, answer.stderr]), file=answers, flush=True)
"""

Type = Callable[..., CompletedProcess[str]]


@contextmanager
def command_line() -> Iterator[Type]:
    """`typed("--dry-run", cwd=folder)` does what `python -m fruits --dry-run` does in that folder."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        requests, answers = server.stdin, server.stdout
        assert requests
        assert answers

        def typed(
            *arguments: object,
            cwd: Path | str = "/",
            **environment: str,
        ) -> CompletedProcess[str]:
            command = list(map(str, arguments))
            print(json.dumps([str(cwd), command, environment]), file=requests, flush=True)
            return CompletedProcess(command, *json.loads(answers.readline()))

        yield typed
        requests.close()
