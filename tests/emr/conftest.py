"""Every test here is cut off from the network, and has failed if it tried to reach it. `aws` is an account of moto's, in this process."""

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader
from moto import mock_aws

from bootstrap.bundle import make_bundle

from .guard import Guard, cut_off

GUARD = Guard()


@pytest.fixture(scope="session", autouse=True)
def cheap_accounts() -> Iterator[None]:
    """Most of the time that a test took was spent reading what never changes.

    That is botocore's models of AWS's services, 0.2 s a client, and moto's list of Amazon's images,
    0.3 s a region, which no test needs.
    """
    load = JSONFileLoader.load_file
    loaded = functools.cache(lambda path: load(JSONFileLoader(), path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: loaded(path))
        patch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        yield


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


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The bundle of this checkout, and its id."""
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    return folder, make_bundle(folder)


@pytest.fixture
def bundle_made_once(bundle: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cluster of these tests gets a copy of that bundle, which takes seconds to make."""
    folder, sums = bundle

    def copied(into: Path, **_: Any) -> str:
        shutil.copytree(folder, into, dirs_exist_ok=True)
        return sums

    monkeypatch.setattr("bootstrap.staging.make_bundle", copied)
