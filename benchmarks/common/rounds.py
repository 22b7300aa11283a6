"""Measuring several things in turns, and what is told of the measured values."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


def in_turns(
    ways: Mapping[str, Callable[[int], T]], rounds: int, *, discarded: int = 1
) -> dict[str, list[T]]:
    """What every way measures, one value a round, by its name.

    Every round begins with another way, so that none always has the same place in it. A way is
    called with the number of the round, from 0.

    discarded: rounds before those that count, to warm up.
    """
    measured: dict[str, list[T]] = {name: [] for name in ways}
    for number in range(discarded + rounds):
        for name in rotated(list(ways), number):
            value = ways[name](number)
            if number >= discarded:
                measured[name].append(value)
    return measured


def rotated(items: Sequence[T], by: int) -> list[T]:
    """The items in their order, from the ``by``-th on and round again."""
    start = by % len(items)
    return [*items[start:], *items[:start]]


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def ratios(of: Sequence[float], to: Sequence[float]) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(of, to, strict=True)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, and what half of the values lie between."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else [*values] * 3
    return {"median": round(middle, 4), "q1": round(low, 4), "q3": round(high, 4)}


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent of all do not exceed; 0 < percent <= 100."""
    return sorted(values)[math.ceil(percent * len(values) / 100) - 1]


def latencies(values_s: Sequence[float], percent: int) -> dict[str, float]:
    """``p50_s``, and ``p95_s`` for percent = 95; nothing of no values.

    ``max_s`` instead where the values are so few that the percentile is the largest of them.
    """
    if not values_s:
        return {}
    is_largest = math.ceil(percent * len(values_s) / 100) == len(values_s)
    name = "max_s" if is_largest else f"p{percent}_s"
    return {
        "p50_s": round(statistics.median(values_s), 3),
        name: round(percentile(values_s, percent), 3),
    }
