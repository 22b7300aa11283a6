"""How fast the methods train at equal width, crops and batch.

    python -m benchmarks.training --vgg WEIGHTS

Every method takes steps on the same random crops, which are in memory: what is timed is the
network, its losses and its optimisers. The methods take turns, round after round and each time
another one first, so that whatever else the machine does meets all of them; a row gives the median
of the rounds, their spread, and the ratio to SPADE in the same round. The loading of crops is
measured by ``sian train --profile``. Writes benchmarks/results/training.json.
"""

import statistics
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.common.command import recorded_command
from benchmarks.common.rounds import ratios, rotated
from model.device import device_name
from training.conditions import condition_maps
from training.config import TrainConfig
from training.distributed import Process, start_process
from training.experiments.scale import SCALES
from training.methods import METHODS
from training.networks import condition_of, direction_of, takes_nuclei
from training.results import write_results
from training.segmentation.instances import class_map
from training.speed import as_fast_as_possible
from training.step import Batch, Stepper
from training.vgg import Vgg19

RESULT = Path(__file__).parent / "results" / "training.json"


class Contender:
    """A method with its networks, ready to take steps."""

    def __init__(self, method: str, scale: str, vgg: Vgg19, process: Process, **changes: Any):
        budget = SCALES[scale].with_options(**changes)
        self.method = method
        self.config = budget.train_config(method, seed=0)
        self._stepper = Stepper(self.config, vgg, process)
        self._device = process.device
        batch = random_batch(self.config)
        self._batch = {key: value.to(self._device) for key, value in batch.items()}
        self._steps = 0
        with FlopCounterMode(display=False) as counter:
            self._stepper(self._batch, 0)
        self.gflop = counter.get_total_flops() / 1e9
        self.rates: list[float] = []

    def round(self, steps: int) -> float:
        """Images a second over so many steps, after one to warm up."""
        self._step()
        began = self._time()
        for _ in range(steps):
            self._step()
        rate = steps * self.config.batch_size / (self._time() - began)
        self.rates.append(rate)
        return rate

    def _step(self) -> None:
        self._steps += 1
        self._stepper(self._batch, self._steps)

    def _time(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def random_batch(config: TrainConfig) -> Batch:
    """Crops of noise with forty square nuclei each; the time of a step does not depend on them."""
    rng, side = np.random.default_rng(0), config.crop_px
    network, maps, images, masks = config.network, [], [], []
    for _ in range(config.batch_size):
        mask = np.zeros((side, side), np.int32)
        for label, (row, col) in enumerate(rng.integers(0, side - 12, (40, 2)), start=1):
            mask[row : row + 12, col : col + 12] = label
        maps.append(condition_maps(mask, condition_of(network), direction_of(network)))
        images.append(rng.integers(0, 256, (3, side, side), dtype=np.uint8))
        masks.append(mask)
    batch = {"layout": np.stack(maps), "image": np.stack(images), "style": np.stack(images)}
    batch["foreground"] = batch["style_foreground"] = np.stack(masks) > 0
    if takes_nuclei(network):
        batch["nuclei"] = np.stack(masks)
    if config.weights.segmentation:
        batch["classes"] = np.stack([class_map(mask) for mask in masks])
    return {key: torch.from_numpy(value) for key, value in batch.items()}


def main(
    context: typer.Context,
    vgg: Annotated[Path, typer.Option(help="VGG19 weights (docs/training.md).")],
    scale: Annotated[str, typer.Option(help="Width, crops and batch: cpu or paper.")] = "cpu",
    batch: Annotated[int | None, typer.Option(min=1, help="Another number of crops.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of every method.")] = 5,
    steps: Annotated[int, typer.Option(min=1, help="Steps that a turn times.")] = 4,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="auto: CUDA if there is any.")
    ] = "auto",
    out: Annotated[Path, typer.Option(help="Result file.")] = RESULT,
) -> None:
    """Time the training steps of all methods."""
    process, weights = start_process(device), Vgg19.load(vgg)
    contenders = [Contender(name, scale, weights, process, batch=batch) for name in METHODS]
    with as_fast_as_possible(process.device):
        for number in range(rounds):
            for contender in rotated(contenders, number):
                contender.round(steps)
    spade = next(contender for contender in contenders if contender.method == "spade")
    rows = [_row(contender, spade.rates) for contender in contenders]
    write_results(
        out,
        rows,
        command=recorded_command("benchmarks.training", context),
        threads=torch.get_num_threads(),
        device=device_name(process.device),
        rounds=rounds,
        crop_px=spade.config.crop_px,
        batch=spade.config.batch_size,
        width=spade.config.discriminator_width,
    )
    table = Table("method", "images/s", "min", "max", "GFLOP a step", "x SPADE")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)


def _row(contender: Contender, reference: list[float]) -> dict[str, Any]:
    rates = contender.rates
    return {
        "method": contender.method,
        "images_per_second": round(statistics.median(rates), 3),
        "slowest_round": round(min(rates), 3),
        "fastest_round": round(max(rates), 3),
        "gflop_per_step": round(contender.gflop, 1),
        "ratio_to_spade": round(statistics.median(ratios(rates, reference)), 3),
    }


if __name__ == "__main__":
    typer.run(main)
