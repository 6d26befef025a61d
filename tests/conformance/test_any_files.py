"""A few sets of files, cut in a few ways; `tests/slow` has more of both."""

from pathlib import Path

import pytest
from any_files import search

from conftest import ENGINES, Engine

pytestmark = pytest.mark.local("many small runs: the rest of the suite has each of these files on YARN too")


def test_found_is_featurized_and_rejected(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    engines = {name: Engine(name, request.getfixturevalue(name)) for name in ENGINES}
    seen = search(engines, tmp_path, examples=5)
    assert seen["featurized"] > 3
    assert seen["rejected"] > 3
