"""`report.html` of a results folder: at the end of a run, and again from the folder alone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from fruits.errors import BadArgument, RunFailed
from fruits.images import Input
from fruits.lease import Lease
from fruits.neighbours import Neighbours, nearest
from fruits.page.render import render
from fruits.quality import Quality, judge
from fruits.report import PAGE, REPORT, RunReport, read_report
from fruits.sampled import SEED, Sampled, sampled
from fruits.storage import WORK, Folder, StoredFile, normalized
from fruits.thumbnails import MOST as MOST_THUMBNAILS
from fruits.thumbnails import Sheet, sheet

MAP_MOST = 25_000  # images: what a browser draws at once
JUDGED_MOST = 20_000  # images that are asked for the accuracy
NEIGHBOURS = 8  # shown of an image
_WITNESSES = 16


@dataclass(frozen=True)
class Shown:
    """What the page shows of the images: those of the map, their `names` below the input folder, of each its nearest others there, the
    accuracy, and thumbnails."""

    rows: Sampled
    names: list[str]
    near: Neighbours
    quality: Quality | None
    thumbnails: Sheet


def page_of(folder: Folder, report: RunReport) -> bytes:
    """The page of a report and of the files that it names; raises `BadArgument` where one of these cannot be used."""
    shown = None if report.job["features_only"] else _shown(folder, report)
    return render(report, shown).encode()


def write_again(results: str, note: Callable[[str], None]) -> StoredFile:
    """Makes the page of a results folder anew, and the report that names it; `note` is told why it takes time.

    Raises `BadArgument` where there is no report, a file that it names cannot be used, or the folder cannot be written, `OutputInUse` while
    a run has it, and `RunFailed` where memory is too little.
    """
    folder = Folder(normalized(results))
    read_report(folder.url)  # before a lease is written into a folder that is none of ours
    lease = Lease(folder, "the page", note, "wait until it has ended")
    try:
        lease.acquire()
        report = read_report(folder.url)  # another run may have ended meanwhile
        made = page_of(folder, report)
        lease.check()
        page = folder.write(PAGE, made)
        files = [*(file for file in report.files if file.name != PAGE), page]
        folder.write(REPORT, replace(report, files=files).to_json().encode())
    except OSError as failed:
        raise BadArgument(
            f"{failed.filename or folder.url} cannot be written: {failed.strerror or failed}",
            "mend that, or copy the results to where you may write",
        ) from failed
    except MemoryError as failed:
        raise RunFailed(f"memory is too little for the page of {folder.url}", "make it on a larger machine") from failed
    finally:
        lease.release()
        with suppress(OSError):  # a folder where there was none, on a copy without it
            folder.remove_if_empty(WORK)
    return page


def _shown(folder: Folder, report: RunReport) -> Shown:
    rows = sampled(folder, report, MAP_MOST)
    own = np.arange(len(rows))
    near = nearest(rows.vectors, rows.vectors, min(NEIGHBOURS, len(rows) - 1), (own, own))
    quality = judge(rows.vectors, rows.paths, rows.labels, near.indices, JUDGED_MOST, SEED) if len(rows) > 1 else None
    names = [path.removeprefix(report.job["input"] + "/") for path in rows.paths]
    wanted = dict.fromkeys([*_that_matter(quality), *_evenly(rows.labels)])
    return Shown(rows, names, near, quality, _thumbnails(report, [names[row] for row in wanted]))


def _thumbnails(report: RunReport, names: Sequence[str]) -> Sheet:
    job, keys = report.job, names[:MOST_THUMBNAILS]
    witnesses = tuple(keys[:: max(1, len(keys) // _WITNESSES)])
    return sheet(Input(job["input"], job["max_pixels"], job["max_file_bytes"], witnesses), keys)


def _that_matter(quality: Quality | None) -> Iterator[int]:
    """Rows of which the tables show a picture."""
    if quality:
        yield from (odd.image for odd in quality.odd)
        yield from (image for pair in quality.confused for image in pair.example)


def _evenly(labels: Sequence[str]) -> list[int]:
    """All rows, in turns one of each label."""
    seen: dict[str, int] = {}
    turns = []
    for label in labels:
        turns.append(seen.get(label, 0))
        seen[label] = turns[-1] + 1
    return sorted(range(len(labels)), key=turns.__getitem__)
