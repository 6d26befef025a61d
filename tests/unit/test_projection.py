"""The model of a cluster on measurements that were made up, so that its answers can be worked out by hand."""

from typing import Any

import pytest

from benchmarks.costs import Cluster
from benchmarks.prices import Prices, read_prices
from benchmarks.projection import Assumptions, Engine, break_even, decide, engines, projected
from benchmarks.scaling import NotEnough

# Seconds with two workers: fixed, and for an image.
STAGES = {"list": (0.2, 1e-5), "featurize": (1.0, 0.005), "fit": (2.0, 0.001), "project": (0.5, 1e-4), "export": (0.1, 2e-4)}
NO_WAIT = Assumptions(emr_start=600, ec2_start=60)


def study(start: dict[str, float] | None = None, sizes: tuple[int, ...] = (300, 1000, 3000), slower: float = 1.0) -> dict[str, Any]:
    """Of dask, and of spark, which starts later and computes faster by `slower`."""
    start = start or {"dask": 3.0, "spark": 9.0}
    runs = [
        {
            "backend": name,
            "workers": 2,
            "images": size,
            "stages": {stage: fixed + image * size * (slower if name == "dask" else 1) for stage, (fixed, image) in STAGES.items()},
        }
        for name in start
        for size in sizes
    ]
    starts = [{"backend": name, "workers": 2, "seconds": seconds + more} for name, seconds in start.items() for more in (-1, 0, 2)]
    return {"plan": {"backends": [*start], "workers": [1, 2], "sizes": sizes}, "runs": runs, "starts": starts}


@pytest.fixture
def prices() -> Prices:
    return read_prices()


@pytest.fixture
def dask() -> Engine:
    return engines(study())[0]


def test_what_was_put_in_comes_out(dask: Engine) -> None:
    assert (dask.name, dask.workers, dask.start) == ("dask", 2, (3.0, 2.0, 5.0))
    for stage, (fixed, image) in STAGES.items():
        assert dask.stages[stage]["fixed"].value == pytest.approx(fixed, rel=1e-4)
        assert dask.stages[stage]["image"].value == pytest.approx(image, rel=1e-4)


def test_a_cluster_of_five_nodes(dask: Engine, prices: Prices) -> None:
    """20 workers take a tenth of what two take; listing and export take as long as before."""
    done = projected(dask, Cluster("m5.xlarge", 5), 1_000_000, prices, "us-east-1", NO_WAIT)
    computing = 1_000_000 * (0.005 + 0.001 + 0.0001) / 10
    driver = 1_000_000 * (1e-5 + 2e-4) + 12.8  # of which the page
    assert done.seconds == pytest.approx(3.0 + 3.8 + computing + driver, rel=1e-4)
    assert done.limits == pytest.approx(
        {"computing": computing, "the driver's own stages": driver, "requests to S3": 1_000_000 / 5500}, rel=1e-4
    )
    assert done.saturated == "computing"
    assert done.whole == pytest.approx(600 + done.seconds)
    assert done.least < done.seconds < done.most
    assert done.cost.parts["EMR fee, run"] == pytest.approx(done.seconds / 3600 * 6 * 0.048, rel=1e-6)


def test_the_page_ends_growing_where_its_map_does(dask: Engine, prices: Prices) -> None:
    """25,000 images are the most on a page, whatever a study of fewer says of one."""
    with_page = study()
    for run in with_page["runs"]:
        run["stages"]["page"] = 0.3 + 1e-3 * run["images"]
    (engine, _) = engines(with_page)
    for images in (10_000, 25_000, 10_000_000):
        cluster = Cluster("m5.xlarge", 5)
        paged = projected(engine, cluster, images, prices, "us-east-1", NO_WAIT)
        assert paged.seconds == pytest.approx(projected(dask, cluster, images, prices, "us-east-1", NO_WAIT).seconds)
        without = 3.0 + 3.8 + images * (1e-5 + 2e-4 + (0.005 + 0.001 + 0.0001) / 10)
        assert paged.seconds - without == pytest.approx(12.8 * min(1.0, images / 25_000), rel=1e-2)


