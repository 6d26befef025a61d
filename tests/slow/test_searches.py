"""The searches of which `make test` has a sample, in their full size."""

from pathlib import Path

import pytest
from any_files import search
from batches import assert_independent_of_batch
from mutants import each_has_an_outcome

from conftest import ENGINES, Engine
from fruits.model import Engine as Runtime


@pytest.mark.parametrize(("what", "images"), [("decode", 20_000), ("run", 1_000)])
def test_each_mutant_is_a_row_or_has_a_reason(what: str, images: int, tmp_path: Path) -> None:
    each_has_an_outcome(what, images, tmp_path)


@pytest.mark.timeout(1800)
def test_any_files_are_featurized_or_rejected(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    engines = {name: Engine(name, request.getfixturevalue(name)) for name in ENGINES}
    seen = search(engines, tmp_path, examples=25)
    assert seen["featurized"] > 10
    assert seen["rejected"] > 10


@pytest.mark.parametrize("engine", ["litert", "openvino"])
def test_features_do_not_depend_on_the_batch(engine: Runtime) -> None:
    assert_independent_of_batch(engine, range(2, 33))
