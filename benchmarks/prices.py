"""What things cost: a dated table with the source of each figure, which the user may replace by another of the same form."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fruits.errors import BadArgument

TABLE = Path(__file__).with_name("prices.tsv")
COLUMNS = ("region", "item", "unit", "usd", "spot_low", "spot_high", "kind", "source")


@dataclass(frozen=True)
class Price:
    """`usd` for a `unit`. `spot`: the lowest and highest that was seen, where it is a machine. `kind` and `source` say how it is known.
    `assumed`: why this stands for another that is not known, or empty."""

    region: str
    item: str
    unit: str
    usd: float
    spot: tuple[float, float] | None
    kind: str
    source: str
    assumed: str = ""


class Prices:
    def __init__(self, prices: list[Price], source: Path) -> None:
        self._prices = {(price.region, price.item): price for price in prices}
        self.source = source

    def __iter__(self) -> Iterator[Price]:
        return iter(self._prices.values())

    @property
    def regions(self) -> list[str]:
        return sorted({region for region, _ in self._prices})

    def find(self, region: str, item: str) -> Price | None:
        """The price in that region; else another region's, marked as assumed; else None."""
        if found := self._prices.get((region, item)):
            return found
        others = [price for (_, of), price in sorted(self._prices.items()) if of == item]
        if not others:
            return None
        other = others[0]
        return Price(**{**vars(other), "assumed": f"{item}: the price of {other.region}, for none was found of {region}"})


class Asked:
    """A region's prices as they are asked for. `unknown`: items that have none; `assumed`: what stood in for one."""

    def __init__(self, prices: Prices, region: str) -> None:
        self._prices, self._region = prices, region
        self.unknown: set[str] = set()
        self.assumed: set[str] = set()

    def __call__(self, item: str) -> Price | None:
        found = self._prices.find(self._region, item)
        if found is None:
            self.unknown.add(item)
        elif found.assumed:
            self.assumed.add(found.assumed)
        return found


def read_prices(path: Path = TABLE) -> Prices:
    """Raises `BadArgument` for what is no such table, with the line."""
    try:
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    except OSError as failed:
        raise BadArgument(f"{path} cannot be read: {failed.strerror}", "give a table like benchmarks/prices.tsv") from failed
    reader = csv.DictReader(lines, delimiter="\t", restval="")
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise BadArgument(f"{path} has not the columns {', '.join(COLUMNS)}, separated by tabs", "give a table like benchmarks/prices.tsv")
    return Prices([_price(path, reader.line_num, row) for row in reader], path)


def _price(path: Path, line: int, row: dict[str, str]) -> Price:
    try:
        usd, spot = float(row["usd"]), tuple(float(row[name]) for name in ("spot_low", "spot_high") if row[name])
    except ValueError as fault:
        raise BadArgument(f"{path}, row {line}: {fault}", "write dollars with a point, and leave out what is not known") from fault
    if usd < 0 or len(spot) == 1 or min(spot, default=0) < 0 or not row["source"]:
        raise BadArgument(f"{path}, row {line}: a price is below 0, has one of two Spot prices, or has no source", "mend that row")
    return Price(row["region"], row["item"], row["unit"], usd, (spot[0], spot[1]) if spot else None, row["kind"], row["source"])