def test_what_saturates_first_changes_with_the_nodes(dask: Engine, prices: Prices) -> None:
    """At 1,000 nodes computing takes 3 s of a million images, S3's limit of one prefix 182 s, the driver's CSV 210 s and its page 13 s."""
    many = projected(dask, Cluster("m5.xlarge", 1000), 1_000_000, prices, "us-east-1", NO_WAIT)
    assert many.saturated == "the driver's own stages"
    assert many.seconds == pytest.approx(3.0 + 3.8 + 1_000_000 / 5500 + 210 + 12.8, rel=1e-4)
    spread = projected(dask, Cluster("m5.xlarge", 1000), 1_000_000, prices, "us-east-1", Assumptions(prefixes=100))
    assert spread.seconds < many.seconds - 150


def test_a_slower_processor_takes_longer(dask: Engine, prices: Prices) -> None:
    cluster = Cluster("m5.xlarge", 2)
    same, half = (projected(dask, cluster, 10_000, prices, "us-east-1", Assumptions(core=core)).seconds for core in (1.0, 0.5))
    assert half == pytest.approx(2 * same, rel=1e-6)


def test_a_serial_share_is_amdahl_s(dask: Engine, prices: Prices) -> None:
    """With 10 % serial two workers are 1.818 times as fast as one, 40 are 8.163 times: 4.49 times as fast as two."""
    assume = Assumptions(serial={"dask": 0.1}, prefixes=1000)
    done = projected(dask, Cluster("m5.xlarge", 10), 1_000_000, prices, "us-east-1", assume)
    assert done.limits["computing"] == pytest.approx(6100 / 4.4898, rel=1e-4)


def test_few_images_need_no_cluster(prices: Prices) -> None:
    decision = decide(engines(study()), 22_688, prices, "us-east-1", NO_WAIT)
    assert decision.best
    assert not decision.best.cluster.emr
    assert decision.best.engine == "dask"  # the same rate, and an earlier start


def test_a_deadline_asks_for_a_cluster_and_a_budget_may_forbid_it(prices: Prices) -> None:
    of = engines(study())
    in_time = decide(of, 10_000_000, prices, "us-east-1", NO_WAIT, deadline=3 * 3600.0)
    assert in_time.best
    assert in_time.best.cluster.emr
    assert in_time.best.whole <= 3 * 3600
    more = decide(of, 10_000_000, prices, "us-east-1", NO_WAIT, deadline=1.5 * 3600)
    assert more.best
    assert more.best.cluster.nodes > in_time.best.cluster.nodes
    assert more.best.cost.total > in_time.best.cost.total
    too_dear = decide(of, 10_000_000, prices, "us-east-1", NO_WAIT, deadline=1.5 * 3600, budget=in_time.best.cost.total)
    assert too_dear.best is None


def test_an_impossible_deadline_has_no_answer_but_a_fastest(prices: Prices) -> None:
    decision = decide(engines(study()), 10_000_000, prices, "us-east-1", NO_WAIT, deadline=60)
    assert decision.best is None
    assert decision.fastest.whole == min(one.whole for one in decision.considered)


def test_the_engine_that_starts_later_wins_from_some_volume_on() -> None:
    """6 s of start against 25 % of 0.00631 s an image, and 0.00631 itself: 3,803 images."""
    dask, spark = engines(study(slower=1.25))
    assert break_even(dask, spark) == pytest.approx(6 / (0.25 * 0.00631), rel=1e-3)
    assert break_even(*engines(study())) is None or break_even(*engines(study())) > 1e9


def test_two_sizes_with_one_run_each_are_no_fit() -> None:
    with pytest.raises(NotEnough):
        engines(study(sizes=(300, 1000)))
