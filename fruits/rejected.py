"""The rejected images of a results folder, of a run that was completed or of one that was not."""

import pyarrow as pa
import pyarrow.compute as pc

from fruits import schemas
from fruits.decode import Reason
from fruits.errors import BadArgument
from fruits.marker import marker_names, read_marker
from fruits.report import REPORT
from fruits.results import REJECTED
from fruits.storage import Folder, normalized


def rejected(results: str, reasons: tuple[str, ...] = ()) -> pa.Table:
    """A table of `schemas.REJECTED` by reason and path; with `reasons` of these alone.

    Raises `BadArgument` for a folder that holds no result, cannot be read, or for a reason that there is not.
    """
    if unknown := sorted(set(reasons) - set(Reason)):
        raise BadArgument(f"there is no reason {unknown[0]!r}", f"the reasons are: {', '.join(Reason)}")
    folder = Folder(normalized(results))
    try:
        found = schemas.read(folder, REJECTED) if REPORT in folder.names("") else _committed(folder)
    except PermissionError as denied:
        raise BadArgument(f"{results} cannot be read: access denied", "ask for the right to read it") from denied
    except (OSError, pa.ArrowInvalid) as fault:
        raise BadArgument(
            f"{results}: the list of rejected images cannot be read: {fault}", "run the job again: it makes it anew"
        ) from fault
    if reasons:
        found = found.filter(pc.is_in(found["reason"], pa.array(reasons)))
    return found.sort_by([("reason", "ascending"), ("path", "ascending")])


def _committed(folder: Folder) -> pa.Table:
    """Of the chunks of a run that has not ended well; chunks that were done again are in it once."""
    markers = [marker for name in marker_names(folder) if (marker := read_marker(folder, name))]
    if not markers:
        raise BadArgument(f"{folder.url} has no {REPORT} and no chunk: no run has got anywhere there", "run `python -m fruits` first")
    replaced = {origin for marker in markers for origin in marker.done.origins}
    parts = [schemas.read(folder, m.done.rejects.name) for m in markers if m.done.rejects and m.done.chunk not in replaced]
    return pa.concat_tables([part.replace_schema_metadata() for part in parts] or [schemas.REJECTED.empty_table()])
