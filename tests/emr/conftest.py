"""Every test here is cut off from the network, and has failed if it tried to reach it. `aws` is an account of moto's, in this process."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from .guard import Guard, cut_off

GUARD = Guard()


@pytest.fixture(scope="module", autouse=True)
def offline() -> Iterator[None]:
    """Before all else of a module: a fixture of a session would be outside of it."""
    with pytest.MonkeyPatch.context() as patch, GUARD.on():
        cut_off(patch)
        yield


@pytest.fixture(autouse=True)
def guard(offline: None) -> Iterator[Guard]:  # noqa: ARG001
    GUARD.take()
    yield GUARD
    assert not GUARD.attempts, "the test reached for the network"


@pytest.fixture
def aws(guard: Guard) -> Iterator[None]:  # noqa: ARG001
    with mock_aws():
        yield
