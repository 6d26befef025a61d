"""Costs worked out by hand, and the table of prices."""

from pathlib import Path

import pytest

from benchmarks.costs import Cluster, Usage, cost_of
from benchmarks.prices import COLUMNS, TABLE, Prices, read_prices
from fruits.errors import BadArgument

ROWS = [
    ("here", "m", "hour", "0.36", "0.10", "0.14", "seen", "a bill"),
    ("here", "emr fee m", "hour", "0.09", "", "", "seen", "a bill"),
    ("here", "s3 get", "1000 requests", "0.0004", "", "", "seen", "a bill"),
    ("here", "s3 put", "1000 requests", "0.005", "", "", "seen", "a bill"),
    ("there", "s3 standard storage", "GB-month", "0.02", "", "", "seen", "a bill"),
    ("there", "other", "hour", "1", "", "", "seen", "a bill"),
]


def written(folder: Path, rows: list[tuple[str, ...]], columns: tuple[str, ...] = COLUMNS) -> Path:
    table = folder / "prices.tsv"
    table.write_text("\n".join(["# a comment", *("\t".join(row) for row in [columns, *rows])]) + "\n")
    return table


@pytest.fixture
def prices(tmp_path: Path) -> Prices:
    return read_prices(written(tmp_path, ROWS))


def test_a_cluster_on_demand(prices: Prices) -> None:
    """1 + 3 machines at 0.36 + 0.09 an hour; 10 minutes to start and an hour of work; a million images in 1500 files of 6 GB."""
    cost = cost_of(prices, "here", Cluster("m", 3), Usage(600, 3600, 1_000_000, 1500, 6e9))
    assert cost.parts == pytest.approx(
        {
            "EC2, start": 4 * 0.36 / 6,
            "EC2, run": 4 * 0.36,
            "EMR fee, start": 4 * 0.09 / 6,
            "EMR fee, run": 4 * 0.09,
            "S3, reading images": 0.4,
            "S3, writing and listing": 2.5 * 0.005,
            "S3, results for a month": 0.12,
        }
    )
    assert cost.total == pytest.approx(0.24 + 1.44 + 0.06 + 0.36 + 0.4 + 0.0125 + 0.12)
    assert cost.unknown == []
    assert cost.assumed == ["s3 standard storage: the price of there, for none was found of here"]
    assert str(cost) == "$2.63"


def test_workers_on_spot(prices: Prices) -> None:
    """The primary is not on Spot: 0.36 + 10 x 0.12; EMR's fee is that of 11 machines all the same."""
    cost = cost_of(prices, "here", Cluster("m", 10, spot=True), Usage(0, 1800, 0, 0, 0))
    assert cost.parts["EC2, run"] == pytest.approx((0.36 + 10 * 0.12) / 2)
    assert cost.parts["EMR fee, run"] == pytest.approx(11 * 0.09 / 2)


def test_one_machine_for_less_than_a_minute(prices: Prices) -> None:
    """A minute is billed; no EMR, no primary."""
    cost = cost_of(prices, "here", Cluster("m", 1, emr=False), Usage(10, 20, 1000, 3, 0))
    assert cost.parts["EC2, start"] + cost.parts["EC2, run"] == pytest.approx(0.36 / 60)
    assert not [part for part in cost.parts if part.startswith("EMR")]


def test_what_has_no_price_is_named_and_in_no_sum(prices: Prices) -> None:
    cost = cost_of(prices, "there", Cluster("other", 2, spot=True), Usage(0, 3600, 0, 0, 0))
    assert cost.unknown == ["emr fee other", "other on Spot"]
    assert cost.parts["EC2, run"] == pytest.approx(1)  # the primary, whose price is known
    assert str(cost) == "at least $1.00"


def test_every_price_that_is_shipped_has_a_source() -> None:
    shipped = read_prices()
    assert shipped.regions == ["eu-west-3", "us-east-1"]
    for region in shipped.regions:
        for item in ("m5.xlarge", "s3 get", "s3 put", "s3 standard storage"):
            found = shipped.find(region, item)
            assert found
            assert (found.region, found.assumed) == (region, "")
    fee = shipped.find("eu-west-3", "emr fee m5.xlarge")
    assert fee
    assert "us-east-1" in fee.assumed
    assert shipped.find("eu-west-3", "emr fee m7i.xlarge") is None
    assert TABLE.read_text().startswith("# USD.")


@pytest.mark.parametrize(
    ("rows", "columns", "what"),
    [
        ([], COLUMNS[:-1], "has not the columns"),
        ([("here", "m", "hour", "cheap", "", "", "seen", "a bill")], COLUMNS, "cheap"),
        ([("here", "m", "hour", "-1", "", "", "seen", "a bill")], COLUMNS, "below 0"),
        ([("here", "m", "hour", "1", "0.5", "", "seen", "a bill")], COLUMNS, "one of two Spot prices"),
        ([("here", "m", "hour", "1", "", "", "seen", "")], COLUMNS, "no source"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, rows: list[tuple[str, ...]], columns: tuple[str, ...], what: str) -> None:
    with pytest.raises(BadArgument, match=what):
        read_prices(written(tmp_path, rows, columns))


def test_a_table_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="No such file"):
        read_prices(tmp_path / "none.tsv")
