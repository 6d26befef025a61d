"""The result file of `python -m benchmarks speed` as rows of words, for the terminal, the page and `benchmarks/README.md`."""

from collections.abc import Mapping
from typing import Any

COLUMNS = ("what", "median", "of", "to reach", "reached")


def rows(content: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """One for each ratio, in the order in which cases were measured; a case that could not be measured is a row that says why."""
    found = []
    for name, case in content["cases"].items():
        if case.get("not_available"):
            found.append((name, "not available", case["not_available"], "", ""))
        found += [_row(row) for row in case["rows"]]
    return found


def _row(row: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    unit = row["unit"]
    bound = "" if row["target"] is None else f"{'<' if row['most'] else '>'} {row['target']:g} {unit}".strip()
    reached = {None: "", True: "yes", False: "NO"}[row["reached"]]
    points = " ".join(f"{point:.4g}" for point in row["points"])
    return row["what"], f"{row['median']:.4g} {unit}".strip(), points, bound, reached


def markdown(content: Mapping[str, Any]) -> str:
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows(content)]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
