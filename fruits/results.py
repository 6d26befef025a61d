"""A results folder: what may be written there, what an earlier run left, and how a new result takes the old one's place.

Files in features/ and pca/ are written under names made from their content, and those of the old report stay until `report.json`, which
lists all, was replaced. The four with fixed names are replaced just before it: their digests in the report tell a reader which it has.
"""

import json
from collections.abc import Callable, Collection
from typing import Any

from fruits.errors import BadArgument, OutputInUse
from fruits.featurize import FEATURES_FOLDER
from fruits.job import Job, fingerprint
from fruits.lease import Lease, is_lease
from fruits.marker import MARKERS, REJECTS, marker_name, marker_names
from fruits.moments import MOMENTS
from fruits.plan import CARRIED, PLAN
from fruits.project import PCA_FOLDER
from fruits.report import PAGE, REPORT, RunReport
from fruits.storage import WORK, Folder, check_writable, is_draft

IDENTITY = f"{WORK}/run.json"  # of which features the chunks are
PROBE = f"{WORK}/probe"
PROJECTIONS = f"{WORK}/projections"
CSV = "results.csv"
REJECTED = "rejected.parquet"
PROJECTION = "projection.npz"
# Where nothing but this program's files can be, so that what no report names may be removed.
OWN_FOLDERS = (FEATURES_FOLDER, PCA_FOLDER, MARKERS, REJECTS, PROJECTIONS, MOMENTS)


class Results:
    def __init__(self, job: Job) -> None:
        self.folder = Folder(job.output)
        self._identity = job.features_identity()
        self._fresh = job.fresh
        self._made = False
        self._lease: Lease | None = None

    def admit(self) -> None:
        """Raises `OutputInUse` when the folder holds something else, `BadArgument` when it cannot be written."""
        check_writable(self.folder.url, "give another --output")
        if self.folder.empty():
            return
        try:
            earlier: dict[str, Any] = json.loads(self.folder.read(IDENTITY))
        except PermissionError as denied:
            raise BadArgument(f"{self.folder.url} cannot be read: access denied", "give another --output, or ask for the right") from denied
        except (FileNotFoundError, ValueError) as none:
            if self._only_begun():
                return
            raise OutputInUse(
                f"{self.folder.url} is not empty, and what it holds is not a result of fruits", "give an empty or a new folder as --output"
            ) from none
        differing = [name for name, value in self._identity.items() if earlier.get(name) != value]
        if differing and not self._fresh:
            fields = "; ".join(f"{name}: {earlier.get(name)!r} there, {self._identity[name]!r} asked" for name in differing)
            raise OutputInUse(f"{self.folder.url} holds other features ({fields})", "give another --output, or --fresh to replace them")

    def _only_begun(self) -> bool:
        """Whether a run was killed as soon as it had begun."""
        begun = self.folder.names(WORK)
        return bool(begun) and not self.folder.names("") and all(is_lease(name) or is_draft(name) for name in begun)

    def begin(self, backend: str, reused: Collection[str], note: Callable[[str], None]) -> None:
        """Makes the folder this job's until `end`. Raises `OutputInUse` while another run has it, `BadArgument` when it cannot be written.

        `backend` is for those who ask who has it; `reused`: the chunks that are counted on; `note` is told why it takes time.
        """
        try:
            self._made = not self.folder.exists()
            lease = Lease(self.folder, backend, note)
            lease.acquire()
            self._lease = lease
            if not {marker_name(chunk) for chunk in reused} <= set(marker_names(self.folder)):
                self.end()
                raise OutputInUse(f"another run has just replaced what {self.folder.url} held", "run this again")
            if self._fresh:
                for name in self.folder.names(MARKERS):
                    self.folder.remove(name)
            self.folder.write(IDENTITY, json.dumps(self._identity, indent=2).encode())
        except OSError as failed:
            self.end()
            raise BadArgument(f"{self.folder.url} cannot be written: {failed.strerror or failed}", "give another --output") from failed

    @property
    def lease(self) -> Lease:
        assert self._lease is not None, "the run has not begun"
        return self._lease

    def end(self) -> None:
        """Lets other runs have the folder."""
        if self._lease is not None:
            self._lease.release()

    def probe(self) -> None:
        """Writes a file and removes it; raises `BadArgument` when that cannot be done."""
        made = not self.folder.exists()
        try:
            self.folder.write(PROBE, b"")
            self.folder.remove(PROBE)
            if made:
                for folder in (WORK, ""):
                    self.folder.remove_if_empty(folder)
        except OSError as failed:
            raise BadArgument(f"{self.folder.url} cannot be written: {failed.strerror or failed}", "give another --output") from failed

    def withdraw(self) -> None:
        """Takes `begin` back after a run that committed nothing, where no earlier one did, and ends it."""
        if self.lease.lost:
            return
        if marker_names(self.folder) or REPORT in self.folder.names(""):
            return
        self._sweep(set())
        self._remove_plans()
        self.folder.remove(IDENTITY)
        self.end()
        for folder in (*OWN_FOLDERS, WORK, *([""] if self._made else [])):
            self.folder.remove_if_empty(folder)

    def earlier(self) -> RunReport | None:
        """The report that stands, or None where there is none that this version can read."""
        try:
            return RunReport.from_json(self.folder.read(REPORT))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def complete(self, fingerprints: dict[str, str]) -> RunReport | None:
        """The standing report, if it is of these fingerprints and what it names is intact; but for the page, which others make again."""
        report = self.earlier()
        if report is None or report.fingerprint != fingerprints:
            return None
        return report if all(self.folder.holds_intact(file) for file in report.files if file.name != PAGE) else None

    def publish(self, report: RunReport, chunks: Collection[str]) -> None:
        """Replaces the report. Before that goes what neither the old nor the new one names, after that what only the old one named."""
        new = {file.name for file in report.files} | {marker_name(chunk) for chunk in chunks}
        new |= {f"{REJECTS}/{chunk}.parquet" for chunk in chunks}
        standing = self.earlier()
        self._sweep(new | {file.name for file in standing.files} if standing else new)
        self.lease.check()
        self.folder.write(REPORT, report.to_json().encode())
        self._remove_plans()
        self._sweep(new)
        for name in self.folder.names(""):
            if name in (CSV, PROJECTION, PAGE) and name not in new:
                self.folder.remove(name)

    def _remove_plans(self) -> None:
        for plan in (PLAN, CARRIED):
            self.folder.remove(plan)

    def _sweep(self, keep: set[str]) -> None:
        for folder in OWN_FOLDERS:
            for name in self.folder.names(folder):
                if name not in keep:
                    self.folder.remove(name)
        for folder in (WORK, ""):
            for name in self.folder.names(folder):
                if is_draft(name):
                    self.folder.remove(name)

    def fingerprint(self) -> str:
        return fingerprint(self._identity)
