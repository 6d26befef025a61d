"""Any set of files, cut in any way: every file is featurized or rejected, exactly once.

All engines agree on which, and on the bits.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from conftest import SAMPLE, Engine
from fruits.errors import RunFailed

PHOTOS = sorted(SAMPLE.glob("*/*.jpg"))[::60]


@cache
def contents() -> dict[str, bytes]:
    """What a file may hold, for the limits of the jobs below. Few, so that many files are alike."""
    photos = [photo.read_bytes() for photo in PHOTOS]
    return {
        **{f"photo {number}": photo for number, photo in enumerate(photos)},
        "cut": photos[0][: len(photos[0]) // 2],
        "overwritten": photos[1][:300] + bytes(300) + photos[1][600:],
        "text": b"no image",
        "nothing": b"",
        "too large": photos[2] + bytes(100_000),
    }


# What a name may be other than a file.
SPECIAL = ("dangling link", "pipe", "folder in its place", "linked photo")
# Names as file systems have them: no slash, no NUL, not too long; surrogates stand for bytes that
# are not UTF-8.
NAMES = st.one_of(
    st.sampled_from(
        ["a", "-rf", "..a", " ", "_hidden", ".hidden", "=cmd", "<b>", "%20", "a?b=c", "x*y[1]", "{a,b}", "ü", "苹果", "\udce9", 'q"u,o\n']
    ),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/\0"), min_size=1, max_size=8),
)
FOLDERS = st.lists(NAMES.filter(lambda name: name not in (".", "..")), max_size=3).map("/".join)
FILES = st.dictionaries(
    st.tuples(FOLDERS, NAMES, st.sampled_from([".jpg", ".JPG", ".jpeg"])),
    st.sampled_from([*contents(), *SPECIAL]),
    min_size=1,
    max_size=12,
)


@contextmanager
def laid_out(root: Path, files: dict[tuple[str, str, str], str]) -> Iterator[list[str]]:
    """The files below a new folder; yields the paths that a run must tell of.

    Names that the file system refuses are left out.
    """
    paths = []
    root.mkdir(parents=True)
    (root / "target").write_bytes(contents()["photo 0"])
    for (folder, name, suffix), kind in files.items():
        path = root / folder / f"{name}{suffix}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(path):  # the same name by another way: a/ and a
                continue
            _make(path, kind, root / "target")
        except (OSError, UnicodeEncodeError):
            continue
        if kind != "folder in its place" and not path.name.startswith("._"):
            paths.append(os.fsencode(path).decode("utf-8", "backslashreplace"))
    try:
        yield paths
    finally:
        shutil.rmtree(root)


def _make(path: Path, kind: str, target: Path) -> None:
    match kind:
        case "dangling link":
            path.symlink_to("nowhere")
        case "linked photo":
            path.symlink_to(target)
        case "pipe":
            os.mkfifo(path)
        case "folder in its place":
            path.mkdir()
        case _:
            path.write_bytes(contents()[kind])


Rows = dict[str, bytes]


def rows(results: Path) -> tuple[Rows, Rows]:
    """Of features: path to label and features. Of rejects: path to label, reason and detail.

    Asserts that no path occurs twice.
    """
    features = []
    for file in (results / "features").iterdir():
        table = pq.read_table(file, partitioning=None).to_pydict()
        vectors = [np.asarray(vector, np.float32).tobytes() for vector in table["features"]]
        labels = [label.encode() for label in table["label"]]
        values = [label + vector for label, vector in zip(labels, vectors, strict=True)]
        features += list(zip(table["path"], values, strict=True))
    reject_rows = pq.read_table(results / "rejected.parquet").to_pylist()
    rejected = [(row.pop("path"), repr(row).encode()) for row in reject_rows]
    assert len({path for path, _ in (*features, *rejected)}) == len(features) + len(rejected)
    return dict(features), dict(rejected)


def outcome(engine: Engine, images: Path, results: Path, **job: Any) -> tuple[Rows, Rows] | str:
    """The rows of a run, or why there was none."""
    try:
        limits = {"features_only": True, "max_file_bytes": 100_000}
        report = engine.run(input=images, output=results, **limits, **job)
    except RunFailed as failed:
        return failed.message
    features, rejected = rows(results)
    assert (report.images.featurized, report.images.rejected) == (len(features), len(rejected))
    return features, rejected


def search(engines: Mapping[str, Engine], folder: Path, examples: int) -> Counter[str]:
    """Takes `examples` sets of files through all engines and asserts that they agree.

    Returns the number of sets, and of files by outcome.
    """
    numbers = count()
    seen: Counter[str] = Counter()

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )
    @given(
        files=FILES,
        chunk_size=st.dictionaries(st.sampled_from([*engines]), st.integers(1, 13)),
        batch_size=st.integers(1, 5),
    )
    def check(
        files: dict[tuple[str, str, str], str],
        chunk_size: dict[str, int],
        batch_size: int,
    ) -> None:
        example = folder / str(next(numbers))
        with laid_out(example / "images", files) as paths:
            if not paths:
                return
            outcomes = {}
            for name, engine in engines.items():
                results = example / name
                cut = {"chunk_size": chunk_size.get(name), "batch_size": batch_size}
                outcomes[name] = outcome(engine, example / "images", results, **cut)
                shutil.rmtree(results, ignore_errors=True)
        assert outcomes["dask"] == outcomes["spark"] == outcomes["inprocess"]
        seen["sets"] += 1
        if isinstance(oracle := outcomes["inprocess"], str):
            assert f"none of {len(paths)} images could be featurized" in oracle
            seen["none usable"] += len(paths)
            return
        assert sorted([*oracle[0], *oracle[1]]) == sorted(paths)
        seen["featurized"] += len(oracle[0])
        seen["rejected"] += len(oracle[1])

    check()
    print(dict(seen))
    return seen
