"""`sian train`, also `python -m training.train`: from slides to a checkpoint."""

import math
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer

from model.device import device_name
from model.errors import ParameterInvalid
from training.ablations import VARIANTS
from training.alone import run_alone
from training.config import TrainConfig
from training.data.crops import load_slides
from training.data.loader import workers_of
from training.data.monuseg import read_dataset
from training.distributed import end_process, start_process
from training.export import MONUSEG_LICENCE
from training.generator import train_generator
from training.loop import Intervals
from training.methods import METHODS, Method, method_named
from training.networks import FULL_WIDTH
from training.parts import split
from training.profile import Profile
from training.sitting import alone_in
from training.speed import Precision, settled
from training.start import Start
from training.trained import finish
from training.vgg import Vgg19

OTHERS = [name for name in METHODS if not name.startswith("sian")]


def train(
    data: Annotated[
        Path, typer.Option(help="Folder with MoNuSeg: label maps, or the official archives.")
    ],
    vgg: Annotated[
        Path, typer.Option(help="VGG19 weights for the perceptual loss (docs/training.md).")
    ],
    run_dir: Annotated[
        Path, typer.Option(help="Folder of this run: state, log, samples. Resumed if it exists.")
    ],
    manifest: Annotated[
        Path | None, typer.Option(help="Organ and split of slides of your own (JSON).")
    ] = None,
    licence: Annotated[
        str, typer.Option(help="Of the slides, and so of what is trained on them.")
    ] = MONUSEG_LICENCE,
    method: Annotated[
        str,
        typer.Option(
            help="What to train: sian-release, which is served; sian, the paper's network; or one "
            "of the others of its tables: " + ", ".join(OTHERS) + "."
        ),
    ] = "sian-release",
    variant: Annotated[
        str | None,
        typer.Option(help="Of sian-release: one of its ablations, " + ", ".join(VARIANTS) + "."),
    ] = None,
    start_from: Annotated[
        Path | None,
        typer.Option(help="Begin with the networks of this checkpoint (.safetensors) of SIAN."),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Length of the run in steps.")] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Crops a step, over all processes.")
    ] = None,
    crop: Annotated[
        int | None, typer.Option(min=64, help="Side of the training crops in pixels.")
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(min=8, help="Filters where the paper's network has 64; scales all of them."),
    ] = None,
    lr_generator: Annotated[
        float | None, typer.Option(min=0, help="Learning rate of generator and encoder.")
    ] = None,
    lr_discriminator: Annotated[
        float | None, typer.Option(min=0, help="Learning rate of the discriminator.")
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(help="Of a term of the loss, NAME=NUMBER, as segmentation=16. Repeatable."),
    ] = None,
    rotation: Annotated[
        Literal["quarter", "any"] | None, typer.Option(help="Turns of the crops.")
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(help="bf16: autocast of the convolutions; auto: where the device gains."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of weights, samples, noise.")] = None,
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
    minutes: Annotated[
        float,
        typer.Option(min=0, help="Stop and save so long after the start; run again to go on."),
    ] = math.inf,
    profile: Annotated[
        bool, typer.Option("--profile", help="At the end say where the time of this sitting went.")
    ] = False,
    log_every: Annotated[int, typer.Option(min=1, help="Steps between log lines.")] = 10,
    sample_every: Annotated[int, typer.Option(min=1, help="Steps between sample sheets.")] = 250,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between saved states.")] = 250,
    save_minutes: Annotated[
        float, typer.Option(min=0, help="Save no more often than that, however fast the steps.")
    ] = Intervals.save_minutes,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Where to write it (.safetensors); default: RUN_DIR/checkpoint.safetensors."
        ),
    ] = None,
    shard_mib: Annotated[
        int | None,
        typer.Option(min=1, help="Write it in parts of so many MiB as well, to be carried."),
    ] = None,
) -> None:
    """Train a generator and style encoder on MoNuSeg, and write a checkpoint.

    Stop with Ctrl-C at any time: the step in hand is finished and saved, and the same command
    goes on from there as if it had not stopped. For several GPUs:
    torchrun --nproc-per-node 4 -m training.train ...
    """
    until = time.monotonic() + 60 * minutes
    if checkpoint is not None and checkpoint.suffix != ".safetensors":
        raise ParameterInvalid(
            f"--checkpoint {checkpoint}: give it the suffix .safetensors; its card is beside it, "
            "with the suffix .json."
        )
    config = _config(
        _method(method, variant), width, crop, _numbers(weight or []),
        steps=steps, batch_size=batch, lr_generator=lr_generator,
        lr_discriminator=lr_discriminator, rotation=rotation, precision=precision, seed=seed,
    )  # fmt: skip
    start, config = Start.read(start_from, config) if start_from else (None, config)
    if threads:
        torch.set_num_threads(threads)
    process = start_process(device)
    found = read_dataset(data, manifest=manifest)
    slides = load_slides(
        [slide for slide in found if slide.split == "train"], smallest_px=config.smallest_slide_px
    )
    if process.leads:
        precision_here = settled(config.precision, process.device)
        typer.echo(f"On {device_name(process.device)}, in {precision_here}.")
    measured = Profile() if profile else None
    with alone_in(run_dir) if process.leads else nullcontext():
        stepper, progress = train_generator(
            config,
            slides,
            Vgg19.load(vgg),
            run_dir,
            process,
            workers=workers_of(workers),
            intervals=Intervals(
                log_every, sample_every, save_every, (until - time.monotonic()) / 60, save_minutes
            ),
            profile=measured,
            start=start,
        )
        if measured:
            typer.echo(measured.report())
        if process.leads:
            target = finish(
                variant or method, run_dir, stepper, progress, slides,
                checkpoint=checkpoint, licence=licence,
            )  # fmt: skip
            typer.echo(f"Step {progress.step}: wrote {target}")
            for part in split(target, shard_mib) if shard_mib else []:
                typer.echo(f"  {part.name}")
    end_process(process)


def _method(name: str, variant: str | None) -> Method:
    if variant is None:
        return method_named(name)
    if name != "sian-release":
        raise ParameterInvalid(
            f"--variant changes sian-release, and --method is {name}. Leave one of them out."
        )
    return method_named(variant, VARIANTS)


def _numbers(given: list[str]) -> dict[str, float]:
    numbers = {}
    for each in given:
        name, _, number = each.partition("=")
        try:
            numbers[name] = float(number)
        except ValueError:
            raise ParameterInvalid(
                f"--weight {each}: give it a name and a number, as --weight segmentation=16."
            ) from None
    return numbers


def _config(
    method: Method,
    width: int | None,
    crop_px: int | None,
    weights: dict[str, float],
    **options: Any,
) -> TrainConfig:
    config = replace(method.config, weights=method.config.weights.changed(weights))
    if width is not None or crop_px is not None:
        config = config.fitted(width or FULL_WIDTH, crop_px or config.crop_px)
    return config.with_options(**options)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(train)

if __name__ == "__main__":
    run_alone(app, "python -m training.train")
