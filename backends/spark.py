"""Spark: a DataFrame with a row an item through an iterator pandas UDF, ml.PCA on the features that were written."""

import gc
import logging
import os
import pickle
import re
import socket
import sys
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Self
from zipimport import zipimporter

import numpy as np
import pandas as pd
import pyarrow as pa
import pyspark
from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark import AccumulatorParam, InheritableThread, SparkContext, StorageLevel
from pyspark.errors import PySparkException
from pyspark.ml.feature import PCA, ElementwiseProduct, StandardScaler, VectorSlicer
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.functions import col
from pyspark.sql.pandas.functions import pandas_udf

from backends.java import java_environment
from backends.spark_on_yarn import SparkOnYarn
from backends.spark_versions import spark_version, without_pandas_warning
from fruits.backend import GaveUp, Item, Result, Settings, task_name
from fruits.errors import BadArgument, RunFailed
from fruits.features import read_features
from fruits.machine import cores, memory
from fruits.pca import FittedAxes, unit_scale

if TYPE_CHECKING:
    from fruits.pca import Vector

log = logging.getLogger(__name__)

TASK_ATTEMPTS = 4  # Spark's default on clusters; a plain local[N] would allow one
ARROW_ROWS = 1024  # of 1280 floats: 5 MB a batch
POLL_SECONDS = 0.1
CONNECT_SECONDS = 10
GIB = 2**30
PCA_ATTEMPTS = 10
JVM_ENDED = (Py4JNetworkError, OSError)  # what py4j raises when nobody answers any more
DIED = (f"workers died {TASK_ATTEMPTS} times at the same task: most often they ran out of memory", "use fewer --workers")
# Which task failed for good: where its worker died in Spark's words, where its function raised in ours.
_TASK = re.compile(r"Task (\d+) in stage \S+ failed \d+ times|^item (\d+) of the job$", re.MULTILINE)


