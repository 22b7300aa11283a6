"""How fast the generators draw, SIAN's and SPADE's at equal width and batch.

    python -m benchmarks.inference --device cuda

One pass of the generator over a batch of tiles whose maps, style vectors and noise are on the
device. The contenders and a large matrix product take turns, round after round and each time
another one first; a row gives the median of the rounds and their spread, the operations of
convolutions and matrix products a second, and what share that is of the product's in the same
round, as median and quartiles. The product is in bf16 where the device is fast in it, else in fp32;
``fp32``: no TF32 either.
Writes benchmarks/results/inference.json.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from benchmarks.common.command import recorded_command
from benchmarks.common.rounds import ratios, rotated, spread
from model.device import Precision, computing_in, device_name
from model.pixels import channels_last, place
from training.methods import METHODS
from training.networks import build, fitted
from training.results import write_results
from training.speed import has_fast_bf16

RESULT = Path(__file__).parent / "results" / "inference.json"
METHOD_NAMES = ("spade", "sian")


def _operations(x: list[int], weight: list[int], *_: object, out_shape: list[int]) -> int:
    return conv_flop_count(x, weight, out_shape)


_UNKNOWN_TO_TORCH = {torch.ops.aten.mkldnn_convolution: _operations}
"""What torch's counter of operations leaves out: a convolution of ``model.layers``."""


