"""``sian experiment`` and ``python -m training.experiment``: the paper's tables and figures, and
the ablations of the release network."""

import math
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
from rich.console import Console
from rich.markdown import Markdown

from model.errors import ParameterInvalid
from training.ablations import VARIANTS
from training.alone import run_alone
from training.data.loader import workers_of
from training.data.monuseg import Slide, read_dataset
from training.distributed import processes, start_process
from training.evaluation.cache import FeatureCache, default_folder
from training.evaluation.report import portable
from training.experiments.ablations import ablation_table, set_aside
from training.experiments.figures import write_figures
from training.experiments.given import GIVEN, Given
from training.experiments.laboratory import Laboratory
from training.experiments.measures import FeatureSpaces
from training.experiments.report import write_report
from training.experiments.scale import SCALES, Scale
from training.experiments.sitting import Sitting
from training.experiments.table1 import table_1, table_2
from training.experiments.table3 import table_3
from training.methods import METHODS, Method, method_named
from training.metrics.efficientnet import EfficientNetLite0
from training.metrics.inception import Inception
from training.sitting import sigterm_as_ctrl_c
from training.speed import Precision

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def experiment(
    name: Annotated[
        Literal["table1", "table2", "table3", "figures", "ablations"],
        typer.Argument(help="What to make."),
    ],
    data: Annotated[Path, typer.Option(help="Folder with MoNuSeg (docs/training.md).")],
    vgg: Annotated[Path, typer.Option(help="VGG19 weights for the perceptual loss.")],
    inception: Annotated[
        Path | None,
        typer.Option(help="FID Inception-v3 of 2015-12-05; not for table3 and figures."),
    ] = None,
    efficientnet: Annotated[
        Path | None,
        typer.Option(help="EfficientNet-Lite0 weights, for a second space of features."),
    ] = None,
    scale: Annotated[
        str, typer.Option(help="The budget of every method: smoke, cpu or paper.")
    ] = "paper",
    methods: Annotated[
        str | None, typer.Option(help="Comma separated; all of the table unless given.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="A checkpoint of SIAN, as one more method, 'checkpoint'; not for ablations."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Another length of the runs.")] = None,
    width: Annotated[int | None, typer.Option(min=8, help="Another width of the networks.")] = None,
    crop: Annotated[int | None, typer.Option(min=64, help="Another side of the crops.")] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Another number of crops a step.")
    ] = None,
    tiles: Annotated[int | None, typer.Option(min=2, help="Judge so many test tiles only.")] = None,
    synthetic: Annotated[
        int | None, typer.Option(min=1, help="Synthetic tiles a method adds in table 3.")
    ] = None,
    segnet_steps: Annotated[
        int | None, typer.Option(min=1, help="Another length of the SegNets' runs.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Keeps what was trained and drawn; default: runs/SCALE. Resumed."),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for NAME-SCALE.json and .md (and what was changed), or the figures."
        ),
    ] = Path("benchmarks/results"),
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="auto: CUDA if there is any.")
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of the networks; default: all cores.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Processes that prepare crops; default: the cores but one."),
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="Of training, as of sian train: auto, bf16 or fp32.")
    ] = "auto",
    minutes: Annotated[
        float, typer.Option(min=0, help="Stop and keep after so long; run again to go on.")
    ] = math.inf,
) -> None:
    """Train what is missing, draw what is missing, and write a table or the figures.

    Stop at any time: the same command goes on from there.
    """
    _refuse_torchrun()
    command = _command(
        name,
        data=portable(data), vgg=portable(vgg), inception=inception and portable(inception),
        efficientnet=efficientnet and portable(efficientnet), scale=scale, methods=methods,
        checkpoint=checkpoint and portable(checkpoint), steps=steps, width=width, crop=crop,
        batch=batch, tiles=tiles, synthetic=synthetic, segnet_steps=segnet_steps,
        precision=None if precision == "auto" else precision,
    )  # fmt: skip
    if threads:
        torch.set_num_threads(threads)
    budget = _scale(
        scale, steps=steps, width=width, crop_px=crop, batch=batch, test_tiles=tiles,
        synthetic=synthetic, segnet_steps=segnet_steps,
    )  # fmt: skip
    until = time.monotonic() + 60 * minutes
    sitting = Sitting(start_process(device), workers_of(workers), until, precision)
    known, slides, kept = METHODS, read_dataset(data), scale
    given = _given(checkpoint, name, slides)
    if name == "ablations":
        known, slides, kept = VARIANTS, set_aside(slides), f"{scale}-ablations"
    chosen = _methods(methods, known, given)
    laboratory = Laboratory(
        slides, vgg, folder or Path("runs") / kept, budget, sitting, methods=known, given=given
    )
    console = Console()
    console.print(f"Networks are trained on: {sitting.trains}.")
    with sigterm_as_ctrl_c():
        if name == "figures":
            for path in write_figures(laboratory, chosen, out, command=command):
                console.print(f"Written to {path}")
            return
        if name == "table3":
            rows = table_3(laboratory, chosen)
        else:
            make = {"table1": table_1, "table2": table_2, "ablations": ablation_table}[name]
            spaces = _spaces(inception, efficientnet, sitting.process.device)
            rows = make(laboratory, spaces, chosen)
    written, page = write_report(
        out,
        name,
        rows,
        budget,
        command=command,
        threads=torch.get_num_threads(),
        where=sitting.facts,
        methods=chosen,
        among=tuple(known),
        given=given.label if given else None,
    )
    _show(console, page)
    console.print(f"Written to {written} and {page}")


