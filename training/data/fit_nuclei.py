"""``python -m training.data.fit_nuclei``: fits the random masks to MoNuSeg's training slides.

For every organ, and for all together, the parameters of ``NucleiStatistics`` are moved until
random masks measure like the real tiles. Each parameter has one measure that it chiefly moves,
so each is corrected by how far that measure is off, with new masks in every round. The result is
the mean of the later rounds, in which the parameters only wander about their goal. Test slides
are never read.
"""

import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from model.errors import DataInvalid
from model.files import write_whole
from model.nuclei import random_mask
from model.nuclei_measures import MaskStatistics, measure_masks
from model.nuclei_statistics import POOLED, RANGES, NucleiStatistics
from training.alone import run_alone
from training.data.monuseg import Slide, read_dataset
from training.evaluation.report import portable
from training.evaluation.tiles import TILE_PX, cut_tiles
from training.results import write_results

FIT_SEED = 1_000_000
CHECK_SEED = 0
"""First seeds of the fit and of the table, which is made with masks the fit never saw."""

SOURCE = (
    "Fitted to the training slides of MoNuSeg (Kumar et al., IEEE TMI 2017 and 2020), "
    "instance masks in tiles of 256 px at 0.25 um/px."
)

_SETTLED = 0.4  # of the rounds; the later ones make the result
_QUARTER, _HALF, _THREE_QUARTERS = range(3)

Mask = NDArray[np.int32]

app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Fitted:
    """One organ: its parameters, and the measures of its real tiles and of random masks."""

    organ: str
    statistics: NucleiStatistics
    real: MaskStatistics
    synthetic: MaskStatistics


@app.command()
def fit_nuclei(
    data: Annotated[
        Path, typer.Option(help="MoNuSeg: label maps or the official archives, unpacked.")
    ],
    out: Annotated[Path, typer.Option(help="The parameters, JSON.")] = Path("model/nuclei.json"),
    table: Annotated[Path, typer.Option(help="Real and random masks compared, JSON.")] = Path(
        "benchmarks/results/nuclei.json"
    ),
    rounds: Annotated[int, typer.Option(min=5, help="Corrections of the parameters.")] = 25,
    masks: Annotated[int, typer.Option(min=20, help="Random masks a round.")] = 120,
    check: Annotated[int, typer.Option(min=100, help="Random masks an organ in the table.")] = 1000,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; an organ is one task.")] = 2,
) -> None:
    """Fit the random masks to the training slides, and compare the two."""
    options = {"data": portable(data), "rounds": rounds, "masks": masks, "check": check}
    command = shlex.join(
        ["python", "-m", "training.data.fit_nuclei", *(f"--{k}={v}" for k, v in options.items())]
    )
    tiles = training_tiles(read_dataset(data))
    with ProcessPoolExecutor(jobs) as pool:
        work = partial(fit_organ, rounds=rounds, masks=masks, check=check)
        fitted = list(pool.map(work, tiles, tiles.values()))
    write_parameters(out, fitted)
    write_results(
        table,
        [row for item in fitted for row in compared(item)],
        command=command,
        threads=1,
        seeds=f"{CHECK_SEED} to {CHECK_SEED + check - 1}; the fit used others",
        tiles={item.organ: item.real.masks for item in fitted},
        random_masks=check,
    )
    Console().print(as_table(fitted))


def training_tiles(slides: Sequence[Slide]) -> dict[str, list[Mask]]:
    """Instance masks (256, 256) at stride 248 of the training slides, by organ, and ``pooled``.

    Raises DataInvalid when there is no training slide, or one smaller than a tile.
    """
    tiles = cut_tiles([slide for slide in slides if slide.split == "train"])
    if not tiles:
        raise DataInvalid("The data folder has no training slide; the fit needs some.")
    by_organ: dict[str, list[Mask]] = {organ: [] for organ in sorted({t.organ for t in tiles})}
    for tile in tiles:
        by_organ[tile.organ].append(tile.mask_labels)
    return by_organ | {POOLED: [mask for part in by_organ.values() for mask in part]}


def fit_organ(organ: str, tiles: Sequence[Mask], *, rounds: int, masks: int, check: int) -> Fitted:
    """Fit to the tiles of an organ, then measure ``check`` random masks with other seeds."""
    real = measure_masks(tiles)
    statistics = fit(real, rounds=rounds, masks=masks)
    synthetic = measure_masks(random_masks(statistics, check, CHECK_SEED))
    return Fitted(organ, statistics, real, synthetic)


def fit(real: MaskStatistics, *, rounds: int, masks: int) -> NucleiStatistics:
    """Parameters whose random masks measure like ``real``."""
    current = first_guess(real)
    visited = []
    for number in range(rounds):
        drawn = random_masks(current, masks, FIT_SEED + number * masks)
        current = corrected(current, real, measure_masks(drawn))
        visited.append(current.to_dict())
    later = visited[int(rounds * _SETTLED) :]
    # Four digits are more than the masks of a fit can tell.
    means = {name: float(np.mean([values[name] for values in later])) for name in RANGES}
    return NucleiStatistics.from_dict({name: float(f"{means[name]:.4g}") for name in RANGES})


def random_masks(statistics: NucleiStatistics, count: int, first_seed: int) -> Iterator[Mask]:
    """``count`` masks of a tile's size with consecutive seeds."""
    for seed in range(first_seed, first_seed + count):
        yield random_mask(statistics, TILE_PX, TILE_PX, seed=seed)


