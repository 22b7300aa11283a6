"""The rows of training throughput, of made-up rates."""

from types import SimpleNamespace

from benchmarks.training import _row


def test_row() -> None:
    contender = SimpleNamespace(method="sian", rates=[2.0, 6.0, 3.0], gflop=326.25)
    assert _row(contender, [4.0, 4.0, 4.0]) == {
        "method": "sian",
        "images_per_second": 3.0,
        "slowest_round": 2.0,
        "fastest_round": 6.0,
        "gflop_per_step": 326.2,
        "ratio_to_spade": 0.75,
    }
