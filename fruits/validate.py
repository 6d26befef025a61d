"""Checking a results folder against its own report: what a person did by hand in the notebook."""

from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv

from fruits import schemas
from fruits.export import csv_schema, harmless
from fruits.featurize import FEATURES_FOLDER
from fruits.model import FEATURES
from fruits.pca import Projection
from fruits.project import PCA_FOLDER
from fruits.report import RunReport, read_report
from fruits.results import CSV, PROJECTION, REJECTED
from fruits.storage import Folder, normalized

if TYPE_CHECKING:
    import numpy.typing as npt

# Both sides are float32 numbers from the same float64 ones; what is left is the last digit, and other summation orders of the BLAS.
TOLERANCE = 1e-5
SHARE_TOLERANCE = 1e-5
Failures = Iterator[str]


def validate(results: str) -> list[str]:
    """Every failure that was found, none for a folder that is as its report says. Raises `BadArgument` where there is no report."""
    folder = Folder(normalized(results))
    report = read_report(folder.url)
    missing = [f"{file.name}: missing, or not what was written" for file in report.files if not folder.holds_intact(file)]
    if missing:
        return missing  # nothing else can be said of files that are not the result's
    failures = [*_unlisted(folder, report), *_rows(folder, report)]
    if failures or report.job["features_only"]:
        return failures  # what follows compares vectors that must be whole
    return [*_pca(folder, report), *_csv(folder, report)]


def _unlisted(folder: Folder, report: RunReport) -> Failures:
    listed = {file.name for file in report.files}
    for part in (FEATURES_FOLDER, PCA_FOLDER):
        for name in folder.names(part):
            if name not in listed:
                yield f"{name}: not in the report"


def _rows(folder: Folder, report: RunReport) -> Failures:
    labels: Counter[str] = Counter()
    paths: set[str] = set()
    featurized = 0
    for file in report.files_in(FEATURES_FOLDER):
        rows = schemas.read(folder, file.name)
        yield from _vectors(file.name, rows["features"], FEATURES)
        labels.update(rows["label"].to_pylist())
        paths.update(rows["path"].to_pylist())
        featurized += rows.num_rows
    rejected = schemas.read(folder, REJECTED)
    paths.update(rejected["path"].to_pylist())
    reasons = Counter(rejected["reason"].to_pylist())
    found = report.images.found
    if featurized + rejected.num_rows != found:
        yield f"rows: {featurized} features and {rejected.num_rows} rejected do not add up to {found} images"
    if len(paths) != found:
        yield f"paths: {len(paths)} different ones for {found} images"
    if labels != report.labels:
        yield f"labels: the counts in features are not those of the report: {_difference(labels, report.labels)}"
    if reasons != report.rejected_by_reason:
        yield f"rejected: the reasons are not those of the report: {_difference(reasons, report.rejected_by_reason)}"


def _vectors(name: str, column: pa.ChunkedArray, width: int) -> Failures:
    try:
        vectors = schemas.matrix(column)
    except ValueError as uneven:
        yield f"{name}: {uneven}"
        return
    if vectors.shape[1] != width:
        yield f"{name}: vectors of {vectors.shape[1]} numbers, expected {width}"
    if not np.isfinite(vectors).all():
        yield f"{name}: numbers that are not finite"


def _pca(folder: Folder, report: RunReport) -> Failures:
    """The projection of the features gives pca_features, and these vary as the report says."""
    projection = Projection.from_npz(folder.read(PROJECTION), PROJECTION)
    k = len(projection.explained)
    if k != len(report.explained_variance):
        yield f"{PROJECTION}: {k} components, the report has {len(report.explained_variance)}"
        return
    variance_before, variance_after = _Variance(FEATURES), _Variance(k)
    wrong = False
    for features, pca in zip_longest(report.files_in(FEATURES_FOLDER), report.files_in(PCA_FOLDER)):
        if features is None or pca is None:
            yield f"{(features or pca).name}: features and pca_features are not the same number of files"
            return
        before, after = schemas.read(folder, features.name), schemas.read(folder, pca.name)
        if before["path"] != after["path"] or before["label"] != after["label"]:
            failures = [f"{pca.name}: not the rows of {features.name}"]
        else:
            failures = list(_vectors(pca.name, after["pca_features"], k))
        if not failures:
            vectors, found = schemas.matrix(before["features"]), schemas.matrix(after["pca_features"])
            expected = projection.apply(vectors, report.job["uncentred"])
            if not np.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE):
                failures = [f"{pca.name}: not the projection of {features.name}: off by up to {np.abs(found - expected).max():.3g}"]
            variance_before.add(vectors * projection.scale)
            variance_after.add(found.astype(np.float64))
        yield from failures
        wrong = wrong or bool(failures)
    if wrong or report.job["projection"] is not None:
        return  # the variance of other rows, or of other images than it was fitted on, is another
    total = variance_before.of_columns().sum()
    shares = np.cumsum(variance_after.of_columns() / total) if total else np.zeros(k)
    difference = np.abs(shares - report.explained_variance).max()
    if difference > SHARE_TOLERANCE:
        yield f"explained variance: off by up to {difference:.3g} from that of the pca_features"


class _Variance:
    """Of columns, from blocks of rows (Chan, Golub and LeVeque 1979, the pairwise update)."""

    def __init__(self, width: int) -> None:
        self._count, self._mean, self._squares = 0, np.zeros(width), np.zeros(width)

    def add(self, rows: "npt.NDArray[np.float64]") -> None:
        count, mean = len(rows), rows.mean(axis=0)
        shift, total = mean - self._mean, self._count + count
        self._squares += ((rows - mean) ** 2).sum(axis=0) + shift**2 * self._count * count / total
        self._mean = self._mean + shift * count / total
        self._count = total

    def of_columns(self) -> "npt.NDArray[np.float64]":
        return self._squares / max(1, self._count - 1)


def _csv(folder: Folder, report: RunReport) -> Failures:
    schema = csv_schema(len(report.explained_variance))
    types = {field.name: field.type for field in schema}
    with folder.open_arrow(CSV) as file:
        # Every column of text as it stands: a label "NA" or "" is a name, not a missing value.
        options = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=False)
        table = pyarrow.csv.read_csv(file, parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True), convert_options=options)
    if table.column_names != schema.names:
        yield f"{CSV}: the columns are not path, label, pca_feature_1 .. {len(schema) - 2}"
        return
    start = 0
    for pca in report.files_in(PCA_FOLDER):
        rows = schemas.read(folder, pca.name)
        part = table.slice(start, rows.num_rows)
        start += rows.num_rows
        same = part.num_rows == rows.num_rows and all(part[name] == harmless(rows[name]) for name in ("path", "label"))
        if not same or not np.array_equal(np.column_stack(part.columns[2:]), schemas.matrix(rows["pca_features"])):
            yield f"{CSV}: rows from {start - rows.num_rows + 1} on are not those of {pca.name}"
    if table.num_rows != start:
        yield f"{CSV}: {table.num_rows} rows for {start} images"


def _difference(found: Counter[str], expected: dict[str, int]) -> str:
    names = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    return ", ".join(f"{name} {found.get(name, 0)} for {expected.get(name, 0)}" for name in names[:5])
