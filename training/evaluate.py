"""``sian evaluate`` and ``python -m training.evaluate``: judges a checkpoint."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from model.device import device_name
from model.errors import DataInvalid, ParameterInvalid
from model.synthesizer import Synthesizer
from training.alone import run_alone
from training.data.monuseg import Slide, read_dataset
from training.evaluation.cache import FeatureCache, default_folder
from training.evaluation.protocol import Evaluation, evaluate_model
from training.evaluation.report import (
    as_organ_table,
    as_table,
    colour_instances,
    portable,
    write_sheet,
)
from training.evaluation.rows import Row
from training.metrics.inception import Inception
from training.results import write_results
from training.start import slides_of

SHEET_TITLES = ("instance mask", "real", "style", "synthetic", "foreign style", "synthetic in it")

WIDTH_WITH_MEANINGS = 110

NAMES = {
    "haematoxylin_auc": "haematoxylin AUC",
    "haematoxylin_auc_foreign": "haematoxylin AUC, foreign style",
    "lab_distance": "Lab distance",
    "lab_foreign_to_own": "Lab distance, foreign to own",
    "lab_foreign_over_own": "Lab distance, foreign over own",
    "lab_own_to_foreign": "Lab distance, own to foreign",
    "lab_foreign_to_foreign": "Lab distance, foreign to foreign",
    "gradient_energy": "gradient energy",
    "preferred_direction": "preferred direction of edges",
    "border_band": "border, band of 8 px",
    "border_worst_gradient": "border, worst line",
    "border_worst_step": "border, worst signed step",
    "grid_worst_gradient": "grid, worst phase",
    "grid_worst_step": "grid, worst signed step",
    "frechet_768": "Frechet distance, 768",
    "frechet_768_painted": "... of the painted picture",
    "frechet_768_over_painted": "... over the painted picture",
    "frechet_1280": "Frechet distance, 1280",
    "frechet_1280_painted": "... of the painted picture (1280)",
    "frechet_1280_over_painted": "... over the painted picture (1280)",
}
"""What measures are called on the screen and in docs/results.md; result files have the keys."""

app = typer.Typer(add_completion=False)


@app.command()
def evaluate(
    checkpoint: Annotated[
        Path, typer.Option(help="The .safetensors file to judge, its card beside it.")
    ],
    data: Annotated[
        Path, typer.Option(help="MoNuSeg: label maps or the official archives, unpacked.")
    ],
    inception: Annotated[
        Path | None,
        typer.Option(
            help="FID Inception-v3 of 2015-12-05 (.pth or .safetensors). Without it the Frechet "
            "distances are left out."
        ),
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Organ and split of slides of your own (JSON).")
    ] = None,
    tiles: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Measure this many tiles only: a quick look without verdicts, written nowhere "
            "unless --out is given.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Draws the styles, the noise and the training tiles.")
    ] = 0,
    device: Annotated[str, typer.Option(help="Where the checkpoint runs: cpu, cuda, ...")] = "cpu",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; by default all cores.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Result file; by default benchmarks/results/evaluate-<name>.json."),
    ] = None,
    grid: Annotated[
        Path | None, typer.Option(help="Also write a PNG sheet with one tile a test slide.")
    ] = None,
    strict: Annotated[bool, typer.Option(help="Exit with 1 when a target is missed.")] = False,
) -> None:
    """Judge a checkpoint on the test slides: placement, stain, texture, frames, realism.

    Prints every measure with its target and writes them to a result file.
    """
    command = _command(
        checkpoint=portable(checkpoint),
        data=portable(data),
        inception=inception and portable(inception),
        manifest=manifest and portable(manifest),
        tiles=tiles,
        seed=seed,
        device=device,
    )
    if out is not None and out.resolve() == checkpoint.with_suffix(".json").resolve():
        raise ParameterInvalid(f"--out {out} is the card of the checkpoint; choose another file.")
    if grid is not None and grid.suffix.lower() != ".png":
        raise ParameterInvalid(f"--grid {grid}: the sheet is a PNG file; give it the suffix .png.")
    if strict and tiles is not None:
        raise ParameterInvalid("--strict needs verdicts, and --tiles gives none; leave one out.")
    if threads is not None:
        torch.set_num_threads(threads)
    console = Console()
    # As the tables judge: one tile a pass, and no half precision on a GPU.
    synthesizer = Synthesizer.load(checkpoint, device=device, precision="fp32", max_batch=1)
    slides = read_dataset(data, manifest=manifest)
    _refuse_training_slides(slides, synthesizer, checkpoint)
    features = None
    if inception is not None:
        network = Inception.load(inception, device=torch.device(device))
        features = FeatureCache(network, default_folder())
    with _progress(console) as progress:
        result = evaluate_model(
            synthesizer, slides, features=features, seed=seed, limit=tiles, progress=progress
        )
    judged = f"{len(result.plan.tiles)} of {len(result.tiles)} test tiles"
    is_whole = len(result.plan.tiles) == len(result.tiles)
    if not is_whole:
        result = replace(result, rows=[replace(row, low=None, high=None) for row in result.rows])
    meanings = console.width >= WIDTH_WITH_MEANINGS
    named = _named(result.rows)
    console.print(as_table(named, f"{checkpoint.stem}, {judged}", meanings=meanings))
    console.print(as_organ_table(named))
    if not is_whole:
        console.print("No verdicts: the targets are for all test tiles; leave --tiles out.")
    if features is None:
        console.print("Frechet distances were not measured: pass --inception.")
    if out is None and tiles is None:
        out = Path("benchmarks/results") / f"evaluate-{checkpoint.stem}.json"
    if out is not None:
        _write(out, result, command, synthesizer)
        console.print(f"Written to {out}")
    if grid is not None:
        write_sheet(grid, SHEET_TITLES, sheet_rows(result))
        console.print(f"Sheet of pictures: {grid}")
    if strict and any(row.passed is False for row in result.rows):
        raise typer.Exit(1)


def _named(rows: Sequence[Row]) -> list[Row]:
    return [replace(row, measure=NAMES.get(row.measure, row.measure)) for row in rows]


def _refuse_training_slides(
    slides: Sequence[Slide], synthesizer: Synthesizer, checkpoint: Path
) -> None:
    """A checkpoint is not judged on slides it was trained on, nor where it does not tell."""
    trained = set(slides_of(synthesizer.card, checkpoint, "--checkpoint"))
    seen = sorted(slide.id for slide in slides if slide.split == "test" and slide.id in trained)
    if seen:
        raise DataInvalid(
            f"The checkpoint was trained on {len(seen)} of the test slides ({seen[0]}, ...). "
            "Correct the split in the manifest, or judge another checkpoint."
        )


def sheet_rows(result: Evaluation) -> list[list[NDArray[np.uint8]]]:
    """For the middle judged tile of each test slide, one picture per title of the sheet."""
    by_slide: dict[str, list[int]] = {}
    for position, index in enumerate(result.plan.tiles):
        by_slide.setdefault(result.tiles[index].slide_id, []).append(position)
    rows = []
    for positions in by_slide.values():
        chosen = positions[len(positions) // 2]
        tile = result.tiles[result.plan.tiles[chosen]]
        rows.append(
            [
                colour_instances(tile.mask_labels),
                tile.image_u8,
                result.tiles[result.plan.styles[chosen]].image_u8,
                result.synthetic[chosen],
                result.tiles[result.plan.foreign_styles[chosen]].image_u8,
                result.restyled[chosen],
            ]
        )
    return rows


def _command(**options: object) -> str:
    words = [f"--{name}={value}" for name, value in options.items() if value is not None]
    return shlex.join(["sian", "evaluate", *words])


def _write(path: Path, result: Evaluation, command: str, synthesizer: Synthesizer) -> None:
    write_results(
        path,
        [row.to_json() for row in result.rows],
        command=command,
        threads=torch.get_num_threads(),
        device=device_name(synthesizer.device),
        torch=str(torch.__version__),
        checkpoint_sha256=synthesizer.card.sha256,
        tiles=len(result.plan.tiles),
        slides=sorted({tile.slide_id for tile in result.tiles}),
    )


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )


if __name__ == "__main__":
    run_alone(app, "python -m training.evaluate")
