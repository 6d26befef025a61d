"""An engine's session that is kept, and runs jobs in it as it is told: `python -m benchmarks.session BACKEND WORKERS`.

Standard input has a job a line, as JSON (parameters of `fruits.Job`); the answer is a line of JSON on standard output: what the run took,
or in `failed` why it took nothing. The session is the one that the command line would open.
"""

import json
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import Any, Self

from benchmarks.product import ROOT, Failed, last_words


class Session:
    """The other side: a process with a session, which runs a job at a time."""

    def __init__(self, backend: str, workers: int) -> None:
        """Raises `Failed` where the session does not open."""
        self.backend, self.workers = backend, workers
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed with the session
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.session", backend, str(workers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            cwd=ROOT,
        )
        self._answer()

    def run(self, **job: Any) -> dict[str, Any]:
        """`seconds` in all, `stages` by name, `images` featurized and `rejected`, `memory` in bytes by kind of process; or `failed`."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._said.seek(0)
            words = last_words(self._said.read())
            raise Failed(f"the session of {self.backend} with {self.workers} workers ended, with exit code {code}\n{words}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate()  # no more jobs: it closes its session
        self._said.close()


def _opened(backend: str) -> Any:
    """The session that a backend has just opened, as its engine knows it."""
    if backend == "dask":
        from distributed import default_client

        return default_client()
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession()


def _run(session: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    from benchmarks.memory import peaks
    from fruits import Job, run
    from fruits.errors import FruitsError

    started = time.perf_counter()
    try:
        with peaks() as memory:
            report = run(Job(**parameters), session=session)
    except FruitsError as failed:
        return {"failed": str(failed)}
    return {
        "seconds": time.perf_counter() - started,
        "stages": {stage.name: stage.seconds for stage in report.stages if stage.name != "start"},
        "images": report.images.featurized,
        "rejected": report.images.rejected,
        "memory": memory,
    }


def main() -> None:
    from fruits.backend import Settings, Workers, load

    name, count = sys.argv[1], int(sys.argv[2])
    with load(name)(Settings(workers=Workers(count, count))):
        session = _opened(name)
        print(json.dumps({"opened": name}), flush=True)
        for line in sys.stdin:
            print(json.dumps(_run(session, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
