"""`--launcher dask-yarn` where dask-yarn is not: this environment has a Dask with which it does not run."""

import pytest

from backends.dask import DaskBackend
from fruits.backend import Settings, YarnSettings
from fruits.errors import BadArgument


def test_it_is_refused_with_the_way_to_its_own_environment() -> None:
    with pytest.raises(BadArgument, match="the package dask-yarn is not installed") as refused:
        DaskBackend(Settings("yarn", yarn=YarnSettings(launcher="dask-yarn")))
    assert "pip install --require-hashes -r requirements/dask-yarn.lock" in refused.value.advice
