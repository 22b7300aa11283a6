"""The race of the generators and the matrix product, and its rows."""

from typing import Any

import pytest
import torch

from benchmarks import inference
from benchmarks.inference import Contender, MatrixProduct, race


class Racer:
    """Has the same rates in every race."""

    method, precision, compiled = "sian", "bf16", False

    def __init__(self, name: str, rates: list[float], log: list[str]) -> None:
        self.name, self.gflop_per_tile, self._all, self._log = name, 500.0, rates, log
        self.rates: list[float] = [99.0]  # of an earlier race

    def warm_up(self) -> None:
        self._log.append(f"warm {self.name}")

    def round(self, passes: int) -> None:
        self._log.append(self.name)
        self.rates.append(self._all[len(self.rates)])


def test_the_product_has_a_turn_in_every_round() -> None:
    log: list[str] = []
    spade = Racer("spade", [10.0, 20.0, 40.0], log)
    sian = Racer("sian", [20.0, 20.0, 20.0], log)
    product: Any = Racer("product", [10.0, 20.0, 100.0], log)
    rows = race([spade, sian], product, rounds=3, passes=10)
    assert log[:3] == ["warm spade", "warm sian", "warm product"]
    assert log[3:6] == ["spade", "sian", "product"]
    assert log[6:9] == ["sian", "product", "spade"]
    assert log[9:] == ["product", "spade", "sian"]
    # TFLOP/s of spade: 5, 10, 20.
    assert rows[0] == {
        "method": "sian",
        "precision": "bf16",
        "compiled": False,
        "tiles_per_second": 20.0,
        "slowest_round": 10.0,
        "fastest_round": 40.0,
        "gflop_per_tile": 500.0,
        "tflop_per_s": 10.0,
        "share_of_matmul": 0.5,
        "share_of_matmul_q1": 0.2,
        "share_of_matmul_q3": 0.5,
        "ratio_to_spade_fp32": 1.0,
    }
    # Of sian 10 in every round: 1, 0.5 and 0.1 of the product; 2, 1 and 0.5 of spade.
    shares = [rows[1][name] for name in ("share_of_matmul", "share_of_matmul_q1")]
    assert shares == [0.5, 0.1]
    assert rows[1]["share_of_matmul_q3"] == 1.0
    assert rows[1]["ratio_to_spade_fp32"] == 1.0


def test_operations_of_a_matrix_product(monkeypatch: pytest.MonkeyPatch) -> None:
    product = MatrixProduct(torch.device("cpu"), "fp32", 64)
    multiplied = []

    def timed(act: Any, device: torch.device) -> float:
        multiplied.append(len(act()))
        return 0.5

    monkeypatch.setattr(inference, "timed", timed)
    product.warm_up()
    product.round(10)
    assert multiplied == [10]
    assert product.rates == [pytest.approx(10 * 2 * 64**3 / 0.5 / 1e12)]
    product.rates[:] = [2.0, 4.0, 3.0]
    assert product.facts() == {
        "precision": "fp32",
        "side": 64,
        "tflop_per_s": {"median": 3.0, "q1": 2.0, "q3": 4.0},
    }


@pytest.mark.parametrize("method", ["spade", "sian"])
def test_every_convolution_is_counted_in_every_precision(method: str) -> None:
    cpu = torch.device("cpu")
    fp32, bf16 = (
        Contender(method, precision, width=16, side=64, batch=1, device=cpu).gflop_per_tile
        for precision in ("fp32", "bf16")
    )
    assert fp32 == pytest.approx(bf16, rel=0.01)  # but for the linear layers of the style
    assert {"spade": 1.0, "sian": 2.0}[method] < fp32 < 3.0
