"""The command line as a user types it, on both backends."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from typed import Type

from conftest import ROOT, SAMPLE, WITHOUT_OVERRIDE, cli, report, spark_java, table, without_bfloat16

pytestmark = pytest.mark.local("the command line opens a session of its own")

FAST = ("--features-only",)
JVM_OPTIONS = os.environ.get("SPARK_SUBMIT_OPTS", "")  # of `make test`, for JVMs that Spark's driver does not start


def test_as_typed_with_no_further_option(typed: Type, backend: str, tmp_path: Path) -> None:
    ended = cli("--backend", backend, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert f"results in {tmp_path / 'results'}" in ended.stdout
    assert "335 images of the bundled sample" in ended.stderr
    summary = re.sub(" +", " ", ended.stdout)
    assert "images 335 found, 335 featurized, 0 rejected" in summary
    assert "labels 67: from 5 (Apple 10) to 5 (Tomato Yellow 1)" in summary
    assert "components 200, which explain 97.92" in summary
    for stage in ("start", "list", "featurize", "fit", "project", "export", "page"):
        assert re.search(rf"^{stage} \d+\.\d", summary, re.MULTILINE)
    # There is no terminal: lines in place of a bar.
    assert re.search(r"featurize: \d+ of 335 images, \d+ images/s, 0 rejected, \d+ s left", ended.stderr)
    assert "\x1b" not in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr
    assert "WARN" not in ended.stderr
    names = {path.name for path in (tmp_path / "results").iterdir()}
    assert names == {"_fruits", "features", "pca", "results.csv", "rejected.parquet", "projection.npz", "report.html", "report.json"}
    assert sorted(table(tmp_path / "results", "pca")["path"]) == sorted(map(str, SAMPLE.glob("*/*.jpg")))
    validated = typed("validate", "results", cwd=tmp_path)
    assert (validated.returncode, validated.stdout) == (0, "results: valid\n")
    again = typed("--backend", backend, cwd=tmp_path)
    assert again.returncode == 0
    assert f"nothing to do: {backend} completed" in again.stdout


def test_progress_bar_on_a_terminal(backend: str, images: Path, tmp_path: Path) -> None:
    """Under a real pseudo terminal, of `script`."""
    command = f"{sys.executable} -m fruits --backend {backend} --features-only --input {images} --output {tmp_path / 'r'}"
    shown = subprocess.run(["script", "-qec", command, "/dev/null"], capture_output=True, text=True, timeout=120, check=True).stdout
    assert "\x1b[" in shown
    assert "images/s" in shown
    assert "14/14" in shown


def test_json_dry_run_and_raw_configuration(typed: Type, backend: str, images: Path, tmp_path: Path) -> None:
    key, value = {"dask": ("distributed.worker.memory.target", "0.5"), "spark": ("spark.ui.enabled", "false")}[backend]
    arguments = ("--backend", backend, "--input", images, "--output", tmp_path / "r", "--workers", "2", "--chunk-size", "4", *FAST)
    arguments += ("--set", f"{key}={value}")
    planned = typed(*arguments, "--dry-run", "--json")
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    assert (plan["images"], plan["chunks"], plan["backend"]["workers"], plan["to_featurize"]) == (14, 4, 2, 14)
    assert plan["bytes"] == sum(path.stat().st_size for path in images.glob("*/*.jpg"))
    assert plan["backend"]["configuration"]
    assert not (tmp_path / "r").exists()
    readable = typed(*arguments, "--dry-run")
    assert "14 (" in readable.stdout
    assert readable.returncode == 0
    done = cli(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == report(tmp_path / "r")
    described = json.loads(done.stdout)["backend"]
    assert str(described["configuration"][key]) == value
    if backend == "spark":
        assert described["dashboard"] is None
    assert json.loads(typed(*arguments, "--dry-run", "--json").stdout)["nothing_to_do"] is True


REFUSED = {
    "no folder": (["--input", "nowhere"], "there is no folder"),
    "a file as input": (["--input", "images/Apple 10/r0_101_100.jpg"], "there is no folder"),
    "empty folder": (["--input", "empty"], "no file in"),
    "no match": (["--input", "images", "--pattern", "*.png"], "no file in"),
    "components 0": (["--components", "0"], "from 1 to 1280"),
    "components negative": (["--components", "-3"], "from 1 to 1280"),
    "components too many": (["--components", "1281"], "from 1 to 1280"),
    "components a word": (["--components", "many"], "neither a count"),
    "components share": (["--components", "1.5"], "not a share"),
    "components infinite": (["--components", "1.e999"], "not a share"),
    "more components than images": (["--input", "images", "--components", "20"], "--components 20: 14 images"),
    "unknown engine": (["--engine", "onnx"], "onnx"),
    "unknown precision": (["--precision", "int8"], "int8"),
    "bfloat16 in litert": (["--precision", "bfloat16"], "the engine litert does not compute in bfloat16"),
    "bfloat16 in keras": (["--precision", "bfloat16", "--engine", "keras"], "leave out --precision, or use --engine openvino"),
    "workers 0": (["--workers", "0"], "--workers 0"),
    "batch 0": (["--batch-size", "0"], "--batch-size 0"),
    "chunk 0": (["--chunk-size", "0"], "--chunk-size 0"),
    "chunk too large": (["--chunk-size", "100000"], "--chunk-size 100000"),
    "timeout 0": (["--chunk-timeout", "0"], "--chunk-timeout 0"),
    "timeout a word": (["--chunk-timeout", "long"], "'long' is not a valid float"),
    "timeout without end": (["--chunk-timeout", "inf"], "--chunk-timeout inf"),
    "pixels": (["--max-pixels", "999999999"], "--max-pixels"),
    "share of rejects": (["--max-rejected", "2"], "--max-rejected 2"),
    "no number": (["--max-rejected", "nan"], "--max-rejected nan"),
    "yarn, local folder": (["--cluster", "yarn"], "which the nodes of the YARN cluster do not see"),
    "yarn, not configured": (
        ["--cluster", "yarn", "--input", "s3://a/b", "--output", "s3://a/c"],
        "there is no configuration of a cluster",
    ),
    "queue without yarn": (["--cluster", "local", "--queue", "fast"], "--queue fast has no effect on --cluster local"),
    "memory without yarn": (["--container-memory", "2g"], "--container-memory 2048 has no effect on --cluster local"),
    "memory": (["--container-memory", "much"], "'much' is no size such as 2g"),
    "launcher": (["--launcher", "rocket"], "is not one of 'fruits', 'dask-yarn'"),
    "range without yarn": (["--workers", "2..4", "--cluster", "local"], "only YARN gives and takes workers"),
    "range backwards": (["--workers", "4..2"], "ends below its beginning"),
    "no address": (["--cluster", "somewhere"], "neither auto, local, yarn nor an address"),
    "wrong address": (["--cluster", "http://127.0.0.1:1"], "is no address of"),
    "output in input": (["--input", "images", "--output", "images/results"], "lies in the input"),
    "output is input": (["--input", "images", "--output", "images"], "lies in the input"),
    "output is a file": (["--input", "images", "--output", "file"], "is not a folder"),
    "output below a file": (["--input", "images", "--output", "file/results"], "is not a folder"),
    "output of others": (["--input", "images", "--output", "foreign"], "is not a result of fruits"),
    "a setting without value": (["--set", "key"], "is not KEY=VALUE"),
    "an unknown setting": (["--set", "no.such.key=1"], "--set no.such.key"),
    "a secret": (["--set", "spark.hadoop.fs.s3a.secret.key=x"], "leave credentials to the environment"),
    "credentials in a URL": (["--input", "s3://key:secret@bucket/Test"], "credentials come from the environment"),
    "an unknown scheme": (["--input", "gopher://x/y"], "gopher:// URLs cannot be read"),
    "hdfs": (["--output", "hdfs:///Results"], "set HADOOP_CONF_DIR"),
    "no effect": (["--features-only", "--components", "5"], "--components has no effect with --features-only"),
    "no PCA to choose": (["--features-only", "--pca", "moments"], "--pca has no effect with --features-only"),
    "no PCA of that name": (["--pca", "exact"], "'exact' is not one of 'native', 'moments'"),
    "no effect either": (["--projection", "p.npz", "--standardize"], "--standardize has no effect with --projection"),
    "no projection": (["--projection", "p.npz"], "there is no file"),
    "pattern with manifest": (["--manifest", "list.txt", "--pattern", "*.png"], "--pattern has no effect with --manifest"),
    "no manifest": (["--input", "images", "--manifest", "list.txt"], "there is no file"),
    "an inventory of no bucket": (["--input", "images", "--manifest", "list.csv"], "is taken for an S3 Inventory, for its ending"),
    "retry with fresh": (["--retry-rejected", "--fresh"], "--retry-rejected has no effect with --fresh"),
    "an option of a run for a command": (["--workers", "2", "validate", "results"], "have no effect on the command validate"),
    "an unknown option": (["--wrokers", "2"], "No such option"),
}


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("case", REFUSED)
def test_bad_arguments_are_refused_before_anything_starts(typed: Type, backend: str, tmp_path: Path, case: str) -> None:
    arguments, words = REFUSED[case]
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.doc").touch()
    before = sorted(tmp_path.rglob("*"))
    ended = typed("--backend", backend, *arguments, cwd=tmp_path)
    assert ended.returncode == 2, ended.stderr
    told = re.sub(r"[│\s]+", " ", ended.stderr)  # the box that usage errors stand in breaks lines
    assert words in told
    assert "Traceback" not in ended.stderr
    assert "secret@" not in ended.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unknown_backend(typed: Type, tmp_path: Path) -> None:
    ended = typed("--backend", "ray", cwd=tmp_path)
    assert ended.returncode == 2
    assert "'dask', 'spark'" in ended.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        ("pyspark", ["--backend", "spark"], "spark"),
        ("distributed", ["--backend", "dask"], "dask"),
        ("tensorflow", ["--engine", "keras"], "keras"),
        ("openvino", ["--engine", "openvino"], "openvino"),
        ("ai_edge_litert", ["--engine", "litert"], "worker"),
    ],
)
def test_what_is_not_installed_comes_with_the_line_to_type(tmp_path: Path, missing: str, arguments: list[str], extra: str) -> None:
    """None in `sys.modules` is Python's own way to say that a module is not there."""
    script = f"import sys; sys.modules[{missing!r}] = None; from fruits.cli import main; main({arguments!r})"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert ended.returncode == 2, ended.stderr
    assert f"-m pip install --editable '{ROOT}[{extra}]'" in ended.stderr
    assert "is not installed" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_an_output_that_cannot_be_written(backend: str, images: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    probe = subprocess.run([*WITHOUT_OVERRIDE, "touch", str(locked / "x")], capture_output=True, text=True, check=False)
    assert "Permission denied" in probe.stderr  # the fault is there
    ended = cli("--backend", backend, "--input", images, "--output", locked / "results", under=WITHOUT_OVERRIDE)
    assert ended.returncode == 2
    assert f"{locked} cannot be written: access denied" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(locked.iterdir())


def test_a_folder_that_cannot_be_listed(backend: str, images: Path, tmp_path: Path) -> None:
    """What is in it would be lost in silence."""
    locked = sorted(images.iterdir())[3]
    locked.chmod(0)
    ended = cli("--backend", backend, "--input", images, "--output", tmp_path / "r", under=WITHOUT_OVERRIDE)
    locked.chmod(0o700)
    assert ended.returncode == 2
    assert f"{locked} cannot be listed: access denied" in ended.stderr
    assert not (tmp_path / "r").exists()


def test_help_is_light_and_complete() -> None:
    script = (
        "import sys\nfrom fruits.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'tensorflow', 'openvino', 'pyspark', 'dask', 'distributed', 'boto3', 'botocore', 'pyarrow', 'numpy', 'pandas'}\n"
        "heavy &= sys.modules.keys()\n"
        "print('heavy:', sorted(heavy))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "heavy: []" in shown
    for option in [
        "--input",
        "--pattern",
        "--manifest",
        "--output",
        "--fresh",
        "--retry-rejected",
        "--backend",
        "--cluster",
        "--workers",
        "--set",
        "--pca",
        "--components",
        "--standardize",
        "--uncentred",
        "--projection",
        "--features-only",
        "--engine",
        "--precision",
        "--batch-size",
        "--chunk-size",
        "--chunk-timeout",
        "--max-pixels",
        "--max-file-bytes",
        "--max-rejected",
        "--dry-run",
        "--json",
        "--log-level",
        "--version",
        "--help",
    ]:
        assert option in shown
    assert "Exit codes" in shown


@contextmanager
def running(*command: str, env: dict[str, str] | None = None, until: str) -> Iterator[str]:
    """A server of the engine's own, until its log says so; stopped by its own pid."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **(env or {})}
    ) as server:
        try:
            said = ""
            patience = time.monotonic() + 150
            assert server.stdout is not None
            while not (found := re.search(until, said)):
                assert time.monotonic() < patience
                line = server.stdout.readline()
                assert line, said
                said += line
            yield found[1]
        finally:
            server.terminate()


@contextmanager
def dask_cluster(folder: Path, under: Sequence[str] = ()) -> Iterator[str]:
    """A scheduler and one worker, to which the package `backends` is not known; `under` is a command before the worker's."""
    loopback = ("--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0")
    script = "import sys; sys.modules['backends'] = None; from distributed.cli.dask_worker import main; main()"
    with running(sys.executable, "-m", "distributed.cli.dask_scheduler", *loopback, until=r"Scheduler at:\s+(tcp://127\S+)") as scheduler:
        options = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")
        options += ("--local-directory", str(folder / "work"))
        worker = (*under, sys.executable, "-c", script, scheduler, *options)
        with running(*worker, until=r"Registered to:\s+(\S+)"):
            yield scheduler


@contextmanager
def spark_cluster(folder: Path, under: Sequence[str] = ()) -> Iterator[str]:
    """A standalone master and one worker with a core; `under` is a command before the worker's.

    The worker writes to the folder: else it would to Spark's own, which not every user may.
    """
    import pyspark

    spark_class = str(Path(pyspark.__file__).parent / "bin" / "spark-class")
    env = {
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        **spark_java(),
        "SPARK_DAEMON_JAVA_OPTS": JVM_OPTIONS,
    }
    loopback = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
    deploy = "org.apache.spark.deploy"
    with running(spark_class, f"{deploy}.master.Master", *loopback, env=env, until=r"Starting Spark master at (spark://\S+)") as master:
        options = (*loopback, "--cores", "1", "--memory", "1g", "--work-dir", str(folder / "work"))
        worker = (*under, spark_class, f"{deploy}.worker.Worker", *options, master)
        with running(*worker, env=env, until=r"Successfully (registered) with master"):
            yield master


def python_without_backends(folder: Path) -> str:
    """An interpreter for Spark's workers to which the package `backends` is not known."""
    program = folder / "python"
    program.write_text(
        f"#!{sys.executable}\nimport runpy, sys\n"
        "sys.modules['backends'] = None\n"
        "assert sys.argv.pop(1) == '-m'\n"
        "module = sys.argv.pop(1)\n"
        "runpy.run_module(module, run_name='__main__', alter_sys=True)\n"
    )
    program.chmod(0o755)
    return str(program)


def test_the_address_of_a_running_cluster(backend: str, images: Path, tmp_path: Path) -> None:
    with {"dask": dask_cluster, "spark": spark_cluster}[backend](tmp_path) as address:
        arguments = ("--backend", backend, "--cluster", address, "--input", images, "--output", tmp_path / "r")
        if backend == "spark" and JVM_OPTIONS:
            arguments += ("--set", f"spark.executor.extraJavaOptions={JVM_OPTIONS}")
        fitted = ("--components", "3", "--pca", "moments")
        environment = {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": python_without_backends(tmp_path)}
        ended = cli(*arguments, *fitted, "--json", **environment)
        assert ended.returncode == 0, ended.stderr
        described = json.loads(ended.stdout)["backend"]
        assert (described["cluster"], described["workers"]) == (address, 1)
        assert len(table(tmp_path / "r", "pca")) == 14
        # The cluster is still there for the next one: what was not opened is not closed.
        shutil.rmtree(tmp_path / "r")
        assert cli(*arguments, *FAST, *(("--workers", "1") if backend == "spark" else ()), **environment).returncode == 0
        if backend == "dask":
            refused = cli(*arguments, "--workers", "1")
            assert refused.returncode == 2
            assert "has its own workers" in refused.stderr


@pytest.mark.root("mounts another /proc/cpuinfo")
def test_nodes_without_bfloat16(backend: str, images: Path, tmp_path: Path) -> None:
    """This machine's processor is not asked: it computes nothing."""
    environment = {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": python_without_backends(tmp_path)}
    with {"dask": dask_cluster, "spark": spark_cluster}[backend](tmp_path, without_bfloat16(tmp_path)) as address:
        job = ("--backend", backend, "--cluster", address, "--input", images, "--output", tmp_path / "r", "--engine", "openvino", *FAST)
        ended = cli(*job, "--precision", "bfloat16", **environment)
        assert ended.returncode == 1, ended.stderr
        assert re.search(r"--precision bfloat16: the processor of node \S+ has neither AVX512-BF16 nor AMX", ended.stderr)
        assert "use nodes that have one of these" in ended.stderr
        assert not (tmp_path / "r" / "features").exists()
        assert cli(*job, **environment).returncode == 0


def test_an_address_where_nothing_answers(backend: str, images: Path, tmp_path: Path) -> None:
    address = {"dask": "tcp://127.0.0.1:1", "spark": "spark://127.0.0.1:1"}[backend]
    ended = cli("--backend", backend, "--cluster", address, "--input", images, "--output", tmp_path / "r", SPARK_LOCAL_IP="127.0.0.1")
    assert ended.returncode == 1
    assert address in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "r").exists()
