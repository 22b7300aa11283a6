"""`sian train`, also `python -m training.train`: from slides to a checkpoint."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer

from model.config import PRESETS as NETWORKS
from model.errors import ParameterInvalid
from training.alone import run_alone
from training.config import PRESETS, TrainConfig
from training.data.crops import load_slides
from training.data.monuseg import read_dataset
from training.distributed import end_process, start_process
from training.export import export
from training.loop import Intervals
from training.loop import train as run_training
from training.vgg import Vgg19


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
    preset: Annotated[
        Literal["paper", "release"],
        typer.Option(help="paper: literal, full size; release: compact, what is served."),
    ] = "release",
    steps: Annotated[int | None, typer.Option(min=1, help="Length of the run in steps.")] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Crops a step, over all processes.")
    ] = None,
    crop: Annotated[
        int | None, typer.Option(min=64, help="Side of the training crops in pixels.")
    ] = None,
    widths: Annotated[
        str | None, typer.Option(help="Output channels of the seven blocks, comma separated.")
    ] = None,
    filters: Annotated[
        int | None, typer.Option(min=1, help="Filters of each branch of a SIAN block.")
    ] = None,
    lr_generator: Annotated[
        float | None, typer.Option(min=0, help="Learning rate of generator and encoder.")
    ] = None,
    lr_discriminator: Annotated[
        float | None, typer.Option(min=0, help="Learning rate of the discriminator.")
    ] = None,
    rotation: Annotated[
        Literal["quarter", "any"] | None, typer.Option(help="Turns of the crops.")
    ] = None,
    precision: Annotated[
        Literal["bf16", "fp32"] | None, typer.Option(help="bf16: autocast of the convolutions.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of weights, samples, noise.")] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="auto: CUDA if there is any.")
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of the networks; default: all cores.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare crops.")] = 1,
    minutes: Annotated[
        float, typer.Option(min=0, help="Stop and save after so long; run again to go on.")
    ] = math.inf,
    log_every: Annotated[int, typer.Option(min=1, help="Steps between log lines.")] = 10,
    sample_every: Annotated[int, typer.Option(min=1, help="Steps between sample sheets.")] = 250,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between saved states.")] = 250,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Where to export to (.safetensors); default: RUN_DIR/checkpoint.safetensors."
        ),
    ] = None,
) -> None:
    """Train a generator and style encoder on MoNuSeg, and export a checkpoint.

    Stop with Ctrl-C at any time: the step in hand is finished and saved, and the same command
    goes on from there as if it had not stopped. For several GPUs:
    torchrun --nproc-per-node 4 -m training.train ...
    """
    config = _config(
        preset, widths, filters,
        steps=steps, batch_size=batch, crop_px=crop, lr_generator=lr_generator,
        lr_discriminator=lr_discriminator, rotation=rotation, precision=precision, seed=seed,
    )  # fmt: skip
    if threads:
        torch.set_num_threads(threads)
    process = start_process(device)
    if config.batch_size % process.world:
        raise ParameterInvalid(
            f"--batch {config.batch_size} cannot be split over {process.world} processes; "
            "make it a multiple."
        )
    found = read_dataset(data, manifest=manifest)
    slides = load_slides(
        [slide for slide in found if slide.split == "train"], smallest_px=config.smallest_slide_px
    )
    stepper, progress = run_training(
        config,
        slides,
        Vgg19.load(vgg),
        run_dir,
        process,
        workers=workers,
        intervals=Intervals(log_every, sample_every, save_every, minutes),
    )
    if process.leads:
        target = checkpoint or run_dir / "checkpoint.safetensors"
        export(target, stepper, progress, slides, name=f"sian-{preset}")
        typer.echo(f"Step {progress.step}: wrote {target}")
    end_process(process)


def _config(preset: str, widths: str | None, filters: int | None, **options: Any) -> TrainConfig:
    network = NETWORKS[preset]
    if widths:
        try:
            values = tuple(int(width) for width in widths.split(","))
        except ValueError:
            values = ()
        if len(values) != len(network.widths) or min(values) < 1:
            raise ParameterInvalid(
                f"--widths {widths}: give {len(network.widths)} positive numbers, such as "
                f"{','.join(map(str, network.widths))}."
            )
        network = replace(network, widths=values)
    if filters:
        network = replace(network, branch_filters=filters)
    return PRESETS[preset].with_options(network=network, **options)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(train)

if __name__ == "__main__":
    run_alone(app, "python -m training.train")