def first_guess(real: MaskStatistics) -> NucleiStatistics:
    """Where the fit starts: what the measures say of themselves."""
    low, high = _size_spreads(real)
    return _within(
        density=0.85 * real.count,  # what the border cuts is counted, too
        density_drift=real.count_spread / 2,
        clumping=0.5,
        spacing=0.2,
        touching=real.touching / 2,  # each touches one that stood apart
        area=real.area[_HALF],
        area_drift=real.area_drift,
        size_below=low,
        size_above=high,
        density_area_correlation=real.density_area_correlation,
        size_coherence=real.size_coherence,
        elongation=real.elongation[_HALF],
        elongation_spread=_excess_spread(real),
        area_elongation_correlation=real.area_elongation_correlation,
        alignment=real.alignment,
        roughness=real.roughness,
    )


def corrected(now: NucleiStatistics, real: MaskStatistics, got: MaskStatistics) -> NucleiStatistics:
    """Every parameter moved against the error of its measure in masks drawn with ``now``."""
    foreground = real.foreground / got.foreground
    low, high = np.array(_size_spreads(real)) / _size_spreads(got)
    excess = (real.elongation[_HALF] - 1) / (got.elongation[_HALF] - 1)

    def half(name: str) -> float:
        missing = getattr(real, name) - getattr(got, name)
        return float(getattr(now, name) + missing / 2)

    def varied(name: str, goal: float, reached: float) -> float:
        # Variances of independent causes add: half of what is missing is added.
        return float(np.sqrt(max(getattr(now, name) ** 2 + (goal**2 - reached**2) / 2, 0)))

    # The median tile of most organs is fuller than its median count of median nuclei would be, as
    # tiles are unlike each other in more ways than these. Count and area bear a part of that.
    return _within(
        density=now.density * (real.count / got.count) ** 0.75 * foreground**0.25,
        density_drift=varied("density_drift", real.count_spread, got.count_spread),
        clumping=varied("clumping", real.clumping**0.5, got.clumping**0.5),
        spacing=now.spacing + np.log(real.neighbour_px / got.neighbour_px),
        touching=half("touching"),
        area=now.area * np.sqrt(foreground * real.area[_HALF] / got.area[_HALF]),
        area_drift=varied("area_drift", real.area_drift, got.area_drift),
        size_below=now.size_below * low,
        size_above=now.size_above * high,
        # Where crowded nuclei are small, the median tile is fuller than the median nucleus tells.
        density_area_correlation=half("density_area_correlation") - np.log(foreground),
        size_coherence=half("size_coherence"),
        elongation=1 + (now.elongation - 1) * excess,
        elongation_spread=now.elongation_spread * _excess_spread(real) / _excess_spread(got),
        area_elongation_correlation=half("area_elongation_correlation"),
        alignment=half("alignment"),
        roughness=now.roughness + real.roughness - got.roughness,
    )


def _size_spreads(measured: MaskStatistics) -> tuple[float, float]:
    """Distance of the lower and of the upper quartile from the median, of the root of the area,
    relative to the median and as standard deviations."""
    low, middle, high = np.sqrt(measured.area)
    return float(1 - low / middle) / 0.6745, float(high / middle - 1) / 0.6745


def _excess_spread(measured: MaskStatistics) -> float:
    """Spread of the logarithm of the axis ratio less 1: of the slender half, which catches the
    eye."""
    _, middle, high = np.log(np.array(measured.elongation) - 1)
    return float(high - middle) / 0.6745


def _within(**values: float) -> NucleiStatistics:
    return NucleiStatistics(
        **{name: float(np.clip(value, *RANGES[name])) for name, value in values.items()}
    )


HEADLINE: dict[str, Callable[[MaskStatistics], float]] = {
    "area": lambda m: m.area[_HALF],
    "area_lower_quartile": lambda m: m.area[_QUARTER],
    "area_upper_quartile": lambda m: m.area[_THREE_QUARTERS],
    "count": lambda m: m.count,
    "foreground": lambda m: m.foreground,
    "elongation": lambda m: m.elongation[_HALF],
    "roughness": lambda m: m.roughness,
    "neighbour_px": lambda m: m.neighbour_px,
    "poisson_ratio": lambda m: m.poisson_ratio,
    "touching": lambda m: m.touching,
}
"""What random masks have to share with real ones."""

FURTHER = (
    "count_spread",
    "area_drift",
    "density_area_correlation",
    "clumping",
    "size_coherence",
    "area_elongation_correlation",
    "alignment",
)
"""What makes them look alike, and is told beside it."""


def compared(fitted: Fitted) -> Iterator[dict[str, Any]]:
    """A row a measure: real, synthetic, and their ratio where it is of the headline."""
    for name, value in HEADLINE.items():
        real, synthetic = value(fitted.real), value(fitted.synthetic)
        yield _row(fitted.organ, name, real, synthetic) | {"ratio": round(synthetic / real, 3)}
    for name in FURTHER:
        yield _row(fitted.organ, name, getattr(fitted.real, name), getattr(fitted.synthetic, name))


def _row(organ: str, measure: str, real: float, synthetic: float) -> dict[str, Any]:
    return {
        "organ": organ,
        "measure": measure,
        "real": round(real, 4),
        "synthetic": round(synthetic, 4),
    }


def as_table(fitted: Sequence[Fitted]) -> Table:
    """The ratios of the headline, random over real."""
    table = Table("organ", *HEADLINE, title="Random over real", box=box.SIMPLE_HEAD)
    for item in fitted:
        ratios = [value(item.synthetic) / value(item.real) for value in HEADLINE.values()]
        table.add_row(item.organ, *(f"{ratio:.2f}" for ratio in ratios))
    return table


def write_parameters(path: Path, fitted: Sequence[Fitted]) -> None:
    """The parameters as ``model/nuclei_statistics.py`` reads them."""
    content = {
        "source": SOURCE,
        "organs": {item.organ: item.statistics.to_dict() for item in fitted},
    }
    write_whole(path, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    run_alone(app, "python -m training.data.fit_nuclei")
