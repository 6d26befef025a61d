"""What a user wants to know, as the report takes it."""

import re
from collections.abc import Sequence
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


class Counts(click.ParamType[tuple[int, ...]]):
    """Such numbers, separated by commas: 1,2,4. Ascending, each once."""

    name = "counts"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        return tuple(sorted({Count().convert(part, param, ctx) for part in str(value).split(",")}))


class Names(click.ParamType[tuple[str, ...]]):
    """Some of these names, separated by commas, each once."""

    name = "names"

    def __init__(self, known: Sequence[str]) -> None:
        self._known = known

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(str(value).split(",")))
        for name in names:
            if name not in self._known:
                self.fail(f"{name or 'nothing'} is none of {', '.join(self._known)}", param, ctx)
        return names


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
