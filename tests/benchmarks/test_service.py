"""The rows of the benchmark of the whole service, of made-up turns; and its turns."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks import service
from benchmarks.service import CLIENTS, WARM_UP, Tile, Turn, served_turn

EVEN = [float(k) for k in range(1, 129)]  # its p99 is 127
DOUBLE = [2 * value for value in EVEN]


def test_rows() -> None:
    turns = {
        "bare": [Turn(1.0, 4.0, ()), Turn(2.0, 2.0, ())],
        "sian": [Turn(1.5, 2.0, EVEN), Turn(2.0, 2.0, EVEN)],
        "litserve": [Turn(3.0, 1.0, DOUBLE), Turn(4.0, 4.0, DOUBLE)],
    }
    alone, rate, tail = service._rows(turns, 20, 128)
    assert [row["what"] for row in (alone, rate, tail)] == [
        "one client, p50 in seconds",
        "16 clients, tiles per second",
        "16 clients, p99 in seconds",
    ]
    assert [row["tiles"] for row in (alone, rate, tail)] == [20, 128, 128]
    assert {row["rounds"] for row in (alone, rate, tail)} == {2}
    assert [alone[name]["median"] for name in ("bare", "sian", "litserve")] == [1.5, 1.75, 3.5]
    assert alone["sian_to_bare"]["median"] == 1.25  # of 1.5 and 1
    assert [rate[name]["median"] for name in ("bare_batched", "sian", "litserve")] == [3, 2, 2.5]
    assert rate["sian_to_bare_batched"]["median"] == 0.75  # of 0.5 and 1
    assert rate["sian_to_litserve"]["median"] == 1.25  # of 2 and 0.5
    assert (tail["sian"]["median"], tail["litserve"]["median"]) == (127.0, 254.0)
    assert tail["sian_to_litserve"] == {"median": 0.5, "q1": 0.5, "q3": 0.5}
    assert not {"bare", "bare_batched"} & set(tail)


def test_the_warm_up_is_not_counted() -> None:
    seeds = []

    def tile(seed: int) -> float:
        seeds.append(seed)
        return 100.0 if len(seeds) <= WARM_UP or WARM_UP + 5 < len(seeds) <= 24 else 1.0

    turn = served_turn(tile, singles=5, tiles=104)
    assert CLIENTS == 16
    assert len(seeds) == WARM_UP + 5 + CLIENTS + 104
    assert turn.p50_s == 1.0
    assert turn.latencies_s == [1.0] * 104
    assert turn.tiles_per_s > 0


def test_another_one_begins_each_round(monkeypatch: pytest.MonkeyPatch) -> None:
    order = []

    class Bare:
        def __init__(self, threads: int) -> None:
            pass

        def turn(self, singles: int, tiles: int) -> Turn:
            order.append("bare")
            return Turn(1.0, 1.0, ())

    def named(name: str):
        @contextmanager
        def server(port: int, threads: int) -> Iterator[Tile]:
            order.append(name)
            yield lambda seed: 1.0

        return server

    monkeypatch.setattr(service, "Bare", Bare)
    monkeypatch.setattr(service, "sian", named("sian"))
    monkeypatch.setattr(service, "litserve", named("litserve"))
    rows = service.compare(threads=1, rounds=3, singles=1, tiles=104)
    assert [row["rounds"] for row in rows] == [3, 3, 3]
    first, second, third = order[:3], order[3:6], order[6:]
    assert first == ["bare", "sian", "litserve"]
    assert second == ["sian", "litserve", "bare"]
    assert third == ["litserve", "bare", "sian"]