class Racer:
    """What is timed in turns with others. ``rates``: ``amount`` of each pass over its seconds, one
    value a round."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.amount = 1.0
        self.rates: list[float] = []

    def once(self) -> object:
        """A pass."""
        raise NotImplementedError

    def warm_up(self) -> None:
        """Chooses kernels, and compiles."""
        for _ in range(3):
            self.once()

    def round(self, passes: int) -> None:
        """Times so many passes, after one to warm up."""
        self.once()
        seconds = timed(lambda: [self.once() for _ in range(passes)], self._device)
        self.rates.append(passes * self.amount / seconds)


class Contender(Racer):
    """A generator with random weights and inputs; its speed does not depend on them. The rates are
    tiles a second."""

    def __init__(
        self, method: str, precision: Precision, *, width: int, side: int, batch: int,
        device: torch.device, compiled: bool = False,
    ) -> None:  # fmt: skip
        self.method, self.precision, self.compiled = method, precision, compiled
        super().__init__(device)
        self.amount = float(batch)
        network = fitted(METHODS[method].config.network, width, side)
        torch.manual_seed(0)
        generator, _ = build(network)
        self._generator: Callable[..., Tensor] = place(
            generator.eval().requires_grad_(False), device
        )
        channels = network.condition_channels
        self._inputs = (
            channels_last(torch.rand(batch, channels, side, side, device=device)),
            torch.randn(batch, network.style_features, device=device),
            [
                torch.randn(batch, *shape, device=device)
                for shape in generator.noise_shapes(side, side)
            ],
        )
        with FlopCounterMode(display=False, custom_mapping=_UNKNOWN_TO_TORCH) as counter:
            self.once()
        self.gflop_per_tile = counter.get_total_flops() / 1e9 / batch
        if compiled:
            # "max-autotune" would compile kernels for some ninety shapes of convolutions.
            self._generator = torch.compile(generator)

    @torch.inference_mode()
    def once(self) -> Tensor:
        """A batch of tiles."""
        with computing_in(self.precision, self._device):
            return self._generator(*self._inputs)


def timed(act: Callable[[], object], device: torch.device) -> float:
    """Seconds."""
    finish = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    finish()
    began = time.perf_counter()
    act()
    finish()
    return time.perf_counter() - began


class MatrixProduct(Racer):
    """A product of two matrices of random numbers: what the device reaches at best. The rates are
    TFLOP a second."""

    def __init__(self, device: torch.device, precision: Precision, side: int) -> None:
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]
        super().__init__(device)
        self.precision, self.side, self.amount = precision, side, 2 * side**3 / 1e12
        self._a, self._b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))

    def once(self) -> Tensor:
        """The product."""
        return self._a @ self._b

    def facts(self) -> dict[str, Any]:
        """For the result file: what was multiplied, and the spread of the rounds."""
        return {"precision": self.precision, "side": self.side, "tflop_per_s": spread(self.rates)}


def prepare(device: torch.device) -> None:
    """Kernels chosen by a race, fp32 as it is."""
    torch.backends.cudnn.benchmark = True
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False  # which compilers ask
        torch.backends.cuda.matmul.fp32_precision = "ieee"
        torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]


def main(
    context: typer.Context,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where to draw.")] = "cpu",
    width: Annotated[int, typer.Option(min=8, help="Filters of the last block.")] = 64,
    side: Annotated[int, typer.Option(min=64, help="Side of the tiles in pixels.")] = 256,
    batch: Annotated[int, typer.Option(min=1, help="Tiles a pass.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of every contender.")] = 5,
    passes: Annotated[int, typer.Option(min=1, help="Passes that a turn times.")] = 10,
    compiled: Annotated[bool, typer.Option("--compiled", help="torch.compile as well.")] = False,
    matmul_side: Annotated[int, typer.Option(min=64, help="Of the matrix product.")] = 8192,
    out: Annotated[Path, typer.Option(help="Result file.")] = RESULT,
) -> None:
    """Time the generators."""
    chosen = torch.device(device)
    prepare(chosen)
    fast: Precision = "bf16" if has_fast_bf16(chosen) else "fp32"
    product = MatrixProduct(chosen, fast, matmul_side)
    shape: dict[str, Any] = {"width": width, "side": side, "batch": batch, "device": chosen}
    facts = {"width": width, "side_px": side, "batch": batch, "rounds": rounds, "passes": passes}

    def measured(contenders: Sequence[Contender]) -> list[dict[str, Any]]:
        rows = race(contenders, product, rounds, passes)
        command = recorded_command("benchmarks.inference", context)
        _write(out, rows, chosen, command=command, matmul=product.facts(), **facts)
        return rows

    contenders = _contenders("fp32", **shape)
    contenders += _contenders(fast, **shape) if fast != "fp32" else []
    rows = measured(contenders)
    if compiled:  # which takes minutes and may fail: what there is without it has been written
        rows = measured([*contenders, *_contenders(fast, compiled=True, **shape)])
    Console().print(_table(rows))


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    """The rows, narrow enough for a terminal."""
    table = Table("method", "precision", "tiles/s", "TFLOP/s", "of matmul", "x SPADE fp32")
    for row in rows:
        how = f"{row['precision']}{', compiled' if row['compiled'] else ''}"
        figures = ("tiles_per_second", "tflop_per_s", "share_of_matmul", "ratio_to_spade_fp32")
        table.add_row(row["method"], how, *(f"{row[name]:.3f}" for name in figures))
    return table


def _contenders(precision: Precision, **options: Any) -> list[Contender]:
    return [Contender(method, precision, **options) for method in METHOD_NAMES]


def _write(
    out: Path, rows: Sequence[dict[str, Any]], device: torch.device, *, command: str, **facts: Any
) -> None:
    name = device_name(device)
    threads = torch.get_num_threads()
    write_results(
        out, rows, command=command, threads=threads, device=name, torch=torch.__version__, **facts
    )


def race(
    contenders: Sequence[Contender], product: MatrixProduct, rounds: int, passes: int
) -> list[dict[str, Any]]:
    """The rows of all, in turns with the product, and against the first one."""
    racing: list[Racer] = [*contenders, product]
    for each in racing:
        each.rates.clear()
        each.warm_up()
    for number in range(rounds):
        for each in rotated(racing, number):
            each.round(passes)
    return [_row(contender, contenders[0].rates, product.rates) for contender in contenders]


def _row(
    contender: Contender, reference: Sequence[float], product_tflop_s: Sequence[float]
) -> dict[str, Any]:
    """reference: tiles a second of the first contender; both lists round by round."""
    rates = contender.rates
    tflop_s = [rate * contender.gflop_per_tile / 1e3 for rate in rates]
    share = spread(ratios(tflop_s, product_tflop_s))
    return {
        "method": contender.method,
        "precision": contender.precision,
        "compiled": contender.compiled,
        "tiles_per_second": round(statistics.median(rates), 3),
        "slowest_round": round(min(rates), 3),
        "fastest_round": round(max(rates), 3),
        "gflop_per_tile": round(contender.gflop_per_tile, 2),
        "tflop_per_s": round(statistics.median(tflop_s), 3),
        "share_of_matmul": share["median"],
        "share_of_matmul_q1": share["q1"],
        "share_of_matmul_q3": share["q3"],
        "ratio_to_spade_fp32": round(statistics.median(ratios(rates, reference)), 3),
    }


if __name__ == "__main__":
    typer.run(main)
