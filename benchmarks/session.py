"""An engine's session that is kept, and does in it as it is told: `python -m benchmarks.session JOB`.

JOB, as JSON, says which session: the one that the command line would open for it. Standard input has a request a line, as JSON: what to
do, and with what. The answer is a line of JSON on standard output: what it took, or in `failed` why it took nothing.
"""

import json
import operator
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import psutil

from benchmarks.memory import peaks
from benchmarks.place import Place
from benchmarks.product import ROOT, Failed, last_words
from fruits import Job, run
from fruits.backend import Backend
from fruits.errors import FruitsError
from fruits.observer import Advance, Nobody
from fruits.pipeline import backend_of


class Session:
    """The other side: a process with a session, which runs a job at a time."""

    def __init__(self, backend: str, workers: int, place: Place) -> None:
        """Raises `Failed` where the session does not open."""
        self.backend, self.workers = backend, workers
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed with the session
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.session", json.dumps({"backend": backend, "workers": workers, **place.job})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            cwd=ROOT,
        )
        self._answer()

    def run(self, **job: Any) -> dict[str, Any]:
        """`seconds` in all, `stages` by name, `images` featurized and `rejected`, `memory` in bytes by kind of process; or `failed`."""
        return self._ask("run", job)

    def featurize(self, **job: Any) -> dict[str, Any]:
        """`seconds` of the features stage, `images` featurized, and the share of this machine's processor that was `idle` meanwhile."""
        return self._ask("featurize", job)

    def tasks(self, count: int) -> dict[str, Any]:
        """`seconds` of so many tasks that do nothing."""
        return self._ask("tasks", {"count": count})

    def _ask(self, what: str, parameters: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(json.dumps([what, parameters]) + "\n")
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


def _opened(backend: Any) -> Any:
    """The session that a backend has just opened. Not the engine's active one: Spark has one a thread, and on YARN another opens it."""
    return backend.client if backend.name == "dask" else backend.spark


class Processor(Nobody):
    """Which share of this machine's processor is idle during the features stage: an observer of a run."""

    idle = 0.0

    @contextmanager
    def stage(self, name: str, images: int) -> Iterator[Advance]:  # noqa: ARG002
        before = psutil.cpu_times()
        yield lambda _done, _rejected: None
        after = psutil.cpu_times()
        if name == "featurize":
            self.idle = (after.idle - before.idle) / (sum(after) - sum(before))


def _run(_: Backend, session: Any, **parameters: Any) -> dict[str, Any]:
    started = time.perf_counter()
    with peaks() as memory:
        report = run(Job(**parameters), session=session)
    return {
        "seconds": time.perf_counter() - started,
        "stages": {stage.name: stage.seconds for stage in report.stages if stage.name != "start"},
        "images": report.images.featurized,
        "rejected": report.images.rejected,
        "memory": memory,
    }


def _featurize(_: Backend, session: Any, **parameters: Any) -> dict[str, Any]:
    watching = Processor()
    report = run(Job(features_only=True, **parameters), session=session, observer=watching)
    seconds = next(stage.seconds for stage in report.stages if stage.name == "featurize")
    return {"seconds": seconds, "images": report.images.featurized, "idle": watching.idle}


def _tasks(backend: Backend, _: Any, count: int) -> dict[str, Any]:
    started = time.perf_counter()
    done = sum(1 for _ in backend.map(operator.neg, range(count)))
    assert done == count
    return {"seconds": time.perf_counter() - started}


REQUESTS: dict[str, Callable[..., dict[str, Any]]] = {"run": _run, "featurize": _featurize, "tasks": _tasks}


def main() -> None:
    backend, _ = backend_of(Job(**json.loads(sys.argv[1])))
    with backend:
        session = _opened(backend)
        print(json.dumps({"opened": backend.name}), flush=True)
        for line in sys.stdin:
            what, parameters = json.loads(line)
            try:
                answer = REQUESTS[what](backend, session, **parameters)
            except FruitsError as failed:
                answer = {"failed": str(failed)}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
