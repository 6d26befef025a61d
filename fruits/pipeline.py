"""A run from end to end: list, featurize, fit, project, export, report. What no engine decides is decided here, once."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from time import monotonic
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import fruits
from fruits import backend as backends
from fruits import export
from fruits.backend import Backend, Settings, YarnSettings
from fruits.cluster import place, worker_environment
from fruits.errors import BadArgument, RunFailed
from fruits.failures import completed
from fruits.featurize import FeaturizeTask, featurize_chunk
from fruits.images import Input
from fruits.job import DEFAULT_COMPONENTS, LAUNCHERS, Job, check_seen_by_nodes, fingerprint
from fruits.listing import Listing, list_images, rows
from fruits.marker import ChunkDone, Marker, reusable
from fruits.model import FEATURES, check_installed
from fruits.observer import Advance, Nobody, Observer
from fruits.pca import Projection
from fruits.plan import Chunk, cut, write_plan
from fruits.project import ProjectTask, project_chunk
from fruits.report import STAGES, ImageCounts, RunReport, Stage, WorkerShare, now
from fruits.results import PROJECTION, PROJECTIONS, Results
from fruits.storage import Folder, StoredFile
from fruits.versions import check_nodes

WITNESSES = 16  # images by which a worker finds out whether the input answers at all


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
    `reused`: the chunks that an earlier run committed. `pending`: a table of `listing.SCHEMA` with the other files, and where to `cut`
    it into chunks. `complete`: the report of an earlier run that leaves nothing to do.
    """

    job: Job
    backend: Backend
    where: str
    results: Results
    listing: Listing
    listing_seconds: float
    projection: Projection | None
    fingerprints: dict[str, str]
    reused: list[Marker]
    pending: pa.Table
    cuts: list[int]
    complete: RunReport | None

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
            "chunks": len(self.cuts) - 1,
            "largest_chunk": max((b - a for a, b in pairwise(self.cuts)), default=0),
            "batch_size": self.job.effective_batch_size,
            "nothing_to_do": self.complete is not None,
            "fingerprint": self.fingerprints,
            "backend": self.backend.describe(),
        }


def prepare(job: Job, *, session: Any = None) -> Prepared:
    """Every check that can be made before anything starts; raises `BadArgument`."""
    backend, where = _backend(job, session)
    if session is None:
        check_installed(job.engine)
    projection, sha256 = _given_projection(job)
    results = Results(job)
    results.admit()
    started = monotonic()
    listing = list_images(job)
    seconds = monotonic() - started
    _check_components(job, len(listing), "found")
    fingerprints = {
        "features": results.fingerprint(),
        "projection": fingerprint(job.projection_identity(sha256)),
        "images": listing.fingerprint(),
    }
    reused = [] if job.fresh else reusable(results.folder, fingerprints["features"], (row[:3] for row in rows(listing.files)))
    done = pa.array([key for marker in reused for key, _, _ in marker.files], pa.string())
    pending = listing.files.filter(pc.invert(pc.is_in(listing.files["key"], done))) if reused else listing.files
    complete = None if pending.num_rows else results.complete(fingerprints)
    cuts = cut(pending["size"], backend.workers, job.chunk_size)
    return Prepared(job, backend, where, results, listing, seconds, projection, fingerprints, reused, pending, cuts, complete)


def _backend(job: Job, session: Any) -> tuple[Backend, str]:
    """The backend, and where it runs and why, in words."""
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

    def execute(self) -> RunReport:
        started, ready = now(), self.prepared
        images = len(ready.listing)
        self.stages["list"] = Stage("list", ready.listing_seconds, images)
        for folder in ready.listing.linked_folders:
            self._note(f"linked folder not followed: {folder}")
        if ready.complete is not None:
            return ready.complete
        ready.results.begin(ready.backend.name, [marker.done.chunk for marker in ready.reused], self.observer.note)
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
                    check_nodes(backend, ready.job.engine)
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
            stages=[self.stages[name] for name in STAGES if name in self.stages],
            images=counts,
            rejected_by_reason=_sum(chunk.reasons for chunk in done),
            labels=_sum(chunk.labels for chunk in done),
            explained_variance=[] if projection is None else np.cumsum(projection.explained).tolist(),
            workers=_shares(done),
            started=started,
            finished=now(),
            files=files,
            notes=self.notes,
            linked_folders=ready.listing.linked_folders,
        )
        ready.results.publish(report, [chunk.chunk for chunk in done])
        return report

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
        done = [marker.done for marker in ready.reused]
        if not ready.pending.num_rows:
            self.stages["featurize"] = Stage("featurize", 0.0, 0)
            return done  # in order already
        task = FeaturizeTask(
            images=Input(job.input, job.max_pixels, job.max_file_bytes, ready.listing.spread(WITNESSES)),
            output=job.output,
            fingerprint=ready.fingerprints["features"],
            engine=job.engine,
            batch_size=job.effective_batch_size,
            chunk_seconds=job.chunk_timeout,
            provenance=self._provenance(),
        )

        def named(number: int) -> str:
            chunk = Chunk(ready.pending.slice(ready.cuts[number], ready.cuts[number + 1] - ready.cuts[number]))
            return f"chunk {chunk.name(task.fingerprint)} (from {chunk.rows[0][0]})"

        with self._stage("featurize", ready.pending.num_rows) as advance:
            write_plan(ready.results.folder, ready.pending, ready.cuts)
            chunks = range(len(ready.cuts) - 1)
            for _, chunk in completed(backend, partial(featurize_chunk, task), chunks, named, self._note):
                ready.results.lease.check_last_look()
                advance(chunk.images, chunk.rejected)
                done.append(chunk)
        return sorted(done, key=lambda chunk: chunk.first)

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
        files = [(f"{job.output}/{chunk.features.name}", chunk.featurized) for chunk in done if chunk.features]
        with self._stage("fit", images):
            axes = backend.fit(files, k, job.standardize)
            if not axes.orthonormal():
                raise RunFailed(f"the PCA of {backend.name} returned vectors that are not orthogonal", "use another --backend")
            fitted_on = {**job.features_identity(), "images": images, "standardize": job.standardize, "backend": backend.name}
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
        )
        features = [chunk.features for chunk in done if chunk.features]
        images = {chunk.features.name: chunk.featurized for chunk in done if chunk.features}
        pca: dict[str, StoredFile] = {}
        with self._stage("project", sum(images.values())) as advance:
            for of, file in completed(backend, partial(project_chunk, task), features, lambda file: file.name, self._note):
                advance(images[of.name], 0)
                pca[of.name] = file
        return [pca[file.name] for file in features]

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
