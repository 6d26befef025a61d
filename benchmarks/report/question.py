"""What a user wants to know, as the report takes it."""

import re
from dataclasses import dataclass

import rich_click as click

from benchmarks.prices import Prices

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True)
class Question:
    """`volume`: images. `deadline` in seconds and `budget` in dollars, or None. `core`: how fast a vCPU is against a core that measured."""

    volume: int
    deadline: float | None
    budget: float | None
    region: str
    spot: bool
    core: float
    prices: Prices


class Count(click.ParamType[int]):
    """A whole number above 0, which may be written as 1e6."""

    name = "count"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = float(str(value))
        except ValueError:
            self.fail(f"{value} is no number", param, ctx)
        if not (1 <= number < 1e15 and number == int(number)):
            self.fail(f"{value} is no whole number of 1 or more", param, ctx)
        return int(number)


class Duration(click.ParamType[float]):
    """Seconds, minutes, hours or days: 90s, 30m, 1.5h, 2d."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", str(value))
        if not found or float(found[1]) == 0:
            self.fail(f"{value} is no duration: write 30m, 1.5h or 2d", param, ctx)
        return float(found[1]) * UNITS[found[2]]


def in_words(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 7200:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h" if seconds < 172_800 else f"{seconds / 86_400:.3g} days"
