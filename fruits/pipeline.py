"""A run from end to end: list, featurize, fit, project, export, page, report. What no engine decides is decided here, once."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from time import monotonic
from typing import Any

import numpy as np
import pyarrow as pa

import fruits
from fruits import backend as backends
from fruits import export, moments, reuse
from fruits.backend import Backend, Settings, YarnSettings
from fruits.carry import CarryTask, carry_chunk
from fruits.cluster import place, worker_environment
from fruits.errors import BadArgument, RunFailed
from fruits.failures import SomeFailed, completed
from fruits.featurize import FeaturizeTask, featurize_chunk
from fruits.images import Input
from fruits.job import DEFAULT_COMPONENTS, LAUNCHERS, Job, check_seen_by_nodes, fingerprint
from fruits.listing import Listing
from fruits.manifest import find_images
from fruits.marker import ChunkDone
from fruits.model import FEATURES, check_installed, check_processor
from fruits.observer import Advance, Nobody, Observer
from fruits.page.make import page_of, write_again
from fruits.pca import Projection, Spread
from fruits.plan import CARRIED, Chunk, cut, write_plan
from fruits.project import ProjectTask, project_chunk
from fruits.report import PAGE, STAGES, Captured, ImageCounts, RunReport, Stage, WorkerShare, now, read_report
from fruits.results import PROJECTION, PROJECTIONS, Results
from fruits.storage import Folder, StoredFile
from fruits.versions import check_nodes

WITNESSES = 16  # images by which a worker finds out whether the input answers at all
_NO_PAGE = (BadArgument, OSError, MemoryError, ValueError)  # what making the page may raise (Arrow's and numpy's own are ValueErrors)


def run(job: Job, *, session: Any = None, observer: Observer | None = None) -> RunReport:
    """Does the job and returns its report, which is also the results folder's `report.json`.

    `session`: a SparkSession or a distributed Client of the caller's, which decides the backend and stays open. Raises `BadArgument` for
    what can be refused before anything starts and `RunFailed` for a run that cannot end well; then the same job goes on where it stopped.
    """
    return execute(prepare(job, session=session), observer or Nobody())


def execute(prepared: "Prepared", observer: Observer) -> RunReport:
    """Does what was prepared; raises `RunFailed`."""
    return _Run(prepared, observer).execute()


@dataclass(frozen=True)
class Prepared:
    """A job that was checked against its input, its output and its engine, with nothing written or started yet.

    `where`: on which cluster, and why there.
    `reuse`: what of an earlier run is still right, and what is left, which `cuts` cuts into chunks. `standing`: the report of the last run
    that was completed. `complete`: the same where it leaves nothing to do.
    """

    job: Job
    backend: Backend
    where: str
    results: Results
    listing: Listing
    listing_seconds: float
    projection: Projection | None
    fingerprints: dict[str, str]
    reuse: reuse.Reuse
    cuts: list[int]
    standing: RunReport | None
    complete: RunReport | None

    @property
    def pending(self) -> pa.Table:
        """The files that this run has to featurize, a table of `listing.SCHEMA`."""
        return self.reuse.pending

    def pca(self) -> str:
        """What becomes of the PCA, in words."""
        job, before = self.job, self.standing
        if job.features_only:
            return "no PCA"
        if self.complete:
            return "PCA as it is"
        if job.projection:
            return f"projected with {job.projection}"
        if before is None or before.job["features_only"]:
            return "PCA fitted"
        if before.fingerprint["projection"] != self.fingerprints["projection"]:
            return "PCA fitted anew: another projection is asked"
        return "PCA fitted anew over all images" if before.fingerprint["images"] != self.fingerprints["images"] else "PCA fitted anew"

    def summary(self) -> dict[str, Any]:
        """What would be done: the answer of `--dry-run`."""
        images = len(self.listing)
        return {
            "job": self.job.parameters(),
            "images": images,
            "bytes": self.listing.bytes,
            "ignored": self.listing.ignored,
            "linked_folders": self.listing.linked_folders,
            "reused": images - self.pending.num_rows,
            "to_featurize": self.pending.num_rows,
            "why": self.reuse.why,
            "vanished": self.reuse.vanished,
            "changed_names": self.reuse.changed_names,
            "vanished_names": self.reuse.vanished_names,
            "damaged_markers": self.reuse.unreadable,
            "pca": self.pca(),
            "chunks": len(self.cuts) - 1,
            "largest_chunk": max((b - a for a, b in pairwise(self.cuts)), default=0),
            "batch_size": self.job.effective_batch_size,
            "nothing_to_do": self.complete is not None,
            "fingerprint": self.fingerprints,
            "backend": self.backend.describe(),
        }


def prepare(job: Job, *, session: Any = None) -> Prepared:
    """Every check that can be made before anything starts; raises `BadArgument`."""
    backend, where = backend_of(job, session)
    if session is None:
        check_installed(job.engine)
        if not backend.remote:
            check_processor(job.precision)
    projection, sha256 = _given_projection(job)
    results = Results(job)
    results.admit()
    started = monotonic()
    listing = find_images(job)
    seconds = monotonic() - started
    _check_components(job, len(listing), "found")
    fingerprints = {
        "features": results.fingerprint(),
        "projection": fingerprint(job.projection_identity(sha256)),
        "images": listing.fingerprint(),
    }
    if job.fresh:
        left = reuse.nothing(listing.files)
    else:
        left = reuse.look_back(results.folder, fingerprints["features"], listing.files, job.input, job.retry_rejected)
    standing = None if job.fresh else results.earlier()
    complete = None if left.pending.num_rows or left.parts else results.complete(fingerprints)
    cuts = cut(left.pending["size"], backend.workers, job.chunk_size)
    return Prepared(job, backend, where, results, listing, seconds, projection, fingerprints, left, cuts, standing, complete)


def backend_of(job: Job, session: Any = None) -> tuple[Backend, str]:
    """The backend that a job asks for, not opened, and where it runs and why, in words. Raises `BadArgument`."""
    if session is None:
        cluster, why = place(job)
        if cluster != "yarn":
            for name, value in job.yarn_options().items():
                raise BadArgument(f"{name} {value} has no effect on --cluster {cluster} ({why}): it is YARN's", f"leave out {name}")
            if (workers := job.workers_range()) and workers.least != workers.most:
                raise BadArgument(f"--workers {workers}: only YARN gives and takes workers while a run goes on", "give one number")
        else:
            check_seen_by_nodes(job.input, job.output)
        yarn = YarnSettings(
            job.queue,
            job.environment,
            job.container_cores,
            job.container_memory,
            job.launcher or LAUNCHERS[0],
            worker_environment(job) if cluster == "yarn" else {},
        )
        settings = Settings(cluster, job.workers_range(), job.options, yarn=yarn)
        return backends.load(job.backend or backends.DEFAULT)(settings), f"{cluster} ({why})" if why else cluster
    name = backends.name_for(session)
    if job.backend not in (None, name):
        raise BadArgument(f"backend {job.backend!r} with a session of {name}", "leave the backend out")
    for given in ("cluster", "workers", "options"):
        if getattr(job, given):
            raise BadArgument(f"{given} cannot be set on a session that is open already", "set it where the session is made")
    for given in job.yarn_options():
        raise BadArgument(f"{given} cannot be set on a session that is open already", "set it where the session is made")
    return backends.load(name)(Settings(session=session)), "the caller's session"


def _given_projection(job: Job) -> tuple[Projection | None, str | None]:
    if job.projection is None:
        return None, None
    parent, _, name = job.projection.rpartition("/")
    try:
        data = Folder(parent or "/").read(name)
    except (FileNotFoundError, IsADirectoryError) as missing:
        raise BadArgument(f"there is no file {job.projection}", "give the projection.npz of a results folder") from missing
    except PermissionError as denied:
        raise BadArgument(f"{job.projection} cannot be read: access denied", "ask for the right to read it") from denied
    except OSError as failed:
        raise BadArgument(f"{job.projection} cannot be read: {failed.strerror or failed}", "check the path and the network") from failed
    projection = Projection.from_npz(data, job.projection)
    own = job.features_identity()
    for what in ("model", "weights", "preprocessing", "precision"):
        if projection.fitted_on.get(what) != own[what]:
            raise BadArgument(
                f"{job.projection} was fitted on features of another {what}: {projection.fitted_on.get(what)!r}, not {own[what]!r}",
                "fit a new one: leave --projection out",
            )
    return projection, hashlib.sha256(data).hexdigest()


def _check_components(job: Job, images: int, what: str) -> None:
    """Raises `BadArgument` when the PCA needs more images than there are."""
    if job.features_only or job.projection is not None:
        return
    if images < 2:
        raise BadArgument(
            f"a PCA needs at least 2 images, and {images} was {what}", "give more images, or --features-only, or --projection"
        )
    if isinstance(job.components, int) and job.components > images:
        raise BadArgument(
            f"--components {job.components}: {images} images were {what}, which allow at most {images} components",
            f"give at most --components {images}, or leave it out for as many as there are",
        )


@dataclass
class _Run:
    prepared: Prepared
    observer: Observer
    stages: dict[str, Stage] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    captured: Captured | None = None

    def execute(self) -> RunReport:
        started, ready = now(), self.prepared
        images = len(ready.listing)
        self.stages["list"] = Stage("list", ready.listing_seconds, images)
        for folder in ready.listing.linked_folders:
            self._note(f"linked folder not followed: {folder}")
        if ready.complete is not None:
            return self._with_page(ready.complete)
        for count, what, names in (
            (ready.reuse.vanished, "vanished since an earlier run, and leave the results", ready.reuse.vanished_names),
            (ready.reuse.why.get(reuse.CHANGED, 0), "changed since an earlier run, and are done again", ready.reuse.changed_names),
        ):
            if count:
                self._note(f"{count} images {what}: {', '.join(names)}{', ...' if count > len(names) else ''}")
        ready.results.begin(ready.backend.name, ready.reuse.chunks, self.observer.note)
        try:
            return self._work(started)
        except BaseException as failed:
            with suppress(OSError):  # the same fault again, most likely
                ready.results.withdraw()
            if not isinstance(failed, OSError):
                raise
            where = failed.filename or ready.job.output
            raise RunFailed(
                f"{where}: {failed.strerror or failed}", "mend that; the same command goes on where this run stopped"
            ) from failed
        finally:
            ready.results.end()

    def _work(self, started: str) -> RunReport:
        ready = self.prepared
        with ExitStack() as session:
            with self._stage("start", 0):
                backend = session.enter_context(ready.backend)
                if ready.backend.remote:
                    check_nodes(backend, ready.job.engine, ready.job.precision)
            if dashboard := backend.describe().get("dashboard"):
                self.observer.note(f"dashboard at {dashboard}")  # shown while it can be looked at; afterwards it is gone
            done = self._featurize(backend)
            counts = self._counts(done)
            projection, pca = None, []
            if not ready.job.features_only:
                projection = ready.projection or self._fit(backend, done, counts.featurized)
                pca = self._project(backend, projection, done)
            described = backend.describe()
        files = self._export(done, projection, pca)
        report = RunReport(
            job=ready.job.parameters(),
            fingerprint=ready.fingerprints,
            model=self._model(),
            backend=described,
            stages=self._stages(),
            images=counts,
            rejected_by_reason=_sum(chunk.reasons for chunk in done),
            labels=_sum(chunk.labels for chunk in done),
            explained_variance=[] if projection is None else np.cumsum(projection.explained).tolist(),
            workers=_shares(done),
            started=started,
            finished=now(),
            files=files,
            notes=[*self.notes],
            linked_folders=ready.listing.linked_folders,
            captured=self.captured,
        )
        with self._stage("page", counts.featurized):
            files = [*files, *self._page(report)]
        report = replace(report, stages=self._stages(), finished=now(), files=files, notes=self.notes)
        ready.results.publish(report, [chunk.chunk for chunk in done])
        return report

    def _page(self, report: RunReport) -> list[StoredFile]:
        """Writes the page. Where that fails the results are whole without it, and a note says why."""
        results = self.prepared.results
        try:
            page = page_of(results.folder, report)
            results.lease.check()
            return [results.folder.write(PAGE, page)]
        except _NO_PAGE as fault:
            self._note(_no_page(fault))
            return []

    def _with_page(self, complete: RunReport) -> RunReport:
        """The report where nothing is to be done, after its page was made again, if that is not what was written."""
        folder = self.prepared.results.folder
        try:
            if complete.page is None or folder.holds_intact(complete.page):
                return complete
            self.observer.note(f"{PAGE} is missing, or not what was written: it is made again")
            write_again(folder.url, self.observer.note)
        except _NO_PAGE as fault:
            self.observer.note(_no_page(fault))
            return complete
        return read_report(folder.url)

    def _stages(self) -> list[Stage]:
        """Those that have ended, in the order of the report."""
        return [self.stages[name] for name in STAGES if name in self.stages]

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self.observer.note(text)

    @contextmanager
    def _stage(self, name: str, images: int) -> Iterator[Advance]:
        started = monotonic()
        with self.observer.stage(name, images) as advance:
            yield advance
        self.stages[name] = Stage(name, monotonic() - started, images)

    def _model(self) -> dict[str, Any]:
        identity = self.prepared.job.features_identity()
        return {
            "name": identity["model"],
            "weights_sha256": identity["weights"],
            "graph_sha256": identity["graph"],
            **{what: identity[what] for what in ("engine", "preprocessing", "precision")},
        }

    def _provenance(self) -> dict[str, Any]:
        return {"fruits": fruits.__version__, "model": self._model(), "fingerprint": self.prepared.fingerprints["features"]}

    def _featurize(self, backend: Backend) -> list[ChunkDone]:
        """All chunks of the result, reused and new, in the order of their first image."""
        ready, job = self.prepared, self.prepared.job
        done = [*ready.reuse.whole, *self._carry(backend)]
        if not ready.pending.num_rows:
            self.stages["featurize"] = Stage("featurize", 0.0, 0)
            return sorted(done, key=lambda chunk: chunk.first)
        task = FeaturizeTask(
            images=Input(job.input, job.max_pixels, job.max_file_bytes, ready.listing.spread(WITNESSES)),
            output=job.output,
            fingerprint=ready.fingerprints["features"],
            engine=job.engine,
            precision=job.precision,
            batch_size=job.effective_batch_size,
            chunk_seconds=job.chunk_timeout,
            provenance=self._provenance(),
            again=now() if job.retry_rejected else "",
        )
        pending, cuts, failure = ready.pending, ready.cuts, None
        with self._stage("featurize", pending.num_rows) as advance:
            while pending.num_rows:
                write_plan(ready.results.folder, pending, cuts)
                left = np.ones(pending.num_rows, bool)
                try:
                    for number, chunk in completed(
                        backend, partial(featurize_chunk, task), range(len(cuts) - 1), partial(_in_words, task, pending, cuts), self._note
                    ):
                        ready.results.lease.check_last_look()
                        advance(chunk.images, chunk.rejected)
                        done.append(chunk)
                        left[cuts[number] : cuts[number] + chunk.images] = False
                except SomeFailed as failed:
                    failure = failure or failed
                    for number in failed.items:
                        left[cuts[number] : cuts[number + 1]] = False
                pending = pending.filter(pa.array(left))  # what chunks did not get to before they had to commit
                cuts = cut(pending["size"], backend.workers, job.chunk_size)
        if failure:
            raise failure
        return sorted(done, key=lambda chunk: chunk.first)

    def _carry(self, backend: Backend) -> list[ChunkDone]:
        """What is still right of the chunks of which other rows are not."""
        ready, parts = self.prepared, self.prepared.reuse.parts
        if not parts:
            return []
        cuts = np.cumsum([0, *(part.files.num_rows for part in parts)]).tolist()
        write_plan(ready.results.folder, pa.concat_tables([part.files for part in parts]), cuts, CARRIED)
        task = CarryTask(ready.job.input, ready.job.output, ready.fingerprints["features"])
        items = [(number, part.chunk) for number, part in enumerate(parts)]
        return [done for _, done in completed(backend, partial(carry_chunk, task), items, lambda item: f"chunk {item[1]}", self._note)]

    def _counts(self, done: Sequence[ChunkDone]) -> ImageCounts:
        """Raises `RunFailed` unless every image is accounted for, some were featurized, and not too many rejected."""
        ready = self.prepared
        counts = ImageCounts(
            found=len(ready.listing),
            featurized=sum(chunk.featurized for chunk in done),
            rejected=sum(chunk.rejected for chunk in done),
            reused=len(ready.listing) - ready.pending.num_rows,
            bytes=ready.listing.bytes,
            ignored=ready.listing.ignored,
            to_do=ready.reuse.why,
            vanished=ready.reuse.vanished,
        )
        if counts.featurized + counts.rejected != counts.found:
            raise RunFailed(
                f"{counts.found} images were found, but {counts.featurized} featurized and {counts.rejected} rejected",
                "this is a fault of fruits: please report it",
            )
        reasons = ", ".join(f"{reason}: {count}" for reason, count in _sum(chunk.reasons for chunk in done).items())
        if not counts.featurized:
            raise RunFailed(f"none of {counts.found} images could be featurized ({reasons})", "check that --input holds images")
        if counts.rejected > ready.job.max_rejected * counts.found:
            raise RunFailed(
                f"{counts.rejected} of {counts.found} images were rejected ({reasons}), more than --max-rejected {ready.job.max_rejected}",
                "mend the images or raise --max-rejected; what is featurized is kept",
            )
        return counts

    def _fit(self, backend: Backend, done: Sequence[ChunkDone], images: int) -> Projection:
        job = self.prepared.job
        try:
            _check_components(job, images, "featurized")
        except BadArgument as too_few:
            raise RunFailed(too_few.message, too_few.advice) from too_few
        most = min(images, FEATURES)
        share = job.components if isinstance(job.components, float) else None
        k = most if share else int(job.components or min(DEFAULT_COMPONENTS, most))
        if job.components is None and k < DEFAULT_COMPONENTS:
            self._note(f"{k} components instead of {DEFAULT_COMPONENTS}: as many as {images} images allow")
        before = self.prepared.standing
        if before and before.explained_variance and before.fingerprint["images"] != self.prepared.fingerprints["images"]:
            self._note(
                f"the PCA is fitted anew over all {images} images: its vectors cannot be compared with those of {before.finished} "
                f"(--projection with the {PROJECTION} of a run keeps that run's)"
            )
        files = [(chunk.features.name, chunk.featurized) for chunk in done if chunk.features]
        with self._stage("fit", images) as advance:
            if job.pca == "moments":
                axes = moments.fit(backend, job.output, files, k, job.standardize, advance, self._note)
            else:
                axes = backend.fit([(f"{job.output}/{name}", rows) for name, rows in files], k, job.standardize)
            if not axes.orthonormal():
                raise RunFailed(f"the PCA of {backend.name} returned vectors that are not orthogonal", "use another --backend")
            fitted_on = {
                **job.features_identity(),
                "images": images,
                "standardize": job.standardize,
                "method": job.pca,
                "backend": backend.name,
                "chunks": [chunk.chunk for chunk in done if chunk.features],
            }
            return Projection.of(axes, share, fitted_on)

    def _project(self, backend: Backend, projection: Projection, done: Sequence[ChunkDone]) -> list[StoredFile]:
        """The files of pca_features, in the order of those of features."""
        ready = self.prepared
        tag = hashlib.sha256(projection.npz).hexdigest()[:12]
        stored = ready.results.folder.write(f"{PROJECTIONS}/{tag}.npz", projection.npz)
        task = ProjectTask(
            output=ready.job.output,
            projection=stored.name,
            # The same features, projected in another way, are other files: a reader of the old ones is not disturbed.
            tag=f"{tag}-uncentred" if ready.job.uncentred else tag,
            uncentred=ready.job.uncentred,
            provenance={**self._provenance(), "projection": stored.sha256, "uncentred": ready.job.uncentred},
            measured=ready.projection is not None,
        )
        features = [chunk.features for chunk in done if chunk.features]
        images = {chunk.features.name: chunk.featurized for chunk in done if chunk.features}
        pca: dict[str, StoredFile] = {}
        spreads: dict[str, Spread] = {}
        with self._stage("project", sum(images.values())) as advance:
            for features_of, projected in completed(backend, partial(project_chunk, task), features, lambda file: file.name, self._note):
                advance(images[features_of.name], 0)
                pca[features_of.name] = projected.stored
                if projected.spread:
                    spreads[features_of.name] = projected.spread
        if spreads:
            self._tell_captured(projection, done, spreads)
        return [pca[file.name] for file in features]

    def _tell_captured(self, projection: Projection, done: Sequence[ChunkDone], spreads: Mapping[str, Spread]) -> None:
        """How well a given projection fits the images on which it was not fitted; all images where there are no such."""
        fitted = set(projection.fitted_on.get("chunks", ()))
        new = [chunk.features.name for chunk in done if chunk.features and not fitted & {chunk.chunk, *chunk.origins}]
        # In order: the sum of floats depends on it, and the report must not depend on which worker was faster.
        spread = sum((spreads[name] for name in sorted(new or spreads)), Spread())
        self.captured = Captured.of(spread.images, bool(new), spread.captured, float(projection.explained.sum()))
        if self.captured.refit_advised:
            self._note(str(self.captured))

    def _export(self, done: Sequence[ChunkDone], projection: Projection | None, pca: list[StoredFile]) -> list[StoredFile]:
        """Writes what persons open; returns every file of the result."""
        folder = self.prepared.results.folder
        files = [chunk.features for chunk in done if chunk.features] + pca
        with self._stage("export", sum(chunk.featurized for chunk in done)):
            if projection is not None:
                files.append(export.write_csv(folder, pca, len(projection.explained)))
                files.append(folder.write(PROJECTION, projection.npz))
            files.append(export.write_rejected(folder, [chunk.rejects for chunk in done if chunk.rejects]))
        return files


def _no_page(fault: BaseException) -> str:
    if isinstance(fault, BadArgument):
        why = fault.message
    elif isinstance(fault, MemoryError):
        why = "too little memory"
    else:
        why = str(fault)
    return f"no page: {why}; python -m fruits report makes it"


def _in_words(task: FeaturizeTask, pending: pa.Table, cuts: list[int], number: int) -> str:
    """A chunk of the plan, for messages."""
    chunk = Chunk(pending.slice(cuts[number], cuts[number + 1] - cuts[number]))
    return f"chunk {chunk.name(task.fingerprint + task.again)} (from {chunk.rows[0][0]})"


def _shares(done: Iterable[ChunkDone]) -> list[WorkerShare]:
    by_worker: dict[tuple[str, str, str | None], list[ChunkDone]] = {}
    for chunk in done:
        by_worker.setdefault((chunk.node, chunk.worker, chunk.container), []).append(chunk)
    return [
        WorkerShare(worker, node, container, len(chunks), sum(c.images for c in chunks), sum(c.seconds for c in chunks))
        for (node, worker, container), chunks in sorted(by_worker.items(), key=lambda item: item[0][:2])
    ]


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """By name, sorted."""
    total: Counter[str] = Counter()
    for part in counts:
        total.update(part)
    return dict(sorted(total.items()))