class SparkBackend:
    name = "spark"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._spark: SparkSession | None = None
        self._pca_attempts = 0
        self._yarn: SparkOnYarn | None = None
        if settings.session is not None:
            if not isinstance(settings.session, SparkSession):
                raise BadArgument("a Spark Connect session has neither accumulators nor ml.PCA", "pass a classic SparkSession")
            self._spark = settings.session
        elif SparkSession.getActiveSession() is not None:
            raise BadArgument("this process has a Spark session already", "pass it: run(job, session=spark)")
        elif settings.cluster == "yarn":
            self._yarn = SparkOnYarn(settings)
        elif settings.cluster != "local" and not settings.cluster.startswith("spark://"):
            raise BadArgument(f"{settings.cluster} is no address of a Spark master", "it looks like spark://host:7077")
        for key in settings.options:
            if not key.startswith("spark."):
                raise BadArgument(f"--set {key}: Spark's keys begin with spark.", "for example spark.driver.memory=4g")
        self._configuration = {**self._defaults(), **settings.options}
        java = spark_version(pyspark.__version__).java
        self._java_environment = {} if self._spark else java_environment(java)

    def _defaults(self) -> dict[str, str]:
        cluster, workers = self._settings.cluster, self._settings.workers
        configuration = {
            "spark.app.name": "fruits",
            "spark.master": f"local[{self.workers},{TASK_ATTEMPTS}]" if cluster == "local" else cluster,
            # The features of a fit are cached here, and spill to disk above that.
            "spark.driver.memory": f"{max(1, min(4, memory() // (4 * GIB)))}g",
            "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties').as_uri()}"
            + (" -Dfruits.repeated=info" if log.isEnabledFor(logging.INFO) else ""),
            "spark.ui.showConsoleProgress": "false",
            "spark.ui.port": "0",  # any free one: a seventeenth session on 4040 would fail
            "spark.python.worker.faulthandler.enabled": "true",
        }
        if self._yarn is not None:
            return configuration | self._yarn.configuration()
        if cluster != "local" and workers is not None:
            configuration["spark.cores.max"] = str(workers.most)
        return configuration

    def __enter__(self) -> Self:
        if self._spark is None:
            if self._settings.cluster not in ("local", "yarn"):
                _check_answers(self._settings.cluster)
            try:
                with _environment(self._variables()):
                    self._spark = self._yarn.start(self._open, _kill) if self._yarn else self._open()
            except (PySparkException, Py4JError) as failed:
                raise RunFailed(f"Spark did not start: {_reason(failed)}", "see what its log says with --log-level info") from failed
            self._spark.sparkContext.setLogLevel("INFO" if log.isEnabledFor(logging.INFO) else "ERROR")
            if self._yarn:
                try:
                    self._yarn.wait_for_executor(self._spark, self._executor_cores)
                except BaseException:
                    self.__exit__()
                    raise
        return self

    def _variables(self) -> dict[str, str]:
        """What Spark reads from the environment while it starts."""
        python = self._yarn.python if self._yarn else os.environ.get("PYSPARK_PYTHON", sys.executable)
        variables = {"PYSPARK_PYTHON": python, **self._java_environment}
        # Its user interface asks for no password: it listens where the cluster is, and there alone.
        if self._yarn:
            variables["SPARK_LOCAL_IP"] = self._yarn.host
        elif self._settings.cluster == "local":
            variables["SPARK_LOCAL_IP"] = "127.0.0.1"
        return variables

    def _open(self) -> SparkSession:
        builder = SparkSession.builder
        for key, value in self._configuration.items():
            builder = builder.config(key, value)
        with without_pandas_warning():
            return builder.getOrCreate()

    def __exit__(self, *exc: object) -> None:
        if self._spark is not None and self._settings.session is None:
            with suppress(*JVM_ENDED):  # there is nothing left to stop
                self._spark.stop()
            self._spark = None

    @property
    def workers(self) -> int:
        if self._spark is not None and (total := self._executor_cores()):
            return total
        if self._yarn is not None:
            return self._yarn.workers.most
        return self._settings.workers.most if self._settings.workers else cores()

    def _executor_cores(self) -> int:
        """Of all executors; in local mode the driver is the only one. The default parallelism would say 2 for one core."""
        executors = self.spark.sparkContext._jsc.sc().statusStore().executorList(True)
        return int(sum(executors.apply(i).totalCores() for i in range(executors.length())))

    @property
    def remote(self) -> bool:
        return self._settings.session is None and self._settings.cluster != "local"

    @property
    def spark(self) -> SparkSession:
        assert self._spark is not None, "the session is not open"
        return self._spark

    def _one_a_task(self, count: int) -> DataFrame:
        """The numbers from 0 as a DataFrame with a partition, so a task, for each."""
        return self.spark.range(0, count, 1, count)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result | GaveUp[Item]]:
        """A task that failed for good ends its job, with all that runs in it: what is left of it is another job."""
        while items:
            done: set[int] = set()
            failed = yield from self._job(function, items, done)
            if failed is None:
                return
            if not (found := _TASK.search(str(failed))):
                raise self._failed(failed, "Spark's job failed") from failed
            if ended := self._ended(failed):
                raise ended from failed
            number = int(found[1] or found[2])
            yield GaveUp(items[number], *self._why(failed))
            items = [item for position, item in enumerate(items) if position not in done and position != number]

    def _job(
        self, function: Callable[[Item], Result], items: Sequence[Item], yielded: set[int]
    ) -> Generator[Result, None, Exception | None]:
        """Yields results and puts the numbers of their items into `yielded`; returns why the job failed, where it did."""
        context = self.spark.sparkContext

        # These are pickled by value, because they are not at the top of a module: workers need `fruits`, not `backends`.
        class Arrivals(AccumulatorParam[list[tuple[int, bytes]]]):
            def zero(self, value: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
                return value[:0]

            def addInPlace(  # noqa: N802 - Spark's name
                self, value1: list[tuple[int, bytes]], value2: list[tuple[int, bytes]]
            ) -> list[tuple[int, bytes]]:
                return value1 + value2

        # Collecting tells nothing before the last task has ended; an accumulator tells after each.
        arrived = context.accumulator([], Arrivals())

        def spare_the_next() -> None:
            """Before each task PySpark's worker reads every zip on its path again, its own among them (60 ms), and after it looks for
            garbage in all that was imported (30 ms). There is nothing new to be found."""
            if not gc.get_freeze_count():
                gc.collect()
                gc.freeze()
            for path, finder in [*sys.path_importer_cache.items()]:
                if isinstance(finder, zipimporter):
                    del sys.path_importer_cache[path]

        def work(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
            for numbers in batches:
                done = []
                for number in numbers:
                    try:
                        done.append(pickle.dumps(function(items[number])))
                    except BaseException as raised:
                        raised.add_note(f"item {number} of the job")  # Spark tells of an exception's words only
                        raise
                arrived.add(list(zip(numbers.tolist(), done, strict=True)))
                yield pd.Series(done)
            spare_the_next()

        with without_pandas_warning():
            work_udf = pandas_udf("binary")(work)  # type: ignore[call-overload]
        group = uuid.uuid4().hex
        collected: list[Row] = []
        failure: list[Exception] = []

        def collect() -> None:
            context.setJobGroup(group, f"fruits: {task_name(function)}, {len(items)} tasks", interruptOnCancel=True)
            try:
                collected.extend(self._one_a_task(len(items)).select("id", work_udf("id").alias("result")).collect())
            except (PySparkException, Py4JError, OSError) as failed:
                failure.append(failed)
            finally:
                ended.set()

        ended = Event()  # not Thread.join: interrupted by Ctrl-C that takes a running thread for an ended one
        InheritableThread(target=collect, daemon=True).start()

        def new(results: Sequence[tuple[int, bytes]]) -> Iterator[Result]:
            for number, result in results:
                if number not in yielded:  # a task that ran twice arrives twice
                    yielded.add(number)
                    yield pickle.loads(result)  # noqa: S301 - of our own workers

        try:
            seen = 0
            while not ended.wait(POLL_SECONDS):
                results = arrived.value
                yield from new(results[seen:])
                seen = len(results)
            yield from new(arrived.value[seen:])
            yield from new([(row.id, bytes(row.result)) for row in collected])
            return failure[0] if failure else None
        finally:
            if not ended.is_set():
                context.cancelJobGroup(group)
                ended.wait()

    def _failed(self, failed: Exception, what: str) -> RunFailed:
        return self._ended(failed) or RunFailed(f"{what}: {_reason(failed)}", "the same command goes on where this run stopped")

    def _ended(self, failed: Exception) -> RunFailed | None:
        """Why nothing goes on, where it is not only one task that failed."""
        if isinstance(failed, JVM_ENDED):
            return RunFailed(
                "Spark's JVM has ended: it was killed, or ran out of memory", "the same command goes on where this run stopped"
            )
        return self._yarn.ended(str(failed)) if self._yarn else None

    def _why(self, failed: Exception) -> tuple[str, str]:
        """What happened to a task each time, and what to do about it."""
        if self._yarn and (lost := self._yarn.executor_lost(str(failed))):
            return lost
        if "Python worker exited unexpectedly" in str(failed):
            return DIED
        return f"a task failed {TASK_ATTEMPTS} times: {_reason(failed)}", ""

    def fit(self, features: Sequence[tuple[str, int]], k: int, standardize: bool) -> FittedAxes:
        urls = [url for url, _ in features]

        def read(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
            for batch in batches:
                for number in batch.column("id").to_pylist():
                    rows = read_features([urls[number]])
                    for start in range(0, len(rows), ARROW_ROWS):
                        part = rows[start : start + ARROW_ROWS]
                        offsets = np.arange(0, part.size + 1, part.shape[1], dtype=np.int32)
                        yield pa.record_batch([pa.ListArray.from_arrays(offsets, part.reshape(-1))], ["features"])

        arrays = self._one_a_task(len(urls)).mapInArrow(read, "features array<double>")
        vectors = arrays.select(array_to_vector(col("features")).alias("features")).persist(StorageLevel.MEMORY_AND_DISK)
        try:
            # The model of ml.PCA does not store the mean, the model of the StandardScaler does; deviations with n - 1.
            moments = StandardScaler(inputCol="features", outputCol="scaled", withMean=False, withStd=True).fit(vectors)
            mean, scale = moments.mean.toArray(), np.ones(len(moments.mean))
            if standardize:
                scale = unit_scale(mean, moments.std.toArray())
            for axes in self._axes(vectors, mean, scale, k):
                if axes.orthonormal() and axes.explain(self._squares(urls, axes)):
                    return axes
                log.info("ml.PCA returned wrong vectors: again with the features in another order")
        except (PySparkException, Py4JError, OSError) as failed:
            raise self._failed(failed, "ml.PCA failed") from failed
        finally:
            with suppress(*JVM_ENDED):
                vectors.unpersist()
        raise RunFailed(
            f"ml.PCA returned wrong vectors, {PCA_ATTEMPTS} times",
            "use --pca moments, which reuses the features, or give more images than there are features",
        )

    def _axes(self, vectors: DataFrame, mean: "Vector", scale: "Vector", k: int) -> Iterator[FittedAxes]:
        """What ml.PCA returns for the features in one order after another, until it is right.

        With fewer different images than features the covariance is singular, and the LAPACK in Java that Spark brings (F2jLAPACK's
        dgesdd) then returns, for one in some orders of its columns or roundings of its sums and without an error, other vectors: not
        orthogonal, or orthogonal and no principal axes. Another order of the features is the same PCA with other roundings.
        """
        for self._pca_attempts in range(1, PCA_ATTEMPTS + 1):
            frame, column, order = vectors, "features", np.arange(len(scale))
            if self._pca_attempts > 1:
                order = np.random.default_rng(self._pca_attempts).permutation(order)
                frame = VectorSlicer(inputCol=column, outputCol="ordered", indices=order.tolist()).transform(frame)
                column = "ordered"
            if (scale != 1).any():
                weigh = ElementwiseProduct(scalingVec=Vectors.dense(scale[order]), inputCol=column, outputCol="scaled")
                frame, column = weigh.transform(frame), "scaled"
            model = PCA(k=k, inputCol=column).fit(frame)
            components = np.empty((k, len(scale)))
            components[:, order] = model.pc.toArray().T
            yield FittedAxes(mean, scale, components, model.explainedVariance.toArray())

    def _squares(self, urls: Sequence[str], axes: FittedAxes) -> "Vector":
        """`axes.squares` of all features, summed."""

        def measure(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
            for batch in batches:
                squares = [axes.squares(read_features([urls[number]])) for number in batch.column("id").to_pylist()]
                yield pa.record_batch([pa.array(squares, pa.list_(pa.float64()))], ["squares"])

        rows = self._one_a_task(len(urls)).mapInArrow(measure, "squares array<double>").collect()
        total: Vector = np.sum([row.squares for row in rows], axis=0)
        return total

    def describe(self) -> dict[str, Any]:
        borrowed = self._settings.session is not None
        described: dict[str, Any] = {
            "name": self.name,
            "cluster": "the caller's session" if borrowed else self._settings.cluster,
            "workers": self.workers,
            "versions": {"pyspark": pyspark.__version__, "pandas": version("pandas")},  # that of SPARK_HOME is not what is installed
            "configuration": {} if borrowed else self._configuration,
        }
        if self._pca_attempts:
            described["pca_attempts"] = self._pca_attempts
        if self._spark is not None:
            context = self._spark.sparkContext
            described["versions"]["java"] = context._jvm.System.getProperty("java.version")  # type: ignore[union-attr]
            described["application"] = context.applicationId
            described["master"] = context.master
            described["dashboard"] = context.uiWebUrl
        if self._yarn is not None:
            described["yarn"] = self._yarn.describe()
        return described


def _kill(application: str) -> None:
    """Ends a YARN application through the JVM that is about to become its driver."""
    jvm: Any = SparkContext._jvm
    client = jvm.org.apache.hadoop.yarn.client.api.YarnClient.createYarnClient()
    client.init(jvm.org.apache.hadoop.yarn.conf.YarnConfiguration())
    client.start()
    client.killApplication(jvm.org.apache.hadoop.yarn.api.records.ApplicationId.fromString(application))
    client.stop()


def _check_answers(masters: str) -> None:
    """Raises `RunFailed` when no master can be reached: Spark itself would open a session and try for a minute."""
    for address in masters.removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
        except (OSError, ValueError):
            continue
        return
    raise RunFailed(f"no Spark master answers at {masters}", "check the address, and that the master runs")


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """The variables that Spark reads only while it starts; afterwards the environment is as it was."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _reason(failed: Exception) -> str:
    """Of a trace through the JVM and a worker the one line that says what happened: the last of the worker's traceback."""
    lines = [line for line in str(failed).splitlines() if line.strip()]
    own = [line for line in lines if not line.startswith((" ", "\t")) and "Error" in line.split(":")[0]]
    # Where no worker came to life there is only the JVM's own trace.
    missing = [line for line in lines if "Cannot run program" in line]
    causes = [line for line in lines if line.startswith("Caused by: ")]
    return (own or missing or causes or lines or [type(failed).__name__])[-1].strip()
