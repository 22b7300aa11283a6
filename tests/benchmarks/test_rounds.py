"""Turns, and what is told of measured values."""

import pytest

from benchmarks.common.rounds import in_turns, latencies, percentile, ratios, rotated, spread


def test_another_way_begins_each_round_and_the_warm_up_is_not_counted() -> None:
    calls = []

    def way(name: str, number: int) -> float:
        calls.append(f"{name}{number}")
        return float(number)

    ways = {name: lambda number, name=name: way(name, number) for name in "abc"}
    assert in_turns(ways, 3) == {name: [1.0, 2.0, 3.0] for name in "abc"}
    assert calls == ["a0", "b0", "c0", "b1", "c1", "a1", "c2", "a2", "b2", "a3", "b3", "c3"]


def test_no_round_is_discarded_on_request() -> None:
    assert in_turns({"a": lambda number: number}, 2, discarded=0) == {"a": [0, 1]}


@pytest.mark.parametrize(("by", "expected"), [(0, "abc"), (1, "bca"), (2, "cab"), (3, "abc")])
def test_rotation(by: int, expected: str) -> None:
    assert rotated("abc", by) == list(expected)


def test_ratios_are_of_one_round() -> None:
    assert ratios([1.0, 6.0], [2.0, 3.0]) == [0.5, 2.0]
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [1.0, 2.0])


def test_spread() -> None:
    assert spread([5.0, 1.0, 3.0, 2.0, 4.0]) == {"median": 3.0, "q1": 1.5, "q3": 4.5}
    assert spread([0.25]) == {"median": 0.25, "q1": 0.25, "q3": 0.25}


@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    [(100, 99, 99), (128, 99, 127), (200, 99, 198), (40, 95, 38), (20, 95, 19), (3, 50, 2)],
)
def test_percentile_is_the_value_that_so_many_do_not_exceed(
    count: int, percent: int, expected: int
) -> None:
    assert percentile(range(count, 0, -1), percent) == expected


@pytest.mark.parametrize(("percent", "enough"), [(99, 100), (95, 20)])
def test_a_percentile_of_too_few_values_is_named_the_largest(percent: int, enough: int) -> None:
    few, many = list(range(1, enough)), list(range(1, enough + 1))
    assert latencies(few, percent) == {"p50_s": enough / 2, "max_s": enough - 1}
    assert latencies(many, percent) == {"p50_s": (enough + 1) / 2, f"p{percent}_s": enough - 1}


def test_no_latencies_have_no_percentiles() -> None:
    assert latencies([], 99) == {}