def _show(console: Console, page: Path) -> None:
    """Drawn for a terminal; anywhere else as it is, since lines of 80 would cut the tables."""
    text = page.read_text("utf-8")
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        console.file.write(text)


def _refuse_torchrun() -> None:
    if processes() > 1:
        raise ParameterInvalid(
            "An experiment runs in one process; several, as torchrun starts them, would write the "
            "same files. Start it without torchrun. Only training.train shares the work."
        )


def _scale(name: str, **options: Any) -> Scale:
    if name not in SCALES:
        raise ParameterInvalid(f"There is no scale '{name}'. Choose one of: {', '.join(SCALES)}.")
    return SCALES[name].with_options(**options)


def _methods(names: str | None, known: Mapping[str, Method], given: Given | None) -> list[str]:
    """A checkpoint that is given is the last one, unless it has a place among the names."""
    if given:
        known = {**known, GIVEN: given.method}
    if names is None:
        return list(known)
    chosen = list(dict.fromkeys(name.strip() for name in names.split(",")))
    for name in chosen:
        method_named(name, known)
    return chosen if GIVEN in chosen or not given else [*chosen, GIVEN]


def _given(checkpoint: Path | None, name: str, slides: Sequence[Slide]) -> Given | None:
    if checkpoint is None:
        return None
    if name == "ablations":
        raise ParameterInvalid(
            "The ablations judge training slides, which a checkpoint may have seen. Leave "
            "--checkpoint out, or choose another table."
        )
    return Given.read(checkpoint, slides)


def _spaces(
    inception: Path | None, efficientnet: Path | None, device: torch.device
) -> FeatureSpaces:
    if inception is None:
        raise ParameterInvalid(
            "This table measures distances in the features of an Inception network. Pass its "
            "weights with --inception (docs/training.md says where they come from)."
        )
    folder = default_folder()
    caches = {"inception": FeatureCache(Inception.load(inception, device=device), folder)}
    if efficientnet is not None:
        lite0 = EfficientNetLite0.load(efficientnet, device=device)
        caches["lite0"] = FeatureCache(lite0, folder)
    return FeatureSpaces(caches)


def _command(name: str, **options: object) -> str:
    given = {key.replace("_", "-"): value for key, value in options.items() if value is not None}
    words = [f"--{key}={value}" for key, value in given.items()]
    return shlex.join(["sian", "experiment", name, *words])


if __name__ == "__main__":
    run_alone(app, "python -m training.experiment")
